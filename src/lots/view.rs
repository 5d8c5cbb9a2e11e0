//! Lots as JSON.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::queries::Standing;
use crate::catalog::Catalogue;
use crate::ids::{LotId, PoolId, SkuId};
use crate::ledger::balance::Balance;
use crate::ledger::outcome::LotRecord;

/// A lot.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Lot)]
pub struct LotView {
    /// Its id; carries its pool.
    id: String,
    /// Pool code.
    pool: String,
    /// SKU code.
    sku: String,
    /// The batch's own name.
    lot_code: String,
    /// `receipt`, `return`, `transfer`, `count_gain` or `opening_count`.
    origin: String,
    /// `available`, `quarantined` or `expired`.
    status: String,
    /// Units that arrived.
    received_quantity: i64,
    /// Units left of it.
    remaining_quantity: i64,
    /// Units of it that are not for sale.
    quarantined_quantity: i64,
    /// Why they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantine_reason: Option<String>,
    /// Decimal, per unit.
    unit_cost: String,
    /// Whether the cost is an estimate, to be revalued.
    cost_provisional: bool,
    /// ISO 4217.
    currency: String,
    /// Business date of arrival.
    received_date: NaiveDate,
    /// From the start of this local day it is expired.
    expires_date: Option<NaiveDate>,
    /// The system that `source_ref` belongs to.
    source: String,
    /// The source's own name of this receipt.
    source_ref: Option<String>,
    /// The lot that its units came from, where they were returned or moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    source_lot_id: Option<String>,
    /// When it was entered.
    recorded_at: DateTime<Utc>,
    /// The source reference had been entered before; nothing was done.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    already_received: bool,
    /// What was sent differently from the first entry, which stands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    differences: Vec<&'static str>,
}

/// A decimal string with at least two decimals.
pub(super) fn money(amount: rust_decimal::Decimal) -> String {
    let mut amount = amount.normalize();
    if amount.scale() < 2 {
        amount.rescale(2);
    }
    amount.to_string()
}

impl LotView {
    /// A lot as recorded; `repeated` when it had been entered before.
    #[must_use]
    pub fn of(catalogue: &Catalogue, lot: &LotRecord, repeated: Option<&[&'static str]>) -> Self {
        Self {
            id: lot.id.to_string(),
            pool: catalogue.pool_code(lot.id.pool),
            sku: catalogue.sku_code(lot.sku).to_string(),
            lot_code: lot.received.lot_code.clone(),
            origin: lot.origin.clone(),
            status: lot.status.clone(),
            received_quantity: lot.received.quantity,
            remaining_quantity: lot.remaining,
            quarantined_quantity: 0,
            quarantine_reason: None,
            unit_cost: money(lot.received.unit_cost),
            cost_provisional: false,
            currency: lot.received.currency.clone(),
            received_date: lot.received.received_date,
            expires_date: lot.received.expires_date,
            source: lot.received.source.clone(),
            source_ref: lot.received.source_ref.clone(),
            source_lot_id: None,
            recorded_at: lot.recorded_at,
            already_received: repeated.is_some(),
            differences: repeated.unwrap_or_default().to_vec(),
        }
    }

    /// A lot as it stands now.
    #[must_use]
    pub fn standing(catalogue: &Catalogue, standing: &Standing) -> Self {
        let pool = standing.lot.id.pool;
        Self {
            quarantined_quantity: standing.quarantined,
            quarantine_reason: standing.quarantine_reason.clone(),
            cost_provisional: standing.cost_provisional,
            source_lot_id: standing.source_lot.map(|uuid| LotId { pool, uuid }.to_string()),
            ..Self::of(catalogue, &standing.lot, None)
        }
    }
}

/// A shelf after its opening count.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OpeningCountResult)]
pub struct CountedView {
    /// Pool code.
    pool: String,
    /// SKU code.
    sku: String,
    /// Units on the shelf now.
    on_hand_quantity: i64,
    /// Units held.
    held_quantity: i64,
    /// Units owned by orders.
    committed_quantity: i64,
    /// Units claimed that the shelf cannot cover.
    oversold_quantity: i64,
    /// The counted units as a lot; none for a count of zero.
    lot: Option<LotView>,
}

impl CountedView {
    /// The balance after the count.
    #[must_use]
    pub fn of(catalogue: &Catalogue, pool: PoolId, sku: SkuId, balance: &Balance, lot: Option<&LotRecord>) -> Self {
        Self {
            pool: catalogue.pool_code(pool),
            sku: catalogue.sku_code(sku).to_string(),
            on_hand_quantity: balance.on_hand,
            held_quantity: balance.held,
            committed_quantity: balance.committed,
            oversold_quantity: balance.oversold(),
            lot: lot.map(|lot| LotView::of(catalogue, lot, None)),
        }
    }
}
