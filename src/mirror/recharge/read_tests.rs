//! Rows of documents in the shapes in which Recharge sends them.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::read;
use crate::mirror::rows::RechargeLine;

fn asked_at() -> DateTime<Utc> {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

fn line() -> Value {
    json!({
        "purchase_item_id": 153, "external_product_id": { "ecommerce": "31" }, "external_variant_id": { "ecommerce": "41" },
        "original_price": 24.3, "properties": [{ "name": "Engraving", "value": "For Jo" }], "quantity": 2, "sku": "",
        "title": "Blend", "variant_title": "250 g", "total_price": "48.60",
    })
}

#[test]
fn an_order_knows_its_charge_and_its_shopify_order() {
    let document = json!({
        "id": 534_919_106, "charge": { "id": 580, "status": "success" }, "created_at": "2023-05-13T04:07:28+00:00",
        "customer": { "id": 64, "email": "jo@example.com", "external_customer_id": { "ecommerce": "52" }, "hash": "h" },
        "external_order_id": { "ecommerce": "820982911946154508" }, "external_order_name": { "ecommerce": "#1016" },
        "is_prepaid": 0, "line_items": [line()], "processed_at": "2023-05-13T04:07:33",
        "scheduled_at": "2023-05-13T04:00:00+00:00", "shipping_address": { "city": "Jo's" }, "status": "success",
        "subtotal_price": 24.3, "tax_lines": "[]", "type": "recurring", "updated_at": "2023-05-13T04:16:51.123456+00:00",
    });
    let order = read::order(document, asked_at()).unwrap();
    assert_eq!((order.order_id, order.charge_id, order.customer_id), (534_919_106, Some(580), Some(64)));
    assert_eq!(order.external_order_id, Some(820_982_911_946_154_508));
    assert_eq!((order.external_order_name.as_deref(), order.kind.as_deref()), (Some("#1016"), Some("recurring")));
    assert_eq!((order.prepaid, order.scheduled_date), (false, "2023-05-13".parse().ok()));
    assert_eq!(order.processed_at, "2023-05-13T04:07:33Z".parse().ok());
    assert_eq!(order.updated_at, "2023-05-13T04:16:51.123456Z".parse::<DateTime<Utc>>().unwrap());
    let title = "Blend - 250 g".to_owned();
    let expected = RechargeLine {
        variant_id: Some(41),
        product_id: Some(31),
        sku: None,
        title,
        quantity: 2,
        purchase_item_id: Some(153),
    };
    assert_eq!(order.lines, [expected]);
    let kept = order.document.to_string();
    assert!(!kept.contains("Jo") && !kept.contains("jo@"), "{kept}");
    assert_eq!(order.document["external_order_id"]["ecommerce"], "820982911946154508");
}

#[test]
fn a_queued_charge_has_a_day_and_no_order() {
    let document = json!({
        "id": "817715206", "customer": { "id": 64 }, "external_order_id": { "ecommerce": null }, "line_items": [line()],
        "orders_count": 0, "processed_at": null, "scheduled_at": "2024-05-12", "status": "queued", "tax_lines": "[]",
        "updated_at": "2023-05-13T04:07:47+00:00",
    });
    let charge = read::charge(document, asked_at()).unwrap();
    assert_eq!((charge.charge_id, charge.external_order_id, charge.customer_id), (817_715_206, None, Some(64)));
    assert_eq!((charge.status.as_str(), charge.scheduled_date), ("queued", "2024-05-12".parse().ok()));
    assert_eq!(charge.lines[0].quantity, 2);
}

#[test]
fn a_subscription_may_lack_its_code_and_a_customer_is_hardly_more_than_an_id() {
    let document = json!({
        "id": 153, "customer_id": 64, "external_variant_id": { "ecommerce": "41" }, "has_queued_charges": 1, "quantity": "3",
        "next_charge_scheduled_at": null, "sku": null, "status": "paused_by_somebody", "updated_at": "2023-05-13T04:07:32",
    });
    let subscription = read::subscription(document, asked_at()).unwrap();
    assert_eq!((subscription.sku, subscription.quantity, subscription.next_charge_date), (None, 3, None));
    assert_eq!((subscription.status.as_str(), subscription.customer_id), ("paused_by_somebody", Some(64)));
    let document = json!({
        "id": 64, "email": "jo@example.com", "first_name": "Jo", "external_customer_id": { "ecommerce": "52" },
        "updated_at": "2023-05-13T04:07:32", "subscriptions_active_count": 1,
    });
    let customer = read::customer(document, asked_at()).unwrap();
    assert_eq!((customer.customer_id, customer.external_customer_id), (64, Some(52)));
    assert!(!customer.document.to_string().contains("Jo"));
}

#[test]
fn what_is_missing_is_named() {
    let error = read::charge(json!({ "id": 1, "status": "queued", "line_items": [] }), asked_at()).unwrap_err();
    assert_eq!(error.to_string(), "charge cannot be read: missing field `updated_at`");
    let bad = json!({ "id": 1, "status": "queued", "updated_at": "2023-05-13T04:07:32", "line_items": [{ "quantity": "Jo" }] });
    let error = read::charge(bad, asked_at()).unwrap_err().to_string();
    assert!(error.starts_with("charge.line_items cannot be read") && !error.contains("Jo"), "{error}");
}
