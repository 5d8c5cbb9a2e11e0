//! Lots: against what their transactions say, and day by day against what lines took from them.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::books::{Books, Shelf};
use super::evidence::finding;
use super::line::refuse_harm;
use super::{Correction, Finding, Kind, Subject};
use crate::ids::PoolId;

/// Lots of a page that are not what their transactions say: units, those in quarantine, cost.
pub(super) async fn find_drifted(
    conn: &mut PgConnection,
    pool: PoolId,
    from: Uuid,
    to: Uuid,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"
        SELECT l.lot_id
        FROM lots AS l
        LEFT JOIN (
            SELECT
                lot_id,
                sum(quantity_delta) AS units,
                sum(quarantined_delta) AS quarantined,
                (array_agg(unit_cost ORDER BY seq DESC))[1] AS unit_cost
            FROM lot_transactions
            WHERE pool_id = $1 AND lot_id BETWEEN $2 AND $3
            GROUP BY lot_id
        ) AS t ON t.lot_id = l.lot_id
        WHERE l.pool_id = $1 AND l.lot_id BETWEEN $2 AND $3
            AND (l.remaining_quantity, l.quarantined_quantity, l.unit_cost)
                IS DISTINCT FROM (t.units, t.quarantined, t.unit_cost)
        ORDER BY l.lot_id
        "#,
        pool.0,
        from,
        to,
    )
    .fetch_all(conn)
    .await
}

/// Days of the lots of a page, or one of them, on which a lot was depleted twice, or otherwise than lines say, or
/// before the day came to its SKU.
pub(super) async fn find_days(
    conn: &mut PgConnection,
    pool: PoolId,
    (from, to): (Uuid, Uuid),
    only: Option<NaiveDate>,
) -> sqlx::Result<Vec<(Uuid, NaiveDate)>> {
    let day = only.map(|date| date.format("%Y%m%d").to_string());
    let rows = sqlx::query!(
        r#"
        SELECT lot_id AS "lot_id!", day AS "day!"
        FROM (
            SELECT
                lot_id,
                to_date(source_ref_id, 'YYYYMMDD') AS day,
                -sum(quantity_delta) AS units,
                count(*) FILTER (WHERE row_source = 'snapshot_depletion') AS times,
                bool_or(row_source = 'correction') AS corrected,
                bool_or(row_source = 'correction' AND quantity_delta = 0) AS put_right
            FROM lot_transactions
            WHERE pool_id = $1 AND lot_id BETWEEN $2 AND $3 AND source_ref_id ~ '^[0-9]{8}$'
                AND (row_source = 'snapshot_depletion' OR row_source = 'correction' AND shipment_id IS NULL)
                AND ($4::text IS NULL OR source_ref_id = $4)
            GROUP BY lot_id, source_ref_id
        ) AS t
        FULL JOIN (
            SELECT lot_id, cost_date AS day, sum(quantity) AS units
            FROM depletions
            WHERE pool_id = $1 AND lot_id BETWEEN $2 AND $3 AND kind = 'snapshot'
                AND ($5::date IS NULL OR cost_date = $5)
            GROUP BY lot_id, cost_date
        ) AS d USING (lot_id, day)
        WHERE (coalesce(t.units, 0) <> coalesce(d.units, 0) AND t.put_right IS NOT TRUE)
            OR (t.times > 1 AND NOT t.corrected)
            -- The close of that day could not deplete it.
            OR (
                t.times > 0
                AND day > coalesce((
                    SELECT max(snapshot_date) FROM snapshots WHERE pool_id = $1 AND status = 'closed'
                ), '-infinity')
                AND NOT EXISTS (
                    SELECT
                    FROM lots AS l
                    JOIN snapshot_skus AS s ON s.pool_id = $1 AND s.sku_id = l.sku_id
                    WHERE l.pool_id = $1 AND l.lot_id = t.lot_id AND s.snapshot_date = t.day
                )
            )
        ORDER BY lot_id, day
        "#,
        pool.0,
        from,
        to,
        day,
        only,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.lot_id, row.day)).collect())
}

/// What a lot's row says, and what its transactions do.
struct Drift {
    remaining: i64,
    received: i64,
    is_available: bool,
    /// Sums; none without a transaction.
    units: Option<i64>,
    quarantined: i64,
    /// What the newest says remains.
    newest: Option<i64>,
}

