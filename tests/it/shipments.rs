//! Shipments, returns and acts on lots over HTTP: facts are recorded once, whatever the numbers say, and everything adds
//! up afterwards.

mod facts;
mod noise;
mod off_sale;
mod recall;
mod transfers;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Answer, TestApp};

const DAY: i64 = 86_400;

async fn lot(app: &TestApp, sku: &str, quantity: i64, more: Value) -> Answer {
    let mut body = json!({
        "sku": sku, "create_sku": true, "lot_code": format!("B-{quantity}"), "quantity": quantity,
        "unit_cost": "2.50", "currency": "EUR", "received_date": "2026-01-15"
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    app.client.post("/lots", &body).await.expect(201)
}

fn shipment(source_ref: &str, lines: &[(&str, i64)], more: Value) -> Value {
    let lines: Vec<Value> = lines.iter().map(|(sku, quantity)| json!({"sku": sku, "quantity": quantity})).collect();
    let mut body = json!({"source": "wms", "source_ref": source_ref, "lines": lines});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

async fn committed(app: &TestApp, sku: &str, quantity: i64, order: &str) -> String {
    let id = app.hold(sku, quantity).await.expect(201).id();
    app.client.post(&format!("/reservations/{id}/commit"), &json!({"order_ref": order})).await.expect(200);
    id
}

/// On hand, quarantined, committed, sellable.
async fn numbers(app: &TestApp, sku: &str) -> [i64; 4] {
    let row = app.availability(sku).await;
    ["on_hand", "quarantined", "committed", "sellable"]
        .map(|name| row[format!("{name}_quantity")].as_i64().unwrap_or_else(|| panic!("{name}: {row:#}")))
}

async fn state(app: &TestApp, id: &str) -> String {
    app.client.get(&format!("/reservations/{id}")).await.expect(200).at("/state").as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shipment_lowers_on_hand_and_committed_together_and_fulfils_the_order() {
    let app = TestApp::start().await;
    lot(&app, "TEA", 10, json!({})).await;
    let id = committed(&app, "TEA", 4, "A1").await;
    assert_eq!(numbers(&app, "TEA").await, [10, 0, 4, 6]);
    let part =
        app.client.post("/shipments", &shipment("f1", &[("TEA", 3)], json!({"order_ref": "A1"}))).await.expect(201);
    assert_eq!(numbers(&app, "TEA").await, [7, 0, 1, 6], "what is shown to customers does not move");
    assert_eq!(part.quantities("/lines/0", ["covered", "uncovered", "fulfilled", "depleted"]), [3, 0, 3, 0]);
    assert_eq!(part.at("/lines/0/fulfilments/0/reservation_id"), json!(id));
    assert_eq!(state(&app, &id).await, "committed");
    // More than the order owned: the rest left all the same.
    let rest = shipment("f2", &[("TEA", 2)], json!({"reservation_id": id}));
    let rest = app.client.post("/shipments", &rest).await.expect(201);
    assert_eq!(rest.quantities("/lines/0", ["covered", "fulfilled"]), [2, 1]);
    assert_eq!(numbers(&app, "TEA").await, [5, 0, 0, 5]);
    assert_eq!(state(&app, &id).await, "fulfilled");
    let read = app.client.get(&format!("/shipments/{}", part.id())).await.expect(200);
    assert_eq!(read.json(), part.json());
    assert_eq!(part.header("location"), Some(format!("/shipments/{}", part.id()).as_str()));
    let listed = app.client.get("/shipments?order_ref=A1").await.expect(200);
    assert_eq!(listed.at("/data/0/id"), json!(part.id()));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_line_is_taken_once_whatever_carries_it_here() {
    let app = TestApp::start().await;
    let other = app.another().await;
    lot(&app, "TEA", 100, json!({})).await;
    let body = shipment("f1", &[("TEA", 3)], json!({}));
    let clients = [&app.client, &other.client, &app.client, &other.client];
    let answers = join_all(clients.map(|client| client.post("/shipments", &body))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "{answers:#?}");
    assert!(answers.iter().all(|answer| answer.status == 201 || answer.at("/already_recorded") == true));
    assert_eq!(numbers(&app, "TEA").await[0], 97);
    // A line more is a line more; what differs is told and stands as it was.
    let again = json!({"source": "wms", "source_ref": "f1", "lines": [
        {"line_ref": "1", "sku": "TEA", "quantity": 9}, {"line_ref": "b", "sku": "TEA", "quantity": 5}
    ]});
    let again = app.client.post("/shipments", &again).await.expect(201);
    assert_eq!(again.at("/differences"), json!(["1"]));
    assert_eq!(numbers(&app, "TEA").await[0], 92);
    other.stop().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_shipment_is_listed_at_once() {
    let app = TestApp::start().await;
    lot(&app, "TEA", 1, json!({})).await;
    let nothing = app.client.post("/shipments", &json!({})).await.refused(422, "validation_failed");
    assert_eq!(nothing.broken(), ["/lines", "/source_ref"]);
    let body = json!({"source_ref": "f", "reservation_id": "res_1_x", "pool": "nowhere", "lines": [
        {"sku": "TEA", "quantity": 0}, {"line_ref": "1", "sku": "", "quantity": 1}
    ]});
    let broken = app.client.post("/shipments", &body).await.expect(422);
    assert_eq!(broken.broken(), ["/lines/0/quantity", "/lines/1/line_ref", "/lines/1/sku", "/pool", "/reservation_id"]);
    let ahead = (app.clock.local_now() + chrono::TimeDelta::days(1)).to_rfc3339();
    let body = json!({"source_ref": "f", "lines": [
        {"sku": "NONE", "quantity": 1}, {"sku": "TEA", "quantity": 1, "lot_code": "?"},
        {"sku": "TEA", "quantity": 1, "shipped_at": ahead}
    ]});
    let broken = app.client.post("/shipments", &body).await.expect(422);
    // What the warehouse calls a lot is a fact like any other: it breaks no rule.
    assert_eq!(broken.broken(), ["/lines/0/sku", "/lines/2/shipped_at"]);
    assert_eq!(numbers(&app, "TEA").await[0], 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_is_on_hand_opens_a_discrepancy_that_the_next_receipt_settles() {
    let app = TestApp::start().await;
    lot(&app, "TEA", 2, json!({})).await;
    let shipped = app.client.post("/shipments", &shipment("f1", &[("TEA", 5)], json!({}))).await.expect(201);
    assert_eq!(shipped.quantities("/lines/0", ["covered", "uncovered"]), [2, 3]);
    assert_eq!(numbers(&app, "TEA").await, [0, 0, 0, 0]);
    let open = app.client.get("/discrepancies?open=true").await.expect(200);
    assert_eq!(open.quantities("/data/0", ["open", "settled"]), [3, 0]);
    app.audit().await;
    lot(&app, "TEA", 1, json!({})).await;
    lot(&app, "TEA", 6, json!({})).await;
    assert_eq!(numbers(&app, "TEA").await[0], 4, "three of the seven had left before");
    let closed = app.client.get("/discrepancies?sku=TEA").await.expect(200);
    assert_eq!(closed.quantities("/data/0", ["open", "settled"]), [0, 3]);
    let read = app.client.get(&format!("/shipments/{}", shipped.id())).await.expect(200);
    assert_eq!(read.quantities("/lines/0", ["covered", "uncovered"]), [5, 0]);
    // A SKU that was never here can have left all the same.
    app.client.post("/skus", &json!({"code": "NEW"})).await.expect(201);
    app.client.post("/shipments", &shipment("f2", &[("NEW", 1)], json!({}))).await.expect(201);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voided_shipment_is_as_if_it_had_not_left() {
    let app = TestApp::start().await;
    lot(&app, "TEA", 10, json!({})).await;
    let standing = committed(&app, "TEA", 3, "A1").await;
    let whole = committed(&app, "TEA", 2, "A2").await;
    let first = app.client.post("/shipments", &shipment("f1", &[("TEA", 2)], json!({"order_ref": "A1"}))).await;
    let second = app.client.post("/shipments", &shipment("f2", &[("TEA", 2)], json!({"order_ref": "A2"}))).await;
    let beyond = app.client.post("/shipments", &shipment("f3", &[("TEA", 9)], json!({}))).await.expect(201);
    assert_eq!(numbers(&app, "TEA").await, [0, 0, 1, 0]);
    assert_eq!(state(&app, &whole).await, "fulfilled");
    for shipped in [&first, &second, &beyond] {
        let path = format!("/shipments/{}/void", shipped.id());
        let voided = app.client.post(&path, &json!({"reason": "label void"})).await.expect(200);
        assert_eq!(voided.at("/lines/0/status"), "voided");
        let again = app.client.post(&path, &json!({"reason": "label void"})).await.expect(200);
        assert_eq!(again.at("/already_recorded"), true);
    }
    assert_eq!(numbers(&app, "TEA").await, [10, 0, 5, 5]);
    assert_eq!(state(&app, &standing).await, "committed");
    assert_eq!(state(&app, &whole).await, "fulfilled", "what is terminal stays terminal");
    let anew = app.client.get("/reservations?order_ref=A2&state=committed").await.expect(200);
    assert_eq!(anew.at("/data/0/replaces"), json!(whole));
    let again = app.client.post("/shipments", &shipment("f4", &[("TEA", 2)], json!({"order_ref": "A2"}))).await;
    assert_eq!(again.expect(201).quantities("/lines/0", ["fulfilled"]), [2]);
    let missing = json!({"reason": "x", "line_refs": ["9"]});
    app.client.post(&format!("/shipments/{}/void", first.id()), &missing).await.refused(422, "unknown_shipment_line");
    app.client.post("/shipments/shp_1_x/void", &json!({"reason": "x"})).await.refused(404, "shipment_not_found");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_is_a_lot_of_its_own_and_never_more_than_was_shipped() {
    let app = TestApp::start().await;
    lot(&app, "TEA", 10, json!({})).await;
    let shipped = app.client.post("/shipments", &shipment("f1", &[("TEA", 4)], json!({"order_ref": "A1"}))).await;
    let line = |quantity: i64, name: &str| {
        json!({
            "source": "rma", "source_ref": name, "order_ref": "A1", "lines": [{"sku": "TEA", "quantity": quantity}]
        })
    };
    let back = app.client.post("/returns", &line(3, "r1")).await.expect(201);
    assert_eq!(numbers(&app, "TEA").await, [9, 3, 0, 6], "off sale until somebody has looked");
    app.client.post("/returns", &line(3, "r1")).await.expect(200);
    app.client.post("/returns", &line(2, "r2")).await.refused(409, "exceeds_shipped");
    let id = back.at("/lines/0/lots/0/lot_id").as_str().unwrap().to_owned();
    let lot = app.client.get(&format!("/lots/{id}")).await.expect(200);
    assert_eq!([lot.at("/origin"), lot.at("/status")], [json!("return"), json!("quarantined")]);
    assert_eq!(lot.at("/cost_provisional"), true, "its day is not closed: no lot tells the cost yet");
    app.client.post(&format!("/lots/{id}/unquarantine"), &json!({"reason": "looks new"})).await.expect(200);
    assert_eq!(numbers(&app, "TEA").await, [9, 0, 0, 9]);
    let path = format!("/shipments/{}/void", shipped.id());
    app.client.post(&path, &json!({"reason": "x"})).await.refused(409, "shipment_returned");
    let direct = json!({"source_ref": "r3", "lines": [{
        "sku": "TEA", "quantity": 1, "shipment_id": shipped.id(), "shipment_line_ref": "1", "disposition": "restock"
    }]});
    app.client.post("/returns", &direct).await.expect(201);
    assert_eq!(numbers(&app, "TEA").await, [10, 0, 0, 10]);
    let unknown =
        json!({"source_ref": "r4", "lines": [{"sku": "TEA", "quantity": 1, "unit_cost": "9", "currency": "EUR"}]});
    app.client.post("/returns", &unknown).await.expect(201);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_closed_day_had_taken_goes_back_to_the_lots_it_came_from_at_the_cost_it_left_at() {
    let app = TestApp::start().await;
    let old = lot(&app, "TEA", 3, json!({"received_date": "2026-01-10", "expires_date": "2096-01-01"})).await.id();
    let new = lot(&app, "TEA", 5, json!({"received_date": "2026-01-20", "unit_cost": "4.00"})).await.id();
    let back = app.client.post("/shipments", &shipment("f1", &[("TEA", 4)], json!({"order_ref": "A1"}))).await;
    let kept = app.client.post("/shipments", &shipment("f2", &[("TEA", 2)], json!({}))).await.expect(201);
    let today = app.clock.local_now().date_naive();
    let day = json!({"pool": "default", "date": today.to_string(), "close_early": true});
    app.client.post("/snapshots", &day).await.expect(201);
    let remaining = async |id: &str| app.client.get(&format!("/lots/{id}")).await.at("/remaining_quantity");
    assert_eq!((remaining(&old).await, remaining(&new).await), (json!(0), json!(2)));

    // Last out first: one of the newer lot, then two of the older.
    let body = json!({"source_ref": "r1", "order_ref": "A1", "lines": [{"sku": "TEA", "quantity": 3}]});
    let returned = app.client.post("/returns", &body).await.expect(201);
    let lots = returned.at("/lines/0/lots").as_array().unwrap().clone();
    let from: Vec<(Value, Value)> =
        lots.iter().map(|lot| (lot["source_lot_id"].clone(), lot["quantity"].clone())).collect();
    assert_eq!(from, [(json!(new), json!(1)), (json!(old), json!(2))]);
    for (lot, cost, expires) in [(&lots[0], "4.00", Value::Null), (&lots[1], "2.50", json!("2096-01-01"))] {
        let lot = app.client.get(&format!("/lots/{}", lot["lot_id"].as_str().unwrap())).await.expect(200);
        assert_eq!([lot.at("/unit_cost"), lot.at("/expires_date")], [json!(cost), expires]);
        assert_eq!(lot.at("/cost_provisional"), false);
    }

    // Revalued meanwhile: what goes back was worth what it left at.
    app.client.post(&format!("/lots/{new}/revalue"), &json!({"unit_cost": "6", "reason": "freight"})).await.expect(200);
    let path = format!("/shipments/{}/void", kept.id());
    let voided = app.client.post(&path, &json!({"reason": "label void"})).await.expect(200);
    assert_eq!(voided.at("/lines/0/status"), "voided");
    assert_eq!(remaining(&new).await, json!(4));
    let moved = app.client.get(&format!("/lots/{new}/transactions")).await.expect(200);
    let rows = moved.at("/data").as_array().unwrap().len();
    assert_eq!(rows, 5, "receipt, depletion, revaluation, void, and the difference: {:#}", moved.json());
    // Today is closed: what happens now is booked on the next day.
    let value = async |as_of: chrono::NaiveDate| {
        let valued = app.client.get(&format!("/reports/valuation?as_of={as_of}&by=lot")).await.expect(200);
        let row = valued.json()["data"].as_array().unwrap().iter().find(|row| row["lot"] == json!(new)).cloned();
        row.map(|row| row["value"].clone())
    };
    assert_eq!(value(today).await, Some(json!("8.00")));
    assert_eq!(value(today + chrono::Days::new(1)).await, Some(json!("24.00")), "four at six");
    let path = format!("/shipments/{}/void", back.id());
    app.client.post(&path, &json!({"reason": "x"})).await.refused(409, "shipment_returned");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_to_a_lot_has_a_reason_and_moves_what_is_there() {
    let app = TestApp::start().await;
    let id = lot(&app, "TEA", 10, json!({})).await.id();
    app.client.post("/shipments", &shipment("f1", &[("TEA", 4)], json!({}))).await.expect(201);
    let act = async |what: &str, body: Value| app.client.post(&format!("/lots/{id}/{what}"), &body).await;
    let quarantined = act("quarantine", json!({"reason": "recall"})).await.expect(200);
    assert_eq!(quarantined.quantities("", ["moved", "remaining", "quarantined"]), [6, 10, 6]);
    assert_eq!(numbers(&app, "TEA").await, [6, 6, 0, 0]);
    assert_eq!(act("quarantine", json!({"reason": "recall"})).await.expect(200).at("/already_done"), true);
    act("write-off", json!({"quantity": 7, "reason": "broken"})).await.refused(409, "exceeds_lot");
    act("write-off", json!({"quantity": 1, "reason": "broken"})).await.expect(200);
    assert_eq!(numbers(&app, "TEA").await, [5, 5, 0, 0]);
    act("unquarantine", json!({"reason": "cleared"})).await.expect(200);
    act("revalue", json!({"unit_cost": "3.00", "reason": "freight"})).await.expect(200);
    act("write-off", json!({"reason": "water"})).await.expect(200);
    assert_eq!(numbers(&app, "TEA").await, [0, 0, 0, 0]);
    let left = app.client.get(&format!("/lots/{id}")).await.expect(200);
    assert_eq!(left.quantities("", ["remaining"]), [4], "shipped, to be depleted when the day is closed");
    let entries = app.client.get("/stock/TEA/entries").await.expect(200);
    let kinds: Vec<Value> = (0..7).map(|index| entries.at(&format!("/data/{index}/kind"))).collect();
    let expected = ["write_off", "revalue", "unquarantine", "write_off", "quarantine", "ship", "receive"];
    assert_eq!(kinds, expected.map(Value::from));
    act("write-off", json!({})).await.refused(422, "validation_failed");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lot_is_off_sale_from_the_local_midnight_of_its_expiry_without_any_job() {
    let app = TestApp::start().await;
    app.client.post("/pools", &json!({"code": "nz", "time_zone": "Pacific/Auckland"})).await.expect(201);
    let zone = chrono_tz::Pacific::Auckland;
    let today = app.clock.local_now().with_timezone(&zone).date_naive();
    let expires = today + chrono::Days::new(2);
    lot(&app, "MILK", 5, json!({"pool": "nz", "expires_date": expires.to_string()})).await;
    lot(&app, "MILK", 1, json!({"pool": "nz"})).await;
    let hold = async |quantity: i64| {
        let body = json!({"pool": "nz", "lines": [{"sku": "MILK", "quantity": quantity}]});
        app.client.post("/reservations", &body).await
    };
    let sellable = async || app.client.get("/availability?sku=MILK&pool=nz").await.at("/data/0/sellable_quantity");
    let midnight = expires.and_hms_opt(0, 0, 0).unwrap().and_local_timezone(zone).unwrap();
    let left = (midnight.to_utc() - app.clock.local_now()).num_seconds();
    app.advance(left - 60);
    assert_eq!(sellable().await, 6);
    let id = hold(2).await.expect(201).id();
    app.advance(61);
    // The first to notice is whoever comes first: a cart, here.
    let refused = hold(4).await.refused(409, "insufficient_stock");
    assert_eq!(refused.quantities("/shortfalls/0", ["on_hand", "quarantined", "held"]), [6, 5, 2]);
    assert_eq!(sellable().await, 0);
    assert_eq!(app.client.get(&format!("/reservations/{id}")).await.at("/state"), "held", "never cancelled silently");
    let lots = app.client.get("/lots?pool=nz&sku=MILK").await.expect(200);
    let statuses: Vec<Value> = (0..2).map(|index| lots.at(&format!("/data/{index}/status"))).collect();
    assert_eq!(statuses, [json!("available"), json!("expired")]);
    let expired = lots.at("/data/1/id").as_str().unwrap().to_owned();
    let path = format!("/lots/{expired}/unquarantine");
    app.client.post(&path, &json!({"reason": "?"})).await.refused(409, "lot_expired");
    // A reader is as good as a cart.
    lot(&app, "EGGS", 5, json!({"pool": "nz", "expires_date": (expires + chrono::Days::new(1)).to_string()})).await;
    app.advance(DAY);
    assert_eq!(app.client.get("/availability?sku=EGGS&pool=nz").await.at("/data/0/sellable_quantity"), 0);
    app.finish().await;
}
