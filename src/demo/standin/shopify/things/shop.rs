//! Fields of the shop, of its app, of webhook subscriptions, and of values such as money.

use super::{Answer, Thing};
use crate::demo::standin::shopify::API_VERSION;

/// What the token may do.
pub(in crate::demo::standin) const SCOPES: [&str; 6] =
    ["read_orders", "read_all_orders", "read_products", "read_inventory", "read_locations", "read_fulfillments"];

const QUANTITY_NAMES: [&str; 3] = ["available", "committed", "on_hand"];

pub(super) fn field<'w>(thing: Thing<'w>, name: &str) -> Answer<'w> {
    match (thing, name) {
        (Thing::Money(amount), "shopMoney" | "presentmentMoney") => Answer::One(Thing::MoneyIn(amount)),
        (Thing::MoneyIn(amount), "amount") => Answer::Amount(amount),
        (Thing::MoneyIn(_) | Thing::Shop(_), "currencyCode") => Answer::Text("USD"),
        (Thing::Attribute(key, _), "key") => Answer::Text(key),
        (Thing::Attribute(_, value), "value") => Answer::Text(value),
        (Thing::Count(count), "count") => Answer::Number(i64::try_from(count).unwrap_or(i64::MAX)),
        (Thing::Count(_), "precision") => Answer::Text("EXACT"),
        (Thing::Shop(domain), "myshopifyDomain") => Answer::Text(domain),
        (Thing::Shop(_), "name") => Answer::Text("Holdfast demo"),
        (Thing::Shop(_), "ianaTimezone") => Answer::Text("America/New_York"),
        (Thing::Shop(_), "timezoneOffsetMinutes") => Answer::Number(-300),
        (Thing::Shop(_), "plan") => Answer::One(Thing::Plan),
        (Thing::Plan, "publicDisplayName") => Answer::Text("Basic"),
        (Thing::Plan, "partnerDevelopment" | "shopifyPlus") => Answer::Yes(false),
        (Thing::Installation(scopes), "accessScopes") => {
            Answer::Many(scopes.iter().map(|of| Thing::Scope(of)).collect())
        }
        (Thing::Scope(handle), "handle") => Answer::Text(handle),
        (Thing::Version, "handle") => Answer::Text(API_VERSION),
        (Thing::Inventory, "quantityNames") => {
            Answer::Many(QUANTITY_NAMES.iter().map(|name| Thing::QuantityName(name)).collect())
        }
        (Thing::QuantityName(of), "name") => Answer::Text(of),
        (Thing::QuantityName(_), "isInUse") => Answer::Yes(true),
        (Thing::QuantityName(_), "comprises" | "belongsTo") => Answer::Words(Vec::new()),
        (Thing::Hook(hook), _) => subscription(hook, name),
        (Thing::HookMade(hook), "webhookSubscription") => Answer::One(Thing::Hook(hook)),
        (Thing::HookDeleted(id), "deletedWebhookSubscriptionId") => Answer::Id("WebhookSubscription", id),
        (Thing::HookMade(_) | Thing::HookDeleted(_), "userErrors") => Answer::Many(Vec::new()),
        _ => Answer::Unheld,
    }
}

fn subscription<'w>(hook: &'w crate::demo::standin::world::Hook, name: &str) -> Answer<'w> {
    match name {
        "topic" => Answer::Text(&hook.topic),
        "uri" => Answer::Text(&hook.address),
        "format" => Answer::Text("JSON"),
        "apiVersion" => Answer::One(Thing::Version),
        "includeFields" => Answer::Words(Vec::new()),
        "createdAt" | "updatedAt" => Answer::Time(hook.created_at),
        "name" | "filter" => Answer::Null,
        _ => Answer::Unheld,
    }
}
