//! Which units of which line come from which lot, and every row that says so. Pure.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::chunk::Member;
use super::close::Day;
use super::lock::{Locked, LockedLine, LockedLot, Short};
use crate::lots::fifo::{self, Allocated};

/// Units of a line from a lot.
#[derive(Debug)]
pub(super) struct Depletion {
    /// Place of the line.
    pub line: usize,
    pub n: i16,
    pub is_settlement: bool,
    pub lot: Uuid,
    pub quantity: i64,
    pub unit_cost: Decimal,
}

/// A movement of a lot: one for all lines of the day, or one for each line that was short.
#[derive(Debug)]
pub(super) struct Movement {
    pub lot: Uuid,
    /// Which of the movements of this lot that the chunk makes; the first is 1.
    pub n: i32,
    /// Place of the line that it settles; none for the day's depletion.
    pub settles: Option<usize>,
    pub taken: i64,
    pub remaining_after: i64,
    pub unit_cost: Decimal,
}

/// What a line gets, whose day this is or was.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Taken {
    pub depleted: i64,
    pub settled: i64,
}

/// What is counted of one SKU.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Totals {
    pub lines: i64,
    pub late_lines: i64,
    pub shipped: i64,
    pub depleted: i64,
}

/// Everything that a chunk writes.
#[derive(Debug)]
pub(super) struct Assigned {
    pub lines: Vec<LockedLine>,
    /// By place of the line.
    pub taken: Vec<Taken>,
    pub depletions: Vec<Depletion>,
    pub movements: Vec<Movement>,
    /// By SKU; every member has some.
    pub totals: BTreeMap<i64, Totals>,
}

impl Assigned {
    /// Lines whose day this is, with their places.
    pub(super) fn of_day(&self) -> impl Iterator<Item = (usize, &LockedLine)> {
        self.lines.iter().enumerate().filter(|(_, line)| line.snapshot_date.is_none())
    }
}

/// Assigns units to lots, SKU by SKU: first to lines that are short since an earlier day, then to the day's.
pub(super) fn assign(day: Day, members: &[Member], locked: Locked) -> Assigned {
    let Locked { lines, had, short, lots } = locked;
    let taken = vec![Taken::default(); lines.len()];
    let totals = members.iter().map(|member| (member.sku, Totals::default())).collect();
    let mut assigned = Assigned { lines, taken, depletions: Vec::new(), movements: Vec::new(), totals };
    let mut places: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (place, line) in assigned.lines.iter().enumerate() {
        places.entry(line.sku_id).or_default().push(place);
    }
    let mut shelves: BTreeMap<i64, Vec<LockedLot>> = BTreeMap::new();
    for lot in lots {
        shelves.entry(lot.sku).or_default().push(lot);
    }
    for member in members {
        let Some(places) = places.remove(&member.sku) else { continue };
        let lots = shelves.remove(&member.sku).unwrap_or_default();
        let mut shelf = Shelf { date: day.date, member: *member, moved: vec![0; lots.len()], lots };
        let (of_day, before): (Vec<usize>, Vec<usize>) =
            places.into_iter().partition(|place| assigned.lines[*place].snapshot_date.is_none());
        assigned.settle(&mut shelf, &before, &short);
        assigned.deplete(&mut shelf, &of_day, &had);
        assigned.count(day, member.sku, &of_day);
    }
    assigned
}

/// The lots of one SKU as they are taken from.
struct Shelf {
    /// The day that is being closed.
    date: NaiveDate,
    member: Member,
    lots: Vec<LockedLot>,
    /// Movements so far, by place of the lot.
    moved: Vec<i32>,
}

impl Shelf {
    fn allocate(&self, lines: &[fifo::Line]) -> Allocated {
        let lots: Vec<fifo::Lot> = self.lots.iter().map(|lot| lot.lot.clone()).collect();
        fifo::allocate(&lots, lines, self.member.order, self.date)
    }

