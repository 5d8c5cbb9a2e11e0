//! Each constraint, unique index and trigger of the schema refuses what it is named after, and nothing else does: once
//! it is dropped, the same SQL goes through.

use std::collections::{BTreeMap, BTreeSet};

use holdfast::ledger::audit::guards::{Guard, find_guards};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::support::db;

mod cases;
mod mirror;

use self::cases::CASES;

/// The small world that the audit's tests are made of, too: see its comments for who is who.
const WORLD: &str = include_str!("audit/world.sql");

/// What was shipped, depleted, settled, voided and returned, on top of it.
const SHIPMENTS: &str = include_str!("audit/shipments.sql");

const CATALOGUE: &str = "
    INSERT INTO clients VALUES (1, 'shop', now());
    INSERT INTO api_keys (key_id, client_id, secret_hash, label, scopes, created_at, bootstrap)
    VALUES ('k1', 1, sha256('k1'), '', ARRAY['admin'], now(), true);
    INSERT INTO skus SELECT id, 'sku-' || id, '', 1, id <> 13, now(), 'active', 1, now(), now()
    FROM generate_series(11, 16) AS id;
    INSERT INTO job_slots
    SELECT
        job, 'eu', '2026-11-24', '2026-11-24', '2026-11-25', '2026-11-25', status, attempts, 0,
        CASE status WHEN 'pending' THEN timestamptz '2026-11-25' END,
        CASE status WHEN 'running' THEN timestamptz '2026-11-26' END, CASE WHEN attempts > 0 THEN 'a' END,
        CASE WHEN attempts > 0 THEN timestamptz '2026-11-25' END,
        CASE WHEN status IN ('succeeded', 'failed') THEN timestamptz '2026-11-25' END, 'no luck'
    FROM (VALUES ('p', 'pending', 0), ('r', 'running', 1), ('s', 'succeeded', 1), ('f', 'failed', 1))
        AS one (job, status, attempts);
    INSERT INTO pool_zones VALUES (1, '2026-11-20', 'Europe/Berlin');
    INSERT INTO repair_plans VALUES ('00000000-0000-7000-a100-000000000001', 1, now(), now(), NULL, true, '{}');
    INSERT INTO repairs VALUES
    (1, '00000000-0000-7000-a100-000000000002', 'f', sha256('e'), 'ledger_drift', 'sku 11', '{}', 1, now());";

/// The columns of each table that a copy of a row has to bring along; the others follow from them.
type Columns = BTreeMap<String, String>;

async fn columns(conn: &mut PgConnection) -> Columns {
    let sql = "SELECT c.oid::regclass::text, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) \
               FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 \
               WHERE c.relkind = 'r' AND c.relnamespace IN ('public'::regnamespace, 'mirror'::regnamespace) \
                   AND a.attgenerated = '' AND NOT a.attisdropped \
               GROUP BY c.oid";
    let found: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(conn).await.unwrap();
    found.into_iter().collect()
}

/// The SQL of a case.
fn sql_of(case: &str, columns: &Columns) -> String {
    let statements: Vec<String> = case
        .split("; ")
        .flat_map(|part| part.split(";\n"))
        .map(|statement| match statement.trim().strip_prefix("copy ") {
            None => statement.to_owned(),
            Some(copy) => {
                let (source, changes) = copy.split_once(" WITH ").expect("copy … WHERE … WITH …");
                let (table, row) = source.split_once(" WHERE ").expect("copy … WHERE … WITH …");
                let columns = &columns[table];
                format!(
                    "INSERT INTO {table} ({columns}) SELECT {columns} FROM (
                        SELECT (jsonb_populate_record(x, '{changes}')).* FROM {table} AS x WHERE {row}
                    ) AS copied"
                )
            }
        })
        .collect();
    let mut sql = statements.join("; ");
    for (kind, group) in [("r", "9000"), ("l", "8000"), ("s", "c000"), ("d", "d000"), ("t", "e000"), ("x", "f000")] {
        for number in 1..=11 {
            for quote in ['\'', '"'] {
                let id = format!("{quote}00000000-0000-7000-{group}-{number:012}{quote}");
                sql = sql.replace(&format!("{quote}{kind}{number}{quote}"), &id);
            }
        }
    }
    sql.replace("\"new\"", "\"00000000-0000-7000-b000-000000000001\"")
        .replace("'new'", "'00000000-0000-7000-b000-000000000001'")
}

async fn run(conn: &mut PgConnection, sql: String) -> sqlx::Result<()> {
    conn.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.map(drop)
}

/// Tries one case: refused by its guard's name; once that is dropped, accepted.
async fn attempt(
    conn: &mut PgConnection,
    drop_guard: &str,
    guard: &str,
    case: &str,
    columns: &Columns,
) -> Result<(), String> {
    let sql = sql_of(case, columns);
    let mut tx = conn.begin().await.unwrap();
    run(&mut tx, "SAVEPOINT world".to_owned()).await.unwrap();
    let refused = match run(&mut tx, sql.clone()).await {
        Ok(()) => return Err("is not refused".to_owned()),
        Err(error) => error,
    };
    let by = refused.as_database_error().and_then(|error| error.constraint());
    if by != Some(guard) {
        return Err(format!("is refused by {by:?}: {refused}"));
    }
    run(&mut tx, "ROLLBACK TO world".to_owned()).await.unwrap();
    run(&mut tx, drop_guard.to_owned()).await.unwrap();
    let accepted = run(&mut tx, sql).await.map_err(|error| format!("is refused without it, too: {error}"));
    tx.rollback().await.unwrap();
    accepted
}

