//! What left and what came back is recorded, whatever it was called and whoever was told first.

use serde_json::{Value, json};

use super::{committed, lot, numbers, shipment, state};
use crate::support::{Answer, TestApp};

async fn close_today(app: &TestApp) {
    let today = app.clock.local_now().date_naive().to_string();
    app.client.post("/snapshots", &json!({"date": today, "close_early": true})).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lot_that_cannot_give_what_it_is_named_for_is_only_a_name() {
    let app = TestApp::start().await;
    let one = lot(&app, "TEA", 5, json!({"lot_code": "ONE"})).await.id();
    let two = lot(&app, "TEA", 10, json!({"lot_code": "TWO", "received_date": "2026-01-20"})).await.id();
    app.client.post("/shipments", &shipment("f1", &[("TEA", 5)], json!({}))).await.expect(201);
    close_today(&app).await;
    app.advance(86_400);

    // The warehouse still had some of ONE when the books had none. The good line is recorded, and so is this one.
    let body = json!({"source": "wms", "source_ref": "f2", "lines": [
        {"sku": "TEA", "quantity": 2, "lot_code": "ONE"},
        {"sku": "TEA", "quantity": 1, "lot_code": "TWO"},
        {"sku": "TEA", "quantity": 1, "lot_code": "a slip"},
        {"sku": "TEA", "quantity": 1}
    ]});
    let shipped = app.client.post("/shipments", &body).await.expect(201);
    let said = |answer: &Answer| {
        [0, 1, 2, 3].map(|n| (answer.at(&format!("/lines/{n}/lot_code")), answer.at(&format!("/lines/{n}/lot_id"))))
    };
    let expected = [
        (json!("ONE"), Value::Null),
        (json!("TWO"), json!(two)),
        (json!("a slip"), Value::Null),
        (Value::Null, Value::Null),
    ];
    assert_eq!(said(&shipped), expected);
    assert_eq!(numbers(&app, "TEA").await[0], 5);
    close_today(&app).await;
    let read = app.client.get(&format!("/shipments/{}", shipped.id())).await.expect(200);
    assert_eq!(said(&read), expected);
    assert_eq!([read.at("/lines/0/depletions/0/lot_id"), read.at("/lines/2/depletions/0/lot_id")], [two.as_str(); 2]);
    assert_eq!(app.client.get(&format!("/lots/{one}")).await.quantities("", ["remaining"]), [0]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_said_differently_the_second_time_is_told() {
    let app = TestApp::start().await;
    lot(&app, "TEA", 10, json!({"lot_code": "ONE"})).await;
    lot(&app, "TEA", 10, json!({"lot_code": "TWO"})).await;
    let order = committed(&app, "TEA", 1, "A1").await;
    let line = |line_ref: &str, code: Option<&str>| {
        let mut line = json!({"line_ref": line_ref, "sku": "TEA", "quantity": 1});
        if let Some(code) = code {
            line["lot_code"] = json!(code);
        }
        line
    };
    let send = async |lines: Vec<Value>, more: Value| {
        let mut body = json!({"source": "wms", "source_ref": "f1", "lines": lines});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        app.client.post("/shipments", &body).await
    };
    let first = vec![line("a", Some("ONE")), line("b", None), line("c", Some("NONE"))];
    send(first.clone(), json!({"order_ref": "A1"})).await.expect(201);
    let differing = async |lines: Vec<Value>, more: Value| send(lines, more).await.expect(200).at("/differences");
    assert_eq!(differing(first.clone(), json!({"order_ref": "A1"})).await, Value::Null);
    assert_eq!(differing(vec![line("a", None), line("b", None)], json!({})).await, Value::Null, "what is left out");
    let codes = vec![line("a", Some("TWO")), line("b", Some("ONE")), line("c", Some("NONE"))];
    assert_eq!(differing(codes, json!({})).await, json!(["a", "b"]));
    assert_eq!(differing(first.clone(), json!({"order_ref": "A2"})).await, json!(["a", "b", "c"]));
    assert_eq!(differing(first, json!({"reservation_id": order})).await, json!(["a", "b", "c"]));
    assert_eq!(numbers(&app, "TEA").await[0], 17, "the first stands");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shipment_takes_what_its_reservation_still_holds() {
    let app = TestApp::start().await;
    lot(&app, "TEA", 20, json!({})).await;
    let held = async |quantity: i64| app.hold("TEA", quantity).await.expect(201).id();
    let ship = async |name: &str, quantity: i64, id: &str, more: Value| {
        let mut body = shipment(name, &[("TEA", quantity)], json!({"reservation_id": id}));
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        app.client.post("/shipments", &body).await.expect(201)
    };
    let whole = held(3).await;
    let shipped = ship("f1", 3, &whole, json!({"order_ref": "A1"})).await;
    assert_eq!(shipped.quantities("/lines/0", ["covered", "fulfilled"]), [3, 3]);
    assert_eq!(shipped.at("/lines/0/fulfilments/0/reservation_id"), json!(whole));
    assert_eq!(numbers(&app, "TEA").await, [17, 0, 0, 17], "shipped, and nobody's claim any more");
    let read = app.client.get(&format!("/reservations/{whole}")).await.expect(200);
    assert_eq!([read.at("/state"), read.at("/order_ref")], ["fulfilled", "A1"]);
    let commit = format!("/reservations/{whole}/commit");
    app.client.post(&commit, &json!({"order_ref": "A1"})).await.expect(200);

    // A part leaves: the rest is held until it expires, and then given back.
    let part = held(5).await;
    ship("f2", 2, &part, json!({})).await;
    assert_eq!(app.availability("TEA").await["held_quantity"], 3);
    assert_eq!(numbers(&app, "TEA").await, [15, 0, 0, 12]);
    let late = held(1).await;
    app.advance(86_400);
    app.sweep().await;
    assert_eq!(state(&app, &part).await, "fulfilled");
    assert_eq!(numbers(&app, "TEA").await, [15, 0, 0, 15]);

    // Expired by then: it left all the same, and nobody had a claim on it.
    let shipped = ship("f3", 1, &late, json!({"order_ref": "A3"})).await;
    assert_eq!(shipped.quantities("/lines/0", ["covered", "fulfilled"]), [1, 0]);
    assert_eq!(state(&app, &late).await, "expired");
    let lapsed = held(1).await;
    app.advance(86_400);
    let shipped = ship("f4", 1, &lapsed, json!({"order_ref": "A4"})).await;
    assert_eq!(shipped.quantities("/lines/0", ["covered", "fulfilled"]), [1, 0], "expired, not swept yet");
    app.sweep().await;
    assert_eq!(numbers(&app, "TEA").await, [13, 0, 0, 13]);
    app.finish().await;
}

fn back(source_ref: &str, order: Option<&str>, lines: &[Value]) -> Value {
    json!({"source": "rma", "source_ref": source_ref, "order_ref": order, "lines": lines})
}

#[tokio::test(flavor = "multi_thread")]
async fn no_line_of_a_return_brings_back_what_another_one_has_brought() {
    let app = TestApp::start().await;
    lot(&app, "TEA", 20, json!({})).await;
    let first = app.client.post("/shipments", &shipment("f1", &[("TEA", 5)], json!({"order_ref": "O-1"}))).await.id();
    let named = |quantity: i64| json!({"line_ref": "named", "sku": "TEA", "quantity": quantity, "shipment_id": first, "shipment_line_ref": "1"});
    let of_order = |name: &str, quantity: i64| json!({"line_ref": name, "sku": "TEA", "quantity": quantity});
    let send = async |body: Value| app.client.post("/returns", &body).await;
    for lines in [[named(5), of_order("b", 5)], [of_order("b", 5), named(5)], [of_order("b", 3), of_order("c", 3)]] {
        send(back("r1", Some("O-1"), &lines)).await.refused(409, "exceeds_shipped");
    }
    assert_eq!(numbers(&app, "TEA").await[0], 15, "nothing came back");

    // Both leave room for each other: the line that names its own comes first.
    let second = shipment("f2", &[("TEA", 4)], json!({"order_ref": "O-1"}));
    let second = app.client.post("/shipments", &second).await.expect(201).id();
    let newest = json!({
        "line_ref": "n", "sku": "TEA", "quantity": 4, "shipment_id": second, "shipment_line_ref": "1"
    });
    let both = send(back("r2", Some("O-1"), &[of_order("b", 4), newest, of_order("c", 1)])).await.expect(201);
    let from = |n: usize| both.at(&format!("/lines/{n}/lots/0/shipment_id"));
    assert_eq!([from(0), from(1), from(2)], [json!(first), json!(first), json!(second)], "by name: b, c, n");
    send(back("r3", Some("O-1"), &[of_order("d", 1)])).await.refused(409, "exceeds_shipped");
    assert_eq!(numbers(&app, "TEA").await[0], 20);

    // Nothing is known of the order: taken at its word, at an estimated cost.
    let unknown = send(back("r4", Some("O-9"), &[of_order("a", 2)])).await.expect(201);
    let id = unknown.at("/lines/0/lots/0/lot_id").as_str().unwrap().to_owned();
    assert_eq!(app.client.get(&format!("/lots/{id}")).await.at("/cost_provisional"), true);
    app.client.post("/skus", &json!({"code": "MUG"})).await.expect(201);
    let other = json!({"sku": "MUG", "quantity": 1, "unit_cost": "1", "currency": "EUR"});
    send(back("r5", Some("O-1"), &[other])).await.refused(409, "exceeds_shipped");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_past_its_expiry_comes_back_and_is_not_for_sale() {
    let app = TestApp::start().await;
    let expires = app.clock.local_now().date_naive() + chrono::Days::new(2);
    lot(&app, "MILK", 5, json!({"expires_date": expires.to_string()})).await;
    app.client.post("/shipments", &shipment("f1", &[("MILK", 2)], json!({"order_ref": "O-1"}))).await.expect(201);
    app.advance(5 * 86_400);
    app.work().await;
    let line = json!({"sku": "MILK", "quantity": 1, "disposition": "restock"});
    let returned = app.client.post("/returns", &back("r1", Some("O-1"), &[line])).await.expect(201);
    let id = returned.at("/lines/0/lots/0/lot_id").as_str().unwrap().to_owned();
    let read = app.client.get(&format!("/lots/{id}")).await.expect(200);
    assert_eq!([read.at("/status"), read.at("/expires_date")], [json!("expired"), json!(expires.to_string())]);
    assert_eq!(read.at("/received_date"), json!(expires.to_string()));
    let moved = app.client.get(&format!("/lots/{id}/transactions")).await.expect(200);
    let today = app.clock.local_now().date_naive().to_string();
    assert_eq!(moved.at("/data/0/business_date"), json!(today), "in the books from today on");
    assert_eq!(numbers(&app, "MILK").await, [4, 4, 0, 0]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn returns_are_listed_newest_first_by_order_and_by_what_came_back() {
    let app = TestApp::start().await;
    app.pool("eu").await;
    lot(&app, "TEA", 5, json!({})).await;
    lot(&app, "MUG", 5, json!({})).await;
    lot(&app, "TEA", 5, json!({"pool": "eu"})).await;
    let mut ids = Vec::new();
    for (name, order, sku) in [("r1", "O-1", "TEA"), ("r2", "O-2", "MUG"), ("r3", "O-1", "MUG")] {
        let body = back(name, Some(order), &[json!({"sku": sku, "quantity": 1})]);
        ids.push(app.client.post("/returns", &body).await.expect(201).id());
    }
    let mut body = back("r4", None, &[json!({"sku": "TEA", "quantity": 1})]);
    body["pool"] = json!("eu");
    let there = app.client.post("/returns", &body).await.expect(201).id();
    let listed = async |query: &str| {
        let page = app.client.get(&format!("/returns?{query}")).await.expect(200);
        let ids: Vec<String> =
            page.at("/data").as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
        (ids, page.at("/next_cursor").as_str().map(str::to_owned))
    };
    assert_eq!(listed("").await.0, [&*ids[2], &*ids[1], &*ids[0]]);
    assert_eq!(listed("order_ref=O-1").await.0, [&*ids[2], &*ids[0]]);
    assert_eq!(listed("sku=MUG").await.0, [&*ids[2], &*ids[1]]);
    assert_eq!(listed("sku=TEA&order_ref=O-1").await.0, [&*ids[0]]);
    assert_eq!(listed("pool=eu").await.0, [there]);
    let (first, cursor) = listed("limit=2").await;
    assert_eq!(first, [&*ids[2], &*ids[1]]);
    assert_eq!(listed(&format!("limit=2&cursor={}", cursor.unwrap())).await, (vec![ids[0].clone()], None));
    let one = app.client.get(&format!("/returns/{}", ids[0])).await.expect(200);
    assert_eq!(app.client.get("/returns?order_ref=O-1&sku=TEA").await.at("/data/0"), one.json());
    app.client.get("/returns?frob=1").await.expect(400);
    app.client.get("/returns?sku=NONE").await.expect(400);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_that_is_repeated_by_many_at_once_is_what_it_was() {
    let app = TestApp::start().await;
    lot(&app, "TEA", 5, json!({})).await;
    app.client.post("/shipments", &shipment("f1", &[("TEA", 1)], json!({"order_ref": "O-1"}))).await.expect(201);
    let body = back("r1", Some("O-1"), &[json!({"sku": "TEA", "quantity": 1})]);
    app.client.post("/returns", &body).await.expect(201);
    for _ in 0..5 {
        let repeated = (0..8).map(|_| app.client.post("/returns", &body));
        for answer in futures_util::future::join_all(repeated).await {
            answer.expect(200);
        }
    }
    assert_eq!(numbers(&app, "TEA").await[0], 5);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_before_its_day_is_closed_is_of_the_lot_that_the_warehouse_named() {
    let app = TestApp::start().await;
    let tomorrow = app.clock.local_now().date_naive() + chrono::Days::new(1);
    let named = json!({"lot_code": "EC", "unit_cost": "4.00", "expires_date": tomorrow.to_string()});
    let id = lot(&app, "TEA", 10, named).await.id();
    lot(&app, "TEA", 1, json!({"lot_code": "NEW", "unit_cost": "99.00", "received_date": "2026-01-20"})).await;
    let mut body = shipment("f1", &[("TEA", 4)], json!({"order_ref": "O-1"}));
    body["lines"][0]["lot_code"] = json!("EC");
    app.client.post("/shipments", &body).await.expect(201);
    let line = json!({"sku": "TEA", "quantity": 4, "disposition": "restock"});
    let returned = app.client.post("/returns", &back("r1", Some("O-1"), &[line])).await.expect(201);
    let back = returned.at("/lines/0/lots/0/lot_id").as_str().unwrap().to_owned();
    let read = app.client.get(&format!("/lots/{back}")).await.expect(200);
    assert_eq!([read.at("/lot_code"), read.at("/unit_cost")], [json!("EC"), json!("4.00")]);
    assert_eq!([read.at("/expires_date"), read.at("/source_lot_id")], [json!(tomorrow.to_string()), json!(id)]);
    let recall = json!({"lot_code": "EC", "reason": "metal"});
    app.client.post("/lots/quarantine", &recall).await.expect(200);
    assert_eq!(app.availability("TEA").await["sellable_quantity"], 1);
    app.advance(86_400);
    app.work().await;
    app.finish().await;
}
