-- The clock of jobs: one row per slot, that is, per run that the schedule owes. (job, pool, slot) names the business
-- event, so that two instances, or one that was down for a week, run each slot once.
-- A new global table: safe on a live service. It is no stock and refers to none.

CREATE TABLE job_slots (
    job text COLLATE "C" NOT NULL,
    pool_code text COLLATE "C" NOT NULL,
    slot text COLLATE "C" NOT NULL,
    window_starts_at timestamptz NOT NULL,
    window_ends_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    status text COLLATE "C" NOT NULL,
    attempts integer NOT NULL,
    failures integer NOT NULL,
    next_attempt_at timestamptz,
    lease_expires_at timestamptz,
    instance text COLLATE "C",
    started_at timestamptz,
    finished_at timestamptz,
    last_error text,
    report jsonb,
    CONSTRAINT job_slots_pkey PRIMARY KEY (job, pool_code, slot),
    CONSTRAINT job_slots_job_form CHECK (job ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT job_slots_slot_length CHECK (length(slot) BETWEEN 1 AND 64),
    CONSTRAINT job_slots_due_after_its_window CHECK (window_starts_at <= window_ends_at AND window_ends_at <= due_at),
    CONSTRAINT job_slots_status_known CHECK (status IN ('pending', 'running', 'succeeded', 'failed')),
    CONSTRAINT job_slots_failures_within_attempts CHECK (0 <= failures AND failures <= attempts),
    CONSTRAINT job_slots_attempt_names_its_instance CHECK (
        (attempts = 0) = (instance IS NULL) AND (attempts = 0) = (started_at IS NULL)
    ),
    CONSTRAINT job_slots_status_fits_lease CHECK (
        (status = 'running') = (lease_expires_at IS NOT NULL) AND (status = 'pending') = (next_attempt_at IS NOT NULL)
    ),
    CONSTRAINT job_slots_status_fits_end CHECK (
        (status = 'running' OR attempts = 0) = (finished_at IS NULL)
    ),
    CONSTRAINT job_slots_end_was_attempted CHECK (attempts > 0 OR status = 'pending'),
    CONSTRAINT job_slots_failure_says_why CHECK (status <> 'failed' OR last_error IS NOT NULL)
);
COMMENT ON TABLE job_slots IS 'One run that a job''s schedule owes. Whoever holds the lease works on it; the work itself is idempotent, the lease only keeps two from doing it at once.';
COMMENT ON COLUMN job_slots.pool_code IS 'The pool whose day it is; empty for a job of the whole service.';
COMMENT ON COLUMN job_slots.slot IS 'Pool-local date of a daily job (2026-11-24), instant of an interval job (2026-11-24T10:00:00Z).';
COMMENT ON COLUMN job_slots.window_ends_at IS 'The slot covers [window_starts_at, window_ends_at); the next one starts where it ends, also when the zone of the pool changes.';
COMMENT ON COLUMN job_slots.attempts IS 'Times it was started; also the fence: whoever started it under a smaller number may not finish it.';
COMMENT ON COLUMN job_slots.failures IS 'Attempts that failed since it was first due or last asked for by hand; bounded.';
COMMENT ON COLUMN job_slots.last_error IS 'Of the newest failed attempt; kept after a later one succeeds.';

-- Partial: of a job and pool at most one slot is waiting or at work, so slots run in order and one at a time.
CREATE UNIQUE INDEX job_slots_one_open ON job_slots (job, pool_code) WHERE status IN ('pending', 'running');
CREATE INDEX job_slots_by_window ON job_slots (job, pool_code, window_ends_at);

CREATE FUNCTION job_slots_only_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.job <> OLD.job
        OR NEW.pool_code <> OLD.pool_code
        OR NEW.slot <> OLD.slot
        OR NEW.window_starts_at <> OLD.window_starts_at
        OR NEW.window_ends_at <> OLD.window_ends_at
        OR NEW.due_at <> OLD.due_at
        OR OLD.status = 'succeeded'
        OR (OLD.status = 'failed' AND NEW.status <> 'pending')
        OR (OLD.status = 'pending' AND NEW.status NOT IN ('pending', 'running'))
        OR NEW.attempts <> OLD.attempts + (OLD.status = 'pending' AND NEW.status = 'running')::integer
    THEN
        RAISE EXCEPTION 'a job slot may not move from % (attempt %) to % (attempt %)',
            OLD.status, OLD.attempts, NEW.status, NEW.attempts
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER job_slots_only_forward BEFORE UPDATE ON job_slots
FOR EACH ROW EXECUTE FUNCTION job_slots_only_forward();

CREATE FUNCTION job_slots_open_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status IN ('pending', 'running') THEN
        RAISE EXCEPTION 'a job slot that is not finished may not be deleted'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN OLD;
END
$$;
CREATE TRIGGER job_slots_open_stays BEFORE DELETE ON job_slots
FOR EACH ROW EXECUTE FUNCTION job_slots_open_stays();
