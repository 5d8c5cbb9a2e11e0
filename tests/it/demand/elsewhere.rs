//! The same order in another system, in another pool, by another reservation, or back again.

use super::*;
use crate::support::copies::plant;

/// A processed order of Recharge, due to be applied, of so many units of a SKU; the shop's order that it is, if known.
async fn recharge(shop: &Shop, id: i64, sku: &str, quantity: i64, shop_order: Option<i64>) {
    let external = shop_order.map_or("NULL".to_owned(), |id| id.to_string());
    let sql = format!(
        "INSERT INTO mirror.recharge_orders (order_id, status, prepaid, processed_at, external_order_id, updated_at, fetched_at, document) \
         VALUES ({id}, 'success', false, '2026-11-21', {external}, '2026-11-21', '2026-11-21', '{{}}') \
         ON CONFLICT (order_id) DO UPDATE SET external_order_id = {external}, updated_at = '2026-11-22'; \
         INSERT INTO mirror.recharge_lines (owner, owner_id, position, sku, title, quantity) \
         VALUES ('order', {id}, 0, '{sku}', '{sku}', {quantity}) ON CONFLICT DO NOTHING; \
         INSERT INTO mirror.order_progress (source, order_id, revision, applied_revision, attempts, next_attempt_at) \
         VALUES ('recharge', {id}, 1, 0, 0, '2026-01-01') \
         ON CONFLICT (source, order_id) DO UPDATE SET revision = order_progress.revision + 1"
    );
    plant(&shop.app, &sql).await;
    apply(shop).await;
}

async fn committed(shop: &Shop) -> Vec<(String, i64)> {
    let sql = "SELECT code, committed FROM stock JOIN pools USING (pool_id) ORDER BY code";
    sqlx::query_as(sql).fetch_all(&shop.owner).await.unwrap()
}

fn in_pools(default: i64, eu: i64) -> Vec<(String, i64)> {
    vec![("default".to_owned(), default), ("eu".to_owned(), eu)]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_recharge_gives_up_its_claim_in_another_pool_than_its_shopify_order_claims_in() {
    for shop_first in [false, true] {
        let shop = Shop::open(|_| {}).await;
        shop.app.pool("eu").await;
        shop.app.stock("TEA", 10).await;
        shop.app.stock_in("eu", "TEA", 10).await;
        let made = Order { pool_code: Some("eu".to_owned()), ..order(1, &[(1, "TEA", 3)]) };
        recharge(&shop, 900, "TEA", 3, None).await;
        assert_eq!(committed(&shop).await, in_pools(3, 0));
        if shop_first {
            shop.tell(&made).await;
            assert_eq!(committed(&shop).await, in_pools(3, 3), "nothing tells yet that both are one");
        }
        recharge(&shop, 900, "TEA", 3, Some(1)).await;
        for state in [made.later(), made.later().later()] {
            shop.tell(&state).await;
            assert_eq!(committed(&shop).await, in_pools(0, 3), "shop first: {shop_first}");
        }
        shop.app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_orders_of_recharge_that_are_one_shopify_order_are_one_claim() {
    let shop = Shop::open(|_| {}).await;
    shop.app.stock("TEA", 10).await;
    recharge(&shop, 900, "TEA", 1, None).await;
    recharge(&shop, 901, "TEA", 2, None).await;
    assert_eq!(shop.balance("TEA").await, (10, 0, 0, 3));
    recharge(&shop, 900, "TEA", 1, Some(1)).await;
    recharge(&shop, 901, "TEA", 2, Some(1)).await;
    let made = order(1, &[(1, "TEA", 3)]);
    shop.tell(&made).await;
    assert_eq!(shop.balance("TEA").await, (10, 0, 0, 3));
    // A third one is found to be the same order later: it never claims.
    recharge(&shop, 902, "TEA", 1, Some(1)).await;
    shop.tell(&made.later()).await;
    assert_eq!(shop.balance("TEA").await, (10, 0, 0, 3));
    shop.tell(&made.later().sent(10, &[(1, 3)])).await;
    assert_eq!(shop.balance("TEA").await, (7, 0, 0, 0));
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reservation_that_was_held_for_longer_again_and_again_is_the_orders_claim() {
    let shop = Shop::open(|_| {}).await;
    shop.app.stock("TEA", 10).await;
    let first = shop.hold(&[("TEA", 2)]).await;
    let mut newest = first.clone();
    for _ in 0..3 {
        shop.app.advance(7200);
        let path = format!("/reservations/{newest}/extend");
        newest = shop.app.client.post(&path, &json!({})).await.expect(200).id();
    }
    assert_ne!(first, newest);
    assert_eq!(shop.balance("TEA").await, (10, 0, 2, 0));
    shop.tell(&Order { reservation_id: Some(first), ..order(1, &[(1, "TEA", 1)]) }).await;
    assert_eq!(shop.balance("TEA").await, (10, 0, 0, 1), "and what the order did not take of it goes back");
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_opened_again_claims_again_and_may_oversell() {
    let shop = Shop::open(|_| {}).await;
    shop.app.stock("TEA", 5).await;
    let sent = order(1, &[(1, "TEA", 4)]).sent(10, &[(1, 1)]);
    let cancelled = sent.cancelled();
    shop.tell(&cancelled).await;
    assert_eq!(shop.balance("TEA").await, (4, 0, 0, 0));
    shop.hold(&[("TEA", 3)]).await;
    let mut open = cancelled.later();
    open.cancelled_at = None;
    open.lines[0].unfulfilled_quantity = 3;
    open.lines[0].current_quantity = 4;
    shop.tell(&open).await;
    assert_eq!(shop.balance("TEA").await, (4, 0, 3, 3));
    assert_eq!(shop.findings(1).await, ["oversold"]);
    let told: Value =
        sqlx::query_scalar("SELECT findings FROM mirror.order_progress").fetch_one(&shop.owner).await.unwrap();
    assert_eq!(told[0]["detail"], json!("2 units of TEA were claimed that stock cannot cover"));
    // What was oversold before is no news of another order's claim, and of one that claims nothing at all.
    shop.tell(&order(2, &[(1, "TEA", 1)])).await;
    let told: Value = sqlx::query_scalar("SELECT findings FROM mirror.order_progress WHERE order_id = 2")
        .fetch_one(&shop.owner)
        .await
        .unwrap();
    assert_eq!(told[0]["detail"], json!("1 units of TEA were claimed that stock cannot cover"));
    shop.tell(&order(2, &[(1, "TEA", 1)]).later().cancelled()).await;
    assert_eq!(shop.findings(2).await, [""; 0]);
    shop.app.finish().await;
}
