//! Backfill, polls and the nightly comparison against a stand-in: complete whatever goes wrong, written once.

mod compare;
mod killed;
mod odd;
mod same;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{Days, TimeDelta};
use holdfast::demo::standin::{Faults, NewOrder, Options, StandIn, Webhooks};
use holdfast::mirror;
use holdfast::mirror::demand::apply::drain;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use self::same::assert_same;
use crate::support::TestApp;
use crate::support::standin::mirroring_with;

async fn start() -> (StandIn, TestApp) {
    start_with(|_| {}).await
}

async fn start_with(change: impl FnOnce(&mut mirror::Settings)) -> (StandIn, TestApp) {
    let options = Options { webhooks: Webhooks::Off, ..Options::default() };
    mirroring_with(options, |mirror| {
        mirror.since = Some("2020-01-01T00:00:00Z".parse().unwrap());
        mirror.settle = Duration::ZERO;
        change(mirror);
    })
    .await
}

/// One stream as `GET /mirror` shows it.
async fn stream(app: &TestApp, source: &str, name: &str) -> serde_json::Value {
    let mirror = app.client.get("/mirror").await.expect(200).json();
    let all = mirror["streams"].as_array().unwrap();
    all.iter().find(|of| of["source"] == source && of["stream"] == name).unwrap().clone()
}

/// Subscriptions of a product of their own, with charges that are paid, queued and failed, and orders that the shop knows
/// and does not know.
fn open_subscriptions(standin: &StandIn, count: u64) {
    standin.change(|world| {
        let (_, variants) = world.add_product("Coffee", &["COFFEE"]);
        for n in 0..count {
            let due = world.now().date_naive().checked_add_days(Days::new(n % 7)).unwrap();
            let of = world.subscribe(variants[0], 1, due).unwrap();
            match n % 5 {
                0 => world.process_charge(of.charge, true).map(drop).unwrap(),
                1 => world.process_charge(of.charge, false).map(drop).unwrap(),
                2 => world.fail_charge(of.charge).unwrap(),
                3 => {
                    world.process_charge(of.charge, true).unwrap();
                    world.prepay(of.charge, due).unwrap();
                }
                _ => {}
            }
        }
    });
}

/// The jobs that are due, and the claims that follow.
async fn work(app: &TestApp) {
    app.work().await;
    drain(&app.app, &CancellationToken::new()).await.unwrap();
}

/// A shop with a few hundred orders of two lines, one of them long, and some that have moved on.
fn open_shop(standin: &StandIn, orders: usize) -> Vec<i64> {
    standin.change(|world| {
        let (_, variants) = world.add_product("Tea", &["TEA", "CUP"]);
        world.add_location("Hall");
        let mut made = Vec::new();
        for n in 0..orders {
            let lines = [(variants[0], 2), (variants[1], 1)];
            let order = world.create_order(NewOrder::of(&lines)).unwrap();
            let line = world.order(order).unwrap().line_ids()[0];
            match n % 4 {
                1 => drop(world.fulfil(order, &[(line, 1)], None).unwrap()),
                2 => world.edit_quantity(order, line, 1).unwrap(),
                3 => world.cancel(order, true).unwrap(),
                _ => {}
            }
            made.push(order);
        }
        let many: Vec<(i64, i64)> = (0..130).map(|_| (variants[0], 1)).collect();
        made.push(world.create_order(NewOrder::of(&many)).unwrap());
        made
    })
}

/// On hand, committed.
async fn stock(app: &TestApp, sku: &str) -> (i64, i64) {
    let seen = app.availability(sku).await;
    (seen["on_hand_quantity"].as_i64().unwrap(), seen["committed_quantity"].as_i64().unwrap())
}

/// Units that are still to be sent, by the stand-in's own account.
fn owed(standin: &StandIn, orders: &[i64]) -> i64 {
    standin.look(|world| {
        let of = |id: &i64| {
            let order = world.order(*id).unwrap();
            order.lines.iter().map(|line| order.unfulfilled(line)).sum::<i64>()
        };
        orders.iter().map(of).sum()
    })
}

/// The version of every row that the mirror and the ledger have, but for what tells how it went.
async fn versions(app: &TestApp) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    for table in [
        "mirror.products",
        "mirror.variants",
        "mirror.locations",
        "mirror.orders",
        "mirror.order_lines",
        "mirror.fulfilments",
        "mirror.fulfilment_lines",
        "mirror.refunds",
        "mirror.refund_lines",
        "mirror.order_progress",
        "mirror.recharge_customers",
        "mirror.recharge_subscriptions",
        "mirror.recharge_charges",
        "mirror.recharge_orders",
        "mirror.recharge_lines",
        "demands",
        "demand_lines",
        "demand_claims",
        "reservations",
        "reservation_lines",
        "stock",
        "stock_entries",
        "shipments",
        "shipment_lines",
    ] {
        let sql = format!(
            "SELECT coalesce(md5(string_agg(x.xmin::text || x.ctid::text, ',' ORDER BY x.ctid)), '') FROM {table} AS x"
        );
        let version: String = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&app.db.owner()).await.unwrap();
        versions.insert(table.to_owned(), version);
    }
    versions
}

