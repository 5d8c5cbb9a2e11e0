//! Writing copies: the only statements that change schema `mirror`.
//!
//! The database refuses whoever does not say that he is the mirror, and rows that would get older.

use scoped_futures::{ScopedBoxFuture, ScopedFutureExt};
use sqlx::{PgConnection, PgPool};

use super::rows::Source;
use crate::db::tx;

/// Runs `body` in a transaction of the mirror, at most three times under contention.
///
/// # Errors
/// What the body returned, or what the database said.
pub async fn write<'a, T, E>(
    pool: &PgPool,
    name: &'static str,
    body: impl for<'c> Fn(&'c mut PgConnection) -> ScopedBoxFuture<'a, 'c, Result<T, E>> + Send + Sync,
) -> Result<T, E>
where
    T: Send + 'a,
    E: From<sqlx::Error> + tx::Contended + Send + 'a,
{
    let body = &body;
    tx::write(pool, name, |conn| {
        async move {
            become_the_mirror(conn).await?;
            body(conn).await
        }
        .scope_boxed()
    })
    .await
}

/// Says, for the rest of the transaction, that it is the mirror who writes. For transactions that write copies and
/// something else.
///
/// # Errors
/// Database errors.
pub async fn become_the_mirror(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query_scalar!(r#"SELECT set_config('holdfast.writer', 'mirror', true) AS "set!""#).fetch_one(conn).await?;
    Ok(())
}

/// Has these orders applied again, since what their lines mean has changed. Within a transaction of the mirror.
///
/// # Errors
/// Database errors.
pub async fn touch_orders(conn: &mut PgConnection, source: Source, orders: &[i64]) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        UPDATE mirror.order_progress
        SET revision = revision + 1, attempts = 0, next_attempt_at = '-infinity'
        WHERE source = $1 AND order_id = ANY($2)
        "#,
        source.as_str(),
        orders,
    )
    .execute(conn)
    .await?;
    Ok(())
}
