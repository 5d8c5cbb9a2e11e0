//! The locked state that a batch of commands is decided on, and what the decisions change. Pure.
//!
//! A decision first only looks; once every check has passed it posts, and posting cannot fail. So a refused command
//! leaves the world as it was.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::catalog::{Catalogue, Policy, Sku};
use crate::ids::{ClientId, PoolId, ReservationId, SkuId};
use crate::ledger::balance::{Balance, Delta};
use crate::ledger::demand::DemandRecord;
use crate::ledger::entry::{Entry, EntryKind, LineRef};
use crate::ledger::goods::{GoodsChanges, LotStatus};
use crate::ledger::outcome::LotRecord;
use crate::reservations::state::{Origin, Reservation, State};

mod demand;
mod goods;
mod off_sale;

use demand::Demands;
use goods::Goods;
pub(super) use goods::by_day;
pub(super) use off_sale::LOT_OFF_SALE;

/// The balance row of one SKU, locked.
#[derive(Debug, Clone, Copy)]
pub struct Shelf {
    /// Its numbers.
    pub balance: Balance,
    /// When it was last opened: by a receipt, a pre-order or an opening count.
    pub opened_at: DateTime<Utc>,
    /// The earliest expiry of its lots that are for sale.
    pub next_expires_date: Option<NaiveDate>,
}

/// Holds on one SKU that are past their expiry and not swept yet.
#[derive(Debug, Clone, Default)]
pub struct Due {
    /// Lines, soonest expiry first.
    pub lines: Vec<DueLine>,
    /// When the next hold that is not due expires.
    pub next_hold_expires_at: Option<DateTime<Utc>>,
    /// Whether `lines` is all of them.
    pub complete: bool,
}

/// A held line past its expiry.
#[derive(Debug, Clone, Copy)]
pub struct DueLine {
    /// Which line.
    pub line: LineRef,
    /// Its SKU.
    pub sku: SkuId,
    /// Units it still holds.
    pub held: i64,
}

/// A change to the open oversells of one SKU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OversellMove {
    /// A claim took units that the shelf does not have.
    Open {
        /// The SKU.
        sku: SkuId,
        /// Whose claim; `None` when the shelf itself shrank.
        line: Option<LineRef>,
        /// Units.
        quantity: i64,
    },
    /// Units came back: the line's own oversell first, then the oldest.
    Resolve {
        /// The SKU.
        sku: SkuId,
        /// The line whose claim shrank.
        preferred: Option<LineRef>,
        /// Units.
        quantity: i64,
    },
}

/// Everything that the decisions of a batch write.
#[derive(Debug, Default)]
pub struct Changes {
    /// Ledger rows, in order.
    pub entries: Vec<Entry>,
    /// New reservations.
    pub made: Vec<Reservation>,
    /// Reservations that existed and are different now.
    pub changed: Vec<Reservation>,
    /// Due lines of reservations that were not loaded; only their line row is closed here.
    pub expired_lines: Vec<DueLine>,
    /// New lots, and the day each is booked on.
    pub lots: Vec<(LotRecord, NaiveDate)>,
    /// What happens to lots, shipments and returns.
    pub goods: GoodsChanges,
    /// Orders taken elsewhere, as they are now.
    pub demands: Vec<DemandRecord>,
    /// SKUs opened by a count.
    pub opened: Vec<SkuId>,
    /// SKUs that had no balance row and get one for these entries.
    pub first_claimed: BTreeSet<SkuId>,
    /// Oversells opened and resolved, in order.
    pub oversells: Vec<OversellMove>,
    /// Final balance of every SKU that changed.
    pub balances: Vec<(SkuId, Balance)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Loaded,
    Changed,
    Made,
}

/// One balance change about to be posted.
#[derive(Debug, Clone, Default)]
pub(super) struct Posting {
    pub delta: Delta,
    pub line: Option<LineRef>,
    pub closes_line: bool,
    pub policy: Option<(i64, i64)>,
    pub lot: Option<Uuid>,
    pub shipment: Option<Uuid>,
    pub reason: Option<String>,
}

