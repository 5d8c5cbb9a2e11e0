//! Guards: the constraints, unique indexes and triggers that the migrations put up, by name.
//!
//! A guard stands when it exists, was validated and is enabled. What one says is not compared: two servers of different
//! age print the same definition differently. A test compares the list with a freshly migrated database.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use super::pages;
use super::report::{Found, Report};

mod mirror;

pub use mirror::OF_THE_MIRROR;

/// What a guard is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GuardKind {
    /// A check, a key or a reference.
    Constraint,
    /// A unique index that no constraint owns.
    Index,
    /// A trigger.
    Trigger,
}

use GuardKind::{Constraint, Index, Trigger};

impl GuardKind {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Constraint => "constraint",
            Index => "index",
            Trigger => "trigger",
        }
    }
}

/// Every guard that is expected to stand: table, kind, names.
pub fn expected() -> impl Iterator<Item = &'static (&'static str, GuardKind, &'static [&'static str])> {
    GUARDS.iter().chain(OF_THE_MIRROR)
}

/// Guards of stock and of what moves it: table, kind, names.
pub const GUARDS: &[(&str, GuardKind, &[&str])] = &[
    (
        "api_keys",
        Constraint,
        &["api_keys_client_exists", "api_keys_pkey", "api_keys_scopes_known", "api_keys_secret_is_sha256"],
    ),
    ("api_keys", Index, &["api_keys_one_bootstrap"]),
    (
        "catalogue_revision",
        Constraint,
        &["catalogue_revision_only_row", "catalogue_revision_pkey", "catalogue_revision_positive"],
    ),
    (
        "classes",
        Constraint,
        &[
            "classes_code_form",
            "classes_code_unique",
            "classes_depletion_order_known",
            "classes_hold_ttl_within_longest",
            "classes_pkey",
            "classes_quantities_in_range",
        ],
    ),
    ("clients", Constraint, &["clients_name_length", "clients_name_unique", "clients_pkey"]),
    (
        "demand_claims",
        Constraint,
        &["demand_claims_demand_exists", "demand_claims_pkey", "demand_claims_reservation_exists"],
    ),
    (
        "demand_lines",
        Constraint,
        &[
            "demand_lines_demand_exists",
            "demand_lines_pkey",
            "demand_lines_quantity_not_negative",
            "demand_lines_unit_quantity_positive",
        ],
    ),
    ("demands", Constraint, &["demands_pkey", "demands_pool_exists", "demands_revision_not_negative"]),
    ("demands", Trigger, &["demands_never_deleted", "demands_only_forward"]),
    (
        "depletions",
        Constraint,
        &[
            "depletions_kind_known",
            "depletions_line_exists",
            "depletions_n_from_one",
            "depletions_pkey",
            "depletions_sign_fits_kind",
        ],
    ),
    ("depletions", Trigger, &["depletions_append_only", "depletions_no_truncate"]),
    (
        "discrepancies",
        Constraint,
        &[
            "discrepancies_closed_has_time",
            "discrepancies_kind_known",
            "discrepancies_line_exists",
            "discrepancies_one_per_line",
            "discrepancies_parts_within_quantity",
            "discrepancies_pkey",
            "discrepancies_quantity_positive",
        ],
    ),
    (
        "fulfilments",
        Constraint,
        &[
            "fulfilments_pkey",
            "fulfilments_quantity_positive",
            "fulfilments_reservation_line_exists",
            "fulfilments_shipment_line_exists",
        ],
    ),
    ("fulfilments", Trigger, &["fulfilments_append_only"]),
    (
        "idempotency_keys",
        Constraint,
        &[
            "idempotency_keys_fingerprint_is_sha256",
            "idempotency_keys_key_length",
            "idempotency_keys_pkey",
            "idempotency_keys_status_is_an_outcome",
        ],
    ),
    ("idempotency_keys", Trigger, &["idempotency_keys_outcome_is_final"]),
    (
        "job_slots",
        Constraint,
        &[
            "job_slots_attempt_names_its_instance",
            "job_slots_due_after_its_window",
            "job_slots_end_was_attempted",
            "job_slots_failure_says_why",
            "job_slots_failures_within_attempts",
            "job_slots_job_form",
            "job_slots_pkey",
            "job_slots_slot_length",
            "job_slots_status_fits_end",
            "job_slots_status_fits_lease",
            "job_slots_status_known",
        ],
    ),
    ("job_slots", Index, &["job_slots_one_open"]),
    ("job_slots", Trigger, &["job_slots_only_forward", "job_slots_open_stays"]),
    (
        "lot_shortages",
        Constraint,
        &[
            "lot_shortages_closed_has_time",
            "lot_shortages_line_exists",
            "lot_shortages_parts_within_quantity",
            "lot_shortages_pkey",
            "lot_shortages_quantity_positive",
        ],
    ),
    (
        "lot_transactions",
        Constraint,
        &[
            "lot_transactions_arrival_is_first",
            "lot_transactions_dated",
            "lot_transactions_lot_exists",
            "lot_transactions_moves_something",
            "lot_transactions_pkey",
            "lot_transactions_remaining_not_negative",
            "lot_transactions_seq_from_one",
            "lot_transactions_source_known",
        ],
    ),
    (
        "lot_transactions",
        Index,
        &["lot_transactions_one_departure_per_transfer", "lot_transactions_one_depletion_per_day"],
    ),
    ("lot_transactions", Trigger, &["lot_transactions_append_only", "lot_transactions_no_truncate"]),
    (
        "lots",
        Constraint,
        &[
            "lots_available_is_not_quarantined",
            "lots_currency_form",
            "lots_expires_after_received",
            "lots_origin_known",
            "lots_pkey",
            "lots_quarantine_has_a_reason",
            "lots_quarantined_within_remaining",
            "lots_received_positive",
            "lots_remaining_within_received",
            "lots_status_known",
            "lots_stock_exists",
            "lots_unit_cost_not_negative",
        ],
    ),
    ("lots", Index, &["lots_source_ref_unique"]),
    (
        "oversells",
        Constraint,
        &[
            "oversells_line_exists",
            "oversells_names_its_line",
            "oversells_one_per_line",
            "oversells_pkey",
            "oversells_quantity_positive",
            "oversells_resolved_has_time",
            "oversells_resolved_within_quantity",
        ],
    ),
    ("pool_zones", Constraint, &["pool_zones_pkey", "pool_zones_pool_exists"]),
    ("pools", Constraint, &["pools_code_form", "pools_code_unique", "pools_id_positive", "pools_pkey"]),
    ("repair_plans", Constraint, &["repair_plans_complete_has_no_cursor", "repair_plans_pkey"]),
    (
        "repairs",
        Constraint,
        &["repairs_evidence_is_sha256", "repairs_once_per_evidence", "repairs_pkey", "repairs_pool_exists"],
    ),
    ("repairs", Trigger, &["repairs_append_only"]),
    (
        "reservation_lines",
        Constraint,
        &[
            "reservation_lines_add_up",
            "reservation_lines_fulfilled_within_committed",
            "reservation_lines_line_from_one",
            "reservation_lines_pkey",
            "reservation_lines_quantities_not_negative",
            "reservation_lines_requested_positive",
            "reservation_lines_reservation_exists",
            "reservation_lines_superseded_within_released",
        ],
    ),
    ("reservation_lines", Trigger, &["reservation_lines_never_deleted", "reservation_lines_only_forward"]),
    (
        "reservations",
        Constraint,
        &[
            "reservations_committed_has_order",
            "reservations_expiry_within_longest",
            "reservations_origin_known",
            "reservations_origin_names_the_replaced",
            "reservations_pkey",
            "reservations_state_fits_close",
            "reservations_state_fits_commit",
            "reservations_state_known",
        ],
    ),
    ("reservations", Index, &["reservations_client_reference_unique", "reservations_replaced_once"]),
    ("reservations", Trigger, &["reservations_never_deleted", "reservations_only_forward"]),
    (
        "return_lines",
        Constraint,
        &[
            "return_lines_pkey",
            "return_lines_quantity_positive",
            "return_lines_return_exists",
            "return_lines_sku_exists",
        ],
    ),
    ("return_lines", Trigger, &["return_lines_are_facts"]),
    (
        "return_lots",
        Constraint,
        &[
            "return_lots_line_exists",
            "return_lots_lot_exists",
            "return_lots_names_its_line",
            "return_lots_pkey",
            "return_lots_quantity_positive",
            "return_lots_shipment_line_exists",
        ],
    ),
    ("return_lots", Trigger, &["return_lots_are_facts"]),
    ("returns", Constraint, &["returns_pkey", "returns_pool_exists", "returns_source_ref_unique"]),
    ("returns", Trigger, &["returns_are_facts"]),
    (
        "shipment_lines",
        Constraint,
        &[
            "shipment_lines_covered_within_quantity",
            "shipment_lines_depleted_by_a_snapshot",
            "shipment_lines_depleted_within_covered",
            "shipment_lines_fulfilled_within_quantity",
            "shipment_lines_pkey",
            "shipment_lines_quantity_positive",
            "shipment_lines_returned_within_quantity",
            "shipment_lines_shipment_exists",
            "shipment_lines_sku_exists",
            "shipment_lines_untracked_moves_nothing",
        ],
    ),
    ("shipment_lines", Trigger, &["shipment_lines_never_deleted", "shipment_lines_only_forward"]),
    ("shipments", Constraint, &["shipments_pkey", "shipments_pool_exists", "shipments_source_ref_unique"]),
    ("shipments", Trigger, &["shipments_are_facts"]),
    (
        "skus",
        Constraint,
        &[
            "skus_class_exists",
            "skus_code_form",
            "skus_code_unique",
            "skus_id_positive",
            "skus_pkey",
            "skus_status_known",
        ],
    ),
    (
        "snapshot_skus",
        Constraint,
        &[
            "snapshot_skus_not_negative",
            "snapshot_skus_parts_add_up",
            "snapshot_skus_pkey",
            "snapshot_skus_snapshot_exists",
        ],
    ),
    ("snapshot_skus", Trigger, &["snapshot_skus_append_only"]),
    (
        "snapshots",
        Constraint,
        &[
            "snapshots_closed_has_time",
            "snapshots_follow_each_other",
            "snapshots_no_day_left_out",
            "snapshots_pkey",
            "snapshots_pool_exists",
            "snapshots_status_known",
            "snapshots_window_ends_once",
            "snapshots_window_runs_forward",
        ],
    ),
    ("snapshots", Index, &["snapshots_one_closing_at_a_time", "snapshots_one_first_day"]),
    ("snapshots", Trigger, &["snapshots_never_deleted", "snapshots_never_reopened"]),
    (
        "stock",
        Constraint,
        &[
            "stock_pkey",
            "stock_pool_exists",
            "stock_quantities_not_negative",
            "stock_quarantined_within_on_hand",
            "stock_seq_not_negative",
            "stock_sku_exists",
        ],
    ),
    ("stock", Trigger, &["stock_moves_with_its_ledger"]),
    (
        "stock_entries",
        Constraint,
        &[
            "stock_entries_act_has_a_reason",
            "stock_entries_act_names_its_lot",
            "stock_entries_after_not_negative",
            "stock_entries_claim_names_its_line",
            "stock_entries_closing_kind",
            "stock_entries_delta_fits_kind",
            "stock_entries_hold_names_its_policy",
            "stock_entries_hold_within_reservable",
            "stock_entries_pkey",
            "stock_entries_seq_from_one",
            "stock_entries_shipment_names_itself",
            "stock_entries_stock_exists",
        ],
    ),
    ("stock_entries", Index, &["stock_entries_one_closing_per_line", "stock_entries_one_opening_per_line"]),
    ("stock_entries", Trigger, &["stock_entries_append_only", "stock_entries_no_truncate"]),
    (
        "transfers",
        Constraint,
        &[
            "transfers_between_two_pools",
            "transfers_closed_has_time",
            "transfers_pkey",
            "transfers_pool_exists",
            "transfers_quantity_positive",
            "transfers_status_known",
        ],
    ),
];

