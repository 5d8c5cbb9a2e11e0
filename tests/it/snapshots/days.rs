//! What a day takes, and what it answers.

use chrono::Days;
use serde_json::{Value, json};
use sqlx::Executor;

use super::{close, depletions_of, lot, plant_two_days, shipped, totals};
use crate::support::TestApp;
use crate::support::goods::{Goods, Lot, Shipped};

#[tokio::test(flavor = "multi_thread")]
async fn a_day_takes_what_left_by_its_end_from_the_oldest_lots_and_is_closed_for_ever() {
    let app = TestApp::start().await;
    let goods = Goods::of(&app.db);
    plant_two_days(&goods).await;
    let first = close(&app.client, "2025-03-05").await.expect(201);
    assert_eq!(first.header("location"), Some("/snapshots/default/2025-03-05"));
    assert_eq!([first.at("/status"), first.at("/window_ends_at")], [json!("closed"), json!("2025-03-06T00:00:00Z")]);
    // Of the third SKU 40 were there: 9 of them left first, so 31 of 90 were covered.
    assert_eq!(totals(&first), [15, 0, 4 * 23 + 99, 4 * 23 + 40, 59]);
    assert_eq!(depletions_of(&goods, 1010).await, json!([["L-1010", 4, "snapshot", "2025-03-05"]]));
    assert_eq!(depletions_of(&goods, 1011).await, json!([["L-1011", 5, "snapshot", "2025-03-05"]]));
    let both = json!([["L-1010", 11, "snapshot", "2025-03-05"], ["L-1011", 3, "snapshot", "2025-03-05"]]);
    assert_eq!(depletions_of(&goods, 1012).await, both);
    goods.expect_agreement().await;

    let again = close(&app.client, "2025-03-05").await.expect(200);
    assert_eq!(again.bytes, first.bytes);
    let second = close(&app.client, "2025-03-06").await.expect(201);
    assert_eq!(totals(&second), [4, 0, 8, 8, 0]);
    goods.expect_agreement().await;

    // Seen after its day was closed: taken by the next open day, and it keeps its own.
    goods.ship(shipped(1, 101, 1, "2025-03-05T18:00:00Z")).await;
    goods.ship(shipped(2, 101, 1, "2025-03-07T18:00:00Z")).await;
    let third = close(&app.client, "2025-03-07").await.expect(201);
    assert_eq!(totals(&third), [2, 1, 2, 2, 0]);
    assert_eq!(depletions_of(&goods, 1).await, json!([["L-1011", 1, "snapshot", "2025-03-07"]]));
    assert_eq!(close(&app.client, "2025-03-05").await.expect(200).bytes, first.bytes);
    goods.expect_agreement().await;

    let listed = app.client.get("/snapshots?limit=2").await.expect(200);
    assert_eq!([listed.at("/data/0/date"), listed.at("/data/1/date")], [json!("2025-03-07"), json!("2025-03-06")]);
    let rest = listed.at("/next_cursor");
    let rest = app.client.get(&format!("/snapshots?cursor={}", rest.as_str().unwrap())).await.expect(200);
    assert_eq!((rest.at("/data/0/date"), rest.at("/data/1")), (json!("2025-03-05"), Value::Null));
    let day = app.client.get("/snapshots/default/2025-03-05?sku=SKU-103").await.expect(200);
    assert_eq!(day.at("/totals"), first.at("/totals"));
    assert_eq!(day.quantities("/skus/data/0", ["shipped", "depleted", "shortage"]), [99, 40, 59]);
    // {"v": 1, "c": "-9999-01-01"}: nothing that a list has answered.
    let forged = "/snapshots?cursor=eyJ2IjoxLCJjIjoiLTk5OTktMDEtMDEifQ";
    assert_eq!(app.client.get(forged).await.refused(400, "invalid_parameter").broken(), ["cursor"]);
    let page = app.client.get("/snapshots/default/2025-03-05?limit=3").await.expect(200);
    let rest = format!("/snapshots/default/2025-03-05?cursor={}", page.at("/skus/next_cursor").as_str().unwrap());
    assert_eq!(app.client.get(&rest).await.expect(200).at("/skus/data/0/sku"), "SKU-104");
    let odd = ["default/-9999-01-01", "default/+99999-01-01", "default/9999-12-31"];
    for path in ["default/2025-03-08", "default/2025-3-5", "default/x", "mars/2025-03-05"].into_iter().chain(odd) {
        app.client.get(&format!("/snapshots/{path}")).await.refused(404, "snapshot_not_found");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn days_close_in_order_and_not_before_they_end() {
    let app = TestApp::start().await;
    let goods = Goods::of(&app.db);
    let today = app.clock.local_now().date_naive();
    let since = today - Days::new(2);
    goods.pool_since(&format!("{since}T23:59:59Z"), "UTC").await;
    goods.sku(101, "standard").await;
    goods.lot(lot(1, 101, "2025-03-01", 10, "1.00")).await;
    let ask = async |date: chrono::NaiveDate, early: bool| {
        app.client.post("/snapshots", &json!({"date": date, "close_early": early})).await
    };
    let tomorrow = today + Days::new(1);
    for date in [today, tomorrow] {
        let refused = ask(date, false).await.refused(422, "day_not_over");
        assert_eq!(refused.broken(), ["/date"]);
    }
    for date in [since + Days::new(1), today] {
        let refused = ask(date, true).await.refused(409, "earlier_day_open");
        assert!(refused.at("/detail").as_str().unwrap().contains(&since.to_string()), "{refused:?}");
    }
    assert_eq!(ask(since - Days::new(1), false).await.refused(422, "validation_failed").broken(), ["/date"]);
    ask(since, false).await.expect(201);
    ask(since + Days::new(1), false).await.expect(201);
    ask(today, false).await.refused(422, "day_not_over");
    ask(today, true).await.expect(201);
    ask(today, false).await.expect(200);
    // Nothing can have left on a day that has not begun.
    for date in [tomorrow, tomorrow + Days::new(1)] {
        let refused = ask(date, true).await.refused(422, "day_not_over");
        assert_eq!(refused.broken(), ["/date"]);
        assert!(refused.at("/detail").as_str().unwrap().contains("has not begun"), "{refused:?}");
    }
    let broken = app.client.post("/snapshots", &json!({"pool": "mars", "close_early": 1})).await.expect(422);
    assert_eq!(broken.broken(), ["/close_early", "/date", "/pool"]);
    // No key is needed: the day is the key.
    let bare = app.client.send(reqwest::Method::POST, "/snapshots", &[], Some(&json!({ "date": since }))).await;
    bare.expect(200);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_balance_is_photographed_as_it_stood_when_the_day_ended() {
    let app = TestApp::start().await;
    app.stock("TEA", 10).await;
    app.stock("CUP", 7).await;
    let today = app.clock.local_now().date_naive();
    app.hold("TEA", 3).await.expect(201);
    app.advance(86_400);
    // After midnight, and before anybody closes the day.
    for _ in 0..5 {
        app.stock("TEA", 1).await;
    }
    app.hold("TEA", 2).await.expect(201);
    close(&app.client, &today.to_string()).await.expect(201);
    app.stock("MUG", 4).await;
    app.advance(86_400);
    let next = today + Days::new(1);
    close(&app.client, &next.to_string()).await.expect(201);
    let of_day = async |date: chrono::NaiveDate, sku: &str| {
        let day = app.client.get(&format!("/snapshots/default/{date}?sku={sku}")).await.expect(200);
        day.quantities("/skus/data/0", ["on_hand", "held", "committed"])
    };
    assert_eq!(of_day(today, "TEA").await, [10, 3, 0]);
    // The first hold has expired and nobody has swept it: it still stands in the ledger.
    assert_eq!(of_day(next, "TEA").await, [15, 5, 0]);
    assert_eq!(of_day(next, "CUP").await, [7, 0, 0]);
    assert_eq!(of_day(next, "MUG").await, [4, 0, 0]);
    let history = app.client.get("/stock/TEA/history").await.expect(200);
    let points: Vec<Value> =
        history.at("/data").as_array().unwrap().iter().map(|day| day["on_hand_quantity"].clone()).collect();
    assert_eq!(points, [json!(10), json!(15)]);
    let csv = app.client.get(&format!("/stock/TEA/history?from={next}&to={next}&format=csv")).await.expect(200);
    assert!(csv.header("content-type").unwrap().starts_with("text/csv"));
    let expected = format!(
        "sku,date,on_hand_quantity,quarantined_quantity,held_quantity,committed_quantity,lines,late_lines,\
         shipped_quantity,depleted_quantity,shortage_quantity\r\nTEA,{next},15,0,5,0,0,0,0,0,0\r\n"
    );
    assert_eq!(String::from_utf8(csv.bytes).unwrap(), expected);
    app.client.get("/stock/NO/history").await.refused(404, "sku_not_found");
    let odd = app.client.get("/stock/TEA/history?from=x&to=1&pool=mars&format=xml").await.expect(400);
    assert_eq!(odd.broken(), ["format", "from", "pool", "to"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expires_first_goes_first_where_the_class_says_so() {
    let app = TestApp::start().await;
    app.client.post("/classes", &json!({"code": "fresh", "depletion_order": "fefo"})).await.expect(201);
    let goods = Goods::of(&app.db);
    goods.pool_since("2025-03-05T09:00:00Z", "UTC").await;
    goods.sku(101, "fresh").await;
    goods.lot(lot(1, 101, "2025-03-01", 10, "1.00")).await;
    goods.lot(Lot { expires: Some("2025-03-10"), ..lot(2, 101, "2025-03-02", 10, "1.00") }).await;
    goods.lot(Lot { expires: Some("2025-03-05"), ..lot(3, 101, "2025-03-03", 10, "1.00") }).await;
    goods.ship(shipped(1, 101, 12, "2025-03-05T12:00:00Z")).await;
    close(&app.client, "2025-03-05").await.expect(201);
    let taken = json!([["L-2", 10, "snapshot", "2025-03-05"], ["L-1", 2, "snapshot", "2025-03-05"]]);
    assert_eq!(depletions_of(&goods, 1).await, taken, "the lot that expires that day is not sold that day");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_lot_covers_is_open_until_one_does_and_is_settled_in_the_open() {
    let app = TestApp::start().await;
    let goods = Goods::of(&app.db);
    goods.pool_since("2025-03-05T09:00:00Z", "UTC").await;
    goods.sku(101, "standard").await;
    goods.lot(lot(1, 101, "2025-03-01", 10, "1.00")).await;
    goods.ship(shipped(1, 101, 25, "2025-03-05T12:00:00Z")).await;
    assert_eq!(totals(&close(&app.client, "2025-03-05").await.expect(201)), [1, 0, 25, 10, 15]);
    // A lot comes; six units of the line are settled against what is on hand now, so lots may follow for these.
    goods.lot(lot(2, 101, "2025-03-06", 8, "2.00")).await;
    goods.settle_discrepancy(1, 101, 6, "2025-03-06T13:00:00Z").await;
    goods.ship(Shipped { lot: Some(2), ..shipped(2, 101, 1, "2025-03-06T14:00:00Z") }).await;
    assert_eq!(totals(&close(&app.client, "2025-03-06").await.expect(201)), [1, 0, 1, 1, 0]);
    let taken = json!([["L-1", 10, "snapshot", "2025-03-05"], ["L-2", 6, "settlement", "2025-03-06"]]);
    assert_eq!(depletions_of(&goods, 1).await, taken);
    assert_eq!(goods.remaining(2).await, 1);
    goods.expect_agreement().await;
    let open: (i64, i64, bool) =
        sqlx::query_as("SELECT quantity, settled_quantity, closed_at IS NULL FROM lot_shortages")
            .fetch_one(&goods.owner)
            .await
            .unwrap();
    assert_eq!(open, (15, 6, true));
    // Nothing new: the day after finds nothing to settle.
    assert_eq!(totals(&close(&app.client, "2025-03-07").await.expect(201)), [0; 5]);
    goods.expect_agreement().await;
    app.stop().await;
}

/// As many closed days as there are, of one SKU.
const LONG_AGO: &str = "
    INSERT INTO snapshots
    SELECT 1, day::date, CASE WHEN n > 1 THEN day::date - 1 END, day AT TIME ZONE 'UTC', (day + interval '1 day')
        AT TIME ZONE 'UTC', 'UTC', 'closed', 0, now(), now()
    FROM generate_series(timestamp '2012-01-01', timestamp '2022-01-08', interval '1 day')
        WITH ORDINALITY AS d (day, n);
    INSERT INTO snapshot_skus
    SELECT 1, 101, snapshot_date, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, now() FROM snapshots";

#[tokio::test(flavor = "multi_thread")]
async fn history_is_whole_or_refused() {
    let app = TestApp::start().await;
    let goods = Goods::of(&app.db);
    goods.sku(101, "standard").await;
    goods.owner.execute(sqlx::raw_sql(LONG_AGO)).await.unwrap();
    let refused = app.client.get("/stock/SKU-101/history").await.refused(400, "invalid_parameter");
    assert_eq!(refused.broken(), ["from"]);
    let whole = app.client.get("/stock/SKU-101/history?from=2012-01-02").await.expect(200);
    let days = whole.at("/data");
    let days = days.as_array().unwrap();
    assert_eq!((days.len(), &days[0]["date"], &days[3659]["date"]), (3660, &json!("2012-01-02"), &json!("2022-01-08")));
    app.stop().await;
}
