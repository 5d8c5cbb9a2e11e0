//! One shipment line: what its depletions, its lots, its shortage and the closes of its days make of it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::books::{Given, Shelf, Taken};
use super::{Correction, LotUnits};

/// Units of a line from one lot, as one row of its depletions.
pub(super) struct Row {
    pub kind: String,
    pub lot_id: Uuid,
    pub quantity: i64,
    /// As it was taken, or as what was sold of the lot has been corrected to since.
    pub unit_cost: Decimal,
    pub cost_date: NaiveDate,
    /// What the same snapshot or settlement took from the lot, of this line and others.
    pub taken: Taken,
}

/// Everything a correction of a line follows from.
pub(super) struct Line {
    /// What it should have taken.
    pub due: i64,
    /// What it says it took, and what the shelf gave.
    pub depleted: i64,
    pub covered: i64,
    /// What it took by its quantity and what is open of its shortage; nothing is said of one that is voided.
    pub by_shortage: Option<i64>,
    pub snapshot_date: Option<NaiveDate>,
    /// In order.
    pub rows: Vec<Row>,
    /// What the lots of these rows gave to all lines.
    pub lots: BTreeMap<Uuid, Given>,
    /// Of each day whose snapshot took something: what the lines of the SKU took beyond what its close says.
    pub beyond_closes: BTreeMap<NaiveDate, Option<i64>>,
}

/// What of a row goes back into the line, and what of that the lot never gave.
#[derive(Default, Clone, Copy)]
pub(super) struct Back {
    pub units: i64,
    pub never: i64,
}

impl Line {
    pub(super) fn taken(&self) -> i64 {
        self.rows.iter().map(|row| row.quantity).sum()
    }

    fn excess(&self) -> i64 {
        self.taken() - self.due
    }

    fn is_stray(&self, row: &Row) -> bool {
        row.kind == "snapshot" && Some(row.cost_date) != self.snapshot_date
    }

    /// Units of another day's snapshot that nothing has put back.
    pub(super) fn strayed(&self) -> i64 {
        let strayed: i64 = self.rows.iter().filter(|row| self.is_stray(row)).map(|row| row.quantity).sum();
        let back = self.rows.iter().filter(|row| row.quantity < 0 && matches!(&*row.kind, "reversal" | "correction"));
        strayed + back.map(|row| row.quantity).sum::<i64>()
    }

    fn taken_on(&self, date: NaiveDate) -> i64 {
        let of_day = self.rows.iter().filter(|row| row.kind == "snapshot" && row.cost_date == date);
        of_day.map(|row| row.quantity).sum()
    }

    /// Days whose close counted units of this line: lines took more that day than is beyond it.
    fn counted_on(&self) -> Vec<NaiveDate> {
        let counts = |(date, beyond): (&NaiveDate, &Option<i64>)| {
            beyond.is_none_or(|beyond| self.taken_on(*date) > beyond).then_some(*date)
        };
        self.beyond_closes.iter().filter_map(counts).collect()
    }

    /// Whether the closes of all its days miss what is taken beyond `due`, and nothing else.
    fn is_beyond_closes_by(&self, units: i64) -> bool {
        let beyond: Option<i64> = self.beyond_closes.values().copied().sum();
        beyond == Some(units)
    }

