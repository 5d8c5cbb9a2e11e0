//! The rules once more, as plainly as they can be said: carts with their claims, every number summed anew, and every
//! hold ended at the instant it expires, so that there is no such thing as a hold that is due but unswept.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::catalog::{Catalogue, Policy};
use crate::ids::{ClientId, SkuId};
use crate::ledger::command::{Command, LineQuantity, Receive};
use crate::reservations::state::{Origin, State};

mod commit;
mod extend;
mod hold;
mod release;

/// What a command comes to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// Held under this id.
    Held(Uuid),
    /// The answer shows this reservation; whether it is a new claim in place of the one that was named.
    Shows(Uuid, bool),
    /// A lot; whether it had been entered before.
    Lot(Uuid, bool),
    /// Refused: the refusal's name, and of each short SKU what was asked for and what could be held.
    Refused(&'static str, BTreeMap<SkuId, (i64, i64)>),
}

fn refused<T>(name: &'static str) -> Result<T, Verdict> {
    Err(Verdict::Refused(name, BTreeMap::new()))
}

/// One line's claim.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub line: i16,
    pub sku: SkuId,
    pub asked: i64,
    pub short: i64,
    pub held: i64,
    pub committed: i64,
    pub released: i64,
    /// Out of what is released.
    pub handed_over: i64,
    pub expired: i64,
    pub cancelled: i64,
}

impl Claim {
    fn new(line: i16, sku: SkuId, asked: i64, held: i64) -> Self {
        let short = asked - held;
        Self { line, sku, asked, short, held, committed: 0, released: 0, handed_over: 0, expired: 0, cancelled: 0 }
    }

    /// What an order took of it, cancelled since or not.
    fn ordered(&self) -> i64 {
        self.committed + self.cancelled
    }

    /// Units that a late commit may take again.
    fn lost(&self) -> i64 {
        self.handed_over + self.expired
    }
}

/// One reservation.
#[derive(Debug, Clone)]
pub(super) struct Cart {
    pub client: ClientId,
    pub origin: Origin,
    pub replaces: Option<Uuid>,
    pub reference: Option<String>,
    pub owner: Option<String>,
    pub order: Option<String>,
    pub expires_at: DateTime<Utc>,
    pub latest: DateTime<Utc>,
    pub claims: Vec<Claim>,
    /// How its last held unit went, where no order took any.
    ended: State,
}

impl Cart {
    pub fn state(&self) -> State {
        let sum = |of: fn(&Claim) -> i64| self.claims.iter().map(of).sum::<i64>();
        match (sum(|claim| claim.held), &self.order, sum(|claim| claim.committed)) {
            (0, None, _) => self.ended,
            (0, Some(_), 0) => State::Cancelled,
            (0, Some(_), _) => State::Committed,
            _ => State::Held,
        }
    }

    fn claim(&self, line: i16) -> Option<&Claim> {
        self.claims.iter().find(|claim| claim.line == line)
    }

    fn give_back(&mut self, ended: State) {
        for claim in &mut self.claims {
            let back = std::mem::take(&mut claim.held);
            if ended == State::Expired {
                claim.expired += back;
            } else {
                claim.released += back;
            }
        }
        self.ended = ended;
    }

    fn hand_over(&mut self) {
        for claim in &mut self.claims {
            claim.handed_over = claim.held;
        }
        self.give_back(State::Released);
    }
}

/// The whole of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Reference {
    pub now: DateTime<Utc>,
    pub catalogue: Catalogue,
    /// In the order they were made.
    pub made: Vec<Uuid>,
    pub carts: BTreeMap<Uuid, Cart>,
    /// What was received.
    pub lots: Vec<(Uuid, SkuId, Receive)>,
}

impl Reference {
    /// Moves the clock and ends every hold whose time has come.
    pub fn wait_until(&mut self, now: DateTime<Utc>) {
        self.now = now;
        for cart in self.carts.values_mut() {
            if cart.state() == State::Held && cart.expires_at <= now {
                cart.give_back(State::Expired);
            }
        }
    }

    pub fn run(&mut self, client: ClientId, command: &Command) -> Verdict {
        let verdict = match command {
            Command::Hold(hold) => self.hold(client, hold),
            Command::Commit(commit) => self.commit(commit),
            Command::Release(release) => self.release(release),
            Command::Extend(extend) => self.extend(extend),
            Command::Expire(expire) => self.cart(expire.id.uuid).map(|_| Verdict::Shows(expire.id.uuid, false)),
            Command::Receive(receive) => self.receive(receive),
            Command::OpeningCount(_) => refused("opening_count_not_due"),
            other => panic!("the reference keeps no goods: {other:?}"),
        };
        verdict.unwrap_or_else(|refusal| refusal)
    }

