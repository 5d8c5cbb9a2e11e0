-- Claims on stock. States move forward only; the arithmetic of a line is a check; what happened is in the ledger.

CREATE TABLE reservations (
    pool_id bigint NOT NULL,
    reservation_id uuid NOT NULL,
    client_id bigint NOT NULL,
    state text COLLATE "C" NOT NULL,
    origin text COLLATE "C" NOT NULL,
    client_reference text COLLATE "C",
    owner text COLLATE "C",
    order_ref text COLLATE "C",
    metadata jsonb,
    replaces_id uuid,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    max_expires_at timestamptz NOT NULL,
    committed_at timestamptz,
    closed_at timestamptz,
    closed_reason text COLLATE "C",
    CONSTRAINT reservations_pkey PRIMARY KEY (pool_id, reservation_id),
    CONSTRAINT reservations_state_known CHECK (
        state IN ('held', 'committed', 'released', 'expired', 'fulfilled', 'cancelled', 'reconciled')
    ),
    CONSTRAINT reservations_origin_known CHECK (origin IN ('checkout', 'supersede', 'extension', 'late_commit', 'order')),
    CONSTRAINT reservations_origin_names_the_replaced CHECK (
        (origin IN ('supersede', 'extension', 'late_commit')) = (replaces_id IS NOT NULL)
    ),
    CONSTRAINT reservations_committed_has_order CHECK ((committed_at IS NULL) = (order_ref IS NULL)),
    CONSTRAINT reservations_state_fits_commit CHECK (
        CASE
            WHEN state IN ('committed', 'fulfilled', 'cancelled', 'reconciled') THEN committed_at IS NOT NULL
            WHEN state IN ('released', 'expired') THEN committed_at IS NULL
            ELSE true
        END
    ),
    CONSTRAINT reservations_state_fits_close CHECK (
        (state IN ('held', 'committed')) = (closed_at IS NULL)
        AND (closed_at IS NULL) = (closed_reason IS NULL)
    ),
    CONSTRAINT reservations_expiry_within_longest CHECK (created_at <= expires_at AND expires_at <= max_expires_at)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
COMMENT ON TABLE reservations IS 'One purchase attempt''s claim on units of one pool.';
COMMENT ON COLUMN reservations.reservation_id IS 'UUIDv7; its last byte is the lane hint of the first SKU.';
COMMENT ON COLUMN reservations.replaces_id IS 'The reservation this one took over from. What is terminal stays terminal: a late commit or an extension after expiry is a new claim.';
COMMENT ON COLUMN reservations.max_expires_at IS 'The longest hold of the policy it was made under.';

-- Held by the partial predicate: only a standing purchase keeps its reference.
CREATE UNIQUE INDEX reservations_client_reference_unique
ON reservations (pool_id, client_id, client_reference)
WHERE client_reference IS NOT NULL AND state IN ('held', 'committed', 'fulfilled', 'reconciled');
CREATE UNIQUE INDEX reservations_replaced_once
ON reservations (pool_id, replaces_id, origin)
WHERE replaces_id IS NOT NULL;
CREATE INDEX reservations_due ON reservations (pool_id, expires_at) WHERE state = 'held';
CREATE INDEX reservations_by_owner ON reservations (pool_id, owner, reservation_id) WHERE owner IS NOT NULL;
CREATE INDEX reservations_by_order_ref ON reservations (pool_id, order_ref, reservation_id) WHERE order_ref IS NOT NULL;

CREATE TABLE reservation_lines (
    pool_id bigint NOT NULL,
    reservation_id uuid NOT NULL,
    line smallint NOT NULL,
    sku_id bigint NOT NULL,
    tracked boolean NOT NULL,
    requested_quantity integer NOT NULL,
    short_quantity integer NOT NULL,
    held_quantity integer NOT NULL,
    committed_quantity integer NOT NULL,
    released_quantity integer NOT NULL,
    expired_quantity integer NOT NULL,
    cancelled_quantity integer NOT NULL,
    fulfilled_quantity integer NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT reservation_lines_pkey PRIMARY KEY (pool_id, reservation_id, line),
    CONSTRAINT reservation_lines_reservation_exists
    FOREIGN KEY (pool_id, reservation_id) REFERENCES reservations (pool_id, reservation_id),
    CONSTRAINT reservation_lines_line_from_one CHECK (line >= 1),
    CONSTRAINT reservation_lines_requested_positive CHECK (requested_quantity > 0),
    CONSTRAINT reservation_lines_quantities_not_negative CHECK (
        short_quantity >= 0 AND held_quantity >= 0 AND committed_quantity >= 0 AND released_quantity >= 0
        AND expired_quantity >= 0 AND cancelled_quantity >= 0 AND fulfilled_quantity >= 0
    ),
    CONSTRAINT reservation_lines_add_up CHECK (
        requested_quantity = short_quantity + held_quantity + committed_quantity + released_quantity
        + expired_quantity + cancelled_quantity
    ),
    CONSTRAINT reservation_lines_fulfilled_within_committed CHECK (fulfilled_quantity <= committed_quantity)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
COMMENT ON COLUMN reservation_lines.short_quantity IS 'What a partial hold did not get.';
COMMENT ON COLUMN reservation_lines.expires_at IS 'Copy of the reservation''s, so that the write path finds what is due on the SKU it has locked.';

CREATE INDEX reservation_lines_held ON reservation_lines (pool_id, sku_id, expires_at)
WHERE held_quantity > 0;
CREATE INDEX reservation_lines_committed ON reservation_lines (pool_id, sku_id, reservation_id)
WHERE committed_quantity > fulfilled_quantity;

-- At most one opening and one closing entry per reservation line: what was claimed twice or closed twice is a
-- unique violation, whoever wrote it.
CREATE UNIQUE INDEX stock_entries_one_opening_per_line
ON stock_entries (pool_id, reservation_id, line)
WHERE kind IN ('hold', 'claim');
CREATE UNIQUE INDEX stock_entries_one_closing_per_line
ON stock_entries (pool_id, reservation_id, line)
WHERE closes_line;

-- What happened to a line between opening and closing, for the audit; few entries qualify.
CREATE INDEX stock_entries_between_by_line
ON stock_entries (pool_id, reservation_id, line)
WHERE NOT closes_line AND kind IN ('commit', 'release', 'expire', 'cancel');

CREATE TABLE oversells (
    pool_id bigint NOT NULL,
    oversell_id uuid NOT NULL,
    sku_id bigint NOT NULL,
    reservation_id uuid,
    line smallint,
    quantity bigint NOT NULL,
    resolved_quantity bigint NOT NULL,
    opened_at timestamptz NOT NULL,
    resolved_at timestamptz,
    CONSTRAINT oversells_pkey PRIMARY KEY (pool_id, oversell_id),
    CONSTRAINT oversells_one_per_line UNIQUE (pool_id, reservation_id, line),
    CONSTRAINT oversells_line_exists
    FOREIGN KEY (pool_id, reservation_id, line) REFERENCES reservation_lines (pool_id, reservation_id, line),
    CONSTRAINT oversells_names_its_line CHECK ((reservation_id IS NULL) = (line IS NULL)),
    CONSTRAINT oversells_quantity_positive CHECK (quantity > 0),
    CONSTRAINT oversells_resolved_within_quantity CHECK (resolved_quantity BETWEEN 0 AND quantity),
    CONSTRAINT oversells_resolved_has_time CHECK ((resolved_quantity = quantity) = (resolved_at IS NOT NULL))
);
CREATE INDEX oversells_open ON oversells (pool_id, sku_id, oversell_id) WHERE resolved_quantity < quantity;
COMMENT ON TABLE oversells IS 'A claim that stock could not cover when it was made: opened with a quantity, resolved as stock comes back, never hidden. What is open sums up to max(0, held + committed + quarantined - on_hand) of the balance row.';
