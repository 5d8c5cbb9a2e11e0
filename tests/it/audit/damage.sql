Each block is planted in a pool of its own; the line above it names the checks that must find it, and no other may.

-- holds_within_reservable
UPDATE stock_entries SET safety_stock_quantity = 8 WHERE pool_id = :pool AND sku_id = 11 AND seq = 2;
-- holds_within_reservable
UPDATE stock_entries SET safety_stock_quantity = NULL WHERE pool_id = :pool AND sku_id = 11 AND seq = 2;
-- oversells_add_up
UPDATE oversells SET resolved_quantity = 2, resolved_at = now() WHERE pool_id = :pool;
-- oversells_in_bounds
UPDATE oversells SET resolved_at = now() WHERE pool_id = :pool;
-- oversell_references_exist
UPDATE oversells SET line = 9 WHERE pool_id = :pool;
-- oversells_unique_per_line
INSERT INTO oversells
SELECT pool_id, '00000000-0000-7000-a000-000000000002', sku_id, reservation_id, line, 1, 1, now(), now()
FROM oversells WHERE pool_id = :pool;
-- balances_in_bounds, newest_entry_matches_balance, quarantined_matches_lots
UPDATE stock SET quarantined = -1 WHERE pool_id = :pool AND sku_id = 11;
-- entries_in_bounds, ledger_adds_up
UPDATE stock_entries SET quarantined_after = 6 WHERE pool_id = :pool AND sku_id = 12 AND seq = 3;
-- lots_in_bounds
INSERT INTO lot_transactions (pool_id, lot_id, seq, row_source, source_ref_id, quantity_delta, remaining_after, unit_cost, reason, client_id,
    recorded_at, quarantined_delta, business_date, value_delta)