/// What a batch looks at and changes.
#[derive(Debug)]
pub struct World<'a> {
    /// The one pool of this batch.
    pub pool: PoolId,
    /// The database's clock, read after the locks.
    pub now: DateTime<Utc>,
    /// The catalogue at the revision read under the locks.
    pub catalogue: &'a Catalogue,
    shelves: HashMap<SkuId, Shelf>,
    touched: BTreeSet<SkuId>,
    reservations: HashMap<Uuid, (Reservation, Mark)>,
    successors: HashMap<(Uuid, Origin), Uuid>,
    references: HashMap<(ClientId, String), Uuid>,
    due: HashMap<SkuId, Due>,
    lots_by_source_ref: HashMap<(String, String), LotRecord>,
    goods: Goods,
    demands: Demands,
    wanted: BTreeSet<SkuId>,
    changes: Changes,
}

impl<'a> World<'a> {
    /// An empty world at `now`.
    #[must_use]
    pub fn new(pool: PoolId, now: DateTime<Utc>, catalogue: &'a Catalogue) -> Self {
        Self {
            pool,
            now,
            catalogue,
            shelves: HashMap::new(),
            touched: BTreeSet::new(),
            reservations: HashMap::new(),
            successors: HashMap::new(),
            references: HashMap::new(),
            due: HashMap::new(),
            lots_by_source_ref: HashMap::new(),
            goods: Goods::default(),
            demands: Demands::default(),
            wanted: BTreeSet::new(),
            changes: Changes::default(),
        }
    }

    /// Puts in a locked balance row.
    pub fn put_shelf(&mut self, sku: SkuId, shelf: Shelf) {
        self.shelves.insert(sku, shelf);
    }

    /// Puts in a reservation whose stock rows are locked.
    pub fn put_reservation(&mut self, reservation: Reservation) {
        let uuid = reservation.id.uuid;
        self.index(&reservation);
        self.reservations.insert(uuid, (reservation, Mark::Loaded));
    }

    /// Puts in what is due on a SKU.
    pub fn put_due(&mut self, sku: SkuId, due: Due) {
        self.due.insert(sku, due);
    }

    /// Puts in a lot that a source reference names.
    pub fn put_lot(&mut self, lot: LotRecord) {
        if let Some(source_ref) = lot.received.source_ref.clone() {
            self.lots_by_source_ref.insert((lot.received.source.clone(), source_ref), lot);
        }
    }

    /// SKUs whose due holds must be put in before these decisions count; empty when they do.
    #[must_use]
    pub fn wanted(&self) -> &BTreeSet<SkuId> {
        &self.wanted
    }

    /// The balance of a SKU; zero where it has no row.
    #[must_use]
    pub fn balance(&self, sku: SkuId) -> Balance {
        self.shelves.get(&sku).map(|shelf| shelf.balance).unwrap_or_default()
    }

    pub(super) fn needs_opening_count(&self, sku: &Sku) -> bool {
        self.shelves.get(&sku.id).is_some_and(|shelf| shelf.opened_at < sku.tracked_since_at)
    }

    pub(super) fn lot_by_source_ref(&self, source: &str, source_ref: &str) -> Option<&LotRecord> {
        self.lots_by_source_ref.get(&(source.to_owned(), source_ref.to_owned()))
    }

    /// The reservation with this id.
    #[must_use]
    pub fn reservation(&self, id: Uuid) -> Option<&Reservation> {
        self.reservations.get(&id).map(|(reservation, _)| reservation)
    }

    pub(super) fn successor(&self, id: Uuid, origin: Origin) -> Option<&Reservation> {
        self.reservation(*self.successors.get(&(id, origin))?)
    }

    /// The last of the claims that took over from each other in this way, beginning with what replaced `id`.
    pub(super) fn newest_successor(&self, id: Uuid, origin: Origin) -> Option<ReservationId> {
        let mut newest = self.successor(id, origin)?.id;
        while let Some(next) = self.successor(newest.uuid, origin) {
            newest = next.id;
        }
        Some(newest)
    }

    /// Reservations that this order took units of, oldest first.
    pub(super) fn reservations_of_order(&self, order_ref: &str) -> Vec<Uuid> {
        let mut own: Vec<&Reservation> = self
            .reservations
            .values()
            .map(|(reservation, _)| reservation)
            .filter(|reservation| reservation.order_ref.as_deref() == Some(order_ref))
            .collect();
        own.sort_unstable_by_key(|reservation| (reservation.created_at, reservation.id));
        own.into_iter().map(|reservation| reservation.id.uuid).collect()
    }

