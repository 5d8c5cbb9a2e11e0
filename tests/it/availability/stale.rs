//! How old an answer may be, and what is answered when the database is gone.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::app::{cart, settings};

#[tokio::test(flavor = "multi_thread")]
async fn another_instance_is_believed_within_the_bound_and_own_writes_show_at_once() {
    let mut lazy = settings();
    lazy.availability_staleness = Duration::from_hours(1);
    let patient = TestApp::start_with(lazy).await;
    let exact = patient.another_with(settings()).await;
    patient.stock("TEA", 10).await;
    let sellable = async |app: &TestApp| app.availability("TEA").await["sellable_quantity"].as_i64().unwrap();
    assert_eq!((sellable(&patient).await, sellable(&exact).await), (10, 10));

    exact.hold("TEA", 3).await.expect(201);
    assert_eq!((sellable(&patient).await, sellable(&exact).await), (10, 7), "an hour is not over");
    assert_eq!(patient.availability("TEA").await["stale"], Value::Null, "what is within the bound is not stale");
    // A number that may lag never decides a hold.
    patient.hold("TEA", 8).await.refused(409, "insufficient_stock");
    patient.hold("TEA", 1).await.expect(201);
    assert_eq!((sellable(&patient).await, sellable(&exact).await), (6, 6));
    exact.stop().await;
    patient.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_reads_are_served_stale_and_writes_are_told_to_come_back() {
    let mut hasty = settings();
    hasty.lanes.patience = Duration::from_millis(500);
    let app = TestApp::start_with(hasty).await;
    app.stock("TEA", 10).await;
    app.hold("TEA", 3).await.expect(201);
    let fresh = app.availability("TEA").await;
    assert_eq!((&fresh["sellable_quantity"], &fresh["stale"]), (&json!(7), &Value::Null));
    app.client.get("/readyz").await.expect(200);

    app.db.cut().await;
    let asked = Instant::now();
    let stale = app.availability("TEA").await;
    assert_eq!((&stale["sellable_quantity"], &stale["stale"]), (&json!(7), &json!(true)));
    assert_eq!(stale["as_of"], fresh["as_of"], "it says from when it is");
    app.client.get("/availability?sku=NEVER-SEEN").await.refused(503, "unavailable");
    let body = cart(&[("TEA", 1)]);
    let lost = app.client.post_as("k", "/reservations", &body).await.expect(503);
    assert!(lost.header("retry-after").is_some() && lost.at("/retryable") == json!(true));
    app.client.get("/readyz").await.expect(503);
    app.client.get("/healthz").await.expect(200);
    assert!(asked.elapsed() < Duration::from_secs(20), "every answer comes within a bounded time");

    app.db.restore().await;
    // The very request that was turned away is made good under its key.
    app.client.post_as("k", "/reservations", &body).await.expect(201);
    let again = app.availability("TEA").await;
    assert_eq!((&again["sellable_quantity"], &again["stale"]), (&json!(6), &Value::Null));
    app.finish().await;
}
