//! Rows of documents in the shapes in which the shop sends them.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::read;
use crate::mirror::rows::{FulfilmentLine, RefundLine};
use crate::mirror::upstream::UpstreamError;

fn asked_at() -> DateTime<Utc> {
    "2026-11-20T10:00:00.123456Z".parse().unwrap()
}

fn page(nodes: Value) -> Value {
    json!({ "nodes": nodes, "pageInfo": { "hasNextPage": false, "endCursor": null } })
}

fn line(id: i64, fields: Value) -> Value {
    let mut line = json!({
        "id": format!("gid://shopify/LineItem/{id}"), "title": "Blend", "variantTitle": "250 g", "sku": "BLEND-250",
        "quantity": 3, "currentQuantity": 1, "unfulfilledQuantity": 1, "nonFulfillableQuantity": 0,
        "requiresShipping": true, "isGiftCard": false,
        "variant": { "id": "gid://shopify/ProductVariant/41" }, "product": { "id": "gid://shopify/Product/31" },
        "sellingPlan": null, "lineItemGroup": null,
    });
    line.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    line
}

/// An order as the shop sends it.
pub(super) fn order_document(id: i64) -> Value {
    json!({
        "id": format!("gid://shopify/Order/{id}"), "name": "#1016",
        "createdAt": "2026-11-01T08:00:00Z", "processedAt": "2026-11-01T08:00:01Z", "updatedAt": "2026-11-02T09:00:00Z",
        "cancelledAt": null, "cancelReason": null, "closedAt": null, "test": false, "confirmed": true, "edited": true,
        "displayFinancialStatus": "PARTIALLY_REFUNDED", "displayFulfillmentStatus": "SOMETHING_NEW",
        "returnStatus": "NO_RETURN", "currencyCode": "EUR",
        "currentTotalPriceSet": { "shopMoney": { "amount": "12345678901234.123456", "currencyCode": "EUR" } },
        "sourceName": "web",
        "customAttributes": [
            { "key": "gift message", "value": "For Grandma" },
            { "key": "holdfast_reservation_id", "value": "" },
            { "key": "_holdfast_reservation_id", "value": " res_1_01 " },
            { "key": "holdfast_pool", "value": null },
        ],
        "lineItems": page(json!([
            line(51, json!({})),
            line(52, json!({ "sku": "", "variantTitle": null, "variant": null, "product": null })),
            line(53, json!({ "sku": null, "lineItemGroup": { "id": "gid://shopify/LineItemGroup/1", "title": "Set" } })),
        ])),
        "fulfillments": [{
            "id": "gid://shopify/Fulfillment/61", "status": "CANCELLED", "displayStatus": "CANCELED", "totalQuantity": 1,
            "createdAt": "2026-11-02T08:00:00Z", "updatedAt": "2026-11-02T08:30:00Z", "location": null,
            "fulfillmentLineItems": page(json!([{
                "id": "gid://shopify/FulfillmentLineItem/71", "quantity": 1,
                "lineItem": { "id": "gid://shopify/LineItem/51" },
            }])),
        }],
        "refunds": [
            { "id": "gid://shopify/Refund/81", "createdAt": null, "processedAt": null,
              "updatedAt": "2026-11-02T09:00:00Z", "return": null, "totalRefundedSet": null, "refundLineItems": page(json!([])) },
            { "id": "gid://shopify/Refund/82", "createdAt": "2026-11-02T08:59:59Z", "processedAt": null,
              "updatedAt": "2026-11-02T09:00:00Z", "return": null, "totalRefundedSet": null,
              "refundLineItems": page(json!([{
                "id": null, "quantity": 2, "restockType": "CANCEL", "restocked": true,
                "location": { "id": "gid://shopify/Location/91" }, "lineItem": { "id": "gid://shopify/LineItem/51" },
              }])) },
        ],
    })
}

/// A product as the shop sends it.
pub(super) fn product_document(id: i64) -> Value {
    let variant = |number: i64, sku: Value, item_sku: Value| {
        json!({
            "id": format!("gid://shopify/ProductVariant/{number}"), "sku": sku, "title": "250 g", "barcode": "",
            "price": "20.0", "position": 1, "createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-11-01T00:00:00Z",
            "requiresComponents": false, "selectedOptions": [],
            "inventoryItem": {
                "id": format!("gid://shopify/InventoryItem/{number}0"), "sku": item_sku, "tracked": true,
                "requiresShipping": true,
            },
        })
    };
    json!({
        "id": format!("gid://shopify/Product/{id}"), "title": "Blend", "handle": "blend", "status": "UNLISTED",
        "createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-11-01T00:00:00Z", "isGiftCard": false,
        "variants": page(json!([
            variant(41, json!("BLEND-250"), json!("BLEND-250")),
            variant(42, json!(""), json!(null)),
            variant(43, json!(null), json!("BLEND-1000")),
        ])),
    })
}

