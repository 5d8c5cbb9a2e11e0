//! Purges answers that are older than the retention, in small pages, so that nobody waits behind it.

use chrono::{DateTime, TimeDelta, Utc};
use scoped_futures::ScopedFutureExt;
use sqlx::PgConnection;

use crate::app::App;
use crate::db::tx;
use crate::ids::PoolId;

/// Rows of one statement.
const PAGE: i64 = 5000;
/// Pages of one pass and pool.
const MOST_PAGES: u32 = 200;

/// Deletes what is too old, pool by pool; returns how many rows.
///
/// # Errors
/// Database errors; what is deleted stays deleted.
pub async fn purge(app: &App) -> sqlx::Result<u64> {
    let oldest = app.clock.local_now() - TimeDelta::seconds(app.settings.idempotency_retention_seconds);
    let mut purged = 0;
    for pool in app.catalogue.current().pools() {
        for _ in 0..MOST_PAGES {
            let (pool, oldest) = (pool.id, oldest);
            let page = tx::write(&app.db, "purge", |conn| delete_page(conn, pool, oldest).scope_boxed()).await?;
            purged += page;
            if page == 0 {
                break;
            }
        }
    }
    Ok(purged)
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
