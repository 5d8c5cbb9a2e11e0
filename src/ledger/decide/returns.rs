//! `return`: units came back. They become lots of their own, at the cost and with the expiry they left with, last out
//! first; off sale until somebody has looked at them, unless the caller has.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::{receive, ship};
use crate::ids::{ClientId, LotId, SkuId};
use crate::ledger::command::{Receive, Return, ReturnLine};
use crate::ledger::entry::EntryKind;
use crate::ledger::goods::{
    LineChange, LotStatus, ReturnLineRecord, ReturnRecord, ReturnedLot, ShipmentLineRecord, ShipmentLineRef,
};
use crate::ledger::outcome::{ExceedsShipped, LotRecord, Outcome, Refusal, Returned, Rule, Violation};
use crate::ledger::world::World;

/// Why a returned lot is off sale.
const INSPECTION: &str = "returned, to be inspected";
const RECALLED: &str = "returned to a lot that is quarantined";

pub(super) fn decide(world: &mut World<'_>, client: ClientId, back: &Return) -> Outcome {
    let known = world.recorded_return(&back.source, &back.source_ref).cloned();
    let recorded = |line: &ReturnLine| {
        known.as_ref().and_then(|known| known.lines.iter().find(|own| own.line_ref == line.line_ref)).cloned()
    };
    let new: Vec<(usize, &ReturnLine)> =
        back.lines.iter().enumerate().filter(|(_, line)| recorded(line).is_none()).collect();
    let differing = back
        .lines
        .iter()
        .filter(|line| {
            recorded(line)
                .is_some_and(|own| own.quantity != line.quantity || world.catalogue.sku_code(own.sku) != line.sku)
        })
        .map(|line| line.line_ref.clone())
        .collect();
    let shares = share(world, back, &new);
    let violations: Vec<Violation> =
        new.iter().zip(&shares).filter_map(|((index, line), share)| violation(world, *index, line, share)).collect();
    if !violations.is_empty() {
        return Outcome::Refused(Refusal::Unprocessable(violations));
    }
    let exceeded = exceeded(world, back, &new, &shares);
    if !exceeded.is_empty() {
        return Outcome::Refused(Refusal::ExceedsShipped(exceeded));
    }
    if known.is_none() {
        let record = ReturnRecord {
            id: back.id,
            source: back.source.clone(),
            source_ref: back.source_ref.clone(),
            order_ref: back.order_ref.clone(),
            client,
            recorded_at: world.now,
            lines: Vec::new(),
        };
        world.goods_changes().returns.push(record.clone());
        world.put_return(record);
    }
    for ((_, line), share) in new.iter().zip(&shares) {
        take_back(world, client, back, line, share);
    }
    match world.recorded_return(&back.source, &back.source_ref).cloned() {
        Some(record) => Outcome::Returned(Box::new(Returned { record, recorded: !new.is_empty(), differing })),
        None => Outcome::Refused(Refusal::ExceedsShipped(Vec::new())),
    }
}

fn violation(world: &World<'_>, index: usize, line: &ReturnLine, share: &[Share]) -> Option<Violation> {
    let sku = match ship::sku_at(world, index, &line.sku) {
        Ok(sku) => sku,
        Err(violation) => return Some(violation),
    };
    if let Some(shipped) = &line.shipped
        && line_of(world, shipped).is_none()
    {
        let pointer = format!("/lines/{index}/shipment_line_ref");
        return Some(Violation { pointer, rule: Rule::UnknownShipmentLine(shipped.line_ref.clone()) });
    }
    let sources = sources(world, line, share);
    let known: i64 = sources.iter().filter(|source| source.lot.is_some()).map(|source| source.units).sum();
    let costless = known < line.quantity && line.cost.is_none() && world.newest_cost(sku).is_none();
    costless.then(|| Violation { pointer: format!("/lines/{index}/unit_cost"), rule: Rule::UnknownCost })
}

fn line_of<'w>(world: &'w World<'_>, shipped: &ShipmentLineRef) -> Option<&'w ShipmentLineRecord> {
    world.shipment(shipped.shipment)?.lines.iter().find(|own| own.line_ref == shipped.line_ref)
}

