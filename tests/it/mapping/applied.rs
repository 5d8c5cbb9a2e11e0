//! From what a line is said to be to what its order claims.

use holdfast::mirror::demand::apply::drain;
use tokio_util::sync::CancellationToken;

use super::*;

/// An order of two units of a variant, or of a custom item, which is applied.
async fn sold(app: &TestApp, order_id: i64, variant: Option<i64>, sku: Option<&str>) {
    let line = Line { variant, sku, ordered: 2, current: 2, unfulfilled: 2, ..Line::default() };
    order(app, order_id, "2026-01-02", &[line]).await;
    plant(app, &format!("UPDATE mirror.order_progress SET revision = 2 WHERE order_id = {order_id}")).await;
    apply(app).await;
}

async fn apply(app: &TestApp) {
    let applied = drain(&app.app, &CancellationToken::new()).await.unwrap();
    assert_eq!(applied.failed, 0);
}

/// Units that orders own, by SKU code.
async fn committed(app: &TestApp) -> Vec<(String, i64)> {
    sqlx::query_as("SELECT code, committed FROM stock JOIN skus USING (sku_id) ORDER BY code")
        .fetch_all(&app.db.owner())
        .await
        .unwrap()
}

fn units(of: &[(&str, i64)]) -> Vec<(String, i64)> {
    of.iter().map(|(sku, units)| ((*sku).to_owned(), *units)).collect()
}

async fn waiting(app: &TestApp) -> Vec<Value> {
    column(&app.client.get("/mirror/unmatched").await.expect(200).json(), "order_id")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_claims_once_it_is_mapped_and_keeps_its_recipe_until_it_is_told_to_follow() {
    let app = start().await;
    for sku in ["CUP", "TEA"] {
        app.stock(sku, 100).await;
    }
    product(&app, 1, &[(11, Some("KIT"), false)]).await;
    sold(&app, 1, Some(11), Some("KIT")).await;
    assert_eq!((waiting(&app).await, committed(&app).await), (vec![json!("1")], units(&[("CUP", 0), ("TEA", 0)])));
    put(&app, 11, "\"r0\"", &[("TEA", 2), ("CUP", 1)], "keep").await.expect(200);
    apply(&app).await;
    assert_eq!((waiting(&app).await, committed(&app).await), (vec![], units(&[("CUP", 2), ("TEA", 4)])));

    // Another recipe is for orders to come.
    put(&app, 11, "\"r1\"", &[("TEA", 3)], "keep").await.expect(200);
    apply(&app).await;
    sold(&app, 2, Some(11), Some("KIT")).await;
    assert_eq!(committed(&app).await, units(&[("CUP", 2), ("TEA", 10)]));
    // Unless what is open is to follow.
    put(&app, 11, "\"r2\"", &[("TEA", 1)], "follow").await.expect(200);
    apply(&app).await;
    assert_eq!(committed(&app).await, units(&[("CUP", 0), ("TEA", 4)]));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_claims_once_there_is_a_sku_of_its_code_and_nothing_once_it_is_said_to_have_no_stock() {
    let app = start().await;
    product(&app, 1, &[(11, Some("NEW"), false), (12, None, false)]).await;
    sold(&app, 1, Some(11), Some("NEW")).await;
    sold(&app, 2, None, Some("NEW")).await;
    sold(&app, 3, Some(12), None).await;
    sold(&app, 4, None, None).await;
    assert_eq!(waiting(&app).await, ["1", "2", "3", "4"]);
    app.stock("NEW", 100).await;
    work(&app).await;
    apply(&app).await;
    assert_eq!((waiting(&app).await, committed(&app).await), (vec![json!("3"), json!("4")], units(&[("NEW", 4)])));
    put(&app, 12, "\"r0\"", &[], "keep").await.expect(200);
    let gift = json!({"components": [{"sku": "NEW", "quantity": 5}]});
    let path = "/mirror/orders/shopify/4/lines/40/mapping";
    app.client.send(Method::PUT, path, &[], Some(&gift)).await.expect(200);
    apply(&app).await;
    assert_eq!((waiting(&app).await, committed(&app).await), (vec![], units(&[("NEW", 14)])));
    app.finish().await;
}
