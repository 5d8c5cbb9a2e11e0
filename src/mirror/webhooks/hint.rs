//! What a delivery is about: topic and body in, entity and id out. Pure.
//!
//! Only ids are read. What else is in the body was true when the delivery was made, if it was not made up of an older
//! one; the entity itself is fetched.

use serde_json::{Map, Value};

use crate::mirror::rows::Source;

/// What is fetched because of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WebhookEntity)]
pub enum Entity {
    /// An order, with its lines, fulfilments and refunds.
    Order,
    /// A product with its variants.
    Product,
    /// A location.
    Location,
    /// A Recharge charge.
    Charge,
    /// A Recharge subscription.
    Subscription,
    /// A Recharge customer.
    Customer,
}

impl Entity {
    const ALL: [Self; 6] =
        [Self::Order, Self::Product, Self::Location, Self::Charge, Self::Subscription, Self::Customer];

    /// The word in SQL, JSON and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Product => "product",
            Self::Location => "location",
            Self::Charge => "charge",
            Self::Subscription => "subscription",
            Self::Customer => "customer",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|entity| entity.as_str() == word)
    }
}

/// What there is to do about a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Fetch this.
    Fetch(Entity, i64),
    /// Nothing: its topic is about nothing that is mirrored.
    OtherTopic,
    /// Nothing can be done: its topic is about something that is mirrored, and its body does not say which.
    NoId,
}

/// A delivery as far as it matters.
#[derive(Debug, Clone, PartialEq)]
pub struct Hint {
    /// What there is to do.
    pub meaning: Meaning,
    /// What is kept of the body: ids and its time of change. The rest is names, addresses and e-mails of people, which
    /// stock has no use for; and state, which would be taken for newer than it is by whoever finds it.
    pub about: Value,
}

/// Reads a delivery of this topic. Whatever the body is, even no JSON, there is an answer.
#[must_use]
pub fn read(source: Source, topic: &str, body: &[u8]) -> Hint {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let (object, id, entity) = match source {
        Source::Shopify => shopify(topic, &body),
        Source::Recharge => recharge(topic, &body),
    };
    let meaning = match (entity, id.and_then(read_id)) {
        (None, _) => Meaning::OtherTopic,
        (Some(entity), Some(id)) => Meaning::Fetch(entity, id),
        (Some(_), None) => Meaning::NoId,
    };
    Hint { meaning, about: about(object) }
}

/// The object that the body is about, where the id is, and whose id it is.
fn shopify<'a>(topic: &str, body: &'a Value) -> (&'a Value, Option<&'a Value>, Option<Entity>) {
    let (room, event) = topic.split_once('/').unwrap_or((topic, ""));
    match (room, event) {
        ("orders", "edited") => {
            let edit = body.get("order_edit").unwrap_or(body);
            (edit, edit.get("order_id"), Some(Entity::Order))
        }
        // Assessments of an order and the like name the order and are not one.
        ("orders", _) => (body, body.get("order_id").or_else(|| body.get("id")), Some(Entity::Order)),
        ("refunds" | "fulfillments", _) => (body, body.get("order_id"), Some(Entity::Order)),
        ("products", _) => (body, body.get("id"), Some(Entity::Product)),
        ("locations", _) => (body, body.get("id"), Some(Entity::Location)),
        // Of inventory levels nothing is mirrored: what is on the shelf is counted here.
        _ => (body, None, None),
    }
}

/// Recharge wraps the object in its own name, according to its documentation; where it does not, the object is bare.
fn recharge<'a>(topic: &str, body: &'a Value) -> (&'a Value, Option<&'a Value>, Option<Entity>) {
    let room = topic.split_once('/').map_or(topic, |(room, _)| room);
    let entity = match room {
        "order" => Entity::Order,
        "charge" => Entity::Charge,
        "subscription" => Entity::Subscription,
        "customer" => Entity::Customer,
        _ => return (body, None, None),
    };
    let object = body.get(room).filter(|object| object.is_object()).unwrap_or(body);
    (object, object.get("id"), Some(entity))
}

/// Ids are numbers up to 2^63, or such numbers as text; never floats, which would make another id of a large one.
fn read_id(value: &Value) -> Option<i64> {
    let id = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    };
    id.filter(|id| *id > 0)
}

fn about(object: &Value) -> Value {
    let mut kept = Map::new();
    for name in ["id", "order_id", "charge_id", "customer_id"] {
        if let Some(id) = object.get(name).and_then(read_id) {
            kept.insert(name.to_owned(), id.into());
        }
    }
    if let Some(time) = object.get("updated_at").and_then(Value::as_str).filter(|text| is_time(text)) {
        kept.insert("updated_at".to_owned(), time.into());
    }
    kept.into()
}

