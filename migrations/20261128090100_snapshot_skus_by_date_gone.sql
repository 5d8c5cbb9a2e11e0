-- The key says the same.
DROP INDEX snapshot_skus_by_date;
