-- Which shipments took from a lot: a recall asks for it, and so does whoever compares a lot with what was taken from it.
CREATE INDEX depletions_by_lot ON depletions (pool_id, lot_id, cost_date);
