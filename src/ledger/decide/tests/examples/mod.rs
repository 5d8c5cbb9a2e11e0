//! Worked examples, one per edge case that the core decides: what carts ask for, and what becomes of a hold.

use chrono::{DateTime, TimeDelta, Utc};

use super::audit::audit;
use super::store::Store;
use super::{
    GIFT, HAT, MUG, POOL, SHOP, TEA, WEBHOOK, at, catalogue, lot, policy_of, put_policy, reservation_id, tick,
};
use crate::catalog::{Catalogue, Policy, Sku, SkuStatus};
use crate::ids::{ClientId, ReservationId, SkuId};
use crate::ledger::balance::Balance;
use crate::ledger::command::{
    Command, Commit, Expire, Extend, Hold, HoldLine, LineQuantity, ORDER_CANCELED, OnShortage, OpeningCount, Release,
    Remainder,
};
use crate::ledger::decide::decide;
use crate::ledger::entry::EntryKind;
use crate::ledger::outcome::{Exceeded, Outcome, Refusal, Rule, Shortfall, Violation};
use crate::ledger::world::{Shelf, World};
use crate::reservations::state::{Origin, Reservation, State};

mod carts;
mod holds;
mod kits;

/// A store, a catalogue and a clock.
struct Shop {
    store: Store,
    catalogue: Catalogue,
    now: DateTime<Utc>,
    ids: u128,
}

impl Shop {
    fn with(stock: &[(&str, i64)]) -> Self {
        let mut shop = Self { store: Store::default(), catalogue: catalogue(), now: at(0), ids: 0 };
        for (sku, quantity) in stock {
            shop.receive(sku, *quantity);
        }
        shop
    }

    /// One command in a batch of its own; the audit finds nothing after it, and a refusal has changed nothing.
    fn run(&mut self, client: ClientId, command: Command) -> Outcome {
        let before = self.store.clone();
        let outcome = self.store.run(&self.catalogue, self.now, &[(client, command)]).remove(0);
        audit(&self.store);
        assert!(!matches!(outcome, Outcome::Refused(_)) || self.store == before, "a refusal changes nothing");
        outcome
    }

    fn id(&mut self) -> ReservationId {
        self.ids += 1;
        reservation_id(self.ids)
    }

    fn receive(&mut self, sku: &str, quantity: i64) {
        let receive = lot(self.id().uuid.as_u128(), sku, quantity);
        self.run(SHOP, Command::Receive(Box::new(receive)));
    }

    fn hold(&mut self, hold: Hold) -> Outcome {
        let id = self.id();
        self.run(SHOP, Command::Hold(Hold { id, ..hold }))
    }

    /// A hold that is granted.
    fn held(&mut self, lines: &[(&str, i64)]) -> ReservationId {
        shown(self.hold(cart(lines))).id
    }

    fn commit(&mut self, commit: Commit) -> Outcome {
        let successor_id = self.id();
        self.run(SHOP, Command::Commit(Commit { successor_id, ..commit }))
    }

    fn release(&mut self, release: Release) -> Outcome {
        self.run(SHOP, Command::Release(release))
    }

    fn extend(&mut self, id: ReservationId, ttl_seconds: Option<i64>) -> Outcome {
        let successor_id = self.id();
        self.run(SHOP, Command::Extend(Extend { id, ttl_seconds, successor_id }))
    }

    fn expire(&mut self, id: ReservationId) -> Outcome {
        self.run(SHOP, Command::Expire(Expire { id }))
    }

    fn wait(&mut self, seconds: i64) {
        self.now += TimeDelta::seconds(seconds);
    }

    fn balance(&self, sku: SkuId) -> Balance {
        self.store.stock[&sku].0
    }

    /// On hand, held, committed.
    fn numbers(&self, sku: SkuId) -> (i64, i64, i64) {
        let Balance { on_hand, held, committed, .. } = self.balance(sku);
        (on_hand, held, committed)
    }

    fn stored(&self, id: ReservationId) -> &Reservation {
        &self.store.reservations[&id.uuid]
    }

    /// Where it stands for a reader, swept or not.
    fn state(&self, id: ReservationId) -> State {
        self.stored(id).state_at(self.now)
    }

    /// Held, committed, released, expired, cancelled of one line.
    fn parts(&self, id: ReservationId, line: i16) -> [i64; 5] {
        let own = self.stored(id).lines.iter().find(|own| own.line == line).unwrap();
        [own.held, own.committed, own.released, own.expired, own.cancelled]
    }

    fn open_oversells(&self) -> i64 {
        self.store.oversells.iter().map(|oversell| oversell.unresolved).sum()
    }
}

fn cart(lines: &[(&str, i64)]) -> Hold {
    Hold {
        id: reservation_id(0),
        lines: (1..)
            .zip(lines)
            .map(|(line, (sku, quantity))| HoldLine { line, sku: (*sku).into(), quantity: *quantity })
            .collect(),
        variants: Vec::new(),
        ttl_seconds: None,
        client_reference: None,
        owner: Some("Ann".to_owned()),
        metadata: None,
        allow_partial: false,
        supersedes: None,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a command names lines optionally")]
fn named(lines: &[(i16, i64)]) -> Option<Vec<LineQuantity>> {
    Some(lines.iter().map(|(line, quantity)| LineQuantity { line: *line, quantity: *quantity }).collect())
}

/// Everything held goes to order A.
fn order(id: ReservationId) -> Commit {
    Commit {
        id,
        order_ref: "A".to_owned(),
        lines: None,
        remainder: Remainder::Release,
        on_shortage: OnShortage::Refuse,
        successor_id: id,
    }
}

fn all_of(id: ReservationId) -> Release {
    Release { id, lines: None, reason: None }
}

fn cancelled(id: ReservationId) -> Release {
    Release { reason: Some(ORDER_CANCELED.to_owned()), ..all_of(id) }
}

#[track_caller]
fn shown(outcome: Outcome) -> Reservation {
    match outcome {
        Outcome::Held(reservation) | Outcome::Current { reservation, .. } => *reservation,
        other => panic!("no reservation: {other:?}"),
    }
}

#[track_caller]
fn refused(outcome: Outcome) -> Refusal {
    match outcome {
        Outcome::Refused(refusal) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

/// SKU, lines, requested and reservable of every shortfall.
#[track_caller]
fn short(refusal: &Refusal) -> Vec<(SkuId, &[i16], i64, i64)> {
    match refusal {
        Refusal::InsufficientStock { shortfalls: short, .. } | Refusal::HoldExpired { shortfalls: short, .. } => {
            let terms = |s: &Shortfall| -> (SkuId, i64, i64) { (s.sku, s.requested, s.reservable) };
            short
                .iter()
                .map(|s| (terms(s), s.lines.as_slice()))
                .map(|((sku, asked, free), lines)| (sku, lines, asked, free))
                .collect()
        }
        other => panic!("not for stock: {other:?}"),
    }
}
