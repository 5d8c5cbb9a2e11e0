//! Objects of the schema, and what each field of theirs is.
//!
//! They borrow from the world and are written out as they are asked for: nothing is rendered that nobody asked for, and a
//! page of orders costs its bytes.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::cursor::Cursor;
use crate::demo::standin::world::{
    Destroyed, Fulfilment, FulfilmentLine, Group, Hook, Line, Location, Order, Product, Refund, RefundLine, Variant,
};

mod catalogue;
mod orders;
mod shop;

pub(in crate::demo::standin) use shop::SCOPES;

/// An object.
#[derive(Debug, Clone, Copy)]
pub(super) enum Thing<'w> {
    Order(&'w Order),
    Line(&'w Order, &'w Line),
    Group(&'w Group),
    Fulfilment(&'w Order, &'w Fulfilment),
    FulfilmentLine(&'w Order, &'w FulfilmentLine),
    Refund(&'w Order, &'w Refund),
    RefundLine(&'w Order, &'w RefundLine),
    Product(&'w Product),
    Variant(&'w Product, &'w Variant),
    InventoryItem(&'w Variant),
    Location(&'w Location),
    /// Something of which only kind and id are known.
    Stub(&'static str, i64),
    Destroyed(&'w Destroyed),
    Hook(&'w Hook),
    Money(Decimal),
    MoneyIn(Decimal),
    Attribute(&'w str, &'w str),
    Count(usize),
    Shop(&'w str),
    Plan,
    Installation(&'w [&'static str]),
    Scope(&'static str),
    Version,
    Inventory,
    QuantityName(&'static str),
    /// What a mutation answers: the subscription that it made.
    HookMade(&'w Hook),
    /// What a mutation answers that deleted a subscription.
    HookDeleted(i64),
}

/// What a field is.
#[derive(Debug)]
pub(super) enum Answer<'w> {
    Null,
    Yes(bool),
    Number(i64),
    Text(&'w str),
    Made(String),
    /// A global id.
    Id(&'static str, i64),
    /// A number as text.
    Digits(i64),
    Time(DateTime<Utc>),
    Amount(Decimal),
    Words(Vec<&'w str>),
    One(Thing<'w>),
    Many(Vec<Thing<'w>>),
    /// What was asked for by id; null where there is none.
    Nodes(Vec<Option<Thing<'w>>>),
    /// One page of something too large to list.
    Page(Vec<(Thing<'w>, Cursor)>, bool),
    /// The stand-in does not know.
    Unheld,
}

impl<'w> Answer<'w> {
    fn maybe<T>(value: Option<T>, some: impl FnOnce(T) -> Answer<'w>) -> Self {
        value.map_or(Self::Null, some)
    }
}

impl<'w> Thing<'w> {
    /// Its type in the schema.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Order(_) => "Order",
            Self::Line(..) => "LineItem",
            Self::Group(_) => "LineItemGroup",
            Self::Fulfilment(..) => "Fulfillment",
            Self::FulfilmentLine(..) => "FulfillmentLineItem",
            Self::Refund(..) => "Refund",
            Self::RefundLine(..) => "RefundLineItem",
            Self::Product(_) => "Product",
            Self::Variant(..) => "ProductVariant",
            Self::InventoryItem(_) => "InventoryItem",
            Self::Location(_) => "Location",
            Self::Stub(kind, _) => kind,
            Self::Destroyed(_) => "BasicEvent",
            Self::Hook(_) => "WebhookSubscription",
            Self::Money(_) => "MoneyBag",
            Self::MoneyIn(_) => "MoneyV2",
            Self::Attribute(..) => "Attribute",
            Self::Count(_) => "Count",
            Self::Shop(_) => "Shop",
            Self::Plan => "ShopPlan",
            Self::Installation(_) => "AppInstallation",
            Self::Scope(_) => "AccessScope",
            Self::Version => "ApiVersion",
            Self::Inventory => "InventoryProperties",
            Self::QuantityName(_) => "InventoryQuantityName",
            Self::HookMade(_) => "WebhookSubscriptionCreatePayload",
            Self::HookDeleted(_) => "WebhookSubscriptionDeletePayload",
        }
    }

    /// Its number, where it is a node.
    pub(super) fn id(self) -> i64 {
        match self {
            Self::Order(of) => of.id,
            Self::Line(_, of) => of.id,
            Self::Group(of) => of.id,
            Self::Fulfilment(_, of) => of.id,
            Self::FulfilmentLine(_, of) => of.id,
            Self::Refund(_, of) => of.id,
            Self::RefundLine(_, of) => of.id,
            Self::Product(of) => of.id,
            Self::Variant(_, of) => of.id,
            Self::InventoryItem(of) => of.inventory_item,
            Self::Location(of) => of.id,
            Self::Stub(_, id) => id,
            Self::Destroyed(of) => of.id,
            Self::Hook(of) => of.id,
            _ => 1,
        }
    }

    /// What a field of it is.
    pub(super) fn field(self, name: &str) -> Answer<'w> {
        match name {
            "__typename" => return Answer::Text(self.kind()),
            "id" => return Answer::Id(self.kind(), self.id()),
            "legacyResourceId" => return Answer::Digits(self.id()),
            _ => {}
        }
        match self {
            Self::Order(order) => orders::order(order, name),
            Self::Line(order, line) => orders::line(order, line, name),
            Self::Group(group) => orders::group(group, name),
            Self::Fulfilment(order, fulfilment) => orders::fulfilment(order, fulfilment, name),
            Self::FulfilmentLine(order, line) => orders::fulfilment_line(order, line, name),
            Self::Refund(order, refund) => orders::refund(order, refund, name),
            Self::RefundLine(order, line) => orders::refund_line(order, line, name),
            Self::Product(product) => catalogue::product(product, name),
            Self::Variant(product, variant) => catalogue::variant(product, variant, name),
            Self::InventoryItem(variant) => catalogue::inventory_item(variant, name),
            Self::Location(location) => catalogue::location(location, name),
            Self::Destroyed(event) => catalogue::destroyed(event, name),
            Self::Stub(..) => Answer::Null,
            other => shop::field(other, name),
        }
    }
}