    /// Reservations that an order under one of these names took units of, oldest first.
    pub(super) fn claims_called(&self, record: &DemandRecord) -> Vec<Uuid> {
        let mut own = self.reservations_of_order(&record.order_ref);
        if let Some(name) = record.order_name.as_ref().filter(|name| **name != record.order_ref) {
            own.extend(self.reservations_of_order(name));
        }
        own
    }

    /// Who holds a client reference now: a reservation that stands, lapsed ones excepted.
    pub(super) fn holder_of(&self, client: ClientId, reference: &str) -> Option<&Reservation> {
        let id = self.references.get(&(client, reference.to_owned()))?;
        self.reservation(*id)
            .filter(|r| matches!(r.state, State::Held | State::Committed | State::Fulfilled | State::Reconciled))
    }

    /// The reservation, to be changed. `None` once it is terminal: its row is nobody's to write, not even unchanged.
    pub(super) fn edit(&mut self, id: Uuid) -> Option<&mut Reservation> {
        let (reservation, mark) = self.reservations.get_mut(&id).filter(|(r, _)| !r.state.is_terminal())?;
        if *mark == Mark::Loaded {
            *mark = Mark::Changed;
        }
        Some(reservation)
    }

    pub(super) fn make(&mut self, reservation: Reservation) {
        let uuid = reservation.id.uuid;
        self.index(&reservation);
        self.reservations.insert(uuid, (reservation, Mark::Made));
    }

    fn index(&mut self, reservation: &Reservation) {
        let uuid = reservation.id.uuid;
        if let Some(replaced) = reservation.replaces {
            self.successors.insert((replaced.uuid, reservation.origin), uuid);
        }
        if let Some(reference) = &reservation.client_reference
            && !matches!(reservation.state, State::Released | State::Expired | State::Cancelled)
        {
            self.references.insert((reservation.client, reference.clone()), uuid);
        }
    }

    /// Units that a claim on `sku` could take now, counting what is due but unswept. Asks for the due holds where they
    /// could make the difference to `needed`.
    pub(super) fn headroom(&mut self, sku: SkuId, policy: &Policy, needed: i64) -> i64 {
        let reservable = self.balance(sku).reservable(policy);
        if reservable >= needed || self.balance(sku).held == 0 {
            return reservable;
        }
        let Some(due) = self.due.get(&sku) else {
            self.wanted.insert(sku);
            return reservable;
        };
        let headroom = reservable + due.lines.iter().map(|line| self.due_units(line)).sum::<i64>();
        if headroom < needed && !due.complete {
            self.wanted.insert(sku);
        }
        headroom
    }

    pub(super) fn next_hold_expires_at(&self, sku: SkuId) -> Option<DateTime<Utc>> {
        self.due.get(&sku)?.next_hold_expires_at
    }

    fn due_units(&self, due: &DueLine) -> i64 {
        match self.reservation(due.line.reservation) {
            None => due.held,
            Some(r) if r.has_lapsed(self.now) => {
                r.lines.iter().find(|line| line.line == due.line.line).map_or(0, |line| line.held)
            }
            Some(_) => 0,
        }
    }

    /// Makes room for `needed` units by closing due lines, where the balance alone has none.
    pub(super) fn cover(&mut self, sku: SkuId, policy: &Policy, needed: i64) {
        if self.balance(sku).reservable(policy) >= needed {
            return;
        }
        let Some(due) = self.due.get_mut(&sku) else { return };
        for line in std::mem::take(&mut due.lines) {
            let units = self.due_units(&line);
            if units == 0 {
                continue;
            }
            if let Some(reservation) = self.edit(line.line.reservation) {
                for own in reservation.lines.iter_mut().filter(|own| own.line == line.line.line) {
                    own.held = 0;
                    own.expired += units;
                }
            } else {
                self.changes.expired_lines.push(DueLine { held: units, ..line });
            }
            self.post_back(EntryKind::Expire, sku, line.line, units, true, Some("expired"));
        }
    }

