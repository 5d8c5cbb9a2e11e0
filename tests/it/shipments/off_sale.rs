//! What is off sale stays off sale: of a lot that is quarantined or past its expiry nothing on the shelf can be sold,
//! whatever happens to units of it that had shipped, or to other lots.

use chrono::NaiveDate;
use serde_json::{Value, json};

use super::{lot, numbers, shipment};
use crate::support::TestApp;

const DAY: i64 = 86_400;

fn today(app: &TestApp) -> NaiveDate {
    app.clock.local_now().date_naive()
}

async fn ship(app: &TestApp, name: &str, quantity: i64) -> String {
    app.client.post("/shipments", &shipment(name, &[("TEA", quantity)], json!({}))).await.expect(201).id()
}

async fn void(app: &TestApp, id: &str) {
    app.client.post(&format!("/shipments/{id}/void"), &json!({"reason": "label void"})).await.expect(200);
}

async fn act(app: &TestApp, id: &str, what: &str) {
    app.client.post(&format!("/lots/{id}/{what}"), &json!({"reason": "recall"})).await.expect(200);
}

/// Closes the days that are over.
async fn close_days(app: &TestApp) {
    app.work().await;
}

/// Remaining, quarantined.
async fn left(app: &TestApp, id: &str) -> [i64; 2] {
    app.client.get(&format!("/lots/{id}")).await.expect(200).quantities("", ["remaining", "quarantined"])
}

