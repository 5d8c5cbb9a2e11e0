-- Units that physically left, as facts. What stock could not cover is an open discrepancy, what lots could not cover an
-- open lot shortage; both have a quantity and are settled in the open.

CREATE TABLE shipments (
    pool_id bigint NOT NULL,
    shipment_id uuid NOT NULL,
    source text COLLATE "C" NOT NULL,
    source_ref text COLLATE "C" NOT NULL,
    order_ref text COLLATE "C",
    reservation_id uuid,
    client_id bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT shipments_pkey PRIMARY KEY (pool_id, shipment_id),
    CONSTRAINT shipments_source_ref_unique UNIQUE (pool_id, source, source_ref),
    CONSTRAINT shipments_pool_exists FOREIGN KEY (pool_id) REFERENCES pools (pool_id)
);
CREATE INDEX shipments_by_order_ref ON shipments (pool_id, order_ref, shipment_id) WHERE order_ref IS NOT NULL;

CREATE TABLE shipment_lines (
    pool_id bigint NOT NULL,
    shipment_id uuid NOT NULL,
    line_ref text COLLATE "C" NOT NULL,
    sku_id bigint NOT NULL,
    tracked boolean NOT NULL,
    quantity bigint NOT NULL,
    covered_quantity bigint NOT NULL,
    fulfilled_quantity bigint NOT NULL,
    depleted_quantity bigint NOT NULL,
    returned_quantity bigint NOT NULL,
    lot_id uuid,
    shipped_at timestamptz NOT NULL,
    shipped_date date NOT NULL,
    snapshot_date date,
    voided_at timestamptz,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT shipment_lines_pkey PRIMARY KEY (pool_id, shipment_id, line_ref),
    CONSTRAINT shipment_lines_shipment_exists
    FOREIGN KEY (pool_id, shipment_id) REFERENCES shipments (pool_id, shipment_id),
    CONSTRAINT shipment_lines_sku_exists FOREIGN KEY (sku_id) REFERENCES skus (sku_id),
    CONSTRAINT shipment_lines_quantity_positive CHECK (quantity > 0),
    CONSTRAINT shipment_lines_covered_within_quantity CHECK (covered_quantity BETWEEN 0 AND quantity),
    CONSTRAINT shipment_lines_fulfilled_within_quantity CHECK (fulfilled_quantity BETWEEN 0 AND quantity),
    CONSTRAINT shipment_lines_depleted_within_covered CHECK (depleted_quantity BETWEEN 0 AND covered_quantity),
    CONSTRAINT shipment_lines_returned_within_quantity CHECK (returned_quantity BETWEEN 0 AND quantity),
    CONSTRAINT shipment_lines_depleted_by_a_snapshot CHECK (depleted_quantity = 0 OR snapshot_date IS NOT NULL),
    CONSTRAINT shipment_lines_untracked_moves_nothing CHECK (tracked OR covered_quantity = 0)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
COMMENT ON COLUMN shipment_lines.covered_quantity IS 'Taken from on_hand; the rest is an open discrepancy.';
COMMENT ON COLUMN shipment_lines.fulfilled_quantity IS 'Taken from what orders owned.';
COMMENT ON COLUMN shipment_lines.lot_id IS 'The lot that the warehouse names; otherwise depletion chooses.';
COMMENT ON COLUMN shipment_lines.shipped_date IS 'Local day of the pool on which it left. A late line keeps it.';
COMMENT ON COLUMN shipment_lines.snapshot_date IS 'The day whose snapshot depleted lots for it.';

CREATE INDEX shipment_lines_undepleted ON shipment_lines (pool_id, sku_id, shipped_at)
WHERE snapshot_date IS NULL AND voided_at IS NULL AND tracked;

-- Which reservation lines a shipment line fulfilled: voiding it gives back to these.
CREATE TABLE fulfilments (
    pool_id bigint NOT NULL,
    shipment_id uuid NOT NULL,
    line_ref text COLLATE "C" NOT NULL,
    reservation_id uuid NOT NULL,
    line smallint NOT NULL,
    quantity bigint NOT NULL,
    CONSTRAINT fulfilments_pkey PRIMARY KEY (pool_id, shipment_id, line_ref, reservation_id, line),
    CONSTRAINT fulfilments_shipment_line_exists
    FOREIGN KEY (pool_id, shipment_id, line_ref) REFERENCES shipment_lines (pool_id, shipment_id, line_ref),
    CONSTRAINT fulfilments_reservation_line_exists
    FOREIGN KEY (pool_id, reservation_id, line) REFERENCES reservation_lines (pool_id, reservation_id, line),
    CONSTRAINT fulfilments_quantity_positive CHECK (quantity > 0)
);

CREATE TABLE discrepancies (
    pool_id bigint NOT NULL,
    discrepancy_id uuid NOT NULL,
    sku_id bigint NOT NULL,
    kind text COLLATE "C" NOT NULL,
    shipment_id uuid NOT NULL,
    line_ref text COLLATE "C" NOT NULL,
    quantity bigint NOT NULL,
    settled_quantity bigint NOT NULL,
    voided_quantity bigint NOT NULL,
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    CONSTRAINT discrepancies_pkey PRIMARY KEY (pool_id, discrepancy_id),
    CONSTRAINT discrepancies_one_per_line UNIQUE (pool_id, shipment_id, line_ref),
    CONSTRAINT discrepancies_line_exists
    FOREIGN KEY (pool_id, shipment_id, line_ref) REFERENCES shipment_lines (pool_id, shipment_id, line_ref),
    CONSTRAINT discrepancies_kind_known CHECK (kind = 'shipped_beyond_on_hand'),
    CONSTRAINT discrepancies_quantity_positive CHECK (quantity > 0),
    CONSTRAINT discrepancies_parts_within_quantity CHECK (
        settled_quantity >= 0 AND voided_quantity >= 0 AND settled_quantity + voided_quantity <= quantity
    ),
    CONSTRAINT discrepancies_closed_has_time CHECK (
        (settled_quantity + voided_quantity = quantity) = (closed_at IS NOT NULL)
    )
);
CREATE INDEX discrepancies_open ON discrepancies (pool_id, sku_id, discrepancy_id)
WHERE settled_quantity + voided_quantity < quantity;
COMMENT ON TABLE discrepancies IS 'Evidence that on_hand could not cover: settled by the next receipt, count or release from quarantine, by an entry of its own.';

CREATE TABLE lot_shortages (
    pool_id bigint NOT NULL,
    shipment_id uuid NOT NULL,
    line_ref text COLLATE "C" NOT NULL,
    sku_id bigint NOT NULL,
    quantity bigint NOT NULL,
    settled_quantity bigint NOT NULL,
    voided_quantity bigint NOT NULL,
    opened_date date NOT NULL,
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    CONSTRAINT lot_shortages_pkey PRIMARY KEY (pool_id, shipment_id, line_ref),
    CONSTRAINT lot_shortages_line_exists
    FOREIGN KEY (pool_id, shipment_id, line_ref) REFERENCES shipment_lines (pool_id, shipment_id, line_ref),
    CONSTRAINT lot_shortages_quantity_positive CHECK (quantity > 0),
    CONSTRAINT lot_shortages_parts_within_quantity CHECK (
        settled_quantity >= 0 AND voided_quantity >= 0 AND settled_quantity + voided_quantity <= quantity
    ),
    CONSTRAINT lot_shortages_closed_has_time CHECK (
        (settled_quantity + voided_quantity = quantity) = (closed_at IS NOT NULL)
    )
);
CREATE INDEX lot_shortages_open ON lot_shortages (pool_id, sku_id, opened_date, shipment_id, line_ref)
WHERE settled_quantity + voided_quantity < quantity;
COMMENT ON TABLE lot_shortages IS 'Shipped units that no lot could cover when their day was closed: settled by the next receipt, at its cost, as a visible depletion.';

-- Which lot each shipped unit came from, at which cost.
CREATE TABLE depletions (
    pool_id bigint NOT NULL,
    shipment_id uuid NOT NULL,
    line_ref text COLLATE "C" NOT NULL,
    n smallint NOT NULL,
    kind text COLLATE "C" NOT NULL,
    sku_id bigint NOT NULL,
    lot_id uuid NOT NULL,
    quantity bigint NOT NULL,
    unit_cost numeric(20, 6) NOT NULL,
    cost_date date NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT depletions_pkey PRIMARY KEY (pool_id, shipment_id, line_ref, n),
    CONSTRAINT depletions_line_exists
    FOREIGN KEY (pool_id, shipment_id, line_ref) REFERENCES shipment_lines (pool_id, shipment_id, line_ref),
    CONSTRAINT depletions_n_from_one CHECK (n >= 1),
    CONSTRAINT depletions_kind_known CHECK (kind IN ('snapshot', 'settlement', 'reversal', 'correction')),
    CONSTRAINT depletions_sign_fits_kind CHECK (
        CASE kind
            WHEN 'snapshot' THEN quantity > 0
            WHEN 'settlement' THEN quantity > 0
            WHEN 'reversal' THEN quantity < 0
            ELSE quantity <> 0
        END
    )
);
COMMENT ON TABLE depletions IS 'Append-only. The rows of a line are numbered from 1 without gaps, so depleting a line a second time is a unique violation whichever lots it would take.';

CREATE TRIGGER depletions_append_only BEFORE UPDATE OR DELETE ON depletions
FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER depletions_no_truncate BEFORE TRUNCATE ON depletions
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER fulfilments_append_only BEFORE UPDATE OR DELETE ON fulfilments
FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER shipments_are_facts BEFORE UPDATE OR DELETE ON shipments
FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER shipment_lines_never_deleted BEFORE DELETE ON shipment_lines
FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE FUNCTION shipment_lines_only_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.sku_id <> OLD.sku_id
        OR NEW.quantity <> OLD.quantity
        OR NEW.shipped_at <> OLD.shipped_at
        OR NEW.shipped_date <> OLD.shipped_date
        OR NEW.covered_quantity < OLD.covered_quantity
        OR NEW.depleted_quantity < OLD.depleted_quantity
        OR NEW.returned_quantity < OLD.returned_quantity
        OR (OLD.snapshot_date IS NOT NULL AND NEW.snapshot_date IS DISTINCT FROM OLD.snapshot_date)
        OR (OLD.voided_at IS NOT NULL AND NEW IS DISTINCT FROM OLD)
    THEN
        RAISE EXCEPTION 'a shipment line only moves forward'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER shipment_lines_only_forward BEFORE UPDATE ON shipment_lines
FOR EACH ROW EXECUTE FUNCTION shipment_lines_only_forward();