impl Drift {
    /// Transactions are append-only, the row is not: it is set back, unless that is no state a lot can be in. Pure.
    fn decide(&self, shelf: Option<Shelf>) -> Correction {
        let (Some(units), Some(newest)) = (self.units, self.newest) else {
            return Correction::manual("The lot has no transactions. Restore them from a backup.");
        };
        if units != newest {
            return Correction::manual(format!(
                "The transactions sum up to {units}, the newest says {newest}: they do not add up themselves. Restore \
                 them from a backup, or count the lot."
            ));
        }
        if !(0..=self.received).contains(&units) || !(0..=units).contains(&self.quarantined) {
            return Correction::manual(format!(
                "The transactions sum up to {units}, of {} received and {} not for sale. Count the lot.",
                self.received, self.quarantined
            ));
        }
        if self.is_available && self.quarantined > 0 {
            return Correction::manual(format!(
                "The row says it is for sale, the transactions that {} of it are not. Set its status by hand, then \
                 diagnose again.",
                self.quarantined
            ));
        }
        if let Some(shelf) = shelf
            && (shelf.by_rows + units - self.remaining).abs() > shelf.by_rows.abs()
            && shelf.by_ledgers.abs() > shelf.by_rows.abs()
        {
            return Correction::manual(format!(
                "With what the row says, shelf and lots differ by {}; with what the transactions say, by {}. Repair \
                 the other findings of this SKU first and diagnose again; if this one stays, transactions are missing: \
                 restore them from a backup, or count the lot.",
                shelf.by_rows, shelf.by_ledgers
            ));
        }
        Correction::CorrectLot { quantity: 0, day: None, value: None }
    }
}

/// A lot that is not what its transactions say.
pub(super) async fn look_drift(
    conn: &mut PgConnection,
    pool: PoolId,
    lot: Uuid,
    books: &mut Books,
) -> sqlx::Result<Option<Finding>> {
    if find_drifted(conn, pool, lot, lot).await?.is_empty() {
        return Ok(None);
    }
    let seen = sqlx::query!(
        r#"
        SELECT
            l.sku_id, l.remaining_quantity, l.received_quantity, l.quarantined_quantity, l.unit_cost,
            l.status = 'available' AS "is_available!", to_jsonb(l) AS "row!",
            s.units, s.quarantined, t.remaining_after AS "remaining_after?", t.unit_cost AS "newest_cost?",
            to_jsonb(t) AS newest
        FROM lots AS l
        LEFT JOIN LATERAL (
            SELECT * FROM lot_transactions WHERE pool_id = $1 AND lot_id = $2 ORDER BY seq DESC LIMIT 1
        ) AS t ON true
        CROSS JOIN (
            SELECT sum(quantity_delta)::bigint AS units, sum(quarantined_delta)::bigint AS quarantined
            FROM lot_transactions
            WHERE pool_id = $1 AND lot_id = $2
        ) AS s
        WHERE l.pool_id = $1 AND l.lot_id = $2
        "#,
        pool.0,
        lot,
    )
    .fetch_one(&mut *conn)
    .await?;
    let drift = Drift {
        remaining: seen.remaining_quantity,
        received: seen.received_quantity,
        is_available: seen.is_available,
        units: seen.units,
        quarantined: seen.quarantined.unwrap_or(0),
        newest: seen.remaining_after,
    };
    let correction = drift.decide(books.shelf(conn, pool, seen.sku_id).await?);
    let say = |units: i64, quarantined: i64, cost: Option<Decimal>| {
        let cost = cost.map_or_else(|| "nothing".to_owned(), |cost| cost.normalize().to_string());
        format!("{units} remain of it, {quarantined} not for sale, at {cost}")
    };
    let detail = format!(
        "By the row, {}; by its transactions, {}.",
        say(drift.remaining, seen.quarantined_quantity, Some(seen.unit_cost)),
        say(drift.units.unwrap_or(0), drift.quarantined, seen.newest_cost)
    );
    let sums = serde_json::json!({"units": drift.units, "quarantined": drift.quarantined});
    let rows = [Some(seen.row), seen.newest, Some(sums)].into_iter().flatten().collect();
    Ok(Some(finding(Kind::LotDrift, pool, Subject::Lot { lot_id: lot }, rows, detail, correction)))
}

