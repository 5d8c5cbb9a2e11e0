//! What a copy consists of, in our words, whatever shape the upstream had. Mappers make these, the store writes them.
//!
//! Ids are the upstreams' numbers. Words that an upstream may add to (states, kinds) stay text: an unknown one is stored,
//! not refused. Empty SKU codes are absent ones. Money is decimal. `document` is what the upstream answered, kept beside
//! the columns. `fetched_at` is when it was asked for: of two answers with one `updated_at` the later question is newer.

use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde_json::Value;

/// Where a copy comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// Products, locations, orders.
    Shopify,
    /// Customers, subscriptions, charges, orders.
    Recharge,
}

impl Source {
    /// The word in SQL, JSON and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shopify => "shopify",
            Self::Recharge => "recharge",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Shopify, Self::Recharge].into_iter().find(|source| source.as_str() == word)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An entity that may have changed: its id and, where the upstream says so, when it last did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Its id.
    pub id: i64,
    /// Its last change.
    pub updated_at: DateTime<Utc>,
}

/// A product with all its variants.
#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    /// Its id.
    pub product_id: i64,
    /// For people.
    pub title: String,
    /// Its name in URLs.
    pub handle: Option<String>,
    /// ACTIVE, DRAFT, ARCHIVED, UNLISTED or a word not known yet.
    pub status: String,
    /// Its last change, second precision.
    pub updated_at: DateTime<Utc>,
    /// When it was asked for.
    pub fetched_at: DateTime<Utc>,
    /// All of its variants; one that is missing is gone.
    pub variants: Vec<Variant>,
    /// As answered, without the variants.
    pub document: Value,
}

/// A variant of a product.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// Its id; never changes.
    pub variant_id: i64,
    /// The seller's code, which repeats and changes.
    pub sku: Option<String>,
    /// For people.
    pub title: Option<String>,
    /// EAN, UPC.
    pub barcode: Option<String>,
    /// In the shop's currency.
    pub price: Option<Decimal>,
    /// What inventory calls it.
    pub inventory_item_id: Option<i64>,
    /// Whether the upstream counts it.
    pub tracked: Option<bool>,
    /// Whether it is a thing.
    pub requires_shipping: Option<bool>,
    /// Its place among its siblings, from 1.
    pub position: Option<i32>,
    /// Its last change.
    pub updated_at: DateTime<Utc>,
    /// As answered.
    pub document: Value,
}

/// A place that stock is sent from.
#[derive(Debug, Clone, PartialEq)]
pub struct Location {
    /// Its id.
    pub location_id: i64,
    /// For people.
    pub name: String,
    /// Whether it is in use.
    pub active: bool,
    /// When it was asked for.
    pub fetched_at: DateTime<Utc>,
    /// As answered.
    pub document: Value,
}

/// An order with everything that hangs on it: the children are complete, they replace those of the copy.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Its id.
    pub order_id: i64,
    /// What people call it, such as `#1016`.
    pub name: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it counts as made.
    pub processed_at: Option<DateTime<Utc>>,
    /// Its last change, second precision.
    pub updated_at: DateTime<Utc>,
    /// When it was cancelled.
    pub cancelled_at: Option<DateTime<Utc>>,
    /// Why.
    pub cancel_reason: Option<String>,
    /// When it was closed.
    pub closed_at: Option<DateTime<Utc>>,
    /// Whether nobody means it.
    pub test: bool,
    /// Whether the upstream has set inventory aside for it.
    pub confirmed: bool,
    /// PAID, PENDING and others.
    pub financial_status: Option<String>,
    /// UNFULFILLED, FULFILLED and others.
    pub fulfilment_status: Option<String>,
    /// ISO 4217.
    pub currency: Option<String>,
    /// What it costs now, in `currency`.
    pub total_price: Option<Decimal>,
    /// The channel.
    pub source_name: Option<String>,
    /// Attribute `holdfast_reservation_id` (or `_holdfast_reservation_id`), as the storefront wrote it.
    pub reservation_id: Option<String>,
    /// Attribute `holdfast_pool` (or `_holdfast_pool`), as the storefront wrote it.
    pub pool_code: Option<String>,
    /// When it was asked for.
    pub fetched_at: DateTime<Utc>,
    /// All of its lines, in order.
    pub lines: Vec<OrderLine>,
    /// All of its fulfilments, cancelled ones included.
    pub fulfilments: Vec<Fulfilment>,
    /// All of its refunds.
    pub refunds: Vec<Refund>,
    /// As answered, with all nested pages.
    pub document: Value,
}

/// A line of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderLine {
    /// Its id.
    pub line_id: i64,
    /// What was bought; absent for custom items, and for some deleted variants.
    pub variant_id: Option<i64>,
    /// The product of it.
    pub product_id: Option<i64>,
    /// The seller's code when it was bought.
    pub sku: Option<String>,
    /// For people.
    pub title: String,
    /// Units ever ordered.
    pub quantity: i64,
    /// Units ordered, without removed and refunded ones.
    pub current_quantity: i64,
    /// Units still to be sent.
    pub unfulfilled_quantity: i64,
    /// Whether it is a thing.
    pub requires_shipping: bool,
    /// Whether it is a gift card.
    pub gift_card: bool,
    /// The bundle that it is a component of.
    pub group_id: Option<String>,
}