    /// Takes units off a lot and gives the movement that says so.
    fn take(&mut self, lot: usize, units: i64, settles: Option<usize>) -> Movement {
        self.moved[lot] += 1;
        let n = self.moved[lot];
        let LockedLot { lot, unit_cost, .. } = &mut self.lots[lot];
        lot.remaining -= units;
        Movement { lot: lot.id, n, settles, taken: units, remaining_after: lot.remaining, unit_cost: *unit_cost }
    }
}

impl Assigned {
    fn demand(&self, place: usize, quantity: i64) -> fifo::Line {
        let line = &self.lines[place];
        fifo::Line {
            shipment: line.shipment_id,
            line_ref: line.line_ref.as_str().into(),
            lot: line.lot_id,
            shipped_at: line.shipped_at,
            shipped_date: line.shipped_date,
            quantity,
        }
    }

    fn settle(&mut self, shelf: &mut Shelf, places: &[usize], short: &BTreeMap<(Uuid, String), Short>) {
        let mut demands = Vec::new();
        let mut of = Vec::new();
        for place in places.iter().copied() {
            let line = &self.lines[place];
            let Some(short) = short.get(&(line.shipment_id, line.line_ref.clone())) else { continue };
            let units = short.open.min(line.covered_quantity - line.depleted_quantity);
            demands.push(self.demand(place, units));
            of.push((place, short.newest));
        }
        for allocation in shelf.allocate(&demands).allocations {
            let (place, newest) = &mut of[allocation.line];
            *newest += 1;
            let movement = shelf.take(allocation.lot, allocation.quantity, Some(*place));
            self.note(&movement, *place, *newest, allocation.quantity);
            self.taken[*place].settled += allocation.quantity;
            self.movements.push(movement);
        }
    }

    fn deplete(&mut self, shelf: &mut Shelf, places: &[usize], had: &BTreeMap<(Uuid, String), i16>) {
        let demands: Vec<fifo::Line> = places
            .iter()
            .map(|place| {
                self.demand(*place, self.lines[*place].covered_quantity - self.lines[*place].depleted_quantity)
            })
            .collect();
        let allocations = shelf.allocate(&demands).allocations;
        let mut by_lot = vec![0; shelf.lots.len()];
        for allocation in &allocations {
            by_lot[allocation.lot] += allocation.quantity;
        }
        let mut movements: BTreeMap<usize, Movement> = BTreeMap::new();
        for (lot, units) in by_lot.into_iter().enumerate().filter(|(_, units)| *units > 0) {
            movements.insert(lot, shelf.take(lot, units, None));
        }
        let mut numbers: Vec<i16> = vec![0; places.len()];
        if !had.is_empty() {
            for (number, place) in numbers.iter_mut().zip(places) {
                let line = &self.lines[*place];
                *number = had.get(&(line.shipment_id, line.line_ref.clone())).copied().unwrap_or(0);
            }
        }
        for allocation in allocations {
            let place = places[allocation.line];
            numbers[allocation.line] += 1;
            self.note(&movements[&allocation.lot], place, numbers[allocation.line], allocation.quantity);
            self.taken[place].depleted += allocation.quantity;
        }
        self.movements.extend(movements.into_values());
    }

    fn note(&mut self, movement: &Movement, line: usize, n: i16, quantity: i64) {
        let Movement { lot, unit_cost, .. } = *movement;
        let is_settlement = movement.settles.is_some();
        self.depletions.push(Depletion { line, n, is_settlement, lot, quantity, unit_cost });
    }

    fn count(&mut self, day: Day, sku: i64, places: &[usize]) {
        let totals = self.totals.entry(sku).or_default();
        for place in places.iter().copied() {
            let line = &self.lines[place];
            totals.lines += 1;
            totals.late_lines += i64::from(line.shipped_at < day.window.starts_at);
            totals.shipped += line.quantity;
            totals.depleted += self.taken[place].depleted;
        }
    }
}
