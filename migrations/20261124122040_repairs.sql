-- Repair: what was found, what was planned, and what was appended because of it.

CREATE TABLE repair_plans (
    plan_id uuid NOT NULL,
    client_id bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    cursor text,
    complete boolean NOT NULL,
    plan jsonb NOT NULL,
    CONSTRAINT repair_plans_pkey PRIMARY KEY (plan_id),
    CONSTRAINT repair_plans_complete_has_no_cursor CHECK (NOT complete OR cursor IS NULL)
);
COMMENT ON TABLE repair_plans IS 'Findings with the corrections that would be appended, step by step. A global table: a plan can name every pool.';

CREATE TABLE repairs (
    pool_id bigint NOT NULL,
    repair_id uuid NOT NULL,
    finding_id text COLLATE "C" NOT NULL,
    evidence_hash bytea NOT NULL,
    kind text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    correction jsonb NOT NULL,
    client_id bigint NOT NULL,
    applied_at timestamptz NOT NULL,
    CONSTRAINT repairs_pkey PRIMARY KEY (pool_id, repair_id),
    CONSTRAINT repairs_once_per_evidence UNIQUE (pool_id, finding_id, evidence_hash),
    CONSTRAINT repairs_pool_exists FOREIGN KEY (pool_id) REFERENCES pools (pool_id),
    CONSTRAINT repairs_evidence_is_sha256 CHECK (octet_length(evidence_hash) = 32)
);
CREATE INDEX repairs_by_subject ON repairs (pool_id, kind, subject);
COMMENT ON TABLE repairs IS 'Append-only: every correction that was appended, on which evidence, for which finding. The audit accepts a break that cannot be undone, in a ledger that is never edited, only where a row here names it.';

CREATE TRIGGER repairs_append_only BEFORE UPDATE OR DELETE ON repairs
FOR EACH ROW EXECUTE FUNCTION refuse_change();
