//! Availability, its explanation, and the ledger.

mod stale;

use holdfast::keys::Scope;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::app::cart;

const TERMS: [&str; 9] = [
    "sellable",
    "shortfall",
    "reservable",
    "on_hand",
    "quarantined",
    "committed",
    "held",
    "safety_stock",
    "oversell_tolerance",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_step_of_a_purchase_shows_in_every_term_at_once() {
    let app = TestApp::start().await;
    let policy = json!({"safety_stock_quantity": 2, "oversell_tolerance_quantity": 1, "low_stock_quantity": 5});
    app.sku_with("TEA", policy).await;
    let seen = async |status: &str, terms: [i64; 9]| {
        let answer = app.client.get("/availability?sku=TEA").await.expect(200);
        assert_eq!(answer.quantities("/data/0", TERMS), terms);
        assert_eq!(answer.at("/data/0/status"), status);
        assert!(answer.at("/data/0/as_of").is_string() && answer.at("/data/0/age_ms").is_u64());
        assert_eq!(answer.at("/data/0/stale"), Value::Null, "nothing is stale that was just read");
    };
    seen("out_of_stock", [0, 2, 0, 0, 0, 0, 0, 2, 1]).await;
    app.stock("TEA", 10).await;
    seen("in_stock", [8, 0, 9, 10, 0, 0, 0, 2, 1]).await;
    let id = app.hold("TEA", 3).await.expect(201).id();
    seen("low_stock", [5, 0, 6, 10, 0, 0, 3, 2, 1]).await;
    app.client.post(&format!("/reservations/{id}/commit"), &json!({"order_ref": "1"})).await.expect(200);
    seen("low_stock", [5, 0, 6, 10, 0, 3, 0, 2, 1]).await;
    app.hold("TEA", 6).await.expect(201);
    seen("out_of_stock", [0, 1, 0, 10, 0, 3, 6, 2, 1]).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_are_shown_one_by_one_or_summed() {
    let app = TestApp::start().await;
    app.sku_with("TEA", json!({"safety_stock_quantity": 1})).await;
    for pool in ["eu", "us", "empty"] {
        app.pool(pool).await;
    }
    for (pool, quantity) in [("default", 5), ("eu", 7), ("us", 1)] {
        app.stock_in(pool, "TEA", quantity).await;
    }
    let hold = json!({"pool": "eu", "lines": [{"sku": "TEA", "quantity": 2}]});
    app.client.post("/reservations", &hold).await.expect(201);
    let each = app.client.get("/availability?sku=TEA&pool=*").await.expect(200);
    let rows: Vec<(String, i64)> = each
        .at("/data")
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["pool"].as_str().unwrap().to_owned(), row["sellable_quantity"].as_i64().unwrap()))
        .collect();
    let expected = [("default", 4), ("empty", 0), ("eu", 4), ("us", 0)];
    assert_eq!(rows, expected.map(|(pool, sellable)| (pool.to_owned(), sellable)));
    let sum = app.client.get("/availability?sku=TEA&pool=sum").await.expect(200);
    // Safety stock is kept back once per pool that has stock; the empty one keeps nothing back.
    assert_eq!(sum.quantities("/data/0", TERMS), [8, 0, 8, 13, 0, 0, 2, 3, 0]);
    assert_eq!(sum.at("/data/0/pool"), Value::Null);
    app.client.get("/availability?sku=TEA&pool=mars").await.refused(422, "unknown_pool");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_skus_are_asked_for_at_once_and_unknown_ones_are_all_named() {
    let app = TestApp::start().await;
    let sql = "WITH next AS (UPDATE catalogue_revision SET revision = revision + 1 RETURNING revision)
        INSERT INTO skus SELECT 1000 + n, 'S' || n, '', 1, true, now(), 'active', revision, now(), now()
        FROM next, generate_series(1, 999) AS n";
    sqlx::raw_sql(sql).execute(&app.db.owner()).await.unwrap();
    app.stock("TEA", 4).await;
    let mut skus: Vec<String> = (1..1000).map(|n| format!("S{n}")).collect();
    skus.push("TEA".to_owned());
    let all = app.client.post("/availability/query", &json!({"skus": skus})).await.expect(200);
    assert_eq!(all.at("/data").as_array().map(Vec::len), Some(1000));
    assert_eq!([all.at("/data/0/sku"), all.at("/data/999/sellable_quantity")], [json!("S1"), json!(4)]);
    skus.push("S1".to_owned());
    let many = app.client.post("/availability/query", &json!({"skus": skus})).await;
    assert_eq!(many.refused(422, "validation_failed").broken(), ["/skus"]);
    let unknown = app.client.post("/availability/query", &json!({"skus": ["NO", "TEA", "NEITHER"]})).await;
    assert_eq!(unknown.refused(422, "unknown_sku").broken(), ["/skus/0", "/skus/2"]);
    let unknown = app.client.get("/availability?sku=TEA&sku=NO").await.refused(422, "unknown_sku");
    assert_eq!(unknown.at("/errors").as_array().map(Vec::len), Some(1));
    app.client.get("/availability").await.refused(400, "invalid_parameter");
    let hundred = "sku=TEA&".repeat(101);
    app.client.get(&format!("/availability?{hundred}")).await.refused(400, "invalid_parameter");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_number_is_not_sent_again() {
    let app = TestApp::start().await;
    app.stock("TEA", 4).await;
    let path = "/availability?sku=TEA";
    let first = app.client.get(path).await.expect(200);
    let tag = first.header("etag").unwrap().to_owned();
    let same = app.client.send(Method::GET, path, &[("if-none-match", &tag)], None).await.expect(304);
    assert_eq!((same.bytes.len(), same.header("etag")), (0, Some(tag.as_str())));
    app.hold("TEA", 1).await.expect(201);
    let changed = app.client.send(Method::GET, path, &[("if-none-match", &tag)], None).await.expect(200);
    assert_ne!(changed.header("etag"), Some(tag.as_str()));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_received_is_promised_as_far_as_the_tolerance_goes_and_shown_so() {
    let app = TestApp::start().await;
    app.sku_with("NEW", json!({"safety_stock_quantity": 1, "oversell_tolerance_quantity": 4})).await;
    app.sku_with("CUP", json!({"safety_stock_quantity": 1})).await;
    let shown = async || {
        let explained = app.client.get("/availability/explain?sku=NEW").await.expect(200);
        let seen = app.client.get("/availability?sku=NEW").await.expect(200);
        let terms = ["reservable", "held", "committed", "oversold"];
        let [reservable, oversold] = explained.quantities("", ["reservable", "oversold"]);
        let [held, committed] =
            ["held", "committed"].map(|term| explained.at(&format!("/{term}/quantity")).as_i64().unwrap());
        assert_eq!(seen.quantities("/data/0", terms), [reservable, held, committed, oversold]);
        (seen.quantities("/data/0", terms), seen.at("/data/0/status"))
    };
    assert_eq!(shown().await, ([3, 0, 0, 0], json!("out_of_stock")));
    let short = app.hold("NEW", 4).await.refused(409, "insufficient_stock");
    assert_eq!(short.quantities("/shortfalls/0", ["available", "on_hand", "oversell_tolerance"]), [3, 0, 4]);
    app.hold("CUP", 1).await.refused(409, "insufficient_stock");
    let ahead = app.hold("NEW", 3).await.expect(201).id();
    assert_eq!(shown().await, ([0, 3, 0, 3], json!("oversold")));
    app.audit().await;
    app.client.post(&format!("/reservations/{ahead}/commit"), &json!({"order_ref": "1"})).await.expect(200);
    app.stock("NEW", 5).await;
    assert_eq!(shown().await, ([5, 0, 3, 0], json!("in_stock")));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_adds_up_term_by_term() {
    let app = TestApp::start().await;
    app.sku_with("TEA", json!({"safety_stock_quantity": 1, "oversell_tolerance_quantity": 2})).await;
    app.stock("TEA", 10).await;
    app.stock("TEA", 5).await;
    let hold = async |quantity: i64, ttl: i64| {
        let mut body = cart(&[("TEA", quantity)]);
        body["ttl_seconds"] = json!(ttl);
        body["owner"] = json!("ann");
        app.client.post("/reservations", &body).await.expect(201).id()
    };
    let lapsed = hold(2, 60).await;
    let held = [hold(3, 3600).await, hold(1, 1800).await];
    let order = hold(4, 3600).await;
    let part = json!({"order_ref": "A-1", "lines": [{"line": 1, "quantity": 3}]});
    app.client.post(&format!("/reservations/{order}/commit"), &part).await.expect(200);
    app.advance(60);

    let explained = app.client.get("/availability/explain?sku=TEA").await.expect(200);
    let sum = |term: &str, quantity: &str| {
        let items = explained.at(&format!("/{term}/items"));
        items.as_array().unwrap().iter().map(|item| item[quantity].as_i64().unwrap()).sum::<i64>()
    };
    let shown = app.availability("TEA").await;
    assert_eq!(explained.quantities("", ["sellable", "reservable", "lapsed"]), [7, 9, 2]);
    assert_eq!([&shown["sellable_quantity"], &shown["reservable_quantity"]], [&json!(7), &json!(9)]);
    assert_eq!((explained.at("/on_hand/quantity"), sum("on_hand", "remaining_quantity")), (json!(15), 15));
    assert_eq!((explained.at("/committed/quantity"), sum("committed", "quantity")), (json!(3), 3));
    assert_eq!(explained.at("/held/quantity"), json!(4), "what has lapsed is not held");
    assert_eq!(sum("held", "quantity"), 4 + 2);
    let listed = explained.at("/held/items");
    let who: Vec<(&str, bool)> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["reservation_id"].as_str().unwrap(), item["lapsed"].as_bool().unwrap()))
        .collect();
    assert_eq!(who, [(lapsed.as_str(), true), (held[1].as_str(), false), (held[0].as_str(), false)]);
    assert_eq!(explained.at("/committed/items/0/order_ref"), json!("A-1"));
    let formula = explained.at("/formula").as_str().unwrap().to_owned();
    assert!(
        formula.contains("sellable 7 = on_hand 15 − quarantined 0 − committed 3 − held 4 − safety_stock 1"),
        "{formula}"
    );
    assert_eq!(explained.at("/entries/0/kind"), json!("release"), "the newest entry comes first");
    let unknown = app.client.get("/availability/explain?sku=NO").await.refused(400, "invalid_parameter");
    assert_eq!(unknown.at("/errors").as_array().map(Vec::len), Some(1), "one thing is wrong, once");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_is_read_in_pages_without_a_gap() {
    let app = TestApp::start().await;
    app.stock("TEA", 10).await;
    for _ in 0..6 {
        app.hold("TEA", 1).await.expect(201);
    }
    let mut cursor = String::new();
    let mut seen = Vec::new();
    loop {
        let page = app.client.get(&format!("/stock/TEA/entries?limit=3{cursor}")).await.expect(200);
        seen.extend(page.at("/data").as_array().unwrap().clone());
        app.hold("TEA", 1).await.expect(201);
        match page.at("/next_cursor") {
            Value::String(next) => cursor = format!("&cursor={next}"),
            _ => break,
        }
    }
    let numbers: Vec<i64> = seen.iter().map(|entry| entry["seq"].as_i64().unwrap()).collect();
    assert_eq!(numbers, [7, 6, 5, 4, 3, 2, 1]);
    for pair in seen.windows(2) {
        let held = |entry: &Value, at: &str| entry[at]["held_quantity"].as_i64().unwrap();
        assert_eq!(held(&pair[0], "after"), held(&pair[1], "after") + held(&pair[0], "delta"));
    }
    let newest = &seen[0];
    assert_eq!(
        [&newest["client"], &newest["line"], &newest["safety_stock_quantity"]],
        [&json!("tests"), &json!(1), &json!(0)]
    );
    app.client.get("/stock/NO/entries").await.refused(404, "sku_not_found");
    let reader = app.client_of("reader", &[Scope::StockRead]).await;
    reader.get("/stock/TEA/entries").await.expect(200);
    app.finish().await;
}