#[tokio::test(flavor = "multi_thread")]
async fn units_of_a_quarantined_lot_that_had_not_left_after_all_are_not_for_sale() {
    let app = TestApp::start().await;
    let id = lot(&app, "TEA", 10, json!({})).await.id();
    let shipped = ship(&app, "f1", 4).await;
    act(&app, &id, "quarantine").await;
    assert_eq!(numbers(&app, "TEA").await, [6, 6, 0, 0]);
    void(&app, &shipped).await;
    assert_eq!(numbers(&app, "TEA").await, [10, 10, 0, 0]);
    app.hold("TEA", 1).await.refused(409, "insufficient_stock");
    assert_eq!(left(&app, &id).await, [10, 10]);
    let read = app.client.get(&format!("/lots/{id}")).await;
    assert_eq!([read.at("/status"), read.at("/quarantine_reason")], ["quarantined", "recall"]);
    let entries = app.client.get("/stock/TEA/entries").await.expect(200);
    let newest = entries.at("/data/0");
    assert_eq!([&newest["kind"], &newest["reason"]], ["quarantine", "back from a voided shipment"]);
    act(&app, &id, "unquarantine").await;
    assert_eq!(numbers(&app, "TEA").await, [10, 0, 0, 10]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_to_a_recalled_lot_is_not_for_sale_whatever_was_said_of_it() {
    let app = TestApp::start().await;
    let id = lot(&app, "TEA", 10, json!({})).await.id();
    app.client.post("/shipments", &shipment("f1", &[("TEA", 4)], json!({"order_ref": "O-1"}))).await.expect(201);
    app.advance(86_400);
    close_days(&app).await;
    let back = async |name: &str| {
        let line = json!({"sku": "TEA", "quantity": 1, "disposition": "restock"});
        let body = json!({"source": "desk", "source_ref": name, "order_ref": "O-1", "lines": [line]});
        let returned = app.client.post("/returns", &body).await.expect(201);
        let lot = returned.at("/lines/0/lots/0/lot_id").as_str().unwrap().to_owned();
        app.client.get(&format!("/lots/{lot}")).await.at("/status")
    };
    assert_eq!(back("r1").await, "available");
    act(&app, &id, "quarantine").await;
    assert_eq!(back("r2").await, "quarantined");
    assert_eq!(numbers(&app, "TEA").await, [8, 7, 0, 1]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantined_lot_that_a_voided_shipment_had_named_is_whole_again_and_not_for_sale() {
    let app = TestApp::start().await;
    let id = lot(&app, "TEA", 10, json!({"lot_code": "BAD"})).await.id();
    act(&app, &id, "quarantine").await;
    let mut body = shipment("f1", &[("TEA", 2)], json!({}));
    body["lines"][0]["lot_code"] = json!("BAD");
    let shipped = app.client.post("/shipments", &body).await.expect(201).id();
    assert_eq!(numbers(&app, "TEA").await, [8, 8, 0, 0]);
    void(&app, &shipped).await;
    assert_eq!(numbers(&app, "TEA").await, [10, 10, 0, 0]);
    assert_eq!(left(&app, &id).await, [10, 10]);
    // After the close of its day it is the same.
    body["source_ref"] = json!("f2");
    let shipped = app.client.post("/shipments", &body).await.expect(201).id();
    app.advance(DAY);
    close_days(&app).await;
    assert_eq!(left(&app, &id).await, [8, 8]);
    void(&app, &shipped).await;
    assert_eq!(numbers(&app, "TEA").await, [10, 10, 0, 0]);
    assert_eq!(app.client.get(&format!("/lots/{id}")).await.at("/quarantine_reason"), "recall");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn units_of_an_expired_lot_that_had_not_left_after_all_are_not_for_sale() {
    let app = TestApp::start().await;
    let expires = today(&app) + chrono::Days::new(1);
    let id = lot(&app, "TEA", 10, json!({"expires_date": expires.to_string()})).await.id();
    let shipped = ship(&app, "f1", 4).await;
    app.advance(DAY);
    app.hold("TEA", 1).await.refused(409, "insufficient_stock");
    assert_eq!(left(&app, &id).await, [10, 6]);
    void(&app, &shipped).await;
    assert_eq!(numbers(&app, "TEA").await, [10, 10, 0, 0]);
    app.hold("TEA", 4).await.refused(409, "insufficient_stock");
    assert_eq!(left(&app, &id).await, [10, 10]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantined_lot_that_gives_less_than_it_was_to_give_keeps_the_rest_from_sale() {
    let app = TestApp::start().await;
    let bad = lot(&app, "TEA", 10, json!({"received_date": "2026-01-15"})).await.id();
    let good = lot(&app, "TEA", 10, json!({"received_date": "2026-01-16"})).await.id();
    ship(&app, "f1", 4).await;
    act(&app, &bad, "quarantine").await;
    assert_eq!(numbers(&app, "TEA").await, [16, 6, 0, 10]);
    let older = lot(&app, "TEA", 4, json!({"received_date": "2026-01-10"})).await.id();
    assert_eq!(numbers(&app, "TEA").await, [20, 10, 0, 10], "what shipped is the older lot's now");
    app.advance(DAY);
    close_days(&app).await;
    assert_eq!(
        [left(&app, &older).await, left(&app, &bad).await, left(&app, &good).await],
        [[0, 0], [10, 10], [10, 0]]
    );
    ship(&app, "f2", 3).await;
    app.advance(DAY);
    close_days(&app).await;
    assert_eq!([left(&app, &bad).await, left(&app, &good).await], [[10, 10], [7, 0]]);
    assert_eq!(numbers(&app, "TEA").await, [17, 10, 0, 7]);
    app.finish().await;
}

/// Every way in which an older lot can come between a quarantined lot and the units that had been taken for its.
#[tokio::test(flavor = "multi_thread")]
async fn it_does_not_matter_how_the_other_lot_got_there() {
    let app = TestApp::start().await;
    app.pool("eu").await;
    for how in ["unquarantine", "transfer", "restock", "import"] {
        // First expired, first out, and the bad lot never expires: whatever arrives is taken before it.
        app.sku_with(how, json!({"depletion_order": "fefo"})).await;
        let soon = json!({"expires_date": "2096-01-01", "lot_code": "soon"});
        let mut elsewhere = soon.clone();
        elsewhere["pool"] = json!("eu");
        let other = match how {
            "unquarantine" => lot(&app, how, 4, soon.clone()).await.id(),
            "transfer" => lot(&app, how, 4, elsewhere).await.id(),
            _ => String::new(),
        };
        if how == "unquarantine" {
            act(&app, &other, "quarantine").await;
        }
        if how == "restock" {
            lot(&app, how, 4, soon.clone()).await;
            let sent = shipment("sent", &[(how, 4)], json!({"order_ref": "O-1"}));
            app.client.post("/shipments", &sent).await.expect(201);
            app.advance(DAY);
            close_days(&app).await;
        }
        let bad = lot(&app, how, 10, json!({})).await.id();
        app.client.post("/shipments", &shipment(how, &[(how, 4)], json!({}))).await.expect(201);
        act(&app, &bad, "quarantine").await;
        assert_eq!(left(&app, &bad).await, [10, 6], "{how}");
        match how {
            "unquarantine" => act(&app, &other, "unquarantine").await,
            "transfer" => {
                let body = json!({"to_pool": "default", "quantity": 4, "reason": "x"});
                app.client.post(&format!("/lots/{other}/transfer"), &body).await.expect(200);
            }
            "restock" => {
                let lines = json!([{"sku": how, "quantity": 4, "disposition": "restock"}]);
                let body = json!({"source_ref": "r", "order_ref": "O-1", "lines": lines});
                app.client.post("/returns", &body).await.expect(201);
            }
            _ => {
                let row = json!({
                    "sku": how, "lot_code": "soon", "quantity": 4, "unit_cost": "1", "currency": "EUR",
                    "received_date": "2026-01-15", "expires_date": "2096-01-01", "source_ref": "po-1"
                });
                let headers = [("content-type", "application/x-ndjson")];
                app.client.post_bytes("/lots/import", &headers, row.to_string().into_bytes()).await.expect(200);
            }
        }
        assert_eq!(left(&app, &bad).await, [10, 10], "{how}");
        assert_eq!(numbers(&app, how).await, [10, 10, 0, 0], "{how}");
        app.audit().await;
    }
    app.finish().await;
}

/// The close takes days one after the other: what names a lot tomorrow does not come before what left today.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_expired_lot_gives_is_reckoned_day_by_day_as_the_close_does() {
    let app = TestApp::start().await;
    let expires = today(&app) + chrono::Days::new(1);
    lot(&app, "TEA", 5, json!({"lot_code": "first", "received_date": "2026-01-10"})).await;
    let old = json!({"received_date": "2026-01-11", "expires_date": expires.to_string()});
    let expired = lot(&app, "TEA", 10, old).await.id();
    let last = lot(&app, "TEA", 10, json!({"received_date": "2026-01-12"})).await.id();
    ship(&app, "f1", 5).await;
    app.advance(DAY);
    let mut body = shipment("f2", &[("TEA", 5)], json!({}));
    body["lines"][0]["lot_code"] = json!("first");
    app.client.post("/shipments", &body).await.expect(201);
    app.hold("TEA", 1).await.expect(201);
    assert_eq!(left(&app, &expired).await, [10, 10]);
    assert_eq!(numbers(&app, "TEA").await[..2], [15, 10]);
    app.advance(DAY);
    close_days(&app).await;
    assert_eq!([left(&app, &expired).await, left(&app, &last).await], [[10, 10], [5, 0]]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lots_that_are_to_be_taken_in_another_order_are_looked_after_by_the_close() {
    let app = TestApp::start().await;
    app.sku_with("TEA", json!({"depletion_order": "fifo"})).await;
    let bad = lot(&app, "TEA", 10, json!({"received_date": "2026-01-10"})).await.id();
    let good = lot(&app, "TEA", 10, json!({"expires_date": "2096-01-01"})).await.id();
    ship(&app, "f1", 4).await;
    act(&app, &bad, "quarantine").await;
    assert_eq!(left(&app, &bad).await, [10, 6]);
    let class = app.client.get("/classes/tea").await.expect(200);
    let change: Value = json!({"depletion_order": "fefo"});
    app.client.patch("/classes/tea", class.header("etag").unwrap(), &change).await.expect(200);
    app.advance(DAY);
    close_days(&app).await;
    assert_eq!([left(&app, &bad).await, left(&app, &good).await], [[10, 10], [6, 0]]);
    assert_eq!(numbers(&app, "TEA").await, [16, 10, 0, 6]);
    app.finish().await;
}
