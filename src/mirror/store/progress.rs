//! Which orders are to be applied to stock again.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::mirror::rows::Source;

/// Has these orders applied, from `at` on, since their copies have changed. Within a transaction of the mirror.
///
/// # Errors
/// Database errors.
pub async fn bump(
    conn: &mut PgConnection,
    source: Source,
    orders: &[i64],
    at: Option<DateTime<Utc>>,
) -> sqlx::Result<()> {
    if orders.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r#"
        INSERT INTO mirror.order_progress AS stored
            (source, order_id, revision, applied_revision, attempts, next_attempt_at)
        SELECT $1, given.order_id, 1, 0, 0, $3
        FROM UNNEST($2::bigint[]) AS given (order_id)
        ORDER BY given.order_id
        ON CONFLICT (source, order_id) DO UPDATE
        SET revision = stored.revision + 1, attempts = 0, next_attempt_at = excluded.next_attempt_at
        "#,
        source.as_str(),
        orders,
        at.unwrap_or(DateTime::UNIX_EPOCH),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Has these orders applied again, since what their lines mean has changed; those among them that are copied. Within a
/// transaction of the mirror.
///
/// # Errors
/// Database errors.
pub async fn touch_orders(conn: &mut PgConnection, source: Source, orders: &[i64]) -> sqlx::Result<()> {
    if orders.is_empty() {
        return Ok(());
    }
    // Locked by id: another writer bumps them in that order, too.
    sqlx::query!(
        r#"
        UPDATE mirror.order_progress AS stored
        SET revision = stored.revision + 1, attempts = 0, next_attempt_at = '-infinity'
        FROM (
            SELECT source, order_id
            FROM mirror.order_progress
            WHERE source = $1 AND order_id = ANY($2)
            ORDER BY order_id
            FOR UPDATE
        ) AS touched
        WHERE stored.source = touched.source AND stored.order_id = touched.order_id
        "#,
        source.as_str(),
        orders,
    )
    .execute(conn)
    .await?;
    Ok(())
}
