-- Carts that were superseded before the quantity had a column of its own. The ledger knows what the hand-over closed; an
-- untracked line has no ledger, and what it gave back is the best that is known of it. Few rows qualify.
UPDATE reservation_lines AS l
SET superseded_quantity = CASE WHEN l.tracked THEN coalesce((
    SELECT -e.held_delta
    FROM stock_entries AS e
    WHERE e.pool_id = l.pool_id AND e.reservation_id = l.reservation_id AND e.line = l.line
        AND e.closes_line AND e.kind = 'release' AND e.reason = 'superseded'
), 0) ELSE l.released_quantity END
FROM reservations AS r, reservations AS newer
WHERE r.pool_id = l.pool_id AND r.reservation_id = l.reservation_id AND r.closed_reason = 'superseded'
    AND newer.pool_id = r.pool_id AND newer.replaces_id = r.reservation_id AND newer.origin = 'supersede'
    AND l.released_quantity > 0;
COMMENT ON COLUMN reservation_lines.superseded_quantity IS 'Handed over to a newer reservation, out of what is released; null is none.';
