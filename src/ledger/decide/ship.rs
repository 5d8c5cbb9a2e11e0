//! `ship`: units physically left. A fact: what on hand cannot cover is an open discrepancy, never a refusal, what no
//! reservation owned is shipped all the same, and a lot that cannot give what it is named for is only a name.

use uuid::Uuid;

use super::{claim, demand, receive};
use crate::ids::{ClientId, SkuId};
use crate::ledger::balance::Delta;
use crate::ledger::command::{Ship, ShipLine};
use crate::ledger::entry::{EntryKind, LineRef};
use crate::ledger::goods::{
    LotMove, LotMoveKind, LotStatus, OpenDiscrepancy, PendingUnits, ShipmentLineRecord, ShipmentLineRef, ShipmentRecord,
};
use crate::ledger::outcome::{Outcome, Refusal, Rule, Shipped, Violation};
use crate::ledger::world::{Posting, World};
use crate::reservations::state::{Line, State};

/// Clocks of warehouses run ahead a little.
const AHEAD: chrono::TimeDelta = chrono::TimeDelta::minutes(5);

pub(super) fn decide(world: &mut World<'_>, client: ClientId, ship: &Ship) -> Outcome {
    let known = world.shipment_by_source_ref(&ship.source, &ship.source_ref).cloned();
    let violations = violations(world, ship, known.as_ref());
    if !violations.is_empty() {
        return Outcome::Refused(Refusal::Unprocessable(violations));
    }
    let (recorded_before, new): (Vec<&ShipLine>, Vec<&ShipLine>) =
        ship.lines.iter().partition(|line| known.as_ref().is_some_and(|known| line_of(known, line).is_some()));
    let differing = recorded_before
        .iter()
        .filter(|line| {
            let own = known.as_ref().and_then(|known| Some((known, line_of(known, line)?)));
            own.is_some_and(|(known, own)| differs(world, known, own, ship, line))
        })
        .map(|line| line.line_ref.clone())
        .collect();
    let id = known.as_ref().map_or(ship.id.uuid, |known| known.id.uuid);
    if known.is_none() {
        let shipment = ShipmentRecord {
            id: ship.id,
            source: ship.source.clone(),
            source_ref: ship.source_ref.clone(),
            order_ref: ship.order_ref.clone(),
            reservation: ship.reservation,
            client,
            recorded_at: world.now,
            lines: Vec::new(),
        };
        world.goods_changes().shipments.push(shipment.clone());
        world.put_shipment(shipment);
    }
    commit_held(world, client, ship, &new);
    let claims = claims(world, ship);
    let mut uncovered = Vec::new();
    for line in &new {
        let names = (ship.order_ref.as_deref(), ship.reservation.map(|id| id.uuid));
        if let Some(short) = record(world, client, id, names, line, &claims) {
            uncovered.push(short);
        }
    }
    for claim in claims {
        let now = world.now;
        if let Some(reservation) = world.edit(claim) {
            reservation.settle(State::Released, "fulfilled", now);
        }
    }
    match world.shipment(id).cloned() {
        Some(shipment) => {
            Outcome::Shipped(Box::new(Shipped { shipment, recorded: !new.is_empty(), differing, uncovered }))
        }
        None => Outcome::Refused(Refusal::ShipmentNotFound(ship.id)),
    }
}

fn line_of<'s>(shipment: &'s ShipmentRecord, line: &ShipLine) -> Option<&'s ShipmentLineRecord> {
    shipment.lines.iter().find(|own| own.line_ref == line.line_ref)
}

/// Whether something is said of a line that is not what was recorded; what is left out is not said.
fn differs(world: &World<'_>, known: &ShipmentRecord, own: &ShipmentLineRecord, ship: &Ship, line: &ShipLine) -> bool {
    // Lines of the first releases kept the lot and not the name.
    let lot_code = || own.lot_code.as_deref().or_else(|| world.lot(own.lot?).map(|lot| lot.received.lot_code.as_str()));
    world.catalogue.sku_code(own.sku) != line.sku
        || own.quantity != line.quantity
        || line.shipped_at.is_some_and(|at| at != own.shipped_at)
        || line.lot_code.as_deref().is_some_and(|code| lot_code().map_or(own.lot.is_none(), |own| own != code))
        || ship.order_ref.as_ref().is_some_and(|order_ref| known.order_ref.as_ref() != Some(order_ref))
        || ship.reservation.is_some_and(|id| known.reservation != Some(id))
}

