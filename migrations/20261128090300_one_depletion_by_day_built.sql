-- One depletion of a lot per day, with the day before the lot: a close adds to the end of the index, wherever its lots
-- lie. Under a name of its own until the old one is gone: the rule is never absent.
CREATE UNIQUE INDEX lot_transactions_one_depletion_by_day
ON lot_transactions (pool_id, source_ref_id, lot_id)
WHERE row_source = 'snapshot_depletion';
