//! Lots, shipments and returns as the ledger sees them under its locks, and what its decisions do to them. Pure.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::ids::{ClientId, LotId, ReservationId, ReturnId, ShipmentId, SkuId};
use crate::ledger::entry::LineRef;

/// Whether a lot's units are for sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LotStatus {
    /// They are.
    Available,
    /// They are not until somebody releases it.
    Quarantined,
    /// They are not: it is past its expiry.
    Expired,
}

impl LotStatus {
    /// The word in SQL and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Quarantined => "quarantined",
            Self::Expired => "expired",
        }
    }

    /// Reads the word back; `None` for an unknown one.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Available, Self::Quarantined, Self::Expired].into_iter().find(|status| status.as_str() == word)
    }
}

/// Units that were taken from the shelf and not from lots yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingUnits {
    /// The lot that the warehouse named.
    pub lot: Option<Uuid>,
    /// The local day on which they left.
    pub shipped_date: NaiveDate,
    /// Whether their day is closed, and they were short of it.
    pub short: bool,
    /// Units.
    pub quantity: i64,
}

/// One line of one shipment.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShipmentLineRef {
    /// UUID of the shipment.
    pub shipment: Uuid,
    /// The source's own name of the line.
    pub line_ref: String,
}

impl std::fmt::Display for ShipmentLineRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.shipment, self.line_ref)
    }
}

/// Shipped units that on hand could not cover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenDiscrepancy {
    /// Its id, time-ordered.
    pub id: Uuid,
    /// Which line.
    pub line: ShipmentLineRef,
    /// Units neither settled nor voided.
    pub open: i64,
}

/// Shipped units that no lot could cover when their day closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenShortage {
    /// Which line.
    pub line: ShipmentLineRef,
    /// Units neither settled nor voided.
    pub open: i64,
    /// Units of the line that were taken from the shelf and from no lot.
    pub covered_undepleted: i64,
    /// Number of the line's newest depletion.
    pub newest_depletion: i16,
    /// The lot that the warehouse named.
    pub lot: Option<Uuid>,
    /// The local day on which it left.
    pub shipped_date: NaiveDate,
}

impl OpenShortage {
    /// Units of the line as what waits for a lot.
    #[must_use]
    pub fn pending(&self, quantity: i64) -> PendingUnits {
        PendingUnits { lot: self.lot, shipped_date: self.shipped_date, short: true, quantity }
    }
}

/// Units of one line that came from, or went back to, one lot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineDepletion {
    /// Position in the line, from 1.
    pub n: i16,
    /// Which lot.
    pub lot: Uuid,
    /// Units; negative for a reversal.
    pub quantity: i64,
    /// At this cost: that of the lot then, or what it was corrected to since.
    pub unit_cost: Decimal,
}

/// A shipment as recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShipmentRecord {
    /// Its id.
    pub id: ShipmentId,
    /// The system that `source_ref` belongs to.
    pub source: String,
    /// The source's own name of it.
    pub source_ref: String,
    /// The order it belongs to.
    pub order_ref: Option<String>,
    /// The reservation it was said to fulfil.
    pub reservation: Option<ReservationId>,
    /// Who recorded it.
    pub client: ClientId,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// Its lines, in the order of their names.
    pub lines: Vec<ShipmentLineRecord>,
}

/// A line of a shipment as recorded; quantities in units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShipmentLineRecord {
    /// The source's own name of it.
    pub line_ref: String,
    /// What left.
    pub sku: SkuId,
    /// Whether it moves balances.
    pub tracked: bool,
    /// What left.
    pub quantity: i64,
    /// Taken from on hand; the rest is a discrepancy.
    pub covered: i64,
    /// Taken from what orders owned.
    pub fulfilled: i64,
    /// Taken from lots.
    pub depleted: i64,
    /// Came back.
    pub returned: i64,
    /// The lot that the warehouse named, if it had something left.
    pub lot: Option<Uuid>,
    /// What the warehouse called it.
    pub lot_code: Option<String>,
    /// When it left.
    pub shipped_at: DateTime<Utc>,
    /// The local day on which it left.
    pub shipped_date: NaiveDate,
    /// The day whose snapshot depleted lots for it.
    pub snapshot_date: Option<NaiveDate>,
    /// When it was voided.
    pub voided_at: Option<DateTime<Utc>>,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// Which reservation lines it fulfilled.
    pub fulfilments: Vec<(LineRef, i64)>,
    /// Which lots it came from, by number.
    pub depletions: Vec<LineDepletion>,
}

