-- Rows copied one way from Shopify and Recharge. They stand alone: nothing here refers to stock, and only the mirror writes.

CREATE SCHEMA mirror;
COMMENT ON SCHEMA mirror IS 'Copies of what Shopify and Recharge own; written by the mirror alone.';

-- The mirror says who it is at the beginning of its transactions.
CREATE FUNCTION mirror.refuse_other_writers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('holdfast.writer', true) IS DISTINCT FROM 'mirror' THEN
        RAISE EXCEPTION 'rows of % are copies; only the mirror writes them', TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END
$$;

-- A copy only gets newer: by the upstream's own time of change, and where that is equal, by when it was asked for.
CREATE FUNCTION mirror.refuse_older() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.updated_at, NEW.fetched_at) < (OLD.updated_at, OLD.fetched_at) THEN
        RAISE EXCEPTION 'a copy only gets newer'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END
$$;

CREATE TABLE mirror.products (
    product_id bigint NOT NULL,
    title text NOT NULL,
    handle text,
    status text NOT NULL,
    updated_at timestamptz NOT NULL,
    fetched_at timestamptz NOT NULL,
    deleted_at timestamptz,
    document jsonb NOT NULL,
    CONSTRAINT products_pkey PRIMARY KEY (product_id)
);
COMMENT ON COLUMN mirror.products.status IS 'As the upstream says it, known to us or not.';
COMMENT ON COLUMN mirror.products.deleted_at IS 'When it was found gone upstream. The row stays: orders and links name it.';

CREATE TABLE mirror.variants (
    variant_id bigint NOT NULL,
    product_id bigint NOT NULL,
    sku text COLLATE "C",
    title text,
    barcode text,
    price numeric(20, 6),
    inventory_item_id bigint,
    tracked boolean,
    requires_shipping boolean,
    position integer,
    updated_at timestamptz NOT NULL,
    fetched_at timestamptz NOT NULL,
    deleted_at timestamptz,
    document jsonb NOT NULL,
    CONSTRAINT variants_pkey PRIMARY KEY (variant_id),
    CONSTRAINT variants_product_exists FOREIGN KEY (product_id) REFERENCES mirror.products (product_id),
    CONSTRAINT variants_sku_not_empty CHECK (sku <> '')
);
CREATE INDEX variants_by_product ON mirror.variants (product_id);
CREATE INDEX variants_by_sku ON mirror.variants (sku) WHERE sku IS NOT NULL;
COMMENT ON COLUMN mirror.variants.sku IS 'The seller''s code; absent where the upstream has none or an empty one. Codes repeat and change; the id is the key.';

CREATE TABLE mirror.locations (
    location_id bigint NOT NULL,
    name text NOT NULL,
    active boolean NOT NULL,
    updated_at timestamptz NOT NULL,
    fetched_at timestamptz NOT NULL,
    deleted_at timestamptz,
    document jsonb NOT NULL,
    CONSTRAINT locations_pkey PRIMARY KEY (location_id)
);
COMMENT ON COLUMN mirror.locations.updated_at IS 'The upstream has no such time for a location: when this content was first seen.';

CREATE TABLE mirror.orders (
    order_id bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    processed_at timestamptz,
    updated_at timestamptz NOT NULL,
    cancelled_at timestamptz,
    cancel_reason text,
    closed_at timestamptz,
    test boolean NOT NULL,
    confirmed boolean NOT NULL,
    financial_status text,
    fulfilment_status text,
    currency text,
    total_price numeric(20, 6),
    source_name text,
    reservation_id text,
    pool_code text,
    fetched_at timestamptz NOT NULL,
    deleted_at timestamptz,
    document jsonb NOT NULL,
    CONSTRAINT orders_pkey PRIMARY KEY (order_id)
);
CREATE INDEX orders_by_name ON mirror.orders (name);
CREATE INDEX orders_by_processed_at ON mirror.orders (processed_at);
COMMENT ON COLUMN mirror.orders.reservation_id IS 'What the storefront wrote in the attribute holdfast_reservation_id.';
COMMENT ON COLUMN mirror.orders.pool_code IS 'What the storefront wrote in the attribute holdfast_pool.';

