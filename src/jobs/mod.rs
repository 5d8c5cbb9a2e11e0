//! The clock of jobs: work that is owed once per business event, by whichever instance comes first.
//!
//! A [`Job`] has a schedule. What the schedule owes is a [slot](Slot): the day 2026-11-24 of pool `eu`, the ten minutes
//! that ended at 10:00. Slots are rows, unique by (job, pool, slot), so two instances run each once, and an instance
//! that was down for a week finds out what is missing:
//!
//! ```text
//! plan (a row per due slot) ─► pending ─► running ─► succeeded
//!                                 ▲          │
//!                 retry, rescue   └──────────┤
//!                 by hand, again: failed ◄───┘  after the last attempt
//! ```
//!
//! - [`schedule`] says what is due next, [`state`] what follows from an attempt; both are pure.
//! - [`pass`] is one look at the clock: plans, rescues slots whose worker died, claims what is due.
//! - [`worker`] runs one claimed slot under its lease. The number of the attempt is the fence: who was given up for
//!   dead cannot finish the slot any more.
//! - A job has at most one open slot per pool, so days close in order. A daily slot that failed for good blocks the
//!   days after it, of its pool alone, until someone has looked and [asked for it again](by_hand); an interval job
//!   goes on with its next tick, and skips the ticks that it missed.
//!
//! The lease only keeps two from doing the same work at once. It cannot make the work happen once: a worker that was
//! stopped for longer than its lease may go on for a moment. So what a job does must be idempotent by its own
//! constraints.
//!
//! Housekeeping that every instance may do at any time (sweeping, catching up with the catalogue, noting last use) owes
//! nothing to anybody and stays a plain task of [`intervals`].

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::catalog::Pool;
use crate::catalog::days::read_date;

pub mod by_hand;
pub mod intervals;
pub mod pass;
pub mod purge_answers;
pub mod purge_slots;
mod queries;
pub mod registry;
pub mod routes;
pub mod schedule;
pub mod state;
pub mod view;
pub mod worker;

pub use crate::catalog::days::Window;
pub use intervals::{Intervals, start};
pub use registry::Registry;
pub use schedule::Schedule;
pub use state::Retry;

/// What an attempt does. It may be called again for the same slot, and must then do the rest and nothing twice.
pub type Run = Arc<dyn Fn(Arc<App>, Slot) -> BoxFuture<'static, Result<Report, JobError>> + Send + Sync>;

/// A job: what to do, and when.
#[derive(Clone)]
pub struct Job {
    /// Names it for ever, in the database and in the API: a-z, 0-9 and _.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub description: &'static str,
    /// When it is due.
    pub schedule: Schedule,
    /// How often a slot is tried.
    pub retry: Retry,
    /// How long a worker that says nothing is taken for alive. It says something every third of that.
    pub lease: Duration,
    /// How long one attempt may take before its lease is no longer renewed.
    pub longest: Duration,
    /// Most slots (of different pools) that one instance works on at once.
    pub parallel: usize,
    /// What an attempt does.
    pub run: Run,
}

impl Job {
    /// A job of the whole service, due every `period` (whole seconds), on multiples of it.
    pub fn every<F, R>(name: &'static str, description: &'static str, period: Duration, run: F) -> Self
    where
        F: Fn(Arc<App>, Slot) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Report, JobError>> + Send + 'static,
    {
        Self::new(name, description, Schedule::Every(period), run)
    }

    /// A job that closes each pool's local day, `after_midnight` later.
    pub fn daily_per_pool<F, R>(name: &'static str, description: &'static str, after_midnight: Duration, run: F) -> Self
    where
        F: Fn(Arc<App>, Slot) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Report, JobError>> + Send + 'static,
    {
        Self::new(name, description, Schedule::DailyPerPool { after_midnight }, run)
    }

    fn new<F, R>(name: &'static str, description: &'static str, schedule: Schedule, run: F) -> Self
    where
        F: Fn(Arc<App>, Slot) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Report, JobError>> + Send + 'static,
    {
        Self {
            name,
            description,
            schedule,
            retry: Retry::default(),
            lease: Duration::from_mins(1),
            longest: Duration::from_hours(1),
            parallel: 1,
            run: Arc::new(move |app, slot| run(app, slot).boxed()),
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("name", &self.name).field("schedule", &self.schedule).finish_non_exhaustive()
    }
}

/// One claimed slot, as its job sees it.
#[derive(Debug, Clone)]
pub struct Slot {
    /// The pool whose day it is; `None` for a job of the whole service.
    pub pool: Option<Arc<Pool>>,
    /// What the API calls it: a date or an instant.
    pub key: String,
    /// What it covers.
    pub window: Window,
    /// Which attempt this is, from 1.
    pub attempt: i32,
    /// When the attempt began, by the database's clock.
    pub started_at: DateTime<Utc>,
    /// Cancelled when the instance stops or the lease is lost. Look at it between chunks of work and leave with
    /// [`JobError::Stopped`]; the future is never dropped, since it may hold a transaction.
    pub stop: CancellationToken,
}

/// The local day that a slot of a daily job closes.
#[derive(Debug, Clone)]
pub struct Day {
    /// The pool.
    pub pool: Arc<Pool>,
    /// The date in its zone.
    pub date: NaiveDate,
    /// Local midnight to local midnight; 23 and 25 hour days are real.
    pub window: Window,
}

impl Slot {
    /// The day that this slot closes.
    ///
    /// # Errors
    /// If its job is not a daily one.
    pub fn day(&self) -> Result<Day, JobError> {
        match (&self.pool, read_date(&self.key)) {
            (Some(pool), Some(date)) => Ok(Day { pool: Arc::clone(pool), date, window: self.window }),
            _ => Err(JobError::Refused(format!("slot {} is not the day of a pool", self.key))),
        }
    }

    /// Whether there is no more time for this attempt.
    ///
    /// # Errors
    /// [`JobError::Stopped`], to be handed on with `?` between chunks of work.
    pub fn go_on(&self) -> Result<(), JobError> {
        if self.stop.is_cancelled() { Err(JobError::Stopped) } else { Ok(()) }
    }
}

/// What an attempt has to tell: numbers for the operator, shown by `GET /jobs`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report(pub Option<serde_json::Value>);

impl Report {
    /// Tells this.
    pub fn of(what: impl Serialize) -> Self {
        Self(serde_json::to_value(what).ok())
    }
}

/// Why an attempt did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The database refused or could not be reached; tried again.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// Something failed that may work later; tried again. The text is shown by `GET /jobs`.
    #[error("{0}")]
    Failed(String),
    /// Trying again cannot help; the slot fails at once. The text is shown by `GET /jobs`.
    #[error("{0}")]
    Refused(String),
    /// The attempt was asked to stop and left off; the slot is free again and nothing is held against it.
    #[error("asked to stop")]
    Stopped,
}

impl crate::db::tx::Contended for JobError {
    fn is_contention(&self) -> bool {
        matches!(self, Self::Database(error) if crate::db::tx::is_contention(error))
    }
}

impl JobError {
    /// What `GET /jobs` may show: never SQL, never data.
    #[must_use]
    pub fn public(&self) -> String {
        match self {
            Self::Database(error) => match error.as_database_error() {
                Some(refused) => {
                    let code = refused.code().unwrap_or_default().into_owned();
                    let by = refused.constraint().map(|name| format!(", by {name}")).unwrap_or_default();
                    format!("the database refused ({code}{by})")
                }
                None => "the database did not answer".to_owned(),
            },
            other => other.to_string(),
        }
    }
}
