//! What a command came to: an outcome or a refusal. Refusals are decisions, stored and replayed like any other answer.

use chrono::{DateTime, Utc};

use crate::ids::{ClientId, LotId, ReservationId, ShipmentId, SkuId};
use crate::ledger::balance::Balance;
use crate::ledger::command::Receive;
use crate::ledger::goods::{LotStatus, ReturnRecord, ShipmentRecord};
use crate::reservations::state::{Reservation, State};

/// What a command came to.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Units are held. The answer to a hold.
    Held(Box<Reservation>),
    /// The reservation as it now stands. The answer to commit, release, extend and expire.
    Current {
        /// The reservation.
        reservation: Box<Reservation>,
        /// Whether it is a new claim made because the hold had expired.
        reclaimed: bool,
    },
    /// A shelf was counted and is open again.
    Counted {
        /// The SKU.
        sku: SkuId,
        /// Its balance now.
        balance: Balance,
        /// The counted units as a lot; none for a count of zero.
        lot: Option<Box<LotRecord>>,
    },
    /// A lot is on the shelf.
    Received(Box<Received>),
    /// A shipment as it now stands. The answer to ship and void.
    Shipped(Box<Shipped>),
    /// A return as it now stands.
    Returned(Box<Returned>),
    /// A lot after something was done to it.
    LotActed {
        /// The lot.
        lot: Box<LotRecord>,
        /// Units that it moved.
        quantity: i64,
        /// Whether nothing was left to do.
        repeated: bool,
    },
    /// Every open lot of a code, after it was kept from sale.
    Recalled(Vec<Recalled>),
    /// An order claims what it wants.
    Demanded(Box<Demanded>),
    /// Lots past their expiry are off sale, with whatever is there of lots that are.
    LotsExpired,
    /// Nothing was done, and why.
    Refused(Refusal),
}

/// A lot on the shelf, now or before.
#[derive(Debug, Clone)]
pub struct Received {
    /// The lot as recorded.
    pub lot: LotRecord,
    /// Set when the source reference had been entered before: which fields were sent differently this time.
    pub repeated: Option<Vec<&'static str>>,
}

/// A shipment, now or before.
#[derive(Debug, Clone)]
pub struct Shipped {
    /// The shipment with all its lines.
    pub shipment: ShipmentRecord,
    /// Whether a line was new; otherwise nothing was done.
    pub recorded: bool,
    /// Names of lines that had been recorded before and were sent differently this time; the first stands.
    pub differing: Vec<String>,
    /// SKUs that on hand could not cover, and by how much.
    pub uncovered: Vec<(SkuId, i64)>,
}

/// A return, now or before.
#[derive(Debug, Clone)]
pub struct Returned {
    /// The return with all its lines.
    pub record: ReturnRecord,
    /// Whether a line was new; otherwise nothing was done.
    pub recorded: bool,
    /// Names of lines that had been recorded before and were sent differently this time; the first stands.
    pub differing: Vec<String>,
}

/// A lot that was recalled.
#[derive(Debug, Clone)]
pub struct Recalled {
    /// The lot as it now stands.
    pub lot: LotRecord,
    /// Units that went off sale.
    pub quantity: i64,
    /// Whether it was off sale before.
    pub repeated: bool,
}

/// What became of an order's claims.
#[derive(Debug, Clone, Default)]
pub struct Demanded {
    /// Whether a newer state of it was applied before, or another order has taken it over; then nothing was done.
    pub stale: bool,
    /// The reservation that was made for it.
    pub made: Option<ReservationId>,
    /// The reservation that the order names and that belongs to another order.
    pub foreign: Option<uuid::Uuid>,
    /// SKUs of it that stock cannot cover, and by how many units of this claim.
    pub oversold: Vec<(SkuId, i64)>,
}

/// A lot as recorded.
#[derive(Debug, Clone)]
pub struct LotRecord {
    /// Its id.
    pub id: LotId,
    /// The SKU's internal id.
    pub sku: SkuId,
    /// What was entered.
    pub received: Receive,
    /// What is left of it.
    pub remaining: i64,
    /// `receipt`, `return`, `count_gain`, `opening_count` or `transfer`.
    pub origin: String,
    /// Whether its units are for sale.
    pub status: LotStatus,
    /// Units of it that its balance row counts as quarantined.
    pub quarantined: i64,
    /// Why it is not for sale.
    pub quarantine_reason: Option<String>,
    /// Whether its cost is an estimate.
    pub cost_provisional: bool,
    /// The lot that its units had been part of before.
    pub source_lot: Option<LotId>,
    /// Who entered it.
    pub client: ClientId,
    /// When it was entered.
    pub recorded_at: DateTime<Utc>,
}

