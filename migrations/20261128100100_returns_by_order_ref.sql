-- Returns of an order, newest first, as shipments have it. Returns are few: built in moments; writers of returns wait.
CREATE INDEX returns_by_order_ref ON returns (pool_id, order_ref, return_id) WHERE order_ref IS NOT NULL;