/// What a lot gave on a day, and over all days.
struct Day {
    /// Depleted for a day whose close has not come to its SKU.
    ahead: bool,
    /// Units that voids gave back of what depletions say that it gave on the day.
    voided: i64,
    /// Units that corrections of the day's lines gave back, of this lot.
    corrected: i64,
    /// Units that transactions took on the day, beyond what lines took.
    excess: i64,
    /// Units that transactions took over all days, beyond what lines took.
    excess_ever: i64,
    /// Units that could be put back.
    room: i64,
    /// Units that all lots of the SKU gave that day beyond what its close says; none where it says nothing.
    beyond_close: Option<i64>,
    shelf: Option<Shelf>,
}

/// Gives back what a lot gave beyond its lines; notes what was put right elsewhere. Pure.
fn decide(day: &Day) -> Correction {
    match day.excess {
        _ if day.ahead => Correction::manual(
            "That day is not closed, and while this row is there its close is refused (`depleted_before`): no lot is \
             depleted twice for one day. If it was closed before, restore its rows in `snapshots` and `snapshot_skus` \
             from a backup. If not, leave this row out of the index by name, as the runbook says, close the day and \
             diagnose again: what is too much then goes back.",
        ),
        // Every line has what it took, by its own correction: what is left is a note for the reader.
        excess if day.excess_ever == 0 && excess <= 0 && -excess <= day.corrected => {
            Correction::CorrectLot { quantity: 0, day: None, value: None }
        }
        _ if day.excess_ever == 0 => Correction::manual(
            "What the lot gave that day, its lines took on another, by their depletions: a date is wrong. Repair \
             those lines first; if nothing is found about them, restore the depletions from a backup.",
        ),
        excess if excess > 0 && day.beyond_close.is_some_and(|beyond| excess > beyond) => Correction::manual(
            "The lot gave what the close of that day says it gave: depletions of lines are missing. Restore them from \
             a backup.",
        ),
        excess if excess > 0 && excess <= day.excess_ever && excess <= day.room => refuse_harm(day.shelf, excess)
            .unwrap_or(Correction::CorrectLot { quantity: excess, day: None, value: None }),
        excess if excess > day.room => Correction::manual(format!(
            "{excess} units would go back, more than were received and are missing ({}). Count the lot.",
            day.room
        )),
        excess if excess > 0 => Correction::manual(
            "The lot gave more that day than its lines took, but less over all days. Repair its other days first.",
        ),
        excess if excess == day.excess_ever && -excess <= day.voided => Correction::manual(format!(
            "A void gave the lot back {} units more than it had given: they were in the depletions that it undid, and \
             in no transaction. So many are too many in the lot. Count it, or write them off.",
            -excess
        )),
        _ => Correction::manual(
            "Lines took more from the lot than it gave. Repair those lines first, then diagnose again; if nothing is \
             found about them, transactions are missing: restore them from a backup.",
        ),
    }
}

