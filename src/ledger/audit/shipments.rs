//! Shipment lines: what the shelf gave, what lots gave, what is open of either, what came back. What was taken from each
//! lot is checked with the [lots](super::lots).
//!
//! Everything that names a line is summed over the same range of shipments and joined from both sides, so that what
//! names a line that is not there is found, too.

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
        let mut found = compare_lines(&mut tx, pool, &range).await?;
        found.extend(compare_open(&mut tx, pool, &range).await?);
        found.extend(compare_ledger(&mut tx, pool, &range).await?);
        report.count("shipment_lines", count_lines(&mut tx, pool, &range).await?);
        tx.commit().await?;
        report.add(Some(pool), found)?;
    }
    Ok(())
}

async fn find_end(conn: &mut PgConnection, pool: PoolId, from: Uuid, size: i64) -> sqlx::Result<Option<End<Uuid>>> {
    sqlx::query_as!(
        End,
        r#"
        SELECT shipment_id AS key, row_number() OVER (ORDER BY shipment_id) AS "rows!"
        FROM (
            SELECT shipment_id
            FROM shipments
            WHERE pool_id = $1 AND shipment_id >= $2
            ORDER BY shipment_id
            LIMIT $3
        ) AS page
        ORDER BY shipment_id DESC
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
        r#"SELECT count(*) AS "count!" FROM shipment_lines WHERE pool_id = $1 AND shipment_id BETWEEN $2 AND $3"#,
        pool.0,
        range.from,
        range.to,
    )
    .fetch_one(conn)
    .await
}

