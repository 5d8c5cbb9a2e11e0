//! `POST /reservations/{id}/release`: the request and the command it becomes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::commit::{NamedLine, read_lines};
use crate::http::body::Json;
use crate::http::problem::Problem;
use crate::ids::ReservationId;
use crate::ledger::command::Release;

/// Units that go back.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseReservation {
    /// Units of each line to give back; everything if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<Vec<NamedLine>>,
    /// Why. `order_canceled` also gives back what an order owns and has not shipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl ReleaseReservation {
    /// The command it becomes.
    ///
    /// # Errors
    /// A problem that lists every broken rule.
    pub fn into_command(body: Json<Self>, id: ReservationId) -> Result<Release, Problem> {
        let Json { value, violations: mut v } = body;
        let lines = value.lines.map(|lines| read_lines(&mut v, lines));
        let reason = value.reason.and_then(|reason| v.text("/reason", Some(reason), 100));
        v.finish(Some(Release { id, lines, reason }))
    }
}
