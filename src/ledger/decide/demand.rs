//! `demand`: an order taken elsewhere claims what it wants, once. A fact: what stock cannot cover is an oversell, never a
//! refusal. The claim that the checkout made counts first; the rest is a reservation of the order's own. A later state
//! of the order changes the claim by the difference.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::claim::{self, Back};
use crate::ids::{ClientId, ReservationId, SkuId};
use crate::ledger::command::Demand;
use crate::ledger::demand::{DemandKey, DemandLine, DemandRecord};
use crate::ledger::outcome::{Demanded, Outcome};
use crate::ledger::world::World;
use crate::reservations::state::{Line, Origin, Reservation, State};

pub(super) fn decide(world: &mut World<'_>, client: ClientId, demand: &Demand) -> Outcome {
    let known = world.demand(&demand.key).cloned();
    if known.as_ref().is_some_and(|known| known.revision > demand.revision || known.absorbed_by.is_some()) {
        return Outcome::Demanded(Box::new(Demanded { stale: true, ..Demanded::default() }));
    }
    let mut record = DemandRecord {
        key: demand.key.clone(),
        order_ref: demand.order_ref.clone(),
        order_name: demand.order_name.clone(),
        revision: demand.revision,
        absorbed_by: None,
        lines: lines_of_order(demand, known.as_ref()),
        claims: known.as_ref().map(|known| known.claims.clone()).unwrap_or_default(),
        shipped: known.as_ref().map(|known| known.shipped.clone()).unwrap_or_default(),
    };
    for other in &demand.absorbs {
        absorb(world, other, &mut record);
    }
    let hint = find_hinted(world, demand);
    let foreign = hint.filter(|id| world.claimed_by(*id).is_some_and(|owner| !is_own(owner, demand)));
    let found = world.claims_called(&record).into_iter().chain(hint).chain(demand.held.map(|id| id.uuid));
    for id in found {
        if !record.claims.contains(&id) && world.claimed_by(id).is_none_or(|owner| is_own(owner, demand)) {
            record.claims.push(id);
        }
    }
    // What a voided shipment owes again has taken over from claims that were closed.
    let voided: Vec<Uuid> = record
        .claims
        .iter()
        .filter_map(|claim| world.newest_successor(*claim, Origin::Void))
        .map(|id| id.uuid)
        .filter(|id| !record.claims.contains(id))
        .collect();
    record.claims.extend(voided);
    let before = oversold(world, &record);
    let own = reconcile(world, client, demand, &record);
    record.claims.extend(own.map(|id| id.uuid));
    let opened = |(sku, units): (SkuId, i64)| (sku, units - before.get(&sku).copied().unwrap_or(0));
    let oversold = oversold(world, &record).into_iter().map(opened).filter(|(_, units)| *units > 0).collect();
    world.keep_demand(record);
    Outcome::Demanded(Box::new(Demanded { stale: false, made: own, foreign, oversold }))
}

/// What the lines want now; a line that was there before and is not any more wants nothing.
fn lines_of_order(demand: &Demand, known: Option<&DemandRecord>) -> Vec<DemandLine> {
    let mut lines = demand.lines.clone();
    for before in known.iter().flat_map(|known| &known.lines) {
        if !lines.iter().any(|line| line.line_ref == before.line_ref && line.sku == before.sku) {
            lines.push(DemandLine { quantity: 0, ..before.clone() });
        }
    }
    lines
}

fn is_own(owner: &DemandKey, demand: &Demand) -> bool {
    *owner == demand.key || demand.absorbs.contains(owner)
}

/// The same order in another system: its claims are this one's from here on, and it wants nothing itself.
fn absorb(world: &mut World<'_>, other: &DemandKey, record: &mut DemandRecord) {
    let Some(mut absorbed) = world.demand(other).cloned().filter(|absorbed| absorbed.absorbed_by.is_none()) else {
        return;
    };
    record.claims.append(&mut absorbed.claims);
    for (sku, units) in absorbed.shipped.drain() {
        *record.shipped.entry(sku).or_default() += units;
    }
    absorbed.absorbed_by = Some(record.key.order_id.clone());
    for line in &mut absorbed.lines {
        line.quantity = 0;
    }
    world.keep_demand(absorbed);
}

