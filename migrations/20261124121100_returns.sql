-- Units that came back, each line once, as lots of their own.

CREATE TABLE returns (
    pool_id bigint NOT NULL,
    return_id uuid NOT NULL,
    source text COLLATE "C" NOT NULL,
    source_ref text COLLATE "C" NOT NULL,
    order_ref text COLLATE "C",
    client_id bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT returns_pkey PRIMARY KEY (pool_id, return_id),
    CONSTRAINT returns_source_ref_unique UNIQUE (pool_id, source, source_ref),
    CONSTRAINT returns_pool_exists FOREIGN KEY (pool_id) REFERENCES pools (pool_id)
);

CREATE TABLE return_lines (
    pool_id bigint NOT NULL,
    return_id uuid NOT NULL,
    line_ref text COLLATE "C" NOT NULL,
    sku_id bigint NOT NULL,
    quantity bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT return_lines_pkey PRIMARY KEY (pool_id, return_id, line_ref),
    CONSTRAINT return_lines_return_exists
    FOREIGN KEY (pool_id, return_id) REFERENCES returns (pool_id, return_id),
    CONSTRAINT return_lines_sku_exists FOREIGN KEY (sku_id) REFERENCES skus (sku_id),
    CONSTRAINT return_lines_quantity_positive CHECK (quantity > 0)
);
COMMENT ON COLUMN return_lines.sku_id IS 'What came back, which is not always what was shipped.';

CREATE TABLE return_lots (
    pool_id bigint NOT NULL,
    return_id uuid NOT NULL,
    line_ref text COLLATE "C" NOT NULL,
    n smallint NOT NULL,
    lot_id uuid NOT NULL,
    source_lot_id uuid,
    shipment_id uuid,
    shipment_line_ref text COLLATE "C",
    quantity bigint NOT NULL,
    CONSTRAINT return_lots_pkey PRIMARY KEY (pool_id, return_id, line_ref, n),
    CONSTRAINT return_lots_shipment_line_exists
    FOREIGN KEY (pool_id, shipment_id, shipment_line_ref)
    REFERENCES shipment_lines (pool_id, shipment_id, line_ref),
    CONSTRAINT return_lots_names_its_line CHECK ((shipment_id IS NULL) = (shipment_line_ref IS NULL)),
    CONSTRAINT return_lots_line_exists
    FOREIGN KEY (pool_id, return_id, line_ref) REFERENCES return_lines (pool_id, return_id, line_ref),
    CONSTRAINT return_lots_lot_exists FOREIGN KEY (pool_id, lot_id) REFERENCES lots (pool_id, lot_id),
    CONSTRAINT return_lots_quantity_positive CHECK (quantity > 0)
);
CREATE INDEX return_lots_by_shipment_line ON return_lots (pool_id, shipment_id, shipment_line_ref)
WHERE shipment_id IS NOT NULL;
COMMENT ON COLUMN return_lots.shipment_id IS 'The shipment whose line had sent the units; none where they were taken at the caller''s word.';
COMMENT ON COLUMN return_lots.source_lot_id IS 'The lot that the units had been depleted from; none where no shipment is known or its day is not closed yet, and then the cost is provisional.';

CREATE TRIGGER returns_are_facts BEFORE UPDATE OR DELETE ON returns
FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER return_lines_are_facts BEFORE UPDATE OR DELETE ON return_lines
FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER return_lots_are_facts BEFORE UPDATE OR DELETE ON return_lots
FOR EACH ROW EXECUTE FUNCTION refuse_change();
