-- What mirrored things mean to stock. Ours to write, by operators and by the mirror where a SKU code says it all.

-- A variant is one SKU, or a kit of several; its newest version counts. No component at all: it has no stock.
CREATE TABLE variant_mappings (
    variant_id bigint NOT NULL,
    version integer NOT NULL,
    origin text COLLATE "C" NOT NULL,
    open_lines_follow boolean NOT NULL,
    client_id bigint NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT variant_mappings_pkey PRIMARY KEY (variant_id, version),
    CONSTRAINT variant_mappings_version_from_one CHECK (version >= 1),
    CONSTRAINT variant_mappings_origin_known CHECK (origin IN ('sku_code', 'operator'))
);
COMMENT ON TABLE variant_mappings IS 'Keyed by the upstream''s variant id, which does not change when the seller renames a SKU; no foreign key, since orders name variants that were deleted before they were seen.';
COMMENT ON COLUMN variant_mappings.open_lines_follow IS 'Whether lines that were seen under an older version and have not shipped take this one.';

CREATE TABLE variant_components (
    variant_id bigint NOT NULL,
    version integer NOT NULL,
    sku_id bigint NOT NULL,
    quantity integer NOT NULL,
    CONSTRAINT variant_components_pkey PRIMARY KEY (variant_id, version, sku_id),
    CONSTRAINT variant_components_mapping_exists
    FOREIGN KEY (variant_id, version) REFERENCES variant_mappings (variant_id, version),
    CONSTRAINT variant_components_sku_exists FOREIGN KEY (sku_id) REFERENCES skus (sku_id),
    CONSTRAINT variant_components_quantity_positive CHECK (quantity BETWEEN 1 AND 10000)
);
CREATE INDEX variant_components_by_sku ON variant_components (sku_id);

CREATE TRIGGER variant_mappings_append_only BEFORE UPDATE OR DELETE ON variant_mappings
FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER variant_components_append_only BEFORE UPDATE OR DELETE ON variant_components
FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- A single order line that an operator mapped: a custom item has no variant.
CREATE TABLE line_mappings (
    source text COLLATE "C" NOT NULL,
    order_id bigint NOT NULL,
    line_ref text COLLATE "C" NOT NULL,
    sku_id bigint NOT NULL,
    quantity integer NOT NULL,
    client_id bigint NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT line_mappings_pkey PRIMARY KEY (source, order_id, line_ref, sku_id),
    CONSTRAINT line_mappings_sku_exists FOREIGN KEY (sku_id) REFERENCES skus (sku_id),
    CONSTRAINT line_mappings_quantity_positive CHECK (quantity BETWEEN 1 AND 10000)
);

-- Lines that nobody can tell the stock of yet. They claim nothing until they are mapped, and are never dropped.
CREATE TABLE unmatched_lines (
    source text COLLATE "C" NOT NULL,
    order_id bigint NOT NULL,
    line_ref text COLLATE "C" NOT NULL,
    variant_id bigint,
    sku text COLLATE "C",
    title text NOT NULL,
    quantity bigint NOT NULL,
    seen_at timestamptz NOT NULL,
    CONSTRAINT unmatched_lines_pkey PRIMARY KEY (source, order_id, line_ref)
);
CREATE INDEX unmatched_lines_by_variant ON unmatched_lines (variant_id) WHERE variant_id IS NOT NULL;
CREATE INDEX unmatched_lines_by_sku ON unmatched_lines (sku) WHERE sku IS NOT NULL;

-- Which pool ships what leaves a location.
CREATE TABLE location_pools (
    location_id bigint NOT NULL,
    pool_id bigint NOT NULL,
    client_id bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT location_pools_pkey PRIMARY KEY (location_id),
    CONSTRAINT location_pools_pool_exists FOREIGN KEY (pool_id) REFERENCES pools (pool_id)
);
