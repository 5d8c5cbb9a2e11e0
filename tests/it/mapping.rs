//! What variants, lines and locations mean to stock: by their codes, by an operator's word, and after changes upstream.

use std::sync::Arc;

use holdfast::clock::Clock;
use holdfast::mirror::mapping::autofill;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::settings;
use crate::support::copies::{Line, apply_all, column, order, plant, product, revisions, unmatched};
use crate::support::{Answer, TestApp, db};

mod applied;
mod lines;

/// The service with the job of mappings alone.
async fn start() -> TestApp {
    TestApp::start_with_jobs(Arc::new(db::fresh().await), Clock::new(), settings(), vec![autofill::job()]).await
}

/// The next run of the job.
async fn work(app: &TestApp) {
    app.advance(60);
    app.work().await;
}

async fn skus(app: &TestApp, codes: &[&str]) {
    for code in codes {
        app.client.post("/skus", &json!({"code": code})).await.expect(201);
    }
}

async fn put(app: &TestApp, variant: i64, tag: &str, components: &[(&str, i64)], open_lines: &str) -> Answer {
    let components: Vec<Value> =
        components.iter().map(|(sku, quantity)| json!({"sku": sku, "quantity": quantity})).collect();
    let body = json!({"components": components, "open_lines": open_lines});
    let path = format!("/mirror/variants/{variant}/mapping");
    app.client.send(Method::PUT, &path, &[("if-match", tag)], Some(&body)).await
}

async fn variant(app: &TestApp, variant: i64) -> Answer {
    app.client.get(&format!("/mirror/variants/{variant}")).await.expect(200)
}

/// Ids of the variants that a query lists.
async fn listed(app: &TestApp, query: &str) -> Vec<i64> {
    let page = app.client.get(&format!("/mirror/variants?{query}")).await.expect(200).json();
    column(&page, "variant_id").iter().map(|id| id.as_str().unwrap().parse().unwrap()).collect()
}

