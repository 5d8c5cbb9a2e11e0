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
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::clock::Clock;
use crate::jobs::Job;
use crate::lifecycle::spawn_tracked;

pub mod campaigns;
pub mod demand;
pub mod lag;
pub mod mapping;
pub mod recharge;
pub mod refetch;
pub mod routes;
pub mod rows;
pub mod settings;
pub mod shopify;
pub mod store;
pub mod streams;
pub mod unmatched;
pub mod upcoming;
pub mod upstream;
pub mod view;
pub mod webhooks;

pub use recharge::Recharge;
pub use settings::Settings;
pub use shopify::Shopify;

/// The parts of the mirror that handlers and jobs share.
#[derive(Debug)]
pub struct Mirror {
    /// What it copies from, and what it makes of orders.
    pub settings: Settings,
    /// Says that an order may have become pending.
    pub pending: Notify,
    /// The shop, where there is one.
    pub shopify: Option<Shopify>,
    /// The Recharge account, where there is one.
    pub recharge: Option<Recharge>,
    /// Webhooks that were stored just now.
    pub arrivals: webhooks::Arrivals,
    /// Up to when orders are copied.
    pub watermark: lag::Watermark,
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
        Ok(Arc::new(Self {
            shopify: shopify.transpose()?,
            recharge: recharge.transpose()?,
            settings,
            pending: Notify::new(),
            arrivals: webhooks::Arrivals::default(),
            watermark: lag::Watermark::default(),
        }))
    }
}

/// How often pending orders are looked for where nothing says that there are some: those of other instances, and those
/// that failed before.
const LOOK: Duration = Duration::from_secs(1);

/// Starts applying orders as they become pending; stops when `stop` is cancelled.
pub fn start(app: &Arc<App>, tracker: &TaskTracker, stop: &CancellationToken) {
    if app.mirror.settings.is_on() {
        demand::warn_of_short_holds(app);
        spawn_tracked(tracker, apply_orders(Arc::clone(app), stop.clone()));
    }
}

async fn apply_orders(app: Arc<App>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
            () = app.mirror.pending.notified() => {}
        }
        if let Err(error) = demand::apply::drain(&app, &stop).await {
            tracing::warn!(%error, "applying orders failed");
        }
    }
}

/// What the mirror owes at a time. Nothing where there is nothing to copy from.
#[must_use]
pub fn jobs(settings: &Settings) -> Vec<Job> {
    if !settings.is_on() {
        return Vec::new();
    }
    let mut jobs = streams::jobs(settings);
    jobs.push(mapping::autofill::job());
    jobs.extend(webhooks::jobs(settings));
    jobs
}
