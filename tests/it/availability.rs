//! Availability, its explanation, and the ledger.

use serde_json::json;

use crate::support::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn every_step_of_a_purchase_shows_in_availability() {
    let app = TestApp::start().await;
    app.stock("TEA", 10).await;
    let seen = |v: &serde_json::Value| {
        ["sellable_quantity", "on_hand_quantity", "held_quantity", "committed_quantity"].map(|k| v[k].as_i64().unwrap())
    };
    assert_eq!(seen(&app.availability("TEA").await), [10, 10, 0, 0]);
    let id = app.hold("TEA", 3).await.expect(201).id();
    assert_eq!(seen(&app.availability("TEA").await), [7, 10, 3, 0]);
    app.client.post(&format!("/reservations/{id}/commit"), &json!({"order_ref": "1"})).await.expect(200);
    assert_eq!(seen(&app.availability("TEA").await), [7, 10, 0, 3]);
    app.finish().await;
}