async fn status(app: &TestApp, sku: &str) -> Value {
    app.client.get(&format!("/skus/{sku}")).await.expect(200).at("/status")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variant_with_the_code_of_a_sku_maps_itself_and_every_odd_one_is_found() {
    let app = start().await;
    skus(&app, &["TEA", "CUP", "OLD"]).await;
    app.client.patch("/skus/OLD", "*", &json!({"status": "retired"})).await.expect(200);
    product(&app, 1, &[(11, Some("TEA"), false), (12, Some("TEA"), false), (13, None, false)]).await;
    product(&app, 2, &[(21, Some("NEW"), false), (22, Some("OLD"), false), (23, Some("CUP"), true)]).await;
    product(&app, 3, &[(31, Some("tea"), false), (32, Some("TEA "), false)]).await;
    work(&app).await;

    for (query, ids) in [
        ("", vec![11, 12, 13, 21, 22, 23, 31, 32]),
        ("mapped=true", vec![11, 12]),
        ("mapped=false&product_id=2", vec![21, 22, 23]),
        ("sku=TEA", vec![11, 12]),
        ("sku=NEW", vec![21]),
        ("finding=unmapped", vec![13, 21, 22, 23, 31, 32]),
        ("finding=no_code", vec![13]),
        ("finding=code_shared", vec![11, 12]),
        ("finding=code_differs", vec![]),
        ("finding=sku_retired", vec![22]),
        ("finding=deleted", vec![23]),
    ] {
        assert_eq!(listed(&app, query).await, ids, "{query}");
    }
    let first = app.client.get("/mirror/variants?limit=3").await.expect(200);
    assert_eq!(column(&first.json(), "variant_id"), ["11", "12", "13"]);
    let rest = format!("limit=3&cursor={}", first.at("/next_cursor").as_str().unwrap());
    assert_eq!(listed(&app, &rest).await, [21, 22, 23]);
    let seen = variant(&app, 11).await;
    assert_eq!(seen.header("etag"), Some("\"r1\""));
    let mapping = seen.at("/mapping");
    assert_eq!([&mapping["version"], &mapping["origin"]], [&json!(1), &json!("sku_code")]);
    assert_eq!(mapping["components"], json!([{"sku": "TEA", "quantity": 1}]));
    assert_eq!(seen.at("/findings"), json!(["code_shared"]));

    // Another run finds nothing to do; a SKU that is made later is taken by the variant that waits for it.
    work(&app).await;
    skus(&app, &["NEW"]).await;
    work(&app).await;
    assert_eq!(listed(&app, "mapped=true").await, [11, 12, 21]);
    let versions: i64 =
        sqlx::query_scalar("SELECT count(*) FROM variant_mappings").fetch_one(&app.db.owner()).await.unwrap();
    assert_eq!(versions, 3);
    let odd = app.client.get("/mirror/variants?finding=x&mapped=1&product_id=a&limit=0&cursor=x&q=1").await;
    let broken = ["cursor", "finding", "limit", "mapped", "product_id", "q"];
    assert_eq!(odd.refused(400, "invalid_parameter").broken(), broken);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapped_variant_keeps_its_mapping_when_its_code_changes_upstream() {
    let app = start().await;
    skus(&app, &["TEA", "CUP"]).await;
    product(&app, 1, &[(11, Some("TEA"), false)]).await;
    work(&app).await;
    plant(&app, "UPDATE mirror.variants SET sku = 'CUP', updated_at = '2026-02-01'").await;
    work(&app).await;
    let seen = variant(&app, 11).await;
    assert_eq!(seen.at("/mapping/components/0/sku"), "TEA");
    assert_eq!((seen.at("/sku"), seen.at("/findings")), (json!("CUP"), json!(["code_differs"])));
    // A kit has a code of its own.
    put(&app, 11, "\"r1\"", &[("TEA", 2), ("CUP", 1)], "keep").await.expect(200);
    assert_eq!(variant(&app, 11).await.at("/findings"), json!([]));
    assert_eq!(listed(&app, "sku=TEA").await, [11]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sku_is_retired_once_its_last_variant_is_gone_and_an_operator_has_the_last_word() {
    let app = start().await;
    skus(&app, &["TEA", "CUP", "POT", "JAR"]).await;
    let codes =
        [(11, Some("TEA"), false), (12, Some("TEA"), false), (13, Some("CUP"), false), (14, Some("POT"), false)];
    product(&app, 1, &codes).await;
    product(&app, 2, &[(21, Some("JAR"), false), (22, None, false)]).await;
    work(&app).await;
    // By an operator's word, CUP is a part of something else, and so is POT, which lasts longer than its variant.
    put(&app, 13, "\"r1\"", &[("CUP", 1)], "keep").await.expect(200);
    put(&app, 22, "\"r0\"", &[("POT", 2), ("JAR", 1)], "keep").await.expect(200);
    let held = {
        app.stock("TEA", 5).await;
        app.hold("TEA", 2).await.expect(201).id()
    };
    let gone = |id: i64| format!("UPDATE mirror.variants SET deleted_at = '2026-02-01' WHERE variant_id = {id}");
    for id in [11, 13, 14, 21] {
        plant(&app, &gone(id)).await;
    }
    work(&app).await;
    for sku in ["TEA", "CUP", "POT", "JAR"] {
        assert_eq!(status(&app, sku).await, "active", "{sku}");
    }
    plant(&app, &gone(12)).await;
    work(&app).await;
    assert_eq!(status(&app, "TEA").await, "retired");
    assert_eq!(variant(&app, 12).await.at("/findings"), json!(["sku_retired", "deleted"]));
    app.hold("TEA", 1).await.refused(422, "sku_retired");
    app.client.post(&format!("/reservations/{held}/commit"), &json!({"order_ref": "1"})).await.expect(200);

    // What has the retired code next is not taken for the same thing.
    product(&app, 3, &[(31, Some("TEA"), false)]).await;
    work(&app).await;
    assert_eq!(variant(&app, 31).await.at("/findings"), json!(["unmapped", "sku_retired"]));
    // An operator who sells it on is not overruled by the next run, nor is the variant taken away from it.
    app.client.patch("/skus/TEA", "*", &json!({"status": "active"})).await.expect(200);
    plant(&app, &gone(31)).await;
    work(&app).await;
    assert_eq!(status(&app, "TEA").await, "active");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_needs_the_tag_that_was_read_and_makes_a_version_that_stays() {
    let app = start().await;
    skus(&app, &["TEA", "CUP"]).await;
    product(&app, 1, &[(11, Some("TEA"), false)]).await;
    work(&app).await;
    put(&app, 11, "\"r0\"", &[("CUP", 1)], "keep").await.refused(412, "precondition_failed");
    let path = "/mirror/variants/11/mapping";
    let body = json!({"components": []});
    app.client.send(Method::PUT, path, &[], Some(&body)).await.refused(428, "precondition_required");
    let kit = put(&app, 11, "\"r1\"", &[("TEA", 2), ("CUP", 1)], "follow").await.expect(200);
    assert_eq!(kit.header("etag"), Some("\"r2\""));
    assert_eq!(kit.at("/mapping/client"), "tests");
    // The same again is no new version, and neither is it by keeping open lines, which follow already.
    for open_lines in ["follow", "keep"] {
        let same = put(&app, 11, "\"r2\"", &[("CUP", 1), ("TEA", 2)], open_lines).await.expect(200);
        assert_eq!(same.header("etag"), Some("\"r2\""));
    }
    let none = put(&app, 11, "\"r2\"", &[], "keep").await.expect(200);
    assert_eq!((none.at("/mapping/version"), none.at("/mapping/components")), (json!(3), json!([])));
    assert_eq!(listed(&app, "mapped=true").await, [11], "that it has no stock is known, too");

    let history = app.client.get("/mirror/variants/11/mappings?limit=2").await.expect(200);
    assert_eq!(column(&history.json(), "version"), [3, 2]);
    let next = format!("/mirror/variants/11/mappings?cursor={}", history.at("/next_cursor").as_str().unwrap());
    let oldest = app.client.get(&next).await.expect(200).at("/data/0");
    assert_eq!([&oldest["origin"], &oldest["client"]], [&json!("sku_code"), &Value::Null]);
    assert_eq!(history.at("/data/1/components"), json!([{"sku": "CUP", "quantity": 1}, {"sku": "TEA", "quantity": 2}]));
    assert_eq!(column(&history.json(), "open_lines"), ["keep", "follow"]);

    let odd = json!({"components": [
        {"sku": "NO", "quantity": 1}, {"sku": "TEA", "quantity": 0}, {"sku": "CUP", "quantity": 1},
        {"sku": "CUP", "quantity": 1}, {"sku": "NEITHER", "quantity": 10_001}, {"quantity": 1}
    ], "open_lines": "drop", "bogus": 1});
    let refused = app.client.send(Method::PUT, path, &[("if-match", "*")], Some(&odd)).await;
    let broken = [
        "/bogus",
        "/components/0/sku",
        "/components/1/quantity",
        "/components/3/sku",
        "/components/4/quantity",
        "/components/4/sku",
        "/components/5/sku",
        "/open_lines",
    ];
    assert_eq!(refused.refused(422, "validation_failed").broken(), broken);
    let unknown = put(&app, 11, "*", &[("NO", 1), ("TEA", 1), ("NEITHER", 1)], "keep").await;
    assert_eq!(unknown.refused(422, "unknown_sku").broken(), ["/components/0/sku", "/components/2/sku"]);
    for id in ["99", "0", "011", "x", "%00", "99999999999999999999"] {
        app.client.get(&format!("/mirror/variants/{id}")).await.refused(404, "variant_not_found");
        app.client.get(&format!("/mirror/variants/{id}/mappings")).await.refused(404, "variant_not_found");
    }
    put(&app, 99, "*", &[("TEA", 1)], "keep").await.refused(404, "variant_not_found");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_edits_with_one_tag_one_wins_and_whoever_overwrites_blindly_comes_after() {
    let app = start().await;
    skus(&app, &["TEA", "CUP"]).await;
    product(&app, 1, &[(11, None, false)]).await;
    for version in 0..8 {
        let tag = format!("\"r{version}\"");
        let (tea, cup) = ([("TEA", version + 1)], [("CUP", version + 1)]);
        let (one, other) = tokio::join!(put(&app, 11, &tag, &tea, "keep"), put(&app, 11, &tag, &cup, "keep"));
        let mut statuses = [one.status.as_u16(), other.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412]);
    }
    let (one, other) =
        tokio::join!(put(&app, 11, "*", &[("TEA", 100)], "keep"), put(&app, 11, "*", &[("CUP", 100)], "keep"));
    one.expect(200);
    other.expect(200);
    assert_eq!(variant(&app, 11).await.at("/mapping/version"), 10);
    app.finish().await;
}
