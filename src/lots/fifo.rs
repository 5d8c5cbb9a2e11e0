//! Which lot each shipped unit comes from. Pure: lots and lines go in, allocations and shortages come out.
//!
//! Lots stand in a total order: received date, then the order they were recorded in, then id; where the class says
//! FEFO, by expiry first, and what never expires last. Lines stand in one too: ship time, then shipment, then line. So
//! the result depends on what was given and never on the order it was given in.
//!
//! - A line that names a lot takes it first, before any line that names none, expired or not: the warehouse saw it.
//! - Nothing is taken from what is in quarantine. Shipping units out of a quarantined lot lifts their quarantine, so
//!   what is still quarantined when lots are depleted is still on the shelf.
//! - Any other line takes lots that had not expired on the day it shipped: expired from the start of `expires_date`.
//! - Nothing is taken of what a lot got only after the day that is being closed, named or not: by a receipt, by a void.
//!   It was not there, and the books of that day would show less than nothing of it.
//! - What no lot can cover is a shortage. Nothing becomes negative.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::catalog::DepletionOrder;

#[cfg(test)]
mod tests;

/// A lot as depletion sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lot {
    /// Its id.
    pub id: Uuid,
    /// Business date of its receipt: its place among the others, which it keeps from pool to pool.
    pub received_date: NaiveDate,
    /// When it was entered.
    pub recorded_at: DateTime<Utc>,
    /// From the start of this local day it is expired.
    pub expires_date: Option<NaiveDate>,
    /// Units left of it.
    pub remaining: i64,
    /// Those of them that are not to be taken.
    pub quarantined: i64,
    /// Units that came and went on days after the first that is open, net, by the day they are booked on.
    pub later: Vec<(NaiveDate, i64)>,
}

impl Lot {
    /// Units that the close of a day may take: what is left, is not in quarantine, and was there by then.
    fn free(&self, day: NaiveDate) -> i64 {
        (self.remaining - self.quarantined).min(self.stood(day)).max(0)
    }

    /// Units of what is left that were there by the end of a day, and at the end of every day since.
    fn stood(&self, day: NaiveDate) -> i64 {
        let days = std::iter::once(day).chain(self.later.iter().map(|(date, _)| *date).filter(|date| *date >= day));
        let came = |after: NaiveDate| self.later.iter().filter(|(date, _)| *date > after).map(|(_, units)| units).sum();
        let later = days.map(came).max().unwrap_or(0).max(0);
        (self.remaining - later).max(0)
    }

    /// All that is left, by the day since which it is there: `first`, or a later one.
    #[must_use]
    pub fn since(&self, first: NaiveDate) -> BTreeMap<NaiveDate, i64> {
        let later = self.later.iter().map(|(date, _)| *date).filter(|date| *date > first);
        let days: BTreeSet<NaiveDate> = std::iter::once(first).chain(later).collect();
        let mut before = 0;
        let mut units_since = |day: NaiveDate| {
            let stood = self.stood(day);
            let new = stood - before;
            before = before.max(stood);
            (day, new)
        };
        days.into_iter().map(&mut units_since).filter(|(_, units)| *units > 0).collect()
    }
}

/// Units of a shipment line that are to be taken from lots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The shipment.
    pub shipment: Uuid,
    /// The line's name in it.
    pub line_ref: Box<str>,
    /// The lot that the warehouse names.
    pub lot: Option<Uuid>,
    /// When it left.
    pub shipped_at: DateTime<Utc>,
    /// The local day on which it left.
    pub shipped_date: NaiveDate,
    /// Units to take: what stock covered and no lot was depleted for yet.
    pub quantity: i64,
}

/// Units of one line from one lot, by their places in what was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allocation {
    /// Place of the line.
    pub line: usize,
    /// Place of the lot.
    pub lot: usize,
    /// Units, at least one.
    pub quantity: i64,
}

/// Units of one line that no lot covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// Place of the line.
    pub line: usize,
    /// Units, at least one.
    pub quantity: i64,
}

/// What comes of an allocation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allocated {
    /// In the order of lines; a line's own in the order it takes lots. One per line and lot.
    pub allocations: Vec<Allocation>,
    /// In the order of lines.
    pub shortages: Vec<Shortage>,
}

