//! What mirrored orders claim, ship and bring back.
//!
//! An order is applied as a whole, as its newest copy says it is, by commands that each are idempotent: parcels become
//! shipments, cancelled parcels void them, restocked units become returns, and what its lines want is claimed. The ledger
//! decides each of them exactly once; the copy's revision says how far that is done, so a crash between two commands
//! repeats what needs no repeating and does the rest.
//!
//! Facts are never refused for stock: what it cannot cover is an open oversell or discrepancy.

use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::catalog::Catalogue;
use crate::ids::{PoolId, ReservationId};
use crate::ledger::outcome::Demanded;
use crate::mirror::settings::OrderPolicy;

pub mod apply;
mod commands;
pub mod load;
pub mod plan;
pub mod progress;
mod work;

/// Says where orders that wait for their money are held for less time than is set: no hold outlasts what its SKU's class
/// allows.
pub fn warn_of_short_holds(app: &App) {
    let settings = &app.mirror.settings;
    if settings.unpaid_orders != OrderPolicy::Hold && settings.test_orders != OrderPolicy::Hold {
        return;
    }
    let wanted = i64::try_from(settings.unpaid_hold.as_secs()).unwrap_or(i64::MAX);
    for class in app.catalogue.current().classes() {
        let longest_hold_seconds = class.policy.longest_hold_seconds;
        if longest_hold_seconds < wanted {
            tracing::warn!(
                class = class.code,
                wanted_seconds = wanted,
                longest_hold_seconds,
                "unpaid orders hold SKUs of this class for less time than HOLDFAST_MIRROR_UNPAID_HOLD_HOURS says"
            );
        }
    }
}

/// What the ledger answers to an order's demand; between the two, not for the API.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DemandedView {
    /// Whether a newer state was applied before; then nothing was done.
    pub stale: bool,
    /// The reservation that was made for it.
    pub made: Option<String>,
    /// The reservation that the order names and that belongs to another order.
    pub foreign: Option<String>,
    /// SKU codes of it that stock cannot cover, and by how many units of this claim.
    pub oversold: Vec<(String, i64)>,
}

impl DemandedView {
    /// What the ledger decided, in the words of the catalogue.
    #[must_use]
    pub fn of(catalogue: &Catalogue, pool: PoolId, demanded: &Demanded) -> Self {
        Self {
            stale: demanded.stale,
            made: demanded.made.map(|id| id.to_string()),
            foreign: demanded.foreign.map(|uuid| ReservationId { pool, uuid }.to_string()),
            oversold: demanded
                .oversold
                .iter()
                .map(|(sku, units)| (catalogue.sku_code(*sku).to_string(), *units))
                .collect(),
        }
    }
}
