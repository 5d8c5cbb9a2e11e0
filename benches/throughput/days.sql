-- Lots for a day of shipments: of every SKU nine older lots of $UNITS units each, before the big one that is there, which
-- has been there since the pool's first day: a close takes nothing of what came later.
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE lot_transactions SET business_date = current_date - $AGE WHERE business_date > current_date - $AGE;
SET LOCAL session_replication_role = origin;
UPDATE pools SET created_at = now() - interval '$AGE days' WHERE pool_id = 1;
INSERT INTO lots (
    pool_id, lot_id, sku_id, lot_code, origin, status, received_quantity, remaining_quantity, unit_cost, currency,
    received_date, source, source_ref, client_id, recorded_at, quarantined_quantity, cost_provisional
)
SELECT
    1, uuid_v7(current_date - 900 + n), s.sku_id, 'OLD-' || n, 'receipt', 'available', $UNITS, $UNITS, n, 'EUR', current_date - 900 + n,
    'benchmark', s.sku_id || '/' || n, 1, now(), 0, false
FROM stock AS s
CROSS JOIN generate_series(1, 9) AS n;
INSERT INTO lot_transactions (
    pool_id, lot_id, seq, row_source, source_ref_id, quantity_delta, remaining_after, unit_cost, client_id, recorded_at,
    quarantined_delta, business_date, value_delta
)
SELECT 1, lot_id, 1, 'receipt', source_ref, received_quantity, received_quantity, unit_cost, client_id, recorded_at,
    0, received_date, received_quantity * unit_cost
FROM lots
WHERE starts_with(lot_code, 'OLD-');
COMMIT;
