//! Balances: against their newest ledger entry, entries against the one before, the shelf against the lots.
//!
//! The ledger is append-only, the balance row is not: where they differ, the row is set back, with an entry that moves
//! nothing (a balance changes only together with a new entry). An entry that does not follow from the one before stays
//! as it is for ever; what follows it is put right where reservations and lots say that the jump was wrong, and left
//! where they say that it was right. Several breaks of one SKU are undone where they make up the difference together,
//! or one of them does.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::books::Books;
use super::evidence::finding;
use super::{Correction, Finding, Kind, Subject};
use crate::ids::{PoolId, SkuId};
use crate::ledger::audit::place::{self, Place};
use crate::ledger::balance::{Balance, Delta};

/// SKUs of a page whose balance row is not its newest entry, or not what lots sum up to.
pub(super) async fn find_skus(conn: &mut PgConnection, pool: PoolId, from: i64, to: i64) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        SELECT s.sku_id
        FROM stock AS s
        LEFT JOIN LATERAL (
            SELECT on_hand_after, quarantined_after, held_after, committed_after, seq
            FROM stock_entries
            WHERE pool_id = $1 AND sku_id = s.sku_id
            ORDER BY seq DESC
            LIMIT 1
        ) AS e ON true
        LEFT JOIN (
            SELECT sku_id, sum(remaining_quantity) AS units, sum(quarantined_quantity) AS quarantined
            FROM lots
            WHERE pool_id = $1 AND sku_id BETWEEN $2 AND $3
            GROUP BY sku_id
        ) AS l ON l.sku_id = s.sku_id
        LEFT JOIN (
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
        ) AS p ON p.sku_id = s.sku_id
        WHERE s.pool_id = $1 AND s.sku_id BETWEEN $2 AND $3
            AND (
                (s.on_hand, s.quarantined, s.held, s.committed, s.seq) IS DISTINCT FROM (
                    coalesce(e.on_hand_after, 0), coalesce(e.quarantined_after, 0), coalesce(e.held_after, 0),
                    coalesce(e.committed_after, 0), coalesce(e.seq, 0)
                )
                OR s.on_hand + coalesce(p.units, 0) <> coalesce(l.units, 0)
                OR s.quarantined <> coalesce(l.quarantined, 0)
            )
        ORDER BY s.sku_id
        "#,
        pool.0,
        from,
        to,
    )
    .fetch_all(conn)
    .await
}

/// An entry that does not follow from the one before and that no repair has named.
#[derive(Debug, Clone, Copy)]
pub(super) struct Break {
    pub sku: i64,
    pub seq: i64,
    /// By how much it differs from what it should be; nothing where entries are missing.
    pub jump: Delta,
}

/// Breaks of a page. The page begins after the entry before it.
pub(super) async fn find_breaks(
    conn: &mut PgConnection,
    pool: PoolId,
    from: (i64, i64),
    to: (i64, i64),
) -> sqlx::Result<Vec<Break>> {
    let rows = sqlx::query!(
        r#"
        SELECT
            e.sku_id, e.seq, e.seq = coalesce(b.seq, 0) + 1 AS "follows!",
            e.on_hand_after - e.on_hand_delta - coalesce(b.on_hand_after, 0) AS "on_hand!",
            e.quarantined_after - e.quarantined_delta - coalesce(b.quarantined_after, 0) AS "quarantined!",
            e.held_after - e.held_delta - coalesce(b.held_after, 0) AS "held!",
            e.committed_after - e.committed_delta - coalesce(b.committed_after, 0) AS "committed!"
        FROM stock_entries AS e
        LEFT JOIN LATERAL (
            SELECT on_hand_after, quarantined_after, held_after, committed_after, seq
            FROM stock_entries
            WHERE pool_id = $1 AND sku_id = e.sku_id AND seq < e.seq
            ORDER BY seq DESC
            LIMIT 1
        ) AS b ON true
        WHERE e.pool_id = $1 AND (e.sku_id, e.seq) >= ($2, $3) AND (e.sku_id, e.seq) <= ($4, $5)
            AND (
                e.seq <> coalesce(b.seq, 0) + 1
                OR (e.on_hand_after, e.quarantined_after, e.held_after, e.committed_after) <> (
                    coalesce(b.on_hand_after, 0) + e.on_hand_delta,
                    coalesce(b.quarantined_after, 0) + e.quarantined_delta,
                    coalesce(b.held_after, 0) + e.held_delta,
                    coalesce(b.committed_after, 0) + e.committed_delta
                )
            )
            AND NOT EXISTS (
                SELECT FROM repairs
                WHERE pool_id = $1 AND kind = 'ledger_break' AND subject = format('sku %s seq %s', e.sku_id, e.seq)
            )
        ORDER BY e.sku_id, e.seq
        "#,
        pool.0,
        from.0,
        from.1,
        to.0,
        to.1,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let jump =
                Delta { on_hand: row.on_hand, quarantined: row.quarantined, held: row.held, committed: row.committed };
            Break { sku: row.sku_id, seq: row.seq, jump: if row.follows { jump } else { Delta::default() } }
        })
        .collect())
}

