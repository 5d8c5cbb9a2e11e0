//! Reservations: the state against the times, the lines and what it names. The lines themselves: [`super::lines`].

use sqlx::PgConnection;
use uuid::Uuid;

use super::pages::{self, End, Pages, Range};
use super::report::{Found, Report};
use super::{Options, lines, variants};
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
        report.count("reservations", end.as_ref().map_or(0, |end| end.rows));
        let range = pages.range(from, end);
        let mut found = compare(&mut tx, pool, &range, options).await?;
        found.extend(lines::compare(&mut tx, pool, &range).await?);
        found.extend(variants::compare(&mut tx, pool, &range).await?);
        report.count("reservation_lines", lines::count(&mut tx, pool, &range).await?);
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
            WHERE pool_id = $1 AND reservation_id >= $2
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

/// The clock is read after the snapshot was taken, so a line that the write path closed as due is due here too.
pub(super) async fn compare(
    conn: &mut PgConnection,
    pool: PoolId,
    range: &Range<Uuid>,
    options: &Options,
) -> sqlx::Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"
        SELECT v.name AS "check!", format('reservation %s', r.reservation_id) AS "subject!", v.detail AS "detail!"
        FROM reservations AS r
        LEFT JOIN (
            SELECT
                reservation_id,
                sum(held_quantity) AS held,
                sum(committed_quantity) AS committed,
                sum(released_quantity) AS released,
                sum(expired_quantity) AS expired,
                sum(cancelled_quantity) AS cancelled,
                sum(fulfilled_quantity) AS fulfilled
            FROM reservation_lines
            WHERE pool_id = $1 AND reservation_id BETWEEN $2 AND $3
            GROUP BY reservation_id
        ) AS l ON l.reservation_id = r.reservation_id
        LEFT JOIN LATERAL (
            SELECT reservation_id FROM reservations WHERE pool_id = $1 AND reservation_id = r.replaces_id LIMIT 1
        ) AS p ON true
        CROSS JOIN LATERAL (
            SELECT 'state_fits_times' AS name, CASE
                WHEN NOT coalesce(
                    r.state IN ('held', 'committed', 'released', 'expired', 'fulfilled', 'cancelled', 'reconciled')
                    AND CASE
                        WHEN r.state IN ('committed', 'fulfilled', 'cancelled', 'reconciled')
                            THEN r.committed_at IS NOT NULL
                        WHEN r.state IN ('released', 'expired') THEN r.committed_at IS NULL
                        ELSE true
                    END
                    AND (r.committed_at IS NULL) = (r.order_ref IS NULL)
                    AND (r.state IN ('held', 'committed')) = (r.closed_at IS NULL)
                    AND (r.closed_at IS NULL) = (r.closed_reason IS NULL)
                    AND r.created_at <= r.expires_at
                    AND r.expires_at <= r.max_expires_at,
                    false
                )
                    THEN format(
                        '%s; created %s, expires %s of %s, committed %s by order %s, closed %s because %s',
                        r.state, r.created_at, r.expires_at, r.max_expires_at,
                        coalesce(r.committed_at::text, 'never'), coalesce(r.order_ref, 'none'),
                        coalesce(r.closed_at::text, 'never'), coalesce(r.closed_reason, 'none')
                    )
            END AS detail
            UNION ALL
            SELECT 'state_fits_quantities', CASE
                WHEN l.reservation_id IS NOT NULL AND NOT CASE r.state
                    WHEN 'held' THEN r.committed_at IS NOT NULL OR (l.committed = 0 AND l.cancelled = 0)
                    WHEN 'committed' THEN l.committed > l.fulfilled
                    WHEN 'fulfilled' THEN l.committed > 0 AND l.committed = l.fulfilled
                    WHEN 'cancelled' THEN l.committed = 0
                    WHEN 'released' THEN l.committed = 0 AND l.cancelled = 0 AND l.released > 0
                    WHEN 'expired' THEN l.committed = 0 AND l.cancelled = 0 AND l.expired > 0
                    ELSE true
                END
                    THEN format(
                        '%s with committed %s, fulfilled %s, released %s, expired %s, cancelled %s',
                        r.state, l.committed, l.fulfilled, l.released, l.expired, l.cancelled
                    )
            END
            UNION ALL
            SELECT 'only_held_reservations_hold_units', CASE
                WHEN r.state <> 'held' AND l.held <> 0 THEN format('%s and holds %s', r.state, l.held)
            END
            UNION ALL
            SELECT 'held_without_units_is_due', CASE
                WHEN r.state = 'held' AND l.held = 0 AND r.expires_at > coalesce($4::timestamptz, clock_timestamp())
                    THEN format('held until %s but holds nothing', r.expires_at)
            END
            UNION ALL
            SELECT 'reservations_have_lines', CASE
                -- Variants that have no stock come to none.
                WHEN l.reservation_id IS NULL AND r.variants IS NULL THEN format('%s without a line', r.state)
            END
            UNION ALL
            SELECT 'reservation_references_exist', CASE
                WHEN (
                    r.origin IN ('supersede', 'extension', 'late_commit', 'void') AND r.replaces_id IS NOT NULL
                    OR r.origin IN ('checkout', 'order') AND r.replaces_id IS NULL
                ) IS NOT TRUE
                    THEN format('made by %s, replaces %s', r.origin, coalesce(r.replaces_id::text, 'none'))
                WHEN r.replaces_id IS NOT NULL AND (p.reservation_id IS NULL OR r.replaces_id = r.reservation_id)
                    THEN format('replaces %s, which is no other reservation', r.replaces_id)
            END
        ) AS v
        WHERE r.pool_id = $1 AND r.reservation_id BETWEEN $2 AND $3 AND v.detail IS NOT NULL
        ORDER BY r.reservation_id
        "#,
        pool.0,
        range.from,
        range.to,
        options.now,
    )
    .fetch_all(conn)
    .await
}
