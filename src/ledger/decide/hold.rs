//! `hold`: all or nothing over its lines, unless partial is allowed; a refusal lists everything at once.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::TimeDelta;

use super::claim::{self, Back, Need};
use crate::catalog::{Policy, Sku, SkuStatus};
use crate::ids::{ClientId, SkuId};
use crate::ledger::command::{Hold, SUPERSEDED};
use crate::ledger::outcome::{Outcome, Refusal, Rule, Violation};
use crate::ledger::world::World;
use crate::reservations::state::{Line, Origin, Reservation, State};

pub(super) fn decide(world: &mut World<'_>, client: ClientId, hold: &Hold) -> Outcome {
    match check(world, client, hold) {
        Ok(granted) => Outcome::Held(Box::new(take(world, client, hold, granted))),
        Err(refusal) => Outcome::Refused(refusal),
    }
}

/// What a hold may take, all checks passed.
struct Grant {
    lines: Vec<(Line, Policy)>,
    needs: Vec<Need>,
    ttl_seconds: i64,
    longest_seconds: i64,
}

fn check(world: &mut World<'_>, client: ClientId, hold: &Hold) -> Result<Grant, Refusal> {
    let resolved = resolve(world, hold)?;
    let (ttl_seconds, longest_seconds) = ttl(&resolved, hold.ttl_seconds)?;
    let needs = sum_up(&resolved, hold)?;
    check_opening_counts(world, &resolved)?;
    let given_back = check_superseded(world, client, hold)?;
    check_reference(world, client, hold)?;
    let short = claim::shortfalls(world, &needs, &given_back);
    if !hold.allow_partial && !short.is_empty() {
        return Err(Refusal::InsufficientStock(short));
    }
    let mut left: HashMap<SkuId, i64> = needs.iter().map(|need| (need.sku, need.quantity)).collect();
    for shortfall in &short {
        left.insert(shortfall.sku, shortfall.reservable.max(0));
    }
    let lines: Vec<(Line, Policy)> = resolved
        .iter()
        .map(|(line, sku, policy, quantity)| {
            let granted = match left.get_mut(&sku.id) {
                Some(left) => {
                    let granted = (*left).min(*quantity);
                    *left -= granted;
                    granted
                }
                None => *quantity,
            };
            (Line::held(*line, sku.id, sku.tracked, *quantity, granted), *policy)
        })
        .collect();
    if lines.iter().all(|(line, _)| line.held == 0) {
        return Err(Refusal::InsufficientStock(short));
    }
    Ok(Grant { lines, needs, ttl_seconds, longest_seconds })
}

type Resolved = (i16, Arc<Sku>, Policy, i64);

fn resolve(world: &World<'_>, hold: &Hold) -> Result<Vec<Resolved>, Refusal> {
    let mut resolved = Vec::with_capacity(hold.lines.len());
    let mut violations = Vec::new();
    for (index, line) in hold.lines.iter().enumerate() {
        let found = world.catalogue.sku_by_code(&line.sku);
        let rule = match found.and_then(|sku| Some((sku, world.catalogue.policy(sku)?))) {
            None => Rule::UnknownSku(line.sku.to_string()),
            Some((sku, _)) if sku.status == SkuStatus::Retired => Rule::RetiredSku(line.sku.to_string()),
            Some((sku, policy)) => {
                resolved.push((line.line, Arc::clone(sku), *policy, line.quantity));
                continue;
            }
        };
        violations.push(Violation { pointer: format!("/lines/{index}/sku"), rule });
    }
    if violations.is_empty() { Ok(resolved) } else { Err(Refusal::Unprocessable(violations)) }
}

/// The shortest line wins, for the default and for the limit.
fn ttl(resolved: &[Resolved], wanted: Option<i64>) -> Result<(i64, i64), Refusal> {
    let shortest = |of: fn(&Policy) -> i64| resolved.iter().map(|(_, _, policy, _)| of(policy)).min().unwrap_or(1);
    let longest = shortest(|policy| policy.longest_hold_seconds);
    let ttl = wanted.unwrap_or_else(|| shortest(|policy| policy.hold_ttl_seconds)).max(1);
    if wanted.is_some() && ttl > longest {
        let rule = Rule::TtlAboveLongest { longest_seconds: longest };
        return Err(Refusal::Unprocessable(vec![Violation { pointer: "/ttl_seconds".to_owned(), rule }]));
    }
    Ok((ttl.min(longest), longest))
}

