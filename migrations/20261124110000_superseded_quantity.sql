-- What a superseded line handed over, apart from what it had given back before: only the former may be claimed again by
-- the order of the older cart. Nullable and without a default, so that nothing is rewritten and an instance of the
-- release before can go on inserting; the check is validated later, so that nothing is scanned under the lock.
ALTER TABLE reservation_lines
ADD COLUMN superseded_quantity integer,
ADD CONSTRAINT reservation_lines_superseded_within_released
CHECK (superseded_quantity BETWEEN 0 AND released_quantity) NOT VALID;
