//! Documents in, rows out. Pure.
//!
//! A document that lacks what a row needs is an error that names the field: half an order would pass for the whole. What
//! the storefront wrote for Holdfast is kept of the custom attributes; the others may be anything that a shopper typed.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::documents::{
    Attribute, FulfillmentDocument, LineItemDocument, LocationDocument, OrderDocument, ProductDocument, RefundDocument,
    VariantDocument,
};
use crate::mirror::rows::{
    Fulfilment, FulfilmentLine, Location, Order, OrderLine, Product, Refund, RefundLine, Variant,
};
use crate::mirror::upstream::UpstreamError;
use crate::mirror::upstream::answer::read;

/// What the documents ask for of lists that have no pages.
pub(super) const LIST_MAX: usize = 100;

/// What stands for a state that is not told.
const UNKNOWN: &str = "UNKNOWN";

const RESERVATION_KEYS: [&str; 2] = ["holdfast_reservation_id", "_holdfast_reservation_id"];
const POOL_KEYS: [&str; 2] = ["holdfast_pool", "_holdfast_pool"];

/// An order with all of its nested pages.
///
/// # Errors
/// If something is missing or of another shape, or a list without pages is full.
pub fn order(mut document: Value, fetched_at: DateTime<Utc>) -> Result<Order, UpstreamError> {
    let order: OrderDocument = read("order", &document)?;
    let full = |list, length| {
        let of = || format!("order {}", order.id.0);
        if length < LIST_MAX { Ok(()) } else { Err(UpstreamError::ListFull { of: of(), list, limit: LIST_MAX }) }
    };
    full("fulfillments", order.fulfillments.len())?;
    full("refunds", order.refunds.len())?;
    keep_own_attributes(&mut document);
    Ok(Order {
        order_id: order.id.0,
        name: order.name,
        created_at: order.created_at,
        processed_at: order.processed_at,
        updated_at: order.updated_at,
        cancelled_at: order.cancelled_at,
        cancel_reason: order.cancel_reason,
        closed_at: order.closed_at,
        test: order.test,
        confirmed: order.confirmed,
        financial_status: order.display_financial_status,
        fulfilment_status: order.display_fulfillment_status,
        currency: order.currency_code,
        total_price: order.current_total_price_set.and_then(|set| set.shop_money).map(|money| money.amount.0),
        source_name: order.source_name,
        reservation_id: attribute(&order.custom_attributes, RESERVATION_KEYS),
        pool_code: attribute(&order.custom_attributes, POOL_KEYS),
        fetched_at,
        lines: order.line_items.nodes.into_iter().map(line).collect(),
        fulfilments: order.fulfillments.into_iter().map(fulfilment).collect(),
        refunds: order.refunds.into_iter().map(refund).collect(),
        document,
    })
}

fn line(line: LineItemDocument) -> OrderLine {
    let title = match line.variant_title.filter(|variant| !variant.is_empty()) {
        Some(variant) => format!("{} - {variant}", line.title),
        None => line.title,
    };
    OrderLine {
        line_id: line.id.0,
        variant_id: line.variant.map(|variant| variant.id.0),
        product_id: line.product.map(|product| product.id.0),
        sku: code(line.sku),
        title,
        quantity: line.quantity,
        current_quantity: line.current_quantity,
        unfulfilled_quantity: line.unfulfilled_quantity,
        requires_shipping: line.requires_shipping,
        gift_card: line.is_gift_card,
        group_id: line.line_item_group.map(|group| group.id),
    }
}

fn fulfilment(document: FulfillmentDocument) -> Fulfilment {
    let lines = document.fulfillment_line_items.nodes.into_iter().map(|line| FulfilmentLine {
        fulfilment_line_id: line.id.0,
        line_id: line.line_item.id.0,
        quantity: line.quantity,
    });
    Fulfilment {
        fulfilment_id: document.id.0,
        status: document.status,
        created_at: document.created_at,
        updated_at: document.updated_at,
        location_id: document.location.map(|location| location.id.0),
        lines: lines.collect(),
    }
}

fn refund(document: RefundDocument) -> Refund {
    let lines = document.refund_line_items.nodes.into_iter().map(|line| RefundLine {
        refund_line_id: line.id.map(|id| id.0),
        line_id: line.line_item.id.0,
        quantity: line.quantity,
        restock_type: line.restock_type,
        restocked: line.restocked,
        location_id: line.location.map(|location| location.id.0),
    });
    Refund {
        refund_id: document.id.0,
        created_at: document.created_at,
        updated_at: document.updated_at,
        lines: lines.collect(),
    }
}

/// A product with all of its variants.
///
/// # Errors
/// If something is missing or of another shape.
pub fn product(mut document: Value, fetched_at: DateTime<Utc>) -> Result<Product, UpstreamError> {
    let product: ProductDocument = read("product", &document)?;
    let variants = document.as_object_mut().and_then(|fields| fields.remove("variants"));
    let Some(Value::Array(nodes)) = variants.map(|mut variants| variants["nodes"].take()) else {
        let reason = "there is no list of variants".to_owned();
        return Err(UpstreamError::Malformed { path: "product.variants.nodes".to_owned(), reason });
    };
    let variants = nodes.into_iter().enumerate();
    Ok(Product {
        product_id: product.id.0,
        title: product.title,
        handle: product.handle,
        status: product.status.unwrap_or_else(|| UNKNOWN.to_owned()),
        updated_at: product.updated_at,
        fetched_at,
        variants: variants.map(|(at, node)| variant(at, node)).collect::<Result<_, _>>()?,
        document,
    })
}

fn variant(at: usize, document: Value) -> Result<Variant, UpstreamError> {
    let variant: VariantDocument = read(&format!("product.variants.nodes[{at}]"), &document)?;
    let item = variant.inventory_item;
    let sku = code(variant.sku).or_else(|| code(item.as_ref()?.sku.clone()));
    Ok(Variant {
        variant_id: variant.id.0,
        sku,
        title: variant.title,
        barcode: code(variant.barcode),
        price: variant.price.map(|price| price.0),
        inventory_item_id: item.as_ref().map(|item| item.id.0),
        tracked: item.as_ref().and_then(|item| item.tracked),
        requires_shipping: item.as_ref().and_then(|item| item.requires_shipping),
        position: variant.position,
        updated_at: variant.updated_at,
        document,
    })
}

/// A location.
///
/// # Errors
/// If something is missing or of another shape.
pub fn location(document: Value, fetched_at: DateTime<Utc>) -> Result<Location, UpstreamError> {
    let location: LocationDocument = read("location", &document)?;
    Ok(Location { location_id: location.id.0, name: location.name, active: location.is_active, fetched_at, document })
}

/// An empty code is none.
fn code(code: Option<String>) -> Option<String> {
    code.filter(|code| !code.is_empty())
}

fn attribute(attributes: &[Attribute], keys: [&str; 2]) -> Option<String> {
    let value = |key| attributes.iter().find(|attribute| attribute.key == key)?.value.as_deref();
    let values = keys.into_iter().filter_map(value);
    values.map(str::trim).find(|value| !value.is_empty()).map(str::to_owned)
}

fn keep_own_attributes(document: &mut Value) {
    let own = |attribute: &Value| {
        let key = attribute["key"].as_str();
        key.is_some_and(|key| RESERVATION_KEYS.contains(&key) || POOL_KEYS.contains(&key))
    };
    if let Some(attributes) = document.get_mut("customAttributes").and_then(Value::as_array_mut) {
        attributes.retain(own);
    }
}
