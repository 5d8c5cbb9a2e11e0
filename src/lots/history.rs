//! What happened to a lot, and which shipments it went into. One pool per query; keyset pages.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use super::view::money;
use crate::ids::{LotId, PoolId, ShipmentId, SkuId};

/// One movement of a lot, as stored. Rows of the first releases have no business date of their own: it is the day they
/// were recorded on.
#[derive(Debug)]
pub struct Movement {
    seq: i32,
    row_source: String,
    source_ref_id: Option<String>,
    quantity_delta: i64,
    quarantined_delta: i64,
    remaining_after: i64,
    unit_cost: Decimal,
    value_delta: Decimal,
    business_date: NaiveDate,
    shipment_id: Option<Uuid>,
    reason: Option<String>,
    recorded_at: DateTime<Utc>,
}

/// One movement of a lot.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LotTransaction)]
pub struct MovementView {
    /// Number, gapless from 1 per lot.
    pub seq: i32,
    /// What happened: `receipt`, `return`, `transfer_in`, `opening_count`, `snapshot_depletion`, `shortage_settlement`,
    /// `void`, `quarantine`, `unquarantine`, `write_off`, `transfer_out`, `revaluation` or `correction`.
    kind: String,
    /// Change of what is left of it.
    quantity_delta: i64,
    /// Change of what of it is not for sale.
    quarantined_delta: i64,
    /// Left of it afterwards.
    remaining_quantity: i64,
    /// Decimal, per unit, afterwards.
    unit_cost: String,
    /// Decimal: what its value changed by.
    value_delta: String,
    /// The local day that it counts for.
    business_date: NaiveDate,
    /// What it is named by: the day of a depletion (YYYYMMDD), the source reference of a receipt.
    source_ref: Option<String>,
    /// The shipment, where it is one's.
    shipment_id: Option<String>,
    /// Why.
    reason: Option<String>,
    /// When it was written down.
    recorded_at: DateTime<Utc>,
}

impl MovementView {
    /// A movement of a lot of `pool`.
    #[must_use]
    pub fn of(pool: PoolId, row: Movement) -> Self {
        Self {
            seq: row.seq,
            kind: row.row_source,
            quantity_delta: row.quantity_delta,
            quarantined_delta: row.quarantined_delta,
            remaining_quantity: row.remaining_after,
            unit_cost: money(row.unit_cost),
            value_delta: money(row.value_delta),
            business_date: row.business_date,
            source_ref: row.source_ref_id,
            shipment_id: row.shipment_id.map(|uuid| ShipmentId { pool, uuid }.to_string()),
            reason: row.reason,
            recorded_at: row.recorded_at,
        }
    }
}

/// Movements of a lot, oldest first.
///
/// # Errors
/// Database errors.
pub async fn list_movements(db: &PgPool, lot: LotId, after: i32, limit: i64) -> sqlx::Result<Vec<Movement>> {
    sqlx::query_as!(
        Movement,
        r#"
        SELECT
            seq, row_source, source_ref_id, quantity_delta, quarantined_delta, remaining_after, unit_cost,
            coalesce(value_delta, quantity_delta * unit_cost) AS "value_delta!",
            coalesce(business_date, (recorded_at AT TIME ZONE 'UTC')::date) AS "business_date!",
            shipment_id, reason, recorded_at
        FROM lot_transactions
        WHERE pool_id = $1 AND lot_id = $2 AND seq > $3
        ORDER BY seq
        LIMIT $4
        "#,
        lot.pool.0,
        lot.uuid,
        after,
        limit,
    )
    .fetch_all(db)
    .await
}

/// A shipment line that a lot went into, as stored.
#[derive(Debug)]
pub struct Destination {
    shipment_id: Uuid,
    line_ref: String,
    depleted: i64,
    quantity: i64,
    source: String,
    source_ref: String,
    order_ref: Option<String>,
    shipped_at: DateTime<Utc>,
    pending: bool,
    named: bool,
}

/// The last line of a page.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DestinationCursor {
    shipment: Uuid,
    line_ref: String,
}

/// A shipment line that a lot went into.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LotShipment)]
pub struct DestinationView {
    /// The shipment.
    shipment_id: String,
    /// Its line.
    line_ref: String,
    /// Units of the lot that may be in it: where the warehouse named the lot (`named`) all units of the line, else those
    /// that the books say.
    quantity: i64,
    /// Units that the books say the lot gave; what was taken back by a void does not count.
    depleted_quantity: i64,
    /// The day of the line is not closed yet: only that will tell how many units of it the lot gave.
    pending: bool,
    /// The warehouse named the lot, or its code where nothing of that code was left.
    named: bool,
    /// The order it was sent for.
    order_ref: Option<String>,
    /// The system that told of the shipment.
    source: String,
    /// That system's name of it.
    source_ref: String,
    /// When it left.
    shipped_at: DateTime<Utc>,
}

