//! The goods of a world: lots, what shipped of them, and what is open. A balance still moves in one place only,
//! [`World::post_for`].

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::NaiveDate;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::off_sale::LOT_OFF_SALE;
use super::{Posting, World};
use crate::catalog::DepletionOrder;
use crate::ids::{ClientId, LotId, SkuId};
use crate::ledger::balance::Delta;
use crate::ledger::entry::EntryKind;
use crate::ledger::goods::{
    Closing, GoodsChanges, LineChange, LineDepletion, LotMove, LotMoveKind, LotStatus, NewDepletion, OpenDiscrepancy,
    OpenShortage, PendingUnits, ReturnLineRecord, ReturnRecord, ShipmentLineRecord, ShipmentLineRef, ShipmentRecord,
    Sold,
};
use crate::ledger::outcome::LotRecord;
use crate::lots::fifo;

/// Lots, shipments and returns of a world.
#[derive(Debug, Default)]
pub(super) struct Goods {
    pub first_open_date: Option<NaiveDate>,
    pub still_open: HashSet<SkuId>,
    /// Lots that are, or were a moment ago, off sale.
    pub off_sale: BTreeSet<(SkuId, Uuid)>,
    pub closing_date: Option<NaiveDate>,
    pub sold: HashMap<Uuid, Sold>,
    pub lots: BTreeMap<Uuid, LotRecord>,
    /// What lots moved on days after the first open one, by the day it is booked on.
    pub later: HashMap<Uuid, Vec<(NaiveDate, i64)>>,
    pub pending: HashMap<SkuId, Vec<PendingUnits>>,
    pub discrepancies: HashMap<SkuId, Vec<OpenDiscrepancy>>,
    pub shortages: HashMap<SkuId, Vec<OpenShortage>>,
    pub shipments: BTreeMap<Uuid, ShipmentRecord>,
    pub returns: HashMap<(String, String), ReturnRecord>,
    pub departures: HashMap<Uuid, i64>,
    pub changes: GoodsChanges,
}

