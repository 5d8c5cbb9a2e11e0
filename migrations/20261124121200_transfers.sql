-- Units on their way from a lot of one pool to another pool. The row lives at the destination and is claimed there
-- first: a transfer that is interrupted is found by the destination and carried on or given up.

CREATE TABLE transfers (
    pool_id bigint NOT NULL,
    transfer_id uuid NOT NULL,
    source_pool_id bigint NOT NULL,
    source_lot_id uuid NOT NULL,
    lot_id uuid NOT NULL,
    quantity bigint NOT NULL,
    reason text NOT NULL,
    status text COLLATE "C" NOT NULL,
    client_id bigint NOT NULL,
    key text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL,
    claimed_at timestamptz NOT NULL,
    closed_at timestamptz,
    CONSTRAINT transfers_pkey PRIMARY KEY (pool_id, transfer_id),
    CONSTRAINT transfers_pool_exists FOREIGN KEY (pool_id) REFERENCES pools (pool_id),
    CONSTRAINT transfers_between_two_pools CHECK (source_pool_id <> pool_id),
    CONSTRAINT transfers_quantity_positive CHECK (quantity > 0),
    CONSTRAINT transfers_status_known CHECK (status IN ('claimed', 'arrived', 'refused')),
    CONSTRAINT transfers_closed_has_time CHECK ((status = 'claimed') = (closed_at IS NULL))
);
CREATE INDEX transfers_open ON transfers (pool_id, claimed_at) WHERE status = 'claimed';
COMMENT ON COLUMN transfers.key IS 'The caller''s idempotency key: the units leave under it, so that whoever carries the transfer on learns whether they did.';
COMMENT ON COLUMN transfers.lot_id IS 'The lot that the units become at the destination.';
