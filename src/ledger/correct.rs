//! Writes corrections: what [repair](crate::repair) appends to ledgers that are never edited.
//!
//! Every row that is set here is set together with the ledger row that says so, which carries the reason. What to write
//! is decided elsewhere, under the locks that are taken here. Lock order as everywhere: the newest day (as the close of
//! one does), stock, lines, lots.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::ids::{ClientId, PoolId, SkuId};
use crate::ledger::balance::{Balance, Delta};
use crate::ledger::batch::{BatchError, goods, oversells};
use crate::ledger::world::OversellMove;

mod locks;

pub use locks::{hold_newest_day, lock_line, lock_lots, lock_stock};

/// When what was sold of each of these lots was corrected last, and to which cost: what had left a lot by then left it
/// at this cost.
///
/// # Errors
/// Database errors.
pub async fn find_corrected(
    conn: &mut PgConnection,
    pool: PoolId,
    lots: &[Uuid],
) -> sqlx::Result<HashMap<Uuid, (DateTime<Utc>, Decimal)>> {
    goods::costs::find_corrected(conn, pool, lots).await
}

/// Who corrects, when, and why.
#[derive(Debug, Clone)]
pub struct Author {
    /// By whom.
    pub client: ClientId,
    /// Why; names the finding.
    pub reason: String,
    /// The clock under the locks.
    pub now: DateTime<Utc>,
    /// The day that a movement of lots is booked on.
    pub business_date: NaiveDate,
}

/// Appends a `correct` entry and sets the balance row to what it says; `after.seq` is the number of the entry. What is
/// claimed beyond the shelf afterwards is opened or resolved as oversells.
///
/// # Errors
/// Database errors; a guard's where the balance is an impossible one.
pub async fn balance(
    conn: &mut PgConnection,
    pool: PoolId,
    sku: SkuId,
    delta: Delta,
    after: Balance,
    by: &Author,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO stock_entries (
            pool_id, sku_id, seq, kind, on_hand_delta, quarantined_delta, held_delta, committed_delta, on_hand_after,
            quarantined_after, held_after, committed_after, closes_line, reason, client_id, recorded_at
        )
        VALUES ($1, $2, $3, 'correct', $4, $5, $6, $7, $8, $9, $10, $11, false, $12, $13, $14)
        "#,
        pool.0,
        sku.0,
        after.seq,
        delta.on_hand,
        delta.quarantined,
        delta.held,
        delta.committed,
        after.on_hand,
        after.quarantined,
        after.held,
        after.committed,
        by.reason,
        by.client.0,
        by.now,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        r#"
        UPDATE stock
        SET on_hand = $3, quarantined = $4, held = $5, committed = $6, seq = $7, updated_at = $8
        WHERE pool_id = $1 AND sku_id = $2
        "#,
        pool.0,
        sku.0,
        after.on_hand,
        after.quarantined,
        after.held,
        after.committed,
        after.seq,
        by.now,
    )
    .execute(&mut *conn)
    .await?;
    match_oversells(conn, pool, sku, &after, by).await
}

async fn match_oversells(
    conn: &mut PgConnection,
    pool: PoolId,
    sku: SkuId,
    after: &Balance,
    by: &Author,
) -> sqlx::Result<()> {
    let open = sqlx::query_scalar!(
        r#"
        SELECT coalesce(sum(quantity - resolved_quantity), 0)::bigint AS "open!"
        FROM oversells
        WHERE pool_id = $1 AND sku_id = $2 AND resolved_quantity < quantity
        "#,
        pool.0,
        sku.0,
    )
    .fetch_one(&mut *conn)
    .await?;
    let step = match after.oversold() - open {
        0 => return Ok(()),
        more if more > 0 => OversellMove::Open { sku, line: None, quantity: more },
        less => OversellMove::Resolve { sku, preferred: None, quantity: -less },
    };
    oversells::write(conn, pool, by.now, &[step]).await.map_err(|error| match error {
        BatchError::Contention(error)
        | BatchError::KeyInFlight(error)
        | BatchError::Connection(error)
        | BatchError::Unexpected(error) => error,
        other => sqlx::Error::Protocol(other.to_string()),
    })
}

