//! Closes the rows of holds that are past their expiry, pool by pool, through the lanes like any other command.
//! Housekeeping: it can be down without harm, and two instances doing it at once do nothing twice.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::app::App;
use crate::ids::{PoolId, ReservationId};
use crate::ledger::command::{Command, Expire};
use crate::ledger::submission::Submission;
use crate::ledger::world::HOUSE;

const PAGE: i64 = 500;

/// What one pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Holds that were due.
    pub due: usize,
    /// Holds that were closed.
    pub closed: usize,
}

/// Sweeps every pool once, page after page while there are full ones.
///
/// # Errors
/// Database errors; what was closed stays closed.
pub async fn sweep(app: &Arc<App>) -> sqlx::Result<Swept> {
    let mut swept = Swept::default();
    let mut oldest = None;
    let pools: Vec<PoolId> = app.catalogue.current().pools().map(|pool| pool.id).collect();
    for pool in pools {
        loop {
            let now = app.clock.local_now();
            let due = find_due(&app.db, pool, now).await?;
            oldest = oldest.max(due.first().map(|(_, expires_at)| now - *expires_at));
            let closed = close(app, pool, &due).await;
            swept.due += due.len();
            swept.closed += closed;
            let full = i64::try_from(due.len()).is_ok_and(|found| found == PAGE);
            // A page that could not be closed would come back for ever.
            if !full || closed == 0 {
                break;
            }
        }
    }
    let lag = oldest.map_or(0, |lag| lag.num_milliseconds().max(0));
    metrics::gauge!("holdfast_sweeper_lag_seconds").set(f64::from(i32::try_from(lag).unwrap_or(i32::MAX)) / 1000.0);
    metrics::counter!("holdfast_swept_total").increment(swept.closed.try_into().unwrap_or(0));
    Ok(swept)
}

async fn close(app: &Arc<App>, pool: PoolId, due: &[(Uuid, DateTime<Utc>)]) -> usize {
    let submissions = due.iter().map(|(uuid, _)| {
        let id = ReservationId { pool, uuid: *uuid };
        let submission = Submission {
            client: HOUSE,
            key: None,
            pool,
            request_id: "sweeper".into(),
            instance: "".into(),
            command: Command::Expire(Expire { id }),
        };
        app.lanes.submit(submission, id.lane_hint())
    });
    let answers = futures_util::future::join_all(submissions).await;
    answers.into_iter().flatten().count()
}

async fn find_due(db: &PgPool, pool: PoolId, now: DateTime<Utc>) -> sqlx::Result<Vec<(Uuid, DateTime<Utc>)>> {
    let rows = sqlx::query!(
        r#"
        SELECT reservation_id, expires_at
        FROM reservations
        WHERE pool_id = $1 AND state = 'held' AND expires_at <= $2
        ORDER BY expires_at
        LIMIT $3
        "#,
        pool.0,
        now,
        PAGE,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.reservation_id, row.expires_at)).collect())
}