/// A balance row, its newest entry, and what reservations, lots and shipment lines say it should be.
pub(super) struct Seen {
    pub row: Balance,
    pub newest: Balance,
    pub truth: Balance,
    /// What all lots hold.
    pub lots: i64,
    rows: Vec<Value>,
}

pub(super) async fn see(conn: &mut PgConnection, pool: PoolId, sku: SkuId) -> sqlx::Result<Option<Seen>> {
    let seen = sqlx::query!(
        r#"
        SELECT
            s.on_hand, s.quarantined, s.held, s.committed, s.seq,
            coalesce(e.on_hand_after, 0) AS "newest_on_hand!",
            coalesce(e.quarantined_after, 0) AS "newest_quarantined!",
            coalesce(e.held_after, 0) AS "newest_held!",
            coalesce(e.committed_after, 0) AS "newest_committed!",
            coalesce(e.seq, 0) AS "newest_seq!",
            (SELECT coalesce(sum(remaining_quantity), 0) FROM lots WHERE pool_id = $1 AND sku_id = $2)::bigint
            AS "lots!",
            (SELECT coalesce(sum(quarantined_quantity), 0) FROM lots WHERE pool_id = $1 AND sku_id = $2)::bigint
            AS "lots_quarantined!",
            (
                SELECT coalesce(sum(held_quantity), 0)
                FROM reservation_lines
                WHERE pool_id = $1 AND sku_id = $2 AND held_quantity > 0 AND tracked
            )::bigint AS "lines_held!",
            (
                SELECT coalesce(sum(committed_quantity - fulfilled_quantity), 0)
                FROM reservation_lines
                WHERE pool_id = $1 AND sku_id = $2 AND committed_quantity > fulfilled_quantity AND tracked
            )::bigint AS "lines_committed!",
            (
                SELECT coalesce(sum(covered_quantity - depleted_quantity), 0)
                FROM shipment_lines
                WHERE pool_id = $1 AND sku_id = $2 AND snapshot_date IS NULL AND voided_at IS NULL AND tracked
            )::bigint AS "undepleted!",
            (
                SELECT coalesce(sum(l.covered_quantity - l.depleted_quantity), 0)
                FROM lot_shortages AS o
                JOIN shipment_lines AS l
                    ON l.pool_id = $1 AND l.shipment_id = o.shipment_id AND l.line_ref = o.line_ref
                WHERE o.pool_id = $1 AND o.sku_id = $2 AND o.settled_quantity + o.voided_quantity < o.quantity
                    AND l.snapshot_date IS NOT NULL AND l.voided_at IS NULL
            )::bigint AS "short!",
            to_jsonb(s) - 'updated_at' - 'next_expires_date' AS "row!",
            to_jsonb(e) AS entry
        FROM stock AS s
        LEFT JOIN LATERAL (
            SELECT *
            FROM stock_entries
            WHERE pool_id = $1 AND sku_id = s.sku_id
            ORDER BY seq DESC
            LIMIT 1
        ) AS e ON true
        WHERE s.pool_id = $1 AND s.sku_id = $2
        "#,
        pool.0,
        sku.0,
    )
    .fetch_optional(conn)
    .await?;
    Ok(seen.map(|seen| Seen {
        row: Balance {
            on_hand: seen.on_hand,
            quarantined: seen.quarantined,
            held: seen.held,
            committed: seen.committed,
            seq: seen.seq,
        },
        newest: Balance {
            on_hand: seen.newest_on_hand,
            quarantined: seen.newest_quarantined,
            held: seen.newest_held,
            committed: seen.newest_committed,
            seq: seen.newest_seq,
        },
        truth: Balance {
            on_hand: seen.lots - seen.undepleted - seen.short,
            quarantined: seen.lots_quarantined,
            held: seen.lines_held,
            committed: seen.lines_committed,
            seq: seen.newest_seq,
        },
        lots: seen.lots,
        rows: [Some(seen.row), seen.entry].into_iter().flatten().collect(),
    }))
}

