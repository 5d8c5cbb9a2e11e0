//! The Recharge account: customers, subscriptions, charges to come and past, and the orders that charges become.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Days, NaiveDate, Utc};
use rust_decimal::Decimal;

use super::{Missing, NewOrder, World};

/// The four collections.
#[derive(Debug, Default)]
pub struct RechargeWorld {
    pub(in crate::demo::standin) customers: BTreeMap<i64, Customer>,
    pub(in crate::demo::standin) subscriptions: BTreeMap<i64, Subscription>,
    pub(in crate::demo::standin) charges: BTreeMap<i64, Charge>,
    pub(in crate::demo::standin) orders: BTreeMap<i64, RechargeOrder>,
}

/// A subscriber.
#[derive(Debug, Clone)]
pub struct Customer {
    /// Its id.
    pub id: i64,
    /// Of the same person in the shop.
    pub external_id: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Its last change.
    pub updated_at: DateTime<Utc>,
}

/// A subscription.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Its id.
    pub id: i64,
    /// Whose.
    pub customer: i64,
    /// active, cancelled, expired.
    pub status: &'static str,
    /// What is sent each time.
    pub item: Item,
    /// When it is charged next.
    pub next_charge: Option<NaiveDate>,
    /// Between two charges.
    pub interval_days: u64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was cancelled.
    pub cancelled_at: Option<DateTime<Utc>>,
    /// Its last change.
    pub updated_at: DateTime<Utc>,
}

/// A line of a charge or an order.
#[derive(Debug, Clone)]
pub struct Item {
    /// The subscription.
    pub purchase_item: i64,
    /// In the shop.
    pub variant: i64,
    /// In the shop.
    pub product: i64,
    /// The seller's code.
    pub sku: Option<Arc<str>>,
    /// For people.
    pub title: Arc<str>,
    /// Of one unit.
    pub price: Decimal,
    /// Units; negative: how many is not told.
    pub quantity: i64,
}

/// A charge, past or to come.
#[derive(Debug, Clone)]
pub struct Charge {
    /// Its id.
    pub id: i64,
    /// Whose.
    pub customer: i64,
    /// queued, success, error, skipped.
    pub status: &'static str,
    /// When it is due.
    pub scheduled: NaiveDate,
    /// The order in the shop.
    pub external_order: Option<i64>,
    /// What is charged for.
    pub items: Vec<Item>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it went through.
    pub processed_at: Option<DateTime<Utc>>,
    /// Its last change.
    pub updated_at: DateTime<Utc>,
}

/// An order of Recharge.
#[derive(Debug, Clone)]
pub struct RechargeOrder {
    /// Its id.
    pub id: i64,
    /// Whose.
    pub customer: i64,
    /// The charge that paid for it.
    pub charge: i64,
    /// success, queued, cancelled.
    pub status: &'static str,
    /// Whether it was paid for in advance.
    pub prepaid: bool,
    /// When it is due.
    pub scheduled: NaiveDate,
    /// The order in the shop, and what people call it.
    pub external_order: Option<(i64, i64)>,
    /// What is sent.
    pub items: Vec<Item>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was made in the shop.
    pub processed_at: Option<DateTime<Utc>>,
    /// Its last change.
    pub updated_at: DateTime<Utc>,
}

/// What a new subscription consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscribed {
    /// The subscriber.
    pub customer: i64,
    /// The subscription.
    pub subscription: i64,
    /// Its first charge, queued.
    pub charge: i64,
}

impl World {
    /// A charge as it is.
    ///
    /// # Errors
    /// If there is none.
    pub fn charge(&self, id: i64) -> Result<&Charge, Missing> {
        self.recharge.charges.get(&id).ok_or(Missing { kind: "charge", id })
    }

    /// An order of Recharge as it is.
    ///
    /// # Errors
    /// If there is none.
    pub fn recharge_order(&self, id: i64) -> Result<&RechargeOrder, Missing> {
        self.recharge.orders.get(&id).ok_or(Missing { kind: "Recharge order", id })
    }

