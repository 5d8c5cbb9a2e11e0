//! A first copy whose process is killed.

use std::time::Duration;

use holdfast::demo::standin::{Fault, Faults};
use holdfast::mirror::demand::apply::drain;
use tokio_util::sync::CancellationToken;

use super::{open_shop, owed, start, stock};
use crate::support::TestApp;
use crate::support::process::{folder, on_test_db, run, spawn};
use crate::support::race::eventually;

/// Where the stream of orders goes on after a crash.
async fn cursor(app: &TestApp) -> Option<String> {
    let sql = "SELECT cursor FROM mirror.streams WHERE source = 'shopify' AND stream = 'orders'";
    sqlx::query_scalar(sql).fetch_optional(&app.db.owner()).await.unwrap().flatten()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_that_is_killed_goes_on_at_its_page_and_ends_with_every_order_copied_and_claimed_once() {
    let (standin, app) = start().await;
    app.stock("TEA", 3000).await;
    app.stock("CUP", 3000).await;
    // Five pages.
    let orders = open_shop(&standin, 1100);
    // Slow enough to be killed in the middle of a page.
    standin.set_faults(Faults { per_mille: 1000, kinds: vec![Fault::Slow(Duration::from_millis(80))] });
    let folder = folder("backfill");
    let mut env = on_test_db(&app.db, &folder).await;
    let options = standin.options();
    env.extend([
        ("HOLDFAST_SHOPIFY_SHOP", options.shop.clone()),
        ("HOLDFAST_SHOPIFY_TOKEN", options.token.clone()),
        ("HOLDFAST_SHOPIFY_URL", standin.shopify_url()),
        ("HOLDFAST_MIRROR_PACING", "false".to_owned()),
        ("HOLDFAST_MIRROR_SINCE", "2020-01-01T00:00:00Z".to_owned()),
        ("HOLDFAST_MIRROR_SETTLE_SECONDS", "0".to_owned()),
    ]);
    let mut left_at = None;
    for _ in 0..2 {
        standin.forget_requests();
        let mut child = spawn(&folder, &env, &["mirror", "backfill"]);
        eventually("a page is written and the next one is asked for", async || {
            let now = cursor(&app).await;
            now.is_some() && now != left_at && standin.cursors("OrdersSeen").contains(&now)
        })
        .await;
        assert_eq!(child.try_wait().unwrap(), None, "it ended before it was killed");
        child.kill().await.unwrap();
        goes_on_at(&standin.cursors("OrdersSeen"), left_at.as_ref());
        left_at = cursor(&app).await;
        assert!(left_at.is_some());
    }
    standin.forget_requests();
    let done = run(&folder, &env, &["mirror", "backfill"]).await;
    assert!(done.status.success(), "{done:?}");
    goes_on_at(&standin.cursors("OrdersSeen"), left_at.as_ref());
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM mirror.orders").fetch_one(&app.db.owner()).await.unwrap();
    assert_eq!(rows, i64::try_from(orders.len()).unwrap());
    let stream = super::stream(&app, "shopify", "orders").await;
    assert_eq!(stream["backfill_expected"], stream["backfill_seen"], "each page counts once: {stream:#}");
    // What a killed run had taken on is applied once its lease is over.
    app.advance(120);
    drain(&app.app, &CancellationToken::new()).await.unwrap();
    assert_eq!(stock(&app, "TEA").await.1 + stock(&app, "CUP").await.1, owed(&standin, &orders), "claimed once each");
    app.finish().await;
    standin.stop().await;
    std::fs::remove_dir_all(folder).unwrap();
}

fn goes_on_at(asked: &[Option<String>], left_at: Option<&String>) {
    assert_eq!(
        asked.first().unwrap().as_ref(),
        left_at,
        "a run does not begin where the one before was killed: {asked:?}"
    );
}
