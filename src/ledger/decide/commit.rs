//! `commit`: an order takes held units. One order per reservation; repeating it is a no-op; after expiry it is a new
//! claim, unless an extension has made that claim already: then the order takes the extension's units.

use std::collections::HashMap;

use super::claim::{self, Back};
use super::demand;
use super::release::named_lines;
use crate::ids::ClientId;
use crate::ledger::command::{Commit, OnShortage, Remainder};
use crate::ledger::entry::LineRef;
use crate::ledger::outcome::{Exceeded, Outcome, Refusal};
use crate::ledger::world::World;
use crate::reservations::state::{Line, Origin, Reservation, State};

pub(super) fn decide(world: &mut World<'_>, client: ClientId, commit: &Commit) -> Outcome {
    let Some(reservation) = world.reservation(commit.id.uuid).cloned() else {
        return Outcome::Refused(Refusal::ReservationNotFound(commit.id));
    };
    if reservation.order_ref.as_deref().is_some_and(|own| !is_one_order(world, own, &commit.order_ref)) {
        return Outcome::Refused(conflict(&reservation));
    }
    let handed_over = reservation.lines.iter().any(|line| line.superseded > 0);
    let outcome = match reservation.state_at(world.now) {
        State::Held => on_time(world, client, commit, &reservation),
        State::Expired => match world.successor(commit.id.uuid, Origin::Extension).cloned() {
            Some(extension) => extended(world, client, commit, &extension),
            // The order has claimed for itself what its checkout let lapse.
            None if let Some(claim) = demand::own_claim(world, &commit.order_ref) => {
                return Outcome::Current { reservation: Box::new(claim), reclaimed: true };
            }
            None => late(world, client, commit, &reservation),
        },
        State::Released if handed_over => late(world, client, commit, &reservation),
        // What a partial commit kept may have expired since; the order can still ask for it.
        State::Committed | State::Fulfilled if wants_lapsed(commit, &reservation) => {
            late(world, client, commit, &reservation)
        }
        State::Committed | State::Fulfilled => repeated(commit, &reservation),
        state => Err(Refusal::InvalidTransition {
            id: commit.id,
            state,
            action: "committed",
            hint: "its units went back; make a new reservation",
        }),
    };
    let outcome = outcome.unwrap_or_else(Outcome::Refused);
    if let Outcome::Current { reservation, .. } = &outcome {
        demand::make_way(world, client, reservation.id.uuid, &commit.order_ref);
    }
    outcome
}

/// Whether two names are one order's: its id and what people call it.
fn is_one_order(world: &World<'_>, one: &str, other: &str) -> bool {
    one == other || world.demand_called(other).is_some_and(|demand| demand.is_called(one))
}

/// The hold was extended after it had expired: its units are those of the extension. An extension that has itself lapsed
/// must be named, for who took over from that one is not known here, and the units would be claimed twice.
fn extended(
    world: &mut World<'_>,
    client: ClientId,
    commit: &Commit,
    extension: &Reservation,
) -> Result<Outcome, Refusal> {
    if extension.order_ref.as_deref().is_some_and(|order_ref| order_ref != commit.order_ref) {
        return Err(conflict(extension));
    }
    let commit = Commit { id: extension.id, ..commit.clone() };
    let done = match extension.state_at(world.now) {
        State::Held => on_time(world, client, &commit, extension),
        State::Committed | State::Fulfilled if !wants_lapsed(&commit, extension) => repeated(&commit, extension),
        state => Err(Refusal::InvalidTransition {
            id: extension.id,
            state,
            action: "committed through the hold that it extends",
            hint: "name it itself",
        }),
    }?;
    match done {
        Outcome::Current { reservation, .. } => Ok(Outcome::Current { reservation, reclaimed: true }),
        other => Ok(other),
    }
}

fn line_of(reservation: &Reservation, number: i16) -> Option<&Line> {
    reservation.lines.iter().find(|line| line.line == number)
}