CREATE TABLE mirror.order_lines (
    order_id bigint NOT NULL,
    line_id bigint NOT NULL,
    position integer NOT NULL,
    variant_id bigint,
    product_id bigint,
    sku text COLLATE "C",
    title text NOT NULL,
    quantity bigint NOT NULL,
    current_quantity bigint NOT NULL,
    unfulfilled_quantity bigint NOT NULL,
    requires_shipping boolean NOT NULL,
    gift_card boolean NOT NULL,
    group_id text,
    CONSTRAINT order_lines_pkey PRIMARY KEY (order_id, line_id),
    CONSTRAINT order_lines_order_exists FOREIGN KEY (order_id) REFERENCES mirror.orders (order_id),
    CONSTRAINT order_lines_sku_not_empty CHECK (sku <> '')
);
CREATE INDEX order_lines_by_variant ON mirror.order_lines (variant_id, order_id) WHERE variant_id IS NOT NULL;
CREATE INDEX order_lines_by_product ON mirror.order_lines (product_id, order_id) WHERE product_id IS NOT NULL;
COMMENT ON COLUMN mirror.order_lines.quantity IS 'Units ever ordered, removed and refunded ones included.';
COMMENT ON COLUMN mirror.order_lines.current_quantity IS 'Units ordered, without removed and refunded ones.';
COMMENT ON COLUMN mirror.order_lines.unfulfilled_quantity IS 'Units still to be sent.';
COMMENT ON COLUMN mirror.order_lines.group_id IS 'The bundle that it is a component of.';

CREATE TABLE mirror.fulfilments (
    order_id bigint NOT NULL,
    fulfilment_id bigint NOT NULL,
    status text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    location_id bigint,
    CONSTRAINT fulfilments_pkey PRIMARY KEY (order_id, fulfilment_id),
    CONSTRAINT fulfilments_order_exists FOREIGN KEY (order_id) REFERENCES mirror.orders (order_id)
);

CREATE TABLE mirror.fulfilment_lines (
    order_id bigint NOT NULL,
    fulfilment_id bigint NOT NULL,
    fulfilment_line_id bigint NOT NULL,
    line_id bigint NOT NULL,
    quantity bigint NOT NULL,
    CONSTRAINT fulfilment_lines_pkey PRIMARY KEY (order_id, fulfilment_id, fulfilment_line_id),
    CONSTRAINT fulfilment_lines_fulfilment_exists
    FOREIGN KEY (order_id, fulfilment_id) REFERENCES mirror.fulfilments (order_id, fulfilment_id)
);

CREATE TABLE mirror.refunds (
    order_id bigint NOT NULL,
    refund_id bigint NOT NULL,
    created_at timestamptz,
    updated_at timestamptz,
    CONSTRAINT refunds_pkey PRIMARY KEY (order_id, refund_id),
    CONSTRAINT refunds_order_exists FOREIGN KEY (order_id) REFERENCES mirror.orders (order_id)
);

CREATE TABLE mirror.refund_lines (
    order_id bigint NOT NULL,
    refund_id bigint NOT NULL,
    position integer NOT NULL,
    refund_line_id bigint,
    line_id bigint NOT NULL,
    quantity bigint NOT NULL,
    restock_type text NOT NULL,
    restocked boolean NOT NULL,
    location_id bigint,
    CONSTRAINT refund_lines_pkey PRIMARY KEY (order_id, refund_id, position),
    CONSTRAINT refund_lines_refund_exists
    FOREIGN KEY (order_id, refund_id) REFERENCES mirror.refunds (order_id, refund_id)
);

CREATE TABLE mirror.recharge_customers (
    customer_id bigint NOT NULL,
    external_customer_id bigint,
    updated_at timestamptz NOT NULL,
    fetched_at timestamptz NOT NULL,
    deleted_at timestamptz,
    document jsonb NOT NULL,
    CONSTRAINT recharge_customers_pkey PRIMARY KEY (customer_id)
);

