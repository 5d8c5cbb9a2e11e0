//! The past: millions of reservations of `SKU-1`, with their lines, ledger entries and idempotency keys, written as SQL
//! by the shape of `history.sql`. All constraints hold and the ledger adds up, so what is measured on top is the same
//! service at a later age.

use std::ops::RangeInclusive;

use anyhow::Context;
use chrono::{DateTime, Utc};
use sqlx::{Connection, Executor, PgConnection};

use crate::cluster::{Cluster, Database};

const SHAPE: &str = include_str!("history.sql");
const CHUNK: i64 = 100_000;

const RESERVATIONS: &str = "
    INSERT INTO reservations (
        pool_id, reservation_id, client_id, state, origin, order_ref, created_at, expires_at, max_expires_at,
        committed_at, closed_at, closed_reason
    )
    SELECT
        1, h.reservation_id, $5, h.state, 'checkout',
        CASE WHEN h.state = 'committed' THEN 'order-' || h.n END,
        h.created_at, h.expires_at, h.created_at + interval '1 day',
        CASE WHEN h.state = 'committed' THEN h.settled_at END,
        CASE WHEN h.state IN ('released', 'expired') THEN h.settled_at END,
        CASE WHEN h.state IN ('released', 'expired') THEN h.state END
    FROM bench.history($1, $2, $3, $4) AS h";

const LINES: &str = "
    INSERT INTO reservation_lines (
        pool_id, reservation_id, line, sku_id, tracked, requested_quantity, short_quantity, held_quantity,
        committed_quantity, released_quantity, expired_quantity, cancelled_quantity, fulfilled_quantity, expires_at
    )
    SELECT
        1, h.reservation_id, 1, 1, true, 1, 0, (h.state = 'held')::int, (h.state = 'committed')::int,
        (h.state = 'released')::int, (h.state = 'expired')::int, 0, 0, h.expires_at
    FROM bench.history($1, $2, $3, $4) AS h";

/// A settled reservation has two entries, a held one has one. Sequence 1 is the receipt. At most one settled hold is
/// open at a time; of n settled ones, n − ⌊n/4⌋ are committed.
const ENTRIES: &str = "
    INSERT INTO stock_entries (
        pool_id, sku_id, seq, kind, on_hand_delta, quarantined_delta, held_delta, committed_delta, on_hand_after,
        quarantined_after, held_after, committed_after, safety_stock_quantity, oversell_tolerance_quantity,
        reservation_id, line, closes_line, client_id, recorded_at
    )
    SELECT
        1, 1,
        CASE
            WHEN h.n > c.settled THEN 1 + c.settled + h.n
            ELSE 2 * h.n + closing
        END,
        CASE
            WHEN closing = 0 THEN 'hold'
            WHEN h.state = 'committed' THEN 'commit'
            WHEN h.state = 'released' THEN 'release'
            ELSE 'expire'
        END,
        0, 0,
        1 - 2 * closing,
        closing * (h.state = 'committed')::int,
        s.on_hand, 0,
        CASE WHEN h.n > c.settled THEN h.n - c.settled ELSE 1 - closing END,
        least(h.n - 1 + closing, c.settled) - least(h.n - 1 + closing, c.settled) / 4,
        CASE WHEN closing = 0 THEN 0 END,
        CASE WHEN closing = 0 THEN 0 END,
        h.reservation_id, 1, closing = 1, $5,
        CASE WHEN closing = 0 THEN h.created_at ELSE h.settled_at END
    FROM bench.history($1, $2, $3, $4) AS h
    CROSS JOIN generate_series(0, 1) AS closing
    CROSS JOIN (SELECT $3 * 9 / 10 AS settled) AS c
    JOIN stock AS s ON s.pool_id = 1 AND s.sku_id = 1
    WHERE closing = 0 OR h.n <= c.settled";

const KEYS: &str = "
    INSERT INTO idempotency_keys (pool_id, client_id, key, fingerprint, status, body, created_at)
    SELECT
        1, $5, md5('key ' || h.n)::uuid::text, sha256(int8send(h.n)), 201, decode(repeat('7b', 480), 'hex'),
        h.created_at
    FROM bench.history($1, $2, $3, $4) AS h";

const BALANCE: &str = "
    UPDATE stock
    SET held = $1 - c.settled,
        committed = c.settled - c.settled / 4,
        seq = 1 + c.settled + $1,
        updated_at = now()
    FROM (SELECT $1 * 9 / 10 AS settled) AS c
    WHERE pool_id = 1 AND sku_id = 1";

/// Writes `rows` reservations of `client` into a stocked database in which nothing has been reserved.
///
/// # Errors
/// Database errors.
pub async fn fill(cluster: &Cluster, database: &Database, client: i64, rows: i64) -> anyhow::Result<()> {
    let mut conn = cluster.connect(&database.name).await?;
    conn.execute(sqlx::raw_sql(SHAPE)).await?;
    let until: DateTime<Utc> = sqlx::query_scalar("SELECT now()").fetch_one(&mut conn).await?;
    let past = Past { client, rows, until };
    let (claims, ledger) = (cluster.connect(&database.name).await?, cluster.connect(&database.name).await?);
    // Two sessions for two cores; without the foreign-key checks neither needs the other's rows.
    tokio::try_join!(past.write(claims, &[RESERVATIONS, LINES]), past.write(ledger, &[ENTRIES, KEYS]))?;
    sqlx::query(BALANCE).bind(rows).execute(&mut conn).await?;
    conn.execute("DROP SCHEMA bench CASCADE").await?;
    // A database of this age has been vacuumed and analysed many times over.
    conn.execute("VACUUM (ANALYZE)").await?;
    conn.close().await?;
    Ok(())
}

/// The arguments of every statement above.
struct Past {
    client: i64,
    rows: i64,
    until: DateTime<Utc>,
}

impl Past {
    async fn write(&self, mut conn: PgConnection, statements: &[&'static str]) -> anyhow::Result<()> {
        // The rows satisfy the foreign keys by construction; checking each would take longer than writing it.
        conn.execute("SET session_replication_role = replica").await?;
        conn.execute("SET synchronous_commit = off").await?;
        for chunk in chunks(self.rows) {
            for statement in statements {
                sqlx::query(*statement)
                    .bind(chunk.start())
                    .bind(chunk.end())
                    .bind(self.rows)
                    .bind(self.until)
                    .bind(self.client)
                    .execute(&mut conn)
                    .await
                    .with_context(|| format!("cannot fill rows {chunk:?}"))?;
            }
        }
        conn.close().await?;
        Ok(())
    }
}

fn chunks(rows: i64) -> impl Iterator<Item = RangeInclusive<i64>> {
    (0..)
        .map(|chunk| chunk * CHUNK)
        .take_while(move |before| *before < rows)
        .map(move |before| before + 1..=(before + CHUNK).min(rows))
}
