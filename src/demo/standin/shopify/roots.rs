//! What can be asked for at the top: lists of everything, single things by id, and subscriptions to webhooks.

use std::cell::RefCell;
use std::collections::Bound;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::arguments::Arguments;
use super::cursor::Cursor;
use super::document::Field;
use super::errors::Failure;
use super::search::{Comparison, Filters};
use super::things::{Answer, Thing};
use crate::demo::standin::world::{Order, Product, World};

/// What a question at the top is answered from.
pub(super) struct Roots<'a, 'w> {
    pub(super) world: &'w World,
    pub(super) shop: &'w str,
    pub(super) arguments: &'a Arguments<'a>,
    /// What a search finds trails behind by this.
    pub(super) search_lag: TimeDelta,
    /// `extensions.search` of the answer.
    pub(super) warnings: RefCell<Vec<Value>>,
}

/// The number in a global id of this kind.
fn number(id: &str, kind: &str) -> Option<i64> {
    id.strip_prefix("gid://shopify/")?.strip_prefix(kind)?.strip_prefix('/')?.parse().ok()
}

impl<'w> Roots<'_, 'w> {
    pub(super) fn answer(&self, field: &Field) -> Result<Answer<'w>, Failure> {
        Ok(match field.name.as_str() {
            "__typename" => Answer::Text("QueryRoot"),
            "orders" => self.orders(field)?,
            "products" => self.products(field)?,
            "ordersCount" => Answer::One(Thing::Count(self.count_orders(field))),
            "productsCount" => Answer::One(Thing::Count(self.count_products(field))),
            "events" => self.events(field)?,
            "order" | "product" | "fulfillment" | "refund" | "location" => self.by_id(field),
            "locations" => {
                let all = self.arguments.value(field, "includeInactive") == Value::Bool(true);
                let locations = self.world.locations.values().filter(|location| all || location.active);
                Answer::Many(locations.map(Thing::Location).collect())
            }
            "webhookSubscriptions" => Answer::Many(self.world.hooks.iter().map(Thing::Hook).collect()),
            "shop" => Answer::One(Thing::Shop(self.shop)),
            "currentAppInstallation" => Answer::One(Thing::Installation(&self.world.scopes)),
            "inventoryProperties" => Answer::One(Thing::Inventory),
            _ => Answer::Unheld,
        })
    }

    fn by_id(&self, field: &Field) -> Answer<'w> {
        let id = self.arguments.text(field, "id").unwrap_or_default();
        self.node(&id).map_or(Answer::Null, Answer::One)
    }

    /// The thing with this global id.
    pub(super) fn node(&self, id: &str) -> Option<Thing<'w>> {
        let kinds = ["Order", "ProductVariant", "Product", "Fulfillment", "Refund", "Location", "WebhookSubscription"];
        kinds.into_iter().find_map(|kind| find(self.world, kind, number(id, kind)?))
    }

    fn filters(&self, field: &Field, times: &[&str], words: &[&str]) -> Filters {
        let query = self.arguments.text(field, "query").unwrap_or_default();
        let filters = Filters::parse(&query, times, words);
        self.warnings.borrow_mut().extend(filters.extension(&field.name, &query));
        filters
    }

    fn orders(&self, field: &Field) -> Result<Answer<'w>, Failure> {
        let filters = self.filters(field, &["updated_at", "created_at", "processed_at"], &["status", "test"]);
        let time = |order: &Order, of: &str| if of == "updated_at" { order.updated_at } else { order.created_at };
        let is = |order: &Order, of: &str, word: &str| match (of, word) {
            ("status", "open") => order.closed_at.is_none() && order.cancelled_at.is_none(),
            ("status", "closed") => order.closed_at.is_some(),
            ("status", "cancelled") => order.cancelled_at.is_some(),
            ("status", "not_closed") => order.closed_at.is_none(),
            ("test", word) => order.test == (word == "true"),
            _ => true,
        };
        let passes = |order: &&Order| {
            order.updated_at <= self.searchable()
                && filters.within(|of| time(order, of))
                && filters.named(|of, word| is(order, of, word))
        };
        if self.sort_key(field) == "UPDATED_AT" {
            let found = |&(at, id): &(DateTime<Utc>, i64)| {
                let order = self.world.orders.get(&id)?;
                passes(&order)
                    .then_some((Thing::Order(order), Cursor { last_value: at.timestamp_millis(), last_id: id }))
            };
            let range = (self.from(field, &filters)?, Bound::Unbounded);
            return self.take(self.world.orders_by_change.range(range).filter_map(found), field);
        }
        let key = |order: &Order| match self.sort_key(field).as_str() {
            "CREATED_AT" | "PROCESSED_AT" => order.created_at.timestamp_millis(),
            _ => order.id,
        };
        let all = self.world.orders.values().filter(passes);
        let keyed = all.map(|order| (Thing::Order(order), Cursor { last_value: key(order), last_id: order.id }));
        self.sorted(keyed.collect(), field)
    }

    fn products(&self, field: &Field) -> Result<Answer<'w>, Failure> {
        let filters = self.filters(field, &["updated_at", "created_at", "published_at"], &["status"]);
        let time =
            |of: &str, product: &Product| if of == "updated_at" { product.updated_at } else { product.created_at };
        let passes = |product: &&Product| {
            product.updated_at <= self.searchable()
                && filters.within(|of| time(of, product))
                && filters.named(|_, word| product.status.eq_ignore_ascii_case(word))
        };
        if self.sort_key(field) == "UPDATED_AT" {
            let found = |&(at, id): &(DateTime<Utc>, i64)| {
                let product = self.world.products.get(&id)?;
                let key = Cursor { last_value: at.timestamp_millis(), last_id: id };
                passes(&product).then_some((Thing::Product(product), key))
            };
            let range = (self.from(field, &filters)?, Bound::Unbounded);
            return self.take(self.world.products_by_change.range(range).filter_map(found), field);
        }
        let all = self.world.products.values().filter(passes);
        let keyed =
            all.map(|product| (Thing::Product(product), Cursor { last_value: product.id, last_id: product.id }));
        self.sorted(keyed.collect(), field)
    }

    fn count_orders(&self, field: &Field) -> usize {
        let filters = self.filters(field, &["updated_at", "created_at"], &[]);
        let time = |order: &Order, of: &str| if of == "updated_at" { order.updated_at } else { order.created_at };
        let passes = |order: &&Order| order.updated_at <= self.searchable() && filters.within(|of| time(order, of));
        self.world.orders.values().filter(passes).count()
    }

    fn count_products(&self, field: &Field) -> usize {
        let filters = self.filters(field, &["updated_at", "created_at"], &["status"]);
        let time =
            |of: &str, product: &Product| if of == "updated_at" { product.updated_at } else { product.created_at };
        let passes = |product: &&Product| {
            product.updated_at <= self.searchable()
                && filters.within(|of| time(of, product))
                && filters.named(|_, word| product.status.eq_ignore_ascii_case(word))
        };
        self.world.products.values().filter(passes).count()
    }

    fn events(&self, field: &Field) -> Result<Answer<'w>, Failure> {
        let filters = self.filters(field, &["created_at"], &["subject_type", "action"]);
        let is = |of: &str, word: &str| word == if of == "action" { "destroy" } else { "product" };
        let all = self.world.destroyed.iter().filter(|event| filters.within(|_| event.at) && filters.named(is));
        let keyed = all.map(|event| (Thing::Destroyed(event), Cursor { last_value: event.id, last_id: event.id }));
        self.sorted(keyed.collect(), field)
    }

    fn sort_key(&self, field: &Field) -> String {
        self.arguments.text(field, "sortKey").unwrap_or_default()
    }

    /// Changes up to here are found by a search.
    fn searchable(&self) -> DateTime<Utc> {
        self.world.now() - self.search_lag
    }

    /// Where a walk by `updated_at` begins: after the cursor, or at the filter's lower bound.
    fn from(&self, field: &Field, filters: &Filters) -> Result<Bound<(DateTime<Utc>, i64)>, Failure> {
        if let Some(after) = self.after(field)? {
            let at = DateTime::from_timestamp_millis(after.last_value).unwrap_or_default();
            return Ok(Bound::Excluded((at, after.last_id)));
        }
        let bounds = filters.times.iter().filter(|(of, comparison, _)| {
            of == "updated_at" && matches!(comparison, Comparison::AtLeast | Comparison::After)
        });
        Ok(bounds.map(|(_, _, at)| *at).max().map_or(Bound::Unbounded, |at| Bound::Included((at, i64::MIN))))
    }

    fn after(&self, field: &Field) -> Result<Option<Cursor>, Failure> {
        self.arguments.text(field, "after").map(|text| Cursor::decode(&text)).transpose()
    }

    fn sorted(&self, mut all: Vec<(Thing<'w>, Cursor)>, field: &Field) -> Result<Answer<'w>, Failure> {
        all.sort_unstable_by_key(|(_, key)| *key);
        let after = self.after(field)?;
        self.take(all.into_iter().filter(|(_, key)| after.is_none_or(|after| *key > after)), field)
    }

    fn take(&self, all: impl Iterator<Item = (Thing<'w>, Cursor)>, field: &Field) -> Result<Answer<'w>, Failure> {
        let first = self.arguments.first(field)?;
        let mut page: Vec<(Thing<'w>, Cursor)> = all.take(first + 1).collect();
        let more = page.len() > first;
        page.truncate(first);
        Ok(Answer::Page(page, more))
    }
}

/// A thing by its kind and number.
pub(super) fn find<'w>(world: &'w World, kind: &str, id: i64) -> Option<Thing<'w>> {
    match kind {
        "Order" => world.orders.get(&id).map(Thing::Order),
        "Product" => world.products.get(&id).map(Thing::Product),
        "ProductVariant" => world.variant(id).ok().map(|(product, variant)| Thing::Variant(product, variant)),
        "Location" => world.locations.get(&id).map(Thing::Location),
        "Fulfillment" => {
            let order = world.orders.get(world.order_of_fulfilment.get(&id)?)?;
            order.fulfilments.iter().find(|of| of.id == id).map(|of| Thing::Fulfilment(order, of))
        }
        "Refund" => {
            let order = world.orders.get(world.order_of_refund.get(&id)?)?;
            order.refunds.iter().find(|of| of.id == id).map(|of| Thing::Refund(order, of))
        }
        "WebhookSubscription" => world.hooks.iter().find(|hook| hook.id == id).map(Thing::Hook),
        _ => None,
    }
}
