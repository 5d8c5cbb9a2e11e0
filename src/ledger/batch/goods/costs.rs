//! What was sold of lots, and at which cost: what another cost of them has to make up for.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::ids::PoolId;
use crate::ledger::goods::{OF_WHAT_WAS_SOLD, Sold};

/// What of these lots, which are locked, is cost of goods.
pub(in crate::ledger::batch) async fn find_sold(
    conn: &mut PgConnection,
    pool: PoolId,
    lots: &[Uuid],
) -> sqlx::Result<Vec<(Uuid, Sold)>> {
    let rows = sqlx::query!(
        r#"
        SELECT u.lot_id AS "lot_id!", t.units AS "units!", t.cost AS "cost!"
        FROM unnest($2::uuid[]) AS u (lot_id)
        CROSS JOIN LATERAL (
            SELECT
                coalesce(-sum(quantity_delta) FILTER (WHERE c.is_cost), 0)::bigint AS units,
                coalesce(-sum(value_delta) FILTER (WHERE c.is_cost), 0) AS cost
            FROM lot_transactions AS t
            CROSS JOIN LATERAL (
                SELECT
                    t.row_source IN ('snapshot_depletion', 'shortage_settlement', 'void')
                    OR (t.row_source = 'correction' AND (t.shipment_id IS NOT NULL OR t.source_ref_id IS NOT NULL))
                    OR (t.row_source = 'return' AND EXISTS (
                        SELECT FROM return_lots WHERE pool_id = $1 AND lot_id = t.lot_id AND shipment_id IS NOT NULL
                    )) AS is_cost
            ) AS c
            WHERE t.pool_id = $1 AND t.lot_id = u.lot_id
        ) AS t
        "#,
        pool.0,
        lots,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.lot_id, Sold { units: row.units, cost: row.cost.normalize() })).collect())
}

/// The newest correction of what was sold of each of these lots: when, and the cost that it made of it. What had left a
/// lot by then left it at this cost.
pub(in crate::ledger) async fn find_corrected(
    conn: &mut PgConnection,
    pool: PoolId,
    lots: &[Uuid],
) -> sqlx::Result<HashMap<Uuid, (DateTime<Utc>, Decimal)>> {
    let rows = sqlx::query!(
        r#"
        SELECT u.lot_id AS "lot_id!", t.recorded_at AS "recorded_at!", t.unit_cost AS "unit_cost!"
        FROM unnest($2::uuid[]) AS u (lot_id)
        CROSS JOIN LATERAL (
            SELECT recorded_at, unit_cost
            FROM lot_transactions
            WHERE pool_id = $1 AND lot_id = u.lot_id AND row_source = 'correction' AND source_ref_id = $3
            ORDER BY seq DESC
            LIMIT 1
        ) AS t
        "#,
        pool.0,
        lots,
        OF_WHAT_WAS_SOLD,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.lot_id, (row.recorded_at, row.unit_cost.normalize()))).collect())
}
