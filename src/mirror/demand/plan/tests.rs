//! Whatever happens to an order, to what its lines mean and to where its locations are: what is planned can be carried
//! out, once, and claims what is owed.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::mirror::demand::load::{Known, RecordedParcel};

const HOME: PoolId = PoolId(1);

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    Edit { line: usize, unfulfilled: i64 },
    Send { line: usize, units: i64, pool: Option<PoolId>, late: bool },
    Unsend { parcel: usize },
    Restock { line: usize, units: i64, shelf: Option<PoolId> },
    Map { line: usize, components: Vec<(i64, i32)> },
    Forget { line: usize },
    MoveLocations { pool: Option<PoolId> },
    Stand { standing: Standing },
    Apply,
}

fn pools() -> impl Strategy<Value = Option<PoolId>> {
    prop_oneof![Just(None), Just(Some(HOME)), Just(Some(PoolId(2))), Just(Some(PoolId(3)))]
}

fn steps() -> impl Strategy<Value = Step> {
    let line = 0_usize..2;
    prop_oneof![
        2 => (line.clone(), 0_i64..5).prop_map(|(line, unfulfilled)| Step::Edit { line, unfulfilled }),
        4 => (line.clone(), 1_i64..4, pools(), prop::bool::weighted(0.9))
            .prop_map(|(line, units, pool, late)| Step::Send { line, units, pool, late }),
        1 => (0_usize..8).prop_map(|parcel| Step::Unsend { parcel }),
        3 => (line.clone(), 1_i64..4, pools()).prop_map(|(line, units, shelf)| Step::Restock { line, units, shelf }),
        3 => (line.clone(), vec((0_i64..3, 1_i32..4), 0..3))
            .prop_map(|(line, components)| Step::Map { line, components }),
        1 => line.prop_map(|line| Step::Forget { line }),
        1 => pools().prop_map(|pool| Step::MoveLocations { pool }),
        1 => prop_oneof![Just(Standing::Open), Just(Standing::Cancelled), Just(Standing::Waiting)]
            .prop_map(|standing| Step::Stand { standing }),
        5 => Just(Step::Apply),
    ]
}

/// A line of a recorded shipment.
#[derive(Debug, Clone)]
struct Left {
    moved: Move,
    standing: bool,
    returned: i64,
}

/// Its id, and its lines.
type Shipment = (Uuid, Vec<Left>);

/// What a ledger keeps, as simply as can be.
#[derive(Debug, Default)]
struct Ledger {
    shipments: BTreeMap<(PoolId, String), Shipment>,
    returns: BTreeMap<(PoolId, String), Vec<Move>>,
}

impl Ledger {
    /// Tells a copy what is recorded of it.
    fn tell(&self, mut order: Order) -> Order {
        for parcel in &mut order.parcels {
            for ((pool, name), (uuid, lines)) in &self.shipments {
                if *name == parcel.parcel_ref {
                    let recorded = RecordedParcel {
                        shipment: *uuid,
                        lines: lines.iter().map(|left| (left.moved.clone(), left.standing)).collect(),
                        returned: lines.iter().any(|left| left.standing && left.returned > 0),
                    };
                    recorded.tell(*pool, parcel);
                }
            }
        }
        for pool in [1, 2, 3].map(PoolId) {
            let own = self.returns.iter().filter(|((of, _), _)| *of == pool);
            let known = Known {
                back: own.map(|((_, name), moves)| (name.clone(), moves.clone())).collect(),
                ..Known::default()
            };
            for refund in &mut order.restocks {
                for line in &mut refund.lines {
                    known.tell(pool, &refund.refund_ref, line);
                }
            }
        }
        order
    }

    fn carry_out(&mut self, plan: &Plan) {
        for (id, _) in &plan.unsent {
            let own = self.shipments.values_mut().find(|(uuid, ..)| *uuid == id.uuid).unwrap();
            if own.1.iter().all(|left| !left.standing || left.returned == 0) {
                own.1.iter_mut().for_each(|left| left.standing = false);
            }
        }
        for (pool, name, _, moves) in &plan.sent {
            let fresh = Uuid::from_u128(self.shipments.len() as u128 + 1);
            let own = self.shipments.entry((*pool, name.clone())).or_insert((fresh, Vec::new()));
            for moved in moves {
                assert!(own.1.iter().all(|left| left.moved.move_ref != moved.move_ref), "{moved:?} left twice");
                own.1.push(Left { moved: moved.clone(), standing: true, returned: 0 });
            }
        }
        for back in &plan.back {
            for MoveBack { moved, left_by } in &back.lines {
                assert_eq!(left_by.is_some(), back.shipped, "{moved:?}");
                if let Some(left_by) = left_by {
                    self.take_back(back.pool, moved, left_by);
                }
                let own = self.returns.entry((back.pool, back.source_ref.clone())).or_default();
                assert!(own.iter().all(|known| known.move_ref != moved.move_ref), "{moved:?} came back twice");
                own.push(moved.clone());
            }
        }
    }

