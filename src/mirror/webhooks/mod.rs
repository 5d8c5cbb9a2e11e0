//! Webhooks of Shopify and Recharge: verified, stored, answered, and then treated as hints.
//!
//! ```text
//! POST ─► size ─► configured ─► signature ─► stored under its delivery's id ─► 200
//!                                                   │
//!              done ◄─ fetched as it is now ◄─ pending ─► failed, after the last attempt
//! ```
//!
//! A delivery may come late, twice, out of order or never, and an old payload is sent again as it was. So nothing of it
//! is taken for the state of anything: [`hint`] reads which entity it is about, and [`process`] fetches that entity. A
//! delivery that is lost or given up costs time, nothing else: polls and the nightly comparison find the same ids.
//!
//! - [`verify`] says whether the upstream signed these bytes; [`hint`] what they are about. Both are pure.
//! - [`receive`] is the way in: it answers once the delivery is stored, and never waits for an upstream.
//! - [`process`] works on what is stored, on every instance, each delivery on one at a time.
//! - [`subscriptions`] keeps us subscribed: upstreams drop a subscription after a day or two of failures.
//! - [`purge`] forgets.
//!
//! Deliberately absent: the payload. See [`hint::Hint::about`].

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Settings;
use super::rows::Source;
use crate::app::App;
use crate::jobs::Job;
use crate::lifecycle::spawn_tracked;

pub mod hint;
pub mod process;
pub mod purge;
pub mod queries;
pub mod receive;
pub mod routes;
pub mod subscriptions;
pub mod verify;
pub mod view;

#[cfg(test)]
mod sample_tests;

/// Wakes the workers of this instance when a delivery was stored.
#[derive(Debug, Default)]
pub struct Arrivals {
    shopify: Notify,
    recharge: Notify,
}

impl Arrivals {
    /// Of one source.
    #[must_use]
    pub fn of(&self, source: Source) -> &Notify {
        match source {
            Source::Shopify => &self.shopify,
            Source::Recharge => &self.recharge,
        }
    }
}

/// What webhooks owe at a time.
#[must_use]
pub fn jobs(settings: &Settings) -> Vec<Job> {
    let mut jobs = vec![purge::job()];
    if settings.webhook_base_url.is_some() {
        jobs.push(subscriptions::job());
    }
    jobs
}

/// Sources that deliveries come from.
#[must_use]
pub fn sources(settings: &Settings) -> Vec<Source> {
    let shopify = settings.shopify.as_ref().map(|_| Source::Shopify);
    let recharge = settings.recharge.as_ref().map(|_| Source::Recharge);
    shopify.into_iter().chain(recharge).collect()
}

/// Starts a worker for each source: one that is down keeps nobody waiting for the other. No job with slots: a slot a
/// second would be rows for nothing, and each delivery is a row already.
pub fn start(app: &Arc<App>, period: Duration, tracker: &TaskTracker, stop: &CancellationToken) {
    for source in sources(&app.mirror.settings) {
        spawn_tracked(tracker, work(Arc::clone(app), source, period, tracker.clone(), stop.clone()));
    }
}

/// Looks at every tick, and at once when a delivery was stored.
async fn work(app: Arc<App>, source: Source, period: Duration, tracker: TaskTracker, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
            () = app.mirror.arrivals.of(source).notified() => {}
        }
        while !stop.is_cancelled() {
            // A task of its own: a panic ends the pass, not the worker. Its deliveries come again after their lease.
            let passed = spawn_tracked(&tracker, pass(Arc::clone(&app), source)).await;
            match passed {
                Ok(Ok(passed)) if passed.was_full => {}
                Ok(Ok(_)) | Err(_) => break,
                Ok(Err(error)) => {
                    tracing::warn!(%source, %error, "working on webhooks failed");
                    break;
                }
            }
        }
    }
}

async fn pass(app: Arc<App>, source: Source) -> sqlx::Result<process::Passed> {
    process::pass(&app, source).await
}
