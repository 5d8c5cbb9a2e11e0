//! A database small enough to read. It loads a world and writes its changes as [`crate::ledger::batch`] does, and its
//! assertions are the constraints of the schema and the checks of the audit.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::catalog::Catalogue;
use crate::ids::{ClientId, SkuId};
use crate::ledger::balance::Balance;
use crate::ledger::command::Command;
use crate::ledger::decide::decide;
use crate::ledger::demand::{DemandKey, DemandRecord};
use crate::ledger::entry::{Entry, LineRef};
use crate::ledger::outcome::{LotRecord, Outcome};
use crate::ledger::world::{Changes, Due, DueLine, OversellMove, Shelf, World};
use crate::reservations::state::{Line, Reservation, State};

/// An oversell row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Oversell {
    pub sku: SkuId,
    pub line: Option<LineRef>,
    pub unresolved: i64,
}

/// Every table that the core's changes go to.
#[derive(Debug, Clone, Default)]
pub(super) struct Store {
    pub stock: BTreeMap<SkuId, (Balance, DateTime<Utc>)>,
    pub reservations: BTreeMap<Uuid, Reservation>,
    pub entries: Vec<Entry>,
    pub oversells: Vec<Oversell>,
    pub lots: BTreeMap<Uuid, LotRecord>,
    pub demands: BTreeMap<DemandKey, DemandRecord>,
}

impl PartialEq for Store {
    fn eq(&self, other: &Self) -> bool {
        let lots =
            |store: &Self| -> Vec<(Uuid, i64)> { store.lots.values().map(|l| (l.id.uuid, l.remaining)).collect() };
        self.stock == other.stock
            && self.reservations == other.reservations
            && self.entries == other.entries
            && self.oversells == other.oversells
            && lots(self) == lots(other)
    }
}

/// Everything that a batch names.
#[derive(Default)]
struct Named {
    skus: BTreeSet<SkuId>,
    received: BTreeSet<SkuId>,
    counted: BTreeSet<SkuId>,
    reservations: BTreeSet<Uuid>,
    references: BTreeSet<(ClientId, String)>,
    source_refs: BTreeSet<(String, String)>,
    /// Whether a command looks at what belongs to an order.
    orders: bool,
}

impl Named {
    fn of(catalogue: &Catalogue, batch: &[(ClientId, Command)]) -> Self {
        let mut named = Self::default();
        let tracked = |code: &str| catalogue.sku_by_code(code).filter(|sku| sku.tracked).map(|sku| sku.id);
        for (client, command) in batch {
            match command {
                Command::Hold(hold) => {
                    named.skus.extend(hold.lines.iter().filter_map(|line| tracked(&line.sku)));
                    let mappings = hold.variants.iter().filter_map(|line| line.mapping.as_ref());
                    let skus =
                        mappings.flat_map(|mapping| &mapping.components).filter_map(|(sku, _)| catalogue.sku(*sku));
                    named.skus.extend(skus.filter(|sku| sku.tracked).map(|sku| sku.id));
                    named.reservations.extend(hold.supersedes.map(|id| id.uuid));
                    named.references.extend(hold.client_reference.clone().map(|reference| (*client, reference)));
                }
                Command::Commit(commit) => named.reservations.extend([commit.id.uuid]),
                Command::Release(release) => named.reservations.extend([release.id.uuid]),
                Command::Extend(extend) => named.reservations.extend([extend.id.uuid]),
                Command::Expire(expire) => named.reservations.extend([expire.id.uuid]),
                Command::Receive(receive) => {
                    named.received.extend(tracked(&receive.sku));
                    let source = receive.source.clone();
                    named.source_refs.extend(receive.source_ref.clone().map(|source_ref| (source, source_ref)));
                }
                Command::OpeningCount(count) => named.counted.extend(tracked(&count.sku)),
                Command::Demand(demand) => {
                    let counted = |sku: &SkuId| catalogue.sku(*sku).is_some_and(|sku| sku.tracked);
                    named.received.extend(demand.lines.iter().map(|line| line.sku).filter(counted));
                    named.orders = true;
                }
                // Of what has left, the store keeps what its reservations and balances tell.
                Command::Ship(ship) => {
                    named.received.extend(ship.lines.iter().filter_map(|line| tracked(&line.sku)));
                    named.orders = true;
                }
                other => panic!("this store keeps no goods: {other:?}"),
            }
        }
        named
    }
}