/// A balance row that is not its newest entry.
pub(super) async fn look_drift(conn: &mut PgConnection, pool: PoolId, sku: SkuId) -> sqlx::Result<Option<Finding>> {
    let Some(seen) = see(conn, pool, sku).await? else { return Ok(None) };
    if seen.row == seen.newest {
        return Ok(None);
    }
    let (row, newest) = (seen.row, seen.newest);
    let correction = if row.seq > newest.seq {
        Correction::manual(format!(
            "The row has seen {} entries, the ledger has {}: entries are missing. Restore them from a backup.",
            row.seq, newest.seq
        ))
    } else {
        correct(Delta::default())
    };
    let detail = format!("The row says {}; its newest entry says {}.", say(&row), say(&newest));
    Ok(Some(finding(Kind::BalanceDrift, pool, Subject::Sku { sku_id: sku }, seen.rows, detail, correction)))
}

/// An entry that does not follow from the one before.
pub(super) async fn look_break(
    conn: &mut PgConnection,
    pool: PoolId,
    now: DateTime<Utc>,
    (sku, seq): (SkuId, i64),
    books: &mut Books,
) -> sqlx::Result<Option<Finding>> {
    let Some(found) = find_breaks(conn, pool, (sku.0, seq), (sku.0, seq)).await?.pop() else { return Ok(None) };
    let pair = sqlx::query!(
        r#"
        SELECT to_jsonb(e) AS "row!", seq, shipment_id, reservation_id, line
        FROM stock_entries AS e
        WHERE pool_id = $1 AND sku_id = $2 AND seq <= $3
        ORDER BY seq DESC
        LIMIT 2
        "#,
        pool.0,
        sku.0,
        seq,
    )
    .fetch_all(&mut *conn)
    .await?;
    let before = pair.get(1).map_or(0, |before| before.seq);
    let names = pair.first().map(|own| (own.shipment_id, own.reservation_id.zip(own.line)));
    let subject = Subject::Entry { sku_id: sku, seq };
    let rows = pair.into_iter().map(|row| row.row).collect();
    if before + 1 != seq {
        let correction = Correction::manual("Entries are missing before it. Restore them from a backup.");
        let detail = format!("It follows entry {before}.");
        return Ok(Some(finding(Kind::LedgerBreak, pool, subject, rows, detail, correction)));
    }
    let jump = found.jump;
    let is_contradicted = match names {
        Some(names) => contradicts(conn, pool, now, sku, names).await?,
        None => false,
    };
    let correction = match see(conn, pool, sku).await? {
        _ if is_contradicted => Correction::manual(
            "What it says it moved is not what its shipment or its reservation says: the entry itself was edited. \
             Restore it from a backup.",
        ),
        Some(seen) if seen.row == seen.newest => undo(jump, books.breaks(conn, pool, sku.0).await?, &seen),
        _ => Correction::manual("The balance row is not its newest entry. Repair that first, then diagnose again."),
    };
    let detail = format!(
        "It jumps by on_hand {:+}, quarantined {:+}, held {:+}, committed {:+} beyond its own change.",
        jump.on_hand, jump.quarantined, jump.held, jump.committed
    );
    Ok(Some(finding(Kind::LedgerBreak, pool, subject, rows, detail, correction)))
}

/// Whether what an entry names moved something else. Such an entry is never known as it is: noting its jump would leave
/// that unsaid.
async fn contradicts(
    conn: &mut PgConnection,
    pool: PoolId,
    now: DateTime<Utc>,
    sku: SkuId,
    (shipment, line): (Option<Uuid>, Option<(Uuid, i16)>),
) -> sqlx::Result<bool> {
    if let Some(shipment) = shipment {
        let about = format!("shipment {shipment} sku {}", sku.0);
        let found = place::find(conn, pool, now, Place::Shipments(shipment, shipment)).await?;
        if found.iter().any(|one| one.check == "shipment_matches_ledger" && one.subject == about) {
            return Ok(true);
        }
    }
    if let Some((reservation, line)) = line {
        let about = format!("reservation {reservation} line {line}");
        let found = place::find(conn, pool, now, Place::Reservations(reservation, reservation)).await?;
        return Ok(found.iter().any(|one| one.check == "line_matches_ledger" && one.subject == about));
    }
    Ok(false)
}