impl World<'_> {
    /// Puts in the day after the last one that was closed.
    pub fn put_first_open_date(&mut self, date: Option<NaiveDate>) {
        self.goods.first_open_date = date;
    }

    /// Puts in SKUs that a close which has begun has not come to: the day before the first open one still takes their
    /// lines.
    pub fn put_still_open(&mut self, skus: impl IntoIterator<Item = SkuId>) {
        self.goods.still_open.extend(skus);
    }

    /// Puts in the day that is being closed, where its end was looked at under a lock.
    pub fn put_closing_date(&mut self, date: Option<NaiveDate>) {
        self.goods.closing_date = date;
    }

    /// Puts in what was sold of a locked lot.
    pub fn put_sold(&mut self, lot: Uuid, sold: Sold) {
        self.goods.sold.insert(lot, sold);
    }

    /// Puts in a locked lot. All lots with something left of a SKU must be put in where an act needs to know what is
    /// physically there of one of them.
    pub fn put_open_lot(&mut self, lot: LotRecord) {
        if lot.status != LotStatus::Available {
            self.goods.off_sale.insert((lot.sku, lot.id.uuid));
        }
        self.goods.lots.insert(lot.id.uuid, lot);
    }

    /// Puts in units that came to a lot, or left it, on a day after the first open one.
    pub fn put_later(&mut self, lot: Uuid, date: NaiveDate, units: i64) {
        self.goods.later.entry(lot).or_default().push((date, units));
    }

    /// Puts in what left the shelf of a SKU and no lot yet.
    pub fn put_pending(&mut self, sku: SkuId, pending: Vec<PendingUnits>) {
        self.goods.pending.insert(sku, pending);
    }

    /// Puts in the open discrepancies of a SKU, oldest first.
    pub fn put_discrepancies(&mut self, sku: SkuId, open: Vec<OpenDiscrepancy>) {
        self.goods.discrepancies.insert(sku, open);
    }

    /// Puts in the open lot shortages of a SKU, oldest first.
    pub fn put_shortages(&mut self, sku: SkuId, open: Vec<OpenShortage>) {
        self.goods.shortages.insert(sku, open);
    }

    /// Puts in a recorded shipment with all that hangs on its lines.
    pub fn put_shipment(&mut self, shipment: ShipmentRecord) {
        self.goods.shipments.insert(shipment.id.uuid, shipment);
    }

    /// Puts in a recorded return.
    pub fn put_return(&mut self, record: ReturnRecord) {
        self.goods.returns.insert((record.source.clone(), record.source_ref.clone()), record);
    }

    /// Puts in units that a transfer took out of its source before.
    pub fn put_departure(&mut self, transfer: Uuid, quantity: i64) {
        self.goods.departures.insert(transfer, quantity);
    }

    /// The local day of the pool.
    pub(in crate::ledger) fn today(&self) -> NaiveDate {
        self.local_date(self.now)
    }

    pub(in crate::ledger) fn local_date(&self, at: chrono::DateTime<chrono::Utc>) -> NaiveDate {
        self.catalogue.pool(self.pool).map_or_else(|| at.date_naive(), |pool| pool.date_at(at))
    }

    /// The day on which something of `date` is booked: a closed day is never re-opened, and no day is booked ahead.
    pub(in crate::ledger) fn booked_on(&self, date: NaiveDate) -> NaiveDate {
        let date = date.min(self.today());
        self.goods.first_open_date.map_or(date, |first| date.max(first))
    }

    /// The day on which something that happens now is booked: today, unless today was closed early.
    pub(in crate::ledger) fn booked_today(&self) -> NaiveDate {
        self.booked_on(self.today())
    }

    /// The days on which another cost of what is left of a lot is booked, and for how many units: of each the first that is
    /// not closed and since which it is there. Days that still wait to be closed take from the lot at the cost it has by
    /// then, so it has that cost from the first of them on: booked later, the days between would show units leaving at
    /// more than they were worth; booked earlier than units came, they would show a worth of nothing.
    pub(in crate::ledger) fn revalued_on(&self, lot: &LotRecord) -> BTreeMap<NaiveDate, i64> {
        let first_day = || self.catalogue.pool(self.pool).map(|pool| self.local_date(pool.created_at));
        let open = self.goods.closing_date.or(self.goods.first_open_date).or_else(first_day);
        self.fifo_lot(lot).since(open.unwrap_or_else(|| self.today()).min(self.booked_today()))
    }

    /// Units of a lot that are cost of goods, and what they were booked at.
    pub(in crate::ledger) fn sold(&self, lot: Uuid) -> (i64, Decimal) {
        self.goods.sold.get(&lot).map_or((0, Decimal::ZERO), |sold| (sold.units, sold.cost))
    }

    pub(in crate::ledger) fn lot(&self, id: Uuid) -> Option<&LotRecord> {
        self.goods.lots.get(&id)
    }

    /// The lot as it now stands.
    pub(in crate::ledger) fn lot_record(&self, id: LotId) -> Option<LotRecord> {
        self.lot(id.uuid).cloned()
    }

    /// Cost and currency of the newest lot that is known of `sku`.
    pub(in crate::ledger) fn newest_cost(&self, sku: SkuId) -> Option<(Decimal, String)> {
        self.lots_of(sku)
            .max_by_key(|lot| (lot.received.received_date, lot.recorded_at, lot.id))
            .map(|lot| (lot.received.unit_cost, lot.received.currency.clone()))
    }

    pub(in crate::ledger) fn lots_of(&self, sku: SkuId) -> impl Iterator<Item = &LotRecord> {
        self.goods.lots.values().filter(move |lot| lot.sku == sku)
    }

    /// Lots with this code of which something is left, in the order of their ids.
    pub(in crate::ledger) fn open_lots_called(&self, code: &str) -> Vec<LotId> {
        let open = |lot: &&LotRecord| lot.received.lot_code == code && lot.remaining > 0;
        self.goods.lots.values().filter(open).map(|lot| lot.id).collect()
    }

    pub(in crate::ledger) fn shipment(&self, id: Uuid) -> Option<&ShipmentRecord> {
        self.goods.shipments.get(&id)
    }

    pub(in crate::ledger) fn shipments(&self) -> impl Iterator<Item = &ShipmentRecord> {
        self.goods.shipments.values()
    }

    pub(in crate::ledger) fn shipment_by_source_ref(&self, source: &str, source_ref: &str) -> Option<&ShipmentRecord> {
        self.shipments().find(|shipment| shipment.source == source && shipment.source_ref == source_ref)
    }

    pub(in crate::ledger) fn recorded_return(&self, source: &str, source_ref: &str) -> Option<&ReturnRecord> {
        self.goods.returns.get(&(source.to_owned(), source_ref.to_owned()))
    }

    pub(in crate::ledger) fn departed(&self, transfer: Uuid) -> Option<i64> {
        self.goods.departures.get(&transfer).copied()
    }

    pub(in crate::ledger) fn goods_changes(&mut self) -> &mut GoodsChanges {
        &mut self.goods.changes
    }

    pub(in crate::ledger) fn note_departure(&mut self, transfer: Uuid, quantity: i64) {
        self.goods.departures.insert(transfer, quantity);
    }

    /// Changes a recorded line, in memory and in what is to be written.
    pub(in crate::ledger) fn change_line(&mut self, line: &ShipmentLineRef, change: LineChange) {
        let now = self.now;
        if let Some(own) = self
            .goods
            .shipments
            .get_mut(&line.shipment)
            .and_then(|shipment| shipment.lines.iter_mut().find(|own| own.line_ref == line.line_ref))
        {
            own.covered += change.covered;
            own.depleted += change.depleted;
            own.returned += change.returned;
            if change.voided {
                own.voided_at = Some(now);
            }
        }
        self.goods.changes.lines.push((line.clone(), change));
    }

    /// Units of each lot of `sku` that are on the shelf and for sale: what it has left, less what is quarantined of
    /// it, less what shipped and will be taken from it when a day is closed.
    pub(in crate::ledger) fn present(&self, sku: SkuId) -> HashMap<Uuid, i64> {
        let lots: Vec<fifo::Lot> = self.lots_of(sku).map(|lot| self.fifo_lot(lot)).collect();
        let (short, days) = by_day(self.first_open_of(sku), self.goods.pending.get(&sku).into_iter().flatten());
        let present = fifo::present(&lots, &short, &days, self.depletion_order(sku));
        lots.iter().zip(present).map(|(lot, units)| (lot.id, units - lot.quarantined)).collect()
    }

    fn fifo_lot(&self, lot: &LotRecord) -> fifo::Lot {
        fifo::Lot {
            id: lot.id.uuid,
            received_date: lot.received.received_date,
            recorded_at: lot.recorded_at,
            expires_date: lot.received.expires_date,
            remaining: lot.remaining,
            quarantined: lot.quarantined,
            later: self.goods.later.get(&lot.id.uuid).cloned().unwrap_or_default(),
        }
    }

    /// The day whose close takes what is late of this SKU.
    fn first_open_of(&self, sku: SkuId) -> Option<NaiveDate> {
        let first = self.goods.first_open_date?;
        if self.goods.still_open.contains(&sku) { first.pred_opt() } else { Some(first) }
    }

    fn depletion_order(&self, sku: SkuId) -> DepletionOrder {
        self.catalogue
            .sku(sku)
            .and_then(|sku| self.catalogue.policy(sku))
            .map_or(DepletionOrder::Fifo, |policy| policy.depletion_order)
    }

    /// Moves a lot, in memory and in what is to be written.
    pub(in crate::ledger) fn move_lot(&mut self, step: LotMove) {
        let unit_cost = self.lot(step.lot).map(|lot| lot.received.unit_cost);
        if let Some(sold) = self.goods.sold.get_mut(&step.lot).filter(|_| step.is_cost_of_goods()) {
            sold.units -= step.quantity;
            sold.cost -= step.value.unwrap_or_else(|| unit_cost.unwrap_or_default() * Decimal::from(step.quantity));
        }
        if step.quantity != 0 {
            self.put_later(step.lot, step.business_date, step.quantity);
        }
        if let Some(lot) = self.goods.lots.get_mut(&step.lot) {
            lot.remaining += step.quantity;
            lot.quarantined += step.quarantined;
            if let Some((status, reason)) = &step.status {
                (lot.status, lot.quarantine_reason) = (*status, reason.clone());
                self.goods.off_sale.insert((lot.sku, step.lot));
            }
            if let Some((unit_cost, _)) = step.revalued {
                lot.received.unit_cost = unit_cost;
                lot.cost_provisional = false;
            }
        }
        self.goods.changes.moves.push(step);
    }

    /// Units that came onto the shelf cover what had left without being there, oldest first; what lots lacked for a
    /// closed day is then taken from them.
    pub(in crate::ledger) fn settle(&mut self, client: ClientId, sku: SkuId) {
        let mut open = self.goods.discrepancies.remove(&sku).unwrap_or_default();
        for discrepancy in &mut open {
            let balance = self.balance(sku);
            let units = discrepancy.open.min(balance.on_hand - balance.quarantined);
            if units <= 0 {
                continue;
            }
            discrepancy.open -= units;
            self.post_for(
                client,
                sku,
                EntryKind::Settle,
                Posting {
                    delta: Delta { on_hand: -units, ..Delta::default() },
                    shipment: Some(discrepancy.line.shipment),
                    reason: Some("shipped before it was on hand".to_owned()),
                    ..Posting::default()
                },
            );
            self.change_line(&discrepancy.line, LineChange { covered: units, ..LineChange::default() });
            let closing = Closing { settled: units, voided: 0 };
            self.goods.changes.closed_discrepancies.push((discrepancy.id, closing));
            let today = self.today();
            let short = self.goods.shortages.get_mut(&sku);
            match short.into_iter().flatten().find(|shortage| shortage.line == discrepancy.line) {
                Some(shortage) => {
                    shortage.covered_undepleted += units;
                    let pending = shortage.pending(units);
                    self.add_pending(sku, pending);
                }
                None => self
                    .add_pending(sku, PendingUnits { lot: None, shipped_date: today, short: false, quantity: units }),
            }
        }
        open.retain(|discrepancy| discrepancy.open > 0);
        self.goods.discrepancies.insert(sku, open);
        self.settle_shortages(client, sku);
        self.keep_off_sale(client, sku, LOT_OFF_SALE);
    }

    /// What lots lacked for closed days is taken from what is there of them now, as the next close would.
    pub(in crate::ledger) fn settle_shortages(&mut self, client: ClientId, sku: SkuId) {
        let mut open = self.goods.shortages.remove(&sku).unwrap_or_default();
        if open.is_empty() {
            return;
        }
        let lots: Vec<fifo::Lot> = self.lots_of(sku).map(|lot| self.fifo_lot(lot)).collect();
        let waiting = |shortage: &OpenShortage| fifo::Line {
            shipment: shortage.line.shipment,
            line_ref: shortage.line.line_ref.as_str().into(),
            ..fifo_line(&shortage.pending(shortage.open.min(shortage.covered_undepleted)))
        };
        let lines: Vec<fifo::Line> = open.iter().map(waiting).collect();
        for taken in fifo::allocate(&lots, &lines, self.depletion_order(sku), self.booked_today()).allocations {
            self.settle_shortage(client, sku, &mut open[taken.line], lots[taken.lot].id, taken.quantity);
        }
        open.retain(|shortage| shortage.open > 0);
        self.goods.shortages.insert(sku, open);
    }

    fn settle_shortage(&mut self, client: ClientId, sku: SkuId, shortage: &mut OpenShortage, lot: Uuid, units: i64) {
        let Some(unit_cost) = self.lot(lot).map(|lot| lot.received.unit_cost) else { return };
        let today = self.booked_today();
        shortage.open -= units;
        shortage.covered_undepleted -= units;
        shortage.newest_depletion += 1;
        self.take_pending(sku, shortage.pending(-units));
        self.move_lot(LotMove {
            lot,
            kind: LotMoveKind::ShortageSettlement,
            source_ref: Some(shortage.line.to_string()),
            quantity: -units,
            quarantined: 0,
            status: None,
            revalued: None,
            value: None,
            reason: None,
            shipment: Some(shortage.line.shipment),
            business_date: today,
            client,
        });
        let n = shortage.newest_depletion;
        // A void or a return that is decided later in this batch has to know.
        if let Some(shipment) = self.goods.shipments.get_mut(&shortage.line.shipment)
            && let Some(own) = shipment.lines.iter_mut().find(|own| own.line_ref == shortage.line.line_ref)
        {
            own.depletions.push(LineDepletion { n, lot, quantity: units, unit_cost });
        }
        self.goods.changes.depletions.push(NewDepletion {
            line: shortage.line.clone(),
            n,
            kind: "settlement",
            sku,
            lot,
            quantity: units,
            unit_cost,
            cost_date: today,
        });
        self.change_line(&shortage.line, LineChange { depleted: units, ..LineChange::default() });
        self.goods.changes.closed_shortages.push((shortage.line.clone(), Closing { settled: units, voided: 0 }));
    }

    /// Voids what is open of a line; its units never left.
    pub(in crate::ledger) fn void_open(&mut self, sku: SkuId, line: &ShipmentLineRef) {
        if let Some(open) = self.goods.discrepancies.get_mut(&sku)
            && let Some(at) = open.iter().position(|discrepancy| discrepancy.line == *line)
        {
            let gone = open.remove(at);
            self.goods.changes.closed_discrepancies.push((gone.id, Closing { settled: 0, voided: gone.open }));
        }
        if let Some(open) = self.goods.shortages.get_mut(&sku)
            && let Some(at) = open.iter().position(|shortage| shortage.line == *line)
        {
            let gone = open.remove(at);
            self.goods.changes.closed_shortages.push((gone.line, Closing { settled: 0, voided: gone.open }));
        }
    }

    /// Remembers units that have just left the shelf.
    pub(in crate::ledger) fn add_pending(&mut self, sku: SkuId, units: PendingUnits) {
        self.goods.pending.entry(sku).or_default().push(units);
    }

    /// Forgets the units of a line that never left, where no lot has been depleted for it.
    pub(in crate::ledger) fn drop_pending(&mut self, line: &ShipmentLineRecord) {
        let units = line.covered - line.depleted;
        if units > 0 {
            let (lot, shipped_date, short) = (line.lot, line.shipped_date, line.snapshot_date.is_some());
            self.take_pending(line.sku, PendingUnits { lot, shipped_date, short, quantity: -units });
        }
    }

    /// Units, negative, that are pending no more.
    fn take_pending(&mut self, sku: SkuId, units: PendingUnits) {
        let mut pending = self.goods.pending.remove(&sku).unwrap_or_default();
        pending.push(units);
        self.goods.pending.insert(sku, sum_pending(pending));
    }

    /// Adds a line to a shipment, in memory and in what is to be written.
    pub(in crate::ledger) fn add_shipment_line(&mut self, shipment: Uuid, line: ShipmentLineRecord) {
        if let Some(own) = self.goods.shipments.get_mut(&shipment) {
            own.lines.push(line.clone());
            own.lines.sort_by(|a, b| a.line_ref.cmp(&b.line_ref));
        }
        self.goods.changes.new_lines.push((shipment, line));
    }

    /// Adds a line to a return, in memory and in what is to be written.
    pub(in crate::ledger) fn add_return_line(&mut self, source: &str, source_ref: &str, line: ReturnLineRecord) {
        if let Some(own) = self.goods.returns.get_mut(&(source.to_owned(), source_ref.to_owned())) {
            self.goods.changes.return_lines.push((own.id.uuid, line.clone()));
            own.lines.push(line);
            own.lines.sort_by(|a, b| a.line_ref.cmp(&b.line_ref));
        }
    }

    /// Remembers an open discrepancy that was just made.
    pub(in crate::ledger) fn open_discrepancy(&mut self, sku: SkuId, discrepancy: OpenDiscrepancy) {
        self.goods.changes.discrepancies.push((discrepancy.clone(), sku));
        self.goods.discrepancies.entry(sku).or_default().push(discrepancy);
    }
}

