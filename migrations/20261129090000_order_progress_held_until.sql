-- An unpaid order is held for once: until then, however often it is edited. Nullable and without a default: no row is
-- rewritten.
ALTER TABLE mirror.order_progress ADD COLUMN held_until timestamptz;
COMMENT ON COLUMN mirror.order_progress.held_until IS 'Until when its units are held at most before it is paid; set with its first hold.';
