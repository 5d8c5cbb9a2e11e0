-- A SKU is retired when the last variant that was it is gone upstream: once for each variant that went. Who makes the SKU
-- active again has the last word; it is not retired for the same variant twice.
CREATE TABLE sku_retirements (
    sku_id bigint NOT NULL,
    variant_id bigint NOT NULL,
    retired_at timestamptz NOT NULL,
    CONSTRAINT sku_retirements_pkey PRIMARY KEY (sku_id, variant_id),
    CONSTRAINT sku_retirements_sku_exists FOREIGN KEY (sku_id) REFERENCES skus (sku_id)
);
COMMENT ON TABLE sku_retirements IS 'Which variants'' going has retired a SKU; keyed by that business event.';
CREATE TRIGGER sku_retirements_append_only BEFORE UPDATE OR DELETE ON sku_retirements
FOR EACH ROW EXECUTE FUNCTION refuse_change();
