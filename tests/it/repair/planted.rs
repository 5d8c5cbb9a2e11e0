//! What is planted for one test.

use super::damage::DEPLETED_AGAIN;

/// The first day that is not closed.
const OPEN: &str = "20260112";

/// One row each of what only the audit looks at, edited or gone; with the check that fails.
pub const UNSEEN: [(&str, &str); 8] = [
    ("DELETE FROM lot_shortages", "shortages_add_up"),
    ("DELETE FROM snapshot_skus WHERE sku_id = 21 AND snapshot_date = '2026-01-10'", "snapshots_match_lines"),
    ("DELETE FROM stock WHERE sku_id = 12", "lots_match_on_hand"),
    (
        "UPDATE reservations SET state = 'expired', closed_at = now(), closed_reason = 'expired' WHERE order_ref IS NULL",
        "only_held_reservations_hold_units",
    ),
    (
        "UPDATE reservation_lines SET held_quantity = 0, expired_quantity = 2 WHERE held_quantity = 2",
        "held_matches_lines",
    ),
    ("DELETE FROM lots WHERE lot_id = '00000000-0000-7000-8000-000000000003'", "lot_references_exist"),
    (
        "UPDATE lot_transactions SET value_delta = 1 WHERE lot_id = '00000000-0000-7000-8000-000000000021' AND seq = 1",
        "lot_values_add_up",
    ),
    ("UPDATE lots SET received_quantity = 12 WHERE source_ref = 'po-1'", "lots_open_with_what_was_received"),
];

/// Before the day of shipment 22 is closed, a depletion of it and no movement of its lot, or the other way round.
pub fn ahead(line: bool) -> String {
    let ahead = if line {
        "INSERT INTO depletions VALUES (1, '00000000-0000-7000-b000-000000000022', 'a', 1, 'snapshot', 21,
            '00000000-0000-7000-8000-000000000021', 3, 2.5, '2026-01-12', '2026-01-12')"
    } else {
        DEPLETED_AGAIN
    };
    ahead.replace(":day", OPEN)
}

/// A lot is off sale by its row, and its transactions know nothing of it.
pub const OFF_SALE_BY_HAND: &str = "
    UPDATE lots SET status = 'quarantined', quarantined_quantity = 16, quarantine_reason = 'by hand'
    WHERE lot_id = '00000000-0000-7000-8000-000000000021'";

/// Sixty parcels of five lines, each line's depletion of one unit written twice although the lot gave it once.
pub const MASS: &str = "
    INSERT INTO stock VALUES (1, 16, 300, 0, 0, 0, 61, now(), now());
    INSERT INTO lots (pool_id, lot_id, sku_id, lot_code, origin, status, received_quantity, remaining_quantity, unit_cost,
        currency, received_date, source, client_id, recorded_at, quarantined_quantity, cost_provisional)
    VALUES (1, '00000000-0000-7000-8000-000000000016', 16, 'M', 'receipt', 'available', 600, 300, 2, 'EUR', '2026-01-09',
        'api', 1, '2026-01-09', 0, false);
    INSERT INTO lot_transactions (pool_id, lot_id, seq, row_source, source_ref_id, quantity_delta, remaining_after,
        unit_cost, client_id, recorded_at, quarantined_delta, business_date, value_delta)
    VALUES
    (1, '00000000-0000-7000-8000-000000000016', 1, 'receipt', NULL, 600, 600, 2, 1, now(), 0, '2026-01-09', 1200),
    (1, '00000000-0000-7000-8000-000000000016', 2, 'snapshot_depletion', '20260110', -300, 300, 2, 1, now(), 0,
        '2026-01-10', -600);
    INSERT INTO shipments (pool_id, shipment_id, source, source_ref, client_id, recorded_at)
    SELECT 1, ('00000000-0000-7000-b001-' || lpad(id::text, 12, '0'))::uuid, 'api', 'mass-' || id, 1, '2026-01-12'
    FROM generate_series(1, 60) AS id;
    INSERT INTO shipment_lines (pool_id, shipment_id, line_ref, sku_id, tracked, quantity, covered_quantity,
        fulfilled_quantity, depleted_quantity, returned_quantity, shipped_at, shipped_date, snapshot_date, recorded_at)
    SELECT 1, ('00000000-0000-7000-b001-' || lpad(id::text, 12, '0'))::uuid, line, 16, true, 1, 1, 0, 1, 0,
        '2026-01-10 12:00Z', '2026-01-10', '2026-01-10', '2026-01-12'
    FROM generate_series(1, 60) AS id CROSS JOIN unnest(ARRAY['a', 'b', 'c', 'd', 'e']) AS line;
    INSERT INTO depletions (pool_id, shipment_id, line_ref, n, kind, sku_id, lot_id, quantity, unit_cost, cost_date,
        recorded_at)
    SELECT 1, shipment_id, line_ref, n, 'snapshot', 16, '00000000-0000-7000-8000-000000000016', 1, 2, '2026-01-10',
        '2026-01-12'
    FROM shipment_lines CROSS JOIN generate_series(1, 2) AS n WHERE sku_id = 16;
    INSERT INTO stock_entries (pool_id, sku_id, seq, kind, on_hand_delta, quarantined_delta, held_delta, committed_delta,
        on_hand_after, quarantined_after, held_after, committed_after, closes_line, lot_id, shipment_id, client_id,
        recorded_at)
    SELECT 1, 16, seq, CASE seq WHEN 1 THEN 'receive' ELSE 'ship' END, CASE seq WHEN 1 THEN 600 ELSE -5 END, 0, 0, 0,
        605 - seq * 5, 0, 0, 0, false,
        CASE seq WHEN 1 THEN '00000000-0000-7000-8000-000000000016'::uuid END,
        CASE WHEN seq > 1 THEN ('00000000-0000-7000-b001-' || lpad((seq - 1)::text, 12, '0'))::uuid END, 1,
        '2026-01-09 12:00Z'
    FROM generate_series(1, 61) AS seq;
    INSERT INTO snapshot_skus (pool_id, sku_id, snapshot_date, on_hand, quarantined, held, committed, seq, lines,
        late_lines, shipped_quantity, depleted_quantity, shortage_quantity, recorded_at)
    SELECT 1, 16, day, 0, 0, 0, 0, 0, units, 0, units, units, 0, '2026-01-12'
    FROM (VALUES ('2026-01-09'::date, 0), ('2026-01-10', 300), ('2026-01-11', 0)) AS photograph (day, units);";
