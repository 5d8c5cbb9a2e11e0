//! The daily job: closes each pool's local day, in order, soon after its midnight.

use std::time::Duration;

use super::{CloseError, Closing, Outcome, close_day};
use crate::jobs::{Job, JobError, Report};
use crate::ledger::world::HOUSE;

/// Late enough for the last parcels of the day to be told of, early enough for the morning's reports. What comes later
/// is carried by the next day.
const AFTER_MIDNIGHT: Duration = Duration::from_mins(10);

/// The job.
#[must_use]
pub fn job() -> Job {
    let about = "Closes the local day of a pool: depletes lots for what shipped, photographs every balance.";
    Job::daily_per_pool("snapshot", about, AFTER_MIDNIGHT, |app, slot| async move {
        let day = slot.day()?;
        let closing = Closing { pool: day.pool.id, date: day.date, early: false, client: HOUSE };
        let go_on = || slot.go_on().is_ok();
        let closed = close_day(&app, closing, &go_on).await.map_err(JobError::from)?;
        Ok(Report::of(serde_json::json!({ "already_closed": closed == Outcome::AlreadyClosed })))
    })
}

impl From<CloseError> for JobError {
    fn from(error: CloseError) -> Self {
        match error {
            CloseError::Stopped => Self::Stopped,
            CloseError::Database(error) if super::is_unique_violation(&error) => {
                Self::Refused(format!("{} ({error})", super::DEPLETED_BEFORE))
            }
            CloseError::Database(error) => Self::Database(error),
            refused @ (CloseError::BeforeFirstDay { .. } | CloseError::Inconsistent(_)) => {
                Self::Refused(refused.to_string())
            }
            other => Self::Failed(other.to_string()),
        }
    }
}
