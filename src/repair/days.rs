//! Local days that are over and not closed. The next ones in a row are closed in order; one that is missing between
//! closed days stays missing: a closed day is never re-opened, and none is put in before it.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sqlx::PgConnection;

use super::evidence::finding;
use super::{Correction, Finding, Kind, Subject};
use crate::app::App;
use crate::catalog::zones;
use crate::ids::PoolId;
use crate::ledger::world::HOUSE;
use crate::snapshots;

/// Days of one pool in one look.
const MOST_DAYS: i64 = 400;

/// Days that are over and not closed, oldest first. The first day of a pool is the one on which it was made, or an
/// earlier one that was closed.
pub(super) async fn find(conn: &mut PgConnection, pool: PoolId, now: DateTime<Utc>) -> sqlx::Result<Vec<NaiveDate>> {
    let (zones, created_at) = zones::find(conn, pool).await?.ok_or(sqlx::Error::RowNotFound)?;
    let today = zones.date_at(now - TimeDelta::hours(1));
    sqlx::query_scalar!(
        r#"
        SELECT day::date AS "day!"
        FROM generate_series(
            least((SELECT min(snapshot_date) FROM snapshots WHERE pool_id = $1), $2::date)::timestamp,
            $3::date - interval '1 day',
            interval '1 day'
        ) AS day
        WHERE NOT EXISTS (
            SELECT FROM snapshots WHERE pool_id = $1 AND snapshot_date = day::date AND status = 'closed'
        )
        ORDER BY day
        LIMIT $4
        "#,
        pool.0,
        zones.date_at(created_at),
        today,
        MOST_DAYS,
    )
    .fetch_all(conn)
    .await
}

/// A day that is over and not closed.
pub(super) async fn look(
    conn: &mut PgConnection,
    pool: PoolId,
    now: DateTime<Utc>,
    date: NaiveDate,
) -> sqlx::Result<Option<Finding>> {
    if !find(conn, pool, now).await?.contains(&date) {
        return Ok(None);
    }
    let seen = sqlx::query!(
        r#"
        SELECT
            (SELECT to_jsonb(s) FROM snapshots AS s WHERE pool_id = $1 AND snapshot_date = $2) AS own,
            (
                SELECT min(snapshot_date) FROM snapshots WHERE pool_id = $1 AND snapshot_date > $2
            ) AS following,
            EXISTS (SELECT FROM snapshot_skus WHERE pool_id = $1 AND snapshot_date = $2)
            OR EXISTS (SELECT FROM lot_shortages WHERE pool_id = $1 AND opened_date = $2) AS "closed_before!",
            EXISTS (
                SELECT
                FROM lot_transactions AS t
                JOIN lots AS l ON l.pool_id = $1 AND l.lot_id = t.lot_id
                WHERE t.pool_id = $1 AND t.source_ref_id = $3 AND t.row_source = 'snapshot_depletion'
                    AND NOT EXISTS (
                        SELECT FROM snapshot_skus WHERE pool_id = $1 AND sku_id = l.sku_id AND snapshot_date = $2
                    )
            ) AS "depleted!"
        "#,
        pool.0,
        date,
        date.format("%Y%m%d").to_string(),
    )
    .fetch_one(conn)
    .await?;
    let begun = seen.own.is_some();
    let (detail, correction) = match seen.following {
        Some(following) => (
            format!("It is missing, and {following} was closed after it."),
            Correction::manual(
                "Later days are closed and never re-opened. What shipped on it was taken by the next day that closed, \
                 late; restore the missing rows from a backup if there is one.",
            ),
        ),
        None if !begun && seen.closed_before => (
            "It is not closed, but what a close of it wrote is there.".to_owned(),
            Correction::manual(
                "It was closed before and its row in `snapshots` is gone, perhaps others too. Closing it again would \
                 deplete lots again: restore the rows of that day from a backup.",
            ),
        ),
        None if seen.depleted => (
            "It is not closed, but lots have been depleted for it.".to_owned(),
            Correction::manual(
                "Its close would be refused (`depleted_before`). If it was closed before, restore its rows in \
                 `snapshots` and `snapshot_skus` from a backup. If lots were depleted for it by hand, leave those rows \
                 out of the index by name, as the runbook says, and close it.",
            ),
        ),
        None if begun => ("Its close was begun and not finished.".to_owned(), Correction::CloseDay),
        None => ("It is over and not closed.".to_owned(), Correction::CloseDay),
    };
    let rows = vec![serde_json::json!({
        "date": date, "begun": begun, "following": seen.following, "closed_before": !begun && seen.closed_before,
        "depleted": seen.depleted,
    })];
    Ok(Some(finding(Kind::OpenDay, pool, Subject::Day { date }, rows, detail, correction)))
}

/// Closes a day. Why it was not closed, if so.
pub(super) async fn close(app: &App, pool: PoolId, date: NaiveDate) -> Option<String> {
    let closing = snapshots::Closing { pool, date, early: false, client: HOUSE };
    snapshots::close_day(app, closing, &|| true).await.err().map(|error| format!("It was not closed: {error}."))
}
