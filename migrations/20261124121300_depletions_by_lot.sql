-- A recall asks which shipments a lot went into. A snapshot writes the rows of a lot next to each other, so the index
-- grows at few places at a time.
CREATE INDEX depletions_by_lot ON depletions (pool_id, lot_id, shipment_id);
