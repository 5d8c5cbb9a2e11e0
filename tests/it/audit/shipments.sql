-- SKU 16, on top of the world: 5 received (lot 5), 2 ordered (reservation 11), 4 shipped for it and for others (shipment 1, beside
-- something untracked), then 3 shipped where 1 was left (shipment 2). The day closed with 2 units short; the next receipt
-- (lot 6) settled them. 1 unit came back (lot 7). Shipment 3 was recorded and voided. A transfer was refused.
INSERT INTO stock VALUES (:pool, 16, 5, 1, 0, 0, 10, now(), now());

INSERT INTO lots (
    pool_id, lot_id, sku_id, lot_code, origin, status, received_quantity, remaining_quantity, unit_cost, currency,
    received_date, source, source_ref, source_lot_id, client_id, recorded_at, quarantined_quantity, quarantine_reason,
    cost_provisional
)
SELECT :pool, lot_id::uuid, 16, 'L', origin, status, received, remaining, cost, 'EUR', received_date::date, 'api', NULL,
    source_lot_id::uuid, 1, now(), quarantined, reason, false
FROM (VALUES
('00000000-0000-7000-8000-000000000005', 'receipt', 'available', 5, 0, 2, '2026-01-09', NULL, 0, NULL),
('00000000-0000-7000-8000-000000000006', 'receipt', 'available', 6, 4, 3, '2026-01-11', NULL, 0, NULL),
(
    '00000000-0000-7000-8000-000000000007', 'return', 'quarantined', 1, 1, 2, '2026-01-11',
    '00000000-0000-7000-8000-000000000005', 1, 'returned'
)
) AS lot (
    lot_id, origin, status, received, remaining, cost, received_date, source_lot_id, quarantined, reason
);

INSERT INTO lot_transactions (
    pool_id, lot_id, seq, row_source, source_ref_id, quantity_delta, remaining_after, unit_cost, client_id, recorded_at,
    quarantined_delta, business_date, value_delta, shipment_id
)
SELECT :pool, lot_id::uuid, seq, row_source, source_ref_id, delta, remaining, cost, 1, now(), quarantined, day::date,
    delta * cost, shipment_id::uuid
FROM (VALUES
('00000000-0000-7000-8000-000000000005', 1, 'receipt', NULL, 5, 5, 2, 0, '2026-01-09', NULL),
('00000000-0000-7000-8000-000000000005', 2, 'snapshot_depletion', '20260110', -5, 0, 2, 0, '2026-01-10', NULL),
('00000000-0000-7000-8000-000000000006', 1, 'receipt', NULL, 6, 6, 3, 0, '2026-01-11', NULL),
(
    '00000000-0000-7000-8000-000000000006', 2, 'shortage_settlement', '00000000-0000-7000-c000-000000000002/1',
    -2, 4, 3, 0, '2026-01-11', '00000000-0000-7000-c000-000000000002'
),
('00000000-0000-7000-8000-000000000007', 1, 'return', '00000000-0000-7000-e000-000000000001/1', 1, 1, 2, 1, '2026-01-11', NULL)
) AS moved (lot_id, seq, row_source, source_ref_id, delta, remaining, cost, quarantined, day, shipment_id);

INSERT INTO reservations (
    pool_id, reservation_id, client_id, state, origin, client_reference, order_ref, created_at, expires_at,
    max_expires_at, committed_at, closed_at, closed_reason
)
VALUES (
    :pool, '00000000-0000-7000-9000-000000000011', 1, 'fulfilled', 'checkout', 'cart-11', 'order-11', '2026-01-01',
    '2099-01-01', '2100-01-01', '2026-01-01', '2026-01-10', 'fulfilled'
);
INSERT INTO reservation_lines (
    pool_id, reservation_id, line, sku_id, tracked, requested_quantity, short_quantity, held_quantity,
    committed_quantity, released_quantity, expired_quantity, cancelled_quantity, fulfilled_quantity, expires_at
)
VALUES (:pool, '00000000-0000-7000-9000-000000000011', 1, 16, true, 2, 0, 0, 2, 0, 0, 0, 2, '2099-01-01');

INSERT INTO shipments (pool_id, shipment_id, source, source_ref, order_ref, reservation_id, client_id, recorded_at)
VALUES
(
    :pool, '00000000-0000-7000-c000-000000000001', 'wms', 'f-1', 'order-11',
    '00000000-0000-7000-9000-000000000011', 1, now()
),
(:pool, '00000000-0000-7000-c000-000000000002', 'wms', 'f-2', NULL, NULL, 1, now()),
(:pool, '00000000-0000-7000-c000-000000000003', 'wms', 'f-3', NULL, NULL, 1, now());

