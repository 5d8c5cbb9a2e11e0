//! One lane: takes everything that waits, runs it as one transaction per pool, answers everyone.
//!
//! What can go wrong and what follows: contention → the same batch again, at most three times, then 503; connection
//! lost → a new one and the same batch again (its keys tell what was committed) while its callers have patience;
//! anything else, a panic included → the commands one by one, so that one poisoned command does not sink its mates.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Job, LaneError, Shared, backoff};
use crate::ids::PoolId;
use crate::ledger::batch::{self, BatchError, Committed, Setting};
use crate::ledger::submission::Submission;

const TRIES_UNDER_CONTENTION: u32 = 3;
/// Up to here a batch takes all that wait.
const NOT_HALVED: usize = 32;
const BACKOFF_BASE: Duration = Duration::from_millis(10);
const BACKOFF_CAP: Duration = Duration::from_millis(500);

pub(super) async fn run(lane: usize, mut jobs: mpsc::Receiver<Job>, shared: Arc<Shared>) {
    let mut worker = Worker { lane, shared, conn: None };
    worker.connect().await;
    let mut batch = Vec::new();
    let mut last = 0;
    loop {
        let most = batch_bound(worker.shared.settings.batch_max, last, jobs.len());
        match tokio::time::timeout(Duration::from_millis(200), jobs.recv_many(&mut batch, most)).await {
            Ok(0) => break,
            Ok(taken) => {
                last = taken;
                worker.process(std::mem::take(&mut batch)).await;
            }
            Err(_) if worker.shared.stopping.load(Ordering::Acquire) => break,
            Err(_) => worker.connect().await,
        }
    }
    worker.disconnect().await;
}

/// How many commands the next batch takes: half of those that are about, namely the ones that wait and as many as were
/// just answered, whose callers are likely to be back. Were it all that wait, then everyone would be answered at once,
/// and the database would idle while everyone asks again; so one half is decided while the other is on its way. Small
/// batches are not halved: what a transaction costs by itself would outweigh that.
fn batch_bound(most: usize, last: usize, waiting: usize) -> usize {
    last.saturating_add(waiting).div_ceil(2).max(NOT_HALVED).min(most).max(1)
}

struct Worker {
    lane: usize,
    shared: Arc<Shared>,
    conn: Option<PgConnection>,
}

impl Worker {
    async fn process(&mut self, jobs: Vec<Job>) {
        let now = Instant::now();
        metrics::histogram!("holdfast_lane_batch_size")
            .record(f64::from(u32::try_from(jobs.len()).unwrap_or(u32::MAX)));
        let waits = metrics::histogram!("holdfast_lane_wait_seconds");
        let mut by_pool: Vec<(PoolId, Vec<Job>)> = Vec::new();
        for job in jobs {
            // Its caller has been told to ask again; nothing has been done for it yet, so nothing need be.
            if now.duration_since(job.enqueued_at) >= self.shared.settings.patience {
                drop(job.answer.send(Err(LaneError::TimedOut)));
                continue;
            }
            waits.record(now.duration_since(job.enqueued_at).as_secs_f64());
            let pool = job.submission.pool;
            match by_pool.iter_mut().find(|(of, _)| *of == pool) {
                Some((_, jobs)) => jobs.push(job),
                None => by_pool.push((pool, vec![job])),
            }
        }
        for (pool, jobs) in by_pool {
            self.run_pool(pool, jobs).await;
        }
    }

    /// A transaction touches one pool.
    async fn run_pool(&mut self, pool: PoolId, jobs: Vec<Job>) {
        let (submissions, callers): (Vec<_>, Vec<_>) =
            jobs.into_iter().map(|job| (job.submission, (job.answer, job.enqueued_at))).unzip();
        let deadline = callers.iter().map(|(_, enqueued_at)| *enqueued_at).max().unwrap_or_else(Instant::now)
            + self.shared.settings.patience;
        match self.try_batch(pool, &submissions, deadline).await {
            Ok(committed) => {
                for ((caller, _), answer) in callers.into_iter().zip(committed.answers) {
                    // A caller that hung up finds its answer under its key.
                    drop(caller.send(Ok(answer)));
                }
            }
            Err(LaneError::Internal) if submissions.len() > 1 => {
                for (submission, (caller, _)) in submissions.into_iter().zip(callers) {
                    let alone = self.try_batch(pool, std::slice::from_ref(&submission), deadline).await;
                    let answer = alone.and_then(|mut done| done.answers.pop().ok_or(LaneError::Internal));
                    drop(caller.send(answer));
                }
            }
            Err(error) => {
                for (caller, _) in callers {
                    drop(caller.send(Err(error)));
                }
            }
        }
    }

