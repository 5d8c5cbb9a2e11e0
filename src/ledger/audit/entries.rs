//! Ledger entries: gapless, each following from the one before, holds within what was reservable, and all that an
//! entry names exists.
//!
//! A break that a repair named is not found again: the entry stays as it is, and what it broke was put right by a later
//! one. A page also reads the last row of the page before, as the entry that its first one must follow from.

use sqlx::PgConnection;

use super::Options;
use super::pages::{self, End, Key, Pages, Range};
use super::report::{Found, Report};
use crate::ids::PoolId;

pub(super) async fn check(
    conn: &mut PgConnection,
    pool: PoolId,
    options: &Options,
    report: &mut Report,
) -> sqlx::Result<()> {
    let mut pages = Pages::of(options.page);
    let mut before = Key::first();
    while let Some(from) = pages.from() {
        let mut tx = pages::snapshot(conn).await?;
        let end = find_end(&mut tx, pool, from, pages.size()).await?;
        report.count("stock_entries", end.as_ref().map_or(0, |end| end.rows));
        let range = pages.range(from, end);
        let found = compare(&mut tx, pool, before, &range).await?;
        tx.commit().await?;
        report.add(Some(pool), found)?;
        before = range.to;
    }
    Ok(())
}

async fn find_end(
    conn: &mut PgConnection,
    pool: PoolId,
    from: (i64, i64),
    size: i64,
) -> sqlx::Result<Option<End<(i64, i64)>>> {
    let row = sqlx::query!(
        r#"
        SELECT sku_id, seq, row_number() OVER (ORDER BY sku_id, seq) AS "rows!"
        FROM (
            SELECT sku_id, seq
            FROM stock_entries
            WHERE pool_id = $1 AND (sku_id, seq) >= ($2, $3)
            ORDER BY sku_id, seq
            LIMIT $4
        ) AS page
        ORDER BY sku_id DESC, seq DESC
        LIMIT 1
        "#,
        pool.0,
        from.0,
        from.1,
        size,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| End { key: (row.sku_id, row.seq), rows: row.rows }))
}

