//! Orders of the shop, their lines, and what people do to them.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::{Fulfilment, Missing, Refund, World};

/// An order of the shop.
#[derive(Debug, Clone)]
pub struct Order {
    /// Its id.
    pub id: i64,
    /// What people call it, without the `#`.
    pub number: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Its last change, to the second.
    pub updated_at: DateTime<Utc>,
    /// When it was cancelled.
    pub cancelled_at: Option<DateTime<Utc>>,
    /// Why.
    pub cancel_reason: Option<&'static str>,
    /// When it was closed.
    pub closed_at: Option<DateTime<Utc>>,
    /// Whether nobody means it.
    pub test: bool,
    /// Whether inventory was set aside.
    pub confirmed: bool,
    /// Whether it was edited.
    pub edited: bool,
    /// PAID, PENDING and others.
    pub financial_status: &'static str,
    /// The channel.
    pub source_name: &'static str,
    /// Names and values that the storefront wrote.
    pub attributes: Vec<(String, String)>,
    /// What was bought.
    pub lines: Vec<Line>,
    /// Parcels, cancelled ones included.
    pub fulfilments: Vec<Fulfilment>,
    /// Money back.
    pub refunds: Vec<Refund>,
}

/// A line of an order. Quantities are never lowered: what is taken off is counted beside them, as Shopify does.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its id.
    pub id: i64,
    /// What was bought; none for custom items.
    pub variant: Option<i64>,
    /// The product of it.
    pub product: Option<i64>,
    /// The seller's code when it was bought.
    pub sku: Option<Arc<str>>,
    /// For people.
    pub title: Arc<str>,
    /// Of one unit.
    pub price: Decimal,
    /// Units ever ordered.
    pub quantity: i64,
    /// Units taken off by edits.
    pub removed: i64,
    /// Whether it is a thing.
    pub requires_shipping: bool,
    /// The bundle that it is a component of.
    pub group: Option<Arc<Group>>,
}

/// A bundle as it stands in an order: only its components are lines.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its id.
    pub id: i64,
    /// For people.
    pub title: String,
    /// Bundles bought.
    pub quantity: i64,
}

/// An order to be made.
#[derive(Debug, Clone)]
pub struct NewOrder {
    /// What is bought.
    pub lines: Vec<NewLine>,
    /// Whether it is paid at once.
    pub paid: bool,
    /// Whether nobody means it.
    pub test: bool,
    /// Names and values that the storefront writes.
    pub attributes: Vec<(String, String)>,
    /// The channel.
    pub source_name: &'static str,
    /// When it is made; unset: now. Its last change is the same moment.
    pub created_at: Option<DateTime<Utc>>,
}

/// A line of an order to be made.
#[derive(Debug, Clone)]
pub struct NewLine {
    /// What is bought; none for a custom item.
    pub variant: Option<i64>,
    /// Units.
    pub quantity: i64,
    /// Of a custom item.
    pub title: Option<String>,
    /// The bundle that it is a component of.
    pub group: Option<Arc<Group>>,
}

impl NewOrder {
    /// A paid order of these variants and quantities.
    #[must_use]
    pub fn of(lines: &[(i64, i64)]) -> Self {
        let line = |&(variant, quantity)| NewLine { variant: Some(variant), quantity, title: None, group: None };
        Self {
            lines: lines.iter().map(line).collect(),
            paid: true,
            test: false,
            attributes: Vec::new(),
            source_name: "web",
            created_at: None,
        }
    }

    /// The same, not paid yet.
    #[must_use]
    pub fn unpaid(self) -> Self {
        Self { paid: false, ..self }
    }

    /// The same, as a test.
    #[must_use]
    pub fn test(self) -> Self {
        Self { test: true, ..self }
    }

    /// The same, made at this moment.
    #[must_use]
    pub fn at(self, created_at: DateTime<Utc>) -> Self {
        Self { created_at: Some(created_at), ..self }
    }

    /// The same with one more attribute.
    #[must_use]
    pub fn attribute(mut self, name: &str, value: &str) -> Self {
        self.attributes.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with a custom item.
    #[must_use]
    pub fn custom(mut self, title: &str, quantity: i64) -> Self {
        self.lines.push(NewLine { variant: None, quantity, title: Some(title.to_owned()), group: None });
        self
    }
}

impl Order {
    /// Its lines' ids, in order.
    #[must_use]
    pub fn line_ids(&self) -> Vec<i64> {
        self.lines.iter().map(|line| line.id).collect()
    }

