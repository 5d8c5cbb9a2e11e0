//! Writes lots and their transactions. Arrivals go in by one statement, however many; write-offs are rare.

use std::collections::HashSet;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

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
    if insert(conn, pool, &changes.lots).await?.len() != changes.lots.len() {
        // Another instance was faster with one of the source references; the next try finds its lot.
        return Err(BatchError::Raced("lots"));
    }
    for sku in &changes.opened {
        sqlx::query!("UPDATE stock SET opened_at = $3 WHERE pool_id = $1 AND sku_id = $2", pool.0, sku.0, now,)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Inserts lots, each with the transaction of its arrival, and answers which: a source reference that stands is left as
/// it is.
pub(super) async fn insert(
    conn: &mut PgConnection,
    pool: PoolId,
    lots: &[(LotRecord, NaiveDate)],
) -> sqlx::Result<HashSet<Uuid>> {
    if lots.is_empty() {
        return Ok(HashSet::new());
    }
    let all = || lots.iter().map(|(lot, _)| lot);
    let inserted: HashSet<Uuid> = sqlx::query_scalar!(
        r#"
        INSERT INTO lots (
            pool_id, quarantined_quantity, status, lot_id, sku_id, lot_code, origin, cost_provisional, source_lot_id,
            received_quantity, remaining_quantity, unit_cost, currency, received_date, expires_date, source, source_ref,
            client_id, recorded_at
        )
        -- Off sale, where it is, by a movement of its own that follows.
        SELECT $1, 0, 'available', lot_id, sku_id, lot_code, origin, provisional, source_lot, quantity, quantity,
            unit_cost, currency, received_date, expires_date, source, source_ref, client_id, recorded_at
        FROM unnest(
            $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::boolean[], $7::uuid[], $8::bigint[], $9::numeric[],
            $10::text[], $11::date[], $12::date[], $13::text[], $14::text[], $15::bigint[], $16::timestamptz[]
        ) AS u (
            lot_id, sku_id, lot_code, origin, provisional, source_lot, quantity, unit_cost, currency, received_date,
            expires_date, source, source_ref, client_id, recorded_at
        )
        ON CONFLICT (pool_id, source, source_ref) WHERE source_ref IS NOT NULL DO NOTHING
        RETURNING lot_id
        "#,
        pool.0,
        &all().map(|lot| lot.id.uuid).collect::<Vec<_>>(),
        &all().map(|lot| lot.sku.0).collect::<Vec<_>>(),
        &all().map(|lot| &*lot.received.lot_code).collect::<Vec<_>>() as &[&str],
        &all().map(|lot| &*lot.origin).collect::<Vec<_>>() as &[&str],
        &all().map(|lot| lot.cost_provisional).collect::<Vec<_>>(),
        &all().map(|lot| lot.source_lot.map(|source| source.uuid)).collect::<Vec<_>>() as &[Option<Uuid>],
        &all().map(|lot| lot.received.quantity).collect::<Vec<_>>(),
        &all().map(|lot| lot.received.unit_cost).collect::<Vec<_>>(),
        &all().map(|lot| &*lot.received.currency).collect::<Vec<_>>() as &[&str],
        &all().map(|lot| lot.received.received_date).collect::<Vec<_>>(),
        &all().map(|lot| lot.received.expires_date).collect::<Vec<_>>() as &[Option<NaiveDate>],
        &all().map(|lot| &*lot.received.source).collect::<Vec<_>>() as &[&str],
        &all().map(|lot| lot.received.source_ref.as_deref()).collect::<Vec<_>>() as &[Option<&str>],
        &all().map(|lot| lot.client.0).collect::<Vec<_>>(),
        &all().map(|lot| lot.recorded_at).collect::<Vec<_>>(),
    )
    .fetch_all(&mut *conn)
    .await?
    .into_iter()
    .collect();
    let arrived: Vec<&(LotRecord, NaiveDate)> =
        lots.iter().filter(|(lot, _)| inserted.contains(&lot.id.uuid)).collect();
    insert_arrivals(conn, pool, &arrived).await?;
    Ok(inserted)
}

async fn insert_arrivals(conn: &mut PgConnection, pool: PoolId, lots: &[&(LotRecord, NaiveDate)]) -> sqlx::Result<()> {
    let all = || lots.iter().map(|(lot, _)| lot);
    sqlx::query!(
        r#"
        INSERT INTO lot_transactions (
            pool_id, seq, quarantined_delta, lot_id, row_source, source_ref_id, quantity_delta, remaining_after,
            unit_cost, value_delta, client_id, recorded_at, business_date
        )
        SELECT $1, 1, 0, lot_id, row_source, source_ref, quantity, quantity, unit_cost, quantity * unit_cost, client_id,
            recorded_at, business_date
        FROM unnest(
            $2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::numeric[], $7::bigint[], $8::timestamptz[], $9::date[]
        ) AS u (lot_id, row_source, source_ref, quantity, unit_cost, client_id, recorded_at, business_date)
        "#,
        pool.0,
        &all().map(|lot| lot.id.uuid).collect::<Vec<_>>(),
        &all().map(arrival).collect::<Vec<_>>() as &[&str],
        &all().map(|lot| lot.received.source_ref.as_deref()).collect::<Vec<_>>() as &[Option<&str>],
        &all().map(|lot| lot.received.quantity).collect::<Vec<_>>(),
        &all().map(|lot| lot.received.unit_cost).collect::<Vec<_>>(),
        &all().map(|lot| lot.client.0).collect::<Vec<_>>(),
        &all().map(|lot| lot.recorded_at).collect::<Vec<_>>(),
        &lots.iter().map(|(_, booked_on)| *booked_on).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How a lot came.
fn arrival(lot: &LotRecord) -> &'static str {
    match lot.origin.as_str() {
        "return" => "return",
        "transfer" => "transfer_in",
        _ => "receipt",
    }
}
