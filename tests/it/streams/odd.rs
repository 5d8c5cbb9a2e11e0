//! Upstreams that are odd in one thing: everything else is copied all the same, and what is odd is told.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use holdfast::demo::standin::{Fault, NewOrder, StandIn};
use holdfast::mirror::settings::ShopifyAccess;
use holdfast::mirror::streams::poll;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::same::assert_same;
use super::{open_shop, open_subscriptions, start, start_with, stream, work};
use crate::support::TestApp;
use crate::support::copies::plant;

async fn count(app: &TestApp, table: &'static str) -> i64 {
    let sql = format!("SELECT count(*) FROM mirror.{table} WHERE deleted_at IS NULL");
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&app.db.owner()).await.unwrap()
}

/// Up to when every change of an order is copied.
async fn walked_to(app: &TestApp) -> DateTime<Utc> {
    stream(app, "shopify", "orders").await["watermark"].as_str().unwrap().parse().unwrap()
}

/// Orders of one unit of one product.
fn orders(standin: &StandIn, count: usize) -> Vec<i64> {
    standin.change(|world| {
        let (_, variants) = world.add_product("Tea", &["TEA"]);
        (0..count).map(|_| world.create_order(NewOrder::of(&[(variants[0], 200)])).unwrap()).collect()
    })
}

