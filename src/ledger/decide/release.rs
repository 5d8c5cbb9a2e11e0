//! `release` and `expire`: never refused for stock reasons, safe to repeat.

use super::claim::{self, Back};
use crate::ids::{ClientId, ReservationId};
use crate::ledger::command::{LineQuantity, ORDER_CANCELED, Release};
use crate::ledger::outcome::{Exceeded, Outcome, Refusal, Rule, Violation};
use crate::ledger::world::World;
use crate::reservations::state::{Reservation, State};

pub(super) fn decide(world: &mut World<'_>, client: ClientId, release: &Release) -> Outcome {
    let Some(reservation) = world.reservation(release.id.uuid).cloned() else {
        return Outcome::Refused(Refusal::ReservationNotFound(release.id));
    };
    let canceled = release.reason.as_deref() == Some(ORDER_CANCELED);
    let lapsed = reservation.has_lapsed(world.now);
    let state = reservation.state_at(world.now);
    match state {
        State::Committed if !canceled => {
            return invalid(&reservation, state, "an order owns it; use reason order_canceled");
        }
        State::Fulfilled => return invalid(&reservation, state, "it has shipped; record a return"),
        _ => {}
    }
    let plan = match plan(&without_lapsed(reservation, lapsed), release, canceled) {
        Ok(plan) if !state.is_terminal() => plan,
        Err(refusal) if !state.is_terminal() => return Outcome::Refused(refusal),
        _ => Vec::new(),
    };
    claim::close_lapsed(world, release.id.uuid);
    let reason = release.reason.as_deref().unwrap_or("released");
    for (line, held, committed) in plan {
        claim::give_back(world, client, release.id.uuid, line, held, Back::Released, reason);
        claim::cancel(world, client, release.id.uuid, line, committed, reason);
    }
    let now = world.now;
    if let Some(reservation) = world.edit(release.id.uuid) {
        reservation.settle(State::Released, reason, now);
    }
    current(world, release.id)
}

/// Closes a hold that is past its expiry; anything else is left as it is.
pub(super) fn expire(world: &mut World<'_>, id: ReservationId) -> Outcome {
    claim::close_lapsed(world, id.uuid);
    current(world, id)
}

/// The reservation as it will be once its lapsed units have gone back.
fn without_lapsed(mut reservation: Reservation, lapsed: bool) -> Reservation {
    for line in reservation.lines.iter_mut().filter(|_| lapsed) {
        line.expired += std::mem::take(&mut line.held);
    }
    reservation
}

/// Per line: held units to give back, committed units to cancel.
fn plan(reservation: &Reservation, release: &Release, canceled: bool) -> Result<Vec<(i16, i64, i64)>, Refusal> {
    let Some(named) = &release.lines else {
        let all = reservation.lines.iter();
        return Ok(all.map(|line| (line.line, line.held, if canceled { line.cancellable() } else { 0 })).collect());
    };
    let mut plan = Vec::with_capacity(named.len());
    let mut exceeded = Vec::new();
    for LineQuantity { line, quantity } in named_lines(reservation, named)? {
        let Some(own) = reservation.lines.iter().find(|own| own.line == line) else { continue };
        let cancellable = if canceled { own.cancellable() } else { 0 };
        if quantity > own.held + cancellable {
            exceeded.push(Exceeded { line, requested: quantity, held: own.held, committed: own.committed });
        }
        let held = quantity.min(own.held);
        plan.push((line, held, quantity - held));
    }
    if exceeded.is_empty() { Ok(plan) } else { Err(Refusal::ExceedsHeld { id: release.id, lines: exceeded }) }
}

/// The named lines, or every name that the reservation does not have.
pub(super) fn named_lines(reservation: &Reservation, named: &[LineQuantity]) -> Result<Vec<LineQuantity>, Refusal> {
    let violations: Vec<Violation> = named
        .iter()
        .enumerate()
        .filter(|(_, wanted)| !reservation.lines.iter().any(|own| own.line == wanted.line))
        .map(|(index, wanted)| Violation {
            pointer: format!("/lines/{index}/line"),
            rule: Rule::UnknownLine(wanted.line),
        })
        .collect();
    if violations.is_empty() { Ok(named.to_vec()) } else { Err(Refusal::Unprocessable(violations)) }
}

fn current(world: &World<'_>, id: ReservationId) -> Outcome {
    match world.reservation(id.uuid) {
        Some(reservation) => Outcome::Current { reservation: Box::new(reservation.clone()), reclaimed: false },
        None => Outcome::Refused(Refusal::ReservationNotFound(id)),
    }
}

fn invalid(reservation: &Reservation, state: State, hint: &'static str) -> Outcome {
    Outcome::Refused(Refusal::InvalidTransition { id: reservation.id, state, action: "released", hint })
}