    /// Of the line that it left by, and never more than had left by it.
    fn take_back(&mut self, pool: PoolId, moved: &Move, left_by: &LeftBy) {
        let shipment = self.shipments.get_mut(&(pool, left_by.parcel_ref.clone()));
        let mut lines = shipment.into_iter().flat_map(|(_, lines)| lines);
        let own = lines.find(|line| line.moved.move_ref == left_by.move_ref);
        let own = own.unwrap_or_else(|| panic!("{moved:?} comes back to {pool:?}, where nothing left by {left_by:?}"));
        assert_eq!(own.moved.sku, moved.sku);
        own.returned += moved.quantity;
        assert!(own.returned <= own.moved.quantity, "{moved:?} is more than left by {left_by:?}");
    }

    /// Units of a SKU that have left the home pool and stand.
    fn left_home(&self, sku: SkuId) -> i64 {
        let own = self.shipments.iter().filter(|((pool, _), _)| *pool == HOME).flat_map(|(_, (_, lines))| lines);
        own.filter(|left| left.standing && left.moved.sku == sku).map(|left| left.moved.quantity).sum()
    }
}

fn began_at() -> DateTime<Utc> {
    "2026-11-20T00:00:00Z".parse().unwrap()
}

/// Two lines, as yet each a SKU of its own.
fn made() -> Order {
    let line = |n: i64| Line {
        line_ref: n.to_string(),
        variant_id: Some(n),
        sku: None,
        title: String::new(),
        unfulfilled: 3,
        current: 3,
        requires_shipping: true,
    };
    let meaning = |n: i64| Meaning { version: 1, components: vec![(sku(n, 0), 1)] };
    Order {
        standing: Standing::Open,
        home: HOME,
        began_at: began_at(),
        lines: vec![line(0), line(1)],
        parcels: Vec::new(),
        restocks: Vec::new(),
        meanings: HashMap::from([("0".to_owned(), meaning(0)), ("1".to_owned(), meaning(1))]),
    }
}

/// One SKU is both lines'.
fn sku(line: i64, n: i64) -> SkuId {
    SkuId(if n == 2 { 99 } else { line * 10 + n })
}

fn happen(order: &mut Order, step: &Step, at: DateTime<Utc>, n: usize) {
    match step {
        Step::Edit { line, unfulfilled } => order.lines[*line].unfulfilled = *unfulfilled,
        Step::Send { line, units, pool, late } => order.parcels.push(Parcel {
            parcel_ref: format!("p{n}"),
            sent: true,
            sent_at: if *late { at } else { at - TimeDelta::days(90) },
            pool: *pool,
            shipment: None,
            stays: false,
            lines: vec![ParcelLine {
                name: format!("l{n}"),
                line_ref: line.to_string(),
                quantity: *units,
                recorded: Vec::new(),
            }],
        }),
        Step::Unsend { parcel } => {
            order.parcels.get_mut(*parcel).into_iter().for_each(|parcel| parcel.sent = false);
        }
        Step::Restock { line, units, shelf } => order.restocks.push(Restock {
            refund_ref: format!("r{n}"),
            made_at: Some(at),
            lines: vec![RestockedLine {
                restock_ref: "0".to_owned(),
                line_ref: line.to_string(),
                quantity: *units,
                pool: *shelf,
                recorded: Vec::new(),
            }],
        }),
        Step::Map { line, components } => {
            let own: BTreeMap<SkuId, i32> =
                components.iter().map(|(n, each)| (sku(i64::try_from(*line).unwrap(), *n), *each)).collect();
            let version = i32::try_from(n).unwrap() + 2;
            order.meanings.insert(line.to_string(), Meaning { version, components: own.into_iter().collect() });
        }
        Step::Forget { line } => drop(order.meanings.remove(&line.to_string())),
        Step::MoveLocations { pool } => {
            order.parcels.iter_mut().for_each(|parcel| parcel.pool = *pool);
            order.restocks.iter_mut().flat_map(|refund| &mut refund.lines).for_each(|line| line.pool = *pool);
        }
        Step::Stand { standing } => order.standing = *standing,
        Step::Apply => {}
    }
}

/// What is owed of each SKU: what its lines mean for what is still to be sent.
fn to_send(order: &Order) -> BTreeMap<SkuId, i64> {
    let mut owed: BTreeMap<SkuId, i64> = BTreeMap::new();
    for line in order.lines.iter().filter(|_| order.standing == Standing::Open) {
        for (sku, each) in order.meanings.get(&line.line_ref).iter().flat_map(|meaning| &meaning.components) {
            *owed.entry(*sku).or_default() += line.unfulfilled * i64::from(*each);
        }
    }
    owed
}

