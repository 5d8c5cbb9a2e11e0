//! `receive`: a lot arrives. `opening_count`: a shelf whose tracking was switched on again is counted.
//!
//! Both are facts and never refused for stock reasons.

use crate::catalog::Catalogue;
use crate::ids::{ClientId, SkuId};
use crate::ledger::balance::Delta;
use crate::ledger::command::{OpeningCount, Receive};
use crate::ledger::entry::EntryKind;
use crate::ledger::outcome::{LotRecord, Outcome, Received, Refusal, Rule, Violation};
use crate::ledger::world::{Posting, World};

pub(super) fn decide(world: &mut World<'_>, client: ClientId, receive: &Receive) -> Outcome {
    if let Some(first) =
        receive.source_ref.as_deref().and_then(|source_ref| world.lot_by_source_ref(&receive.source, source_ref))
    {
        let repeated = Some(differences(world.catalogue, first, receive));
        return Outcome::Received(Box::new(Received { lot: first.clone(), repeated }));
    }
    match sku_of(world.catalogue, &receive.sku) {
        Err(violation) => Outcome::Refused(Refusal::Unprocessable(vec![violation])),
        Ok(sku) => {
            let lot = record(world, client, sku, receive, "receipt");
            world.post_for(
                client,
                sku,
                EntryKind::Receive,
                Posting {
                    delta: Delta { on_hand: receive.quantity, ..Delta::default() },
                    lot: Some(receive.id.uuid),
                    ..Posting::default()
                },
            );
            Outcome::Received(Box::new(Received { lot, repeated: None }))
        }
    }
}

/// The SKU that a lot is of.
pub(crate) fn sku_of(catalogue: &Catalogue, code: &str) -> Result<SkuId, Violation> {
    let at = |rule| Violation { pointer: "/sku".to_owned(), rule };
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
        status: "available".to_owned(),
        client,
        recorded_at: world.now,
    }
}

fn record(world: &mut World<'_>, client: ClientId, sku: SkuId, receive: &Receive, origin: &str) -> LotRecord {
    let lot = arriving(world, client, sku, receive, origin);
    world.record_lot(lot.clone());
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

/// Old lots are written off, the count becomes a lot of its own, and the shelf is open again.
pub(super) fn opening_count(world: &mut World<'_>, client: ClientId, count: &OpeningCount) -> Outcome {
    let sku = match sku_of(world.catalogue, &count.sku) {
        Ok(sku) => sku,
        Err(violation) => return Outcome::Refused(Refusal::Unprocessable(vec![violation])),
    };
    let due = world.catalogue.sku(sku).is_some_and(|sku| world.needs_opening_count(sku));
    if !due {
        return Outcome::Refused(Refusal::OpeningCountNotDue(sku));
    }
    let written_off = world.open_lots(sku).to_vec();
    world.record_opening(sku, written_off);
    let counted = count.lot.as_ref().map_or(0, |lot| lot.quantity);
    let lot = count.lot.as_ref().map(|lot| record(world, client, sku, lot, "opening_count"));
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
    Outcome::Counted { sku, balance: world.balance(sku), lot: lot.map(Box::new) }
}
