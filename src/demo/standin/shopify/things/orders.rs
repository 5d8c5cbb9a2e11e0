//! Fields of orders and of what hangs on them.

use super::{Answer, Thing};
use crate::demo::standin::world::{Fulfilment, FulfilmentLine, Group, Line, Order, Refund, RefundLine};

fn one(thing: Thing<'_>) -> Answer<'_> {
    Answer::One(thing)
}

pub(super) fn order<'w>(of: &'w Order, name: &str) -> Answer<'w> {
    match name {
        "name" => Answer::Made(format!("#{}", of.number)),
        "number" => Answer::Number(of.number),
        "createdAt" | "processedAt" => Answer::Time(of.created_at),
        "updatedAt" => Answer::Time(of.updated_at),
        "cancelledAt" => Answer::maybe(of.cancelled_at, Answer::Time),
        "cancelReason" => Answer::maybe(of.cancel_reason, Answer::Text),
        "closedAt" => Answer::maybe(of.closed_at, Answer::Time),
        "closed" => Answer::Yes(of.closed_at.is_some()),
        "confirmed" => Answer::Yes(of.confirmed),
        "test" => Answer::Yes(of.test),
        "edited" => Answer::Yes(of.edited),
        "requiresShipping" => Answer::Yes(of.lines.iter().any(|line| line.requires_shipping)),
        "sourceName" => Answer::Text(of.source_name),
        "tags" => Answer::Words(Vec::new()),
        "displayFinancialStatus" => Answer::Text(of.financial_status),
        "displayFulfillmentStatus" => Answer::Text(of.fulfilment_status()),
        "returnStatus" => Answer::Text("NO_RETURN"),
        "currencyCode" | "presentmentCurrencyCode" => Answer::Text("USD"),
        "subtotalLineItemsQuantity" => Answer::Number(of.lines.iter().map(|line| line.quantity).sum()),
        "currentSubtotalLineItemsQuantity" => Answer::Number(of.lines.iter().map(|line| of.current(line)).sum()),
        "totalPriceSet" => one(Thing::Money(of.total())),
        "currentTotalPriceSet" => one(Thing::Money(of.current_total())),
        "totalRefundedSet" => one(Thing::Money(of.total_refunded())),
        "customAttributes" => {
            Answer::Many(of.attributes.iter().map(|(name, value)| Thing::Attribute(name, value)).collect())
        }
        "lineItems" => Answer::Many(of.lines.iter().map(|line| Thing::Line(of, line)).collect()),
        "fulfillments" => Answer::Many(of.fulfilments.iter().map(|parcel| Thing::Fulfilment(of, parcel)).collect()),
        "refunds" => Answer::Many(of.refunds.iter().map(|refund| Thing::Refund(of, refund)).collect()),
        "sourceIdentifier" | "app" | "customer" | "email" | "retailLocation" => Answer::Null,
        _ => Answer::Unheld,
    }
}

pub(super) fn line<'w>(order: &'w Order, of: &'w Line, name: &str) -> Answer<'w> {
    match name {
        "name" | "title" => Answer::Text(&of.title),
        "sku" => Answer::maybe(of.sku.as_deref(), Answer::Text),
        "quantity" => Answer::Number(of.quantity),
        "currentQuantity" => Answer::Number(order.current(of)),
        "unfulfilledQuantity" => Answer::Number(order.unfulfilled(of)),
        "nonFulfillableQuantity" => Answer::Number(of.quantity - order.unfulfilled(of) - order.fulfilled(of.id)),
        "refundableQuantity" => Answer::Number(order.refundable(of)),
        "requiresShipping" => Answer::Yes(of.requires_shipping),
        "isGiftCard" => Answer::Yes(false),
        "restockable" => Answer::Yes(of.variant.is_some()),
        "originalUnitPriceSet" | "discountedUnitPriceAfterAllDiscountsSet" => one(Thing::Money(of.price)),
        "variant" => Answer::maybe(of.variant, |id| one(Thing::Stub("ProductVariant", id))),
        "product" => Answer::maybe(of.product, |id| one(Thing::Stub("Product", id))),
        "lineItemGroup" => Answer::maybe(of.group.as_deref(), |group| one(Thing::Group(group))),
        "customAttributes" => Answer::Many(Vec::new()),
        "variantTitle" | "vendor" | "sellingPlan" => Answer::Null,
        _ => Answer::Unheld,
    }
}

