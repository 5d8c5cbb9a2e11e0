//! The one mapping from what the ledger decided to what is answered. Its bytes are stored under the idempotency key.

use std::sync::Arc;

use crate::availability::projection::Projection;
use crate::catalog::Catalogue;
use crate::http::code::Code;
use crate::http::problem::{About, ErrorItem, ExceededView, OtherPool, Problem, ShortfallView, VariantShortfallView};
use crate::ids::SkuId;
use crate::ledger::command::Command;
use crate::ledger::outcome::{
    Exceeded, ExceedsShipped, Outcome, Refusal, Rule, Shortfall, VariantShortfall, Violation,
};
use crate::ledger::submission::{Answer, Renderer, Scene, Submission};
use crate::lots::view::{CountedView, LotActedView, LotView, RecalledView};
use crate::mirror::demand::DemandedView;
use crate::reservations::view::ReservationView;
use crate::shipments::view::{ReturnView, ShipmentView};

/// Renders outcomes; looks up other pools in the projection.
pub struct Answers {
    /// Where other pools' stock is seen.
    pub projection: Arc<Projection>,
}

impl Renderer for Answers {
    fn outcome(&self, scene: &Scene<'_>, submission: &Submission, outcome: &Outcome) -> Answer {
        let catalogue = scene.catalogue;
        match outcome {
            Outcome::Held(reservation) => json(201, &ReservationView::of(catalogue, reservation, scene.now, false)),
            Outcome::Current { reservation, reclaimed } => {
                json(200, &ReservationView::of(catalogue, reservation, scene.now, *reclaimed))
            }
            Outcome::Received(received) => {
                let status = if received.repeated.is_some() { 200 } else { 201 };
                json(status, &LotView::of(catalogue, &received.lot, received.repeated.as_deref()))
            }
            Outcome::Counted { sku, balance, lot } => {
                json(201, &CountedView::of(catalogue, scene.pool, *sku, balance, lot.as_deref()))
            }
            Outcome::Shipped(shipped) => {
                // A void makes nothing, and neither does what was recorded before.
                let made = shipped.recorded && matches!(submission.command, Command::Ship(_));
                let repeated = !shipped.recorded;
                let view = ShipmentView::of(catalogue, &shipped.shipment, repeated, &shipped.differing);
                json(if made { 201 } else { 200 }, &view)
            }
            Outcome::Returned(returned) => {
                let view = ReturnView::of(catalogue, &returned.record, !returned.recorded, &returned.differing);
                json(if returned.recorded { 201 } else { 200 }, &view)
            }
            Outcome::LotActed { lot, quantity, repeated } => {
                json(200, &LotActedView::of(catalogue, lot, *quantity, *repeated))
            }
            Outcome::Recalled(lots) => json(200, &RecalledView::of(catalogue, lots)),
            Outcome::Demanded(demanded) => json(200, &DemandedView::of(catalogue, scene.pool, demanded)),
            Outcome::LotsExpired => json(200, &serde_json::json!({})),
            Outcome::Refused(refusal) => {
                let problem = self.problem(scene, refusal);
                Answer {
                    status: problem.code.status().as_u16(),
                    body: problem.body(&submission.request_id, &submission.instance).into(),
                    replayed: false,
                }
            }
        }
    }

    fn key_reused(&self, submission: &Submission) -> Answer {
        let problem = Problem::new(
            Code::IdempotencyKeyReused,
            "This Idempotency-Key belongs to another request. Use a new key for a new request.",
        );
        Answer {
            status: problem.code.status().as_u16(),
            body: problem.body(&submission.request_id, &submission.instance).into(),
            replayed: false,
        }
    }
}

fn json(status: u16, view: &impl serde::Serialize) -> Answer {
    Answer { status, body: serde_json::to_vec(view).unwrap_or_default().into(), replayed: false }
}

/// The code of a refusal; also its label in metrics.
#[must_use]
pub fn code_of(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::Unprocessable(violations) => Problem::listing(violations.iter().map(error_of).collect()).code,
        Refusal::InsufficientStock { .. } => Code::InsufficientStock,
        Refusal::HoldExpired { .. } => Code::HoldExpired,
        Refusal::ClientReferenceInUse { .. } => Code::ClientReferenceInUse,
        Refusal::ReservationNotFound(_) => Code::ReservationNotFound,
        Refusal::InvalidTransition { .. } => Code::InvalidStateTransition,
        Refusal::OrderRefConflict { .. } => Code::OrderRefConflict,
        Refusal::ExceedsHeld { .. } => Code::ExceedsHeld,
        Refusal::ExceedsLongestHold { .. } => Code::ExceedsLongestHold,
        Refusal::SupersedesOtherOwner(_) => Code::SupersedesOtherOwner,
        Refusal::AlreadySuperseded { .. } => Code::AlreadySuperseded,
        Refusal::OpeningCountRequired(_) => Code::OpeningCountRequired,
        Refusal::OpeningCountNotDue(_) => Code::OpeningCountNotDue,
        Refusal::ShipmentNotFound(_) => Code::ShipmentNotFound,
        Refusal::UnknownShipmentLines(_) => Code::UnknownShipmentLine,
        Refusal::ShipmentReturned(..) => Code::ShipmentReturned,
        Refusal::ExceedsShipped(_) => Code::ExceedsShipped,
        Refusal::LotNotFound(_) => Code::LotNotFound,
        Refusal::ExceedsLot { .. } => Code::ExceedsLot,
        Refusal::LotExpired(_) => Code::LotExpired,
    }
}

