//! Shipments and returns as JSON.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::catalog::Catalogue;
use crate::ids::{LotId, PoolId, ReservationId, ShipmentId};
use crate::ledger::goods::{ReturnLineRecord, ReturnRecord, ShipmentLineRecord, ShipmentRecord};
use crate::lots::view::money;

/// A shipment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Shipment)]
pub struct ShipmentView {
    /// Its id; carries its pool.
    id: String,
    /// Pool code.
    pool: String,
    /// The system that `source_ref` belongs to.
    source: String,
    /// The source's own name of it.
    source_ref: String,
    /// The order it belongs to.
    order_ref: Option<String>,
    /// The reservation it was said to fulfil.
    reservation_id: Option<String>,
    /// When it was recorded.
    recorded_at: DateTime<Utc>,
    /// Its lines, by name.
    lines: Vec<ShipmentLineView>,
    /// Every line had been recorded before; nothing was done.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    already_recorded: bool,
    /// Names of lines that were sent differently from what was recorded before, which stands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<String>,
}

/// A line of a shipment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecordedShipmentLine)]
pub struct ShipmentLineView {
    /// The source's own name of it.
    line_ref: String,
    /// SKU code.
    sku: String,
    /// `recorded`, `depleted` once its day is closed, `voided`.
    status: &'static str,
    /// Units that left.
    quantity: i64,
    /// Units taken from on hand.
    covered_quantity: i64,
    /// Units that on hand could not cover: an open discrepancy.
    uncovered_quantity: i64,
    /// Units that an order had owned.
    fulfilled_quantity: i64,
    /// Units taken from lots.
    depleted_quantity: i64,
    /// Units that came back.
    returned_quantity: i64,
    /// When it left.
    shipped_at: DateTime<Utc>,
    /// Local day of the pool on which it left.
    shipped_date: NaiveDate,
    /// The day whose snapshot depleted lots for it.
    snapshot_date: Option<NaiveDate>,
    /// When it was voided.
    voided_at: Option<DateTime<Utc>>,
    /// The code of the lot that the warehouse named.
    lot_code: Option<String>,
    /// The lot of that code that it is taken from; null where none of that code had anything left, and then depletion
    /// chooses, as it does for a line that names none.
    lot_id: Option<String>,
    /// Which reservation lines it fulfilled.
    fulfilments: Vec<FulfilmentView>,
    /// Which lots it came from, and went back to.
    depletions: Vec<DepletionView>,
}

/// Units of a reservation line that a shipment line fulfilled.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Fulfilment)]
pub struct FulfilmentView {
    /// The reservation.
    reservation_id: String,
    /// Its line.
    line: i16,
    /// Units.
    quantity: i64,
}

/// Units of a shipment line that came from one lot.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Depletion)]
pub struct DepletionView {
    /// The lot.
    lot_id: String,
    /// Units; negative where they went back.
    quantity: i64,
    /// Decimal, per unit.
    unit_cost: String,
}

impl ShipmentView {
    /// A shipment as recorded; `repeated` when all of it had been recorded before.
    #[must_use]
    pub fn of(catalogue: &Catalogue, shipment: &ShipmentRecord, repeated: bool, differences: &[String]) -> Self {
        let ShipmentId { pool, .. } = shipment.id;
        Self {
            id: shipment.id.to_string(),
            pool: catalogue.pool_code(pool),
            source: shipment.source.clone(),
            source_ref: shipment.source_ref.clone(),
            order_ref: shipment.order_ref.clone(),
            reservation_id: shipment.reservation.map(|id| id.to_string()),
            recorded_at: shipment.recorded_at,
            lines: shipment.lines.iter().map(|line| ShipmentLineView::of(catalogue, pool, line)).collect(),
            already_recorded: repeated,
            differences: differences.to_vec(),
        }
    }
}

