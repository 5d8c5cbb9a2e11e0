//! What the service's role may not do, whatever a defect or an intruder makes it try. What it needs it has: every other
//! test runs the service as this role.

use futures_util::future::join_all;
use sqlx::error::DatabaseError;
use sqlx::{AssertSqlSafe, Executor};

use crate::support::{TestApp, db};

const DENIED: &[&str] = &[
    // History is written once.
    "UPDATE stock_entries SET reason = 'better'",
    "DELETE FROM stock_entries",
    "TRUNCATE stock_entries",
    "UPDATE lot_transactions SET unit_cost = 0",
    "DELETE FROM lot_transactions",
    "TRUNCATE lot_transactions",
    "UPDATE depletions SET quantity = 1",
    "DELETE FROM depletions",
    "TRUNCATE depletions",
    "UPDATE fulfilments SET quantity = 1",
    "UPDATE snapshot_skus SET on_hand = 0",
    "DELETE FROM snapshot_skus",
    "UPDATE idempotency_keys SET status = 200",
    "INSERT INTO idempotency_keys (pool_id, client_id, key, fingerprint, status, body, created_at) \
     VALUES (1, 1, 'k', sha256('x'), 201, '', now()) ON CONFLICT (pool_id, client_id, key) DO UPDATE SET status = 200",
    "TRUNCATE idempotency_keys",
    "UPDATE repairs SET correction = '{}'",
    "DELETE FROM repairs",
    "UPDATE repair_plans SET client_id = 1",
    // Claims and lots are closed or used up, never taken away or made another.
    "DELETE FROM reservations",
    "UPDATE reservations SET created_at = now()",
    "UPDATE reservations SET client_id = 1",
    "UPDATE reservations SET replaces_id = NULL",
    "UPDATE reservations SET max_expires_at = now()",
    "DELETE FROM reservation_lines",
    "UPDATE reservation_lines SET requested_quantity = 1",
    "UPDATE reservation_lines SET sku_id = 1",
    "DELETE FROM stock",
    "UPDATE stock SET sku_id = 1",
    "DELETE FROM lots",
    "UPDATE lots SET received_date = now()",
    "UPDATE lots SET source_ref = NULL",
    "UPDATE lots SET received_quantity = 1",
    // Shipments, returns and closed days are facts.
    "UPDATE shipments SET order_ref = NULL",
    "DELETE FROM shipments",
    "DELETE FROM shipment_lines",
    "UPDATE shipment_lines SET quantity = 1",
    "UPDATE shipment_lines SET lot_id = NULL",
    "UPDATE returns SET order_ref = NULL",
    "UPDATE return_lines SET quantity = 1",
    "DELETE FROM return_lots",
    "DELETE FROM snapshots",
    "UPDATE snapshots SET window_end = now()",
    "DELETE FROM discrepancies",
    "UPDATE discrepancies SET quantity = 1",
    "DELETE FROM lot_shortages",
    "UPDATE lot_shortages SET quantity = 1",
    "DELETE FROM transfers",
    "UPDATE transfers SET quantity = 1",
    "DELETE FROM oversells",
    "UPDATE oversells SET quantity = 1",
    // What variants were said to be stays written.
    "UPDATE variant_mappings SET origin = 'operator'",
    "DELETE FROM variant_mappings",
    "UPDATE variant_components SET quantity = 1",
    "DELETE FROM variant_components",
    "UPDATE sku_retirements SET retired_at = now()",
    "DELETE FROM sku_retirements",
    // What a slot of a job is never changes.
    "UPDATE job_slots SET slot = '2026-11-24'",
    "UPDATE job_slots SET due_at = now()",
    "TRUNCATE job_slots",
    // The catalogue and the keys are edited, never deleted.
    "DELETE FROM pools",
    "UPDATE pool_zones SET time_zone = 'UTC'",
    "DELETE FROM pool_zones",
    "DELETE FROM classes",
    "DELETE FROM skus",
    "DELETE FROM clients",
    "DELETE FROM api_keys",
    "DELETE FROM catalogue_revision",
    "INSERT INTO catalogue_revision VALUES (true, 1)",
    // The schema, and what guards it, is the owner's.
    "CREATE TABLE mine (n integer)",
    "CREATE FUNCTION mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE SCHEMA mine",
    "CREATE TABLE mirror.mine (n integer)",
    "TRUNCATE mirror.orders",
    "DROP TABLE mirror.orders",
    "ALTER TABLE mirror.orders DISABLE TRIGGER ALL",
    "CREATE OR REPLACE FUNCTION mirror.refuse_other_writers() RETURNS trigger LANGUAGE plpgsql \
     AS 'BEGIN RETURN NULL; END'",
    "ALTER TABLE stock DROP CONSTRAINT stock_quantities_not_negative",
    "ALTER TABLE stock_entries DISABLE TRIGGER ALL",
    "DROP TABLE stock_entries",
    "DROP INDEX stock_entries_one_opening_per_line",
    "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "SET session_replication_role = replica",
    "SET ROLE postgres",
    "UPDATE _sqlx_migrations SET success = false",
    "COPY stock TO PROGRAM 'cat'",
    "SELECT pg_read_file('postgresql.conf')",
];

