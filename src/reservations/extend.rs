//! `POST /reservations/{id}/extend`: the request and the command it becomes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::create::LONGEST_TTL_SECONDS;
use crate::http::body::Json;
use crate::http::problem::Problem;
use crate::ids::ReservationId;
use crate::ledger::command::Extend;

/// A hold that should last longer.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtendReservation {
    /// How long from now; the classes' shortest default if left out. Never shortens a hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_seconds: Option<i64>,
}

impl ExtendReservation {
    /// The command it becomes.
    ///
    /// # Errors
    /// A problem that lists every broken rule.
    pub fn into_command(body: Json<Self>, id: ReservationId) -> Result<Extend, Problem> {
        let Json { value, violations: mut v } = body;
        if let Some(ttl) = value.ttl_seconds {
            v.integer("/ttl_seconds", Some(ttl), 1, LONGEST_TTL_SECONDS);
        }
        let successor_id = ReservationId::new(id.pool, id.lane_hint());
        v.finish(Some(Extend { id, ttl_seconds: value.ttl_seconds, successor_id }))
    }
}