impl Store {
    /// Runs a batch: decides for as long as a decision asks for more due holds, then writes.
    pub fn run(&mut self, catalogue: &Catalogue, now: DateTime<Utc>, batch: &[(ClientId, Command)]) -> Vec<Outcome> {
        let named = Named::of(catalogue, batch);
        for sku in &named.received {
            self.stock.entry(*sku).or_insert((Balance::default(), now));
        }
        let mut due: HashMap<SkuId, Due> = HashMap::new();
        let mut page = 1;
        loop {
            let mut world = self.load(catalogue, now, &named);
            for (sku, due) in &due {
                world.put_due(*sku, due.clone());
            }
            let outcomes = batch.iter().map(|(client, command)| decide(&mut world, *client, command)).collect();
            let wanted = world.wanted().clone();
            if wanted.is_empty() {
                self.write(now, world.into_changes());
                return outcomes;
            }
            for sku in wanted {
                assert!(due.get(&sku).is_none_or(|due| !due.complete), "{sku:?} is wanted though all of it is given");
                due.insert(sku, self.find_due(sku, now, page));
            }
            page *= 4;
        }
    }

    fn load<'a>(&self, catalogue: &'a Catalogue, now: DateTime<Utc>, named: &Named) -> World<'a> {
        let mut world = World::new(super::POOL, now, catalogue);
        let orders = named.orders || !self.demands.is_empty();
        let loaded: Vec<&Reservation> =
            self.reservations.values().filter(|r| orders || self.is_needed(r, named)).collect();
        let claimed = loaded.iter().flat_map(|r| &r.lines).filter(|line| line.tracked).map(|line| line.sku);
        let skus: BTreeSet<SkuId> =
            claimed.chain([&named.skus, &named.received, &named.counted].into_iter().flatten().copied()).collect();
        for sku in skus {
            if let Some((balance, opened_at)) = self.stock.get(&sku) {
                world.put_shelf(sku, Shelf { balance: *balance, opened_at: *opened_at, next_expires_date: None });
            }
        }
        for reservation in loaded {
            world.put_reservation(reservation.clone());
        }
        for record in self.demands.values() {
            world.put_demand(record.clone());
        }
        for lot in self.lots.values() {
            let name = lot.received.source_ref.clone().map(|source_ref| (lot.received.source.clone(), source_ref));
            if name.is_some_and(|name| named.source_refs.contains(&name)) {
                world.put_lot(lot.clone());
            }
        }
        for lot in self.lots.values().filter(|lot| lot.remaining > 0 && named.counted.contains(&lot.sku)) {
            world.put_open_lot(lot.clone());
        }
        world
    }

    /// The named reservations, those that replaced them, and who holds a reference that is named or that a named one
    /// carries: a claim made anew after expiry may want it back.
    fn is_needed(&self, reservation: &Reservation, named: &Named) -> bool {
        let is_named = |r: &Reservation| named.reservations.contains(&r.id.uuid);
        let reference = |r: &Reservation| r.client_reference.clone().map(|reference| (r.client, reference));
        let wanted = |own: (ClientId, String)| {
            let mut carriers = self.reservations.values().filter(|r| is_named(r)).filter_map(reference);
            named.references.contains(&own) || carriers.any(|carried| carried == own)
        };
        is_named(reservation)
            || reservation.replaces.is_some_and(|id| named.reservations.contains(&id.uuid))
            || stands(reservation) && reference(reservation).is_some_and(wanted)
    }

    fn find_due(&self, sku: SkuId, now: DateTime<Utc>, page: usize) -> Due {
        let mut holds: Vec<(DateTime<Utc>, DueLine)> = self
            .lines()
            .filter(|(_, line)| line.sku == sku && line.tracked && line.held > 0)
            .map(|(r, line)| (r.expires_at, DueLine { line: line_ref(r, line), sku, held: line.held }))
            .collect();
        holds.sort_by_key(|(expires_at, due)| (*expires_at, due.line));
        let (due, later): (Vec<_>, Vec<_>) = holds.into_iter().partition(|(expires_at, _)| *expires_at <= now);
        Due {
            complete: due.len() < page,
            lines: due.into_iter().take(page).map(|(_, line)| line).collect(),
            next_hold_expires_at: later.first().map(|(expires_at, _)| *expires_at),
        }
    }

    /// Every line with its reservation.
    pub fn lines(&self) -> impl Iterator<Item = (&Reservation, &Line)> {
        self.reservations.values().flat_map(|r| r.lines.iter().map(move |line| (r, line)))
    }

    /// In the order of the lane: what gives something up goes before what takes it.
    fn write(&mut self, now: DateTime<Utc>, changes: Changes) {
        for changed in changes.changed {
            let row = self.reservations.get_mut(&changed.id.uuid).expect("only rows that exist are changed");
            check_forward(row, &changed);
            *row = changed;
        }
        for due in changes.expired_lines {
            let row = self.reservations.get_mut(&due.line.reservation).expect("a due line exists");
            let line = row.lines.iter_mut().find(|line| line.line == due.line.line).expect("a due line exists");
            assert_eq!(line.held, due.held, "a due line is closed whole");
            line.held = 0;
            line.expired += due.held;
        }
        for made in changes.made {
            self.check_new(&made);
            self.reservations.insert(made.id.uuid, made);
        }
        for sku in changes.first_claimed {
            let there = self.stock.insert(sku, (Balance::default(), now));
            assert_eq!(there, None, "a first claim opens what was not there");
        }
        self.entries.extend(changes.entries);
        for (sku, balance) in changes.balances {
            self.stock.get_mut(&sku).expect("only a balance that is there changes").0 = balance;
        }
        for sku in changes.opened {
            self.stock.get_mut(&sku).expect("only a locked shelf is opened").1 = now;
        }
        for (lot, _) in changes.lots {
            self.lots.insert(lot.id.uuid, lot);
        }
        for step in changes.goods.moves {
            self.lots.get_mut(&step.lot).expect("a lot exists").remaining += step.quantity;
        }
        for step in changes.oversells {
            self.move_oversell(step);
        }
        for record in changes.demands {
            self.demands.insert(record.key.clone(), record);
        }
    }

    /// What is open and whose: units that come back resolve the oversell of their own line first, then the oldest.
    fn move_oversell(&mut self, step: OversellMove) {
        match step {
            OversellMove::Open { sku, line, quantity } => {
                let again = line.is_some() && self.oversells.iter().any(|open| open.line == line);
                assert!(quantity > 0 && !again, "a line opens one oversell, of at least one unit: {step:?}");
                self.oversells.push(Oversell { sku, line, unresolved: quantity });
            }
            OversellMove::Resolve { sku, preferred, mut quantity } => {
                let mut open: Vec<&mut Oversell> = self.oversells.iter_mut().filter(|open| open.sku == sku).collect();
                open.sort_by_key(|open| preferred.is_none() || open.line != preferred);
                for oversell in open {
                    let units = oversell.unresolved.min(quantity);
                    oversell.unresolved -= units;
                    quantity -= units;
                }
                assert_eq!(quantity, 0, "no more is resolved than is open: {step:?}");
            }
        }
    }

    /// The unique indexes of `reservations`.
    fn check_new(&self, made: &Reservation) {
        for other in self.reservations.values() {
            assert_ne!(other.id, made.id, "ids are unique");
            let replaces = made.replaces.is_some() && other.replaces == made.replaces && other.origin == made.origin;
            assert!(!replaces, "{:?} is replaced twice by {:?}", made.replaces, made.origin);
            let reference = other.client == made.client
                && made.client_reference.is_some()
                && other.client_reference == made.client_reference;
            assert!(!(reference && stands(other) && stands(made)), "{:?} stands twice", made.client_reference);
        }
    }
}

