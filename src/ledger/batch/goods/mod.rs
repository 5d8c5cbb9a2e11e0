//! What a batch reads and writes of lots, shipments and returns, under the locks on their stock rows. Shipment lines are
//! locked before lots, each in the order of their keys: the close of a day, which takes no stock row, does the same.

use chrono::NaiveDate;
use sqlx::PgConnection;

use crate::ids::PoolId;

pub(super) mod costs;
pub(super) mod lots;
pub(super) mod open;
pub(super) mod returns;
pub(super) mod shipments;
pub(super) mod write;

/// The newest day that is closed, or being closed.
pub(super) async fn find_last_snapshot(conn: &mut PgConnection, pool: PoolId) -> sqlx::Result<Option<NaiveDate>> {
    sqlx::query_scalar!("SELECT max(snapshot_date) FROM snapshots WHERE pool_id = $1", pool.0).fetch_one(conn).await
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
