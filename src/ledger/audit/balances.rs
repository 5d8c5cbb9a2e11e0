//! Balance rows: against their newest entry, the lines that claim them, the open oversells and the lots.
//!
//! Every sum is taken over the same range of SKUs in the same snapshot and joined from both sides, so that claims on a
//! SKU without a balance row are found like any other difference.
//!
//! Lots are depleted once a day, the shelf at once: what lots have beyond the shelf is what was shipped and not yet
//! taken from them. Those lines are reached through what is open, their day or their shortage: that neither is missing
//! is checked with the [shipments](super::shipments).

use sqlx::PgConnection;

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
        report.count("stock", end.as_ref().map_or(0, |end| end.rows));
        let range = pages.range(from, end);
        let found = compare(&mut tx, pool, &range).await?;
        tx.commit().await?;
        report.add(Some(pool), found)?;
    }
    Ok(())
}

pub(super) async fn find_end(
    conn: &mut PgConnection,
    pool: PoolId,
    from: i64,
    size: i64,
) -> sqlx::Result<Option<End<i64>>> {
    sqlx::query_as!(
        End,
        r#"
        SELECT sku_id AS key, row_number() OVER (ORDER BY sku_id) AS "rows!"
        FROM (
            SELECT sku_id
            FROM stock
            WHERE pool_id = $1 AND sku_id >= $2
            ORDER BY sku_id
            LIMIT $3
        ) AS page
        ORDER BY sku_id DESC
        LIMIT 1
        "#,
        pool.0,
        from,
        size,
    )
    .fetch_optional(conn)
    .await
}