    /// Units of a line in parcels that left.
    #[must_use]
    pub fn fulfilled(&self, line: i64) -> i64 {
        let left = self.fulfilments.iter().filter(|parcel| parcel.status == "SUCCESS");
        left.flat_map(|parcel| &parcel.lines).filter(|of| of.line == line).map(|of| of.quantity).sum()
    }

    fn refunded(&self, line: i64, cancelled_only: bool) -> i64 {
        let lines = self.refunds.iter().flat_map(|refund| &refund.lines);
        let counts = |of: &&super::RefundLine| of.line == line && (!cancelled_only || of.restock.cancels());
        lines.filter(counts).map(|of| of.quantity).sum()
    }

    /// Units of a line without removed and refunded ones.
    #[must_use]
    pub fn current(&self, line: &Line) -> i64 {
        (line.quantity - line.removed - self.refunded(line.id, false)).max(0)
    }

    /// Units of a line that are still to be sent: a refund takes them off only where it cancels them.
    #[must_use]
    pub fn unfulfilled(&self, line: &Line) -> i64 {
        (line.quantity - line.removed - self.refunded(line.id, true) - self.fulfilled(line.id)).max(0)
    }

    /// Units of a line that money can be given back for.
    #[must_use]
    pub fn refundable(&self, line: &Line) -> i64 {
        self.current(line)
    }

    /// UNFULFILLED, `PARTIALLY_FULFILLED` or FULFILLED.
    #[must_use]
    pub fn fulfilment_status(&self) -> &'static str {
        let sent: i64 = self.lines.iter().map(|line| self.fulfilled(line.id)).sum();
        let open: i64 = self.lines.iter().map(|line| self.unfulfilled(line)).sum();
        match (sent, open) {
            (0, _) => "UNFULFILLED",
            (_, 0) => "FULFILLED",
            _ => "PARTIALLY_FULFILLED",
        }
    }

    /// What it costs now.
    #[must_use]
    pub fn current_total(&self) -> Decimal {
        self.lines.iter().map(|line| line.price * Decimal::from(self.current(line))).sum()
    }

    /// What it cost at first.
    #[must_use]
    pub fn total(&self) -> Decimal {
        self.lines.iter().map(|line| line.price * Decimal::from(line.quantity)).sum()
    }

    fn line_mut(&mut self, id: i64) -> Result<&mut Line, Missing> {
        self.lines.iter_mut().find(|line| line.id == id).ok_or(Missing { kind: "order line", id })
    }
}

impl World {
    /// An order as it is.
    ///
    /// # Errors
    /// If there is none.
    pub fn order(&self, id: i64) -> Result<&Order, Missing> {
        self.orders.get(&id).ok_or(Missing { kind: "order", id })
    }

    /// Ids of all orders.
    #[must_use]
    pub fn order_ids(&self) -> Vec<i64> {
        self.orders.keys().copied().collect()
    }

