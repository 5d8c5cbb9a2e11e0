//! The comparison: what neither polls nor webhooks told is found, however old it is.

use chrono::TimeDelta;
use holdfast::demo::standin::{NewOrder, StandIn, World};
use holdfast::mirror::streams::{backfill, reconcile};
use sqlx::AssertSqlSafe;
use tokio_util::sync::CancellationToken;

use super::same::assert_same;
use super::{start, stream, versions, work};
use crate::support::TestApp;

/// The comparison alone: no poll and no webhook tells of anything.
async fn compare(app: &TestApp) {
    let tally = reconcile::run(&app.app, &CancellationToken::new()).await;
    assert!(tally.failed.is_empty(), "{tally:?}");
}

/// What there is one of, and how it goes.
struct Case {
    table: &'static str,
    key: &'static str,
    id: i64,
    delete: fn(&mut World, i64),
    /// Whether it is marked gone, and whether it still is where it was last changed months ago.
    marked: (bool, bool),
}

/// One of everything that can go, and what only seems to.
fn everything(standin: &StandIn) -> Vec<Case> {
    standin.change(|world| {
        let (product, variants) = world.add_product("Tea", &["TEA"]);
        let order = world.create_order(NewOrder::of(&[(variants[0], 2)])).unwrap();
        let sent = world.create_order(NewOrder::of(&[(variants[0], 1)])).unwrap();
        world.fulfil_rest(sent, None).unwrap();
        let due = world.now().date_naive();
        let of = world.subscribe(variants[0], 1, due).unwrap();
        let paid = world.subscribe(variants[0], 1, due).unwrap().charge;
        let made = world.process_charge(paid, false).unwrap();
        let queued = world.prepay(paid, due).unwrap();
        let (gone, standing, never) = ((true, true), (true, true), (false, false));
        let case = |table, key, id, delete, marked| Case { table, key, id, delete, marked };
        vec![
            case("products", "product_id", product, |world, id| world.delete_product(id).unwrap(), gone),
            case("variants", "variant_id", variants[0], |_, _| {}, gone),
            case("orders", "order_id", order, |world, id| world.delete_order(id).unwrap(), standing),
            // Nothing hangs on it any more: it is not asked for for ever.
            case("orders", "order_id", sent, |world, id| world.delete_order(id).unwrap(), (true, false)),
            case(
                "recharge_customers",
                "customer_id",
                of.customer,
                |world, id| world.delete_customer(id).unwrap(),
                (true, false),
            ),
            case(
                "recharge_subscriptions",
                "subscription_id",
                of.subscription,
                |world, id| world.delete_subscription(id).unwrap(),
                standing,
            ),
            case("recharge_charges", "charge_id", of.charge, |world, id| world.delete_charge(id).unwrap(), standing),
            // Recharge stops showing paid charges after 90 days.
            case("recharge_charges", "charge_id", paid, |world, id| world.delete_charge(id).unwrap(), never),
            case("recharge_orders", "order_id", made, |world, id| world.delete_recharge_order(id).unwrap(), standing),
            case("recharge_orders", "order_id", queued, |world, id| world.delete_recharge_order(id).unwrap(), standing),
        ]
    })
}

