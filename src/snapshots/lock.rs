//! What a chunk reads under locks: lines first, in the order of their key, then lots, as every writer does.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::CloseError;
use super::chunk::Member;
use super::close::Day;
use crate::ids::PoolId;
use crate::lots::fifo;
use crate::lots::later::find_later;

/// A shipment line under its lock.
#[derive(Debug)]
pub(super) struct LockedLine {
    pub shipment_id: Uuid,
    pub line_ref: String,
    pub sku_id: i64,
    pub quantity: i64,
    pub covered_quantity: i64,
    pub depleted_quantity: i64,
    pub lot_id: Option<Uuid>,
    pub shipped_at: DateTime<Utc>,
    pub shipped_date: NaiveDate,
    pub snapshot_date: Option<NaiveDate>,
    pub voided_at: Option<DateTime<Utc>>,
}

/// What is still short of a line whose day was closed before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Short {
    /// Units neither settled nor voided.
    pub open: i64,
    /// Number of the line's newest depletion.
    pub newest: i16,
}

/// A lot under its lock.
#[derive(Debug)]
pub(super) struct LockedLot {
    pub sku: i64,
    pub lot: fifo::Lot,
    pub unit_cost: Decimal,
}

/// Everything that a chunk decides on.
#[derive(Debug)]
pub(super) struct Locked {
    pub lines: Vec<LockedLine>,
    /// Numbers of depletions that lines of the day have had, and that were put right: by shipment and line.
    pub had: BTreeMap<(Uuid, String), i16>,
    /// By shipment and line.
    pub short: BTreeMap<(Uuid, String), Short>,
    pub lots: Vec<LockedLot>,
}

pub(super) async fn lock(
    conn: &mut PgConnection,
    day: Day,
    members: &[Member],
    look_twice: bool,
) -> Result<Locked, CloseError> {
    let skus: Vec<i64> = members.iter().map(|member| member.sku).collect();
    let with_lines: Vec<i64> = members.iter().filter(|member| member.lines > 0).map(|member| member.sku).collect();
    let keys = find_short_lines(conn, day.pool, &skus).await?;
    let lines = if keys.is_empty() {
        lock_lines_of_day(conn, day, &with_lines).await?
    } else {
        lock_lines_with_short(conn, day, &with_lines, keys).await?
    };
    let settleable =
        |line: &&LockedLine| line.snapshot_date.is_some() && line.covered_quantity > line.depleted_quantity;
    let short = read_short(conn, day.pool, lines.iter().filter(settleable)).await?;
    let had = if look_twice { find_had(conn, day.pool, &lines).await? } else { BTreeMap::new() };
    let wanting: BTreeSet<i64> =
        lines.iter().filter(|line| line.covered_quantity > line.depleted_quantity).map(|line| line.sku_id).collect();
    let lots = lock_lots(conn, day, wanting.into_iter().collect()).await?;
    Ok(Locked { lines, had, short, lots })
}

/// Lines of these SKUs that were short when their day closed and still are.
async fn find_short_lines(
    conn: &mut PgConnection,
    pool: PoolId,
    skus: &[i64],
) -> Result<Vec<(Uuid, String)>, CloseError> {
    let rows = sqlx::query!(
        r#"
        SELECT s.shipment_id, s.line_ref
        FROM unnest($2::bigint[]) AS k (sku_id)
        JOIN lot_shortages AS s ON s.pool_id = $1 AND s.sku_id = k.sku_id
        WHERE s.settled_quantity + s.voided_quantity < s.quantity
        "#,
        pool.0,
        skus,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.shipment_id, row.line_ref)).collect())
}

