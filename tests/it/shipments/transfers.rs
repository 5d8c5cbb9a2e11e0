//! Units that go to another pool.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{lot, numbers};
use crate::support::TestApp;

async fn in_eu(app: &TestApp) -> Value {
    app.client.get("/availability?sku=TEA&pool=eu").await.at("/data/0/on_hand_quantity")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_leaves_once_and_arrives_once_whoever_asks_for_it() {
    let app = TestApp::start().await;
    let other = app.another().await;
    app.pool("eu").await;
    let id = lot(&app, "TEA", 10, json!({"expires_date": "2031-01-01"})).await.id();
    let path = format!("/lots/{id}/transfer");
    let body = json!({"to_pool": "eu", "quantity": 4, "reason": "balance"});
    let clients = [&app.client, &other.client, &app.client, &other.client];
    let answers = join_all(clients.map(|client| client.post_as("t-1", &path, &body))).await;
    let arrived = answers[0].clone().expect(200);
    for answer in &answers {
        assert!(answer.status == 200 || answer.code() == "idempotency_key_in_flight", "{answer:#?}");
    }
    assert_eq!(arrived.quantities("", ["received", "moved"]), [4, 4]);
    assert_eq!([arrived.at("/pool"), arrived.at("/unit_cost")], [json!("eu"), json!("2.50")]);
    assert_eq!([arrived.at("/source_lot_id"), arrived.at("/expires_date")], [json!(id), json!("2031-01-01")]);
    assert_eq!(app.client.post_as("t-1", &path, &body).await.bytes, arrived.bytes);
    assert_eq!((numbers(&app, "TEA").await[0], in_eu(&app).await), (6, json!(4)));
    let differs = json!({"to_pool": "eu", "quantity": 5, "reason": "balance"});
    app.client.post_as("t-1", &path, &differs).await.refused(422, "idempotency_key_reused");
    let much = json!({"to_pool": "eu", "quantity": 7, "reason": "balance"});
    app.client.post_as("t-2", &path, &much).await.refused(409, "exceeds_lot");
    let here = json!({"to_pool": "default", "quantity": 0});
    let broken = app.client.post(&path, &here).await.refused(422, "validation_failed");
    assert_eq!(broken.broken(), ["/quantity", "/reason", "/to_pool"]);
    other.stop().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_is_interrupted_is_carried_on_from_where_it_was() {
    let app = TestApp::start().await;
    let owner = app.db.owner();
    app.pool("eu").await;
    let id = lot(&app, "TEA", 10, json!({})).await.id();
    let path = format!("/lots/{id}/transfer");
    let body = json!({"to_pool": "eu", "quantity": 2, "reason": "balance"});
    let nowhere = "CREATE TRIGGER nowhere BEFORE INSERT ON lots FOR EACH ROW WHEN (NEW.origin = 'transfer')
        EXECUTE FUNCTION refuse_change()";

    // Between the two pools: the units have left, and cannot arrive. Whoever asked is told nothing but that.
    sqlx::raw_sql(nowhere).execute(&owner).await.unwrap();
    app.client.post_as("t-1", &path, &body).await.expect(500);
    app.client.post_as("t-2", &path, &body).await.expect(500);
    assert_eq!((numbers(&app, "TEA").await[0], in_eu(&app).await), (6, json!(0)));
    app.audit().await;
    app.advance(120);
    holdfast::lots::transfer::resume(&app.app).await.unwrap();
    assert_eq!((numbers(&app, "TEA").await[0], in_eu(&app).await), (6, json!(0)), "nothing leaves a second time");
    sqlx::raw_sql("DROP TRIGGER nowhere ON lots").execute(&owner).await.unwrap();

    // The one who asked repeats the request; housekeeping carries on what nobody repeats.
    let arrived = app.client.post_as("t-2", &path, &body).await.expect(200);
    assert_eq!((numbers(&app, "TEA").await[0], in_eu(&app).await), (6, json!(2)));
    for _ in 0..2 {
        holdfast::lots::transfer::resume(&app.app).await.unwrap();
        assert_eq!((numbers(&app, "TEA").await[0], in_eu(&app).await), (6, json!(4)));
    }
    assert_eq!(app.client.post_as("t-2", &path, &body).await.bytes, arrived.bytes);
    let carried_on = app.client.post_as("t-1", &path, &body).await.expect(200);
    assert_eq!(carried_on.quantities("", ["received", "moved"]), [2, 2]);
    assert_eq!((numbers(&app, "TEA").await[0], in_eu(&app).await), (6, json!(4)));

    // Before it left: claimed at the destination and no more.
    let claimed = "INSERT INTO transfers
        SELECT pool_id, '00000000-0000-7000-8000-0000000000aa', source_pool_id, source_lot_id,
            '00000000-0000-7000-8000-0000000000ab', 2, reason, 'claimed', client_id, 't-3', fingerprint, claimed_at, NULL
        FROM transfers WHERE key = 't-1'";
    sqlx::raw_sql(claimed).execute(&owner).await.unwrap();
    for _ in 0..2 {
        holdfast::lots::transfer::resume(&app.app).await.unwrap();
        assert_eq!((numbers(&app, "TEA").await[0], in_eu(&app).await), (4, json!(6)));
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn units_on_the_move_are_in_one_pool_at_a_time_for_every_date_and_in_their_place_of_the_list() {
    let app = TestApp::start().await;
    app.pool("eu").await;
    let id = lot(&app, "TEA", 10, json!({})).await.id();
    let older = lot(&app, "TEA", 1, json!({"pool": "eu"})).await.id();
    let body = json!({"to_pool": "eu", "quantity": 4, "reason": "balance"});
    let moved = app.client.post(&format!("/lots/{id}/transfer"), &body).await.expect(200);
    assert_eq!(moved.at("/received_date"), "2026-01-15", "as old as it was, to be taken in its turn");
    let newer = lot(&app, "TEA", 1, json!({"pool": "eu"})).await.id();

    let today = app.clock.local_now().date_naive();
    let units = async |as_of: chrono::NaiveDate| {
        let valued = app.client.get(&format!("/reports/valuation?as_of={as_of}&by=lot")).await.expect(200);
        let rows = valued.at("/data").as_array().cloned().unwrap();
        [&id, &moved.id()].map(|lot| {
            let row = rows.iter().find(|row| row["lot"] == json!(lot));
            row.map_or(json!("0.00"), |row| row["value"].clone())
        })
    };
    assert_eq!(units(today.pred_opt().unwrap()).await, ["25.00", "0.00"]);
    assert_eq!(units(today).await, ["15.00", "10.00"]);

    let listed = app.client.get("/lots?pool=eu&limit=2").await.expect(200);
    let ids = [listed.at("/data/0/id"), listed.at("/data/1/id")];
    assert_eq!(ids, [json!(newer), json!(moved.id())], "newest first");
    let rest = format!("/lots?pool=eu&cursor={}", listed.at("/next_cursor").as_str().unwrap());
    assert_eq!(app.client.get(&rest).await.expect(200).at("/data/0/id"), json!(older));
    app.finish().await;
}
