//! Repair: finds what two records of the same thing disagree about, says what it would append to make them agree, and
//! appends it.
//!
//! ```text
//! diagnose   read-only pages, resumable by a cursor          → findings, each with its evidence
//! plan       the same, kept: a file, or a row for REST       → what would be appended
//! apply      finding by finding, each in its own transaction: lock, look again, and only if the evidence is what it
//!            was, append. Dry run unless told otherwise
//! verify     look again at what a plan names
//! report     an account in Markdown
//! ```
//!
//! **What is true.** Of two records that disagree, the append-only one: a balance row is set back to its newest ledger
//! entry, a lot to the sum of its transactions. Between two append-only records nothing is guessed: where the data do
//! not say which one is right the finding is for a person, and says why.
//!
//! **Evidence.** The rows that a finding was made from, as the database writes them, hashed. A correction follows from
//! the evidence; when either is another at the moment of applying, under the locks, the finding is stale: nothing is
//! done about it, the others go on, and a new diagnosis tells how things stand.
//!
//! **No harm.** Lots hold what is on the shelf and what was shipped and not yet depleted. No correction of a lot, or of
//! what a line took from lots, makes that less true than it was, or untrue the other way round: such a finding is for a
//! person.
//!
//! **Nothing passed over.** What the audit finds and no kind of finding here explains is a finding for a person.
//!
//! **History.** Nothing that was written is changed. What cannot be undone, such as a second depletion of a lot for one
//! day, stays visible, and the row that makes up for it names the finding in its `reason`. A finding is repaired once
//! per evidence: the key of `repairs`.
//!
//! Deliberately absent: corrections by judgement (a count settles those), locks while diagnosing, anything that the
//! [audit](crate::ledger::audit) would not agree with afterwards.

use std::fmt;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::ids::{PoolId, SkuId};

pub mod apply;
mod balances;
mod books;
mod checks;
mod days;
pub mod diagnose;
mod evidence;
mod holds;
mod line;
mod lines;
mod lots;
pub mod plan;
pub mod report;
pub mod routes;
mod shortages;

/// The client that corrections are written by.
pub const CLIENT: &str = "repair";

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A balance row is not what its newest ledger entry says.
    BalanceDrift,
    /// A ledger entry does not follow from the one before it.
    LedgerBreak,
    /// The shelf and the lots do not add up.
    ShelfDiffersFromLots,
    /// What remains of a lot, what of it is quarantined, or what it costs is not what its transactions say.
    LotDrift,
    /// A lot was depleted more than once for a day, or otherwise than the lines of that day say.
    LotDay,
    /// Depletions of a shipment line are not what the line took: mostly more of them.
    DoubleDepletion,
    /// A shipment line was depleted by the snapshots of two days.
    TwoDates,
    /// A shortage of lots is open that lots could settle.
    Shortage,
    /// A hold that has lapsed was not closed.
    StuckHold,
    /// A local day is over and not closed, or missing between closed ones.
    OpenDay,
    /// A check of the audit fails, about which nothing above is found.
    AuditCheck,
}

impl Kind {
    /// The word in JSON and SQL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BalanceDrift => "balance_drift",
            Self::LedgerBreak => "ledger_break",
            Self::ShelfDiffersFromLots => "shelf_differs_from_lots",
            Self::LotDrift => "lot_drift",
            Self::LotDay => "lot_day",
            Self::DoubleDepletion => "double_depletion",
            Self::TwoDates => "two_dates",
            Self::Shortage => "shortage",
            Self::StuckHold => "stuck_hold",
            Self::OpenDay => "open_day",
            Self::AuditCheck => "audit_check",
        }
    }

    /// One sentence for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::BalanceDrift => "A balance row is not what its newest ledger entry says",
            Self::LedgerBreak => "A ledger entry does not follow from the one before it",
            Self::ShelfDiffersFromLots => "The shelf and the lots do not add up",
            Self::LotDrift => "A lot is not what its transactions say",
            Self::LotDay => "A lot was depleted for a day otherwise than the lines of that day say",
            Self::DoubleDepletion => "Depletions of a shipment line are not what the line took",
            Self::TwoDates => "A shipment line was depleted by the snapshots of two days",
            Self::Shortage => "A shortage of lots is open that lots could settle",
            Self::StuckHold => "A hold that has lapsed was not closed",
            Self::OpenDay => "A local day is over and not closed",
            Self::AuditCheck => "A check of the audit fails",
        }
    }
}

