//! The rules that let pools move to other nodes (design, section 10), checked on the catalog and on every statement;
//! and that statements on the hot path are index plans from the first row on.
//!
//! A pool is the unit of distribution. So the schema is loaded a second time, hash-partitioned by pool, and every
//! statement that the service is compiled with must, once its parameters are known, touch one partition of a table.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, PgConnection, Row};

use crate::support::db;

/// Few rows, rarely written, the same on every node (the slots of jobs: on one). Everything else is stock and carries
/// its pool.
const GLOBAL: &[&str] = &[
    "api_keys",
    "campaign_products",
    "campaigns",
    "catalogue_revision",
    "classes",
    "clients",
    "job_slots",
    "line_mappings",
    "location_pools",
    "pool_zones",
    "pools",
    "repair_plans",
    "sku_retirements",
    "skus",
    "unmatched_lines",
    "variant_components",
    "variant_mappings",
];

/// A rule, the query that finds what breaks it (`$1`: the global tables), and something that does.
const RULES: &[(&str, &str, &str)] = &[
    (
        "a stock table has pool_id bigint NOT NULL first in its primary key",
        "SELECT t.relname::text FROM own AS t WHERE NOT t.is_global AND NOT EXISTS (
            SELECT FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = i.indkey[0]
            WHERE i.indrelid = t.oid AND i.indisprimary AND a.attname = 'pool_id' AND a.attnotnull
                AND a.atttypid = 'bigint'::regtype)",
        "CREATE TABLE planted (id uuid PRIMARY KEY, pool_id bigint NOT NULL)",
    ),
    (
        "every index of a stock table begins with pool_id",
        "SELECT i.indexrelid::regclass::text FROM own AS t JOIN pg_index AS i ON i.indrelid = t.oid
         LEFT JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = i.indkey[0]
         WHERE NOT t.is_global AND a.attname IS DISTINCT FROM 'pool_id'",
        "CREATE INDEX planted ON stock_entries (recorded_at)",
    ),
    (
        "a reference between stock tables carries pool_id on both sides",
        "SELECT c.conname::text FROM pg_constraint AS c
         JOIN own AS t ON t.oid = c.conrelid JOIN own AS other ON other.oid = c.confrelid
         WHERE NOT t.is_global AND NOT other.is_global AND NOT EXISTS (
            SELECT FROM unnest(c.conkey, c.confkey) AS u (here, there)
            JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = u.here AND a.attname = 'pool_id'
            JOIN pg_attribute AS b ON b.attrelid = other.oid AND b.attnum = u.there AND b.attname = 'pool_id')",
        "ALTER TABLE lots ADD UNIQUE (lot_id); ALTER TABLE lot_transactions ADD CONSTRAINT planted
         FOREIGN KEY (lot_id) REFERENCES lots (lot_id)",
    ),
    (
        "a global table never refers to stock",
        "SELECT c.conname::text FROM pg_constraint AS c
         JOIN own AS t ON t.oid = c.conrelid JOIN own AS other ON other.oid = c.confrelid
         WHERE t.is_global AND NOT other.is_global",
        "ALTER TABLE pools ADD best bigint; ALTER TABLE pools ADD CONSTRAINT planted
         FOREIGN KEY (pool_id, best) REFERENCES stock (pool_id, sku_id)",
    ),
    (
        "no sequences and no identity columns: ids are made by the service",
        "SELECT relname::text FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace
         UNION ALL SELECT a.attname::text FROM own AS t JOIN pg_attribute AS a ON a.attrelid = t.oid
         WHERE a.attidentity <> ''",
        "CREATE SEQUENCE planted",
    ),
    (
        "no constraint is deferrable",
        "SELECT conname::text FROM pg_constraint AS c JOIN own AS t ON t.oid = c.conrelid WHERE condeferrable
         UNION ALL SELECT tgname::text FROM pg_trigger AS g JOIN own AS t ON t.oid = g.tgrelid WHERE tgdeferrable",
        "ALTER TABLE stock ADD CONSTRAINT planted FOREIGN KEY (pool_id) REFERENCES pools (pool_id) DEFERRABLE",
    ),
    (
        "columns of stock tables have no defaults: values are passed in, or follow from others",
        "SELECT t.relname || '.' || a.attname FROM own AS t JOIN pg_attrdef AS d ON d.adrelid = t.oid
         JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = d.adnum WHERE NOT t.is_global AND a.attgenerated = ''",
        "ALTER TABLE lots ALTER lot_id SET DEFAULT gen_random_uuid()",
    ),
    (
        "trigger functions read OLD and NEW and nothing else",
        r"SELECT proname::text FROM pg_proc
         WHERE prorettype = 'trigger'::regtype AND pronamespace = 'public'::regnamespace
            AND prosrc ~* '\m(select|perform|execute|insert\s+into|update\s+\w+\s+set|delete\s+from)\M'",
        "CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS
         'BEGIN PERFORM 1 FROM stock; RETURN NEW; END'",
    ),
];