/// Units that come back of one shipment line, and how many had come back of it before.
struct Share {
    shipped: ShipmentLineRef,
    before: i64,
    units: i64,
}

/// What each line of the request brings back of which shipment lines: of the one it names, or of those of the order,
/// newest first. All lines share what may come back of a shipment line; those that name it come first, for an order's
/// other lines will do for the rest.
fn share(world: &World<'_>, back: &Return, new: &[(usize, &ReturnLine)]) -> Vec<Vec<Share>> {
    let mut shared: BTreeMap<ShipmentLineRef, i64> = BTreeMap::new();
    let mut shares: Vec<Vec<Share>> = new.iter().map(|_| Vec::new()).collect();
    let (named, others): (Vec<usize>, Vec<usize>) = (0..new.len()).partition(|place| new[*place].1.shipped.is_some());
    for place in named.into_iter().chain(others) {
        let line = new[place].1;
        let mut left = line.quantity;
        for shipped in shipped_lines(world, back, line) {
            let Some(own) = line_of(world, &shipped) else { continue };
            let taken = shared.entry(shipped.clone()).or_default();
            let units = left.min(own.returnable() - *taken);
            if units > 0 {
                shares[place].push(Share { shipped, before: own.returned + *taken, units });
                *taken += units;
                left -= units;
            }
        }
    }
    shares
}

/// The shipment lines that the units of a line are taken to come from, in the order in which they are.
fn shipped_lines(world: &World<'_>, back: &Return, line: &ReturnLine) -> Vec<ShipmentLineRef> {
    if let Some(shipped) = &line.shipped {
        return vec![shipped.clone()];
    }
    let Some(order_ref) = &back.order_ref else { return Vec::new() };
    let mut of_order: Vec<(&ShipmentLineRecord, ShipmentLineRef)> = world
        .shipments()
        .filter(|shipment| shipment.order_ref.as_ref() == Some(order_ref))
        .flat_map(|shipment| {
            let reference = |own: &ShipmentLineRecord| ShipmentLineRef {
                shipment: shipment.id.uuid,
                line_ref: own.line_ref.clone(),
            };
            shipment.lines.iter().map(move |own| (own, reference(own)))
        })
        .filter(|(own, _)| world.catalogue.sku_code(own.sku) == line.sku)
        .collect();
    of_order.sort_by(|a, b| (b.0.shipped_at, &b.1).cmp(&(a.0.shipped_at, &a.1)));
    of_order.into_iter().map(|(_, reference)| reference).collect()
}

/// Lines that would bring back more than was shipped. A line is taken at its word where it names neither a shipment nor
/// an order, and where nothing is known to have been shipped for the order: it left before we were told, or elsewhere.
fn exceeded(
    world: &World<'_>,
    back: &Return,
    new: &[(usize, &ReturnLine)],
    shares: &[Vec<Share>],
) -> Vec<ExceedsShipped> {
    let is_known = back
        .order_ref
        .as_ref()
        .is_some_and(|order_ref| world.shipments().any(|shipment| shipment.order_ref.as_ref() == Some(order_ref)));
    new.iter()
        .zip(shares)
        .filter(|((_, line), _)| line.shipped.is_some() || is_known)
        .map(|((index, line), share)| ExceedsShipped {
            index: *index,
            requested: line.quantity,
            returnable: share.iter().map(|share| share.units).sum(),
        })
        .filter(|line| line.requested > line.returnable)
        .collect()
}

/// Units that came back, from one lot of one shipment line.
struct Source {
    shipped: Option<ShipmentLineRef>,
    /// The lot, at the cost at which they left it; of a day that is not closed the one that the warehouse named.
    lot: Option<(LotId, Decimal)>,
    units: i64,
}

