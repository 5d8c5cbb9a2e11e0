//! The daily close: days follow each other, every SKU that had stock is in each of them, and what a day says about its
//! lines is what its lines say.

use sqlx::PgConnection;

use super::Options;
use super::pages::{self, Pages, Range};
use super::report::{Found, Report};
use crate::ids::PoolId;

pub(super) async fn check(
    conn: &mut PgConnection,
    pool: PoolId,
    options: &Options,
    report: &mut Report,
) -> sqlx::Result<()> {
    let mut tx = pages::snapshot(conn).await?;
    let mut found = compare_days(&mut tx, pool).await?;
    found.extend(compare_lines(&mut tx, pool).await?);
    report.count("snapshots", count_days(&mut tx, pool).await?);
    tx.commit().await?;
    report.add(Some(pool), found)?;
    let mut pages = Pages::of(options.page);
    while let Some(from) = pages.from() {
        let mut tx = pages::snapshot(conn).await?;
        let end = super::balances::find_end(&mut tx, pool, from, pages.size()).await?;
        let range = pages.range(from, end);
        let found = compare_skus(&mut tx, pool, &range).await?;
        report.count("snapshot_skus", count_skus(&mut tx, pool, &range).await?);
        tx.commit().await?;
        report.add(Some(pool), found)?;
    }
    Ok(())
}

async fn count_days(conn: &mut PgConnection, pool: PoolId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM snapshots WHERE pool_id = $1"#, pool.0)
        .fetch_one(conn)
        .await
}

async fn count_skus(conn: &mut PgConnection, pool: PoolId, range: &Range<i64>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"
        SELECT coalesce(sum(s.skus), 0)::bigint AS "count!"
        FROM snapshots AS n
        CROSS JOIN LATERAL (
            SELECT count(*) AS skus
            FROM snapshot_skus
            WHERE pool_id = $1 AND snapshot_date = n.snapshot_date AND sku_id BETWEEN $2 AND $3
        ) AS s
        WHERE n.pool_id = $1
        "#,
        pool.0,
        range.from,
        range.to,
    )
    .fetch_one(conn)
    .await
}

pub(super) async fn compare_days(conn: &mut PgConnection, pool: PoolId) -> sqlx::Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"
        SELECT
            'snapshots_follow_each_other' AS "check!",
            format('day %s', snapshot_date) AS "subject!",
            detail AS "detail!"
        FROM (
            SELECT
                snapshot_date,
                CASE
                    WHEN window_start >= window_end THEN format('from %s to %s', window_start, window_end)
                    WHEN (status = 'closed') <> (closed_at IS NOT NULL) OR status NOT IN ('closing', 'closed')
                        THEN format('%s, closed %s', status, coalesce(closed_at::text, 'never'))
                    WHEN previous_date IS DISTINCT FROM lag(snapshot_date) OVER w
                        THEN format(
                            'says it follows %s, follows %s',
                            coalesce(previous_date::text, 'none'),
                            coalesce((lag(snapshot_date) OVER w)::text, 'none')
                        )
                    WHEN previous_date <> snapshot_date - 1 THEN format('follows %s', previous_date)
                    WHEN window_start <> lag(window_end) OVER w
                        THEN format('begins at %s, the day before ended at %s', window_start, lag(window_end) OVER w)
                    WHEN status = 'closed' AND lag(status) OVER w <> 'closed'
                        THEN 'closed, but not the day before'
                END AS detail
            FROM snapshots
            WHERE pool_id = $1
            WINDOW w AS (ORDER BY snapshot_date)
        ) AS days
        WHERE detail IS NOT NULL
        ORDER BY snapshot_date
        "#,
        pool.0,
    )
    .fetch_all(conn)
    .await
}

