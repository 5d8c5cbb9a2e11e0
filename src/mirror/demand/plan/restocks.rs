//! Which units come back, out of which parcels and so into which pool.
//!
//! Units come back once: at most what was sent. What the ledger has taken back already is what its record says. Of the
//! rest, what was sent before the mirror began comes back first: it had been sent first. Then come units of the pool that
//! has the shelf, then those of other pools: those are taken back where they had left, at the cost they left with, and it
//! is told that they lie elsewhere.
//!
//! What comes back is named after the parcel's line that it had left by: so a record says of which units it is, whatever
//! the order's line has come to mean between two parcels, and comes back once.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{Back, Finding, LeftBy, Meaning, Move, MoveBack, Order, Plan, Restock, RestockedLine, TakenBack};
use crate::ids::{PoolId, SkuId};

/// Units of one order line that left in one parcel.
struct Run<'o> {
    line_ref: &'o str,
    parcel_ref: &'o str,
    /// The parcel's own name of it.
    name: &'o str,
    pool: PoolId,
    sent_at: DateTime<Utc>,
    /// Whether the ledger has, or is about to have, the shipment.
    shipped: bool,
    /// Units of the line in the parcel, and how many of them came back.
    units: i64,
    back: i64,
    /// What all of them are, by the shipment's names.
    all: Vec<Move>,
    /// Whether a unit is more than one thing.
    kit: bool,
}

impl Run<'_> {
    /// Whether it left after a refund was made: what came back by then was something else, where anything else had left.
    fn is_after(&self, made_at: Option<DateTime<Utc>>) -> bool {
        made_at.is_some_and(|at| self.sent_at > at)
    }

    fn left(&self) -> i64 {
        self.units - self.back
    }

    /// What so many more units are, by the shipment's names.
    fn take(&mut self, units: i64) -> Vec<Move> {
        let before = self.back;
        self.back += units;
        let share = |all: i64, units: i64| all.saturating_mul(units) / self.units.max(1);
        let of =
            |all: &Move| Move { quantity: share(all.quantity, self.back) - share(all.quantity, before), ..all.clone() };
        self.all.iter().map(of).collect()
    }
}

/// Plans what comes back and is not recorded yet, oldest refund first.
pub(super) fn put_back(order: &Order, plan: &mut Plan) {
    let mut refunds: Vec<&Restock> = order.restocks.iter().collect();
    refunds.sort_by(|a, b| (a.made_at, &a.refund_ref).cmp(&(b.made_at, &b.refund_ref)));
    let mut runs = runs(order);
    let mut recorded: Vec<Vec<i64>> = Vec::new();
    for refund in &refunds {
        recorded.push(refund.lines.iter().map(|line| take_recorded(order, &mut runs, line)).collect());
    }
    for (refund, recorded) in refunds.into_iter().zip(recorded) {
        let is_history = refund.made_at.is_some_and(|at| at < order.began_at);
        let mut groups: BTreeMap<(PoolId, bool), Back> = BTreeMap::new();
        for (line, known) in refund.lines.iter().zip(recorded) {
            let taken = take_new(&mut runs, refund, line, line.quantity - known);
            let units = known + taken.iter().map(|taken| taken.units).sum::<i64>();
            if units < line.quantity {
                plan.findings.push(exceeds(refund, line, units));
            }
            plan.findings.extend(elsewhere(refund, line, &taken));
            if !is_history {
                add_moves(&mut groups, refund, line, taken);
            }
        }
        plan.back.extend(groups.into_values().filter(|back| !back.lines.is_empty()));
    }
}

fn exceeds(refund: &Restock, line: &RestockedLine, units: i64) -> Finding {
    Finding::new(
        "restock_exceeds_shipped",
        format!(
            "refund {} restocks {} units of line {}, of which {units} had been sent and not come back",
            refund.refund_ref, line.quantity, line.line_ref
        ),
    )
}

