//! Repair: every class of damage is planted, found, planned, applied and verified, and the audit is clean afterwards.
//!
//! The world is the audit's. In it two things wait to be repaired whatever else is planted: a hold that lapsed and was
//! not closed, and a shortage that a lot could settle; and its pool has not closed a day for long.

mod damage;
mod days;
mod planted;
mod steps;

use std::collections::BTreeSet;
use std::sync::Arc;

use holdfast::clock::Clock;
use holdfast::repair::Finding;
use holdfast::repair::diagnose::{self, Limits};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor};

use self::damage::{Damage, HERE, damages, depleted_twice, drift, guard_again, two_dates};
use self::planted::{OFF_SALE_BY_HAND, UNSEEN};
use crate::support::app::settings;
use crate::support::process::{folder, on_test_db, run};
use crate::support::{TestApp, db};

const WORLD: &str = concat!(include_str!("audit/world.sql"), include_str!("audit/world_shipments.sql"));
const SKUS: &str = "INSERT INTO skus SELECT id, 'sku-' || id, '', 1, id <> 13, '2026-01-01', 'active', 1, now(), now()
    FROM generate_series(11, 22) AS id;";

/// What is found in any case.
const WAITING: [&str; 2] = ["shortage", "stuck_hold"];

type Outcomes = Vec<(String, String)>;

/// Kinds and outcomes, with those of what waits in any case.
fn with_waiting(found: &[(&str, &str)], of_waiting: &str) -> Outcomes {
    let waiting = WAITING.iter().map(|kind| (*kind, of_waiting));
    let place = found.iter().position(|one| *one == HERE);
    let (before, after) = found.split_at(place.unwrap_or(found.len()));
    let after = after.iter().copied().filter(|one| *one != HERE);
    let all = before.iter().copied().chain(waiting).chain(after);
    all.map(|(kind, outcome)| (kind.to_owned(), outcome.to_owned())).collect()
}

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
    let (id, findings) = whole_plan(app).await;
    (id, findings.into_iter().filter(|one| one["kind"] != "open_day").collect())
}

/// A whole plan; of it the days that are open.
async fn open_days(app: &TestApp) -> (String, Vec<Value>) {
    let (id, findings) = whole_plan(app).await;
    (id, findings.into_iter().filter(|one| one["kind"] == "open_day").collect())
}

async fn whole_plan(app: &TestApp) -> (String, Vec<Value>) {
    let mut body = json!({"pool": "default"});
    loop {
        let answer = app.client.post("/repair/plan", &body).await.expect(200);
        let id = answer.at("/plan_id").as_str().expect("an id").to_owned();
        if answer.at("/complete") == true {
            return (id, answer.at("/findings").as_array().cloned().unwrap_or_default());
        }
        body = json!({"plan_id": id});
    }
}

