//! Interval tasks of one instance: sweeping, catching up with the catalogue, purging old answers, noting last use.
//!
//! Each pass is bounded, idempotent and safe to run on every instance at once; what fails is logged and tried again at
//! the next tick. Nothing here is needed for a number to be right.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::lifecycle::spawn_tracked;
use crate::reservations::sweeper;

pub mod purge;

/// How often each task runs.
#[derive(Debug, Clone, Copy)]
pub struct Intervals {
    /// Closing expired holds; `None`: never on this instance.
    pub sweep: Option<Duration>,
    /// Looking for catalogue changes made elsewhere.
    pub catalogue: Duration,
    /// Purging old answers.
    pub purge: Duration,
    /// Noting when keys were last used.
    pub last_use: Duration,
}

impl Default for Intervals {
    fn default() -> Self {
        Self {
            sweep: Some(Duration::from_secs(1)),
            catalogue: Duration::from_secs(1),
            purge: Duration::from_mins(10),
            last_use: Duration::from_mins(1),
        }
    }
}

/// Starts every task; they stop when `stop` is cancelled.
pub fn start(app: &Arc<App>, intervals: Intervals, tracker: &TaskTracker, stop: &CancellationToken) {
    if let Some(period) = intervals.sweep {
        every("sweep", period, app, tracker, stop, |app| async move { sweeper::sweep(&app).await.map(drop) });
    }
    every("catalogue", intervals.catalogue, app, tracker, stop, |app| async move {
        app.refresh_catalogue().await.map(drop)
    });
    every("purge", intervals.purge, app, tracker, stop, |app| async move { purge::purge(&app).await.map(drop) });
    every("last_use", intervals.last_use, app, tracker, stop, |app| async move { app.note_last_use().await });
}

fn every<F, R>(
    name: &'static str,
    period: Duration,
    app: &Arc<App>,
    tracker: &TaskTracker,
    stop: &CancellationToken,
    pass: F,
) where
    F: Fn(Arc<App>) -> R + Send + 'static,
    R: Future<Output = sqlx::Result<()>> + Send + 'static,
{
    let (app, stop) = (Arc::clone(app), stop.clone());
    spawn_tracked(tracker, async move {
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            // A pass that has begun is finished: it may hold a transaction.
            if let Err(error) = pass(Arc::clone(&app)).await {
                tracing::warn!(task = name, %error, "a background pass failed");
            }
        }
    });
}
