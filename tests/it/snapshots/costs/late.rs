//! Days that are closed when goods have arrived that were not there on them: they take nothing from those.

use super::*;

/// What is left of a lot.
async fn left(shop: &Shop, lot: &str) -> i64 {
    shop.app.client.get(&format!("/lots/{lot}")).await.expect(200).at("/remaining_quantity").as_i64().unwrap()
}

/// Units that are short, and those of them that are settled, of every open shortage.
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
    let diagnosed = shop.app.client.post("/repair/diagnose", &json!({})).await.expect(200);
    assert_eq!(diagnosed.at("/findings"), json!([]), "the next close settles it");
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
        "quantity": 5, "lot_code": "COUNT", "unit_cost": "1.00", "currency": "EUR", "received_date": first
    });
    shop.app.client.post("/stock/TEA/opening-count", &count).await.expect(201);
    assert_eq!((left(&shop, &lot).await, shortages(&shop).await), (0, vec![]));
    assert_eq!(
        (shop.worth(None).await, shop.cogs(first, shop.today()).await[3].clone()),
        (of(5, "5.00"), of(3, "6.00"))
    );
    shop.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_later_is_not_taken_for_the_day_before() {
    let shop = Shop::open().await;
    let lot = shop.receive("L", shop.today(), 10, "2.00").await;
    let voided = shop.ship("f1", 10, None).await;
    shop.close_today().await;
    let second = shop.today();
    shop.ship("f2", 5, None).await;
    shop.app.advance(86_400);
    shop.void(&voided).await;
    assert_eq!(shop.app.availability("TEA").await["on_hand_quantity"], 5);
    close(&shop.app.client, &second.to_string()).await.expect(201);
    assert_eq!((left(&shop, &lot).await, shortages(&shop).await), (10, vec![(5, 0)]));
    assert_eq!(shop.worth(Some(second)).await, of(0, "0.00"));
    shop.close_today().await;
    assert_eq!((left(&shop, &lot).await, shortages(&shop).await), (5, vec![]));
    shop.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_lots_settles_what_is_short_once_and_from_the_first() {
    let shop = Shop::open().await;
    let first = shop.today();
    shop.ship("f1", 20, None).await;
    shop.app.advance(86_400);
    close(&shop.app.client, &first.to_string()).await.expect(201);
    let today = shop.today();
    let file = format!(
        "sku,lot_code,quantity,unit_cost,currency,received_date,source_ref\n\
         TEA,A,10,2.00,EUR,{today},a\nTEA,B,15,3.00,EUR,{first},b\n"
    );
    let headers = [("content-type", "text/csv")];
    shop.app.client.post_bytes("/lots/import", &headers, file.into_bytes()).await.expect(200);
    let lots = shop.app.client.get("/lots?sku=TEA").await.expect(200);
    let rows = lots.at("/data");
    let rest = |code: &str| {
        let row = rows.as_array().unwrap().iter().find(|row| row["lot_code"] == code).unwrap();
        row["remaining_quantity"].as_i64().unwrap()
    };
    assert_eq!([rest("A"), rest("B")], [5, 0], "the older one first");
    assert_eq!(shortages(&shop).await, []);
    shop.finish().await;
}

/// Both in one transaction, if they meet in their lane: what the first settles the second knows.
#[tokio::test(flavor = "multi_thread")]
async fn shipments_that_are_voided_together_give_back_all_that_they_took() {
    let shop = Shop::open().await;
    let lot = shop.receive("L", shop.today(), 10, "2.00").await;
    let (all, beyond) = (shop.ship("f1", 10, None).await, shop.ship("f2", 5, None).await);
    shop.close_today().await;
    let key = |shipment: &String| holdfast::ids::ShipmentId::parse(shipment).unwrap();
    let void = |id: holdfast::ids::ShipmentId| holdfast::ledger::submission::Submission {
        client: holdfast::ledger::world::MIRROR,
        key: None,
        pool: id.pool,
        request_id: "test".into(),
        instance: "".into(),
        command: holdfast::ledger::command::Command::VoidShipment(Box::new(holdfast::ledger::command::VoidShipment {
            id,
            lines: None,
            reason: "never left".to_owned(),
            successor_ids: Vec::new(),
        })),
    };
    let lanes = &shop.app.app.lanes;
    let both = [lanes.submit(void(key(&all)), 0), lanes.submit(void(key(&beyond)), 0)];
    for answer in futures_util::future::join_all(both).await {
        assert_eq!(answer.unwrap().status, 200);
    }
    assert_eq!((left(&shop, &lot).await, shortages(&shop).await), (10, vec![]));
    assert_eq!(shop.worth(None).await, of(10, "20.00"));
    shop.finish().await;
}

/// Every day of a pool, from its first to today: units and worth of a lot, and of all.
async fn never_less_than_nothing(shop: &Shop, first: NaiveDate) {
    for date in first.iter_days().take_while(|date| *date <= shop.today()) {
        let report = shop.app.client.get(&format!("/reports/valuation?by=lot&as_of={date}")).await.expect(200);
        for row in report.at("/data").as_array().unwrap() {
            let (units, value) = (row["remaining_quantity"].as_i64().unwrap(), row["value"].as_str().unwrap());
            assert!(units >= 0 && !value.starts_with('-') && (units > 0 || value == "0.00"), "{date}: {row}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_cost_is_that_of_units_from_the_day_on_since_which_they_are_there() {
    let shop = Shop::open().await;
    let first = shop.today();
    let lot = shop.receive("L", first, 10, "5.00").await;
    let (gone, back) = (shop.ship("f1", 4, None).await, shop.ship("f2", 6, None).await);
    shop.close_today().await;
    shop.void(&gone).await;
    let second = shop.today();
    shop.app.advance(2 * 86_400);
    shop.void(&back).await;
    shop.revalue(&lot, "3.00", None).await;
    assert_eq!(shop.worth(Some(second)).await, of(4, "12.00"));
    assert_eq!(shop.worth(None).await, of(10, "30.00"));
    never_less_than_nothing(&shop, first).await;
    shop.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sold_is_corrected_when_it_had_been_sold() {
    let shop = Shop::open().await;
    let first = shop.today();
    let lot = shop.receive("A", first, 12, "5.00").await;
    shop.receive("B", first, 5, "7.00").await;
    let act = async |what: &str| {
        let path = format!("/lots/{lot}/{what}");
        shop.app.client.post(&path, &json!({"reason": "look"})).await.expect(200);
    };
    act("quarantine").await;
    shop.ship("f1", 15, None).await;
    shop.close_today().await;
    let second = shop.today();
    shop.app.advance(2 * 86_400);
    act("unquarantine").await;
    shop.revalue(&lot, "3.00", Some(true)).await;
    assert_eq!(shop.cogs(second, second).await[3], of(0, "0.00"));
    assert_eq!(shop.cogs(first, shop.today()).await[3], of(15, "65.00"));
    never_less_than_nothing(&shop, first).await;
    shop.finish().await;
}

/// A file whose lots are in the tables and not yet on the shelf, when somebody closes the day that they are booked on.
#[tokio::test(flavor = "multi_thread")]
async fn a_day_closes_after_a_file_of_lots_that_was_on_its_way() {
    let shop = Shop::open().await;
    let today = shop.today();
    shop.receive("A", today, 1, "1.00").await;
    let waiting = async || {
        let sql =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        sqlx::query_scalar::<_, i64>(sql).fetch_one(&shop.app.db.owner()).await.unwrap()
    };
    // The file has to wait for one of its names.
    let owner = shop.app.db.owner();
    let mut other = owner.begin().await.unwrap();
    let sql = "INSERT INTO lots (pool_id, lot_id, sku_id, lot_code, origin, status, received_quantity, remaining_quantity,
            unit_cost, currency, received_date, source, source_ref, client_id, recorded_at, quarantined_quantity,
            cost_provisional)
        SELECT pool_id, gen_random_uuid(), sku_id, 'X', origin, status, 1, 1, unit_cost, currency, received_date, source, 'x',
            client_id, recorded_at, 0, false
        FROM lots";
    other.execute(sqlx::raw_sql(sql)).await.unwrap();
    let file = format!(
        "sku,lot_code,quantity,unit_cost,currency,received_date,source_ref\n\
         TEA,B,4,1.00,EUR,{today},b\nTEA,C,5,1.00,EUR,{today},x\n"
    );
    let client = &shop.app.client;
    let import = async { client.post_bytes("/lots/import", &[("content-type", "text/csv")], file.into_bytes()).await };
    let close = async {
        while waiting().await < 1 {
            tokio::task::yield_now().await;
        }
        let ask = async { client.post("/snapshots", &json!({"date": today, "close_early": true})).await };
        let released = async {
            while waiting().await < 2 && !is_closed(&shop).await {
                tokio::task::yield_now().await;
            }
            other.rollback().await.unwrap();
        };
        futures_util::future::join(ask, released).await.0
    };
    let (imported, closed) = futures_util::future::join(import, close).await;
    imported.expect(200);
    closed.expect(201);
    let day = client.get(&format!("/snapshots/default/{today}")).await.expect(200);
    assert_eq!(day.at("/skus/data/0/on_hand_quantity"), 10, "{}", day.at("/skus/data"));
    assert_eq!(shop.worth(Some(today)).await, of(10, "10.00"));
    shop.finish().await;
}

async fn is_closed(shop: &Shop) -> bool {
    let sql = "SELECT EXISTS (SELECT FROM snapshots WHERE status = 'closed')";
    sqlx::query_scalar(sql).fetch_one(&shop.app.db.owner()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_after_a_day_was_closed_early_is_missing_in_nothing() {
    let shop = Shop::open().await;
    shop.receive("A", shop.today(), 1, "1.00").await;
    shop.app.advance(120);
    let body = json!({"date": shop.today(), "close_early": true});
    shop.app.client.post("/snapshots", &body).await.expect(201);
    shop.app.advance(120);
    shop.app.stock("MUG", 3).await;
    shop.app.audit().await;
    shop.finish().await;
}
