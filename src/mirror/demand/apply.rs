//! Applying orders: takes those whose copy is newer than what was applied, plans them, and carries the plans out.
//!
//! A taken order is leased for a minute, so that two instances do not do the same work; the ledger would decide it once
//! even so. Commands of one order follow each other, orders run side by side and meet in the lanes' combined commits.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::join;
use futures_util::stream::{self, StreamExt};
use tokio_util::sync::CancellationToken;

use super::commands::{self, Failure, Told};
use super::plan::Finding;
use super::progress::{self, Done, Taken};
use super::work::{Work, prepare};
use crate::app::App;
use crate::ledger::lanes::backoff;

/// How long an order stays with whoever took it.
const LEASE: TimeDelta = TimeDelta::seconds(60);
/// Most orders in one pass.
const PASS: i64 = 256;
/// Longest wait before an order that failed is tried again.
const LONGEST_WAIT: Duration = Duration::from_mins(15);

/// What passes came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// Orders that were applied.
    pub applied: usize,
    /// Orders that failed, to be tried again.
    pub failed: usize,
}

/// Applies what is pending, pass by pass, until nothing is due or it is asked to stop.
///
/// # Errors
/// Database errors; what was applied stays applied.
pub async fn drain(app: &Arc<App>, stop: &CancellationToken) -> sqlx::Result<Applied> {
    // While the commands of one pass are decided, the next is read.
    let (one, other) = join(drain_alone(app, stop), drain_alone(app, stop)).await;
    let (one, other) = (one?, other?);
    Ok(Applied { applied: one.applied + other.applied, failed: one.failed + other.failed })
}

async fn drain_alone(app: &Arc<App>, stop: &CancellationToken) -> sqlx::Result<Applied> {
    let mut all = Applied::default();
    while !stop.is_cancelled() {
        let pass = apply_pending(app, PASS).await?;
        all.applied += pass.applied;
        all.failed += pass.failed;
        if pass == Applied::default() {
            break;
        }
    }
    Ok(all)
}

/// One pass: at most `limit` orders.
///
/// # Errors
/// Database errors.
pub async fn apply_pending(app: &Arc<App>, limit: i64) -> sqlx::Result<Applied> {
    let now = app.clock.local_now();
    let taken = progress::take(&app.db, now, now + LEASE, limit).await?;
    if taken.is_empty() {
        return Ok(Applied::default());
    }
    let works = prepare(app, &taken).await?;
    let done: Vec<Done> = stream::iter(works)
        .map(|(taken, work)| async move {
            match work {
                Some(work) => carry_out(app, &taken, work).await,
                None => Done::nothing(&taken),
            }
        })
        .buffer_unordered(usize::try_from(limit).unwrap_or(1))
        .collect()
        .await;
    let failed = done.iter().filter(|done| done.error.is_some()).count();
    let now = app.clock.local_now();
    progress::finish(&app.db, now, &done, |attempts| now + wait(attempts)).await?;
    metrics::counter!("holdfast_demand_applied_total").increment((done.len() - failed) as u64);
    metrics::counter!("holdfast_demand_failed_total").increment(failed as u64);
    Ok(Applied { applied: done.len() - failed, failed })
}

fn wait(attempts: i32) -> TimeDelta {
    let attempt = u32::try_from(attempts).unwrap_or(1).clamp(1, 16);
    let pause = backoff(attempt, Duration::from_secs(1), LONGEST_WAIT, crate::ids::new_uuid().as_bytes()[9]);
    TimeDelta::from_std(pause).unwrap_or(TimeDelta::MAX)
}

async fn carry_out(app: &Arc<App>, taken: &Taken, work: Work) -> Done {
    let mut findings = work.plan.findings.clone();
    let line = |line_ref: &str| work.order.lines.iter().find(|line| line.line_ref == line_ref).cloned();
    let unmatched = work.plan.unmatched.iter().filter_map(|own| Some((line(&own.line_ref)?, own.quantity))).collect();
    let mut told = Told::default();
    let ran = commands::run(app, (taken.source, taken.order_id), taken, &work, &mut told).await;
    findings.extend(told.findings);
    let error = ran.err().map(|Failure(error)| error);
    let (pool, held_until) = (Some(work.order.home), told.held_until);
    Done { taken: taken.clone(), pool, unmatched, findings, held_until, error }
}

impl Done {
    fn nothing(taken: &Taken) -> Self {
        Self {
            taken: taken.clone(),
            pool: None,
            unmatched: Vec::new(),
            findings: Vec::<Finding>::new(),
            held_until: None,
            error: None,
        }
    }
}
