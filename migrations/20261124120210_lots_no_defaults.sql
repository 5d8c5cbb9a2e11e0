-- Rows that stood got a value; new ones have theirs passed in.
ALTER TABLE lots ALTER COLUMN quarantined_quantity DROP DEFAULT, ALTER COLUMN cost_provisional DROP DEFAULT;
