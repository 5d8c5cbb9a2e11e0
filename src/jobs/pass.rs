//! One look at the clock: writes down what is due, frees what a dead worker left, claims what may be attempted.
//!
//! Every instance does this every second. What two of them find at once is written once (the keys of `job_slots`), and
//! what one has locked the other skips.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use scoped_futures::ScopedFutureExt;
use sqlx::PgConnection;
use tokio::task::JoinHandle;

use super::queries::{self, SlotId, SlotRow};
use super::registry::{Registered, Subject};
use super::schedule::{Last, Next};
use super::state::{Outcome, Status, settle};
use super::worker;
use crate::app::App;
use crate::db::tx;

/// Plans, rescues and claims once. Gives the workers that it started; nobody need wait for them.
///
/// # Errors
/// Database errors; what was done stays done, and the next pass does the rest.
pub async fn pass(app: &Arc<App>) -> sqlx::Result<Vec<JoinHandle<()>>> {
    let mut started = Vec::new();
    plan(app).await?;
    let ready = find_ready(app).await?;
    if ready.iter().any(|(_, status)| *status == Status::Running) {
        rescue(app).await?;
    }
    let ready: BTreeSet<&str> = ready.iter().map(|(job, _)| &**job).collect();
    for registered in app.jobs.iter().filter(|one| ready.contains(one.job.name)) {
        while !app.jobs.stop.is_cancelled()
            && let Ok(permit) = Arc::clone(&registered.permits).try_acquire_owned()
        {
            let Some(slot) = claim(app, registered).await? else { break };
            started.push(worker::start(app, registered, slot, permit));
        }
    }
    Ok(started)
}

/// Where each subject's schedule stands now.
pub(super) async fn find_next(
    conn: &mut PgConnection,
    subjects: &[Subject],
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Next>> {
    let (jobs, pool_codes) = places(subjects);
    let newest = queries::list_newest(conn, &jobs, &pool_codes, 1).await?;
    let newest: BTreeMap<(&str, &str), Last> =
        newest.iter().map(|row| ((&*row.job, &*row.pool_code), row.last())).collect();
    let next = |one: &Subject| one.registered.job.schedule.next(&one.zones, one.since, newest.get(&one.place()), now);
    Ok(subjects.iter().map(next).collect())
}

/// Jobs and pool codes, by position.
pub(super) fn places(subjects: &[Subject]) -> (Vec<String>, Vec<String>) {
    subjects.iter().map(|one| (one.registered.job.name.to_owned(), one.pool_code.clone())).unzip()
}

/// Writes down every slot that is due and first in its order.
async fn plan(app: &App) -> sqlx::Result<()> {
    let subjects = app.jobs.subjects(&app.catalogue.current());
    let mut conn = app.db.acquire().await?;
    let now = app.clock.read(&mut conn).await?;
    let nexts = find_next(&mut conn, &subjects, now).await?;
    drop(conn);
    let mut due = Vec::new();
    let mut lags: BTreeMap<&str, TimeDelta> = BTreeMap::new();
    for (subject, next) in subjects.iter().zip(&nexts) {
        let lag = lags.entry(subject.registered.job.name).or_insert_with(TimeDelta::zero);
        *lag = next.lag(now).max(*lag);
        if let Next::Due(planned) = next {
            due.push((id_of(subject, &planned.key), planned.clone()));
        }
    }
    for (job, lag) in lags {
        metrics::gauge!("holdfast_job_lag_seconds", "job" => job.to_owned()).set(lag.as_seconds_f64());
    }
    if !due.is_empty() {
        tx::write(&app.db, "plan_jobs", |conn| queries::insert_due(conn, &due).scope_boxed()).await?;
    }
    Ok(())
}

pub(super) fn id_of(subject: &Subject, key: &str) -> SlotId {
    let (job, pool_code) = subject.place();
    SlotId { job: job.to_owned(), pool_code: pool_code.to_owned(), slot: key.to_owned() }
}

/// Jobs with a slot to attempt (`pending`) or to rescue (`running`). Looked up without a lock: an idle clock costs three
/// short reads.
async fn find_ready(app: &App) -> sqlx::Result<Vec<(String, Status)>> {
    let mut conn = app.db.acquire().await?;
    let now = app.clock.read(&mut conn).await?;
    queries::list_ready(&mut conn, &app.jobs.names(), now).await
}

/// Settles every slot whose worker let its lease run out: free again, or failed after its last attempt.
async fn rescue(app: &App) -> sqlx::Result<()> {
    let rescued = tx::write(&app.db, "rescue_jobs", |conn| rescue_within(conn, app).scope_boxed()).await?;
    for (row, result) in rescued {
        metrics::counter!("holdfast_job_attempts_total", "job" => row.job.clone(), "result" => result).increment(1);
        let instance = row.instance.unwrap_or_default();
        tracing::warn!(
            job = row.job,
            pool = row.pool_code,
            slot = row.slot,
            attempt = row.attempts,
            instance,
            result,
            "the lease of a job's slot ran out"
        );
    }
    Ok(())
}

async fn rescue_within(conn: &mut PgConnection, app: &App) -> sqlx::Result<Vec<(SlotRow, &'static str)>> {
    let now = app.clock.read(conn).await?;
    let mut rescued = Vec::new();
    for row in queries::lock_expired(conn, &app.jobs.names(), now).await? {
        let Some(registered) = app.jobs.find(&row.job) else { continue };
        let vanished = Outcome::Vanished { instance: row.instance.clone().unwrap_or_default() };
        let settled = settle(&vanished, row.failures, registered.job.retry, now, 0);
        queries::end_attempt(conn, &row.id(), row.attempts, now, &settled).await?;
        rescued.push((row, settled.result));
    }
    Ok(rescued)
}

/// Takes the lease of the slot that has been due the longest.
async fn claim(app: &App, registered: &Registered) -> sqlx::Result<Option<SlotRow>> {
    tx::write(&app.db, "claim_job", |conn| claim_within(conn, app, registered).scope_boxed()).await
}

async fn claim_within(conn: &mut PgConnection, app: &App, registered: &Registered) -> sqlx::Result<Option<SlotRow>> {
    let job = &registered.job;
    let now = app.clock.read(conn).await?;
    let Some(mut row) = queries::lock_due(conn, job.name, now).await? else { return Ok(None) };
    // Skipping what is locked never waits, so `now` is still now.
    let expires_at = now + TimeDelta::from_std(job.lease).unwrap_or_default();
    queries::begin_attempt(conn, &row.id(), &app.jobs.instance, now, expires_at).await?;
    row.attempts += 1;
    row.started_at = Some(now);
    Ok(Some(row))
}
