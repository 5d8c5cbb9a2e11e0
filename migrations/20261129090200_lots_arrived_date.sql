-- The day that the arrival of a lot is booked on, which its first movement says: the close of an earlier day must not take
-- from it, and asks that of every lot that is open. Null for lots of earlier releases: they are taken to have arrived on
-- the date of their receipt. Nullable and without a default: no row is rewritten.
ALTER TABLE lots ADD COLUMN arrived_date date;
COMMENT ON COLUMN lots.arrived_date IS 'The local day that its arrival is booked on; null: received_date.';
