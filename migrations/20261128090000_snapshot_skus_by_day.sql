-- Rows of a day lie next to each other: closing a day then writes to the end of one index, however many days are behind
-- it, and not to as many pages of two as there are SKUs. The days of one SKU are looked up one by one.
ALTER TABLE snapshot_skus
DROP CONSTRAINT snapshot_skus_pkey,
ADD CONSTRAINT snapshot_skus_pkey PRIMARY KEY (pool_id, snapshot_date, sku_id);
