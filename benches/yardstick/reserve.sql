\set sku random(1, :skus)
BEGIN;
SELECT on_hand, quarantined, held, committed, seq, gen_random_uuid() AS reservation FROM stock WHERE pool_id = 1 AND sku_id = :sku FOR NO KEY UPDATE \gset
INSERT INTO idempotency_keys (pool_id, client_id, key, fingerprint, status, body, created_at) VALUES (1, 1, gen_random_uuid()::text, decode(repeat('ab', 32), 'hex'), 201, decode(repeat('7b', 480), 'hex'), now());
INSERT INTO reservations (pool_id, reservation_id, client_id, state, origin, created_at, expires_at, max_expires_at) VALUES (1, :reservation, 1, 'held', 'checkout', now(), now() + interval '15 minutes', now() + interval '1 day');
INSERT INTO reservation_lines (pool_id, reservation_id, line, sku_id, tracked, requested_quantity, short_quantity, held_quantity, committed_quantity, released_quantity, expired_quantity, cancelled_quantity, fulfilled_quantity, expires_at) VALUES (1, :reservation, 1, :sku, true, 1, 0, 1, 0, 0, 0, 0, 0, now() + interval '15 minutes');
INSERT INTO stock_entries (pool_id, sku_id, seq, kind, on_hand_delta, quarantined_delta, held_delta, committed_delta, on_hand_after, quarantined_after, held_after, committed_after, safety_stock_quantity, oversell_tolerance_quantity, reservation_id, line, closes_line, client_id, recorded_at) VALUES (1, :sku, :seq + 1, 'hold', 0, 0, 1, 0, :on_hand, :quarantined, :held + 1, :committed, 0, 0, :reservation, 1, false, 1, now());
UPDATE stock SET held = held + 1, seq = seq + 1, updated_at = now() WHERE pool_id = 1 AND sku_id = :sku;
COMMIT;