/// What the order owns of each line in the end, cancelled units counted: `(line, target)`. No target may lie beyond
/// what `available` says its line can come to, nor take back what the order owns.
fn targets<'r>(
    commit: &Commit,
    reservation: &'r Reservation,
    available: impl Fn(&Line) -> i64,
) -> Result<Vec<(&'r Line, i64)>, Refusal> {
    let Some(named) = &commit.lines else {
        return Ok(reservation.lines.iter().map(|line| (line, available(line))).collect());
    };
    let targets: Vec<(&Line, i64)> = named_lines(reservation, named)?
        .into_iter()
        .filter_map(|named| Some((line_of(reservation, named.line)?, named.quantity)))
        .collect();
    let exceeded = |(line, target): &(&Line, i64)| {
        let Line { line: number, held, committed, .. } = **line;
        (*target > available(line)).then_some(Exceeded { line: number, requested: *target, held, committed })
    };
    let lines: Vec<Exceeded> = targets.iter().filter_map(exceeded).collect();
    if !lines.is_empty() {
        return Err(Refusal::ExceedsHeld { id: commit.id, lines });
    }
    if targets.iter().any(|(line, target)| *target < line.committed) { Err(fewer(reservation)) } else { Ok(targets) }
}

fn fewer(reservation: &Reservation) -> Refusal {
    Refusal::InvalidTransition {
        id: reservation.id,
        state: reservation.state,
        action: "committed with fewer units",
        hint: "release the difference with reason order_canceled",
    }
}

fn on_time(
    world: &mut World<'_>,
    client: ClientId,
    commit: &Commit,
    reservation: &Reservation,
) -> Result<Outcome, Refusal> {
    let takes: Vec<(i16, i64)> = targets(commit, reservation, |line| line.ordered() + line.held)?
        .into_iter()
        .map(|(line, target)| (line.line, (target - line.ordered()).max(0)))
        .collect();
    let repeats = reservation.committed_at.is_some() && takes.iter().all(|(_, units)| *units == 0);
    for (number, units) in takes {
        claim::commit_units(world, client, &commit.order_ref, commit.id.uuid, number, units);
    }
    // Where nothing has stock there is nothing to give back, and the order takes it as it is.
    if commit.remainder == Remainder::Release && !repeats && !reservation.lines.is_empty() {
        claim::close_held(world, client, commit.id.uuid, Back::Released, "remainder");
    }
    let now = world.now;
    if let Some(reservation) = world.edit(commit.id.uuid) {
        reservation.mark_committed(&commit.order_ref, now);
        reservation.settle(State::Released, closing_reason(reservation), now);
    }
    current(world, commit, false)
}

/// Why a commit closes a reservation: what the order did not take went back, or nothing that was asked for has stock.
fn closing_reason(reservation: &Reservation) -> &'static str {
    if reservation.lines.is_empty() { "fulfilled" } else { "released" }
}

/// The same order again: a no-op for the same quantities, a refusal for others.
fn repeated(commit: &Commit, reservation: &Reservation) -> Result<Outcome, Refusal> {
    targets(commit, reservation, Line::ordered)?;
    Ok(Outcome::Current { reservation: Box::new(reservation.clone()), reclaimed: false })
}

/// The same late order again, told by the claim that was made for it.
fn repeated_late(commit: &Commit, reservation: &Reservation, successor: &Reservation) -> Result<Outcome, Refusal> {
    if successor.order_ref.as_deref() != Some(commit.order_ref.as_str()) {
        return Err(conflict(successor));
    }
    let of = |line: &Line| line_of(successor, line.line);
    let targets = targets(commit, reservation, |line| line.ordered() + of(line).map_or(0, Line::ordered))?;
    if targets.iter().any(|(line, target)| of(line).is_some_and(|own| target - line.ordered() < own.committed)) {
        return Err(fewer(successor));
    }
    Ok(Outcome::Current { reservation: Box::new(successor.clone()), reclaimed: true })
}

/// Whether the order asks for units that were kept for it and have lapsed: by name, or as everything there is.
fn wants_lapsed(commit: &Commit, reservation: &Reservation) -> bool {
    let lapsed = |line: &Line| reclaimable(reservation, line) > 0;
    match &commit.lines {
        None => reservation.lines.iter().any(lapsed),
        Some(named) => named.iter().any(|wanted| {
            line_of(reservation, wanted.line).is_some_and(|own| lapsed(own) && wanted.quantity > own.ordered())
        }),
    }
}

/// Units of a line that lapsed, or were handed over to a newer reservation, and that a late commit may claim again.
/// What was given back before that stays given back.
fn reclaimable(reservation: &Reservation, line: &Line) -> i64 {
    if reservation.state == State::Released { line.superseded } else { line.held + line.expired }
}

