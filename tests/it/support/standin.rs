//! The service beside a stand-in that it copies from, on one clock.

use std::sync::Arc;

use holdfast::clock::Clock;
use holdfast::demo::standin::{Options, StandIn};
use holdfast::mirror;

use super::app::{TestApp, settings};
use super::db;

/// A stand-in, and the service copying from it with these changes.
pub async fn mirroring_with(options: Options, change: impl FnOnce(&mut mirror::Settings)) -> (StandIn, TestApp) {
    let clock = Clock::new();
    let standin = StandIn::start(Options { clock: clock.clone(), ..options }).await.unwrap();
    let mut copied = standin.mirror_settings();
    change(&mut copied);
    let app = TestApp::start_mirroring(Arc::new(db::fresh().await), clock, settings(), copied).await;
    (standin, app)
}