#[tokio::test]
async fn the_services_role_cannot_rewrite_history_or_the_schema() {
    let db = db::fresh().await;
    let pool = holdfast::db::pool(db.app_options.clone(), 1);
    let mut allowed = Vec::new();
    for sql in DENIED {
        let code = match pool.execute(AssertSqlSafe(*sql)).await {
            Ok(_) => "done".to_owned(),
            Err(error) => {
                error.as_database_error().and_then(DatabaseError::code).map_or(error.to_string(), String::from)
            }
        };
        if code != "42501" {
            allowed.push(format!("{code}: {sql}"));
        }
    }
    assert!(allowed.is_empty(), "not denied for want of a privilege:\n{}", allowed.join("\n"));
}

/// A privilege that some table grants: what nobody thought of above is not granted either.
const GRANTED: &str = "
    SELECT privilege_type::text, string_agg(table_name::text, ' ' ORDER BY table_name::text)
    FROM information_schema.table_privileges
    WHERE grantee = 'holdfast_app' AND table_schema = 'public' AND privilege_type <> 'SELECT'
    GROUP BY privilege_type
    ORDER BY privilege_type";

#[tokio::test]
async fn it_may_add_everywhere_edit_what_moves_and_delete_what_is_not_history() {
    let app = TestApp::start().await;
    let granted: Vec<(String, String)> = sqlx::query_as(GRANTED).fetch_all(&app.db.owner()).await.unwrap();
    let granted: Vec<(&str, &str)> = granted.iter().map(|(privilege, tables)| (&**privilege, &**tables)).collect();
    assert_eq!(
        granted,
        [
            (
                "DELETE",
                "campaign_products campaigns idempotency_keys job_slots line_mappings location_pools repair_plans \
                 unmatched_lines"
            ),
            (
                "INSERT",
                "api_keys campaign_products campaigns classes clients demand_claims demand_lines demands depletions \
                 discrepancies fulfilments idempotency_keys job_slots line_mappings location_pools lot_shortages \
                 lot_transactions lots oversells pool_zones pools repair_plans repairs reservation_lines reservations \
                 return_lines return_lots returns shipment_lines shipments sku_retirements skus snapshot_skus \
                 snapshots stock stock_entries transfers unmatched_lines variant_components variant_mappings"
            ),
            (
                "UPDATE",
                "api_keys campaign_products campaigns classes clients line_mappings location_pools pools skus \
                 unmatched_lines"
            ),
        ]
    );
    let sql = "SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls \
               OR EXISTS (SELECT FROM pg_auth_members WHERE member = r.oid) \
               OR EXISTS (SELECT FROM pg_class WHERE relowner = r.oid) \
               FROM pg_roles AS r WHERE rolname = 'holdfast_app'";
    let privileged: bool = sqlx::query_scalar(sql).fetch_one(&app.db.owner()).await.unwrap();
    assert!(!privileged, "the role itself has no special power and owns nothing");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_start_at_once_take_turns_at_the_grants() {
    let db = db::fresh().await;
    for _ in 0..4 {
        let started = join_all((0..8).map(|_| holdfast::db::migrate(&db.owner_options))).await;
        let failed: Vec<String> = started.into_iter().filter_map(|done| Some(done.err()?.to_string())).collect();
        assert!(failed.is_empty(), "{failed:?}");
    }
}
