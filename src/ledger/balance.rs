//! The balance of one (pool, SKU) and the sums that follow from it. Pure.

use crate::catalog::Policy;

/// What is on the shelf and who claims it; units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balance {
    /// On the shelf, counted in real time.
    pub on_hand: i64,
    /// On the shelf but not for sale.
    pub quarantined: i64,
    /// Set aside for carts.
    pub held: i64,
    /// Owned by orders that have not shipped.
    pub committed: i64,
    /// Number of the newest ledger entry; 0 before the first.
    pub seq: i64,
}

impl Balance {
    /// What customers are shown: `on_hand − quarantined − committed − held − safety_stock`. May be negative.
    #[must_use]
    pub fn sellable(&self, policy: &Policy) -> i64 {
        self.on_hand - self.quarantined - self.committed - self.held - policy.safety_stock_quantity
    }

    /// What decides a hold: sellable plus the oversell tolerance. May be negative.
    #[must_use]
    pub fn reservable(&self, policy: &Policy) -> i64 {
        self.sellable(policy) + policy.oversell_tolerance_quantity
    }

    /// Units claimed that the shelf cannot cover; what the open oversells sum up to.
    #[must_use]
    pub fn oversold(&self) -> i64 {
        (self.held + self.committed + self.quarantined - self.on_hand).max(0)
    }

    /// The balance after `delta`; the sequence moves on by one.
    #[must_use]
    pub fn after(&self, delta: Delta) -> Self {
        Self {
            on_hand: self.on_hand + delta.on_hand,
            quarantined: self.quarantined + delta.quarantined,
            held: self.held + delta.held,
            committed: self.committed + delta.committed,
            seq: self.seq + 1,
        }
    }
}

/// A change of a balance; units, signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delta {
    /// Change of what is on the shelf.
    pub on_hand: i64,
    /// Change of what is not for sale.
    pub quarantined: i64,
    /// Change of what carts hold.
    pub held: i64,
    /// Change of what orders own.
    pub committed: i64,
}
