//! Parcels of orders.

use chrono::{DateTime, Utc};

use super::{Missing, World};

/// A parcel.
#[derive(Debug, Clone)]
pub struct Fulfilment {
    /// Its id.
    pub id: i64,
    /// SUCCESS or CANCELLED.
    pub status: &'static str,
    /// When it left.
    pub created_at: DateTime<Utc>,
    /// Its last change.
    pub updated_at: DateTime<Utc>,
    /// Where it left from.
    pub location: Option<i64>,
    /// What is in it.
    pub lines: Vec<FulfilmentLine>,
}

/// A line of a parcel.
#[derive(Debug, Clone, Copy)]
pub struct FulfilmentLine {
    /// Its id.
    pub id: i64,
    /// The order line.
    pub line: i64,
    /// Units.
    pub quantity: i64,
}

impl World {
    /// Sends these lines and quantities of an order; the parcel's id.
    ///
    /// # Errors
    /// If it is not there.
    pub fn fulfil(&mut self, order: i64, lines: &[(i64, i64)], location: Option<i64>) -> Result<i64, Missing> {
        let id = self.mint();
        let lines = lines
            .iter()
            .map(|&(line, quantity)| FulfilmentLine { id: self.mint(), line, quantity })
            .collect::<Vec<FulfilmentLine>>();
        self.change_order(order, &[], |order, now| {
            let (created_at, updated_at) = (now, now);
            order.fulfilments.push(Fulfilment { id, status: "SUCCESS", created_at, updated_at, location, lines });
            Ok(())
        })?;
        self.order_of_fulfilment.insert(id, order);
        let sent = self.orders.get(&order).ok_or(Missing { kind: "order", id: order })?;
        let topic =
            if sent.fulfilment_status() == "FULFILLED" { "orders/fulfilled" } else { "orders/partially_fulfilled" };
        self.newsroom.order(topic, sent);
        self.newsroom.fulfilment("fulfillments/create", sent, id);
        Ok(id)
    }

    /// Sends everything of an order that is still to be sent; the parcel's id.
    ///
    /// # Errors
    /// If it is not there.
    pub fn fulfil_rest(&mut self, order: i64, location: Option<i64>) -> Result<i64, Missing> {
        let of = self.order(order)?;
        let open = of.lines.iter().map(|line| (line.id, of.unfulfilled(line))).filter(|(_, open)| *open > 0);
        let open: Vec<(i64, i64)> = open.collect();
        self.fulfil(order, &open, location)
    }

    /// Cancels a parcel; it stays, as CANCELLED.
    ///
    /// # Errors
    /// If it is not there.
    pub fn cancel_fulfilment(&mut self, fulfilment: i64) -> Result<(), Missing> {
        let missing = Missing { kind: "fulfilment", id: fulfilment };
        let order = *self.order_of_fulfilment.get(&fulfilment).ok_or(missing)?;
        self.change_order(order, &[], |order, now| {
            let parcel = order.fulfilments.iter_mut().find(|parcel| parcel.id == fulfilment).ok_or(missing)?;
            (parcel.status, parcel.updated_at) = ("CANCELLED", now);
            Ok(())
        })?;
        self.newsroom.fulfilment("fulfillments/update", self.orders.get(&order).ok_or(missing)?, fulfilment);
        Ok(())
    }
}
