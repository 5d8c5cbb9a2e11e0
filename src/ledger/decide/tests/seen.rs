//! What the core and the reference are compared by: reservations as a reader sees them now, and outcomes by name.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::reference::{Cart, Claim, Verdict};
use crate::ids::{ClientId, SkuId};
use crate::ledger::outcome::{Outcome, Refusal, Shortfall};
use crate::reservations::state::{Line, Origin, Reservation, State};

/// A reservation as a reader sees it.
#[derive(Debug, PartialEq)]
pub(super) struct Seen {
    client: ClientId,
    state: State,
    origin: Origin,
    replaces: Option<Uuid>,
    reference: Option<String>,
    owner: Option<String>,
    order: Option<String>,
    expires_at: DateTime<Utc>,
    latest: DateTime<Utc>,
    /// SKU, requested, short, held, committed, released, handed over, expired, cancelled.
    lines: BTreeMap<i16, [i64; 9]>,
}

/// What is due counts as expired.
pub(super) fn seen(r: &Reservation, now: DateTime<Utc>) -> Seen {
    let quantities = |line: &Line| {
        let (held, expired) = if r.has_lapsed(now) { (0, line.expired + line.held) } else { (line.held, line.expired) };
        let Line { sku, requested, short, committed, released, superseded, cancelled, .. } = *line;
        (line.line, [sku.0, requested, short, held, committed, released, superseded, expired, cancelled])
    };
    Seen {
        client: r.client,
        state: r.state_at(now),
        origin: r.origin,
        replaces: r.replaces.map(|id| id.uuid),
        reference: r.client_reference.clone(),
        owner: r.owner.clone(),
        order: r.order_ref.clone(),
        expires_at: r.expires_at,
        latest: r.max_expires_at,
        lines: r.lines.iter().map(quantities).collect(),
    }
}

pub(super) fn of_cart(cart: &Cart) -> Seen {
    Seen {
        client: cart.client,
        state: cart.state(),
        origin: cart.origin,
        replaces: cart.replaces,
        reference: cart.reference.clone(),
        owner: cart.owner.clone(),
        order: cart.order.clone(),
        expires_at: cart.expires_at,
        latest: cart.latest,
        lines: cart.claims.iter().map(|claim| (claim.line, quantities(claim))).collect(),
    }
}

fn quantities(claim: &Claim) -> [i64; 9] {
    let Claim { sku, asked, short, held, committed, released, handed_over, expired, cancelled, .. } = *claim;
    [sku.0, asked, short, held, committed, released, handed_over, expired, cancelled]
}

pub(super) fn verdict(outcome: &Outcome) -> Verdict {
    match outcome {
        Outcome::Held(reservation) => Verdict::Held(reservation.id.uuid),
        Outcome::Current { reservation, reclaimed } => Verdict::Shows(reservation.id.uuid, *reclaimed),
        Outcome::Received(received) => Verdict::Lot(received.lot.id.uuid, received.repeated.is_some()),
        Outcome::Counted { .. } => Verdict::Refused("counted", BTreeMap::new()),
        Outcome::Shipped(_)
        | Outcome::Returned(_)
        | Outcome::LotActed { .. }
        | Outcome::Recalled(_)
        | Outcome::LotsExpired
        | Outcome::Demanded(_) => {
            panic!("the reference keeps neither goods nor orders")
        }
        Outcome::Refused(refusal) => Verdict::Refused(name(refusal), short(refusal).iter().map(terms).collect()),
    }
}

fn terms(shortfall: &Shortfall) -> (SkuId, (i64, i64)) {
    (shortfall.sku, (shortfall.requested, shortfall.reservable))
}

pub(super) fn short(refusal: &Refusal) -> &[Shortfall] {
    match refusal {
        Refusal::InsufficientStock { shortfalls: short, .. } | Refusal::HoldExpired { shortfalls: short, .. } => short,
        _ => &[],
    }
}

fn name(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Unprocessable(_) => "unprocessable",
        Refusal::InsufficientStock { .. } => "insufficient_stock",
        Refusal::HoldExpired { .. } => "hold_expired",
        Refusal::ClientReferenceInUse { .. } => "client_reference_in_use",
        Refusal::ReservationNotFound(_) => "reservation_not_found",
        Refusal::InvalidTransition { .. } => "invalid_transition",
        Refusal::OrderRefConflict { .. } => "order_ref_conflict",
        Refusal::ExceedsHeld { .. } => "exceeds_held",
        Refusal::ExceedsLongestHold { .. } => "exceeds_longest_hold",
        Refusal::SupersedesOtherOwner(_) => "supersedes_other_owner",
        Refusal::AlreadySuperseded { .. } => "already_superseded",
        Refusal::OpeningCountRequired(_) => "opening_count_required",
        Refusal::OpeningCountNotDue(_) => "opening_count_not_due",
        _ => panic!("the reference keeps no goods"),
    }
}
