//! Pools, classes and SKUs over HTTP, and what an edit of them does to holds.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::app::{cart, settings};

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_starts_with_one_pool_and_one_class() {
    let app = TestApp::start().await;
    let only = async |path: &str| {
        let page = app.client.get(path).await.expect(200);
        assert_eq!(page.at("/data").as_array().map(Vec::len), Some(1), "{path}");
        page.at("/data/0")
    };
    let pool = only("/pools").await;
    assert_eq!([&pool["code"], &pool["time_zone"]], [&json!("default"), &json!("UTC")]);
    assert_eq!(only("/classes").await["code"], json!("standard"));
    assert_eq!(app.client.get("/skus").await.expect(200).json(), json!({"data": [], "next_cursor": null}));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_is_read_back_and_codes_are_taken_once() {
    let app = TestApp::start().await;
    let new = [
        ("/pools", json!({"code": "eu", "name": "Europe", "time_zone": "Europe/Berlin"}), "pool_not_found"),
        ("/classes", json!({"code": "fresh", "hold_ttl_seconds": 60, "depletion_order": "fefo"}), "class_not_found"),
        ("/skus", json!({"code": "TEE M/black", "class": "fresh", "name": "Tee"}), "sku_not_found"),
    ];
    for (path, body, not_found) in &new {
        let made = app.client.post(path, body).await.expect(201);
        for (name, value) in body.as_object().unwrap() {
            assert_eq!(made.at(&format!("/{name}")), *value, "{path}");
        }
        let code = body["code"].as_str().unwrap().replace(' ', "%20").replace('/', "%2F");
        let read = app.client.get(&format!("{path}/{code}")).await.expect(200);
        assert_eq!((read.json(), read.header("etag")), (made.json(), made.header("etag")));
        let taken = app.client.post(path, body).await.refused(409, "code_in_use");
        assert_eq!(taken.broken(), ["/code"]);
        for odd in ["no-such", "NO", "%00", "%20"] {
            app.client.get(&format!("{path}/{odd}")).await.refused(404, not_found);
        }
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_wrong_with_an_entry_is_listed_at_once() {
    let app = TestApp::start().await;
    let cases = [
        (
            "/pools",
            json!({"code": "EU west", "name": "", "time_zone": "Mars/Olympus", "bogus": 1}),
            vec!["/bogus", "/code", "/name", "/time_zone"],
        ),
        (
            "/classes",
            json!({"code": "-", "hold_ttl_seconds": 90_000, "safety_stock_quantity": -1,
            "max_per_hold_quantity": 0, "low_stock_quantity": 1.5, "depletion_order": "lifo", "oversell_tolerance_quantity": 1_000_000_001}),
            vec![
                "/code",
                "/depletion_order",
                "/hold_ttl_seconds",
                "/low_stock_quantity",
                "/max_per_hold_quantity",
                "/oversell_tolerance_quantity",
                "/safety_stock_quantity",
            ],
        ),
        (
            "/skus",
            json!({"name": "x\ny", "class": "no", "tracked": "yes"}),
            vec!["/class", "/code", "/name", "/tracked"],
        ),
    ];
    for (path, body, broken) in cases {
        let refused = app.client.post(path, &body).await.refused(422, "validation_failed");
        assert_eq!(refused.broken(), broken, "{path}");
    }
    app.client.post("/skus", &json!({"code": "A", "class": "no"})).await.refused(422, "unknown_class");
    let both = json!({"code": "both", "safety_stock_quantity": 1, "oversell_tolerance_quantity": 1});
    let warned = app.client.post("/classes", &both).await.expect(201);
    assert_eq!(warned.at("/warnings").as_array().map(Vec::len), Some(1), "allowed, but warned");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_needs_the_tag_that_was_read_and_changes_what_it_names() {
    let app = TestApp::start().await;
    app.client.post("/skus", &json!({"code": "TEA"})).await.expect(201);
    let edits = [("/pools/default", "/pools/no"), ("/classes/standard", "/classes/no"), ("/skus/TEA", "/skus/no")];
    for (path, nowhere) in edits {
        let read = app.client.get(path).await.expect(200);
        let tag = read.header("etag").unwrap().to_owned();
        let name = json!({"name": "Renamed"});
        app.client.send(reqwest::Method::PATCH, path, &[], Some(&name)).await.refused(428, "precondition_required");
        let changed = app.client.patch(path, &tag, &name).await.expect(200);
        let new_tag = changed.header("etag").unwrap().to_owned();
        assert_ne!(new_tag, tag);
        let mut expected = read.json();
        expected["name"] = json!("Renamed");
        expected["updated_at"] = changed.at("/updated_at");
        assert_eq!(changed.json(), expected);
        app.client.patch(path, &tag, &json!({"name": "Lost update"})).await.refused(412, "precondition_failed");
        let same = app.client.patch(path, &format!("\"other\", {new_tag}"), &name).await.expect(200);
        assert_eq!(same.header("etag"), Some(new_tag.as_str()), "an edit that changes nothing leaves the tag");
        app.client.patch(path, "*", &json!({})).await.refused(422, "validation_failed");
        let odd = app.client.patch(path, "*", &json!({"code": "new", "name": ""})).await;
        assert_eq!(odd.refused(422, "validation_failed").broken(), ["/code", "/name"]);
        assert_eq!(app.client.patch(nowhere, "*", &name).await.expect(404).at("/status"), 404);
        assert_eq!(app.client.get(path).await.at("/name"), "Renamed");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn skus_are_listed_by_class_status_and_tracking_in_pages() {
    let app = TestApp::start().await;
    app.client.post("/classes", &json!({"code": "fresh"})).await.expect(201);
    for (code, class, tracked) in
        [("D", "fresh", true), ("B", "standard", false), ("A", "fresh", true), ("C", "fresh", false)]
    {
        app.client.post("/skus", &json!({"code": code, "class": class, "tracked": tracked})).await.expect(201);
    }
    app.client.patch("/skus/D", "*", &json!({"status": "retired"})).await.expect(200);
    let listed = async |query: &str| {
        let page = app.client.get(&format!("/skus?{query}")).await.expect(200);
        let codes: String =
            page.at("/data").as_array().unwrap().iter().map(|sku| sku["code"].as_str().unwrap()).collect();
        (codes, page.at("/next_cursor").as_str().map(str::to_owned))
    };
    for (query, codes) in [
        ("", "ABCD"),
        ("class=fresh", "ACD"),
        ("tracked=false", "BC"),
        ("status=retired", "D"),
        ("status=active&class=fresh&tracked=true", "A"),
        ("class=none", ""),
    ] {
        assert_eq!(listed(query).await.0, codes, "{query}");
    }
    let (first, cursor) = listed("limit=3").await;
    assert_eq!(
        (first.as_str(), listed(&format!("limit=3&cursor={}", cursor.unwrap())).await),
        ("ABC", ("D".to_owned(), None))
    );
    let odd = app.client.get("/skus?status=gone&tracked=1&class=X&limit=0&cursor=x&q=1").await;
    assert_eq!(odd.refused(400, "invalid_parameter").broken(), ["class", "cursor", "limit", "q", "status", "tracked"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tightened_policy_leaves_existing_claims_alone() {
    let app = TestApp::start().await;
    app.sku_with("TEA", json!({"oversell_tolerance_quantity": 5})).await;
    app.stock("TEA", 10).await;
    let standing = app.hold("TEA", 12).await.expect(201);
    let policy = json!({
        "oversell_tolerance_quantity": 0, "safety_stock_quantity": 4, "hold_ttl_seconds": 10,
        "longest_hold_seconds": 60, "max_per_hold_quantity": 1
    });
    app.client.patch("/classes/tea", "*", &policy).await.expect(200);
    app.hold("TEA", 1).await.refused(409, "insufficient_stock");
    let seen = app.availability("TEA").await;
    assert_eq!([&seen["status"], &seen["shortfall_quantity"]], [&json!("oversold"), &json!(6)]);
    let path = format!("/reservations/{}", standing.id());
    app.advance(600);
    let read = app.client.get(&path).await.expect(200);
    assert_eq!((read.at("/state"), read.at("/expires_at")), (json!("held"), standing.at("/expires_at")));
    let extended = app.client.post(&format!("{path}/extend"), &json!({"ttl_seconds": 3600})).await.expect(200);
    assert_eq!(extended.at("/max_expires_at"), standing.at("/max_expires_at"), "it keeps the policy it was made under");
    let done = app.client.post(&format!("{path}/commit"), &json!({"order_ref": "1"})).await.expect(200);
    assert_eq!(done.at("/lines/0/committed_quantity"), 12);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_sku_takes_no_new_holds_and_keeps_its_claims() {
    let app = TestApp::start().await;
    app.stock("TEA", 10).await;
    let id = app.hold("TEA", 2).await.expect(201).id();
    let brief = json!({"lines": [{"sku": "TEA", "quantity": 1}], "ttl_seconds": 10});
    let lapsed = app.client.post("/reservations", &brief).await.expect(201).id();
    let body = json!({"status": "retired"});
    app.client.patch("/skus/TEA", "*", &body).await.expect(200);
    let refused = app.client.post("/reservations", &cart(&[("TEA", 1)])).await.refused(422, "sku_retired");
    assert_eq!(refused.broken(), ["/lines/0/sku"]);
    assert_eq!(app.availability("TEA").await["status"], "retired");
    app.client.post(&format!("/reservations/{id}/commit"), &json!({"order_ref": "1"})).await.expect(200);
    app.advance(10);
    // A hold that has lapsed would be a new one.
    app.client.post(&format!("/reservations/{lapsed}/extend"), &json!({})).await.refused(422, "sku_retired");
    app.client.patch("/skus/TEA", "*", &json!({"status": "active"})).await.expect(200);
    app.hold("TEA", 1).await.expect(201);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_knows_another_ones_edits_before_it_decides_a_hold() {
    let mut deaf = settings();
    deaf.intervals.catalogue = Duration::from_hours(1);
    let app = TestApp::start_with(deaf).await;
    let other = app.another().await;
    app.sku_with("TEA", json!({})).await;
    app.stock("TEA", 10).await;
    other.hold("TEA", 1).await.expect(201);
    app.client.patch("/classes/tea", "*", &json!({"safety_stock_quantity": 8})).await.expect(200);
    let refused = other.hold("TEA", 2).await.refused(409, "insufficient_stock");
    assert_eq!(refused.at("/shortfalls/0/safety_stock_quantity"), 8);
    app.client.patch("/skus/TEA", "*", &json!({"status": "retired"})).await.expect(200);
    other.hold("TEA", 1).await.refused(422, "sku_retired");
    app.pool("eu").await;
    app.stock_in("eu", "CUP", 3).await;
    let hold = json!({"pool": "eu", "lines": [{"sku": "CUP", "quantity": 3}]});
    other.client.post("/reservations", &hold).await.expect(201);
    let seen = other.client.get("/availability?sku=CUP&pool=eu").await.expect(200);
    assert_eq!(seen.at("/data/0/sellable_quantity"), 0);
    assert_eq!(other.client.get("/pools/eu").await.expect(200).at("/code"), Value::from("eu"));
    other.stop().await;
    app.finish().await;
}
