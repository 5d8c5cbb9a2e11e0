//! Real answers of Recharge through the readers.

use bytes::Bytes;
use serde_json::Value;

use super::{read, reply};
use crate::mirror::upstream::samples::{Room, objects, samples};
use crate::mirror::upstream::{Answer, Failure, UpstreamError};

/// Files that no reader of ours is for, and why.
const NOT_OURS: [(&str, &str); 0] = [];

/// What kind of thing a document is, told by what only that has.
fn kind(object: &Value) -> Option<&'static str> {
    let has = |field| object.get(field).is_some();
    let kinds = [
        ("subscription", has("order_interval_unit") || has("order_interval_frequency")),
        ("order", has("line_items") && (has("charge") || has("charge_id"))),
        ("charge", has("line_items") && (has("orders_count") || has("scheduled_at"))),
        (
            "customer",
            has("subscriptions_active_count") || has("external_customer_id") && has("first_charge_processed_at"),
        ),
    ];
    let whole = object["id"].as_i64().is_some_and(|id| id > 0) || object["id"].is_string();
    kinds.into_iter().find(|(_, is)| whole && has("updated_at") && *is).map(|(kind, _)| kind)
}

/// The status of an answer that has it in its name: `recharge_list_customers_422_invalid_cursor.json`.
fn status(file: &str) -> u16 {
    let parts = file.trim_end_matches(".json").split('_').filter(|part| part.len() == 3);
    parts.filter_map(|part| part.parse().ok()).find(|status| (200..600).contains(status)).unwrap_or(200)
}

/// An answer with errors, as it came.
fn read_refusal(file: &str, body: &Value) {
    let status = status(file);
    let answer = Answer { status, headers: [].into_iter().collect(), body: Bytes::from(body.to_string().into_bytes()) };
    match reply::read(&answer, "2026-01-01T00:00:00Z".parse().unwrap()) {
        Ok(None) => assert_eq!(status, 404, "{file}"),
        Err(Failure::Final(UpstreamError::StaleCursor)) => assert!(body["errors"].get("cursor").is_some(), "{file}"),
        Err(Failure::Final(UpstreamError::Refused { code, .. })) => assert_ne!(code, "no reason given", "{file}"),
        Err(Failure::Final(UpstreamError::AccessDenied(_))) => assert_eq!(status, 403, "{file}"),
        other => panic!("{file}: {other:?}"),
    }
}

#[test]
fn every_answer_of_the_samples_is_read_and_keeps_no_person() {
    let Some(samples) = samples() else { return };
    let asked_at = "2026-01-01T00:00:00Z".parse().unwrap();
    let mut count = std::collections::BTreeMap::<_, usize>::new();
    let (mut queued, mut of_shopify, mut linked) = (0, 0, 0);
    for (file, sample) in samples.iter().filter(|(file, sample)| Room::of(file, sample) == Room::Recharge) {
        let mut found = Vec::new();
        objects(sample, &mut found);
        let mut read_here = 0;
        for body in found.iter().filter(|body| body.get("errors").is_some() && body.get("id").is_none()) {
            read_refusal(file, body);
            *count.entry("refusal").or_default() += 1;
            read_here += 1;
        }
        for (kind, object) in found.into_iter().filter_map(|object| Some((kind(object)?, object.clone()))) {
            *count.entry(kind).or_default() += 1;
            read_here += 1;
            let document = match kind {
                "order" => read::order(object, asked_at).map(|order| {
                    linked += usize::from(order.charge_id.is_some() && order.external_order_id.is_some());
                    assert!(!order.lines.is_empty(), "{file}");
                    order.document
                }),
                "charge" => read::charge(object, asked_at).map(|charge| {
                    queued += usize::from(charge.status == "queued" && charge.external_order_id.is_none());
                    of_shopify += usize::from(charge.external_order_id.is_some());
                    assert!(charge.scheduled_date.is_some() && !charge.lines.is_empty(), "{file}");
                    charge.document
                }),
                "customer" => read::customer(object, asked_at).map(|customer| customer.document),
                _ => read::subscription(object, asked_at).map(|subscription| subscription.document),
            };
            let document = document.unwrap_or_else(|error| panic!("{file}: {error}"));
            let kept = document.to_string();
            assert!(!kept.contains("redacted@") && !kept.contains("\"first_name\""), "{file}: {kept}");
        }
        let empty_page = sample[0].as_object().is_some_and(|page| page.contains_key("next_cursor"));
        let excused = NOT_OURS.iter().any(|(name, _)| name == file);
        assert!(read_here > 0 || empty_page || excused, "{file}: nothing of it is read");
    }
    eprintln!("{count:?}");
    if samples.iter().any(|(file, _)| file == "recharge_charges_queued_success_error.json") {
        let least = [("charge", 3), ("order", 1), ("subscription", 3), ("refusal", 2)];
        assert!(least.iter().all(|(kind, least)| count.get(kind) >= Some(least)), "{count:?}");
        assert!(queued >= 1 && of_shopify >= 1 && linked >= 1);
    }
}
