//! Purges finished slots that nobody will ask about any more, and repair plans. The newest slot of a job and pool stays
//! for ever: it says where the schedule goes on. What a plan appended stays in `repairs`.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use scoped_futures::ScopedFutureExt;
use sqlx::PgConnection;

use crate::app::App;
use crate::db::tx;
use crate::jobs::{Job, JobError, Report, Slot};
use crate::repair::plan;

/// How long finished slots and plans are kept: a quarter, so that the last close of books can be looked up.
const RETENTION: TimeDelta = TimeDelta::days(100);
/// Rows of one statement.
const PAGE: i64 = 1000;

/// The job.
#[must_use]
pub fn job() -> Job {
    let about =
        "Deletes finished slots of jobs and repair plans after 100 days; the newest slot of each job and pool stays.";
    Job::every("purge_slots", about, Duration::from_hours(24), |app, slot| async move { purge(&app, &slot).await })
}

async fn purge(app: &App, slot: &Slot) -> Result<Report, JobError> {
    let oldest = slot.started_at - RETENTION;
    let (mut purged, mut plans) = (0, 0);
    loop {
        slot.go_on()?;
        let page = tx::write(&app.db, "purge_slots", |conn| delete_page(conn, oldest).scope_boxed()).await?;
        let old = tx::write(&app.db, "purge_plans", |conn| plan::delete_old(conn, oldest).scope_boxed()).await?;
        (purged, plans) = (purged + page, plans + old);
        if page + old == 0 {
            return Ok(Report::of(serde_json::json!({ "purged": purged, "purged_plans": plans })));
        }
    }
}

async fn delete_page(conn: &mut PgConnection, oldest: DateTime<Utc>) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        r#"
        DELETE FROM job_slots
        WHERE ctid = ANY(ARRAY(
            SELECT s.ctid
            FROM job_slots AS s
            WHERE s.window_ends_at < $1
                AND s.status IN ('succeeded', 'failed')
                AND EXISTS (
                    SELECT FROM job_slots AS newer
                    WHERE newer.job = s.job
                        AND newer.pool_code = s.pool_code
                        AND newer.window_ends_at > s.window_ends_at
                )
            LIMIT $2
        ))
            AND status IN ('succeeded', 'failed')
        "#,
        oldest,
        PAGE,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
