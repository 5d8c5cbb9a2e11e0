-- What every part of the benchmark draws on: SKU-1 to SKU-10000 in the default pool, a billion units of each on the
-- shelf, received as one lot, with the ledger entry that explains it.
BEGIN;
-- Ids as the service makes them: those of one time lie next to each other.
CREATE FUNCTION uuid_v7(made_at timestamptz) RETURNS uuid LANGUAGE sql AS $$
    SELECT overlay(
        overlay(gen_random_uuid()::text PLACING '7' FROM 15 FOR 1)
        PLACING regexp_replace(
            lpad(to_hex((extract(epoch FROM made_at) * 1000)::bigint), 12, '0'), '^(.{8})', '\1-'
        ) FROM 1 FOR 13
    )::uuid
$$;
UPDATE catalogue_revision SET revision = revision + 1;
-- A day: no hold expires while a run is being counted.
UPDATE classes
SET hold_ttl_seconds = longest_hold_seconds, revision = (SELECT revision FROM catalogue_revision), updated_at = now();
INSERT INTO skus (
    sku_id, code, name, class_id, tracked, tracked_since_at, status, revision, created_at, updated_at
)
SELECT n, 'SKU-' || n, 'SKU ' || n, 1, true, now() - interval '1 minute', 'active', r.revision, now(), now()
FROM generate_series(1, 10000) AS n
CROSS JOIN catalogue_revision AS r;
INSERT INTO stock (pool_id, sku_id, on_hand, quarantined, held, committed, seq, opened_at, updated_at)
SELECT 1, sku_id, 1000000000, 0, 0, 0, 1, now(), now()
FROM skus
ORDER BY sku_id;
INSERT INTO lots (
    pool_id, lot_id, sku_id, lot_code, origin, status, received_quantity, remaining_quantity, unit_cost, currency,
    received_date, source, source_ref, client_id, recorded_at, quarantined_quantity, cost_provisional
)
SELECT
    1, uuid_v7(now()), sku_id, 'LOT-' || sku_id, 'receipt', 'available', on_hand, on_hand, 1, 'EUR',
    current_date, 'benchmark', 'LOT-' || sku_id, 1, now(), 0, false
FROM stock
ORDER BY sku_id;
INSERT INTO lot_transactions (
    pool_id, lot_id, seq, row_source, source_ref_id, quantity_delta, remaining_after, unit_cost, client_id, recorded_at,
    quarantined_delta, business_date, value_delta
)
SELECT 1, lot_id, 1, 'receipt', source_ref, received_quantity, received_quantity, unit_cost, client_id, recorded_at,
    0, received_date, received_quantity * unit_cost
FROM lots;
INSERT INTO stock_entries (
    pool_id, sku_id, seq, kind, on_hand_delta, quarantined_delta, held_delta, committed_delta, on_hand_after,
    quarantined_after, held_after, committed_after, closes_line, lot_id, client_id, recorded_at
)
SELECT
    1, sku_id, 1, 'receive', received_quantity, 0, 0, 0, received_quantity, 0, 0, 0, false, lot_id, client_id,
    recorded_at
FROM lots
ORDER BY sku_id;
COMMIT;
