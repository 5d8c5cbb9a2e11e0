//! What the Recharge API answers, with its habits: numbers that are strings here and numbers there, flags that are 0 and
//! 1, ids of the shop as objects, and creation times of customers that are the office's wall clock labelled UTC.

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::demo::standin::world::{Charge, Customer, Item, RechargeOrder, Subscription};

/// Creation times of customers run behind UTC by this, and say UTC.
const OFFICE_OFFSET_HOURS: i64 = 4;

fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

fn number(amount: Decimal) -> Value {
    json!(f64::try_from(amount).unwrap_or_default())
}

fn text(amount: Decimal) -> String {
    format!("{amount:.2}")
}

fn total(items: &[Item]) -> Decimal {
    items.iter().map(|item| item.price * Decimal::from(item.quantity)).sum()
}

/// A quantity; a negative one is not told.
fn told(quantity: i64) -> Option<i64> {
    (quantity >= 0).then_some(quantity)
}

fn person() -> Value {
    json!({
        "first_name": "Ada", "last_name": "Example", "phone": "+1 555 0100", "address1": "1 Example Road",
        "address2": null, "city": "Springfield", "zip": "00000", "province": "Illinois", "country_code": "US",
    })
}

pub(in crate::demo::standin) fn customer(customer: &Customer, active: usize) -> Value {
    json!({
        "id": customer.id,
        "email": "subscriber@example.com",
        "first_name": "Ada",
        "last_name": "Example",
        "external_customer_id": {"ecommerce": customer.external_id.to_string()},
        "has_valid_payment_method": true,
        "subscriptions_active_count": active,
        "created_at": time(customer.created_at - TimeDelta::hours(OFFICE_OFFSET_HOURS)),
        "updated_at": customer.updated_at.format("%Y-%m-%dT%H:%M:%S").to_string(),
    })
}

pub(in crate::demo::standin) fn subscription(subscription: &Subscription) -> Value {
    let item = &subscription.item;
    json!({
        "id": subscription.id,
        "address_id": subscription.customer + 1,
        "customer_id": subscription.customer,
        "status": subscription.status,
        "cancelled_at": subscription.cancelled_at.map(|at| at.format("%Y-%m-%dT%H:%M:%S%.6f").to_string()),
        "charge_interval_frequency": subscription.interval_days.to_string(),
        "order_interval_frequency": subscription.interval_days,
        "order_interval_unit": "day",
        "created_at": time(subscription.created_at),
        "external_product_id": {"ecommerce": item.product.to_string()},
        "external_variant_id": {"ecommerce": item.variant.to_string()},
        "has_queued_charges": i64::from(subscription.next_charge.is_some()),
        "is_prepaid": false,
        "max_retries_reached": 0,
        "next_charge_scheduled_at": subscription.next_charge.map(|date| date.to_string()),
        "presentment_currency": "USD",
        "price": number(item.price),
        "product_title": &*item.title,
        "properties": [],
        "quantity": told(item.quantity),
        // The charge has the code although the subscription does not.
        "sku": null,
        "sku_override": false,
        "updated_at": time(subscription.updated_at),
        "variant_title": null,
    })
}

fn line(item: &Item, in_charge: bool) -> Value {
    json!({
        "purchase_item_id": item.purchase_item,
        "purchase_item_type": "subscription",
        "external_product_id": {"ecommerce": item.product.to_string()},
        "external_variant_id": {"ecommerce": item.variant.to_string()},
        "original_price": if in_charge { json!(text(item.price)) } else { number(item.price) },
        "properties": [],
        "quantity": told(item.quantity),
        "sku": item.sku.as_deref(),
        "title": &*item.title,
        "unit_price": text(item.price),
        "total_price": text(item.price * Decimal::from(item.quantity)),
        "variant_title": null,
    })
}

pub(in crate::demo::standin) fn charge(charge: &Charge) -> Value {
    json!({
        "id": charge.id,
        "address_id": charge.customer + 1,
        "billing_address": person(),
        "client_details": {"browser_ip": "203.0.113.7", "user_agent": null},
        "created_at": time(charge.created_at),
        "currency": "USD",
        "customer": {"id": charge.customer, "email": "subscriber@example.com", "external_customer_id": {"ecommerce": "1"}},
        "error": null,
        "error_type": null,
        "external_order_id": {"ecommerce": charge.external_order.map(|id| id.to_string())},
        "line_items": charge.items.iter().map(|item| line(item, true)).collect::<Vec<_>>(),
        "note": null,
        "order_attributes": [],
        "orders_count": i64::from(charge.processed_at.is_some()),
        "processed_at": charge.processed_at.map(time),
        "retry_date": null,
        "scheduled_at": charge.scheduled.to_string(),
        "shipping_address": person(),
        "status": charge.status,
        "tags": "Subscription, Subscription Recurring Order",
        "tax_lines": "[]",
        "taxable": true,
        "total_price": text(total(&charge.items)),
        "type": "recurring",
        "updated_at": time(charge.updated_at),
    })
}

pub(in crate::demo::standin) fn order(order: &RechargeOrder) -> Value {
    let (external, number_in_shop) = order.external_order.unzip();
    json!({
        "id": order.id,
        "address_id": order.customer + 1,
        "billing_address": person(),
        "charge": {"id": order.charge, "status": "success"},
        "client_details": {"browser_ip": null, "user_agent": null},
        "created_at": time(order.created_at),
        "currency": "USD",
        "customer": {"id": order.customer, "email": "subscriber@example.com", "external_customer_id": {"ecommerce": "1"}},
        "external_order_id": {"ecommerce": external.map(|id| id.to_string())},
        "external_order_name": {"ecommerce": number_in_shop.map(|number| format!("#{number}"))},
        "external_order_number": {"ecommerce": number_in_shop.map(|number| number.to_string())},
        "is_prepaid": i64::from(order.prepaid),
        "line_items": order.items.iter().map(|item| line(item, false)).collect::<Vec<_>>(),
        "processed_at": order.processed_at.map(time),
        "scheduled_at": format!("{}T04:00:00+00:00", order.scheduled),
        "shipping_address": person(),
        "status": order.status,
        "tags": "Subscription, Subscription Recurring Order",
        "tax_lines": [],
        "taxable": false,
        "total_price": number(total(&order.items)),
        "type": "recurring",
        "updated_at": time(order.updated_at),
    })
}