INSERT INTO snapshots (
    pool_id, snapshot_date, previous_date, window_start, window_end, time_zone, status, client_id, begun_at, closed_at
)
VALUES
(:pool, '2026-01-10', NULL, '2026-01-10Z', '2026-01-11Z', 'UTC', 'closed', 1, '2026-01-11Z', '2026-01-11Z'),
(:pool, '2026-01-11', '2026-01-10', '2026-01-11Z', '2026-01-12Z', 'UTC', 'closed', 1, '2026-01-12Z', '2026-01-12Z');

INSERT INTO snapshot_skus (
    pool_id, sku_id, snapshot_date, on_hand, quarantined, held, committed, seq, lines, late_lines, shipped_quantity,
    depleted_quantity, shortage_quantity, recorded_at
)
SELECT :pool, sku_id, day::date, on_hand, quarantined, held, committed, seq, lines, 0, shipped, depleted,
    shipped - depleted, now()
FROM (VALUES
(11, '2026-01-10', 10, 0, 5, 3, 7, 0, 0, 0),
(12, '2026-01-10', 5, 0, 0, 6, 7, 0, 0, 0),
(15, '2026-01-10', 3, 0, 0, 0, 7, 0, 0, 0),
(16, '2026-01-10', 0, 0, 0, 0, 5, 2, 7, 5),
(11, '2026-01-11', 10, 0, 5, 3, 7, 0, 0, 0),
(12, '2026-01-11', 5, 0, 0, 6, 7, 0, 0, 0),
(15, '2026-01-11', 3, 0, 0, 0, 7, 0, 0, 0),
(16, '2026-01-11', 5, 1, 0, 0, 10, 0, 0, 0)
) AS photo (sku_id, day, on_hand, quarantined, held, committed, seq, lines, shipped, depleted);

INSERT INTO shipment_lines (
    pool_id, shipment_id, line_ref, sku_id, tracked, quantity, covered_quantity, fulfilled_quantity, depleted_quantity,
    returned_quantity, shipped_at, shipped_date, snapshot_date, voided_at, recorded_at
)
SELECT :pool, ('00000000-0000-7000-c000-' || lpad(shipment::text, 12, '0'))::uuid, line_ref, sku_id, sku_id = 16,
    quantity, covered, fulfilled, depleted, returned, shipped_at::timestamptz, (shipped_at::timestamptz AT TIME ZONE 'UTC')::date,
    snapshot_date::date, voided_at::timestamptz, now()
FROM (VALUES
(1, '1', 16, 4, 4, 2, 4, 1, '2026-01-10 12:00Z', '2026-01-10', NULL),
(1, '2', 13, 1, 0, 0, 0, 0, '2026-01-10 12:00Z', NULL, NULL),
(2, '1', 16, 3, 3, 0, 3, 0, '2026-01-10 15:00Z', '2026-01-10', NULL),
(3, '1', 16, 1, 1, 0, 0, 0, '2026-01-11 12:00Z', NULL, '2026-01-11 13:00Z')
) AS line (
    shipment, line_ref, sku_id, quantity, covered, fulfilled, depleted, returned, shipped_at, snapshot_date, voided_at
);

INSERT INTO fulfilments (pool_id, shipment_id, line_ref, reservation_id, line, quantity)
VALUES (:pool, '00000000-0000-7000-c000-000000000001', '1', '00000000-0000-7000-9000-000000000011', 1, 2);

INSERT INTO discrepancies (
    pool_id, discrepancy_id, sku_id, kind, shipment_id, line_ref, quantity, settled_quantity, voided_quantity,
    opened_at, closed_at
)
VALUES (
    :pool, '00000000-0000-7000-d000-000000000001', 16, 'shipped_beyond_on_hand',
    '00000000-0000-7000-c000-000000000002', '1', 2, 2, 0, '2026-01-10 15:00Z', now()
);

INSERT INTO lot_shortages (
    pool_id, shipment_id, line_ref, sku_id, quantity, settled_quantity, voided_quantity, opened_date, opened_at,
    closed_at
)
VALUES (
    :pool, '00000000-0000-7000-c000-000000000002', '1', 16, 2, 2, 0, '2026-01-10', '2026-01-11Z', now()
);

