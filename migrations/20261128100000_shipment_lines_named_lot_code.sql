-- What a warehouse called the lot that it took a line from. A name is a fact, whether or not a lot of that name had
-- anything left: it is kept beside `lot_id`, which is null where none had. Null for lines that name no lot and for those
-- of earlier releases. Adding a column without a default touches no row.
ALTER TABLE shipment_lines ADD COLUMN named_lot_code text COLLATE "C";
