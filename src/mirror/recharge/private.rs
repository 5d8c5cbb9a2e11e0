//! What is left out of a document before it is kept: who somebody is, where he lives and how he is reached. Stock has no
//! use for it. Pure.

use serde_json::Value;

/// Fields that go, wherever they are. Recharge's `hash` opens a customer's account; properties, attributes and notes are
/// whatever a shopper typed.
const FIELDS: [&str; 26] = [
    "first_name",
    "last_name",
    "full_name",
    "company",
    "city",
    "zip",
    "postal_code",
    "province",
    "province_code",
    "country",
    "country_code",
    "latitude",
    "longitude",
    "hash",
    "note",
    "notes",
    "note_attributes",
    "order_note",
    "order_attributes",
    "properties",
    "client_details",
    "browser_ip",
    "ip",
    "user_agent",
    "cancellation_reason_comments",
    "tags",
];

/// Words that give a field away as one that goes.
const PARTS: [&str; 3] = ["email", "phone", "address"];

/// Names of ids, which tell nothing of a person.
const KEPT: [&str; 2] = ["address_id", "shipping_address_id"];

/// The document without persons.
#[must_use]
pub fn without_persons(mut document: Value) -> Value {
    strip(&mut document);
    document
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !is_personal(name));
            fields.values_mut().for_each(strip);
        }
        Value::Array(values) => values.iter_mut().for_each(strip),
        _ => {}
    }
}

fn is_personal(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let given_away = FIELDS.contains(&name.as_str()) || PARTS.iter().any(|part| name.contains(part));
    given_away && !KEPT.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_of_a_person_is_left_at_any_depth_and_the_rest_is() {
        let address = json!({ "address1": "1 Secret St", "city": "Secretville", "zip": "SECRET", "phone": "SECRET" });
        let document = json!({
            "id": 7,
            "address_id": 8,
            "email": "secret@example.com",
            "billing_address": address,
            "shipping_address": address,
            "client_details": { "browser_ip": "SECRET", "user_agent": "SECRET" },
            "customer": { "id": 9, "email": "secret@example.com", "first_name": "Secret", "hash": "SECRET" },
            "include": { "addresses": [address], "customer": { "Last_Name": "Secret", "has_card": true } },
            "line_items": [{ "sku": "T3", "properties": [{ "name": "Engraving", "value": "For Secret" }] }],
            "note": "Ring at Secret's",
            "order_attributes": [{ "name": "gift", "value": "secret" }],
            "analytics_data": { "utm_params": [] },
        });
        let stripped = without_persons(document);
        assert!(!stripped.to_string().to_lowercase().contains("secret"), "{stripped}");
        let expected = json!({
            "id": 7,
            "address_id": 8,
            "customer": { "id": 9 },
            "include": { "customer": { "has_card": true } },
            "line_items": [{ "sku": "T3" }],
            "analytics_data": { "utm_params": [] },
        });
        assert_eq!(stripped, expected);
    }
}