/// Which rows a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A balance.
    Sku {
        /// The SKU.
        #[schema(value_type = i64)]
        sku_id: SkuId,
    },
    /// A ledger entry.
    Entry {
        /// The SKU.
        #[schema(value_type = i64)]
        sku_id: SkuId,
        /// Its number.
        seq: i64,
    },
    /// A lot.
    Lot {
        /// Its id.
        lot_id: Uuid,
    },
    /// A lot on one day.
    LotDay {
        /// The lot.
        lot_id: Uuid,
        /// The day.
        date: NaiveDate,
    },
    /// A shipment line.
    Line {
        /// The shipment.
        shipment_id: Uuid,
        /// Its line.
        line_ref: String,
    },
    /// A reservation.
    Reservation {
        /// Its id.
        reservation_id: Uuid,
    },
    /// A local day of the pool.
    Day {
        /// Its date.
        date: NaiveDate,
    },
    /// What a check of the audit names.
    Check {
        /// The check.
        check: String,
        /// Which rows, in the audit's words.
        about: String,
    },
}

/// The same words as in findings of the audit.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sku { sku_id } => write!(f, "sku {}", sku_id.0),
            Self::Entry { sku_id, seq } => write!(f, "sku {} seq {seq}", sku_id.0),
            Self::Lot { lot_id } => write!(f, "lot {lot_id}"),
            Self::LotDay { lot_id, date } => write!(f, "lot {lot_id} day {}", date.format("%Y%m%d")),
            Self::Line { shipment_id, line_ref } => write!(f, "shipment {shipment_id} line {line_ref}"),
            Self::Reservation { reservation_id } => write!(f, "reservation {reservation_id}"),
            Self::Day { date } => write!(f, "day {date}"),
            Self::Check { check, about } => write!(f, "{check}: {about}"),
        }
    }
}

/// The rows that a finding was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    /// SHA-256 of kind, pool, subject and rows; hexadecimal.
    pub hash: String,
    /// The rows, as the database writes them.
    pub rows: Vec<serde_json::Value>,
}

/// Units of one lot that are given back, taken, or booked again on another day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LotUnits {
    /// The lot.
    pub lot_id: Uuid,
    /// Units that the line takes from it; negative for what it gives back.
    pub quantity: i64,
    /// Units by which the lot itself changes.
    pub lot_quantity: i64,
    /// At which cost.
    #[schema(value_type = String)]
    pub unit_cost: Decimal,
    /// What the lot's units were worth when they left, by its own transactions.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub value: Option<Decimal>,
}

/// What would be appended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Correction {
    /// A ledger entry of kind `correct`; the balance row becomes what it says.
    CorrectBalance {
        /// Change of what is on the shelf.
        on_hand_delta: i64,
        /// Change of what is not for sale.
        quarantined_delta: i64,
        /// Change of what carts hold.
        held_delta: i64,
        /// Change of what orders own.
        committed_delta: i64,
    },
    /// A lot transaction `correction` of these units, naming the day it is about. The lot becomes what it says.
    CorrectLot {
        /// Units; none to make the row follow its ledger, or to note what cannot be undone.
        quantity: i64,
        /// The day, `YYYYMMDD`.
        day: Option<String>,
        /// What units that are given back were worth when they left.
        #[serde(default)]
        #[schema(value_type = Option<String>)]
        value: Option<Decimal>,
    },
    /// Depletions `correction` of the line, and lot transactions `correction` for what its lots get back.
    CorrectLine {
        /// From last to first.
        units: Vec<LotUnits>,
        /// What the line then says it took from lots.
        depleted_quantity: i64,
        /// On which day, where it says none.
        #[serde(default)]
        snapshot_date: Option<NaiveDate>,
    },
    /// Depletions `settlement` of the line at the cost of the lots that now give the units.
    SettleShortage {
        /// First in, first out.
        units: Vec<LotUnits>,
    },
    /// The hold is closed like any that has lapsed.
    ExpireHold,
    /// The day is closed, once those before it are.
    CloseDay,
    /// Nothing is right without a person.
    Manual {
        /// Why, and what to do.
        reason: String,
    },
}

impl Correction {
    /// For a person to do.
    #[must_use]
    pub fn manual(reason: impl Into<String>) -> Self {
        Self::Manual { reason: reason.into() }
    }
}

/// One thing that is wrong, on what evidence, and what would be appended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// Follows from kind, pool and subject: the same thing found again has the same id.
    pub id: String,
    /// What is wrong.
    pub kind: Kind,
    /// The pool.
    #[schema(value_type = i64)]
    pub pool_id: PoolId,
    /// Which rows.
    pub subject: Subject,
    /// For people.
    pub detail: String,
    /// What it was made from.
    pub evidence: Evidence,
    /// What would be appended.
    pub correction: Correction,
}
