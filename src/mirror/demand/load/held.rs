//! What reservations have for the orders that they were made for.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::ids::{PoolId, SkuId};

/// What a reservation has for an order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// When its held units go back.
    pub expires_at: DateTime<Utc>,
    /// Whether it has held units that have not lapsed.
    pub holds: bool,
    /// What it was asked for, by SKU.
    pub requested: BTreeMap<SkuId, i64>,
    /// Units of it that have not left: held, or owned by an order.
    pub units: BTreeMap<SkuId, i64>,
}

/// What these reservations of one pool have now.
///
/// # Errors
/// Database errors.
pub async fn find_held(
    conn: &mut PgConnection,
    pool: PoolId,
    reservations: &[Uuid],
    now: DateTime<Utc>,
) -> sqlx::Result<HashMap<Uuid, Held>> {
    let rows = sqlx::query!(
        r#"
        SELECT
            r.reservation_id, r.state, r.expires_at, l.sku_id, l.requested_quantity, l.held_quantity,
            l.committed_quantity, l.fulfilled_quantity
        FROM unnest($2::uuid[]) AS u (reservation_id)
        CROSS JOIN LATERAL (
            SELECT reservation_id, state, expires_at
            FROM reservations
            WHERE pool_id = $1 AND reservation_id = u.reservation_id
            LIMIT 1
        ) AS r
        CROSS JOIN LATERAL (
            SELECT sku_id, requested_quantity, held_quantity, committed_quantity, fulfilled_quantity
            FROM reservation_lines
            WHERE pool_id = $1 AND reservation_id = r.reservation_id
            OFFSET 0
        ) AS l
        "#,
        pool.0,
        reservations,
    )
    .fetch_all(conn)
    .await?;
    let mut found: HashMap<Uuid, Held> = HashMap::new();
    for row in rows {
        let own = found.entry(row.reservation_id).or_default();
        let lapsed = row.state == "held" && row.expires_at <= now;
        own.expires_at = row.expires_at;
        own.holds |= row.held_quantity > 0 && !lapsed;
        *own.requested.entry(SkuId(row.sku_id)).or_default() += i64::from(row.requested_quantity);
        let held = if lapsed { 0 } else { row.held_quantity };
        let units = i64::from(held) + i64::from(row.committed_quantity) - i64::from(row.fulfilled_quantity);
        *own.units.entry(SkuId(row.sku_id)).or_default() += units;
    }
    Ok(found)
}

/// What these reservations of one pool have become: a hold that had expired and was held for longer, or committed too
/// late, has a successor, and that may have one.
///
/// # Errors
/// Database errors.
pub async fn find_newest(
    conn: &mut PgConnection,
    pool: PoolId,
    reservations: &[Uuid],
) -> sqlx::Result<HashMap<Uuid, Uuid>> {
    let rows = sqlx::query!(
        r#"
        WITH RECURSIVE chain AS (
            SELECT u.reservation_id AS named, u.reservation_id AS newest, 0 AS steps
            FROM unnest($2::uuid[]) AS u (reservation_id)
            UNION ALL
            SELECT c.named, r.reservation_id, c.steps + 1
            FROM chain AS c
            CROSS JOIN LATERAL (
                SELECT reservation_id
                FROM reservations
                WHERE pool_id = $1
                    AND replaces_id = c.newest
                    AND replaces_id IS NOT NULL
                    AND origin IN ('extension', 'late_commit')
                LIMIT 1
            ) AS r
        )
        SELECT DISTINCT ON (named) named AS "named!", newest AS "newest!"
        FROM chain
        ORDER BY named, steps DESC
        "#,
        pool.0,
        reservations,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.named, row.newest)).collect())
}
