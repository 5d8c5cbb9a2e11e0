
-- quarantined_matches_lots, lot_quarantine_adds_up
UPDATE lots SET quarantined_quantity = 0, status = 'available', quarantine_reason = NULL
WHERE pool_id = :pool AND origin = 'return';
-- lot_quarantine_adds_up
UPDATE lot_transactions SET quarantined_delta = 0 WHERE pool_id = :pool AND row_source = 'return';
-- lots_in_bounds, lot_quarantine_adds_up, quarantined_matches_lots
UPDATE lots SET quarantined_quantity = 2 WHERE pool_id = :pool AND origin = 'return';
-- lot_values_add_up
UPDATE lot_transactions SET value_delta = 0 WHERE pool_id = :pool AND row_source = 'shortage_settlement';
-- lot_values_add_up
UPDATE lots SET unit_cost = 9 WHERE pool_id = :pool AND source_ref = 'po-21';
-- depletions_sum_to_lines, shortages_add_up
UPDATE shipment_lines SET depleted_quantity = 3
WHERE pool_id = :pool AND shipment_id = '00000000-0000-7000-b000-000000000021';
-- discrepancies_add_up, shipment_matches_ledger, lots_match_on_hand
UPDATE shipment_lines SET covered_quantity = 2
WHERE pool_id = :pool AND shipment_id = '00000000-0000-7000-b000-000000000022';
-- shipment_lines_in_bounds, returns_add_up
UPDATE shipment_lines SET returned_quantity = 9
WHERE pool_id = :pool AND shipment_id = '00000000-0000-7000-b000-000000000021';
-- returns_add_up
UPDATE shipment_lines SET returned_quantity = 0
WHERE pool_id = :pool AND shipment_id = '00000000-0000-7000-b000-000000000021';
-- shipment_references_exist, entry_references_exist
DELETE FROM shipments WHERE pool_id = :pool AND shipment_id = '00000000-0000-7000-b000-000000000022';
-- shipment_references_exist
UPDATE shipment_lines SET lot_id = '00000000-0000-7000-8000-000000000022'
WHERE pool_id = :pool AND shipment_id = '00000000-0000-7000-b000-000000000022';
-- shipment_matches_ledger
UPDATE stock_entries SET shipment_id = '00000000-0000-7000-b000-000000000021'
WHERE pool_id = :pool AND sku_id = 21 AND seq = 6;
-- fulfilments_add_up, fulfilled_matches_shipments
DELETE FROM fulfilments WHERE pool_id = :pool;
-- fulfilled_matches_shipments, committed_matches_lines
UPDATE reservation_lines SET fulfilled_quantity = 1
WHERE pool_id = :pool AND reservation_id = '00000000-0000-7000-9000-000000000021';
-- fulfilments_add_up, shipment_matches_ledger
UPDATE shipment_lines SET fulfilled_quantity = 3
WHERE pool_id = :pool AND shipment_id = '00000000-0000-7000-b000-000000000021';
-- discrepancies_add_up
DELETE FROM discrepancies WHERE pool_id = :pool AND closed_at IS NULL;
-- discrepancies_add_up
UPDATE discrepancies SET settled_quantity = 2, closed_at = NULL WHERE pool_id = :pool AND closed_at IS NOT NULL;
-- discrepancies_in_bounds
UPDATE discrepancies SET closed_at = now() WHERE pool_id = :pool AND closed_at IS NULL;
-- shipment_references_exist
UPDATE discrepancies SET line_ref = 'z' WHERE pool_id = :pool AND closed_at IS NOT NULL;
-- shortages_add_up, lots_match_on_hand
DELETE FROM lot_shortages WHERE pool_id = :pool;
-- shortages_in_bounds
UPDATE lot_shortages SET closed_at = now() WHERE pool_id = :pool;
-- line_depletes_on_one_day, depletions_match_days, snapshots_match_lines
UPDATE depletions SET cost_date = '2026-01-11'
WHERE pool_id = :pool AND shipment_id = '00000000-0000-7000-b000-000000000021';
-- depletions_numbered
UPDATE depletions SET n = 7 WHERE pool_id = :pool AND kind = 'reversal';
-- depletions_sum_to_lines, depletions_match_days, depletions_match_lots
INSERT INTO depletions
SELECT (jsonb_populate_record(d, '{"n": 2}')).* FROM depletions AS d
WHERE pool_id = :pool AND shipment_id = '00000000-0000-7000-b000-000000000021';
-- depletions_match_days, depletions_match_lots, lots_match_on_hand
UPDATE lot_transactions SET quantity_delta = -6, remaining_after = 14, value_delta = -15
WHERE pool_id = :pool AND quantity_delta = -5;
UPDATE lot_transactions SET remaining_after = 15 WHERE pool_id = :pool AND row_source = 'void';
UPDATE lots SET remaining_quantity = 15 WHERE pool_id = :pool AND source_ref = 'po-21';
-- depletion_references_exist, depletions_match_days, depletions_match_lots
UPDATE depletions SET lot_id = gen_random_uuid()
WHERE pool_id = :pool AND shipment_id = '00000000-0000-7000-b000-000000000021';
-- depletion_references_exist, shipment_references_exist, snapshots_match_lines
UPDATE depletions SET sku_id = 22
WHERE pool_id = :pool AND shipment_id = '00000000-0000-7000-b000-000000000021';
-- snapshots_follow_each_other
UPDATE snapshots SET previous_date = NULL WHERE pool_id = :pool AND snapshot_date = '2026-01-11';
-- snapshots_follow_each_other
DELETE FROM snapshots WHERE pool_id = :pool AND snapshot_date = '2026-01-10';
-- snapshots_follow_each_other
UPDATE snapshots SET window_start = window_start + interval '1 hour'
WHERE pool_id = :pool AND snapshot_date = '2026-01-11';
-- snapshots_follow_each_other
UPDATE snapshots SET closed_at = NULL WHERE pool_id = :pool AND snapshot_date = '2026-01-11';
-- snapshots_cover_every_sku
DELETE FROM snapshot_skus WHERE pool_id = :pool AND sku_id = 21 AND snapshot_date = '2026-01-11';
-- snapshots_match_lines
UPDATE snapshot_skus SET lines = 3 WHERE pool_id = :pool AND sku_id = 21 AND snapshot_date = '2026-01-10';
-- snapshots_match_lines
UPDATE snapshot_skus SET depleted_quantity = 3, shortage_quantity = 2
WHERE pool_id = :pool AND sku_id = 22 AND snapshot_date = '2026-01-10';
-- return_lots_add_up
UPDATE return_lines SET quantity = 2 WHERE pool_id = :pool;
-- returns_add_up, return_lots_add_up, return_references_exist
UPDATE return_lots SET quantity = 2 WHERE pool_id = :pool;
-- return_references_exist
UPDATE return_lots SET lot_id = gen_random_uuid() WHERE pool_id = :pool;
-- return_references_exist
DELETE FROM returns WHERE pool_id = :pool;
-- transfers_have_both_sides
UPDATE transfers SET status = 'arrived' WHERE pool_id = :pool;
-- order_reservations_have_their_order
DELETE FROM demand_claims WHERE pool_id = :pool;
-- order_reservations_have_their_order
UPDATE reservations SET origin = 'order' WHERE pool_id = :pool AND order_ref = 'order-8';
-- orders_claim_once
UPDATE demand_lines SET quantity = 1 WHERE pool_id = :pool;
-- orders_claim_once
DELETE FROM demand_lines WHERE pool_id = :pool;
-- orders_claim_once
INSERT INTO demands VALUES (:pool, 'shopify', '21', 'order-21', '#21', 1, NULL, '2026-01-01');
INSERT INTO demand_lines VALUES (:pool, 'shopify', '21', '1', 21, 1, 0, 4);
INSERT INTO demand_claims
SELECT pool_id, reservation_id, 'shopify', '21' FROM reservations WHERE pool_id = :pool AND order_ref = 'order-21';
UPDATE reservations SET origin = 'order' WHERE pool_id = :pool AND order_ref = 'order-21';
-- off_sale_lots_are_quarantined
UPDATE lots SET status = 'quarantined', quarantine_reason = 'recall' WHERE pool_id = :pool AND source_ref = 'po-21';
