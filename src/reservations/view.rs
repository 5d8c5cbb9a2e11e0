//! Reservations as JSON.
//!
//! The answer of a command is kept for replay, so it leaves out who the cart belongs to: owner and metadata are only in
//! what is read (`GET`), where erasing a person reaches them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::catalog::Catalogue;
use crate::reservations::state::{Line, Origin, Reservation, State};
use crate::reservations::variants::{Variant, variant_of};

/// What a line is part of, where the request named a variant.
#[derive(Debug, Serialize, ToSchema)]
pub struct PartView {
    /// The line of the request.
    requested_line: i16,
    /// The upstream's id of the variant, as text.
    #[serde(serialize_with = "crate::http::text_id::text")]
    #[schema(value_type = String)]
    variant_id: i64,
    /// The version of its mapping that the cart was held under, and keeps.
    mapping_version: i32,
    /// Units of this SKU in one unit of the variant.
    unit_quantity: i32,
}

/// A variant that the request named.
#[derive(Debug, Serialize, ToSchema)]
pub struct VariantLineView {
    /// The line of the request.
    requested_line: i16,
    /// The upstream's id, as text.
    #[serde(serialize_with = "crate::http::text_id::text")]
    #[schema(value_type = String)]
    variant_id: i64,
    /// The version of its mapping that the cart was held under, and keeps.
    mapping_version: i32,
    /// Units of the variant that were asked for.
    requested_quantity: i64,
    /// `tracked`, or `untracked` for one that has no stock: no line is part of it.
    #[schema(value_type = String)]
    status: &'static str,
}

/// One line, in units.
#[derive(Debug, Serialize, ToSchema)]
pub struct LineView {
    /// Position in the request, from 1. Of a kit the first SKU has that; further ones follow the last line of the request.
    line: i16,
    /// SKU code.
    sku: String,
    /// What it is part of; absent where the request named the SKU itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    part_of: Option<PartView>,
    /// `tracked`, or `untracked` for a SKU that moves no balance.
    #[schema(value_type = String)]
    status: &'static str,
    /// What was asked for.
    requested_quantity: i64,
    /// What a partial hold did not get.
    short_quantity: i64,
    /// Set aside.
    held_quantity: i64,
    /// Owned by the order.
    committed_quantity: i64,
    /// Given back.
    released_quantity: i64,
    /// Given back by the clock.
    expired_quantity: i64,
    /// Given back after the order was cancelled.
    cancelled_quantity: i64,
    /// Shipped, out of what is committed.
    fulfilled_quantity: i64,
}

/// A reservation as a command answers it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Reservation)]
pub struct ReservationView {
    /// Its id; carries its pool.
    pub id: String,
    /// Pool code.
    pool: String,
    /// Where it stands.
    state: State,
    /// What it was made by.
    origin: Origin,
    /// The caller's name for the purchase attempt.
    client_reference: Option<String>,
    /// The order that took it.
    order_ref: Option<String>,
    /// The reservation it took over from.
    replaces: Option<String>,
    /// Its units had expired and were claimed again: this is the new reservation.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    reclaimed: bool,
    /// Committed after its hold had expired.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    late_commit: bool,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When its held units go back.
    expires_at: DateTime<Utc>,
    /// How far it may be extended.
    max_expires_at: DateTime<Utc>,
    /// When an order first took units of it.
    committed_at: Option<DateTime<Utc>>,
    /// When it became terminal.
    closed_at: Option<DateTime<Utc>>,
    /// Why it became terminal.
    closed_reason: Option<String>,
    /// The service's clock when this was decided or read.
    as_of: DateTime<Utc>,
    /// Its lines, each of one SKU.
    lines: Vec<LineView>,
    /// Variants that the request named; absent where it named none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    variants: Vec<VariantLineView>,
}

/// A reservation as it is read.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReservationDetail {
    /// The reservation.
    #[serde(flatten)]
    pub reservation: ReservationView,
    /// Whose cart it is.
    pub owner: Option<String>,
    /// The caller's own JSON object.
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<serde_json::Value>,
}

impl ReservationView {
    /// The reservation as it stands at `now`.
    #[must_use]
    pub fn of(catalogue: &Catalogue, reservation: &Reservation, now: DateTime<Utc>, reclaimed: bool) -> Self {
        let lapsed = reservation.has_lapsed(now);
        Self {
            id: reservation.id.to_string(),
            pool: catalogue.pool_code(reservation.id.pool),
            state: reservation.state_at(now),
            origin: reservation.origin,
            client_reference: reservation.client_reference.clone(),
            order_ref: reservation.order_ref.clone(),
            replaces: reservation.replaces.map(|id| id.to_string()),
            reclaimed,
            late_commit: reservation.origin == Origin::LateCommit,
            created_at: reservation.created_at,
            expires_at: reservation.expires_at,
            max_expires_at: reservation.max_expires_at,
            committed_at: reservation.committed_at,
            closed_at: reservation.closed_at,
            closed_reason: reservation.closed_reason.clone(),
            as_of: now,
            lines: reservation
                .lines
                .iter()
                .map(|line| LineView::of(catalogue, line, &reservation.variants, lapsed))
                .collect(),
            variants: reservation.variants.iter().map(VariantLineView::of).collect(),
        }
    }
}

impl ReservationDetail {
    /// The reservation as it stands at `now`, with what only readers see.
    #[must_use]
    pub fn of(catalogue: &Catalogue, reservation: Reservation, now: DateTime<Utc>) -> Self {
        let view = ReservationView::of(catalogue, &reservation, now, false);
        Self { reservation: view, owner: reservation.owner, metadata: reservation.metadata }
    }
}

impl VariantLineView {
    fn of(variant: &Variant) -> Self {
        Self {
            requested_line: variant.line,
            variant_id: variant.variant_id,
            mapping_version: variant.mapping_version,
            requested_quantity: variant.quantity,
            status: if variant.parts.is_empty() { "untracked" } else { "tracked" },
        }
    }
}

impl LineView {
    /// Units that have lapsed are shown as expired, swept or not.
    fn of(catalogue: &Catalogue, line: &Line, variants: &[Variant], lapsed: bool) -> Self {
        let due = if lapsed { line.held } else { 0 };
        Self {
            line: line.line,
            sku: catalogue.sku_code(line.sku).to_string(),
            part_of: variant_of(variants, line.line).map(|(variant, part)| PartView {
                requested_line: variant.line,
                variant_id: variant.variant_id,
                mapping_version: variant.mapping_version,
                unit_quantity: part.unit_quantity,
            }),
            status: if line.tracked { "tracked" } else { "untracked" },
            requested_quantity: line.requested,
            short_quantity: line.short,
            held_quantity: line.held - due,
            committed_quantity: line.committed,
            released_quantity: line.released,
            expired_quantity: line.expired + due,
            cancelled_quantity: line.cancelled,
            fulfilled_quantity: line.fulfilled,
        }
    }
}
