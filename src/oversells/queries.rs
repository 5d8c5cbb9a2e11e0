//! Reading oversells. One pool per query; keyset pages.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::view::OversellStatus;
use crate::ids::{PoolId, SkuId};

/// One oversell as it is stored.
#[derive(Debug)]
pub struct OversellRow {
    /// Its id in the pool.
    pub oversell_id: Uuid,
    /// The SKU.
    pub sku_id: i64,
    /// Whose claim; none where the shelf itself shrank.
    pub reservation_id: Option<Uuid>,
    /// Its line.
    pub line: Option<i16>,
    /// Units that were not covered.
    pub quantity: i64,
    /// Units covered since, or given up.
    pub resolved_quantity: i64,
    /// When it was opened.
    pub opened_at: DateTime<Utc>,
    /// When the last unit was resolved.
    pub resolved_at: Option<DateTime<Utc>>,
}

/// Which oversells to list.
#[derive(Debug)]
pub struct Filter {
    /// The pool.
    pub pool: PoolId,
    /// Of this SKU.
    pub sku: Option<SkuId>,
    /// Open or resolved.
    pub status: Option<OversellStatus>,
}

/// Oversells by id, newest first.
///
/// # Errors
/// Database errors.
pub async fn list(db: &PgPool, filter: &Filter, before: Option<Uuid>, limit: i64) -> sqlx::Result<Vec<OversellRow>> {
    sqlx::query_as!(
        OversellRow,
        r#"
        SELECT
            oversell_id, sku_id, reservation_id, line, quantity, resolved_quantity, opened_at, resolved_at
        FROM oversells
        WHERE pool_id = $1
            AND ($2::bigint IS NULL OR sku_id = $2)
            AND ($3::boolean IS NULL OR (resolved_quantity < quantity) = $3)
            AND ($4::uuid IS NULL OR oversell_id < $4)
        ORDER BY oversell_id DESC
        LIMIT $5
        "#,
        filter.pool.0,
        filter.sku.map(|sku| sku.0),
        filter.status.map(|status| status == OversellStatus::Open),
        before,
        limit,
    )
    .fetch_all(db)
    .await
}
