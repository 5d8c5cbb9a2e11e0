//! What hold, late commit and late extension share: summing a cart by SKU, comparing it with the shelf, taking units.

use std::collections::HashMap;

use uuid::Uuid;

use crate::catalog::Policy;
use crate::ids::{ClientId, ReservationId, SkuId};
use crate::ledger::balance::Delta;
use crate::ledger::entry::{EntryKind, LineRef};
use crate::ledger::outcome::Shortfall;
use crate::ledger::world::{HOUSE, Posting, World};
use crate::reservations::state::{Line, State};

/// Units wanted of one SKU, summed over the lines that ask for it.
#[derive(Debug, Clone)]
pub(super) struct Need {
    pub sku: SkuId,
    pub policy: Policy,
    pub quantity: i64,
    pub lines: Vec<i16>,
}

/// Adds a line to the sums; one SKU on several lines counts once, as their sum.
pub(super) fn add_need(needs: &mut Vec<Need>, sku: SkuId, policy: Policy, line: i16, quantity: i64) {
    match needs.iter_mut().find(|need| need.sku == sku) {
        Some(need) => {
            need.quantity += quantity;
            need.lines.push(line);
        }
        None => needs.push(Need { sku, policy, quantity, lines: vec![line] }),
    }
}

/// The needs of existing lines, each wanting `units` of it.
pub(super) fn needs_of<'l>(world: &World<'_>, wants: impl Iterator<Item = (&'l Line, i64)>) -> Vec<Need> {
    let mut needs = Vec::new();
    for (line, units) in wants.filter(|(line, units)| line.tracked && *units > 0) {
        let policy = world.catalogue.sku(line.sku).and_then(|sku| world.catalogue.policy(sku));
        if let Some(policy) = policy {
            add_need(&mut needs, line.sku, *policy, line.line, units);
        }
    }
    needs
}

/// Every SKU that cannot give what is needed, all at once. `given_back` are units that the same command returns first.
pub(super) fn shortfalls(world: &mut World<'_>, needs: &[Need], given_back: &HashMap<SkuId, i64>) -> Vec<Shortfall> {
    let mut short = Vec::new();
    for need in needs {
        let back = given_back.get(&need.sku).copied().unwrap_or(0);
        let headroom = world.headroom(need.sku, &need.policy, need.quantity - back) + back;
        if headroom < need.quantity {
            short.push(Shortfall {
                sku: need.sku,
                lines: need.lines.clone(),
                requested: need.quantity,
                reservable: headroom,
                balance: world.balance(need.sku),
                safety_stock: need.policy.safety_stock_quantity,
                oversell_tolerance: need.policy.oversell_tolerance_quantity,
                next_hold_expires_at: world.next_hold_expires_at(need.sku),
            });
        }
    }
    short
}

/// Posts the opening hold of one line. The caller has made sure that there is room.
pub(super) fn post_hold(world: &mut World<'_>, client: ClientId, id: ReservationId, line: &Line, policy: &Policy) {
    if !line.tracked || line.held == 0 {
        return;
    }
    world.post_for(
        client,
        line.sku,
        EntryKind::Hold,
        Posting {
            delta: Delta { held: line.held, ..Delta::default() },
            line: Some(LineRef { reservation: id.uuid, line: line.line }),
            policy: Some((policy.safety_stock_quantity, policy.oversell_tolerance_quantity)),
            ..Posting::default()
        },
    );
}

/// Posts the opening claim of a line that an order owns from the start.
pub(super) fn post_claim(
    world: &mut World<'_>,
    client: ClientId,
    id: ReservationId,
    line: &Line,
    reason: Option<&str>,
) {
    if !line.tracked || line.committed == 0 {
        return;
    }
    world.post_for(
        client,
        line.sku,
        EntryKind::Claim,
        Posting {
            delta: Delta { committed: line.committed, ..Delta::default() },
            line: Some(LineRef { reservation: id.uuid, line: line.line }),
            reason: reason.map(str::to_owned),
            ..Posting::default()
        },
    );
}

/// Posts held units becoming an order's.
pub(super) fn post_commit(
    world: &mut World<'_>,
    client: ClientId,
    sku: SkuId,
    line: LineRef,
    units: i64,
    closes_line: bool,
) {
    world.post_for(
        client,
        sku,
        EntryKind::Commit,
        Posting {
            delta: Delta { held: -units, committed: units, ..Delta::default() },
            line: Some(line),
            closes_line,
            ..Posting::default()
        },
    );
}