#[allow(clippy::too_many_lines, reason = "one statement, so that both sides are of one snapshot")]
pub(super) async fn compare_lines(
    conn: &mut PgConnection,
    pool: PoolId,
    range: &Range<Uuid>,
) -> sqlx::Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"
        SELECT
            v.name AS "check!",
            format('shipment %s line %s', shipment_id, line_ref) AS "subject!",
            v.detail AS "detail!"
        FROM (
            SELECT * FROM shipment_lines WHERE pool_id = $1 AND shipment_id BETWEEN $2 AND $3
        ) AS l
        FULL JOIN (
            SELECT
                shipment_id,
                line_ref,
                count(*) AS rows,
                min(n) AS first,
                max(n) AS last,
                count(DISTINCT sku_id) AS skus,
                min(sku_id) AS sku_id,
                sum(quantity) AS units,
                min(cost_date) FILTER (WHERE kind = 'snapshot') AS first_day,
                max(cost_date) FILTER (WHERE kind = 'snapshot') AS last_day
            FROM depletions
            WHERE pool_id = $1 AND shipment_id BETWEEN $2 AND $3
            GROUP BY shipment_id, line_ref
        ) AS d USING (shipment_id, line_ref)
        FULL JOIN (
            SELECT shipment_id, line_ref, sum(quantity) AS units
            FROM fulfilments
            WHERE pool_id = $1 AND shipment_id BETWEEN $2 AND $3
            GROUP BY shipment_id, line_ref
        ) AS f USING (shipment_id, line_ref)
        FULL JOIN (
            SELECT shipment_id, shipment_line_ref AS line_ref, sum(quantity) AS units
            FROM return_lots
            WHERE pool_id = $1 AND shipment_id BETWEEN $2 AND $3
            GROUP BY shipment_id, shipment_line_ref
        ) AS r USING (shipment_id, line_ref)
        LEFT JOIN LATERAL (
            SELECT shipment_id AS id FROM shipments WHERE pool_id = $1 AND shipment_id = l.shipment_id LIMIT 1
        ) AS h ON true
        LEFT JOIN LATERAL (SELECT sku_id AS id FROM skus WHERE sku_id = l.sku_id LIMIT 1) AS k ON true
        LEFT JOIN LATERAL (
            SELECT sku_id FROM lots WHERE pool_id = $1 AND lot_id = l.lot_id LIMIT 1
        ) AS t ON true
        LEFT JOIN LATERAL (
            SELECT
                sum(quantity) FILTER (
                    WHERE kind = 'snapshot' AND cost_date IS DISTINCT FROM l.snapshot_date
                ) AS strayed,
                -sum(quantity) FILTER (WHERE kind IN ('reversal', 'correction') AND quantity < 0) AS put_back
            FROM depletions
            -- Looked up only for lines that say one day and were depleted on another: there should be none.
            WHERE pool_id = $1 AND shipment_id = l.shipment_id AND line_ref = l.line_ref
                AND (d.first_day IS DISTINCT FROM l.snapshot_date OR d.last_day IS DISTINCT FROM l.snapshot_date)
        ) AS s ON true
        CROSS JOIN LATERAL (
            SELECT 'shipment_references_exist' AS name, CASE
                WHEN l.pool_id IS NULL THEN 'no such line'
                WHEN h.id IS NULL THEN 'no such shipment'
                WHEN k.id IS NULL THEN format('no sku %s', l.sku_id)
                WHEN l.lot_id IS NOT NULL AND t.sku_id IS NULL THEN format('no lot %s', l.lot_id)
                WHEN t.sku_id <> l.sku_id THEN format('of sku %s, lot %s of sku %s', l.sku_id, l.lot_id, t.sku_id)
                WHEN d.skus > 1 OR d.sku_id <> l.sku_id
                    THEN format('of sku %s, depleted of sku %s', l.sku_id, d.sku_id)
            END AS detail
            UNION ALL
            SELECT 'shipment_lines_in_bounds', CASE
                WHEN l.quantity <= 0
                    OR l.covered_quantity NOT BETWEEN 0 AND l.quantity
                    OR l.fulfilled_quantity NOT BETWEEN 0 AND l.quantity
                    OR l.depleted_quantity NOT BETWEEN 0 AND l.covered_quantity
                    OR l.returned_quantity NOT BETWEEN 0 AND l.quantity
                    OR l.depleted_quantity > 0 AND l.snapshot_date IS NULL
                    OR l.covered_quantity > 0 AND NOT l.tracked
                    THEN format(
                        'quantity %s, covered %s, fulfilled %s, depleted %s on %s, returned %s',
                        l.quantity, l.covered_quantity, l.fulfilled_quantity, l.depleted_quantity,
                        coalesce(l.snapshot_date::text, 'no day'), l.returned_quantity
                    )
            END
            UNION ALL
            SELECT 'depletions_sum_to_lines', CASE
                WHEN coalesce(d.units, 0) <> CASE WHEN l.voided_at IS NULL THEN l.depleted_quantity ELSE 0 END
                    THEN format(
                        'depleted %s%s, depletions %s',
                        l.depleted_quantity, CASE WHEN l.voided_at IS NOT NULL THEN ' and voided' END,
                        coalesce(d.units, 0)
                    )
            END
            UNION ALL
            SELECT 'depletions_numbered', CASE
                WHEN d.first <> 1 OR d.last <> d.rows
                    THEN format('%s rows, numbered %s to %s', d.rows, d.first, d.last)
            END
            UNION ALL
            SELECT 'line_depletes_on_one_day', CASE
                WHEN s.strayed > coalesce(s.put_back, 0)
                    THEN format(
                        'of %s, but %s units depleted by the snapshot of another day',
                        coalesce(l.snapshot_date::text, 'no day'), s.strayed - coalesce(s.put_back, 0)
                    )
            END
            UNION ALL
            SELECT 'fulfilments_add_up', CASE
                WHEN l.voided_at IS NULL AND coalesce(f.units, 0) <> l.fulfilled_quantity
                    THEN format('fulfilled %s, fulfilments %s', l.fulfilled_quantity, coalesce(f.units, 0))
            END
            UNION ALL
            SELECT 'returns_add_up', CASE
                WHEN coalesce(r.units, 0) <> l.returned_quantity
                    THEN format('returned %s, returns %s', l.returned_quantity, coalesce(r.units, 0))
            END
        ) AS v
        WHERE v.detail IS NOT NULL
        ORDER BY shipment_id, line_ref
        "#,
        pool.0,
        range.from,
        range.to,
    )
    .fetch_all(conn)
    .await
}