/// A movement of a lot.
#[derive(Debug, Clone)]
pub struct LotMove {
    /// The lot.
    pub lot: Uuid,
    /// The word in `row_source`.
    pub row_source: &'static str,
    /// The day or the line that it is about.
    pub source_ref: Option<String>,
    /// The shipment that it is about.
    pub shipment: Option<Uuid>,
    /// Units, signed.
    pub quantity: i64,
    /// What they were worth when they left; `None`: what the lot costs now.
    pub value: Option<Decimal>,
}

/// A lot as its ledger has it, and what its row says that no ledger does.
#[derive(Debug, Clone, Copy)]
struct OwnLedger {
    sku: SkuId,
    seq: i32,
    remaining: i64,
    quarantined: i64,
    unit_cost: Decimal,
    is_available: bool,
    expires_date: Option<NaiveDate>,
}

/// Moves a lot and says so in its ledger. A movement of nothing sets what remains, what of it is quarantined and what
/// it costs to what the ledger says. Units that come back to a lot that is off sale are off sale; if the lot was given
/// another cost while they were away, they are worth that from now on, like the rest of it.
///
/// # Errors
/// Database errors; a guard's where more than was received would remain, or less than nothing.
pub async fn lot(conn: &mut PgConnection, pool: PoolId, step: &LotMove, by: &Author) -> sqlx::Result<()> {
    let own = read_lot(conn, pool, step.lot).await?;
    let shelf = read_newest_entry(conn, pool, own.sku).await?;
    let off_sale = match &shelf {
        Some(shelf) if !own.is_available => step.quantity.min(shelf.on_hand - shelf.quarantined).max(0),
        _ => 0,
    };
    let worth = own.unit_cost * Decimal::from(step.quantity);
    let value = step.value.unwrap_or(worth);
    let after = OwnLedger {
        seq: own.seq + 1,
        remaining: own.remaining + step.quantity,
        quarantined: own.quarantined + off_sale,
        ..own
    };
    insert_lot_transaction(conn, pool, step, &after, (off_sale, value), by).await?;
    set_lot(conn, pool, step.lot, &after).await?;
    if value != worth {
        let revalued = OwnLedger { seq: after.seq + 1, ..after };
        let by = Author { reason: format!("{}, revalued while it was away", by.reason), ..by.clone() };
        let nothing =
            LotMove { row_source: "correction", source_ref: None, shipment: None, quantity: 0, ..step.clone() };
        insert_lot_transaction(conn, pool, &nothing, &revalued, (0, worth - value), &by).await?;
    }
    if let Some(shelf) = shelf.filter(|_| off_sale > 0) {
        let delta = Delta { quarantined: off_sale, ..Delta::default() };
        balance(conn, pool, own.sku, delta, shelf.after(delta), by).await?;
    }
    if own.is_available && after.remaining > 0 {
        expect_expiry(conn, pool, own.sku, own.expires_date).await?;
    }
    Ok(())
}

async fn read_lot(conn: &mut PgConnection, pool: PoolId, lot: Uuid) -> sqlx::Result<OwnLedger> {
    let row = sqlx::query!(
        r#"
        SELECT
            t.seq, t.remaining_after, t.unit_cost, l.sku_id, l.status = 'available' AS "is_available!", l.expires_date,
            (
                SELECT coalesce(sum(quarantined_delta), 0) FROM lot_transactions WHERE pool_id = $1 AND lot_id = $2
            )::bigint AS "quarantined!"
        FROM lot_transactions AS t
        JOIN lots AS l ON l.pool_id = t.pool_id AND l.lot_id = t.lot_id
        WHERE t.pool_id = $1 AND t.lot_id = $2
        ORDER BY t.seq DESC
        LIMIT 1
        "#,
        pool.0,
        lot,
    )
    .fetch_one(conn)
    .await?;
    Ok(OwnLedger {
        sku: SkuId(row.sku_id),
        seq: row.seq,
        remaining: row.remaining_after,
        quarantined: row.quarantined,
        unit_cost: row.unit_cost,
        is_available: row.is_available,
        expires_date: row.expires_date,
    })
}

async fn read_newest_entry(conn: &mut PgConnection, pool: PoolId, sku: SkuId) -> sqlx::Result<Option<Balance>> {
    sqlx::query_as!(
        Balance,
        r#"
        SELECT
            on_hand_after AS on_hand, quarantined_after AS quarantined, held_after AS held,
            committed_after AS committed, seq
        FROM stock_entries
        WHERE pool_id = $1 AND sku_id = $2
        ORDER BY seq DESC
        LIMIT 1
        "#,
        pool.0,
        sku.0,
    )
    .fetch_optional(conn)
    .await
}