pub(super) fn group<'w>(of: &'w Group, name: &str) -> Answer<'w> {
    match name {
        "title" => Answer::Text(&of.title),
        "quantity" => Answer::Number(of.quantity),
        "variantId" | "variantSku" | "productId" => Answer::Null,
        _ => Answer::Unheld,
    }
}

pub(super) fn fulfilment<'w>(order: &'w Order, of: &'w Fulfilment, name: &str) -> Answer<'w> {
    match name {
        "name" => {
            let place = order.fulfilments.iter().position(|parcel| parcel.id == of.id).unwrap_or(0) + 1;
            Answer::Made(format!("#{}-F{place}", order.number))
        }
        "status" => Answer::Text(of.status),
        "displayStatus" => Answer::Text(if of.status == "SUCCESS" { "FULFILLED" } else { "CANCELED" }),
        "createdAt" => Answer::Time(of.created_at),
        "updatedAt" => Answer::Time(of.updated_at),
        "totalQuantity" => Answer::Number(of.lines.iter().map(|line| line.quantity).sum()),
        "location" => Answer::maybe(of.location, |id| one(Thing::Stub("Location", id))),
        "order" => one(Thing::Order(order)),
        "fulfillmentLineItems" => {
            Answer::Many(of.lines.iter().map(|line| Thing::FulfilmentLine(order, line)).collect())
        }
        "trackingInfo" => Answer::Many(Vec::new()),
        "inTransitAt" | "deliveredAt" => Answer::Null,
        _ => Answer::Unheld,
    }
}

pub(super) fn fulfilment_line<'w>(order: &'w Order, of: &'w FulfilmentLine, name: &str) -> Answer<'w> {
    match name {
        "quantity" => Answer::Number(of.quantity),
        "lineItem" => line_of(order, of.line),
        _ => Answer::Unheld,
    }
}

fn line_of(order: &Order, id: i64) -> Answer<'_> {
    Answer::maybe(order.lines.iter().find(|line| line.id == id), |line| one(Thing::Line(order, line)))
}

pub(super) fn refund<'w>(order: &'w Order, of: &'w Refund, name: &str) -> Answer<'w> {
    match name {
        "createdAt" | "updatedAt" | "processedAt" => Answer::Time(of.created_at),
        "totalRefundedSet" => one(Thing::Money(order.amount_of(of))),
        "order" => one(Thing::Order(order)),
        "refundLineItems" => Answer::Many(of.lines.iter().map(|line| Thing::RefundLine(order, line)).collect()),
        "note" | "return" => Answer::Null,
        _ => Answer::Unheld,
    }
}

pub(super) fn refund_line<'w>(order: &'w Order, of: &'w RefundLine, name: &str) -> Answer<'w> {
    match name {
        "quantity" => Answer::Number(of.quantity),
        "restockType" => Answer::Text(of.restock.as_str()),
        "restocked" => Answer::Yes(of.restocked),
        "location" => Answer::maybe(of.location, |id| one(Thing::Stub("Location", id))),
        "lineItem" => line_of(order, of.line),
        "priceSet" => one(Thing::Money(order.price_of(of.line))),
        "subtotalSet" => one(Thing::Money(order.price_of(of.line) * rust_decimal::Decimal::from(of.quantity))),
        "totalTaxSet" => one(Thing::Money(rust_decimal::Decimal::ZERO)),
        _ => Answer::Unheld,
    }
}
