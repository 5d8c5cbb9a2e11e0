//! What evidence and stock disagree about: shipments beyond what was on hand, and shipped units that no lot covered.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::catalog::Catalogue;
use crate::ids::{PoolId, ShipmentId, SkuId};

/// Shipped units that on hand could not cover.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Discrepancy)]
pub struct DiscrepancyView {
    /// Its id.
    id: Uuid,
    /// Pool code.
    pool: String,
    /// SKU code.
    sku: String,
    /// `shipped_beyond_on_hand`.
    kind: String,
    /// The shipment.
    shipment_id: String,
    /// Its line.
    shipment_line_ref: String,
    /// Units missing when it was recorded.
    quantity: i64,
    /// Units found since in what came.
    settled_quantity: i64,
    /// Units that never left.
    voided_quantity: i64,
    /// Units still missing.
    open_quantity: i64,
    /// When it was opened.
    opened_at: DateTime<Utc>,
    /// When nothing was left of it.
    closed_at: Option<DateTime<Utc>>,
}

/// Shipped units that no lot could cover when their day was closed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LotShortage)]
pub struct LotShortageView {
    /// Pool code.
    pool: String,
    /// SKU code.
    sku: String,
    /// The shipment.
    shipment_id: String,
    /// Its line.
    shipment_line_ref: String,
    /// The day whose snapshot opened it.
    opened_date: NaiveDate,
    /// Units missing then.
    quantity: i64,
    /// Units taken since from later lots.
    settled_quantity: i64,
    /// Units that never left.
    voided_quantity: i64,
    /// Units still without a lot and a cost.
    open_quantity: i64,
    /// When nothing was left of it.
    closed_at: Option<DateTime<Utc>>,
}

/// Which to list.
#[derive(Debug)]
pub struct Filter {
    /// The pool.
    pub pool: PoolId,
    /// Of this SKU.
    pub sku: Option<SkuId>,
    /// Those that are open, or those that are not.
    pub open: Option<bool>,
}

/// A page of discrepancies, newest first.
///
/// # Errors
/// Database errors.
pub async fn list(
    db: &PgPool,
    catalogue: &Catalogue,
    filter: &Filter,
    before: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<DiscrepancyView>> {
    let rows = sqlx::query!(
        r#"
        SELECT
            discrepancy_id, sku_id, kind, shipment_id, line_ref, quantity, settled_quantity, voided_quantity,
            opened_at, closed_at
        FROM discrepancies
        WHERE pool_id = $1
            AND ($2::bigint IS NULL OR sku_id = $2)
            AND ($3::boolean IS NULL OR (settled_quantity + voided_quantity < quantity) = $3)
            AND ($4::uuid IS NULL OR discrepancy_id < $4)
        ORDER BY discrepancy_id DESC
        LIMIT $5
        "#,
        filter.pool.0,
        filter.sku.map(|sku| sku.0),
        filter.open,
        before,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| DiscrepancyView {
            id: row.discrepancy_id,
            pool: catalogue.pool_code(filter.pool),
            sku: catalogue.sku_code(SkuId(row.sku_id)).to_string(),
            kind: row.kind,
            shipment_id: ShipmentId { pool: filter.pool, uuid: row.shipment_id }.to_string(),
            shipment_line_ref: row.line_ref,
            quantity: row.quantity,
            settled_quantity: row.settled_quantity,
            voided_quantity: row.voided_quantity,
            open_quantity: row.quantity - row.settled_quantity - row.voided_quantity,
            opened_at: row.opened_at,
            closed_at: row.closed_at,
        })
        .collect())
}

impl DiscrepancyView {
    /// Its place in the list.
    #[must_use]
    pub fn cursor(&self) -> Uuid {
        self.id
    }
}

impl LotShortageView {
    /// Its place in the list.
    #[must_use]
    pub fn cursor(&self) -> (String, String) {
        (self.shipment_id.clone(), self.shipment_line_ref.clone())
    }
}

/// A page of lot shortages, by shipment, newest first.
///
/// # Errors
/// Database errors.
pub async fn list_shortages(
    db: &PgPool,
    catalogue: &Catalogue,
    filter: &Filter,
    before: Option<(Uuid, String)>,
    limit: i64,
) -> sqlx::Result<Vec<LotShortageView>> {
    let (shipment, line_ref) = before.unzip();
    let rows = sqlx::query!(
        r#"
        SELECT
            sku_id, shipment_id, line_ref, opened_date, quantity, settled_quantity, voided_quantity, closed_at
        FROM lot_shortages
        WHERE pool_id = $1
            AND ($2::bigint IS NULL OR sku_id = $2)
            AND ($3::boolean IS NULL OR (settled_quantity + voided_quantity < quantity) = $3)
            AND ($4::uuid IS NULL OR (shipment_id, line_ref) < ($4, $5::text))
        ORDER BY shipment_id DESC, line_ref DESC
        LIMIT $6
        "#,
        filter.pool.0,
        filter.sku.map(|sku| sku.0),
        filter.open,
        shipment,
        line_ref,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| LotShortageView {
            pool: catalogue.pool_code(filter.pool),
            sku: catalogue.sku_code(SkuId(row.sku_id)).to_string(),
            shipment_id: ShipmentId { pool: filter.pool, uuid: row.shipment_id }.to_string(),
            shipment_line_ref: row.line_ref,
            opened_date: row.opened_date,
            quantity: row.quantity,
            settled_quantity: row.settled_quantity,
            voided_quantity: row.voided_quantity,
            open_quantity: row.quantity - row.settled_quantity - row.voided_quantity,
            closed_at: row.closed_at,
        })
        .collect())
}
