//! Writes lots and their transactions. Arrivals go in by one statement, however many; write-offs are rare.

use std::collections::HashSet;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

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
    if insert(conn, pool, &changes.lots).await?.len() != changes.lots.len() {
        // Another instance was faster with one of the source references; the next try finds its lot.
        return Err(BatchError::Raced("lots"));
    }
    for sku in &changes.opened {
        sqlx::query!("UPDATE stock SET opened_at = $3 WHERE pool_id = $1 AND sku_id = $2", pool.0, sku.0, now,)
            .execute(&mut *conn)
            .await?;
    }
    for (lot, units) in &changes.written_off {
        let left = sqlx::query_scalar!(
            r#"
            UPDATE lots SET remaining_quantity = remaining_quantity - $3
            WHERE pool_id = $1 AND lot_id = $2
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
                client_id, recorded_at, quarantined_delta
            )
            SELECT l.pool_id, l.lot_id, t.seq + 1, 'opening_count', NULL, -$3::bigint, $4, l.unit_cost, 'opening count',
                l.client_id, $5, 0
            FROM lots AS l
            JOIN lot_transactions AS t ON t.pool_id = l.pool_id AND t.lot_id = l.lot_id
            WHERE l.pool_id = $1 AND l.lot_id = $2
            ORDER BY t.seq DESC
            LIMIT 1
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

/// Inserts lots, each with the transaction of its arrival, and answers which: a source reference that stands is left as
/// it is.
pub(super) async fn insert(conn: &mut PgConnection, pool: PoolId, lots: &[LotRecord]) -> sqlx::Result<HashSet<Uuid>> {
    if lots.is_empty() {
        return Ok(HashSet::new());
    }
    let all = || lots.iter();
    let inserted: HashSet<Uuid> = sqlx::query_scalar!(
        r#"
        INSERT INTO lots (
            pool_id, quarantined_quantity, cost_provisional, lot_id, sku_id, lot_code, origin, status,
            received_quantity, remaining_quantity, unit_cost, currency, received_date, expires_date, source, source_ref,
            client_id, recorded_at
        )
        SELECT $1, 0, false, lot_id, sku_id, lot_code, origin, status, quantity, quantity, unit_cost, currency,
            received_date, expires_date, source, source_ref, client_id, recorded_at
        FROM unnest(
            $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::numeric[], $9::text[],
            $10::date[], $11::date[], $12::text[], $13::text[], $14::bigint[], $15::timestamptz[]
        ) AS u (
            lot_id, sku_id, lot_code, origin, status, quantity, unit_cost, currency, received_date, expires_date,
            source, source_ref, client_id, recorded_at
        )
        ON CONFLICT (pool_id, source, source_ref) WHERE source_ref IS NOT NULL DO NOTHING
        RETURNING lot_id
        "#,
        pool.0,
        &all().map(|lot| lot.id.uuid).collect::<Vec<_>>(),
        &all().map(|lot| lot.sku.0).collect::<Vec<_>>(),
        &all().map(|lot| &*lot.received.lot_code).collect::<Vec<_>>() as &[&str],
        &all().map(|lot| &*lot.origin).collect::<Vec<_>>() as &[&str],
        &all().map(|lot| &*lot.status).collect::<Vec<_>>() as &[&str],
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
    let arrived: Vec<&LotRecord> = all().filter(|lot| inserted.contains(&lot.id.uuid)).collect();
    insert_arrivals(conn, pool, &arrived).await?;
    Ok(inserted)
}

async fn insert_arrivals(conn: &mut PgConnection, pool: PoolId, lots: &[&LotRecord]) -> sqlx::Result<()> {
    let all = || lots.iter();
    sqlx::query!(
        r#"
        INSERT INTO lot_transactions (
            pool_id, seq, row_source, quarantined_delta, lot_id, source_ref_id, quantity_delta, remaining_after,
            unit_cost, client_id, recorded_at
        )
        SELECT $1, 1, 'receipt', 0, lot_id, source_ref, quantity, quantity, unit_cost, client_id, recorded_at
        FROM unnest($2::uuid[], $3::text[], $4::bigint[], $5::numeric[], $6::bigint[], $7::timestamptz[])
            AS u (lot_id, source_ref, quantity, unit_cost, client_id, recorded_at)
        "#,
        pool.0,
        &all().map(|lot| lot.id.uuid).collect::<Vec<_>>(),
        &all().map(|lot| lot.received.source_ref.as_deref()).collect::<Vec<_>>() as &[Option<&str>],
        &all().map(|lot| lot.received.quantity).collect::<Vec<_>>(),
        &all().map(|lot| lot.received.unit_cost).collect::<Vec<_>>(),
        &all().map(|lot| lot.client.0).collect::<Vec<_>>(),
        &all().map(|lot| lot.recorded_at).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    Ok(())
}
