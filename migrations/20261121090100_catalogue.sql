-- Pools, classes and SKUs: global reference tables. Every change takes the next catalogue revision in its own
-- transaction, so that a writer of stock can tell, under its lock, that the policy it holds in memory is the newest.

CREATE TABLE catalogue_revision (
    only_row boolean NOT NULL DEFAULT true,
    revision bigint NOT NULL,
    CONSTRAINT catalogue_revision_pkey PRIMARY KEY (only_row),
    CONSTRAINT catalogue_revision_only_row CHECK (only_row),
    CONSTRAINT catalogue_revision_positive CHECK (revision > 0)
);
COMMENT ON TABLE catalogue_revision IS 'One row. Its lock orders catalogue changes, so revisions become visible in order.';

CREATE TABLE pools (
    pool_id bigint NOT NULL,
    code text COLLATE "C" NOT NULL,
    name text NOT NULL,
    time_zone text NOT NULL,
    revision bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT pools_pkey PRIMARY KEY (pool_id),
    CONSTRAINT pools_code_unique UNIQUE (code),
    CONSTRAINT pools_id_positive CHECK (pool_id > 0),
    CONSTRAINT pools_code_form CHECK (code ~ '^[a-z0-9][a-z0-9-]{0,62}$')
);
COMMENT ON COLUMN pools.time_zone IS 'IANA zone: the local day that a snapshot closes.';

CREATE TABLE classes (
    class_id bigint NOT NULL,
    code text COLLATE "C" NOT NULL,
    name text NOT NULL,
    hold_ttl_seconds integer NOT NULL,
    longest_hold_seconds integer NOT NULL,
    safety_stock_quantity bigint NOT NULL,
    oversell_tolerance_quantity bigint NOT NULL,
    max_per_hold_quantity bigint NOT NULL,
    low_stock_quantity bigint NOT NULL,
    depletion_order text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT classes_pkey PRIMARY KEY (class_id),
    CONSTRAINT classes_code_unique UNIQUE (code),
    CONSTRAINT classes_code_form CHECK (code ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    CONSTRAINT classes_hold_ttl_within_longest CHECK (hold_ttl_seconds BETWEEN 1 AND longest_hold_seconds),
    CONSTRAINT classes_quantities_in_range CHECK (
        safety_stock_quantity BETWEEN 0 AND 1000000000
        AND oversell_tolerance_quantity BETWEEN 0 AND 1000000000
        AND max_per_hold_quantity BETWEEN 1 AND 1000000000
        AND low_stock_quantity BETWEEN 0 AND 1000000000
    ),
    CONSTRAINT classes_depletion_order_known CHECK (depletion_order IN ('fifo', 'fefo'))
);
COMMENT ON TABLE classes IS 'The policy of a kind of SKU. Changes apply to new holds; claims already made keep theirs.';

CREATE TABLE skus (
    sku_id bigint NOT NULL,
    code text COLLATE "C" NOT NULL,
    name text NOT NULL,
    class_id bigint NOT NULL,
    tracked boolean NOT NULL,
    tracked_since_at timestamptz NOT NULL,
    status text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT skus_pkey PRIMARY KEY (sku_id),
    CONSTRAINT skus_code_unique UNIQUE (code),
    CONSTRAINT skus_class_exists FOREIGN KEY (class_id) REFERENCES classes (class_id),
    CONSTRAINT skus_id_positive CHECK (sku_id > 0),
    CONSTRAINT skus_code_form CHECK (length(code) BETWEEN 1 AND 128 AND code !~ '[[:cntrl:]]'),
    CONSTRAINT skus_status_known CHECK (status IN ('active', 'retired'))
);
CREATE INDEX skus_by_revision ON skus (revision);
COMMENT ON COLUMN skus.tracked IS 'false: a gift card or a service; it is never short and moves no balance.';
COMMENT ON COLUMN skus.tracked_since_at IS 'Stock last opened before this moment was frozen while untracked: it must be counted before it can be held again.';

INSERT INTO catalogue_revision (revision) VALUES (1);
INSERT INTO pools (pool_id, code, name, time_zone, revision, created_at, updated_at)
VALUES (1, 'default', 'Default', 'UTC', 1, now(), now());
INSERT INTO classes (
    class_id, code, name, hold_ttl_seconds, longest_hold_seconds, safety_stock_quantity, oversell_tolerance_quantity,
    max_per_hold_quantity, low_stock_quantity, depletion_order, revision, created_at, updated_at
)
VALUES (1, 'standard', 'Standard', 900, 86400, 0, 0, 1000000, 0, 'fifo', 1, now(), now());
