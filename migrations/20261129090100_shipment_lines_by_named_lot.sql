-- A recall asks which lines name the code of a lot. Lines that name none are not in it.
CREATE INDEX shipment_lines_by_named_lot_code ON shipment_lines (pool_id, sku_id, named_lot_code, shipment_id, line_ref)
WHERE named_lot_code IS NOT NULL;
