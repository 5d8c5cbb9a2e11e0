//! `receive`: a lot arrives. `opening_count`: a shelf whose tracking was switched on again is counted.
//!
//! Both are facts and never refused for stock reasons.

use crate::catalog::Catalogue;
use crate::ids::{ClientId, SkuId};
use crate::ledger::balance::Delta;
use crate::ledger::command::{OpeningCount, Receive};
use crate::ledger::entry::EntryKind;
use crate::ledger::goods::{LotMove, LotMoveKind, LotStatus};
use crate::ledger::outcome::{LotRecord, Outcome, Received, Refusal, Rule, Violation};
use crate::ledger::world::{Posting, World};

pub(super) fn decide(world: &mut World<'_>, client: ClientId, receive: &Receive) -> Outcome {
    if let Some(first) =
        receive.source_ref.as_deref().and_then(|source_ref| world.lot_by_source_ref(&receive.source, source_ref))
    {
        let repeated = Some(differences(world.catalogue, first, receive));
        return Outcome::Received(Box::new(Received { lot: first.clone(), repeated }));
    }
    match tracked_sku(world.catalogue, "/sku", &receive.sku) {
        Err(violation) => Outcome::Refused(Refusal::Unprocessable(vec![violation])),
        Ok(sku) => {
            let lot = arriving(world, client, sku, receive, "receipt");
            let lot = put_on_shelf(world, client, lot, EntryKind::Receive, None);
            Outcome::Received(Box::new(Received { lot, repeated: None }))
        }
    }
}

/// The tracked SKU with this code, or which rule it breaks at `pointer`.
pub(crate) fn tracked_sku(catalogue: &Catalogue, pointer: &str, code: &str) -> Result<SkuId, Violation> {
    let at = |rule| Violation { pointer: pointer.to_owned(), rule };
    match catalogue.sku_by_code(code) {
        None => Err(at(Rule::UnknownSku(code.to_owned()))),
        Some(sku) if !sku.tracked => Err(at(Rule::UntrackedSku(code.to_owned()))),
        Some(sku) => Ok(sku.id),
    }
}

/// A receipt as the lot that it becomes.
pub(crate) fn arriving(world: &World<'_>, client: ClientId, sku: SkuId, receive: &Receive, origin: &str) -> LotRecord {
    LotRecord {
        id: receive.id,
        sku,
        received: receive.clone(),
        remaining: receive.quantity,
        origin: origin.to_owned(),
        status: LotStatus::Available,
        quarantined: 0,
        quarantine_reason: None,
        cost_provisional: false,
        source_lot: None,
        client,
        recorded_at: world.now,
    }
}

/// Posts a new lot onto its shelf, takes it off sale if it comes quarantined or past its expiry, and lets it settle
/// what is open. The lot as it then stands.
pub(super) fn put_on_shelf(
    world: &mut World<'_>,
    client: ClientId,
    lot: LotRecord,
    kind: EntryKind,
    quarantine: Option<&str>,
) -> LotRecord {
    let (id, sku, units) = (lot.id.uuid, lot.sku, lot.remaining);
    let expired = lot.received.expires_date.is_some_and(|date| date <= world.today());
    world.record_lot(lot.clone());
    world.post_for(
        client,
        sku,
        kind,
        Posting { delta: Delta { on_hand: units, ..Delta::default() }, lot: Some(id), ..Posting::default() },
    );
    let off_sale = if expired { Some((LotStatus::Expired, "expired")) } else { None };
    let off_sale = off_sale.or(quarantine.map(|reason| (LotStatus::Quarantined, reason)));
    let mut lot = lot;
    if let Some((status, reason)) = off_sale {
        let left = world.lot(id).map_or(units, |lot| lot.remaining);
        world.take_off_sale(client, sku, id, left, status, reason);
        (lot.status, lot.quarantine_reason) = (status, Some(reason.to_owned()));
    } else {
        world.settle(client, sku);
    }
    if let Some(now) = world.lot(id) {
        (lot.remaining, lot.quarantined) = (now.remaining, now.quarantined);
    }
    lot
}

