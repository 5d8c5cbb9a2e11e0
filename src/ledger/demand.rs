//! What an order taken elsewhere wants of one pool, and which reservations are its claims.
//!
//! An order's units are counted in totals: what its lines want, shipped or not. What of that has shipped is told by the
//! shipments of the order, whoever recorded them; the rest is what its claims must own. So it does not matter whether a
//! shipment is seen before or after the state of the order that tells of it.

use std::collections::HashMap;

use uuid::Uuid;

use crate::ids::SkuId;

/// An order, as the system calls it that it was taken in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DemandKey {
    /// The system.
    pub source: String,
    /// Its id there.
    pub order_id: String,
}

/// What one line of an order wants of one SKU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemandLine {
    /// The line, as the order's system calls it.
    pub line_ref: String,
    /// A SKU that it wants; a kit's line stands here once for each component.
    pub sku: SkuId,
    /// Units of the SKU in one unit of the line.
    pub unit_quantity: i32,
    /// The version of the mapping that said so; 0 where there was none.
    pub mapping_version: i32,
    /// Units of the SKU, shipped or not, from this pool.
    pub quantity: i64,
}

/// An order that claims from this pool.
#[derive(Debug, Clone, PartialEq)]
pub struct DemandRecord {
    /// Which order.
    pub key: DemandKey,
    /// What its reservations and shipments call it.
    pub order_ref: String,
    /// What people call it.
    pub order_name: Option<String>,
    /// The newest state of it that was applied.
    pub revision: i64,
    /// The id of the same order in the system that has taken over its claims.
    pub absorbed_by: Option<String>,
    /// What its lines want.
    pub lines: Vec<DemandLine>,
    /// The reservations that are its claims.
    pub claims: Vec<Uuid>,
    /// Units that have left for it, voided ones excepted.
    pub shipped: HashMap<SkuId, i64>,
}

impl DemandRecord {
    /// Whether a reservation or a shipment may call it so.
    #[must_use]
    pub fn is_called(&self, order_ref: &str) -> bool {
        self.order_ref == order_ref || self.order_name.as_deref() == Some(order_ref)
    }

    /// Units of a SKU that its lines want, shipped or not.
    #[must_use]
    pub fn wants(&self, sku: SkuId) -> i64 {
        self.lines.iter().filter(|line| line.sku == sku).map(|line| line.quantity).sum()
    }

    /// Units of a SKU that its claims must own: wanted and not shipped.
    #[must_use]
    pub fn owed(&self, sku: SkuId) -> i64 {
        (self.wants(sku) - self.shipped.get(&sku).copied().unwrap_or(0)).max(0)
    }
}
