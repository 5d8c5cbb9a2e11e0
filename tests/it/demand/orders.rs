//! Orders as an upstream would answer them, made by hand.

use chrono::{DateTime, TimeDelta, Utc};
use holdfast::mirror::rows::{Fulfilment, FulfilmentLine, Order, OrderLine, Refund, RefundLine};
use serde_json::json;

/// When the story of every order begins.
pub fn begin() -> DateTime<Utc> {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

/// An order as it was made.
pub fn order(order_id: i64, lines: &[(i64, &str, i64)]) -> Order {
    Order {
        order_id,
        name: format!("#{order_id}"),
        created_at: begin(),
        processed_at: Some(begin()),
        updated_at: begin(),
        cancelled_at: None,
        cancel_reason: None,
        closed_at: None,
        test: false,
        confirmed: true,
        financial_status: Some("PAID".to_owned()),
        fulfilment_status: Some("UNFULFILLED".to_owned()),
        currency: Some("EUR".to_owned()),
        total_price: None,
        source_name: Some("web".to_owned()),
        reservation_id: None,
        pool_code: None,
        fetched_at: begin(),
        lines: lines.iter().map(|(id, sku, quantity)| line(*id, sku, *quantity)).collect(),
        fulfilments: Vec::new(),
        refunds: Vec::new(),
        document: json!({}),
    }
}

/// A line of a custom item or of a variant nobody mapped: known by its code.
pub fn line(line_id: i64, sku: &str, quantity: i64) -> OrderLine {
    OrderLine {
        line_id,
        variant_id: None,
        product_id: None,
        sku: Some(sku.to_owned()),
        title: sku.to_owned(),
        quantity,
        current_quantity: quantity,
        unfulfilled_quantity: quantity,
        requires_shipping: true,
        gift_card: false,
        group_id: None,
    }
}

/// What happens to orders. Each step makes the next state, a minute later.
pub trait Life {
    /// A minute later.
    fn later(&self) -> Order;
    /// So many units of a line are ordered, and none of those had been sent.
    fn edited(&self, line: i64, quantity: i64) -> Order;
    /// One more line.
    fn added(&self, line: OrderLine) -> Order;
    /// A parcel leaves.
    fn sent(&self, parcel: i64, lines: &[(i64, i64)]) -> Order;
    /// A parcel did not leave.
    fn unsent(&self, parcel: i64) -> Order;
    /// Money back for a line; `kind` says what became of the units.
    fn refunded(&self, refund: i64, line: i64, quantity: i64, kind: &str) -> Order;
    /// Cancelled; what was not sent is not owed.
    fn cancelled(&self) -> Order;
}

impl Life for Order {
    fn later(&self) -> Order {
        let at = self.updated_at + TimeDelta::minutes(1);
        Order { updated_at: at, fetched_at: at, document: json!({ "at": at }), ..self.clone() }
    }

    fn edited(&self, line: i64, quantity: i64) -> Order {
        let mut next = self.later();
        let own = next.lines.iter_mut().find(|own| own.line_id == line).unwrap();
        own.unfulfilled_quantity += quantity - own.current_quantity;
        own.quantity = own.quantity.max(quantity);
        own.current_quantity = quantity;
        next
    }

    fn added(&self, line: OrderLine) -> Order {
        let mut next = self.later();
        next.lines.push(line);
        next
    }

    fn sent(&self, parcel: i64, lines: &[(i64, i64)]) -> Order {
        let mut next = self.later();
        for (line, quantity) in lines {
            next.lines.iter_mut().find(|own| own.line_id == *line).unwrap().unfulfilled_quantity -= quantity;
        }
        next.fulfilments.push(Fulfilment {
            fulfilment_id: parcel,
            status: "SUCCESS".to_owned(),
            created_at: next.updated_at,
            updated_at: next.updated_at,
            location_id: None,
            lines: lines
                .iter()
                .map(|(line, quantity)| FulfilmentLine {
                    fulfilment_line_id: parcel * 10 + line,
                    line_id: *line,
                    quantity: *quantity,
                })
                .collect(),
        });
        next
    }

    fn unsent(&self, parcel: i64) -> Order {
        let mut next = self.later();
        let own = next.fulfilments.iter_mut().find(|own| own.fulfilment_id == parcel).unwrap();
        "CANCELLED".clone_into(&mut own.status);
        for FulfilmentLine { line_id, quantity, .. } in own.lines.clone() {
            next.lines.iter_mut().find(|own| own.line_id == line_id).unwrap().unfulfilled_quantity += quantity;
        }
        next
    }

    fn refunded(&self, refund: i64, line: i64, quantity: i64, kind: &str) -> Order {
        let mut next = self.later();
        let own = next.lines.iter_mut().find(|own| own.line_id == line).unwrap();
        own.current_quantity = (own.current_quantity - quantity).max(0);
        if kind == "CANCEL" {
            own.unfulfilled_quantity -= quantity;
        }
        next.refunds.push(Refund {
            refund_id: refund,
            created_at: Some(next.updated_at),
            updated_at: Some(next.updated_at),
            lines: vec![RefundLine {
                refund_line_id: Some(refund * 10),
                line_id: line,
                quantity,
                restock_type: kind.to_owned(),
                restocked: kind != "NO_RESTOCK",
                location_id: None,
            }],
        });
        next
    }

    fn cancelled(&self) -> Order {
        let mut next = self.later();
        next.cancelled_at = Some(next.updated_at);
        for line in &mut next.lines {
            line.current_quantity -= line.unfulfilled_quantity;
            line.unfulfilled_quantity = 0;
        }
        next
    }
}