/// The reservation that the order names, or what took over from it: the newest of those that each were held for longer
/// when the one before had expired.
fn find_hinted(world: &World<'_>, demand: &Demand) -> Option<Uuid> {
    let mut named = world.reservation(demand.reservation?.uuid)?;
    while named.state_at(world.now) == State::Expired {
        let extension = world.successor(named.id.uuid, Origin::Extension);
        match extension.or_else(|| world.successor(named.id.uuid, Origin::LateCommit)) {
            Some(next) => named = next,
            None => break,
        }
    }
    Some(named.id.uuid)
}

/// Brings the claims to what the order is owed. The reservation that was made for what they lacked.
fn reconcile(world: &mut World<'_>, client: ClientId, demand: &Demand, record: &DemandRecord) -> Option<ReservationId> {
    let mut lacking: Vec<(SkuId, i64)> = Vec::new();
    for sku in skus(world, demand, record) {
        let open = record.claims.iter().map(|claim| open_of(world, *claim, sku)).sum::<i64>();
        let mut lacks = record.owed(sku) - open;
        if lacks < 0 {
            give_up(world, client, record, sku, -lacks, &demand.reason, |_| true);
        }
        for claim in &record.claims {
            if lacks > 0 {
                lacks -= take_held(world, client, &record.order_ref, *claim, sku, lacks);
            }
        }
        if lacks > 0 {
            lacking.push((sku, lacks));
        }
    }
    for claim in &record.claims {
        close_cart(world, client, demand, *claim);
    }
    if lacking.is_empty() { None } else { Some(claim_for(world, client, demand, &lacking)) }
}

/// SKUs to bring in line: what the lines want, and, where every line is known, what the claims own beside that.
fn skus(world: &World<'_>, demand: &Demand, record: &DemandRecord) -> BTreeSet<SkuId> {
    let tracked = |sku: &SkuId| world.catalogue.sku(*sku).is_some_and(|sku| sku.tracked);
    let mut skus: BTreeSet<SkuId> = record.lines.iter().map(|line| line.sku).filter(tracked).collect();
    if demand.complete {
        let claims = record.claims.iter().filter_map(|claim| world.reservation(*claim));
        skus.extend(claims.flat_map(|claim| &claim.lines).filter(|line| line.tracked).map(|line| line.sku));
    }
    skus
}

fn lines_of<'w>(world: &'w World<'_>, claim: Uuid, sku: SkuId) -> impl Iterator<Item = &'w Line> {
    let standing = world.reservation(claim).filter(|claim| !claim.state.is_terminal());
    standing.into_iter().flat_map(|claim| &claim.lines).filter(move |line| line.sku == sku)
}

fn open_of(world: &World<'_>, claim: Uuid, sku: SkuId) -> i64 {
    lines_of(world, claim, sku).map(Line::cancellable).sum()
}

/// Takes up to `most` units that a claim still holds. A lapsed hold has none.
fn take_held(world: &mut World<'_>, client: ClientId, order_ref: &str, claim: Uuid, sku: SkuId, most: i64) -> i64 {
    if world.reservation(claim).is_none_or(|claim| claim.has_lapsed(world.now)) {
        return 0;
    }
    let held: Vec<(i16, i64)> = lines_of(world, claim, sku).map(|line| (line.line, line.held)).collect();
    let mut left = most;
    for (line, units) in held {
        let taken = units.min(left);
        left -= taken;
        claim::commit_units(world, client, order_ref, claim, line, taken);
    }
    let now = world.now;
    if let Some(reservation) = world.edit(claim) {
        reservation.settle(State::Released, "released", now);
    }
    most - left
}

/// The cart has become the order: what the order did not take of it goes back. A remainder that was kept on purpose, by
/// a commit of the checkout's own, is left to it.
fn close_cart(world: &mut World<'_>, client: ClientId, demand: &Demand, claim: Uuid) {
    if ![demand.reservation, demand.held].into_iter().flatten().any(|hint| hint.uuid == claim) {
        return;
    }
    let Some(cart) = world.reservation(claim) else { return };
    let called = cart.order_ref.as_deref();
    if cart.held_units() > 0 && (called.is_none() || called == Some(demand.order_ref.as_str())) {
        claim::close_held(world, client, claim, Back::Released, &demand.reason);
    }
}