/// What a guard is called here: two tables of two schemas may have guards of one name.
fn named(guard: &Guard) -> String {
    match guard.table.split_once('.') {
        Some((schema, _)) => format!("{schema}.{}", guard.name),
        None => guard.name.clone(),
    }
}

#[tokio::test]
async fn every_guard_refuses_what_it_is_named_after_and_is_the_only_one_that_does() {
    let db = db::fresh().await;
    let mut conn = db.owner().acquire().await.unwrap().detach();
    run(&mut conn, CATALOGUE.to_owned()).await.unwrap();
    run(&mut conn, WORLD.replace(":pool", "1")).await.unwrap();
    run(&mut conn, SHIPMENTS.replace(":pool", "1")).await.unwrap();
    run(&mut conn, format!("BEGIN; {} COMMIT", mirror::WORLD)).await.unwrap();
    let guards = find_guards(&mut conn).await.unwrap();
    let columns = columns(&mut conn).await;
    let mut failures = Vec::new();
    for (name, case) in CASES.iter().chain(mirror::CASES) {
        let Some(guard) = guards.iter().find(|guard| named(guard) == *name) else {
            failures.push(format!("{name}: there is no such guard"));
            continue;
        };
        let Guard { table, name: bare, .. } = guard;
        let drop_guard = match &*guard.kind {
            "constraint" => format!("ALTER TABLE {table} DROP CONSTRAINT {bare} CASCADE"),
            "index" => format!("DROP INDEX {bare}"),
            _ => format!("DROP TRIGGER {bare} ON {table}"),
        };
        if let Err(what) = attempt(&mut conn, &drop_guard, bare, &mirror::as_writer(name, case), &columns).await {
            failures.push(format!("{name}: {case} {what}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let tried: BTreeSet<&str> = CASES.iter().chain(mirror::CASES).map(|(name, _)| *name).collect();
    let untried: Vec<_> = guards.iter().filter(|guard| !tried.contains(&*named(guard))).collect();
    assert!(untried.is_empty(), "guards without a case: {untried:?}");
}

/// What may be absent; every other column is NOT NULL.
const OPTIONAL: &[(&str, &[&str])] = &[
    ("api_keys", &["expires_at", "last_used_at", "revoked_at"]),
    ("demands", &["absorbed_by", "order_name"]),
    ("discrepancies", &["closed_at"]),
    (
        "job_slots",
        &["finished_at", "instance", "last_error", "lease_expires_at", "next_attempt_at", "report", "started_at"],
    ),
    ("lot_shortages", &["closed_at"]),
    ("lot_transactions", &["business_date", "reason", "shipment_id", "source_ref_id", "value_delta"]),
    ("lots", &["expires_date", "quarantine_reason", "source_lot_id", "source_ref"]),
    ("oversells", &["line", "reservation_id", "resolved_at"]),
    ("repair_plans", &["cursor"]),
    ("reservation_lines", &["superseded_quantity"]),
    (
        "reservations",
        &[
            "client_reference",
            "closed_at",
            "closed_reason",
            "committed_at",
            "metadata",
            "order_ref",
            "owner",
            "replaces_id",
            "variants",
        ],
    ),
    ("return_lots", &["shipment_id", "shipment_line_ref", "source_lot_id"]),
    ("returns", &["order_ref"]),
    ("shipment_lines", &["lot_id", "named_lot_code", "snapshot_date", "voided_at"]),
    ("shipments", &["order_ref", "reservation_id"]),
    ("snapshots", &["closed_at", "previous_date"]),
    ("stock", &["next_expires_date"]),
    (
        "stock_entries",
        &[
            "line",
            "lot_id",
            "oversell_tolerance_quantity",
            "reason",
            "reservation_id",
            "safety_stock_quantity",
            "shipment_id",
        ],
    ),
    ("transfers", &["closed_at"]),
    ("unmatched_lines", &["sku", "variant_id"]),
];

#[tokio::test]
async fn a_column_is_required_unless_its_absence_means_something() {
    let db = db::fresh().await;
    let sql = "SELECT table_name::text, array_agg(column_name::text ORDER BY column_name::text) \
               FROM information_schema.columns \
               WHERE table_schema = 'public' AND is_nullable = 'YES' AND table_name NOT LIKE '\\_%' \
               GROUP BY table_name ORDER BY table_name";
    let found: Vec<(String, Vec<String>)> = sqlx::query_as(sql).fetch_all(&db.owner()).await.unwrap();
    let expected: Vec<(String, Vec<String>)> = OPTIONAL
        .iter()
        .map(|(table, columns)| ((*table).to_owned(), columns.iter().map(|column| (*column).to_owned()).collect()))
        .collect();
    assert_eq!(found, expected);
}
