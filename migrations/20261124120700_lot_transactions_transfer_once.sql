-- A transfer leaves its source once. source_ref_id is the transfer.
CREATE UNIQUE INDEX lot_transactions_one_departure_per_transfer
ON lot_transactions (pool_id, source_ref_id)
WHERE row_source = 'transfer_out';