/// Units that are taken back where they had left, though their shelf is another pool's.
fn elsewhere(refund: &Restock, line: &RestockedLine, taken: &[Taken]) -> Option<Finding> {
    let shelf = line.pool?;
    let recorded = line.recorded.iter().filter(|back| back.shipped && back.pool != shelf).map(|back| back.pool);
    let new = taken.iter().filter(|taken| taken.shipped && taken.pool != shelf).map(|taken| taken.pool);
    recorded.chain(new).next()?;
    let detail = format!(
        "refund {} restocks units of line {} in another pool than had sent them: they are kept from sale in the pool that \
         sent them, at the cost they left with, until somebody transfers them to their shelf",
        refund.refund_ref, line.line_ref
    );
    Some(Finding::new("restock_in_another_pool", detail))
}

/// Everything that left, newest first.
fn runs(order: &Order) -> Vec<Run<'_>> {
    let mut parcels: Vec<_> = order.parcels.iter().filter(|parcel| parcel.sent || parcel.stays).collect();
    parcels.sort_by(|a, b| (b.sent_at, &b.parcel_ref).cmp(&(a.sent_at, &a.parcel_ref)));
    let mut runs = Vec::new();
    for parcel in parcels {
        for line in parcel.lines.iter().filter(|line| line.quantity > 0) {
            let is_known = !line.recorded.is_empty();
            let all = if is_known {
                line.recorded.iter().map(|(moved, _)| moved.clone()).collect()
            } else {
                order.moves(&line.name, &line.line_ref, line.quantity)
            };
            runs.push(Run {
                line_ref: &line.line_ref,
                parcel_ref: &parcel.parcel_ref,
                name: &line.name,
                pool: parcel.pool.unwrap_or(order.home),
                sent_at: parcel.sent_at,
                shipped: is_known || parcel.sent_at >= order.began_at,
                units: line.quantity,
                back: 0,
                kit: all.len() > 1,
                all,
            });
        }
    }
    runs
}

/// Takes what the ledger has of a line of a refund out of what left: the units of the line that it is.
fn take_recorded(order: &Order, runs: &mut [Run<'_>], line: &RestockedLine) -> i64 {
    let mut unnamed: Vec<&TakenBack> = line.recorded.iter().collect();
    let mut units = 0;
    for run in runs.iter_mut().filter(|run| run.line_ref == line.line_ref) {
        let name = name_of(line, run.name);
        let (own, others): (Vec<_>, Vec<_>) = unnamed.into_iter().partition(|back| back.moved.is_of(&name));
        unnamed = others;
        let back = sum_by_sku(own.into_iter());
        let taken = back.iter().filter_map(|(sku, quantity)| units_of(run, *sku, *quantity)).max().unwrap_or(0);
        run.back += taken.min(run.left());
        units += taken;
    }
    for shipped in [false, true] {
        let back = sum_by_sku(unnamed.iter().copied().filter(|back| back.shipped == shipped));
        units += take_rest(order, runs, line, shipped, &back);
    }
    units
}

fn sum_by_sku<'b>(back: impl Iterator<Item = &'b TakenBack>) -> BTreeMap<SkuId, i64> {
    let mut sums = BTreeMap::new();
    for TakenBack { moved, .. } in back {
        *sums.entry(moved.sku).or_default() += moved.quantity;
    }
    sums
}

