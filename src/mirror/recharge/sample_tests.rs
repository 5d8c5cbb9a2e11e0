//! Real answers of Recharge through the mapper.

use serde_json::Value;

use super::read;
use crate::mirror::upstream::samples::{objects, samples};

/// What kind of thing a document is, told by what only that has.
fn kind(object: &Value) -> Option<&'static str> {
    let has = |field| object.get(field).is_some();
    let kinds = [
        ("subscription", has("order_interval_unit")),
        ("order", has("line_items") && has("charge")),
        ("charge", has("line_items") && has("orders_count")),
        ("customer", has("subscriptions_active_count")),
    ];
    let whole = object["id"].is_i64() && has("updated_at");
    kinds.into_iter().find(|(_, is)| whole && *is).map(|(kind, _)| kind)
}

#[test]
fn every_document_of_the_samples_is_read_and_keeps_no_person() {
    let Some(samples) = samples() else { return };
    let asked_at = "2026-01-01T00:00:00Z".parse().unwrap();
    let mut count = std::collections::BTreeMap::<_, usize>::new();
    let (mut queued, mut of_shopify, mut linked) = (0, 0, 0);
    for (file, sample) in samples.iter().filter(|(file, _)| file.starts_with("recharge")) {
        let mut found = Vec::new();
        objects(sample, &mut found);
        for (kind, object) in found.into_iter().filter_map(|object| Some((kind(object)?, object.clone()))) {
            *count.entry(kind).or_default() += 1;
            let document = match kind {
                "order" => read::order(object, asked_at).map(|order| {
                    linked += usize::from(order.charge_id.is_some() && order.external_order_id.is_some());
                    assert!(!order.lines.is_empty());
                    order.document
                }),
                "charge" => read::charge(object, asked_at).map(|charge| {
                    queued += usize::from(charge.status == "queued" && charge.external_order_id.is_none());
                    of_shopify += usize::from(charge.external_order_id.is_some());
                    assert!(charge.scheduled_date.is_some() && !charge.lines.is_empty());
                    charge.document
                }),
                "customer" => read::customer(object, asked_at).map(|customer| customer.document),
                _ => read::subscription(object, asked_at).map(|subscription| subscription.document),
            };
            let document = document.unwrap_or_else(|error| panic!("{file}: {error}"));
            let kept = document.to_string();
            assert!(!kept.contains("redacted@") && !kept.contains("\"first_name\""), "{file}: {kept}");
        }
    }
    eprintln!("{count:?}");
    assert!(count["charge"] >= 3 && count["order"] >= 1 && count["subscription"] >= 3, "{count:?}");
    assert!(queued >= 1 && of_shopify >= 1 && linked >= 1);
}
