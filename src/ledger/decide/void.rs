//! `void_shipment`: units that were said to have left are on the shelf. They go back into the lots they had been taken
//! from, and the claims they fulfilled are owed again.

use std::collections::BTreeSet;

use rust_decimal::Decimal;
use uuid::Uuid;

use super::claim;
use crate::ids::{ClientId, ReservationId, SkuId};
use crate::ledger::balance::Delta;
use crate::ledger::command::VoidShipment;
use crate::ledger::entry::{EntryKind, LineRef};
use crate::ledger::goods::{
    LineChange, LotMove, LotMoveKind, LotStatus, NewDepletion, ShipmentLineRecord, ShipmentLineRef,
};
use crate::ledger::outcome::{Outcome, Refusal, Shipped};
use crate::ledger::world::{Posting, World};
use crate::reservations::state::{Line, Origin, Reservation, State};

/// Why units of a lot that is off sale are off sale again.
const BACK: &str = "back from a voided shipment";

pub(super) fn decide(world: &mut World<'_>, client: ClientId, void: &VoidShipment) -> Outcome {
    let Some(shipment) = world.shipment(void.id.uuid).cloned() else {
        return Outcome::Refused(Refusal::ShipmentNotFound(void.id));
    };
    let named = |line: &ShipmentLineRecord| void.lines.as_ref().is_none_or(|names| names.contains(&line.line_ref));
    let unknown: Vec<String> = void
        .lines
        .iter()
        .flatten()
        .filter(|name| !shipment.lines.iter().any(|line| line.line_ref == **name))
        .cloned()
        .collect();
    if !unknown.is_empty() {
        return Outcome::Refused(Refusal::UnknownShipmentLines(unknown));
    }
    let lines: Vec<&ShipmentLineRecord> =
        shipment.lines.iter().filter(|line| named(line) && line.voided_at.is_none()).collect();
    let returned: Vec<String> =
        lines.iter().filter(|line| line.returned > 0).map(|line| line.line_ref.clone()).collect();
    if !returned.is_empty() {
        return Outcome::Refused(Refusal::ShipmentReturned(void.id, returned));
    }
    let mut successors = void.successor_ids.iter().copied();
    for line in &lines {
        void_line(world, client, void, line, &mut successors);
    }
    // Only once every line is back: what is on the shelf again may have left with another shipment, never with this one.
    let skus: BTreeSet<SkuId> = lines.iter().filter(|line| line.tracked).map(|line| line.sku).collect();
    for sku in skus {
        // What belongs to a lot that is off sale is off sale, and settles nothing.
        world.keep_off_sale(client, sku, BACK);
        world.settle(client, sku);
    }
    let recorded = !lines.is_empty();
    match world.shipment(void.id.uuid).cloned() {
        Some(shipment) => {
            Outcome::Shipped(Box::new(Shipped { shipment, recorded, differing: Vec::new(), uncovered: Vec::new() }))
        }
        None => Outcome::Refused(Refusal::ShipmentNotFound(void.id)),
    }
}

fn void_line(
    world: &mut World<'_>,
    client: ClientId,
    void: &VoidShipment,
    line: &ShipmentLineRecord,
    successors: &mut impl Iterator<Item = ReservationId>,
) {
    let own = ShipmentLineRef { shipment: void.id.uuid, line_ref: line.line_ref.clone() };
    // What of the claims stands is owed again on the same lines; what was closed is claimed anew.
    let (standing, closed): (Vec<_>, Vec<_>) = line.fulfilments.iter().copied().partition(|(claim, _)| {
        world.reservation(claim.reservation).is_some_and(|reservation| !reservation.state.is_terminal())
    });
    let mut covered = line.covered;
    for (claim, units) in standing {
        if let Some(reservation) = world.edit(claim.reservation) {
            for own in reservation.lines.iter_mut().filter(|own| own.line == claim.line) {
                own.fulfilled -= units;
            }
        }
        let back = covered.min(units);
        covered -= back;
        post(world, client, void, line, back, Some((claim, units)));
    }
    post(world, client, void, line, covered, None);
    for (claim, units) in closed {
        claim_again(world, client, claim, units, successors);
    }
    put_back(world, client, void, line, &own);
    let shipment = world.shipment(void.id.uuid);
    let names = (shipment.and_then(|s| s.order_ref.clone()), shipment.and_then(|s| s.reservation).map(|id| id.uuid));
    world.note_shipped(names.0.as_deref(), names.1, line.sku, -line.quantity);
    world.void_open(line.sku, &own);
    world.change_line(&own, LineChange { voided: true, ..LineChange::default() });
    world.drop_pending(line);
}

