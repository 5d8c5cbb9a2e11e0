//! Forgets deliveries that nobody will ask about any more: done ones after two weeks, longer than any upstream tries one
//! again; ones that were given up after a quarter. What is pending stays.

use std::time::Duration;

use chrono::TimeDelta;
use scoped_futures::ScopedFutureExt;

use super::queries;
use crate::app::App;
use crate::jobs::{Job, JobError, Report, Slot};
use crate::mirror::store;

/// How long deliveries are kept that are done or ignored: until then the same one again is known.
const RETENTION: TimeDelta = TimeDelta::days(14);
/// How long deliveries are kept that were given up.
const FAILED_RETENTION: TimeDelta = TimeDelta::days(100);
/// Rows of one statement.
const PAGE: i64 = 1000;

/// The job.
#[must_use]
pub fn job() -> Job {
    let about = "Deletes webhook deliveries: done ones after 14 days, given up ones after 100.";
    Job::every("purge_webhooks", about, Duration::from_hours(24), |app, slot| async move { purge(&app, &slot).await })
}

async fn purge(app: &App, slot: &Slot) -> Result<Report, JobError> {
    let (done_before, failed_before) = (slot.started_at - RETENTION, slot.started_at - FAILED_RETENTION);
    let mut purged = 0;
    loop {
        slot.go_on()?;
        let page = store::write(&app.db, "purge_webhooks", |conn| {
            queries::delete_page(conn, done_before, failed_before, PAGE).scope_boxed()
        });
        let page = page.await?;
        purged += page;
        if page == 0 {
            return Ok(Report::of(serde_json::json!({ "purged": purged })));
        }
    }
}
