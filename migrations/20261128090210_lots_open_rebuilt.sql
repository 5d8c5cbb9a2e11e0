-- Under a name of its own until the next step: both are there for a moment, none is missing.
CREATE INDEX lots_still_open ON lots (pool_id, sku_id, received_date, recorded_at, lot_id) WHERE is_open;