/// What came back of no parcel that is told any more: it came back all the same.
fn take_rest(
    order: &Order,
    runs: &mut [Run<'_>],
    line: &RestockedLine,
    shipped: bool,
    back: &BTreeMap<SkuId, i64>,
) -> i64 {
    let meaning = order.meanings.get(&line.line_ref);
    let rest = back.iter().map(|(sku, quantity)| div_up((*quantity).max(0), each(meaning, *sku))).max().unwrap_or(0);
    let mut left = rest;
    for run in runs.iter_mut().filter(|run| run.line_ref == line.line_ref && run.shipped == shipped) {
        let taken = left.min(run.left());
        run.back += taken;
        left -= taken;
    }
    rest
}

/// What the units of a refund's line are called that had left by this line of a parcel.
fn name_of(line: &RestockedLine, parcel_line: &str) -> String {
    format!("{}/{parcel_line}", line.restock_ref)
}

/// Units of a run that so many of a SKU are; none if it has none of it.
fn units_of(run: &Run<'_>, sku: SkuId, quantity: i64) -> Option<i64> {
    let all = run.all.iter().find(|own| own.sku == sku)?.quantity;
    Some(div_up(quantity.max(0).saturating_mul(run.units), all.max(1)))
}

fn each(meaning: Option<&Meaning>, sku: SkuId) -> i64 {
    let own = meaning.and_then(|meaning| meaning.components.iter().find(|(own, _)| *own == sku));
    own.map_or(1, |(_, each)| (*each).into())
}

fn div_up(quantity: i64, by: i64) -> i64 {
    (quantity + by.max(1) - 1) / by.max(1)
}

/// Units that come back now, of one line of a parcel.
struct Taken {
    name: String,
    parcel_ref: String,
    pool: PoolId,
    shipped: bool,
    units: i64,
    kit: bool,
    moves: Vec<Move>,
}

/// Takes up to `most` units of a line out of what left.
fn take_new(runs: &mut [Run<'_>], refund: &Restock, line: &RestockedLine, most: i64) -> Vec<Taken> {
    let mut own: Vec<&mut Run<'_>> = runs.iter_mut().filter(|run| run.line_ref == line.line_ref).collect();
    own.sort_by_key(|run| {
        (run.shipped, run.is_after(refund.made_at), line.pool.is_some_and(|shelf| run.pool != shelf))
    });
    let mut left = most.max(0);
    let mut taken = Vec::new();
    for run in own {
        let units = left.min(run.left());
        if units > 0 {
            left -= units;
            // Units that no shipment is known of are the shelf's own.
            let pool = if run.shipped { run.pool } else { line.pool.unwrap_or(run.pool) };
            taken.push(Taken {
                name: name_of(line, run.name),
                parcel_ref: run.parcel_ref.to_owned(),
                pool,
                shipped: run.shipped,
                units,
                kit: run.kit,
                moves: run.take(units),
            });
        }
    }
    taken
}

/// Adds what comes back now of one line of a refund.
fn add_moves(groups: &mut BTreeMap<(PoolId, bool), Back>, refund: &Restock, line: &RestockedLine, taken: Vec<Taken>) {
    for Taken { name, parcel_ref, pool, shipped, kit, moves, .. } in taken {
        let source_ref = if shipped { refund.refund_ref.clone() } else { format!("{}/history", refund.refund_ref) };
        let back = groups.entry((pool, shipped)).or_insert_with(|| Back {
            pool,
            source_ref,
            shipped,
            lines: Vec::new(),
            elsewhere: Vec::new(),
        });
        for left in moves.into_iter().filter(|left| left.quantity > 0) {
            let move_ref = free_name(line, &name, kit.then_some(left.sku));
            if shipped && line.pool.is_some_and(|shelf| shelf != pool) {
                back.elsewhere.push(move_ref.clone());
            }
            let left_by = LeftBy { parcel_ref: parcel_ref.clone(), move_ref: left.move_ref };
            let moved = Move { move_ref, sku: left.sku, quantity: left.quantity };
            back.lines.push(MoveBack { moved, left_by: shipped.then_some(left_by) });
        }
    }
}

/// A name that the ledger does not have yet. It has one where a refund of the same units was there before and is no more.
fn free_name(line: &RestockedLine, name: &str, of_kit: Option<SkuId>) -> String {
    let is_free = |name: &String| !line.recorded.iter().any(|back| back.moved.move_ref == *name);
    let own = of_kit.map_or_else(|| name.to_owned(), |sku| format!("{name}/{}", sku.0));
    let numbered = (2..).map(|n: i64| format!("{name}/{}/{n}", of_kit.map_or(0, |sku| sku.0)));
    std::iter::once(own.clone()).chain(numbered).find(is_free).unwrap_or_default()
}
