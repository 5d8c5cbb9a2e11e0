//! The way in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use holdfast::clock::Clock;
use holdfast::keys::Scope;
use serde_json::{Value, json};

use super::{FromShopify, NEW, OLD, Scheme, counted, deliveries, mirroring, send_recharge, start};
use crate::support::app::settings;
use crate::support::{TestApp, db};

/// An order as Shopify sends one, with what people write in it.
fn order(id: i64) -> Value {
    json!({
        "id": id, "updated_at": "2026-11-24T04:00:00-05:00", "email": "jo.customer@example.org",
        "customer": {"id": 7, "first_name": "Johanna"}, "note": "ring twice\u{0}",
        "line_items": [{"id": 1, "quantity": 2, "sku": null}]
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_stored_once_however_often_and_however_fast_it_comes() {
    let app = start().await;
    let delivery = FromShopify::order("b54557e4-bdd9-4b37-8a5f-bf7d70bcd043", &order(820_982_911_946_154_508));
    let asked = Instant::now();
    let answers = join_all((0..20).map(|_| delivery.send(&app))).await;
    let new = answers.into_iter().filter(|answer| answer.clone().expect(200).at("/duplicate") == json!(false));
    assert_eq!(new.count(), 1);
    assert!(asked.elapsed() < Duration::from_secs(5), "an answer waits for something");
    delivery.send(&app).await.expect(200);

    let listed = deliveries(&app, "").await;
    assert_eq!(listed.len(), 1);
    let one = &listed[0];
    for (member, value) in [
        ("source", json!("shopify")),
        ("delivery_id", json!("b54557e4-bdd9-4b37-8a5f-bf7d70bcd043")),
        ("topic", json!("orders/updated")),
        ("entity", json!("order")),
        ("entity_id", json!("820982911946154508")),
        ("status", json!("pending")),
        ("attempts", json!(0)),
        ("triggered_at", json!("2026-11-24T04:00:00.123456Z")),
        ("upstream_updated_at", json!("2026-11-24T04:00:00-05:00")),
    ] {
        assert_eq!(one[member], value, "{member}");
    }
    for personal in ["jo.customer", "Johanna", "ring twice"] {
        assert_eq!(app.db.tables_with(personal).await, Vec::<String>::new(), "{personal} is kept");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_known_secret_signs_for_shopify() {
    let app = start().await;
    let good = FromShopify::order("1", &order(1));
    let before = counted(&app, "shopify", "invalid_signature").await;
    for secret in ["guess", ""] {
        let forged = FromShopify { secret, ..good.clone() };
        let refused = forged.send(&app).await.refused(401, "invalid_signature");
        assert!(refused.header("www-authenticate").is_none(), "no key helps");
    }
    let odd = ["", "x", "AAAA", &"A".repeat(10_000)];
    for signature in odd {
        let headers = [("x-shopify-shop-domain", super::SHOP), ("x-shopify-hmac-sha256", signature)];
        app.client.post_bytes("/webhooks/shopify", &headers, good.body.clone()).await.refused(401, "invalid_signature");
    }
    let unsigned = [("x-shopify-shop-domain", super::SHOP)];
    app.client.post_bytes("/webhooks/shopify", &unsigned, good.body.clone()).await.refused(401, "invalid_signature");
    assert!(counted(&app, "shopify", "invalid_signature").await >= before + 7.0, "they are not counted");
    assert_eq!(deliveries(&app, "").await, Vec::<Value>::new());
    // While a secret is rotated, either signs.
    good.send(&app).await.expect(200);
    FromShopify { secret: OLD, id: "2".to_owned(), ..good }.send(&app).await.expect(200);
    assert_eq!(deliveries(&app, "").await.len(), 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_for_us_is_refused() {
    let app = start().await;
    let good = FromShopify::order("1", &order(1));
    FromShopify { shop: "other.myshopify.com", ..good.clone() }.send(&app).await.refused(404, "unknown_shop");
    FromShopify { shop: "Holdfast-Test.MyShopify.com", ..good.clone() }.send(&app).await.expect(200);

    let headers =
        [("x-shopify-shop-domain", super::SHOP), ("x-shopify-topic", "orders/create"), ("x-shopify-webhook-id", "2")];
    let signed = good.signature();
    for missing in 0..headers.len() {
        let mut sent: Vec<(&str, &str)> = headers.into();
        let (name, _) = sent.remove(missing);
        sent.push(("x-shopify-hmac-sha256", &signed));
        let refused = app.client.post_bytes("/webhooks/shopify", &sent, good.body.clone()).await;
        assert_eq!(refused.refused(400, "invalid_parameter").broken(), [name]);
    }
    let large = FromShopify { id: "3".to_owned(), body: vec![b' '; 2 * 1024 * 1024 + 1], ..good.clone() };
    large.send(&app).await.refused(413, "body_too_large");
    let just = FromShopify { id: "3".to_owned(), body: vec![b' '; 2 * 1024 * 1024], ..good };
    just.send(&app).await.expect(200);
    assert_eq!(deliveries(&app, "").await.len(), 2);
    app.finish().await;

    let unconfigured = TestApp::start().await;
    let delivery = FromShopify::order("1", &order(1));
    delivery.send(&unconfigured).await.refused(404, "unknown_shop");
    let body = json!({"order": {"id": 1}});
    send_recharge(&unconfigured, "order/created", &body, NEW, Scheme::Legacy).await.refused(404, "unknown_shop");
    unconfigured.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recharge_signs_in_two_ways_and_names_its_topic_in_the_path() {
    let app = start().await;
    let body = |id: i64| json!({"order": {"id": id, "email": "jo.customer@example.org"}});
    for (id, secret, scheme) in [
        (1, NEW, Scheme::Signed(0)),
        (2, OLD, Scheme::Signed(172_700)),
        (3, NEW, Scheme::Signed(-172_700)),
        (4, NEW, Scheme::Legacy),
        (5, OLD, Scheme::Legacy),
    ] {
        let answer = send_recharge(&app, "order/created", &body(id), secret, scheme).await.expect(200);
        assert_eq!(answer.at("/duplicate"), json!(false), "{id}");
    }
    // The same again, signed later; and the same about something else.
    let again = send_recharge(&app, "order/created", &body(1), OLD, Scheme::Legacy).await.expect(200);
    assert_eq!(again.at("/duplicate"), json!(true));
    let escaped = send_recharge(&app, "order%2Fcreated", &body(2), OLD, Scheme::Legacy).await.expect(200);
    assert_eq!(escaped.at("/duplicate"), json!(true));
    let other = send_recharge(&app, "order/updated", &body(1), NEW, Scheme::Signed(0)).await.expect(200);
    assert_eq!(other.at("/duplicate"), json!(false));

    let before = counted(&app, "recharge", "invalid_signature").await;
    for scheme in [Scheme::Signed(172_900), Scheme::Signed(-172_900)] {
        send_recharge(&app, "order/created", &body(9), NEW, scheme).await.refused(401, "invalid_signature");
    }
    for scheme in [Scheme::Signed(0), Scheme::Legacy] {
        send_recharge(&app, "order/created", &body(9), "guess", scheme).await.refused(401, "invalid_signature");
    }
    let bytes = body(9).to_string().into_bytes();
    app.client.post_bytes("/webhooks/recharge/order/created", &[], bytes).await.refused(401, "invalid_signature");
    assert!(counted(&app, "recharge", "invalid_signature").await >= before + 5.0, "they are not counted");
    for topic in ["order/%00", "ORDER/created", "order/crea.ted"] {
        let refused = send_recharge(&app, topic, &body(9), NEW, Scheme::Legacy).await;
        refused.refused(400, "invalid_parameter");
    }
    let ids: Vec<Value> =
        deliveries(&app, "source=recharge").await.iter().map(|one| one["entity_id"].clone()).collect();
    assert_eq!(ids, ["1", "5", "4", "3", "2", "1"].map(Value::from));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_older_signatures_of_recharge_are_refused_where_it_is_said_so() {
    let mut mirror = mirroring();
    mirror.recharge.as_mut().unwrap().legacy_signatures = false;
    let app = TestApp::start_mirroring(Arc::new(db::fresh().await), Clock::new(), settings(), mirror).await;
    let body = json!({"order": {"id": 1}});
    send_recharge(&app, "order/created", &body, NEW, Scheme::Legacy).await.refused(401, "invalid_signature");
    send_recharge(&app, "order/created", &body, NEW, Scheme::Signed(0)).await.expect(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_means_nothing_to_us_is_taken_all_the_same() {
    let app = start().await;
    let stock = json!({"inventory_item_id": 1, "location_id": 2, "available": null});
    let bodies = [("inventory_levels/update", stock.to_string()), ("orders/create", "{".to_owned())];
    for (n, (topic, body)) in bodies.into_iter().enumerate() {
        let delivery = FromShopify { topic, body: body.into(), ..FromShopify::order(&n.to_string(), &json!({})) };
        delivery.send(&app).await.expect(200);
    }
    send_recharge(&app, "address/updated", &json!({"address": {"id": 1}}), NEW, Scheme::Legacy).await.expect(200);
    let listed = deliveries(&app, "status=ignored").await;
    assert_eq!(listed.len(), 3);
    assert!(listed.iter().all(|one| one["entity"] == Value::Null && one["processed_at"].is_string()));
    assert!(listed[1]["last_error"].is_string(), "an unreadable one does not say so: {:#}", listed[1]);
    assert_eq!(app.work_on_webhooks().await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_listed_page_by_page_for_who_may_read_stock() {
    let app = start().await;
    for id in 1..=5 {
        FromShopify::order(&id.to_string(), &order(id)).send(&app).await.expect(200);
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = app.client.get(&format!("/mirror/webhooks?limit=2{cursor}")).await.expect(200);
        seen.extend(page.at("/data").as_array().unwrap().iter().map(|one| one["delivery_id"].clone()));
        let Some(next) = page.at("/next_cursor").as_str().map(str::to_owned) else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, ["5", "4", "3", "2", "1"].map(Value::from));
    assert_eq!(deliveries(&app, "status=done").await, Vec::<Value>::new());
    assert_eq!(deliveries(&app, "source=recharge").await, Vec::<Value>::new());
    for odd in ["status=lost", "source=etsy", "limit=0", "cursor=x"] {
        app.client.get(&format!("/mirror/webhooks?{odd}")).await.refused(400, "invalid_parameter");
    }
    let reader = app.client_of("reader", &[Scope::StockRead]).await;
    reader.get("/mirror/webhooks").await.expect(200);
    reader.post("/mirror/webhooks/shopify/1/retry", &Value::Null).await.refused(403, "forbidden");
    let pending = app.client.post("/mirror/webhooks/shopify/1/retry", &Value::Null).await.expect(202);
    assert_eq!((pending.at("/status"), pending.at("/attempts")), (json!("pending"), json!(0)));
    for path in ["shopify/none", "recharge/1", "etsy/1", "shopify/%00"] {
        let refused = app.client.post(&format!("/mirror/webhooks/{path}/retry"), &Value::Null).await;
        refused.refused(404, "webhook_not_found");
    }
    app.finish().await;
}