/// Gives up claimed units that have not shipped: those of the order's own reservations first, newest first, so that the
/// checkout's remains. The units given up.
pub(super) fn give_up(
    world: &mut World<'_>,
    client: ClientId,
    record: &DemandRecord,
    sku: SkuId,
    most: i64,
    reason: &str,
    of: impl Fn(&Reservation) -> bool,
) -> i64 {
    let mut claims: Vec<&Reservation> =
        record.claims.iter().filter_map(|claim| world.reservation(*claim)).filter(|claim| of(claim)).collect();
    claims.sort_unstable_by_key(|claim| (claim.origin == Origin::Order, claim.created_at, claim.id));
    let claims: Vec<Uuid> = claims.into_iter().rev().map(|claim| claim.id.uuid).collect();
    let mut left = most;
    for claim in claims {
        let open: Vec<(i16, i64)> = lines_of(world, claim, sku).map(|line| (line.line, line.cancellable())).collect();
        for (line, units) in open {
            let given = units.min(left);
            left -= given;
            claim::cancel(world, client, claim, line, given, reason);
        }
        let now = world.now;
        if let Some(reservation) = world.edit(claim) {
            reservation.settle(State::Released, reason, now);
        }
    }
    most - left
}

/// A reservation of the order's own, committed from the start. What lapsed holds still occupy makes room first.
fn claim_for(world: &mut World<'_>, client: ClientId, demand: &Demand, lacking: &[(SkuId, i64)]) -> ReservationId {
    let lines: Vec<Line> = (1..)
        .zip(lacking)
        .map(|(number, (sku, units))| Line {
            held: 0,
            committed: *units,
            ..Line::held(number, *sku, true, *units, *units)
        })
        .collect();
    let needs = claim::needs_of(world, lines.iter().map(|line| (line, line.committed)));
    for need in &needs {
        world.headroom(need.sku, &need.policy, need.quantity);
        world.cover(need.sku, &need.policy, need.quantity);
    }
    for line in &lines {
        claim::post_claim(world, client, demand.id, line, Some("order"));
    }
    let now = world.now;
    world.make(Reservation {
        id: demand.id,
        client,
        state: State::Committed,
        origin: Origin::Order,
        client_reference: None,
        owner: None,
        order_ref: Some(demand.order_ref.clone()),
        metadata: None,
        replaces: None,
        created_at: now,
        expires_at: now,
        max_expires_at: now,
        committed_at: Some(now),
        closed_at: None,
        closed_reason: None,
        lines,
        variants: Vec::new(),
    });
    demand.id
}

/// A checkout has committed units for an order that is known already: what the order had claimed for itself meanwhile is
/// given up, so that its units are claimed once.
pub(super) fn make_way(world: &mut World<'_>, client: ClientId, committed: Uuid, order_ref: &str) {
    let Some(mut record) = world.demand_called(order_ref).cloned() else { return };
    if world.claimed_by(committed).is_some_and(|owner| *owner != record.key) {
        return;
    }
    if !record.claims.contains(&committed) {
        record.claims.push(committed);
    }
    let brought: BTreeSet<SkuId> = world
        .reservation(committed)
        .map(|own| own.lines.iter().filter(|line| line.tracked).map(|line| line.sku).collect())
        .unwrap_or_default();
    for sku in brought {
        let open: i64 = record.claims.iter().map(|claim| open_of(world, *claim, sku)).sum();
        let surplus = open - record.owed(sku);
        if surplus > 0 {
            give_up(world, client, &record, sku, surplus, "claimed by its checkout", |claim| {
                claim.origin == Origin::Order
            });
        }
    }
    world.keep_demand(record);
}

/// What an order claimed for itself: the newest reservation that was made for it and owns units.
pub(super) fn own_claim(world: &World<'_>, order_ref: &str) -> Option<Reservation> {
    let record = world.demand_called(order_ref)?;
    let claims = record.claims.iter().filter_map(|claim| world.reservation(*claim));
    let own = claims
        .filter(|claim| claim.origin == Origin::Order && matches!(claim.state, State::Committed | State::Fulfilled));
    own.max_by_key(|claim| (claim.created_at, claim.id)).cloned()
}

/// By how much SKUs of the order are oversold now, by all claims on them.
fn oversold(world: &World<'_>, record: &DemandRecord) -> BTreeMap<SkuId, i64> {
    record.lines.iter().map(|line| (line.sku, world.balance(line.sku).oversold())).collect()
}
