-- Orders that were held for by the release before: for no longer than their newest hold, ended or not. Read once, in a
-- transaction of its own, that waits for nobody.
SET LOCAL holdfast.writer = 'mirror';
UPDATE mirror.order_progress AS p
SET held_until = r.held_until
FROM (
    SELECT client_reference, max(expires_at) AS held_until
    FROM reservations
    WHERE client_id = -1 AND client_reference IS NOT NULL
    GROUP BY client_reference
) AS r
WHERE p.source || ':' || p.order_id = r.client_reference AND p.held_until IS NULL;
