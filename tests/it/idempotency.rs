//! One key of one client is one outcome for ever.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use holdfast::keys::Scope;
use serde_json::{Value, json};

use crate::support::app::cart;
use crate::support::client::key;
use crate::support::{Answer, TestApp};

/// Of answers under one key exactly one was given first; the others are its copies, byte for byte.
#[track_caller]
fn one_effect(answers: &[Answer]) {
    let bytes: BTreeSet<&[u8]> = answers.iter().map(|answer| answer.bytes.as_slice()).collect();
    let statuses: BTreeSet<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!((bytes.len(), statuses.len()), (1, 1), "{answers:#?}");
    assert_eq!(answers.iter().filter(|answer| !answer.is_replayed()).count(), 1);
}

async fn held_quantity(app: &TestApp) -> Value {
    app.availability("TEA").await["held_quantity"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_the_same_answer_byte_for_byte_refusals_included() {
    let app = TestApp::start().await;
    app.stock("TEA", 3).await;
    let unknown = cart(&[("NEW", 1)]);
    let cases = [("ok", cart(&[("TEA", 3)]), 201), ("short", cart(&[("TEA", 1)]), 409), ("unknown", unknown, 422)];
    let mut first = Vec::new();
    for (key, body, status) in &cases {
        let answer = app.client.post_as(key, "/reservations", body).await.expect(*status);
        assert!(!answer.is_replayed());
        first.push(answer);
    }
    // What stood in the way is gone now; the outcome stands all the same.
    app.stock("TEA", 10).await;
    app.stock("NEW", 10).await;
    for ((key, body, status), first) in cases.iter().zip(&first) {
        let again = app.client.post_as(key, "/reservations", body).await.expect(*status);
        assert!(again.is_replayed(), "{key}");
        assert_eq!((&again.bytes, again.header("location")), (&first.bytes, first.header("location")), "{key}");
        assert_eq!(again.header("content-type"), first.header("content-type"), "{key}");
    }
    assert_eq!(held_quantity(&app).await, 3);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_gives_the_first_answer_after_the_reservation_has_moved_on() {
    let app = TestApp::start().await;
    app.stock("TEA", 3).await;
    let held = app.client.post_as("hold", "/reservations", &cart(&[("TEA", 3)])).await.expect(201);
    let path = format!("/reservations/{}", held.id());
    let order = json!({"order_ref": "1"});
    let committed = app.client.post_as("commit", &format!("{path}/commit"), &order).await.expect(200);
    let cancel = json!({"reason": "order_canceled"});
    let released = app.client.post_as("release", &format!("{path}/release"), &cancel).await.expect(200);
    app.advance(86_400);
    for (key, path, body, first) in [
        ("hold", "/reservations", &cart(&[("TEA", 3)]), &held),
        ("commit", &format!("{path}/commit"), &order, &committed),
        ("release", &format!("{path}/release"), &cancel, &released),
    ] {
        let again = app.client.post_as(key, path, body).await;
        assert!(again.is_replayed());
        assert_eq!((again.status, &again.bytes), (first.status, &first.bytes), "{key}");
    }
    assert_eq!(app.client.get(&path).await.at("/state"), "cancelled");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_one_request() {
    let app = TestApp::start().await;
    app.pool("eu").await;
    app.stock("TEA", 9).await;
    app.stock_in("eu", "TEA", 9).await;
    let body = cart(&[("TEA", 1)]);
    let id = app.client.post_as("k", "/reservations", &body).await.expect(201).id();
    let other = app.hold("TEA", 1).await.expect(201).id();
    let mut abroad = body.clone();
    abroad["pool"] = json!("eu");
    let lot = json!({
        "sku": "TEA", "lot_code": "L", "quantity": 1, "unit_cost": "1", "currency": "EUR", "received_date": "2026-01-15"
    });
    for (path, body) in [
        ("/reservations".to_owned(), cart(&[("TEA", 2)])),
        ("/reservations".to_owned(), json!({"lines": [{"sku": "TEA", "quantity": 1}], "owner": "ann"})),
        ("/reservations".to_owned(), abroad),
        (format!("/reservations/{id}/commit"), json!({"order_ref": "1"})),
        (format!("/reservations/{id}/release"), json!({})),
        ("/lots".to_owned(), lot),
    ] {
        let refused = app.client.post_as("k", &path, &body).await.refused(422, "idempotency_key_reused");
        assert!(!refused.is_replayed());
    }
    app.client.post_as("x", &format!("/reservations/{other}/extend"), &json!({})).await.expect(200);
    let elsewhere = app.client.post_as("x", &format!("/reservations/{id}/extend"), &json!({})).await;
    elsewhere.refused(422, "idempotency_key_reused");
    // None of these was an outcome of the key: the first one still is.
    let again = app.client.post_as("k", "/reservations", &body).await.expect(201);
    assert!(again.is_replayed() && again.id() == id);
    assert_eq!(held_quantity(&app).await, 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_required_and_must_be_visible_ascii() {
    let app = TestApp::start().await;
    app.stock("TEA", 9).await;
    let id = app.hold("TEA", 1).await.expect(201).id();
    for path in ["/reservations", "/lots", "/stock/TEA/opening-count"]
        .map(str::to_owned)
        .into_iter()
        .chain(["commit", "release", "extend"].map(|action| format!("/reservations/{id}/{action}")))
    {
        let missing = app.client.send(reqwest::Method::POST, &path, &[], Some(&json!({}))).await;
        missing.refused(400, "idempotency_key_required");
        let long = "k".repeat(256);
        for bad in ["", "\"\"", "a b", "\"open", "ключ", &long] {
            let refused = app.client.post_as(bad, &path, &json!({})).await;
            refused.refused(400, "idempotency_key_invalid");
        }
        let twice = [("idempotency-key", "a"), ("idempotency-key", "b")];
        let twice = app.client.send(reqwest::Method::POST, &path, &twice, Some(&json!({}))).await;
        twice.refused(400, "idempotency_key_invalid");
    }
    // Quoted (as the IETF draft writes it) and bare are one key.
    let body = cart(&[("TEA", 1)]);
    app.client.post_as("\"q\"", "/reservations", &body).await.expect(201);
    assert!(app.client.post_as("q", "/reservations", &body).await.expect(201).is_replayed());
    assert!(!app.client.post_as(&"k".repeat(255), "/reservations", &body).await.expect(201).is_replayed());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_members_and_white_space_make_no_other_request() {
    let app = TestApp::start().await;
    app.stock("TEA", 9).await;
    let spellings = [
        r#"{"lines":[{"sku":"TEA","quantity":2}],"owner":"ann","metadata":{"a":1,"b":{"c":2,"d":3}}}"#,
        r#"{"metadata":{"b":{"d":3,"c":2},"a":1},"owner":"ann","lines":[{"quantity":2,"sku":"TEA"}]}"#,
        "\n{ \"owner\" : \"a\\u006en\",\t\"lines\": [ {\"sku\": \"TEA\", \"quantity\": 2, \"pool\": null} ],
           \"ttl_seconds\": null, \"metadata\": {\"a\": 1, \"b\": {\"c\": 2, \"d\": 3}}}\n",
    ];
    let mut answers = Vec::new();
    for body in spellings {
        let headers = [("idempotency-key", "k"), ("content-type", "application/json; charset=utf-8")];
        answers.push(app.client.post_bytes("/reservations", &headers, body.into()).await.expect(201));
    }
    one_effect(&answers);
    let other = r#"{"lines":[{"sku":"TEA","quantity":2}],"owner":"ann","metadata":{"a":1,"b":{"c":2,"d":4}}}"#;
    let headers = [("idempotency-key", "k"), ("content-type", "application/json")];
    let other = app.client.post_bytes("/reservations", &headers, other.into()).await;
    other.refused(422, "idempotency_key_reused");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_the_client_and_not_to_its_api_key() {
    let app = TestApp::start().await;
    app.stock("TEA", 9).await;
    let body = cart(&[("TEA", 1)]);
    let old = app.client_of("shop", &[Scope::Reservations]).await;
    let first = old.post_as("k", "/reservations", &body).await.expect(201);
    let old_id = old.token().split('_').nth(1).unwrap().to_owned();
    let revoke = app.client.send(reqwest::Method::DELETE, &format!("/keys/{old_id}"), &[], None).await;
    revoke.expect(204);
    old.post_as("k", "/reservations", &body).await.refused(401, "unauthorized");
    let rotated = app.client_of("shop", &[Scope::Reservations]).await;
    let again = rotated.post_as("k", "/reservations", &body).await.expect(201);
    assert!(again.is_replayed() && again.bytes == first.bytes);
    let neighbour = app.client_of("another shop", &[Scope::Reservations]).await;
    let own = neighbour.post_as("k", "/reservations", &body).await.expect(201);
    assert!(!own.is_replayed() && own.id() != first.id());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_never_understood_leaves_its_key_free() {
    let app = TestApp::start().await;
    app.stock("TEA", 9).await;
    let headers = [("idempotency-key", "k"), ("content-type", "application/json")];
    app.client.post_bytes("/reservations", &headers, b"{".to_vec()).await.refused(400, "malformed_json");
    app.client.post_as("k", "/reservations", &cart(&[("TEA", 0)])).await.refused(422, "validation_failed");
    let nowhere = json!({"pool": "mars", "lines": [{"sku": "TEA", "quantity": 1}]});
    app.client.post_as("k", "/reservations", &nowhere).await.refused(422, "unknown_pool");
    let held = app.client.post_as("k", "/reservations", &cart(&[("TEA", 1)])).await.expect(201);
    assert!(!held.is_replayed());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_callers_under_one_key_have_one_effect() {
    let app = TestApp::start().await;
    app.stock("TEA", 100).await;
    let id = app.hold("TEA", 2).await.expect(201).id();
    let lot = json!({
        "sku": "TEA", "lot_code": "L", "quantity": 5, "unit_cost": "1", "currency": "EUR", "received_date": "2026-01-15"
    });
    for (path, body) in [
        ("/reservations".to_owned(), cart(&[("TEA", 1)])),
        (format!("/reservations/{id}/commit"), json!({"order_ref": "1"})),
        ("/lots".to_owned(), lot),
        ("/reservations".to_owned(), cart(&[("TEA", 5000)])),
    ] {
        let key = key();
        one_effect(&join_all((0..20).map(|_| app.client.post_as(&key, &path, &body))).await);
    }
    let seen = app.availability("TEA").await;
    let terms = ["on_hand_quantity", "held_quantity", "committed_quantity"].map(|term| seen[term].as_i64());
    assert_eq!(terms, [Some(105), Some(1), Some(2)]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_under_one_key_have_one_effect() {
    let app = TestApp::start().await;
    let other = app.another().await;
    app.client.post("/skus", &json!({"code": "GIFT", "tracked": false})).await.expect(201);
    app.stock("TEA", 100).await;
    // A tracked SKU has a row whose lock puts the twins in order; a gift card has nothing but the key.
    for body in [cart(&[("TEA", 1)]), cart(&[("GIFT", 1)]), cart(&[("TEA", 5000)])] {
        for _ in 0..5 {
            let key = key();
            let clients = [&app.client, &other.client, &app.client, &other.client];
            one_effect(&join_all(clients.map(|client| client.post_as(&key, "/reservations", &body))).await);
        }
    }
    assert_eq!(held_quantity(&app).await, 5);
    other.stop().await;
    app.finish().await;
}
