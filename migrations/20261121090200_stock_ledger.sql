-- The balance of one SKU in one pool, and the append-only ledger behind it.
-- Stock tables carry pool_id first in every key: a pool is the unit that can move to another node.

CREATE TABLE stock (
    pool_id bigint NOT NULL,
    sku_id bigint NOT NULL,
    on_hand bigint NOT NULL,
    quarantined bigint NOT NULL,
    held bigint NOT NULL,
    committed bigint NOT NULL,
    seq bigint NOT NULL,
    opened_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT stock_pkey PRIMARY KEY (pool_id, sku_id),
    CONSTRAINT stock_pool_exists FOREIGN KEY (pool_id) REFERENCES pools (pool_id),
    CONSTRAINT stock_sku_exists FOREIGN KEY (sku_id) REFERENCES skus (sku_id),
    CONSTRAINT stock_quantities_not_negative CHECK (
        on_hand >= 0 AND quarantined >= 0 AND held >= 0 AND committed >= 0
    ),
    CONSTRAINT stock_quarantined_within_on_hand CHECK (quarantined <= on_hand),
    CONSTRAINT stock_seq_not_negative CHECK (seq >= 0)
) WITH (
    -- Half-empty pages and no index on what changes: every update of a balance stays a heap-only tuple.
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);
COMMENT ON TABLE stock IS 'The balance row of one (pool, SKU). Written by the ledger alone, under its row lock, together with the entries that explain it.';
COMMENT ON COLUMN stock.seq IS 'Number of the newest ledger entry; entries are gapless from 1.';
COMMENT ON COLUMN stock.opened_at IS 'When the balance was last opened, by a first receipt or an opening count.';

CREATE TABLE stock_entries (
    pool_id bigint NOT NULL,
    sku_id bigint NOT NULL,
    seq bigint NOT NULL,
    kind text COLLATE "C" NOT NULL,
    on_hand_delta bigint NOT NULL,
    quarantined_delta bigint NOT NULL,
    held_delta bigint NOT NULL,
    committed_delta bigint NOT NULL,
    on_hand_after bigint NOT NULL,
    quarantined_after bigint NOT NULL,
    held_after bigint NOT NULL,
    committed_after bigint NOT NULL,
    safety_stock_quantity bigint,
    oversell_tolerance_quantity bigint,
    reservation_id uuid,
    line smallint,
    closes_line boolean NOT NULL,
    lot_id uuid,
    reason text,
    client_id bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT stock_entries_pkey PRIMARY KEY (pool_id, sku_id, seq),
    CONSTRAINT stock_entries_stock_exists FOREIGN KEY (pool_id, sku_id) REFERENCES stock (pool_id, sku_id),
    CONSTRAINT stock_entries_seq_from_one CHECK (seq >= 1),
    CONSTRAINT stock_entries_after_not_negative CHECK (
        on_hand_after >= 0 AND quarantined_after >= 0 AND held_after >= 0 AND committed_after >= 0
        AND quarantined_after <= on_hand_after
    ),
    -- A hold never makes the reservable quantity negative.
    CONSTRAINT stock_entries_hold_within_reservable CHECK (
        kind <> 'hold'
        OR on_hand_after - quarantined_after - committed_after - held_after
        - safety_stock_quantity + oversell_tolerance_quantity >= 0
    ),
    CONSTRAINT stock_entries_hold_names_its_policy CHECK (
        (kind = 'hold') = (safety_stock_quantity IS NOT NULL)
        AND (kind = 'hold') = (oversell_tolerance_quantity IS NOT NULL)
    ),
    CONSTRAINT stock_entries_claim_names_its_line CHECK (
        (kind IN ('hold', 'claim', 'commit', 'release', 'expire', 'cancel')) = (reservation_id IS NOT NULL)
        AND (reservation_id IS NULL) = (line IS NULL)
    ),
    CONSTRAINT stock_entries_receipt_names_its_lot CHECK (kind <> 'receive' OR lot_id IS NOT NULL),
    CONSTRAINT stock_entries_closing_kind CHECK (NOT closes_line OR kind IN ('commit', 'release', 'expire')),
    CONSTRAINT stock_entries_delta_fits_kind CHECK (
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
            ELSE false
        END
    )
) WITH (autovacuum_vacuum_insert_scale_factor = 0.2, autovacuum_analyze_scale_factor = 0.1);
COMMENT ON TABLE stock_entries IS 'Append-only: what changed a balance, why, by whom, and the balance after it. The key (pool, SKU, seq) makes a fork a unique violation.';
COMMENT ON COLUMN stock_entries.safety_stock_quantity IS 'The policy a hold was decided under, so that the check on it stands on the row itself.';
COMMENT ON COLUMN stock_entries.closes_line IS 'This entry took the last held unit of its reservation line.';
