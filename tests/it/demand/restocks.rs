//! Units that come back: once, to the pool that had sent them, and one line keeps no other from its shelf.

use holdfast::mirror::rows::RefundLine;

use super::*;

async fn locate(shop: &Shop, location: i64, pool: &str) {
    let sql = "INSERT INTO location_pools SELECT $1, pool_id, 0, now() FROM pools WHERE code = $2
        ON CONFLICT (location_id) DO UPDATE SET pool_id = excluded.pool_id";
    sqlx::query(sql).bind(location).bind(pool).execute(&shop.owner).await.unwrap();
}

/// On hand, quarantined and committed in a pool.
async fn of(shop: &Shop, pool: &str, sku: &str) -> (i64, i64, i64) {
    let sql = "SELECT on_hand, quarantined, committed FROM stock JOIN pools USING (pool_id) JOIN skus USING (sku_id)
        WHERE pools.code = $1 AND skus.code = $2";
    sqlx::query_as(sql).bind(pool).bind(sku).fetch_one(&shop.owner).await.unwrap()
}

async fn open() -> Shop {
    let shop = Shop::open(|mirror| mirror.restock_on_sale = true).await;
    shop.app.pool("eu").await;
    shop.app.stock("TEA", 10).await;
    shop.app.stock_in("eu", "TEA", 10).await;
    locate(&shop, 77, "eu").await;
    shop
}

