INSERT INTO stock VALUES
(:pool, 11, 10, 0, 5, 3, 7, now(), now()),
(:pool, 12, 5, 0, 0, 6, 7, now(), now()),
(:pool, 15, 3, 0, 0, 0, 7, now(), now());

INSERT INTO lots (
    pool_id, lot_id, sku_id, lot_code, origin, status, received_quantity, remaining_quantity, unit_cost, currency,
    received_date, source, source_ref, client_id, recorded_at, quarantined_quantity, cost_provisional
)
SELECT :pool, lot_id::uuid, sku_id, 'L', origin, 'available', received, remaining, 1, 'EUR',
    current_date, 'api', source_ref, 1, now(), 0, false
FROM (VALUES
('00000000-0000-7000-8000-000000000001', 11, 'receipt', 10, 10, 'po-1'),
('00000000-0000-7000-8000-000000000002', 12, 'receipt', 5, 5, 'po-2'),
('00000000-0000-7000-8000-000000000003', 15, 'receipt', 4, 0, NULL),
('00000000-0000-7000-8000-000000000004', 15, 'opening_count', 3, 3, NULL)
) AS lot (lot_id, sku_id, origin, received, remaining, source_ref);

INSERT INTO lot_transactions (
    pool_id, lot_id, seq, row_source, source_ref_id, quantity_delta, remaining_after, unit_cost, client_id, recorded_at,
    quarantined_delta, business_date, value_delta
)
SELECT :pool, lot_id::uuid, seq, row_source, NULL, delta, remaining, 1, 1, now(), 0, current_date, delta
FROM (VALUES
('00000000-0000-7000-8000-000000000001', 1, 'receipt', 10, 10),
('00000000-0000-7000-8000-000000000002', 1, 'receipt', 5, 5),
('00000000-0000-7000-8000-000000000003', 1, 'receipt', 4, 4),
('00000000-0000-7000-8000-000000000003', 2, 'opening_count', -4, 0),
('00000000-0000-7000-8000-000000000004', 1, 'receipt', 3, 3)
) AS moved (lot_id, seq, row_source, delta, remaining);

-- Of every pool's world: variant 77 was two of SKU 11 and is one of it, 78 has no stock.
INSERT INTO variant_mappings
SELECT id, version, 'operator', false, 1, now()
FROM (VALUES (77, 1), (77, 2), (78, 1)) AS mapping (id, version)
WHERE NOT EXISTS (SELECT FROM variant_mappings);
INSERT INTO variant_components
SELECT 77, version, 11, quantity
FROM (VALUES (1, 2), (2, 1)) AS component (version, quantity)
WHERE NOT EXISTS (SELECT FROM variant_components);

-- 1 held; 2 committed; 3 in part committed, the rest kept; 4 released; 5 expired; 6 its late commit, a backorder of
-- which one unit was cancelled; 7 past its expiry, lines closed, not swept; 8 an untracked SKU and one that was short;
-- 9 cancelled; 10 an untracked SKU, fulfilled. What 1 holds was asked for as a variant, next to one that has no stock.
INSERT INTO reservations (
    pool_id, reservation_id, client_id, state, origin, client_reference, order_ref, replaces_id,
    created_at, expires_at, max_expires_at, committed_at, closed_at, closed_reason, variants
)
SELECT :pool, ('00000000-0000-7000-9000-' || lpad(id::text, 12, '0'))::uuid, 1, state, origin, 'cart-' || id, order_ref,
    CASE id WHEN 6 THEN '00000000-0000-7000-9000-000000000005'::uuid END,
    '2026-01-01', expires_at::timestamptz, '2100-01-01',
    CASE WHEN order_ref IS NOT NULL THEN '2026-01-01'::timestamptz END,
    CASE WHEN closed_reason IS NOT NULL THEN '2026-01-01'::timestamptz END,
    closed_reason,
    CASE id WHEN 1 THEN '[
        {"line": 1, "variant_id": 77, "mapping_version": 2, "quantity": 3, "parts": [{"line": 1, "unit_quantity": 1}]},
        {"line": 2, "variant_id": 78, "mapping_version": 1, "quantity": 1, "parts": []}
    ]'::jsonb END
FROM (VALUES
(1, 'held', 'checkout', NULL, '2099-01-01', NULL),
(2, 'committed', 'checkout', 'order-2', '2099-01-01', NULL),
(3, 'held', 'checkout', 'order-3', '2099-01-01', NULL),
(4, 'released', 'checkout', NULL, '2099-01-01', 'released'),
(5, 'expired', 'checkout', NULL, '2026-01-02', 'expired'),
(6, 'committed', 'late_commit', 'order-6', '2026-01-02', NULL),
(7, 'held', 'checkout', NULL, '2026-01-02', NULL),
(8, 'committed', 'checkout', 'order-8', '2099-01-01', NULL),
(9, 'cancelled', 'checkout', 'order-9', '2099-01-01', 'order_canceled'),
(10, 'fulfilled', 'checkout', 'order-10', '2099-01-01', 'fulfilled')
) AS reservation (id, state, origin, order_ref, expires_at, closed_reason);

