//! The commands that change stock, as the pure core sees them: parsed, named by codes and ids, not yet decided.

use std::sync::Arc;

use chrono::NaiveDate;
use rust_decimal::Decimal;

use crate::catalog::recipes::Mapping;
use crate::ids::{LotId, ReservationId};
use crate::ledger::demand::{DemandKey, DemandLine};

mod goods;

pub use goods::{Act, ExpireLots, LotAct, Recall, Return, ReturnLine, Ship, ShipLine, TransferIn, VoidShipment};

/// One command; every change of a balance is one of these.
#[derive(Debug, Clone)]
pub enum Command {
    /// Set units aside.
    Hold(Hold),
    /// An order takes held units.
    Commit(Commit),
    /// Give units back.
    Release(Release),
    /// Hold longer.
    Extend(Extend),
    /// Close a hold that is past its expiry; from the sweeper.
    Expire(Expire),
    /// Put a lot on the shelf.
    Receive(Box<Receive>),
    /// Count a shelf whose tracking was switched on again.
    OpeningCount(Box<OpeningCount>),
    /// Units physically left.
    Ship(Box<Ship>),
    /// A shipment did not leave after all.
    VoidShipment(Box<VoidShipment>),
    /// Units came back.
    Return(Box<Return>),
    /// Operations do something to a lot.
    LotAct(Box<LotAct>),
    /// Every open lot of a code is kept from sale.
    Recall(Box<Recall>),
    /// Units arrive from another pool.
    TransferIn(Box<TransferIn>),
    /// Lots past their expiry go off sale; from housekeeping and reads.
    ExpireLots(ExpireLots),
    /// An order taken elsewhere claims what it wants.
    Demand(Box<Demand>),
}

impl Command {
    /// The word in metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hold(_) => "hold",
            Self::Commit(_) => "commit",
            Self::Release(_) => "release",
            Self::Extend(_) => "extend",
            Self::Expire(_) => "expire",
            Self::Receive(_) => "receive",
            Self::OpeningCount(_) => "opening_count",
            Self::Ship(_) => "ship",
            Self::VoidShipment(_) => "void_shipment",
            Self::Return(_) => "return",
            Self::LotAct(act) => match act.act {
                Act::Quarantine => "quarantine",
                Act::Unquarantine => "unquarantine",
                Act::WriteOff { .. } => "write_off",
                Act::Revalue { .. } => "revalue",
                Act::TransferOut { .. } => "transfer_out",
            },
            Self::TransferIn(_) => "transfer_in",
            Self::Recall(_) => "recall",
            Self::ExpireLots(_) => "expire_lots",
            Self::Demand(_) => "demand",
        }
    }
}

/// Asks for units of one or many SKUs of one pool, all or nothing unless partial is allowed.
#[derive(Debug, Clone)]
pub struct Hold {
    /// The id it gets if it is granted.
    pub id: ReservationId,
    /// Lines that name a SKU; one SKU may stand on several. With `variants` at least one, numbered from 1 without a gap.
    pub lines: Vec<HoldLine>,
    /// Lines that name a variant.
    pub variants: Vec<VariantLine>,
    /// Wanted TTL in seconds; `None`: the shortest default of the classes involved.
    pub ttl_seconds: Option<i64>,
    /// The caller's name for the purchase attempt; unique among standing reservations of the client.
    pub client_reference: Option<String>,
    /// Whose cart it is.
    pub owner: Option<String>,
    /// The caller's own JSON object.
    pub metadata: Option<serde_json::Value>,
    /// Whether less than asked for is welcome.
    pub allow_partial: bool,
    /// An older reservation of the same owner whose units are handed over.
    pub supersedes: Option<ReservationId>,
}

/// One line of a [`Hold`].
#[derive(Debug, Clone)]
pub struct HoldLine {
    /// Its position, from 1.
    pub line: i16,
    /// SKU code.
    pub sku: Arc<str>,
    /// Units, at least 1.
    pub quantity: i64,
}

/// One line of a [`Hold`] that names a variant.
#[derive(Debug, Clone)]
pub struct VariantLine {
    /// Its position, from 1.
    pub line: i16,
    /// The upstream's id.
    pub variant_id: i64,
    /// Units of the variant, at least 1.
    pub quantity: i64,
    /// What it was found to be when the request came in; `None`: nobody has said.
    pub mapping: Option<Mapping>,
}

