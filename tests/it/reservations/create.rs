//! `POST /reservations`: what is held, and what a refusal tells.

use chrono::TimeDelta;
use serde_json::json;

use super::{line, state, time};
use crate::support::TestApp;
use crate::support::app::cart;

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_is_held_with_everything_that_came_along() {
    let app = TestApp::start().await;
    app.stock("TEA", 10).await;
    app.stock("CUP", 4).await;
    let body = json!({
        "lines": [{"sku": "TEA", "quantity": 3}, {"sku": "CUP", "quantity": 4, "pool": "default"}],
        "ttl_seconds": 120, "client_reference": "cart-1", "owner": "ann@example.com", "metadata": {"utm": "x"}
    });
    let held = app.client.post("/reservations", &body).await.expect(201);
    assert_eq!(held.header("location"), Some(format!("/reservations/{}", held.id()).as_str()));
    assert_eq!((state(&held).as_str(), held.at("/pool")), ("held", json!("default")));
    assert_eq!([line(&held, 1), line(&held, 2)], [[3, 0, 3, 0, 0, 0, 0], [4, 0, 4, 0, 0, 0, 0]]);
    assert_eq!(time(&held, "/expires_at") - time(&held, "/created_at"), TimeDelta::seconds(120));
    assert_eq!(time(&held, "/max_expires_at") - time(&held, "/created_at"), TimeDelta::days(1));
    // What is kept for replay names no person.
    assert!(held.json().get("owner").is_none() && held.json().get("metadata").is_none());
    let read = app.client.get(&format!("/reservations/{}", held.id())).await.expect(200);
    assert_eq!([read.at("/owner"), read.at("/metadata/utm")], [json!("ann@example.com"), json!("x")]);
    assert_eq!(read.at("/lines"), held.at("/lines"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_tells_the_storefront_everything_in_one_answer() {
    let app = TestApp::start().await;
    app.sku_with("CUP", json!({"safety_stock_quantity": 2, "oversell_tolerance_quantity": 1})).await;
    for pool in ["eu", "us"] {
        app.pool(pool).await;
    }
    for (sku, quantity) in [("TEA", 5), ("CUP", 6), ("POT", 9)] {
        app.stock(sku, quantity).await;
    }
    app.stock_in("eu", "TEA", 7).await;
    app.stock_in("us", "TEA", 6).await;
    let for_seconds =
        |ttl: i64, quantity: i64| json!({"lines": [{"sku": "TEA", "quantity": quantity}], "ttl_seconds": ttl});
    let later = app.client.post("/reservations", &for_seconds(500, 1)).await.expect(201);
    let sooner = app.client.post("/reservations", &for_seconds(60, 2)).await.expect(201);
    let order = json!({"order_ref": "1", "lines": [{"line": 1, "quantity": 1}]});
    app.client.post(&format!("/reservations/{}/commit", later.id()), &order).await.expect(200);

    let refused = app.client.post("/reservations", &cart(&[("TEA", 4), ("POT", 9), ("CUP", 6), ("TEA", 3)])).await;
    let refused = refused.refused(409, "insufficient_stock");
    assert_eq!(refused.at("/retryable"), json!(false));
    let next = sooner.at("/expires_at");
    assert_eq!(
        refused.at("/shortfalls"),
        json!([
            {"sku": "TEA", "lines": [1, 4], "requested_quantity": 7, "available_quantity": 2, "short_quantity": 5,
             "on_hand_quantity": 5, "quarantined_quantity": 0, "committed_quantity": 1, "held_quantity": 2,
             "safety_stock_quantity": 0, "oversell_tolerance_quantity": 0, "next_hold_expires_at": next,
             "other_pools": [{"pool": "eu", "available_quantity": 7}]},
            {"sku": "CUP", "lines": [3], "requested_quantity": 6, "available_quantity": 5, "short_quantity": 1,
             "on_hand_quantity": 6, "quarantined_quantity": 0, "committed_quantity": 0, "held_quantity": 0,
             "safety_stock_quantity": 2, "oversell_tolerance_quantity": 1}
        ])
    );
    for (sku, sellable) in [("TEA", 2), ("CUP", 4), ("POT", 9)] {
        assert_eq!(app.availability(sku).await["sellable_quantity"], sellable, "{sku} was held all the same");
    }
    // The tolerance decides a hold, and is never shown.
    app.hold("CUP", 5).await.expect(201);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sku_on_several_lines_counts_as_their_sum_and_the_lines_stay_apart() {
    let app = TestApp::start().await;
    app.sku_with("TEA", json!({"max_per_hold_quantity": 5})).await;
    app.stock("TEA", 5).await;
    let three = app.client.post("/reservations", &cart(&[("TEA", 3), ("TEA", 3)])).await;
    let three = three.refused(422, "quantity_above_max_per_hold");
    assert_eq!(three.broken(), ["/lines/0/quantity"]);
    let held = app.client.post("/reservations", &cart(&[("TEA", 3), ("TEA", 2)])).await.expect(201);
    assert_eq!([line(&held, 1)[2], line(&held, 2)[2]], [3, 2]);
    app.hold("TEA", 1).await.refused(409, "insufficient_stock");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_hold_takes_what_there_is_and_never_nothing() {
    let app = TestApp::start().await;
    app.stock("TEA", 5).await;
    app.stock("CUP", 2).await;
    let mut body = cart(&[("TEA", 3), ("TEA", 3), ("CUP", 2)]);
    body["partial"] = json!("allow");
    let held = app.client.post("/reservations", &body).await.expect(201);
    assert_eq!(
        [line(&held, 1), line(&held, 2), line(&held, 3)].map(|line| (line[0], line[1], line[2])),
        [(3, 0, 3), (3, 1, 2), (2, 0, 2)]
    );
    let refused = app.client.post("/reservations", &body).await.refused(409, "insufficient_stock");
    assert_eq!(refused.at("/shortfalls").as_array().map(Vec::len), Some(2));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_broken_rule_of_a_cart_is_listed_at_once() {
    let app = TestApp::start().await;
    app.pool("eu").await;
    app.sku_with("TEA", json!({"longest_hold_seconds": 3600})).await;
    let body = json!({
        "lines": [
            {"sku": "TEA", "quantity": 0}, {"sku": "TEA", "quantity": -1}, {"sku": "TEA", "quantity": 1.5},
            {"sku": "TEA", "quantity": 1_000_000_001}, {"sku": "TEA", "quantity": "1"}, {"quantity": 1},
            {"sku": "TEA", "quantity": 1, "pool": "eu"}, {"sku": "", "quantity": 1, "colour": "red"}
        ],
        "ttl_seconds": 0, "owner": "", "metadata": [], "supersedes": "x", "partial": "maybe", "bogus": 1
    });
    let refused = app.client.post("/reservations", &body).await.refused(422, "validation_failed");
    assert_eq!(
        refused.broken(),
        [
            "/bogus",
            "/lines/0/quantity",
            "/lines/1/quantity",
            "/lines/2/quantity",
            "/lines/3/quantity",
            "/lines/4/quantity",
            "/lines/5/sku",
            "/lines/6/pool",
            "/lines/7/colour",
            "/lines/7/sku",
            "/metadata",
            "/owner",
            "/partial",
            "/supersedes",
            "/ttl_seconds"
        ]
    );
    let twice = r#"{"lines": [{"sku": "TEA", "quantity": 1, "quantity": 100}]}"#;
    let headers = [("idempotency-key", "twice"), ("content-type", "application/json")];
    let twice = app.client.post_bytes("/reservations", &headers, twice.into()).await;
    assert_eq!(twice.refused(422, "validation_failed").broken(), ["/lines/0/quantity"]);
    let nothing = app.client.post("/reservations", &json!({"lines": []})).await.refused(422, "validation_failed");
    assert_eq!(nothing.broken(), ["/lines"]);
    let nowhere = json!({"pool": "mars", "lines": [{"sku": "TEA", "quantity": 1}]});
    app.client.post("/reservations", &nowhere).await.refused(422, "unknown_pool");
    let unknown = app.client.post("/reservations", &cart(&[("NO", 1), ("TEA", 1), ("NEITHER", 1)])).await;
    assert_eq!(unknown.refused(422, "unknown_sku").broken(), ["/lines/0/sku", "/lines/2/sku"]);
    let long = json!({"lines": [{"sku": "TEA", "quantity": 1}], "ttl_seconds": 3601});
    let long = app.client.post("/reservations", &long).await.refused(422, "ttl_above_longest_hold");
    assert_eq!(long.broken(), ["/ttl_seconds"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_is_kept_as_it_was_sent_or_refused() {
    let app = TestApp::start().await;
    app.stock("TEA", 9).await;
    let held = async |metadata: serde_json::Value| {
        let body = json!({"lines": [{"sku": "TEA", "quantity": 1}], "metadata": metadata});
        app.client.post("/reservations", &body).await
    };
    let kept = json!({"é": [1, 2.5, -0.0, null, true], "text": "\\u0000 \u{1f375} \"", "deep": {"a": {"b": []}}});
    let id = held(kept.clone()).await.expect(201).id();
    assert_eq!(app.client.get(&format!("/reservations/{id}")).await.at("/metadata"), kept);
    for refused in [json!({"a": ["\0"]}), json!({"\0": 1}), json!({"a": "x".repeat(4096)})] {
        assert_eq!(held(refused).await.refused(422, "validation_failed").broken(), ["/metadata"]);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shortest_line_decides_how_long_a_cart_is_held() {
    let app = TestApp::start().await;
    app.sku_with("FISH", json!({"hold_ttl_seconds": 60, "longest_hold_seconds": 7200})).await;
    app.sku_with("BREAD", json!({"hold_ttl_seconds": 300, "longest_hold_seconds": 600})).await;
    for sku in ["FISH", "BREAD"] {
        app.stock(sku, 5).await;
    }
    let held = app.client.post("/reservations", &cart(&[("BREAD", 1), ("FISH", 1)])).await.expect(201);
    let since = |pointer| (time(&held, pointer) - time(&held, "/created_at")).num_seconds();
    assert_eq!((since("/expires_at"), since("/max_expires_at")), (60, 600));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untracked_sku_is_accepted_in_any_number_and_moves_nothing() {
    let app = TestApp::start().await;
    app.client.post("/skus", &json!({"code": "GIFT", "tracked": false})).await.expect(201);
    app.stock("TEA", 1).await;
    let held = app.client.post("/reservations", &cart(&[("GIFT", 5000), ("TEA", 1)])).await.expect(201);
    assert_eq!([held.at("/lines/0/status"), held.at("/lines/1/status")], [json!("untracked"), json!("tracked")]);
    let path = format!("/reservations/{}", held.id());
    let committed = app.client.post(&format!("{path}/commit"), &json!({"order_ref": "1"})).await.expect(200);
    assert_eq!((line(&committed, 1)[3], state(&committed).as_str()), (5000, "committed"));
    let seen = app.availability("GIFT").await;
    assert_eq!([&seen["status"], &seen["committed_quantity"]], [&json!("untracked"), &json!(0)]);
    assert_eq!(app.client.get("/stock/GIFT/entries").await.expect(200).at("/data"), json!([]));
    let cancelled = app.client.post(&format!("{path}/release"), &json!({"reason": "order_canceled"})).await.expect(200);
    assert_eq!((line(&cancelled, 1)[6], state(&cancelled).as_str()), (5000, "cancelled"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_reference_is_taken_while_its_reservation_stands() {
    let app = TestApp::start().await;
    app.stock("TEA", 9).await;
    let mut body = cart(&[("TEA", 1)]);
    body["client_reference"] = json!("cart-1");
    let first = app.client.post("/reservations", &body).await.expect(201).id();
    let refused = app.client.post("/reservations", &body).await.refused(409, "client_reference_in_use");
    assert_eq!(refused.at("/reservation"), json!({"id": first, "state": "held"}));
    let other = app.client_of("other shop", &[holdfast::keys::Scope::Reservations]).await;
    other.post("/reservations", &body).await.expect(201);

    app.client.post(&format!("/reservations/{first}/release"), &json!({})).await.expect(200);
    let second = app.client.post("/reservations", &body).await.expect(201).id();
    app.advance(901);
    let third = app.client.post("/reservations", &body).await.expect(201).id();
    assert_ne!(second, third, "an expired reservation frees its reference, swept or not");
    app.client.post(&format!("/reservations/{third}/commit"), &json!({"order_ref": "1"})).await.expect(200);
    let refused = app.client.post("/reservations", &body).await.refused(409, "client_reference_in_use");
    assert_eq!(refused.at("/reservation"), json!({"id": third, "state": "committed"}));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_superseding_cart_takes_the_units_of_its_own_older_one() {
    let app = TestApp::start().await;
    app.stock("TEA", 5).await;
    let cart_of = |owner: &str, quantity: i64, supersedes: Option<&str>| {
        let mut body = cart(&[("TEA", quantity)]);
        body["owner"] = json!(owner);
        if let Some(id) = supersedes {
            body["supersedes"] = json!(id);
        }
        body
    };
    let old = app.client.post("/reservations", &cart_of("ann", 4, None)).await.expect(201).id();
    let path = format!("/reservations/{old}");
    let bob = app.client.post("/reservations", &cart_of("bob", 5, Some(&old))).await;
    bob.refused(409, "supersedes_other_owner");
    let short = app.client.post("/reservations", &cart_of("ann", 6, Some(&old))).await;
    let short = short.refused(409, "insufficient_stock");
    assert_eq!(short.quantities("/shortfalls/0", ["available", "short"]), [5, 1], "its own units count as room");
    assert_eq!(state(&app.client.get(&path).await), "held", "a refused cart leaves the older one alone");

    let new = app.client.post("/reservations", &cart_of("ann", 5, Some(&old))).await.expect(201);
    assert_eq!([new.at("/replaces"), new.at("/origin")], [json!(old), json!("supersede")]);
    let read = app.client.get(&path).await;
    assert_eq!((state(&read).as_str(), line(&read, 1)[4]), ("released", 4));
    let twice = app.client.post("/reservations", &cart_of("ann", 5, Some(&old))).await;
    assert_eq!(twice.refused(409, "already_superseded").at("/reservation/id"), new.at("/id"));

    app.client.post(&format!("/reservations/{}/commit", new.id()), &json!({"order_ref": "1"})).await.expect(200);
    let owned = app.client.post("/reservations", &cart_of("ann", 1, Some(&new.id()))).await;
    owned.refused(409, "invalid_state_transition");
    let nobody = holdfast::ids::ReservationId::new(holdfast::ids::PoolId(1), 0).to_string();
    let unknown = app.client.post("/reservations", &cart_of("ann", 1, Some(&nobody))).await;
    assert_eq!(unknown.refused(422, "unknown_reservation").broken(), ["/supersedes"]);
    app.finish().await;
}
