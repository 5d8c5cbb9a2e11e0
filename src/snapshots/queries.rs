//! Reading closed days. One pool per query; keyset pages.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgPool;

use crate::ids::{PoolId, SkuId};

/// A day of a pool.
#[derive(Debug)]
pub struct DayRow {
    /// Its date.
    pub snapshot_date: NaiveDate,
    /// Its first instant.
    pub window_start: DateTime<Utc>,
    /// The first instant after it.
    pub window_end: DateTime<Utc>,
    /// The zone that said where it ends.
    pub time_zone: String,
    /// `closing` or `closed`.
    pub status: String,
    /// When somebody began to close it.
    pub begun_at: DateTime<Utc>,
    /// When it was closed.
    pub closed_at: Option<DateTime<Utc>>,
}

/// One SKU on one day.
#[derive(Debug)]
pub struct SkuDayRow {
    /// Which.
    pub sku_id: i64,
    /// Which day.
    pub snapshot_date: NaiveDate,
    /// The balance at the end of the day.
    pub on_hand: i64,
    /// The balance at the end of the day.
    pub quarantined: i64,
    /// The balance at the end of the day.
    pub held: i64,
    /// The balance at the end of the day.
    pub committed: i64,
    /// Shipment lines that the day took.
    pub lines: i64,
    /// Those of them that had shipped before it.
    pub late_lines: i64,
    /// Units of these lines.
    pub shipped_quantity: i64,
    /// Units taken from lots.
    pub depleted_quantity: i64,
    /// Units that no lot covered when the day closed.
    pub shortage_quantity: i64,
}

/// Sums over the SKUs of a day.
#[derive(Debug)]
pub struct DaySums {
    /// SKUs.
    pub skus: i64,
    /// Sum.
    pub on_hand: i64,
    /// Sum.
    pub quarantined: i64,
    /// Sum.
    pub held: i64,
    /// Sum.
    pub committed: i64,
    /// Sum.
    pub lines: i64,
    /// Sum.
    pub late_lines: i64,
    /// Sum.
    pub shipped: i64,
    /// Sum.
    pub depleted: i64,
    /// Sum.
    pub shortage: i64,
}

/// One day.
///
/// # Errors
/// Database errors.
pub async fn find_day(db: &PgPool, pool: PoolId, date: NaiveDate) -> sqlx::Result<Option<DayRow>> {
    sqlx::query_as!(
        DayRow,
        r#"
        SELECT snapshot_date, window_start, window_end, time_zone, status, begun_at, closed_at
        FROM snapshots
        WHERE pool_id = $1 AND snapshot_date = $2
        "#,
        pool.0,
        date,
    )
    .fetch_optional(db)
    .await
}

/// Days of a pool, newest first.
///
/// # Errors
/// Database errors.
pub async fn list_days(db: &PgPool, pool: PoolId, before: Option<NaiveDate>, limit: i64) -> sqlx::Result<Vec<DayRow>> {
    sqlx::query_as!(
        DayRow,
        r#"
        SELECT snapshot_date, window_start, window_end, time_zone, status, begun_at, closed_at
        FROM snapshots
        WHERE pool_id = $1 AND ($2::date IS NULL OR snapshot_date < $2)
        ORDER BY snapshot_date DESC
        LIMIT $3
        "#,
        pool.0,
        before,
        limit,
    )
    .fetch_all(db)
    .await
}

/// Sums over all SKUs of a day that are done.
///
/// # Errors
/// Database errors.
pub async fn sum_day(db: &PgPool, pool: PoolId, date: NaiveDate) -> sqlx::Result<DaySums> {
    sqlx::query_as!(
        DaySums,
        r#"
        SELECT
            count(*) AS "skus!", coalesce(sum(on_hand), 0)::bigint AS "on_hand!",
            coalesce(sum(quarantined), 0)::bigint AS "quarantined!", coalesce(sum(held), 0)::bigint AS "held!",
            coalesce(sum(committed), 0)::bigint AS "committed!", coalesce(sum(lines), 0)::bigint AS "lines!",
            coalesce(sum(late_lines), 0)::bigint AS "late_lines!",
            coalesce(sum(shipped_quantity), 0)::bigint AS "shipped!",
            coalesce(sum(depleted_quantity), 0)::bigint AS "depleted!",
            coalesce(sum(shortage_quantity), 0)::bigint AS "shortage!"
        FROM snapshot_skus
        WHERE pool_id = $1 AND snapshot_date = $2
        "#,
        pool.0,
        date,
    )
    .fetch_one(db)
    .await
}

/// SKUs of a day, by id.
///
/// # Errors
/// Database errors.
pub async fn list_skus(
    db: &PgPool,
    pool: PoolId,
    date: NaiveDate,
    sku: Option<SkuId>,
    after: Option<i64>,
    limit: i64,
) -> sqlx::Result<Vec<SkuDayRow>> {
    sqlx::query_as!(
        SkuDayRow,
        r#"
        SELECT
            sku_id, snapshot_date, on_hand, quarantined, held, committed, lines, late_lines, shipped_quantity,
            depleted_quantity, shortage_quantity
        FROM snapshot_skus
        WHERE pool_id = $1 AND snapshot_date = $2 AND ($3::bigint IS NULL OR sku_id = $3)
            AND ($4::bigint IS NULL OR sku_id > $4)
        ORDER BY sku_id
        LIMIT $5
        "#,
        pool.0,
        date,
        sku.map(|sku| sku.0),
        after,
        limit,
    )
    .fetch_all(db)
    .await
}

/// Days of one SKU, oldest first.
///
/// # Errors
/// Database errors.
pub async fn list_history(
    db: &PgPool,
    pool: PoolId,
    sku: SkuId,
    from: NaiveDate,
    to: NaiveDate,
    limit: i64,
) -> sqlx::Result<Vec<SkuDayRow>> {
    sqlx::query_as!(
        SkuDayRow,
        r#"
        SELECT
            s.sku_id, s.snapshot_date, s.on_hand, s.quarantined, s.held, s.committed, s.lines, s.late_lines,
            s.shipped_quantity, s.depleted_quantity, s.shortage_quantity
        FROM snapshots AS n
        CROSS JOIN LATERAL (
            SELECT *
            FROM snapshot_skus
            WHERE pool_id = $1 AND snapshot_date = n.snapshot_date AND sku_id = $2
            LIMIT 1
        ) AS s
        WHERE n.pool_id = $1 AND n.snapshot_date BETWEEN $3 AND $4
        ORDER BY n.snapshot_date
        LIMIT $5
        "#,
        pool.0,
        sku.0,
        from,
        to,
        limit,
    )
    .fetch_all(db)
    .await
}
