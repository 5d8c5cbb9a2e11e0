//! Shipment lines: what lots gave for a line against what the line took, and on which days.
//!
//! The line says what it took from lots: never more than it took from the shelf, nothing once it is voided, nothing
//! before a snapshot has taken it. What its depletions sum up to beyond that goes back, last out first, at the cost it
//! left at, and into the lots as far as those gave it: a depletion that was only written twice gives no lot anything.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::evidence::finding;
use super::{Correction, Finding, Kind, LotUnits, Subject};
use crate::ids::PoolId;

/// Lines of the shipments of a page whose depletions are not what the line says, or of more than one day.
pub(super) async fn find(
    conn: &mut PgConnection,
    pool: PoolId,
    from: Uuid,
    to: Uuid,
) -> sqlx::Result<Vec<(Uuid, String)>> {
    let rows = sqlx::query!(
        r#"
        SELECT shipment_id, line_ref
        FROM (
            SELECT
                d.shipment_id,
                d.line_ref,
                sum(d.quantity) AS units,
                sum(d.quantity) FILTER (
                    WHERE d.kind = 'snapshot' AND d.cost_date IS DISTINCT FROM l.snapshot_date
                ) AS strayed,
                -sum(d.quantity) FILTER (WHERE d.kind IN ('reversal', 'correction') AND d.quantity < 0) AS put_back,
                min(l.due) AS due
            FROM depletions AS d
            CROSS JOIN LATERAL (
                SELECT
                    snapshot_date,
                    CASE WHEN voided_at IS NULL THEN least(depleted_quantity, covered_quantity) ELSE 0 END AS due
                FROM shipment_lines
                WHERE pool_id = $1 AND shipment_id = d.shipment_id AND line_ref = d.line_ref
                LIMIT 1
            ) AS l
            WHERE d.pool_id = $1 AND d.shipment_id BETWEEN $2 AND $3
            GROUP BY d.shipment_id, d.line_ref
        ) AS line
        WHERE units <> due OR strayed > coalesce(put_back, 0)
        ORDER BY shipment_id, line_ref
        "#,
        pool.0,
        from,
        to,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.shipment_id, row.line_ref)).collect())
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
    snapshot_date: Option<NaiveDate>,
    /// In order.
    rows: Vec<Row>,
    /// Units that depletions took from a lot beyond what its transactions gave: never given, so never given back.
    never_given: BTreeMap<Uuid, i64>,
}

