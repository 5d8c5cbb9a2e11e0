//! Reservation lines: their arithmetic, their reservation, and their movements in the ledger.
//!
//! The entries of a line are found through three partial indexes: the one that opened it, the one that closed it, and
//! the ones between. Their predicates are repeated here word for word, or the indexes would not be used.

use sqlx::PgConnection;
use uuid::Uuid;

use super::pages::Range;
use super::report::Found;
use crate::ids::PoolId;

/// Lines of the reservations in `range`.
pub(super) async fn count(conn: &mut PgConnection, pool: PoolId, range: &Range<Uuid>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"
        SELECT count(*) AS "count!"
        FROM reservation_lines
        WHERE pool_id = $1 AND reservation_id BETWEEN $2 AND $3
        "#,
        pool.0,
        range.from,
        range.to,
    )
    .fetch_one(conn)
    .await
}

/// What a line owns is compared with the entries that gave it; what shipped of that, with the shipments that say so. A
/// terminal reservation keeps what it had fulfilled when its shipment is voided: the claim is another one then.
/// An untracked line has no stock to ship from and may be fulfilled by word.
///
/// `granted` is what the line got when it was made. The sums of a line are compared with the ledger only where it was
/// opened as it should, and what closed it only where the ledger itself says that a hold was opened.
#[allow(clippy::too_many_lines, reason = "one statement, so that both sides are of one snapshot")]
pub(super) async fn compare(conn: &mut PgConnection, pool: PoolId, range: &Range<Uuid>) -> sqlx::Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"
        SELECT
            v.name AS "check!",
            format('reservation %s line %s', l.reservation_id, l.line) AS "subject!",
            v.detail AS "detail!"
        FROM (
            SELECT
                *,
                CASE WHEN tracked THEN requested_quantity::bigint - short_quantity ELSE 0 END AS granted,
                CASE WHEN tracked THEN held_quantity ELSE 0 END AS held,
                CASE WHEN tracked THEN committed_quantity ELSE 0 END AS committed,
                CASE WHEN tracked THEN released_quantity ELSE 0 END AS released,
                CASE WHEN tracked THEN expired_quantity ELSE 0 END AS expired,
                CASE WHEN tracked THEN cancelled_quantity ELSE 0 END AS cancelled
            FROM reservation_lines
            WHERE pool_id = $1 AND reservation_id BETWEEN $2 AND $3
        ) AS l
        LEFT JOIN LATERAL (
            SELECT reservation_id, expires_at, state
            FROM reservations
            WHERE pool_id = $1 AND reservation_id = l.reservation_id
            LIMIT 1
        ) AS r ON true
        LEFT JOIN LATERAL (SELECT sku_id FROM skus WHERE sku_id = l.sku_id LIMIT 1) AS k ON true
        LEFT JOIN (
            SELECT
                reservation_id,
                line,
                count(*) FILTER (WHERE kind IN ('hold', 'claim')) AS openings,
                count(*) FILTER (WHERE kind = 'hold') AS holds,
                count(*) FILTER (WHERE closes_line) AS closings,
                sum(held_delta + committed_delta) FILTER (WHERE kind IN ('hold', 'claim')) AS opened,
                sum(held_delta) AS held,
                sum(committed_delta) AS committed,
                -sum(held_delta) FILTER (WHERE kind = 'release') AS released,
                -sum(held_delta) FILTER (WHERE kind = 'expire') AS expired,
                -sum(committed_delta) FILTER (WHERE kind = 'cancel') AS cancelled
            FROM (
                SELECT reservation_id, line, kind, held_delta, committed_delta, closes_line
                FROM stock_entries
                WHERE pool_id = $1 AND reservation_id BETWEEN $2 AND $3 AND kind IN ('hold', 'claim')
                UNION ALL
                SELECT reservation_id, line, kind, held_delta, committed_delta, closes_line
                FROM stock_entries
                WHERE pool_id = $1 AND reservation_id BETWEEN $2 AND $3
                    AND closes_line AND kind NOT IN ('hold', 'claim')
                UNION ALL
                SELECT reservation_id, line, kind, held_delta, committed_delta, closes_line
                FROM stock_entries
                WHERE pool_id = $1 AND reservation_id BETWEEN $2 AND $3
                    AND NOT closes_line AND kind IN ('commit', 'release', 'expire', 'cancel')
            ) AS moves
            GROUP BY reservation_id, line
        ) AS g ON g.reservation_id = l.reservation_id AND g.line = l.line
        LEFT JOIN (
            SELECT
                f.reservation_id,
                f.line,
                sum(f.quantity) AS ever,
                sum(f.quantity) FILTER (WHERE h.stands) AS standing
            FROM fulfilments AS f
            LEFT JOIN LATERAL (
                SELECT voided_at IS NULL AS stands
                FROM shipment_lines
                WHERE pool_id = $1 AND shipment_id = f.shipment_id AND line_ref = f.line_ref
                LIMIT 1
            ) AS h ON true
            WHERE f.pool_id = $1 AND f.reservation_id BETWEEN $2 AND $3
            GROUP BY f.reservation_id, f.line
        ) AS f ON f.reservation_id = l.reservation_id AND f.line = l.line
        CROSS JOIN LATERAL (
            SELECT 'line_arithmetic' AS name, CASE
                WHEN least(
                        l.short_quantity, l.held_quantity, l.committed_quantity, l.released_quantity,
                        l.expired_quantity, l.cancelled_quantity, l.fulfilled_quantity, l.line - 1
                    ) < 0
                    OR l.requested_quantity <= 0
                    OR l.fulfilled_quantity > l.committed_quantity
                    OR l.superseded_quantity NOT BETWEEN 0 AND l.released_quantity
                    OR l.requested_quantity <> l.short_quantity::bigint + l.held_quantity + l.committed_quantity
                        + l.released_quantity + l.expired_quantity + l.cancelled_quantity
                    THEN format(
                        'requested %s; short %s, held %s, committed %s, released %s, expired %s, cancelled %s; '
                        'fulfilled %s, superseded %s',
                        l.requested_quantity, l.short_quantity, l.held_quantity, l.committed_quantity,
                        l.released_quantity, l.expired_quantity, l.cancelled_quantity, l.fulfilled_quantity,
                        l.superseded_quantity
                    )
            END AS detail
            UNION ALL
            SELECT 'line_references_exist', CASE
                WHEN r.reservation_id IS NULL THEN 'no such reservation'
                WHEN k.sku_id IS NULL THEN format('no sku %s', l.sku_id)
            END
            UNION ALL
            SELECT 'line_expiry_matches_reservation', CASE
                WHEN l.expires_at <> r.expires_at
                    THEN format('line expires %s, reservation %s', l.expires_at, r.expires_at)
            END
            UNION ALL
            SELECT 'line_opens_once', CASE
                WHEN coalesce(g.openings, 0) <> (l.granted <> 0)::int
                    THEN format('%s units granted, %s opening entries', l.granted, coalesce(g.openings, 0))
            END
            UNION ALL
            SELECT 'line_closes_once', CASE
                WHEN g.closings > 1 OR g.openings = 1 AND g.closings <> (g.holds = 1 AND g.held = 0)::int
                    THEN format('opened by %s, %s held in the ledger, %s closing entries',
                        CASE g.holds WHEN 0 THEN 'a claim' ELSE 'a hold' END, g.held, g.closings
                    )
            END
            UNION ALL
            SELECT 'line_matches_ledger', CASE
                WHEN coalesce(g.openings, 0) = (l.granted <> 0)::int
                    AND (l.granted, l.held, l.committed, l.released, l.expired, l.cancelled) <> (
                        coalesce(g.opened, 0), coalesce(g.held, 0), coalesce(g.committed, 0),
                        coalesce(g.released, 0), coalesce(g.expired, 0), coalesce(g.cancelled, 0)
                    )
                    THEN format(
                        'line granted %s, held %s, committed %s, released %s, expired %s, cancelled %s; '
                        'ledger %s, %s, %s, %s, %s, %s',
                        l.granted, l.held, l.committed, l.released, l.expired, l.cancelled,
                        coalesce(g.opened, 0), coalesce(g.held, 0), coalesce(g.committed, 0),
                        coalesce(g.released, 0), coalesce(g.expired, 0), coalesce(g.cancelled, 0)
                    )
            END
            UNION ALL
            SELECT 'fulfilled_matches_shipments', CASE
                WHEN l.tracked AND NOT CASE r.state
                    WHEN 'fulfilled'
                        THEN l.fulfilled_quantity BETWEEN coalesce(f.standing, 0) AND coalesce(f.ever, 0)
                    ELSE l.fulfilled_quantity = coalesce(f.standing, 0)
                END
                    THEN format(
                        'fulfilled %s, shipments %s of which %s stand',
                        l.fulfilled_quantity, coalesce(f.ever, 0), coalesce(f.standing, 0)
                    )
            END
        ) AS v
        WHERE v.detail IS NOT NULL
        ORDER BY l.reservation_id, l.line
        "#,
        pool.0,
        range.from,
        range.to,
    )
    .fetch_all(conn)
    .await
}