    /// The charge that was made last.
    #[must_use]
    pub fn newest_charge(&self) -> Option<i64> {
        self.recharge.charges.keys().next_back().copied()
    }

    /// A new customer subscribes to a variant, every thirty days, first charged on this date.
    ///
    /// # Errors
    /// If the variant is not there.
    pub fn subscribe(&mut self, variant: i64, quantity: i64, first: NaiveDate) -> Result<Subscribed, Missing> {
        let (product, of) = self.variant(variant)?;
        let (product, sku, title, price) = (product.id, of.sku.clone(), Arc::clone(&product.title), of.price);
        let now = self.now();
        let (customer, subscription, external_id) = (self.mint_small(), self.mint_small(), self.mint());
        let item = Item { purchase_item: subscription, variant, product, sku, title, price, quantity };
        let made = Customer { id: customer, external_id, created_at: now, updated_at: now };
        self.newsroom.customer("customer/created", &made);
        self.recharge.customers.insert(customer, made);
        let made = Subscription {
            id: subscription,
            customer,
            status: "active",
            item: item.clone(),
            next_charge: Some(first),
            interval_days: 30,
            created_at: now,
            cancelled_at: None,
            updated_at: now,
        };
        self.newsroom.subscription("subscription/created", &made);
        self.recharge.subscriptions.insert(subscription, made);
        let charge = self.queue_charge(customer, first, vec![item]);
        Ok(Subscribed { customer, subscription, charge })
    }

    fn queue_charge(&mut self, customer: i64, scheduled: NaiveDate, items: Vec<Item>) -> i64 {
        let (id, now) = (self.mint_small(), self.now());
        let charge = Charge {
            id,
            customer,
            status: "queued",
            scheduled,
            external_order: None,
            items,
            created_at: now,
            processed_at: None,
            updated_at: now,
        };
        self.newsroom.charge("charge/created", &charge);
        self.recharge.charges.insert(id, charge);
        id
    }

    fn change_charge(
        &mut self,
        id: i64,
        topic: &'static str,
        change: impl FnOnce(&mut Charge, DateTime<Utc>),
    ) -> Result<(), Missing> {
        let now = self.now();
        let charge = self.recharge.charges.get_mut(&id).ok_or(Missing { kind: "charge", id })?;
        change(charge, now);
        charge.updated_at = now.max(charge.updated_at);
        self.newsroom.charge(topic, charge);
        Ok(())
    }

    fn change_subscription(
        &mut self,
        id: i64,
        topic: &'static str,
        change: impl FnOnce(&mut Subscription, DateTime<Utc>),
    ) -> Result<(), Missing> {
        let now = self.now();
        let subscription = self.recharge.subscriptions.get_mut(&id).ok_or(Missing { kind: "subscription", id })?;
        change(subscription, now);
        subscription.updated_at = now.max(subscription.updated_at);
        self.newsroom.subscription(topic, subscription);
        Ok(())
    }

    /// Moves a queued charge, and its subscriptions, to another date.
    ///
    /// # Errors
    /// If it is not there.
    pub fn move_charge(&mut self, charge: i64, to: NaiveDate) -> Result<(), Missing> {
        self.change_charge(charge, "charge/updated", |charge, _| charge.scheduled = to)?;
        for subscription in self.subscriptions_of(charge)? {
            self.change_subscription(subscription, "subscription/updated", |of, _| of.next_charge = Some(to))?;
        }
        Ok(())
    }

    fn subscriptions_of(&self, charge: i64) -> Result<Vec<i64>, Missing> {
        let found = self.recharge.charges.get(&charge).ok_or(Missing { kind: "charge", id: charge })?;
        Ok(found.items.iter().map(|item| item.purchase_item).collect())
    }