SELECT pool_id, lot_id, 2, 'opening_count', NULL, 5, 15, 1, NULL, 1, now(), 0, current_date, 5
FROM lots WHERE pool_id = :pool AND source_ref = 'po-1'
UNION ALL
SELECT pool_id, lot_id, 3, 'opening_count', NULL, -5, 10, 1, NULL, 1, now(), 0, current_date, -5
FROM lots WHERE pool_id = :pool AND source_ref = 'po-1';
-- ledger_gapless
DELETE FROM stock_entries WHERE pool_id = :pool AND sku_id = 15 AND seq = 1;
-- ledger_gapless
DELETE FROM stock_entries WHERE pool_id = :pool AND sku_id = 15 AND seq = 2;
-- ledger_gapless
INSERT INTO stock_entries SELECT * FROM stock_entries WHERE pool_id = :pool AND sku_id = 15 AND seq = 2;
-- ledger_adds_up
UPDATE stock_entries SET on_hand_delta = -2 WHERE pool_id = :pool AND sku_id = 15 AND seq = 2;
-- entries_fit_their_kind
UPDATE stock_entries SET kind = 'miracle' WHERE pool_id = :pool AND sku_id = 15 AND seq = 2;
-- entries_fit_their_kind
UPDATE stock_entries SET closes_line = true WHERE pool_id = :pool AND sku_id = 15 AND seq = 2;
-- entry_references_exist
UPDATE stock_entries SET lot_id = gen_random_uuid() WHERE pool_id = :pool AND sku_id = 15 AND seq = 2;
-- entry_references_exist, lot_references_exist, lots_match_on_hand
DELETE FROM stock WHERE pool_id = :pool AND sku_id = 15;
-- entry_references_exist, committed_matches_lines, newest_entry_matches_balance, oversell_references_exist, lots_match_on_hand, lot_references_exist, oversells_add_up
UPDATE stock SET sku_id = 14 WHERE pool_id = :pool AND sku_id = 12;
-- newest_entry_matches_balance
UPDATE stock SET seq = seq - 1 WHERE pool_id = :pool AND sku_id = 11;
-- newest_entry_matches_balance, lots_match_on_hand
INSERT INTO stock VALUES (:pool, 14, 3, 0, 0, 0, 0, now(), now());
-- held_matches_lines, entries_fit_their_kind
INSERT INTO stock_entries
SELECT (jsonb_populate_record(e, '{"seq": 8, "held_delta": 1, "held_after": 1}')).*
FROM stock_entries AS e WHERE pool_id = :pool AND sku_id = 15 AND seq = 2;
UPDATE stock SET held = 1, seq = 8 WHERE pool_id = :pool AND sku_id = 15;
UPDATE stock_entries SET on_hand_delta = 0 WHERE pool_id = :pool AND sku_id = 15 AND seq = 8;
-- committed_matches_lines, entries_fit_their_kind
INSERT INTO stock_entries
SELECT (jsonb_populate_record(e, '{"seq": 8, "committed_delta": 1, "committed_after": 1, "on_hand_delta": 0}')).*
FROM stock_entries AS e WHERE pool_id = :pool AND sku_id = 15 AND seq = 2;
UPDATE stock SET committed = 1, seq = 8 WHERE pool_id = :pool AND sku_id = 15;
-- held_matches_lines, entry_references_exist, variants_match_recipes
UPDATE reservation_lines SET sku_id = 14
WHERE pool_id = :pool AND reservation_id = '00000000-0000-7000-9000-000000000001';
-- answers_are_outcomes
UPDATE idempotency_keys SET status = 500 WHERE pool_id = :pool AND key = 'b';
-- answers_are_outcomes
UPDATE idempotency_keys SET body = '{"id":' WHERE pool_id = :pool AND key = 'b';
-- answer_keys_unique
INSERT INTO idempotency_keys SELECT * FROM idempotency_keys WHERE pool_id = :pool AND key = 'a';
-- client_references_unique
UPDATE reservations SET client_reference = 'cart-2'
WHERE pool_id = :pool AND reservation_id = '00000000-0000-7000-9000-000000000001';
-- lot_source_refs_unique
UPDATE lots SET source_ref = 'po-1' WHERE pool_id = :pool AND source_ref = 'po-2';
-- state_fits_times
UPDATE reservations SET closed_at = now(), closed_reason = 'magic'
WHERE pool_id = :pool AND reservation_id = '00000000-0000-7000-9000-000000000001';
-- state_fits_times
UPDATE reservations SET state = 'done'
WHERE pool_id = :pool AND reservation_id = '00000000-0000-7000-9000-000000000002';
-- state_fits_quantities
UPDATE reservations SET state = 'fulfilled', closed_at = now(), closed_reason = 'fulfilled'
WHERE pool_id = :pool AND reservation_id = '00000000-0000-7000-9000-000000000002';
-- state_fits_quantities
UPDATE reservations SET state = 'released'
WHERE pool_id = :pool AND reservation_id = '00000000-0000-7000-9000-000000000005';
-- only_held_reservations_hold_units
UPDATE reservations SET state = 'reconciled', closed_at = now(), closed_reason = 'counted'
WHERE pool_id = :pool AND reservation_id = '00000000-0000-7000-9000-000000000003';
-- held_without_units_is_due
UPDATE reservations SET expires_at = '2099-01-01'
WHERE pool_id = :pool AND reservation_id = '00000000-0000-7000-9000-000000000007';
UPDATE reservation_lines SET expires_at = '2099-01-01'
WHERE pool_id = :pool AND reservation_id = '00000000-0000-7000-9000-000000000007';
-- reservations_have_lines
DELETE FROM reservation_lines
WHERE pool_id = :pool AND reservation_id = '00000000-0000-7000-9000-000000000008';
-- reservation_references_exist
UPDATE reservations SET replaces_id = gen_random_uuid() WHERE pool_id = :pool AND replaces_id IS NOT NULL;
-- reservation_references_exist
UPDATE reservations SET origin = 'supersede'
WHERE pool_id = :pool AND reservation_id = '00000000-0000-7000-9000-000000000001';
-- replaced_once
UPDATE reservations SET origin = 'late_commit', replaces_id = '00000000-0000-7000-9000-000000000005'
WHERE pool_id = :pool AND reservation_id = '00000000-0000-7000-9000-000000000002';
-- line_references_exist
DELETE FROM reservations
WHERE pool_id = :pool AND reservation_id = '00000000-0000-7000-9000-000000000008';
-- line_references_exist
UPDATE reservation_lines SET sku_id = 99
WHERE pool_id = :pool AND reservation_id = '00000000-0000-7000-9000-000000000008' AND line = 2;
-- line_expiry_matches_reservation
UPDATE reservation_lines SET expires_at = '2026-01-02'
WHERE pool_id = :pool AND reservation_id = '00000000-0000-7000-9000-000000000001';
-- line_opens_once, fulfilled_matches_shipments
UPDATE reservation_lines SET tracked = true
WHERE pool_id = :pool AND reservation_id = '00000000-0000-7000-9000-000000000010';
-- line_opens_once
UPDATE stock_entries SET reservation_id = '00000000-0000-7000-9000-000000000004'
WHERE pool_id = :pool AND sku_id = 12 AND seq = 4;
-- line_closes_once
UPDATE stock_entries SET closes_line = false WHERE pool_id = :pool AND sku_id = 12 AND seq = 3;
-- line_closes_once
UPDATE stock_entries SET closes_line = true WHERE pool_id = :pool AND sku_id = 11 AND seq = 6;
-- line_matches_ledger
UPDATE reservation_lines SET released_quantity = 1, expired_quantity = 1
WHERE pool_id = :pool AND reservation_id = '00000000-0000-7000-9000-000000000004';
-- line_matches_ledger, committed_matches_lines
UPDATE reservation_lines SET committed_quantity = 7, cancelled_quantity = 0
WHERE pool_id = :pool AND reservation_id = '00000000-0000-7000-9000-000000000006';
-- line_matches_ledger, held_matches_lines
UPDATE reservation_lines SET held_quantity = 3, released_quantity = 0
WHERE pool_id = :pool AND reservation_id = '00000000-0000-7000-9000-000000000003';
-- line_arithmetic
UPDATE reservation_lines SET requested_quantity = 2147483647
WHERE pool_id = :pool AND reservation_id = '00000000-0000-7000-9000-000000000010';
-- line_arithmetic
UPDATE reservation_lines SET superseded_quantity = 3
WHERE pool_id = :pool AND reservation_id = '00000000-0000-7000-9000-000000000004';
-- variants_match_recipes
UPDATE reservations SET variants = '{"line": "one"}' WHERE pool_id = :pool AND variants IS NOT NULL;
-- variants_match_recipes
UPDATE reservations SET variants = '[]'
WHERE pool_id = :pool AND reservation_id = '00000000-0000-7000-9000-000000000002';
-- variants_match_recipes
UPDATE reservations SET variants = jsonb_set(variants, '{0,mapping_version}', '3')
WHERE pool_id = :pool AND variants IS NOT NULL;
-- variants_match_recipes
UPDATE reservations SET variants = jsonb_set(variants, '{0,mapping_version}', '1')
WHERE pool_id = :pool AND variants IS NOT NULL;
-- variants_match_recipes
UPDATE reservations SET variants = jsonb_set(variants, '{0,quantity}', '4')
WHERE pool_id = :pool AND variants IS NOT NULL;
-- variants_match_recipes
UPDATE reservations SET variants = jsonb_set(variants, '{0,parts}', '[]')
WHERE pool_id = :pool AND variants IS NOT NULL;
-- variants_match_recipes
UPDATE reservations SET variants = jsonb_set(variants, '{0,parts,0,line}', '2')
WHERE pool_id = :pool AND variants IS NOT NULL;
-- variants_match_recipes
UPDATE reservations SET variants = jsonb_set(variants, '{1,parts}', '[{"line": 1, "unit_quantity": 1}]')
WHERE pool_id = :pool AND variants IS NOT NULL;
-- lot_values_add_up
INSERT INTO lot_transactions (pool_id, lot_id, seq, row_source, source_ref_id, quantity_delta, remaining_after, unit_cost, reason, client_id,
    recorded_at, quarantined_delta, business_date, value_delta)