pub(super) fn line_ref(reservation: &Reservation, line: &Line) -> LineRef {
    LineRef { reservation: reservation.id.uuid, line: line.line }
}

/// Whether it keeps its client reference from others.
fn stands(reservation: &Reservation) -> bool {
    !matches!(reservation.state, State::Released | State::Expired | State::Cancelled)
}

/// The compare-and-set of an update and the forward-only guards.
fn check_forward(old: &Reservation, new: &Reservation) {
    assert!(!old.state.is_terminal(), "terminal is terminal: {old:?} to {new:?}");
    assert!(old.state == new.state || old.state.may_become(new.state), "{:?} to {:?}", old.state, new.state);
    assert!(old.order_ref.is_none() || old.order_ref == new.order_ref, "the order does not change");
    assert_eq!(old.lines.len(), new.lines.len());
    for (old, new) in old.lines.iter().zip(&new.lines) {
        let fixed = |line: &Line| (line.line, line.sku, line.tracked, line.requested, line.short);
        let grows = |line: &Line| [line.committed + line.cancelled, line.released, line.expired, line.cancelled];
        assert_eq!(fixed(old), fixed(new));
        assert!(new.held <= old.held, "{old:?} to {new:?}");
        assert!(grows(old).iter().zip(grows(new)).all(|(old, new)| *old <= new), "{old:?} to {new:?}");
    }
}
