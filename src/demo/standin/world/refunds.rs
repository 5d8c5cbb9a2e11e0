//! Money back, units back, and cancelled orders.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::{Missing, Order, World};

/// From which side of shipping refunded units come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restock {
    /// They never shipped, and never will.
    Cancel,
    /// They came back.
    Return,
    /// Nothing happens to units.
    NoRestock,
    /// Either, in old refunds.
    LegacyRestock,
}

impl Restock {
    /// As the API writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "CANCEL",
            Self::Return => "RETURN",
            Self::NoRestock => "NO_RESTOCK",
            Self::LegacyRestock => "LEGACY_RESTOCK",
        }
    }

    pub(super) fn cancels(self) -> bool {
        self == Self::Cancel
    }
}

/// A refund.
#[derive(Debug, Clone)]
pub struct Refund {
    /// Its id.
    pub id: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// What for; empty for shipping, or for an amount.
    pub lines: Vec<RefundLine>,
}

/// A line of a refund.
#[derive(Debug, Clone, Copy)]
pub struct RefundLine {
    /// Its id.
    pub id: i64,
    /// The order line.
    pub line: i64,
    /// Units.
    pub quantity: i64,
    /// From which side.
    pub restock: Restock,
    /// Whether the units went back to the shelf.
    pub restocked: bool,
    /// Where to.
    pub location: Option<i64>,
}

/// Units of a line that a refund is for.
#[derive(Debug, Clone, Copy)]
pub struct Back {
    /// The order line.
    pub line: i64,
    /// Units.
    pub quantity: i64,
    /// From which side.
    pub restock: Restock,
    /// Whether they go back to the shelf.
    pub restocked: bool,
    /// Where to.
    pub location: Option<i64>,
}

impl Back {
    /// Shipped units that came back to the shelf of a location.
    #[must_use]
    pub fn returned(line: i64, quantity: i64, location: Option<i64>) -> Self {
        Self { line, quantity, restock: Restock::Return, restocked: true, location }
    }

    /// Units that never shipped.
    #[must_use]
    pub fn cancelled(line: i64, quantity: i64) -> Self {
        Self { line, quantity, restock: Restock::Cancel, restocked: true, location: None }
    }

    /// Money only.
    #[must_use]
    pub fn money(line: i64, quantity: i64) -> Self {
        Self { line, quantity, restock: Restock::NoRestock, restocked: false, location: None }
    }
}

impl Order {
    /// What was given back.
    #[must_use]
    pub fn total_refunded(&self) -> Decimal {
        self.refunds.iter().map(|refund| self.amount_of(refund)).sum()
    }

    /// What a refund gave back.
    #[must_use]
    pub fn amount_of(&self, refund: &Refund) -> Decimal {
        refund.lines.iter().map(|of| self.price_of(of.line) * Decimal::from(of.quantity)).sum()
    }

    /// Of one unit of a line.
    #[must_use]
    pub fn price_of(&self, line: i64) -> Decimal {
        self.lines.iter().find(|of| of.id == line).map_or(Decimal::ZERO, |of| of.price)
    }
}

impl World {
    /// Refunds units of an order; the refund's id. None: an amount only.
    ///
    /// # Errors
    /// If it is not there.
    pub fn refund(&mut self, order: i64, units: &[Back]) -> Result<i64, Missing> {
        let id = self.mint();
        let lines = units
            .iter()
            .map(|&Back { line, quantity, restock, restocked, location }| RefundLine {
                id: self.mint(),
                line,
                quantity,
                restock,
                restocked,
                location,
            })
            .collect::<Vec<RefundLine>>();
        self.change_order(order, &[], |order, now| {
            order.refunds.push(Refund { id, created_at: now, lines });
            let all = order.lines.iter().all(|line| order.current(line) == 0);
            order.financial_status = if all { "REFUNDED" } else { "PARTIALLY_REFUNDED" };
            Ok(())
        })?;
        self.order_of_refund.insert(id, order);
        self.newsroom.refund(self.orders.get(&order).ok_or(Missing { kind: "order", id: order })?, id);
        Ok(id)
    }

    /// Cancels an order. Restocking, what was not sent becomes a refund of units that never ship.
    ///
    /// # Errors
    /// If it is not there.
    pub fn cancel(&mut self, order: i64, restock: bool) -> Result<(), Missing> {
        if restock {
            let of = self.order(order)?;
            let open = of.lines.iter().map(|line| Back::cancelled(line.id, of.unfulfilled(line)));
            let open: Vec<Back> = open.filter(|back| back.quantity > 0).collect();
            self.refund(order, &open)?;
        }
        self.change_order(order, &["orders/cancelled"], |order, now| {
            (order.cancelled_at, order.closed_at, order.cancel_reason) = (Some(now), Some(now), Some("CUSTOMER"));
            if order.financial_status == "PENDING" {
                order.financial_status = "VOIDED";
            }
            Ok(())
        })
    }
}