#[tokio::test(flavor = "multi_thread")]
async fn with_every_third_call_failing_the_copy_ends_complete_and_a_second_walk_writes_nothing() {
    let (standin, app) = start().await;
    app.stock("TEA", 1000).await;
    app.stock("CUP", 1000).await;
    let orders = open_shop(&standin, 300);
    open_subscriptions(&standin, 60);
    standin.set_faults(Faults::all(300));
    // A stream that fails is tried again by the clock of jobs; nothing here waits for real time but the client.
    let mut mirror = json!(null);
    let converged = async {
        for _ in 0..30 {
            work(&app).await;
            app.advance(60);
            mirror = app.client.get("/mirror").await.expect(200).json();
            let done = |stream: &serde_json::Value| stream["backfilled_at"].is_string();
            if mirror["streams"].as_array().unwrap().iter().all(done) && mirror["orders"]["pending"] == json!(0) {
                return true;
            }
        }
        false
    };
    assert!(converged.await, "it does not get there while every third call fails: {mirror:#}");
    assert!(standin.count("faults") >= 5, "{:?}", standin.requests());
    assert_same(&standin, &app).await;
    standin.set_faults(Faults::none());
    app.advance(60);
    work(&app).await;
    let (tea, cup) = (stock(&app, "TEA").await, stock(&app, "CUP").await);
    assert_eq!(tea.1 + cup.1, owed(&standin, &orders), "claimed once each");
    assert_eq!(tea.0, 1000 - 75, "a parcel of one unit left for every fourth order");

    // Again over unchanged data: ids are looked at, nothing is fetched and nothing is written.
    let before = versions(&app).await;
    holdfast::mirror::streams::backfill::begin_again(&app.app, false).await.unwrap();
    standin.forget_requests();
    app.advance(600);
    work(&app).await;
    assert_eq!(versions(&app).await, before);
    assert!(standin.count("OrdersSeen") > 0, "{:?}", standin.requests());
    app.finish().await;
    standin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_polls_miss_the_comparison_finds_and_what_is_gone_gives_back_its_claim() {
    let (standin, app) = start().await;
    app.stock("TEA", 100).await;
    app.stock("CUP", 100).await;
    let orders = open_shop(&standin, 4);
    work(&app).await;
    assert_eq!(stock(&app, "TEA").await.1 + stock(&app, "CUP").await.1, owed(&standin, &orders));
    // Whoever reads a number is told how far behind the orders are.
    app.advance(7);
    holdfast::mirror::lag::look(&app.app).await.unwrap();
    let lag = app.availability("TEA").await["mirror_lag_seconds"].as_i64().unwrap();
    assert!((7..60).contains(&lag), "{lag}");
    // Deleted: no poll will ever show it again.
    standin.change(|world| world.delete_order(orders[0]).unwrap());
    app.advance(TimeDelta::hours(25).num_seconds());
    work(&app).await;
    let gone: bool = sqlx::query_scalar("SELECT deleted_at IS NOT NULL FROM mirror.orders WHERE order_id = $1")
        .bind(orders[0])
        .fetch_one(&app.db.owner())
        .await
        .unwrap();
    assert!(gone);
    assert_eq!(stock(&app, "TEA").await.1 + stock(&app, "CUP").await.1, owed(&standin, &orders[1..]));
    app.finish().await;
    standin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_recharge_and_its_shopify_order_are_one_claim_whichever_comes_first() {
    for recharge_first in [true, false] {
        let (standin, app) = start().await;
        app.stock("TEA", 100).await;
        let order = standin.change(|world| {
            let (_, variants) = world.add_product("Tea", &["TEA"]);
            let subscribed = world.subscribe(variants[0], 3, world.now().date_naive()).unwrap();
            world.process_charge(subscribed.charge, false).unwrap()
        });
        if recharge_first {
            // It is not known to be one of the shop's: it claims by itself.
            work(&app).await;
            assert_eq!(stock(&app, "TEA").await.1, 3);
        }
        app.advance(60);
        let shop_order = standin.change(|world| world.make_in_shop(order).unwrap());
        if !recharge_first {
            work(&app).await;
        }
        app.advance(60);
        standin.change(|world| world.name_shop_order(order, shop_order).unwrap());
        for _ in 0..2 {
            app.advance(60);
            work(&app).await;
        }
        assert_eq!(stock(&app, "TEA").await, (100, 3), "recharge first: {recharge_first}");
        // And it ships once.
        standin.change(|world| world.fulfil_rest(shop_order, None).unwrap());
        app.advance(60);
        work(&app).await;
        assert_eq!(stock(&app, "TEA").await, (97, 0), "recharge first: {recharge_first}");
        app.finish().await;
        standin.stop().await;
    }
}
