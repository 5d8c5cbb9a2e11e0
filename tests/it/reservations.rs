//! Holds over HTTP.

use crate::support::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_the_same_answer_byte_for_byte() {
    let app = TestApp::start().await;
    app.stock("TEA", 1).await;
    let cart = crate::support::app::cart(&[("TEA", 1)]);
    let first = app.client.post_as("k1", "/reservations", &cart).await.expect(201);
    let again = app.client.post_as("k1", "/reservations", &cart).await.expect(201);
    assert_eq!(first.bytes, again.bytes);
    assert!(again.is_replayed() && !first.is_replayed());
    let refused = app.client.post_as("k2", "/reservations", &cart).await.expect(409);
    let again = app.client.post_as("k2", "/reservations", &cart).await.expect(409);
    assert_eq!(refused.bytes, again.bytes);
    assert!(again.is_replayed());
    app.finish().await;
}
