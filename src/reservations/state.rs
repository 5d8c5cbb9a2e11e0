//! The states of a reservation and the arithmetic of its lines. Pure: no SQL, no HTTP, no clock.
//!
//! ```text
//! held ──► committed ──► fulfilled | cancelled | reconciled
//!   └────► released | expired
//! ```
//! States only move forward and what is terminal stays terminal. A line always satisfies
//! `requested = short + held + committed + released + expired + cancelled` and `0 ≤ fulfilled ≤ committed`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::variants::Variant;
use crate::ids::{ClientId, ReservationId, SkuId};

/// Where a reservation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Units are set aside until it expires.
    Held,
    /// An order owns the units.
    Committed,
    /// Given back before an order took them.
    Released,
    /// Given back by the clock.
    Expired,
    /// Everything committed has been shipped.
    Fulfilled,
    /// The order was cancelled before it shipped.
    Cancelled,
    /// Settled by a reconciliation.
    Reconciled,
}

impl State {
    /// The word in SQL and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Committed => "committed",
            Self::Released => "released",
            Self::Expired => "expired",
            Self::Fulfilled => "fulfilled",
            Self::Cancelled => "cancelled",
            Self::Reconciled => "reconciled",
        }
    }

    /// Reads the word back; `None` for an unknown one.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Held, Self::Committed, Self::Released, Self::Expired, Self::Fulfilled, Self::Cancelled, Self::Reconciled]
            .into_iter()
            .find(|state| state.as_str() == word)
    }

    /// Whether nothing follows.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Held | Self::Committed)
    }

    /// Whether `next` lies ahead. Staying is not a move.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Held => next != Self::Held,
            Self::Committed => matches!(next, Self::Fulfilled | Self::Cancelled | Self::Reconciled),
            _ => false,
        }
    }
}

/// What a reservation was made by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A checkout asked for it.
    Checkout,
    /// A checkout asked for it in place of an older one.
    Supersede,
    /// An extension that came after expiry: a new claim.
    Extension,
    /// A commit that came after expiry: a new claim, committed at once.
    LateCommit,
    /// An order taken elsewhere.
    Order,
    /// A shipment that had fulfilled a reservation was voided: the order is owed the units again.
    Void,
}

impl Origin {
    /// The word in SQL and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Checkout => "checkout",
            Self::Supersede => "supersede",
            Self::Extension => "extension",
            Self::LateCommit => "late_commit",
            Self::Order => "order",
            Self::Void => "void",
        }
    }

    /// Reads the word back; `None` for an unknown one.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Checkout, Self::Supersede, Self::Extension, Self::LateCommit, Self::Order, Self::Void]
            .into_iter()
            .find(|origin| origin.as_str() == word)
    }
}

/// One line of a reservation; quantities in units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Position in the request, from 1.
    pub line: i16,
    /// What is claimed.
    pub sku: SkuId,
    /// Whether it moves balances.
    pub tracked: bool,
    /// What was asked for.
    pub requested: i64,
    /// What a partial hold did not get.
    pub short: i64,
    /// Set aside.
    pub held: i64,
    /// Owned by an order.
    pub committed: i64,
    /// Given back.
    pub released: i64,
    /// Handed over to a newer reservation, out of what is given back.
    pub superseded: i64,
    /// Given back by the clock.
    pub expired: i64,
    /// Given back after the order was cancelled.
    pub cancelled: i64,
    /// Shipped, out of what is committed.
    pub fulfilled: i64,
}

impl Line {
    /// A line that got `granted` of `requested`.
    #[must_use]
    pub fn held(line: i16, sku: SkuId, tracked: bool, requested: i64, granted: i64) -> Self {
        Self {
            line,
            sku,
            tracked,
            requested,
            short: requested - granted,
            held: granted,
            committed: 0,
            released: 0,
            superseded: 0,
            expired: 0,
            cancelled: 0,
            fulfilled: 0,
        }
    }

    /// What an order took of it, cancelled since or not.
    #[must_use]
    pub fn ordered(&self) -> i64 {
        self.committed + self.cancelled
    }

    /// Committed but not shipped: what a cancellation gives back.
    #[must_use]
    pub fn cancellable(&self) -> i64 {
        self.committed - self.fulfilled
    }

    /// Whether the invariant of a line holds.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        let parts =
            [self.short, self.held, self.committed, self.released, self.expired, self.cancelled, self.fulfilled];
        parts.iter().all(|part| *part >= 0)
            && self.requested == parts[..6].iter().sum::<i64>()
            && self.fulfilled <= self.committed
            && (0..=self.released).contains(&self.superseded)
    }
}