async fn breaches(conn: &mut PgConnection, rule: &str) -> Vec<String> {
    let sql = format!(
        "WITH own AS MATERIALIZED (
            SELECT oid, relname, relname = ANY($1::text[]) AS is_global FROM pg_class
            WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND NOT starts_with(relname::text, '_'))
         {rule}"
    );
    sqlx::query_scalar(AssertSqlSafe(sql)).bind(GLOBAL).fetch_all(conn).await.unwrap()
}

#[tokio::test]
async fn the_schema_keeps_every_rule_of_distribution_and_each_rule_is_looked_after() {
    let db = db::fresh().await;
    let mut conn = db.owner().acquire().await.unwrap().detach();
    for (rule, query, planted) in RULES {
        let found = breaches(&mut conn, query).await;
        assert!(found.is_empty(), "{rule}: {found:?}");
        conn.execute("BEGIN").await.unwrap();
        conn.execute(sqlx::raw_sql(*planted)).await.unwrap();
        let found = breaches(&mut conn, query).await;
        assert!(!found.is_empty(), "nobody noticed: {planted}");
        conn.execute("ROLLBACK").await.unwrap();
    }
}

/// A statement, and the types of its parameters as the driver names them.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Statement {
    text: String,
    types: Vec<String>,
}

impl Statement {
    fn names(&self, tables: &BTreeSet<String>) -> bool {
        self.text.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| tables.contains(word))
    }
}

/// Every statement that the service is compiled with.
fn statements() -> Vec<Statement> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let mut statements: Vec<Statement> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| {
            let prepared: Value = serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
            let text = prepared["query"].as_str().unwrap().to_owned();
            let types = prepared["describe"]["parameters"]["Left"].as_array().unwrap().iter();
            Statement { text, types: types.map(|of| of.as_str().unwrap().to_owned()).collect() }
        })
        .collect();
    statements.sort();
    statements
}

async fn stock_tables(conn: &mut PgConnection) -> BTreeSet<String> {
    breaches(conn, "SELECT relname::text FROM own WHERE NOT is_global").await.into_iter().collect()
}

#[tokio::test]
async fn no_statement_changes_stock_in_a_way_that_shards_cannot() {
    let db = db::fresh().await;
    let mut conn = db.owner().acquire().await.unwrap().detach();
    let tables = stock_tables(&mut conn).await;
    let volatile = ["clock_timestamp(", "random(", "gen_random_uuid(", "now("];
    let writable_cte = ["AS ( INSERT", "AS ( UPDATE", "AS ( DELETE", "AS (INSERT", "AS (UPDATE", "AS (DELETE"];
    for Statement { text, .. } in statements().iter().filter(|statement| statement.names(&tables)) {
        let statement = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let changes = ["UPDATE ", "DELETE ", "INSERT "].iter().any(|verb| statement.starts_with(verb));
        let impure = changes && volatile.iter().any(|call| statement.contains(call));
        assert!(!impure, "values are passed in: {statement}");
        assert!(!writable_cte.iter().any(|cte| statement.contains(cte)), "a writable CTE: {statement}");
        assert!(!statement.contains("SERIALIZABLE"), "{statement}");
    }
}

/// Statements that may touch several partitions, each with the reason.
const EXCEPTIONS: &[(&str, &str)] = &[];

#[tokio::test]
async fn every_statement_on_stock_touches_one_partition_of_each_table() {
    let db = db::fresh().await;
    let mut conn = db.owner().acquire().await.unwrap().detach();
    let tables = stock_tables(&mut conn).await;
    assert!(tables.len() >= 8, "{tables:?}");
    partition(&mut conn, &tables).await;
    conn.execute("SET search_path = sharded, public; SET plan_cache_mode = force_generic_plan").await.unwrap();

    let bad = [
        ("SELECT held FROM stock WHERE sku_id = $1", "Int8"),
        ("SELECT held FROM stock WHERE pool_id = ANY($1)", "Int8Array"),
    ];
    for (text, of) in bad {
        let statement = Statement { text: text.to_owned(), types: vec![of.to_owned()] };
        let touched = touched(&mut conn, &statement, &tables).await;
        assert_eq!(touched["stock"].len(), 4, "nobody noticed: {text}");
    }
    let mut statements = statements();
    statements.retain(|statement| statement.names(&tables));
    assert!(statements.len() > 40, "{}", statements.len());
    let mut scattered = Vec::new();
    for statement in &statements {
        let touched = touched(&mut conn, statement, &tables).await;
        if touched.values().any(|partitions| partitions.len() > 1) {
            scattered.push((&*statement.text, touched));
        }
    }
    let unexpected: Vec<_> =
        scattered.iter().filter(|(statement, _)| !EXCEPTIONS.iter().any(|(text, _)| statement == text)).collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    for (text, reason) in EXCEPTIONS {
        assert!(scattered.iter().any(|(statement, _)| statement == text), "no longer an exception ({reason}): {text}");
    }
}

