//! Days: left open, missing, lost, and what stands in the way of the next one's close.

use serde_json::{Value, json};
use sqlx::Executor;

use super::damage::guard_again;
use super::planted::ahead;
use super::{apply, cogs, damaged, differences, ids, kinds, open_days, plan, text};
use crate::support::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn days_that_were_left_open_are_closed_in_their_order() {
    let begun = "INSERT INTO snapshots
        SELECT (jsonb_populate_record(s, '{\"snapshot_date\": \"2026-01-12\", \"previous_date\": \"2026-01-11\",
            \"window_start\": \"2026-01-12 00:00Z\", \"window_end\": \"2026-01-13 00:00Z\", \"status\": \"closing\",
            \"closed_at\": null}')).*
        FROM snapshots AS s WHERE snapshot_date = '2026-01-11'";
    let app = damaged(begun).await;
    let (id, mut days) = open_days(&app).await;
    days.truncate(3);
    assert!(text(&days[0]["detail"]).contains("begun"), "{days:#?}");
    assert_eq!(days[0]["subject"]["day"]["date"], "2026-01-12");
    let apply = async |day: &Value| {
        let body = json!({"plan_id": id, "findings": [day["id"]], "dry_run": false});
        app.client.post("/repair/apply", &body).await.expect(200).at("/findings/0/outcome")
    };
    assert_eq!(apply(&days[1]).await, "refused", "the day before it is open");
    for day in &days {
        assert_eq!(apply(day).await, "applied");
    }
    assert_eq!(apply(&days[0]).await, "already_applied");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_is_missing_between_closed_ones_is_for_a_person() {
    let gap = "DROP INDEX snapshots_one_first_day;
        INSERT INTO snapshots
        SELECT (jsonb_populate_record(s, '{\"snapshot_date\": \"2026-01-13\", \"previous_date\": null,
            \"window_start\": \"2026-01-13 00:00Z\", \"window_end\": \"2026-01-14 00:00Z\"}')).*
        FROM snapshots AS s WHERE snapshot_date = '2026-01-11';";
    let app = damaged(gap).await;
    let (id, days) = open_days(&app).await;
    assert_eq!(days[0]["subject"]["day"]["date"], "2026-01-12");
    assert_eq!(days[1]["subject"]["day"]["date"], "2026-01-14");
    let body = json!({"plan_id": id, "findings": ids(&days[..2]), "dry_run": false});
    let applied = app.client.post("/repair/apply", &body).await.expect(200);
    assert_eq!([applied.at("/findings/0/outcome"), applied.at("/findings/1/outcome")], ["manual", "applied"]);
    // The day stays missing: no audit is clean of it.
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_never_closed_a_day_has_its_days_open_from_the_first() {
    let app = TestApp::start().await;
    app.stock("TEA", 5).await;
    let (_, days) = open_days(&app).await;
    assert!(days.is_empty(), "made today: {days:#?}");
    let made = app.clock.local_now() - chrono::TimeDelta::days(3);
    sqlx::query("UPDATE pools SET created_at = $1").bind(made).execute(&app.db.owner()).await.expect("older");
    let (id, days) = open_days(&app).await;
    // By an hour after midnight the last day may not be over.
    assert!((2..=3).contains(&days.len()), "{days:#?}");
    assert_eq!(days[0]["subject"]["day"]["date"], made.date_naive().to_string());
    let applied = apply(&app, &id, &days, false).await;
    assert!(applied.iter().all(|(_, outcome)| outcome == "applied"), "{applied:?}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_whose_close_was_lost_and_one_before_the_first_are_for_a_person() {
    let lost = "DELETE FROM snapshots WHERE snapshot_date > '2026-01-09';
        UPDATE pools SET created_at = '2026-01-08 08:00Z' WHERE pool_id = 1;";
    let keys = "ALTER TABLE snapshot_skus DROP CONSTRAINT snapshot_skus_snapshot_exists;
        ALTER TABLE snapshots DISABLE TRIGGER USER;
        ALTER TABLE snapshot_skus DISABLE TRIGGER USER;";
    for skus in ["", "DELETE FROM snapshot_skus WHERE snapshot_date > '2026-01-09';"] {
        let app = damaged(&format!("{keys}{skus}{lost}")).await;
        let (id, days) = open_days(&app).await;
        let dates: Vec<String> = days[..2].iter().map(|day| text(&day["subject"]["day"]["date"])).collect();
        assert_eq!(dates, ["2026-01-08", "2026-01-10"]);
        let body = json!({"plan_id": id, "findings": ids(&days[..2]), "dry_run": false});
        let applied = app.client.post("/repair/apply", &body).await.expect(200);
        assert_eq!([applied.at("/findings/0/outcome"), applied.at("/findings/1/outcome")], ["manual", "manual"]);
        let checks: Vec<Value> = plan(&app).await.1.into_iter().filter(|one| one["kind"] == "audit_check").collect();
        assert_eq!(checks, Vec::<Value>::new(), "the day says it all");
        app.stop().await;
    }
}

async fn close(app: &TestApp) -> crate::support::client::Answer {
    app.client.post("/snapshots", &json!({"date": "2026-01-12"})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_was_depleted_ahead_of_its_day_is_closed_once_it_is_put_right() {
    let app = damaged(&ahead(true)).await;
    close(&app).await.refused(409, "depleted_before");
    for _ in 0..2 {
        let (id, findings) = plan(&app).await;
        assert!(kinds(&findings).iter().any(|kind| kind == "double_depletion" || kind == "lot_day"), "{findings:#?}");
        apply(&app, &id, &findings, false).await;
    }
    assert_eq!(plan(&app).await.1, Vec::<Value>::new());
    close(&app).await.expect(201);
    assert_eq!((cogs(&app, "sku-21").await, differences(&app).await), ((7, "17.50".to_owned()), vec![]));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lot_that_was_depleted_ahead_of_its_day_is_found_for_as_long_as_no_close_can_be() {
    let app = damaged(&ahead(false)).await;
    for _ in 0..2 {
        close(&app).await.refused(409, "depleted_before");
        let (id, findings) = plan(&app).await;
        let day = findings.iter().find(|one| one["kind"] == "lot_day").expect("found");
        assert!(text(&day["correction"]["reason"]).contains("index"), "{day:#?}");
        apply(&app, &id, &findings, false).await;
        let (_, days) = open_days(&app).await;
        assert_eq!(days[0]["correction"]["action"], "manual", "{:#?}", days[0]);
    }
    // As the runbook says.
    let index = format!("DROP INDEX lot_transactions_one_depletion_per_day; {}", guard_again());
    app.db.owner().execute(sqlx::raw_sql(sqlx::AssertSqlSafe(index))).await.expect("index");
    close(&app).await.expect(201);
    let (id, findings) = plan(&app).await;
    assert_eq!(kinds(&findings)[0], "lot_day", "{findings:#?}");
    assert_eq!(apply(&app, &id, &findings, false).await[0].1, "applied");
    assert_eq!((cogs(&app, "sku-21").await, differences(&app).await), ((7, "17.50".to_owned()), vec![]));
    app.finish().await;
}