/// The day's lines, in the order of their key. Of its first part the bytes: they sort as it does, and asked for the
/// plain order the database would rather walk the key's index through the lines of all days than sort these. A row
/// value would do, too, and take several times as long to compare.
async fn lock_lines_of_day(conn: &mut PgConnection, day: Day, skus: &[i64]) -> Result<Vec<LockedLine>, CloseError> {
    if skus.is_empty() {
        return Ok(Vec::new());
    }
    let lines = sqlx::query_as!(
        LockedLine,
        r#"
        SELECT
            shipment_id, line_ref, sku_id, quantity, covered_quantity, depleted_quantity, lot_id, shipped_at,
            shipped_date, snapshot_date, voided_at
        FROM shipment_lines
        WHERE pool_id = $1 AND sku_id = ANY($2) AND shipped_at < $3
            AND snapshot_date IS NULL AND voided_at IS NULL AND tracked
        ORDER BY uuid_send(shipment_id), line_ref
        FOR UPDATE
        "#,
        day.pool.0,
        skus,
        day.window.ends_at,
    )
    .fetch_all(conn)
    .await?;
    Ok(lines)
}

/// The day's lines, and lines that are short, in one statement: so all locks are taken in one order.
async fn lock_lines_with_short(
    conn: &mut PgConnection,
    day: Day,
    skus: &[i64],
    short: Vec<(Uuid, String)>,
) -> Result<Vec<LockedLine>, CloseError> {
    let (shipments, line_refs): (Vec<Uuid>, Vec<String>) = short.into_iter().unzip();
    let mut lines = sqlx::query_as!(
        LockedLine,
        r#"
        SELECT
            l.shipment_id, l.line_ref, l.sku_id, l.quantity, l.covered_quantity, l.depleted_quantity, l.lot_id,
            l.shipped_at, l.shipped_date, l.snapshot_date, l.voided_at
        FROM (
            SELECT u.shipment_id, u.line_ref
            FROM unnest($2::bigint[]) AS k (sku_id)
            CROSS JOIN LATERAL (
                SELECT shipment_id, line_ref
                FROM shipment_lines
                WHERE pool_id = $1 AND sku_id = k.sku_id AND shipped_at < $3
                    AND snapshot_date IS NULL AND voided_at IS NULL AND tracked
                ORDER BY shipped_at
            ) AS u
            UNION ALL
            SELECT * FROM unnest($4::uuid[], $5::text[])
        ) AS k (shipment_id, line_ref)
        JOIN shipment_lines AS l
            ON l.pool_id = $1 AND l.shipment_id = k.shipment_id AND l.line_ref = k.line_ref
        ORDER BY l.shipment_id, l.line_ref
        FOR UPDATE OF l
        "#,
        day.pool.0,
        skus,
        day.window.ends_at,
        &shipments,
        &line_refs,
    )
    .fetch_all(conn)
    .await?;
    // The lock may have waited for who voided it.
    lines.retain(|line| line.voided_at.is_none());
    Ok(lines)
}

/// What is short of lines that are locked: nobody else changes it now.
async fn read_short(
    conn: &mut PgConnection,
    pool: PoolId,
    lines: impl Iterator<Item = &LockedLine>,
) -> Result<BTreeMap<(Uuid, String), Short>, CloseError> {
    let (shipments, line_refs): (Vec<Uuid>, Vec<&str>) =
        lines.map(|line| (line.shipment_id, line.line_ref.as_str())).unzip();
    if shipments.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = sqlx::query!(
        r#"
        SELECT
            s.shipment_id, s.line_ref, s.quantity - s.settled_quantity - s.voided_quantity AS "open!",
            coalesce(d.n, 0::smallint) AS "newest!"
        FROM unnest($2::uuid[], $3::text[]) AS k (shipment_id, line_ref)
        JOIN lot_shortages AS s ON s.pool_id = $1 AND s.shipment_id = k.shipment_id AND s.line_ref = k.line_ref
        LEFT JOIN LATERAL (
            SELECT n
            FROM depletions
            WHERE pool_id = $1 AND shipment_id = k.shipment_id AND line_ref = k.line_ref
            ORDER BY n DESC
            LIMIT 1
        ) AS d ON true
        WHERE s.settled_quantity + s.voided_quantity < s.quantity
        "#,
        pool.0,
        &shipments,
        &line_refs as &[&str],
    )
    .fetch_all(conn)
    .await?;
    let short = |open, newest| Short { open, newest };
    Ok(rows.into_iter().map(|row| ((row.shipment_id, row.line_ref), short(row.open, row.newest))).collect())
}