#[allow(clippy::too_many_lines, reason = "one statement, so that both sides are of one snapshot")]
pub(super) async fn compare(conn: &mut PgConnection, pool: PoolId, range: &Range<i64>) -> sqlx::Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"
        SELECT v.name AS "check!", format('sku %s', b.sku_id) AS "subject!", v.detail AS "detail!"
        FROM (
            SELECT
                sku_id,
                s.seq IS NOT NULL AS has_row,
                coalesce(s.on_hand, 0) AS on_hand,
                coalesce(s.quarantined, 0) AS quarantined,
                coalesce(s.held, 0) AS held,
                coalesce(s.committed, 0) AS committed,
                coalesce(s.seq, 0) AS seq,
                coalesce(h.units, 0) AS lines_held,
                coalesce(c.units, 0) AS lines_committed,
                coalesce(o.units, 0) AS oversells_open,
                coalesce(l.units, 0) AS lots_remaining,
                coalesce(l.quarantined_units, 0) AS lots_quarantined,
                coalesce(p.units, 0) AS not_depleted
            FROM (
                SELECT sku_id, on_hand, quarantined, held, committed, seq
                FROM stock
                WHERE pool_id = $1 AND sku_id BETWEEN $2 AND $3
            ) AS s
            FULL JOIN (
                SELECT sku_id, sum(held_quantity) AS units
                FROM reservation_lines
                WHERE pool_id = $1 AND sku_id BETWEEN $2 AND $3 AND held_quantity > 0 AND tracked
                GROUP BY sku_id
            ) AS h USING (sku_id)
            FULL JOIN (
                SELECT sku_id, sum(committed_quantity::bigint - fulfilled_quantity) AS units
                FROM reservation_lines
                WHERE pool_id = $1 AND sku_id BETWEEN $2 AND $3 AND committed_quantity > fulfilled_quantity AND tracked
                GROUP BY sku_id
            ) AS c USING (sku_id)
            FULL JOIN (
                SELECT sku_id, sum(quantity - resolved_quantity) AS units
                FROM oversells
                WHERE pool_id = $1 AND sku_id BETWEEN $2 AND $3 AND resolved_quantity < quantity
                GROUP BY sku_id
            ) AS o USING (sku_id)
            FULL JOIN (
                SELECT sku_id, sum(remaining_quantity) AS units, sum(quarantined_quantity) AS quarantined_units
                FROM lots
                WHERE pool_id = $1 AND sku_id BETWEEN $2 AND $3
                GROUP BY sku_id
            ) AS l USING (sku_id)
            FULL JOIN (
                SELECT sku_id, sum(units) AS units
                FROM (
                    SELECT sku_id, covered_quantity - depleted_quantity AS units
                    FROM shipment_lines
                    WHERE pool_id = $1 AND sku_id BETWEEN $2 AND $3
                        AND snapshot_date IS NULL AND voided_at IS NULL AND tracked
                    UNION ALL
                    SELECT o.sku_id, h.units
                    FROM lot_shortages AS o
                    CROSS JOIN LATERAL (
                        SELECT covered_quantity - depleted_quantity AS units
                        FROM shipment_lines
                        WHERE pool_id = $1 AND shipment_id = o.shipment_id AND line_ref = o.line_ref
                            AND snapshot_date IS NOT NULL AND voided_at IS NULL
                        LIMIT 1
                    ) AS h
                    WHERE o.pool_id = $1 AND o.sku_id BETWEEN $2 AND $3
                        AND o.settled_quantity + o.voided_quantity < o.quantity
                ) AS shipped
                GROUP BY sku_id
            ) AS p USING (sku_id)
        ) AS b
        LEFT JOIN LATERAL (
            SELECT on_hand_after, quarantined_after, held_after, committed_after, seq
            FROM stock_entries
            WHERE pool_id = $1 AND sku_id = b.sku_id
            ORDER BY seq DESC
            LIMIT 1
        ) AS e ON true
        CROSS JOIN LATERAL (
            SELECT 'balances_in_bounds' AS name, CASE
                WHEN least(b.on_hand, b.quarantined, b.held, b.committed, b.seq) < 0 OR b.quarantined > b.on_hand
                    THEN format(
                        'on_hand %s, quarantined %s, held %s, committed %s, seq %s',
                        b.on_hand, b.quarantined, b.held, b.committed, b.seq
                    )
            END AS detail
            UNION ALL
            SELECT 'newest_entry_matches_balance', CASE
                WHEN b.has_row AND (b.on_hand, b.quarantined, b.held, b.committed, b.seq) IS DISTINCT FROM (
                    coalesce(e.on_hand_after, 0), coalesce(e.quarantined_after, 0), coalesce(e.held_after, 0),
                    coalesce(e.committed_after, 0), coalesce(e.seq, 0)
                )
                    THEN format(
                        'balance on_hand %s, quarantined %s, held %s, committed %s, seq %s; '
                        'newest entry on_hand %s, quarantined %s, held %s, committed %s, seq %s',
                        b.on_hand, b.quarantined, b.held, b.committed, b.seq,
                        coalesce(e.on_hand_after, 0), coalesce(e.quarantined_after, 0), coalesce(e.held_after, 0),
                        coalesce(e.committed_after, 0), coalesce(e.seq, 0)
                    )
            END
            UNION ALL
            SELECT 'held_matches_lines', CASE
                WHEN b.held <> b.lines_held THEN format('balance %s, lines %s', b.held, b.lines_held)
            END
            UNION ALL
            SELECT 'committed_matches_lines', CASE
                WHEN b.committed <> b.lines_committed
                    THEN format('balance %s, lines %s', b.committed, b.lines_committed)
            END
            UNION ALL
            SELECT 'oversells_add_up', CASE
                WHEN greatest(b.held + b.committed + b.quarantined - b.on_hand, 0) <> b.oversells_open
                    THEN format(
                        'claimed beyond the shelf %s, open oversells %s',
                        greatest(b.held + b.committed + b.quarantined - b.on_hand, 0), b.oversells_open
                    )
            END
            UNION ALL
            SELECT 'lots_match_on_hand', CASE
                WHEN b.on_hand + b.not_depleted <> b.lots_remaining
                    THEN format(
                        'on_hand %s and shipped, not yet depleted %s; lots %s',
                        b.on_hand, b.not_depleted, b.lots_remaining
                    )
            END
            UNION ALL
            SELECT 'quarantined_matches_lots', CASE
                WHEN b.quarantined <> b.lots_quarantined
                    THEN format('balance %s, lots %s', b.quarantined, b.lots_quarantined)
            END
        ) AS v
        WHERE v.detail IS NOT NULL
        ORDER BY b.sku_id
        "#,
        pool.0,
        range.from,
        range.to,
    )
    .fetch_all(conn)
    .await
}
