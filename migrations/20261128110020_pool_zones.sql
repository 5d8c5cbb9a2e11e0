-- Zones that pools had before the one they have: a change takes effect on the next local date, so that days which are
-- over, or going on, end at the midnight they were lived by, however late they are closed. A pool without rows has always
-- had the zone that it has; nothing is known of changes before this step.
CREATE TABLE pool_zones (
    pool_id bigint NOT NULL,
    last_date date NOT NULL,
    time_zone text NOT NULL,
    CONSTRAINT pool_zones_pkey PRIMARY KEY (pool_id, last_date),
    CONSTRAINT pool_zones_pool_exists FOREIGN KEY (pool_id) REFERENCES pools (pool_id)
);
COMMENT ON COLUMN pool_zones.last_date IS 'The last local date on which the pool had this zone; the next one begins at its midnight.';
