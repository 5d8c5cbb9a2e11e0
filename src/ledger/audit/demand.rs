//! Orders taken elsewhere: a reservation that was made for one belongs to it, and such reservations own no more than the
//! order wants and has not been sent. What a checkout commits beside that is its own; the order's claims follow at its next change.

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
        report.count("order_reservations", end.as_ref().map_or(0, |end| end.rows));
        let range = pages.range(from, end);
        let mut found = find_unowned(&mut tx, pool, &range).await?;
        found.extend(find_beyond(&mut tx, pool, &range).await?);
        tx.commit().await?;
        report.add(Some(pool), found)?;
    }
    Ok(())
}

async fn find_end(conn: &mut PgConnection, pool: PoolId, from: Uuid, size: i64) -> sqlx::Result<Option<End<Uuid>>> {
    sqlx::query_as!(
        End,
        r#"
        SELECT reservation_id AS key, row_number() OVER (ORDER BY reservation_id) AS "rows!"
        FROM (
            SELECT reservation_id
            FROM reservations
            WHERE pool_id = $1 AND reservation_id >= $2 AND origin = 'order'
            ORDER BY reservation_id
            LIMIT $3
        ) AS page
        ORDER BY reservation_id DESC
        LIMIT 1
        "#,
        pool.0,
        from,
        size,
    )
    .fetch_optional(conn)
    .await
}

async fn find_unowned(conn: &mut PgConnection, pool: PoolId, range: &Range<Uuid>) -> sqlx::Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"
        SELECT
            'order_reservations_have_their_order' AS "check!",
            format('reservation %s', r.reservation_id) AS "subject!",
            'made for an order, and the claim of none' AS "detail!"
        FROM (
            SELECT reservation_id
            FROM reservations
            WHERE pool_id = $1 AND reservation_id BETWEEN $2 AND $3 AND origin = 'order'
        ) AS r
        LEFT JOIN LATERAL (
            SELECT order_id
            FROM demand_claims
            WHERE pool_id = $1 AND reservation_id = r.reservation_id
            LIMIT 1
        ) AS c ON true
        WHERE c.order_id IS NULL
        ORDER BY r.reservation_id
        "#,
        pool.0,
        range.from,
        range.to,
    )
    .fetch_all(conn)
    .await
}

/// Orders whose own reservations own more than they want and has not been sent. What was sent for an order are shipments
/// that name it, and those that fulfilled its claims.
async fn find_beyond(conn: &mut PgConnection, pool: PoolId, range: &Range<Uuid>) -> sqlx::Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"
        SELECT
            'orders_claim_once' AS "check!",
            format('reservation %s', r.reservation_id) AS "subject!",
            format(
                'order %s owns %s of sku %s, %s wanted and %s shipped',
                c.order_id, own.units, own.sku_id, wanted.units, shipped.units
            ) AS "detail!"
        FROM (
            SELECT reservation_id
            FROM reservations
            WHERE pool_id = $1 AND reservation_id BETWEEN $2 AND $3 AND origin = 'order'
        ) AS r
        CROSS JOIN LATERAL (
            SELECT source, order_id
            FROM demand_claims
            WHERE pool_id = $1 AND reservation_id = r.reservation_id
            LIMIT 1
        ) AS c
        CROSS JOIN LATERAL (
            SELECT l.sku_id, sum(l.committed_quantity - l.fulfilled_quantity) AS units
            FROM demand_claims AS d
            CROSS JOIN LATERAL (
                SELECT reservation_id
                FROM reservations
                WHERE pool_id = $1 AND reservation_id = d.reservation_id AND origin = 'order'
                LIMIT 1
            ) AS o
            CROSS JOIN LATERAL (
                SELECT sku_id, committed_quantity, fulfilled_quantity
                FROM reservation_lines
                WHERE pool_id = $1 AND reservation_id = o.reservation_id AND tracked
                OFFSET 0
            ) AS l
            WHERE d.pool_id = $1 AND d.source = c.source AND d.order_id = c.order_id
            GROUP BY l.sku_id
        ) AS own
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(quantity), 0) AS units
            FROM demand_lines
            WHERE pool_id = $1 AND source = c.source AND order_id = c.order_id AND sku_id = own.sku_id
        ) AS wanted
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(l.quantity), 0) AS units
            FROM (
                SELECT k.shipment_id
                FROM (
                    SELECT order_ref, order_name
                    FROM demands
                    WHERE pool_id = $1 AND source = c.source AND order_id = c.order_id
                    LIMIT 1
                ) AS n
                CROSS JOIN LATERAL (
                    SELECT shipment_id
                    FROM shipments
                    WHERE pool_id = $1 AND order_ref IN (n.order_ref, n.order_name) AND order_ref IS NOT NULL
                    OFFSET 0
                ) AS k
                UNION
                SELECT f.shipment_id
                FROM demand_claims AS d
                CROSS JOIN LATERAL (
                    SELECT shipment_id
                    FROM fulfilments
                    WHERE pool_id = $1 AND reservation_id = d.reservation_id
                    OFFSET 0
                ) AS f
                WHERE d.pool_id = $1 AND d.source = c.source AND d.order_id = c.order_id
            ) AS s
            CROSS JOIN LATERAL (
                SELECT quantity
                FROM shipment_lines
                WHERE pool_id = $1
                    AND shipment_id = s.shipment_id
                    AND sku_id = own.sku_id
                    AND voided_at IS NULL
                    AND tracked
                OFFSET 0
            ) AS l
        ) AS shipped
        WHERE own.units > greatest(wanted.units - shipped.units, 0)
        ORDER BY r.reservation_id, own.sku_id
        "#,
        pool.0,
        range.from,
        range.to,
    )
    .fetch_all(conn)
    .await
}
