//! Every check by name. Names are stable: alerts and runbooks refer to them.

/// One check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// Its name, the same in reports and in the SQL that finds what breaks it.
    pub name: &'static str,
    /// Number of the invariant in section 3 of the design.
    pub invariant: u8,
    /// The table whose rows are counted as read.
    pub over: &'static str,
}

const fn check(invariant: u8, name: &'static str, over: &'static str) -> Check {
    Check { name, invariant, over }
}

/// All checks, in the order of the report.
pub const CHECKS: &[Check] = &[
    // A hold never makes the reservable quantity negative; what is claimed beyond the shelf is an open oversell.
    check(1, "holds_within_reservable", "stock_entries"),
    check(1, "oversells_add_up", "stock"),
    check(1, "oversells_in_bounds", "oversells"),
    check(1, "oversell_references_exist", "oversells"),
    check(1, "oversells_unique_per_line", "oversells"),
    // Quantities are never negative.
    check(2, "balances_in_bounds", "stock"),
    check(2, "entries_in_bounds", "stock_entries"),
    check(2, "lots_in_bounds", "lots"),
    // The ledger is gapless, each entry follows from the one before, the newest is the balance row.
    check(3, "ledger_gapless", "stock_entries"),
    check(3, "ledger_adds_up", "stock_entries"),
    check(3, "entries_fit_their_kind", "stock_entries"),
    check(3, "entry_references_exist", "stock_entries"),
    check(3, "newest_entry_matches_balance", "stock"),
    check(3, "held_matches_lines", "stock"),
    check(3, "committed_matches_lines", "stock"),
    // One key, one outcome; and everything that guards the rest is in place.
    check(4, "answers_are_outcomes", "idempotency_keys"),
    check(4, "answer_keys_unique", "idempotency_keys"),
    check(4, "client_references_unique", "reservations"),
    check(4, "lot_source_refs_unique", "lots"),
    check(4, "guards_in_place", "pg_catalog"),
    // States move forward, and the lines and the ledger say the same.
    check(5, "state_fits_times", "reservations"),
    check(5, "state_fits_quantities", "reservations"),
    check(5, "only_held_reservations_hold_units", "reservations"),
    check(5, "held_without_units_is_due", "reservations"),
    check(5, "reservations_have_lines", "reservations"),
    check(5, "reservation_references_exist", "reservations"),
    check(5, "replaced_once", "reservations"),
    check(5, "line_references_exist", "reservation_lines"),
    check(5, "line_expiry_matches_reservation", "reservation_lines"),
    check(5, "line_opens_once", "reservation_lines"),
    check(5, "line_closes_once", "reservation_lines"),
    check(5, "line_matches_ledger", "reservation_lines"),
    // Line arithmetic.
    check(6, "line_arithmetic", "reservation_lines"),
    check(6, "fulfilled_matches_shipments", "reservation_lines"),
    check(6, "variants_match_recipes", "reservations"),
    // A shipment line is taken from stock once and depletes lots once; a day depletes a lot once.
    check(7, "shipment_lines_in_bounds", "shipment_lines"),
    check(7, "shipment_references_exist", "shipment_lines"),
    check(7, "shipment_matches_ledger", "shipment_lines"),
    check(7, "fulfilments_add_up", "shipment_lines"),
    check(7, "discrepancies_add_up", "shipment_lines"),
    check(7, "discrepancies_in_bounds", "shipment_lines"),
    check(7, "line_depletes_on_one_day", "shipment_lines"),
    check(7, "depletions_numbered", "depletions"),
    check(7, "lots_deplete_once_a_day", "lot_transactions"),
    // Days follow each other, and every SKU is in each of them.
    check(7, "snapshots_follow_each_other", "snapshots"),
    check(7, "snapshots_cover_every_sku", "snapshot_skus"),
    check(7, "snapshots_match_lines", "snapshot_skus"),
    // Lots and their movements.
    check(8, "lot_ledger_gapless", "lot_transactions"),
    check(8, "lot_ledger_adds_up", "lot_transactions"),
    check(8, "lots_open_with_what_was_received", "lot_transactions"),
    check(8, "lot_transactions_sum_to_remaining", "lots"),
    check(8, "lot_references_exist", "lots"),
    check(8, "lot_quarantine_adds_up", "lots"),
    check(8, "off_sale_lots_are_quarantined", "lots"),
    check(8, "lot_values_add_up", "lot_transactions"),
    check(8, "lots_match_on_hand", "stock"),
    check(8, "quarantined_matches_lots", "stock"),
    // Every depleted unit has a lot and a cost, or is an open shortage.
    check(8, "depletions_sum_to_lines", "shipment_lines"),
    check(8, "depletions_match_days", "depletions"),
    check(8, "depletions_match_lots", "depletions"),
    check(8, "depletion_references_exist", "depletions"),
    check(8, "shortages_add_up", "shipment_lines"),
    check(8, "shortages_in_bounds", "shipment_lines"),
    // What came back, and what went elsewhere.
    check(8, "returns_add_up", "shipment_lines"),
    check(8, "return_lots_add_up", "return_lines"),
    check(8, "return_references_exist", "return_lines"),
    check(8, "transfers_have_both_sides", "transfers"),
    // An order taken elsewhere claims once.
    check(10, "order_reservations_have_their_order", "order_reservations"),
    check(10, "orders_claim_once", "order_reservations"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_in_the_order_of_the_invariants() {
        let names: std::collections::HashSet<_> = CHECKS.iter().map(|check| check.name).collect();
        assert_eq!(names.len(), CHECKS.len());
        assert!(CHECKS.is_sorted_by_key(|check| check.invariant));
    }
}
