//! What mirrored orders claim, ship and bring back.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use holdfast::clock::Clock;
use holdfast::mirror::demand::apply::drain;
use holdfast::mirror::rows::Order;
use holdfast::mirror::settings::{OrderPolicy, RechargeSettings, ShopifyAccess, ShopifySettings};
use holdfast::mirror::{self, store};
use scoped_futures::ScopedFutureExt;
use serde_json::{Value, json};
use sqlx::{PgPool, Row};
use tokio_util::sync::CancellationToken;

use crate::support::app::{cart, settings};
use crate::support::{TestApp, db};

mod elsewhere;
mod kits;
mod lives;
mod meanings;
mod orders;
mod restocks;
mod shuffles;
mod unpaid;

use orders::{Life, line, order};

/// A service that copies from a shop and from Recharge, neither of which is ever asked.
pub struct Shop {
    pub app: TestApp,
    pub owner: PgPool,
}

impl Shop {
    pub async fn open(change: impl FnOnce(&mut mirror::Settings)) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let nowhere = Some("http://127.0.0.1:9".to_owned());
        let mut copied = mirror::Settings {
            shopify: Some(ShopifySettings {
                shop: "test.myshopify.com".to_owned(),
                access: ShopifyAccess::Token("token".into()),
                webhook_secrets: Vec::new(),
                base_url: nowhere.clone(),
            }),
            recharge: Some(RechargeSettings {
                token: "token".into(),
                webhook_secrets: Vec::new(),
                legacy_signatures: true,
                base_url: nowhere,
            }),
            ..mirror::Settings::default()
        };
        change(&mut copied);
        let test = Arc::new(db::fresh().await);
        let owner = test.owner();
        let app = TestApp::start_mirroring(test, Clock::new(), settings(), copied).await;
        let mut conn = owner.begin().await.unwrap();
        store::become_the_mirror(&mut conn).await.unwrap();
        sqlx::query("INSERT INTO mirror.beginnings VALUES ('shopify', '2026-11-20'), ('recharge', '2026-11-20')")
            .execute(&mut *conn)
            .await
            .unwrap();
        conn.commit().await.unwrap();
        Self { app, owner }
    }

    /// Puts the same number of units of each on the shelf.
    pub async fn stock_all(&self, skus: &[String], quantity: i64) {
        let mut file = String::from("sku,lot_code,quantity,unit_cost,currency,received_date,source_ref\n");
        for sku in skus {
            writeln!(file, "{sku},L,{quantity},1.00,EUR,2026-01-15,po-{sku}").unwrap();
        }
        self.app
            .client
            .post_bytes("/lots/import?create_skus=true", &[("content-type", "text/csv")], file.into_bytes())
            .await
            .expect(200);
    }

    /// On hand, quarantined, held, committed by SKU code, in every pool.
    pub async fn balances(&self) -> HashMap<String, (i64, i64, i64, i64)> {
        let sql =
            "SELECT code, sum(on_hand)::bigint, sum(quarantined)::bigint, sum(held)::bigint, sum(committed)::bigint
            FROM stock JOIN skus USING (sku_id) GROUP BY code";
        let rows = sqlx::query(sql).fetch_all(&self.owner).await.unwrap();
        rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2), row.get(3), row.get(4)))).collect()
    }

    /// Holds a cart; its id.
    pub async fn hold(&self, skus: &[(&str, i64)]) -> String {
        self.app.client.post("/reservations", &cart(skus)).await.expect(201).id()
    }

    /// The balance of one SKU: on hand, quarantined, held, committed.
    pub async fn balance(&self, sku: &str) -> (i64, i64, i64, i64) {
        self.balances().await[sku]
    }

    /// Tells a state of an order and applies it.
    pub async fn tell(&self, order: &Order) {
        copy(self, std::slice::from_ref(order)).await;
        apply(self).await;
    }

    /// Codes of what an operator should know about an order.
    pub async fn findings(&self, order: i64) -> Vec<String> {
        let sql = "SELECT coalesce(jsonb_path_query_array(findings, '$[*].code'), '[]') FROM mirror.order_progress WHERE order_id = $1";
        let found: Value = sqlx::query_scalar(sql).bind(order).fetch_one(&self.owner).await.unwrap();
        found.as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned()).collect()
    }
}

