//! Writes lots and their transactions. Receipts are rare beside holds: a statement each is good enough.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

use crate::ids::PoolId;
use crate::ledger::batch::BatchError;
use crate::ledger::outcome::LotRecord;
use crate::ledger::world::Changes;

/// Writes new lots with their first transaction, and openings.
pub(super) async fn write(
    conn: &mut PgConnection,
    pool: PoolId,
    now: DateTime<Utc>,
    changes: &Changes,
) -> Result<(), BatchError> {
    for (lot, business_date) in &changes.lots {
        insert_lot(conn, pool, lot, *business_date).await?;
    }
    for sku in &changes.opened {
        sqlx::query!("UPDATE stock SET opened_at = $3 WHERE pool_id = $1 AND sku_id = $2", pool.0, sku.0, now,)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

async fn insert_lot(
    conn: &mut PgConnection,
    pool: PoolId,
    lot: &LotRecord,
    business_date: NaiveDate,
) -> Result<(), BatchError> {
    let received = &lot.received;
    sqlx::query!(
        r#"
        INSERT INTO lots (
            pool_id, lot_id, sku_id, lot_code, origin, status, received_quantity, remaining_quantity, unit_cost,
            currency, received_date, expires_date, source, source_ref, client_id, recorded_at, quarantined_quantity,
            cost_provisional, source_lot_id
        )
        VALUES ($1, $2, $3, $4, $5, 'available', $6, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0, $15, $16)
        "#,
        pool.0,
        lot.id.uuid,
        lot.sku.0,
        received.lot_code,
        lot.origin,
        received.quantity,
        received.unit_cost,
        received.currency,
        received.received_date,
        received.expires_date,
        received.source,
        received.source_ref,
        lot.client.0,
        lot.recorded_at,
        lot.cost_provisional,
        lot.source_lot.map(|lot| lot.uuid),
    )
    .execute(&mut *conn)
    .await?;
    let row_source = match lot.origin.as_str() {
        "return" => "return",
        "transfer" => "transfer_in",
        _ => "receipt",
    };
    sqlx::query!(
        r#"
        INSERT INTO lot_transactions (
            pool_id, lot_id, seq, row_source, source_ref_id, quantity_delta, remaining_after, unit_cost, client_id,
            recorded_at, business_date, value_delta, quarantined_delta
        )
        VALUES ($1, $2, 1, $3, $4, $5, $5, $6, $7, $8, $9, $10, 0)
        "#,
        pool.0,
        lot.id.uuid,
        row_source,
        received.source_ref,
        received.quantity,
        received.unit_cost,
        lot.client.0,
        lot.recorded_at,
        business_date,
        received.unit_cost * rust_decimal::Decimal::from(received.quantity),
    )
    .execute(conn)
    .await?;
    Ok(())
}