SELECT pool_id, lot_id, 2, 'correction', 'revaluation', 0, 10, 1, 'x', 1, now(), 0, current_date, -5
FROM lots WHERE pool_id = :pool AND source_ref = 'po-1';
-- lot_values_add_up
INSERT INTO lot_transactions (pool_id, lot_id, seq, row_source, source_ref_id, quantity_delta, remaining_after, unit_cost, reason, client_id,
    recorded_at, quarantined_delta, business_date, value_delta)
SELECT pool_id, lot_id, seq, row_source, moved.source_ref, 0, 10, 1, 'x', 1, now(), 0, current_date, value
FROM lots, (VALUES (2, 'revaluation', NULL, 4), (3, 'correction', 'revaluation', -3), (4, 'correction', NULL, -1))
    AS moved (seq, row_source, source_ref, value)
WHERE pool_id = :pool AND lots.source_ref = 'po-1';
-- lots_deplete_once_a_day, depletions_match_days, depletions_match_lots
INSERT INTO lot_transactions (pool_id, lot_id, seq, row_source, source_ref_id, quantity_delta, remaining_after, unit_cost, reason, client_id,
    recorded_at, quarantined_delta, business_date, value_delta)
SELECT pool_id, lot_id, seq, row_source, CASE row_source WHEN 'snapshot_depletion' THEN '20260101' END, delta, remaining,
    1, NULL, 1, now(), 0, current_date, delta
