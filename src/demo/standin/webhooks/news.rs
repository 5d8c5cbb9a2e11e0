//! What happened in the world, as bodies of webhooks.
//!
//! Bodies are made at the moment of the change and stay as they are: a delivery that is late or repeated says what was
//! true then. Nothing is made where nobody listens.

use serde_json::{Value, json};
use uuid::Uuid;

use super::payloads;
use crate::demo::standin::recharge::render;
use crate::demo::standin::world::{Charge, Customer, Order, Product, RechargeOrder, Subscription};
use crate::ids;
use crate::mirror::rows::Source;

/// One change that webhooks tell of.
#[derive(Debug, Clone)]
pub struct News {
    /// Whose.
    pub source: Source,
    /// As the header writes it: `orders/updated`.
    pub topic: &'static str,
    /// As it was.
    pub body: Value,
    /// Of the action that caused it.
    pub event: Uuid,
}

/// Collects what happens.
#[derive(Debug)]
pub struct Newsroom {
    tells: bool,
    news: Vec<News>,
}

impl Newsroom {
    pub(in crate::demo::standin) fn new(tells: bool) -> Self {
        Self { tells, news: Vec::new() }
    }

    pub(in crate::demo::standin) fn tell(&mut self, tells: bool) {
        self.tells = tells;
    }

    pub(in crate::demo::standin) fn take(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    fn add(&mut self, source: Source, topic: &'static str, body: impl FnOnce() -> Value) {
        if self.tells {
            self.news.push(News { source, topic, body: body(), event: ids::new_uuid() });
        }
    }

    pub(in crate::demo::standin) fn order(&mut self, topic: &'static str, order: &Order) {
        self.add(Source::Shopify, topic, || payloads::order(order));
    }

    pub(in crate::demo::standin) fn fulfilment(&mut self, topic: &'static str, order: &Order, fulfilment: i64) {
        self.add(Source::Shopify, topic, || payloads::fulfilment(order, fulfilment));
    }

    pub(in crate::demo::standin) fn refund(&mut self, order: &Order, refund: i64) {
        self.add(Source::Shopify, "refunds/create", || payloads::refund(order, refund));
    }

    pub(in crate::demo::standin) fn edited(&mut self, id: i64, order: i64, line: i64, delta: i64) {
        self.add(Source::Shopify, "orders/edited", || payloads::edited(id, order, line, delta));
    }

    pub(in crate::demo::standin) fn product(&mut self, topic: &'static str, product: &Product) {
        self.add(Source::Shopify, topic, || payloads::product(product));
    }

    pub(in crate::demo::standin) fn location(&mut self, topic: &'static str, id: i64, name: &str, active: bool) {
        self.add(Source::Shopify, topic, || json!({"id": id, "name": name, "active": active}));
    }

    pub(in crate::demo::standin) fn gone(&mut self, topic: &'static str, id: i64) {
        self.add(Source::Shopify, topic, || json!({"id": id}));
    }

    pub(in crate::demo::standin) fn customer(&mut self, topic: &'static str, customer: &Customer) {
        self.add(Source::Recharge, topic, || json!({"customer": render::customer(customer, 1)}));
    }

    pub(in crate::demo::standin) fn subscription(&mut self, topic: &'static str, subscription: &Subscription) {
        self.add(Source::Recharge, topic, || json!({"subscription": render::subscription(subscription)}));
    }

    pub(in crate::demo::standin) fn charge(&mut self, topic: &'static str, charge: &Charge) {
        self.add(Source::Recharge, topic, || json!({"charge": render::charge(charge)}));
    }

    pub(in crate::demo::standin) fn recharge_order(&mut self, topic: &'static str, order: &RechargeOrder) {
        self.add(Source::Recharge, topic, || json!({"order": render::order(order)}));
    }
}