CREATE TABLE mirror.recharge_subscriptions (
    subscription_id bigint NOT NULL,
    customer_id bigint,
    status text NOT NULL,
    variant_id bigint,
    product_id bigint,
    sku text COLLATE "C",
    quantity bigint NOT NULL,
    next_charge_date date,
    updated_at timestamptz NOT NULL,
    fetched_at timestamptz NOT NULL,
    deleted_at timestamptz,
    document jsonb NOT NULL,
    CONSTRAINT recharge_subscriptions_pkey PRIMARY KEY (subscription_id)
);

CREATE TABLE mirror.recharge_charges (
    charge_id bigint NOT NULL,
    customer_id bigint,
    status text NOT NULL,
    scheduled_date date,
    external_order_id bigint,
    updated_at timestamptz NOT NULL,
    fetched_at timestamptz NOT NULL,
    deleted_at timestamptz,
    document jsonb NOT NULL,
    CONSTRAINT recharge_charges_pkey PRIMARY KEY (charge_id)
);
CREATE INDEX recharge_charges_queued ON mirror.recharge_charges (scheduled_date)
WHERE status = 'queued' AND deleted_at IS NULL;

CREATE TABLE mirror.recharge_orders (
    order_id bigint NOT NULL,
    charge_id bigint,
    customer_id bigint,
    status text NOT NULL,
    type text,
    prepaid boolean NOT NULL,
    scheduled_date date,
    processed_at timestamptz,
    external_order_id bigint,
    external_order_name text COLLATE "C",
    updated_at timestamptz NOT NULL,
    fetched_at timestamptz NOT NULL,
    deleted_at timestamptz,
    document jsonb NOT NULL,
    CONSTRAINT recharge_orders_pkey PRIMARY KEY (order_id)
);
CREATE INDEX recharge_orders_by_external_order ON mirror.recharge_orders (external_order_id)
WHERE external_order_id IS NOT NULL;
CREATE INDEX recharge_orders_queued ON mirror.recharge_orders (scheduled_date)
WHERE status = 'queued' AND deleted_at IS NULL;
COMMENT ON COLUMN mirror.recharge_orders.external_order_id IS 'The Shopify order that it is; both are one order.';

-- Lines of charges and of orders, told apart by what they belong to.
CREATE TABLE mirror.recharge_lines (
    owner text COLLATE "C" NOT NULL,
    owner_id bigint NOT NULL,
    position integer NOT NULL,
    variant_id bigint,
    product_id bigint,
    sku text COLLATE "C",
    title text NOT NULL,
    quantity bigint NOT NULL,
    purchase_item_id bigint,
    CONSTRAINT recharge_lines_pkey PRIMARY KEY (owner, owner_id, position),
    CONSTRAINT recharge_lines_owner_known CHECK (owner IN ('charge', 'order')),
    CONSTRAINT recharge_lines_sku_not_empty CHECK (sku <> '')
);
COMMENT ON COLUMN mirror.recharge_customers.document IS 'Without names, addresses and contact data: stock has no use for them.';