/// Undoes the part of a jump that reservations and lots contradict: where all breaks of the SKU make up the difference,
/// or this one does. Pure.
fn undo(jump: Delta, all: &[Break], seen: &Seen) -> Correction {
    let part = |of: fn(&Delta) -> i64, now: i64, truth: i64| {
        let (own, together) = (of(&jump), all.iter().map(|one| of(&one.jump)).sum::<i64>());
        match truth - now {
            0 => Some(0),
            difference if difference == -together || difference == -own => Some(-own),
            _ => None,
        }
    };
    let (now, truth) = (&seen.row, &seen.truth);
    let delta = (|| {
        Some(Delta {
            on_hand: part(|jump| jump.on_hand, now.on_hand, truth.on_hand)?,
            quarantined: part(|jump| jump.quarantined, now.quarantined, truth.quarantined)?,
            held: part(|jump| jump.held, now.held, truth.held)?,
            committed: part(|jump| jump.committed, now.committed, truth.committed)?,
        })
    })();
    delta.map_or_else(
        || {
            Correction::manual(format!(
                "The balance is {}; reservations and lots make it {}. This entry does not explain the difference. \
                 Repair the other findings of this SKU first and diagnose again; if this one stays, count the shelf.",
                say(now),
                say(truth)
            ))
        },
        correct,
    )
}

fn correct(delta: Delta) -> Correction {
    Correction::CorrectBalance {
        on_hand_delta: delta.on_hand,
        quarantined_delta: delta.quarantined,
        held_delta: delta.held,
        committed_delta: delta.committed,
    }
}

/// The shelf against the lots: two append-only ledgers that disagree. Nobody but a count knows which one is right.
pub(super) async fn look_shelf(conn: &mut PgConnection, pool: PoolId, sku: SkuId) -> sqlx::Result<Option<Finding>> {
    let Some(seen) = see(conn, pool, sku).await? else { return Ok(None) };
    let (row, truth) = (&seen.row, &seen.truth);
    if seen.row != seen.newest || (row.on_hand, row.quarantined) == (truth.on_hand, truth.quarantined) {
        return Ok(None);
    }
    let correction = Correction::manual(
        "Two append-only ledgers disagree and neither is a copy of the other. Repair the lots and lines of this SKU \
         first and diagnose again; what is left, a count of the shelf decides.",
    );
    let detail = format!(
        "On the shelf {}, {} of it not for sale; by lots and what was shipped and not yet depleted {}, {}.",
        row.on_hand, row.quarantined, truth.on_hand, truth.quarantined
    );
    Ok(Some(finding(Kind::ShelfDiffersFromLots, pool, Subject::Sku { sku_id: sku }, seen.rows, detail, correction)))
}

fn say(balance: &Balance) -> String {
    let Balance { on_hand, quarantined, held, committed, seq } = balance;
    format!("on_hand {on_hand}, quarantined {quarantined}, held {held}, committed {committed}, seq {seq}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(on_hand: i64, truth: i64) -> Seen {
        let row = Balance { on_hand, seq: 4, ..Balance::default() };
        Seen { row, newest: row, truth: Balance { on_hand: truth, ..row }, lots: truth, rows: Vec::new() }
    }

    fn of(on_hand: i64) -> Delta {
        Delta { on_hand, ..Delta::default() }
    }

    fn breaks(jumps: &[i64]) -> Vec<Break> {
        jumps.iter().map(|jump| Break { sku: 1, seq: 1, jump: of(*jump) }).collect()
    }

    #[test]
    fn a_jump_is_undone_only_where_the_rest_contradicts_it() {
        let alone = breaks(&[3]);
        assert_eq!(undo(of(3), &alone, &seen(8, 5)), correct(of(-3)));
        assert_eq!(undo(of(3), &alone, &seen(8, 8)), correct(Delta::default()), "it was right; it is only noted");
        assert!(matches!(undo(of(3), &alone, &seen(8, 6)), Correction::Manual { .. }));
    }

    #[test]
    fn two_jumps_are_undone_one_after_the_other() {
        assert_eq!(undo(of(3), &breaks(&[3, -1]), &seen(8, 6)), correct(of(-3)), "together they make it up");
        assert_eq!(undo(of(-1), &breaks(&[-1]), &seen(5, 6)), correct(of(1)), "once the first is undone");
        assert_eq!(undo(of(-1), &breaks(&[3, -1]), &seen(8, 9)), correct(of(1)), "this one alone does");
        assert!(matches!(undo(of(3), &breaks(&[3, -1]), &seen(8, 9)), Correction::Manual { .. }), "not this one");
    }
}