INSERT INTO reservation_lines (
    pool_id, reservation_id, line, sku_id, tracked, requested_quantity, short_quantity, held_quantity,
    committed_quantity, released_quantity, expired_quantity, cancelled_quantity, fulfilled_quantity, expires_at
)
SELECT :pool, r.reservation_id, line, sku_id, sku_id <> 13, requested, short, held, committed, released, expired,
    cancelled, fulfilled, r.expires_at
FROM (VALUES
(1, 1, 11, 3, 0, 3, 0, 0, 0, 0, 0),
(2, 1, 11, 2, 0, 0, 2, 0, 0, 0, 0),
(3, 1, 11, 4, 0, 2, 1, 1, 0, 0, 0),
(4, 1, 12, 2, 0, 0, 0, 2, 0, 0, 0),
(5, 1, 12, 2, 0, 0, 0, 0, 2, 0, 0),
(6, 1, 12, 7, 0, 0, 6, 0, 0, 1, 0),
(7, 1, 15, 1, 0, 0, 0, 0, 1, 0, 0),
(8, 1, 13, 1, 0, 0, 1, 0, 0, 0, 0),
(8, 2, 14, 2, 2, 0, 0, 0, 0, 0, 0),
(9, 1, 15, 1, 0, 0, 0, 0, 0, 1, 0),
(10, 1, 13, 1, 0, 0, 1, 0, 0, 0, 1)
) AS own (id, line, sku_id, requested, short, held, committed, released, expired, cancelled, fulfilled)
JOIN reservations AS r
    ON r.pool_id = :pool
    AND r.reservation_id = ('00000000-0000-7000-9000-' || lpad(own.id::text, 12, '0'))::uuid;

INSERT INTO stock_entries (
    pool_id, sku_id, seq, kind, on_hand_delta, quarantined_delta, held_delta, committed_delta,
    on_hand_after, quarantined_after, held_after, committed_after, safety_stock_quantity, oversell_tolerance_quantity,
    reservation_id, line, closes_line, lot_id, client_id, recorded_at
)
SELECT :pool, sku_id, seq, kind, on_hand_delta, 0, held_delta, committed_delta, on_hand, 0, held, committed,
    CASE kind WHEN 'hold' THEN 0 END, CASE kind WHEN 'hold' THEN 0 END,
    ('00000000-0000-7000-9000-' || lpad(reservation::text, 12, '0'))::uuid,
    CASE WHEN reservation IS NOT NULL THEN 1 END, closes_line,
    ('00000000-0000-7000-8000-' || lpad(lot::text, 12, '0'))::uuid, 1, now()
FROM (VALUES
(11, 1, 'receive', 10, 0, 0, 10, 0, 0, NULL, false, 1),
(11, 2, 'hold', 0, 3, 0, 10, 3, 0, 1, false, NULL),
(11, 3, 'hold', 0, 2, 0, 10, 5, 0, 2, false, NULL),
(11, 4, 'commit', 0, -2, 2, 10, 3, 2, 2, true, NULL),
(11, 5, 'hold', 0, 4, 0, 10, 7, 2, 3, false, NULL),
(11, 6, 'commit', 0, -1, 1, 10, 6, 3, 3, false, NULL),
(11, 7, 'release', 0, -1, 0, 10, 5, 3, 3, false, NULL),
(12, 1, 'receive', 5, 0, 0, 5, 0, 0, NULL, false, 2),
(12, 2, 'hold', 0, 2, 0, 5, 2, 0, 4, false, NULL),
(12, 3, 'release', 0, -2, 0, 5, 0, 0, 4, true, NULL),
(12, 4, 'hold', 0, 2, 0, 5, 2, 0, 5, false, NULL),
(12, 5, 'expire', 0, -2, 0, 5, 0, 0, 5, true, NULL),
(12, 6, 'claim', 0, 0, 7, 5, 0, 7, 6, false, NULL),
(12, 7, 'cancel', 0, 0, -1, 5, 0, 6, 6, false, NULL),
(15, 1, 'receive', 4, 0, 0, 4, 0, 0, NULL, false, 3),
(15, 2, 'opening_count', -1, 0, 0, 3, 0, 0, NULL, false, 4),
(15, 3, 'hold', 0, 1, 0, 3, 1, 0, 7, false, NULL),
(15, 4, 'expire', 0, -1, 0, 3, 0, 0, 7, true, NULL),
(15, 5, 'hold', 0, 1, 0, 3, 1, 0, 9, false, NULL),
(15, 6, 'commit', 0, -1, 1, 3, 0, 1, 9, true, NULL),
(15, 7, 'cancel', 0, 0, -1, 3, 0, 0, 9, false, NULL)
) AS entry (
    sku_id, seq, kind, on_hand_delta, held_delta, committed_delta, on_hand, held, committed, reservation, closes_line, lot
);

INSERT INTO oversells VALUES (
    :pool, '00000000-0000-7000-a000-000000000001', 12, '00000000-0000-7000-9000-000000000006', 1, 2, 1, now(), NULL
);

INSERT INTO idempotency_keys (pool_id, client_id, key, fingerprint, status, body, created_at)
SELECT :pool, 1, key, sha256(key::bytea), status, '{"id":1}', now()
FROM (VALUES ('a', 201), ('b', 409), ('c', 200)) AS answer (key, status);
