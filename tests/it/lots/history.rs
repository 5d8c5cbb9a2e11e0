//! What a lot tells of itself: its movements, and the shipments it went into.

use serde_json::{Value, json};

use crate::support::TestApp;

/// What the audit's tests are made of: see there for who is who.
const WORLD: [&str; 2] = [include_str!("../audit/world.sql"), include_str!("../audit/shipments.sql")];

#[tokio::test(flavor = "multi_thread")]
async fn a_lot_tells_what_happened_to_it_and_where_it_went() {
    let app = TestApp::start().await;
    let skus = "INSERT INTO skus SELECT id, 'sku-' || id, '', 1, id <> 13, now(), 'active', \
                (SELECT revision FROM catalogue_revision), now(), now() FROM generate_series(11, 16) AS id;
                UPDATE catalogue_revision SET revision = revision + 1; UPDATE skus SET revision = revision + 1";
    for sql in [skus, WORLD[0], WORLD[1]] {
        let sql = sqlx::AssertSqlSafe(sql.replace(":pool", "1"));
        sqlx::raw_sql(sql).execute(&app.db.owner()).await.unwrap();
    }
    let lot = |number: u128| holdfast::ids::LotId {
        pool: holdfast::ids::PoolId(1),
        uuid: uuid::Uuid::from_u128(0x7000_8000_0000_0000_0000 | number),
    };
    let get =
        async |number: u128, path: &str| app.client.get(&format!("/lots/{}{path}", lot(number))).await.expect(200);
    let returned = get(7, "").await;
    assert_eq!(returned.quantities("", ["received", "remaining", "quarantined"]), [1, 1, 1]);
    assert_eq!([returned.at("/status"), returned.at("/quarantine_reason")], [json!("quarantined"), json!("returned")]);
    assert_eq!(returned.at("/source_lot_id"), json!(lot(5).to_string()));

    let moves = get(6, "/transactions").await;
    let second = moves.at("/data/1");
    assert_eq!(
        [&second["kind"], &second["quantity_delta"], &second["value_delta"]],
        [&json!("shortage_settlement"), &json!(-2), &json!("-6.00")]
    );
    assert_eq!([&second["remaining_quantity"], &second["business_date"]], [&json!(4), &json!("2026-01-11")]);
    assert!(second["shipment_id"].as_str().is_some_and(|id| id.starts_with("shp_")), "{second}");
    let first = get(6, "/transactions?limit=1").await;
    let cursor = first.at("/next_cursor").as_str().unwrap().to_owned();
    assert_eq!(get(6, &format!("/transactions?cursor={cursor}")).await.at("/data"), json!([second]));

    let page = get(5, "/shipments?limit=1").await;
    let to = page.at("/data/0");
    assert_eq!([&to["order_ref"], &to["quantity"], &to["source_ref"]], [&json!("order-11"), &json!(4), &json!("f-1")]);
    let cursor = page.at("/next_cursor").as_str().unwrap().to_owned();
    let page = get(5, &format!("/shipments?cursor={cursor}")).await;
    assert_eq!([page.at("/data/0/quantity"), page.at("/data/0/source_ref")], [json!(1), json!("f-2")]);
    assert_eq!((page.at("/data/1"), page.at("/next_cursor")), (Value::Null, Value::Null));
    assert_eq!(get(1, "/shipments").await.at("/data"), json!([]));
    for path in ["", "/transactions", "/shipments"] {
        app.client.get(&format!("/lots/{}{path}", lot(99))).await.refused(404, "lot_not_found");
    }
    app.stop().await;
}