impl ShipmentLineRecord {
    /// What of it came from which lot and did not go back there, at which cost: in the order it was taken.
    #[must_use]
    pub fn net_depletions(&self) -> Vec<(Uuid, i64, Decimal)> {
        let mut net: Vec<(Uuid, i64, Decimal)> = Vec::new();
        for depletion in &self.depletions {
            match net.iter_mut().find(|(lot, _, cost)| *lot == depletion.lot && *cost == depletion.unit_cost) {
                Some((_, units, _)) => *units += depletion.quantity,
                None => net.push((depletion.lot, depletion.quantity, depletion.unit_cost)),
            }
        }
        net.retain(|(_, units, _)| *units > 0);
        net
    }

    /// Units that may still come back.
    #[must_use]
    pub fn returnable(&self) -> i64 {
        if self.voided_at.is_some() { 0 } else { self.quantity - self.returned }
    }
}

/// A return as recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnRecord {
    /// Its id.
    pub id: ReturnId,
    /// The system that `source_ref` belongs to.
    pub source: String,
    /// The source's own name of it.
    pub source_ref: String,
    /// The order it belongs to.
    pub order_ref: Option<String>,
    /// Who recorded it.
    pub client: ClientId,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// Its lines.
    pub lines: Vec<ReturnLineRecord>,
}

/// A line of a return as recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnLineRecord {
    /// The source's own name of it.
    pub line_ref: String,
    /// What came back.
    pub sku: SkuId,
    /// Units.
    pub quantity: i64,
    /// The lots they became.
    pub lots: Vec<ReturnedLot>,
}

/// Units of a return that came from one lot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnedLot {
    /// The lot they became.
    pub lot: LotId,
    /// The lot they had come from; unknown where no shipment is known or its day is not closed.
    pub source_lot: Option<LotId>,
    /// The line that had shipped them; none where they were taken at the caller's word.
    pub shipped: Option<ShipmentLineRef>,
    /// Units.
    pub quantity: i64,
}

/// Why a lot moved; the word in `lot_transactions.row_source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LotMoveKind {
    /// An opening count wrote it off.
    OpeningCount,
    /// A lot shortage was settled with it.
    ShortageSettlement,
    /// A shipment that had depleted it was voided.
    Void,
    /// Units are no longer for sale.
    Quarantine,
    /// Units are for sale again.
    Unquarantine,
    /// Units are gone.
    WriteOff,
    /// Units left for another pool.
    TransferOut,
    /// Its cost is another.
    Revaluation,
    /// What came back carries a cost that the lot was given while it was away, or what was sold does.
    Correction,
}

/// How the correction of what was sold of a lot is named: it is cost of goods, and moves nothing.
pub const OF_WHAT_WAS_SOLD: &str = "revaluation";

impl LotMoveKind {
    /// The word in SQL and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpeningCount => "opening_count",
            Self::ShortageSettlement => "shortage_settlement",
            Self::Void => "void",
            Self::Quarantine => "quarantine",
            Self::Unquarantine => "unquarantine",
            Self::WriteOff => "write_off",
            Self::TransferOut => "transfer_out",
            Self::Revaluation => "revaluation",
            Self::Correction => "correction",
        }
    }
}

/// What of a lot is cost of goods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sold {
    /// Units that left it for shipments and did not come back into it; less those that it is made of, where these are
    /// what came back of a shipment.
    pub units: i64,
    /// What they were booked at.
    pub cost: Decimal,
}

