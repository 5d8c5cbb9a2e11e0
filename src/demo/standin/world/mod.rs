//! The world behind the stand-in: one shop and one Recharge account, in memory.
//!
//! Commands change it as people and apps would upstream: they bump `updated_at` to the second and leave news for the
//! webhooks. Nothing is refused for business reasons: upstreams let people do strange things, and so does this. Ids look
//! like the real ones; every third order has one beyond 2^53.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, SubsecRound, Utc};

use crate::clock::Clock;
use crate::mirror::rows::Source;

mod census;
mod fulfilments;
mod orders;
mod products;
mod recharge;
mod refunds;

pub use fulfilments::{Fulfilment, FulfilmentLine};
pub use orders::{Group, Line, NewLine, NewOrder, Order};
pub use products::{Destroyed, Location, Product, Variant};
pub use recharge::{Charge, Customer, Item, RechargeOrder, Subscribed, Subscription};
pub use refunds::{Back, Refund, RefundLine, Restock};

use super::shopify::SCOPES;
use super::webhooks::news::{News, Newsroom};
use recharge::RechargeWorld;

/// Something was named that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stand-in has no {kind} {id}")]
pub struct Missing {
    /// What it would have been.
    pub kind: &'static str,
    /// The id that was named.
    pub id: i64,
}

/// A subscription to webhooks.
#[derive(Debug, Clone)]
pub struct Hook {
    /// Its id.
    pub id: i64,
    /// As the upstream writes it: `ORDERS_UPDATED`, `order/created`.
    pub topic: String,
    /// Where deliveries go.
    pub address: String,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

/// Everything that the stand-in knows.
#[derive(Debug)]
pub struct World {
    pub(super) clock: Clock,
    last_id: i64,
    pub(super) products: BTreeMap<i64, Product>,
    pub(super) products_by_change: BTreeSet<(DateTime<Utc>, i64)>,
    pub(super) product_of: HashMap<i64, i64>,
    pub(super) destroyed: Vec<Destroyed>,
    pub(super) locations: BTreeMap<i64, Location>,
    pub(super) orders: BTreeMap<i64, Order>,
    pub(super) orders_by_change: BTreeSet<(DateTime<Utc>, i64)>,
    pub(super) order_of_fulfilment: HashMap<i64, i64>,
    pub(super) order_of_refund: HashMap<i64, i64>,
    pub(super) hooks: Vec<Hook>,
    pub(super) recharge: RechargeWorld,
    pub(super) recharge_hooks: Vec<Hook>,
    pub(super) newsroom: Newsroom,
    /// What the shop's tokens may see.
    pub(super) scopes: Vec<&'static str>,
}

impl World {
    pub(super) fn new(clock: Clock, tells: bool) -> Self {
        Self {
            clock,
            last_id: 6_642_695_864_491,
            products: BTreeMap::new(),
            products_by_change: BTreeSet::new(),
            product_of: HashMap::new(),
            destroyed: Vec::new(),
            locations: BTreeMap::new(),
            orders: BTreeMap::new(),
            orders_by_change: BTreeSet::new(),
            order_of_fulfilment: HashMap::new(),
            order_of_refund: HashMap::new(),
            hooks: Vec::new(),
            recharge: RechargeWorld::default(),
            recharge_hooks: Vec::new(),
            newsroom: Newsroom::new(tells),
            scopes: SCOPES.to_vec(),
        }
    }

    /// Subscribes an address to a topic, in the source's words.
    pub fn add_hook(&mut self, source: Source, topic: &str, address: &str) {
        let (id, created_at) = (self.mint_small(), self.now());
        let hook = Hook { id, topic: topic.to_owned(), address: address.to_owned(), created_at };
        match source {
            Source::Shopify => self.hooks.push(hook),
            Source::Recharge => self.recharge_hooks.push(hook),
        }
    }

    /// Now, as upstreams write it down: to the second.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.local_now().trunc_subsecs(0)
    }

    /// A fresh id; ids only go up.
    pub(super) fn mint(&mut self) -> i64 {
        self.last_id += 32_768;
        self.last_id
    }

    /// A fresh id of a size that Recharge uses.
    pub(super) fn mint_small(&mut self) -> i64 {
        self.mint() / 32_768
    }

    pub(super) fn take_news(&mut self) -> Vec<News> {
        self.newsroom.take()
    }
}
