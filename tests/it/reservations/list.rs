//! `GET /reservations`: filters and pages.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::app::cart;

async fn listed(app: &TestApp, query: &str) -> Vec<String> {
    let page = app.client.get(&format!("/reservations?{query}")).await.expect(200);
    page.at("/data").as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

async fn held(app: &TestApp, lines: &[(&str, i64)], more: Value) -> String {
    let mut body = cart(lines);
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    app.client.post("/reservations", &body).await.expect(201).id()
}

#[tokio::test(flavor = "multi_thread")]
async fn reservations_are_found_by_what_is_known_of_them() {
    let app = TestApp::start().await;
    app.pool("eu").await;
    for sku in ["TEA", "CUP"] {
        app.stock(sku, 50).await;
    }
    app.stock_in("eu", "TEA", 50).await;
    let lapsed = held(&app, &[("TEA", 1)], json!({"owner": "ann", "ttl_seconds": 60})).await;
    let standing =
        held(&app, &[("TEA", 1), ("CUP", 1), ("TEA", 1)], json!({"owner": "ann", "ttl_seconds": 3600})).await;
    let owned = held(&app, &[("CUP", 1)], json!({"owner": "bob", "client_reference": "cart 7"})).await;
    let order = json!({"order_ref": "A/1"});
    app.client.post(&format!("/reservations/{owned}/commit"), &order).await.expect(200);
    let gone = held(&app, &[("CUP", 1)], json!({})).await;
    app.client.post(&format!("/reservations/{gone}/release"), &json!({})).await.expect(200);
    let abroad = held(&app, &[("TEA", 1)], json!({"pool": "eu", "owner": "ann"})).await;
    app.advance(60);
    let half_hour = (app.clock.local_now() + chrono::TimeDelta::minutes(30)).to_rfc3339().replace('+', "%2B");
    let before = format!("expires_before={half_hour}");
    let after = format!("expires_after={half_hour}");
    let cases: [(&str, &[&String]); 14] = [
        ("", &[&gone, &owned, &standing, &lapsed]),
        ("pool=eu", &[&abroad]),
        ("owner=ann", &[&standing, &lapsed]),
        ("state=held", &[&standing]),
        ("state=expired", &[&lapsed]),
        ("state=committed", &[&owned]),
        ("state=released", &[&gone]),
        ("sku=TEA", &[&standing, &lapsed]),
        ("sku=CUP", &[&gone, &owned, &standing]),
        ("sku=CUP&owner=bob&state=committed", &[&owned]),
        ("sku=TEA&state=expired", &[&lapsed]),
        ("order_ref=A%2F1", &[&owned]),
        ("client_reference=cart+7", &[&owned]),
        (&after, &[&standing]),
    ];
    for (query, expected) in cases {
        assert_eq!(listed(&app, query).await.iter().collect::<Vec<_>>(), expected, "{query}");
    }
    assert_eq!(listed(&app, &before).await, [gone, owned, lapsed]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_hold_every_reservation_once_whatever_arrives_meanwhile() {
    let app = TestApp::start().await;
    app.stock("TEA", 50).await;
    for filter in ["", "&sku=TEA"] {
        for _ in 0..4 {
            held(&app, &[("TEA", 1)], json!({})).await;
        }
        let expected = listed(&app, "limit=100").await;
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = app.client.get(&format!("/reservations?limit=3{filter}{cursor}")).await.expect(200);
            seen.extend(page.at("/data").as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()));
            held(&app, &[("TEA", 1)], json!({})).await;
            match page.at("/next_cursor") {
                Value::String(next) => cursor = format!("&cursor={next}"),
                _ => break,
            }
        }
        assert_eq!(seen, expected, "{filter}");
        assert_eq!(seen.iter().collect::<HashSet<_>>().len(), seen.len());
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_parameter_that_cannot_be_read_is_named() {
    let app = TestApp::start().await;
    let query = "limit=0&cursor=x&state=lost&expires_before=now&expires_after=&pool=mars&sku=NO&owner=%00&frob=1";
    let refused = app.client.get(&format!("/reservations?{query}")).await.refused(400, "invalid_parameter");
    assert_eq!(
        refused.broken(),
        ["cursor", "expires_after", "expires_before", "frob", "limit", "owner", "pool", "sku", "state"]
    );
    for limit in ["101", "-1", "1.5"] {
        app.client.get(&format!("/reservations?limit={limit}")).await.refused(400, "invalid_parameter");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reservations_of_an_untracked_sku_are_found_by_it() {
    let app = TestApp::start().await;
    app.client.post("/skus", &json!({"code": "GIFT", "tracked": false})).await.expect(201);
    app.stock("TEA", 5).await;
    let first = held(&app, &[("GIFT", 1), ("GIFT", 2)], json!({})).await;
    held(&app, &[("TEA", 1)], json!({})).await;
    let second = held(&app, &[("TEA", 1), ("GIFT", 1)], json!({"owner": "ann"})).await;
    assert_eq!(listed(&app, "sku=GIFT").await, [second.clone(), first]);
    assert_eq!(listed(&app, "sku=GIFT&owner=ann").await, [second]);
    app.finish().await;
}
