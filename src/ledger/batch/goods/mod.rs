//! What a batch reads and writes of lots, shipments and returns, under the locks on their stock rows. Shipment lines are
//! locked before lots, each in the order of their keys: the close of a day, which takes no stock row, does the same.

use chrono::NaiveDate;
use sqlx::PgConnection;

use crate::ids::PoolId;

pub(in crate::ledger) mod costs;
pub(super) mod lots;
pub(in crate::ledger) mod open;
pub(super) mod returns;
pub(super) mod shipments;
pub(super) mod write;

/// The newest day that is closed, or being closed.
pub(in crate::ledger) async fn find_last_snapshot(
    conn: &mut PgConnection,
    pool: PoolId,
) -> sqlx::Result<Option<NaiveDate>> {
    sqlx::query_scalar!("SELECT max(snapshot_date) FROM snapshots WHERE pool_id = $1", pool.0).fetch_one(conn).await
}

/// Those of these SKUs that a day which is being closed has not come to.
pub(in crate::ledger) async fn find_still_open(
    conn: &mut PgConnection,
    pool: PoolId,
    skus: &[i64],
) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        SELECT u.sku_id AS "sku_id!"
        FROM unnest($2::bigint[]) AS u (sku_id)
        CROSS JOIN LATERAL (
            SELECT snapshot_date, status
            FROM snapshots
            WHERE pool_id = $1
            ORDER BY snapshot_date DESC
            LIMIT 1
        ) AS d
        WHERE d.status = 'closing' AND NOT EXISTS (
            SELECT FROM snapshot_skus WHERE pool_id = $1 AND snapshot_date = d.snapshot_date AND sku_id = u.sku_id
        )
        "#,
        pool.0,
        skus,
    )
    .fetch_all(conn)
    .await
}

/// The day that is being closed. It stays open for as long as the transaction is.
pub(super) async fn lock_closing(conn: &mut PgConnection, pool: PoolId) -> sqlx::Result<Option<NaiveDate>> {
    sqlx::query_scalar!(
        "SELECT snapshot_date FROM snapshots WHERE pool_id = $1 AND status = 'closing' FOR SHARE",
        pool.0,
    )
    .fetch_optional(conn)
    .await
}
