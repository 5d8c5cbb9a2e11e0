//! Reading shipments and returns. One pool per query; keyset pages.

use chrono::NaiveDate;
use sqlx::PgPool;
use uuid::Uuid;

use crate::ids::{PoolId, ReturnId, ShipmentId, SkuId};
use crate::ledger::batch::{find_returns_by_id, find_shipments};
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
    Ok(find_returns_by_id(&mut conn, id.pool, &[id.uuid]).await?.pop())
}

/// Which returns to list.
#[derive(Debug)]
pub struct ReturnFilter {
    /// The pool.
    pub pool: PoolId,
    /// Of this order.
    pub order_ref: Option<String>,
    /// With a line of this SKU.
    pub sku: Option<SkuId>,
}

/// A page of returns, newest first.
///
/// # Errors
/// Database errors.
pub async fn list_returns(
    db: &PgPool,
    filter: &ReturnFilter,
    before: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<ReturnRecord>> {
    let mut conn = db.acquire().await?;
    let ids = sqlx::query_scalar!(
        r#"
        SELECT r.return_id
        FROM returns AS r
        WHERE r.pool_id = $1
            AND ($2::text IS NULL OR r.order_ref = $2)
            AND ($3::bigint IS NULL OR EXISTS (
                SELECT FROM return_lines AS l
                WHERE l.pool_id = $1 AND l.return_id = r.return_id AND l.sku_id = $3
            ))
            AND ($4::uuid IS NULL OR r.return_id < $4)
        ORDER BY r.return_id DESC
        LIMIT $5
        "#,
        filter.pool.0,
        filter.order_ref,
        filter.sku.map(|sku| sku.0),
        before,
        limit,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut returns = find_returns_by_id(&mut conn, filter.pool, &ids).await?;
    returns.sort_unstable_by_key(|record| std::cmp::Reverse(record.id));
    Ok(returns)
}
