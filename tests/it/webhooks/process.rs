//! What comes of a delivery once it is stored.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use holdfast::clock::Clock;
use holdfast::demo::standin::{Fault, Faults, NewOrder, Options, StandIn, Webhooks};
use holdfast::mirror::Settings;
use holdfast::mirror::rows::Source;
use reqwest::Method;
use serde_json::{Value, json};

use super::deliveries;
use crate::support::app::settings;
use crate::support::race::eventually;
use crate::support::standin::mirroring_with;
use crate::support::{TestApp, db};

/// A stand-in that keeps its webhooks, and a service that mirrors it and works on nothing by itself.
async fn start() -> (StandIn, TestApp) {
    start_with(|_| {}).await
}

async fn start_with(change: impl FnOnce(&mut Settings)) -> (StandIn, TestApp) {
    mirroring_with(Options { webhooks: Webhooks::Collected, ..Options::default() }, change).await
}

/// Sends what the stand-in has to tell, the newest first and each of it twice. Gives how much it was.
async fn deliver(standin: &StandIn, app: &TestApp) -> usize {
    let mut all = standin.take_deliveries();
    let count = all.len();
    all.extend(all.clone());
    for delivery in all.iter().rev() {
        let path = match delivery.source {
            Source::Shopify => "/webhooks/shopify".to_owned(),
            Source::Recharge => format!("/webhooks/recharge/{}", delivery.topic),
        };
        let headers: Vec<(&str, &str)> = delivery.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        app.client.with_token("").post_bytes(&path, &headers, delivery.body.clone()).await.expect(200);
    }
    count
}

/// An order of three units, paid.
fn order(standin: &StandIn) -> i64 {
    standin.change(|world| {
        let (_, variants) = world.add_product("Tea", &["TEA"]);
        world.create_order(NewOrder::of(&[(variants[0], 3)])).unwrap()
    })
}

/// Units that are still to be sent of a mirrored order; none if there is no copy, or it is marked gone.
async fn unfulfilled(app: &TestApp, order: i64) -> Option<i64> {
    let sql = "SELECT sum(l.unfulfilled_quantity)::bigint FROM mirror.orders AS o JOIN mirror.order_lines AS l \
               USING (order_id) WHERE o.order_id = $1 AND o.deleted_at IS NULL";
    sqlx::query_scalar(sql).bind(order).fetch_one(&app.db.owner()).await.unwrap()
}

