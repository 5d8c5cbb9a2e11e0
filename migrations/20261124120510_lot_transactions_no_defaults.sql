-- Rows that stood got a value; new ones have theirs passed in.
ALTER TABLE lot_transactions ALTER COLUMN quarantined_delta DROP DEFAULT;
