//! Purges answers that are older than the retention, in small pages, so that nobody waits behind it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use scoped_futures::ScopedFutureExt;
use sqlx::PgConnection;

use crate::app::App;
use crate::db::tx;
use crate::ids::PoolId;
use crate::jobs::{Job, JobError, Report, Slot};

/// Rows of one statement.
const PAGE: i64 = 5000;
/// Pages of one pass and pool.
const MOST_PAGES: u32 = 200;

/// The job: every ten minutes, since a busy pool makes a million answers an hour.
#[must_use]
pub fn job() -> Job {
    let about = "Deletes answers that are older than the retention of idempotency keys.";
    Job::every("purge_answers", about, Duration::from_mins(10), |app, slot| async move { purge(&app, &slot).await })
}

/// Deletes what is too old, pool by pool. What is deleted stays deleted if it fails half-way.
async fn purge(app: &App, slot: &Slot) -> Result<Report, JobError> {
    let oldest = slot.started_at - TimeDelta::seconds(app.settings.idempotency_retention_seconds);
    let mut purged = 0;
    let catalogue = app.refresh_catalogue().await?;
    for pool in catalogue.pools() {
        for _ in 0..MOST_PAGES {
            slot.go_on()?;
            let (pool, oldest) = (pool.id, oldest);
            let page = tx::write(&app.db, "purge", |conn| delete_page(conn, pool, oldest).scope_boxed()).await?;
            purged += page;
            if page == 0 {
                break;
            }
        }
    }
    Ok(Report::of(serde_json::json!({ "purged": purged })))
}

async fn delete_page(conn: &mut PgConnection, pool: PoolId, oldest: DateTime<Utc>) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        r#"
        DELETE FROM idempotency_keys
        WHERE pool_id = $1
            AND created_at < $2
            AND ctid = ANY(ARRAY(
                SELECT ctid FROM idempotency_keys WHERE pool_id = $1 AND created_at < $2 LIMIT $3
            ))
        "#,
        pool.0,
        oldest,
        PAGE,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
