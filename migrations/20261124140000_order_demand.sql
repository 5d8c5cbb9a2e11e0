-- What orders taken elsewhere claim. An order's claim is a set of reservations: the one its checkout made, and those
-- made for it. Here is which order they belong to and what each of its lines wants, so that a line claims once.

CREATE TABLE demands (
    pool_id bigint NOT NULL,
    source text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    order_ref text COLLATE "C" NOT NULL,
    order_name text COLLATE "C",
    revision bigint NOT NULL,
    absorbed_by text COLLATE "C",
    updated_at timestamptz NOT NULL,
    CONSTRAINT demands_pkey PRIMARY KEY (pool_id, source, order_id),
    CONSTRAINT demands_pool_exists FOREIGN KEY (pool_id) REFERENCES pools (pool_id),
    CONSTRAINT demands_revision_not_negative CHECK (revision >= 0)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
CREATE INDEX demands_by_order_ref ON demands (pool_id, order_ref);
CREATE INDEX demands_by_order_name ON demands (pool_id, order_name) WHERE order_name IS NOT NULL;
COMMENT ON TABLE demands IS 'One order taken elsewhere, in the pool that its claims are in.';
COMMENT ON COLUMN demands.order_ref IS 'What its reservations and shipments call it.';
COMMENT ON COLUMN demands.order_name IS 'What people call it; a checkout may commit under this name.';
COMMENT ON COLUMN demands.revision IS 'The newest state of the order that was applied; an older one is never applied after it.';
COMMENT ON COLUMN demands.absorbed_by IS 'The order id of the same order in another system, which has taken over its claims.';

CREATE TABLE demand_lines (
    pool_id bigint NOT NULL,
    source text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    line_ref text COLLATE "C" NOT NULL,
    sku_id bigint NOT NULL,
    unit_quantity integer NOT NULL,
    mapping_version integer NOT NULL,
    quantity bigint NOT NULL,
    CONSTRAINT demand_lines_pkey PRIMARY KEY (pool_id, source, order_id, line_ref, sku_id),
    CONSTRAINT demand_lines_demand_exists
    FOREIGN KEY (pool_id, source, order_id) REFERENCES demands (pool_id, source, order_id),
    CONSTRAINT demand_lines_unit_quantity_positive CHECK (unit_quantity > 0),
    CONSTRAINT demand_lines_quantity_not_negative CHECK (quantity >= 0)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
COMMENT ON COLUMN demand_lines.unit_quantity IS 'Units of the SKU in one unit of the line: 1, or what the recipe said when the line was first seen.';
COMMENT ON COLUMN demand_lines.mapping_version IS 'The version of the variant''s mapping that the line keeps; 0 where it was mapped by its own SKU code.';
COMMENT ON COLUMN demand_lines.quantity IS 'Units of the SKU that the line claims in this pool, shipped or not.';

-- A reservation is the claim of one order.
CREATE TABLE demand_claims (
    pool_id bigint NOT NULL,
    reservation_id uuid NOT NULL,
    source text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    CONSTRAINT demand_claims_pkey PRIMARY KEY (pool_id, reservation_id),
    CONSTRAINT demand_claims_demand_exists
    FOREIGN KEY (pool_id, source, order_id) REFERENCES demands (pool_id, source, order_id),
    CONSTRAINT demand_claims_reservation_exists
    FOREIGN KEY (pool_id, reservation_id) REFERENCES reservations (pool_id, reservation_id)
);
CREATE INDEX demand_claims_by_order ON demand_claims (pool_id, source, order_id);

CREATE FUNCTION demands_only_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.revision < OLD.revision OR (OLD.absorbed_by IS NOT NULL AND NEW.absorbed_by IS DISTINCT FROM OLD.absorbed_by) THEN
        RAISE EXCEPTION 'a demand only moves forward'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER demands_only_forward BEFORE UPDATE ON demands
FOR EACH ROW EXECUTE FUNCTION demands_only_forward();
CREATE TRIGGER demands_never_deleted BEFORE DELETE ON demands
FOR EACH ROW EXECUTE FUNCTION refuse_change();
