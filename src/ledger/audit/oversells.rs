//! Oversells one by one; that they sum up to what the balances say is checked with the [balances](super::balances).

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
        report.count("oversells", end.as_ref().map_or(0, |end| end.rows));
        let range = pages.range(from, end);
        let found = compare(&mut tx, pool, &range).await?;
        tx.commit().await?;
        report.add(Some(pool), found)?;
    }
    Ok(())
}

async fn find_end(conn: &mut PgConnection, pool: PoolId, from: Uuid, size: i64) -> sqlx::Result<Option<End<Uuid>>> {
    sqlx::query_as!(
        End,
        r#"
        SELECT oversell_id AS key, row_number() OVER (ORDER BY oversell_id) AS "rows!"
        FROM (
            SELECT oversell_id
            FROM oversells
            WHERE pool_id = $1 AND oversell_id >= $2
            ORDER BY oversell_id
            LIMIT $3
        ) AS page
        ORDER BY oversell_id DESC
        LIMIT 1
        "#,
        pool.0,
        from,
        size,
    )
    .fetch_optional(conn)
    .await
}

async fn compare(conn: &mut PgConnection, pool: PoolId, range: &Range<Uuid>) -> sqlx::Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"
        SELECT v.name AS "check!", format('oversell %s', o.oversell_id) AS "subject!", v.detail AS "detail!"
        FROM oversells AS o
        LEFT JOIN LATERAL (
            SELECT sku_id FROM stock WHERE pool_id = $1 AND sku_id = o.sku_id LIMIT 1
        ) AS s ON true
        LEFT JOIN LATERAL (
            SELECT line, sku_id
            FROM reservation_lines
            WHERE pool_id = $1 AND reservation_id = o.reservation_id AND line = o.line
            LIMIT 1
        ) AS l ON true
        CROSS JOIN LATERAL (
            SELECT 'oversells_in_bounds' AS name, CASE
                WHEN o.quantity <= 0
                    OR o.resolved_quantity NOT BETWEEN 0 AND o.quantity
                    OR (o.resolved_quantity = o.quantity) <> (o.resolved_at IS NOT NULL)
                    THEN format(
                        'quantity %s, resolved %s, at %s',
                        o.quantity, o.resolved_quantity, coalesce(o.resolved_at::text, 'never')
                    )
            END AS detail
            UNION ALL
            SELECT 'oversell_references_exist', CASE
                WHEN s.sku_id IS NULL THEN format('no balance row of sku %s', o.sku_id)
                WHEN (o.reservation_id IS NULL) <> (o.line IS NULL)
                    OR o.reservation_id IS NOT NULL AND l.line IS NULL
                    THEN format('no reservation %s line %s', o.reservation_id, o.line)
                WHEN l.sku_id <> o.sku_id
                    THEN format('of sku %s, its line claims sku %s', o.sku_id, l.sku_id)
            END
        ) AS v
        WHERE o.pool_id = $1 AND o.oversell_id BETWEEN $2 AND $3 AND v.detail IS NOT NULL
        ORDER BY o.oversell_id
        "#,
        pool.0,
        range.from,
        range.to,
    )
    .fetch_all(conn)
    .await
}