#[allow(clippy::too_many_lines, reason = "one statement, so that both sides are of one snapshot")]
pub(super) async fn compare(
    conn: &mut PgConnection,
    pool: PoolId,
    before: (i64, i64),
    range: &Range<(i64, i64)>,
) -> sqlx::Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"
        SELECT v.name AS "check!", format('sku %s seq %s', e.sku_id, e.seq) AS "subject!", v.detail AS "detail!"
        FROM (
            SELECT
                *,
                coalesce(lag(seq) OVER w, 0) AS seq_before,
                coalesce(lag(on_hand_after) OVER w, 0) + on_hand_delta AS on_hand_due,
                coalesce(lag(quarantined_after) OVER w, 0) + quarantined_delta AS quarantined_due,
                coalesce(lag(held_after) OVER w, 0) + held_delta AS held_due,
                coalesce(lag(committed_after) OVER w, 0) + committed_delta AS committed_due,
                on_hand_after - quarantined_after - committed_after - held_after
                - safety_stock_quantity + oversell_tolerance_quantity AS reservable_after
            FROM stock_entries
            WHERE pool_id = $1 AND (sku_id, seq) >= ($2, $3) AND (sku_id, seq) <= ($6, $7)
            WINDOW w AS (PARTITION BY sku_id ORDER BY seq)
        ) AS e
        LEFT JOIN LATERAL (
            SELECT sku_id FROM stock WHERE pool_id = $1 AND sku_id = e.sku_id LIMIT 1
        ) AS s ON true
        LEFT JOIN LATERAL (
            SELECT line, sku_id
            FROM reservation_lines
            WHERE pool_id = $1 AND reservation_id = e.reservation_id AND line = e.line
            LIMIT 1
        ) AS l ON true
        LEFT JOIN LATERAL (
            SELECT lot_id, sku_id, received_quantity FROM lots WHERE pool_id = $1 AND lot_id = e.lot_id LIMIT 1
        ) AS t ON true
        LEFT JOIN LATERAL (
            SELECT shipment_id FROM shipments WHERE pool_id = $1 AND shipment_id = e.shipment_id LIMIT 1
        ) AS h ON true
        CROSS JOIN LATERAL (
            SELECT 'ledger_gapless' AS name, CASE
                WHEN e.seq <> e.seq_before + 1 THEN format('follows entry %s', e.seq_before)
            END AS detail
            UNION ALL
            SELECT 'ledger_adds_up', CASE
                WHEN e.seq = e.seq_before + 1
                    AND (e.on_hand_after, e.quarantined_after, e.held_after, e.committed_after)
                    <> (e.on_hand_due, e.quarantined_due, e.held_due, e.committed_due)
                    AND NOT EXISTS (
                        SELECT FROM repairs
                        WHERE pool_id = $1 AND kind = 'ledger_break'
                            AND subject = format('sku %s seq %s', e.sku_id, e.seq)
                    )
                    THEN format(
                        'says on_hand %s, quarantined %s, held %s, committed %s; '
                        'the entry before and the change make %s, %s, %s, %s',
                        e.on_hand_after, e.quarantined_after, e.held_after, e.committed_after,
                        e.on_hand_due, e.quarantined_due, e.held_due, e.committed_due
                    )
            END
            UNION ALL
            SELECT 'entries_in_bounds', CASE
                WHEN least(e.on_hand_after, e.quarantined_after, e.held_after, e.committed_after) < 0
                    OR e.quarantined_after > e.on_hand_after
                    THEN format(
                        'on_hand %s, quarantined %s, held %s, committed %s',
                        e.on_hand_after, e.quarantined_after, e.held_after, e.committed_after
                    )
            END
            UNION ALL
            SELECT 'holds_within_reservable', CASE
                WHEN e.kind = 'hold' AND coalesce(e.reservable_after < 0, true)
                    THEN format('reservable after it %s', coalesce(e.reservable_after::text, 'unknown: no policy'))
            END
            UNION ALL
            SELECT 'entries_fit_their_kind', CASE
                WHEN NOT coalesce(
                    CASE e.kind
                        WHEN 'receive'
                            THEN e.on_hand_delta > 0 AND e.quarantined_delta = 0 AND e.held_delta = 0
                            AND e.committed_delta = 0 AND e.lot_id IS NOT NULL
                        WHEN 'hold'
                            THEN e.held_delta > 0 AND e.on_hand_delta = 0 AND e.quarantined_delta = 0
                            AND e.committed_delta = 0
                        WHEN 'claim'
                            THEN e.committed_delta > 0 AND e.on_hand_delta = 0 AND e.quarantined_delta = 0
                            AND e.held_delta = 0
                        WHEN 'commit'
                            THEN e.held_delta < 0 AND e.committed_delta = -e.held_delta AND e.on_hand_delta = 0
                            AND e.quarantined_delta = 0
                        WHEN 'release'
                            THEN e.held_delta < 0 AND e.on_hand_delta = 0 AND e.quarantined_delta = 0
                            AND e.committed_delta = 0
                        WHEN 'expire'
                            THEN e.held_delta < 0 AND e.on_hand_delta = 0 AND e.quarantined_delta = 0
                            AND e.committed_delta = 0
                        WHEN 'cancel'
                            THEN e.committed_delta < 0 AND e.on_hand_delta = 0 AND e.quarantined_delta = 0
                            AND e.held_delta = 0
                        WHEN 'opening_count'
                            THEN e.held_delta = 0 AND e.committed_delta = 0 AND e.quarantined_delta <= 0
                        WHEN 'ship'
                            THEN e.on_hand_delta <= 0 AND e.committed_delta <= 0 AND e.held_delta = 0
                            AND e.quarantined_delta BETWEEN e.on_hand_delta AND 0
                            AND e.on_hand_delta + e.committed_delta < 0
                        WHEN 'settle'
                            THEN e.on_hand_delta < 0 AND e.quarantined_delta = 0 AND e.held_delta = 0
                            AND e.committed_delta = 0
                        WHEN 'void'
                            THEN e.on_hand_delta >= 0 AND e.committed_delta >= 0 AND e.quarantined_delta = 0
                            AND e.on_hand_delta + e.committed_delta > 0 AND e.held_delta = 0
                        WHEN 'quarantine'
                            THEN e.quarantined_delta >= 0 AND e.on_hand_delta = 0 AND e.held_delta = 0
                            AND e.committed_delta = 0 AND e.lot_id IS NOT NULL AND e.reason IS NOT NULL
                        WHEN 'unquarantine'
                            THEN e.quarantined_delta <= 0 AND e.on_hand_delta = 0 AND e.held_delta = 0
                            AND e.committed_delta = 0 AND e.lot_id IS NOT NULL AND e.reason IS NOT NULL
                        WHEN 'write_off'
                            THEN e.on_hand_delta < 0 AND e.quarantined_delta BETWEEN e.on_hand_delta AND 0
                            AND e.held_delta = 0 AND e.committed_delta = 0 AND e.lot_id IS NOT NULL
                            AND e.reason IS NOT NULL
                        WHEN 'transfer_out'
                            THEN e.on_hand_delta < 0 AND e.quarantined_delta BETWEEN e.on_hand_delta AND 0
                            AND e.held_delta = 0 AND e.committed_delta = 0 AND e.lot_id IS NOT NULL
                            AND e.reason IS NOT NULL
                        WHEN 'transfer_in'
                            THEN e.on_hand_delta > 0 AND e.quarantined_delta BETWEEN 0 AND e.on_hand_delta
                            AND e.held_delta = 0 AND e.committed_delta = 0 AND e.lot_id IS NOT NULL
                        WHEN 'return'
                            THEN e.on_hand_delta > 0 AND e.quarantined_delta BETWEEN 0 AND e.on_hand_delta
                            AND e.held_delta = 0 AND e.committed_delta = 0 AND e.lot_id IS NOT NULL
                        WHEN 'revalue'
                            THEN e.on_hand_delta = 0 AND e.quarantined_delta = 0 AND e.held_delta = 0
                            AND e.committed_delta = 0 AND e.lot_id IS NOT NULL AND e.reason IS NOT NULL
                        WHEN 'correct' THEN e.reason IS NOT NULL
                        ELSE false
                    END
                    AND (
                        e.reservation_id IS NOT NULL
                        OR e.kind NOT IN ('hold', 'claim', 'commit', 'release', 'expire', 'cancel')
                    )
                    AND (
                        e.reservation_id IS NULL
                        OR e.kind IN (
                            'hold', 'claim', 'commit', 'release', 'expire', 'cancel', 'ship', 'void', 'correct'
                        )
                    )
                    AND (e.reservation_id IS NULL) = (e.line IS NULL)
                    AND (e.kind IN ('ship', 'void', 'settle')) = (e.shipment_id IS NOT NULL)
                    AND (NOT e.closes_line OR e.kind IN ('commit', 'release', 'expire')),
                    false
                )
                    THEN format(
                        'a %s of on_hand %s, quarantined %s, held %s, committed %s%s%s',
                        e.kind, e.on_hand_delta, e.quarantined_delta, e.held_delta, e.committed_delta,
                        CASE WHEN e.reservation_id IS NOT NULL THEN ', names a reservation' END,
                        CASE WHEN e.closes_line THEN ', closes its line' END
                    )
            END
            UNION ALL
            SELECT 'entry_references_exist', CASE
                WHEN s.sku_id IS NULL THEN 'no balance row'
                WHEN e.reservation_id IS NOT NULL AND l.line IS NULL
                    THEN format('no reservation %s line %s', e.reservation_id, e.line)
                WHEN e.reservation_id IS NOT NULL AND l.sku_id <> e.sku_id
                    THEN format('reservation %s line %s claims sku %s', e.reservation_id, e.line, l.sku_id)
                WHEN e.lot_id IS NOT NULL AND t.lot_id IS NULL THEN format('no lot %s', e.lot_id)
                WHEN e.shipment_id IS NOT NULL AND h.shipment_id IS NULL THEN format('no shipment %s', e.shipment_id)
                WHEN t.sku_id <> e.sku_id THEN format('lot %s is of sku %s', e.lot_id, t.sku_id)
                WHEN e.kind = 'receive' AND t.received_quantity <> e.on_hand_delta
                    THEN format('lot %s received %s, the entry %s', e.lot_id, t.received_quantity, e.on_hand_delta)
            END
        ) AS v
        WHERE v.detail IS NOT NULL AND (e.sku_id, e.seq) >= ($4, $5)
        ORDER BY e.sku_id, e.seq
        "#,
        pool.0,
        before.0,
        before.1,
        range.from.0,
        range.from.1,
        range.to.0,
        range.to.1,
    )
    .fetch_all(conn)
    .await
}