INSERT INTO depletions (
    pool_id, shipment_id, line_ref, n, kind, sku_id, lot_id, quantity, unit_cost, cost_date, recorded_at
)
SELECT :pool, ('00000000-0000-7000-c000-' || lpad(shipment::text, 12, '0'))::uuid, '1', n, kind, 16,
    ('00000000-0000-7000-8000-' || lpad(lot::text, 12, '0'))::uuid, quantity, cost, day::date, now()
FROM (VALUES
(1, 1, 'snapshot', 5, 4, 2, '2026-01-10'),
(2, 1, 'snapshot', 5, 1, 2, '2026-01-10'),
(2, 2, 'settlement', 6, 2, 3, '2026-01-11')
) AS taken (shipment, n, kind, lot, quantity, cost, day);

INSERT INTO stock_entries (
    pool_id, sku_id, seq, kind, on_hand_delta, quarantined_delta, held_delta, committed_delta,
    on_hand_after, quarantined_after, held_after, committed_after, safety_stock_quantity, oversell_tolerance_quantity,
    reservation_id, line, closes_line, lot_id, shipment_id, client_id, recorded_at
)
SELECT :pool, 16, seq, kind, on_hand_delta, quarantined_delta, held_delta, committed_delta, on_hand, quarantined, held,
    committed, CASE kind WHEN 'hold' THEN 0 END, CASE kind WHEN 'hold' THEN 0 END,
    CASE WHEN claims THEN '00000000-0000-7000-9000-000000000011'::uuid END, CASE WHEN claims THEN 1 END,
    kind = 'commit', ('00000000-0000-7000-8000-' || lpad(lot::text, 12, '0'))::uuid,
    ('00000000-0000-7000-c000-' || lpad(shipment::text, 12, '0'))::uuid, 1, now()
FROM (VALUES
(1, 'receive', 5, 0, 0, 0, 5, 0, 0, 0, false, 5, NULL),
(2, 'hold', 0, 0, 2, 0, 5, 0, 2, 0, true, NULL, NULL),
(3, 'commit', 0, 0, -2, 2, 5, 0, 0, 2, true, NULL, NULL),
(4, 'ship', -4, 0, 0, -2, 1, 0, 0, 0, true, NULL, 1),
(5, 'ship', -1, 0, 0, 0, 0, 0, 0, 0, false, NULL, 2),
(6, 'receive', 6, 0, 0, 0, 6, 0, 0, 0, false, 6, NULL),
(7, 'settle', -2, 0, 0, 0, 4, 0, 0, 0, false, NULL, 2),
(8, 'return', 1, 1, 0, 0, 5, 1, 0, 0, false, 7, NULL),
(9, 'ship', -1, 0, 0, 0, 4, 1, 0, 0, false, NULL, 3),
(10, 'void', 1, 0, 0, 0, 5, 1, 0, 0, false, NULL, 3)
) AS entry (
    seq, kind, on_hand_delta, quarantined_delta, held_delta, committed_delta, on_hand, quarantined, held, committed,
    claims, lot, shipment
);

INSERT INTO returns (pool_id, return_id, source, source_ref, order_ref, client_id, recorded_at)
VALUES (:pool, '00000000-0000-7000-e000-000000000001', 'shop', 'refund-1', 'order-11', 1, now());
INSERT INTO return_lines (
    pool_id, return_id, line_ref, sku_id, quantity, recorded_at
)
VALUES (
    :pool, '00000000-0000-7000-e000-000000000001', '1', 16, 1, now()
);
INSERT INTO return_lots (
    pool_id, return_id, line_ref, n, lot_id, source_lot_id, quantity, shipment_id, shipment_line_ref
)
VALUES (
    :pool, '00000000-0000-7000-e000-000000000001', '1', 1, '00000000-0000-7000-8000-000000000007',
    '00000000-0000-7000-8000-000000000005', 1, '00000000-0000-7000-c000-000000000001', '1'
);

INSERT INTO transfers (
    pool_id, transfer_id, source_pool_id, source_lot_id, lot_id, quantity, reason, status, client_id, key,
    fingerprint, claimed_at, closed_at
)
VALUES (
    :pool, '00000000-0000-7000-f000-000000000001', 999999, '00000000-0000-7000-8000-000000000001',
    '00000000-0000-7000-8000-000000000099', 1, 'rebalance', 'refused', 1, 'k', sha256('k'), now(), now()
);