fn ids(findings: &[Value]) -> Vec<Value> {
    findings.iter().map(|one| one["id"].clone()).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn kinds(findings: &[Value]) -> Vec<String> {
    findings.iter().map(|one| text(&one["kind"])).collect()
}

/// What became of each finding, in the plan's order.
async fn apply(app: &TestApp, plan: &str, findings: &[Value], dry_run: bool) -> Outcomes {
    let mut body = json!({"plan_id": plan, "findings": ids(findings), "dry_run": dry_run});
    let mut outcomes = Vec::new();
    loop {
        let answer = app.client.post("/repair/apply", &body).await.expect(200);
        let applied = answer.at("/findings").as_array().cloned().unwrap_or_default();
        outcomes.extend(applied.iter().map(|one| (text(&one["kind"]), text(&one["outcome"]))));
        body["cursor"] = answer.at("/next_cursor");
        if body["cursor"].is_null() {
            return outcomes;
        }
    }
}

/// What repair has appended, of everything but the shortage that waits: sorted.
async fn appended(app: &TestApp) -> Vec<String> {
    let sql = "
        SELECT format('entry %s %s on_hand %s quarantined %s held %s committed %s', sku_id, kind, on_hand_delta,
            quarantined_delta, held_delta, committed_delta) AS row
        FROM stock_entries JOIN clients AS c USING (client_id) WHERE c.name = 'repair'
        UNION ALL
        SELECT format('lot %s %s %s quarantined %s worth %s%s', right(lot_id::text, 2), row_source, quantity_delta,
            quarantined_delta, round(value_delta, 2), ' for ' || source_ref_id)
        FROM lot_transactions JOIN clients AS c USING (client_id)
        WHERE c.name = 'repair' AND row_source <> 'shortage_settlement'
        UNION ALL
        SELECT format('line %s %s %s of lot %s at %s', right(shipment_id::text, 2), kind, quantity,
            right(lot_id::text, 2), round(unit_cost, 2))
        FROM depletions WHERE kind = 'correction'
        ORDER BY 1";
    sqlx::query_scalar(sql).fetch_all(&app.db.owner()).await.expect("appended")
}

/// Units of a SKU that were sold, and their cost.
async fn cogs(app: &TestApp, sku: &str) -> (i64, String) {
    let to = app.clock.local_now().date_naive();
    let report = app.client.get(&format!("/reports/cogs?from=2026-01-01&to={to}&by=sku")).await.expect(200);
    let rows = report.at("/data").as_array().cloned().unwrap_or_default();
    let row = rows.iter().find(|row| row["sku"] == sku).unwrap_or_else(|| panic!("no {sku} in {rows:#?}"));
    (row["final_quantity"].as_i64().expect("units"), text(&row["final_cost"]))
}

/// By how much the lots of each SKU differ from its shelf and what was shipped and not yet depleted.
async fn differences(app: &TestApp) -> Vec<(i64, i64)> {
    let sql = "
        SELECT s.sku_id, (
            coalesce((SELECT sum(remaining_quantity) FROM lots AS l WHERE l.sku_id = s.sku_id), 0) - s.on_hand
            - coalesce((
                SELECT sum(l.covered_quantity - l.depleted_quantity) FROM shipment_lines AS l
                WHERE l.sku_id = s.sku_id AND l.voided_at IS NULL
            ), 0)
        )::bigint AS difference
        FROM stock AS s
        ORDER BY s.sku_id";
    let all: Vec<(i64, i64)> = sqlx::query_as(sql).fetch_all(&app.db.owner()).await.expect("differences");
    all.into_iter().filter(|(_, difference)| *difference != 0).collect()
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
        "snapshot_skus",
        "repairs",
        "clients",
        "job_slots",
    ];
    let mut rows = Vec::new();
    for table in tables {
        let sql = format!("SELECT coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '') FROM {table} AS t");
        rows.push(sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&app.db.owner()).await.expect("state"));
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn every_class_of_damage_is_found_planned_applied_and_verified() {
    for damage in damages() {
        repair(damage).await;
    }
}

async fn repair(damage: Damage) {
    let sql = &damage.sql;
    let app = damaged(sql).await;
    let (id, findings) = plan(&app).await;
    let expected = with_waiting(damage.found, "applied");
    let found: Vec<String> = expected.iter().map(|(kind, _)| kind.clone()).collect();
    assert_eq!(kinds(&findings), found, "{sql}\n{findings:#?}");

    let before = state(&app).await;
    let dry = apply(&app, &id, &findings, true).await;
    let would: Outcomes =
        expected.iter().map(|(kind, outcome)| (kind.clone(), outcome.replace("applied", "would_apply"))).collect();
    assert_eq!(dry, would, "{sql}");
    assert_eq!(state(&app).await, before, "a dry run changes nothing: {sql}");

    assert_eq!(apply(&app, &id, &findings, false).await, expected, "{sql}\n{findings:#?}");
    let again: Outcomes =
        expected.iter().map(|(kind, outcome)| (kind.clone(), outcome.replace("applied", "already_applied"))).collect();
    assert_eq!(apply(&app, &id, &findings, false).await, again, "{sql}");

    let (next, findings) = plan(&app).await;
    let left: Outcomes =
        damage.left.iter().map(|(kind, outcome)| ((*kind).to_owned(), (*outcome).to_owned())).collect();
    assert_eq!(apply(&app, &next, &findings, false).await, left, "{sql}\n{findings:#?}");
    assert_eq!(appended(&app).await, damage.appended, "{sql}");
    assert_eq!(cogs(&app, "sku-21").await, (damage.cogs.0, damage.cogs.1.to_owned()), "{sql}");
    assert_eq!(differences(&app).await, [], "{sql}");

    app.db.owner().execute(sqlx::raw_sql(damage.guards)).await.expect("guards");
    let verified = app.client.post("/repair/verify", &json!({"plan_id": id})).await.expect(200);
    let verified = verified.at("/findings").as_array().cloned().unwrap_or_default();
    let broken: Vec<_> =
        verified.iter().filter(|one| one["kind"] != "open_day" && one["standing"] != "repaired").collect();
    assert!(broken.is_empty(), "{sql}\n{broken:#?}");

    let report = app.client.get(&format!("/repair/report?plan_id={id}")).await.expect(200);
    let report = String::from_utf8(report.bytes).expect("text");
    assert!(report.contains("appended at") && report.contains("SHA-256"), "{report}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_recalled_comes_back_off_sale() {
    let recalled = damages().into_iter().find(|damage| damage.sql.contains("recall")).expect("planted");
    let app = damaged(&recalled.sql).await;
    let sellable = async || app.availability("sku-21").await["sellable_quantity"].clone();
    let before = sellable().await;
    let (id, findings) = plan(&app).await;
    apply(&app, &id, &findings, false).await;
    assert_eq!(sellable().await, 0, "it was {before}");
    app.db.owner().execute(sqlx::raw_sql(guard_again())).await.expect("guards");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_evidence_is_refused_and_the_others_go_on() {
    let app = damaged(&drift(2)).await;
    let (id, findings) = plan(&app).await;
    app.db.owner().execute(sqlx::raw_sql(AssertSqlSafe(drift(1)))).await.expect("drift");
    let before = state(&app).await;
    let of = |kind: &str| findings.iter().filter(|one| one["kind"] == kind).cloned().collect::<Vec<_>>();
    let body = json!({"plan_id": id, "findings": ids(&of("balance_drift")), "dry_run": false});
    app.client.post("/repair/apply", &body).await.refused(409, "evidence_stale");
    assert_eq!(state(&app).await, before);
    let applied = apply(&app, &id, &findings, false).await;
    assert_eq!(applied, with_waiting(&[("balance_drift", "stale")], "applied"));
    let (id, findings) = plan(&app).await;
    assert_eq!(apply(&app, &id, &findings, false).await, [("balance_drift".to_owned(), "applied".to_owned())]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diagnosis_in_small_steps_finds_the_same_and_waits_for_nobody() {
    let app = damaged(&depleted_twice()).await;
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
async fn an_empty_database_has_nothing_to_repair_and_says_so() {
    let app = TestApp::start().await;
    let answer = app.client.post("/repair/diagnose", &json!({})).await.expect(200);
    assert_eq!(answer.json(), json!({"has_lots": false, "findings": [], "next_cursor": null}));
    let folder = folder("repair-empty");
    let env = on_test_db(&app.db, &folder).await;
    let said = run(&folder, &env, &["repair", "diagnose"]).await;
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    assert!(String::from_utf8_lossy(&said.stderr).contains("there are no lots yet"), "{said:?}");
    let made = app.clock.local_now() - chrono::TimeDelta::days(3);
    sqlx::query("UPDATE pools SET created_at = $1").bind(made).execute(&app.db.owner()).await.expect("older");
    let said = run(&folder, &env, &["repair", "diagnose"]).await;
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(!String::from_utf8_lossy(&said.stderr).contains("there are no lots yet"), "{said:?}");
    app.finish().await;
    std::fs::remove_dir_all(folder).expect("remove");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_audit_finds_is_never_passed_over() {
    let tables = ["shipment_lines", "snapshot_skus", "stock", "reservations", "reservation_lines", "lots"];
    let tables = [&tables[..], &["lot_transactions", "lot_shortages"]].concat();
    let mut rows: Vec<String> =
        tables.iter().map(|table| format!("ALTER TABLE {table} DISABLE TRIGGER USER")).collect();
    rows.extend(UNSEEN.iter().map(|(sql, _)| (*sql).to_owned()));
    let keys = "DO $$ DECLARE c record; BEGIN
            FOR c IN SELECT conrelid::regclass AS own, conname FROM pg_constraint
                WHERE contype = 'f' AND confrelid IN ('stock'::regclass, 'lots'::regclass) LOOP
                EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.own, c.conname);
            END LOOP;
        END $$;";
    let app = damaged(&format!("{keys}{}", rows.join(";"))).await;
    let (id, findings) = plan(&app).await;
    let of = |check: &str| findings.iter().find(|one| one["subject"]["check"]["check"] == check).cloned();
    for (sql, check) in UNSEEN {
        let found = of(check).unwrap_or_else(|| panic!("{check} after {sql}: {findings:#?}"));
        assert_eq!(
            (text(&found["kind"]), text(&found["correction"]["action"])),
            ("audit_check".into(), "manual".into())
        );
    }
    let before = state(&app).await;
    let checks: Vec<Value> = findings.into_iter().filter(|one| one["kind"] == "audit_check").collect();
    let applied = apply(&app, &id, &checks, false).await;
    assert!(applied.iter().all(|(_, outcome)| outcome == "manual"), "{applied:?}");
    assert_eq!(state(&app).await, before);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn units_come_back_at_what_they_have_been_corrected_to() {
    let app = damaged(&depleted_twice()).await;
    let lots = app.client.get("/lots?sku=sku-21").await.expect(200);
    let lots = lots.at("/data").as_array().cloned().unwrap_or_default();
    let lot = lots.iter().find(|lot| lot["source_ref"] == "po-21").expect("planted")["id"].clone();
    let cost = json!({"reason": "invoice", "unit_cost": "3.50", "correct_depleted": true});
    app.client.post(&format!("/lots/{}/revalue", text(&lot)), &cost).await.expect(200);
    let (id, findings) = plan(&app).await;
    apply(&app, &id, &findings, false).await;
    let (_, left) = plan(&app).await;
    assert_eq!(left, Vec::<Value>::new());
    assert_eq!((cogs(&app, "sku-21").await, differences(&app).await), ((4, "14.00".to_owned()), vec![]));
    app.db.owner().execute(sqlx::raw_sql(guard_again())).await.expect("guards");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_whose_lines_contradict_the_ledger_is_not_closed() {
    let zeroed = "UPDATE reservation_lines SET expired_quantity = 0, released_quantity = 1
        WHERE reservation_id = '00000000-0000-7000-9000-000000000007'";
    let app = damaged(&format!("ALTER TABLE reservation_lines DISABLE TRIGGER USER; {zeroed}")).await;
    let (id, findings) = plan(&app).await;
    let expected = [("shortage", "applied"), ("stuck_hold", "manual"), ("audit_check", "manual")];
    let expected = expected.map(|(kind, outcome)| (kind.to_owned(), outcome.to_owned()));
    assert_eq!(apply(&app, &id, &findings, false).await, expected, "{findings:#?}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lot_that_is_off_sale_is_so_once_its_row_is_what_its_ledger_says() {
    let app = damaged(OFF_SALE_BY_HAND).await;
    let (id, findings) = plan(&app).await;
    let applied = apply(&app, &id, &findings, false).await;
    assert_eq!(applied[0], ("lot_drift".to_owned(), "applied".to_owned()), "{applied:?}");
    assert_eq!(app.availability("sku-21").await["sellable_quantity"], 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runbook_by_hand_dry_run_first() {
    let app = damaged(&two_dates()).await;
    // As if no day of it had ever been closed by the clock.
    let long_ago = "UPDATE pools SET created_at = '2026-01-09'";
    app.db.owner().execute(long_ago).await.expect("long ago");
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
    let both = json!({"plan_id": "00000000-0000-7000-8000-000000000001", "pool": "default"});
    let answer = app.client.post("/repair/plan", &both).await.refused(422, "validation_failed");
    assert_eq!(answer.broken(), ["/pool"]);
    app.client.post("/repair/diagnose", &json!({"cursor": "x"})).await.refused(422, "validation_failed");
    app.client.post("/repair/diagnose", &json!({"pool": "nowhere"})).await.refused(422, "unknown_pool");
    app.finish().await;
}