/// A line and a number of units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineQuantity {
    /// Line number, from 1.
    pub line: i16,
    /// Units, at least 1.
    pub quantity: i64,
}

/// What becomes of held units that a partial commit does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remainder {
    /// They go back.
    Release,
    /// They stay held until expiry.
    Keep,
}

/// What a commit after expiry does when the units are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnShortage {
    /// Refuse.
    Refuse,
    /// Commit and open an oversell.
    Backorder,
}

/// An order takes held units.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The reservation.
    pub id: ReservationId,
    /// The order.
    pub order_ref: String,
    /// What the order owns of each line in the end, counting earlier commits; `None`: everything held, and what has
    /// lapsed.
    pub lines: Option<Vec<LineQuantity>>,
    /// What becomes of the rest.
    pub remainder: Remainder,
    /// What a late commit does when the units are gone.
    pub on_shortage: OnShortage,
    /// The id of the new claim, should the commit come after expiry.
    pub successor_id: ReservationId,
}

/// Gives units back.
#[derive(Debug, Clone)]
pub struct Release {
    /// The reservation.
    pub id: ReservationId,
    /// Units of each line to give back; `None`: all.
    pub lines: Option<Vec<LineQuantity>>,
    /// Why; [`ORDER_CANCELED`] also gives back what is committed and not shipped.
    pub reason: Option<String>,
}

/// The reason that lets a release take back committed units.
pub const ORDER_CANCELED: &str = "order_canceled";

/// The reason of a release by a newer reservation of the same owner.
pub const SUPERSEDED: &str = "superseded";

/// Holds longer.
#[derive(Debug, Clone)]
pub struct Extend {
    /// The reservation.
    pub id: ReservationId,
    /// TTL from now, in seconds; `None`: the shortest default of the classes involved.
    pub ttl_seconds: Option<i64>,
    /// The id of the new claim, should the extension come after expiry.
    pub successor_id: ReservationId,
}

/// Closes a hold that is past its expiry.
#[derive(Debug, Clone, Copy)]
pub struct Expire {
    /// The reservation.
    pub id: ReservationId,
}

/// An order taken elsewhere, as it is now: its claims are brought to what it wants. A fact: never refused for stock.
#[derive(Debug, Clone)]
pub struct Demand {
    /// Which order.
    pub key: DemandKey,
    /// Which state of it; an older one than was applied before does nothing.
    pub revision: i64,
    /// What its reservations and shipments call it.
    pub order_ref: String,
    /// What people call it; a checkout may have committed under this name.
    pub order_name: Option<String>,
    /// The reservation that the order names as its own.
    pub reservation: Option<ReservationId>,
    /// What was held for it until it is paid.
    pub held: Option<ReservationId>,
    /// The same order in other systems: what it claims there is claimed here from now on.
    pub absorbs: Vec<DemandKey>,
    /// What its lines want in all, shipped or not, from this pool.
    pub lines: Vec<DemandLine>,
    /// Whether `lines` is everything: what its claims own beside that is then given up.
    pub complete: bool,
    /// Why units are given up, where some are.
    pub reason: String,
    /// The id of a reservation of its own, should one be needed.
    pub id: ReservationId,
}

/// A lot as it arrives.
#[derive(Debug, Clone)]
pub struct Receive {
    /// The id it gets.
    pub id: LotId,
    /// SKU code.
    pub sku: Arc<str>,
    /// The batch's own name.
    pub lot_code: String,
    /// Units, at least 1.
    pub quantity: i64,
    /// Cost of a unit.
    pub unit_cost: Decimal,
    /// ISO 4217.
    pub currency: String,
    /// Business date of arrival.
    pub received_date: NaiveDate,
    /// Last day of sale plus one: from the start of this local day it is expired.
    pub expires_date: Option<NaiveDate>,
    /// The system that `source_ref` belongs to.
    pub source: String,
    /// The source's own name of this receipt; entering it twice is a no-op.
    pub source_ref: Option<String>,
}

/// What a shelf holds when tracking is switched on again: old lots are written off, the count is a new lot.
#[derive(Debug, Clone)]
pub struct OpeningCount {
    /// The counted units as a lot; a count of zero has none.
    pub lot: Option<Receive>,
    /// SKU code.
    pub sku: Arc<str>,
}
