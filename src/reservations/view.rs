//! Reservations as JSON.
//!
//! The answer of a command is kept for replay, so it leaves out who the cart belongs to: owner and metadata are only in
//! what is read (`GET`), where erasing a person reaches them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::catalog::Catalogue;
use crate::reservations::state::{Line, Origin, Reservation, State};

/// One line, in units.
#[derive(Debug, Serialize, ToSchema)]
pub struct LineView {
    /// Position in the request, from 1.
    line: i16,
    /// SKU code.
    sku: String,
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
    /// Its lines.
    lines: Vec<LineView>,
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
            lines: reservation.lines.iter().map(|line| LineView::of(catalogue, line, lapsed)).collect(),
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

impl LineView {
    /// Units that have lapsed are shown as expired, swept or not.
    fn of(catalogue: &Catalogue, line: &Line, lapsed: bool) -> Self {
        let due = if lapsed { line.held } else { 0 };
        Self {
            line: line.line,
            sku: catalogue.sku_code(line.sku).to_string(),
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
