//! Documents in, rows out. Pure.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::private::without_persons;
use super::tolerant;
use crate::mirror::rows::{RechargeCharge, RechargeCustomer, RechargeLine, RechargeOrder, RechargeSubscription};
use crate::mirror::upstream::UpstreamError;
use crate::mirror::upstream::answer::read;

#[derive(Deserialize)]
struct LineDocument {
    #[serde(default, deserialize_with = "tolerant::external")]
    external_variant_id: Option<i64>,
    #[serde(default, deserialize_with = "tolerant::external")]
    external_product_id: Option<i64>,
    #[serde(default, deserialize_with = "tolerant::text")]
    sku: Option<String>,
    #[serde(default, deserialize_with = "tolerant::text")]
    title: Option<String>,
    #[serde(default, deserialize_with = "tolerant::text")]
    variant_title: Option<String>,
    #[serde(deserialize_with = "tolerant::whole")]
    quantity: i64,
    #[serde(default, deserialize_with = "tolerant::number")]
    purchase_item_id: Option<i64>,
}

#[derive(Deserialize, Default)]
struct Owner {
    #[serde(default, deserialize_with = "tolerant::number")]
    id: Option<i64>,
}

#[derive(Deserialize)]
struct OrderDocument {
    #[serde(deserialize_with = "tolerant::whole")]
    id: i64,
    #[serde(default)]
    charge: Option<Owner>,
    #[serde(default, deserialize_with = "tolerant::number")]
    charge_id: Option<i64>,
    #[serde(default)]
    customer: Option<Owner>,
    #[serde(default, deserialize_with = "tolerant::number")]
    customer_id: Option<i64>,
    status: String,
    #[serde(default, rename = "type", deserialize_with = "tolerant::text")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "tolerant::flag")]
    is_prepaid: bool,
    #[serde(default, deserialize_with = "tolerant::day")]
    scheduled_at: Option<NaiveDate>,
    #[serde(default, deserialize_with = "tolerant::maybe_time")]
    processed_at: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "tolerant::external")]
    external_order_id: Option<i64>,
    #[serde(default, deserialize_with = "tolerant::external_text")]
    external_order_name: Option<String>,
    #[serde(deserialize_with = "tolerant::time")]
    updated_at: DateTime<Utc>,
    #[serde(default, deserialize_with = "tolerant::list")]
    line_items: Vec<LineDocument>,
}

#[derive(Deserialize)]
struct ChargeDocument {
    #[serde(deserialize_with = "tolerant::whole")]
    id: i64,
    #[serde(default)]
    customer: Option<Owner>,
    #[serde(default, deserialize_with = "tolerant::number")]
    customer_id: Option<i64>,
    status: String,
    #[serde(default, deserialize_with = "tolerant::day")]
    scheduled_at: Option<NaiveDate>,
    #[serde(default, deserialize_with = "tolerant::external")]
    external_order_id: Option<i64>,
    #[serde(deserialize_with = "tolerant::time")]
    updated_at: DateTime<Utc>,
    #[serde(default, deserialize_with = "tolerant::list")]
    line_items: Vec<LineDocument>,
}

#[derive(Deserialize)]
struct SubscriptionDocument {
    #[serde(deserialize_with = "tolerant::whole")]
    id: i64,
    #[serde(default)]
    customer: Option<Owner>,
    #[serde(default, deserialize_with = "tolerant::number")]
    customer_id: Option<i64>,
    status: String,
    #[serde(default, deserialize_with = "tolerant::external")]
    external_variant_id: Option<i64>,
    #[serde(default, deserialize_with = "tolerant::external")]
    external_product_id: Option<i64>,
    #[serde(default, deserialize_with = "tolerant::text")]
    sku: Option<String>,
    #[serde(deserialize_with = "tolerant::whole")]
    quantity: i64,
    #[serde(default, deserialize_with = "tolerant::day")]
    next_charge_scheduled_at: Option<NaiveDate>,
    #[serde(deserialize_with = "tolerant::time")]
    updated_at: DateTime<Utc>,
}

