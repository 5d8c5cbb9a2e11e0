//! Reading shipments and returns. One pool per query; keyset pages.

use chrono::NaiveDate;
use sqlx::PgPool;
use uuid::Uuid;

use crate::ids::{PoolId, ReturnId, ShipmentId};
use crate::ledger::batch::{find_return_by_id, find_shipments};
use crate::ledger::goods::{ReturnRecord, ShipmentRecord};

/// Which shipments to list.
#[derive(Debug)]
pub struct Filter {
    /// The pool.
    pub pool: PoolId,
    /// Of this order.
    pub order_ref: Option<String>,
    /// Of this source.
    pub source: Option<String>,
    /// With this source reference.
    pub source_ref: Option<String>,
    /// With a line that left on this local day.
    pub shipped_date: Option<NaiveDate>,
}

/// One shipment.
///
/// # Errors
/// Database errors.
pub async fn find(db: &PgPool, id: ShipmentId) -> sqlx::Result<Option<ShipmentRecord>> {
    let mut conn = db.acquire().await?;
    Ok(find_shipments(&mut conn, id.pool, &[id.uuid]).await?.pop())
}

/// A page of shipments, newest first.
///
/// # Errors
/// Database errors.
pub async fn list(db: &PgPool, filter: &Filter, before: Option<Uuid>, limit: i64) -> sqlx::Result<Vec<ShipmentRecord>> {
    let mut conn = db.acquire().await?;
    let mut ids = sqlx::query_scalar!(
        r#"
        SELECT s.shipment_id
        FROM shipments AS s
        WHERE s.pool_id = $1
            AND ($2::text IS NULL OR s.order_ref = $2)
            AND ($3::text IS NULL OR s.source = $3)
            AND ($4::text IS NULL OR s.source_ref = $4)
            AND ($5::date IS NULL OR EXISTS (
                SELECT FROM shipment_lines AS l
                WHERE l.pool_id = $1 AND l.shipment_id = s.shipment_id AND l.shipped_date = $5
            ))
            AND ($6::uuid IS NULL OR s.shipment_id < $6)
        ORDER BY s.shipment_id DESC
        LIMIT $7
        "#,
        filter.pool.0,
        filter.order_ref,
        filter.source,
        filter.source_ref,
        filter.shipped_date,
        before,
        limit,
    )
    .fetch_all(&mut *conn)
    .await?;
    ids.sort_unstable();
    let mut shipments = find_shipments(&mut conn, filter.pool, &ids).await?;
    shipments.sort_unstable_by_key(|shipment| std::cmp::Reverse(shipment.id));
    Ok(shipments)
}

/// One return.
///
/// # Errors
/// Database errors.
pub async fn find_return(db: &PgPool, id: ReturnId) -> sqlx::Result<Option<ReturnRecord>> {
    let mut conn = db.acquire().await?;
    find_return_by_id(&mut conn, id).await
}
