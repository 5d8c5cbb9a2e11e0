//! Bodies of the shop's webhooks: shaped like its old REST API, with padded money and times in the shop's zone.

use chrono::{DateTime, FixedOffset, SecondsFormat, Utc};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::demo::standin::world::{Fulfilment, Line, Order, Product, Refund};

/// The shop's zone in winter, which is all that the stand-in knows.
const SHOP_OFFSET_SECONDS: i32 = -5 * 3600;

fn time(at: DateTime<Utc>) -> String {
    match FixedOffset::east_opt(SHOP_OFFSET_SECONDS) {
        Some(zone) => at.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Secs, false),
        None => at.to_rfc3339_opts(SecondsFormat::Secs, true),
    }
}

fn money(amount: Decimal) -> String {
    format!("{amount:.2}")
}

fn lower(word: &str) -> String {
    word.to_lowercase()
}

/// The body of `orders/*`.
pub(super) fn order(order: &Order) -> Value {
    let status = match order.fulfilment_status() {
        "FULFILLED" => json!("fulfilled"),
        "PARTIALLY_FULFILLED" => json!("partial"),
        _ => Value::Null,
    };
    json!({
        "id": order.id,
        "admin_graphql_api_id": format!("gid://shopify/Order/{}", order.id),
        "name": format!("#{}", order.number),
        "order_number": order.number,
        "number": order.number - 1000,
        "created_at": time(order.created_at),
        "processed_at": time(order.created_at),
        "updated_at": time(order.updated_at),
        "cancelled_at": order.cancelled_at.map(time),
        "cancel_reason": order.cancel_reason.map(lower),
        "closed_at": order.closed_at.map(time),
        "test": order.test,
        "confirmed": order.confirmed,
        "currency": "USD",
        "presentment_currency": "USD",
        "financial_status": lower(order.financial_status),
        "fulfillment_status": status,
        "source_name": order.source_name,
        "email": "buyer@example.com",
        "note_attributes": order.attributes.iter().map(|(name, value)| json!({"name": name, "value": value})).collect::<Vec<_>>(),
        "total_price": money(order.total()),
        "current_total_price": money(order.current_total()),
        "line_items": order.lines.iter().map(|of| line(order, of)).collect::<Vec<_>>(),
        "fulfillments": order.fulfilments.iter().map(|of| parcel(order, of)).collect::<Vec<_>>(),
        "refunds": order.refunds.iter().map(|of| money_back(order, of)).collect::<Vec<_>>(),
    })
}

fn line(order: &Order, line: &Line) -> Value {
    json!({
        "id": line.id,
        "admin_graphql_api_id": format!("gid://shopify/LineItem/{}", line.id),
        "variant_id": line.variant,
        "product_id": line.product,
        "sku": line.sku.as_deref().unwrap_or_default(),
        "title": &*line.title,
        "price": money(line.price),
        "quantity": line.quantity,
        "current_quantity": order.current(line),
        "fulfillable_quantity": order.unfulfilled(line),
        "requires_shipping": line.requires_shipping,
        "gift_card": false,
        "fulfillment_status": if order.unfulfilled(line) == 0 { json!("fulfilled") } else { Value::Null },
    })
}

/// The body of `fulfillments/*`.
pub(super) fn fulfilment(order: &Order, id: i64) -> Value {
    order.fulfilments.iter().find(|of| of.id == id).map_or(Value::Null, |of| parcel(order, of))
}

fn parcel(order: &Order, parcel: &Fulfilment) -> Value {
    let lines = parcel.lines.iter().filter_map(|of| {
        let ordered = order.lines.iter().find(|line| line.id == of.line)?;
        let mut body = line(order, ordered);
        body["quantity"] = json!(of.quantity);
        Some(body)
    });
    json!({
        "id": parcel.id,
        "admin_graphql_api_id": format!("gid://shopify/Fulfillment/{}", parcel.id),
        "order_id": order.id,
        "status": lower(parcel.status),
        "created_at": time(parcel.created_at),
        "updated_at": time(parcel.updated_at),
        "location_id": parcel.location,
        "line_items": lines.collect::<Vec<_>>(),
    })
}

/// The body of `refunds/create`. Its subtotals are JSON numbers.
pub(super) fn refund(order: &Order, id: i64) -> Value {
    order.refunds.iter().find(|of| of.id == id).map_or(Value::Null, |of| money_back(order, of))
}

fn money_back(order: &Order, refund: &Refund) -> Value {
    let lines = refund.lines.iter().map(|of| {
        let subtotal = order.price_of(of.line) * Decimal::from(of.quantity);
        json!({
            "id": of.id,
            "line_item_id": of.line,
            "quantity": of.quantity,
            "restock_type": lower(of.restock.as_str()),
            "location_id": of.location,
            "subtotal": f64::try_from(subtotal).unwrap_or_default(),
            "total_tax": 0.0,
            "line_item": order.lines.iter().find(|ordered| ordered.id == of.line).map(|ordered| line(order, ordered)),
        })
    });
    json!({
        "id": refund.id,
        "admin_graphql_api_id": format!("gid://shopify/Refund/{}", refund.id),
        "order_id": order.id,
        "created_at": time(refund.created_at),
        "processed_at": time(refund.created_at),
        "restock": refund.lines.iter().any(|of| of.restocked),
        "refund_line_items": lines.collect::<Vec<_>>(),
    })
}

/// The body of `orders/edited`: no order, only what was added and removed.
pub(super) fn edited(id: i64, order: i64, line: i64, delta: i64) -> Value {
    let change = json!([{"id": line, "delta": delta.abs()}]);
    let (additions, removals) = if delta > 0 { (change, json!([])) } else { (json!([]), change) };
    json!({"order_edit": {
        "id": id, "order_id": order, "line_items": {"additions": additions, "removals": removals},
        "notify_customer": false, "staff_note": "",
    }})
}

/// The body of `products/create` and `products/update`.
pub(super) fn product(product: &Product) -> Value {
    let variants = product.variants.iter().map(|variant| {
        json!({
            "id": variant.id,
            "admin_graphql_api_id": format!("gid://shopify/ProductVariant/{}", variant.id),
            "product_id": product.id,
            "sku": variant.sku.as_deref().unwrap_or_default(),
            "price": money(variant.price),
            "position": variant.position,
            "inventory_item_id": variant.inventory_item,
            "updated_at": time(variant.updated_at),
        })
    });
    json!({
        "id": product.id,
        "admin_graphql_api_id": format!("gid://shopify/Product/{}", product.id),
        "title": &*product.title,
        "status": lower(product.status),
        "created_at": time(product.created_at),
        "updated_at": time(product.updated_at),
        "variants": variants.collect::<Vec<_>>(),
    })
}
