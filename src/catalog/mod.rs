//! The catalogue: pools, classes (policies) and SKUs. Global, small, rarely written.
//!
//! Every instance keeps the whole of it in memory. Each change takes the next *catalogue revision* in its own
//! transaction; whoever decides about stock reads the revision under its row locks and reloads when memory is behind,
//! so a policy is never older than the lock it is applied under.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use imbl::HashMap;
use serde::{Deserialize, Serialize};

use crate::ids::{ClassId, PoolId, SkuId};

pub mod cache;
pub mod change;
pub mod classes;
pub mod days;
pub mod policy;
pub mod pools;
pub mod recipes;
pub mod revision;
pub mod routes;
pub mod skus;
pub mod zones;

pub use zones::Zones;

/// A stock of its own.
#[derive(Debug, Clone)]
pub struct Pool {
    /// Partition key of everything that is stock.
    pub id: PoolId,
    /// What the API calls it.
    pub code: String,
    /// For people.
    pub name: String,
    /// Whose midnight closes a day, and whose did.
    pub zones: Zones,
    /// Revision of its newest change.
    pub revision: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl Pool {
    /// The local date at an instant.
    #[must_use]
    pub fn date_at(&self, instant: DateTime<Utc>) -> chrono::NaiveDate {
        self.zones.date_at(instant)
    }
}

/// Which lot goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum DepletionOrder {
    /// First in, first out.
    Fifo,
    /// First expired, first out.
    Fefo,
}

impl DepletionOrder {
    /// The word in SQL and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fifo => "fifo",
            Self::Fefo => "fefo",
        }
    }
}

/// The numbers that a class decides by; units and seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How long a hold lasts unless asked otherwise.
    pub hold_ttl_seconds: i64,
    /// How long a hold may last.
    pub longest_hold_seconds: i64,
    /// Never shown, never held.
    pub safety_stock_quantity: i64,
    /// How far holds may go below zero.
    pub oversell_tolerance_quantity: i64,
    /// Most units of one SKU in one hold.
    pub max_per_hold_quantity: i64,
    /// At or below this sellable quantity a SKU is low.
    pub low_stock_quantity: i64,
    /// Which lot goes first.
    pub depletion_order: DepletionOrder,
}

/// The policy of a kind of SKU.
#[derive(Debug, Clone)]
pub struct Class {
    /// Its id.
    pub id: ClassId,
    /// What the API calls it.
    pub code: String,
    /// For people.
    pub name: String,
    /// Its numbers.
    pub policy: Policy,
    /// Revision of its newest change.
    pub revision: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// Whether a SKU takes new holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum SkuStatus {
    /// It does.
    Active,
    /// It does not; claims, lots and history stay.
    Retired,
}

impl SkuStatus {
    /// The word in SQL and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }
}

/// What is sold.
#[derive(Debug, Clone)]
pub struct Sku {
    /// What claims and lots hang on.
    pub id: SkuId,
    /// What the API calls it.
    pub code: Arc<str>,
    /// For people.
    pub name: String,
    /// Its policy.
    pub class: ClassId,
    /// Whether it moves balances.
    pub tracked: bool,
    /// Since when it does.
    pub tracked_since_at: DateTime<Utc>,
    /// Whether it takes new holds.
    pub status: SkuStatus,
    /// Revision of its newest change.
    pub revision: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// The whole catalogue at one revision.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    /// The newest revision in it.
    pub revision: i64,
    pools: HashMap<PoolId, Arc<Pool>>,
    pools_by_code: HashMap<String, PoolId>,
    classes: HashMap<ClassId, Arc<Class>>,
    classes_by_code: HashMap<String, ClassId>,
    skus: HashMap<SkuId, Arc<Sku>>,
    skus_by_code: HashMap<Arc<str>, SkuId>,
}

impl Catalogue {
    /// The pool with this code.
    #[must_use]
    pub fn pool_by_code(&self, code: &str) -> Option<&Arc<Pool>> {
        self.pools.get(self.pools_by_code.get(code)?)
    }

    /// The pool with this id.
    #[must_use]
    pub fn pool(&self, id: PoolId) -> Option<&Arc<Pool>> {
        self.pools.get(&id)
    }

    /// All pools, in no order.
    pub fn pools(&self) -> impl Iterator<Item = &Arc<Pool>> {
        self.pools.values()
    }

    /// The class with this code.
    #[must_use]
    pub fn class_by_code(&self, code: &str) -> Option<&Arc<Class>> {
        self.classes.get(self.classes_by_code.get(code)?)
    }

    /// Every class.
    pub fn classes(&self) -> impl Iterator<Item = &Arc<Class>> {
        self.classes.values()
    }

    /// The class with this id.
    #[must_use]
    pub fn class(&self, id: ClassId) -> Option<&Arc<Class>> {
        self.classes.get(&id)
    }

    /// The policy of the class that is always there; of what has no class of its own.
    #[must_use]
    pub fn standard_policy(&self) -> Option<&Policy> {
        self.class_by_code(classes::STANDARD).map(|class| &class.policy)
    }

    /// The SKU with this code.
    #[must_use]
    pub fn sku_by_code(&self, code: &str) -> Option<&Arc<Sku>> {
        self.skus.get(self.skus_by_code.get(code)?)
    }

    /// The SKU with this id.
    #[must_use]
    pub fn sku(&self, id: SkuId) -> Option<&Arc<Sku>> {
        self.skus.get(&id)
    }

    /// The policy that `sku` is under.
    #[must_use]
    pub fn policy(&self, sku: &Sku) -> Option<&Policy> {
        self.classes.get(&sku.class).map(|class| &class.policy)
    }

    /// The code of a SKU; its number where memory is behind.
    #[must_use]
    pub fn sku_code(&self, id: SkuId) -> Arc<str> {
        self.skus.get(&id).map_or_else(|| Arc::from(id.0.to_string()), |sku| Arc::clone(&sku.code))
    }

    /// The code of a pool; its number where memory is behind.
    #[must_use]
    pub fn pool_code(&self, id: PoolId) -> String {
        self.pools.get(&id).map_or_else(|| id.0.to_string(), |pool| pool.code.clone())
    }

    /// Takes in a new or newer pool.
    pub fn put_pool(&mut self, pool: Pool) {
        self.pools_by_code.insert(pool.code.clone(), pool.id);
        self.pools.insert(pool.id, Arc::new(pool));
    }

    /// Takes in a new or newer class.
    pub fn put_class(&mut self, class: Class) {
        self.classes_by_code.insert(class.code.clone(), class.id);
        self.classes.insert(class.id, Arc::new(class));
    }

    /// Takes in a new or newer SKU.
    pub fn put_sku(&mut self, sku: Sku) {
        self.skus_by_code.insert(Arc::clone(&sku.code), sku.id);
        self.skus.insert(sku.id, Arc::new(sku));
    }
}