    /// Runs a batch until it is committed, hopeless, or out of time.
    async fn try_batch(
        &mut self,
        pool: PoolId,
        submissions: &[Submission],
        deadline: Instant,
    ) -> Result<Committed, LaneError> {
        let mut contended = 0;
        let mut disconnected = 0;
        loop {
            let error = match self.run_once(pool, submissions).await {
                Ok(committed) => {
                    self.observe(pool, submissions, &committed);
                    return Ok(committed);
                }
                Err(error) => error,
            };
            match error {
                BatchError::CatalogueBehind => self.refresh_catalogue().await,
                BatchError::Contention(_) | BatchError::Raced(_) | BatchError::KeyInFlight(_) => {
                    contended += 1;
                    metrics::counter!("holdfast_lane_retries_total", "why" => "contention").increment(1);
                    if contended > TRIES_UNDER_CONTENTION {
                        tracing::warn!(lane = self.lane, %error, "contention did not clear");
                        return Err(match error {
                            BatchError::KeyInFlight(_) => LaneError::KeyInFlight,
                            _ if submissions.len() > 1 => LaneError::Internal,
                            _ => LaneError::Unavailable,
                        });
                    }
                    self.pause(contended).await;
                }
                BatchError::Connection(error) => {
                    disconnected += 1;
                    metrics::counter!("holdfast_lane_retries_total", "why" => "connection").increment(1);
                    tracing::warn!(lane = self.lane, %error, "connection lost");
                    self.drop_connection();
                    if Instant::now() >= deadline || self.shared.stopping.load(Ordering::Acquire) && disconnected > 3 {
                        return Err(LaneError::Unavailable);
                    }
                    self.pause(disconnected).await;
                }
                BatchError::Unexpected(error) => {
                    tracing::error!(lane = self.lane, batch = submissions.len(), %error, "batch failed");
                    self.drop_connection();
                    return Err(LaneError::Internal);
                }
            }
        }
    }

    async fn run_once(&mut self, pool: PoolId, submissions: &[Submission]) -> Result<Committed, BatchError> {
        if self.conn.is_none() {
            self.connect().await;
        }
        let catalogue = self.shared.catalogue.current();
        let setting = Setting { catalogue: &catalogue, clock: &self.shared.clock, render: &self.shared.render };
        let Some(conn) = self.conn.as_mut() else {
            return Err(BatchError::Connection(sqlx::Error::PoolTimedOut));
        };
        let running = AssertUnwindSafe(batch::run(conn, &setting, pool, submissions)).catch_unwind();
        running.await.unwrap_or_else(|_| {
            tracing::error!(lane = self.lane, batch = submissions.len(), "a decision panicked");
            Err(BatchError::Unexpected(sqlx::Error::WorkerCrashed))
        })
    }

    fn observe(&self, pool: PoolId, submissions: &[Submission], committed: &Committed) {
        self.shared.observer.balances(pool, &committed.balances, committed.now);
        for (index, outcome) in &committed.outcomes {
            self.shared.observer.decided(&submissions[*index], outcome, committed.now);
        }
    }

    async fn refresh_catalogue(&mut self) {
        if self.conn.is_none() {
            self.connect().await;
        }
        if let Some(conn) = self.conn.as_mut()
            && let Err(error) = self.shared.catalogue.refresh(conn).await
        {
            tracing::warn!(lane = self.lane, %error, "catalogue refresh failed");
            self.drop_connection();
        }
    }

    async fn pause(&self, attempt: u32) {
        let random = crate::ids::new_uuid().as_bytes()[9];
        tokio::time::sleep(backoff(attempt, BACKOFF_BASE, BACKOFF_CAP, random)).await;
    }

    /// Opens the connection if there is none. A lane owns its connection: nothing can cancel it in mid-transaction.
    async fn connect(&mut self) {
        if self.conn.is_some() {
            return;
        }
        match tokio::time::timeout(Duration::from_secs(3), self.shared.connect.connect()).await {
            Ok(Ok(conn)) => {
                self.conn = Some(conn);
                self.shared.ready.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Err(error)) => tracing::debug!(lane = self.lane, %error, "cannot connect"),
            Err(_) => tracing::debug!(lane = self.lane, "connecting took too long"),
        }
    }

    fn drop_connection(&mut self) {
        if self.conn.take().is_some() {
            self.shared.ready.fetch_sub(1, Ordering::Relaxed);
        }
    }

    async fn disconnect(&mut self) {
        if let Some(conn) = self.conn.take() {
            self.shared.ready.fetch_sub(1, Ordering::Relaxed);
            drop(conn.close().await);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_takes_half_of_what_is_about_within_its_bounds() {
        assert_eq!(batch_bound(256, 0, 10), 32);
        assert_eq!(batch_bound(256, 0, 400), 200);
        assert_eq!(batch_bound(256, 200, 57), 129);
        assert_eq!(batch_bound(256, 256, 2048), 256);
        assert_eq!(batch_bound(8, 0, 100), 8);
        assert_eq!(batch_bound(0, 0, 1), 1);
    }

    #[test]
    fn callers_that_return_come_to_halve_themselves() {
        // Everyone waits at first; while a batch runs, the callers of the one before come back.
        let (mut last, mut waiting) = (0, 256);
        for _ in 0..8 {
            let taken = batch_bound(256, last, waiting).min(waiting);
            waiting = waiting - taken + last;
            last = taken;
        }
        assert_eq!((last, waiting), (128, 128));
    }
}