/// Writes states of orders as a poll would.
pub async fn copy(shop: &Shop, orders: &[Order]) {
    store::write(&shop.app.app.db, "test", |conn| store::write_orders(conn, orders).scope_boxed()).await.unwrap();
}

/// Applies what is pending.
pub async fn apply(shop: &Shop) {
    drain(&shop.app.app, &CancellationToken::new()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_nobody_reserved_claims_once_and_may_oversell() {
    let shop = Shop::open(|_| {}).await;
    shop.app.stock("TEA", 5).await;
    let made = order(1001, &[(1, "TEA", 3), (2, "TEA", 4)]);
    shop.tell(&made).await;
    assert_eq!(shop.balance("TEA").await, (5, 0, 0, 7));
    let oversells = shop.app.client.get("/oversells?status=open&sku=TEA").await.expect(200).json();
    assert_eq!(oversells["data"][0]["unresolved_quantity"], json!(2), "{oversells}");
    assert_eq!(shop.findings(1001).await, ["oversold"]);
    // The same again, whatever made it pending.
    shop.tell(&made.later()).await;
    assert_eq!(shop.balance("TEA").await, (5, 0, 0, 7));
    let claims = shop.app.client.get("/reservations?order_ref=1001").await.expect(200).json();
    assert_eq!(claims["data"].as_array().unwrap().len(), 1, "{claims}");
    assert_eq!(claims["data"][0]["origin"], json!("order"));
    // Fewer, then none: the claim follows by the difference.
    shop.tell(&made.later().edited(2, 1)).await;
    assert_eq!(shop.balance("TEA").await, (5, 0, 0, 4));
    shop.tell(&made.later().edited(2, 1).cancelled()).await;
    assert_eq!(shop.balance("TEA").await, (5, 0, 0, 0));
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checkouts_reservation_is_the_orders_claim() {
    let shop = Shop::open(|_| {}).await;
    shop.app.stock("TEA", 10).await;
    shop.app.stock("CUP", 10).await;
    // Named by the order, and more was held than was bought in the end.
    let held = shop.hold(&[("TEA", 3), ("CUP", 1)]).await;
    let named = mirror::rows::Order { reservation_id: Some(held.clone()), ..order(1, &[(1, "TEA", 2)]) };
    shop.tell(&named).await;
    assert_eq!(shop.balance("TEA").await, (10, 0, 0, 2));
    assert_eq!(shop.balance("CUP").await, (10, 0, 0, 0));

    // Committed by the checkout before the order is seen, under the name that people use.
    let held = shop.hold(&[("TEA", 3)]).await;
    let commit = format!("/reservations/{held}/commit");
    shop.app.client.post(&commit, &json!({"order_ref": "#2"})).await.expect(200);
    shop.tell(&order(2, &[(1, "TEA", 3)])).await;
    assert_eq!(shop.balance("TEA").await, (10, 0, 0, 5));

    // And after it: what the order had claimed for itself makes way.
    let held = shop.hold(&[("TEA", 4)]).await;
    shop.tell(&order(3, &[(1, "TEA", 4)])).await;
    assert_eq!(shop.balance("TEA").await, (10, 0, 4, 9));
    let commit = format!("/reservations/{held}/commit");
    shop.app.client.post(&commit, &json!({"order_ref": "3"})).await.expect(200);
    assert_eq!(shop.balance("TEA").await, (10, 0, 0, 9));

    // The same order by its other name is no other order.
    shop.app.client.post(&commit, &json!({"order_ref": "#3"})).await.expect(200);

    // Paid for too late, when the order has claimed for itself: it is claimed once.
    let lapsed = shop.hold(&[("TEA", 1)]).await;
    shop.app.advance(3600);
    shop.tell(&order(5, &[(1, "TEA", 1)])).await;
    let late = shop.app.client.post(&format!("/reservations/{lapsed}/commit"), &json!({"order_ref": "5"})).await;
    let late = late.expect(200);
    assert_eq!((late.at("/origin"), late.at("/reclaimed")), (json!("order"), json!(true)));
    assert_eq!(shop.balance("TEA").await, (10, 0, 0, 10));

    // A reservation is one order's.
    let thief = mirror::rows::Order { reservation_id: Some(held.clone()), ..order(4, &[(1, "TEA", 1)]) };
    shop.tell(&thief).await;
    assert_eq!(shop.balance("TEA").await, (10, 0, 0, 11));
    assert_eq!(shop.findings(4).await, ["reservation_of_another_order", "oversold"]);
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parcels_ship_from_the_pool_of_their_location_and_leave_the_claim_of_the_rest() {
    let shop = Shop::open(|_| {}).await;
    shop.app.pool("eu").await;
    shop.app.stock("TEA", 10).await;
    shop.app.stock_in("eu", "TEA", 10).await;
    sqlx::query("INSERT INTO location_pools SELECT 77, pool_id, 0, now() FROM pools WHERE code = 'eu'")
        .execute(&shop.owner)
        .await
        .unwrap();
    let made = order(1, &[(1, "TEA", 5)]);
    shop.tell(&made).await;
    let mut sent = made.sent(10, &[(1, 2)]);
    sent.fulfilments[0].location_id = Some(77);
    shop.tell(&sent).await;
    let of = |pool: &'static str| {
        let path = format!("/availability?sku=TEA&pool={pool}");
        let client = shop.app.client.clone();
        async move {
            let seen = client.get(&path).await.expect(200).at("/data/0");
            (seen["on_hand_quantity"].clone(), seen["committed_quantity"].clone())
        }
    };
    assert_eq!(of("eu").await, (json!(8), json!(0)));
    assert_eq!(of("default").await, (json!(10), json!(3)));
    // Where it was recorded it stays, whatever its location means since; and what came back is back there.
    sqlx::query("DELETE FROM location_pools").execute(&shop.owner).await.unwrap();
    shop.tell(&sent.refunded(20, 1, 1, "RETURN")).await;
    assert_eq!(of("eu").await, (json!(9), json!(0)));
    assert_eq!(of("default").await, (json!(10), json!(3)));
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_left_before_the_mirror_began_moves_nothing() {
    let shop = Shop::open(|_| {}).await;
    shop.app.stock("TEA", 10).await;
    let mut old = order(1, &[(1, "TEA", 5)]).sent(10, &[(1, 3)]);
    old.fulfilments[0].created_at = "2026-11-01T00:00:00Z".parse().unwrap();
    shop.tell(&old).await;
    assert_eq!(shop.balance("TEA").await, (10, 0, 0, 2));
    // One of the old ones comes back: taken at its word, at the newest lot's cost.
    shop.tell(&old.refunded(20, 1, 1, "RETURN")).await;
    assert_eq!(shop.balance("TEA").await, (11, 1, 0, 2));
    // An order of which nothing is owed any more leaves no trace.
    let mut done = order(2, &[(1, "TEA", 5)]).sent(11, &[(1, 5)]);
    done.fulfilments[0].created_at = "2026-11-01T00:00:00Z".parse().unwrap();
    shop.tell(&done).await;
    let known: i64 = sqlx::query_scalar("SELECT count(*) FROM demands").fetch_one(&shop.owner).await.unwrap();
    assert_eq!(known, 1);
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tests_and_unpaid_orders_follow_the_settings() {
    let shop = Shop::open(|mirror| mirror.unpaid_orders = OrderPolicy::Hold).await;
    shop.app.stock("TEA", 10).await;
    let test = Order { test: true, ..order(1, &[(1, "TEA", 1)]) };
    shop.tell(&test).await;
    assert_eq!(shop.balance("TEA").await, (10, 0, 0, 0));
    let pending = |id| Order { financial_status: Some("PENDING".to_owned()), ..order(id, &[(1, "TEA", 2)]) };
    shop.tell(&pending(2)).await;
    shop.tell(&pending(3)).await;
    assert_eq!(shop.balance("TEA").await, (10, 0, 4, 0));
    // Paid: the hold becomes the claim. Cancelled: it goes back. A word not known yet is taken for paid.
    shop.tell(&Order { financial_status: Some("SETTLED_BY_MAGIC".to_owned()), ..pending(2).later() }).await;
    shop.tell(&pending(3).cancelled()).await;
    assert_eq!(shop.balance("TEA").await, (10, 0, 0, 2));
    shop.app.finish().await;

    let shop = Shop::open(|mirror| {
        mirror.unpaid_orders = OrderPolicy::Ignore;
        mirror.test_orders = OrderPolicy::Commit;
    })
    .await;
    shop.app.stock("TEA", 10).await;
    shop.tell(&test).await;
    shop.tell(&pending(2)).await;
    assert_eq!(shop.balance("TEA").await, (10, 0, 0, 1));
    // Cash on delivery: it has left all the same.
    shop.tell(&pending(2).sent(10, &[(1, 2)])).await;
    assert_eq!(shop.balance("TEA").await, (8, 0, 0, 1));
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_nobody_can_tell_waits_and_drops_nothing() {
    let shop = Shop::open(|_| {}).await;
    shop.app.stock("TEA", 10).await;
    let held = shop.hold(&[("TEA", 2)]).await;
    let mut made = order(1, &[(1, "TEA", 1), (2, "NOBODY-KNOWS", 2)]);
    made.reservation_id = Some(held);
    shop.tell(&made).await;
    // The unknown line may be what the cart held, so nothing of the claims is given up for it.
    let unmatched = shop.app.client.get("/mirror/unmatched").await.expect(200).json();
    assert_eq!(unmatched["data"].as_array().unwrap().len(), 1, "{unmatched}");
    shop.app.client.post("/skus", &json!({"code": "NOBODY-KNOWS"})).await.expect(201);
    shop.tell(&made.later()).await;
    assert_eq!(shop.balance("NOBODY-KNOWS").await, (0, 0, 0, 2));
    let unmatched = shop.app.client.get("/mirror/unmatched").await.expect(200).json();
    assert_eq!(unmatched["data"], json!([]));
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_order_gives_back_what_has_not_left_and_an_older_state_never_comes_back() {
    let shop = Shop::open(|_| {}).await;
    shop.app.stock("TEA", 10).await;
    let made = order(1, &[(1, "TEA", 5)]);
    let sent = made.sent(10, &[(1, 2)]);
    shop.tell(&sent).await;
    assert_eq!(shop.balance("TEA").await, (8, 0, 0, 3));
    shop.tell(&made).await;
    assert_eq!(shop.balance("TEA").await, (8, 0, 0, 3), "an older copy");
    let mut conn = shop.owner.begin().await.unwrap();
    store::become_the_mirror(&mut conn).await.unwrap();
    store::gone::mark(&mut conn, store::seen::Kind::Order, &[1], shop.app.clock.local_now()).await.unwrap();
    conn.commit().await.unwrap();
    apply(&shop).await;
    assert_eq!(shop.balance("TEA").await, (8, 0, 0, 0));
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_line_is_known_by_its_code() {
    let shop = Shop::open(|_| {}).await;
    shop.app.stock("TEA", 10).await;
    let made = order(1, &[]).added(line(9, "TEA", 1));
    shop.tell(&made).await;
    assert_eq!(shop.balance("TEA").await, (10, 0, 0, 1));
    shop.app.finish().await;
}
