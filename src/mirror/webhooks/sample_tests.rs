//! Real deliveries of Shopify through the reader of hints: each says which order or product is to be fetched.

use serde_json::Value;

use super::hint::{Entity, Meaning, read};
use crate::mirror::rows::Source;
use crate::mirror::upstream::samples::{Room, objects, samples};

/// Files that no reader of ours is for, and why.
const NOT_OURS: [(&str, &str); 0] = [];

/// The topic of a payload and the id that it is to lead to, told by what only such payloads have.
fn topic(body: &Value) -> Option<(&'static str, Option<(Entity, &Value)>)> {
    let has = |field| body.get(field).is_some();
    if has("order_edit") {
        return Some(("orders/edited", Some((Entity::Order, &body["order_edit"]["order_id"]))));
    }
    if has("inventory_item_id") && has("location_id") && has("available") {
        return Some(("inventory_levels/update", None));
    }
    if !has("id") {
        return None;
    }
    let of_order = [
        ("refunds/create", has("refund_line_items")),
        ("fulfillments/update", has("line_items") && has("status") && (has("tracking_number") || has("receipt"))),
    ];
    if has("order_id")
        && let Some((topic, _)) = of_order.into_iter().find(|(_, is)| *is)
    {
        return Some((topic, Some((Entity::Order, &body["order_id"]))));
    }
    if has("line_items") && has("financial_status") {
        return Some(("orders/updated", Some((Entity::Order, &body["id"]))));
    }
    (has("variants") && has("handle")).then(|| ("products/update", Some((Entity::Product, &body["id"]))))
}

#[test]
fn every_delivery_of_the_samples_says_what_is_to_be_fetched() {
    let Some(samples) = samples() else { return };
    for (file, sample) in samples.iter().filter(|(file, sample)| Room::of(file, sample) == Room::Webhook) {
        let mut found = Vec::new();
        objects(sample, &mut found);
        let mut topics = Vec::new();
        for body in found {
            let Some((topic, leads_to)) = topic(body) else { continue };
            topics.push(topic);
            let hint = read(Source::Shopify, topic, body.to_string().as_bytes());
            let expected = match leads_to {
                None => Meaning::OtherTopic,
                // The notification that an admin sends as a test has no order: there is nothing to fetch.
                Some((_, id)) if id.is_null() => Meaning::NoId,
                Some((entity, id)) => {
                    let id = id.as_i64().or_else(|| id.as_str()?.parse().ok());
                    Meaning::Fetch(entity, id.unwrap_or_else(|| panic!("{file}: {topic} has an odd id")))
                }
            };
            assert_eq!(hint.meaning, expected, "{file}: {topic}");
            let kept = hint.about.to_string();
            assert!(!kept.contains("email") && !kept.contains("address"), "{file}: {kept}");
        }
        eprintln!("{file}: {topics:?}");
        let excused = NOT_OURS.iter().any(|(name, _)| name == file);
        assert!(excused || !topics.is_empty(), "{file}: nothing of it is read");
    }
}
