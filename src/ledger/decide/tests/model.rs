//! Random batches of commands, decided by the core over the store and by the plain reference; both must agree on every
//! verdict and every quantity, and the audit must find nothing, after every single command.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use uuid::Uuid;

use super::audit::audit;
use super::reference::{Reference, Verdict};
use super::seen::{Seen, of_cart, seen, short, verdict};
use super::store::Store;
use super::{
    CODES, GIFT, HAT, MUG, SHOP, TEA, WEBHOOK, at, catalogue, lot, policy_of, put_policy, reservation_id, tick,
};
use crate::catalog::Policy;
use crate::ids::{ClientId, ReservationId, SkuId};
use crate::ledger::command::{
    Command, Commit, Expire, Extend, Hold, HoldLine, LineQuantity, ORDER_CANCELED, OnShortage, Release, Remainder,
};
use crate::ledger::outcome::{Outcome, Refusal};
use crate::reservations::state::State;

/// A command whose ids are filled in when its turn comes.
#[derive(Debug, Clone)]
enum Ask {
    Hold {
        lines: Vec<(usize, i64)>,
        ttl: Option<i64>,
        reference: Option<u8>,
        owner: bool,
        partial: bool,
        supersedes: Option<usize>,
    },
    Commit {
        of: usize,
        order: u8,
        lines: Option<BTreeMap<i16, i64>>,
        keep: bool,
        backorder: bool,
    },
    Release {
        of: usize,
        lines: Option<BTreeMap<i16, i64>>,
        canceled: bool,
    },
    Extend {
        of: usize,
        ttl: Option<i64>,
    },
    Expire {
        of: usize,
    },
    Receive {
        sku: usize,
        quantity: i64,
        source_ref: Option<u8>,
    },
}

/// How the clock moves before a batch.
#[derive(Debug, Clone)]
enum Wait {
    Not,
    Seconds(i64),
    /// To the instant that a reservation expires, or a tick before it.
    ForExpiry {
        of: usize,
        just_before: bool,
    },
}

#[derive(Debug, Clone)]
struct Batch {
    wait: Wait,
    /// Another safety stock and tolerance for a SKU.
    policy: Option<(i64, i64, i64)>,
    asks: Vec<(ClientId, Ask)>,
}

/// Reservations are named by how many were made after them; beyond the oldest there is none.
fn of() -> impl Strategy<Value = usize> {
    prop_oneof![10 => Just(0_usize), 10 => 1_usize..4, 4 => 4_usize..10, 1 => Just(1000)]
}

fn line_quantities() -> impl Strategy<Value = Option<BTreeMap<i16, i64>>> {
    let line = prop_oneof![12 => Just(1_i16), 6 => 2_i16..=3, 1 => Just(9)];
    let quantity = prop_oneof![3 => 1_i64..=2, 1 => 3_i64..=6];
    option::weighted(0.6, btree_map(line, quantity, 1..=2))
}

fn asks() -> impl Strategy<Value = Ask> {
    let sku = prop_oneof![30 => 0_usize..3, 5 => Just(3), 1 => Just(4)];
    let ttl = || option::weighted(0.4, prop_oneof![10 => 1_i64..=120, 1 => 121_i64..=500]);
    let hold = (
        vec((sku, prop_oneof![20 => 1_i64..=4, 1 => 5_i64..=11]), 1..=3),
        ttl(),
        option::weighted(0.4, 0_u8..3),
        any::<bool>(),
        any::<bool>(),
        option::weighted(0.25, of()),
    );
    let hold = hold.prop_map(|(lines, ttl, reference, owner, partial, supersedes)| Ask::Hold {
        lines,
        ttl,
        reference,
        owner,
        partial,
        supersedes,
    });
    let commit = (of(), prop_oneof![4 => Just(0_u8), 1 => Just(1)], line_quantities(), any::<bool>(), any::<bool>());
    let commit =
        commit.prop_map(|(of, order, lines, keep, backorder)| Ask::Commit { of, order, lines, keep, backorder });
    let release = (of(), line_quantities(), any::<bool>());
    let release = release.prop_map(|(of, lines, canceled)| Ask::Release { of, lines, canceled });
    let receive = (0_usize..5, 1_i64..=6, option::weighted(0.3, 0_u8..4));
    let receive = receive.prop_map(|(sku, quantity, source_ref)| Ask::Receive { sku, quantity, source_ref });
    prop_oneof![
        8 => hold,
        6 => commit,
        3 => release,
        3 => (of(), ttl()).prop_map(|(of, ttl)| Ask::Extend { of, ttl }),
        1 => of().prop_map(|of| Ask::Expire { of }),
        2 => receive,
    ]
}