fn post(
    world: &mut World<'_>,
    client: ClientId,
    void: &VoidShipment,
    line: &ShipmentLineRecord,
    covered: i64,
    claim: Option<(LineRef, i64)>,
) {
    let committed = claim.map_or(0, |(_, units)| units);
    if line.tracked && covered + committed > 0 {
        world.post_for(
            client,
            line.sku,
            EntryKind::Void,
            Posting {
                delta: Delta { on_hand: covered, committed, ..Delta::default() },
                line: claim.map(|(line, _)| line),
                shipment: Some(void.id.uuid),
                reason: Some(void.reason.clone()),
                ..Posting::default()
            },
        );
    }
}

/// A reservation that had been fulfilled is closed for good; the order's claim on the units is a new one.
fn claim_again(
    world: &mut World<'_>,
    client: ClientId,
    of: LineRef,
    units: i64,
    successors: &mut impl Iterator<Item = ReservationId>,
) {
    let Some(closed) = world.reservation(of.reservation).cloned() else { return };
    let Some(line) = closed.lines.iter().find(|line| line.line == of.line).cloned() else { return };
    let Some(id) = successors.next() else { return };
    let replaces = world.newest_successor(closed.id.uuid, Origin::Void).unwrap_or(closed.id);
    let now = world.now;
    let mut again = Line::held(1, line.sku, line.tracked, units, units);
    (again.held, again.committed) = (0, units);
    world.make(Reservation {
        id,
        state: State::Committed,
        origin: Origin::Void,
        client_reference: None,
        replaces: Some(replaces),
        created_at: now,
        expires_at: now,
        max_expires_at: now,
        committed_at: Some(now),
        closed_at: None,
        closed_reason: None,
        lines: vec![again.clone()],
        variants: Vec::new(),
        ..closed
    });
    claim::post_claim(world, client, id, &again, Some("shipment voided"));
}

/// Units that a closed day had taken from lots go back into the same ones, at the cost they left at.
fn put_back(
    world: &mut World<'_>,
    client: ClientId,
    void: &VoidShipment,
    line: &ShipmentLineRecord,
    own: &ShipmentLineRef,
) {
    let today = world.booked_today();
    let newest = line.depletions.iter().map(|depletion| depletion.n).max().unwrap_or(0);
    for (n, (lot, units, unit_cost)) in (newest + 1..).zip(line.net_depletions()) {
        world.move_lot(LotMove {
            lot,
            kind: LotMoveKind::Void,
            source_ref: Some(own.to_string()),
            quantity: units,
            quarantined: 0,
            status: None,
            revalued: None,
            value: Some(unit_cost * Decimal::from(units)),
            reason: Some(void.reason.clone()),
            shipment: Some(own.shipment),
            business_date: today,
            client,
        });
        revalue_what_was_away(world, client, lot, units, unit_cost);
        world.goods_changes().depletions.push(NewDepletion {
            line: own.clone(),
            n,
            kind: "reversal",
            sku: line.sku,
            lot,
            quantity: -units,
            unit_cost,
            cost_date: today,
        });
        if world.lot(lot).is_some_and(|lot| lot.status != LotStatus::Available) {
            world.hold_back(client, line.sku, lot, units, BACK);
        } else {
            let expires = world.lot(lot).and_then(|lot| lot.received.expires_date);
            world.expects_expiry(line.sku, expires);
        }
    }
}

/// A lot that was given another cost while units of it were away: they are worth that now, like the rest of it.
fn revalue_what_was_away(world: &mut World<'_>, client: ClientId, lot: Uuid, units: i64, left_at: Decimal) {
    let Some(cost) = world.lot(lot).map(|lot| lot.received.unit_cost).filter(|cost| *cost != left_at) else { return };
    world.move_lot(LotMove {
        lot,
        kind: LotMoveKind::Correction,
        source_ref: None,
        quantity: 0,
        quarantined: 0,
        status: None,
        revalued: None,
        value: Some((cost - left_at) * Decimal::from(units)),
        reason: Some("revalued while it was away".to_owned()),
        shipment: None,
        business_date: world.booked_today(),
        client,
    });
}
