//! What operations do to one lot. Each is a typed act with a reason. How much of a lot is there is told by what it has
//! left and by what shipped and waits for its day to close.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::receive;
use crate::ids::ClientId;
use crate::ledger::balance::Delta;
use crate::ledger::command::{Act, LotAct, Recall, TransferIn};
use crate::ledger::entry::EntryKind;
use crate::ledger::goods::{LotMove, LotMoveKind, LotStatus, OF_WHAT_WAS_SOLD};
use crate::ledger::outcome::{LotRecord, Outcome, Recalled, Refusal};
use crate::ledger::world::{Posting, World};

pub(super) fn decide(world: &mut World<'_>, client: ClientId, act: &LotAct) -> Outcome {
    let Some(lot) = world.lot(act.id.uuid).cloned() else {
        return Outcome::Refused(Refusal::LotNotFound(act.id));
    };
    let balance = world.balance(lot.sku);
    // Where units left that no lot could give, lots have more than the shelf until that is settled.
    let present = world.present(lot.sku).get(&lot.id.uuid).copied().unwrap_or(0);
    let for_sale = present.min(balance.on_hand - balance.quarantined).max(0);
    let done = match &act.act {
        Act::Quarantine => Ok(quarantine(world, client, act, &lot, for_sale)),
        Act::Unquarantine => unquarantine(world, client, act, &lot),
        Act::WriteOff { quantity } => {
            let leaving = Leaving { kind: LotMoveKind::WriteOff, entry: EntryKind::WriteOff, source_ref: None };
            leave(world, client, act, &lot, for_sale, *quantity, leaving)
        }
        Act::Revalue { unit_cost, correct_depleted } => {
            Ok(revalue(world, client, act, &lot, *unit_cost, *correct_depleted))
        }
        Act::TransferOut { transfer, quantity } => {
            transfer_out(world, client, act, &lot, for_sale, *transfer, *quantity)
        }
    };
    match done {
        Err(refusal) => Outcome::Refused(refusal),
        Ok((quantity, repeated)) => match world.lot_record(act.id) {
            Some(lot) => Outcome::LotActed { lot: Box::new(lot), quantity, repeated },
            None => Outcome::Refused(Refusal::LotNotFound(act.id)),
        },
    }
}

/// Quarantines every open lot of a code, each as if it had been named itself.
pub(super) fn recall(world: &mut World<'_>, client: ClientId, recall: &Recall) -> Outcome {
    let mut done = Vec::new();
    for id in world.open_lots_called(&recall.lot_code) {
        let act = LotAct { id, act: Act::Quarantine, reason: recall.reason.clone() };
        if let Outcome::LotActed { lot, quantity, repeated } = decide(world, client, &act) {
            done.push(Recalled { lot: *lot, quantity, repeated });
        }
    }
    Outcome::Recalled(done)
}

/// Units moved, and whether there was nothing left to do.
type Moved = (i64, bool);
type Done = Result<Moved, Refusal>;

fn quarantine(world: &mut World<'_>, client: ClientId, act: &LotAct, lot: &LotRecord, for_sale: i64) -> Moved {
    if lot.status != LotStatus::Available {
        return (0, true);
    }
    world.take_off_sale(client, lot.sku, lot.id.uuid, for_sale, LotStatus::Quarantined, &act.reason);
    (for_sale, false)
}

fn unquarantine(world: &mut World<'_>, client: ClientId, act: &LotAct, lot: &LotRecord) -> Done {
    match lot.status {
        LotStatus::Available => return Ok((0, true)),
        LotStatus::Expired => return Err(Refusal::LotExpired(lot.id)),
        LotStatus::Quarantined => {}
    }
    if lot.received.expires_date.is_some_and(|date| date <= world.today()) {
        return Err(Refusal::LotExpired(lot.id));
    }
    world.move_lot(LotMove {
        quarantined: -lot.quarantined,
        status: Some((LotStatus::Available, None)),
        ..step(world, client, act, LotMoveKind::Unquarantine)
    });
    let delta = Delta { quarantined: -lot.quarantined, ..Delta::default() };
    post(world, client, act, lot, EntryKind::Unquarantine, delta);
    world.expects_expiry(lot.sku, lot.received.expires_date);
    world.settle(client, lot.sku);
    Ok((lot.quarantined, false))
}

/// How units leave a lot without being shipped.
struct Leaving {
    kind: LotMoveKind,
    entry: EntryKind,
    source_ref: Option<String>,
}

