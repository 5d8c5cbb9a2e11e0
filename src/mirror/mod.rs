//! Mirror, don't sync: what Shopify and Recharge own is copied here one way, and what it means to stock is applied once.
//!
//! Shopify owns products and orders, Recharge owns subscriptions and charges. Polls, webhooks, the first backfill and the
//! nightly comparison all do the same thing: they find out *which* entity may have changed, fetch it as it is now, and
//! write it if it is newer than the copy. So duplicates, any order of arrival and lost messages end in the same rows.
//!
//! ```text
//! webhook ─┐                                  ┌─► rows of schema mirror (only ever newer)
//! poll ────┼─► ids that may have changed ─► fetch ─┤
//! backfill ┘                                  └─► order_progress: a revision to apply ─► demand ─► ledger
//! ```
//!
//! - [`upstream`] is the one client that talks to the outside: bounded, jittered retries, deadlines, pacing.
//! - [`shopify`] and [`recharge`] know the two APIs; they give [`rows`], whatever shape the upstream had.
//! - [`store`] writes rows; nothing else does, and the database refuses everybody else.
//! - [`streams`] decides what to look at next and remembers how far it came.
//! - [`webhooks`] takes deliveries: verified, stored, answered, and then treated as hints.
//! - [`mapping`] says which SKUs a variant is; [`demand`] makes claims, shipments and returns out of orders.
//! - [`campaigns`] are links of ours to mirrored products.
//!
//! No network call is made while a transaction is open, and nothing here ever writes an order, a product or a customer
//! upstream: the only mutations are the subscriptions of our own webhooks.

use std::sync::Arc;

use crate::clock::Clock;

pub mod demand;
pub mod mapping;
pub mod recharge;
pub mod rows;
pub mod settings;
pub mod shopify;
pub mod store;
pub mod upstream;
pub mod webhooks;

pub use recharge::Recharge;
pub use settings::Settings;
pub use shopify::Shopify;

/// The parts of the mirror that handlers and jobs share.
#[derive(Debug)]
pub struct Mirror {
    /// What it copies from, and what it makes of orders.
    pub settings: Settings,
    /// Webhooks that were stored just now.
    pub arrivals: webhooks::Arrivals,
    /// The shop, where there is one.
    pub shopify: Option<Shopify>,
    /// The Recharge account, where there is one.
    pub recharge: Option<Recharge>,
}

impl Mirror {
    /// The mirror's parts; nothing is asked of an upstream yet.
    ///
    /// # Errors
    /// If a setting cannot be used.
    pub fn new(settings: Settings, clock: &Clock) -> anyhow::Result<Arc<Self>> {
        let (parallel, pacing) = (settings.parallel, settings.pacing);
        let shopify = settings.shopify.as_ref().map(|shop| Shopify::new(shop, parallel, pacing, clock.clone()));
        let recharge =
            settings.recharge.as_ref().map(|account| Recharge::new(account, parallel, pacing, clock.clone()));
        let (shopify, recharge) = (shopify.transpose()?, recharge.transpose()?);
        Ok(Arc::new(Self { settings, shopify, recharge, arrivals: webhooks::Arrivals::default() }))
    }
}

/// What the mirror owes at a time. Nothing where there is nothing to copy from.
#[must_use]
pub fn jobs(settings: &Settings) -> Vec<crate::jobs::Job> {
    if !settings.is_on() {
        return Vec::new();
    }
    webhooks::jobs(settings)
}