/// The schema once more, in `sharded`: stock tables in four parts, with their keys, checks, references and triggers.
async fn partition(conn: &mut PgConnection, tables: &BTreeSet<String>) {
    let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
    let sql = "
        SELECT format('ALTER TABLE sharded.%I ADD CONSTRAINT %I %s', t.relname, c.conname, pg_get_constraintdef(c.oid))
        FROM pg_constraint AS c JOIN pg_class AS t ON t.oid = c.conrelid
        WHERE c.contype = 'f' AND t.relname = ANY($1) AND t.relnamespace = 'public'::regnamespace
        UNION ALL
        SELECT replace(pg_get_triggerdef(g.oid), ' ON public.', ' ON sharded.')
        FROM pg_trigger AS g JOIN pg_class AS t ON t.oid = g.tgrelid
        WHERE NOT g.tgisinternal AND t.relname = ANY($1) AND t.relnamespace = 'public'::regnamespace";
    // Their names must still mean the tables of `public` when they are printed.
    let attached: Vec<String> = sqlx::query_scalar(sql).bind(&tables).fetch_all(&mut *conn).await.unwrap();
    let mut script = vec!["CREATE SCHEMA sharded".to_owned(), "SET search_path = sharded, public".to_owned()];
    for table in tables {
        script.push(format!("CREATE TABLE {table} (LIKE public.{table} INCLUDING ALL) PARTITION BY HASH (pool_id)"));
        script.extend((0..4).map(|part| {
            let values = format!("FOR VALUES WITH (MODULUS 4, REMAINDER {part})");
            format!("CREATE TABLE {table}_h{part} PARTITION OF {table} {values}")
        }));
    }
    script.extend(attached);
    let script = script.join(";");
    conn.execute(sqlx::raw_sql(AssertSqlSafe(script))).await.unwrap();
}

/// Which partitions of each table a statement would touch with some parameters, by its plan after run-time pruning.
async fn touched(
    conn: &mut PgConnection,
    statement: &Statement,
    tables: &BTreeSet<String>,
) -> BTreeMap<String, BTreeSet<String>> {
    let mut touched: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for scan in scans(&plan(conn, statement).await) {
        if let Some(partition) = scan["Relation Name"].as_str()
            && let Some((table, _)) = partition.rsplit_once("_h").filter(|(table, _)| tables.contains(*table))
        {
            touched.entry(table.to_owned()).or_default().insert(partition.to_owned());
        }
    }
    touched
}

/// The plan of a statement with some parameters.
async fn plan(conn: &mut PgConnection, statement: &Statement) -> Value {
    let (types, values): (Vec<String>, Vec<String>) = statement.types.iter().map(|of| sample(of)).unzip();
    let listed = |list: &[String]| if list.is_empty() { String::new() } else { format!("({})", list.join(", ")) };
    let prepare = format!("PREPARE tried{} AS {}", listed(&types), statement.text);
    conn.execute(sqlx::raw_sql(AssertSqlSafe(prepare))).await.unwrap_or_else(|error| panic!("{error}: {statement:?}"));
    let explain = sqlx::raw_sql(AssertSqlSafe(format!("EXPLAIN (FORMAT JSON) EXECUTE tried{}", listed(&values))));
    let plan = conn.fetch_one(explain).await.unwrap_or_else(|error| panic!("{error}: {statement:?}"));
    conn.execute("DEALLOCATE tried").await.unwrap();
    plan.get::<Value, _>(0)[0]["Plan"].take()
}

/// A type of the driver as Postgres names it, and a value. Of pools there are many in an array, so that a statement of
/// many pools is told apart.
fn sample(of: &str) -> (String, String) {
    if let Some(element) = of.strip_suffix("Array") {
        let (name, value) = sample(element);
        let values = if element == "Int8" { "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12" } else { &value };
        return (format!("{name}[]"), format!("ARRAY[{values}]::{name}[]"));
    }
    let (name, value) = match of {
        "Int8" => ("bigint", "1"),
        "Int4" => ("integer", "1"),
        "Int2" => ("smallint", "1"),
        "Float8" => ("double precision", "1"),
        "Numeric" => ("numeric", "1"),
        "Uuid" => ("uuid", "00000000-0000-7000-9000-000000000001"),
        "Timestamptz" => ("timestamptz", "2026-01-01"),
        "Date" => ("date", "2026-01-01"),
        "Bool" => ("boolean", "true"),
        "Jsonb" => ("jsonb", "{}"),
        "Text" => ("text", "x"),
        "Bytea" => ("bytea", "x"),
        other => panic!("no sample of {other}"),
    };
    (name.to_owned(), format!("'{value}'::{name}"))
}

