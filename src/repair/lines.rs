//! Shipment lines: what lots gave for a line against what the line took, and on which days.
//!
//! The line says what it took from lots: never more than it took from the shelf, nothing once it is voided, nothing
//! before a snapshot has taken it. What its depletions sum up to beyond that goes back, at the cost it left at: first
//! what another day took, then last out first, and into the lots as far as those gave it: a depletion that was only
//! written twice gives no lot anything.
//!
//! Its row can be edited, depletions and movements of lots cannot. So a row that contradicts both of them, and its own
//! shortage as well, is what is wrong, and no lot is moved for it.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::books::{Books, Given, Shelf};
use super::evidence::finding;
use super::{Correction, Finding, Kind, LotUnits, Subject};
use crate::ids::PoolId;

/// Lines of the shipments of a page, or one of them, whose depletions are not what the line says, or of more than one
/// day.
pub(super) async fn find(
    conn: &mut PgConnection,
    pool: PoolId,
    (from, to): (Uuid, Uuid),
    only: Option<&str>,
) -> sqlx::Result<Vec<(Uuid, String)>> {
    let rows = sqlx::query!(
        r#"
        SELECT shipment_id, line_ref
        FROM (
            SELECT
                l.shipment_id,
                l.line_ref,
                coalesce(sum(d.quantity), 0) AS units,
                sum(d.quantity) FILTER (
                    WHERE d.kind = 'snapshot' AND d.cost_date IS DISTINCT FROM l.snapshot_date
                ) AS strayed,
                -sum(d.quantity) FILTER (WHERE d.kind IN ('reversal', 'correction') AND d.quantity < 0) AS put_back,
                min(CASE WHEN l.voided_at IS NULL THEN least(l.depleted_quantity, l.covered_quantity) ELSE 0 END) AS due
            FROM shipment_lines AS l
            LEFT JOIN (
                SELECT * FROM depletions WHERE pool_id = $1 AND shipment_id BETWEEN $2 AND $3
            ) AS d ON d.shipment_id = l.shipment_id AND d.line_ref = l.line_ref
            WHERE l.pool_id = $1 AND l.shipment_id BETWEEN $2 AND $3 AND ($4::text IS NULL OR l.line_ref = $4)
            GROUP BY l.shipment_id, l.line_ref
        ) AS line
        WHERE units <> due OR strayed > coalesce(put_back, 0)
        ORDER BY shipment_id, line_ref
        "#,
        pool.0,
        from,
        to,
        only,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.shipment_id, row.line_ref)).collect())
}

/// The lots that a line was ever depleted from.
pub(super) async fn find_lots(
    conn: &mut PgConnection,
    pool: PoolId,
    shipment: Uuid,
    line_ref: &str,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"
        SELECT DISTINCT lot_id
        FROM depletions
        WHERE pool_id = $1 AND shipment_id = $2 AND line_ref = $3
        ORDER BY lot_id
        "#,
        pool.0,
        shipment,
        line_ref,
    )
    .fetch_all(conn)
    .await
}

/// Units of a line from one lot, as one row of its depletions.
struct Row {
    kind: String,
    lot_id: Uuid,
    quantity: i64,
    unit_cost: Decimal,
    cost_date: NaiveDate,
}

/// Everything a correction of a line follows from.
struct Line {
    /// What it should have taken.
    due: i64,
    /// What it says it took, and what the shelf gave.
    depleted: i64,
    covered: i64,
    /// What it took by its quantity and what is open of its shortage; nothing is said of one that is voided.
    by_shortage: Option<i64>,
    snapshot_date: Option<NaiveDate>,
    /// In order.
    rows: Vec<Row>,
    /// What the lots of these rows gave to all lines.
    lots: BTreeMap<Uuid, Given>,
}

impl Line {
    fn taken(&self) -> i64 {
        self.rows.iter().map(|row| row.quantity).sum()
    }

    fn excess(&self) -> i64 {
        self.taken() - self.due
    }

    fn is_stray(&self, row: &Row) -> bool {
        row.kind == "snapshot" && Some(row.cost_date) != self.snapshot_date
    }

    /// Units of another day's snapshot that nothing has put back.
    fn strayed(&self) -> i64 {
        let strayed: i64 = self.rows.iter().filter(|row| self.is_stray(row)).map(|row| row.quantity).sum();
        let back = self.rows.iter().filter(|row| row.quantity < 0 && matches!(&*row.kind, "reversal" | "correction"));
        strayed + back.map(|row| row.quantity).sum::<i64>()
    }