/// Rules that new lines break, all of them. Lines recorded before are not read again.
fn violations(world: &World<'_>, ship: &Ship, known: Option<&ShipmentRecord>) -> Vec<Violation> {
    let mut broken = Vec::new();
    if known.is_none()
        && let Some(id) = ship.reservation
        && world.reservation(id.uuid).is_none()
    {
        let rule = Rule::UnknownReservation(id.to_string());
        broken.push(Violation { pointer: "/reservation_id".to_owned(), rule });
    }
    for (index, line) in ship.lines.iter().enumerate() {
        if known.is_some_and(|known| line_of(known, line).is_some()) {
            continue;
        }
        let at = |member: &str| format!("/lines/{index}/{member}");
        if world.catalogue.sku_by_code(&line.sku).is_none() {
            broken.push(Violation { pointer: at("sku"), rule: Rule::UnknownSku(line.sku.to_string()) });
        }
        if line.shipped_at.is_some_and(|shipped_at| shipped_at > world.now + AHEAD) {
            broken.push(Violation { pointer: at("shipped_at"), rule: Rule::InTheFuture });
        }
    }
    broken
}

/// The oldest lot of this code that has something left; none where the close of a day has taken it all meanwhile, or the
/// code is a slip of the pen.
fn named_lot(world: &World<'_>, sku: SkuId, code: &str) -> Option<Uuid> {
    world
        .lots_of(sku)
        .filter(|lot| lot.received.lot_code == code && lot.remaining > 0)
        .min_by_key(|lot| (lot.received.received_date, lot.recorded_at, lot.id))
        .map(|lot| lot.id.uuid)
}

/// What the named reservation still holds of these lines becomes its order's: they have left, so there is one. What it
/// holds beside them stays held until it expires; what has expired is nobody's claim any more.
fn commit_held(world: &mut World<'_>, client: ClientId, ship: &Ship, new: &[&ShipLine]) {
    let Some(reservation) = ship.reservation.and_then(|id| world.reservation(id.uuid)).cloned() else { return };
    if reservation.state_at(world.now) != State::Held {
        return;
    }
    let own_name = reservation.order_ref.as_ref().or(ship.order_ref.as_ref());
    let order_ref = own_name.unwrap_or(&ship.source_ref).clone();
    let id = reservation.id.uuid;
    let mut committed = false;
    for line in &reservation.lines {
        let shipped = |sent: &&&ShipLine| world.catalogue.sku_code(line.sku) == sent.sku;
        let sent: i64 = new.iter().filter(shipped).map(|sent| sent.quantity).sum();
        let of_sku = || world.reservation(id).into_iter().flat_map(|r| &r.lines).filter(|own| own.sku == line.sku);
        let units = (sent - of_sku().map(Line::cancellable).sum::<i64>()).clamp(0, line.held);
        if units > 0 {
            claim::commit_units(world, client, &order_ref, id, line.line, units);
            committed = true;
        }
    }
    if committed {
        demand::make_way(world, client, id, &order_ref);
    }
}

/// Reservations whose committed units this shipment fulfils: the named one, or those of its order, oldest first, whatever
/// name they call it by.
fn claims(world: &World<'_>, ship: &Ship) -> Vec<Uuid> {
    if let Some(id) = ship.reservation {
        return vec![id.uuid];
    }
    let Some(order_ref) = ship.order_ref.as_deref() else { return Vec::new() };
    let mut own = world.reservations_of_order(order_ref);
    if let Some(demand) = world.demand_called(order_ref) {
        let more: Vec<Uuid> = demand.claims.iter().copied().filter(|claim| !own.contains(claim)).collect();
        own.extend(more);
    }
    own
}

