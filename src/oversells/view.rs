//! Oversells as JSON.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::queries::OversellRow;
use crate::catalog::Catalogue;
use crate::ids::{OversellId, PoolId, ReservationId, SkuId};

/// Where an oversell stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OversellStatus {
    /// Some of it is not covered yet.
    Open,
    /// All of it was covered or given up.
    Resolved,
}

impl OversellStatus {
    /// Reads the word back; `None` for an unknown one.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "open" => Some(Self::Open),
            "resolved" => Some(Self::Resolved),
            _ => None,
        }
    }
}

/// A claim that stock could not cover when it was made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Oversell)]
pub struct OversellView {
    /// Its id; carries its pool.
    id: String,
    /// Pool code.
    pool: String,
    /// SKU code.
    sku: String,
    /// Where it stands.
    status: OversellStatus,
    /// Whose claim; null where the shelf itself shrank.
    reservation_id: Option<String>,
    /// Its line.
    line: Option<i16>,
    /// Units that were not covered.
    quantity: i64,
    /// Units covered since, or given up.
    resolved_quantity: i64,
    /// Units still not covered.
    unresolved_quantity: i64,
    /// When it was opened.
    opened_at: DateTime<Utc>,
    /// When the last unit was resolved.
    resolved_at: Option<DateTime<Utc>>,
}

impl OversellView {
    /// An oversell of `pool`.
    #[must_use]
    pub fn of(catalogue: &Catalogue, pool: PoolId, row: &OversellRow) -> Self {
        let unresolved = row.quantity - row.resolved_quantity;
        Self {
            id: OversellId { pool, uuid: row.oversell_id }.to_string(),
            pool: catalogue.pool_code(pool),
            sku: catalogue.sku_code(SkuId(row.sku_id)).to_string(),
            status: if unresolved > 0 { OversellStatus::Open } else { OversellStatus::Resolved },
            reservation_id: row.reservation_id.map(|uuid| ReservationId { pool, uuid }.to_string()),
            line: row.line,
            quantity: row.quantity,
            resolved_quantity: row.resolved_quantity,
            unresolved_quantity: unresolved,
            opened_at: row.opened_at,
            resolved_at: row.resolved_at,
        }
    }
}
