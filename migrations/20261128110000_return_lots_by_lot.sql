-- Cost of goods asks of a lot that came back whether a shipment is known that had sent it. Returns are few and small:
-- the index is built in the moment that they wait for it.
CREATE INDEX return_lots_by_lot ON return_lots (pool_id, lot_id);
