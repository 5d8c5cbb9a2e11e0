//! Fields of products, variants and locations.

use super::{Answer, Thing};
use crate::demo::standin::world::{Destroyed, Location, Product, Variant};

pub(super) fn product<'w>(of: &'w Product, name: &str) -> Answer<'w> {
    match name {
        "title" => Answer::Text(&of.title),
        "handle" => Answer::Made(of.title.to_lowercase().replace(' ', "-")),
        "vendor" | "productType" => Answer::Text(""),
        "status" => Answer::Text(of.status),
        "tags" => Answer::Words(Vec::new()),
        "createdAt" | "publishedAt" => Answer::Time(of.created_at),
        "updatedAt" => Answer::Time(of.updated_at),
        "isGiftCard" | "hasVariantsThatRequiresComponents" => Answer::Yes(false),
        "totalInventory" => Answer::Number(0),
        "variantsCount" => Answer::One(Thing::Count(of.variants.len())),
        "variants" => Answer::Many(of.variants.iter().map(|variant| Thing::Variant(of, variant)).collect()),
        _ => Answer::Unheld,
    }
}

pub(super) fn variant<'w>(product: &'w Product, of: &'w Variant, name: &str) -> Answer<'w> {
    match name {
        "sku" => Answer::maybe(of.sku.as_deref(), Answer::Text),
        "title" => Answer::Made(format!("No. {}", of.position)),
        "displayName" => Answer::Made(format!("{} - No. {}", product.title, of.position)),
        "price" => Answer::Made(format!("{:.2}", of.price)),
        "position" => Answer::Number(of.position),
        "createdAt" => Answer::Time(product.created_at),
        "updatedAt" => Answer::Time(of.updated_at),
        "requiresComponents" => Answer::Yes(false),
        "taxable" => Answer::Yes(true),
        "selectedOptions" => Answer::Many(Vec::new()),
        "inventoryItem" => Answer::One(Thing::InventoryItem(of)),
        "inventoryPolicy" => Answer::Text("DENY"),
        "product" => Answer::One(Thing::Product(product)),
        "barcode" | "inventoryQuantity" => Answer::Null,
        _ => Answer::Unheld,
    }
}

pub(super) fn inventory_item<'w>(of: &'w Variant, name: &str) -> Answer<'w> {
    match name {
        "sku" => Answer::maybe(of.sku.as_deref(), Answer::Text),
        "tracked" | "requiresShipping" => Answer::Yes(true),
        "updatedAt" => Answer::Time(of.updated_at),
        _ => Answer::Unheld,
    }
}

pub(super) fn location<'w>(of: &'w Location, name: &str) -> Answer<'w> {
    match name {
        "name" => Answer::Text(&of.name),
        "isActive" => Answer::Yes(of.active),
        "fulfillsOnlineOrders" => Answer::Yes(true),
        "isFulfillmentService" => Answer::Yes(false),
        _ => Answer::Unheld,
    }
}

pub(super) fn destroyed<'w>(of: &'w Destroyed, name: &str) -> Answer<'w> {
    match name {
        "subjectId" => Answer::Id("Product", of.product),
        "subjectType" => Answer::Text("PRODUCT"),
        "action" => Answer::Text("destroy"),
        "createdAt" => Answer::Time(of.at),
        "message" => Answer::Text("A product was deleted."),
        _ => Answer::Unheld,
    }
}