fn at(mut order: Order, location: i64) -> Order {
    order.refunds.last_mut().unwrap().lines.last_mut().unwrap().location_id = Some(location);
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_on_a_shelf_of_another_pool_is_taken_back_where_it_left_and_told() {
    let shop = open().await;
    let sent = order(1, &[(1, "TEA", 3)]).sent(10, &[(1, 3)]);
    shop.tell(&sent).await;
    let back = at(sent.refunded(20, 1, 2, "RETURN"), 77);
    shop.tell(&back).await;
    // Not for sale where they are not, though restocked units are for sale here.
    assert_eq!((of(&shop, "default", "TEA").await, of(&shop, "eu", "TEA").await), ((9, 2, 0), (10, 0, 0)));
    assert_eq!(shop.findings(1).await, ["restock_in_another_pool"]);
    shop.tell(&back.later()).await;
    assert_eq!(of(&shop, "default", "TEA").await, (9, 2, 0));
    assert_eq!(shop.findings(1).await, ["restock_in_another_pool"], "it is told for as long as it is so");

    // Parcels of both pools: the shelf's own units first, then the others'.
    let mut sent = order(2, &[(1, "TEA", 4)]).sent(11, &[(1, 2)]);
    sent.fulfilments[0].location_id = Some(77);
    let sent = sent.sent(12, &[(1, 2)]);
    shop.tell(&sent).await;
    assert_eq!((of(&shop, "default", "TEA").await, of(&shop, "eu", "TEA").await), ((7, 2, 0), (8, 0, 0)));
    shop.tell(&at(sent.refunded(21, 1, 3, "RETURN"), 77)).await;
    assert_eq!((of(&shop, "default", "TEA").await, of(&shop, "eu", "TEA").await), ((8, 3, 0), (10, 0, 0)));
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_comes_back_once_wherever_its_location_maps_to_since() {
    let shop = open().await;
    let mut sent = order(1, &[(1, "TEA", 3)]).sent(10, &[(1, 3)]);
    sent.fulfilments[0].location_id = Some(77);
    shop.tell(&sent).await;
    let back = at(sent.refunded(20, 1, 2, "RETURN"), 77);
    shop.tell(&back).await;
    // Sent before the mirror began, and so taken at its word.
    let mut old = order(2, &[(1, "TEA", 3)]).sent(11, &[(1, 3)]);
    old.fulfilments[0].created_at = "2026-11-01T00:00:00Z".parse().unwrap();
    let old = at(old.refunded(21, 1, 1, "RETURN"), 77);
    shop.tell(&old).await;
    assert_eq!((of(&shop, "default", "TEA").await, of(&shop, "eu", "TEA").await), ((10, 0, 0), (10, 0, 0)));

    locate(&shop, 77, "default").await;
    shop.tell(&back.later()).await;
    shop.tell(&old.later()).await;
    assert_eq!((of(&shop, "default", "TEA").await, of(&shop, "eu", "TEA").await), ((10, 0, 0), (10, 0, 0)));
    // And the next one of the same line knows how much is left to come back.
    shop.tell(&at(back.later().refunded(22, 1, 2, "RETURN"), 77)).await;
    assert_eq!(of(&shop, "eu", "TEA").await, (11, 1, 0));
    assert!(shop.findings(1).await.contains(&"restock_exceeds_shipped".to_owned()));
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_cannot_come_back_keeps_no_other_from_its_shelf() {
    let shop = open().await;
    shop.app.stock("CUP", 10).await;
    shop.app.client.post("/skus", &json!({"code": "GIFT", "tracked": false})).await.expect(201);
    let sent = order(1, &[(1, "TEA", 2), (2, "GIFT", 1), (3, "CUP", 2)]).sent(10, &[(1, 2), (2, 1), (3, 2)]);
    shop.tell(&sent).await;
    // A warehouse has taken the cups back already.
    let by_hand = json!({"source": "wms", "source_ref": "1", "order_ref": "1", "lines": [{"line_ref": "1", "sku": "CUP", "quantity": 2}]});
    shop.app.client.post("/returns", &by_hand).await.expect(201);
    let mut back = sent.refunded(20, 1, 1, "RETURN");
    for line_id in [2, 3] {
        let more = back.refunds[0].lines[0].clone();
        back.refunds[0].lines.push(RefundLine { line_id, refund_line_id: Some(line_id), ..more });
    }
    shop.tell(&back).await;
    assert_eq!(of(&shop, "default", "TEA").await, (9, 0, 0));
    assert_eq!(of(&shop, "default", "CUP").await, (10, 2, 0));
    assert_eq!(shop.findings(1).await, ["restock_refused"]);
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn units_of_unknown_cost_wait_for_the_first_lot_and_come_back_then() {
    let shop = open().await;
    shop.app.client.post("/skus", &json!({"code": "CUP"})).await.expect(201);
    let mut old = order(1, &[(1, "CUP", 3), (2, "TEA", 1)]).sent(10, &[(1, 3), (2, 1)]);
    old.fulfilments[0].created_at = "2026-11-01T00:00:00Z".parse().unwrap();
    let mut back = old.refunded(20, 1, 1, "RETURN");
    let more = back.refunds[0].lines[0].clone();
    back.refunds[0].lines.push(RefundLine { line_id: 2, refund_line_id: Some(2), ..more });
    copy(&shop, &[back]).await;
    let done = drain(&shop.app.app, &CancellationToken::new()).await.unwrap();
    assert!(done.applied == 0 && done.failed > 0, "tried, perhaps again: {done:?}");
    assert_eq!(of(&shop, "default", "TEA").await, (11, 0, 0), "the other line does not wait");
    shop.app.stock("CUP", 5).await;
    shop.app.advance(120);
    apply(&shop).await;
    assert_eq!(of(&shop, "default", "CUP").await, (6, 0, 0));
    assert_eq!(of(&shop, "default", "TEA").await, (11, 0, 0));
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_was_sent_comes_back_only_once_it_was_sent() {
    let shop = open().await;
    let sent = order(1, &[(1, "TEA", 3)]).sent(10, &[(1, 2)]);
    let beyond = sent.refunded(20, 1, 3, "RETURN");
    shop.tell(&beyond).await;
    assert_eq!(of(&shop, "default", "TEA").await, (10, 0, 1));
    assert_eq!(shop.findings(1).await, ["restock_exceeds_shipped"]);
    // However its states come, it ends in the same numbers.
    shop.tell(&beyond.sent(11, &[(1, 1)])).await;
    assert_eq!(of(&shop, "default", "TEA").await, (10, 0, 0));
    assert_eq!(shop.findings(1).await, [""; 0]);
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_of_which_units_came_back_did_leave_and_what_is_sent_instead_is_owed() {
    let shop = open().await;
    let sent = order(1, &[(1, "TEA", 5)]).sent(10, &[(1, 2)]);
    let back = sent.refunded(20, 1, 1, "RETURN");
    shop.tell(&back).await;
    assert_eq!(of(&shop, "default", "TEA").await, (9, 0, 3));
    let unsent = back.unsent(10);
    shop.tell(&unsent).await;
    assert_eq!(of(&shop, "default", "TEA").await, (9, 0, 5), "all five are still to be sent");
    assert_eq!(shop.findings(1).await, ["parcel_not_voided"]);
    shop.tell(&unsent.sent(11, &[(1, 5)])).await;
    assert_eq!(of(&shop, "default", "TEA").await, (4, 0, 0));
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_had_left_in_the_parcel_that_was_there_when_it_was_refunded() {
    let shop = open().await;
    let life = order(1, &[(1, "TEA", 4)]).sent(10, &[(1, 2)]).refunded(20, 1, 1, "RETURN").sent(11, &[(1, 2)]);
    shop.tell(&life).await;
    let returned = async || -> Vec<(String, i64)> {
        let sql = "SELECT source_ref, returned_quantity FROM shipments JOIN shipment_lines USING (pool_id, shipment_id)
            ORDER BY source_ref";
        sqlx::query_as(sql).fetch_all(&shop.owner).await.unwrap()
    };
    let of = |first, second| [("10".to_owned(), first), ("11".to_owned(), second)];
    assert_eq!(returned().await, of(1, 0));

    // Somebody has brought back the other one of it by hand: what is refunded now is one of the second parcel's.
    let sql = "SELECT shipment_id FROM shipments WHERE source_ref = '10'";
    let uuid: uuid::Uuid = sqlx::query_scalar(sql).fetch_one(&shop.owner).await.unwrap();
    let first = holdfast::ids::ShipmentId { pool: holdfast::ids::PoolId(1), uuid }.to_string();
    let line = json!({"sku": "TEA", "quantity": 1, "shipment_id": first, "shipment_line_ref": "101"});
    let body = json!({"source": "desk", "source_ref": "r1", "lines": [line]});
    shop.app.client.post("/returns", &body).await.expect(201);
    assert_eq!(returned().await, of(2, 0));
    let mut late = life.refunded(21, 1, 1, "RETURN");
    late.refunds.last_mut().unwrap().created_at = life.refunds[0].created_at;
    shop.tell(&late).await;
    assert_eq!(returned().await, of(2, 1));
    assert_eq!(shop.findings(1).await, [""; 0]);
    shop.app.finish().await;
}
