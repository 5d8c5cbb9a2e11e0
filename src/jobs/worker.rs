//! Runs one claimed slot: the job's work beside the renewal of its lease, then the result, fenced by the attempt.
//!
//! No transaction is open while the job works. The job is never dropped half-way; it is told to stop, and what it still
//! does then it does without a lease, which its own constraints must bear.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use scoped_futures::ScopedFutureExt;
use sqlx::PgConnection;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tracing::Instrument;

use super::queries::{self, SlotId, SlotRow};
use super::registry::Registered;
use super::state::{Outcome, Settled, Status, settle};
use super::{Job, JobError, Slot};
use crate::app::App;
use crate::catalog::Pool;
use crate::db::tx;
use crate::lifecycle::spawn_tracked;

/// Tries to write a result down. After them the lease runs out and the slot is attempted again, idempotently.
const TRIES: u32 = 5;

/// Starts the worker of a claimed slot.
pub(super) fn start(
    app: &Arc<App>,
    registered: &Arc<Registered>,
    row: SlotRow,
    permit: OwnedSemaphorePermit,
) -> JoinHandle<()> {
    let (app, registered) = (Arc::clone(app), Arc::clone(registered));
    let span = tracing::info_span!("job", job = row.job, pool = row.pool_code, slot = row.slot, attempt = row.attempts);
    let workers = app.jobs.workers.clone();
    let worker = async move {
        let started = Instant::now();
        let outcome = attempt(&app, &registered.job, &row).await;
        finish(&app, &registered.job, &row, outcome, started.elapsed()).await;
        drop(permit);
        // The next slot of its order may be due.
        app.jobs.look.notify_one();
    };
    spawn_tracked(&workers, worker.instrument(span))
}

/// The job's work, with its lease kept alive.
async fn attempt(app: &Arc<App>, job: &Job, row: &SlotRow) -> Outcome {
    let pool = match find_pool(app, row).await {
        Ok(pool) => pool,
        Err(error) => return Outcome::Failed(error),
    };
    let stop = app.jobs.stop.child_token();
    let slot = Slot {
        pool,
        key: row.slot.clone(),
        window: row.window(),
        attempt: row.attempts,
        started_at: row.started_at.unwrap_or_default(),
        stop: stop.clone(),
    };
    // A task of its own: a panic ends the attempt, not the worker.
    let mut work = spawn_tracked(&app.jobs.workers, (job.run)(Arc::clone(app), slot).in_current_span());
    let ended = tokio::select! {
        ended = &mut work => ended,
        () = keep_lease(app, job, row) => {
            stop.cancel();
            work.await
        }
    };
    match ended {
        Ok(Ok(report)) => Outcome::Succeeded(report),
        Ok(Err(error)) => Outcome::Failed(error),
        Err(_) => Outcome::Panicked,
    }
}

async fn find_pool(app: &App, row: &SlotRow) -> Result<Option<Arc<Pool>>, JobError> {
    if row.pool_code.is_empty() {
        return Ok(None);
    }
    if let Some(pool) = app.catalogue.current().pool_by_code(&row.pool_code) {
        return Ok(Some(Arc::clone(pool)));
    }
    match app.refresh_catalogue().await?.pool_by_code(&row.pool_code) {
        Some(pool) => Ok(Some(Arc::clone(pool))),
        None => Err(JobError::Refused(format!("there is no pool {}", row.pool_code))),
    }
}

/// Renews the lease; returns when it is lost, or when the attempt has taken too long to be trusted with it.
async fn keep_lease(app: &App, job: &Job, row: &SlotRow) {
    let deadline = Instant::now() + job.longest;
    let period = (job.lease / 3).max(Duration::from_millis(10));
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if Instant::now() >= deadline {
            tracing::warn!("an attempt takes too long; its lease is no longer renewed");
            return;
        }
        match renew(app, job, &row.id(), row.attempts).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!("an attempt has lost its lease");
                return;
            }
            Err(error) => tracing::warn!(%error, "a lease was not renewed; trying again"),
        }
    }
}

/// Makes the lease of an attempt last from now on.
async fn renew(app: &App, job: &Job, id: &SlotId, attempt: i32) -> sqlx::Result<bool> {
    let lease = TimeDelta::from_std(job.lease).unwrap_or_default();
    tx::write(&app.db, "renew_job", |conn| renew_within(conn, app, id, attempt, lease).scope_boxed()).await
}

async fn renew_within(
    conn: &mut PgConnection,
    app: &App,
    id: &SlotId,
    attempt: i32,
    lease: TimeDelta,
) -> sqlx::Result<bool> {
    let now = app.clock.read(conn).await?;
    queries::renew_lease(conn, id, attempt, now + lease).await
}

/// Writes down how an attempt ended, unless its lease is another's by now.
async fn finish(app: &App, job: &Job, row: &SlotRow, outcome: Outcome, took: Duration) {
    if let Outcome::Failed(error) = &outcome {
        tracing::warn!(%error, "an attempt at a job failed");
    }
    let mut tried = 1;
    let ended = loop {
        let written =
            tx::write(&app.db, "end_job", |conn| end_within(conn, app, job, row, &outcome).scope_boxed()).await;
        match written {
            Err(error) if tried < TRIES => {
                tracing::warn!(%error, "the result of a job was not written down; trying again");
                tokio::time::sleep(Duration::from_millis(200) * tried).await;
                tried += 1;
            }
            done => break done,
        }
    };
    let result = match ended {
        Ok(Some(settled)) => {
            tell(&settled, took);
            settled.result
        }
        Ok(None) => {
            tracing::warn!("an attempt came too late: its slot is another's");
            "lost"
        }
        Err(error) => {
            tracing::error!(%error, "the result of a job is not written down; its lease will run out");
            "lost"
        }
    };
    metrics::counter!("holdfast_job_attempts_total", "job" => job.name, "result" => result).increment(1);
    metrics::histogram!("holdfast_job_run_seconds", "job" => job.name).record(took.as_secs_f64());
}

fn tell(settled: &Settled, took: Duration) {
    let took_ms = took.as_millis();
    let error = settled.error.as_deref().unwrap_or_default();
    if settled.status == Status::Failed {
        tracing::error!(error, took_ms, "a job failed for good; ask for its slot again by hand");
    } else {
        tracing::info!(result = settled.result, error, took_ms, "an attempt at a job ended");
    }
}

async fn end_within(
    conn: &mut PgConnection,
    app: &App,
    job: &Job,
    row: &SlotRow,
    outcome: &Outcome,
) -> sqlx::Result<Option<Settled>> {
    let now = app.clock.read(conn).await?;
    let random = crate::ids::new_uuid().as_bytes()[9];
    let settled = settle(outcome, row.failures, job.retry, now, random);
    let ended = queries::end_attempt(conn, &row.id(), row.attempts, now, &settled).await?;
    Ok(ended.then_some(settled))
}