    /// Units of this line that were never given by a lot, so never given back: depletions beyond its transactions.
    fn never_given(&self, lot: Uuid) -> i64 {
        let own: i64 = self.rows.iter().filter(|row| row.lot_id == lot).map(|row| row.quantity.max(0)).sum();
        let most = own.min(self.excess().max(0));
        self.lots.get(&lot).map_or(0, |given| given.beyond.clamp(0, most))
    }

    /// Whether depletions, the movements of lots and the shortage agree, and the row is none of them.
    fn is_row_alone(&self) -> bool {
        self.by_shortage == Some(self.taken())
            && self.taken() != self.depleted
            && self.lots.values().all(|given| given.beyond == 0)
    }

    /// Rows that took something, those of another day first, from last to first; with what of them was not given back.
    fn takings(&self) -> Vec<(&Row, i64)> {
        let mut back: BTreeMap<Uuid, i64> = BTreeMap::new();
        for row in self.rows.iter().filter(|row| row.quantity < 0) {
            *back.entry(row.lot_id).or_default() -= row.quantity;
        }
        let (stray, own): (Vec<&Row>, Vec<&Row>) =
            self.rows.iter().rev().filter(|row| row.quantity > 0).partition(|row| self.is_stray(row));
        let there = |row: &Row| {
            let gone = back.entry(row.lot_id).or_default();
            let here = row.quantity - row.quantity.min(*gone);
            *gone -= row.quantity - here;
            here
        };
        let mut there = there;
        stray.into_iter().chain(own).map(|row| (row, there(row))).collect()
    }

    /// What goes back; then what is booked again because its day was another. Pure.
    fn correct(&self) -> Vec<LotUnits> {
        let mut units = Vec::new();
        let mut left = self.excess();
        let mut never_given: BTreeMap<Uuid, i64> = BTreeMap::new();
        let mut takings = self.takings();
        for (row, there) in &mut takings {
            let quantity = (*there).min(left);
            if quantity > 0 {
                let phantom = never_given.entry(row.lot_id).or_insert_with(|| self.never_given(row.lot_id));
                let never = quantity.min(*phantom);
                *phantom -= never;
                left -= quantity;
                *there -= quantity;
                units.push(LotUnits {
                    lot_id: row.lot_id,
                    quantity: -quantity,
                    lot_quantity: quantity - never,
                    unit_cost: row.unit_cost,
                });
            }
        }
        // Units that stay where they went but left on the wrong day: out of the line and into it again, at their cost.
        let mut left = self.strayed() - self.excess().max(0);
        for (row, there) in takings.iter().filter(|(row, _)| self.is_stray(row)) {
            let quantity = (*there).min(left);
            if quantity > 0 {
                left -= quantity;
                for quantity in [-quantity, quantity] {
                    units.push(LotUnits { lot_id: row.lot_id, quantity, lot_quantity: 0, unit_cost: row.unit_cost });
                }
            }
        }
        units
    }
}

