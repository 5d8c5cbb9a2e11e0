//! Where a slot stands, and what follows from an attempt. Pure.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::{JobError, Report};
use crate::ledger::lanes::backoff;

/// Where a slot stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[schema(as = JobStatus)]
pub enum Status {
    /// Due; it waits for a worker or for its next attempt.
    Pending,
    /// A worker holds its lease.
    Running,
    /// Done, for ever.
    Succeeded,
    /// Given up after its last attempt, until it is asked for by hand.
    Failed,
}

impl Status {
    /// Whether it is waiting or at work.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Running)
    }

    /// The word in SQL and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// How often a slot is tried, and how long it waits in between: exponential, with full jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Failed attempts after which the slot fails.
    pub most_failures: i32,
    /// Longest wait after the first failure; doubles with each.
    pub base: Duration,
    /// Longest wait of all.
    pub cap: Duration,
}

impl Default for Retry {
    /// Eight attempts within some twenty minutes: longer than a failover, shorter than a night.
    fn default() -> Self {
        Self { most_failures: 8, base: Duration::from_secs(5), cap: Duration::from_mins(10) }
    }
}

/// How an attempt ended.
#[derive(Debug)]
pub enum Outcome {
    /// It did its work.
    Succeeded(Report),
    /// It did not.
    Failed(JobError),
    /// It panicked.
    Panicked,
    /// Its lease ran out: the worker died, or was stopped for too long.
    Vanished {
        /// The worker.
        instance: String,
    },
}

/// What becomes of a slot whose attempt has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    /// Where it stands now.
    pub status: Status,
    /// Failed attempts so far.
    pub failures: i32,
    /// When it is tried again, if it is.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// What went wrong.
    pub error: Option<String>,
    /// What it has to tell.
    pub report: Option<serde_json::Value>,
    /// The word in metrics.
    pub result: &'static str,
}

/// Settles a slot after an attempt, given how many failed before and `random` in `0..=255`.
#[must_use]
pub fn settle(outcome: &Outcome, failures: i32, retry: Retry, now: DateTime<Utc>, random: u8) -> Settled {
    let settled = |status, failures, next_attempt_at, error, result| Settled {
        status,
        failures,
        next_attempt_at,
        error,
        report: None,
        result,
    };
    let (error, is_final, is_immediate, result) = match outcome {
        Outcome::Succeeded(report) => {
            return Settled {
                report: report.0.clone(),
                ..settled(Status::Succeeded, failures, None, None, "succeeded")
            };
        }
        Outcome::Failed(JobError::Stopped) => {
            return settled(Status::Pending, failures, Some(now), None, "stopped");
        }
        Outcome::Failed(error) => (error.public(), matches!(error, JobError::Refused(_)), false, "retried"),
        Outcome::Panicked => ("the job panicked; it has been logged".to_owned(), false, false, "retried"),
        // It has waited for as long as its lease already.
        Outcome::Vanished { instance } => (format!("the lease of {instance} ran out"), false, true, "rescued"),
    };
    let failures = failures.saturating_add(1);
    if is_final || failures >= retry.most_failures {
        return settled(Status::Failed, failures, None, Some(error), "failed");
    }
    let wait = if is_immediate {
        TimeDelta::zero()
    } else {
        let wait = backoff(failures.unsigned_abs(), retry.base, retry.cap, random);
        TimeDelta::from_std(wait).unwrap_or_default()
    };
    settled(Status::Pending, failures, Some(now + wait), Some(error), result)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outcome(kind: u8) -> Outcome {
        match kind {
            0 => Outcome::Failed(JobError::Failed("no luck".to_owned())),
            1 => Outcome::Failed(JobError::Database(sqlx::Error::PoolTimedOut)),
            2 => Outcome::Panicked,
            3 => Outcome::Vanished { instance: "a".to_owned() },
            _ => Outcome::Failed(JobError::Stopped),
        }
    }

    proptest! {
        #[test]
        fn a_slot_that_never_succeeds_fails_after_its_last_attempt_and_never_waits_longer_than_the_cap(
            ends in prop::collection::vec((0_u8..5, any::<u8>()), 60..100), most_failures in 1_i32..12,
        ) {
            let retry = Retry { most_failures, ..Retry::default() };
            let mut now = DateTime::<Utc>::UNIX_EPOCH;
            let (mut failures, mut failed) = (0, false);
            for (kind, random) in ends {
                let stopped = kind == 4;
                let settled = settle(&outcome(kind), failures, retry, now, random);
                prop_assert_eq!(settled.failures, if stopped { failures } else { failures + 1 });
                prop_assert_eq!(settled.status == Status::Failed, settled.failures >= most_failures);
                prop_assert_eq!(settled.status == Status::Pending, settled.next_attempt_at.is_some());
                prop_assert_eq!(settled.error.is_none(), stopped);
                failures = settled.failures;
                if let Some(next) = settled.next_attempt_at {
                    let cap = retry.cap.min(retry.base * (1 << failures.min(10)));
                    prop_assert!(now <= next && next <= now + cap);
                    now = next;
                } else {
                    failed = true;
                    break;
                }
            }
            prop_assert!(failed, "tried for ever");
        }
    }

    #[test]
    fn what_cannot_succeed_is_not_tried_again_and_a_death_is_not_waited_for_twice() {
        let now = DateTime::<Utc>::UNIX_EPOCH;
        let refused = Outcome::Failed(JobError::Refused("no such shop".to_owned()));
        assert_eq!(settle(&refused, 0, Retry::default(), now, 9).status, Status::Failed);
        let vanished = settle(&Outcome::Vanished { instance: "a".to_owned() }, 0, Retry::default(), now, 255);
        assert_eq!((vanished.status, vanished.next_attempt_at), (Status::Pending, Some(now)));
        let done = settle(&Outcome::Succeeded(Report::of([1])), 3, Retry::default(), now, 0);
        assert_eq!((done.status, done.failures, done.report), (Status::Succeeded, 3, Some(serde_json::json!([1]))));
    }
}