#[test]
fn an_order_is_read_exactly() {
    let order = read::order(order_document(820_982_911_946_154_508), asked_at()).unwrap();
    assert_eq!(order.order_id, 820_982_911_946_154_508, "beyond what a double holds");
    assert_eq!(order.total_price, Some("12345678901234.123456".parse::<Decimal>().unwrap()));
    assert_eq!(order.fulfilment_status.as_deref(), Some("SOMETHING_NEW"));
    assert_eq!((order.reservation_id.as_deref(), order.pool_code), (Some("res_1_01"), None));
    assert_eq!((order.test, order.confirmed, order.fetched_at), (false, true, asked_at()));
    let lines: Vec<_> =
        order.lines.iter().map(|line| (line.sku.as_deref(), line.variant_id, line.title.as_str())).collect();
    let expected =
        [(Some("BLEND-250"), Some(41), "Blend - 250 g"), (None, None, "Blend"), (None, Some(41), "Blend - 250 g")];
    assert_eq!(lines, expected);
    assert_eq!(
        (order.lines[0].quantity, order.lines[0].current_quantity, order.lines[0].unfulfilled_quantity),
        (3, 1, 1)
    );
    assert_eq!(order.lines[2].group_id.as_deref(), Some("gid://shopify/LineItemGroup/1"));
    let parcel = &order.fulfilments[0];
    assert_eq!((parcel.status.as_str(), parcel.location_id), ("CANCELLED", None));
    assert_eq!(parcel.lines, [FulfilmentLine { fulfilment_line_id: 71, line_id: 51, quantity: 1 }]);
    assert!(order.refunds[0].lines.is_empty());
    let restock_type = "CANCEL".to_owned();
    let back = RefundLine {
        refund_line_id: None,
        line_id: 51,
        quantity: 2,
        restock_type,
        restocked: true,
        location_id: Some(91),
    };
    assert_eq!(order.refunds[1].lines, [back]);
}

#[test]
fn what_a_shopper_typed_is_not_kept() {
    let order = read::order(order_document(1), asked_at()).unwrap();
    assert!(!order.document.to_string().contains("Grandma"));
    assert_eq!(order.document["customAttributes"].as_array().unwrap().len(), 3);
}

#[test]
fn half_an_order_is_an_error_that_names_the_field() {
    let error_without = |pointer: &str, field: &str| {
        let mut document = order_document(1);
        document.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(field);
        read::order(document, asked_at()).unwrap_err().to_string()
    };
    assert!(error_without("", "refunds").contains("order cannot be read: missing field `refunds`"));
    let quantity = error_without("/fulfillments/0/fulfillmentLineItems/nodes/0", "quantity");
    assert!(quantity.starts_with("order.fulfillments[0].fulfillmentLineItems.nodes[0] cannot be read"), "{quantity}");
}

#[test]
fn a_full_list_without_pages_is_an_error() {
    for list in ["fulfillments", "refunds"] {
        let with = |count: usize| {
            let mut document = order_document(7);
            document[list] = vec![document[list][0].clone(); count].into();
            read::order(document, asked_at())
        };
        assert!(with(99).is_ok());
        let error = with(100).unwrap_err();
        assert!(matches!(&error, UpstreamError::ListFull { of, .. } if of == "order 7"), "{error}");
    }
}

#[test]
fn a_product_is_read_with_its_variants_apart() {
    let product = read::product(product_document(31), asked_at()).unwrap();
    let skus: Vec<_> = product.variants.iter().map(|variant| (variant.variant_id, variant.sku.as_deref())).collect();
    assert_eq!(skus, [(41, Some("BLEND-250")), (42, None), (43, Some("BLEND-1000"))]);
    let first = &product.variants[0];
    assert_eq!((first.price, first.barcode.as_deref()), (Some(Decimal::from(20)), None));
    assert_eq!((first.inventory_item_id, first.tracked, first.position), (Some(410), Some(true), Some(1)));
    assert_eq!(first.document["id"], "gid://shopify/ProductVariant/41");
    assert!(product.document.get("variants").is_none());
    assert_eq!(product.status, "UNLISTED");
}