    /// Changes an order, and says so.
    pub(super) fn change_order<T>(
        &mut self,
        id: i64,
        topics: &[&'static str],
        change: impl FnOnce(&mut Order, DateTime<Utc>) -> Result<T, Missing>,
    ) -> Result<T, Missing> {
        let now = self.now();
        let order = self.orders.get_mut(&id).ok_or(Missing { kind: "order", id })?;
        let before = order.updated_at;
        let done = change(order, now)?;
        order.updated_at = now.max(before);
        self.orders_by_change.remove(&(before, id));
        self.orders_by_change.insert((order.updated_at, id));
        for topic in topics.iter().chain(&["orders/updated"]) {
            self.newsroom.order(topic, order);
        }
        Ok(done)
    }

    /// Makes an order.
    ///
    /// # Errors
    /// If a variant is not there.
    pub fn create_order(&mut self, new: NewOrder) -> Result<i64, Missing> {
        let lines = new.lines.iter().map(|line| self.new_line(line)).collect::<Result<Vec<Line>, Missing>>()?;
        let (mut id, number) = (self.mint(), 1001 + i64::try_from(self.orders.len()).unwrap_or(i64::MAX));
        if number % 3 == 0 {
            id += 820_982_911_000_000_000;
        }
        let at = new.created_at.unwrap_or_else(|| self.now());
        let order = Order {
            id,
            number,
            created_at: at,
            updated_at: at,
            cancelled_at: None,
            cancel_reason: None,
            closed_at: None,
            test: new.test,
            confirmed: true,
            edited: false,
            financial_status: if new.paid { "PAID" } else { "PENDING" },
            source_name: new.source_name,
            attributes: new.attributes,
            lines,
            fulfilments: Vec::new(),
            refunds: Vec::new(),
        };
        self.orders_by_change.insert((at, id));
        self.newsroom.order("orders/create", &order);
        if new.paid {
            self.newsroom.order("orders/paid", &order);
        }
        self.orders.insert(id, order);
        Ok(id)
    }

    fn new_line(&mut self, new: &NewLine) -> Result<Line, Missing> {
        let id = self.mint();
        let bare = |title: Arc<str>| Line {
            id,
            variant: None,
            product: None,
            sku: None,
            title,
            price: Decimal::new(999, 2),
            quantity: new.quantity,
            removed: 0,
            requires_shipping: true,
            group: new.group.clone(),
        };
        let Some(variant) = new.variant else {
            return Ok(bare(new.title.as_deref().unwrap_or("Custom item").into()));
        };
        let (product, variant) = self.variant(variant)?;
        Ok(Line {
            variant: Some(variant.id),
            product: Some(product.id),
            sku: variant.sku.clone(),
            price: variant.price,
            ..bare(Arc::clone(&product.title))
        })
    }

    /// Marks an order as paid.
    ///
    /// # Errors
    /// If it is not there.
    pub fn pay(&mut self, order: i64) -> Result<(), Missing> {
        self.change_order(order, &["orders/paid"], |order, _| {
            order.financial_status = "PAID";
            Ok(())
        })
    }

    /// Changes nothing that matters to stock, such as a note.
    ///
    /// # Errors
    /// If it is not there.
    pub fn touch_order(&mut self, order: i64) -> Result<(), Missing> {
        self.change_order(order, &[], |_, _| Ok(()))
    }

    /// Edits a line so that its current quantity is this one. More: the quantity goes up. Less: it stays, and units count
    /// as removed.
    ///
    /// # Errors
    /// If it is not there.
    pub fn edit_quantity(&mut self, order: i64, line: i64, current: i64) -> Result<(), Missing> {
        let delta = self.change_order(order, &[], |order, _| {
            let before = order.lines.iter().find(|of| of.id == line).map_or(0, |of| order.current(of));
            let delta = current - before;
            let edited = order.line_mut(line)?;
            if delta > 0 {
                edited.quantity += delta;
            } else {
                edited.removed -= delta;
            }
            order.edited = true;
            Ok(delta)
        })?;
        let edit = self.mint();
        self.newsroom.edited(edit, order, line, delta);
        Ok(())
    }

    /// Adds a line to an order; its id.
    ///
    /// # Errors
    /// If order or variant is not there.
    pub fn add_line(&mut self, order: i64, variant: i64, quantity: i64) -> Result<i64, Missing> {
        let line = self.new_line(&NewLine { variant: Some(variant), quantity, title: None, group: None })?;
        let id = line.id;
        self.change_order(order, &[], |order, _| {
            order.lines.push(line);
            order.edited = true;
            Ok(())
        })?;
        let edit = self.mint();
        self.newsroom.edited(edit, order, id, quantity);
        Ok(id)
    }

    /// Opens an order again that was closed or cancelled. What a refund took off stays off.
    ///
    /// # Errors
    /// If it is not there.
    pub fn reopen(&mut self, order: i64) -> Result<(), Missing> {
        self.change_order(order, &[], |order, _| {
            (order.cancelled_at, order.closed_at, order.cancel_reason) = (None, None, None);
            Ok(())
        })
    }

    /// Closes an order.
    ///
    /// # Errors
    /// If it is not there.
    pub fn close(&mut self, order: i64) -> Result<(), Missing> {
        self.change_order(order, &[], |order, now| {
            order.closed_at = Some(now);
            Ok(())
        })
    }

    /// Deletes an order: it is not found any more.
    ///
    /// # Errors
    /// If it is not there.
    pub fn delete_order(&mut self, id: i64) -> Result<(), Missing> {
        let gone = self.orders.remove(&id).ok_or(Missing { kind: "order", id })?;
        self.orders_by_change.remove(&(gone.updated_at, id));
        self.newsroom.gone("orders/delete", id);
        Ok(())
    }
}
