//! `hold`: all or nothing over its lines, unless partial is allowed; a refusal lists everything at once.

use std::collections::{BTreeSet, HashMap};

use chrono::TimeDelta;

use super::claim::{self, Back, Need};
use super::pieces::{self, Piece};
use crate::catalog::Policy;
use crate::ids::{ClientId, SkuId};
use crate::ledger::command::{Hold, SUPERSEDED};
use crate::ledger::outcome::{Outcome, Refusal, Rule, Shortfall, Violation};
use crate::ledger::world::World;
use crate::reservations::state::{Line, Origin, Reservation, State};
use crate::reservations::variants::Variant;

pub(super) fn decide(world: &mut World<'_>, client: ClientId, hold: &Hold) -> Outcome {
    match check(world, client, hold) {
        Ok(granted) => Outcome::Held(Box::new(take(world, client, hold, granted))),
        Err(refusal) => Outcome::Refused(refusal),
    }
}

/// What a hold may take, all checks passed.
struct Grant {
    lines: Vec<(Line, Policy)>,
    variants: Vec<Variant>,
    needs: Vec<Need>,
    ttl_seconds: i64,
    longest_seconds: i64,
}

fn check(world: &mut World<'_>, client: ClientId, hold: &Hold) -> Result<Grant, Refusal> {
    let pieces = pieces::resolve(world.catalogue, hold)?;
    let (ttl_seconds, longest_seconds) = ttl(world, &pieces, hold.ttl_seconds)?;
    let needs = sum_up(&pieces)?;
    check_opening_counts(world, &pieces)?;
    let given_back = check_superseded(world, client, hold)?;
    check_reference(world, client, hold)?;
    let short = claim::shortfalls(world, &needs, &given_back);
    let refuse = |shortfalls: Vec<Shortfall>| {
        let variants = pieces::short_variants(hold, &pieces, &shortfalls);
        Err(Refusal::InsufficientStock { shortfalls, variants })
    };
    if !hold.allow_partial && !short.is_empty() {
        return refuse(short);
    }
    let mut left: HashMap<SkuId, i64> = needs.iter().map(|need| (need.sku, need.quantity)).collect();
    for shortfall in &short {
        left.insert(shortfall.sku, shortfall.reservable.max(0));
    }
    let granted = pieces::grant(&pieces, left);
    // A cart in which nothing has stock has nothing to be short of.
    if !pieces.is_empty() && granted.iter().all(|units| *units == 0) {
        return refuse(short);
    }
    let line = |(piece, units): (&Piece, i64)| {
        (Line::held(piece.line, piece.sku.id, piece.sku.tracked, piece.units(), units), piece.policy)
    };
    let mut lines: Vec<(Line, Policy)> = pieces.iter().zip(granted).map(line).collect();
    lines.sort_unstable_by_key(|(line, _)| line.line);
    Ok(Grant { lines, variants: pieces::variants(hold, &pieces), needs, ttl_seconds, longest_seconds })
}

/// The shortest line wins, for the default and for the limit. Where nothing has stock the standard class decides.
fn ttl(world: &World<'_>, pieces: &[Piece], wanted: Option<i64>) -> Result<(i64, i64), Refusal> {
    let shortest = |of: fn(&Policy) -> i64| {
        let of_pieces = pieces.iter().map(|piece| of(&piece.policy)).min();
        of_pieces.or_else(|| world.catalogue.standard_policy().map(of)).unwrap_or(1)
    };
    let longest = shortest(|policy| policy.longest_hold_seconds);
    let ttl = wanted.unwrap_or_else(|| shortest(|policy| policy.hold_ttl_seconds)).max(1);
    if wanted.is_some() && ttl > longest {
        let rule = Rule::TtlAboveLongest { longest_seconds: longest };
        return Err(Refusal::Unprocessable(vec![Violation { pointer: "/ttl_seconds".to_owned(), rule }]));
    }
    Ok((ttl.min(longest), longest))
}

fn sum_up(pieces: &[Piece]) -> Result<Vec<Need>, Refusal> {
    let mut all = Vec::new();
    for piece in pieces {
        claim::add_need(&mut all, piece.sku.id, piece.policy, piece.asked, piece.units());
    }
    let code = |sku: SkuId| pieces.iter().find(|piece| piece.sku.id == sku).map(|piece| piece.sku.code.to_string());
    let violations: Vec<Violation> = all
        .iter()
        .filter(|need| need.quantity > need.policy.max_per_hold_quantity)
        .map(|need| {
            let rule = Rule::AboveMaxPerHold {
                sku: code(need.sku).unwrap_or_default(),
                requested: need.quantity,
                max: need.policy.max_per_hold_quantity,
            };
            Violation { pointer: pieces::pointer(need.lines[0], "quantity"), rule }
        })
        .collect();
    if !violations.is_empty() {
        return Err(Refusal::Unprocessable(violations));
    }
    all.retain(|need| pieces.iter().any(|piece| piece.sku.id == need.sku && piece.sku.tracked));
    Ok(all)
}

fn check_opening_counts(world: &World<'_>, pieces: &[Piece]) -> Result<(), Refusal> {
    let frozen: BTreeSet<SkuId> = pieces
        .iter()
        .filter(|piece| piece.sku.tracked && world.needs_opening_count(&piece.sku))
        .map(|piece| piece.sku.id)
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
        variants: grant.variants,
    };
    world.make(reservation.clone());
    reservation
}
