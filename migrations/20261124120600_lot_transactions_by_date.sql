-- Cost of goods and valuation by day.
CREATE INDEX lot_transactions_by_date ON lot_transactions (pool_id, business_date, row_source);