/// A line whose depletions are not what it says, or of more than one day.
#[allow(clippy::too_many_lines, reason = "one row, and what was seen of it")]
pub(super) async fn look(
    conn: &mut PgConnection,
    pool: PoolId,
    shipment: Uuid,
    line_ref: &str,
    books: &mut Books,
) -> sqlx::Result<Option<Finding>> {
    if find(conn, pool, (shipment, shipment), Some(line_ref)).await?.is_empty() {
        return Ok(None);
    }
    let Some(line) = sqlx::query!(
        r#"
        SELECT
            l.sku_id, l.depleted_quantity, l.covered_quantity, l.snapshot_date, l.voided_at, to_jsonb(l) AS "row!",
            to_jsonb(o) AS shortage,
            CASE
                WHEN l.voided_at IS NULL AND l.tracked AND l.snapshot_date IS NOT NULL
                    THEN l.quantity - coalesce(o.quantity - o.settled_quantity - o.voided_quantity, 0)
            END AS by_shortage
        FROM shipment_lines AS l
        LEFT JOIN lot_shortages AS o
            ON o.pool_id = $1 AND o.shipment_id = l.shipment_id AND o.line_ref = l.line_ref
        WHERE l.pool_id = $1 AND l.shipment_id = $2 AND l.line_ref = $3
        "#,
        pool.0,
        shipment,
        line_ref,
    )
    .fetch_optional(&mut *conn)
    .await?
    else {
        return Ok(None);
    };
    let depletions = sqlx::query!(
        r#"
        SELECT kind, lot_id, quantity, unit_cost, cost_date, to_jsonb(d) AS "row!"
        FROM depletions AS d
        WHERE pool_id = $1 AND shipment_id = $2 AND line_ref = $3
        ORDER BY n
        "#,
        pool.0,
        shipment,
        line_ref,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut evidence: Vec<_> = [Some(line.row), line.shortage].into_iter().flatten().collect();
    evidence.extend(depletions.iter().map(|row| row.row.clone()));
    let mut lots = BTreeMap::new();
    for row in &depletions {
        lots.insert(row.lot_id, books.given(conn, pool, row.lot_id).await?);
    }
    let seen = Line {
        due: if line.voided_at.is_some() { 0 } else { line.depleted_quantity.min(line.covered_quantity) },
        depleted: line.depleted_quantity,
        covered: line.covered_quantity,
        by_shortage: line.by_shortage,
        snapshot_date: line.snapshot_date,
        rows: depletions
            .into_iter()
            .map(|row| Row {
                kind: row.kind,
                lot_id: row.lot_id,
                quantity: row.quantity,
                unit_cost: row.unit_cost,
                cost_date: row.cost_date,
            })
            .collect(),
        lots,
    };
    // What of it is this line's, so that what is repaired of others leaves it as it is.
    evidence.extend(
        seen.lots
            .keys()
            .map(|lot| serde_json::json!({"lot_id": lot, "depletions_beyond_transactions": seen.never_given(*lot)})),
    );
    let shelf = books.shelf(conn, pool, line.sku_id).await?;
    let correction = decide(&seen, shelf);
    let strayed = seen.strayed().max(0);
    let kind = if strayed > 0 { Kind::TwoDates } else { Kind::DoubleDepletion };
    let detail = format!(
        "It takes {} from lots; its depletions sum up to {}, {strayed} of them by the snapshot of another day.",
        seen.due,
        seen.taken()
    );
    let subject = Subject::Line { shipment_id: shipment, line_ref: line_ref.to_owned() };
    Ok(Some(finding(kind, pool, subject, evidence, detail, correction)))
}

/// What is to be done about a line; `None`: nothing is known of its shelf. Pure.
fn decide(line: &Line, shelf: Option<Shelf>) -> Correction {
    let taken = line.taken();
    if line.is_row_alone() {
        return if taken > line.depleted && taken <= line.covered {
            Correction::CorrectLine { units: Vec::new(), depleted_quantity: taken }
        } else {
            Correction::manual(format!(
                "Depletions, lots and the shortage of the line agree on {taken}; its row alone says {}. A line only moves \
                 forward: set it by hand, its guard down.",
                line.depleted
            ))
        };
    }
    if line.excess() < 0 {
        return Correction::manual(
            "The line says it took more from lots than its depletions say: depletions are missing. Restore them from a \
             backup.",
        );
    }
    let units = line.correct();
    let mut back: BTreeMap<Uuid, i64> = BTreeMap::new();
    for one in &units {
        *back.entry(one.lot_id).or_default() += one.lot_quantity;
    }
    for (lot, quantity) in &back {
        match line.lots.get(lot).and_then(|given| given.room) {
            None => return Correction::manual(format!("There is no lot {lot}. Restore it from a backup.")),
            Some(room) if *quantity > room => {
                return Correction::manual(format!(
                    "{quantity} units would go back into lot {lot}, which misses {room}. Repair the lot first, or count it."
                ));
            }
            Some(_) => {}
        }
    }
    if let Some(manual) = refuse_harm(shelf, back.values().sum()) {
        return manual;
    }
    Correction::CorrectLine { units, depleted_quantity: line.depleted.min(line.covered) }
}

/// Why lots are not to hold `units` more: they would be further from the shelf than they are.
pub(super) fn refuse_harm(shelf: Option<Shelf>, units: i64) -> Option<Correction> {
    let shelf = shelf.filter(|shelf| shelf.is_worse_with(units))?;
    Some(Correction::manual(format!(
        "{units} units would go back into lots, but shelf and lots differ by {}: they are not missing there. Repair the \
         other findings of this SKU first and diagnose again; if this one stays, count the shelf.",
        shelf.by_ledgers
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 1, day).unwrap()
    }

    fn line(due: i64, rows: &[(&str, u128, i64, u32)], never_given: &[(u128, i64)]) -> Line {
        let rows: Vec<Row> = rows
            .iter()
            .map(|(kind, lot, quantity, date)| Row {
                kind: (*kind).to_owned(),
                lot_id: Uuid::from_u128(*lot),
                quantity: *quantity,
                unit_cost: Decimal::ONE,
                cost_date: day(*date),
            })
            .collect();
        let mut lots: BTreeMap<Uuid, Given> =
            rows.iter().map(|row| (row.lot_id, Given { beyond: 0, room: Some(100) })).collect();
        for (lot, beyond) in never_given {
            lots.insert(Uuid::from_u128(*lot), Given { beyond: *beyond, room: Some(100) });
        }
        Line { due, depleted: due, covered: 100, by_shortage: Some(due), snapshot_date: Some(day(10)), rows, lots }
    }

    fn units(line: &Line) -> Vec<(u128, i64, i64)> {
        line.correct().into_iter().map(|one| (one.lot_id.as_u128(), one.quantity, one.lot_quantity)).collect()
    }

    #[test]
    fn what_was_taken_twice_goes_back_last_out_first() {
        let twice = [("snapshot", 1, 2, 10), ("snapshot", 2, 1, 10), ("snapshot", 2, 3, 10)];
        assert_eq!(units(&line(3, &twice, &[])), [(2, -3, 3)]);
        assert_eq!(units(&line(2, &twice, &[])), [(2, -3, 3), (2, -1, 1)]);
        assert_eq!(units(&line(3, &twice, &[(2, 2)])), [(2, -3, 1)], "a lot gets back only what it gave");
        assert_eq!(units(&line(3, &twice, &[(2, 20)])), [(2, -3, 0)], "whatever it never gave to others");
    }

    #[test]
    fn what_went_back_before_is_not_given_back_again() {
        let rows = [("snapshot", 1, 3, 10), ("snapshot", 2, 3, 10), ("correction", 2, -3, 12)];
        assert!(units(&line(3, &rows, &[])).is_empty());
        assert_eq!(units(&line(0, &rows, &[])), [(1, -3, 3)], "voided, but not put back");
    }

    #[test]
    fn units_of_another_day_go_back_or_are_booked_again() {
        let both = [("snapshot", 1, 3, 10), ("snapshot", 2, 3, 11)];
        assert_eq!(units(&line(3, &both, &[])), [(2, -3, 3)]);
        let stray_first = [("snapshot", 2, 3, 9), ("snapshot", 1, 3, 10)];
        assert_eq!(units(&line(3, &stray_first, &[])), [(2, -3, 3)], "the right day's stay, whatever came first");
        let split = [("snapshot", 1, 2, 10), ("snapshot", 2, 1, 11)];
        assert_eq!(units(&line(3, &split, &[])), [(2, -1, 0), (2, 1, 0)]);
        let settled = [split[0], split[1], ("correction", 2, -1, 12), ("correction", 2, 1, 12)];
        assert!(units(&line(3, &settled, &[])).is_empty());
        let three = [("snapshot", 1, 3, 10), ("snapshot", 2, 2, 9), ("snapshot", 3, 1, 8)];
        assert_eq!(units(&line(5, &three, &[])), [(3, -1, 1), (2, -2, 0), (2, 2, 0)], "what stays, not what went back");
    }

    #[test]
    fn a_row_that_stands_alone_is_what_is_wrong() {
        let shelf = |by_ledgers| Some(Shelf { by_rows: by_ledgers, by_ledgers });
        let forward = Correction::CorrectLine { units: Vec::new(), depleted_quantity: 4 };
        let lowered = Line { by_shortage: Some(4), ..line(2, &[("snapshot", 1, 4, 10)], &[]) };
        assert_eq!(decide(&lowered, shelf(0)), forward);
        assert_eq!(decide(&lowered, shelf(-2)), forward, "whatever else is wrong with the shelf");
        let raised = Line { by_shortage: Some(4), ..line(6, &[("snapshot", 1, 4, 10)], &[]) };
        assert!(matches!(decide(&raised, shelf(0)), Correction::Manual { .. }), "a line only moves forward");
        let unheard = Line { by_shortage: Some(4), ..line(2, &[("snapshot", 1, 4, 10)], &[(1, 4)]) };
        assert_ne!(decide(&unheard, shelf(0)), forward, "the lots do not say so");
    }

    #[test]
    fn lots_get_nothing_back_that_the_shelf_does_not_miss() {
        let twice = line(3, &[("snapshot", 1, 3, 10), ("snapshot", 1, 3, 10)], &[]);
        let shelf = |by_ledgers| Some(Shelf { by_rows: by_ledgers, by_ledgers });
        assert!(matches!(decide(&twice, shelf(-3)), Correction::CorrectLine { .. }));
        assert!(matches!(decide(&twice, None), Correction::CorrectLine { .. }));
        assert!(matches!(decide(&twice, shelf(0)), Correction::Manual { .. }));
        let phantom = line(3, &[("snapshot", 1, 3, 10), ("snapshot", 1, 3, 10)], &[(1, 3)]);
        assert!(matches!(decide(&phantom, shelf(0)), Correction::CorrectLine { .. }), "no lot moves");
        let missing = line(3, &[], &[]);
        assert!(matches!(decide(&missing, shelf(0)), Correction::Manual { .. }));
    }
}
