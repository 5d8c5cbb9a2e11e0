//! Days that are closed when goods have arrived that were not there on them: they take nothing from those.

use super::*;

/// What is left of a lot, and what of it is quarantined.
async fn left(shop: &Shop, lot: &str) -> i64 {
    shop.app.client.get(&format!("/lots/{lot}")).await.expect(200).at("/remaining_quantity").as_i64().unwrap()
}

async fn shortages(shop: &Shop) -> Vec<(i64, i64)> {
    let listed = shop.app.client.get("/lot-shortages?open=true").await.expect(200);
    let units = |row: &Value, name: &str| row[name].as_i64().unwrap();
    let rows = listed.at("/data");
    rows.as_array().unwrap().iter().map(|row| (units(row, "quantity"), units(row, "settled_quantity"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lot_that_expires_first_is_not_taken_for_the_day_before_it_came() {
    let shop = Shop::open().await;
    let client = &shop.app.client;
    client.post("/classes", &json!({"code": "fresh", "depletion_order": "fefo"})).await.expect(201);
    client.patch("/skus/TEA", "*", &json!({"class": "fresh"})).await.expect(200);
    let today = shop.today();
    let receive = async |code: &str, expires: NaiveDate| {
        let lot = json!({
            "sku": "TEA", "lot_code": code, "quantity": 10, "unit_cost": "2.00", "currency": "EUR",
            "received_date": today, "expires_date": expires
        });
        client.post("/lots", &lot).await.expect(201).id()
    };
    let there = receive("THERE", today + chrono::Days::new(30)).await;
    shop.ship("f1", 3, None).await;
    shop.app.advance(86_400);
    let tomorrow = shop.today();
    let lot = json!({
        "sku": "TEA", "lot_code": "LATER", "quantity": 10, "unit_cost": "5.00", "currency": "EUR",
        "received_date": tomorrow, "expires_date": tomorrow + chrono::Days::new(3)
    });
    let later = client.post("/lots", &lot).await.expect(201).id();
    close(client, &today.to_string()).await.expect(201);
    assert_eq!([left(&shop, &there).await, left(&shop, &later).await], [7, 10]);
    assert_eq!(shop.worth(Some(today)).await, of(7, "14.00"));
    shop.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_shipped_before_it_was_there_is_short_of_its_day_and_settled_by_the_next() {
    let shop = Shop::open().await;
    let first = shop.today();
    shop.ship("f1", 3, None).await;
    shop.app.advance(86_400);
    let second = shop.today();
    let lot = shop.receive("LATER", second, 10, "2.00").await;
    assert_eq!(shop.app.availability("TEA").await["on_hand_quantity"], 7);
    close(&shop.app.client, &first.to_string()).await.expect(201);
    assert_eq!((left(&shop, &lot).await, shortages(&shop).await), (10, vec![(3, 0)]));
    assert_eq!(shop.worth(Some(first)).await, of(0, "0.00"), "nothing of it was there");
    // Three of the ten have left: they are not there to be written off, moved or counted.
    let body = json!({"quantity": 8, "reason": "lost"});
    shop.app.client.post(&format!("/lots/{lot}/write-off"), &body).await.refused(409, "exceeds_lot");
    assert_eq!(shop.close_today().await, second);
    assert_eq!((left(&shop, &lot).await, shortages(&shop).await), (7, vec![]));
    assert_eq!(shop.worth(Some(second)).await, of(7, "14.00"));
    assert_eq!(shop.cogs(first, second).await[3], of(3, "6.00"));
    shop.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_short_is_settled_from_the_lot_that_is_first_whichever_came_last() {
    let shop = Shop::open().await;
    let first = shop.today();
    shop.ship("f1", 3, None).await;
    shop.app.advance(86_400);
    let older = shop.receive("OLDER", shop.today(), 10, "2.00").await;
    close(&shop.app.client, &first.to_string()).await.expect(201);
    let newer = shop.receive("NEWER", shop.today(), 10, "9.00").await;
    assert_eq!([left(&shop, &older).await, left(&shop, &newer).await], [7, 10]);
    assert_eq!(shop.cogs(first, shop.today()).await[0], of(3, "6.00"));
    shop.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_writes_off_what_is_there_and_not_what_has_left() {
    let shop = Shop::open().await;
    let first = shop.today();
    shop.ship("f1", 3, None).await;
    shop.app.advance(86_400);
    let lot = shop.receive("LATER", shop.today(), 10, "2.00").await;
    close(&shop.app.client, &first.to_string()).await.expect(201);
    for tracked in [false, true] {
        shop.app.client.patch("/skus/TEA", "*", &json!({"tracked": tracked})).await.expect(200);
    }
    let count = json!({
        "quantity": 5, "lot_code": "COUNT", "unit_cost": "1.00", "currency": "EUR", "received_date": shop.today()
    });
    shop.app.client.post("/stock/TEA/opening-count", &count).await.expect(201);
    assert_eq!((left(&shop, &lot).await, shortages(&shop).await), (0, vec![]));
    assert_eq!(
        (shop.worth(None).await, shop.cogs(first, shop.today()).await[3].clone()),
        (of(5, "5.00"), of(3, "6.00"))
    );
    shop.finish().await;
}
