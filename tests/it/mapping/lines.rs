//! Orders whose lines' meaning changes are applied again; unmatched lines and locations over HTTP.

use super::*;

/// An order of one line of a variant, all of it to be sent.
async fn order_of(app: &TestApp, order_id: i64, variant: Option<i64>, sku: Option<&str>, unfulfilled: i64) {
    let line = Line { variant, sku, ordered: 2, current: 2, unfulfilled, ..Line::default() };
    order(app, order_id, "2026-01-02", &[line]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_applied_again_when_their_unmatched_lines_can_be_matched() {
    let app = start().await;
    skus(&app, &["OLD"]).await;
    app.client.patch("/skus/OLD", "*", &json!({"status": "retired"})).await.expect(200);
    product(&app, 1, &[(11, Some("TEA"), false), (12, Some("CUP"), false)]).await;
    // Of TEA, of CUP, and custom items: of TEA by its code, of the retired SKU, and of nobody knows what; and one of a
    // variant that was deleted before it was seen.
    for (id, variant, sku) in [
        (1, Some(11), None),
        (2, Some(12), None),
        (3, None, Some("TEA")),
        (4, None, Some("OLD")),
        (5, None, None),
        (7, Some(99), Some("TEA")),
    ] {
        order_of(&app, id, variant, sku, 2).await;
        unmatched(&app, id).await;
    }
    // Another one of TEA waits to be applied anyway, and must keep its pause.
    order_of(&app, 6, Some(11), None, 2).await;
    unmatched(&app, 6).await;
    let waiting = "UPDATE mirror.order_progress SET revision = 2, attempts = 3, next_attempt_at = '2099-01-01'
        WHERE order_id = 6";
    plant(&app, waiting).await;
    work(&app).await;
    assert_eq!(
        revisions(&app).await,
        [(1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (6, 2), (7, 1)],
        "there is no such SKU yet"
    );

    skus(&app, &["TEA"]).await;
    work(&app).await;
    assert_eq!(revisions(&app).await, [(1, 2), (2, 1), (3, 2), (4, 1), (5, 1), (6, 2), (7, 2)]);
    // Only once, as long as they wait.
    work(&app).await;
    assert_eq!(revisions(&app).await, [(1, 2), (2, 1), (3, 2), (4, 1), (5, 1), (6, 2), (7, 2)]);
    put(&app, 12, "\"r0\"", &[("TEA", 1)], "keep").await.expect(200);
    assert_eq!(revisions(&app).await, [(1, 2), (2, 2), (3, 2), (4, 1), (5, 1), (6, 2), (7, 2)], "at once");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn open_lines_are_applied_again_only_where_they_are_to_follow() {
    let app = start().await;
    skus(&app, &["TEA", "CUP"]).await;
    product(&app, 1, &[(11, Some("TEA"), false), (12, Some("CUP"), false)]).await;
    work(&app).await;
    for (id, variant, unfulfilled) in [(1, 11, 2), (2, 11, 0), (3, 12, 2)] {
        order_of(&app, id, Some(variant), None, unfulfilled).await;
    }
    // Recharge orders that are to come, and one that is in the shop already.
    plant(
        &app,
        "INSERT INTO mirror.recharge_orders
         (order_id, status, prepaid, external_order_id, updated_at, fetched_at, document)
         VALUES (71, 'success', false, NULL, now(), now(), '{}'), (72, 'success', false, 1, now(), now(), '{}');
         INSERT INTO mirror.recharge_lines
         SELECT 'order', id, 0, 11, NULL, NULL, 'Tea', 1, NULL FROM unnest(ARRAY[71, 72]) AS id;
         INSERT INTO mirror.order_progress (source, order_id, revision, applied_revision, attempts, next_attempt_at)
         SELECT 'recharge', id, 1, 1, 0, '2026-01-01' FROM unnest(ARRAY[71, 72]) AS id",
    )
    .await;
    put(&app, 11, "\"r1\"", &[("TEA", 2)], "keep").await.expect(200);
    assert_eq!(revisions(&app).await, [(1, 1), (2, 1), (3, 1), (71, 1), (72, 1)]);
    put(&app, 11, "\"r2\"", &[("TEA", 3)], "follow").await.expect(200);
    assert_eq!(revisions(&app).await, [(1, 2), (2, 1), (3, 1), (71, 2), (72, 1)]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unmatched_line_is_shown_with_the_sku_that_it_may_be_until_it_is_mapped() {
    let app = start().await;
    skus(&app, &["OLD", "GIFT", "BOX"]).await;
    app.client.patch("/skus/OLD", "*", &json!({"status": "retired"})).await.expect(200);
    product(&app, 1, &[(11, Some("OLD"), false)]).await;
    for (id, variant, sku) in [(1, Some(11), Some("OLD")), (2, None, None), (3, Some(99), Some("GONE"))] {
        order_of(&app, id, variant, sku, 2).await;
        unmatched(&app, id).await;
    }
    let ids = async |query: &str| {
        let page = app.client.get(&format!("/mirror/unmatched?{query}")).await.expect(200).json();
        column(&page, "order_id").iter().map(|id| id.as_str().unwrap().parse().unwrap()).collect::<Vec<i64>>()
    };
    for (query, expected) in [
        ("", vec![1, 2, 3]),
        ("variant_id=11", vec![1]),
        ("sku=GONE", vec![3]),
        ("source=shopify", vec![1, 2, 3]),
        ("source=recharge", vec![]),
    ] {
        assert_eq!(ids(query).await, expected, "{query}");
    }
    let first = app.client.get("/mirror/unmatched?limit=2").await.expect(200);
    let expected = json!({
        "source": "shopify", "order_id": "1", "order_name": "#1", "processed_at": "2026-01-02T00:00:00Z",
        "line_ref": "10",
        "variant_id": "11", "sku": "OLD", "title": "Line 0", "quantity": 2, "requires_shipping": true, "seen_at": "2026-01-03T00:00:00Z",
        "suggestion": {"sku": "OLD", "status": "retired"}
    });
    assert_eq!(first.at("/data/0"), expected);
    assert_eq!(first.at("/data/1/suggestion"), Value::Null);
    assert_eq!(ids(&format!("cursor={}", first.at("/next_cursor").as_str().unwrap())).await, [3]);
    let odd = app.client.get("/mirror/unmatched?source=etsy&variant_id=x&cursor=x&q=1").await;
    assert_eq!(odd.refused(400, "invalid_parameter").broken(), ["cursor", "q", "source", "variant_id"]);

    // A variant that was never copied is named by its order, and can be mapped.
    assert_eq!(variant(&app, 99).await.at("/findings"), json!(["unmapped", "not_mirrored"]));
    put(&app, 99, "\"r0\"", &[("GIFT", 1)], "keep").await.expect(200);
    assert_eq!(variant(&app, 99).await.at("/findings"), json!(["not_mirrored"]));
    assert_eq!(revisions(&app).await, [(1, 1), (2, 1), (3, 2)]);

    holdfast::mirror::unmatched::count(&app.app).await.unwrap();
    let metrics = app.client.with_token("").get("/metrics").await.expect(200);
    assert!(String::from_utf8(metrics.bytes).unwrap().contains("\nholdfast_unmatched_lines 3\n"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_item_is_mapped_by_itself() {
    let app = start().await;
    skus(&app, &["GIFT", "BOX"]).await;
    order_of(&app, 2, None, None, 2).await;
    unmatched(&app, 2).await;
    let path = "/mirror/orders/shopify/2/lines/20/mapping";
    let put = async |path: &str, body: &Value| app.client.send(Method::PUT, path, &[], Some(body)).await;
    let both = json!({"components": [{"sku": "GIFT", "quantity": 1}, {"sku": "BOX", "quantity": 2}]});
    let mapped = put(path, &both).await.expect(200);
    let components = json!([{"sku": "BOX", "quantity": 2}, {"sku": "GIFT", "quantity": 1}]);
    assert_eq!(
        mapped.json(),
        json!({"source": "shopify", "order_id": "2", "line_ref": "20", "components": components})
    );
    assert_eq!(revisions(&app).await, [(2, 2)]);
    // Said again it is replaced, also when the line is no longer unmatched.
    plant(&app, "DELETE FROM unmatched_lines").await;
    put(path, &json!({"components": [{"sku": "BOX", "quantity": 3}]})).await.expect(200);
    let rows: Vec<(String, i32)> =
        sqlx::query_as("SELECT s.code, l.quantity FROM line_mappings AS l JOIN skus AS s USING (sku_id)")
            .fetch_all(&app.db.owner())
            .await
            .unwrap();
    assert_eq!(rows, [("BOX".to_owned(), 3)]);
    assert_eq!(revisions(&app).await, [(2, 3)]);
    apply_all(&app).await;
    for nowhere in
        ["shopify/2/lines/21", "shopify/3/lines/20", "recharge/2/lines/20", "etsy/2/lines/20", "shopify/x/lines/%00"]
    {
        put(&format!("/mirror/orders/{nowhere}/mapping"), &both).await.refused(404, "order_line_not_found");
    }
    put(path, &json!({"components": []})).await.refused(422, "validation_failed");
    let unknown = json!({"components": [{"sku": "A", "quantity": 1}, {"sku": "B", "quantity": 1}]});
    let broken = ["/components/0/sku", "/components/1/sku"];
    assert_eq!(put(path, &unknown).await.refused(422, "unknown_sku").broken(), broken);
    assert_eq!(revisions(&app).await, [(2, 1)]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_location_is_a_pool_or_none() {
    let app = start().await;
    app.pool("eu").await;
    plant(
        &app,
        "INSERT INTO mirror.locations (location_id, name, active, updated_at, fetched_at, document)
         SELECT id, 'Place ' || id, id < 3, now(), now(), '{}' FROM generate_series(1, 3) AS id",
    )
    .await;
    let put = async |id: &str, body: Value| {
        app.client.send(Method::PUT, &format!("/mirror/locations/{id}/pool"), &[], Some(&body)).await
    };
    let mapped = put("1", json!({"pool": "eu"})).await.expect(200);
    assert_eq!(
        mapped.json(),
        json!({"location_id": "1", "name": "Place 1", "active": true, "deleted_at": null, "pool": "eu"})
    );
    put("2", json!({"pool": "eu"})).await.expect(200);
    put("2", json!({"pool": "default"})).await.expect(200);
    let pools = async || {
        let page = app.client.get("/mirror/locations").await.expect(200).json();
        column(&page, "pool")
    };
    assert_eq!(pools().await, [json!("eu"), json!("default"), Value::Null]);
    for _ in 0..2 {
        app.client.send(Method::DELETE, "/mirror/locations/1/pool", &[], None).await.expect(204);
    }
    assert_eq!(pools().await, [Value::Null, json!("default"), Value::Null]);
    let page = app.client.get("/mirror/locations?limit=2").await.expect(200);
    let next = format!("/mirror/locations?cursor={}", page.at("/next_cursor").as_str().unwrap());
    assert_eq!(column(&app.client.get(&next).await.expect(200).json(), "location_id"), ["3"]);
    put("1", json!({"pool": "mars"})).await.refused(422, "unknown_pool");
    put("1", json!({})).await.refused(422, "validation_failed");
    for id in ["9", "x", "01"] {
        put(id, json!({"pool": "eu"})).await.refused(404, "location_not_found");
        let path = format!("/mirror/locations/{id}/pool");
        app.client.send(Method::DELETE, &path, &[], None).await.refused(404, "location_not_found");
    }
    app.finish().await;
}