    pub fn on_hand(&self, sku: SkuId) -> i64 {
        self.lots.iter().filter(|lot| lot.1 == sku).map(|lot| lot.2.quantity).sum()
    }

    pub fn sum(&self, sku: SkuId, of: fn(&Claim) -> i64) -> i64 {
        self.carts.values().flat_map(|cart| &cart.claims).filter(|claim| claim.sku == sku).map(of).sum()
    }

    /// Units of a SKU that could be held now.
    pub fn free(&self, sku: SkuId) -> i64 {
        let policy = self.policy(sku);
        let claimed = self.sum(sku, |claim| claim.held + claim.committed);
        self.on_hand(sku) - claimed - policy.safety_stock_quantity + policy.oversell_tolerance_quantity
    }

    fn policy(&self, sku: SkuId) -> Policy {
        *self.catalogue.policy(self.catalogue.sku(sku).unwrap()).unwrap()
    }

    fn tracked(&self, sku: SkuId) -> bool {
        self.catalogue.sku(sku).unwrap().tracked
    }

    fn least(&self, asked: &[(SkuId, i64)], of: fn(&Policy) -> i64) -> i64 {
        asked.iter().map(|(sku, _)| of(&self.policy(*sku))).min().unwrap()
    }

    fn cart(&self, id: Uuid) -> Result<&Cart, Verdict> {
        self.carts.get(&id).map_or_else(|| refused("reservation_not_found"), Ok)
    }

    fn successor(&self, id: Uuid, origin: Origin) -> Option<(Uuid, &Cart)> {
        let mut carts = self.carts.iter().map(|(id, cart)| (*id, cart));
        carts.find(|(_, cart)| cart.replaces == Some(id) && cart.origin == origin)
    }

    fn holder(&self, client: ClientId, reference: Option<&String>) -> Option<Uuid> {
        let reference = reference?;
        let stands = |cart: &Cart| matches!(cart.state(), State::Held | State::Committed);
        let mut carts = self.carts.iter();
        carts
            .find(|(_, cart)| cart.client == client && cart.reference.as_ref() == Some(reference) && stands(cart))
            .map(|(id, _)| *id)
    }

    fn make(&mut self, id: Uuid, cart: Cart) {
        self.made.push(id);
        self.carts.insert(id, cart);
    }

    /// Every SKU that has less than is asked of it; `back` says what the same command returns.
    fn short(&self, asked: &[(SkuId, i64)], back: impl Fn(SkuId) -> i64) -> BTreeMap<SkuId, (i64, i64)> {
        let skus: BTreeSet<SkuId> = asked.iter().map(|(sku, _)| *sku).filter(|sku| self.tracked(*sku)).collect();
        let of = |sku: SkuId| asked.iter().filter(|(own, _)| *own == sku).map(|(_, units)| units).sum::<i64>();
        let sums = skus.into_iter().map(|sku| (sku, (of(sku), self.free(sku) + back(sku))));
        sums.filter(|(_, (asked, free))| free < asked).collect()
    }

    fn receive(&mut self, receive: &Receive) -> Result<Verdict, Verdict> {
        let entered =
            |lot: &&(Uuid, SkuId, Receive)| receive.source_ref.is_some() && lot.2.source_ref == receive.source_ref;
        if let Some((id, ..)) = self.lots.iter().find(entered) {
            return Ok(Verdict::Lot(*id, true));
        }
        let Some(sku) = self.catalogue.sku_by_code(&receive.sku).filter(|sku| sku.tracked) else {
            return refused("unprocessable");
        };
        self.lots.push((receive.id.uuid, sku.id, receive.clone()));
        Ok(Verdict::Lot(receive.id.uuid, false))
    }
}

fn target(lines: &[LineQuantity], line: i16) -> Option<i64> {
    lines.iter().find(|named| named.line == line).map(|named| named.quantity)
}

fn check_named(cart: &Cart, lines: &[LineQuantity]) -> Result<(), Verdict> {
    let known = lines.iter().all(|named| cart.claim(named.line).is_some());
    if known { Ok(()) } else { refused("unprocessable") }
}
