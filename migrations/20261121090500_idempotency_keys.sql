-- One key of one client, one outcome: the answer is written in the transaction that made it true.

CREATE TABLE idempotency_keys (
    pool_id bigint NOT NULL,
    client_id bigint NOT NULL,
    key text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL,
    status smallint NOT NULL,
    body bytea NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (pool_id, client_id, key),
    CONSTRAINT idempotency_keys_key_length CHECK (length(key) BETWEEN 1 AND 255),
    CONSTRAINT idempotency_keys_fingerprint_is_sha256 CHECK (octet_length(fingerprint) = 32),
    -- A failure of ours (5xx) or a request never understood is not an outcome.
    CONSTRAINT idempotency_keys_status_is_an_outcome CHECK (status BETWEEN 200 AND 299 OR status IN (404, 409, 422))
) WITH (autovacuum_vacuum_insert_scale_factor = 0.5);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys USING brin (pool_id, created_at) WITH (pages_per_range = 32);
COMMENT ON COLUMN idempotency_keys.fingerprint IS 'SHA-256 of method, path and the canonical command: another body under the same key is an error.';
COMMENT ON COLUMN idempotency_keys.body IS 'The bytes that were answered. They hold no owner and no metadata, so that erasing a person need not touch them.';