/// Records one line; the units that on hand could not cover.
fn record(
    world: &mut World<'_>,
    client: ClientId,
    shipment: Uuid,
    names: (Option<&str>, Option<Uuid>),
    line: &ShipLine,
    claims: &[Uuid],
) -> Option<(SkuId, i64)> {
    let sku = world.catalogue.sku_by_code(&line.sku)?;
    let (sku, tracked) = (sku.id, sku.tracked);
    let lot = line.lot_code.as_ref().and_then(|code| named_lot(world, sku, code));
    let shipped_at = line.shipped_at.unwrap_or(world.now);
    let fulfilments = fulfil(world, sku, line.quantity, claims);
    let covered = if tracked { take(world, client, sku, shipment, line.quantity, lot, &fulfilments) } else { 0 };
    let line_ref = ShipmentLineRef { shipment, line_ref: line.line_ref.clone() };
    let recorded = ShipmentLineRecord {
        line_ref: line.line_ref.clone(),
        sku,
        tracked,
        quantity: line.quantity,
        covered,
        fulfilled: fulfilments.iter().map(|(_, units)| units).sum(),
        depleted: 0,
        returned: 0,
        lot,
        lot_code: line.lot_code.clone(),
        shipped_at,
        shipped_date: world.local_date(shipped_at),
        snapshot_date: None,
        voided_at: None,
        recorded_at: world.now,
        fulfilments,
        depletions: Vec::new(),
    };
    world.note_shipped(names.0, names.1, sku, line.quantity);
    if covered > 0 {
        world.add_pending(
            sku,
            PendingUnits { lot, shipped_date: recorded.shipped_date, short: false, quantity: covered },
        );
    }
    world.add_shipment_line(shipment, recorded);
    let open = line.quantity - covered;
    if !tracked || open == 0 {
        return None;
    }
    world.open_discrepancy(sku, OpenDiscrepancy { id: crate::ids::new_uuid(), line: line_ref, open });
    Some((sku, open))
}

/// Moves committed units of the claims to fulfilled, as far as they go.
fn fulfil(world: &mut World<'_>, sku: SkuId, quantity: i64, claims: &[Uuid]) -> Vec<(LineRef, i64)> {
    let mut left = quantity;
    let mut fulfilled = Vec::new();
    for claim in claims {
        let Some(reservation) = world.edit(*claim) else { continue };
        for own in reservation.lines.iter_mut().filter(|own| own.sku == sku) {
            let units = left.min(own.cancellable());
            if units > 0 {
                own.fulfilled += units;
                left -= units;
                fulfilled.push((LineRef { reservation: *claim, line: own.line }, units));
            }
        }
    }
    fulfilled
}

/// Takes the units from the shelf: an entry for each claim that it fulfils, one for the rest. The units covered.
fn take(
    world: &mut World<'_>,
    client: ClientId,
    sku: SkuId,
    shipment: Uuid,
    quantity: i64,
    lot: Option<Uuid>,
    fulfilments: &[(LineRef, i64)],
) -> i64 {
    let balance = world.balance(sku);
    let quarantined = lot.and_then(|lot| world.lot(lot)).map_or(0, |lot| lot.quarantined).min(quantity);
    let covered = quantity.min(balance.on_hand - balance.quarantined + quarantined).max(0);
    // A warehouse that names a quarantined lot has taken its units, for sale or not.
    let mut off_sale = quarantined.min(covered);
    let mut left = covered;
    let claimed: i64 = fulfilments.iter().map(|(_, units)| units).sum();
    let parts = fulfilments.iter().map(|(line, units)| (Some(*line), *units)).chain([(None, quantity - claimed)]);
    for (line, units) in parts {
        let taken = units.min(left);
        left -= taken;
        let unquarantined = off_sale.min(taken);
        off_sale -= unquarantined;
        let committed = if line.is_some() { units } else { 0 };
        if taken + committed > 0 {
            world.post_for(
                client,
                sku,
                EntryKind::Ship,
                Posting {
                    delta: Delta {
                        on_hand: -taken,
                        quarantined: -unquarantined,
                        committed: -committed,
                        ..Delta::default()
                    },
                    line,
                    lot,
                    shipment: Some(shipment),
                    ..Posting::default()
                },
            );
        }
    }
    if let Some(lot) = lot
        && quarantined.min(covered) > 0
    {
        world.move_lot(LotMove {
            lot,
            kind: LotMoveKind::Unquarantine,
            source_ref: None,
            quantity: 0,
            quarantined: -quarantined.min(covered),
            status: None::<(LotStatus, Option<String>)>,
            revalued: None,
            value: None,
            reason: Some("shipped".to_owned()),
            shipment: Some(shipment),
            business_date: world.booked_today(),
            client,
        });
    }
    covered
}

/// The violation of a line whose SKU is unknown or untracked; shared with returns.
pub(super) fn sku_at(world: &World<'_>, index: usize, code: &str) -> Result<SkuId, Violation> {
    receive::tracked_sku(world.catalogue, &format!("/lines/{index}/sku"), code)
}