/// A refund told before its parcels, of a line that becomes two of its SKU between them.
#[test]
fn what_came_back_comes_back_once_though_a_line_was_less_by_then() {
    let (mut order, mut ledger) = (made(), Ledger::default());
    let send = Step::Send { line: 0, units: 1, pool: None, late: true };
    let two = Step::Map { line: 0, components: vec![(0, 2)] };
    let steps = [Step::Restock { line: 0, units: 2, shelf: None }, send.clone(), Step::Apply, send, two, Step::Apply];
    for (n, step) in steps.iter().enumerate() {
        happen(&mut order, step, began_at() + TimeDelta::minutes(i64::try_from(n).unwrap() + 1), n);
        if matches!(step, Step::Apply) {
            ledger.carry_out(&ledger.tell(order.clone()).plan());
        }
    }
    assert_eq!(ledger.tell(order).plan().back, vec![]);
    let back: i64 = ledger.returns.values().flatten().map(|moved| moved.quantity).sum();
    assert_eq!(back, 3, "one that was one, one that was two");
}

/// Two refunds, the first of which could be read as of twice as many units as it was.
#[test]
fn what_came_back_is_not_taken_for_more_than_its_refund_was_of() {
    let (mut order, mut ledger) = (made(), Ledger::default());
    let send = |pool| Step::Send { line: 1, units: 2, pool, late: true };
    let steps = [
        send(Some(PoolId(2))),
        send(None),
        Step::Apply,
        send(None),
        Step::Map { line: 1, components: vec![(0, 2)] },
        Step::Restock { line: 1, units: 1, shelf: None },
        Step::Restock { line: 1, units: 3, shelf: Some(PoolId(3)) },
        Step::Apply,
    ];
    for (n, step) in steps.iter().enumerate() {
        happen(&mut order, step, began_at() + TimeDelta::minutes(i64::try_from(n).unwrap() + 1), n);
        if matches!(step, Step::Apply) {
            ledger.carry_out(&ledger.tell(order.clone()).plan());
        }
    }
    assert_eq!(ledger.tell(order).plan().back, vec![]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_can_be_carried_out_once_and_claims_what_is_owed_beside_what_left(
        happens in vec(steps(), 1..30),
    ) {
        let (mut order, mut ledger) = (made(), Ledger::default());
        for (n, step) in happens.iter().chain([&Step::Apply]).enumerate() {
            let at = began_at() + TimeDelta::minutes(i64::try_from(n).unwrap() + 1);
            happen(&mut order, step, at, n);
            if !matches!(step, Step::Apply) {
                continue;
            }
            let plan = ledger.tell(order.clone()).plan();
            ledger.carry_out(&plan);
            let again = ledger.tell(order.clone()).plan();
            prop_assert!(again.sent.is_empty() && again.back.is_empty(), "{again:?}");
            prop_assert_eq!(&again.claims, &plan.claims);
            let owed = to_send(&order);
            for claim in &plan.claims {
                prop_assert!(claim.quantity >= 0 && claim.unit_quantity > 0, "{:?}", claim);
                let wanted: i64 = plan.claims.iter().filter(|own| own.sku == claim.sku).map(|own| own.quantity).sum();
                // What has left is what it left as, whatever its line is by now; the rest is what the line is now.
                let owns = owed.get(&claim.sku).copied().unwrap_or(0);
                prop_assert_eq!(wanted, owns + ledger.left_home(claim.sku), "{:?}", claim);
            }
            for (sku, units) in owed {
                prop_assert!(units == 0 || plan.claims.iter().any(|own| own.sku == sku), "{:?} is owed", sku);
            }
        }
    }

    /// Over all refunds of a line as much comes back as was sent, however its pools and parcels are told.
    #[test]
    fn as_much_comes_back_as_was_sent_and_refunded(happens in vec(steps(), 1..30)) {
        let (mut order, mut ledger) = (made(), Ledger::default());
        for (n, step) in happens.iter().chain([&Step::Apply]).enumerate() {
            let at = began_at() + TimeDelta::minutes(i64::try_from(n).unwrap() + 1);
            if !matches!(step, Step::Unsend { .. } | Step::Map { .. } | Step::Forget { .. }) {
                happen(&mut order, step, at, n);
            }
            if matches!(step, Step::Apply) {
                ledger.carry_out(&ledger.tell(order.clone()).plan());
            }
        }
        for (line, name) in [(0, "0"), (1, "1")] {
            let parcels = order.parcels.iter().flat_map(|parcel| &parcel.lines).filter(|own| own.line_ref == name);
            let sent: i64 = parcels.map(|own| own.quantity).sum();
            let refunds = order.restocks.iter().flat_map(|refund| &refund.lines).filter(|own| own.line_ref == name);
            let refunded: i64 = refunds.map(|own| own.quantity).sum();
            let back = ledger.returns.values().flatten().filter(|own| own.sku == sku(line, 0));
            prop_assert_eq!(back.map(|own| own.quantity).sum::<i64>(), sent.min(refunded));
        }
    }
}
