-- Every movement of a lot has a business date and a value, so that stock is valued at any past date from these alone.
ALTER TABLE lot_transactions
ADD COLUMN business_date date,
ADD COLUMN value_delta numeric(38, 6),
ADD COLUMN quarantined_delta bigint NOT NULL DEFAULT 0,
ADD COLUMN shipment_id uuid,
DROP CONSTRAINT lot_transactions_source_known,
ADD CONSTRAINT lot_transactions_source_known CHECK (
    row_source IN (
        'receipt', 'opening_count', 'snapshot_depletion', 'shortage_settlement', 'void', 'return', 'transfer_in',
        'transfer_out', 'write_off', 'quarantine', 'unquarantine', 'revaluation', 'correction'
    )
),
DROP CONSTRAINT lot_transactions_moves_something,
ADD CONSTRAINT lot_transactions_moves_something CHECK (
    CASE
        WHEN row_source IN ('quarantine', 'unquarantine', 'revaluation') THEN quantity_delta = 0
        WHEN row_source IN ('snapshot_depletion', 'shortage_settlement', 'transfer_out', 'write_off')
            THEN quantity_delta < 0
        WHEN row_source IN ('receipt', 'return', 'transfer_in', 'void') THEN quantity_delta > 0
        WHEN row_source = 'correction' THEN true
        ELSE quantity_delta <> 0
    END
),
DROP CONSTRAINT lot_transactions_receipt_is_first,
ADD CONSTRAINT lot_transactions_arrival_is_first CHECK (
    row_source NOT IN ('receipt', 'return', 'transfer_in') OR seq = 1
),
ADD CONSTRAINT lot_transactions_dated CHECK (
    (business_date IS NOT NULL AND value_delta IS NOT NULL) OR row_source IN ('receipt', 'opening_count')
);
