//! Whatever checkouts, parcels and states of orders come in whatever order: once an order is applied, its claims own what
//! it wants and has not been sent, no more and no less, and no reservation is the claim of two orders.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::TimeDelta;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use uuid::Uuid;

use super::store::Store;
use super::{CODES, POOL, SHOP, WEBHOOK, at, catalogue, lot, reservation_id};
use crate::catalog::Catalogue;
use crate::ids::{ClientId, ReservationId, ShipmentId, SkuId};
use crate::ledger::command::{
    Command, Commit, Demand, Extend, Hold, HoldLine, ORDER_CANCELED, OnShortage, Release, Remainder, Ship, ShipLine,
};
use crate::ledger::demand::{DemandKey, DemandLine, DemandRecord};
use crate::ledger::outcome::{Demanded, Outcome};

#[derive(Debug, Clone)]
enum Step {
    Hold {
        sku: usize,
        units: i64,
    },
    /// Under the order's number, or under the name that people use.
    Commit {
        of: usize,
        order: usize,
        named: bool,
    },
    Extend {
        of: usize,
    },
    Cancel {
        of: usize,
    },
    Apply {
        order: usize,
        wants: Vec<(usize, i64)>,
        names: Option<usize>,
        held: Option<usize>,
        complete: bool,
        old: bool,
    },
    Ship {
        order: usize,
        sku: usize,
        units: i64,
    },
    Wait {
        seconds: i64,
    },
}

