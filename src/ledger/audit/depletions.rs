//! What was taken from lots, and for whom: the movements of a lot against the depletions that name it.
//!
//! Two comparisons. By day: a snapshot's movement of a lot is the sum of what its lines took from it that day, unless a
//! correction of the lot alone (it names the day and no shipment) says how much of it was not; one that moves nothing
//! says that the difference was put right on another day. Over all days: what left a lot for shipments, and came back
//! from them, is what depletions say.

use sqlx::PgConnection;
use uuid::Uuid;

use super::pages::Range;
use super::report::Found;
use crate::ids::PoolId;

/// Depletions that name the lots in `range`.
pub(super) async fn count(conn: &mut PgConnection, pool: PoolId, range: &Range<Uuid>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM depletions WHERE pool_id = $1 AND lot_id BETWEEN $2 AND $3"#,
        pool.0,
        range.from,
        range.to,
    )
    .fetch_one(conn)
    .await
}

pub(super) async fn compare(conn: &mut PgConnection, pool: PoolId, range: &Range<Uuid>) -> sqlx::Result<Vec<Found>> {
    let mut found = compare_days(conn, pool, range).await?;
    found.extend(compare_lots(conn, pool, range).await?);
    Ok(found)
}

async fn compare_days(conn: &mut PgConnection, pool: PoolId, range: &Range<Uuid>) -> sqlx::Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"
        SELECT
            'depletions_match_days' AS "check!",
            format('lot %s day %s', lot_id, day) AS "subject!",
            format('transactions took %s, depletions %s', coalesce(t.units, 0), coalesce(d.units, 0)) AS "detail!"
        FROM (
            SELECT
                lot_id,
                source_ref_id AS day,
                -sum(quantity_delta) AS units,
                bool_or(row_source = 'correction' AND quantity_delta = 0) AS put_right
            FROM lot_transactions
            WHERE pool_id = $1 AND lot_id BETWEEN $2 AND $3
                AND (
                    row_source = 'snapshot_depletion'
                    OR row_source = 'correction' AND shipment_id IS NULL AND source_ref_id IS NOT NULL
                )
            GROUP BY lot_id, source_ref_id
        ) AS t
        FULL JOIN (
            SELECT lot_id, to_char(cost_date, 'YYYYMMDD') AS day, sum(quantity) AS units
            FROM depletions
            WHERE pool_id = $1 AND lot_id BETWEEN $2 AND $3 AND kind = 'snapshot'
            GROUP BY lot_id, cost_date
        ) AS d USING (lot_id, day)
        WHERE coalesce(t.units, 0) <> coalesce(d.units, 0) AND t.put_right IS NOT TRUE
        ORDER BY lot_id, day
        "#,
        pool.0,
        range.from,
        range.to,
    )
    .fetch_all(conn)
    .await
}

async fn compare_lots(conn: &mut PgConnection, pool: PoolId, range: &Range<Uuid>) -> sqlx::Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"
        SELECT v.name AS "check!", format('lot %s', b.lot_id) AS "subject!", v.detail AS "detail!"
        FROM (
            SELECT lot_id, coalesce(t.units, 0) AS moved, coalesce(d.units, 0) AS depleted, d.skus, d.sku_id
            FROM (
                SELECT lot_id, -sum(quantity_delta) AS units
                FROM lot_transactions
                WHERE pool_id = $1 AND lot_id BETWEEN $2 AND $3
                    AND (
                        row_source IN ('snapshot_depletion', 'shortage_settlement', 'void')
                        OR row_source = 'correction' AND (shipment_id IS NOT NULL OR source_ref_id IS NOT NULL)
                    )
                GROUP BY lot_id
            ) AS t
            FULL JOIN (
                SELECT lot_id, sum(quantity) AS units, count(DISTINCT sku_id) AS skus, min(sku_id) AS sku_id
                FROM depletions
                WHERE pool_id = $1 AND lot_id BETWEEN $2 AND $3
                GROUP BY lot_id
            ) AS d USING (lot_id)
        ) AS b
        LEFT JOIN LATERAL (
            SELECT lot_id, sku_id FROM lots WHERE pool_id = $1 AND lot_id = b.lot_id LIMIT 1
        ) AS l ON true
        CROSS JOIN LATERAL (
            SELECT 'depletions_match_lots' AS name, CASE
                WHEN b.moved <> b.depleted
                    THEN format('transactions took %s, depletions %s', b.moved, b.depleted)
            END AS detail
            UNION ALL
            SELECT 'depletion_references_exist', CASE
                WHEN b.sku_id IS NOT NULL AND l.lot_id IS NULL THEN 'no such lot'
                WHEN b.skus > 1 OR b.sku_id <> l.sku_id
                    THEN format('of sku %s, depleted for sku %s', l.sku_id, b.sku_id)
            END
        ) AS v
        WHERE v.detail IS NOT NULL
        ORDER BY b.lot_id
        "#,
        pool.0,
        range.from,
        range.to,
    )
    .fetch_all(conn)
    .await
}
