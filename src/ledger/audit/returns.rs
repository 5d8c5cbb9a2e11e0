//! What came back: every unit in a lot of its own. That a shipment line knows how much of it came back is checked with
//! the [shipments](super::shipments).

use sqlx::PgConnection;
use uuid::Uuid;

use super::Options;
use super::pages::{self, End, Pages, Range};
use super::report::{Found, Report};
use crate::ids::PoolId;

pub(super) async fn check(
    conn: &mut PgConnection,
    pool: PoolId,
    options: &Options,
    report: &mut Report,
) -> sqlx::Result<()> {
    let mut pages = Pages::of(options.page);
    while let Some(from) = pages.from() {
        let mut tx = pages::snapshot(conn).await?;
        let end = find_end(&mut tx, pool, from, pages.size()).await?;
        let range = pages.range(from, end);
        let found = compare(&mut tx, pool, &range).await?;
        report.count("return_lines", count_lines(&mut tx, pool, &range).await?);
        tx.commit().await?;
        report.add(Some(pool), found)?;
    }
    Ok(())
}

async fn find_end(conn: &mut PgConnection, pool: PoolId, from: Uuid, size: i64) -> sqlx::Result<Option<End<Uuid>>> {
    sqlx::query_as!(
        End,
        r#"
        SELECT return_id AS key, row_number() OVER (ORDER BY return_id) AS "rows!"
        FROM (
            SELECT return_id
            FROM returns
            WHERE pool_id = $1 AND return_id >= $2
            ORDER BY return_id
            LIMIT $3
        ) AS page
        ORDER BY return_id DESC
        LIMIT 1
        "#,
        pool.0,
        from,
        size,
    )
    .fetch_optional(conn)
    .await
}

async fn count_lines(conn: &mut PgConnection, pool: PoolId, range: &Range<Uuid>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM return_lines WHERE pool_id = $1 AND return_id BETWEEN $2 AND $3"#,
        pool.0,
        range.from,
        range.to,
    )
    .fetch_one(conn)
    .await
}

async fn compare(conn: &mut PgConnection, pool: PoolId, range: &Range<Uuid>) -> sqlx::Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"
        SELECT
            v.name AS "check!",
            format('return %s line %s', return_id, line_ref) AS "subject!",
            v.detail AS "detail!"
        FROM (
            SELECT * FROM return_lines WHERE pool_id = $1 AND return_id BETWEEN $2 AND $3
        ) AS l
        FULL JOIN (
            SELECT
                r.return_id,
                r.line_ref,
                sum(r.quantity) AS units,
                count(*) FILTER (WHERE t.lot_id IS NULL) AS missing,
                count(*) FILTER (WHERE t.origin <> 'return' OR t.received_quantity <> r.quantity) AS others,
                max(t.sku_id) AS sku_id
            FROM return_lots AS r
            LEFT JOIN LATERAL (
                SELECT lot_id, sku_id, origin, received_quantity
                FROM lots
                WHERE pool_id = $1 AND lot_id = r.lot_id
                LIMIT 1
            ) AS t ON true
            WHERE r.pool_id = $1 AND r.return_id BETWEEN $2 AND $3
            GROUP BY r.return_id, r.line_ref
        ) AS t USING (return_id, line_ref)
        LEFT JOIN LATERAL (
            SELECT return_id AS id FROM returns WHERE pool_id = $1 AND return_id = l.return_id LIMIT 1
        ) AS h ON true
        CROSS JOIN LATERAL (
            SELECT 'return_references_exist' AS name, CASE
                WHEN l.pool_id IS NULL THEN 'no such line'
                WHEN h.id IS NULL THEN 'no such return'
                WHEN t.missing > 0 THEN format('%s of its lots do not exist', t.missing)
                WHEN t.others > 0 THEN format('%s of its lots are of another making', t.others)
                WHEN t.sku_id <> l.sku_id THEN format('of sku %s, a lot of sku %s', l.sku_id, t.sku_id)
            END AS detail
            UNION ALL
            SELECT 'return_lots_add_up', CASE
                WHEN coalesce(t.units, 0) <> l.quantity
                    THEN format('%s came back, %s in lots', l.quantity, coalesce(t.units, 0))
            END
        ) AS v
        WHERE v.detail IS NOT NULL
        ORDER BY return_id, line_ref
        "#,
        pool.0,
        range.from,
        range.to,
    )
    .fetch_all(conn)
    .await
}