    /// Posts units going back from a held line.
    pub(super) fn post_back(
        &mut self,
        kind: EntryKind,
        sku: SkuId,
        line: LineRef,
        units: i64,
        closes_line: bool,
        reason: Option<&str>,
    ) {
        self.post_for(
            HOUSE,
            sku,
            kind,
            Posting {
                delta: Delta { held: -units, ..Delta::default() },
                line: Some(line),
                closes_line,
                reason: reason.map(str::to_owned),
                ..Posting::default()
            },
        );
    }

    /// Posts one balance change: the only place where a balance moves. The first claim on what was never received here (a
    /// pre-order, within the oversell tolerance) opens the shelf; there was no row to lock, so of two that open one at
    /// once the ledger's key lets the first through, and the other starts over.
    pub(super) fn post_for(&mut self, client: ClientId, sku: SkuId, kind: EntryKind, posting: Posting) {
        let shelf = self.shelves.entry(sku).or_insert_with(|| {
            self.changes.first_claimed.insert(sku);
            Shelf { balance: Balance::default(), opened_at: self.now, next_expires_date: None }
        });
        let before = shelf.balance;
        shelf.balance = before.after(posting.delta);
        let after = shelf.balance;
        self.touched.insert(sku);
        let (was, is) = (before.oversold(), after.oversold());
        if is > was {
            // A line has one oversell: the one of its opening. What a void brings back belongs to the shelf.
            let line = posting.line.filter(|_| kind != EntryKind::Void);
            self.changes.oversells.push(OversellMove::Open { sku, line, quantity: is - was });
        } else if is < was {
            self.changes.oversells.push(OversellMove::Resolve { sku, preferred: posting.line, quantity: was - is });
        }
        self.changes.entries.push(Entry {
            sku,
            kind,
            delta: posting.delta,
            after,
            policy: posting.policy,
            line: posting.line,
            closes_line: posting.closes_line,
            lot: posting.lot,
            shipment: posting.shipment,
            reason: posting.reason,
            client,
        });
    }

    /// Records a lot that arrives. One of a file stands already by the time that its receipt is decided, and may have given
    /// something by then.
    pub(super) fn record_lot(&mut self, lot: LotRecord) {
        self.put_lot(lot.clone());
        let stands = self.lot(lot.id.uuid).is_some();
        if !stands {
            // What is decided later in this batch finds it with the others.
            self.put_open_lot(lot.clone());
        }
        if lot.status == LotStatus::Available {
            self.expects_expiry(lot.sku, lot.received.expires_date);
        }
        // Only a receipt is entered for an earlier day; what arrives otherwise arrives now, whatever date it carries.
        let booked_on =
            if lot.origin == "receipt" { self.booked_on(lot.received.received_date) } else { self.booked_today() };
        if !stands {
            self.put_later(lot.id.uuid, booked_on, lot.remaining);
        }
        self.changes.lots.push((lot, booked_on));
    }

    pub(super) fn record_opening(&mut self, sku: SkuId) {
        if let Some(shelf) = self.shelves.get_mut(&sku) {
            shelf.opened_at = self.now;
        }
        self.changes.opened.push(sku);
    }

    /// Everything to write, in a fixed order.
    #[must_use]
    pub fn into_changes(mut self) -> Changes {
        self.changes.demands = self.changed_demands();
        for (reservation, mark) in self.reservations.into_values() {
            match mark {
                Mark::Loaded => {}
                Mark::Changed => self.changes.changed.push(reservation),
                Mark::Made => self.changes.made.push(reservation),
            }
        }
        self.changes.goods = self.goods.changes;
        self.changes.changed.sort_unstable_by_key(|r| r.id);
        // Two instances that insert the same references must do so in the same order, or they could wait in a circle.
        self.changes.made.sort_unstable_by(|a, b| (&a.client_reference, a.id).cmp(&(&b.client_reference, b.id)));
        self.changes.balances =
            self.touched.iter().filter_map(|sku| Some((*sku, self.shelves.get(sku)?.balance))).collect();
        self.changes
    }
}

/// The client under whose name the service itself acts (expiry).
pub const HOUSE: ClientId = ClientId(0);

/// Who the mirror is in the ledger.
pub const MIRROR: ClientId = ClientId(-1);
