//! Holds end at their instant, swept or not; late payments and extensions; erasing a person.

use serde_json::{Value, json};

use super::{line, state, time};
use crate::support::app::cart;
use crate::support::{Answer, TestApp};

async fn act(app: &TestApp, id: &str, action: &str, body: Value) -> Answer {
    app.client.post(&format!("/reservations/{id}/{action}"), &body).await
}

async fn oversold(app: &TestApp) -> (i64, Value) {
    let explained = app.client.get("/availability/explain?sku=TEA").await.expect(200);
    (explained.at("/oversold_quantity").as_i64().unwrap(), explained.at("/oversells"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_ends_at_its_instant_with_no_sweeper_running() {
    let app = TestApp::start().await;
    app.stock("TEA", 5).await;
    let first = app.hold("TEA", 5).await.expect(201);
    app.advance(800);
    let refused = app.hold("TEA", 1).await.refused(409, "insufficient_stock");
    assert_eq!(refused.at("/shortfalls/0/next_hold_expires_at"), first.at("/expires_at"));
    app.advance(100);
    assert_eq!(app.availability("TEA").await["sellable_quantity"], 5);
    let explained = app.client.get("/availability/explain?sku=TEA").await.expect(200);
    assert_eq!(explained.quantities("", ["sellable", "lapsed"]), [5, 5]);
    let read = app.client.get(&format!("/reservations/{}", first.id())).await.expect(200);
    assert_eq!((state(&read).as_str(), line(&read, 1)), ("expired", [5, 0, 0, 0, 0, 5, 0]));
    // A newcomer that needs one of them gets it; the rest of the lapsed units stays unswept or goes, but never twice.
    app.hold("TEA", 4).await.expect(201);
    app.hold("TEA", 1).await.expect(201);
    app.hold("TEA", 1).await.refused(409, "insufficient_stock");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sweeper_closes_what_has_lapsed_and_nothing_else() {
    let app = TestApp::start().await;
    app.pool("eu").await;
    app.stock("TEA", 5).await;
    app.stock_in("eu", "TEA", 5).await;
    let lapsed = app.hold("TEA", 2).await.expect(201);
    let mut abroad = cart(&[("TEA", 1)]);
    abroad["pool"] = json!("eu");
    app.client.post("/reservations", &abroad).await.expect(201);
    let mut long = cart(&[("TEA", 1)]);
    long["ttl_seconds"] = json!(5000);
    let long = app.client.post("/reservations", &long).await.expect(201).id();
    app.advance(901);
    let swept = app.sweep().await;
    assert_eq!((swept.due, swept.closed), (2, 2));
    let swept = app.sweep().await;
    assert_eq!((swept.due, swept.closed), (0, 0));
    let read = app.client.get(&format!("/reservations/{}", lapsed.id())).await.expect(200);
    assert_eq!((state(&read).as_str(), line(&read, 1)[5], read.at("/closed_reason")), ("expired", 2, json!("expired")));
    assert!(time(&read, "/closed_at") >= time(&lapsed, "/expires_at"));
    let entry = app.client.get("/stock/TEA/entries?limit=1").await.expect(200);
    assert_eq!([entry.at("/data/0/kind"), entry.at("/data/0/after/held_quantity")], [json!("expire"), json!(1)]);
    assert_eq!(entry.at("/data/0/client"), Value::Null, "the service itself did it");
    assert_eq!(state(&app.client.get(&format!("/reservations/{long}")).await), "held");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_payment_claims_the_units_again_if_they_are_there() {
    let app = TestApp::start().await;
    app.stock("TEA", 5).await;
    let id = app.hold("TEA", 5).await.expect(201).id();
    app.advance(900);
    let late = act(&app, &id, "commit", json!({"order_ref": "1"})).await.expect(200);
    assert_ne!(late.id(), id, "what is terminal stays terminal");
    assert_eq!(
        [late.at("/replaces"), late.at("/late_commit"), late.at("/reclaimed")],
        [json!(id), json!(true), json!(true)]
    );
    assert_eq!((state(&late).as_str(), line(&late, 1)), ("committed", [5, 0, 0, 5, 0, 0, 0]));
    assert_eq!(act(&app, &id, "commit", json!({"order_ref": "1"})).await.expect(200).id(), late.id());
    act(&app, &id, "commit", json!({"order_ref": "2"})).await.refused(409, "order_ref_conflict");
    assert_eq!(state(&app.client.get(&format!("/reservations/{id}")).await), "expired");
    app.sweep().await;
    assert_eq!(app.availability("TEA").await["committed_quantity"], 5);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backorder_opens_an_oversell_that_receipts_resolve() {
    let app = TestApp::start().await;
    app.stock("TEA", 5).await;
    let id = app.hold("TEA", 5).await.expect(201);
    app.advance(900);
    app.hold("TEA", 3).await.expect(201);
    let refused = act(&app, &id.id(), "commit", json!({"order_ref": "1"})).await.refused(409, "hold_expired");
    assert_eq!(refused.quantities("/shortfalls/0", ["requested", "available", "short"]), [5, 2, 3]);
    assert_eq!(refused.at("/reservation/expired_at"), id.at("/expires_at"));
    assert_eq!(oversold(&app).await, (0, json!([])));

    let backorder = json!({"order_ref": "1", "on_shortage": "backorder"});
    let late = act(&app, &id.id(), "commit", backorder).await.expect(200);
    assert_eq!(line(&late, 1)[3], 5);
    let (quantity, oversells) = oversold(&app).await;
    assert_eq!((quantity, &oversells[0]["unresolved_quantity"]), (3, &json!(3)));
    let seen = app.availability("TEA").await;
    assert_eq!(
        [&seen["status"], &seen["sellable_quantity"], &seen["shortfall_quantity"]],
        [&json!("oversold"), &json!(0), &json!(3)]
    );
    app.hold("TEA", 1).await.refused(409, "insufficient_stock");

    app.stock("TEA", 2).await;
    let (quantity, oversells) = oversold(&app).await;
    assert_eq!((quantity, &oversells[0]["quantity"], &oversells[0]["unresolved_quantity"]), (1, &json!(3), &json!(1)));
    app.stock("TEA", 4).await;
    assert_eq!(oversold(&app).await, (0, json!([])));
    assert_eq!(app.availability("TEA").await["sellable_quantity"], 3);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_payment_of_a_superseded_cart_goes_the_way_of_a_late_one() {
    let app = TestApp::start().await;
    app.stock("TEA", 5).await;
    let old = app.hold("TEA", 5).await.expect(201).id();
    act(&app, &old, "release", json!({"lines": [{"line": 1, "quantity": 1}]})).await.expect(200);
    let mut newer = cart(&[("TEA", 4)]);
    newer["supersedes"] = json!(old);
    let newer = app.client.post("/reservations", &newer).await.expect(201).id();
    act(&app, &old, "commit", json!({"order_ref": "1"})).await.refused(409, "hold_expired");
    act(&app, &newer, "release", json!({})).await.expect(200);
    let late = act(&app, &old, "commit", json!({"order_ref": "1"})).await.expect(200);
    assert_eq!((late.at("/late_commit"), line(&late, 1)[3]), (json!(true), 4));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_payment_of_a_hold_that_was_extended_late_takes_the_units_of_the_extension() {
    let app = TestApp::start().await;
    app.stock("TEA", 9).await;
    let old = app.hold("TEA", 4).await.expect(201).id();
    app.advance(900);
    let extension = act(&app, &old, "extend", json!({})).await.expect(200).id();
    for _ in 0..2 {
        let paid = act(&app, &old, "commit", json!({"order_ref": "1"})).await.expect(200);
        assert_eq!([paid.at("/id"), paid.at("/reclaimed")], [json!(extension), json!(true)]);
        assert_eq!((state(&paid).as_str(), line(&paid, 1)[3]), ("committed", 4));
    }
    let seen = app.availability("TEA").await;
    assert_eq!([&seen["committed_quantity"], &seen["held_quantity"]], [&json!(4), &json!(0)]);

    let old = app.hold("TEA", 4).await.expect(201).id();
    app.advance(900);
    let extension = act(&app, &old, "extend", json!({})).await.expect(200).id();
    app.advance(900);
    let named = act(&app, &old, "commit", json!({"order_ref": "2"})).await.refused(409, "invalid_state_transition");
    assert_eq!(named.at("/reservation"), json!({"id": extension, "state": "expired"}));
    act(&app, &extension, "commit", json!({"order_ref": "2"})).await.expect(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extension_after_expiry_is_a_new_claim_and_may_be_refused() {
    let app = TestApp::start().await;
    app.stock("TEA", 5).await;
    let id = app.hold("TEA", 3).await.expect(201).id();
    app.advance(900);
    let again = act(&app, &id, "extend", json!({"ttl_seconds": 60})).await.expect(200);
    assert_ne!(again.id(), id);
    assert_eq!(
        [again.at("/reclaimed"), again.at("/replaces"), again.at("/origin")],
        [json!(true), json!(id), json!("extension")]
    );
    assert_eq!((state(&again).as_str(), line(&again, 1)[2]), ("held", 3));
    assert_eq!(act(&app, &id, "extend", json!({"ttl_seconds": 60})).await.expect(200).id(), again.id());
    app.advance(60);
    app.hold("TEA", 4).await.expect(201);
    let refused = act(&app, &again.id(), "extend", json!({})).await.refused(409, "hold_expired");
    assert_eq!(refused.quantities("/shortfalls/0", ["requested", "available"]), [3, 1]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn units_kept_after_a_partial_commit_lapse_without_the_order_losing_its_own() {
    let app = TestApp::start().await;
    app.stock("TEA", 5).await;
    let id = app.hold("TEA", 5).await.expect(201).id();
    let keep = json!({"order_ref": "1", "lines": [{"line": 1, "quantity": 2}], "remainder": "keep"});
    act(&app, &id, "commit", keep).await.expect(200);
    app.advance(900);
    let path = format!("/reservations/{id}");
    let read = app.client.get(&path).await;
    assert_eq!((state(&read).as_str(), line(&read, 1)), ("committed", [5, 0, 0, 2, 0, 3, 0]));
    assert_eq!(app.availability("TEA").await["sellable_quantity"], 3);
    assert_eq!(app.sweep().await.closed, 1);
    assert_eq!(line(&app.client.get(&path).await, 1), line(&read, 1));
    // Asking for everything asks for what has lapsed, too: claimed again, or refused.
    let rival = app.hold("TEA", 1).await.expect(201).id();
    let all = json!({"order_ref": "1"});
    act(&app, &id, "commit", all.clone()).await.refused(409, "hold_expired");
    act(&app, &rival, "release", json!({})).await.expect(200);
    let late = act(&app, &id, "commit", all).await.expect(200);
    assert_eq!((late.at("/replaces"), line(&late, 1)[3]), (json!(id), 3));
    let seen = app.availability("TEA").await;
    assert_eq!([&seen["committed_quantity"], &seen["sellable_quantity"]], [&json!(5), &json!(0)]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_erased_from_every_pool_and_row_and_the_quantities_stay() {
    let app = TestApp::start().await;
    app.pool("eu").await;
    let owner = "ann-7f3a@example.com";
    let mut ids = Vec::new();
    for pool in ["default", "eu"] {
        app.stock_in(pool, "TEA", 5).await;
        let mut body = cart(&[("TEA", 2)]);
        body["pool"] = json!(pool);
        body["owner"] = json!(owner);
        body["metadata"] = json!({"mail": owner});
        ids.push(app.client.post("/reservations", &body).await.expect(201).id());
    }
    act(&app, &ids[1], "commit", json!({"order_ref": "1"})).await.expect(200);
    assert_eq!(app.db.tables_with(owner).await, ["reservations"]);
    let erased = app.client.post("/owners/erase", &json!({"owner": owner})).await.expect(200);
    assert_eq!(erased.at("/erased_count"), json!(2));
    assert_eq!(app.db.tables_with(owner).await, Vec::<String>::new());
    let again = app.client.post("/owners/erase", &json!({"owner": owner})).await.expect(200);
    assert_eq!(again.at("/erased_count"), json!(0));
    let read = app.client.get(&format!("/reservations/{}", ids[1])).await.expect(200);
    assert_eq!((read.at("/owner"), read.at("/metadata"), line(&read, 1)[3]), (Value::Null, Value::Null, 2));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_commit_leaves_its_reference_to_the_cart_that_carries_it_now() {
    let app = TestApp::start().await;
    app.stock("TEA", 5).await;
    let cart = json!({"lines": [{"sku": "TEA", "quantity": 1}], "client_reference": "cart-1", "ttl_seconds": 60});
    let older = app.client.post("/reservations", &cart).await.expect(201).id();
    app.advance(61);
    let newer = app.client.post("/reservations", &cart).await.expect(201).id();
    let order = json!({"order_ref": "1001"});
    let late = app.client.post(&format!("/reservations/{older}/commit"), &order).await.expect(200);
    assert_eq!(late.at("/late_commit"), json!(true));
    assert_eq!(late.at("/client_reference"), json!(null));
    let seen = app.client.get(&format!("/reservations/{newer}")).await.expect(200);
    assert_eq!((seen.at("/state"), seen.at("/client_reference")), (json!("held"), json!("cart-1")));
    app.finish().await;
}