/// Where the units come from, last out first. Units of a line whose day is not closed have the lot that the warehouse
/// named; where it named none, or no lot covered them, they have none yet. Units that no shipment is known of have not
/// even a line.
fn sources(world: &World<'_>, line: &ReturnLine, share: &[Share]) -> Vec<Source> {
    let mut found = Vec::new();
    let mut unknown = line.quantity;
    for Share { shipped, before, units } in share {
        let Some(own) = line_of(world, shipped) else { continue };
        unknown -= units;
        let (mut skip, mut left) = (*before, *units);
        // What came back as another SKU than was shipped never had that cost.
        let same = world.catalogue.sku_code(own.sku) == line.sku;
        for (lot, quantity, unit_cost) in own.net_depletions().into_iter().rev().filter(|_| same) {
            let skipped = skip.min(quantity);
            skip -= skipped;
            let taken = left.min(quantity - skipped);
            if taken > 0 {
                left -= taken;
                let lot = Some((LotId { pool: world.pool, uuid: lot }, unit_cost));
                found.push(Source { shipped: Some(shipped.clone()), lot, units: taken });
            }
        }
        if left > 0 {
            let named = own.lot.filter(|_| same && own.depletions.is_empty()).and_then(|lot| world.lot(lot));
            let lot = named.map(|named| (named.id, named.received.unit_cost));
            found.push(Source { shipped: Some(shipped.clone()), lot, units: left });
        }
    }
    if unknown > 0 {
        found.push(Source { shipped: None, lot: None, units: unknown });
    }
    found
}

fn take_back(world: &mut World<'_>, client: ClientId, back: &Return, line: &ReturnLine, share: &[Share]) {
    let Some(sku) = world.catalogue.sku_by_code(&line.sku).map(|sku| sku.id) else { return };
    let mut lots = Vec::new();
    for source in sources(world, line, share) {
        let Some(lot) = returned_lot(world, client, back, line, sku, &source) else { continue };
        // What is recalled is recalled wherever it was meanwhile.
        let of = source.lot.and_then(|(lot, _)| world.lot(lot.uuid));
        let recalled = of.is_some_and(|of| of.status == LotStatus::Quarantined).then_some(RECALLED);
        let quarantine = line.quarantine.then_some(INSPECTION).or(recalled);
        lots.push(ReturnedLot {
            lot: lot.id,
            source_lot: lot.source_lot,
            shipped: source.shipped.clone(),
            quantity: lot.remaining,
        });
        receive::put_on_shelf(world, client, lot, EntryKind::Return, quarantine);
        if let Some(shipped) = &source.shipped {
            world.change_line(shipped, LineChange { returned: source.units, ..LineChange::default() });
        }
    }
    let record = ReturnLineRecord { line_ref: line.line_ref.clone(), sku, quantity: line.quantity, lots };
    world.add_return_line(&back.source, &back.source_ref, record);
}

/// A lot of returned units. Where their own lot is unknown the cost is the caller's, or else provisional: that of the
/// newest lot.
fn returned_lot(
    world: &World<'_>,
    client: ClientId,
    back: &Return,
    line: &ReturnLine,
    sku: SkuId,
    from: &Source,
) -> Option<LotRecord> {
    let (source, quantity) = (from.lot, from.units);
    let of = source.and_then(|(lot, _)| world.lot(lot.uuid));
    let (unit_cost, currency, provisional) = match (source, of, &line.cost) {
        (Some((_, unit_cost)), Some(of), _) => (unit_cost, of.received.currency.clone(), of.cost_provisional),
        (_, _, Some((unit_cost, currency))) => (*unit_cost, currency.clone(), false),
        _ => world.newest_cost(sku).map(|(unit_cost, currency)| (unit_cost, currency, true))?,
    };
    let expires = of.and_then(|of| of.received.expires_date);
    // No lot is received after its expiry: what comes back later counts as received on that day.
    let received = expires.map_or(world.today(), |expires| expires.min(world.today()));
    let id = LotId::new(world.pool);
    let receive = Receive {
        id,
        sku: line.sku.clone(),
        lot_code: of.map_or_else(|| format!("return {}", back.source_ref), |of| of.received.lot_code.clone()),
        quantity,
        unit_cost,
        currency,
        received_date: received,
        expires_date: expires,
        source: back.source.clone(),
        source_ref: None,
    };
    Some(LotRecord {
        cost_provisional: provisional,
        source_lot: source.map(|(lot, _)| lot),
        ..receive::arriving(world, client, sku, &receive, "return")
    })
}
