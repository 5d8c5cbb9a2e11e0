//! Plain interval tasks of one instance: looking at the clock of jobs, and housekeeping that every instance may do at
//! any time.
//!
//! Each pass is bounded, idempotent and safe to run on every instance at once; what fails is logged and tried again at
//! the next tick. Nothing here is needed for a number to be right.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::pass;
use crate::app::App;
use crate::lifecycle::spawn_tracked;
use crate::lots::{expiry, transfer};
use crate::mirror::{lag, unmatched};
use crate::reservations::sweeper;

/// How often each task runs.
#[derive(Debug, Clone, Copy)]
pub struct Intervals {
    /// Looking at the clock of jobs, and for webhooks; `None`: this instance works on neither.
    pub jobs: Option<Duration>,
    /// Closing expired holds; `None`: never on this instance.
    pub sweep: Option<Duration>,
    /// Taking lots past their expiry off sale where nothing is written or read; with the sweeper.
    pub lot_expiry: Duration,
    /// Carrying on transfers that were left standing; with the sweeper.
    pub transfers: Duration,
    /// Looking for catalogue changes made elsewhere.
    pub catalogue: Duration,
    /// Noting when keys were last used.
    pub last_use: Duration,
}

impl Default for Intervals {
    fn default() -> Self {
        Self {
            jobs: Some(Duration::from_secs(1)),
            sweep: Some(Duration::from_secs(1)),
            lot_expiry: Duration::from_mins(5),
            transfers: Duration::from_mins(1),
            catalogue: Duration::from_secs(1),
            last_use: Duration::from_mins(1),
        }
    }
}

/// Starts every task; they stop when `stop` is cancelled.
pub fn start(app: &Arc<App>, intervals: Intervals, tracker: &TaskTracker, stop: &CancellationToken) {
    if let Some(period) = intervals.jobs {
        spawn_tracked(tracker, look_at_the_clock(Arc::clone(app), period, stop.clone()));
        crate::mirror::webhooks::start(app, period, tracker, stop);
    }
    if let Some(period) = intervals.sweep {
        every("sweep", period, app, tracker, stop, |app| async move { sweeper::sweep(&app).await.map(drop) });
    }
    if intervals.sweep.is_some() {
        every("transfers", intervals.transfers, app, tracker, stop, |app| async move { transfer::resume(&app).await });
        every("lot_expiry", intervals.lot_expiry, app, tracker, stop, |app| async move { expiry::sweep(&app).await });
    }
    every("catalogue", intervals.catalogue, app, tracker, stop, |app| async move {
        app.refresh_catalogue().await.map(drop)
    });
    if app.mirror.settings.is_on() {
        every("mirror_lag", lag::LOOKED_AT_EVERY, app, tracker, stop, |app| async move { lag::look(&app).await });
        every(
            "unmatched",
            unmatched::COUNTED_EVERY,
            app,
            tracker,
            stop,
            |app| async move { unmatched::count(&app).await },
        );
    }
    every("last_use", intervals.last_use, app, tracker, stop, |app| async move { app.note_last_use().await });
}

/// Looks at every tick, and at once when a slot was finished or asked for by hand.
async fn look_at_the_clock(app: Arc<App>, period: Duration, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
            () = app.jobs.look.notified() => {}
        }
        if let Err(error) = pass::pass(&app).await {
            tracing::warn!(%error, "looking at the clock of jobs failed");
        }
    }
}

fn every<F, R, E>(
    name: &'static str,
    period: Duration,
    app: &Arc<App>,
    tracker: &TaskTracker,
    stop: &CancellationToken,
    pass: F,
) where
    F: Fn(Arc<App>) -> R + Send + 'static,
    R: Future<Output = Result<(), E>> + Send + 'static,
    E: std::fmt::Display + Send,
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