async fn is_marked(app: &TestApp, case: &Case) -> bool {
    let sql = format!("SELECT deleted_at IS NOT NULL FROM mirror.{} WHERE {} = {}", case.table, case.key, case.id);
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&app.db.owner()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_gone_is_marked_and_nothing_else_however_long_ago_it_last_changed() {
    for (passed, is_old) in [(TimeDelta::hours(1), false), (TimeDelta::days(70), true)] {
        let (standin, app) = start().await;
        let cases = everything(&standin);
        work(&app).await;
        for case in &cases {
            assert!(!is_marked(&app, case).await, "{} {} before", case.table, case.id);
        }
        app.advance(passed.num_seconds());
        standin.change(|world| cases.iter().for_each(|case| (case.delete)(world, case.id)));
        compare(&app).await;
        for case in &cases {
            let expected = if is_old { case.marked.1 } else { case.marked.0 };
            assert_eq!(is_marked(&app, case).await, expected, "{} {}, {passed}", case.table, case.id);
        }
        app.finish().await;
        standin.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_changed_and_was_never_told_is_found() {
    let (standin, app) = start().await;
    let cases = everything(&standin);
    work(&app).await;
    assert_same(&standin, &app).await;
    app.advance(3600);
    let id = |table: &str, at: usize| cases.iter().filter(|case| case.table == table).nth(at).unwrap().id;
    standin.change(|world| {
        world.rename_sku(id("variants", 0), "TEA-2").unwrap();
        let line = world.order(id("orders", 0)).unwrap().line_ids()[0];
        world.edit_quantity(id("orders", 0), line, 1).unwrap();
        world.cancel(id("orders", 1), false).unwrap();
        world.change_subscription_quantity(id("recharge_subscriptions", 0), 4).unwrap();
        world.fail_charge(id("recharge_charges", 0)).unwrap();
        world.cancel_recharge_order(id("recharge_orders", 1)).unwrap();
    });
    compare(&app).await;
    assert_same(&standin, &app).await;
    app.finish().await;
    standin.stop().await;
}

/// Changes an order and a product so that neither says so.
fn change_silently(standin: &StandIn, cases: &[Case], sku: &str) {
    let id = |table: &str| cases.iter().find(|case| case.table == table).unwrap().id;
    standin.change(|world| {
        world.close_silently(id("orders")).unwrap();
        world.rename_sku_silently(id("variants"), sku).unwrap();
    });
}

/// Whether the copies of both are as they are.
async fn is_known(app: &TestApp, sku: &str) -> (bool, bool) {
    let sql = "SELECT EXISTS (SELECT FROM mirror.orders WHERE closed_at IS NOT NULL AND cancelled_at IS NULL), \
               EXISTS (SELECT FROM mirror.variants WHERE sku = $1)";
    sqlx::query_as(sql).bind(sku).fetch_one(&app.db.owner()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_and_says_it_did_not_is_found_once_a_week() {
    let (standin, app) = start().await;
    let cases = everything(&standin);
    work(&app).await;
    app.advance(TimeDelta::days(1).num_seconds());
    change_silently(&standin, &cases, "TEA-2");
    compare(&app).await;
    assert_eq!(is_known(&app, "TEA-2").await, (false, false), "a comparison of every day takes them at their word");
    app.advance(TimeDelta::days(6).num_seconds());
    compare(&app).await;
    assert_eq!(is_known(&app, "TEA-2").await, (true, true));
    let before = versions(&app).await;
    assert!(stream(&app, "shopify", "orders").await["deep_reconciled_at"].is_string());
    // A week later again, and nothing is written that does not differ.
    app.advance(TimeDelta::days(7).num_seconds());
    compare(&app).await;
    let changed: Vec<_> = versions(&app).await.into_iter().filter(|(table, now)| before[table] != *now).collect();
    assert!(changed.is_empty(), "{changed:?}");
    app.finish().await;
    standin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_and_says_it_did_not_is_found_when_everything_is_fetched_again() {
    let (standin, app) = start().await;
    let cases = everything(&standin);
    work(&app).await;
    // So long after that no poll looks at it once more.
    app.advance(3600);
    work(&app).await;
    change_silently(&standin, &cases, "TEA-2");
    backfill::begin_again(&app.app, false).await.unwrap();
    app.advance(60);
    work(&app).await;
    assert_eq!(is_known(&app, "TEA-2").await, (false, false), "what says that it has not changed is not fetched");
    backfill::begin_again(&app.app, true).await.unwrap();
    assert_eq!(stream(&app, "shopify", "orders").await["refetching"], true);
    app.advance(60);
    work(&app).await;
    assert_eq!(is_known(&app, "TEA-2").await, (true, true));
    assert_eq!(stream(&app, "shopify", "orders").await["refetching"], false);
    assert_same(&standin, &app).await;
    app.finish().await;
    standin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_change_in_the_second_of_the_first_is_found_by_the_next_poll() {
    let (standin, app) = start().await;
    let cases = everything(&standin);
    work(&app).await;
    assert_eq!(is_known(&app, "TEA-2").await, (false, false));
    // Whole seconds are told: to the mirror this is the same change.
    change_silently(&standin, &cases, "TEA-2");
    app.advance(30);
    work(&app).await;
    assert_eq!(is_known(&app, "TEA-2").await, (true, true));
    app.finish().await;
    standin.stop().await;
}