    /// What the line took, and on which day if it says none, where its row contradicts its shortage or a close. Those
    /// are right where everything else agrees with them.
    fn by_books(&self) -> Verdict {
        let counted = self.counted_on();
        let day = match (self.snapshot_date, counted.as_slice()) {
            (Some(_), _) => None,
            (None, [day]) => Some(*day),
            (None, []) => return Verdict::Right,
            (None, _) => return Verdict::Unknown,
        };
        let Some(units) = self.by_shortage else { return Verdict::Right };
        if units == self.depleted && day.is_none() {
            return Verdict::Right;
        }
        let (taken, is_forward) = (self.taken(), units >= self.depleted && units <= self.covered);
        let lots_agree = self.lots.values().all(|given| given.beyond == 0);
        if self.is_beyond_closes_by(taken - units) && (taken > units || taken == units && lots_agree) {
            return if is_forward { Verdict::Wrong { units, day } } else { Verdict::Back(units) };
        }
        // The close says what the row says: it is the shortage that is wrong.
        if day.is_none() && self.is_beyond_closes_by(self.excess()) { Verdict::Right } else { Verdict::Unknown }
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

    /// What goes back of each row: first what its lot never gave, whichever lot that is, then last out first.
    pub(super) fn backs(&self) -> Vec<(&Row, Back)> {
        let mut left = self.excess().max(0);
        let mut by_lot: BTreeMap<Uuid, i64> =
            self.lots.iter().map(|(lot, given)| (*lot, given.beyond.max(0))).collect();
        let mut by_taking: BTreeMap<(Uuid, &str, NaiveDate), i64> = BTreeMap::new();
        let mut backs = Vec::new();
        for (row, there) in self.takings() {
            let of_lot = by_lot.entry(row.lot_id).or_default();
            let of_taking = by_taking.entry((row.lot_id, &row.kind, row.cost_date)).or_insert(row.taken.beyond.max(0));
            let never = there.min(left).min(*of_lot).min(*of_taking);
            (left, *of_lot, *of_taking) = (left - never, *of_lot - never, *of_taking - never);
            backs.push((row, there - never, Back { units: never, never }));
        }
        let with_given = |(row, there, back): (_, i64, Back)| {
            let given = there.min(left);
            left -= given;
            (row, Back { units: back.units + given, ..back })
        };
        backs.into_iter().map(with_given).filter(|(_, back)| back.units > 0).collect()
    }

    /// What goes back. Pure.
    fn correct(&self) -> Vec<LotUnits> {
        let one = |(row, back): (&Row, Back)| {
            let given = back.units - back.never;
            LotUnits {
                lot_id: row.lot_id,
                quantity: -back.units,
                lot_quantity: given,
                unit_cost: row.unit_cost,
                value: row.taken.worth.map(|worth| (worth * Decimal::from(given)).normalize()),
            }
        };
        self.backs().into_iter().map(one).collect()
    }

    /// A day whose close counted what would go back of it.
    fn counted_by_close(&self) -> Option<NaiveDate> {
        let mut back: BTreeMap<NaiveDate, i64> = BTreeMap::new();
        for (row, one) in self.backs().into_iter().filter(|(row, _)| row.kind == "snapshot") {
            *back.entry(row.cost_date).or_default() += one.units;
        }
        let is_counted = |(date, units): &(NaiveDate, i64)| {
            self.beyond_closes.get(date).is_some_and(|beyond| beyond.is_none_or(|beyond| *units > beyond))
        };
        back.into_iter().find(is_counted).map(|(date, _)| date)
    }
}

/// What the rest of the books say of a line's row.
enum Verdict {
    /// Nothing else, or nothing that is known better.
    Right,
    /// It took this much, on this day if it says none.
    Wrong { units: i64, day: Option<NaiveDate> },
    /// It took this much, less than the row says.
    Back(i64),
    /// Something else, and they do not agree on what.
    Unknown,
}

/// What is to be done about a line; `None`: nothing is known of its shelf. Pure.
pub(super) fn decide(line: &mut Line, shelf: Option<Shelf>) -> Correction {
    let mut day = None;
    match line.by_books() {
        Verdict::Right => {}
        Verdict::Wrong { units, day: on } => {
            (line.due, line.depleted, day) = (units, units, on);
            line.snapshot_date = line.snapshot_date.or(on);
        }
        Verdict::Back(units) => {
            return Correction::manual(format!(
                "Depletions, lots and the shortage of the line agree on {units}; its row alone says {}. A line only \
                 moves forward: set it by hand, its guard down.",
                line.depleted
            ));
        }
        Verdict::Unknown => {
            return Correction::manual(
                "Its row contradicts its shortage or the close of its day, and its depletions agree with neither. \
                 Repair the other findings of this SKU first and diagnose again; if this one stays, restore the rows \
                 of this line from a backup.",
            );
        }
    }
    if line.excess() < 0 {
        return Correction::manual(
            "The line says it took more from lots than its depletions say: depletions are missing. Restore them from a \
             backup.",
        );
    }
    // What left on another day and is not too much: out of the line and into it again would move nothing.
    if line.snapshot_date.is_some() && line.strayed() > line.excess() {
        return wrong_date(line);
    }
    if let Some(date) = line.counted_by_close() {
        return Correction::manual(format!(
            "Depletions of {date} would go back that the close of that day counted: it is not them that are too many. \
             Repair the other findings of this SKU first and diagnose again; if this one stays, restore the rows of \
             this line from a backup."
        ));
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
    Correction::CorrectLine { units, depleted_quantity: line.depleted.min(line.covered), snapshot_date: day }
}

/// Either date was edited: that of the line, which is set once, or that of its depletions, which are never edited.
fn wrong_date(line: &Line) -> Correction {
    let strays = line.rows.iter().filter(|row| line.is_stray(row));
    let (mut by_lots, mut days) = (true, BTreeSet::new());
    for row in strays {
        by_lots &= row.taken.beyond <= 0;
        days.insert(row.cost_date);
    }
    let counted = line.counted_on();
    match days.first() {
        Some(day) if days.len() == 1 && by_lots && counted.contains(day) => Correction::manual(format!(
            "Depletions, lots and the close of {day} agree on that day; the line's row alone says another. The day of \
             a line is set once: set it by hand, its guard down."
        )),
        _ if !by_lots => Correction::manual(
            "Lots gave nothing on the day that its depletions name: their date is wrong. Restore them from a backup.",
        ),
        _ => Correction::manual(
            "It took what it should, a part of it on another day, and nothing says which day is right. Restore the \
             rows of this line from a backup.",
        ),
    }
}

/// Why lots are not to hold `units` more: they would be further from the shelf than they are.
pub(super) fn refuse_harm(shelf: Option<Shelf>, units: i64) -> Option<Correction> {
    let shelf = shelf.filter(|shelf| shelf.is_worse_with(units))?;
    Some(Correction::manual(format!(
        "{units} units would go back into lots, but shelf and lots differ by {}: they are not missing there. Repair \
         the other findings of this SKU first and diagnose again; if this one stays, count the shelf.",
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
                taken: Taken {
                    beyond: never_given.iter().filter(|(of, _)| of == lot).map(|(_, beyond)| beyond).sum(),
                    worth: None,
                },
            })
            .collect();
        let mut lots: BTreeMap<Uuid, Given> =
            rows.iter().map(|row| (row.lot_id, Given { beyond: 0, room: Some(100) })).collect();
        for (lot, beyond) in never_given {
            lots.insert(Uuid::from_u128(*lot), Given { beyond: *beyond, room: Some(100) });
        }
        let (snapshot_date, beyond_closes) = (Some(day(10)), BTreeMap::new());
        Line { due, depleted: due, covered: 100, by_shortage: Some(due), snapshot_date, rows, lots, beyond_closes }
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
    fn what_no_lot_gave_goes_first_whichever_lot_that_is() {
        let twice = [("snapshot", 1, 6, 10), ("snapshot", 1, 6, 10), ("snapshot", 2, 2, 10), ("snapshot", 2, 2, 10)];
        assert_eq!(units(&line(8, &twice, &[(1, 6), (2, 2)])), [(2, -2, 0), (1, -6, 0)]);
        assert_eq!(units(&line(8, &twice, &[(1, 6)])), [(2, -2, 2), (1, -6, 0)]);
    }

    #[test]
    fn units_of_another_day_go_back_and_a_wrong_date_is_for_a_person() {
        let both = [("snapshot", 1, 3, 10), ("snapshot", 2, 3, 11)];
        assert_eq!(units(&line(3, &both, &[])), [(2, -3, 3)]);
        let stray_first = [("snapshot", 2, 3, 9), ("snapshot", 1, 3, 10)];
        assert_eq!(units(&line(3, &stray_first, &[])), [(2, -3, 3)], "the right day's stay, whatever came first");
        let split = [("snapshot", 1, 2, 10), ("snapshot", 2, 1, 11)];
        assert!(units(&line(3, &split, &[])).is_empty());
        assert!(
            matches!(decide(&mut line(3, &split, &[]), None), Correction::Manual { .. }),
            "no pair that is nothing"
        );
    }

    #[test]
    fn a_row_that_stands_alone_is_what_is_wrong() {
        let shelf = |by_ledgers| Some(Shelf { by_rows: by_ledgers, by_ledgers });
        let set = |depleted_quantity, snapshot_date| Correction::CorrectLine {
            units: Vec::new(),
            depleted_quantity,
            snapshot_date,
        };
        let lowered = || Line { by_shortage: Some(4), ..line(2, &[("snapshot", 1, 4, 10)], &[]) };
        assert_eq!(decide(&mut lowered(), shelf(0)), set(4, None));
        assert_eq!(decide(&mut lowered(), shelf(-2)), set(4, None), "whatever else is wrong with the shelf");
        let mut raised = Line { by_shortage: Some(4), ..line(6, &[("snapshot", 1, 4, 10)], &[]) };
        assert!(matches!(decide(&mut raised, shelf(0)), Correction::Manual { .. }), "a line only moves forward");
        let mut unheard = Line { by_shortage: Some(4), ..line(2, &[("snapshot", 1, 4, 10)], &[(1, 4)]) };
        assert!(matches!(decide(&mut unheard, shelf(0)), Correction::Manual { .. }), "the lots do not say so");
        let undone = |beyond| Line {
            snapshot_date: None,
            by_shortage: Some(4),
            beyond_closes: BTreeMap::from([(day(10), Some(beyond))]),
            ..line(0, &[("snapshot", 1, 4, 10)], &[])
        };
        assert_eq!(decide(&mut undone(0), shelf(-4)), set(4, Some(day(10))), "the close of the day counted it");
        assert!(matches!(decide(&mut undone(2), shelf(-4)), Correction::Manual { .. }), "in part");
        assert_eq!(undone(4).correct().len(), 1, "it did not");
    }

    #[test]
    fn of_a_row_that_was_lowered_only_what_its_close_misses_goes_back() {
        let twice = |beyond| Line {
            by_shortage: Some(3),
            beyond_closes: BTreeMap::from([(day(10), Some(beyond))]),
            ..line(1, &[("snapshot", 1, 3, 10), ("snapshot", 1, 3, 10)], &[])
        };
        let shelf = Some(Shelf { by_rows: -3, by_ledgers: -3 });
        let Correction::CorrectLine { units, depleted_quantity, .. } = decide(&mut twice(3), shelf) else {
            panic!("everything else agrees")
        };
        assert_eq!((units[0].quantity, units.len(), depleted_quantity), (-3, 1, 3));
        assert!(matches!(decide(&mut twice(0), shelf), Correction::Manual { .. }));
    }

    #[test]
    fn lots_get_nothing_back_that_the_shelf_does_not_miss() {
        let mut twice = line(3, &[("snapshot", 1, 3, 10), ("snapshot", 1, 3, 10)], &[]);
        let shelf = |by_ledgers| Some(Shelf { by_rows: by_ledgers, by_ledgers });
        assert!(matches!(decide(&mut twice, shelf(-3)), Correction::CorrectLine { .. }));
        assert!(matches!(decide(&mut twice, None), Correction::CorrectLine { .. }));
        assert!(matches!(decide(&mut twice, shelf(0)), Correction::Manual { .. }));
        let mut phantom = line(3, &[("snapshot", 1, 3, 10), ("snapshot", 1, 3, 10)], &[(1, 3)]);
        assert!(matches!(decide(&mut phantom, shelf(0)), Correction::CorrectLine { .. }), "no lot moves");
        let mut missing = line(3, &[], &[]);
        assert!(matches!(decide(&mut missing, shelf(0)), Correction::Manual { .. }));
    }
}
