//! What orders that wait for their money hold: never what their checkout has already.

use super::*;

async fn open() -> Shop {
    let shop = Shop::open(|mirror| {
        mirror.unpaid_orders = OrderPolicy::Hold;
        mirror.test_orders = OrderPolicy::Hold;
    })
    .await;
    shop.app.stock("TEA", 10).await;
    shop.app.stock("CUP", 10).await;
    shop
}

fn pending(order: Order) -> Order {
    Order { financial_status: Some("PENDING".to_owned()), ..order }
}

fn paid(order: &Order) -> Order {
    Order { financial_status: Some("PAID".to_owned()), ..order.later() }
}

async fn commit(shop: &Shop, reservation: &str, order: &str) {
    let path = format!("/reservations/{reservation}/commit");
    shop.app.client.post(&path, &json!({"order_ref": order})).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_checkout_has_is_not_held_again() {
    let shop = open().await;
    // Named by the order: the two are held, the third is not.
    let held = shop.hold(&[("TEA", 2)]).await;
    let named = pending(Order { reservation_id: Some(held), ..order(1, &[(1, "TEA", 3)]) });
    shop.tell(&named).await;
    assert_eq!(shop.balance("TEA").await, (10, 0, 3, 0));
    shop.tell(&paid(&named)).await;
    assert_eq!(shop.balance("TEA").await, (10, 0, 0, 3));

    // Committed by the checkout before the order is seen.
    let held = shop.hold(&[("CUP", 2)]).await;
    commit(&shop, &held, "2").await;
    let called = pending(order(2, &[(1, "CUP", 2)]));
    shop.tell(&called).await;
    assert_eq!(shop.balance("CUP").await, (10, 0, 0, 2));
    shop.tell(&paid(&called)).await;
    assert_eq!(shop.balance("CUP").await, (10, 0, 0, 2));
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_held_before_the_checkout_told_of_its_own_is_given_back() {
    let shop = open().await;
    let held = shop.hold(&[("TEA", 2)]).await;
    let early = pending(order(1, &[(1, "TEA", 2)]));
    shop.tell(&early).await;
    assert_eq!(shop.balance("TEA").await, (10, 0, 4, 0), "nobody has told yet that both are one");
    commit(&shop, &held, "#1").await;
    shop.tell(&early.later()).await;
    assert_eq!(shop.balance("TEA").await, (10, 0, 0, 2));
    shop.tell(&paid(&early.later())).await;
    assert_eq!(shop.balance("TEA").await, (10, 0, 0, 2));

    // Told with the payment: the checkout's is the claim, and the other goes back at once.
    let held = shop.hold(&[("CUP", 2)]).await;
    let early = pending(order(2, &[(1, "CUP", 2)]));
    shop.tell(&early).await;
    assert_eq!(shop.balance("CUP").await, (10, 0, 4, 0));
    shop.tell(&Order { reservation_id: Some(held), ..paid(&early) }).await;
    assert_eq!(shop.balance("CUP").await, (10, 0, 0, 2));
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_follows_the_order_and_for_no_longer() {
    let shop = open().await;
    let made = pending(order(1, &[(1, "TEA", 2)]));
    let expires = async || -> chrono::DateTime<chrono::Utc> {
        let sql = "SELECT max(expires_at) FROM reservations WHERE state = 'held'";
        sqlx::query_scalar(sql).fetch_one(&shop.owner).await.unwrap()
    };
    shop.tell(&made).await;
    let first = expires().await;
    shop.app.advance(60);
    let more = made.edited(1, 4).added(line(2, "CUP", 1));
    shop.tell(&more).await;
    assert_eq!((shop.balance("TEA").await, shop.balance("CUP").await), ((10, 0, 4, 0), (10, 0, 1, 0)));
    assert!(expires().await <= first);
    let fewer = more.edited(1, 1).edited(2, 0);
    shop.tell(&fewer).await;
    assert_eq!((shop.balance("TEA").await, shop.balance("CUP").await), ((10, 0, 1, 0), (10, 0, 0, 0)));
    // Once its time is over it is over.
    shop.app.advance(100 * 3600);
    shop.app.sweep().await;
    shop.tell(&fewer.edited(1, 2)).await;
    assert_eq!(shop.balance("TEA").await, (10, 0, 0, 0));

    let test = Order { test: true, ..order(2, &[(1, "CUP", 2)]) };
    shop.tell(&test).await;
    assert_eq!(shop.balance("CUP").await, (10, 0, 2, 0));
    shop.tell(&test.cancelled()).await;
    assert_eq!(shop.balance("CUP").await, (10, 0, 0, 0));
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_held_or_was_given_back_is_held_when_it_is_wanted_again() {
    let shop = open().await;
    shop.app.hold("TEA", 10).await.expect(201);
    let made = pending(order(1, &[(1, "TEA", 2)]));
    shop.tell(&made).await;
    assert_eq!(shop.findings(1).await, ["unpaid_order_not_held"]);
    shop.app.stock("TEA", 5).await;
    let more = made.edited(1, 3);
    shop.tell(&more).await;
    assert_eq!((shop.balance("TEA").await, shop.findings(1).await.len()), ((15, 0, 13, 0), 0));
    let expires = async || -> chrono::DateTime<chrono::Utc> {
        let sql = "SELECT max(expires_at) FROM reservations WHERE client_reference = 'shopify:1'";
        sqlx::query_scalar(sql).fetch_one(&shop.owner).await.unwrap()
    };
    let first = expires().await;
    shop.app.advance(60);
    let none = more.edited(1, 0);
    shop.tell(&none).await;
    assert_eq!(shop.balance("TEA").await, (15, 0, 10, 0));
    let again = none.edited(1, 1);
    shop.tell(&again).await;
    assert_eq!(shop.balance("TEA").await, (15, 0, 11, 0));
    assert!(expires().await <= first, "for no longer than the first time");
    // Given back, its time over, and wanted once more: not any more.
    let none = again.edited(1, 0);
    shop.tell(&none).await;
    shop.app.advance(100 * 3600);
    shop.tell(&none.edited(1, 1)).await;
    shop.app.sweep().await;
    assert_eq!(shop.balance("TEA").await, (15, 0, 0, 0));
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_in_one_pool_is_given_back_where_the_checkout_has_it_in_another() {
    let shop = open().await;
    shop.app.pool("eu").await;
    for (sku, pays) in [("TEA", false), ("CUP", true)] {
        let id = if pays { 2 } else { 1 };
        shop.app.stock_in("eu", sku, 10).await;
        let early = pending(order(id, &[(1, sku, 2)]));
        shop.tell(&early).await;
        assert_eq!(shop.balance(sku).await, (20, 0, 2, 0));
        let mut own = cart(&[(sku, 2)]);
        own["pool"] = json!("eu");
        let held = shop.app.client.post("/reservations", &own).await.expect(201).id();
        commit(&shop, &held, &format!("#{id}")).await;
        assert_eq!(shop.balance(sku).await, (20, 0, 2, 2));
        shop.tell(&if pays { paid(&early) } else { early.later() }).await;
        assert_eq!(shop.balance(sku).await, (20, 0, 0, 2), "claimed once, where the checkout has it");
    }
    shop.app.finish().await;
}