impl Destination {
    /// Where the next page goes on.
    #[must_use]
    pub fn cursor(&self) -> DestinationCursor {
        DestinationCursor { shipment: self.shipment_id, line_ref: self.line_ref.clone() }
    }
}

impl DestinationView {
    /// A line of a shipment of `pool`.
    #[must_use]
    pub fn of(pool: PoolId, row: Destination) -> Self {
        Self {
            shipment_id: ShipmentId { pool, uuid: row.shipment_id }.to_string(),
            line_ref: row.line_ref,
            quantity: if row.named { row.quantity } else { row.depleted },
            depleted_quantity: row.depleted,
            pending: row.pending,
            named: row.named,
            order_ref: row.order_ref,
            source: row.source,
            source_ref: row.source_ref,
            shipped_at: row.shipped_at,
        }
    }
}

/// Shipment lines that a lot went into, and those that name it, by shipment, in the order that shipments were recorded
/// in. A line that names a code of which nothing was left names every lot of that code. Lines of which nothing of the
/// lot is left, since they were voided, are left out.
///
/// # Errors
/// Database errors.
pub async fn list_destinations(
    db: &PgPool,
    lot: LotId,
    (sku, lot_code): (SkuId, &str),
    after: Option<DestinationCursor>,
    limit: i64,
) -> sqlx::Result<Vec<Destination>> {
    let (shipment, line_ref) = after.map_or((None, None), |after| (Some(after.shipment), Some(after.line_ref)));
    sqlx::query_as!(
        Destination,
        r#"
        SELECT
            d.shipment_id AS "shipment_id!", d.line_ref AS "line_ref!", d.depleted AS "depleted!", d.named AS "named!",
            l.quantity, l.snapshot_date IS NULL AS "pending!", l.shipped_at, s.source, s.source_ref, s.order_ref
        FROM (
            SELECT shipment_id, line_ref, sum(units)::bigint AS depleted, bool_or(named) AS named
            FROM (
                (
                    SELECT shipment_id, line_ref, sum(quantity) AS units, false AS named
                    FROM depletions
                    WHERE pool_id = $1
                        AND lot_id = $2
                        AND ($3::uuid IS NULL OR shipment_id >= $3)
                        AND ($3::uuid IS NULL OR (shipment_id, line_ref) > ($3, $4::text COLLATE "C"))
                    GROUP BY shipment_id, line_ref
                    HAVING sum(quantity) <> 0
                    ORDER BY shipment_id, line_ref
                    LIMIT $5
                )
                UNION ALL
                (
                    SELECT shipment_id, line_ref, 0, true
                    FROM shipment_lines
                    WHERE pool_id = $1
                        AND sku_id = $6
                        AND snapshot_date IS NULL
                        AND voided_at IS NULL
                        AND tracked
                        AND lot_id = $2
                        AND named_lot_code IS NULL
                        AND ($3::uuid IS NULL OR (shipment_id, line_ref) > ($3, $4::text COLLATE "C"))
                    ORDER BY shipment_id, line_ref
                    LIMIT $5
                )
                UNION ALL
                (
                    SELECT shipment_id, line_ref, 0, true
                    FROM shipment_lines
                    WHERE pool_id = $1
                        AND sku_id = $6
                        AND named_lot_code = $7
                        AND named_lot_code IS NOT NULL
                        AND (lot_id IS NULL OR lot_id = $2)
                        AND voided_at IS NULL
                        AND tracked
                        AND ($3::uuid IS NULL OR (shipment_id, line_ref) > ($3, $4::text COLLATE "C"))
                    ORDER BY shipment_id, line_ref
                    LIMIT $5
                )
            ) AS told
            GROUP BY shipment_id, line_ref
            ORDER BY shipment_id, line_ref
            LIMIT $5
        ) AS d
        CROSS JOIN LATERAL (
            SELECT quantity, snapshot_date, shipped_at
            FROM shipment_lines
            WHERE pool_id = $1 AND shipment_id = d.shipment_id AND line_ref = d.line_ref
            LIMIT 1
        ) AS l
        CROSS JOIN LATERAL (
            SELECT source, source_ref, order_ref
            FROM shipments
            WHERE pool_id = $1 AND shipment_id = d.shipment_id
            LIMIT 1
        ) AS s
        ORDER BY d.shipment_id, d.line_ref
        "#,
        lot.pool.0,
        lot.uuid,
        shipment,
        line_ref,
        limit,
        sku.0,
        lot_code,
    )
    .fetch_all(db)
    .await
}