impl Line {
    fn excess(&self) -> i64 {
        self.rows.iter().map(|row| row.quantity).sum::<i64>() - self.due
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

    /// What goes back, from last to first; then what is booked again because its day was another. Pure.
    fn correct(&self) -> Vec<LotUnits> {
        let mut units = Vec::new();
        let mut left = self.excess();
        // What was given back before is no longer there to be given back.
        let mut back: BTreeMap<Uuid, i64> = BTreeMap::new();
        for row in self.rows.iter().filter(|row| row.quantity < 0) {
            *back.entry(row.lot_id).or_default() -= row.quantity;
        }
        let mut never_given = self.never_given.clone();
        for row in self.rows.iter().rev().filter(|row| row.quantity > 0) {
            let gone = back.entry(row.lot_id).or_default();
            let there = row.quantity - row.quantity.min(*gone);
            *gone -= row.quantity - there;
            let quantity = there.min(left);
            if quantity > 0 {
                let phantom = never_given.entry(row.lot_id).or_default();
                let never = quantity.min((*phantom).max(0));
                *phantom -= never;
                left -= quantity;
                units.push(LotUnits {
                    lot_id: row.lot_id,
                    quantity: -quantity,
                    lot_quantity: quantity - never,
                    unit_cost: row.unit_cost,
                });
            }
        }
        units.extend(self.book_again(self.strayed() - self.excess().max(0)));
        units
    }

    /// Units that stay where they went but left on the wrong day: out of the line and into it again, at the same cost.
    fn book_again(&self, mut left: i64) -> Vec<LotUnits> {
        let mut units = Vec::new();
        for row in self.rows.iter().rev().filter(|row| self.is_stray(row)) {
            let quantity = row.quantity.min(left);
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
) -> sqlx::Result<Option<Finding>> {
    let found = find(conn, pool, shipment, shipment).await?;
    if !found.iter().any(|(_, found)| found == line_ref) {
        return Ok(None);
    }
    let Some(line) = sqlx::query!(
        r#"
        SELECT depleted_quantity, covered_quantity, snapshot_date, voided_at, to_jsonb(l) AS "row!"
        FROM shipment_lines AS l
        WHERE pool_id = $1 AND shipment_id = $2 AND line_ref = $3
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
    let mut rows = vec![line.row];
    rows.extend(depletions.iter().map(|row| row.row.clone()));
    let mut lots: Vec<Uuid> = depletions.iter().map(|row| row.lot_id).collect();
    lots.sort_unstable();
    lots.dedup();
    let mut never_given = BTreeMap::new();
    let mut room = BTreeMap::new();
    for lot in lots {
        let (beyond, free) = find_beyond(conn, pool, lot).await?;
        rows.push(serde_json::json!({"lot_id": lot, "depletions_beyond_transactions": beyond}));
        never_given.insert(lot, beyond);
        room.insert(lot, free);
    }
    let due = if line.voided_at.is_some() { 0 } else { line.depleted_quantity.min(line.covered_quantity) };
    let seen = Line {
        due,
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
        never_given,
    };
    let depleted_quantity = line.depleted_quantity.min(line.covered_quantity);
    let correction = decide(&seen, &room, depleted_quantity);
    let strayed = seen.strayed().max(0);
    let kind = if strayed > 0 { Kind::TwoDates } else { Kind::DoubleDepletion };
    let detail = format!(
        "It takes {due} from lots; its depletions sum up to {}, {strayed} of them by the snapshot of another day.",
        due + seen.excess()
    );
    let subject = Subject::Line { shipment_id: shipment, line_ref: line_ref.to_owned() };
    Ok(Some(finding(kind, pool, subject, rows, detail, correction)))
}

fn decide(line: &Line, room: &BTreeMap<Uuid, Option<i64>>, depleted_quantity: i64) -> Correction {
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
    for (lot, quantity) in back {
        match room.get(&lot).copied().flatten() {
            None => return Correction::manual(format!("There is no lot {lot}. Restore it from a backup.")),
            Some(room) if quantity > room => {
                return Correction::manual(format!(
                    "{quantity} units would go back into lot {lot}, which misses {room}. Repair the lot first, or count it."
                ));
            }
            Some(_) => {}
        }
    }
    Correction::CorrectLine { units, depleted_quantity }
}

/// Units that depletions took from a lot beyond what its transactions gave, and how many it could take back.
async fn find_beyond(conn: &mut PgConnection, pool: PoolId, lot: Uuid) -> sqlx::Result<(i64, Option<i64>)> {
    let seen = sqlx::query!(
        r#"
        SELECT
            (SELECT coalesce(sum(quantity), 0) FROM depletions WHERE pool_id = $1 AND lot_id = $2)::bigint
            AS "depleted!",
            (
                SELECT coalesce(-sum(quantity_delta), 0)
                FROM lot_transactions
                WHERE pool_id = $1 AND lot_id = $2
                    AND (
                        row_source IN ('snapshot_depletion', 'shortage_settlement', 'void')
                        OR row_source = 'correction' AND (shipment_id IS NOT NULL OR source_ref_id IS NOT NULL)
                    )
            )::bigint AS "given!",
            (SELECT received_quantity - remaining_quantity FROM lots WHERE pool_id = $1 AND lot_id = $2) AS room
        "#,
        pool.0,
        lot,
    )
    .fetch_one(conn)
    .await?;
    Ok((seen.depleted - seen.given, seen.room))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 1, day).unwrap()
    }

    fn line(due: i64, rows: &[(&str, u128, i64, u32)], never_given: &[(u128, i64)]) -> Line {
        let rows = rows.iter().map(|(kind, lot, quantity, date)| Row {
            kind: (*kind).to_owned(),
            lot_id: Uuid::from_u128(*lot),
            quantity: *quantity,
            unit_cost: Decimal::ONE,
            cost_date: day(*date),
        });
        Line {
            due,
            snapshot_date: Some(day(10)),
            rows: rows.collect(),
            never_given: never_given.iter().map(|(lot, units)| (Uuid::from_u128(*lot), *units)).collect(),
        }
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
        let split = [("snapshot", 1, 2, 10), ("snapshot", 2, 1, 11)];
        assert_eq!(units(&line(3, &split, &[])), [(2, -1, 0), (2, 1, 0)]);
        let settled = [split[0], split[1], ("correction", 2, -1, 12), ("correction", 2, 1, 12)];
        assert!(units(&line(3, &settled, &[])).is_empty());
    }
}