-- How far each order is applied to stock. Its revision goes up with every change of the copy, in the same transaction, and
-- with every change of what its lines mean.
CREATE TABLE mirror.order_progress (
    source text COLLATE "C" NOT NULL,
    order_id bigint NOT NULL,
    revision bigint NOT NULL,
    applied_revision bigint NOT NULL,
    pool_id bigint,
    attempts integer NOT NULL,
    next_attempt_at timestamptz NOT NULL,
    leased_until timestamptz,
    last_error text,
    findings jsonb,
    applied_at timestamptz,
    CONSTRAINT order_progress_pkey PRIMARY KEY (source, order_id),
    CONSTRAINT order_progress_source_known CHECK (source IN ('shopify', 'recharge')),
    CONSTRAINT order_progress_applied_within CHECK (applied_revision BETWEEN 0 AND revision)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
CREATE INDEX order_progress_pending ON mirror.order_progress (next_attempt_at, source, order_id)
WHERE applied_revision < revision;
COMMENT ON COLUMN mirror.order_progress.pool_id IS 'The pool its claims are in, once chosen.';
COMMENT ON COLUMN mirror.order_progress.leased_until IS 'Until then one instance works on it. A change meanwhile waits: two states of an order are never applied at once.';
COMMENT ON COLUMN mirror.order_progress.findings IS 'What an operator should know about it: a list of {code, detail}.';

-- Where each stream of copies stands.
CREATE TABLE mirror.streams (
    source text COLLATE "C" NOT NULL,
    stream text COLLATE "C" NOT NULL,
    phase text COLLATE "C" NOT NULL,
    watermark timestamptz,
    window_from timestamptz,
    window_to timestamptz,
    cursor text,
    seen bigint NOT NULL,
    written bigint NOT NULL,
    backfill_from timestamptz,
    backfill_to timestamptz,
    backfill_expected bigint,
    backfill_seen bigint NOT NULL,
    backfilled_at timestamptz,
    reconciled_at timestamptz,
    last_success_at timestamptz,
    last_error text,
    last_error_at timestamptz,
    CONSTRAINT streams_pkey PRIMARY KEY (source, stream),
    CONSTRAINT streams_phase_known CHECK (phase IN ('backfill', 'incremental'))
);
COMMENT ON COLUMN mirror.streams.watermark IS 'Every change up to here is copied.';
COMMENT ON COLUMN mirror.streams.cursor IS 'Where the window from window_from to window_to goes on after a crash.';

-- When copying began: what was shipped or restocked before is history, and moves no stock.
CREATE TABLE mirror.beginnings (
    source text COLLATE "C" NOT NULL,
    began_at timestamptz NOT NULL,
    CONSTRAINT beginnings_pkey PRIMARY KEY (source)
);

-- Deliveries are stored before they are answered; they are hints, what they hint at is fetched.
CREATE TABLE mirror.webhook_deliveries (
    source text COLLATE "C" NOT NULL,
    delivery_id text COLLATE "C" NOT NULL,
    topic text COLLATE "C" NOT NULL,
    entity text COLLATE "C",
    entity_id bigint,
    triggered_at timestamptz,
    received_at timestamptz NOT NULL,
    body jsonb NOT NULL,
    status text COLLATE "C" NOT NULL,
    attempts integer NOT NULL,
    next_attempt_at timestamptz NOT NULL,
    processed_at timestamptz,
    last_error text,
    CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (source, delivery_id),
    CONSTRAINT webhook_deliveries_status_known CHECK (status IN ('pending', 'done', 'ignored', 'failed')),
    CONSTRAINT webhook_deliveries_processed_has_time CHECK ((status = 'pending') = (processed_at IS NULL))
);
CREATE INDEX webhook_deliveries_pending ON mirror.webhook_deliveries (next_attempt_at) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_by_age ON mirror.webhook_deliveries (received_at);

DO $$
DECLARE
    copied text;
BEGIN
    FOR copied IN SELECT tablename FROM pg_tables WHERE schemaname = 'mirror' LOOP
        EXECUTE format(
            'CREATE TRIGGER %I BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON mirror.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION mirror.refuse_other_writers()',
            copied || '_only_by_the_mirror', copied
        );
    END LOOP;
    FOREACH copied IN ARRAY ARRAY[
        'products', 'variants', 'locations', 'orders', 'recharge_customers', 'recharge_subscriptions',
        'recharge_charges', 'recharge_orders'
    ] LOOP
        EXECUTE format(
            'CREATE TRIGGER %I BEFORE UPDATE ON mirror.%I FOR EACH ROW EXECUTE FUNCTION mirror.refuse_older()',
            copied || '_only_newer', copied
        );
    END LOOP;
END
$$;