/// The nodes of a plan that read a table.
fn scans(node: &Value) -> Vec<&Value> {
    let is_scan = node["Node Type"].as_str().is_some_and(|kind| kind.ends_with("Scan"));
    let own = Some(node).filter(|node| is_scan && node["Relation Name"].is_string());
    own.into_iter().chain(node["Plans"].as_array().into_iter().flatten().flat_map(scans)).collect()
}

/// What a connection is opened with.
type Options = fn(PgConnectOptions) -> PgConnectOptions;

/// What every reservation and every look at availability goes through, and the options of its connections.
const HOT: &[(&str, Options)] = &[
    ("src/ledger/batch/load.rs", holdfast::db::for_lane),
    ("src/ledger/batch/write.rs", holdfast::db::for_lane),
    ("src/ledger/batch/lots.rs", holdfast::db::for_lane),
    ("src/ledger/batch/oversells.rs", holdfast::db::for_lane),
    ("src/availability/queries.rs", holdfast::db::ordinary),
];

/// Scans of stock that would read a whole table or a whole pool, as node and condition.
fn unbounded(plan: &Value, tables: &BTreeSet<String>) -> Vec<String> {
    let of_stock = |scan: &&Value| scan["Relation Name"].as_str().is_some_and(|table| tables.contains(table));
    let is_bounded = |scan: &&Value| match scan["Node Type"].as_str() {
        Some("Index Scan" | "Index Only Scan") => scan["Index Cond"].as_str().is_some_and(|condition| {
            condition.split(" AND ").any(|part| !part.contains("pool_id") && !part.contains("IS NOT NULL"))
        }),
        // By the address of a row that another scan has found.
        Some("Tid Scan") => true,
        _ => false,
    };
    let describe = |scan: &Value| format!("{} on {}: {}", scan["Node Type"], scan["Relation Name"], scan["Index Cond"]);
    scans(plan).into_iter().filter(of_stock).filter(|scan| !is_bounded(scan)).map(describe).collect()
}

#[tokio::test]
async fn statements_of_the_hot_path_are_index_plans_while_their_tables_are_empty() {
    let db = db::fresh().await;
    let mut conn = db.owner().acquire().await.unwrap().detach();
    let tables = stock_tables(&mut conn).await;
    let known = "SELECT count(*) FROM pg_class WHERE relname = ANY($1) AND (reltuples > 0 OR relpages > 0)";
    let names: Vec<&String> = tables.iter().collect();
    let known: i64 = sqlx::query_scalar(known).bind(names).fetch_one(&mut conn).await.unwrap();
    assert_eq!(known, 0, "the planner has seen rows");

    let mut lane = holdfast::db::for_lane(db.app_options.clone()).connect().await.unwrap();
    let bad = [
        ("SELECT held FROM stock WHERE pool_id = $1", &["Int8"] as &[&str]),
        ("UPDATE lots SET remaining_quantity = 0 WHERE pool_id = $1 AND lot_id = $2", &["Int8", "Uuid"]),
        ("SELECT FROM reservations WHERE pool_id = $1 AND owner IS NOT NULL", &["Int8"]),
    ];
    for (text, types) in bad {
        let types = types.iter().map(|of| (*of).to_owned()).collect();
        let statement = Statement { text: text.to_owned(), types };
        assert_eq!(unbounded(&plan(&mut lane, &statement).await, &tables).len(), 1, "nobody noticed: {text}");
    }
    let mut statements = statements();
    statements.retain(|statement| statement.names(&tables));
    let mut found = BTreeMap::new();
    for (file, options) in HOT {
        let mut conn = options(db.app_options.clone()).connect().await.unwrap();
        // What a lane has anyway, and what every connection may come to after a few calls.
        conn.execute("SET plan_cache_mode = force_generic_plan").await.unwrap();
        let source = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let own: Vec<&Statement> = statements.iter().filter(|one| source.contains(&one.text)).collect();
        assert!(own.len() > 1, "{file} has {} statements", own.len());
        for statement in own {
            let unbounded = unbounded(&plan(&mut conn, statement).await, &tables);
            if !unbounded.is_empty() {
                found.insert(&statement.text, unbounded);
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
