//! `POST /reservations/{id}/commit`: the request and the command it becomes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::body::Json;
use crate::http::problem::Problem;
use crate::http::violations::Violations;
use crate::ids::ReservationId;
use crate::ledger::command::{Commit, LineQuantity, OnShortage, Remainder};

/// An order that takes held units.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CommitReservation {
    /// The order.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required)]
    order_ref: Option<String>,
    /// What the order owns of each line in the end, counting earlier commits; if left out, everything held, and what was
    /// kept for the order and has lapsed.
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<Vec<NamedLine>>,
    /// `release` (the default) or `keep` what is not named.
    #[serde(skip_serializing_if = "Option::is_none")]
    remainder: Option<RemainderChoice>,
    /// If the hold has expired and its units are gone: `refuse` (the default), or `backorder` to commit all the same
    /// and open an oversell.
    #[serde(skip_serializing_if = "Option::is_none")]
    on_shortage: Option<OnShortageChoice>,
}

/// A line and a number of units.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedLine {
    /// Line number, as the reservation shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required)]
    line: Option<i64>,
    /// Units, 1 to 10^9.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required)]
    quantity: Option<i64>,
}

/// What becomes of held units that a commit does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RemainderChoice {
    /// They go back.
    Release,
    /// They stay held until expiry.
    Keep,
}

/// What a late commit does when the units are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnShortageChoice {
    /// Refuse.
    Refuse,
    /// Commit and open an oversell.
    Backorder,
}

/// Reads named lines: each at most once.
pub(super) fn read_lines(v: &mut Violations, lines: Vec<NamedLine>) -> Vec<LineQuantity> {
    if lines.is_empty() {
        v.add("/lines", "must name at least one line, or be left out for all");
    }
    let mut read: Vec<LineQuantity> = Vec::with_capacity(lines.len());
    for (index, named) in lines.into_iter().enumerate() {
        let line = v.integer(&format!("/lines/{index}/line"), named.line, 1, i64::from(i16::MAX));
        let quantity = v.quantity(&format!("/lines/{index}/quantity"), named.quantity);
        let Some(line) = line.and_then(|line| i16::try_from(line).ok()) else { continue };
        if read.iter().any(|other| other.line == line) {
            v.add(format!("/lines/{index}/line"), "is named twice");
        }
        read.push(LineQuantity { line, quantity: quantity.unwrap_or(1) });
    }
    read
}

impl CommitReservation {
    /// The command it becomes.
    ///
    /// # Errors
    /// A problem that lists every broken rule.
    pub fn into_command(body: Json<Self>, id: ReservationId) -> Result<Commit, Problem> {
        let Json { value, violations: mut v } = body;
        let order_ref = v.required("/order_ref", value.order_ref);
        let order_ref = v.text("/order_ref", order_ref, 255);
        let lines = value.lines.map(|lines| read_lines(&mut v, lines));
        let commit = order_ref.map(|order_ref| Commit {
            id,
            order_ref,
            lines,
            remainder: match value.remainder {
                Some(RemainderChoice::Keep) => Remainder::Keep,
                _ => Remainder::Release,
            },
            on_shortage: match value.on_shortage {
                Some(OnShortageChoice::Backorder) => OnShortage::Backorder,
                _ => OnShortage::Refuse,
            },
            successor_id: ReservationId::new(id.pool, id.lane_hint()),
        });
        v.finish(commit)
    }
}