fn batches() -> impl Strategy<Value = Vec<Batch>> {
    let wait = prop_oneof![
        2 => Just(Wait::Not),
        3 => (1_i64..=50).prop_map(Wait::Seconds),
        3 => (of(), prop::bool::weighted(0.25)).prop_map(|(of, just_before)| Wait::ForExpiry { of, just_before }),
    ];
    let policy = option::weighted(0.1, (1_i64..=3, 0_i64..=3, 0_i64..=3));
    let client = prop_oneof![4 => Just(SHOP), 1 => Just(WEBHOOK)];
    let batch = (wait, policy, vec((client, asks()), 1..=5));
    vec(batch.prop_map(|(wait, policy, asks)| Batch { wait, policy, asks }), 1..=16)
}

/// Both sides of the comparison.
struct Run {
    store: Store,
    reference: Reference,
    ids: u128,
}

impl Run {
    /// Fresh, and in no order: ids are minted before the locks are taken.
    fn id(&mut self) -> ReservationId {
        self.ids += 1;
        reservation_id(self.ids.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
    }

    fn made(&self, of: usize) -> ReservationId {
        let made = &self.reference.made;
        let uuid = made.len().checked_sub(of + 1).map_or(Uuid::from_u128(0xdead), |index| made[index]);
        ReservationId { uuid, ..reservation_id(0) }
    }

    fn command(&mut self, ask: &Ask) -> Command {
        let code = |sku: usize| Arc::from(CODES.get(sku).copied().unwrap_or("NOPE"));
        let lines = |lines: &Option<BTreeMap<i16, i64>>| {
            let named = |lines: &BTreeMap<i16, i64>| {
                lines.iter().map(|(line, quantity)| LineQuantity { line: *line, quantity: *quantity }).collect()
            };
            lines.as_ref().map(named)
        };
        match ask {
            Ask::Hold { lines, ttl, reference, owner, partial, supersedes } => Command::Hold(Hold {
                id: self.id(),
                lines: (1..)
                    .zip(lines)
                    .map(|(line, (sku, quantity))| HoldLine { line, sku: code(*sku), quantity: *quantity })
                    .collect(),
                variants: Vec::new(),
                ttl_seconds: *ttl,
                client_reference: reference.map(|n| format!("cart {n}")),
                owner: owner.then(|| "Ann".to_owned()),
                metadata: None,
                allow_partial: *partial,
                supersedes: supersedes.map(|of| self.made(of)),
            }),
            Ask::Commit { of, order, lines: named, keep, backorder } => Command::Commit(Commit {
                id: self.made(*of),
                order_ref: format!("order {order}"),
                lines: lines(named),
                remainder: if *keep { Remainder::Keep } else { Remainder::Release },
                on_shortage: if *backorder { OnShortage::Backorder } else { OnShortage::Refuse },
                successor_id: self.id(),
            }),
            Ask::Release { of, lines: named, canceled } => Command::Release(Release {
                id: self.made(*of),
                lines: lines(named),
                reason: canceled.then(|| ORDER_CANCELED.to_owned()),
            }),
            Ask::Extend { of, ttl } => {
                Command::Extend(Extend { id: self.made(*of), ttl_seconds: *ttl, successor_id: self.id() })
            }
            Ask::Expire { of } => Command::Expire(Expire { id: self.made(*of) }),
            Ask::Receive { sku, quantity, source_ref } => {
                let mut received = lot(self.id().uuid.as_u128(), &code(*sku), *quantity);
                received.source_ref = source_ref.map(|n| format!("delivery {n}"));
                Command::Receive(Box::new(received))
            }
        }
    }

    fn wait(&mut self, wait: &Wait) {
        let now = self.reference.now;
        let next = match wait {
            Wait::Not => now,
            Wait::Seconds(seconds) => now + TimeDelta::seconds(*seconds),
            Wait::ForExpiry { of, just_before } => {
                let expires_at = self.reference.carts.get(&self.made(*of).uuid).map_or(now, |cart| cart.expires_at);
                if *just_before { expires_at - tick() } else { expires_at }
            }
        };
        self.reference.wait_until(now.max(next));
    }

    /// Decides a batch again and again, each time with one command more, on the same rows.
    fn batch(&mut self, batch: &Batch) {
        self.wait(&batch.wait);
        if let Some((sku, safety_stock_quantity, oversell_tolerance_quantity)) = batch.policy {
            let policy = Policy { safety_stock_quantity, oversell_tolerance_quantity, ..policy_of(SkuId(sku)) };
            put_policy(&mut self.reference.catalogue, SkuId(sku), policy);
        }
        let rows = self.store.clone();
        let mut commands = Vec::new();
        for (client, ask) in &batch.asks {
            let command = self.command(ask);
            let next_expiry = next_expiries(&self.reference);
            let expected = self.reference.run(*client, &command);
            commands.push((*client, command.clone()));
            self.store.clone_from(&rows);
            let (catalogue, now) = (&self.reference.catalogue, self.reference.now);
            let outcome = self.store.run(catalogue, now, &commands).pop().unwrap();
            assert_eq!(verdict(&outcome), expected, "of {command:?}");
            if let Outcome::Refused(refusal) = &outcome {
                check_shortfalls(refusal, (commands.len() == 1).then_some(&next_expiry));
            }
            if let Outcome::Held(shown) | Outcome::Current { reservation: shown, .. } = &outcome {
                assert_eq!(seen(shown, now), of_cart(&self.reference.carts[&shown.id.uuid]), "answer to {command:?}");
            }
            audit(&self.store);
            self.compare();
            self.repeat(*client, &command, &expected);
        }
    }

    /// The same request once more, in a batch of its own: the same answer, and nothing changes. So does a refusal.
    fn repeat(&mut self, client: ClientId, command: &Command, first: &Verdict) {
        let again = match command {
            _ if matches!(first, Verdict::Refused(..)) => command.clone(),
            Command::Commit(commit) => Command::Commit(Commit { successor_id: self.id(), ..commit.clone() }),
            // Giving back what a partial commit kept leaves a committed reservation, which a release may not touch.
            Command::Release(release) if release.lines.is_some() || self.is_committed(release.id.uuid) => return,
            Command::Receive(receive) if receive.source_ref.is_none() => return,
            Command::Hold(_) | Command::Extend(_) => return,
            _ => command.clone(),
        };
        let mut store = self.store.clone();
        let outcome = store.run(&self.reference.catalogue, self.reference.now, &[(client, again)]).pop().unwrap();
        let same = match first {
            Verdict::Lot(id, _) => Verdict::Lot(*id, true),
            other => other.clone(),
        };
        assert_eq!(verdict(&outcome), same, "the answer to the same request: {command:?}");
        assert!(store == self.store, "the same request again changes nothing: {command:?}");
    }

    fn is_committed(&self, id: Uuid) -> bool {
        self.reference.carts.get(&id).is_some_and(|cart| cart.state() == State::Committed)
    }

    /// Every reservation and balance, as a reader sees them now.
    fn compare(&self) {
        let now = self.reference.now;
        let rows: BTreeMap<Uuid, Seen> = self.store.reservations.iter().map(|(id, r)| (*id, seen(r, now))).collect();
        let carts = self.reference.carts.iter().map(|(id, cart)| (*id, of_cart(cart))).collect();
        assert_eq!(rows, carts);
        for sku in [MUG, TEA, HAT] {
            let balance = self.store.stock.get(&sku).map(|(balance, _)| *balance).unwrap_or_default();
            let due = self.store.lines().filter(|(r, line)| line.sku == sku && r.has_lapsed(now));
            let held = balance.held - due.map(|(_, line)| line.held).sum::<i64>();
            let sums = [
                self.reference.on_hand(sku),
                self.reference.sum(sku, |claim| claim.held),
                self.reference.sum(sku, |claim| claim.committed),
            ];
            assert_eq!([balance.on_hand, held, balance.committed], sums, "{sku:?}");
        }
        assert!(!self.store.stock.contains_key(&GIFT), "what is untracked has no counters");
    }
}

/// When the next hold on each SKU expires.
fn next_expiries(reference: &Reference) -> BTreeMap<SkuId, DateTime<Utc>> {
    let mut next = BTreeMap::new();
    for cart in reference.carts.values() {
        for claim in cart.claims.iter().filter(|claim| claim.held > 0) {
            let soonest = next.entry(claim.sku).or_insert(cart.expires_at);
            *soonest = cart.expires_at.min(*soonest);
        }
    }
    next
}

/// What a shortfall tells beside the numbers that were compared. Holds of the same batch are not in `next`.
fn check_shortfalls(refusal: &Refusal, next: Option<&BTreeMap<SkuId, DateTime<Utc>>>) {
    for shortfall in short(refusal) {
        assert!(shortfall.reservable < shortfall.requested && !shortfall.lines.is_empty(), "{shortfall:?}");
        if let Some(next) = next {
            assert_eq!(shortfall.next_hold_expires_at, next.get(&shortfall.sku).copied(), "{shortfall:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_commands_come_to_what_the_plain_reference_says(hats_received in any::<bool>(), batches in batches()) {
        let reference = Reference { now: at(0), catalogue: catalogue(), ..Reference::default() };
        let mut run = Run { store: Store::default(), reference, ids: 0 };
        let receive = |sku, quantity| (SHOP, Ask::Receive { sku, quantity, source_ref: None });
        // What was never received has no balance row until it is ordered ahead.
        let asks = if hats_received { vec![receive(2, 2)] } else { Vec::new() };
        let asks = [vec![receive(0, 9), receive(1, 8)], asks].concat();
        run.batch(&Batch { wait: Wait::Not, policy: None, asks });
        for batch in &batches {
            run.batch(batch);
        }
    }
}
