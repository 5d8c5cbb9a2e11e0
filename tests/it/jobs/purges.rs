//! The jobs that the service brings along: old answers and old slots go, what is still needed stays.

use sqlx::postgres::PgPool;

use super::{DAY, shown};
use crate::support::TestApp;

async fn count(owner: &PgPool, of: &'static str) -> i64 {
    sqlx::query_scalar(of).fetch_one(owner).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_kept_for_their_retention_and_then_purged_once() {
    let app = TestApp::start().await;
    app.pool("eu").await;
    app.stock("TEA", 5).await;
    app.stock_in("eu", "TEA", 5).await;
    let owner = app.db.owner();
    let keys = "SELECT count(*) FROM idempotency_keys";
    app.advance(app.app.settings.idempotency_retention_seconds - 3600);
    app.work().await;
    assert_eq!(count(&owner, keys).await, 2);
    app.hold("TEA", 1).await.expect(201);
    app.advance(2 * 3600);
    app.work().await;
    assert_eq!(count(&owner, keys).await, 1);
    let runs = shown(&app, "purge_answers", None).await["runs"].clone();
    let purged = runs.as_array().unwrap().iter().map(|run| run["report"]["purged"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(purged, 2, "{runs:#}");
    app.finish().await;
}

const OF_PURGE_SLOTS: &str = "SELECT count(*) FROM job_slots WHERE job = 'purge_slots'";
const OF_RETIRED: &str = "SELECT count(*) FROM job_slots WHERE job = 'retired'";

#[tokio::test(flavor = "multi_thread")]
async fn finished_slots_are_purged_but_for_the_newest_of_each_job() {
    let app = TestApp::start().await;
    let owner = app.db.owner();
    app.work().await;
    app.advance(60 * DAY);
    app.work().await;
    assert_eq!(count(&owner, OF_PURGE_SLOTS).await, 2);
    // A job that there is no more.
    let planted = "INSERT INTO job_slots SELECT (jsonb_populate_record(s, '{\"job\": \"retired\"}')).* \
                   FROM job_slots AS s WHERE job = 'purge_slots'";
    sqlx::query(planted).execute(&owner).await.unwrap();
    app.advance(60 * DAY);
    app.work().await;
    assert_eq!(count(&owner, OF_RETIRED).await, 1);
    assert_eq!(count(&owner, OF_PURGE_SLOTS).await, 2);
    app.advance(200 * DAY);
    app.work().await;
    assert_eq!(count(&owner, OF_RETIRED).await, 1);
    assert_eq!(count(&owner, OF_PURGE_SLOTS).await, 1);
    // Those of the other job, too.
    let newest = shown(&app, "purge_slots", None).await["runs"][0].clone();
    assert!(newest["report"]["purged"].as_u64().unwrap() >= 4, "{newest:#}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repair_plans_that_nobody_steps_on_any_more_are_purged() {
    let app = TestApp::start().await;
    let plan = async || app.client.post("/repair/plan", &serde_json::json!({})).await.expect(200).at("/plan_id");
    let (old, new) = (plan().await, plan().await);
    let aged = "UPDATE repair_plans SET updated_at = updated_at - interval '101 days' WHERE plan_id::text = $1";
    sqlx::query(aged).bind(old.as_str().unwrap()).execute(&app.db.owner()).await.unwrap();
    app.work().await;
    let get = async |id: &serde_json::Value| app.client.get(&format!("/repair/plans/{}", id.as_str().unwrap())).await;
    get(&old).await.refused(404, "repair_plan_not_found");
    get(&new).await.expect(200);
    assert_eq!(shown(&app, "purge_slots", None).await["runs"][0]["report"]["purged_plans"], 1);
    app.finish().await;
}
