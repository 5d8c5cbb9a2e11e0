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
    /// The lot, for receipts.
    pub lot: Option<Uuid>,
    /// Why, in the caller's words or ours.
    pub reason: Option<String>,
    /// By whom.
    pub client: ClientId,
}