/// The order in which lots of one SKU are taken.
#[must_use]
pub fn compare(order: DepletionOrder, a: &Lot, b: &Lot) -> Ordering {
    let first_in = |lot: &Lot| (lot.received_date, lot.recorded_at, lot.id);
    let by_arrival = first_in(a).cmp(&first_in(b));
    match order {
        DepletionOrder::Fifo => by_arrival,
        DepletionOrder::Fefo => {
            let expiry = |lot: &Lot| lot.expires_date.unwrap_or(NaiveDate::MAX);
            expiry(a).cmp(&expiry(b)).then(by_arrival)
        }
    }
}

/// Takes the lines' units from the lots of one SKU at the close of `day`. Lots and lines may be given in any order.
#[must_use]
pub fn allocate(lots: &[Lot], lines: &[Line], order: DepletionOrder, day: NaiveDate) -> Allocated {
    let mut by_order: Vec<usize> = (0..lots.len()).collect();
    by_order.sort_unstable_by(|a, b| compare(order, &lots[*a], &lots[*b]));
    let mut by_time: Vec<usize> = (0..lines.len()).collect();
    by_time.sort_unstable_by(|a, b| place(&lines[*a]).cmp(&place(&lines[*b])));

    let mut free: Vec<i64> = lots.iter().map(|lot| lot.free(day)).collect();
    let named = take_named(lots, lines, &by_time, &mut free);
    let mut allocated = Allocated::default();
    let mut first = 0;
    for line in by_time {
        let mut wanted = lines[line].quantity;
        if let Some(allocation) = named[line] {
            allocated.allocations.push(allocation);
            wanted -= allocation.quantity;
        }
        while by_order.get(first).is_some_and(|lot| free[*lot] == 0) {
            first += 1;
        }
        for lot in by_order[first..].iter().copied() {
            if wanted <= 0 {
                break;
            }
            let quantity = free[lot].min(wanted);
            if quantity > 0 && lots[lot].expires_date.is_none_or(|expires| lines[line].shipped_date < expires) {
                free[lot] -= quantity;
                wanted -= quantity;
                allocated.allocations.push(Allocation { line, lot, quantity });
            }
        }
        if wanted > 0 {
            allocated.shortages.push(Shortage { line, quantity: wanted });
        }
    }
    allocated
}

/// Units of each lot, by place, that are physically there while shipped lines wait for their day to close: what remains
/// of it minus what the lines will take. The lines come day by day, as the days will be closed: a line that names a lot
/// goes before the others of its own day, not before those of an earlier one. What is `short` of days that are closed, or
/// of a day before, is settled first by each close. Never negative.
#[must_use]
pub fn present(lots: &[Lot], short: &[Line], days: &BTreeMap<NaiveDate, Vec<Line>>, order: DepletionOrder) -> Vec<i64> {
    let mut left = lots.to_vec();
    let mut short = short.to_vec();
    // A close of which nothing has shipped settles, too, and can where something came on its day.
    let came = lots.iter().flat_map(|lot| &lot.later).map(|(date, _)| *date);
    let closing: BTreeSet<NaiveDate> = days.keys().copied().chain(came).collect();
    for day in closing {
        short = take(&mut left, short, order, day);
        let lines = days.get(&day).cloned().unwrap_or_default();
        short.extend(take(&mut left, lines, order, day));
    }
    take(&mut left, short, order, NaiveDate::MAX);
    left.iter().map(|lot| lot.remaining).collect()
}

/// Takes lines' units off lots and gives those that were short.
fn take(lots: &mut [Lot], mut lines: Vec<Line>, order: DepletionOrder, day: NaiveDate) -> Vec<Line> {
    let Allocated { allocations, shortages } = allocate(lots, &lines, order, day);
    for taken in allocations {
        lots[taken.lot].remaining -= taken.quantity;
    }
    for line in &mut lines {
        line.quantity = 0;
    }
    for short in shortages {
        lines[short.line].quantity = short.quantity;
    }
    lines.retain(|line| line.quantity > 0);
    lines
}

/// What lines that name a lot take of it, by place of the line.
fn take_named(lots: &[Lot], lines: &[Line], by_time: &[usize], free: &mut [i64]) -> Vec<Option<Allocation>> {
    let mut taken = vec![None; lines.len()];
    for line in by_time.iter().copied() {
        let Some(named) = lines[line].lot else { continue };
        let Some(lot) = lots.iter().position(|lot| lot.id == named) else { continue };
        let quantity = free[lot].min(lines[line].quantity);
        if quantity > 0 {
            free[lot] -= quantity;
            taken[line] = Some(Allocation { line, lot, quantity });
        }
    }
    taken
}

fn place(line: &Line) -> (DateTime<Utc>, Uuid, &str) {
    (line.shipped_at, line.shipment, &line.line_ref)
}