fn steps() -> impl Strategy<Value = Step> {
    let (sku, order, of) = (0_usize..3, 0_usize..3, 0_usize..6);
    prop_oneof![
        4 => (sku.clone(), 1_i64..5).prop_map(|(sku, units)| Step::Hold { sku, units }),
        3 => (of.clone(), order.clone(), any::<bool>()).prop_map(|(of, order, named)| Step::Commit { of, order, named }),
        1 => of.clone().prop_map(|of| Step::Extend { of }),
        1 => of.clone().prop_map(|of| Step::Cancel { of }),
        6 => (
            order.clone(),
            vec((sku.clone(), 0_i64..6), 0..4),
            option::of(of.clone()),
            option::weighted(0.3, of),
            prop::bool::weighted(0.8),
            prop::bool::weighted(0.1),
        )
            .prop_map(|(order, wants, names, held, complete, old)| {
                Step::Apply { order, wants, names, held, complete, old }
            }),
        3 => (order, sku, 1_i64..4).prop_map(|(order, sku, units)| Step::Ship { order, sku, units }),
        1 => (1_i64..100).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

struct Play {
    store: Store,
    catalogue: Catalogue,
    now: chrono::DateTime<chrono::Utc>,
    made: Vec<ReservationId>,
    number: u128,
    revision: i64,
}

/// The third order is the first one, in another system; from the middle of the play on that is known.
fn key(order: usize) -> DemandKey {
    let source = if order == 2 { "recharge" } else { "shopify" };
    DemandKey { source: source.to_owned(), order_id: order.to_string() }
}

impl Play {
    fn new() -> Self {
        let (mut store, catalogue) = (Store::default(), catalogue());
        for (n, code) in (1..).zip(&CODES[..3]) {
            let receive = Command::Receive(Box::new(lot(n, code, 12)));
            store.run(&catalogue, at(0), &[(SHOP, receive)]);
        }
        Self { store, catalogue, now: at(1), made: Vec::new(), number: 100, revision: 10 }
    }

    fn id(&mut self) -> ReservationId {
        self.number += 1;
        reservation_id(self.number)
    }

    fn run(&mut self, client: ClientId, command: Command) -> Outcome {
        self.now += TimeDelta::milliseconds(1);
        self.store.run(&self.catalogue, self.now, &[(client, command)]).pop().unwrap()
    }

    fn nth(&self, of: usize) -> Option<ReservationId> {
        self.made.iter().rev().nth(of).copied()
    }

    fn step(&mut self, step: &Step, linked: bool) -> Option<(DemandRecord, bool)> {
        match step {
            Step::Hold { sku, units } => {
                let id = self.id();
                let hold = Hold {
                    id,
                    lines: vec![HoldLine { line: 1, sku: Arc::from(CODES[*sku]), quantity: *units }],
                    variants: Vec::new(),
                    ttl_seconds: None,
                    client_reference: None,
                    owner: None,
                    metadata: None,
                    allow_partial: true,
                    supersedes: None,
                };
                if matches!(self.run(SHOP, Command::Hold(hold)), Outcome::Held(_)) {
                    self.made.push(id);
                }
            }
            Step::Commit { of, order, named } => {
                let id = self.nth(*of)?;
                let order_ref = if *named { format!("#{order}") } else { order.to_string() };
                let successor_id = self.id();
                let (lines, remainder, on_shortage) = (None, Remainder::Release, OnShortage::Backorder);
                self.run(SHOP, Command::Commit(Commit { id, order_ref, lines, remainder, on_shortage, successor_id }));
            }
            Step::Extend { of } => {
                let id = self.nth(*of)?;
                let successor_id = self.id();
                self.run(SHOP, Command::Extend(Extend { id, ttl_seconds: None, successor_id }));
                if self.store.reservations.contains_key(&successor_id.uuid) {
                    self.made.push(successor_id);
                }
            }
            Step::Cancel { of } => {
                let id = self.nth(*of)?;
                let reason = Some(ORDER_CANCELED.to_owned());
                self.run(SHOP, Command::Release(Release { id, lines: None, reason }));
            }
            Step::Ship { order, sku, units } => self.ship(*order, *sku, *units),
            Step::Wait { seconds } => self.now += TimeDelta::seconds(*seconds),
            Step::Apply { order, wants, names, held, complete, old } => {
                return self.apply(*order, wants, (*names, *held), (*complete, *old), linked);
            }
        }
        None
    }

    fn ship(&mut self, order: usize, sku: usize, units: i64) {
        // What has left for an order that nobody has told of is what the database would say; this store does not.
        let known = self.store.demands.get(&key(order)).is_some_and(|record| record.absorbed_by.is_none());
        if !known {
            return;
        }
        self.number += 1;
        let line = ShipLine {
            line_ref: "1".to_owned(),
            sku: Arc::from(CODES[sku]),
            quantity: units,
            shipped_at: None,
            lot_code: None,
        };
        let ship = Ship {
            id: ShipmentId { pool: POOL, uuid: Uuid::from_u128(self.number) },
            source: "shopify".to_owned(),
            source_ref: self.number.to_string(),
            order_ref: Some(order.to_string()),
            reservation: None,
            lines: vec![line],
        };
        self.run(WEBHOOK, Command::Ship(Box::new(ship)));
        let record = self.store.demands.get_mut(&key(order)).unwrap();
        *record.shipped.entry(SkuId(i64::try_from(sku).unwrap() + 1)).or_default() += units;
    }

    /// The order as it is afterwards, and whether it was news.
    fn apply(
        &mut self,
        order: usize,
        wants: &[(usize, i64)],
        (names, held): (Option<usize>, Option<usize>),
        (complete, old): (bool, bool),
        linked: bool,
    ) -> Option<(DemandRecord, bool)> {
        self.revision += 1;
        let mut lines: BTreeMap<usize, i64> = BTreeMap::new();
        for (sku, units) in wants {
            *lines.entry(*sku).or_default() += units;
        }
        let line = |(sku, quantity): (usize, i64)| DemandLine {
            line_ref: sku.to_string(),
            sku: SkuId(i64::try_from(sku).unwrap() + 1),
            unit_quantity: 1,
            mapping_version: 0,
            quantity,
        };
        let demand = Demand {
            key: key(order),
            revision: if old { 1 } else { self.revision },
            order_ref: order.to_string(),
            order_name: (order < 2).then(|| format!("#{order}")),
            reservation: names.and_then(|of| self.nth(of)),
            held: held.and_then(|of| self.nth(of)),
            absorbs: if linked && order == 0 { vec![key(2)] } else { Vec::new() },
            lines: lines.into_iter().map(line).collect(),
            complete,
            reason: "order_edited".to_owned(),
            id: self.id(),
        };
        let known = self.store.demands.get(&key(order)).map_or(-1, |record| record.revision);
        let absorbed = self.store.demands.get(&key(order)).is_some_and(|record| record.absorbed_by.is_some());
        let news = demand.revision >= known && !absorbed;
        let outcome = self.run(WEBHOOK, Command::Demand(Box::new(demand)));
        let Outcome::Demanded(demanded) = outcome else { panic!("{outcome:?}") };
        let Demanded { stale, .. } = *demanded;
        assert_eq!(stale, !news);
        Some((self.store.demands.get(&key(order)).cloned()?, news))
    }

    /// Units that an order's claims own and that have not been sent.
    fn owned(&self, record: &DemandRecord, sku: SkuId) -> i64 {
        let claims = record.claims.iter().filter_map(|claim| self.store.reservations.get(claim));
        let lines = claims.filter(|claim| !claim.state.is_terminal()).flat_map(|claim| &claim.lines);
        lines.filter(|line| line.sku == sku).map(crate::reservations::state::Line::cancellable).sum()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, ..ProptestConfig::default() })]

    #[test]
    fn an_order_that_is_applied_owns_what_it_wants_and_was_not_sent(steps in vec(steps(), 1..40)) {
        let mut play = Play::new();
        for (n, step) in steps.iter().enumerate() {
            let applied = play.step(step, n * 2 >= steps.len());
            if let Some((record, true)) = applied {
                for sku in record.lines.iter().map(|line| line.sku).collect::<BTreeSet<SkuId>>() {
                    let owned = play.owned(&record, sku);
                    prop_assert_eq!(owned, record.owed(sku), "{:?} after {:?}", sku, step);
                }
            }
            let mut claimed: BTreeMap<Uuid, &DemandKey> = BTreeMap::new();
            for record in play.store.demands.values() {
                for claim in &record.claims {
                    prop_assert!(claimed.insert(*claim, &record.key).is_none(), "{} is the claim of two", claim);
                }
            }
            for (sku, (balance, _)) in &play.store.stock {
                let lines = || play.store.lines().filter(|(_, line)| line.sku == *sku).map(|(_, line)| line);
                let (held, committed) = (lines().map(|line| line.held).sum::<i64>(), lines().map(|line| line.committed - line.fulfilled).sum::<i64>());
                prop_assert_eq!((balance.held, balance.committed), (held, committed), "{:?} after {:?}", sku, step);
            }
        }
    }
}