    /// Skips a queued charge; the subscription goes on with the one after. The new charge's id.
    ///
    /// # Errors
    /// If it is not there.
    pub fn skip_charge(&mut self, charge: i64) -> Result<i64, Missing> {
        self.change_charge(charge, "charge/updated", |charge, _| charge.status = "skipped")?;
        self.queue_next(charge)
    }

    /// Lets a charge fail; it is tried again later.
    ///
    /// # Errors
    /// If it is not there.
    pub fn fail_charge(&mut self, charge: i64) -> Result<(), Missing> {
        self.change_charge(charge, "charge/failed", |charge, _| charge.status = "error")
    }

    fn queue_next(&mut self, charge: i64) -> Result<i64, Missing> {
        let done = self.recharge.charges.get(&charge).ok_or(Missing { kind: "charge", id: charge })?;
        let (customer, from, items) = (done.customer, done.scheduled, done.items.clone());
        let mut next = from;
        for subscription in self.subscriptions_of(charge)? {
            let every = self.recharge.subscriptions.get(&subscription).map_or(30, |of| of.interval_days);
            next = from.checked_add_days(Days::new(every)).unwrap_or(from);
            self.change_subscription(subscription, "subscription/updated", |of, _| of.next_charge = Some(next))?;
        }
        Ok(self.queue_charge(customer, next, items))
    }

    /// A charge goes through: an order of Recharge comes of it, and the next charge is queued. The order's id. `in_shop`:
    /// its order in the shop is made and linked at once; otherwise [`World::link`] does so later.
    ///
    /// # Errors
    /// If it is not there.
    pub fn process_charge(&mut self, charge: i64, in_shop: bool) -> Result<i64, Missing> {
        self.change_charge(charge, "charge/paid", |charge, now| {
            (charge.status, charge.processed_at) = ("success", Some(now));
        })?;
        let order = self.order_of_charge(charge, false)?;
        if in_shop {
            self.link(order)?;
        }
        self.queue_next(charge)?;
        Ok(order)
    }

    /// An order that was paid for in advance with this charge, due on a date: queued, and not in the shop yet. Its id.
    ///
    /// # Errors
    /// If the charge is not there.
    pub fn prepay(&mut self, charge: i64, due: NaiveDate) -> Result<i64, Missing> {
        let order = self.order_of_charge(charge, true)?;
        self.change_recharge_order(order, "order/updated", |order, _| {
            (order.status, order.scheduled, order.processed_at) = ("queued", due, None);
        })?;
        Ok(order)
    }

    fn order_of_charge(&mut self, charge: i64, prepaid: bool) -> Result<i64, Missing> {
        let (id, now) = (self.mint_small(), self.now());
        let paid = self.recharge.charges.get(&charge).ok_or(Missing { kind: "charge", id: charge })?;
        let order = RechargeOrder {
            id,
            customer: paid.customer,
            charge,
            status: "success",
            prepaid,
            scheduled: paid.scheduled,
            external_order: None,
            items: paid.items.clone(),
            created_at: now,
            processed_at: Some(now),
            updated_at: now,
        };
        self.newsroom.recharge_order("order/created", &order);
        self.recharge.orders.insert(id, order);
        Ok(id)
    }

    fn change_recharge_order(
        &mut self,
        id: i64,
        topic: &'static str,
        change: impl FnOnce(&mut RechargeOrder, DateTime<Utc>),
    ) -> Result<(), Missing> {
        let now = self.now();
        let order = self.recharge.orders.get_mut(&id).ok_or(Missing { kind: "Recharge order", id })?;
        change(order, now);
        order.updated_at = now.max(order.updated_at);
        self.newsroom.recharge_order(topic, order);
        Ok(())
    }

    /// Makes the shop's order of a Recharge order and links both; the shop's order id.
    ///
    /// # Errors
    /// If it is not there.
    pub fn link(&mut self, order: i64) -> Result<i64, Missing> {
        let shop_order = self.make_in_shop(order)?;
        self.name_shop_order(order, shop_order)?;
        Ok(shop_order)
    }

