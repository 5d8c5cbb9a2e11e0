-- Physical batches with their own date, expiry and cost, and the append-only movements of each.

CREATE TABLE lots (
    pool_id bigint NOT NULL,
    lot_id uuid NOT NULL,
    sku_id bigint NOT NULL,
    lot_code text COLLATE "C" NOT NULL,
    origin text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    received_quantity bigint NOT NULL,
    remaining_quantity bigint NOT NULL,
    unit_cost numeric(20, 6) NOT NULL,
    currency text COLLATE "C" NOT NULL,
    received_date date NOT NULL,
    expires_date date,
    source text COLLATE "C" NOT NULL,
    source_ref text COLLATE "C",
    source_lot_id uuid,
    client_id bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT lots_pkey PRIMARY KEY (pool_id, lot_id),
    CONSTRAINT lots_stock_exists FOREIGN KEY (pool_id, sku_id) REFERENCES stock (pool_id, sku_id),
    CONSTRAINT lots_origin_known CHECK (origin IN ('receipt', 'return', 'count_gain', 'opening_count')),
    CONSTRAINT lots_status_known CHECK (status IN ('available', 'quarantined')),
    CONSTRAINT lots_received_positive CHECK (received_quantity > 0),
    CONSTRAINT lots_remaining_within_received CHECK (remaining_quantity BETWEEN 0 AND received_quantity),
    CONSTRAINT lots_unit_cost_not_negative CHECK (unit_cost >= 0),
    CONSTRAINT lots_currency_form CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT lots_expires_after_received CHECK (expires_date IS NULL OR expires_date >= received_date)
);
CREATE UNIQUE INDEX lots_source_ref_unique ON lots (pool_id, source, source_ref) WHERE source_ref IS NOT NULL;
-- First in, first out: received date, then recorded order, then id. A total order.
CREATE INDEX lots_fifo ON lots (pool_id, sku_id, received_date, recorded_at, lot_id);
CREATE INDEX lots_by_code ON lots (pool_id, lot_code);

CREATE TABLE lot_transactions (
    pool_id bigint NOT NULL,
    lot_id uuid NOT NULL,
    seq integer NOT NULL,
    row_source text COLLATE "C" NOT NULL,
    source_ref_id text COLLATE "C",
    quantity_delta bigint NOT NULL,
    remaining_after bigint NOT NULL,
    unit_cost numeric(20, 6) NOT NULL,
    reason text,
    client_id bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT lot_transactions_pkey PRIMARY KEY (pool_id, lot_id, seq),
    CONSTRAINT lot_transactions_lot_exists FOREIGN KEY (pool_id, lot_id) REFERENCES lots (pool_id, lot_id),
    CONSTRAINT lot_transactions_seq_from_one CHECK (seq >= 1),
    CONSTRAINT lot_transactions_source_known CHECK (
        row_source IN ('receipt', 'opening_count', 'snapshot_depletion')
    ),
    CONSTRAINT lot_transactions_moves_something CHECK (quantity_delta <> 0),
    CONSTRAINT lot_transactions_remaining_not_negative CHECK (remaining_after >= 0),
    CONSTRAINT lot_transactions_receipt_is_first CHECK (row_source <> 'receipt' OR (seq = 1 AND quantity_delta > 0))
);
-- Depleting one lot twice for one day is a unique violation, whatever retried. source_ref_id is the day, 'YYYYMMDD'.
CREATE UNIQUE INDEX lot_transactions_one_depletion_per_day
ON lot_transactions (pool_id, lot_id, source_ref_id)
WHERE row_source = 'snapshot_depletion';
COMMENT ON TABLE lot_transactions IS 'Append-only movements of a lot; they sum up to what remains of it.';
