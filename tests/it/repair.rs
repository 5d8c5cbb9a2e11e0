//! Repair: every class of damage is planted, found, planned, applied and verified, and the audit is clean afterwards.
//!
//! The world is the audit's. In it two things wait to be repaired whatever else is planted: a hold that lapsed and was
//! not closed, and a shortage that a lot could settle; and its pool has not closed a day for long.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use holdfast::clock::Clock;
use holdfast::repair::Finding;
use holdfast::repair::diagnose::{self, Limits};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor};

use crate::support::app::settings;
use crate::support::process::{folder, on_test_db, run};
use crate::support::{TestApp, db};

const WORLD: &str = concat!(include_str!("audit/world.sql"), include_str!("audit/world_shipments.sql"));
const SKUS: &str = "INSERT INTO skus SELECT id, 'sku-' || id, '', 1, id <> 13, now(), 'active', 1, now(), now()
    FROM generate_series(11, 22) AS id;";

/// What is found in any case.
const WAITING: [&str; 2] = ["shortage", "stuck_hold"];

async fn damaged(sql: &str) -> TestApp {
    let db = db::fresh().await;
    let owner = db.owner();
    for sql in [SKUS, WORLD, sql] {
        owner.execute(sqlx::raw_sql(AssertSqlSafe(sql.replace(":pool", "1")))).await.expect("plant");
    }
    TestApp::start_on(Arc::new(db), Clock::new(), settings()).await
}

/// A whole plan; the days that were never closed left out.
async fn plan(app: &TestApp) -> (String, Vec<Value>) {
    let mut body = json!({"pool": "default"});
    loop {
        let answer = app.client.post("/repair/plan", &body).await.expect(200);
        let id = answer.at("/plan_id").as_str().expect("an id").to_owned();
        if answer.at("/complete") == true {
            let findings = answer.at("/findings").as_array().cloned().unwrap_or_default();
            return (id, findings.into_iter().filter(|one| one["kind"] != "open_day").collect());
        }
        body = json!({"plan_id": id});
    }
}

fn ids(findings: &[Value]) -> Vec<Value> {
    findings.iter().map(|one| one["id"].clone()).collect()
}

fn kinds(findings: &[Value]) -> BTreeSet<&str> {
    findings.iter().filter_map(|one| one["kind"].as_str()).collect()
}

/// Outcomes by kind.
async fn apply(app: &TestApp, plan: &str, findings: &[Value], dry_run: bool) -> BTreeMap<String, String> {
    let body = json!({"plan_id": plan, "findings": ids(findings), "dry_run": dry_run});
    let answer = app.client.post("/repair/apply", &body).await.expect(200);
    assert_eq!(answer.at("/next_cursor"), Value::Null);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let applied = answer.at("/findings").as_array().cloned().unwrap_or_default();
    applied.iter().map(|one| (text(&one["kind"]), text(&one["outcome"]))).collect()
}

/// Every row that repair could write.
async fn state(app: &TestApp) -> Vec<String> {
    let tables = [
        "stock",
        "stock_entries",
        "lots",
        "lot_transactions",
        "shipment_lines",
        "depletions",
        "lot_shortages",
        "reservations",
        "reservation_lines",
        "oversells",
        "snapshots",
        "repairs",
        "clients",
    ];
    let mut rows = Vec::new();
    for table in tables {
        let sql = format!("SELECT coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '') FROM {table} AS t");
        rows.push(sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&app.db.owner()).await.expect("state"));
    }
    rows
}

/// A second depletion of lot 21 on a day, which its index would refuse for the day it has.
const DEPLETED_AGAIN: &str = "
    INSERT INTO lot_transactions (pool_id, lot_id, seq, row_source, source_ref_id, quantity_delta, remaining_after,
        unit_cost, client_id, recorded_at, quarantined_delta, business_date, value_delta)
    VALUES (1, '00000000-0000-7000-8000-000000000021', 4, 'snapshot_depletion', ':day', -4, 12, 2.5, 1, now(), 0,
        to_date(':day', 'YYYYMMDD'), -10);
    UPDATE lots SET remaining_quantity = 12 WHERE lot_id = '00000000-0000-7000-8000-000000000021';";
