-- What operations do to lots. What is quarantined of a lot is what its balance row counts as quarantined.
ALTER TABLE lots
ADD COLUMN quarantined_quantity bigint NOT NULL DEFAULT 0,
ADD COLUMN quarantine_reason text,
ADD COLUMN cost_provisional boolean NOT NULL DEFAULT false,
ADD CONSTRAINT lots_quarantined_within_remaining CHECK (quarantined_quantity BETWEEN 0 AND remaining_quantity),
ADD CONSTRAINT lots_available_is_not_quarantined CHECK (status <> 'available' OR quarantined_quantity = 0),
ADD CONSTRAINT lots_quarantine_has_a_reason CHECK ((status = 'available') = (quarantine_reason IS NULL)),
DROP CONSTRAINT lots_status_known,
ADD CONSTRAINT lots_status_known CHECK (status IN ('available', 'quarantined', 'expired')),
DROP CONSTRAINT lots_origin_known,
ADD CONSTRAINT lots_origin_known CHECK (origin IN ('receipt', 'return', 'count_gain', 'opening_count', 'transfer'));
