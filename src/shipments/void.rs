//! `POST /shipments/{id}/void`: the request and the command it becomes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::record::MOST_LINES;
use crate::http::body::Json;
use crate::http::problem::Problem;
use crate::ids::{ReservationId, ShipmentId};
use crate::ledger::command::VoidShipment as Command;

/// A shipment that did not leave after all.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VoidShipment {
    /// Names of the lines; all if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    line_refs: Option<Vec<String>>,
    /// Why; 1 to 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required)]
    reason: Option<String>,
}

impl VoidShipment {
    /// The command it becomes.
    ///
    /// # Errors
    /// A problem that lists every broken rule.
    pub fn into_command(body: Json<Self>, id: ShipmentId) -> Result<Command, Problem> {
        let Json { value, violations: mut v } = body;
        let reason = v.required("/reason", value.reason);
        let reason = v.text("/reason", reason, 200);
        if value.line_refs.as_ref().is_some_and(|names| names.is_empty() || names.len() > MOST_LINES) {
            v.add("/line_refs", format!("must name 1 to {MOST_LINES} lines"));
        }
        let hint = id.uuid.as_bytes()[15];
        // A line fulfils at most every line of a cart; few reservations are closed and claimed anew.
        let successor_ids = (0..MOST_LINES).map(|_| ReservationId::new(id.pool, hint)).collect();
        v.finish(reason.map(|reason| Command { id, lines: value.line_refs, reason, successor_ids }))
    }
}