/// A reservation with its lines.
#[derive(Debug, Clone, PartialEq)]
pub struct Reservation {
    /// Its id, which carries its pool.
    pub id: ReservationId,
    /// Who made it.
    pub client: ClientId,
    /// Where it stands.
    pub state: State,
    /// What it was made by.
    pub origin: Origin,
    /// The caller's name for the purchase attempt.
    pub client_reference: Option<String>,
    /// Whose cart it is; opaque.
    pub owner: Option<String>,
    /// The order that took it.
    pub order_ref: Option<String>,
    /// The caller's own JSON object.
    pub metadata: Option<serde_json::Value>,
    /// The reservation it took over from.
    pub replaces: Option<ReservationId>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its held units go back: at this instant it is expired.
    pub expires_at: DateTime<Utc>,
    /// How far it may be extended.
    pub max_expires_at: DateTime<Utc>,
    /// When an order first took units of it.
    pub committed_at: Option<DateTime<Utc>>,
    /// When it became terminal.
    pub closed_at: Option<DateTime<Utc>>,
    /// Why it became terminal.
    pub closed_reason: Option<String>,
    /// Its lines, in order. None where nothing that was asked for has stock.
    pub lines: Vec<Line>,
    /// Variants that the cart named, and which lines they came to.
    pub variants: Vec<Variant>,
}

impl Reservation {
    /// Makes it an order's, unless it is one's already.
    pub fn mark_committed(&mut self, order_ref: &str, now: DateTime<Utc>) {
        self.order_ref.get_or_insert_with(|| order_ref.to_owned());
        self.committed_at.get_or_insert(now);
    }

    /// Whether its held units are past their expiry, swept or not.
    #[must_use]
    pub fn has_lapsed(&self, now: DateTime<Utc>) -> bool {
        self.state == State::Held && self.expires_at <= now
    }

    /// The state a reader sees: a lapsed hold is where expiry takes it, whether or not anything has swept it.
    #[must_use]
    pub fn state_at(&self, now: DateTime<Utc>) -> State {
        if self.has_lapsed(now) { self.state_without_held(State::Expired) } else { self.state }
    }

    /// Where the lines say it is once no unit is held: `closing` unless an order has taken any.
    fn state_without_held(&self, closing: State) -> State {
        let committed: i64 = self.lines.iter().map(|line| line.committed).sum();
        let fulfilled: i64 = self.lines.iter().map(|line| line.fulfilled).sum();
        match (self.committed_at, committed, fulfilled) {
            (None, ..) => closing,
            // Nothing of it has stock, so nothing is left to be sent.
            (Some(_), 0, _) if self.lines.is_empty() => State::Fulfilled,
            (Some(_), 0, _) => State::Cancelled,
            (Some(_), committed, fulfilled) if committed == fulfilled => State::Fulfilled,
            (Some(_), ..) => State::Committed,
        }
    }

    /// Units still held, over all lines.
    #[must_use]
    pub fn held_units(&self) -> i64 {
        self.lines.iter().map(|line| line.held).sum()
    }

    /// Moves the state to where the lines say it is, once no unit is held: `committed` if an order owns any, otherwise
    /// `closing`. A reservation that still holds units stays held.
    pub fn settle(&mut self, closing: State, reason: &str, now: DateTime<Utc>) {
        if self.state.is_terminal() || self.held_units() > 0 {
            return;
        }
        let next = self.state_without_held(closing);
        if !self.state.may_become(next) {
            return;
        }
        self.state = next;
        if next.is_terminal() {
            self.closed_at = Some(now);
            self.closed_reason = Some(reason.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [State; 7] = [
        State::Held,
        State::Committed,
        State::Released,
        State::Expired,
        State::Fulfilled,
        State::Cancelled,
        State::Reconciled,
    ];

    #[test]
    fn states_only_move_forward() {
        for from in ALL {
            assert!(!from.may_become(State::Held), "nothing becomes held again");
            for to in ALL {
                assert!(!(from.may_become(to) && to.may_become(from)), "{from:?} and {to:?} form a cycle");
                assert!(!(from.is_terminal() && from.may_become(to)), "{from:?} is terminal");
            }
        }
        assert!(!State::Committed.may_become(State::Released) && !State::Committed.may_become(State::Expired));
    }

    #[test]
    fn words_read_back() {
        for state in ALL {
            assert_eq!(State::parse(state.as_str()), Some(state));
        }
        assert_eq!(State::parse("Held"), None);
    }
}