/// Payment after expiry: the units are claimed again, as a new reservation, or the shortage is told.
fn late(
    world: &mut World<'_>,
    client: ClientId,
    commit: &Commit,
    reservation: &Reservation,
) -> Result<Outcome, Refusal> {
    if let Some(successor) = world.successor(commit.id.uuid, Origin::LateCommit) {
        return repeated_late(commit, reservation, successor);
    }
    let wants: Vec<(&Line, i64)> =
        targets(commit, reservation, |line| line.ordered() + reclaimable(reservation, line))?
            .into_iter()
            .map(|(line, target)| (line, target - line.ordered()))
            .filter(|(_, units)| *units > 0)
            .collect();
    let needs = claim::needs_of(world, wants.iter().map(|(line, units)| (*line, *units)));
    // Its own lapsed units are among the due holds; they count as room.
    let short = claim::shortfalls(world, &needs, &HashMap::new());
    if !short.is_empty() && commit.on_shortage == OnShortage::Refuse {
        return Err(Refusal::HoldExpired { id: commit.id, expired_at: reservation.expires_at, shortfalls: short });
    }
    claim::close_lapsed(world, commit.id.uuid);
    claim::close_lapsed_holder(world, reservation.client, reservation.client_reference.as_deref());
    for need in &needs {
        world.cover(need.sku, &need.policy, need.quantity);
    }
    let mut successor = successor(world, commit, reservation, &wants);
    successor.settle(State::Released, closing_reason(&successor), world.now);
    for line in successor.lines.iter().filter(|line| line.tracked) {
        claim_late(world, client, commit, line, short.is_empty());
    }
    world.make(successor.clone());
    Ok(Outcome::Current { reservation: Box::new(successor), reclaimed: true })
}

fn successor(world: &World<'_>, commit: &Commit, reservation: &Reservation, wants: &[(&Line, i64)]) -> Reservation {
    let free = |reference: &String| world.holder_of(reservation.client, reference).is_none();
    let line = |(line, units): &(&Line, i64)| Line {
        committed: *units,
        held: 0,
        ..Line::held(line.line, line.sku, line.tracked, *units, *units)
    };
    Reservation {
        id: commit.successor_id,
        client: reservation.client,
        state: State::Committed,
        origin: Origin::LateCommit,
        client_reference: reservation.client_reference.clone().filter(free),
        owner: reservation.owner.clone(),
        order_ref: Some(commit.order_ref.clone()),
        metadata: reservation.metadata.clone(),
        replaces: Some(commit.id),
        created_at: world.now,
        expires_at: world.now,
        max_expires_at: world.now,
        committed_at: Some(world.now),
        closed_at: None,
        closed_reason: None,
        lines: wants.iter().map(line).collect(),
        variants: reservation.variants.clone(),
    }
}

/// Covered units pass through a hold, so that its check stands on the ledger row; a backorder is a bare claim.
fn claim_late(world: &mut World<'_>, client: ClientId, commit: &Commit, line: &Line, covered: bool) {
    let reference = LineRef { reservation: commit.successor_id.uuid, line: line.line };
    let policy = world.catalogue.sku(line.sku).and_then(|sku| world.catalogue.policy(sku)).copied();
    match policy.filter(|_| covered) {
        Some(policy) => {
            let held = Line { held: line.committed, committed: 0, ..line.clone() };
            claim::post_hold(world, client, commit.successor_id, &held, &policy);
            claim::post_commit(world, client, line.sku, reference, line.committed, true);
        }
        None => claim::post_claim(world, client, commit.successor_id, line, Some("backorder")),
    }
}

fn current(world: &World<'_>, commit: &Commit, reclaimed: bool) -> Result<Outcome, Refusal> {
    match world.reservation(commit.id.uuid) {
        Some(reservation) => Ok(Outcome::Current { reservation: Box::new(reservation.clone()), reclaimed }),
        None => Err(Refusal::ReservationNotFound(commit.id)),
    }
}

fn conflict(reservation: &Reservation) -> Refusal {
    Refusal::OrderRefConflict { id: reservation.id, order_ref: reservation.order_ref.clone().unwrap_or_default() }
}