fn sum_up(resolved: &[Resolved], hold: &Hold) -> Result<Vec<Need>, Refusal> {
    let mut all = Vec::new();
    for (line, sku, policy, quantity) in resolved {
        claim::add_need(&mut all, sku.id, *policy, *line, *quantity);
    }
    let violations: Vec<Violation> = all
        .iter()
        .filter(|need| need.quantity > need.policy.max_per_hold_quantity)
        .map(|need| {
            let index = hold.lines.iter().position(|line| line.line == need.lines[0]).unwrap_or(0);
            let rule = Rule::AboveMaxPerHold {
                sku: hold.lines[index].sku.to_string(),
                requested: need.quantity,
                max: need.policy.max_per_hold_quantity,
            };
            Violation { pointer: format!("/lines/{index}/quantity"), rule }
        })
        .collect();
    if !violations.is_empty() {
        return Err(Refusal::Unprocessable(violations));
    }
    all.retain(|need| resolved.iter().any(|(_, sku, ..)| sku.id == need.sku && sku.tracked));
    Ok(all)
}

fn check_opening_counts(world: &World<'_>, resolved: &[Resolved]) -> Result<(), Refusal> {
    let frozen: BTreeSet<SkuId> = resolved
        .iter()
        .filter(|(_, sku, ..)| sku.tracked && world.needs_opening_count(sku))
        .map(|(_, sku, ..)| sku.id)
        .collect();
    if frozen.is_empty() { Ok(()) } else { Err(Refusal::OpeningCountRequired(frozen.into_iter().collect())) }
}

/// Units that the superseded reservation hands over.
fn check_superseded(world: &World<'_>, client: ClientId, hold: &Hold) -> Result<HashMap<SkuId, i64>, Refusal> {
    let mut back = HashMap::new();
    let Some(id) = hold.supersedes else { return Ok(back) };
    let Some(older) = world.reservation(id.uuid) else {
        let rule = Rule::UnknownReservation(id.to_string());
        return Err(Refusal::Unprocessable(vec![Violation { pointer: "/supersedes".to_owned(), rule }]));
    };
    if older.client != client || older.owner != hold.owner {
        return Err(Refusal::SupersedesOtherOwner(id));
    }
    if let Some(successor) = world.successor(id.uuid, Origin::Supersede) {
        return Err(Refusal::AlreadySuperseded { id, successor: successor.id });
    }
    match older.state_at(world.now) {
        State::Held if older.committed_at.is_none() => {
            for line in older.lines.iter().filter(|line| line.tracked) {
                *back.entry(line.sku).or_insert(0) += line.held;
            }
            Ok(back)
        }
        State::Released | State::Expired => Ok(back),
        state => Err(Refusal::InvalidTransition {
            id,
            state,
            action: "superseded",
            hint: "an order owns it; cancel the order instead",
        }),
    }
}

fn check_reference(world: &World<'_>, client: ClientId, hold: &Hold) -> Result<(), Refusal> {
    let Some(reference) = &hold.client_reference else { return Ok(()) };
    let Some(holder) = world.holder_of(client, reference) else { return Ok(()) };
    let state = holder.state_at(world.now);
    let steps_aside = state == State::Expired || hold.supersedes == Some(holder.id);
    if steps_aside { Ok(()) } else { Err(Refusal::ClientReferenceInUse { existing: holder.id, state }) }
}

/// Past the checks: nothing below can fail.
fn take(world: &mut World<'_>, client: ClientId, hold: &Hold, grant: Grant) -> Reservation {
    claim::close_lapsed_holder(world, client, hold.client_reference.as_deref());
    if let Some(older) = hold.supersedes {
        claim::close_lapsed(world, older.uuid);
        claim::close_held(world, client, older.uuid, Back::HandedOver, SUPERSEDED);
    }
    for need in &grant.needs {
        let granted: i64 = grant.lines.iter().filter(|(line, _)| line.sku == need.sku).map(|(line, _)| line.held).sum();
        world.cover(need.sku, &need.policy, granted);
    }
    for (line, policy) in &grant.lines {
        claim::post_hold(world, client, hold.id, line, policy);
    }
    let reservation = Reservation {
        id: hold.id,
        client,
        state: State::Held,
        origin: if hold.supersedes.is_some() { Origin::Supersede } else { Origin::Checkout },
        client_reference: hold.client_reference.clone(),
        owner: hold.owner.clone(),
        order_ref: None,
        metadata: hold.metadata.clone(),
        replaces: hold.supersedes,
        created_at: world.now,
        expires_at: world.now + TimeDelta::seconds(grant.ttl_seconds),
        max_expires_at: world.now + TimeDelta::seconds(grant.longest_seconds),
        committed_at: None,
        closed_at: None,
        closed_reason: None,
        lines: grant.lines.into_iter().map(|(line, _)| line).collect(),
    };
    world.make(reservation.clone());
    reservation
}
