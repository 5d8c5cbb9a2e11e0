//! What a correction holds while it is decided on, in the order of every writer: the newest day, stock, lines, lots.

use chrono::NaiveDate;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::ids::{PoolId, SkuId};

/// The newest day that is closed or being closed, kept as it is until the transaction ends: one that is being closed is
/// not finished meanwhile, and after one that is closed none is begun. So what is booked on a later day is booked on an
/// open one.
///
/// # Errors
/// Database errors.
pub async fn hold_newest_day(conn: &mut PgConnection, pool: PoolId) -> sqlx::Result<Option<NaiveDate>> {
    loop {
        let Some((date, closed)) = find_newest_day(conn, pool).await? else { return Ok(None) };
        if closed {
            // What follows refers to it, which this keeps it from. Nobody else has anything to lock here.
            sqlx::query!(
                "SELECT status FROM snapshots WHERE pool_id = $1 AND snapshot_date = $2 FOR UPDATE",
                pool.0,
                date,
            )
            .fetch_one(&mut *conn)
            .await?;
        } else {
            // The workers of its close hold it, too.
            sqlx::query!(
                "SELECT status FROM snapshots WHERE pool_id = $1 AND snapshot_date = $2 FOR SHARE",
                pool.0,
                date,
            )
            .fetch_one(&mut *conn)
            .await?;
        }
        if find_newest_day(conn, pool).await? == Some((date, closed)) {
            return Ok(Some(date));
        }
    }
}

async fn find_newest_day(conn: &mut PgConnection, pool: PoolId) -> sqlx::Result<Option<(NaiveDate, bool)>> {
    let newest = sqlx::query!(
        r#"
        SELECT snapshot_date, status = 'closed' AS "closed!"
        FROM snapshots
        WHERE pool_id = $1
        ORDER BY snapshot_date DESC
        LIMIT 1
        "#,
        pool.0,
    )
    .fetch_optional(conn)
    .await?;
    Ok(newest.map(|newest| (newest.snapshot_date, newest.closed)))
}

/// Locks a balance row.
///
/// # Errors
/// Database errors.
pub async fn lock_stock(conn: &mut PgConnection, pool: PoolId, sku: SkuId) -> sqlx::Result<()> {
    sqlx::query!("SELECT seq FROM stock WHERE pool_id = $1 AND sku_id = $2 FOR UPDATE", pool.0, sku.0)
        .fetch_optional(conn)
        .await?;
    Ok(())
}

/// Locks a shipment line.
///
/// # Errors
/// Database errors.
pub async fn lock_line(conn: &mut PgConnection, pool: PoolId, shipment: Uuid, line_ref: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "SELECT sku_id FROM shipment_lines WHERE pool_id = $1 AND shipment_id = $2 AND line_ref = $3 FOR UPDATE",
        pool.0,
        shipment,
        line_ref,
    )
    .fetch_optional(conn)
    .await?;
    Ok(())
}

/// Locks lots in their order.
///
/// # Errors
/// Database errors.
pub async fn lock_lots(conn: &mut PgConnection, pool: PoolId, lots: &[Uuid]) -> sqlx::Result<()> {
    sqlx::query!(
        "SELECT lot_id FROM lots WHERE pool_id = $1 AND lot_id = ANY($2) ORDER BY lot_id FOR UPDATE",
        pool.0,
        lots,
    )
    .fetch_all(conn)
    .await?;
    Ok(())
}
