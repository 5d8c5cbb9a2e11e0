INSERT INTO stock (
    pool_id, sku_id, on_hand, quarantined, held, committed, seq, opened_at, updated_at
)
VALUES
(:pool, 21, 14, 1, 0, 1, 8, '2026-01-09', '2026-01-12'),
(:pool, 22, 0, 0, 0, 0, 5, '2026-01-09', '2026-01-12');

-- 21 and what came back of it, 24; 22, of which nothing is left, and 23, which came too late.
INSERT INTO lots (
    pool_id, lot_id, sku_id, lot_code, origin, status, received_quantity, remaining_quantity, unit_cost, currency,
    received_date, source, source_ref, source_lot_id, client_id, recorded_at, quarantined_quantity, quarantine_reason,
    cost_provisional
)
SELECT :pool, lot_id::uuid, sku_id, 'S', origin, CASE quarantined WHEN 0 THEN 'available' ELSE 'quarantined' END,
    received, remaining, cost, 'EUR', '2026-01-09', 'api', source_ref, source_lot_id::uuid, 1, '2026-01-09', quarantined,
    CASE quarantined WHEN 0 THEN NULL ELSE 'came back' END, false
FROM (VALUES
('00000000-0000-7000-8000-000000000021', 21, 'receipt', 20, 16, 2.5, 'po-21', NULL, 0),
('00000000-0000-7000-8000-000000000024', 21, 'return', 1, 1, 2.5, NULL, '00000000-0000-7000-8000-000000000021', 1),
('00000000-0000-7000-8000-000000000022', 22, 'receipt', 2, 0, 3, 'po-22', NULL, 0),
('00000000-0000-7000-8000-000000000023', 22, 'receipt', 4, 2, 4, 'po-23', NULL, 0)
) AS lot (lot_id, sku_id, origin, received, remaining, cost, source_ref, source_lot_id, quarantined);

INSERT INTO lot_transactions (
    pool_id, lot_id, seq, row_source, source_ref_id, quantity_delta, remaining_after, unit_cost, client_id, recorded_at,
    quarantined_delta, business_date, value_delta, shipment_id
)
SELECT :pool, lot_id::uuid, seq, row_source, source_ref_id, delta, remaining, cost, 1, '2026-01-12', quarantined,
    business_date::date, delta * cost, shipment_id::uuid
FROM (VALUES
('00000000-0000-7000-8000-000000000021', 1, 'receipt', NULL, 20, 20, 2.5, 0, '2026-01-09', NULL),
('00000000-0000-7000-8000-000000000021', 2, 'snapshot_depletion', '20260110', -5, 15, 2.5, 0, '2026-01-10', NULL),
('00000000-0000-7000-8000-000000000021', 3, 'void', NULL, 1, 16, 2.5, 0, '2026-01-12',
'00000000-0000-7000-b000-000000000025'),
('00000000-0000-7000-8000-000000000024', 1, 'return', NULL, 1, 1, 2.5, 1, '2026-01-12', NULL),
('00000000-0000-7000-8000-000000000022', 1, 'receipt', NULL, 2, 2, 3, 0, '2026-01-09', NULL),
('00000000-0000-7000-8000-000000000022', 2, 'snapshot_depletion', '20260110', -2, 0, 3, 0, '2026-01-10', NULL),
('00000000-0000-7000-8000-000000000023', 1, 'receipt', NULL, 4, 4, 4, 0, '2026-01-11', NULL),
('00000000-0000-7000-8000-000000000023', 2, 'shortage_settlement', '00000000-0000-7000-b000-000000000023/a', -2, 2, 4,
0, '2026-01-11', '00000000-0000-7000-b000-000000000023')
) AS moved (lot_id, seq, row_source, source_ref_id, delta, remaining, cost, quarantined, business_date, shipment_id);

INSERT INTO reservations (
    pool_id, reservation_id, client_id, state, origin, order_ref, created_at, expires_at, max_expires_at, committed_at
)
VALUES (
    :pool, '00000000-0000-7000-9000-000000000021', 1, 'committed', 'checkout', 'order-21',
    '2026-01-09', '2099-01-01', '2100-01-01', '2026-01-09'
);
INSERT INTO reservation_lines (
    pool_id, reservation_id, line, sku_id, tracked, requested_quantity, short_quantity, held_quantity,
    committed_quantity, released_quantity, expired_quantity, cancelled_quantity, fulfilled_quantity, expires_at
)
VALUES (:pool, '00000000-0000-7000-9000-000000000021', 1, 21, true, 3, 0, 0, 3, 0, 0, 0, 2, '2099-01-01');

-- 21 fulfils a part of the reservation; 25 is voided; 22 and 24 left after the last closed day; 23 was more than there
-- was.
INSERT INTO shipments (pool_id, shipment_id, source, source_ref, client_id, recorded_at)
SELECT :pool, ('00000000-0000-7000-b000-' || lpad(id::text, 12, '0'))::uuid, 'api', 'parcel-' || id, 1, '2026-01-12'
FROM generate_series(21, 25) AS id;