/// A parcel of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fulfilment {
    /// Its id.
    pub fulfilment_id: i64,
    /// SUCCESS counts as shipped; CANCELLED, ERROR, FAILURE do not.
    pub status: String,
    /// When it left.
    pub created_at: DateTime<Utc>,
    /// Its last change.
    pub updated_at: DateTime<Utc>,
    /// Where it left from; unknown for some.
    pub location_id: Option<i64>,
    /// What was in it.
    pub lines: Vec<FulfilmentLine>,
}

/// A line of a parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FulfilmentLine {
    /// Its id.
    pub fulfilment_line_id: i64,
    /// The order line.
    pub line_id: i64,
    /// Units.
    pub quantity: i64,
}

/// Money back, and sometimes units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// Its id.
    pub refund_id: i64,
    /// When it was made.
    pub created_at: Option<DateTime<Utc>>,
    /// Its last change.
    pub updated_at: Option<DateTime<Utc>>,
    /// May be empty: shipping, or an amount.
    pub lines: Vec<RefundLine>,
}

/// A line of a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundLine {
    /// Its id; old ones have none.
    pub refund_line_id: Option<i64>,
    /// The order line.
    pub line_id: i64,
    /// Units.
    pub quantity: i64,
    /// CANCEL: never shipped; RETURN: came back; `NO_RESTOCK`: nothing; `LEGACY_RESTOCK`: either.
    pub restock_type: String,
    /// Whether the units went back to the shelf.
    pub restocked: bool,
    /// Where to.
    pub location_id: Option<i64>,
}

/// A subscriber.
#[derive(Debug, Clone, PartialEq)]
pub struct RechargeCustomer {
    /// Its id.
    pub customer_id: i64,
    /// The Shopify customer.
    pub external_customer_id: Option<i64>,
    /// Its last change; only to be compared with itself.
    pub updated_at: DateTime<Utc>,
    /// When it was asked for.
    pub fetched_at: DateTime<Utc>,
    /// As answered, without names, addresses and contact data.
    pub document: Value,
}

/// A subscription.
#[derive(Debug, Clone, PartialEq)]
pub struct RechargeSubscription {
    /// Its id.
    pub subscription_id: i64,
    /// Whose.
    pub customer_id: Option<i64>,
    /// active, cancelled, expired or a word not known yet.
    pub status: String,
    /// What is sent.
    pub variant_id: Option<i64>,
    /// The product of it.
    pub product_id: Option<i64>,
    /// The seller's code.
    pub sku: Option<String>,
    /// Units each time.
    pub quantity: i64,
    /// When it is charged next.
    pub next_charge_date: Option<NaiveDate>,
    /// Its last change; only to be compared with itself.
    pub updated_at: DateTime<Utc>,
    /// When it was asked for.
    pub fetched_at: DateTime<Utc>,
    /// As answered, without names, addresses and contact data.
    pub document: Value,
}

/// A charge, past or to come.
#[derive(Debug, Clone, PartialEq)]
pub struct RechargeCharge {
    /// Its id.
    pub charge_id: i64,
    /// Whose.
    pub customer_id: Option<i64>,
    /// queued, success, error, skipped and others.
    pub status: String,
    /// When it is due.
    pub scheduled_date: Option<NaiveDate>,
    /// The Shopify order that came of it.
    pub external_order_id: Option<i64>,
    /// Its last change; only to be compared with itself.
    pub updated_at: DateTime<Utc>,
    /// When it was asked for.
    pub fetched_at: DateTime<Utc>,
    /// What is charged for.
    pub lines: Vec<RechargeLine>,
    /// As answered, without names, addresses and contact data.
    pub document: Value,
}

/// An order of Recharge; once it is in Shopify too, that is the same order.
#[derive(Debug, Clone, PartialEq)]
pub struct RechargeOrder {
    /// Its id.
    pub order_id: i64,
    /// The charge that paid for it.
    pub charge_id: Option<i64>,
    /// Whose.
    pub customer_id: Option<i64>,
    /// success, queued, error, cancelled and others.
    pub status: String,
    /// checkout or recurring.
    pub kind: Option<String>,
    /// Whether it was paid for in advance with others.
    pub prepaid: bool,
    /// When it is due.
    pub scheduled_date: Option<NaiveDate>,
    /// When it was made in the shop.
    pub processed_at: Option<DateTime<Utc>>,
    /// The Shopify order that it is.
    pub external_order_id: Option<i64>,
    /// What people call that.
    pub external_order_name: Option<String>,
    /// Its last change; only to be compared with itself.
    pub updated_at: DateTime<Utc>,
    /// When it was asked for.
    pub fetched_at: DateTime<Utc>,
    /// What is sent.
    pub lines: Vec<RechargeLine>,
    /// As answered, without names, addresses and contact data.
    pub document: Value,
}

/// A line of a charge or of an order of Recharge, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RechargeLine {
    /// What is sent.
    pub variant_id: Option<i64>,
    /// The product of it.
    pub product_id: Option<i64>,
    /// The seller's code.
    pub sku: Option<String>,
    /// For people.
    pub title: String,
    /// Units.
    pub quantity: i64,
    /// The subscription or one-time purchase.
    pub purchase_item_id: Option<i64>,
}
