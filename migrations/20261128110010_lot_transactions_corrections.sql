-- What was corrected of a lot is asked for with every return and void of what was depleted from it. Few movements are
-- corrections, so there is next to nothing to keep; building it reads the table once, and movements wait for that.
CREATE INDEX lot_transactions_corrections ON lot_transactions (pool_id, lot_id, seq) WHERE row_source = 'correction';
