//! Commit, release and extend of what is held.

use chrono::TimeDelta;
use holdfast::ids::{PoolId, ReservationId};
use serde_json::{Value, json};

use super::{line, state, time};
use crate::support::app::cart;
use crate::support::{Answer, TestApp};

async fn act(app: &TestApp, id: &str, action: &str, body: Value) -> Answer {
    app.client.post(&format!("/reservations/{id}/{action}"), &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_takes_the_units_once_however_often_it_says_so() {
    let app = TestApp::start().await;
    app.stock("TEA", 5).await;
    let id = app.hold("TEA", 3).await.expect(201).id();
    let first = act(&app, &id, "commit", json!({"order_ref": "A-1"})).await.expect(200);
    assert_eq!((state(&first).as_str(), line(&first, 1)), ("committed", [3, 0, 0, 3, 0, 0, 0]));
    assert_eq!(first.at("/order_ref"), json!("A-1"));
    let same = [json!({"order_ref": "A-1"}), json!({"order_ref": "A-1", "lines": [{"line": 1, "quantity": 3}]})];
    for body in same {
        let again = act(&app, &id, "commit", body).await.expect(200);
        assert!(!again.is_replayed());
        assert_eq!(line(&again, 1), line(&first, 1));
        assert_eq!(again.at("/committed_at"), first.at("/committed_at"));
    }
    let other = act(&app, &id, "commit", json!({"order_ref": "A-2"})).await.refused(409, "order_ref_conflict");
    assert_eq!(other.at("/reservation"), json!({"id": id, "order_ref": "A-1"}));
    let fewer = json!({"order_ref": "A-1", "lines": [{"line": 1, "quantity": 2}]});
    act(&app, &id, "commit", fewer).await.refused(409, "invalid_state_transition");
    let entries = app.client.get("/stock/TEA/entries").await.expect(200);
    let kinds: Vec<Value> = entries.at("/data").as_array().unwrap().iter().map(|entry| entry["kind"].clone()).collect();
    assert_eq!(kinds, ["commit", "hold", "receive"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_commit_gives_the_rest_back_or_keeps_it_on_request() {
    let app = TestApp::start().await;
    app.stock("TEA", 20).await;
    let two = |quantity: i64| json!({"order_ref": "1", "lines": [{"line": 1, "quantity": quantity}]});
    let id = app.client.post("/reservations", &cart(&[("TEA", 5), ("TEA", 4)])).await.expect(201).id();
    let done = act(&app, &id, "commit", two(2)).await.expect(200);
    assert_eq!(state(&done), "committed");
    assert_eq!([line(&done, 1), line(&done, 2)], [[5, 0, 0, 2, 3, 0, 0], [4, 0, 0, 0, 4, 0, 0]]);

    let id = app.hold("TEA", 5).await.expect(201).id();
    let mut keep = two(2);
    keep["remainder"] = json!("keep");
    let kept = act(&app, &id, "commit", keep).await.expect(200);
    assert_eq!((state(&kept).as_str(), line(&kept, 1)), ("held", [5, 0, 3, 2, 0, 0, 0]));
    act(&app, &id, "commit", json!({"order_ref": "2"})).await.refused(409, "order_ref_conflict");
    // Quantities are what the order owns in the end, so a repeated step is no second one.
    let done = act(&app, &id, "commit", two(4)).await.expect(200);
    assert_eq!((state(&done).as_str(), line(&done, 1)), ("committed", [5, 0, 0, 4, 1, 0, 0]));
    let seen = app.availability("TEA").await;
    assert_eq!([&seen["held_quantity"], &seen["committed_quantity"]], [&json!(0), &json!(6)]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_is_held_is_refused_with_what_is_held() {
    let app = TestApp::start().await;
    app.stock("TEA", 9).await;
    let id = app.hold("TEA", 3).await.expect(201).id();
    let four = json!([{"line": 1, "quantity": 4}]);
    for (action, body) in [("commit", json!({"order_ref": "1", "lines": four})), ("release", json!({"lines": four}))] {
        let refused = act(&app, &id, action, body).await.refused(409, "exceeds_held");
        let exceeded = json!([{"line": 1, "requested_quantity": 4, "held_quantity": 3, "committed_quantity": 0}]);
        assert_eq!(refused.at("/lines"), exceeded);
    }
    let named = json!([{"line": 2, "quantity": 1}, {"line": 1, "quantity": 1}, {"line": 7, "quantity": 1}]);
    let unknown = act(&app, &id, "commit", json!({"order_ref": "1", "lines": named})).await;
    assert_eq!(unknown.refused(422, "unknown_line").broken(), ["/lines/0/line", "/lines/2/line"]);
    let body = json!({"lines": [{"line": 1, "quantity": 1}, {"line": 1, "quantity": 0}], "remainder": "burn"});
    let broken = act(&app, &id, "commit", body).await.refused(422, "validation_failed");
    assert_eq!(broken.broken(), ["/lines/1/line", "/lines/1/quantity", "/order_ref", "/remainder"]);
    assert_eq!(line(&app.client.get(&format!("/reservations/{id}")).await, 1), [3, 0, 3, 0, 0, 0, 0]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_gives_back_a_part_or_all_and_may_be_repeated() {
    let app = TestApp::start().await;
    app.stock("TEA", 5).await;
    let id = app.hold("TEA", 5).await.expect(201).id();
    let part = json!({"lines": [{"line": 1, "quantity": 2}], "reason": "cart_shrunk"});
    let shrunk = act(&app, &id, "release", part).await.expect(200);
    assert_eq!((state(&shrunk).as_str(), line(&shrunk, 1)), ("held", [5, 0, 3, 0, 2, 0, 0]));
    assert_eq!(app.availability("TEA").await["sellable_quantity"], 2);
    let all = act(&app, &id, "release", json!({})).await.expect(200);
    assert_eq!((state(&all).as_str(), line(&all, 1)), ("released", [5, 0, 0, 0, 5, 0, 0]));
    for body in [json!({}), json!({"lines": [{"line": 1, "quantity": 9}]}), json!({"reason": "order_canceled"})] {
        let again = act(&app, &id, "release", body).await.expect(200);
        assert_eq!((state(&again).as_str(), line(&again, 1)[4]), ("released", 5));
    }
    let gone = act(&app, &id, "commit", json!({"order_ref": "1"})).await.refused(409, "invalid_state_transition");
    assert_eq!(gone.at("/reservation/state"), json!("released"));
    act(&app, &id, "extend", json!({})).await.refused(409, "invalid_state_transition");
    let lapsed = app.hold("TEA", 1).await.expect(201).id();
    app.advance(900);
    let released = act(&app, &lapsed, "release", json!({})).await.expect(200);
    assert_eq!((state(&released).as_str(), line(&released, 1)[5]), ("expired", 1));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_order_owns_goes_back_only_when_the_order_is_cancelled() {
    let app = TestApp::start().await;
    app.stock("TEA", 5).await;
    let id = app.hold("TEA", 5).await.expect(201).id();
    act(&app, &id, "commit", json!({"order_ref": "1"})).await.expect(200);
    act(&app, &id, "release", json!({})).await.refused(409, "invalid_state_transition");
    let part = json!({"reason": "order_canceled", "lines": [{"line": 1, "quantity": 2}]});
    let part = act(&app, &id, "release", part).await.expect(200);
    assert_eq!((state(&part).as_str(), line(&part, 1)), ("committed", [5, 0, 0, 3, 0, 0, 2]));
    let all = act(&app, &id, "release", json!({"reason": "order_canceled"})).await.expect(200);
    assert_eq!((state(&all).as_str(), line(&all, 1)), ("cancelled", [5, 0, 0, 0, 0, 0, 5]));
    assert_eq!(all.at("/closed_reason"), json!("order_canceled"));
    assert_eq!(app.availability("TEA").await["sellable_quantity"], 5);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extension_never_shortens_a_hold_and_never_exceeds_the_longest() {
    let app = TestApp::start().await;
    app.sku_with("TEA", json!({"hold_ttl_seconds": 600, "longest_hold_seconds": 3600})).await;
    app.stock("TEA", 5).await;
    let held = app.hold("TEA", 1).await.expect(201);
    let id = held.id();
    let shorter = act(&app, &id, "extend", json!({"ttl_seconds": 60})).await.expect(200);
    assert_eq!(shorter.at("/expires_at"), held.at("/expires_at"));
    let longer = act(&app, &id, "extend", json!({"ttl_seconds": 1800})).await.expect(200);
    assert_eq!(time(&longer, "/expires_at") - time(&longer, "/as_of"), TimeDelta::seconds(1800));
    assert_eq!(longer.at("/max_expires_at"), held.at("/max_expires_at"));
    app.advance(601);
    assert_eq!(state(&app.client.get(&format!("/reservations/{id}")).await), "held");
    let beyond = act(&app, &id, "extend", json!({"ttl_seconds": 3600})).await.refused(409, "exceeds_longest_hold");
    assert_eq!(beyond.at("/reservation/max_expires_at"), held.at("/max_expires_at"));
    app.advance(1150);
    act(&app, &id, "extend", json!({"ttl_seconds": 1800})).await.expect(200);
    app.advance(1500);
    // Without a TTL it goes as far as it may, and then no further.
    let last = act(&app, &id, "extend", json!({})).await.expect(200);
    assert_eq!(last.at("/expires_at"), held.at("/max_expires_at"));
    act(&app, &id, "extend", json!({})).await.refused(409, "exceeds_longest_hold");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reservation_that_is_not_there_is_not_found_whatever_its_id_looks_like() {
    let app = TestApp::start().await;
    let nowhere = [PoolId(1), PoolId(77), PoolId(i64::MAX)].map(|pool| ReservationId::new(pool, 3).to_string());
    for id in nowhere.iter().map(String::as_str).chain(["x", "res_1_x", "lot_1_00", "%00", "%20"]) {
        app.client.get(&format!("/reservations/{id}")).await.refused(404, "reservation_not_found");
        for (action, body) in [("commit", json!({"order_ref": "1"})), ("release", json!({})), ("extend", json!({}))] {
            act(&app, id, action, body).await.refused(404, "reservation_not_found");
        }
    }
    app.finish().await;
}