    /// Makes the shop's order of a Recharge order, which does not know of it yet; the shop's order id.
    ///
    /// # Errors
    /// If it is not there.
    pub fn make_in_shop(&mut self, order: i64) -> Result<i64, Missing> {
        let of = self.recharge.orders.get(&order).ok_or(Missing { kind: "Recharge order", id: order })?;
        let lines: Vec<(i64, i64)> = of.items.iter().map(|item| (item.variant, item.quantity)).collect();
        self.create_order(NewOrder { source_name: "subscription_contract", ..NewOrder::of(&lines) })
    }

    /// A Recharge order, and its charge, get to know their order in the shop.
    ///
    /// # Errors
    /// If one of them is not there.
    pub fn name_shop_order(&mut self, order: i64, shop_order: i64) -> Result<(), Missing> {
        let number = self.order(shop_order)?.number;
        self.change_recharge_order(order, "order/processed", |order, now| {
            order.external_order = Some((shop_order, number));
            (order.status, order.processed_at) = ("success", Some(now));
        })?;
        let charge = self.recharge.orders.get(&order).map_or(0, |order| order.charge);
        self.change_charge(charge, "charge/updated", |charge, _| charge.external_order = Some(shop_order))
    }

    /// Cancels an order of Recharge.
    ///
    /// # Errors
    /// If it is not there.
    pub fn cancel_recharge_order(&mut self, order: i64) -> Result<(), Missing> {
        self.change_recharge_order(order, "order/cancelled", |order, _| order.status = "cancelled")
    }

    /// Deletes an order of Recharge: it is not found any more.
    ///
    /// # Errors
    /// If it is not there.
    pub fn delete_recharge_order(&mut self, id: i64) -> Result<(), Missing> {
        let gone = self.recharge.orders.remove(&id).ok_or(Missing { kind: "Recharge order", id })?;
        self.newsroom.recharge_order("order/deleted", &gone);
        Ok(())
    }

    /// Changes how many units a subscription sends, its queued charges included.
    ///
    /// # Errors
    /// If it is not there.
    pub fn change_subscription_quantity(&mut self, subscription: i64, quantity: i64) -> Result<(), Missing> {
        self.change_subscription(subscription, "subscription/updated", |of, _| of.item.quantity = quantity)?;
        for charge in self.queued_charges_of(subscription) {
            self.change_charge(charge, "charge/updated", |charge, _| {
                for item in charge.items.iter_mut().filter(|item| item.purchase_item == subscription) {
                    item.quantity = quantity;
                }
            })?;
        }
        Ok(())
    }

    fn queued_charges_of(&self, subscription: i64) -> Vec<i64> {
        let charges = self.recharge.charges.values().filter(|charge| charge.status == "queued");
        let of = |charge: &&Charge| charge.items.iter().any(|item| item.purchase_item == subscription);
        charges.filter(of).map(|charge| charge.id).collect()
    }

    /// Cancels a subscription; its queued charges are deleted.
    ///
    /// # Errors
    /// If it is not there.
    pub fn cancel_subscription(&mut self, subscription: i64) -> Result<(), Missing> {
        self.change_subscription(subscription, "subscription/cancelled", |of, now| {
            (of.status, of.cancelled_at, of.next_charge) = ("cancelled", Some(now), None);
        })?;
        for charge in self.queued_charges_of(subscription) {
            self.delete_charge(charge)?;
        }
        Ok(())
    }

    /// Deletes a charge: it is not found any more, as old ones are not.
    ///
    /// # Errors
    /// If it is not there.
    pub fn delete_charge(&mut self, id: i64) -> Result<(), Missing> {
        let gone = self.recharge.charges.remove(&id).ok_or(Missing { kind: "charge", id })?;
        self.newsroom.charge("charge/deleted", &gone);
        Ok(())
    }
}