/// Recharge writes some times without an offset, so this is about characters, not about what they say.
fn is_time(text: &str) -> bool {
    text.len() <= 40 && text.bytes().all(|byte| byte.is_ascii_digit() || b"-+:.TZ ".contains(&byte))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn meaning(source: Source, topic: &str, body: &str) -> Meaning {
        read(source, topic, body.as_bytes()).meaning
    }

    #[test]
    fn every_topic_of_shopify_leads_to_the_entity_it_is_about() {
        let order = Meaning::Fetch(Entity::Order, 820_982_911_946_154_508);
        for (topic, body) in [
            ("orders/create", r#"{"id": 820982911946154508, "line_items": [{"id": 1}], "customer": {"id": 2}}"#),
            ("orders/delete", r#"{"id": 820982911946154508}"#),
            ("orders/edited", r#"{"order_edit": {"id": 7, "order_id": 820982911946154508, "line_items": {}}}"#),
            ("orders/risk_assessment_changed", r#"{"order_id": 820982911946154508}"#),
            ("refunds/create", r#"{"id": 7, "order_id": 820982911946154508, "refund_line_items": []}"#),
            ("fulfillments/update", r#"{"id": 7, "order_id": "820982911946154508"}"#),
        ] {
            assert_eq!(meaning(Source::Shopify, topic, body), order, "{topic}");
        }
        let product = meaning(Source::Shopify, "products/delete", r#"{"id": 788032119674292922}"#);
        assert_eq!(product, Meaning::Fetch(Entity::Product, 788_032_119_674_292_922));
        let location = meaning(Source::Shopify, "locations/update", r#"{"id": 9223372036854775807}"#);
        assert_eq!(location, Meaning::Fetch(Entity::Location, i64::MAX));
        for topic in ["inventory_levels/update", "app/uninstalled", "customers/create", "orders_", ""] {
            assert_eq!(meaning(Source::Shopify, topic, r#"{"id": 1, "order_id": 2}"#), Meaning::OtherTopic, "{topic}");
        }
    }

    #[test]
    fn recharge_objects_are_found_in_their_envelope_and_without_it() {
        for (topic, body, entity) in [
            ("order/created", r#"{"order": {"id": 7, "charge": {"id": 8}, "customer": {"id": 9}}}"#, Entity::Order),
            ("charge/paid", r#"{"charge": {"id": "7", "customer": {"id": 9}}}"#, Entity::Charge),
            ("subscription/updated", r#"{"subscription": {"id": 7, "customer_id": 9}}"#, Entity::Subscription),
            ("customer/updated", r#"{"customer": {"id": 7}}"#, Entity::Customer),
            ("order/processed", r#"{"id": 7, "charge": {"id": 8}, "customer": {"id": 9}}"#, Entity::Order),
        ] {
            assert_eq!(meaning(Source::Recharge, topic, body), Meaning::Fetch(entity, 7), "{topic} {body}");
        }
        assert_eq!(meaning(Source::Recharge, "address/updated", r#"{"address": {"id": 7}}"#), Meaning::OtherTopic);
    }

    #[test]
    fn what_is_no_id_is_not_made_one() {
        for id in
            ["null", "0", "-7", "7.0", "1e3", "9223372036854775808", r#""""#, r#""7 ""#, r#""gid""#, "[7]", "true"]
        {
            let body = format!(r#"{{"id": {id}}}"#);
            assert_eq!(meaning(Source::Shopify, "orders/create", &body), Meaning::NoId, "{id}");
        }
        for body in ["", "{", "[]", "7", "null", "\u{feff}{}", r#"{"order_edit": 7}"#] {
            assert_eq!(meaning(Source::Shopify, "orders/edited", body), Meaning::NoId, "{body}");
            assert_eq!(meaning(Source::Recharge, "order/created", body), Meaning::NoId, "{body}");
        }
    }

    #[test]
    fn of_a_body_only_ids_and_its_time_are_kept() {
        let body = br#"{"id": 820982911946154508, "email": "jo@example.org", "updated_at": "2026-11-24T04:00:00-05:00",
            "customer": {"first_name": "Jo"}, "customer_id": 5, "note": "ring twice"}"#;
        let hint = read(Source::Shopify, "orders/updated", body);
        let kept =
            json!({"id": 820_982_911_946_154_508_i64, "customer_id": 5, "updated_at": "2026-11-24T04:00:00-05:00"});
        assert_eq!(hint.about, kept);
        let odd = br#"{"id": "Jo", "updated_at": "call me at 5\u0000"}"#;
        assert_eq!(read(Source::Shopify, "orders/updated", odd).about, json!({}));
    }

    /// Real deliveries, which live outside of the repository.
    #[test]
    fn every_delivery_of_the_samples_says_what_it_is_about() {
        let Some(all) = crate::mirror::upstream::samples::samples() else { return };
        let order = Meaning::Fetch(Entity::Order, 820_982_911_946_154_508);
        let (mut official, mut real) = (0, 0);
        for (file, sample) in all.iter().filter(|(file, _)| file.starts_with("webhook_")) {
            // A file of one document is that document.
            let sample = if let serde_json::Value::Array(documents) = sample { &documents[0] } else { sample };
            for (kind, topic, meaning) in [
                ("Order", "orders/create", order),
                ("OrderEdit", "orders/edited", order),
                ("Refund", "refunds/create", order),
                ("Fulfillment", "fulfillments/update", order),
                ("Product", "products/update", Meaning::Fetch(Entity::Product, 788_032_119_674_292_922)),
                ("InventoryLevel", "inventory_levels/update", Meaning::OtherTopic),
            ] {
                if let Some(body) = sample.get(kind) {
                    let hint = read(Source::Shopify, topic, body.to_string().as_bytes());
                    assert_eq!(hint.meaning, meaning, "{file}: {kind}");
                    official += 1;
                }
            }
            let topic = if sample.get("order_id").is_some() { "fulfillments/update" } else { "orders/create" };
            if sample.get("id").is_some() {
                let hint = read(Source::Shopify, topic, sample.to_string().as_bytes());
                assert!(matches!(hint.meaning, Meaning::Fetch(Entity::Order, id) if id > 0), "{file}: {hint:?}");
                assert!(!hint.about.to_string().contains('@'), "{file}: an address is kept");
                real += 1;
            }
        }
        assert!(official >= 6 && real >= 2, "{official} official, {real} real");
    }
}
