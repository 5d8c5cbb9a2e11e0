//! Steps: bounded however much is wrong, resumable, at once with others and beside live traffic.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor};

use super::damage::{depleted_twice, drift, guard_again};
use super::planted::MASS;
use super::{apply, cogs, damaged, differences, ids, kinds, plan, text};
use crate::support::TestApp;
use crate::support::process::{folder, on_test_db, run};
use crate::support::race::{Call, count, race};

/// Findings of one step, unless told otherwise.
const STEP: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn however_much_is_wrong_each_step_does_a_part_of_it_and_the_next_goes_on() {
    let app = damaged(MASS).await;
    let mut body = json!({"pool": "default"});
    let (mut plan, mut steps) = (None, Vec::new());
    let findings = loop {
        let answer = app.client.post("/repair/plan", &body).await.expect(200);
        let id = answer.at("/plan_id");
        assert_eq!(plan.get_or_insert_with(|| id.clone()), &id);
        let findings = answer.at("/findings").as_array().cloned().unwrap_or_default();
        steps.push(findings.len());
        let kept = app.client.get(&format!("/repair/plans/{}", text(&id))).await.expect(200);
        assert_eq!(kept.json(), answer.json());
        if answer.at("/complete") == true {
            break findings;
        }
        body = json!({"plan_id": id});
    };
    assert!(steps.len() > 3 && steps.windows(2).all(|two| two[1] - two[0] <= STEP), "{steps:?}");
    let unique: BTreeSet<String> = findings.iter().map(|one| text(&one["id"])).collect();
    assert_eq!(unique.len(), findings.len());
    let lines: Vec<Value> = findings.into_iter().filter(|one| one["kind"] == "double_depletion").collect();
    assert_eq!(lines.len(), 300);

    // The same, in steps of a diagnosis.
    let (mut found, mut body) = (BTreeSet::new(), json!({"pool": "default"}));
    loop {
        let answer = app.client.post("/repair/diagnose", &body).await.expect(200);
        let step = answer.at("/findings").as_array().cloned().unwrap_or_default();
        assert!(step.len() <= STEP, "{}", step.len());
        found.extend(step.iter().map(|one| text(&one["id"])));
        body["cursor"] = answer.at("/next_cursor");
        if body["cursor"].is_null() {
            break;
        }
    }
    assert_eq!(found, unique);

    let id = text(&plan.expect("a plan"));
    goes_on_in_the_middle(&app, &id, &lines).await;
    let applied = apply(&app, &id, &lines, false).await;
    let of = |outcome: &str| applied.iter().filter(|(_, one)| one == outcome).count();
    assert_eq!((of("applied"), of("already_applied")), (290, 10), "of one lot, and none the other's concern");
    assert_eq!((cogs(&app, "sku-16").await, differences(&app).await), ((300, "600.00".to_owned()), vec![]));
    for _ in 0..2 {
        let (id, findings) = super::plan(&app).await;
        apply(&app, &id, &findings, false).await;
    }
    app.finish().await;
}

/// Where a step ends that tried so many findings.
fn cursor_at(place: usize) -> String {
    URL_SAFE_NO_PAD.encode(json!({"v": 1, "c": place}).to_string())
}

