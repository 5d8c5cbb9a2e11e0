-- The past of one hot SKU, as a function of the running number of a reservation (1 to total): the first nine tenths
-- are settled (three in four committed, the rest released or expired) and lie hours to days back, younger than any
-- purge of idempotency keys; the last tenth are live holds of the last three hours with a day to run.
-- Ids are UUIDv7: milliseconds first, hash bits after, the lane hint last.
CREATE SCHEMA bench;
CREATE FUNCTION bench.history(first bigint, last bigint, total bigint, until timestamptz)
RETURNS TABLE (
    n bigint,
    reservation_id uuid,
    state text,
    created_at timestamptz,
    expires_at timestamptz,
    settled_at timestamptz
)
LANGUAGE sql STABLE AS $$
    SELECT
        p.n,
        (
            lpad(to_hex((extract(epoch FROM p.created_at) * 1000)::bigint), 12, '0')
            || '7' || substr(md5(p.n::text), 1, 3) || '8' || substr(md5(p.n::text), 4, 13) || '00'
        )::uuid,
        p.state,
        p.created_at,
        p.created_at + CASE WHEN p.state = 'held' THEN interval '1 day' ELSE interval '15 minutes' END,
        p.created_at + CASE WHEN p.state = 'expired' THEN interval '15 minutes' ELSE interval '5 minutes' END
    FROM (
        SELECT
            s.n,
            CASE
                WHEN s.n > total * 9 / 10 THEN 'held'
                WHEN s.n % 8 = 0 THEN 'expired'
                WHEN s.n % 4 = 0 THEN 'released'
                ELSE 'committed'
            END AS state,
            CASE
                WHEN s.n > total * 9 / 10
                    THEN until - interval '3 hours'
                        + interval '3 hours' * ((s.n - total * 9 / 10)::float8 / (total - total * 9 / 10))
                ELSE until - interval '6 days' + interval '141 hours' * (s.n::float8 / (total * 9 / 10))
            END AS created_at
        FROM generate_series(first, last) AS s (n)
    ) AS p
$$;