/// Fields that were sent differently the second time; the first entry stands.
pub(crate) fn differences(catalogue: &Catalogue, first: &LotRecord, again: &Receive) -> Vec<&'static str> {
    let recorded = &first.received;
    [
        ("sku", catalogue.sku_code(first.sku) != again.sku),
        ("lot_code", recorded.lot_code != again.lot_code),
        ("quantity", recorded.quantity != again.quantity),
        ("unit_cost", recorded.unit_cost != again.unit_cost),
        ("currency", recorded.currency != again.currency),
        ("received_date", recorded.received_date != again.received_date),
        ("expires_date", recorded.expires_date != again.expires_date),
    ]
    .into_iter()
    .filter_map(|(field, differs)| differs.then_some(field))
    .collect()
}

/// Old lots are written off, the count becomes a lot of its own, and the shelf is open again. Units that shipped and
/// are not depleted yet stay in their lots for the close of their day.
pub(super) fn opening_count(world: &mut World<'_>, client: ClientId, count: &OpeningCount) -> Outcome {
    let sku = match tracked_sku(world.catalogue, "/sku", &count.sku) {
        Ok(sku) => sku,
        Err(violation) => return Outcome::Refused(Refusal::Unprocessable(vec![violation])),
    };
    let due = world.catalogue.sku(sku).is_some_and(|sku| world.needs_opening_count(sku));
    if !due {
        return Outcome::Refused(Refusal::OpeningCountNotDue(sku));
    }
    // What has left and waits for the next close has left the lots that are written off, not what is counted.
    world.settle_shortages(client, sku);
    write_off_all(world, client, sku);
    world.record_opening(sku);
    let counted = count.lot.as_ref().map_or(0, |lot| lot.quantity);
    let lot = count.lot.as_ref().map(|lot| arriving(world, client, sku, lot, "opening_count"));
    if let Some(lot) = &lot {
        world.record_lot(lot.clone());
    }
    let before = world.balance(sku);
    world.post_for(
        client,
        sku,
        EntryKind::OpeningCount,
        Posting {
            delta: Delta { on_hand: counted - before.on_hand, quarantined: -before.quarantined, ..Delta::default() },
            lot: lot.as_ref().map(|lot| lot.id.uuid),
            ..Posting::default()
        },
    );
    let lot = lot.map(|mut lot| {
        if lot.received.expires_date.is_some_and(|date| date <= world.today()) {
            world.take_off_sale(client, sku, lot.id.uuid, counted, LotStatus::Expired, "expired");
        } else {
            world.settle(client, sku);
        }
        if let Some(now) = world.lot(lot.id.uuid) {
            (lot.remaining, lot.quarantined, lot.status) = (now.remaining, now.quarantined, now.status);
        }
        Box::new(lot)
    });
    Outcome::Counted { sku, balance: world.balance(sku), lot }
}

fn write_off_all(world: &mut World<'_>, client: ClientId, sku: SkuId) {
    let present = world.present(sku);
    let steps: Vec<LotMove> = world
        .lots_of(sku)
        .map(|lot| (lot, present.get(&lot.id.uuid).copied().unwrap_or(0)))
        .filter(|(lot, present)| lot.quarantined + present > 0)
        .map(|(lot, present)| LotMove {
            lot: lot.id.uuid,
            kind: LotMoveKind::OpeningCount,
            source_ref: None,
            quantity: -(lot.quarantined + present),
            quarantined: -lot.quarantined,
            status: None,
            revalued: None,
            value: None,
            reason: Some("opening count".to_owned()),
            shipment: None,
            business_date: world.booked_today(),
            client,
        })
        .collect();
    for step in steps {
        world.move_lot(step);
    }
}
