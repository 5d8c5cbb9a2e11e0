//! Holds that lapsed long ago and still stand. Nobody is hurt by one (the write path passes over it), but its units look
//! held, and the sweeper that should have closed it is not at work.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::evidence::finding;
use super::{Correction, Finding, Kind, Subject};
use crate::ids::PoolId;
use crate::ledger::audit::place::{self, Place};

/// How long the sweeper may take.
const GRACE: TimeDelta = TimeDelta::minutes(10);

/// Holds that lapsed before, oldest first, after the one with this expiry and id.
pub(super) async fn find(
    conn: &mut PgConnection,
    pool: PoolId,
    now: DateTime<Utc>,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> sqlx::Result<Vec<(DateTime<Utc>, Uuid)>> {
    let (at, id) = after.unzip();
    let rows = sqlx::query!(
        r#"
        SELECT expires_at, reservation_id
        FROM reservations
        WHERE pool_id = $1 AND state = 'held' AND expires_at <= $2
            AND ($3::timestamptz IS NULL OR (expires_at, reservation_id) > ($3, $4::uuid))
        ORDER BY expires_at, reservation_id
        LIMIT $5
        "#,
        pool.0,
        now - GRACE,
        at,
        id,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.expires_at, row.reservation_id)).collect())
}

/// A hold that lapsed and still stands.
pub(super) async fn look(
    conn: &mut PgConnection,
    pool: PoolId,
    now: DateTime<Utc>,
    id: Uuid,
) -> sqlx::Result<Option<Finding>> {
    let seen = sqlx::query!(
        r#"
        SELECT
            r.expires_at, to_jsonb(r) - 'owner' - 'metadata' AS "row!",
            (
                SELECT jsonb_agg(to_jsonb(l) ORDER BY line)
                FROM reservation_lines AS l
                WHERE pool_id = $1 AND reservation_id = $2
            ) AS lines
        FROM reservations AS r
        WHERE r.pool_id = $1 AND r.reservation_id = $2 AND r.state = 'held' AND r.expires_at <= $3
        "#,
        pool.0,
        id,
        now - GRACE,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(seen) = seen else { return Ok(None) };
    let found = place::find(conn, pool, now, Place::Reservations(id, id)).await?;
    let correction = if found.iter().any(|one| one.check == "line_matches_ledger") {
        Correction::manual(
            "Its lines are not what its entries in the ledger say: closing it would give back what the lines say, and the \
             rest would stay held for ever. Restore its lines from a backup.",
        )
    } else {
        Correction::ExpireHold
    };
    let detail = format!("It lapsed at {} and was not closed.", seen.expires_at.format("%Y-%m-%dT%H:%M:%SZ"));
    let rows = [Some(seen.row), seen.lines].into_iter().flatten().collect();
    let subject = Subject::Reservation { reservation_id: id };
    Ok(Some(finding(Kind::StuckHold, pool, subject, rows, detail, correction)))
}
