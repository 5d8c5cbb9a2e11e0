-- Who may call. Global tables: few rows, rarely written. Only a hash of a key is kept.

CREATE TABLE clients (
    client_id bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT clients_pkey PRIMARY KEY (client_id),
    CONSTRAINT clients_name_unique UNIQUE (name),
    CONSTRAINT clients_name_length CHECK (length(name) BETWEEN 1 AND 100)
);
COMMENT ON TABLE clients IS 'A program that calls the API. Idempotency keys belong to the client, so that its API keys can be rotated between two tries.';

CREATE TABLE api_keys (
    key_id text COLLATE "C" NOT NULL,
    client_id bigint NOT NULL,
    secret_hash bytea NOT NULL,
    label text NOT NULL,
    scopes text [] NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    bootstrap boolean NOT NULL DEFAULT false,
    CONSTRAINT api_keys_pkey PRIMARY KEY (key_id),
    CONSTRAINT api_keys_client_exists FOREIGN KEY (client_id) REFERENCES clients (client_id),
    CONSTRAINT api_keys_secret_is_sha256 CHECK (octet_length(secret_hash) = 32),
    CONSTRAINT api_keys_scopes_known CHECK (
        cardinality(scopes) > 0
        AND scopes <@ ARRAY['reservations', 'stock_read', 'lots', 'reconciliation', 'admin']
    )
);
-- Two instances that start on one empty database must not print two first keys.
CREATE UNIQUE INDEX api_keys_one_bootstrap ON api_keys (bootstrap) WHERE bootstrap;
COMMENT ON COLUMN api_keys.secret_hash IS 'SHA-256 of the whole key: 256 random bits need no slow hash.';