FROM lots, (VALUES
(2, 'snapshot_depletion', -1, 9), (3, 'snapshot_depletion', -1, 8), (4, 'opening_count', 2, 10)
) AS moved (seq, row_source, delta, remaining)
WHERE pool_id = :pool AND source_ref = 'po-1';
-- lot_ledger_gapless
UPDATE lot_transactions SET seq = 3
WHERE pool_id = :pool AND seq = 2 AND lot_id = '00000000-0000-7000-8000-000000000003';
-- lot_ledger_adds_up
UPDATE lot_transactions SET remaining_after = 9 WHERE pool_id = :pool AND quantity_delta = 10;
-- lots_open_with_what_was_received
UPDATE lot_transactions SET quantity_delta = 9, remaining_after = 9, value_delta = 9 WHERE pool_id = :pool AND quantity_delta = 10;
INSERT INTO lot_transactions (pool_id, lot_id, seq, row_source, source_ref_id, quantity_delta, remaining_after, unit_cost, reason, client_id,
    recorded_at, quarantined_delta, business_date, value_delta)
SELECT pool_id, lot_id, 2, 'opening_count', NULL, 1, 10, 1, NULL, 1, now(), 0, current_date, 1
FROM lots WHERE pool_id = :pool AND source_ref = 'po-1';
-- lot_transactions_sum_to_remaining
UPDATE lots SET remaining_quantity = received_quantity - 2 - (origin = 'receipt')::int
WHERE pool_id = :pool AND sku_id = 15;
UPDATE lots SET remaining_quantity = 2 WHERE pool_id = :pool AND origin = 'opening_count';
-- lot_references_exist
INSERT INTO lot_transactions (pool_id, lot_id, seq, row_source, source_ref_id, quantity_delta, remaining_after, unit_cost, reason, client_id,
    recorded_at, quarantined_delta, business_date, value_delta)
VALUES (:pool, gen_random_uuid(), 1, 'receipt', NULL, 1, 1, 1, NULL, 1, now(), 0, current_date, 1);
-- lots_match_on_hand
WITH lot AS (
    INSERT INTO lots (
        pool_id, lot_id, sku_id, lot_code, origin, status, received_quantity, remaining_quantity, unit_cost, currency,
        received_date, source, source_ref, client_id, recorded_at, quarantined_quantity, cost_provisional
    )
    SELECT
        pool_id, gen_random_uuid(), sku_id, lot_code, origin, status, received_quantity, remaining_quantity, unit_cost,
        currency, received_date, source, 'po-9', client_id, recorded_at, quarantined_quantity, cost_provisional
    FROM lots WHERE pool_id = :pool AND source_ref = 'po-2'
    RETURNING *
)
INSERT INTO lot_transactions (pool_id, lot_id, seq, row_source, source_ref_id, quantity_delta, remaining_after, unit_cost, reason, client_id,
    recorded_at, quarantined_delta, business_date, value_delta)
SELECT pool_id, lot_id, 1, 'receipt', NULL, 5, 5, 1, NULL, 1, now(), 0, current_date, 5 FROM lot;
