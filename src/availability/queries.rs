//! Reading balances into the projection.

use std::time::Instant;

use chrono::NaiveDate;
use sqlx::PgPool;

use super::projection::{Projection, Read};
use crate::clock::Clock;
use crate::ids::{PoolId, SkuId};
use crate::ledger::balance::Balance;

/// Reads the balances of `skus` in one pool; SKUs without a row are known to be zero. Tells which of them have lots
/// that are past their expiry by `today` and still counted as for sale.
///
/// # Errors
/// Database errors; what was known stays known.
pub async fn refresh(
    db: &PgPool,
    clock: &Clock,
    projection: &Projection,
    pool: PoolId,
    skus: &[i64],
    today: NaiveDate,
) -> sqlx::Result<Vec<SkuId>> {
    let begun = Instant::now();
    let offset = clock.offset_seconds();
    let rows = sqlx::query!(
        r#"
        SELECT
            u.sku_id AS "sku_id!",
            clock_timestamp() AS "now!",
            COALESCE(s.on_hand, 0) AS "on_hand!",
            COALESCE(s.quarantined, 0) AS "quarantined!",
            COALESCE(s.held, 0) AS "held!",
            COALESCE(s.committed, 0) AS "committed!",
            COALESCE(s.seq, 0) AS "seq!",
            s.opened_at AS "opened_at?",
            COALESCE(s.next_expires_date <= $4, false) AS "expiring!",
            CASE WHEN s.held > 0 THEN (
                SELECT COALESCE(sum(l.held_quantity), 0)
                FROM reservation_lines AS l
                WHERE l.pool_id = $1
                    AND l.sku_id = u.sku_id
                    AND l.held_quantity > 0
                    AND l.tracked
                    AND l.expires_at <= clock_timestamp() + make_interval(secs => $3)
            ) ELSE 0 END AS "lapsed!"
        FROM unnest($2::bigint[]) AS u (sku_id)
        LEFT JOIN LATERAL (SELECT * FROM stock WHERE pool_id = $1 AND sku_id = u.sku_id LIMIT 1) AS s ON true
        "#,
        pool.0,
        skus,
        offset,
        today,
    )
    .fetch_all(db)
    .await?;
    let mut expiring = Vec::new();
    for row in rows {
        if row.expiring {
            expiring.push(SkuId(row.sku_id));
        }
        let balance = Balance {
            on_hand: row.on_hand,
            quarantined: row.quarantined,
            held: row.held,
            committed: row.committed,
            seq: row.seq,
        };
        let read = Read { balance, lapsed: row.lapsed, opened_at: row.opened_at, as_of: clock.at(row.now) };
        projection.read(pool, SkuId(row.sku_id), read, begun);
    }
    Ok(expiring)
}

/// Reads every balance of one pool, in pages: the projection at start.
///
/// # Errors
/// Database errors.
pub async fn warm_up(db: &PgPool, clock: &Clock, projection: &Projection, pool: PoolId) -> sqlx::Result<()> {
    const PAGE: i64 = 5000;
    let mut after = 0;
    loop {
        let skus = sqlx::query_scalar!(
            "SELECT sku_id FROM stock WHERE pool_id = $1 AND sku_id > $2 ORDER BY sku_id LIMIT $3",
            pool.0,
            after,
            PAGE,
        )
        .fetch_all(db)
        .await?;
        let Some(last) = skus.last() else { return Ok(()) };
        after = *last;
        // What expires is seen to when it is first asked for.
        refresh(db, clock, projection, pool, &skus, NaiveDate::default()).await?;
    }
}

/// One ledger row as it is read.
#[derive(Debug)]
pub struct EntryRow {
    /// Number, gapless from 1.
    pub seq: i64,
    /// What happened.
    pub kind: String,
    /// The change.
    pub on_hand_delta: i64,
    /// The change.
    pub quarantined_delta: i64,
    /// The change.
    pub held_delta: i64,
    /// The change.
    pub committed_delta: i64,
    /// The balance after it.
    pub on_hand_after: i64,
    /// The balance after it.
    pub quarantined_after: i64,
    /// The balance after it.
    pub held_after: i64,
    /// The balance after it.
    pub committed_after: i64,
    /// For holds: the policy they were decided under.
    pub safety_stock_quantity: Option<i64>,
    /// For holds: the policy they were decided under.
    pub oversell_tolerance_quantity: Option<i64>,
    /// The reservation.
    pub reservation_id: Option<uuid::Uuid>,
    /// Its line.
    pub line: Option<i16>,
    /// The lot.
    pub lot_id: Option<uuid::Uuid>,
    /// The shipment.
    pub shipment_id: Option<uuid::Uuid>,
    /// Why.
    pub reason: Option<String>,
    /// By whom; absent for the service itself.
    pub client: Option<String>,
    /// When.
    pub recorded_at: chrono::DateTime<chrono::Utc>,
}

/// Ledger rows of one (pool, SKU), newest first.
///
/// # Errors
/// Database errors.
pub async fn list_entries(
    db: &PgPool,
    pool: PoolId,
    sku: SkuId,
    before: Option<i64>,
    limit: i64,
) -> sqlx::Result<Vec<EntryRow>> {
    sqlx::query_as!(
        EntryRow,
        r#"
        SELECT
            e.seq, e.kind, e.on_hand_delta, e.quarantined_delta, e.held_delta, e.committed_delta, e.on_hand_after,
            e.quarantined_after, e.held_after, e.committed_after, e.safety_stock_quantity,
            e.oversell_tolerance_quantity, e.reservation_id, e.line, e.lot_id, e.shipment_id, e.reason, c.name AS "client?",
            e.recorded_at
        FROM stock_entries AS e
        LEFT JOIN clients AS c ON c.client_id = e.client_id
        WHERE e.pool_id = $1 AND e.sku_id = $2 AND ($3::bigint IS NULL OR e.seq < $3)
        ORDER BY e.seq DESC
        LIMIT $4
        "#,
        pool.0,
        sku.0,
        before,
        limit,
    )
    .fetch_all(db)
    .await
}