impl Answers {
    fn problem(&self, scene: &Scene<'_>, refusal: &Refusal) -> Problem {
        let code = code_of(refusal);
        let plain = |detail: String| Problem::new(code, detail);
        match refusal {
            Refusal::Unprocessable(violations) => Problem::listing(violations.iter().map(error_of).collect()),
            Refusal::InsufficientStock { shortfalls, variants } => Problem {
                variants: variants.iter().map(short_variant_of).collect(),
                ..self.with_shortfalls(
                    scene,
                    plain("Nothing was held. A new Idempotency-Key asks again.".to_owned()),
                    shortfalls,
                )
            },
            Refusal::HoldExpired { id, expired_at, shortfalls } => {
                let detail = format!("The hold expired at {expired_at:?} and its units are gone.");
                let about = About { expired_at: Some(*expired_at), ..About::id(id) };
                self.with_shortfalls(scene, plain(detail).about(about), shortfalls)
            }
            Refusal::ClientReferenceInUse { existing, state } => {
                let detail = format!("{existing} carries this client_reference. Commit, release or supersede it.");
                plain(detail).about(About { state: Some(*state), ..About::id(existing) })
            }
            Refusal::ReservationNotFound(id) => plain(format!("There is no reservation \"{id}\".")),
            Refusal::InvalidTransition { id, state, action, hint } => {
                let detail = format!("A reservation that is {} cannot be {action}: {hint}.", state.as_str());
                plain(detail).about(About { state: Some(*state), ..About::id(id) })
            }
            Refusal::OrderRefConflict { id, order_ref } => plain(format!("It belongs to order {order_ref:?}."))
                .about(About { order_ref: Some(order_ref.clone()), ..About::id(id) }),
            Refusal::ExceedsHeld { id, lines } => Problem {
                lines: lines.iter().map(exceeded_of).collect(),
                ..plain("A line names more units than it has; nothing was done.".to_owned()).about(About::id(id))
            },
            Refusal::ExceedsLongestHold { id, max_expires_at } => {
                plain(format!("The hold may last until {max_expires_at:?} at the latest."))
                    .about(About { max_expires_at: Some(*max_expires_at), ..About::id(id) })
            }
            Refusal::SupersedesOtherOwner(id) => {
                plain("A reservation can be superseded by the same client for the same owner only.".to_owned())
                    .about(About::id(id))
            }
            Refusal::AlreadySuperseded { id, successor } => {
                plain(format!("{id} was superseded by {successor}.")).about(About::id(successor))
            }
            Refusal::OpeningCountRequired(skus) => plain(format!(
                "Tracking of {} was switched off and on: give an opening count first.",
                names(scene.catalogue, skus)
            )),
            Refusal::ShipmentNotFound(id) => plain(format!("There is no shipment \"{id}\".")),
            Refusal::UnknownShipmentLines(names) => Problem::listing(
                names
                    .iter()
                    .map(|name| {
                        let detail = format!("the shipment has no line {name:?}");
                        ErrorItem::at("/line_refs", Code::UnknownShipmentLine, detail)
                    })
                    .collect(),
            ),
            Refusal::ShipmentReturned(id, lines) => {
                plain(format!("Units of {id} have come back (lines {}); what came back did leave.", lines.join(", ")))
            }
            Refusal::ExceedsShipped(lines) => Problem {
                errors: lines.iter().map(exceeds_shipped).collect(),
                ..plain("More would come back than was shipped; nothing was done.".to_owned())
            },
            Refusal::LotNotFound(id) => plain(format!("There is no lot \"{id}\".")),
            Refusal::ExceedsLot { id, requested, present } => {
                plain(format!("{requested} units are asked for; {present} of {id} are there to be taken."))
            }
            Refusal::LotExpired(id) => plain(format!("{id} is past its expiry; write it off.")),
            Refusal::OpeningCountNotDue(sku) => plain(format!(
                "The shelf of {} is open; an opening count follows only when tracking is switched on again.",
                names(scene.catalogue, &[*sku])
            )),
        }
    }