/// Lines of the day with depletions that come to nothing: written by hand, and corrected since. Theirs are numbered on.
/// Those of a line that do come to something are refused by the key, as ever.
async fn find_had(
    conn: &mut PgConnection,
    pool: PoolId,
    lines: &[LockedLine],
) -> Result<BTreeMap<(Uuid, String), i16>, CloseError> {
    let (shipments, line_refs): (Vec<Uuid>, Vec<&str>) = lines
        .iter()
        .filter(|line| line.snapshot_date.is_none())
        .map(|line| (line.shipment_id, line.line_ref.as_str()))
        .unzip();
    let rows = sqlx::query!(
        r#"
        SELECT k.shipment_id AS "shipment_id!", k.line_ref AS "line_ref!", d.n AS "n!"
        FROM unnest($2::uuid[], $3::text[]) AS k (shipment_id, line_ref)
        CROSS JOIN LATERAL (
            SELECT max(n) AS n, sum(quantity) AS units
            FROM depletions
            WHERE pool_id = $1 AND shipment_id = k.shipment_id AND line_ref = k.line_ref
        ) AS d
        WHERE d.units = 0
        "#,
        pool.0,
        &shipments,
        &line_refs as &[&str],
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| ((row.shipment_id, row.line_ref), row.n)).collect())
}

/// Lots with something left.
async fn lock_lots(conn: &mut PgConnection, day: Day, skus: Vec<i64>) -> Result<Vec<LockedLot>, CloseError> {
    if skus.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query!(
        r#"
        SELECT
            l.lot_id, l.sku_id, l.received_date, l.recorded_at, l.expires_date, l.remaining_quantity,
            l.quarantined_quantity, l.unit_cost
        FROM unnest($2::bigint[]) AS k (sku_id)
        CROSS JOIN LATERAL (
            SELECT lot_id
            FROM lots
            WHERE pool_id = $1 AND sku_id = k.sku_id AND is_open
            ORDER BY received_date, recorded_at, lot_id
        ) AS o
        JOIN lots AS l ON l.pool_id = $1 AND l.lot_id = o.lot_id
        ORDER BY l.lot_id
        FOR UPDATE OF l
        "#,
        day.pool.0,
        &skus,
    )
    .fetch_all(&mut *conn)
    .await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.lot_id).collect();
    let mut later = find_later(conn, day.pool, day.date, &ids).await?;
    let locked = rows.into_iter().map(|row| LockedLot {
        sku: row.sku_id,
        lot: fifo::Lot {
            id: row.lot_id,
            received_date: row.received_date,
            recorded_at: row.recorded_at,
            expires_date: row.expires_date,
            remaining: row.remaining_quantity,
            quarantined: row.quarantined_quantity,
            later: later.remove(&row.lot_id).unwrap_or_default(),
        },
        unit_cost: row.unit_cost,
    });
    Ok(locked.collect())
}

/// The number of the newest movement of each of these lots, which are locked. Most lots of a SKU are not taken from, so
/// this is asked once it is known which are.
pub(super) async fn find_newest(
    conn: &mut PgConnection,
    pool: PoolId,
    lots: &[Uuid],
) -> Result<BTreeMap<Uuid, i32>, CloseError> {
    let newest = sqlx::query!(
        r#"
        SELECT k.lot_id AS "lot_id!", t.seq
        FROM unnest($2::uuid[]) AS k (lot_id)
        CROSS JOIN LATERAL (
            SELECT seq FROM lot_transactions WHERE pool_id = $1 AND lot_id = k.lot_id ORDER BY seq DESC LIMIT 1
        ) AS t
        "#,
        pool.0,
        lots,
    )
    .fetch_all(conn)
    .await?;
    Ok(newest.into_iter().map(|row| (row.lot_id, row.seq)).collect())
}
