-- Shipments, returns, and what operations do to lots, in the ledger of balances.
ALTER TABLE stock_entries
ADD COLUMN shipment_id uuid,
DROP CONSTRAINT stock_entries_claim_names_its_line,
ADD CONSTRAINT stock_entries_claim_names_its_line CHECK (
    (kind NOT IN ('hold', 'claim', 'commit', 'release', 'expire', 'cancel') OR reservation_id IS NOT NULL)
    AND (
        reservation_id IS NULL
        OR kind IN ('hold', 'claim', 'commit', 'release', 'expire', 'cancel', 'ship', 'void', 'correct')
    )
    AND (reservation_id IS NULL) = (line IS NULL)
),
DROP CONSTRAINT stock_entries_receipt_names_its_lot,
ADD CONSTRAINT stock_entries_act_names_its_lot CHECK (
    lot_id IS NOT NULL
    OR kind NOT IN (
        'receive', 'quarantine', 'unquarantine', 'write_off', 'transfer_out', 'transfer_in', 'return', 'revalue'
    )
),
ADD CONSTRAINT stock_entries_shipment_names_itself CHECK (
    (kind IN ('ship', 'void', 'settle')) = (shipment_id IS NOT NULL)
),
ADD CONSTRAINT stock_entries_act_has_a_reason CHECK (
    reason IS NOT NULL OR kind NOT IN ('quarantine', 'unquarantine', 'write_off', 'transfer_out', 'revalue', 'correct')
),
DROP CONSTRAINT stock_entries_delta_fits_kind,
ADD CONSTRAINT stock_entries_delta_fits_kind CHECK (
    CASE kind
        WHEN 'receive'
            THEN on_hand_delta > 0 AND quarantined_delta = 0 AND held_delta = 0 AND committed_delta = 0
        WHEN 'hold'
            THEN held_delta > 0 AND on_hand_delta = 0 AND quarantined_delta = 0 AND committed_delta = 0
        WHEN 'claim'
            THEN committed_delta > 0 AND on_hand_delta = 0 AND quarantined_delta = 0 AND held_delta = 0
        WHEN 'commit'
            THEN held_delta < 0 AND committed_delta = -held_delta AND on_hand_delta = 0 AND quarantined_delta = 0
        WHEN 'release'
            THEN held_delta < 0 AND on_hand_delta = 0 AND quarantined_delta = 0 AND committed_delta = 0
        WHEN 'expire'
            THEN held_delta < 0 AND on_hand_delta = 0 AND quarantined_delta = 0 AND committed_delta = 0
        WHEN 'cancel'
            THEN committed_delta < 0 AND on_hand_delta = 0 AND quarantined_delta = 0 AND held_delta = 0
        WHEN 'opening_count'
            THEN held_delta = 0 AND committed_delta = 0 AND quarantined_delta <= 0
        WHEN 'ship'
            THEN on_hand_delta <= 0 AND committed_delta <= 0 AND quarantined_delta BETWEEN on_hand_delta AND 0
                AND on_hand_delta + committed_delta < 0 AND held_delta = 0
        WHEN 'settle'
            THEN on_hand_delta < 0 AND quarantined_delta = 0 AND held_delta = 0 AND committed_delta = 0
        WHEN 'void'
            THEN on_hand_delta >= 0 AND committed_delta >= 0 AND on_hand_delta + committed_delta > 0
                AND quarantined_delta = 0 AND held_delta = 0
        WHEN 'quarantine'
            THEN quarantined_delta >= 0 AND on_hand_delta = 0 AND held_delta = 0 AND committed_delta = 0
        WHEN 'unquarantine'
            THEN quarantined_delta <= 0 AND on_hand_delta = 0 AND held_delta = 0 AND committed_delta = 0
        WHEN 'write_off'
            THEN on_hand_delta < 0 AND quarantined_delta BETWEEN on_hand_delta AND 0 AND held_delta = 0
                AND committed_delta = 0
        WHEN 'transfer_out'
            THEN on_hand_delta < 0 AND quarantined_delta BETWEEN on_hand_delta AND 0 AND held_delta = 0
                AND committed_delta = 0
        WHEN 'transfer_in'
            THEN on_hand_delta > 0 AND quarantined_delta BETWEEN 0 AND on_hand_delta AND held_delta = 0
                AND committed_delta = 0
        WHEN 'return'
            THEN on_hand_delta > 0 AND quarantined_delta BETWEEN 0 AND on_hand_delta AND held_delta = 0
                AND committed_delta = 0
        WHEN 'revalue'
            THEN on_hand_delta = 0 AND quarantined_delta = 0 AND held_delta = 0 AND committed_delta = 0
        WHEN 'correct'
            THEN true
        ELSE false
    END
);