    fn with_shortfalls(&self, scene: &Scene<'_>, problem: Problem, short: &[Shortfall]) -> Problem {
        let shortfalls = short.iter().map(|shortfall| self.shortfall(scene, shortfall)).collect();
        Problem { shortfalls, ..problem }
    }

    fn shortfall(&self, scene: &Scene<'_>, short: &Shortfall) -> ShortfallView {
        let available = short.reservable.max(0);
        ShortfallView {
            sku: scene.catalogue.sku_code(short.sku).to_string(),
            lines: short.lines.clone(),
            requested_quantity: short.requested,
            available_quantity: available,
            short_quantity: short.requested - available,
            on_hand_quantity: short.balance.on_hand,
            quarantined_quantity: short.balance.quarantined,
            committed_quantity: short.balance.committed,
            held_quantity: short.balance.held,
            safety_stock_quantity: short.safety_stock,
            oversell_tolerance_quantity: short.oversell_tolerance,
            next_hold_expires_at: short.next_hold_expires_at,
            other_pools: self.other_pools(scene, short),
        }
    }

    fn other_pools(&self, scene: &Scene<'_>, short: &Shortfall) -> Vec<OtherPool> {
        let mut others: Vec<OtherPool> = scene
            .catalogue
            .pools()
            .filter(|pool| pool.id != scene.pool)
            .filter_map(|pool| {
                let seen = self.projection.peek(pool.id, short.sku)?;
                let sku = scene.catalogue.sku(short.sku)?;
                let available = seen.balance.reservable(scene.catalogue.policy(sku)?);
                (available >= short.requested)
                    .then(|| OtherPool { pool: pool.code.clone(), available_quantity: available })
            })
            .collect();
        others.sort_unstable_by(|a, b| a.pool.cmp(&b.pool));
        others
    }
}

fn names(catalogue: &Catalogue, skus: &[SkuId]) -> String {
    skus.iter().map(|sku| catalogue.sku_code(*sku).to_string()).collect::<Vec<_>>().join(", ")
}

fn short_variant_of(short: &VariantShortfall) -> VariantShortfallView {
    VariantShortfallView {
        line: short.line,
        variant_id: short.variant_id,
        mapping_version: short.mapping_version,
        requested_quantity: short.requested,
        available_quantity: short.available,
    }
}

fn exceeded_of(exceeded: &Exceeded) -> ExceededView {
    ExceededView {
        line: exceeded.line,
        requested_quantity: exceeded.requested,
        held_quantity: exceeded.held,
        committed_quantity: exceeded.committed,
    }
}

fn exceeds_shipped(line: &ExceedsShipped) -> ErrorItem {
    let detail = format!("{} units would come back; {} can", line.requested, line.returnable);
    ErrorItem::at(format!("/lines/{}/quantity", line.index), Code::ExceedsShipped, detail)
}

/// A broken rule of the catalogue.
pub(crate) fn error_of(violation: &Violation) -> ErrorItem {
    let (code, detail) = match &violation.rule {
        Rule::UnknownSku(sku) => (Code::UnknownSku, format!("there is no SKU {sku:?}")),
        Rule::UnknownVariant(id) => {
            (Code::UnknownVariant, format!("nobody has said what variant {id} is; map it, or name its SKU"))
        }
        Rule::TooManyLines { lines, most } => {
            (Code::ValidationFailed, format!("come to {lines} SKUs with their kits; a cart may come to {most}"))
        }
        Rule::RetiredSku(sku) => (Code::SkuRetired, format!("{sku:?} is retired and takes no new holds")),
        Rule::UntrackedSku(sku) => (Code::SkuUntracked, format!("{sku:?} is untracked and has no stock")),
        Rule::AboveMaxPerHold { sku, requested, max } => (
            Code::QuantityAboveMaxPerHold,
            format!("{requested} units of {sku:?} are asked for; its class allows {max} in one hold"),
        ),
        Rule::TtlAboveLongest { longest_seconds } => {
            (Code::TtlAboveLongestHold, format!("may be {longest_seconds} seconds at most for this cart"))
        }
        Rule::UnknownReservation(id) => (Code::UnknownReservation, format!("there is no reservation {id:?}")),
        Rule::UnknownShipmentLine(line) => (Code::UnknownShipmentLine, format!("there is no shipment line {line:?}")),
        Rule::InTheFuture => (Code::InTheFuture, "lies in the future".to_owned()),
        Rule::UnknownCost => (Code::UnknownCost, "is required: no lot of this SKU tells a cost".to_owned()),
        Rule::UnknownLine(line) => (Code::UnknownLine, format!("the reservation has no line {line}")),
    };
    ErrorItem::at(violation.pointer.clone(), code, detail)
}
