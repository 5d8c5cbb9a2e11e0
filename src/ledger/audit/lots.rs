//! Lots and their movements: gapless, each following from the one before, summing up to what remains, what of it is not
//! for sale and what it is worth.
//!
//! A second depletion for one day, which cannot be taken back from an append-only ledger, is accepted once a correction
//! of that lot names the day. What was taken is compared with the [depletions](super::depletions) that say for whom.

use sqlx::PgConnection;
use uuid::Uuid;

use super::pages::{self, End, Pages, Range};
use super::report::{Found, Report};
use super::{Options, depletions, off_sale};
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
        report.count("lots", end.as_ref().map_or(0, |end| end.rows));
        let range = pages.range(from, end);
        let mut found = compare_lots(&mut tx, pool, &range).await?;
        found.extend(compare_transactions(&mut tx, pool, &range).await?);
        found.extend(off_sale::compare(&mut tx, pool, &range).await?);
        found.extend(depletions::compare(&mut tx, pool, &range).await?);
        report.count("depletions", depletions::count(&mut tx, pool, &range).await?);
        report.count("lot_transactions", count_transactions(&mut tx, pool, &range).await?);
        tx.commit().await?;
        report.add(Some(pool), found)?;
    }
    Ok(())
}

async fn find_end(conn: &mut PgConnection, pool: PoolId, from: Uuid, size: i64) -> sqlx::Result<Option<End<Uuid>>> {
    sqlx::query_as!(
        End,
        r#"
        SELECT lot_id AS key, row_number() OVER (ORDER BY lot_id) AS "rows!"
        FROM (
            SELECT lot_id
            FROM lots
            WHERE pool_id = $1 AND lot_id >= $2
            ORDER BY lot_id
            LIMIT $3
        ) AS page
        ORDER BY lot_id DESC
        LIMIT 1
        "#,
        pool.0,
        from,
        size,
    )
    .fetch_optional(conn)
    .await
}

async fn count_transactions(conn: &mut PgConnection, pool: PoolId, range: &Range<Uuid>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"
        SELECT count(*) AS "count!"
        FROM lot_transactions
        WHERE pool_id = $1 AND lot_id BETWEEN $2 AND $3
        "#,
        pool.0,
        range.from,
        range.to,
    )
    .fetch_one(conn)
    .await
}

pub(super) async fn compare_lots(
    conn: &mut PgConnection,
    pool: PoolId,
    range: &Range<Uuid>,
) -> sqlx::Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"
        SELECT v.name AS "check!", format('lot %s', l.lot_id) AS "subject!", v.detail AS "detail!"
        FROM lots AS l
        LEFT JOIN LATERAL (
            SELECT sku_id FROM stock WHERE pool_id = $1 AND sku_id = l.sku_id LIMIT 1
        ) AS s ON true
        LEFT JOIN (
            SELECT
                lot_id,
                sum(quantity_delta) AS units,
                sum(quarantined_delta) AS quarantined_units,
                sum(coalesce(value_delta, quantity_delta * unit_cost)) AS value,
                (array_agg(unit_cost ORDER BY seq DESC))[1] AS unit_cost
            FROM lot_transactions
            WHERE pool_id = $1 AND lot_id BETWEEN $2 AND $3
            GROUP BY lot_id
        ) AS t ON t.lot_id = l.lot_id
        CROSS JOIN LATERAL (
            SELECT 'lots_in_bounds' AS name, CASE
                WHEN l.received_quantity <= 0 OR l.remaining_quantity NOT BETWEEN 0 AND l.received_quantity
                    THEN format('received %s, remaining %s', l.received_quantity, l.remaining_quantity)
                WHEN l.quarantined_quantity NOT BETWEEN 0 AND l.remaining_quantity
                    OR l.status = 'available' AND l.quarantined_quantity <> 0
                    THEN format('%s, remaining %s, quarantined %s',
                        l.status, l.remaining_quantity, l.quarantined_quantity
                    )
            END AS detail
            UNION ALL
            SELECT 'lot_transactions_sum_to_remaining', CASE
                WHEN t.units IS DISTINCT FROM l.remaining_quantity
                    THEN format(
                        'transactions %s, remaining %s', coalesce(t.units::text, 'none'), l.remaining_quantity
                    )
            END
            UNION ALL
            SELECT 'lot_quarantine_adds_up', CASE
                WHEN coalesce(t.quarantined_units, 0) <> l.quarantined_quantity
                    THEN format('transactions %s, quarantined %s', t.quarantined_units, l.quarantined_quantity)
            END
            UNION ALL
            SELECT 'lot_values_add_up', CASE
                WHEN t.unit_cost <> l.unit_cost
                    THEN format('unit cost %s, newest transaction %s', l.unit_cost, t.unit_cost)
                -- So what came in is on hand, was written off, went to another pool or is cost of goods.
                WHEN t.units = l.remaining_quantity AND t.value <> l.remaining_quantity * l.unit_cost
                    THEN format(
                        '%s at %s are not worth %s, to which transactions add up',
                        l.remaining_quantity, l.unit_cost, t.value
                    )
            END
            UNION ALL
            SELECT 'lot_references_exist', CASE
                WHEN s.sku_id IS NULL THEN format('no balance row of sku %s', l.sku_id)
            END
        ) AS v
        WHERE l.pool_id = $1 AND l.lot_id BETWEEN $2 AND $3 AND v.detail IS NOT NULL
        ORDER BY l.lot_id
        "#,
        pool.0,
        range.from,
        range.to,
    )
    .fetch_all(conn)
    .await
}