INSERT INTO shipment_lines (
    pool_id, shipment_id, line_ref, sku_id, tracked, quantity, covered_quantity, fulfilled_quantity, depleted_quantity,
    returned_quantity, shipped_at, shipped_date, snapshot_date, voided_at, recorded_at
)
SELECT :pool, ('00000000-0000-7000-b000-' || lpad(id::text, 12, '0'))::uuid, 'a', sku_id, true, quantity, covered,
    fulfilled, depleted, returned, shipped::timestamptz, shipped::date, snapshot::date, voided::timestamptz, '2026-01-12'
FROM (VALUES
(21, 21, 4, 4, 2, 4, 1, '2026-01-10', '2026-01-10', NULL),
(22, 21, 3, 3, 0, 0, 0, '2026-01-12', NULL, NULL),
(23, 22, 5, 5, 0, 4, 0, '2026-01-10', '2026-01-10', NULL),
(24, 22, 2, 1, 0, 0, 0, '2026-01-12', NULL, NULL),
(25, 21, 1, 1, 0, 1, 0, '2026-01-10', '2026-01-10', '2026-01-12')
) AS line (id, sku_id, quantity, covered, fulfilled, depleted, returned, shipped, snapshot, voided);

INSERT INTO fulfilments (pool_id, shipment_id, line_ref, reservation_id, line, quantity)
VALUES (
    :pool, '00000000-0000-7000-b000-000000000021', 'a', '00000000-0000-7000-9000-000000000021', 1, 2
);

INSERT INTO discrepancies (
    pool_id, discrepancy_id, sku_id, kind, shipment_id, line_ref, quantity, settled_quantity, voided_quantity, opened_at,
    closed_at
)
VALUES
(:pool, '00000000-0000-7000-c000-000000000023', 22, 'shipped_beyond_on_hand', '00000000-0000-7000-b000-000000000023',
'a', 3, 3, 0, '2026-01-10', '2026-01-12'),
(:pool, '00000000-0000-7000-c000-000000000024', 22, 'shipped_beyond_on_hand', '00000000-0000-7000-b000-000000000024',
'a', 1, 0, 0, '2026-01-12', NULL);

INSERT INTO lot_shortages (
    pool_id, shipment_id, line_ref, sku_id, quantity, settled_quantity, voided_quantity, opened_date, opened_at
)
VALUES (:pool, '00000000-0000-7000-b000-000000000023', 'a', 22, 3, 2, 0, '2026-01-10', '2026-01-11');

INSERT INTO depletions (
    pool_id, shipment_id, line_ref, n, kind, sku_id, lot_id, quantity, unit_cost, cost_date, recorded_at
)
SELECT :pool, ('00000000-0000-7000-b000-' || lpad(shipment::text, 12, '0'))::uuid, 'a', n, kind, sku_id,
    ('00000000-0000-7000-8000-' || lpad(lot::text, 12, '0'))::uuid, quantity, cost, cost_date::date, '2026-01-12'
FROM (VALUES
(21, 1, 'snapshot', 21, 21, 4, 2.5, '2026-01-10'),
(25, 1, 'snapshot', 21, 21, 1, 2.5, '2026-01-10'),
(25, 2, 'reversal', 21, 21, -1, 2.5, '2026-01-12'),
(23, 1, 'snapshot', 22, 22, 2, 3, '2026-01-10'),
(23, 2, 'settlement', 22, 23, 2, 4, '2026-01-11')
) AS depletion (shipment, n, kind, sku_id, lot, quantity, cost, cost_date);

INSERT INTO stock_entries (
    pool_id, sku_id, seq, kind, on_hand_delta, quarantined_delta, held_delta, committed_delta,
    on_hand_after, quarantined_after, held_after, committed_after, safety_stock_quantity, oversell_tolerance_quantity,
    reservation_id, line, closes_line, lot_id, shipment_id, client_id, recorded_at
)
SELECT :pool, sku_id, seq, kind, on_hand_delta, quarantined_delta, held_delta, committed_delta,
    on_hand, quarantined, held, committed,
    CASE kind WHEN 'hold' THEN 0 END, CASE kind WHEN 'hold' THEN 0 END,
    CASE WHEN kind IN ('hold', 'commit') THEN '00000000-0000-7000-9000-000000000021'::uuid END,
    CASE WHEN kind IN ('hold', 'commit') THEN 1 END, kind = 'commit',
    ('00000000-0000-7000-8000-' || lpad(lot::text, 12, '0'))::uuid,
    ('00000000-0000-7000-b000-' || lpad(shipment::text, 12, '0'))::uuid, 1, '2026-01-09 12:00Z'