async fn insert_lot_transaction(
    conn: &mut PgConnection,
    pool: PoolId,
    step: &LotMove,
    after: &OwnLedger,
    (quarantined, value): (i64, Decimal),
    by: &Author,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO lot_transactions (
            pool_id, lot_id, seq, row_source, source_ref_id, shipment_id, quantity_delta, quarantined_delta,
            remaining_after, unit_cost, value_delta, reason, client_id, recorded_at, business_date
        )
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
        "#,
        pool.0,
        step.lot,
        after.seq,
        step.row_source,
        step.source_ref,
        step.shipment,
        step.quantity,
        quarantined,
        after.remaining,
        after.unit_cost,
        value,
        by.reason,
        by.client.0,
        by.now,
        by.business_date,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn set_lot(conn: &mut PgConnection, pool: PoolId, lot: Uuid, after: &OwnLedger) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        UPDATE lots
        SET remaining_quantity = $3, quarantined_quantity = $4, unit_cost = $5
        WHERE pool_id = $1 AND lot_id = $2
        "#,
        pool.0,
        lot,
        after.remaining,
        after.quarantined,
        after.unit_cost,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The shelf of a lot that has units, perhaps again, knows when it expires.
async fn expect_expiry(
    conn: &mut PgConnection,
    pool: PoolId,
    sku: SkuId,
    expires_date: Option<NaiveDate>,
) -> sqlx::Result<()> {
    let Some(date) = expires_date else { return Ok(()) };
    sqlx::query!(
        r#"
        UPDATE stock
        SET next_expires_date = $3
        WHERE pool_id = $1 AND sku_id = $2 AND (next_expires_date IS NULL OR next_expires_date > $3)
        "#,
        pool.0,
        sku.0,
        date,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Units of one lot that a line took, or gave back.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The lot.
    pub lot: Uuid,
    /// Units; negative for those given back.
    pub quantity: i64,
    /// At which cost; `None`: what the lot costs now.
    pub unit_cost: Option<Decimal>,
}

/// Appends depletions of a line, numbered on from its newest, and sets what the line says it took from lots, and on
/// which day if it says none.
///
/// # Errors
/// Database errors.
pub async fn line(
    conn: &mut PgConnection,
    pool: PoolId,
    (shipment, line_ref): (Uuid, &str),
    kind: &'static str,
    taken: &[Taken],
    (depleted, day): (i64, Option<NaiveDate>),
    by: &Author,
) -> sqlx::Result<()> {
    for one in taken {
        sqlx::query!(
            r#"
            INSERT INTO depletions (
                pool_id, shipment_id, line_ref, n, kind, sku_id, lot_id, quantity, unit_cost, cost_date, recorded_at
            )
            SELECT
                $1, $2, $3,
                coalesce((
                    SELECT max(n) FROM depletions WHERE pool_id = $1 AND shipment_id = $2 AND line_ref = $3
                ), 0) + 1,
                $4, sku_id, lot_id, $6, coalesce($7::numeric, unit_cost), $8, $9
            FROM lots
            WHERE pool_id = $1 AND lot_id = $5
            "#,
            pool.0,
            shipment,
            line_ref,
            kind,
            one.lot,
            one.quantity,
            one.unit_cost,
            by.business_date,
            by.now,
        )
        .execute(&mut *conn)
        .await?;
    }
    sqlx::query!(
        r#"
        UPDATE shipment_lines
        SET depleted_quantity = $4, snapshot_date = coalesce(snapshot_date, $5)
        WHERE pool_id = $1 AND shipment_id = $2 AND line_ref = $3
            AND (depleted_quantity <> $4 OR snapshot_date IS NULL AND $5::date IS NOT NULL)
        "#,
        pool.0,
        shipment,
        line_ref,
        depleted,
        day,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Settles units of the shortage of a line.
///
/// # Errors
/// Database errors.
pub async fn shortage(
    conn: &mut PgConnection,
    pool: PoolId,
    (shipment, line_ref): (Uuid, &str),
    quantity: i64,
    by: &Author,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        UPDATE lot_shortages
        SET settled_quantity = settled_quantity + $4,
            closed_at = CASE WHEN settled_quantity + voided_quantity + $4 = quantity THEN $5::timestamptz END
        WHERE pool_id = $1 AND shipment_id = $2 AND line_ref = $3
        "#,
        pool.0,
        shipment,
        line_ref,
        quantity,
        by.now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