pub(super) async fn compare_transactions(
    conn: &mut PgConnection,
    pool: PoolId,
    range: &Range<Uuid>,
) -> sqlx::Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"
        SELECT v.name AS "check!", format('lot %s seq %s', t.lot_id, t.seq) AS "subject!", v.detail AS "detail!"
        FROM (
            SELECT
                *,
                -- One act revalues what is left day by day; what was sold is part of it, and is taken out of it again.
                sum(value_delta) FILTER (WHERE is_revalued) OVER run AS run_value,
                first_value(unit_cost) OVER run AS run_cost_before, last_value(unit_cost) OVER run AS run_cost,
                seq = first_value(seq) OVER run + 1 AS is_first_of_run
            FROM (
                SELECT *, count(*) FILTER (WHERE NOT is_revalued) OVER (PARTITION BY lot_id ORDER BY seq) AS run
                FROM (
                    SELECT
                        *,
                        row_source = 'revaluation'
                            OR (row_source = 'correction' AND coalesce(source_ref_id, '') = 'revaluation')
                            AS is_revalued,
                        coalesce(lag(seq) OVER w, 0) AS seq_before,
                        coalesce(lag(remaining_after) OVER w, 0) + quantity_delta AS remaining_due,
                        count(*) FILTER (WHERE row_source = 'snapshot_depletion')
                            OVER (PARTITION BY lot_id, source_ref_id ORDER BY seq) AS depletions,
                        count(*) FILTER (WHERE row_source = 'correction')
                            OVER (PARTITION BY lot_id, source_ref_id) AS corrections,
                        lag(unit_cost) OVER w AS unit_cost_before
                    FROM lot_transactions
                    WHERE pool_id = $1 AND lot_id BETWEEN $2 AND $3
                    WINDOW w AS (PARTITION BY lot_id ORDER BY seq)
                ) AS told
            ) AS runs
            WINDOW run AS (
                PARTITION BY lot_id, run ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
            )
        ) AS t
        LEFT JOIN LATERAL (
            SELECT lot_id, received_quantity FROM lots WHERE pool_id = $1 AND lot_id = t.lot_id LIMIT 1
        ) AS l ON true
        CROSS JOIN LATERAL (
            SELECT 'lot_ledger_gapless' AS name, CASE
                WHEN t.seq <> t.seq_before + 1 THEN format('follows transaction %s', t.seq_before)
            END AS detail
            UNION ALL
            SELECT 'lot_ledger_adds_up', CASE
                WHEN t.seq = t.seq_before + 1 AND t.remaining_after <> t.remaining_due
                    THEN format(
                        'says %s remain; the transaction before and the change make %s',
                        t.remaining_after, t.remaining_due
                    )
            END
            UNION ALL
            SELECT 'lots_in_bounds', CASE
                WHEN t.remaining_after < 0 OR t.remaining_after > l.received_quantity
                    THEN format('received %s, remaining after it %s', l.received_quantity, t.remaining_after)
            END
            UNION ALL
            SELECT 'lots_open_with_what_was_received', CASE
                WHEN t.seq = 1 AND t.quantity_delta <> l.received_quantity
                    THEN format('received %s, first transaction %s', l.received_quantity, t.quantity_delta)
            END
            UNION ALL
            SELECT 'lots_deplete_once_a_day', CASE
                WHEN t.row_source = 'snapshot_depletion' AND t.depletions > 1 AND t.corrections = 0
                    THEN format('depletion %s of day %s', t.depletions, t.source_ref_id)
            END
            UNION ALL
            SELECT 'lot_values_add_up', CASE
                -- What a void or a correction puts back is worth what it was worth when it was taken.
                WHEN t.row_source NOT IN ('void', 'correction', 'revaluation')
                    AND t.value_delta <> t.quantity_delta * t.unit_cost
                    OR t.is_revalued AND t.is_first_of_run
                    AND t.run_value <> t.remaining_after * (t.run_cost - t.run_cost_before)
                    THEN format(
                        'a %s of %s at %s is not worth %s', t.row_source, t.quantity_delta, t.unit_cost, t.value_delta
                    )
                WHEN t.row_source NOT IN ('revaluation', 'correction') AND t.unit_cost <> t.unit_cost_before
                    THEN format('a %s at %s, the lot costs %s', t.row_source, t.unit_cost, t.unit_cost_before)
            END
            UNION ALL
            SELECT 'lot_references_exist', CASE
                WHEN l.lot_id IS NULL THEN 'no such lot'
            END
        ) AS v
        WHERE v.detail IS NOT NULL
        ORDER BY t.lot_id, t.seq
        "#,
        pool.0,
        range.from,
        range.to,
    )
    .fetch_all(conn)
    .await
}