FROM (VALUES
(21, 1, 'receive', 20, 0, 0, 0, 20, 0, 0, 0, 21, NULL),
(21, 2, 'hold', 0, 0, 3, 0, 20, 0, 3, 0, NULL, NULL),
(21, 3, 'commit', 0, 0, -3, 3, 20, 0, 0, 3, NULL, NULL),
(21, 4, 'ship', -4, 0, 0, -2, 16, 0, 0, 1, NULL, 21),
(21, 5, 'ship', -1, 0, 0, 0, 15, 0, 0, 1, NULL, 25),
(21, 6, 'ship', -3, 0, 0, 0, 12, 0, 0, 1, NULL, 22),
(21, 7, 'void', 1, 0, 0, 0, 13, 0, 0, 1, NULL, 25),
(21, 8, 'return', 1, 1, 0, 0, 14, 1, 0, 1, 24, NULL),
(22, 1, 'receive', 2, 0, 0, 0, 2, 0, 0, 0, 22, NULL),
(22, 2, 'ship', -2, 0, 0, 0, 0, 0, 0, 0, NULL, 23),
(22, 3, 'receive', 4, 0, 0, 0, 4, 0, 0, 0, 23, NULL),
(22, 4, 'settle', -3, 0, 0, 0, 1, 0, 0, 0, NULL, 23),
(22, 5, 'ship', -1, 0, 0, 0, 0, 0, 0, 0, NULL, 24)
) AS entry (
    sku_id, seq, kind, on_hand_delta, quarantined_delta, held_delta, committed_delta, on_hand, quarantined, held,
    committed, lot, shipment
);

INSERT INTO snapshots (
    pool_id, snapshot_date, previous_date, window_start, window_end, time_zone, status, client_id, begun_at, closed_at
)
SELECT :pool, day, CASE WHEN day > '2026-01-09' THEN day - 1 END, day::timestamptz, (day + 1)::timestamptz, 'UTC',
    'closed', 1, '2026-01-12', '2026-01-12'
FROM (VALUES ('2026-01-09'::date), ('2026-01-10'), ('2026-01-11')) AS closed (day)
ORDER BY closed.day;
INSERT INTO snapshot_skus (
    pool_id, sku_id, snapshot_date, on_hand, quarantined, held, committed, seq, lines, late_lines, shipped_quantity,
    depleted_quantity, shortage_quantity, recorded_at
)
SELECT :pool, sku_id, day::date, 0, 0, 0, 0, 0, lines, 0, depleted + short, depleted, short, '2026-01-12'
FROM (VALUES
(21, '2026-01-09', 0, 0, 0), (21, '2026-01-10', 2, 5, 0), (21, '2026-01-11', 0, 0, 0),
(22, '2026-01-09', 0, 0, 0), (22, '2026-01-10', 1, 2, 3), (22, '2026-01-11', 0, 0, 0)
) AS photograph (sku_id, day, lines, depleted, short);

INSERT INTO returns (pool_id, return_id, source, source_ref, client_id, recorded_at)
VALUES (:pool, '00000000-0000-7000-d000-000000000021', 'api', 'return-21', 1, '2026-01-12');
INSERT INTO return_lines (
    pool_id, return_id, line_ref, sku_id, quantity, recorded_at
)
VALUES (
    :pool, '00000000-0000-7000-d000-000000000021', 'a', 21, 1, '2026-01-12'
);
INSERT INTO return_lots (
    pool_id, return_id, line_ref, n, lot_id, source_lot_id, quantity, shipment_id, shipment_line_ref
)
VALUES (
    :pool, '00000000-0000-7000-d000-000000000021', 'a', 1, '00000000-0000-7000-8000-000000000024',
    '00000000-0000-7000-8000-000000000021', 1, '00000000-0000-7000-b000-000000000021', 'a'
);

INSERT INTO transfers (
    pool_id, transfer_id, source_pool_id, source_lot_id, lot_id, quantity, reason, status, client_id, key,
    fingerprint, claimed_at, closed_at
)
VALUES (
    :pool, '00000000-0000-7000-e000-000000000021', 99, '00000000-0000-7000-8000-000000000099',
    '00000000-0000-7000-8000-000000000098', 3, 'balance', 'refused', 1, 'k', sha256('k'), '2026-01-12', '2026-01-12'
);

-- Reservation 2 was made for an order taken elsewhere.
UPDATE reservations SET origin = 'order' WHERE pool_id = :pool AND order_ref = 'order-2';
INSERT INTO demands VALUES (:pool, 'shopify', '2', 'order-2', '#2', 1, NULL, '2026-01-01');
INSERT INTO demand_lines VALUES (:pool, 'shopify', '2', '1', 11, 1, 0, 2);
INSERT INTO demand_claims
SELECT pool_id, reservation_id, 'shopify', '2' FROM reservations WHERE pool_id = :pool AND order_ref = 'order-2';