#[derive(Deserialize)]
struct CustomerDocument {
    #[serde(deserialize_with = "tolerant::whole")]
    id: i64,
    #[serde(default, deserialize_with = "tolerant::external")]
    external_customer_id: Option<i64>,
    #[serde(deserialize_with = "tolerant::time")]
    updated_at: DateTime<Utc>,
}

/// The id of a document of whatever kind, if that much can be read.
#[must_use]
pub fn id_of(document: &Value) -> Option<i64> {
    tolerant::whole(&document["id"]).ok()
}

/// An order.
///
/// # Errors
/// If something is missing or of another shape.
pub fn order(document: Value, fetched_at: DateTime<Utc>) -> Result<RechargeOrder, UpstreamError> {
    let order: OrderDocument = read("order", &document)?;
    Ok(RechargeOrder {
        order_id: order.id,
        charge_id: either(order.charge, order.charge_id),
        customer_id: either(order.customer, order.customer_id),
        status: order.status,
        kind: order.kind,
        prepaid: order.is_prepaid,
        scheduled_date: order.scheduled_at,
        processed_at: order.processed_at,
        external_order_id: order.external_order_id,
        external_order_name: order.external_order_name,
        updated_at: order.updated_at,
        fetched_at,
        lines: order.line_items.into_iter().map(line).collect(),
        document: without_persons(document),
    })
}

/// A charge.
///
/// # Errors
/// If something is missing or of another shape.
pub fn charge(document: Value, fetched_at: DateTime<Utc>) -> Result<RechargeCharge, UpstreamError> {
    let charge: ChargeDocument = read("charge", &document)?;
    Ok(RechargeCharge {
        charge_id: charge.id,
        customer_id: either(charge.customer, charge.customer_id),
        status: charge.status,
        scheduled_date: charge.scheduled_at,
        external_order_id: charge.external_order_id,
        updated_at: charge.updated_at,
        fetched_at,
        lines: charge.line_items.into_iter().map(line).collect(),
        document: without_persons(document),
    })
}

/// A subscription.
///
/// # Errors
/// If something is missing or of another shape.
pub fn subscription(document: Value, fetched_at: DateTime<Utc>) -> Result<RechargeSubscription, UpstreamError> {
    let subscription: SubscriptionDocument = read("subscription", &document)?;
    Ok(RechargeSubscription {
        subscription_id: subscription.id,
        customer_id: either(subscription.customer, subscription.customer_id),
        status: subscription.status,
        variant_id: subscription.external_variant_id,
        product_id: subscription.external_product_id,
        sku: subscription.sku,
        quantity: subscription.quantity,
        next_charge_date: subscription.next_charge_scheduled_at,
        updated_at: subscription.updated_at,
        fetched_at,
        document: without_persons(document),
    })
}

/// A customer: little more than that there is one.
///
/// # Errors
/// If something is missing or of another shape.
pub fn customer(document: Value, fetched_at: DateTime<Utc>) -> Result<RechargeCustomer, UpstreamError> {
    let customer: CustomerDocument = read("customer", &document)?;
    Ok(RechargeCustomer {
        customer_id: customer.id,
        external_customer_id: customer.external_customer_id,
        updated_at: customer.updated_at,
        fetched_at,
        document: without_persons(document),
    })
}

fn line(line: LineDocument) -> RechargeLine {
    let title = line.title.unwrap_or_default();
    RechargeLine {
        variant_id: line.external_variant_id,
        product_id: line.external_product_id,
        sku: line.sku,
        title: line.variant_title.map_or(title.clone(), |variant| format!("{title} - {variant}")),
        quantity: line.quantity,
        purchase_item_id: line.purchase_item_id,
    }
}

/// Named by an object, or by its id alone.
fn either(object: Option<Owner>, id: Option<i64>) -> Option<i64> {
    object.and_then(|owner| owner.id).or(id)
}