/// A guard of the database, whether or not it is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// Its table, with its schema where that is not the current one.
    pub table: String,
    /// `constraint`, `index` or `trigger`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Whether it is valid and enabled. A reference also needs the triggers that enforce it, on both tables.
    pub stands: bool,
}

/// The guards of the tables in the current schema and in `mirror`; the migration tool's own tables are left out.
///
/// # Errors
/// Database errors.
pub async fn find_guards(conn: &mut PgConnection) -> sqlx::Result<Vec<Guard>> {
    sqlx::query_as!(
        Guard,
        r#"
        SELECT
            CASE WHEN n.nspname = current_schema() THEN '' ELSE n.nspname || '.' END || t.relname::text AS "table!",
            g.kind AS "kind!", g.name AS "name!", g.stands AS "stands!"
        FROM (
            SELECT
                c.conrelid AS table_id,
                'constraint' AS kind,
                c.conname::text AS name,
                c.convalidated
                AND NOT EXISTS (
                    SELECT FROM pg_trigger AS e WHERE e.tgconstraint = c.oid AND e.tgenabled NOT IN ('O', 'A')
                )
                AND NOT EXISTS (
                    SELECT FROM pg_index AS i
                    WHERE i.indexrelid = c.conindid AND NOT (i.indisunique AND i.indisvalid AND i.indisready)
                ) AS stands
            FROM pg_constraint AS c
            WHERE c.contype IN ('c', 'f', 'p', 'u', 'x')
            UNION ALL
            SELECT i.indrelid, 'index', x.relname::text, i.indisvalid AND i.indisready
            FROM pg_index AS i
            JOIN pg_class AS x ON x.oid = i.indexrelid
            WHERE i.indisunique
                AND NOT EXISTS (
                    SELECT FROM pg_constraint AS c WHERE c.conindid = i.indexrelid AND c.contype IN ('p', 'u')
                )
            UNION ALL
            SELECT e.tgrelid, 'trigger', e.tgname::text, e.tgenabled IN ('O', 'A')
            FROM pg_trigger AS e
            WHERE NOT e.tgisinternal
        ) AS g
        JOIN pg_class AS t ON t.oid = g.table_id
        JOIN pg_namespace AS n ON n.oid = t.relnamespace
        WHERE n.nspname IN (current_schema(), 'mirror') AND NOT starts_with(t.relname::text, '_')
        ORDER BY n.nspname COLLATE "C" DESC, t.relname::text COLLATE "C", g.kind, g.name COLLATE "C"
        "#
    )
    .fetch_all(conn)
    .await
}

pub(super) async fn check(conn: &mut PgConnection, report: &mut Report) -> sqlx::Result<()> {
    let mut tx = pages::snapshot(conn).await?;
    let guards = find_guards(&mut tx).await?;
    tx.commit().await?;
    report.count("pg_catalog", i64::try_from(guards.len()).unwrap_or(i64::MAX));
    report.add(None, judge(&guards))
}

/// Which expected guards do not stand. Pure.
fn judge(guards: &[Guard]) -> Vec<Found> {
    let stands: BTreeMap<(&str, &str, &str), bool> =
        guards.iter().map(|guard| ((&*guard.table, &*guard.kind, &*guard.name), guard.stands)).collect();
    let mut found = Vec::new();
    for (table, kind, names) in expected() {
        for name in *names {
            let detail = match stands.get(&(*table, kind.as_str(), *name)) {
                Some(true) => continue,
                Some(false) => "not validated or disabled",
                None => "missing",
            };
            let subject = format!("{} {name} on {table}", kind.as_str());
            found.push(Found { check: "guards_in_place".to_owned(), subject, detail: detail.to_owned() });
        }
    }
    found
}
