//! Commands on physical goods: shipments, returns, and what operations do to lots.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::ids::{LotId, PoolId, ReservationId, ReturnId, ShipmentId, SkuId};
use crate::ledger::goods::ShipmentLineRef;
use crate::ledger::outcome::LotRecord;

/// Units that physically left. A fact: never refused for stock.
#[derive(Debug, Clone)]
pub struct Ship {
    /// The id it gets if its source reference is new.
    pub id: ShipmentId,
    /// The system that `source_ref` belongs to.
    pub source: String,
    /// The source's own name of it; each of its lines is recorded once.
    pub source_ref: String,
    /// The order it belongs to: its committed reservations are fulfilled.
    pub order_ref: Option<String>,
    /// The reservation that it fulfils, where the caller knows it.
    pub reservation: Option<ReservationId>,
    /// At least one; names are unique within it.
    pub lines: Vec<ShipLine>,
}

/// One line of a [`Ship`].
#[derive(Debug, Clone)]
pub struct ShipLine {
    /// The source's own name of it.
    pub line_ref: String,
    /// SKU code.
    pub sku: Arc<str>,
    /// Units, at least 1.
    pub quantity: i64,
    /// When it left; `None`: now.
    pub shipped_at: Option<DateTime<Utc>>,
    /// The lot that the warehouse took it from.
    pub lot_code: Option<String>,
}

/// A shipment that did not leave after all.
#[derive(Debug, Clone)]
pub struct VoidShipment {
    /// Which.
    pub id: ShipmentId,
    /// Names of the lines; `None`: all.
    pub lines: Option<Vec<String>>,
    /// Why.
    pub reason: String,
    /// Ids of the claims that replace reservations which had been fulfilled; as many as the shipment has lines.
    pub successor_ids: Vec<ReservationId>,
}

/// Units that came back.
#[derive(Debug, Clone)]
pub struct Return {
    /// The id it gets if its source reference is new.
    pub id: ReturnId,
    /// The system that `source_ref` belongs to.
    pub source: String,
    /// The source's own name of it; each of its lines is recorded once.
    pub source_ref: String,
    /// The order it belongs to.
    pub order_ref: Option<String>,
    /// At least one; names are unique within it.
    pub lines: Vec<ReturnLine>,
}

/// One line of a [`Return`].
#[derive(Debug, Clone)]
pub struct ReturnLine {
    /// The source's own name of it.
    pub line_ref: String,
    /// What came back, which is not always what was shipped.
    pub sku: Arc<str>,
    /// Units, at least 1.
    pub quantity: i64,
    /// The shipment line that had sent them; without it the newest lines of the order are taken, and without an order
    /// the cost is provisional.
    pub shipped: Option<ShipmentLineRef>,
    /// Whether they are kept from sale until somebody has looked at them.
    pub quarantine: bool,
    /// Cost of a unit and its currency, for units of unknown origin.
    pub cost: Option<(Decimal, String)>,
}

/// Something that operations do to one lot.
#[derive(Debug, Clone)]
pub struct LotAct {
    /// Which lot.
    pub id: LotId,
    /// What.
    pub act: Act,
    /// Why, in the caller's words.
    pub reason: String,
}

/// What can be done to a lot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Keep it from sale.
    Quarantine,
    /// Put it on sale again.
    Unquarantine,
    /// Units are gone.
    WriteOff {
        /// Units; `None`: all that is there.
        quantity: Option<i64>,
    },
    /// Its cost is another; a provisional cost becomes final.
    Revalue {
        /// Cost of a unit.
        unit_cost: Decimal,
        /// Whether it is for what was sold of it, too; always so where the cost was an estimate.
        correct_depleted: bool,
    },
    /// Units leave for another pool, which has claimed them.
    TransferOut {
        /// The transfer.
        transfer: Uuid,
        /// Units.
        quantity: i64,
    },
}

/// Every open lot with this code is kept from sale, whatever it is of.
#[derive(Debug, Clone)]
pub struct Recall {
    /// The batch's own name.
    pub lot_code: String,
    /// Why, in the caller's words.
    pub reason: String,
}

/// Units arrive from another pool.
#[derive(Debug, Clone)]
pub struct TransferIn {
    /// The transfer.
    pub transfer: Uuid,
    /// The pool they left.
    pub from: PoolId,
    /// The lot that they are here.
    pub lot: LotRecord,
}

/// Lots of one SKU that are past their expiry are taken off sale, and what is there of lots that are off sale stays so.
#[derive(Debug, Clone, Copy)]
pub struct ExpireLots {
    /// The SKU.
    pub sku: SkuId,
}