async fn goes_on_in_the_middle(app: &TestApp, id: &str, lines: &[Value]) {
    let cursor = cursor_at(290);
    let body = json!({"plan_id": id, "findings": ids(lines), "dry_run": false, "cursor": cursor});
    let answer = app.client.post("/repair/apply", &body).await.expect(200);
    let applied = answer.at("/findings").as_array().cloned().unwrap_or_default();
    assert_eq!(applied.iter().map(|one| one["finding"].clone()).collect::<Vec<_>>(), ids(&lines[290..]));
    assert!(applied.iter().all(|one| one["outcome"] == "applied"), "{applied:#?}");
    let body = json!({"plan_id": id, "cursor": cursor});
    let answer = app.client.post("/repair/verify", &body).await.expect(200);
    let verified = answer.at("/findings").as_array().cloned().unwrap_or_default();
    assert_eq!(verified[..10].iter().map(|one| one["finding"].clone()).collect::<Vec<_>>(), ids(&lines[290..]));
    assert!(verified[..10].iter().all(|one| one["standing"] == "repaired"), "{verified:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_tries_a_part_of_the_selection_tells_what_became_of_it() {
    let drifted = drift(2) + &drift(2).replace("sku_id = 11", "sku_id = 12");
    let app = damaged(&drifted).await;
    let (id, findings) = plan(&app).await;
    let drifts = ids(&findings[..2]);
    assert_eq!(kinds(&findings[..2]), ["balance_drift"; 2]);
    app.db.owner().execute(sqlx::raw_sql(AssertSqlSafe(drifted))).await.expect("drift");
    let mut body = json!({"plan_id": id, "findings": drifts, "dry_run": false});
    app.client.post("/repair/apply", &body).await.refused(409, "evidence_stale");
    body["cursor"] = json!(cursor_at(1));
    let answer = app.client.post("/repair/apply", &body).await.expect(200);
    assert_eq!(
        (answer.at("/findings/0/finding"), answer.at("/findings/0/outcome")),
        (drifts[1].clone(), json!("stale"))
    );
    assert_eq!(answer.at("/next_cursor"), Value::Null);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_hand_a_diagnosis_stops_at_so_many_findings() {
    let app = damaged(MASS).await;
    let folder = folder("repair-most");
    let env = on_test_db(&app.db, &folder).await;
    let said = run(&folder, &env, &["repair", "diagnose", "--most", "10", "--json"]).await;
    let said = String::from_utf8(said.stdout).expect("text");
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.iter().filter(|line| line["id"].is_string()).count(), 10, "{said}");
    let cursor = lines.last().and_then(|line| line["next_cursor"].as_str()).expect("where to go on");
    let said = run(&folder, &env, &["repair", "diagnose", "--most", "10", "--cursor", cursor, "--json"]).await;
    let said = String::from_utf8(said.stdout).expect("text");
    assert!(lines[..10].iter().all(|line| !said.contains(line["id"].as_str().expect("an id"))), "{said}");
    app.stop().await;
    std::fs::remove_dir_all(folder).expect("remove");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_apply_a_plan_at_once_append_everything_once() {
    let app = damaged(&depleted_twice()).await;
    let other = app.another().await;
    let (id, findings) = plan(&app).await;
    let body = json!({"plan_id": id, "findings": ids(&findings), "dry_run": false});
    let calls = [&app, &other].map(|one| Call::new(&one.client, "/repair/apply", body.clone()));
    let answers = race(&calls).await;
    assert_eq!(count(&answers, 200), 2, "{answers:?}");
    let mut outcomes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for answer in &answers {
        for one in answer.at("/findings").as_array().into_iter().flatten() {
            outcomes.entry(text(&one["kind"])).or_default().push(text(&one["outcome"]));
        }
    }
    for (kind, outcomes) in &mut outcomes {
        outcomes.sort();
        let expected = if kind == "shelf_differs_from_lots" { ["manual"; 2] } else { ["already_applied", "applied"] };
        assert_eq!(*outcomes, expected, "{kind}");
    }
    assert_eq!((cogs(&app, "sku-21").await, differences(&app).await), ((4, "10.00".to_owned()), vec![]));
    app.db.owner().execute(guard_again()).await.expect("guards");
    other.stop().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_live_traffic_what_is_repaired_stays_repaired_and_nothing_else_is_lost() {
    let app = damaged(&depleted_twice()).await;
    let (id, findings) = plan(&app).await;
    assert_eq!(kinds(&findings)[0], "double_depletion");
    let body = json!({"plan_id": id, "findings": ids(&findings), "dry_run": false});
    let mut calls = vec![Call::new(&app.client, "/repair/apply", body)];
    for number in 0..8 {
        let line = json!([{"sku": "sku-21", "quantity": 1}]);
        calls.push(Call::new(&app.client, "/reservations", json!({"lines": line})));
        let lot = json!({
            "sku": "sku-21", "lot_code": format!("N{number}"), "quantity": 2, "unit_cost": "2.50", "currency": "EUR",
            "received_date": "2026-01-15"
        });
        calls.push(Call::new(&app.client, "/lots", lot));
    }
    let answers = race(&calls).await;
    assert_eq!((count(&answers, 200), count(&answers, 201)), (1, 16), "{answers:?}");
    let left: Vec<Value> = plan(&app).await.1;
    assert_eq!(left, Vec::<Value>::new());
    assert_eq!((cogs(&app, "sku-21").await, differences(&app).await), ((4, "10.00".to_owned()), vec![]));
    app.db.owner().execute(guard_again()).await.expect("guards");
    app.finish().await;
}