fn sum_pending(pending: Vec<PendingUnits>) -> Vec<PendingUnits> {
    let mut sums: BTreeMap<(NaiveDate, Option<Uuid>, bool), i64> = BTreeMap::new();
    for units in pending {
        *sums.entry((units.shipped_date, units.lot, units.short)).or_default() += units.quantity;
    }
    let whole = |((shipped_date, lot, short), quantity)| PendingUnits { lot, shipped_date, short, quantity };
    sums.into_iter().filter(|(_, quantity)| *quantity > 0).map(whole).collect()
}

/// What is pending: what was short of closed days, and the rest by the day whose close takes it, its own or the first one
/// that is open.
pub(in crate::ledger) fn by_day<'p>(
    first_open: Option<NaiveDate>,
    pending: impl Iterator<Item = &'p PendingUnits>,
) -> (Vec<fifo::Line>, BTreeMap<NaiveDate, Vec<fifo::Line>>) {
    let (mut short, mut days): (Vec<fifo::Line>, BTreeMap<NaiveDate, Vec<fifo::Line>>) = Default::default();
    for units in pending {
        if units.short {
            short.push(fifo_line(units));
        } else {
            let day = first_open.map_or(units.shipped_date, |first| first.max(units.shipped_date));
            days.entry(day).or_default().push(fifo_line(units));
        }
    }
    (short, days)
}

/// Days are fine enough to tell what is there: only the lines of one day compete, and they are one here.
fn fifo_line(units: &PendingUnits) -> fifo::Line {
    fifo::Line {
        shipment: Uuid::nil(),
        line_ref: "".into(),
        lot: units.lot,
        shipped_at: units.shipped_date.and_time(chrono::NaiveTime::MIN).and_utc(),
        shipped_date: units.shipped_date,
        quantity: units.quantity,
    }
}