/// Takes units that are there from a lot and from the shelf, those off sale first.
fn leave(
    world: &mut World<'_>,
    client: ClientId,
    act: &LotAct,
    lot: &LotRecord,
    for_sale: i64,
    quantity: Option<i64>,
    leaving: Leaving,
) -> Done {
    let present = for_sale + lot.quarantined;
    let quantity = quantity.unwrap_or(present);
    if quantity > present {
        return Err(Refusal::ExceedsLot { id: lot.id, requested: quantity, present });
    }
    if quantity == 0 {
        return Ok((0, true));
    }
    let quarantined = quantity.min(lot.quarantined);
    world.move_lot(LotMove {
        quantity: -quantity,
        quarantined: -quarantined,
        source_ref: leaving.source_ref,
        ..step(world, client, act, leaving.kind)
    });
    let delta = Delta { on_hand: -quantity, quarantined: -quarantined, ..Delta::default() };
    post(world, client, act, lot, leaving.entry, delta);
    Ok((quantity, false))
}

/// The lot is worth more or less, over what is left of it and, where what was sold is corrected, over that: the part that
/// was sold is then taken out of it again, as cost of goods. An estimate that proves wrong was wrong for all of the lot.
fn revalue(
    world: &mut World<'_>,
    client: ClientId,
    act: &LotAct,
    lot: &LotRecord,
    unit_cost: Decimal,
    correct_depleted: bool,
) -> Moved {
    let (units, booked) = world.sold(lot.id.uuid);
    let corrects = correct_depleted || lot.cost_provisional;
    let owed = if corrects { unit_cost * Decimal::from(units) - booked } else { Decimal::ZERO };
    if lot.received.unit_cost == unit_cost && !lot.cost_provisional && owed.is_zero() {
        return (0, true);
    }
    let business_date = world.booked_today();
    let difference = unit_cost - lot.received.unit_cost;
    let mut values: BTreeMap<NaiveDate, Decimal> =
        world.revalued_on(lot).into_iter().map(|(day, units)| (day, difference * Decimal::from(units))).collect();
    // Whatever was sold was sold by now.
    if !owed.is_zero() || values.is_empty() {
        *values.entry(business_date).or_default() += owed;
    }
    for (business_date, value) in values {
        world.move_lot(LotMove {
            revalued: Some((unit_cost, value)),
            business_date,
            ..step(world, client, act, LotMoveKind::Revaluation)
        });
    }
    if !owed.is_zero() {
        world.move_lot(LotMove {
            source_ref: Some(OF_WHAT_WAS_SOLD.to_owned()),
            value: Some(-owed),
            business_date,
            ..step(world, client, act, LotMoveKind::Correction)
        });
    }
    post(world, client, act, lot, EntryKind::Revalue, Delta::default());
    (lot.remaining, false)
}

fn transfer_out(
    world: &mut World<'_>,
    client: ClientId,
    act: &LotAct,
    lot: &LotRecord,
    for_sale: i64,
    transfer: Uuid,
    quantity: i64,
) -> Done {
    if let Some(departed) = world.departed(transfer) {
        return Ok((departed, true));
    }
    // What is off sale stays where it is.
    if quantity > for_sale {
        return Err(Refusal::ExceedsLot { id: lot.id, requested: quantity, present: for_sale });
    }
    let leaving = Leaving {
        kind: LotMoveKind::TransferOut,
        entry: EntryKind::TransferOut,
        source_ref: Some(transfer.to_string()),
    };
    world.note_departure(transfer, quantity);
    let free = LotRecord { quarantined: 0, ..lot.clone() };
    leave(world, client, act, &free, for_sale, Some(quantity), leaving)
}

/// Units that left another pool are on this shelf. Twice is once.
pub(super) fn transfer_in(world: &mut World<'_>, client: ClientId, arrival: &TransferIn) -> Outcome {
    if let Some(lot) = world.lot_record(arrival.lot.id) {
        return Outcome::LotActed { lot: Box::new(lot), quantity: arrival.lot.remaining, repeated: true };
    }
    let lot = LotRecord { recorded_at: world.now, client, ..arrival.lot.clone() };
    let quantity = lot.remaining;
    let lot = receive::put_on_shelf(world, client, lot, EntryKind::TransferIn, None);
    world.goods_changes().arrived.push(arrival.transfer);
    Outcome::LotActed { lot: Box::new(lot), quantity, repeated: false }
}

fn step(world: &World<'_>, client: ClientId, act: &LotAct, kind: LotMoveKind) -> LotMove {
    LotMove {
        lot: act.id.uuid,
        kind,
        source_ref: None,
        quantity: 0,
        quarantined: 0,
        status: None,
        revalued: None,
        value: None,
        reason: Some(act.reason.clone()),
        shipment: None,
        business_date: world.booked_today(),
        client,
    }
}

fn post(world: &mut World<'_>, client: ClientId, act: &LotAct, lot: &LotRecord, kind: EntryKind, delta: Delta) {
    world.post_for(
        client,
        lot.sku,
        kind,
        Posting { delta, lot: Some(lot.id.uuid), reason: Some(act.reason.clone()), ..Posting::default() },
    );
}