impl ShipmentLineView {
    fn of(catalogue: &Catalogue, pool: PoolId, line: &ShipmentLineRecord) -> Self {
        let status = match (line.voided_at, line.snapshot_date) {
            (Some(_), _) => "voided",
            (None, Some(_)) => "depleted",
            (None, None) => "recorded",
        };
        let lot_id = |uuid| LotId { pool, uuid }.to_string();
        Self {
            line_ref: line.line_ref.clone(),
            sku: catalogue.sku_code(line.sku).to_string(),
            status,
            quantity: line.quantity,
            covered_quantity: line.covered,
            uncovered_quantity: if line.tracked && line.voided_at.is_none() { line.quantity - line.covered } else { 0 },
            fulfilled_quantity: line.fulfilled,
            depleted_quantity: line.depleted,
            returned_quantity: line.returned,
            shipped_at: line.shipped_at,
            shipped_date: line.shipped_date,
            snapshot_date: line.snapshot_date,
            voided_at: line.voided_at,
            lot_code: line.lot_code.clone(),
            lot_id: line.lot.map(lot_id),
            fulfilments: line
                .fulfilments
                .iter()
                .map(|(claim, quantity)| FulfilmentView {
                    reservation_id: ReservationId { pool, uuid: claim.reservation }.to_string(),
                    line: claim.line,
                    quantity: *quantity,
                })
                .collect(),
            depletions: line
                .depletions
                .iter()
                .map(|depletion| DepletionView {
                    lot_id: lot_id(depletion.lot),
                    quantity: depletion.quantity,
                    unit_cost: money(depletion.unit_cost),
                })
                .collect(),
        }
    }
}

/// A return.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Return)]
pub struct ReturnView {
    /// Its id; carries its pool.
    id: String,
    /// Pool code.
    pool: String,
    /// The system that `source_ref` belongs to.
    source: String,
    /// The source's own name of it.
    source_ref: String,
    /// The order the units had been shipped for.
    order_ref: Option<String>,
    /// When it was recorded.
    recorded_at: DateTime<Utc>,
    /// Its lines, by name.
    lines: Vec<ReturnLineView>,
    /// Every line had been recorded before; nothing was done.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    already_recorded: bool,
    /// Names of lines that were sent differently from what was recorded before, which stands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<String>,
}

/// A line of a return.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecordedReturnLine)]
pub struct ReturnLineView {
    /// The source's own name of it.
    line_ref: String,
    /// Code of the SKU that came back.
    sku: String,
    /// Units.
    quantity: i64,
    /// The lots they became.
    lots: Vec<ReturnedLotView>,
}

/// Units of a return that became one lot.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReturnedLot)]
pub struct ReturnedLotView {
    /// The lot they became.
    lot_id: String,
    /// The lot they had come from; null where no closed day says so, and then the cost is provisional.
    source_lot_id: Option<String>,
    /// The shipment that had sent them; null where they were taken at the caller's word.
    shipment_id: Option<String>,
    /// The line of it.
    shipment_line_ref: Option<String>,
    /// Units.
    quantity: i64,
}

impl ReturnView {
    /// A return as recorded; `repeated` when all of it had been recorded before.
    #[must_use]
    pub fn of(catalogue: &Catalogue, record: &ReturnRecord, repeated: bool, differences: &[String]) -> Self {
        let pool = record.id.pool;
        Self {
            id: record.id.to_string(),
            pool: catalogue.pool_code(pool),
            source: record.source.clone(),
            source_ref: record.source_ref.clone(),
            order_ref: record.order_ref.clone(),
            recorded_at: record.recorded_at,
            lines: record.lines.iter().map(|line| ReturnLineView::of(catalogue, pool, line)).collect(),
            already_recorded: repeated,
            differences: differences.to_vec(),
        }
    }
}

impl ReturnLineView {
    fn of(catalogue: &Catalogue, pool: PoolId, line: &ReturnLineRecord) -> Self {
        Self {
            line_ref: line.line_ref.clone(),
            sku: catalogue.sku_code(line.sku).to_string(),
            quantity: line.quantity,
            lots: line
                .lots
                .iter()
                .map(|lot| ReturnedLotView {
                    lot_id: lot.lot.to_string(),
                    source_lot_id: lot.source_lot.map(|lot| lot.to_string()),
                    shipment_id: lot
                        .shipped
                        .as_ref()
                        .map(|shipped| ShipmentId { pool, uuid: shipped.shipment }.to_string()),
                    shipment_line_ref: lot.shipped.as_ref().map(|shipped| shipped.line_ref.clone()),
                    quantity: lot.quantity,
                })
                .collect(),
        }
    }
}