/// One pass each over the lines and the depletions of a pool: neither has an index by SKU and day, which only the audit
/// would read.
pub(super) async fn compare_lines(conn: &mut PgConnection, pool: PoolId) -> sqlx::Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"
        SELECT
            'snapshots_match_lines' AS "check!",
            format('sku %s day %s', sku_id, snapshot_date) AS "subject!",
            format(
                'snapshot: %s lines, %s late, shipped %s, depleted %s; its lines: %s, %s, %s, %s',
                coalesce(s.lines, 0), coalesce(s.late_lines, 0), coalesce(s.shipped_quantity, 0),
                coalesce(s.depleted_quantity, 0), coalesce(l.lines, 0), coalesce(l.late_lines, 0),
                coalesce(l.shipped, 0), coalesce(d.depleted, 0)
            ) AS "detail!"
        FROM (SELECT * FROM snapshot_skus WHERE pool_id = $1) AS s
        FULL JOIN (
            SELECT
                sku_id,
                snapshot_date,
                count(*) AS lines,
                count(*) FILTER (WHERE shipped_date < snapshot_date) AS late_lines,
                sum(quantity) AS shipped
            FROM shipment_lines
            WHERE pool_id = $1 AND snapshot_date IS NOT NULL AND tracked
            GROUP BY sku_id, snapshot_date
        ) AS l USING (sku_id, snapshot_date)
        LEFT JOIN (
            SELECT sku_id, cost_date AS snapshot_date, sum(quantity) AS depleted
            FROM depletions
            WHERE pool_id = $1 AND kind = 'snapshot'
            GROUP BY sku_id, cost_date
        ) AS d USING (sku_id, snapshot_date)
        WHERE (
            coalesce(s.lines, 0), coalesce(s.late_lines, 0), coalesce(s.shipped_quantity, 0)
        ) IS DISTINCT FROM (coalesce(l.lines, 0), coalesce(l.late_lines, 0), coalesce(l.shipped, 0))
            OR coalesce(s.depleted_quantity, 0) > coalesce(d.depleted, 0)
            OR s.depleted_quantity + s.shortage_quantity <> s.shipped_quantity
        ORDER BY snapshot_date, sku_id
        "#,
        pool.0,
    )
    .fetch_all(conn)
    .await
}

/// Whether a pool has at most so many shipment lines.
pub(super) async fn has_few_lines(conn: &mut PgConnection, pool: PoolId, most: i64) -> sqlx::Result<bool> {
    let lines = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM (SELECT FROM shipment_lines WHERE pool_id = $1 LIMIT $2) AS l"#,
        pool.0,
        most + 1,
    )
    .fetch_one(conn)
    .await?;
    Ok(lines <= most)
}

/// A SKU has stock from its first entry on. The minute before a day's end is left out: an entry is dated under its lock
/// and seen when it commits, and a day that closes on the stroke of midnight may not have seen it.
pub(super) async fn compare_skus(
    conn: &mut PgConnection,
    pool: PoolId,
    range: &Range<i64>,
) -> sqlx::Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"
        SELECT
            'snapshots_cover_every_sku' AS "check!",
            format('sku %s', sku_id) AS "subject!",
            format('in %s closed days of %s that it had stock on', coalesce(c.days, 0), d.days) AS "detail!"
        FROM (
            SELECT s.sku_id, count(*) AS days
            FROM stock AS s
            CROSS JOIN LATERAL (
                SELECT recorded_at
                FROM stock_entries
                WHERE pool_id = $1 AND sku_id = s.sku_id
                ORDER BY seq
                LIMIT 1
            ) AS e
            JOIN snapshots AS n ON n.pool_id = $1 AND n.status = 'closed'
                AND least(n.window_end, n.begun_at) > e.recorded_at + interval '1 minute'
            WHERE s.pool_id = $1 AND s.sku_id BETWEEN $2 AND $3
            GROUP BY s.sku_id
        ) AS d
        LEFT JOIN (
            SELECT p.sku_id, count(*) AS days
            FROM snapshots AS n
            CROSS JOIN LATERAL (
                SELECT sku_id
                FROM snapshot_skus
                WHERE pool_id = $1 AND snapshot_date = n.snapshot_date AND sku_id BETWEEN $2 AND $3
                OFFSET 0
            ) AS p
            CROSS JOIN LATERAL (
                SELECT recorded_at
                FROM stock_entries
                WHERE pool_id = $1 AND sku_id = p.sku_id
                ORDER BY seq
                LIMIT 1
            ) AS e
            WHERE n.pool_id = $1 AND n.status = 'closed'
                AND least(n.window_end, n.begun_at) > e.recorded_at + interval '1 minute'
            GROUP BY p.sku_id
        ) AS c USING (sku_id)
        WHERE coalesce(c.days, 0) < d.days
        ORDER BY sku_id
        "#,
        pool.0,
        range.from,
        range.to,
    )
    .fetch_all(conn)
    .await
}
