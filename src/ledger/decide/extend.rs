//! `extend`: hold longer, never beyond the longest hold; after expiry it is a new claim and may be refused.

use std::collections::{BTreeSet, HashMap};

use chrono::TimeDelta;

use super::claim;
use crate::catalog::{Policy, SkuStatus};
use crate::ids::ClientId;
use crate::ledger::command::Extend;
use crate::ledger::outcome::{Outcome, Refusal, Rule, Violation};
use crate::ledger::world::World;
use crate::reservations::state::{Line, Origin, Reservation, State};

pub(super) fn decide(world: &mut World<'_>, client: ClientId, extend: &Extend) -> Outcome {
    let Some(reservation) = world.reservation(extend.id.uuid).cloned() else {
        return Outcome::Refused(Refusal::ReservationNotFound(extend.id));
    };
    let outcome = match reservation.state_at(world.now) {
        State::Held => on_time(world, extend, &reservation),
        State::Expired => late(world, client, extend, &reservation),
        state => Err(Refusal::InvalidTransition {
            id: extend.id,
            state,
            action: "extended",
            hint: "only a hold can be extended",
        }),
    };
    outcome.unwrap_or_else(Outcome::Refused)
}

fn on_time(world: &mut World<'_>, extend: &Extend, reservation: &Reservation) -> Result<Outcome, Refusal> {
    let latest = reservation.max_expires_at;
    let expires_at = match extend.ttl_seconds {
        Some(seconds) => world.now + TimeDelta::seconds(seconds),
        None => latest.min(world.now + TimeDelta::seconds(shortest(world, reservation, |p| p.hold_ttl_seconds))),
    };
    let spent = extend.ttl_seconds.is_none() && reservation.expires_at >= latest;
    if expires_at > latest || spent {
        return Err(Refusal::ExceedsLongestHold { id: extend.id, max_expires_at: latest });
    }
    let mut extended = reservation.clone();
    // An extension never shortens a hold.
    if expires_at > reservation.expires_at
        && let Some(own) = world.edit(extend.id.uuid)
    {
        own.expires_at = expires_at;
        extended = own.clone();
    }
    Ok(Outcome::Current { reservation: Box::new(extended), reclaimed: false })
}

fn shortest(world: &World<'_>, reservation: &Reservation, of: fn(&Policy) -> i64) -> i64 {
    let policies = reservation.lines.iter().filter_map(|line| {
        let sku = world.catalogue.sku(line.sku)?;
        world.catalogue.policy(sku).map(of)
    });
    policies.min().or_else(|| world.catalogue.standard_policy().map(of)).unwrap_or(1)
}

fn late(
    world: &mut World<'_>,
    client: ClientId,
    extend: &Extend,
    reservation: &Reservation,
) -> Result<Outcome, Refusal> {
    if let Some(successor) = world.successor(extend.id.uuid, Origin::Extension) {
        return Ok(Outcome::Current { reservation: Box::new(successor.clone()), reclaimed: true });
    }
    if let Some(successor) = world.successor(extend.id.uuid, Origin::LateCommit) {
        return Err(Refusal::InvalidTransition {
            id: successor.id,
            state: successor.state,
            action: "extended",
            hint: "an order took its units after it expired",
        });
    }
    let longest = shortest(world, reservation, |p| p.longest_hold_seconds);
    let ttl = extend.ttl_seconds.unwrap_or_else(|| shortest(world, reservation, |p| p.hold_ttl_seconds).min(longest));
    check_catalogue(world, reservation, ttl, longest)?;
    let wants = |line: &Line| line.held + line.expired;
    let needs = claim::needs_of(world, reservation.lines.iter().map(|line| (line, wants(line))));
    let short = claim::shortfalls(world, &needs, &HashMap::new());
    if !short.is_empty() {
        return Err(Refusal::HoldExpired { id: extend.id, expired_at: reservation.expires_at, shortfalls: short });
    }
    if let Some(reference) = &reservation.client_reference
        && let Some(holder) = world.holder_of(reservation.client, reference)
        && holder.state_at(world.now) != State::Expired
    {
        return Err(Refusal::ClientReferenceInUse { existing: holder.id, state: holder.state_at(world.now) });
    }
    claim::close_lapsed(world, extend.id.uuid);
    claim::close_lapsed_holder(world, reservation.client, reservation.client_reference.as_deref());
    for need in &needs {
        world.cover(need.sku, &need.policy, need.quantity);
    }
    let lines: Vec<Line> = reservation
        .lines
        .iter()
        .filter(|line| wants(line) > 0)
        .map(|line| Line::held(line.line, line.sku, line.tracked, wants(line), wants(line)))
        .collect();
    for line in &lines {
        let policy = world.catalogue.sku(line.sku).and_then(|sku| world.catalogue.policy(sku)).copied();
        if let Some(policy) = policy {
            claim::post_hold(world, client, extend.successor_id, line, &policy);
        }
    }
    let successor = Reservation {
        id: extend.successor_id,
        state: State::Held,
        origin: Origin::Extension,
        replaces: Some(extend.id),
        created_at: world.now,
        expires_at: world.now + TimeDelta::seconds(ttl),
        max_expires_at: world.now + TimeDelta::seconds(longest),
        closed_at: None,
        closed_reason: None,
        lines,
        ..reservation.clone()
    };
    world.make(successor.clone());
    Ok(Outcome::Current { reservation: Box::new(successor), reclaimed: true })
}

/// A new claim follows the catalogue of today.
fn check_catalogue(world: &World<'_>, reservation: &Reservation, ttl: i64, longest: i64) -> Result<(), Refusal> {
    if ttl > longest {
        let rule = Rule::TtlAboveLongest { longest_seconds: longest };
        return Err(Refusal::Unprocessable(vec![Violation { pointer: "/ttl_seconds".to_owned(), rule }]));
    }
    let skus = || reservation.lines.iter().filter_map(|line| world.catalogue.sku(line.sku));
    if let Some(retired) = skus().find(|sku| sku.status == SkuStatus::Retired) {
        let rule = Rule::RetiredSku(retired.code.to_string());
        return Err(Refusal::Unprocessable(vec![Violation { pointer: String::new(), rule }]));
    }
    let frozen: BTreeSet<_> =
        skus().filter(|sku| sku.tracked && world.needs_opening_count(sku)).map(|sku| sku.id).collect();
    if frozen.is_empty() { Ok(()) } else { Err(Refusal::OpeningCountRequired(frozen.into_iter().collect())) }
}