/// Why nothing was done. Every violation of a kind is listed at once.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// The request names things that do not exist or asks for more than a policy allows.
    #[error("the request breaks a rule of the catalogue")]
    Unprocessable(Vec<Violation>),
    /// There are not enough units.
    #[error("not enough stock")]
    InsufficientStock {
        /// Every SKU that is short.
        shortfalls: Vec<Shortfall>,
        /// Every line of a variant that one of them is part of.
        variants: Vec<VariantShortfall>,
    },
    /// The hold is past its expiry and its units are gone.
    #[error("the hold has expired and its units are gone")]
    HoldExpired {
        /// The reservation.
        id: ReservationId,
        /// When it expired.
        expired_at: DateTime<Utc>,
        /// What is missing.
        shortfalls: Vec<Shortfall>,
    },
    /// Another standing reservation of this client carries the reference.
    #[error("client_reference is taken by {existing}")]
    ClientReferenceInUse {
        /// Its holder.
        existing: ReservationId,
        /// Where the holder stands.
        state: State,
    },
    /// There is no such reservation.
    #[error("no reservation {0}")]
    ReservationNotFound(ReservationId),
    /// The reservation's state does not allow it.
    #[error("a reservation that is {} cannot be {action}", state.as_str())]
    InvalidTransition {
        /// The reservation.
        id: ReservationId,
        /// Where it stands.
        state: State,
        /// What was asked, as a participle.
        action: &'static str,
        /// What to do instead.
        hint: &'static str,
    },
    /// The reservation belongs to another order.
    #[error("the reservation belongs to order {order_ref}")]
    OrderRefConflict {
        /// The reservation.
        id: ReservationId,
        /// The order it belongs to.
        order_ref: String,
    },
    /// Lines name more units than they have.
    #[error("more units are named than are held")]
    ExceedsHeld {
        /// The reservation.
        id: ReservationId,
        /// Every line that is exceeded.
        lines: Vec<Exceeded>,
    },
    /// The hold would last longer than its policy allows.
    #[error("the hold may not last beyond {max_expires_at}")]
    ExceedsLongestHold {
        /// The reservation.
        id: ReservationId,
        /// The latest possible expiry.
        max_expires_at: DateTime<Utc>,
    },
    /// The reservation to supersede is somebody else's.
    #[error("the superseded reservation belongs to another owner")]
    SupersedesOtherOwner(ReservationId),
    /// The reservation was superseded before.
    #[error("the reservation was superseded by {successor}")]
    AlreadySuperseded {
        /// The older reservation.
        id: ReservationId,
        /// The one that took over.
        successor: ReservationId,
    },
    /// Tracking was switched off and on; the shelf must be counted before it can be held.
    #[error("an opening count is required")]
    OpeningCountRequired(Vec<SkuId>),
    /// An opening count came for a shelf that is already open.
    #[error("the shelf is already open")]
    OpeningCountNotDue(SkuId),
    /// There is no such shipment.
    #[error("no shipment {0}")]
    ShipmentNotFound(ShipmentId),
    /// The shipment has no such lines.
    #[error("the shipment has no such line")]
    UnknownShipmentLines(Vec<String>),
    /// Units of the shipment have come back; what came back did leave.
    #[error("units of the shipment have been returned")]
    ShipmentReturned(ShipmentId, Vec<String>),
    /// More would come back than was shipped and has not come back yet.
    #[error("more than was shipped would come back")]
    ExceedsShipped(Vec<ExceedsShipped>),
    /// There is no such lot, or nothing is left of it.
    #[error("no lot {0}")]
    LotNotFound(LotId),
    /// The lot has fewer units than that.
    #[error("the lot has {present} units")]
    ExceedsLot {
        /// The lot.
        id: LotId,
        /// Units asked for.
        requested: i64,
        /// Units that are there.
        present: i64,
    },
    /// A lot that is past its expiry does not go on sale again.
    #[error("the lot is past its expiry")]
    LotExpired(LotId),
}

/// One line that would bring back more than it can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExceedsShipped {
    /// Position in the request, from 0.
    pub index: usize,
    /// Units asked for.
    pub requested: i64,
    /// Units that were shipped and have not come back.
    pub returnable: i64,
}

/// One broken rule, at a place in the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// RFC 6901 pointer into the body.
    pub pointer: String,
    /// Which rule.
    pub rule: Rule,
}

/// Rules that only the catalogue can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// No such SKU.
    UnknownSku(String),
    /// Nobody has said what the variant is.
    UnknownVariant(i64),
    /// Its variants come to more lines than a reservation may have.
    TooManyLines {
        /// Lines that it comes to.
        lines: usize,
        /// The limit.
        most: usize,
    },
    /// No new holds on it.
    RetiredSku(String),
    /// It has no stock to receive.
    UntrackedSku(String),
    /// More units of one SKU than its class allows in one hold.
    AboveMaxPerHold {
        /// The SKU.
        sku: String,
        /// Summed over the lines.
        requested: i64,
        /// The class's limit.
        max: i64,
    },
    /// A longer TTL than the shortest of the longest holds.
    TtlAboveLongest {
        /// The limit in seconds.
        longest_seconds: i64,
    },
    /// No such reservation to supersede.
    UnknownReservation(String),
    /// The reservation has no such line.
    UnknownLine(i16),
    /// There is no such shipment line in this pool.
    UnknownShipmentLine(String),
    /// The time has not come yet.
    InTheFuture,
    /// Nothing says what the units cost.
    UnknownCost,
}

/// One SKU that is short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortfall {
    /// The SKU.
    pub sku: SkuId,
    /// The lines of the request that ask for it.
    pub lines: Vec<i16>,
    /// Units asked for, summed over the lines.
    pub requested: i64,
    /// Units that could be held now; may be negative in storage terms, clamped only in the answer.
    pub reservable: i64,
    /// The balance behind it.
    pub balance: Balance,
    /// The policy's safety stock.
    pub safety_stock: i64,
    /// The policy's oversell tolerance.
    pub oversell_tolerance: i64,
    /// When the next hold on this SKU expires.
    pub next_hold_expires_at: Option<DateTime<Utc>>,
}

/// One line of a variant that cannot be had whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VariantShortfall {
    /// Its position in the request.
    pub line: i16,
    /// The upstream's id.
    pub variant_id: i64,
    /// The version of its mapping.
    pub mapping_version: i32,
    /// Units of the variant asked for.
    pub requested: i64,
    /// Whole ones among them that stock has, were nothing else asked for.
    pub available: i64,
}

/// One line that was asked for more than it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// Line number.
    pub line: i16,
    /// Units asked for.
    pub requested: i64,
    /// Units it has for this.
    pub held: i64,
    /// Units that an order owns already.
    pub committed: i64,
}