/// One movement of a lot, after its arrival.
#[derive(Debug, Clone, PartialEq)]
pub struct LotMove {
    /// Which lot.
    pub lot: Uuid,
    /// Why.
    pub kind: LotMoveKind,
    /// The event's own key, where it has one.
    pub source_ref: Option<String>,
    /// Change of what is left.
    pub quantity: i64,
    /// Change of what is quarantined.
    pub quarantined: i64,
    /// The lot's status after it, with the reason where it is not available; `None`: as before.
    pub status: Option<(LotStatus, Option<String>)>,
    /// A new cost of a unit, and what that is worth over the units that it is for; `None`: as before.
    pub revalued: Option<(Decimal, Decimal)>,
    /// What it is worth, where that is not its units at the lot's cost.
    pub value: Option<Decimal>,
    /// In the caller's words or ours.
    pub reason: Option<String>,
    /// The shipment it belongs to.
    pub shipment: Option<Uuid>,
    /// The day it is booked on.
    pub business_date: NaiveDate,
    /// By whom.
    pub client: ClientId,
}

impl LotMove {
    /// Whether it is cost of goods: a correction is where it names what it is about.
    #[must_use]
    pub fn is_cost_of_goods(&self) -> bool {
        match self.kind {
            LotMoveKind::ShortageSettlement | LotMoveKind::Void => true,
            LotMoveKind::Correction => self.shipment.is_some() || self.source_ref.is_some(),
            _ => false,
        }
    }
}

/// A depletion about to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDepletion {
    /// Which line.
    pub line: ShipmentLineRef,
    /// Its number.
    pub n: i16,
    /// `settlement` or `reversal`.
    pub kind: &'static str,
    /// What was shipped.
    pub sku: SkuId,
    /// Which lot.
    pub lot: Uuid,
    /// Units; negative for a reversal.
    pub quantity: i64,
    /// At this cost.
    pub unit_cost: Decimal,
    /// The day it is booked on.
    pub cost_date: NaiveDate,
}

/// What changes of a shipment line that was recorded before; units to add.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LineChange {
    /// Taken from on hand after all.
    pub covered: i64,
    /// Taken from a lot after all.
    pub depleted: i64,
    /// Came back.
    pub returned: i64,
    /// It never left.
    pub voided: bool,
}

/// Units by which an open discrepancy or lot shortage shrinks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Closing {
    /// Units found.
    pub settled: i64,
    /// Units that never left.
    pub voided: i64,
}

/// What decisions do to goods.
#[derive(Debug, Default)]
pub struct GoodsChanges {
    /// Movements of lots, in order; after new lots.
    pub moves: Vec<LotMove>,
    /// New shipments; their lines are in `new_lines`.
    pub shipments: Vec<ShipmentRecord>,
    /// New lines of new or known shipments.
    pub new_lines: Vec<(Uuid, ShipmentLineRecord)>,
    /// Lines recorded before.
    pub lines: Vec<(ShipmentLineRef, LineChange)>,
    /// New discrepancies.
    pub discrepancies: Vec<(OpenDiscrepancy, SkuId)>,
    /// Discrepancies that shrink.
    pub closed_discrepancies: Vec<(Uuid, Closing)>,
    /// Lot shortages that shrink.
    pub closed_shortages: Vec<(ShipmentLineRef, Closing)>,
    /// New depletions.
    pub depletions: Vec<NewDepletion>,
    /// New returns; their lines are in `return_lines`.
    pub returns: Vec<ReturnRecord>,
    /// New lines of new or known returns.
    pub return_lines: Vec<(Uuid, ReturnLineRecord)>,
    /// SKUs whose earliest expiry is another now.
    pub next_expiry: Vec<(SkuId, Option<NaiveDate>)>,
    /// Transfers that arrive here.
    pub arrived: Vec<Uuid>,
}

impl GoodsChanges {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.moves.is_empty()
            && self.shipments.is_empty()
            && self.new_lines.is_empty()
            && self.lines.is_empty()
            && self.discrepancies.is_empty()
            && self.closed_discrepancies.is_empty()
            && self.closed_shortages.is_empty()
            && self.depletions.is_empty()
            && self.returns.is_empty()
            && self.return_lines.is_empty()
            && self.next_expiry.is_empty()
            && self.arrived.is_empty()
    }
}
