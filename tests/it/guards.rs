//! Each constraint, unique index and trigger of the schema refuses what it is named after, and nothing else does: once
//! it is dropped, the same SQL goes through.

use std::collections::{BTreeMap, BTreeSet};

use holdfast::ledger::audit::guards::{Guard, find_guards};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::support::db;

mod mirror;

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

/// A guard and what it refuses: SQL, or `copy <table> WHERE <row> WITH <changes>` for a copy of a good row with one
/// thing wrong. `r4` is a reservation, `l1` a lot, `s1` a shipment, `d1` a discrepancy, `t1` a return, `x1` a transfer,
/// `new` an id that nothing has.
#[rustfmt::skip]
const CASES: &[(&str, &str)] = &[
    ("api_keys_client_exists", r#"copy api_keys WHERE true WITH {"key_id": "k2", "bootstrap": false, "client_id": 9}"#),
    ("api_keys_pkey", r#"copy api_keys WHERE true WITH {"bootstrap": false}"#),
    ("api_keys_scopes_known", r#"copy api_keys WHERE true WITH {"key_id": "k2", "bootstrap": false, "scopes": ["root"]}"#),
    ("api_keys_scopes_known", r#"copy api_keys WHERE true WITH {"key_id": "k2", "bootstrap": false, "scopes": []}"#),
    ("api_keys_secret_is_sha256", r#"copy api_keys WHERE true WITH {"key_id": "k2", "bootstrap": false, "secret_hash": "\\x00"}"#),
    ("api_keys_one_bootstrap", r#"copy api_keys WHERE true WITH {"key_id": "k2"}"#),

    ("catalogue_revision_only_row", r#"copy catalogue_revision WHERE true WITH {"only_row": false}"#),
    ("catalogue_revision_pkey", r"copy catalogue_revision WHERE true WITH {}"),
    ("catalogue_revision_positive", "UPDATE catalogue_revision SET revision = 0"),

    ("classes_code_form", r#"copy classes WHERE true WITH {"class_id": 2, "code": "Two"}"#),
    ("classes_code_unique", r#"copy classes WHERE true WITH {"class_id": 2}"#),
    ("classes_depletion_order_known", r#"copy classes WHERE true WITH {"class_id": 2, "code": "two", "depletion_order": "lifo"}"#),
    ("classes_hold_ttl_within_longest", r#"copy classes WHERE true WITH {"class_id": 2, "code": "two", "hold_ttl_seconds": 86401}"#),
    ("classes_hold_ttl_within_longest", r#"copy classes WHERE true WITH {"class_id": 2, "code": "two", "hold_ttl_seconds": 0}"#),
    ("classes_pkey", r#"copy classes WHERE true WITH {"code": "two"}"#),
    ("classes_quantities_in_range", r#"copy classes WHERE true WITH {"class_id": 2, "code": "two", "safety_stock_quantity": -1}"#),
    ("classes_quantities_in_range", r#"copy classes WHERE true WITH {"class_id": 2, "code": "two", "oversell_tolerance_quantity": -1}"#),
    ("classes_quantities_in_range", r#"copy classes WHERE true WITH {"class_id": 2, "code": "two", "max_per_hold_quantity": 0}"#),
    ("classes_quantities_in_range", r#"copy classes WHERE true WITH {"class_id": 2, "code": "two", "low_stock_quantity": -1}"#),

    ("clients_name_length", r#"copy clients WHERE client_id = 1 WITH {"client_id": 2, "name": ""}"#),
    ("clients_name_unique", r#"copy clients WHERE client_id = 1 WITH {"client_id": 2}"#),
    ("clients_pkey", r#"copy clients WHERE client_id = 1 WITH {"name": "two"}"#),

    ("pool_zones_pkey", r"copy pool_zones WHERE true WITH {}"),
    ("pool_zones_pool_exists", r#"copy pool_zones WHERE true WITH {"pool_id": 9}"#),

    ("pools_code_form", r#"copy pools WHERE true WITH {"pool_id": 2, "code": "EU"}"#),
    ("pools_code_unique", r#"copy pools WHERE true WITH {"pool_id": 2}"#),
    ("pools_id_positive", r#"copy pools WHERE true WITH {"pool_id": 0, "code": "eu"}"#),
    ("pools_pkey", r#"copy pools WHERE true WITH {"code": "eu"}"#),

    ("skus_class_exists", r#"copy skus WHERE sku_id = 11 WITH {"sku_id": 98, "code": "x", "class_id": 9}"#),
    ("skus_code_form", r#"copy skus WHERE sku_id = 11 WITH {"sku_id": 98, "code": ""}"#),
    ("skus_code_form", r#"copy skus WHERE sku_id = 11 WITH {"sku_id": 98, "code": "a\tb"}"#),
    ("skus_code_unique", r#"copy skus WHERE sku_id = 11 WITH {"sku_id": 98}"#),
    ("skus_id_positive", r#"copy skus WHERE sku_id = 11 WITH {"sku_id": 0, "code": "x"}"#),
    ("skus_pkey", r#"copy skus WHERE sku_id = 11 WITH {"code": "x"}"#),
    ("skus_status_known", r#"copy skus WHERE sku_id = 11 WITH {"sku_id": 98, "code": "x", "status": "lost"}"#),

    ("stock_pkey", r"copy stock WHERE sku_id = 11 WITH {}"),
    ("stock_pool_exists", r#"copy stock WHERE sku_id = 11 WITH {"pool_id": 9}"#),
    ("stock_sku_exists", r#"copy stock WHERE sku_id = 11 WITH {"sku_id": 99}"#),
    ("stock_quantities_not_negative", r#"copy stock WHERE sku_id = 11 WITH {"sku_id": 14, "on_hand": -1, "quarantined": -1}"#),
    ("stock_quantities_not_negative", r#"copy stock WHERE sku_id = 11 WITH {"sku_id": 14, "held": -1}"#),
    ("stock_quantities_not_negative", r#"copy stock WHERE sku_id = 11 WITH {"sku_id": 14, "committed": -1}"#),
    ("stock_quarantined_within_on_hand", r#"copy stock WHERE sku_id = 11 WITH {"sku_id": 14, "quarantined": 11}"#),
    ("stock_seq_not_negative", r#"copy stock WHERE sku_id = 11 WITH {"sku_id": 14, "seq": -1}"#),
    ("stock_moves_with_its_ledger", "UPDATE stock SET held = held + 1 WHERE sku_id = 11"),
    ("stock_moves_with_its_ledger", "UPDATE stock SET seq = seq - 1 WHERE sku_id = 11"),

    ("stock_entries_act_has_a_reason", r#"copy stock_entries WHERE sku_id = 16 AND seq = 8 WITH {"seq": 11, "kind": "write_off", "on_hand_delta": -1, "quarantined_delta": 0}"#),
    ("stock_entries_act_has_a_reason", r#"copy stock_entries WHERE sku_id = 16 AND seq = 8 WITH {"seq": 11, "kind": "correct"}"#),
    ("stock_entries_act_names_its_lot", r#"copy stock_entries WHERE sku_id = 15 AND seq = 1 WITH {"seq": 8, "lot_id": null}"#),
    ("stock_entries_act_names_its_lot", r#"copy stock_entries WHERE sku_id = 16 AND seq = 8 WITH {"seq": 11, "lot_id": null}"#),
    ("stock_entries_after_not_negative", r#"copy stock_entries WHERE sku_id = 15 AND seq = 2 WITH {"seq": 8, "held_after": -1}"#),
    ("stock_entries_after_not_negative", r#"copy stock_entries WHERE sku_id = 15 AND seq = 2 WITH {"seq": 8, "quarantined_after": 4}"#),
    ("stock_entries_claim_names_its_line", r#"copy stock_entries WHERE sku_id = 11 AND seq = 7 WITH {"seq": 8, "line": null}"#),
    ("stock_entries_claim_names_its_line", r#"copy stock_entries WHERE sku_id = 15 AND seq = 1 WITH {"seq": 8, "reservation_id": "r1", "line": 1}"#),
    ("stock_entries_claim_names_its_line", r#"copy stock_entries WHERE sku_id = 12 AND seq = 7 WITH {"seq": 8, "reservation_id": null, "line": null}"#),
    ("stock_entries_closing_kind", r#"copy stock_entries WHERE sku_id = 12 AND seq = 7 WITH {"seq": 8, "closes_line": true}"#),
    ("stock_entries_delta_fits_kind", r#"copy stock_entries WHERE sku_id = 15 AND seq = 2 WITH {"seq": 8, "kind": "miracle"}"#),
    ("stock_entries_delta_fits_kind", r#"copy stock_entries WHERE sku_id = 15 AND seq = 1 WITH {"seq": 8, "on_hand_delta": -4}"#),
    ("stock_entries_delta_fits_kind", r#"copy stock_entries WHERE sku_id = 15 AND seq = 5 WITH {"seq": 8, "line": 2, "held_delta": 0}"#),
    ("stock_entries_delta_fits_kind", r#"copy stock_entries WHERE sku_id = 12 AND seq = 6 WITH {"seq": 8, "line": 2, "committed_delta": 0}"#),
    ("stock_entries_delta_fits_kind", r#"copy stock_entries WHERE sku_id = 11 AND seq = 6 WITH {"seq": 8, "committed_delta": 2}"#),
    ("stock_entries_delta_fits_kind", r#"copy stock_entries WHERE sku_id = 11 AND seq = 7 WITH {"seq": 8, "held_delta": 1}"#),
    ("stock_entries_delta_fits_kind", r#"copy stock_entries WHERE sku_id = 15 AND seq = 4 WITH {"seq": 8, "closes_line": false, "held_delta": 0}"#),
    ("stock_entries_delta_fits_kind", r#"copy stock_entries WHERE sku_id = 12 AND seq = 7 WITH {"seq": 8, "committed_delta": 1}"#),
    ("stock_entries_delta_fits_kind", r#"copy stock_entries WHERE sku_id = 16 AND seq = 5 WITH {"seq": 11, "on_hand_delta": 1}"#),
    ("stock_entries_delta_fits_kind", r#"copy stock_entries WHERE sku_id = 16 AND seq = 5 WITH {"seq": 11, "on_hand_delta": 0}"#),
    ("stock_entries_delta_fits_kind", r#"copy stock_entries WHERE sku_id = 16 AND seq = 5 WITH {"seq": 11, "quarantined_delta": -2}"#),
    ("stock_entries_delta_fits_kind", r#"copy stock_entries WHERE sku_id = 16 AND seq = 5 WITH {"seq": 11, "held_delta": -1}"#),
    ("stock_entries_delta_fits_kind", r#"copy stock_entries WHERE sku_id = 16 AND seq = 7 WITH {"seq": 11, "on_hand_delta": 0}"#),
    ("stock_entries_delta_fits_kind", r#"copy stock_entries WHERE sku_id = 16 AND seq = 7 WITH {"seq": 11, "committed_delta": -1}"#),
    ("stock_entries_delta_fits_kind", r#"copy stock_entries WHERE sku_id = 16 AND seq = 10 WITH {"seq": 11, "on_hand_delta": 0}"#),
    ("stock_entries_delta_fits_kind", r#"copy stock_entries WHERE sku_id = 16 AND seq = 10 WITH {"seq": 11, "held_delta": 1}"#),
    ("stock_entries_delta_fits_kind", r#"copy stock_entries WHERE sku_id = 16 AND seq = 8 WITH {"seq": 11, "quarantined_delta": 2}"#),
    ("stock_entries_delta_fits_kind", r#"copy stock_entries WHERE sku_id = 16 AND seq = 8 WITH {"seq": 11, "on_hand_delta": 0, "quarantined_delta": 0}"#),
    ("stock_entries_delta_fits_kind", r#"copy stock_entries WHERE sku_id = 16 AND seq = 8 WITH {"seq": 11, "kind": "transfer_in", "quarantined_delta": -1}"#),
    ("stock_entries_delta_fits_kind", r#"copy stock_entries WHERE sku_id = 16 AND seq = 8 WITH {"seq": 11, "kind": "transfer_out", "reason": "x"}"#),
    ("stock_entries_delta_fits_kind", r#"copy stock_entries WHERE sku_id = 16 AND seq = 8 WITH {"seq": 11, "kind": "write_off", "reason": "x"}"#),
    ("stock_entries_delta_fits_kind", r#"copy stock_entries WHERE sku_id = 16 AND seq = 8 WITH {"seq": 11, "kind": "quarantine", "reason": "x"}"#),
    ("stock_entries_delta_fits_kind", r#"copy stock_entries WHERE sku_id = 16 AND seq = 8 WITH {"seq": 11, "kind": "unquarantine", "reason": "x", "on_hand_delta": 0}"#),
    ("stock_entries_delta_fits_kind", r#"copy stock_entries WHERE sku_id = 16 AND seq = 8 WITH {"seq": 11, "kind": "revalue", "reason": "x"}"#),
    ("stock_entries_hold_names_its_policy", r#"copy stock_entries WHERE sku_id = 15 AND seq = 5 WITH {"seq": 8, "line": 2, "safety_stock_quantity": null}"#),
    ("stock_entries_hold_names_its_policy", r#"copy stock_entries WHERE sku_id = 15 AND seq = 1 WITH {"seq": 8, "oversell_tolerance_quantity": 0}"#),
    ("stock_entries_hold_within_reservable", r#"copy stock_entries WHERE sku_id = 15 AND seq = 5 WITH {"seq": 8, "line": 2, "safety_stock_quantity": 3}"#),
    ("stock_entries_hold_within_reservable", r#"copy stock_entries WHERE sku_id = 15 AND seq = 5 WITH {"seq": 8, "line": 2, "committed_after": 3}"#),
    ("stock_entries_pkey", r"copy stock_entries WHERE sku_id = 15 AND seq = 1 WITH {}"),
    ("stock_entries_seq_from_one", r#"copy stock_entries WHERE sku_id = 15 AND seq = 1 WITH {"seq": 0}"#),
    ("stock_entries_shipment_names_itself", r#"copy stock_entries WHERE sku_id = 16 AND seq = 5 WITH {"seq": 11, "shipment_id": null}"#),
    ("stock_entries_shipment_names_itself", r#"copy stock_entries WHERE sku_id = 16 AND seq = 8 WITH {"seq": 11, "shipment_id": "s1"}"#),
    ("stock_entries_stock_exists", r#"copy stock_entries WHERE sku_id = 15 AND seq = 1 WITH {"sku_id": 14}"#),
    ("stock_entries_one_closing_per_line", r#"copy stock_entries WHERE sku_id = 12 AND seq = 3 WITH {"seq": 8}"#),
    ("stock_entries_one_opening_per_line", r#"copy stock_entries WHERE sku_id = 11 AND seq = 2 WITH {"seq": 8}"#),
    ("stock_entries_one_opening_per_line", r#"copy stock_entries WHERE sku_id = 12 AND seq = 6 WITH {"seq": 8}"#),
    ("stock_entries_append_only", "UPDATE stock_entries SET reason = 'better' WHERE sku_id = 15 AND seq = 1"),
    ("stock_entries_append_only", "DELETE FROM stock_entries WHERE sku_id = 15 AND seq = 7"),
    ("stock_entries_no_truncate", "TRUNCATE stock_entries"),

    ("reservations_pkey", r#"copy reservations WHERE reservation_id = 'r1' WITH {"client_reference": null}"#),
    ("reservations_committed_has_order", r#"copy reservations WHERE reservation_id = 'r1' WITH {"reservation_id": "new", "client_reference": null, "order_ref": "o"}"#),
    ("reservations_expiry_within_longest", r#"copy reservations WHERE reservation_id = 'r1' WITH {"reservation_id": "new", "client_reference": null, "max_expires_at": "2026-02-01"}"#),
    ("reservations_expiry_within_longest", r#"copy reservations WHERE reservation_id = 'r1' WITH {"reservation_id": "new", "client_reference": null, "expires_at": "2025-02-01"}"#),
    ("reservations_origin_known", r#"copy reservations WHERE reservation_id = 'r1' WITH {"reservation_id": "new", "client_reference": null, "origin": "theft"}"#),
    ("reservations_origin_names_the_replaced", r#"copy reservations WHERE reservation_id = 'r1' WITH {"reservation_id": "new", "client_reference": null, "origin": "supersede"}"#),
    ("reservations_origin_names_the_replaced", r#"copy reservations WHERE reservation_id = 'r1' WITH {"reservation_id": "new", "client_reference": null, "replaces_id": "r4"}"#),
    ("reservations_state_fits_close", r#"copy reservations WHERE reservation_id = 'r1' WITH {"reservation_id": "new", "client_reference": null, "closed_at": "2026-01-02", "closed_reason": "x"}"#),
    ("reservations_state_fits_close", r#"copy reservations WHERE reservation_id = 'r4' WITH {"reservation_id": "new", "client_reference": null, "closed_reason": null}"#),
    ("reservations_state_fits_close", r#"copy reservations WHERE reservation_id = 'r4' WITH {"reservation_id": "new", "client_reference": null, "closed_at": null, "closed_reason": null}"#),
    ("reservations_state_fits_commit", r#"copy reservations WHERE reservation_id = 'r1' WITH {"reservation_id": "new", "client_reference": null, "state": "committed"}"#),
    ("reservations_state_fits_commit", r#"copy reservations WHERE reservation_id = 'r9' WITH {"reservation_id": "new", "client_reference": null, "state": "released"}"#),
    ("reservations_state_known", r#"copy reservations WHERE reservation_id = 'r4' WITH {"reservation_id": "new", "client_reference": null, "state": "done"}"#),
    ("reservations_client_reference_unique", r#"copy reservations WHERE reservation_id = 'r1' WITH {"reservation_id": "new"}"#),
    ("reservations_replaced_once", r#"copy reservations WHERE reservation_id = 'r6' WITH {"reservation_id": "new", "client_reference": null}"#),
    ("reservations_never_deleted", r#"copy reservations WHERE reservation_id = 'r4' WITH {"reservation_id": "new"}; DELETE FROM reservations WHERE reservation_id = 'new'"#),
    ("reservations_only_forward", "UPDATE reservations SET state = 'expired' WHERE reservation_id = 'r4'"),
    ("reservations_only_forward", "UPDATE reservations SET state = 'held', closed_at = NULL, closed_reason = NULL WHERE reservation_id = 'r5'"),
    ("reservations_only_forward", "UPDATE reservations SET state = 'held' WHERE reservation_id = 'r2'"),
    ("reservations_only_forward", "UPDATE reservations SET order_ref = 'another' WHERE reservation_id = 'r2'"),

    ("reservation_lines_pkey", r"copy reservation_lines WHERE reservation_id = 'r1' WITH {}"),
    ("reservation_lines_add_up", r#"copy reservation_lines WHERE reservation_id = 'r1' WITH {"line": 2, "requested_quantity": 4}"#),
    ("reservation_lines_fulfilled_within_committed", r#"copy reservation_lines WHERE reservation_id = 'r1' WITH {"line": 2, "fulfilled_quantity": 1}"#),
    ("reservation_lines_line_from_one", r#"copy reservation_lines WHERE reservation_id = 'r1' WITH {"line": 0}"#),
    ("reservation_lines_quantities_not_negative", r#"copy reservation_lines WHERE reservation_id = 'r1' WITH {"line": 2, "held_quantity": 4, "short_quantity": -1}"#),
    ("reservation_lines_quantities_not_negative", r#"copy reservation_lines WHERE reservation_id = 'r1' WITH {"line": 2, "held_quantity": -1, "cancelled_quantity": 4}"#),
    ("reservation_lines_requested_positive", r#"copy reservation_lines WHERE reservation_id = 'r1' WITH {"line": 2, "requested_quantity": 0, "held_quantity": 0}"#),
    ("reservation_lines_reservation_exists", r#"copy reservation_lines WHERE reservation_id = 'r1' WITH {"reservation_id": "new"}"#),
    ("reservation_lines_superseded_within_released", "UPDATE reservation_lines SET superseded_quantity = 3 WHERE reservation_id = 'r4'"),
    ("reservation_lines_superseded_within_released", "UPDATE reservation_lines SET superseded_quantity = -1 WHERE reservation_id = 'r4'"),
    ("reservation_lines_never_deleted", "DELETE FROM reservation_lines WHERE reservation_id = 'r8'"),
    ("reservation_lines_only_forward", "UPDATE reservation_lines SET sku_id = 12 WHERE reservation_id = 'r1'"),
    ("reservation_lines_only_forward", "UPDATE reservation_lines SET tracked = false WHERE reservation_id = 'r1'"),
    ("reservation_lines_only_forward", "UPDATE reservation_lines SET requested_quantity = 4, held_quantity = 4 WHERE reservation_id = 'r1'"),
    ("reservation_lines_only_forward", "UPDATE reservation_lines SET held_quantity = 1, short_quantity = 2 WHERE reservation_id = 'r1'"),
    ("reservation_lines_only_forward", "UPDATE reservation_lines SET released_quantity = 1, expired_quantity = 1 WHERE reservation_id = 'r4'"),
    ("reservation_lines_only_forward", "UPDATE reservation_lines SET expired_quantity = 1, released_quantity = 1 WHERE reservation_id = 'r5'"),
    ("reservation_lines_only_forward", "UPDATE reservation_lines SET cancelled_quantity = 0, committed_quantity = 7 WHERE reservation_id = 'r6'"),
    ("reservation_lines_only_forward", "UPDATE reservation_lines SET committed_quantity = 1, released_quantity = 1 WHERE reservation_id = 'r2'"),

    ("oversells_pkey", r#"copy oversells WHERE true WITH {"reservation_id": null, "line": null}"#),
    ("oversells_line_exists", r#"copy oversells WHERE true WITH {"oversell_id": "new", "line": 9}"#),
    ("oversells_names_its_line", r#"copy oversells WHERE true WITH {"oversell_id": "new", "line": null}"#),
    ("oversells_one_per_line", r#"copy oversells WHERE true WITH {"oversell_id": "new"}"#),
    ("oversells_quantity_positive", r#"copy oversells WHERE true WITH {"oversell_id": "new", "reservation_id": null, "line": null, "quantity": 0, "resolved_quantity": 0, "resolved_at": "2026-01-01"}"#),
    ("oversells_resolved_has_time", r#"copy oversells WHERE true WITH {"oversell_id": "new", "reservation_id": null, "line": null, "resolved_at": "2026-01-01"}"#),
    ("oversells_resolved_has_time", r#"copy oversells WHERE true WITH {"oversell_id": "new", "reservation_id": null, "line": null, "resolved_quantity": 2}"#),
    ("oversells_resolved_within_quantity", r#"copy oversells WHERE true WITH {"oversell_id": "new", "reservation_id": null, "line": null, "resolved_quantity": 3}"#),

    ("job_slots_pkey", r"copy job_slots WHERE job = 's' WITH {}"),
    ("job_slots_attempt_names_its_instance", r#"copy job_slots WHERE job = 's' WITH {"slot": "x", "instance": null}"#),
    ("job_slots_attempt_names_its_instance", r#"copy job_slots WHERE job = 's' WITH {"slot": "x", "started_at": null}"#),
    ("job_slots_due_after_its_window", r#"copy job_slots WHERE job = 's' WITH {"slot": "x", "due_at": "2026-11-24"}"#),
    ("job_slots_due_after_its_window", r#"copy job_slots WHERE job = 's' WITH {"slot": "x", "window_starts_at": "2026-11-26"}"#),
    ("job_slots_end_was_attempted", r#"copy job_slots WHERE job = 's' WITH {"slot": "x", "attempts": 0, "instance": null, "started_at": null, "finished_at": null}"#),
    ("job_slots_failure_says_why", r#"copy job_slots WHERE job = 'f' WITH {"slot": "x", "last_error": null}"#),
    ("job_slots_failures_within_attempts", r#"copy job_slots WHERE job = 's' WITH {"slot": "x", "failures": 2}"#),
    ("job_slots_failures_within_attempts", r#"copy job_slots WHERE job = 's' WITH {"slot": "x", "failures": -1}"#),
    ("job_slots_job_form", r#"copy job_slots WHERE job = 's' WITH {"job": "S"}"#),
    ("job_slots_slot_length", r#"copy job_slots WHERE job = 's' WITH {"slot": ""}"#),
    ("job_slots_status_fits_end", r#"copy job_slots WHERE job = 's' WITH {"slot": "x", "finished_at": null}"#),
    ("job_slots_status_fits_end", r#"copy job_slots WHERE job = 'r' WITH {"job": "x", "finished_at": "2026-11-25"}"#),
    ("job_slots_status_fits_lease", r#"copy job_slots WHERE job = 'r' WITH {"job": "x", "lease_expires_at": null}"#),
    ("job_slots_status_fits_lease", r#"copy job_slots WHERE job = 'p' WITH {"job": "x", "next_attempt_at": null}"#),
    ("job_slots_status_fits_lease", r#"copy job_slots WHERE job = 's' WITH {"slot": "x", "next_attempt_at": "2026-11-25"}"#),
    ("job_slots_status_known", r#"copy job_slots WHERE job = 's' WITH {"slot": "x", "status": "lost"}"#),
    ("job_slots_one_open", r#"copy job_slots WHERE job = 'p' WITH {"slot": "x"}"#),
    ("job_slots_one_open", r#"copy job_slots WHERE job = 'r' WITH {"slot": "x"}"#),
    ("job_slots_only_forward", "UPDATE job_slots SET report = '{}' WHERE job = 's'"),
    ("job_slots_only_forward", "UPDATE job_slots SET last_error = 'better' WHERE job = 'f'"),
    ("job_slots_only_forward", "UPDATE job_slots SET status = 'succeeded' WHERE job = 'f'"),
    ("job_slots_only_forward", "UPDATE job_slots SET slot = 'x' WHERE job = 'p'"),
    ("job_slots_only_forward", "UPDATE job_slots SET due_at = '2026-11-26' WHERE job = 'p'"),
    ("job_slots_only_forward", "UPDATE job_slots SET attempts = 2 WHERE job = 'r'"),
    ("job_slots_only_forward", "UPDATE job_slots SET attempts = 2, status = 'running', next_attempt_at = NULL, lease_expires_at = '2026-11-26', instance = 'a', started_at = '2026-11-25' WHERE job = 'p'"),
    ("job_slots_open_stays", "DELETE FROM job_slots WHERE job = 'p'"),
    ("job_slots_open_stays", "DELETE FROM job_slots WHERE job = 'r'"),

    ("lots_pkey", r#"copy lots WHERE lot_id = 'l1' WITH {"source_ref": null}"#),
    ("lots_available_is_not_quarantined", r#"copy lots WHERE lot_id = 'l7' WITH {"lot_id": "new", "status": "available", "quarantine_reason": null}"#),
    ("lots_currency_form", r#"copy lots WHERE lot_id = 'l1' WITH {"lot_id": "new", "source_ref": null, "currency": "eur"}"#),
    ("lots_expires_after_received", r#"copy lots WHERE lot_id = 'l1' WITH {"lot_id": "new", "source_ref": null, "expires_date": "2000-01-01"}"#),
    ("lots_origin_known", r#"copy lots WHERE lot_id = 'l1' WITH {"lot_id": "new", "source_ref": null, "origin": "theft"}"#),
    ("lots_quarantine_has_a_reason", r#"copy lots WHERE lot_id = 'l7' WITH {"lot_id": "new", "quarantine_reason": null}"#),
    ("lots_quarantine_has_a_reason", r#"copy lots WHERE lot_id = 'l6' WITH {"lot_id": "new", "quarantine_reason": "x"}"#),
    ("lots_quarantined_within_remaining", r#"copy lots WHERE lot_id = 'l7' WITH {"lot_id": "new", "quarantined_quantity": 2}"#),
    ("lots_quarantined_within_remaining", r#"copy lots WHERE lot_id = 'l7' WITH {"lot_id": "new", "quarantined_quantity": -1}"#),
    ("lots_received_positive", r#"copy lots WHERE lot_id = 'l1' WITH {"lot_id": "new", "source_ref": null, "received_quantity": 0, "remaining_quantity": 0}"#),
    ("lots_remaining_within_received", r#"copy lots WHERE lot_id = 'l1' WITH {"lot_id": "new", "source_ref": null, "remaining_quantity": 11}"#),
    ("lots_remaining_within_received", r#"ALTER TABLE lots DROP CONSTRAINT lots_quarantined_within_remaining; copy lots WHERE lot_id = 'l1' WITH {"lot_id": "new", "source_ref": null, "remaining_quantity": -1}"#),
    ("lots_status_known", r#"copy lots WHERE lot_id = 'l1' WITH {"lot_id": "new", "source_ref": null, "status": "lost", "quarantine_reason": "x"}"#),
    ("lots_stock_exists", r#"copy lots WHERE lot_id = 'l1' WITH {"lot_id": "new", "source_ref": null, "sku_id": 14}"#),
    ("lots_unit_cost_not_negative", r#"copy lots WHERE lot_id = 'l1' WITH {"lot_id": "new", "source_ref": null, "unit_cost": -1}"#),
    ("lots_source_ref_unique", r#"copy lots WHERE lot_id = 'l1' WITH {"lot_id": "new"}"#),

    ("lot_transactions_pkey", r"copy lot_transactions WHERE lot_id = 'l1' WITH {}"),
    ("lot_transactions_arrival_is_first", r#"copy lot_transactions WHERE lot_id = 'l1' WITH {"seq": 2}"#),
    ("lot_transactions_arrival_is_first", r#"copy lot_transactions WHERE lot_id = 'l1' WITH {"seq": 2, "row_source": "return"}"#),
    ("lot_transactions_arrival_is_first", r#"copy lot_transactions WHERE lot_id = 'l1' WITH {"seq": 2, "row_source": "transfer_in"}"#),
    ("lot_transactions_dated", r#"copy lot_transactions WHERE lot_id = 'l1' WITH {"seq": 2, "row_source": "void", "business_date": null}"#),
    ("lot_transactions_dated", r#"copy lot_transactions WHERE lot_id = 'l1' WITH {"seq": 2, "row_source": "void", "value_delta": null}"#),
    ("lot_transactions_lot_exists", r#"copy lot_transactions WHERE lot_id = 'l1' WITH {"lot_id": "new"}"#),
    ("lot_transactions_moves_something", r#"copy lot_transactions WHERE lot_id = 'l1' WITH {"seq": 2, "row_source": "opening_count", "quantity_delta": 0}"#),
    ("lot_transactions_moves_something", r#"copy lot_transactions WHERE lot_id = 'l1' WITH {"seq": 2, "row_source": "quarantine"}"#),
    ("lot_transactions_moves_something", r#"copy lot_transactions WHERE lot_id = 'l1' WITH {"seq": 2, "row_source": "write_off"}"#),
    ("lot_transactions_moves_something", r#"copy lot_transactions WHERE lot_id = 'l1' WITH {"seq": 2, "row_source": "snapshot_depletion", "source_ref_id": "20260101"}"#),
    ("lot_transactions_moves_something", r#"copy lot_transactions WHERE lot_id = 'l1' WITH {"seq": 2, "row_source": "void", "quantity_delta": -1}"#),
    ("lot_transactions_remaining_not_negative", r#"copy lot_transactions WHERE lot_id = 'l1' WITH {"seq": 2, "row_source": "opening_count", "remaining_after": -1}"#),
    ("lot_transactions_seq_from_one", r#"copy lot_transactions WHERE lot_id = 'l1' WITH {"seq": 0, "row_source": "opening_count"}"#),
    ("lot_transactions_source_known", r#"copy lot_transactions WHERE lot_id = 'l1' WITH {"seq": 2, "row_source": "theft"}"#),
    ("lot_transactions_one_depletion_per_day",
        r#"copy lot_transactions WHERE lot_id = 'l1' WITH {"seq": 2, "row_source": "snapshot_depletion", "source_ref_id": "20260101", "quantity_delta": -1};
           copy lot_transactions WHERE lot_id = 'l1' AND seq = 1 WITH {"seq": 3, "row_source": "snapshot_depletion", "source_ref_id": "20260101", "quantity_delta": -1}"#),
    ("lot_transactions_one_departure_per_transfer",
        r#"copy lot_transactions WHERE lot_id = 'l1' WITH {"seq": 2, "row_source": "transfer_out", "source_ref_id": "x", "quantity_delta": -1};
           copy lot_transactions WHERE lot_id = 'l1' AND seq = 1 WITH {"seq": 3, "row_source": "transfer_out", "source_ref_id": "x", "quantity_delta": -1}"#),
    ("lot_transactions_append_only", "UPDATE lot_transactions SET unit_cost = 0 WHERE lot_id = 'l1'"),
    ("lot_transactions_append_only", "DELETE FROM lot_transactions WHERE lot_id = 'l1'"),
    ("lot_transactions_no_truncate", "TRUNCATE lot_transactions"),

    ("shipments_pkey", r#"copy shipments WHERE shipment_id = 's1' WITH {"source_ref": "x"}"#),
    ("shipments_pool_exists", r#"copy shipments WHERE shipment_id = 's1' WITH {"pool_id": 9}"#),
    ("shipments_source_ref_unique", r#"copy shipments WHERE shipment_id = 's1' WITH {"shipment_id": "new"}"#),
    ("shipments_are_facts", "UPDATE shipments SET order_ref = 'another'"),

    ("shipment_lines_pkey", r"copy shipment_lines WHERE shipment_id = 's1' AND line_ref = '1' WITH {}"),
    ("shipment_lines_covered_within_quantity", r#"copy shipment_lines WHERE shipment_id = 's1' AND line_ref = '1' WITH {"line_ref": "3", "covered_quantity": 5}"#),
    ("shipment_lines_depleted_by_a_snapshot", r#"copy shipment_lines WHERE shipment_id = 's1' AND line_ref = '1' WITH {"line_ref": "3", "snapshot_date": null}"#),
    ("shipment_lines_depleted_within_covered", r#"copy shipment_lines WHERE shipment_id = 's1' AND line_ref = '1' WITH {"line_ref": "3", "depleted_quantity": 5}"#),
    ("shipment_lines_depleted_within_covered", r#"copy shipment_lines WHERE shipment_id = 's1' AND line_ref = '1' WITH {"line_ref": "3", "depleted_quantity": -1}"#),
    ("shipment_lines_fulfilled_within_quantity", r#"copy shipment_lines WHERE shipment_id = 's1' AND line_ref = '1' WITH {"line_ref": "3", "fulfilled_quantity": 5}"#),
    ("shipment_lines_fulfilled_within_quantity", r#"copy shipment_lines WHERE shipment_id = 's1' AND line_ref = '1' WITH {"line_ref": "3", "fulfilled_quantity": -1}"#),
    ("shipment_lines_quantity_positive", r#"copy shipment_lines WHERE shipment_id = 's1' AND line_ref = '1' WITH {"line_ref": "3", "quantity": 0, "covered_quantity": 0, "fulfilled_quantity": 0, "depleted_quantity": 0, "returned_quantity": 0}"#),
    ("shipment_lines_returned_within_quantity", r#"copy shipment_lines WHERE shipment_id = 's1' AND line_ref = '1' WITH {"line_ref": "3", "returned_quantity": 5}"#),
    ("shipment_lines_returned_within_quantity", r#"copy shipment_lines WHERE shipment_id = 's1' AND line_ref = '1' WITH {"line_ref": "3", "returned_quantity": -1}"#),
    ("shipment_lines_sku_exists", r#"copy shipment_lines WHERE shipment_id = 's1' AND line_ref = '1' WITH {"line_ref": "3", "sku_id": 99}"#),
    ("shipment_lines_untracked_moves_nothing", r#"copy shipment_lines WHERE shipment_id = 's1' AND line_ref = '1' WITH {"line_ref": "3", "tracked": false}"#),
    ("shipment_lines_shipment_exists", r#"copy shipment_lines WHERE shipment_id = 's1' AND line_ref = '1' WITH {"shipment_id": "new"}"#),
    ("shipment_lines_never_deleted", "DELETE FROM shipment_lines WHERE shipment_id = 's1' AND line_ref = '2'"),
    ("shipment_lines_only_forward", "UPDATE shipment_lines SET sku_id = 11 WHERE shipment_id = 's1' AND line_ref = '1'"),
    ("shipment_lines_only_forward", "UPDATE shipment_lines SET quantity = 5 WHERE shipment_id = 's1' AND line_ref = '1'"),
    ("shipment_lines_only_forward", "UPDATE shipment_lines SET shipped_at = now() WHERE shipment_id = 's1' AND line_ref = '1'"),
    ("shipment_lines_only_forward", "UPDATE shipment_lines SET shipped_date = '2026-01-09' WHERE shipment_id = 's1' AND line_ref = '1'"),
    ("shipment_lines_only_forward", "UPDATE shipment_lines SET covered_quantity = 3, depleted_quantity = 3 WHERE shipment_id = 's1' AND line_ref = '1'"),
    ("shipment_lines_only_forward", "UPDATE shipment_lines SET depleted_quantity = 3 WHERE shipment_id = 's1' AND line_ref = '1'"),
    ("shipment_lines_only_forward", "UPDATE shipment_lines SET returned_quantity = 0 WHERE shipment_id = 's1' AND line_ref = '1'"),
    ("shipment_lines_only_forward", "UPDATE shipment_lines SET snapshot_date = '2026-01-11' WHERE shipment_id = 's1' AND line_ref = '1'"),
    ("shipment_lines_only_forward", "UPDATE shipment_lines SET voided_at = NULL WHERE shipment_id = 's3'"),

    ("fulfilments_pkey", r"copy fulfilments WHERE true WITH {}"),
    ("fulfilments_quantity_positive", r#"copy fulfilments WHERE true WITH {"line_ref": "2", "quantity": 0}"#),
    ("fulfilments_reservation_line_exists", r#"copy fulfilments WHERE true WITH {"line": 9}"#),
    ("fulfilments_shipment_line_exists", r#"copy fulfilments WHERE true WITH {"line_ref": "9"}"#),
    ("fulfilments_append_only", "UPDATE fulfilments SET quantity = 1"),
    ("fulfilments_append_only", "DELETE FROM fulfilments"),

    ("discrepancies_pkey", r#"copy discrepancies WHERE true WITH {"shipment_id": "s1"}"#),
    ("discrepancies_closed_has_time", r#"copy discrepancies WHERE true WITH {"discrepancy_id": "new", "shipment_id": "s1", "closed_at": null}"#),
    ("discrepancies_closed_has_time", r#"copy discrepancies WHERE true WITH {"discrepancy_id": "new", "shipment_id": "s1", "settled_quantity": 1}"#),
    ("discrepancies_kind_known", r#"copy discrepancies WHERE true WITH {"discrepancy_id": "new", "shipment_id": "s1", "kind": "theft"}"#),
    ("discrepancies_line_exists", r#"copy discrepancies WHERE true WITH {"discrepancy_id": "new", "line_ref": "9"}"#),
    ("discrepancies_one_per_line", r#"copy discrepancies WHERE true WITH {"discrepancy_id": "new"}"#),
    ("discrepancies_parts_within_quantity", r#"copy discrepancies WHERE true WITH {"discrepancy_id": "new", "shipment_id": "s1", "settled_quantity": 3, "closed_at": null}"#),
    ("discrepancies_parts_within_quantity", r#"copy discrepancies WHERE true WITH {"discrepancy_id": "new", "shipment_id": "s1", "settled_quantity": 3, "voided_quantity": -1}"#),
    ("discrepancies_parts_within_quantity", r#"copy discrepancies WHERE true WITH {"discrepancy_id": "new", "shipment_id": "s1", "settled_quantity": -1, "voided_quantity": 3}"#),
    ("discrepancies_quantity_positive", r#"copy discrepancies WHERE true WITH {"discrepancy_id": "new", "shipment_id": "s1", "quantity": 0, "settled_quantity": 0}"#),

    ("lot_shortages_pkey", r"copy lot_shortages WHERE true WITH {}"),
    ("lot_shortages_closed_has_time", r#"copy lot_shortages WHERE true WITH {"shipment_id": "s1", "closed_at": null}"#),
    ("lot_shortages_closed_has_time", r#"copy lot_shortages WHERE true WITH {"shipment_id": "s1", "settled_quantity": 1}"#),
    ("lot_shortages_line_exists", r#"copy lot_shortages WHERE true WITH {"line_ref": "9"}"#),
    ("lot_shortages_parts_within_quantity", r#"copy lot_shortages WHERE true WITH {"shipment_id": "s1", "settled_quantity": 3, "closed_at": null}"#),
    ("lot_shortages_parts_within_quantity", r#"copy lot_shortages WHERE true WITH {"shipment_id": "s1", "settled_quantity": 3, "voided_quantity": -1}"#),
    ("lot_shortages_parts_within_quantity", r#"copy lot_shortages WHERE true WITH {"shipment_id": "s1", "settled_quantity": -1, "voided_quantity": 3}"#),
    ("lot_shortages_quantity_positive", r#"copy lot_shortages WHERE true WITH {"shipment_id": "s1", "quantity": 0, "settled_quantity": 0}"#),

    ("depletions_pkey", r"copy depletions WHERE shipment_id = 's1' WITH {}"),
    ("depletions_kind_known", r#"copy depletions WHERE shipment_id = 's1' WITH {"n": 2, "kind": "gift"}"#),
    ("depletions_line_exists", r#"copy depletions WHERE shipment_id = 's1' WITH {"line_ref": "9"}"#),
    ("depletions_n_from_one", r#"copy depletions WHERE shipment_id = 's1' WITH {"n": 0}"#),
    ("depletions_sign_fits_kind", r#"copy depletions WHERE shipment_id = 's1' WITH {"n": 2, "quantity": -1}"#),
    ("depletions_sign_fits_kind", r#"copy depletions WHERE shipment_id = 's1' WITH {"n": 2, "kind": "settlement", "quantity": 0}"#),
    ("depletions_sign_fits_kind", r#"copy depletions WHERE shipment_id = 's1' WITH {"n": 2, "kind": "reversal"}"#),
    ("depletions_sign_fits_kind", r#"copy depletions WHERE shipment_id = 's1' WITH {"n": 2, "kind": "correction", "quantity": 0}"#),
    ("depletions_append_only", "UPDATE depletions SET unit_cost = 0"),
    ("depletions_append_only", "DELETE FROM depletions"),
    ("depletions_no_truncate", "TRUNCATE depletions"),

    ("snapshots_pkey", r#"copy snapshots WHERE snapshot_date = '2026-01-11' WITH {"window_end": "2026-01-12T01:00:00Z"}"#),
    ("snapshots_closed_has_time", r#"copy snapshots WHERE snapshot_date = '2026-01-11' WITH {"snapshot_date": "2026-01-12", "previous_date": "2026-01-11", "window_start": "2026-01-12T00:00:00Z", "window_end": "2026-01-13T00:00:00Z", "closed_at": null}"#),
    ("snapshots_closed_has_time", r#"copy snapshots WHERE snapshot_date = '2026-01-11' WITH {"snapshot_date": "2026-01-12", "previous_date": "2026-01-11", "window_start": "2026-01-12T00:00:00Z", "window_end": "2026-01-13T00:00:00Z", "status": "closing"}"#),
    ("snapshots_follow_each_other", r#"copy snapshots WHERE snapshot_date = '2026-01-11' WITH {"snapshot_date": "2026-01-12", "previous_date": "2026-01-11", "window_start": "2026-01-12T01:00:00Z", "window_end": "2026-01-13T00:00:00Z"}"#),
    ("snapshots_no_day_left_out", r#"copy snapshots WHERE snapshot_date = '2026-01-11' WITH {"snapshot_date": "2026-01-13", "previous_date": "2026-01-11", "window_start": "2026-01-12T00:00:00Z", "window_end": "2026-01-14T00:00:00Z"}"#),
    ("snapshots_pool_exists", r#"copy snapshots WHERE snapshot_date = '2026-01-10' WITH {"pool_id": 9}"#),
    ("snapshots_status_known", r#"copy snapshots WHERE snapshot_date = '2026-01-11' WITH {"snapshot_date": "2026-01-12", "previous_date": "2026-01-11", "window_start": "2026-01-12T00:00:00Z", "window_end": "2026-01-13T00:00:00Z", "status": "lost", "closed_at": null}"#),
    ("snapshots_window_ends_once", r"ALTER TABLE snapshots DROP CONSTRAINT snapshots_pkey CASCADE; copy snapshots WHERE snapshot_date = '2026-01-11' WITH {}"),
    ("snapshots_window_runs_forward", r#"copy snapshots WHERE snapshot_date = '2026-01-11' WITH {"snapshot_date": "2026-01-12", "previous_date": "2026-01-11", "window_start": "2026-01-12T00:00:00Z", "window_end": "2026-01-12T00:00:00Z"}"#),
    ("snapshots_one_first_day", r#"copy snapshots WHERE snapshot_date = '2026-01-10' WITH {"snapshot_date": "2026-02-01"}"#),
    ("snapshots_one_closing_at_a_time",
        r#"copy snapshots WHERE snapshot_date = '2026-01-11' WITH {"snapshot_date": "2026-01-12", "previous_date": "2026-01-11", "window_start": "2026-01-12T00:00:00Z", "window_end": "2026-01-13T00:00:00Z", "status": "closing", "closed_at": null};
           copy snapshots WHERE snapshot_date = '2026-01-11' WITH {"snapshot_date": "2026-01-13", "previous_date": "2026-01-12", "window_start": "2026-01-13T00:00:00Z", "window_end": "2026-01-14T00:00:00Z", "status": "closing", "closed_at": null}"#),
    ("snapshots_never_deleted", r#"copy snapshots WHERE snapshot_date = '2026-01-11' WITH {"snapshot_date": "2026-01-12", "previous_date": "2026-01-11", "window_start": "2026-01-12T00:00:00Z", "window_end": "2026-01-13T00:00:00Z"}; DELETE FROM snapshots WHERE snapshot_date = '2026-01-12'"#),
    ("snapshots_never_reopened", "UPDATE snapshots SET status = 'closing', closed_at = NULL WHERE snapshot_date = '2026-01-11'"),
    ("snapshots_never_reopened", r#"copy snapshots WHERE snapshot_date = '2026-01-11' WITH {"snapshot_date": "2026-01-12", "previous_date": "2026-01-11", "window_start": "2026-01-12T00:00:00Z", "window_end": "2026-01-13T00:00:00Z", "status": "closing", "closed_at": null}; UPDATE snapshots SET window_end = now() WHERE snapshot_date = '2026-01-12'"#),

    ("snapshot_skus_pkey", r"copy snapshot_skus WHERE sku_id = 16 AND snapshot_date = '2026-01-10' WITH {}"),
    ("snapshot_skus_not_negative", r#"copy snapshot_skus WHERE sku_id = 16 AND snapshot_date = '2026-01-10' WITH {"sku_id": 14, "seq": -1}"#),
    ("snapshot_skus_not_negative", r#"copy snapshot_skus WHERE sku_id = 16 AND snapshot_date = '2026-01-10' WITH {"sku_id": 14, "late_lines": 3}"#),
    ("snapshot_skus_not_negative", r#"copy snapshot_skus WHERE sku_id = 16 AND snapshot_date = '2026-01-10' WITH {"sku_id": 14, "late_lines": -1}"#),
    ("snapshot_skus_not_negative", r#"copy snapshot_skus WHERE sku_id = 16 AND snapshot_date = '2026-01-10' WITH {"sku_id": 14, "depleted_quantity": -1, "shortage_quantity": 8}"#),
    ("snapshot_skus_not_negative", r#"copy snapshot_skus WHERE sku_id = 16 AND snapshot_date = '2026-01-10' WITH {"sku_id": 14, "depleted_quantity": 8, "shortage_quantity": -1}"#),
    ("snapshot_skus_parts_add_up", r#"copy snapshot_skus WHERE sku_id = 16 AND snapshot_date = '2026-01-10' WITH {"sku_id": 14, "shipped_quantity": 8}"#),
    ("snapshot_skus_snapshot_exists", r#"copy snapshot_skus WHERE sku_id = 16 AND snapshot_date = '2026-01-10' WITH {"snapshot_date": "2026-02-01"}"#),
    ("snapshot_skus_append_only", "UPDATE snapshot_skus SET on_hand = 9"),
    ("snapshot_skus_append_only", "DELETE FROM snapshot_skus"),

    ("returns_pkey", r#"copy returns WHERE true WITH {"source_ref": "x"}"#),
    ("returns_pool_exists", r#"copy returns WHERE true WITH {"pool_id": 9}"#),
    ("returns_source_ref_unique", r#"copy returns WHERE true WITH {"return_id": "new"}"#),
    ("returns_are_facts", "UPDATE returns SET order_ref = 'another'"),
    ("repair_plans_pkey", r"copy repair_plans WHERE true WITH {}"),
    ("repair_plans_complete_has_no_cursor", r#"copy repair_plans WHERE true WITH {"plan_id": "new", "cursor": "c"}"#),

    ("repairs_pkey", r#"copy repairs WHERE true WITH {"finding_id": "other"}"#),
    ("repairs_once_per_evidence", r#"copy repairs WHERE true WITH {"repair_id": "new"}"#),
    ("repairs_pool_exists", r#"copy repairs WHERE true WITH {"pool_id": 9}"#),
    ("repairs_evidence_is_sha256", r#"copy repairs WHERE true WITH {"repair_id": "new", "evidence_hash": "\\x00"}"#),
    ("repairs_append_only", "UPDATE repairs SET kind = 'other'"),
    ("repairs_append_only", "DELETE FROM repairs"),

    ("return_lines_pkey", r"copy return_lines WHERE true WITH {}"),
    ("return_lines_quantity_positive", r#"copy return_lines WHERE true WITH {"line_ref": "2", "quantity": 0}"#),
    ("return_lines_return_exists", r#"copy return_lines WHERE true WITH {"return_id": "new"}"#),
    ("return_lines_sku_exists", r#"copy return_lines WHERE true WITH {"line_ref": "2", "sku_id": 99}"#),
    ("return_lines_are_facts", "UPDATE return_lines SET quantity = 2"),
    ("return_lots_pkey", r"copy return_lots WHERE true WITH {}"),
    ("return_lots_line_exists", r#"copy return_lots WHERE true WITH {"line_ref": "9"}"#),
    ("return_lots_lot_exists", r#"copy return_lots WHERE true WITH {"n": 2, "lot_id": "new"}"#),
    ("return_lots_names_its_line", r#"copy return_lots WHERE true WITH {"n": 2, "shipment_line_ref": null}"#),
    ("return_lots_shipment_line_exists", r#"copy return_lots WHERE true WITH {"n": 2, "shipment_line_ref": "9"}"#),
    ("return_lots_quantity_positive", r#"copy return_lots WHERE true WITH {"n": 2, "quantity": 0}"#),
    ("return_lots_are_facts", "UPDATE return_lots SET quantity = 2"),
    ("return_lots_are_facts", "DELETE FROM return_lots"),

    ("transfers_pkey", r"copy transfers WHERE true WITH {}"),
    ("transfers_between_two_pools", r#"copy transfers WHERE true WITH {"transfer_id": "new", "source_pool_id": 1}"#),
    ("transfers_closed_has_time", r#"copy transfers WHERE true WITH {"transfer_id": "new", "closed_at": null}"#),
    ("transfers_closed_has_time", r#"copy transfers WHERE true WITH {"transfer_id": "new", "status": "claimed"}"#),
    ("transfers_pool_exists", r#"copy transfers WHERE true WITH {"pool_id": 9}"#),
    ("transfers_quantity_positive", r#"copy transfers WHERE true WITH {"transfer_id": "new", "quantity": 0}"#),
    ("transfers_status_known", r#"copy transfers WHERE true WITH {"transfer_id": "new", "status": "lost"}"#),

    ("idempotency_keys_pkey", r"copy idempotency_keys WHERE key = 'a' WITH {}"),
    ("idempotency_keys_fingerprint_is_sha256", r#"copy idempotency_keys WHERE key = 'a' WITH {"key": "z", "fingerprint": "\\x00"}"#),
    ("idempotency_keys_key_length", r#"copy idempotency_keys WHERE key = 'a' WITH {"key": ""}"#),
    ("idempotency_keys_status_is_an_outcome", r#"copy idempotency_keys WHERE key = 'a' WITH {"key": "z", "status": 503}"#),
    ("idempotency_keys_status_is_an_outcome", r#"copy idempotency_keys WHERE key = 'a' WITH {"key": "z", "status": 400}"#),
    ("idempotency_keys_outcome_is_final", "UPDATE idempotency_keys SET status = 409 WHERE key = 'a'"),
];

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
