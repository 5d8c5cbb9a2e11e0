//! One append-only ledger row: what changed a balance, why, by whom, and the balance after it.

use uuid::Uuid;

use crate::ids::{ClientId, SkuId};
use crate::ledger::balance::{Balance, Delta};

/// What kind of event changed a balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A lot was received.
    Receive,
    /// A cart set units aside. Opens a reservation line.
    Hold,
    /// An order took units without a hold, covered or not. Opens a reservation line.
    Claim,
    /// An order took held units.
    Commit,
    /// Held units went back.
    Release,
    /// Held units went back by the clock.
    Expire,
    /// Committed units went back: the order was cancelled.
    Cancel,
    /// The shelf was counted when tracking was switched on again.
    OpeningCount,
    /// Units physically left, and with them what orders owned of them.
    Ship,
    /// Units that had left without being on hand were found in what came since.
    Settle,
    /// A shipment did not leave after all.
    Void,
    /// Units are kept from sale.
    Quarantine,
    /// Units are for sale again.
    Unquarantine,
    /// Units are gone.
    WriteOff,
    /// Units left for another pool.
    TransferOut,
    /// Units arrived from another pool.
    TransferIn,
    /// Units came back.
    Return,
    /// The cost of a lot is another; no unit moved.
    Revalue,
    /// A repair brought balance and ledger together again.
    Correct,
}

impl EntryKind {
    /// The word in SQL and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Hold => "hold",
            Self::Claim => "claim",
            Self::Commit => "commit",
            Self::Release => "release",
            Self::Expire => "expire",
            Self::Cancel => "cancel",
            Self::OpeningCount => "opening_count",
            Self::Ship => "ship",
            Self::Settle => "settle",
            Self::Void => "void",
            Self::Quarantine => "quarantine",
            Self::Unquarantine => "unquarantine",
            Self::WriteOff => "write_off",
            Self::TransferOut => "transfer_out",
            Self::TransferIn => "transfer_in",
            Self::Return => "return",
            Self::Revalue => "revalue",
            Self::Correct => "correct",
        }
    }
}

/// The reservation line that an entry belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LineRef {
    /// UUID of the reservation.
    pub reservation: Uuid,
    /// Line number, from 1.
    pub line: i16,
}

/// A ledger row about to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The SKU whose balance changed.
    pub sku: SkuId,
    /// What happened.
    pub kind: EntryKind,
    /// The change.
    pub delta: Delta,
    /// The balance after it; its `seq` is the number of this entry.
    pub after: Balance,
    /// For a hold: safety stock and oversell tolerance it was decided under.
    pub policy: Option<(i64, i64)>,
    /// The reservation line, for claims.
    pub line: Option<LineRef>,
    /// Whether it took the last held unit of its line.
    pub closes_line: bool,
    /// The lot, for what happens to lots.
    pub lot: Option<Uuid>,
    /// The shipment, for what ships.
    pub shipment: Option<Uuid>,
    /// Why, in the caller's words or ours.
    pub reason: Option<String>,
    /// By whom.
    pub client: ClientId,
}