async fn statuses(app: &TestApp) -> BTreeSet<String> {
    let listed = deliveries(app, "limit=100").await;
    listed.iter().map(|one| one["status"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_order_webhooks_come_in_the_copies_are_what_the_upstream_has() {
    let (standin, app) = start().await;
    let order = order(&standin);
    let charge = standin.change(|world| {
        let line = world.order(order).unwrap().line_ids()[0];
        world.fulfil(order, &[(line, 1)], None).unwrap();
        let (_, variants) = world.add_product("Coffee", &["COFFEE"]);
        let next = world.order(order).unwrap().created_at.date_naive();
        world.subscribe(variants[0], 2, next).unwrap().charge
    });
    let sent = deliver(&standin, &app).await;
    assert!(sent >= 6, "{sent} deliveries");
    assert_eq!(app.work_on_webhooks().await, sent, "one that came twice is worked on twice");
    assert_eq!(unfulfilled(&app, order).await, Some(2));
    let charges: i64 = sqlx::query_scalar("SELECT count(*) FROM mirror.recharge_charges WHERE charge_id = $1")
        .bind(charge)
        .fetch_one(&app.db.owner())
        .await
        .unwrap();
    assert_eq!(charges, 1);
    assert_eq!(statuses(&app).await, BTreeSet::from(["done".to_owned()]));
    // Several about one order are one question.
    assert_eq!(standin.count("OrdersByIds"), 1, "{:?}", standin.requests());
    assert_eq!(app.work_on_webhooks().await, 0);

    standin.change(|world| world.delete_order(order).unwrap());
    deliver(&standin, &app).await;
    app.work_on_webhooks().await;
    assert_eq!(unfulfilled(&app, order).await, None, "an order that is gone is not marked so");
    app.finish().await;
    standin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_down_delays_the_copy_and_not_the_answer() {
    let (standin, app) = start().await;
    let order = order(&standin);
    standin.set_faults(Faults { per_mille: 1000, kinds: vec![Fault::Status(503)] });
    let sent = deliver(&standin, &app).await;
    assert_eq!(standin.requests().values().sum::<u64>(), 0, "an answer waits for the upstream");
    assert_eq!(app.work_on_webhooks().await, sent);
    let listed = deliveries(&app, "status=pending").await;
    assert_eq!(listed.len(), sent);
    assert!(
        listed.iter().all(|one| one["attempts"] == 1 && one["last_error"].as_str().is_some_and(|e| e.contains("503")))
    );

    // Not before its time, and at most so many times.
    for attempt in 2..=8 {
        app.advance(601);
        assert_eq!(app.work_on_webhooks().await, sent, "attempt {attempt}");
    }
    app.advance(100_000);
    assert_eq!(app.work_on_webhooks().await, 0, "one that was given up is tried again by itself");
    assert_eq!(statuses(&app).await, BTreeSet::from(["failed".to_owned()]));

    standin.set_faults(Faults::none());
    for one in deliveries(&app, "status=failed").await {
        let path = format!("/mirror/webhooks/shopify/{}/retry", one["delivery_id"].as_str().unwrap());
        let again = app.client.send(Method::POST, &path, &[], None).await.expect(202);
        assert_eq!((again.at("/status"), again.at("/processed_at")), (json!("pending"), Value::Null));
    }
    assert_eq!(app.work_on_webhooks().await, sent);
    assert_eq!(statuses(&app).await, BTreeSet::from(["done".to_owned()]));
    assert_eq!(unfulfilled(&app, order).await, Some(3));
    app.finish().await;
    standin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_worked_on_by_one_instance_at_a_time_and_survives_it() {
    let (standin, app) = start().await;
    let mirror = standin.mirror_settings();
    let other = TestApp::start_mirroring(Arc::clone(&app.db), app.clock.clone(), settings(), mirror).await;
    let order = order(&standin);
    let sent = deliver(&standin, &app).await;
    standin.set_faults(Faults { per_mille: 1000, kinds: vec![Fault::Slow(Duration::from_mins(1))] });
    let asked = async { eventually("it asks", async || !standin.requests().is_empty()).await };
    tokio::select! {
        _ = app.work_on_webhooks() => panic!("the stand-in is not slow"),
        () = asked => {} // and dies
    }
    standin.set_faults(Faults::none());
    assert_eq!(other.work_on_webhooks().await, 0, "two work on one delivery");
    app.advance(601);
    let both = tokio::join!(app.work_on_webhooks(), other.work_on_webhooks());
    assert_eq!(both.0 + both.1, sent, "{both:?}");
    assert!(deliveries(&app, "status=done").await.iter().all(|one| one["attempts"] == 2));
    assert_eq!(unfulfilled(&app, order).await, Some(3));
    other.stop().await;
    app.finish().await;
    standin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_delivery_wakes_its_worker() {
    let clock = Clock::new();
    let options = Options { clock: clock.clone(), webhooks: Webhooks::Collected, ..Options::default() };
    let standin = StandIn::start(options).await.unwrap();
    let mut rarely = settings();
    rarely.intervals.jobs = Some(Duration::from_hours(1));
    let database = Arc::new(db::fresh().await);
    let app = TestApp::start_mirroring(database, clock, rarely, standin.mirror_settings()).await;
    // The first may come before the only look that the clock makes; the second is told of or never seen.
    for _ in 0..2 {
        order(&standin);
        deliver(&standin, &app).await;
        eventually("all is done", async || statuses(&app).await == BTreeSet::from(["done".to_owned()])).await;
    }
    app.stop().await;
    standin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_subscriptions_are_made_again_and_foreign_ones_left_alone() {
    let (standin, app) =
        start_with(|settings| settings.webhook_base_url = Some("https://stock.example.org".to_owned())).await;
    let (shopify, recharge) = (app.app.mirror.shopify.as_ref().unwrap(), app.app.mirror.recharge.as_ref().unwrap());
    shopify.create_webhook_subscription("ORDERS_CREATE", "https://other.example.org/hook").await.unwrap();
    let check = async || {
        app.client.post("/jobs/mirror_webhook_subscriptions/run", &json!({})).await;
        app.work().await;
        let listed = app.client.get("/jobs?limit=100").await.expect(200).json();
        let jobs = listed["data"].as_array().unwrap();
        let job = jobs.iter().find(|job| job["name"] == "mirror_webhook_subscriptions");
        job.unwrap().clone()
    };
    check().await;
    let of_shopify = shopify.webhook_subscriptions().await.unwrap();
    assert_eq!(of_shopify.len(), 17, "{of_shopify:?}");
    let of_recharge = recharge.webhooks().await.unwrap();
    assert!(
        of_recharge.iter().all(|one| one.uri == format!("https://stock.example.org/webhooks/recharge/{}", one.topic))
    );
    let topics: BTreeSet<&str> = of_recharge.iter().map(|one| one.topic.as_str()).collect();
    assert!(topics.len() > 15 && topics.len() == of_recharge.len(), "{topics:?}");

    let lost = of_shopify.iter().find(|one| one.topic == "ORDERS_UPDATED").unwrap();
    let dropped = json!({"query": format!("mutation {{ webhookSubscriptionDelete(id: \"{}\") {{ deletedWebhookSubscriptionId }} }}", lost.id)});
    let url = format!("{}/admin/api/2026-10/graphql.json", standin.shopify_url());
    let http = reqwest::Client::new();
    http.post(url).header("X-Shopify-Access-Token", &standin.options().token).json(&dropped).send().await.unwrap();
    assert_eq!(shopify.webhook_subscriptions().await.unwrap().len(), 16);
    app.advance(3600);
    let job = check().await;
    let after = shopify.webhook_subscriptions().await.unwrap();
    assert_eq!(after.len(), 17, "{job:#}");
    assert!(after.iter().any(|one| one.topic == lost.topic && one.uri == lost.uri));
    assert!(after.iter().any(|one| one.uri == "https://other.example.org/hook"));
    assert_eq!(recharge.webhooks().await.unwrap().len(), of_recharge.len(), "made twice");
    app.finish().await;
    standin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_about_what_cannot_be_read_keep_none_of_the_others_of_their_batch() {
    // One at a time, so that it is known which call a fault hits.
    let (standin, app) = start_with(|settings| settings.parallel = 1).await;
    let (orders, charges, subscriptions) = standin.change(|world| {
        let (_, variants) = world.add_product("Tea", &["TEA"]);
        let orders: Vec<i64> =
            (0..9).map(|_| world.create_order(NewOrder::of(&[(variants[0], 200)])).unwrap()).collect();
        // More than are taken for odd ones of a page.
        for order in &orders[..7] {
            let line = world.order(*order).unwrap().line_ids()[0];
            for _ in 0..100 {
                world.fulfil(*order, &[(line, 1)], None).unwrap();
            }
        }
        let due = world.now().date_naive();
        let all: Vec<_> = (0..4).map(|_| world.subscribe(variants[0], 1, due).unwrap()).collect();
        let charges: Vec<i64> = all.iter().map(|of| of.charge).collect();
        (orders, charges, all.iter().map(|of| of.subscription).collect::<Vec<i64>>())
    });
    drop(standin.take_deliveries());
    standin.change(|world| {
        for order in &orders {
            world.touch_order(*order).unwrap();
        }
        for charge in &charges {
            world.fail_charge(*charge).unwrap();
        }
        for charge in &charges[..2] {
            world.garble_charge(*charge).unwrap();
        }
    });
    let sent = deliver(&standin, &app).await;
    assert_eq!(sent, orders.len() + charges.len());
    app.work_on_webhooks().await;
    for one in deliveries(&app, "limit=100").await {
        let id: i64 = one["entity_id"].as_str().unwrap().parse().unwrap();
        let bad = orders[..7].contains(&id) || charges[..2].contains(&id);
        assert_eq!(one["status"], if bad { "pending" } else { "done" }, "{one:#}");
        assert_eq!(bad, one["last_error"].as_str().is_some_and(|error| error.contains("cannot be read")), "{one:#}");
    }
    // So does one whose fetch always fails: it is the entity, as long as the others are answered.
    standin.change(|world| charges[2..].iter().for_each(|charge| world.skip_charge(*charge).map(drop).unwrap()));
    deliver(&standin, &app).await;
    standin.script_faults_of("GET /subscriptions/{id}", &[Some(Fault::Status(500)); 5]);
    app.work_on_webhooks().await;
    let listed = deliveries(&app, "source=recharge&limit=100").await;
    let of = |id: i64, topic: &str| {
        let id = &id.to_string();
        let is = |one: &&Value| one["topic"] == topic && one["entity_id"] == *id;
        listed.iter().find(is).unwrap()
    };
    let struck = of(subscriptions[2], "subscription/updated");
    assert!(struck["status"] == "pending" && struck["last_error"].as_str().unwrap().contains("500"), "{struck:#}");
    assert_eq!(of(subscriptions[3], "subscription/updated")["status"], "done");
    app.finish().await;
    standin.stop().await;
}