/// An order takes `units` of a held line; the state is settled by the caller. It owns the reservation from its first unit
/// on, so that giving back the rest settles to committed.
pub(super) fn commit_units(world: &mut World<'_>, client: ClientId, order_ref: &str, id: Uuid, line: i16, units: i64) {
    if units == 0 {
        return;
    }
    let now = world.now;
    let Some(reservation) = world.edit(id) else { return };
    reservation.mark_committed(order_ref, now);
    let Some(own) = reservation.lines.iter_mut().find(|own| own.line == line) else { return };
    own.held -= units;
    own.committed += units;
    let (sku, tracked, closes_line) = (own.sku, own.tracked, own.held == 0);
    if tracked {
        post_commit(world, client, sku, LineRef { reservation: id, line }, units, closes_line);
    }
}

/// An order gives up `units` of a line that have not shipped; the state is settled by the caller.
pub(super) fn cancel(world: &mut World<'_>, client: ClientId, id: Uuid, line: i16, units: i64, reason: &str) {
    if units == 0 {
        return;
    }
    let Some(own) = world.edit(id).and_then(|r| r.lines.iter_mut().find(|own| own.line == line)) else { return };
    own.committed -= units;
    own.cancelled += units;
    let (sku, tracked) = (own.sku, own.tracked);
    if tracked {
        world.post_for(
            client,
            sku,
            EntryKind::Cancel,
            Posting {
                delta: Delta { committed: -units, ..Delta::default() },
                line: Some(LineRef { reservation: id, line }),
                reason: Some(reason.to_owned()),
                ..Posting::default()
            },
        );
    }
}

/// How held units go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Back {
    Released,
    /// To a newer reservation of the same owner.
    HandedOver,
    Expired,
}

impl Back {
    fn state(self) -> State {
        match self {
            Self::Released | Self::HandedOver => State::Released,
            Self::Expired => State::Expired,
        }
    }

    fn kind(self) -> EntryKind {
        match self {
            Self::Released | Self::HandedOver => EntryKind::Release,
            Self::Expired => EntryKind::Expire,
        }
    }
}

/// Gives back `units` of a held line and updates the line; the state is settled by the caller.
pub(super) fn give_back(
    world: &mut World<'_>,
    client: ClientId,
    id: Uuid,
    line: i16,
    units: i64,
    back: Back,
    reason: &str,
) {
    let Some(own) = world.edit(id).and_then(|r| r.lines.iter_mut().find(|own| own.line == line)) else { return };
    if units == 0 {
        return;
    }
    own.held -= units;
    match back {
        Back::Released => own.released += units,
        Back::HandedOver => {
            own.released += units;
            own.superseded += units;
        }
        Back::Expired => own.expired += units,
    }
    let (sku, tracked, closes_line) = (own.sku, own.tracked, own.held == 0);
    if tracked {
        world.post_for(
            client,
            sku,
            back.kind(),
            Posting {
                delta: Delta { held: -units, ..Delta::default() },
                line: Some(LineRef { reservation: id, line }),
                closes_line,
                reason: Some(reason.to_owned()),
                ..Posting::default()
            },
        );
    }
}

/// Gives back everything that is held and settles the state.
pub(super) fn close_held(world: &mut World<'_>, client: ClientId, id: Uuid, back: Back, reason: &str) {
    let held: Vec<(i16, i64)> =
        world.reservation(id).map(|r| r.lines.iter().map(|line| (line.line, line.held)).collect()).unwrap_or_default();
    for (line, units) in held {
        give_back(world, client, id, line, units, back, reason);
    }
    let now = world.now;
    if let Some(reservation) = world.edit(id) {
        reservation.settle(back.state(), reason, now);
    }
}

/// Gives back what a hold past its expiry still holds; any other reservation is left as it is.
pub(super) fn close_lapsed(world: &mut World<'_>, id: Uuid) {
    if world.reservation(id).is_some_and(|r| r.has_lapsed(world.now)) {
        close_held(world, HOUSE, id, Back::Expired, "expired");
    }
}

/// Makes a lapsed hold let go of its client reference, which stands in the index until the hold is closed.
pub(super) fn close_lapsed_holder(world: &mut World<'_>, client: ClientId, reference: Option<&str>) {
    if let Some(holder) = reference.and_then(|reference| world.holder_of(client, reference)).map(|r| r.id.uuid) {
        close_lapsed(world, holder);
    }
}
