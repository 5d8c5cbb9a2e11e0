//! The balance of each SKU at the end of the day, whenever the day is closed.

use sqlx::PgConnection;

use super::CloseError;
use super::chunk::Member;
use super::close::Day;

/// A balance as it was.
#[derive(Debug)]
pub(super) struct Photograph {
    pub sku_id: i64,
    pub on_hand: i64,
    pub quarantined: i64,
    pub held: i64,
    pub committed: i64,
    /// Number of the ledger entry that it stood after; 0 before the first.
    pub seq: i64,
}

/// Entries are numbered in the order of their times, so the last one of the day is found by halving: a hot SKU that is
/// closed a week late has millions of entries since.
pub(super) async fn take(conn: &mut PgConnection, day: Day, members: &[Member]) -> Result<Vec<Photograph>, CloseError> {
    let skus: Vec<i64> = members.iter().map(|member| member.sku).collect();
    let photographs = sqlx::query_as!(
        Photograph,
        r#"
        WITH RECURSIVE halved AS (
            SELECT s.sku_id, 0::bigint AS low, s.seq AS high
            FROM unnest($2::bigint[]) AS k (sku_id)
            JOIN stock AS s ON s.pool_id = $1 AND s.sku_id = k.sku_id
            WHERE s.updated_at >= $3
            UNION ALL
            SELECT
                h.sku_id,
                CASE WHEN e.recorded_at < $3 THEN e.seq ELSE h.low END,
                CASE WHEN e.recorded_at < $3 THEN h.high ELSE e.seq - 1 END
            FROM halved AS h
            JOIN stock_entries AS e
                ON e.pool_id = $1 AND e.sku_id = h.sku_id AND e.seq = (h.low + h.high + 1) / 2
            WHERE h.low < h.high
        )
        SELECT
            s.sku_id AS "sku_id!", s.on_hand AS "on_hand!", s.quarantined AS "quarantined!", s.held AS "held!",
            s.committed AS "committed!", s.seq AS "seq!"
        FROM unnest($2::bigint[]) AS k (sku_id)
        JOIN stock AS s ON s.pool_id = $1 AND s.sku_id = k.sku_id
        WHERE s.updated_at < $3
        UNION ALL
        SELECT
            h.sku_id, coalesce(e.on_hand_after, 0), coalesce(e.quarantined_after, 0), coalesce(e.held_after, 0),
            coalesce(e.committed_after, 0), h.low
        FROM halved AS h
        LEFT JOIN stock_entries AS e ON e.pool_id = $1 AND e.sku_id = h.sku_id AND e.seq = h.low
        WHERE h.low = h.high
        "#,
        day.pool.0,
        &skus,
        day.window.ends_at,
    )
    .fetch_all(conn)
    .await?;
    if photographs.len() == members.len() {
        Ok(photographs)
    } else {
        let detail = format!("{} balances of {} SKUs were found", photographs.len(), members.len());
        Err(CloseError::Inconsistent(detail))
    }
}
