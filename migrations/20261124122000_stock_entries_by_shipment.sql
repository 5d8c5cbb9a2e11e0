-- What a shipment moved in the ledger, for the audit and for repair. Few entries qualify.
CREATE INDEX stock_entries_by_shipment ON stock_entries (pool_id, shipment_id, sku_id) WHERE shipment_id IS NOT NULL;
