//! Campaigns over HTTP: links to mirrored products, and what was sold of them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::copies::{Line, column, order, plant, product};
use crate::support::{Answer, TestApp};

async fn put(app: &TestApp, code: &str, tag: Option<&str>, body: &Value) -> Answer {
    let headers: Vec<(&str, &str)> = tag.map(|tag| ("if-match", tag)).into_iter().collect();
    app.client.send(Method::PUT, &format!("/campaigns/{code}"), &headers, Some(body)).await
}

fn webinar(product_ids: &[i64]) -> Value {
    json!({
        "kind": "webinar", "name": "June", "starts_at": "2026-06-01T18:00:00Z", "ends_at": "2026-06-01T20:00:00Z",
        "product_ids": product_ids
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_is_made_replaced_with_the_tag_that_was_read_and_taken_away() {
    let app = TestApp::start().await;
    for id in [1, 2, 3] {
        product(&app, id, &[]).await;
    }
    let made = put(&app, "june", None, &webinar(&[2, 1, 2])).await.expect(201);
    assert_eq!(column(&json!({"data": made.at("/products")}), "product_id"), ["1", "2"]);
    let tag = made.header("etag").unwrap().to_owned();
    let read = app.client.get("/campaigns/june").await.expect(200);
    assert_eq!((read.json(), read.header("etag")), (made.json(), Some(&*tag)));
    put(&app, "june", None, &webinar(&[3])).await.refused(428, "precondition_required");
    let same = put(&app, "june", Some(&tag), &webinar(&[1, 2])).await.expect(200);
    assert_eq!(same.header("etag"), Some(&*tag), "what says the same leaves the tag");
    let replaced = put(&app, "june", Some(&tag), &webinar(&[3, 2])).await.expect(200);
    assert_eq!(column(&json!({"data": replaced.at("/products")}), "product_id"), ["2", "3"]);
    assert_eq!(replaced.at("/created_at"), made.at("/created_at"));
    put(&app, "june", Some(&tag), &webinar(&[1])).await.refused(412, "precondition_failed");
    let tag = replaced.header("etag").unwrap().to_owned();
    let (one, other) = (webinar(&[1]), webinar(&[2]));
    let two = tokio::join!(put(&app, "june", Some(&tag), &one), put(&app, "june", Some(&tag), &other));
    let mut statuses = [two.0.status.as_u16(), two.1.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);

    put(
        &app,
        "empty",
        None,
        &json!({"kind": "other", "starts_at": "2026-01-01T00:00:00Z",
        "ends_at": "2026-01-02T00:00:00Z", "product_ids": []}),
    )
    .await
    .expect(201);
    let page = app.client.get("/campaigns?limit=1").await.expect(200);
    assert_eq!(column(&page.json(), "code"), ["empty"]);
    assert_eq!(page.at("/data/0/name"), "empty");
    let next = format!("/campaigns?cursor={}", page.at("/next_cursor").as_str().unwrap());
    assert_eq!(column(&app.client.get(&next).await.expect(200).json(), "code"), ["june"]);
    assert_eq!(column(&app.client.get("/campaigns?kind=webinar").await.expect(200).json(), "code"), ["june"]);

    app.client.send(Method::DELETE, "/campaigns/june", &[], None).await.expect(204);
    app.client.send(Method::DELETE, "/campaigns/june", &[], None).await.refused(404, "campaign_not_found");
    app.client.get("/campaigns/june").await.refused(404, "campaign_not_found");
    put(&app, "june", Some("*"), &webinar(&[1])).await.refused(404, "campaign_not_found");
    // The tags of the one before do not fit the one that takes its code.
    let again = put(&app, "june", None, &webinar(&[1])).await.expect(201);
    assert!(![&tag, made.header("etag").unwrap()].contains(&again.header("etag").unwrap()));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_campaign_is_listed_at_once_and_nothing_of_it_is_kept() {
    let app = TestApp::start().await;
    product(&app, 1, &[]).await;
    put(&app, "june", None, &webinar(&[1])).await.expect(201);
    let unknown = put(&app, "june", Some("*"), &webinar(&[7, 1, 8])).await.refused(422, "unknown_product");
    assert_eq!(unknown.broken(), ["/product_ids/0", "/product_ids/2"]);
    let read = app.client.get("/campaigns/june").await.expect(200);
    assert_eq!(column(&json!({"data": read.at("/products")}), "product_id"), ["1"]);
    put(&app, "july", None, &webinar(&[7])).await.refused(422, "unknown_product");
    app.client.get("/campaigns/july").await.refused(404, "campaign_not_found");
    let odd = json!({"kind": "party", "name": "", "starts_at": "2026-06-02T00:00:00Z",
        "ends_at": "2026-06-02T00:00:00Z",
        "product_ids": ["x"], "bogus": 1});
    let broken = ["/bogus", "/ends_at", "/kind", "/name", "/product_ids/0"];
    assert_eq!(put(&app, "july", None, &odd).await.refused(422, "validation_failed").broken(), broken);
    let nothing = put(&app, "july", None, &json!({})).await.refused(422, "validation_failed");
    assert_eq!(nothing.broken(), ["/ends_at", "/kind", "/product_ids", "/starts_at"]);
    assert_eq!(put(&app, "JULY", None, &webinar(&[1])).await.refused(400, "invalid_parameter").broken(), ["code"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sold_in_the_window_is_counted_once_and_without_what_came_to_nothing() {
    let app = TestApp::start().await;
    for id in [1, 2, 3] {
        product(&app, id, &[]).await;
    }
    let line = |product, ordered, current| Line { product: Some(product), ordered, current, ..Line::default() };
    // Both products in one order; an edit that took two away; another product.
    order(&app, 10, "2026-06-01T18:00:00Z", &[line(1, 3, 3), line(2, 2, 2), line(1, 1, 1)]).await;
    order(&app, 11, "2026-06-01T19:59:59.999Z", &[line(1, 5, 3), line(3, 9, 9)]).await;
    // Before, at the end, a test, cancelled, deleted.
    for (id, at, mark) in [
        (20, "2026-06-01T17:59:59.999Z", "closed_at = NULL"),
        (21, "2026-06-01T20:00:00Z", "closed_at = NULL"),
        (22, "2026-06-01T19:00:00Z", "test = true"),
        (23, "2026-06-01T19:00:00Z", "cancelled_at = '2026-06-02'"),
        (24, "2026-06-01T19:00:00Z", "deleted_at = '2026-06-02'"),
    ] {
        order(&app, id, at, &[line(1, 100, 100)]).await;
        plant(&app, &format!("UPDATE mirror.orders SET {mark} WHERE order_id = {id}")).await;
    }
    let sold = put(&app, "june", None, &webinar(&[1, 2])).await.expect(201);
    assert_eq!(sold.at("/sales"), json!({"ordered_quantity": 11, "sold_quantity": 9, "orders": 2}));
    let product = |n: usize| {
        let names = ["product_id", "ordered_quantity", "sold_quantity", "orders"];
        names.map(|name| {
            let value = sold.at(&format!("/products/{n}/{name}"));
            value.as_i64().or_else(|| value.as_str()?.parse().ok()).unwrap()
        })
    };
    assert_eq!([product(0), product(1)], [[1, 9, 7, 2], [2, 2, 2, 1]]);

    // A link outlives its product.
    plant(&app, "UPDATE mirror.products SET deleted_at = '2026-07-01' WHERE product_id = 1").await;
    let read = app.client.get("/campaigns/june").await.expect(200);
    assert_eq!(read.at("/products/0/deleted_at"), "2026-07-01T00:00:00Z");
    assert_eq!(read.at("/sales"), sold.at("/sales"));
    put(&app, "july", None, &webinar(&[1])).await.expect(201);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn not_even_the_mirror_can_take_a_linked_product_away() {
    let app = TestApp::start().await;
    product(&app, 1, &[]).await;
    put(&app, "june", None, &webinar(&[1])).await.expect(201);
    let owner = app.db.owner();
    let mut tx = owner.begin().await.unwrap();
    sqlx::query("SELECT set_config('holdfast.writer', 'mirror', true)").execute(&mut *tx).await.unwrap();
    let refused = sqlx::query("DELETE FROM mirror.products").execute(&mut *tx).await.unwrap_err();
    let by = refused.as_database_error().and_then(|error| error.constraint()).map(str::to_owned);
    assert_eq!(by.as_deref(), Some("campaign_products_product_exists"));
    tx.rollback().await.unwrap();
    app.finish().await;
}
