//! Jobs and slots as the API shows them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::queries::SlotRow;
use super::registry::Subject;
use super::schedule::{Next, Schedule};
use super::state::Status;

/// Most slots that are counted as due.
const MOST_DUE: u32 = 1000;

/// A job, or the share of it that is one pool's.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Job)]
pub struct JobView {
    /// Its name.
    #[schema(example = "purge_answers")]
    name: String,
    /// The pool; null for a job of the whole service.
    pool: Option<String>,
    /// What it does.
    description: String,
    /// When it is due.
    schedule: ScheduleView,
    /// Where its schedule stands.
    state: JobState,
    /// The slot that is open, or holds up the rest, or comes next.
    next_slot: String,
    /// When that slot is, or was, due.
    next_due_at: DateTime<Utc>,
    /// Number of slots that are due and not done, up to 1000.
    due_count: u32,
    /// Its newest slots, newest first; at most ten.
    runs: Vec<RunView>,
}

/// When a job is due.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[schema(as = JobSchedule)]
pub enum ScheduleView {
    /// On every multiple of a period.
    Every {
        /// The period.
        period_seconds: u64,
    },
    /// Once for each local day of each pool.
    Daily {
        /// The pool's IANA zone.
        time_zone: String,
        /// How long after the midnight that ends the day.
        after_midnight_seconds: u64,
    },
}

/// Where the schedule of a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Nothing is due.
    Idle,
    /// A slot waits for a worker, or for its next attempt.
    Due,
    /// A slot is being worked on.
    Running,
    /// A slot has failed for good and holds up those after it.
    Blocked,
}

/// One slot and its newest attempt.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JobRun)]
pub struct RunView {
    /// Name of the job.
    job: String,
    /// The pool; null for a job of the whole service.
    pool: Option<String>,
    /// A date of the pool, or an instant.
    #[schema(example = "2026-11-24")]
    slot: String,
    /// Where it stands.
    status: Status,
    /// First instant of what it covers.
    window_starts_at: DateTime<Utc>,
    /// First instant after what it covers.
    window_ends_at: DateTime<Utc>,
    /// When it was due.
    due_at: DateTime<Utc>,
    /// Times it was started.
    attempts: i32,
    /// Attempts that failed since it was due or asked for by hand.
    failures: i32,
    /// When it is attempted next.
    next_attempt_at: Option<DateTime<Utc>>,
    /// The instance that works, or worked last, on it.
    instance: Option<String>,
    /// When its newest attempt began.
    started_at: Option<DateTime<Utc>>,
    /// When that ended.
    finished_at: Option<DateTime<Utc>>,
    /// How long that took, in milliseconds.
    duration_ms: Option<i64>,
    /// What went wrong last; kept when a later attempt succeeds.
    error: Option<String>,
    /// What the job has to tell.
    #[schema(value_type = Option<Object>)]
    report: Option<serde_json::Value>,
}

fn pool_of(code: &str) -> Option<String> {
    (!code.is_empty()).then(|| code.to_owned())
}

impl RunView {
    /// The status, which decides the answer to who asked for it.
    pub(super) fn status(&self) -> Status {
        self.status
    }
}

impl From<SlotRow> for RunView {
    fn from(row: SlotRow) -> Self {
        let took = row.finished_at.zip(row.started_at).map(|(end, start)| (end - start).num_milliseconds().max(0));
        Self {
            job: row.job,
            pool: pool_of(&row.pool_code),
            slot: row.slot,
            status: row.status,
            window_starts_at: row.window_starts_at,
            window_ends_at: row.window_ends_at,
            due_at: row.due_at,
            attempts: row.attempts,
            failures: row.failures,
            next_attempt_at: row.next_attempt_at,
            instance: row.instance,
            started_at: row.started_at,
            finished_at: row.finished_at,
            duration_ms: took,
            error: row.last_error,
            report: row.report,
        }
    }
}

impl JobView {
    /// A subject, what comes next for it, and its newest slots.
    pub(super) fn new(subject: &Subject, next: &Next, runs: Vec<SlotRow>, now: DateTime<Utc>) -> Self {
        let job = &subject.registered.job;
        let running = runs.iter().any(|row| row.status == Status::Running);
        let state = match next {
            _ if running => JobState::Running,
            Next::Later(_) => JobState::Idle,
            Next::Open(_) | Next::Due(_) => JobState::Due,
            Next::Blocked(_) => JobState::Blocked,
        };
        Self {
            name: job.name.to_owned(),
            pool: pool_of(&subject.pool_code),
            description: job.description.to_owned(),
            schedule: match job.schedule {
                Schedule::Every(period) => ScheduleView::Every { period_seconds: period.as_secs() },
                Schedule::DailyPerPool { after_midnight } => daily(subject, after_midnight),
            },
            state,
            next_slot: next.planned().key.clone(),
            next_due_at: next.planned().due_at,
            due_count: job.schedule.count_due(&subject.zones, subject.since, next, now, MOST_DUE),
            runs: runs.into_iter().map(RunView::from).collect(),
        }
    }
}

fn daily(subject: &Subject, after_midnight: Duration) -> ScheduleView {
    ScheduleView::Daily {
        time_zone: subject.zones.current().name().to_owned(),
        after_midnight_seconds: after_midnight.as_secs(),
    }
}
