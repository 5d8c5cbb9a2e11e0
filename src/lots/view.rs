//! Lots as JSON.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::catalog::Catalogue;
use crate::ids::{PoolId, SkuId};
use crate::ledger::balance::Balance;
use crate::ledger::goods::LotStatus;
use crate::ledger::outcome::{LotRecord, Recalled};

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
    /// `receipt`, `return`, `count_gain`, `opening_count` or `transfer`.
    origin: String,
    /// Whether its units are for sale.
    status: LotStatus,
    /// Units that arrived.
    received_quantity: i64,
    /// Units left of it, those that shipped today included: lots are depleted when their day is closed.
    remaining_quantity: i64,
    /// Units of it that are on hand and not for sale.
    quarantined_quantity: i64,
    /// Why it is not for sale.
    quarantine_reason: Option<String>,
    /// Decimal, per unit.
    unit_cost: String,
    /// ISO 4217.
    currency: String,
    /// The cost is an estimate until the lot is revalued.
    cost_provisional: bool,
    /// Business date of arrival.
    received_date: NaiveDate,
    /// From the start of this local day it is expired.
    expires_date: Option<NaiveDate>,
    /// The system that `source_ref` belongs to.
    source: String,
    /// The source's own name of this receipt.
    source_ref: Option<String>,
    /// The lot that its units had been part of before.
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
#[must_use]
pub fn money(amount: rust_decimal::Decimal) -> String {
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
            status: lot.status,
            received_quantity: lot.received.quantity,
            remaining_quantity: lot.remaining,
            quarantined_quantity: lot.quarantined,
            quarantine_reason: lot.quarantine_reason.clone(),
            unit_cost: money(lot.received.unit_cost),
            currency: lot.received.currency.clone(),
            cost_provisional: lot.cost_provisional,
            received_date: lot.received.received_date,
            expires_date: lot.received.expires_date,
            source: lot.received.source.clone(),
            source_ref: lot.received.source_ref.clone(),
            source_lot_id: lot.source_lot.map(|lot| lot.to_string()),
            recorded_at: lot.recorded_at,
            already_received: repeated.is_some(),
            differences: repeated.unwrap_or_default().to_vec(),
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

/// A lot after something was done to it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LotActed)]
pub struct LotActedView {
    /// The lot as it now stands.
    #[serde(flatten)]
    lot: LotView,
    /// Units that it moved; for a new cost, units that carry it.
    moved_quantity: i64,
    /// Nothing was left to do.
    already_done: bool,
}

impl LotActedView {
    /// What came of an act.
    #[must_use]
    pub fn of(catalogue: &Catalogue, lot: &LotRecord, moved_quantity: i64, already_done: bool) -> Self {
        Self { lot: LotView::of(catalogue, lot, None), moved_quantity, already_done }
    }
}

/// Lots of a code after they were taken off sale.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Recalled)]
pub struct RecalledView {
    /// Every open lot of the code, as it now stands.
    lots: Vec<LotActedView>,
}

impl RecalledView {
    /// What came of a recall in one pool.
    #[must_use]
    pub fn of(catalogue: &Catalogue, recalled: &[Recalled]) -> Self {
        let view = |one: &Recalled| LotActedView::of(catalogue, &one.lot, one.quantity, one.repeated);
        Self { lots: recalled.iter().map(view).collect() }
    }
}
