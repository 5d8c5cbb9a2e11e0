-- What is left of a SKU, for depletion and for acts on lots: used-up lots are many in the end and nobody's business.
CREATE INDEX lots_open ON lots (pool_id, sku_id, received_date, recorded_at, lot_id) WHERE remaining_quantity > 0;
