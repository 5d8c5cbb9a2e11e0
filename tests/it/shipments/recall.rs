//! A recall: every open lot of a code goes off sale, in every pool, and where its units went is told.

use serde_json::{Value, json};

use super::{lot, numbers, shipment};
use crate::support::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn a_recall_takes_every_open_lot_of_a_code_off_sale_in_every_pool_once() {
    let app = TestApp::start().await;
    app.pool("eu").await;
    let code = |quantity: i64, more: Value| {
        let mut more = more;
        more["lot_code"] = json!("BAD");
        (quantity, more)
    };
    let mut bad = Vec::new();
    for (sku, (quantity, more)) in [
        ("TEA", code(5, json!({}))),
        ("MUG", code(7, json!({}))),
        ("TEA", code(9, json!({"pool": "eu"}))),
        ("JAM", code(1, json!({}))),
        ("TEA", code(2, json!({}))),
    ] {
        bad.push(lot(&app, sku, quantity, more).await.id());
    }
    lot(&app, "TEA", 10, json!({"lot_code": "GOOD"})).await;
    // Of one nothing is left, one is off sale already, and of one some have shipped.
    app.client.post(&format!("/lots/{}/write-off", bad[3]), &json!({"reason": "eaten"})).await.expect(200);
    app.client.post(&format!("/lots/{}/quarantine", bad[4]), &json!({"reason": "smells"})).await.expect(200);
    app.client.post("/shipments", &shipment("f1", &[("MUG", 3)], json!({}))).await.expect(201);
    let body = json!({"lot_code": "BAD", "reason": "metal"});
    let done = app.client.post_as("r-1", "/lots/quarantine", &body).await.expect(200);
    let mut told: Vec<(String, bool, i64)> = done
        .at("/lots")
        .as_array()
        .unwrap()
        .iter()
        .map(|lot| {
            assert_eq!(lot["status"], "quarantined", "{lot:#}");
            let moved = lot["moved_quantity"].as_i64().unwrap();
            (lot["id"].as_str().unwrap().to_owned(), lot["already_done"] == true, moved)
        })
        .collect();
    told.sort();
    let mut expected = vec![
        (bad[0].clone(), false, 5),
        (bad[1].clone(), false, 4),
        (bad[2].clone(), false, 9),
        (bad[4].clone(), true, 0),
    ];
    expected.sort();
    assert_eq!(told, expected);
    assert_eq!(numbers(&app, "TEA").await, [17, 7, 0, 10]);
    assert_eq!(numbers(&app, "MUG").await, [4, 4, 0, 0]);
    assert_eq!(app.client.get("/availability?sku=TEA&pool=eu").await.at("/data/0/sellable_quantity"), 0);

    // What was released since stays released when the request is repeated; a new request is a new recall.
    app.client.post(&format!("/lots/{}/unquarantine", bad[0]), &json!({"reason": "was fine"})).await.expect(200);
    let again = app.client.post_as("r-1", "/lots/quarantine", &body).await.expect(200);
    assert_eq!(again.bytes, done.bytes);
    assert!(again.is_replayed());
    assert_eq!(numbers(&app, "TEA").await[1], 2);
    let only = json!({"lot_code": "BAD", "reason": "metal", "pools": ["default"]});
    app.client.post_as("r-1", "/lots/quarantine", &only).await.refused(422, "idempotency_key_reused");
    let elsewhere = json!({"lot_code": "BAD", "reason": "metal", "pools": ["eu"]});
    app.client.post_as("r-2", "/lots/quarantine", &elsewhere).await.expect(200);
    assert_eq!(numbers(&app, "TEA").await[1], 2, "one pool alone");
    app.client.post_as("r-2", "/lots/quarantine", &only).await.refused(422, "idempotency_key_reused");
    app.client.post_as("r-3", "/lots/quarantine", &only).await.expect(200);
    assert_eq!(numbers(&app, "TEA").await[1], 7);
    let none = app.client.post("/lots/quarantine", &json!({"lot_code": "?", "reason": "x"})).await.expect(200);
    assert_eq!(none.at("/lots"), json!([]));
    let broken = json!({"lot_code": "", "pools": ["default", "mars"], "reason": ""});
    let broken = app.client.post("/lots/quarantine", &broken).await.expect(422);
    assert_eq!(broken.broken(), ["/lot_code", "/pools/1", "/reason"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lot_tells_where_its_units_went_before_the_day_is_closed_and_after() {
    let app = TestApp::start().await;
    let id = lot(&app, "TEA", 10, json!({"lot_code": "ONE"})).await.id();
    lot(&app, "TEA", 10, json!({"lot_code": "TWO"})).await;
    let named = |name: &str, quantity: i64, code: &str| {
        let mut body = shipment(name, &[("TEA", quantity)], json!({"order_ref": format!("O-{name}")}));
        body["lines"][0]["lot_code"] = json!(code);
        body
    };
    let kept = app.client.post("/shipments", &named("f1", 4, "ONE")).await.expect(201).id();
    app.client.post("/shipments", &named("f2", 4, "TWO")).await.expect(201);
    let voided = app.client.post("/shipments", &named("f3", 1, "ONE")).await.expect(201).id();
    app.client.post(&format!("/shipments/{voided}/void"), &json!({"reason": "label"})).await.expect(200);
    let last = app.client.post("/shipments", &named("f4", 2, "ONE")).await.expect(201).id();
    let went = async |path: &str| {
        let page = app.client.get(&format!("/lots/{id}/shipments{path}")).await.expect(200);
        let row = |row: &Value| {
            let is = |what: &str| row[what].as_bool().unwrap();
            let units = |what: &str| row[what].as_i64().unwrap();
            assert_eq!((is("named"), is("pending")), (true, units("depleted_quantity") == 0), "{row}");
            (row["shipment_id"].as_str().unwrap().to_owned(), units("quantity"), units("depleted_quantity"))
        };
        let rows: Vec<_> = page.at("/data").as_array().unwrap().iter().map(row).collect();
        (rows, page.at("/next_cursor").as_str().map(str::to_owned))
    };
    assert_eq!(went("").await.0, [(kept.clone(), 4, 0), (last.clone(), 2, 0)]);
    let (first, cursor) = went("?limit=1").await;
    assert_eq!(first, [(kept.clone(), 4, 0)]);
    assert_eq!(went(&format!("?limit=1&cursor={}", cursor.unwrap())).await.0, [(last.clone(), 2, 0)]);
    let today = app.clock.local_now().date_naive().to_string();
    app.client.post("/snapshots", &json!({"date": today, "close_early": true})).await.expect(201);
    assert_eq!(went("").await.0, [(kept.clone(), 4, 4), (last.clone(), 2, 2)]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_warehouse_names_is_told_whatever_the_books_say() {
    let app = TestApp::start().await;
    let one = lot(&app, "TEA", 2, json!({"lot_code": "ONE"})).await.id();
    let two = lot(&app, "TEA", 20, json!({"lot_code": "TWO"})).await.id();
    let ship = async |name: &str, quantity: i64, code: Option<&str>| {
        let mut body = shipment(name, &[("TEA", quantity)], json!({}));
        if let Some(code) = code {
            body["lines"][0]["lot_code"] = json!(code);
        }
        app.client.post("/shipments", &body).await.expect(201)
    };
    // More than the lot has; then of its code, when it has nothing; then of no lot at all.
    let more = ship("f1", 5, Some("ONE")).await;
    assert_eq!(more.at("/lines/0/lot_id"), json!(one));
    let close = async || {
        app.advance(24 * 3600);
        app.work().await;
    };
    close().await;
    let none = ship("f2", 3, Some("ONE")).await;
    assert_eq!(none.at("/lines/0/lot_id"), Value::Null);
    let other = ship("f3", 1, None).await;
    let went = async |id: &str| {
        let page = app.client.get(&format!("/lots/{id}/shipments")).await.expect(200);
        let row = |row: &Value| {
            let units = |what: &str| row[what].as_i64().unwrap();
            let is = |what: &str| row[what].as_bool().unwrap();
            let id = row["shipment_id"].as_str().unwrap().to_owned();
            (id, units("quantity"), units("depleted_quantity"), is("named"), is("pending"))
        };
        page.at("/data").as_array().unwrap().iter().map(row).collect::<Vec<_>>()
    };
    let first = (more.id(), 5, 2, true, false);
    assert_eq!(went(&one).await, [first.clone(), (none.id(), 3, 0, true, true)]);
    close().await;
    assert_eq!(went(&one).await, [first.clone(), (none.id(), 3, 0, true, false)]);
    let by_the_books =
        [(more.id(), 3, 3, false, false), (none.id(), 3, 3, false, false), (other.id(), 1, 1, false, false)];
    assert_eq!(went(&two).await, by_the_books);
    app.client.post(&format!("/shipments/{}/void", none.id()), &json!({"reason": "label"})).await.expect(200);
    assert_eq!(went(&one).await, [first]);
    app.finish().await;
}