/// What the shelf and the lots could not cover: open until it is settled, and never silently gone.
pub(super) async fn compare_open(
    conn: &mut PgConnection,
    pool: PoolId,
    range: &Range<Uuid>,
) -> sqlx::Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"
        SELECT
            v.name AS "check!",
            format('shipment %s line %s', shipment_id, line_ref) AS "subject!",
            v.detail AS "detail!"
        FROM (
            SELECT
                shipment_id,
                line_ref,
                sku_id,
                CASE WHEN voided_at IS NULL AND tracked THEN quantity - covered_quantity ELSE 0 END AS uncovered,
                CASE
                    WHEN voided_at IS NULL AND tracked AND snapshot_date IS NOT NULL
                        THEN quantity - depleted_quantity
                    ELSE 0
                END AS undepleted
            FROM shipment_lines
            WHERE pool_id = $1 AND shipment_id BETWEEN $2 AND $3
        ) AS l
        FULL JOIN (
            SELECT * FROM discrepancies WHERE pool_id = $1 AND shipment_id BETWEEN $2 AND $3
        ) AS d USING (shipment_id, line_ref)
        FULL JOIN (
            SELECT * FROM lot_shortages WHERE pool_id = $1 AND shipment_id BETWEEN $2 AND $3
        ) AS o USING (shipment_id, line_ref)
        CROSS JOIN LATERAL (
            SELECT 'shipment_references_exist' AS name, CASE
                WHEN l.sku_id IS NULL THEN 'no such line'
                WHEN d.sku_id <> l.sku_id THEN format('of sku %s, its discrepancy of sku %s', l.sku_id, d.sku_id)
                WHEN o.sku_id <> l.sku_id THEN format('of sku %s, its shortage of sku %s', l.sku_id, o.sku_id)
            END AS detail
            UNION ALL
            SELECT 'discrepancies_in_bounds', CASE
                WHEN d.quantity <= 0 OR least(d.settled_quantity, d.voided_quantity) < 0
                    OR d.settled_quantity + d.voided_quantity > d.quantity
                    OR (d.settled_quantity + d.voided_quantity = d.quantity) <> (d.closed_at IS NOT NULL)
                    THEN format(
                        'quantity %s, settled %s, voided %s, closed %s',
                        d.quantity, d.settled_quantity, d.voided_quantity, coalesce(d.closed_at::text, 'never')
                    )
            END
            UNION ALL
            SELECT 'discrepancies_add_up', CASE
                WHEN coalesce(d.quantity - d.settled_quantity - d.voided_quantity, 0) <> l.uncovered
                    THEN format(
                        '%s units beyond the shelf, open discrepancy %s',
                        l.uncovered, coalesce(d.quantity - d.settled_quantity - d.voided_quantity, 0)
                    )
            END
            UNION ALL
            SELECT 'shortages_in_bounds', CASE
                WHEN o.quantity <= 0 OR least(o.settled_quantity, o.voided_quantity) < 0
                    OR o.settled_quantity + o.voided_quantity > o.quantity
                    OR (o.settled_quantity + o.voided_quantity = o.quantity) <> (o.closed_at IS NOT NULL)
                    THEN format(
                        'quantity %s, settled %s, voided %s, closed %s',
                        o.quantity, o.settled_quantity, o.voided_quantity, coalesce(o.closed_at::text, 'never')
                    )
            END
            UNION ALL
            SELECT 'shortages_add_up', CASE
                WHEN coalesce(o.quantity - o.settled_quantity - o.voided_quantity, 0) <> l.undepleted
                    THEN format(
                        '%s units without a lot, open shortage %s',
                        l.undepleted, coalesce(o.quantity - o.settled_quantity - o.voided_quantity, 0)
                    )
            END
        ) AS v
        WHERE v.detail IS NOT NULL
        ORDER BY shipment_id, line_ref
        "#,
        pool.0,
        range.from,
        range.to,
    )
    .fetch_all(conn)
    .await
}

/// What a shipment took from the shelf of each SKU, settled later or gave back included, is what its lines cover.
pub(super) async fn compare_ledger(
    conn: &mut PgConnection,
    pool: PoolId,
    range: &Range<Uuid>,
) -> sqlx::Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"
        SELECT
            'shipment_matches_ledger' AS "check!",
            format('shipment %s sku %s', shipment_id, sku_id) AS "subject!",
            format(
                'lines took %s from the shelf and %s from orders, the ledger %s and %s',
                coalesce(l.covered, 0), coalesce(l.fulfilled, 0), coalesce(e.covered, 0), coalesce(e.fulfilled, 0)
            ) AS "detail!"
        FROM (
            SELECT
                shipment_id,
                sku_id,
                sum(covered_quantity) FILTER (WHERE voided_at IS NULL) AS covered,
                sum(fulfilled_quantity) AS fulfilled,
                bool_or(voided_at IS NOT NULL) AS voided
            FROM shipment_lines
            WHERE pool_id = $1 AND shipment_id BETWEEN $2 AND $3 AND tracked
            GROUP BY shipment_id, sku_id
        ) AS l
        FULL JOIN (
            SELECT shipment_id, sku_id, -sum(on_hand_delta) AS covered, -sum(committed_delta) AS fulfilled
            FROM stock_entries
            WHERE pool_id = $1 AND shipment_id BETWEEN $2 AND $3 AND shipment_id IS NOT NULL
            GROUP BY shipment_id, sku_id
        ) AS e USING (shipment_id, sku_id)
        WHERE coalesce(l.covered, 0) <> coalesce(e.covered, 0)
            -- A void gives back what the orders can still take; the rest is claimed anew, under the reservation.
            OR l.voided IS NOT TRUE AND coalesce(l.fulfilled, 0) <> coalesce(e.fulfilled, 0)
        ORDER BY shipment_id, sku_id
        "#,
        pool.0,
        range.from,
        range.to,
    )
    .fetch_all(conn)
    .await
}
