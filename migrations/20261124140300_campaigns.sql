-- What the team links to mirrored products: a webinar, an influencer, a promotion. Ours to write; a product that is
-- deleted upstream stays as a row, so a link never breaks.

CREATE TABLE campaigns (
    code text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    name text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    revision bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT campaigns_pkey PRIMARY KEY (code),
    CONSTRAINT campaigns_code_length CHECK (length(code) BETWEEN 1 AND 63),
    CONSTRAINT campaigns_kind_known CHECK (kind IN ('webinar', 'influencer', 'promotion', 'other')),
    CONSTRAINT campaigns_window_forward CHECK (starts_at < ends_at)
);

CREATE TABLE campaign_products (
    code text COLLATE "C" NOT NULL,
    product_id bigint NOT NULL,
    CONSTRAINT campaign_products_pkey PRIMARY KEY (code, product_id),
    CONSTRAINT campaign_products_campaign_exists FOREIGN KEY (code) REFERENCES campaigns (code) ON DELETE CASCADE,
    CONSTRAINT campaign_products_product_exists FOREIGN KEY (product_id) REFERENCES mirror.products (product_id)
);
CREATE INDEX campaign_products_by_product ON campaign_products (product_id);
