//! Writes lots and their transactions. Receipts are rare beside holds: a statement each is good enough.
//!
//! A lot is found as the first at or after its id, if it has that id: asked for `lot_id = …`, the plan for an empty table
//! takes any index, since all look alike, and goes on to scan the pool by it. Only the key's gives this order.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::ids::PoolId;
use crate::ledger::batch::BatchError;
use crate::ledger::outcome::LotRecord;
use crate::ledger::world::Changes;

/// Writes new lots, write-offs and openings, each with its transaction.
pub(super) async fn write(
    conn: &mut PgConnection,
    pool: PoolId,
    now: DateTime<Utc>,
    changes: &Changes,
) -> Result<(), BatchError> {
    // A lot that came in the same batch may be among those that a count writes off.
    for lot in &changes.lots {
        insert_lot(conn, pool, lot).await?;
    }
    for sku in &changes.opened {
        sqlx::query!("UPDATE stock SET opened_at = $3 WHERE pool_id = $1 AND sku_id = $2", pool.0, sku.0, now,)
            .execute(&mut *conn)
            .await?;
    }
    for (lot, units) in &changes.written_off {
        let left = sqlx::query_scalar!(
            r#"
            INSERT INTO lots
            SELECT * FROM (SELECT * FROM lots WHERE pool_id = $1 AND lot_id >= $2 ORDER BY lot_id LIMIT 1) AS l
            WHERE l.lot_id = $2
            ON CONFLICT (pool_id, lot_id) DO UPDATE
            SET remaining_quantity = lots.remaining_quantity - $3
            RETURNING remaining_quantity
            "#,
            pool.0,
            lot,
            units,
        )
        .fetch_one(&mut *conn)
        .await?;
        sqlx::query!(
            r#"
            INSERT INTO lot_transactions (
                pool_id, lot_id, seq, row_source, source_ref_id, quantity_delta, remaining_after, unit_cost, reason,
                client_id, recorded_at
            )
            SELECT $1, $2, t.seq + 1, 'opening_count', NULL, -$3::bigint, $4, l.unit_cost, 'opening count', l.client_id, $5
            FROM (
                SELECT lot_id, unit_cost, client_id FROM lots
                WHERE pool_id = $1 AND lot_id >= $2
                ORDER BY lot_id
                LIMIT 1
            ) AS l
            CROSS JOIN (
                SELECT seq FROM lot_transactions WHERE pool_id = $1 AND lot_id = $2 ORDER BY seq DESC LIMIT 1
            ) AS t
            WHERE l.lot_id = $2
            "#,
            pool.0,
            lot,
            units,
            left,
            now,
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

async fn insert_lot(conn: &mut PgConnection, pool: PoolId, lot: &LotRecord) -> Result<(), BatchError> {
    let received = &lot.received;
    sqlx::query!(
        r#"
        INSERT INTO lots (
            pool_id, lot_id, sku_id, lot_code, origin, status, received_quantity, remaining_quantity, unit_cost,
            currency, received_date, expires_date, source, source_ref, client_id, recorded_at
        )
        VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9, $10, $11, $12, $13, $14, $15)
        "#,
        pool.0,
        lot.id.uuid,
        lot.sku.0,
        received.lot_code,
        lot.origin,
        lot.status,
        received.quantity,
        received.unit_cost,
        received.currency,
        received.received_date,
        received.expires_date,
        received.source,
        received.source_ref,
        lot.client.0,
        lot.recorded_at,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        r#"
        INSERT INTO lot_transactions (
            pool_id, lot_id, seq, row_source, source_ref_id, quantity_delta, remaining_after, unit_cost, client_id,
            recorded_at
        )
        VALUES ($1, $2, 1, 'receipt', $3, $4, $4, $5, $6, $7)
        "#,
        pool.0,
        lot.id.uuid,
        received.source_ref,
        received.quantity,
        received.unit_cost,
        lot.client.0,
        lot.recorded_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}