/// A day on which a lot was depleted twice, or otherwise than lines say.
#[allow(clippy::too_many_lines, reason = "one row, and what was seen of it")]
pub(super) async fn look_day(
    conn: &mut PgConnection,
    pool: PoolId,
    lot: Uuid,
    date: NaiveDate,
    books: &mut Books,
) -> sqlx::Result<Option<Finding>> {
    if find_days(conn, pool, (lot, lot), Some(date)).await?.is_empty() {
        return Ok(None);
    }
    let day = date.format("%Y%m%d").to_string();
    let seen = sqlx::query!(
        r#"
        SELECT
            t.times AS "times!", t.units AS "units!", t.back AS "back!", t.quantities,
            t.values AS "values: Vec<Decimal>", t.rows,
            t.recorded, d.units AS "depleted!", d.rows AS depletions,
            (
                SELECT coalesce(-sum(r.quantity), 0)
                FROM depletions AS r
                WHERE r.pool_id = $1 AND r.lot_id = $2 AND r.kind = 'reversal' AND EXISTS (
                    SELECT
                    FROM depletions
                    WHERE pool_id = $1 AND lot_id = $2 AND shipment_id = r.shipment_id AND line_ref = r.line_ref
                        AND kind = 'snapshot' AND cost_date = $3
                )
            )::bigint AS "voided!",
            (
                SELECT coalesce(-sum(c.quantity), 0)
                FROM depletions AS c
                WHERE c.pool_id = $1 AND c.lot_id = $2 AND c.kind = 'correction' AND EXISTS (
                    SELECT
                    FROM depletions
                    WHERE pool_id = $1 AND lot_id = $2 AND shipment_id = c.shipment_id AND line_ref = c.line_ref
                        AND kind = 'snapshot' AND cost_date = $3
                )
            )::bigint AS "corrected!",
            coalesce($3 > (SELECT max(snapshot_date) FROM snapshots WHERE pool_id = $1 AND status = 'closed'), true)
            AND NOT EXISTS (
                SELECT
                FROM snapshot_skus
                WHERE pool_id = $1 AND snapshot_date = $3
                    AND sku_id = (SELECT sku_id FROM lots WHERE pool_id = $1 AND lot_id = $2)
            ) AS "ahead!",
            (SELECT sku_id FROM lots WHERE pool_id = $1 AND lot_id = $2) AS sku_id
        FROM (
            SELECT
                count(*) FILTER (WHERE row_source = 'snapshot_depletion') AS times,
                coalesce(-sum(quantity_delta), 0)::bigint AS units,
                coalesce(sum(quantity_delta) FILTER (WHERE row_source = 'correction'), 0)::bigint AS back,
                array_agg(-quantity_delta ORDER BY seq DESC) FILTER (WHERE row_source = 'snapshot_depletion')
                AS quantities,
                array_agg(-coalesce(value_delta, quantity_delta * unit_cost) ORDER BY seq DESC)
                FILTER (WHERE row_source = 'snapshot_depletion') AS values,
                array_agg(recorded_at ORDER BY seq DESC) FILTER (WHERE row_source = 'snapshot_depletion') AS recorded,
                jsonb_agg(to_jsonb(t) ORDER BY seq) AS rows
            FROM lot_transactions AS t
            WHERE pool_id = $1 AND lot_id = $2 AND source_ref_id = $4
                AND (row_source = 'snapshot_depletion' OR row_source = 'correction' AND shipment_id IS NULL)
        ) AS t
        CROSS JOIN (
            SELECT
                coalesce(sum(quantity), 0)::bigint AS units,
                jsonb_agg(to_jsonb(d) ORDER BY shipment_id, line_ref, n) AS rows
            FROM depletions AS d
            WHERE pool_id = $1 AND lot_id = $2 AND cost_date = $3 AND kind = 'snapshot'
        ) AS d
        "#,
        pool.0,
        lot,
        date,
        day,
    )
    .fetch_one(&mut *conn)
    .await?;
    let given = books.given(conn, pool, lot).await?;
    let (excess, excess_ever) = (seen.units - seen.depleted, -given.beyond);
    let correction = match (seen.sku_id, given.room) {
        (Some(sku), Some(room)) => {
            let beyond_close = books.beyond_close(conn, pool, sku, date).await?;
            let shelf = books.shelf(conn, pool, sku).await?;
            let corrected = books.corrected(conn, pool, lot).await?;
            let takings: Vec<(i64, Decimal)> = seen
                .quantities
                .unwrap_or_default()
                .into_iter()
                .zip(seen.values.unwrap_or_default())
                .zip(seen.recorded.unwrap_or_default())
                .map(|((units, worth), at)| match corrected {
                    Some((since, cost)) if since >= at => (units, cost * Decimal::from(units)),
                    _ => (units, worth),
                })
                .collect();
            let ahead = seen.ahead && seen.times > 0;
            let seen_day = Day {
                ahead,
                voided: seen.voided,
                corrected: seen.corrected,
                excess,
                excess_ever,
                room,
                beyond_close,
                shelf,
            };
            named(decide(&seen_day), day, seen.back, &takings)
        }
        _ => Correction::manual("There is no such lot."),
    };
    let detail =
        format!("Depleted {} times that day: transactions took {}, lines {}.", seen.times, seen.units, seen.depleted);
    // What of it is this day's, so that what is repaired of others leaves it as it is.
    let ever = if excess > 0 { excess_ever.clamp(-1, excess) } else { excess_ever.signum() };
    let rows = [seen.rows, seen.depletions, Some(serde_json::json!({"beyond_lines_ever": ever}))];
    let rows = rows.into_iter().flatten().collect();
    Ok(Some(finding(Kind::LotDay, pool, Subject::LotDay { lot_id: lot, date }, rows, detail, correction)))
}

/// The correction with the day it is about, and with what the units that go back were worth.
fn named(correction: Correction, day: String, back: i64, takings: &[(i64, Decimal)]) -> Correction {
    match correction {
        Correction::CorrectLot { quantity, .. } => {
            let value = (quantity > 0).then(|| value_of(quantity, back, takings));
            Correction::CorrectLot { quantity, day: Some(day), value }
        }
        other => other,
    }
}