/// Sends an order in more parcels than can be asked for.
fn make_unreadable(standin: &StandIn, order: i64) {
    standin.change(|world| {
        let line = world.order(order).unwrap().line_ids()[0];
        for _ in 0..100 {
            world.fulfil(order, &[(line, 1)], None).unwrap();
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_read_is_told_and_the_others_of_its_page_are_copied() {
    let (standin, app) = start().await;
    let orders = orders(&standin, 4);
    make_unreadable(&standin, orders[1]);
    open_subscriptions(&standin, 10);
    let charge = standin.look(|world| world.newest_charge().unwrap());
    standin.change(|world| world.garble_charge(charge).unwrap());
    work(&app).await;
    for (source, name, odd) in [("shopify", "orders", orders[1]), ("recharge", "charges", charge)] {
        let stream = stream(&app, source, name).await;
        assert_eq!(stream["phase"], "incremental", "{stream:#}");
        let told = stream["last_error"].as_str().unwrap_or_default();
        assert!(told.contains(&format!("{odd} cannot be read")), "{stream:#}");
    }
    let (shop, charges) = standin.look(|world| (world.all_orders().count(), world.all_charges().count()));
    assert_eq!(count(&app, "orders").await, i64::try_from(shop - 1).unwrap());
    assert_eq!(count(&app, "recharge_charges").await, i64::try_from(charges - 1).unwrap());
    // The comparison comes back to it, and is not stopped by it either.
    app.advance(TimeDelta::hours(25).num_seconds());
    work(&app).await;
    assert!(stream(&app, "recharge", "charges").await["reconciled_at"].is_string());
    app.finish().await;
    standin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_cannot_be_read_are_taken_for_another_api() {
    let (standin, app) = start().await;
    open_subscriptions(&standin, 12);
    standin.change(|world| {
        let charges: Vec<i64> = world.all_charges().map(|of| of.id).take(6).collect();
        for charge in charges {
            world.garble_charge(charge).unwrap();
        }
    });
    work(&app).await;
    let charges = stream(&app, "recharge", "charges").await;
    assert_eq!(charges["phase"], "backfill", "{charges:#}");
    assert!(charges["last_error"].as_str().unwrap().contains("quantity"), "{charges:#}");
    assert_eq!(stream(&app, "recharge", "orders").await["phase"], "incremental", "the others go on");
    app.finish().await;
    standin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_for_one_question_is_asked_for_in_parts() {
    let (standin, app) = start().await;
    let orders = orders(&standin, 8);
    // Eight are too many; so are the first four, and so are the first two, and so is the first.
    standin.script_faults_of("OrdersByIds", &[Some(Fault::Status(504)); 4 * 5]);
    work(&app).await;
    assert_eq!(count(&app, "orders").await, 7);
    let stream = stream(&app, "shopify", "orders").await;
    let told = stream["last_error"].as_str().unwrap_or_default();
    assert!(told.contains(&format!("{} cannot be read", orders.iter().min().unwrap())), "{stream:#}");
    assert_eq!(stream["phase"], "incremental");

    // One alone, of a shop that answers something small: it is passed over, and found again by the comparison.
    app.advance(3600);
    work(&app).await;
    let before = walked_to(&app).await;
    standin.change(|world| world.close(orders[7]).unwrap());
    standin.script_faults_of("OrdersByIds", &[Some(Fault::Status(504)); 5]);
    app.advance(60);
    work(&app).await;
    assert!(walked_to(&app).await > before, "it keeps the stream");
    app.advance(TimeDelta::hours(25).num_seconds());
    work(&app).await;
    assert_same(&standin, &app).await;
    // One alone, of a shop that answers nothing: that is an outage, and nothing is passed over.
    let before = walked_to(&app).await;
    standin.change(|world| world.close(orders[6]).unwrap());
    standin.script_faults_of("OrdersByIds", &[Some(Fault::Status(504)); 5]);
    standin.script_faults_of("Scopes", &[Some(Fault::Status(504)); 5]);
    app.advance(60);
    poll::run(&app.app, &CancellationToken::new()).await;
    assert_eq!(walked_to(&app).await, before);
    app.advance(60);
    work(&app).await;
    assert_same(&standin, &app).await;
    app.finish().await;
    standin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_revoked_is_renewed_and_a_place_that_is_forgotten_is_walked_to_again() {
    let (standin, app) = start_with(|mirror| {
        let shop = mirror.shopify.as_mut().unwrap();
        shop.access = ShopifyAccess::ClientCredentials {
            client_id: "standin-client".to_owned(),
            client_secret: "standin-client-secret".into(),
        };
    })
    .await;
    let orders = open_shop(&standin, 8);
    open_subscriptions(&standin, 5);
    work(&app).await;
    assert_same(&standin, &app).await;

    standin.revoke_tokens();
    app.advance(60);
    standin.change(|world| world.touch_order(orders[0]).unwrap());
    // Both are in the middle of a window, at a page that the upstream no longer knows.
    let sql = "UPDATE mirror.streams SET window_from = '2020-01-01Z', window_to = now() + interval '1 day', \
               cursor = 'forgotten', window_seen = 3 WHERE stream IN ('orders', 'charges')";
    plant(&app, sql).await;
    work(&app).await;
    assert!(standin.count("unauthorized") > 0, "{:?}", standin.requests());
    assert_same(&standin, &app).await;
    for (source, name) in [("shopify", "orders"), ("recharge", "charges"), ("recharge", "orders")] {
        assert_eq!(stream(&app, source, name).await["last_error"], json!(null));
    }
    app.finish().await;
    standin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_trails_its_writes_hides_nothing_for_good() {
    let (standin, app) = start().await;
    let before = orders(&standin, 1);
    work(&app).await;
    standin.set_search_lag(TimeDelta::minutes(5));
    app.advance(60);
    standin.change(|world| world.edit_quantity(before[0], world.order(before[0]).unwrap().line_ids()[0], 7).unwrap());
    work(&app).await;
    let units = async || -> i64 {
        sqlx::query_scalar("SELECT current_quantity FROM mirror.order_lines").fetch_one(&app.db.owner()).await.unwrap()
    };
    assert_eq!(units().await, 200, "the search shows it at once");
    app.advance(301);
    work(&app).await;
    assert_eq!(units().await, 7);
    app.finish().await;
    standin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_gave_what_one_search_can_is_closed_and_the_next_begins_there() {
    let (standin, app) = start_with(|mirror| mirror.window_most = 200).await;
    standin.change(|world| {
        let (_, variants) = world.add_product("Tea", &["TEA"]);
        let then = world.now() - TimeDelta::hours(2);
        for n in 0..800 {
            // Two in each second.
            world.create_order(NewOrder::of(&[(variants[0], 1)]).at(then + TimeDelta::seconds(n / 2))).unwrap();
        }
    });
    work(&app).await;
    assert_same(&standin, &app).await;
    let asked = standin.cursors("OrdersSeen");
    assert!(asked.len() >= 4 && asked.iter().all(Option::is_none), "a page of 250 closes a window of 200: {asked:?}");
    app.finish().await;
    standin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_copy_tells_how_far_it_is_and_what_it_cannot_see() {
    let (standin, app) = start().await;
    open_shop(&standin, 600);
    standin.change(|world| world.take_scope("read_all_orders"));
    // The second page is not to be had for now.
    standin.script_faults_of("OrdersSeen", &[None]);
    standin.script_faults_of("OrdersSeen", &[Some(Fault::Status(500)); 5]);
    work(&app).await;
    let orders = stream(&app, "shopify", "orders").await;
    assert_eq!(
        (&orders["phase"], &orders["backfill_seen"], &orders["backfill_expected"]),
        (&json!("backfill"), &json!(250), &json!(601))
    );
    assert!(
        orders["cursor"].is_string() && orders["window_from"].is_string() && orders["window_to"].is_string(),
        "{orders:#}"
    );
    assert!(orders["lag_seconds"].is_i64() && orders["watermark"].is_null(), "{orders:#}");
    assert!(orders["warning"].as_str().unwrap().contains("read_all_orders"), "{orders:#}");
    app.advance(120);
    work(&app).await;
    let orders = stream(&app, "shopify", "orders").await;
    assert_eq!((&orders["phase"], &orders["backfill_share"]), (&json!("incremental"), &json!(1.0)), "{orders:#}");
    assert!(orders["cursor"].is_null() && orders["watermark"].is_string());
    let products = stream(&app, "shopify", "products").await;
    assert_eq!((&products["backfill_expected"], &products["warning"]), (&json!(1), &json!(null)));
    app.finish().await;
    standin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_findings_are_exact() {
    let (standin, app) = start_with(|mirror| mirror.poll_interval = Duration::from_mins(5)).await;
    let ids = [9_007_199_254_740_993_i64, 9_007_199_254_740_995];
    for id in ids {
        let sql = format!(
            "INSERT INTO mirror.order_progress (source, order_id, revision, applied_revision, attempts, next_attempt_at, findings) \
             VALUES ('shopify', {id}, 1, 1, 0, '2026-01-01', '[{{\"code\": \"oversold\", \"detail\": \"by one\"}}]')"
        );
        plant(&app, &sql).await;
    }
    let first = app.client.get("/mirror/findings?limit=1").await.expect(200);
    assert_eq!(first.at("/data/0/order_id"), json!("9007199254740993"));
    let next = format!("/mirror/findings?limit=1&cursor={}", first.at("/next_cursor").as_str().unwrap());
    assert_eq!(app.client.get(&next).await.expect(200).at("/data/0/order_id"), json!("9007199254740995"));
    app.finish().await;
    standin.stop().await;
}