const LINE_AGAIN: &str = "
    INSERT INTO depletions
    SELECT (jsonb_populate_record(d, jsonb_build_object('n', 2, 'cost_date', to_date(':day', 'YYYYMMDD')))).*
    FROM depletions AS d WHERE shipment_id = '00000000-0000-7000-b000-000000000021';";
const NO_INDEX: &str = "DROP INDEX lot_transactions_one_depletion_per_day;";
/// The index again, but for the row that cannot be undone: as the runbook says.
const INDEX_BUT_FOR: &str = "CREATE UNIQUE INDEX lot_transactions_one_depletion_per_day
    ON lot_transactions (pool_id, lot_id, source_ref_id)
    WHERE row_source = 'snapshot_depletion'
        AND NOT (pool_id = 1 AND lot_id = '00000000-0000-7000-8000-000000000021' AND seq = 4)";

/// What is planted, what is found because of it, what the first round leaves, and what puts the guards up again.
fn damages() -> Vec<(String, Vec<&'static str>, Vec<&'static str>, &'static str)> {
    let (first, second) = ("20260110", "20260111");
    vec![
        (
            "ALTER TABLE stock DISABLE TRIGGER USER;
             UPDATE stock SET held = held + 2 WHERE sku_id = 11;
             ALTER TABLE stock ENABLE TRIGGER USER;"
                .to_owned(),
            vec!["balance_drift"],
            vec![],
            "",
        ),
        (
            "INSERT INTO stock_entries
             SELECT (jsonb_populate_record(e, '{\"seq\": 8, \"kind\": \"opening_count\", \"committed_delta\": 0,
                 \"on_hand_after\": 5, \"reservation_id\": null, \"line\": null}')).*
             FROM stock_entries AS e WHERE sku_id = 15 AND seq = 7;
             UPDATE stock SET on_hand = 5, seq = 8 WHERE sku_id = 15;"
                .to_owned(),
            vec!["ledger_break", "shelf_differs_from_lots"],
            vec![],
            "",
        ),
        (
            "UPDATE lots SET remaining_quantity = 9 WHERE source_ref = 'po-1';".to_owned(),
            vec!["lot_drift", "shelf_differs_from_lots"],
            vec![],
            "",
        ),
        (
            format!("{NO_INDEX}{DEPLETED_AGAIN}").replace(":day", first),
            vec!["lot_day", "shelf_differs_from_lots"],
            vec![],
            INDEX_BUT_FOR,
        ),
        (
            format!("{NO_INDEX}{DEPLETED_AGAIN}{LINE_AGAIN}").replace(":day", first),
            vec!["double_depletion", "lot_day", "shelf_differs_from_lots"],
            vec![],
            INDEX_BUT_FOR,
        ),
        (
            format!("{DEPLETED_AGAIN}{LINE_AGAIN}").replace(":day", second),
            vec!["shelf_differs_from_lots", "two_dates"],
            vec![],
            "",
        ),
        // Written twice, taken once: the line is put right first, and what the day then says is noted.
        (LINE_AGAIN.replace(":day", first), vec!["double_depletion", "lot_day"], vec!["lot_day"], ""),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_class_of_damage_is_found_planned_applied_and_verified() {
    for (sql, expected, left, guards) in damages() {
        let app = damaged(&sql).await;
        let (id, findings) = plan(&app).await;
        let expected: BTreeSet<&str> = expected.into_iter().chain(WAITING).collect();
        assert_eq!(kinds(&findings), expected, "{sql}\n{findings:#?}");

        let before = state(&app).await;
        let dry = apply(&app, &id, &findings, true).await;
        assert!(dry.values().all(|outcome| outcome == "would_apply" || outcome == "manual"), "{sql}\n{dry:?}");
        assert_eq!(state(&app).await, before, "a dry run changes nothing: {sql}");

        let applied = apply(&app, &id, &findings, false).await;
        for (kind, outcome) in &applied {
            let manual = kind == "shelf_differs_from_lots" || left.contains(&kind.as_str());
            assert_eq!(outcome, if manual { "manual" } else { "applied" }, "{kind}: {sql}");
        }
        let again = apply(&app, &id, &findings, false).await;
        assert!(again.values().all(|outcome| outcome == "already_applied" || outcome == "manual"), "{sql}\n{again:?}");

        let (next, findings) = plan(&app).await;
        assert_eq!(kinds(&findings), left.iter().copied().collect(), "{sql}\n{findings:#?}");
        if !findings.is_empty() {
            let applied = apply(&app, &next, &findings, false).await;
            assert!(applied.values().all(|outcome| outcome == "applied"), "{sql}\n{applied:?}");
        }
        let verified = app.client.post("/repair/verify", &json!({"plan_id": id})).await.expect(200);
        let verified = verified.at("/findings").as_array().cloned().unwrap_or_default();
        let broken: Vec<_> =
            verified.iter().filter(|one| one["kind"] != "open_day" && one["standing"] != "repaired").collect();
        assert!(broken.is_empty(), "{sql}\n{broken:#?}");

        let report = app.client.get(&format!("/repair/report?plan_id={id}")).await.expect(200);
        let report = String::from_utf8(report.bytes).expect("text");
        assert!(report.contains("appended at") && report.contains("SHA-256"), "{report}");
        app.db.owner().execute(sqlx::raw_sql(guards)).await.expect("guards");
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_evidence_is_refused_and_the_others_go_on() {
    let drift = |units: i64| {
        format!(
            "ALTER TABLE stock DISABLE TRIGGER USER;
             UPDATE stock SET held = held + {units} WHERE sku_id = 11;
             ALTER TABLE stock ENABLE TRIGGER USER;"
        )
    };
    let app = damaged(&drift(2)).await;
    let (id, findings) = plan(&app).await;
    app.db.owner().execute(sqlx::raw_sql(AssertSqlSafe(drift(1)))).await.expect("drift");
    let before = state(&app).await;
    let of = |kind: &str| findings.iter().filter(|one| one["kind"] == kind).cloned().collect::<Vec<_>>();
    let body = json!({"plan_id": id, "findings": ids(&of("balance_drift")), "dry_run": false});
    app.client.post("/repair/apply", &body).await.refused(409, "evidence_stale");
    assert_eq!(state(&app).await, before);
    let applied = apply(&app, &id, &findings, false).await;
    let expected = [("balance_drift", "stale"), ("shortage", "applied"), ("stuck_hold", "applied")];
    assert_eq!(applied, expected.map(|(kind, outcome)| (kind.to_owned(), outcome.to_owned())).into());
    let (id, findings) = plan(&app).await;
    assert_eq!(apply(&app, &id, &findings, false).await.values().collect::<Vec<_>>(), ["applied"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diagnosis_in_small_steps_finds_the_same_and_waits_for_nobody() {
    let (sql, ..) = damages().swap_remove(4);
    let app = damaged(&sql).await;
    let whole = diagnose(&app, Limits { findings: usize::MAX, ..Limits::default() }).await;
    assert!(whole.len() > 3, "{whole:?}");
    // Whatever a lane could have locked.
    let mut tx = app.db.owner().begin().await.expect("begin");
    for table in ["stock", "reservations", "shipment_lines", "lots", "lot_shortages"] {
        let sql = format!("SELECT FROM {table} FOR UPDATE");
        tx.execute(AssertSqlSafe(sql)).await.expect("lock");
    }
    let steps = diagnose(&app, Limits { page: 2, findings: 1, ..Limits::default() }).await;
    tx.rollback().await.expect("rollback");
    assert_eq!(ids_of(&steps), ids_of(&whole));
    app.stop().await;
}

async fn diagnose(app: &TestApp, limits: Limits) -> Vec<Finding> {
    let mut conn = app.app.db.acquire().await.expect("connect");
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let step = diagnose::step(&mut conn, &app.clock, None, cursor, limits).await.expect("diagnose");
        found.extend(step.findings);
        cursor = step.next;
        if cursor.is_none() {
            return found;
        }
    }
}

fn ids_of(findings: &[Finding]) -> BTreeSet<&str> {
    findings.iter().map(|one| one.id.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn days_that_were_left_open_are_closed_in_their_order() {
    let app = damaged("").await;
    let answer = app.client.post("/repair/plan", &json!({})).await.expect(200);
    let id = answer.at("/plan_id");
    let findings = answer.at("/findings").as_array().cloned().unwrap_or_default();
    let mut days: Vec<Value> = findings.into_iter().filter(|one| one["kind"] == "open_day").collect();
    days.truncate(3);
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
async fn an_empty_database_has_nothing_to_repair_and_says_so() {
    let app = TestApp::start().await;
    let answer = app.client.post("/repair/diagnose", &json!({})).await.expect(200);
    assert_eq!(answer.json(), json!({"has_lots": false, "findings": [], "next_cursor": null}));
    let folder = folder("repair-empty");
    let env = on_test_db(&app.db, &folder).await;
    let said = run(&folder, &env, &["repair", "diagnose"]).await;
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    assert!(String::from_utf8_lossy(&said.stderr).contains("there are no lots yet"), "{said:?}");
    app.finish().await;
    std::fs::remove_dir_all(folder).expect("remove");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runbook_by_hand_dry_run_first() {
    let (sql, ..) = damages().swap_remove(5);
    let app = damaged(&sql).await;
    let folder = folder("repair");
    let env = on_test_db(&app.db, &folder).await;
    let repair = async |args: &[&str]| {
        let args: Vec<&str> = ["repair"].iter().chain(args).copied().collect();
        let done = run(&folder, &env, &args).await;
        (done.status.code(), String::from_utf8_lossy(&done.stdout).into_owned())
    };
    let (code, said) = repair(&["diagnose", "--most", "1"]).await;
    assert_eq!(code, Some(1), "{said}");
    let cursor = said.split("--cursor ").nth(1).expect("where to go on").trim().to_owned();
    let (code, said) = repair(&["diagnose", "--cursor", &cursor]).await;
    assert!(code == Some(1) && said.contains("stuck_hold") && !said.contains("two_dates"), "{said}");

    let file = folder.join("plan.json");
    let file = file.to_str().expect("a path");
    assert_eq!(repair(&["plan", "--out", file]).await.0, Some(1));
    let plan: Value = serde_json::from_slice(&std::fs::read(file).expect("a plan")).expect("JSON");
    let findings = plan["findings"].as_array().expect("findings");
    let mut chosen: Vec<&str> = Vec::new();
    for one in findings.iter().filter(|one| one["kind"] == "two_dates" || one["kind"] == "stuck_hold") {
        chosen.extend(["--finding", one["id"].as_str().expect("an id")]);
    }
    let before = state(&app).await;
    let (code, said) = repair(&[&["apply", "--plan", file], chosen.as_slice()].concat()).await;
    assert!(code == Some(0) && said.contains("a dry run"), "{said}");
    assert_eq!(state(&app).await, before);
    let (code, said) = repair(&[&["apply", "--apply", "--plan", file], chosen.as_slice()].concat()).await;
    assert!(code == Some(0) && said.matches("applied: ").count() == 2, "{said}");
    let (code, said) = repair(&["verify", "--plan", file]).await;
    assert!(code == Some(1) && said.contains("repaired: ") && said.contains("unchanged: "), "{said}");
    let (code, said) = repair(&["report", "--plan", file]).await;
    assert!(code == Some(0) && said.starts_with("# Repair ") && said.contains("by repair"), "{said}");
    app.finish().await;
    std::fs::remove_dir_all(folder).expect("remove");
}

#[tokio::test(flavor = "multi_thread")]
async fn repair_is_for_admins_and_says_what_it_cannot_find() {
    let app = TestApp::start().await;
    let client = app.client_of("shop", &[holdfast::keys::Scope::Lots]).await;
    client.post("/repair/diagnose", &json!({})).await.refused(403, "forbidden");
    client.get("/repair/report?plan_id=00000000-0000-7000-8000-000000000001").await.refused(403, "forbidden");
    let nothing = json!({"plan_id": "00000000-0000-7000-8000-000000000001"});
    for path in ["/repair/plan", "/repair/apply", "/repair/verify"] {
        app.client.post(path, &nothing).await.refused(404, "repair_plan_not_found");
    }
    app.client.get("/repair/plans/none").await.refused(404, "repair_plan_not_found");
    app.client.get("/repair/report").await.refused(400, "invalid_parameter");
    let answer = app.client.post("/repair/apply", &json!({})).await.refused(422, "validation_failed");
    assert_eq!(answer.broken(), ["/plan_id"]);
    app.client.post("/repair/diagnose", &json!({"cursor": "x"})).await.refused(422, "validation_failed");
    app.client.post("/repair/diagnose", &json!({"pool": "nowhere"})).await.refused(422, "unknown_pool");
    app.finish().await;
}