/// What `quantity` units were worth when they left, last out first, after the `back` that went back before. Pure.
fn value_of(mut quantity: i64, mut back: i64, takings: &[(i64, Decimal)]) -> Decimal {
    let mut value = Decimal::ZERO;
    for (units, worth) in takings.iter().filter(|(units, _)| *units > 0) {
        let gone = back.clamp(0, *units);
        back -= gone;
        let here = (units - gone).min(quantity);
        quantity -= here;
        value += worth / Decimal::from(*units) * Decimal::from(here);
    }
    value.normalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(excess: i64, excess_ever: i64, room: i64) -> Day {
        let (voided, corrected) = (0, 3);
        Day { ahead: false, voided, corrected, excess, excess_ever, room, beyond_close: None, shelf: None }
    }

    #[test]
    fn a_lot_gets_back_what_it_gave_beyond_its_lines_and_no_more() {
        let back = |quantity| Correction::CorrectLot { quantity, day: None, value: None };
        assert_eq!(decide(&day(3, 3, 5)), back(3));
        assert_eq!(decide(&day(0, 0, 5)), back(0), "put right by its lines");
        assert_eq!(decide(&day(-3, 0, 5)), back(0), "lines were put right");
        for (excess, excess_ever, room) in [(3, 2, 5), (3, 3, 2), (-3, -3, 5), (0, 1, 5), (-4, 0, 5), (3, 0, 5)] {
            let decided = decide(&day(excess, excess_ever, room));
            assert!(matches!(decided, Correction::Manual { .. }), "{excess} {excess_ever} {room}");
        }
    }

    #[test]
    fn what_only_a_person_can_put_right_says_what_is_true() {
        let reason = |day: &Day| match decide(day) {
            Correction::Manual { reason } => reason,
            other => panic!("{other:?}"),
        };
        assert!(reason(&Day { voided: 6, ..day(-3, -3, 5) }).contains("3 units more than it had given"));
        assert!(!reason(&Day { voided: 2, ..day(-3, -3, 5) }).contains("void"));
        assert!(reason(&Day { ahead: true, ..day(1, 1, 5) }).contains("index"), "its close is refused");
    }

    #[test]
    fn a_lot_gets_nothing_back_that_its_close_or_the_shelf_does_not_miss() {
        let shelf = |by_ledgers| Some(Shelf { by_rows: by_ledgers, by_ledgers });
        let back = Correction::CorrectLot { quantity: 3, day: None, value: None };
        assert_eq!(decide(&Day { beyond_close: Some(3), shelf: shelf(-3), ..day(3, 3, 5) }), back);
        for (beyond_close, by_ledgers) in [(0, -3), (2, -3), (3, 0)] {
            let decided = decide(&Day { beyond_close: Some(beyond_close), shelf: shelf(by_ledgers), ..day(3, 3, 5) });
            assert!(matches!(decided, Correction::Manual { .. }), "{beyond_close} {by_ledgers}");
        }
    }

    #[test]
    fn units_go_back_at_what_they_left_at() {
        let of = |text: &str| text.parse::<Decimal>().unwrap();
        let takings = [(4, of("14")), (5, of("12.5"))];
        assert_eq!(value_of(4, 0, &takings), of("14"));
        assert_eq!(value_of(6, 0, &takings), of("19"));
        assert_eq!(value_of(3, 4, &takings), of("7.5"), "after what went back before");
    }

    #[test]
    fn a_row_is_set_back_unless_its_transactions_cannot_be_true() {
        let drift = |units, quarantined, is_available| Drift {
            remaining: 9,
            received: 10,
            is_available,
            units: Some(units),
            quarantined,
            newest: Some(units),
        };
        let back = Correction::CorrectLot { quantity: 0, day: None, value: None };
        let shelf = |by_rows, by_ledgers| Some(Shelf { by_rows, by_ledgers });
        assert_eq!(drift(10, 0, true).decide(shelf(-1, 0)), back);
        assert_eq!(drift(10, 0, true).decide(shelf(0, 0)), back, "others drifted the other way");
        assert_eq!(drift(10, 4, false).decide(None), back);
        for wrong in [drift(11, 0, true), drift(10, 11, false), drift(10, 4, true)] {
            assert!(matches!(wrong.decide(None), Correction::Manual { .. }));
        }
        assert!(matches!(drift(10, 0, true).decide(shelf(0, 1)), Correction::Manual { .. }), "the shelf says so, too");
    }
}
