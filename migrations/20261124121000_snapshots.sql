-- The daily close of a pool. Days follow each other without gap or overlap, one is closed at a time, and each
-- (pool, SKU, date) depletes once.

CREATE TABLE snapshots (
    pool_id bigint NOT NULL,
    snapshot_date date NOT NULL,
    previous_date date,
    window_start timestamptz NOT NULL,
    window_end timestamptz NOT NULL,
    time_zone text NOT NULL,
    status text COLLATE "C" NOT NULL,
    client_id bigint NOT NULL,
    begun_at timestamptz NOT NULL,
    closed_at timestamptz,
    CONSTRAINT snapshots_pkey PRIMARY KEY (pool_id, snapshot_date),
    CONSTRAINT snapshots_pool_exists FOREIGN KEY (pool_id) REFERENCES pools (pool_id),
    CONSTRAINT snapshots_window_ends_once UNIQUE (pool_id, snapshot_date, window_end),
    -- A day begins where the one before it ended, whatever became of the pool's zone.
    CONSTRAINT snapshots_follow_each_other
    FOREIGN KEY (pool_id, previous_date, window_start) REFERENCES snapshots (pool_id, snapshot_date, window_end),
    CONSTRAINT snapshots_no_day_left_out CHECK (previous_date = snapshot_date - 1),
    CONSTRAINT snapshots_window_runs_forward CHECK (window_start < window_end),
    CONSTRAINT snapshots_status_known CHECK (status IN ('closing', 'closed')),
    CONSTRAINT snapshots_closed_has_time CHECK ((status = 'closed') = (closed_at IS NOT NULL))
);
CREATE UNIQUE INDEX snapshots_one_first_day ON snapshots (pool_id) WHERE previous_date IS NULL;
CREATE UNIQUE INDEX snapshots_one_closing_at_a_time ON snapshots (pool_id) WHERE status = 'closing';

CREATE TABLE snapshot_skus (
    pool_id bigint NOT NULL,
    sku_id bigint NOT NULL,
    snapshot_date date NOT NULL,
    on_hand bigint NOT NULL,
    quarantined bigint NOT NULL,
    held bigint NOT NULL,
    committed bigint NOT NULL,
    seq bigint NOT NULL,
    lines bigint NOT NULL,
    late_lines bigint NOT NULL,
    shipped_quantity bigint NOT NULL,
    depleted_quantity bigint NOT NULL,
    shortage_quantity bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT snapshot_skus_pkey PRIMARY KEY (pool_id, sku_id, snapshot_date),
    CONSTRAINT snapshot_skus_snapshot_exists
    FOREIGN KEY (pool_id, snapshot_date) REFERENCES snapshots (pool_id, snapshot_date),
    CONSTRAINT snapshot_skus_parts_add_up CHECK (shipped_quantity = depleted_quantity + shortage_quantity),
    CONSTRAINT snapshot_skus_not_negative CHECK (
        seq >= 0 AND lines >= late_lines AND late_lines >= 0 AND depleted_quantity >= 0 AND shortage_quantity >= 0
    )
);
CREATE INDEX snapshot_skus_by_date ON snapshot_skus (pool_id, snapshot_date, sku_id);
COMMENT ON TABLE snapshot_skus IS 'Append-only: the balance of one SKU at the end of a local day, and what that day''s snapshot depleted of its lots. The key is what keeps a day from depleting twice.';

CREATE TRIGGER snapshot_skus_append_only BEFORE UPDATE OR DELETE ON snapshot_skus
FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER snapshots_never_deleted BEFORE DELETE ON snapshots
FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE FUNCTION snapshots_never_reopened() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status = 'closed' OR NEW.window_start <> OLD.window_start OR NEW.window_end <> OLD.window_end THEN
        RAISE EXCEPTION 'a closed day is never re-opened'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER snapshots_never_reopened BEFORE UPDATE ON snapshots
FOR EACH ROW EXECUTE FUNCTION snapshots_never_reopened();
