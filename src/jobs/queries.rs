//! SQL of slots. `job_slots` is a global table: few rows per pool and day, none of them stock.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::schedule::{Last, Planned};
use super::state::{Settled, Status};
use crate::catalog::days::Window;

/// Which slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SlotId {
    /// Name of the job.
    pub job: String,
    /// Code of the pool; empty for a job of the whole service.
    pub pool_code: String,
    /// A date or an instant.
    pub slot: String,
}

/// A slot as it is stored.
#[derive(Debug, Clone)]
pub(super) struct SlotRow {
    pub job: String,
    pub pool_code: String,
    pub slot: String,
    pub window_starts_at: DateTime<Utc>,
    pub window_ends_at: DateTime<Utc>,
    pub due_at: DateTime<Utc>,
    pub status: Status,
    pub attempts: i32,
    pub failures: i32,
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub instance: Option<String>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub last_error: Option<String>,
    pub report: Option<serde_json::Value>,
}

impl SlotRow {
    pub(super) fn id(&self) -> SlotId {
        SlotId { job: self.job.clone(), pool_code: self.pool_code.clone(), slot: self.slot.clone() }
    }

    pub(super) fn window(&self) -> Window {
        Window { starts_at: self.window_starts_at, ends_at: self.window_ends_at }
    }

    pub(super) fn last(&self) -> Last {
        let planned = Planned { key: self.slot.clone(), window: self.window(), due_at: self.due_at };
        Last { planned, status: self.status }
    }
}

/// The newest slots, at most `most` for each of these jobs and pools (pairs, by position), newest first.
pub(super) async fn list_newest(
    conn: &mut PgConnection,
    jobs: &[String],
    pool_codes: &[String],
    most: i64,
) -> sqlx::Result<Vec<SlotRow>> {
    sqlx::query_as!(
        SlotRow,
        r#"
        SELECT
            s.job, s.pool_code, s.slot, s.window_starts_at, s.window_ends_at, s.due_at, s.status AS "status: Status",
            s.attempts, s.failures, s.next_attempt_at, s.instance, s.started_at, s.finished_at, s.last_error, s.report
        FROM unnest($1::text[], $2::text[]) AS asked (job, pool_code)
        CROSS JOIN LATERAL (
            SELECT *
            FROM job_slots AS one
            WHERE one.job = asked.job AND one.pool_code = asked.pool_code
            ORDER BY one.window_ends_at DESC, one.slot DESC
            LIMIT $3
        ) AS s
        "#,
        jobs,
        pool_codes,
        most,
    )
    .fetch_all(conn)
    .await
}

/// Writes down that these slots are due; gives how many were not there yet. A slot is left out where another one of its
/// job and pool is open.
pub(super) async fn insert_due(conn: &mut PgConnection, due: &[(SlotId, Planned)]) -> sqlx::Result<u64> {
    let column = |of: fn(&SlotId) -> &String| due.iter().map(|(id, _)| of(id).clone()).collect::<Vec<_>>();
    let times = |of: fn(&Planned) -> DateTime<Utc>| due.iter().map(|(_, planned)| of(planned)).collect::<Vec<_>>();
    let done = sqlx::query!(
        r#"
        INSERT INTO job_slots (
            job, pool_code, slot, window_starts_at, window_ends_at, due_at, status, attempts, failures, next_attempt_at
        )
        SELECT job, pool_code, slot, window_starts_at, window_ends_at, due_at, 'pending', 0, 0, due_at
        FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[])
            AS planned (job, pool_code, slot, window_starts_at, window_ends_at, due_at)
        ON CONFLICT DO NOTHING
        "#,
        &column(|id| &id.job),
        &column(|id| &id.pool_code),
        &column(|id| &id.slot),
        &times(|planned| planned.window.starts_at),
        &times(|planned| planned.window.ends_at),
        &times(|planned| planned.due_at),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Which of these jobs have a slot to attempt (`pending`) or to rescue (`running`).
pub(super) async fn list_ready(
    conn: &mut PgConnection,
    jobs: &[String],
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<(String, Status)>> {
    let rows = sqlx::query!(
        r#"
        SELECT DISTINCT job, status AS "status: Status"
        FROM job_slots
        WHERE job = ANY($1)
            AND status IN ('pending', 'running')
            AND coalesce(next_attempt_at, lease_expires_at) <= $2
        "#,
        jobs,
        now,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.job, row.status)).collect())
}

/// A slot of this job that may be attempted, the longest due first.
pub(super) async fn lock_due(conn: &mut PgConnection, job: &str, now: DateTime<Utc>) -> sqlx::Result<Option<SlotRow>> {
    sqlx::query_as!(
        SlotRow,
        r#"
        SELECT
            job, pool_code, slot, window_starts_at, window_ends_at, due_at, status AS "status: Status",
            attempts, failures, next_attempt_at, instance, started_at, finished_at, last_error, report
        FROM job_slots
        WHERE job = $1 AND status = 'pending' AND next_attempt_at <= $2
        ORDER BY due_at, pool_code
        LIMIT 1
        FOR UPDATE SKIP LOCKED
        "#,
        job,
        now,
    )
    .fetch_optional(conn)
    .await
}

/// Slots of these jobs whose worker has let its lease run out.
pub(super) async fn lock_expired(
    conn: &mut PgConnection,
    jobs: &[String],
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<SlotRow>> {
    sqlx::query_as!(
        SlotRow,
        r#"
        SELECT
            job, pool_code, slot, window_starts_at, window_ends_at, due_at, status AS "status: Status",
            attempts, failures, next_attempt_at, instance, started_at, finished_at, last_error, report
        FROM job_slots
        WHERE job = ANY($1) AND status = 'running' AND lease_expires_at <= $2
        ORDER BY job, pool_code, slot
        FOR UPDATE SKIP LOCKED
        "#,
        jobs,
        now,
    )
    .fetch_all(conn)
    .await
}

/// The slot of this job and pool that is waiting or at work.
pub(super) async fn lock_open(conn: &mut PgConnection, job: &str, pool_code: &str) -> sqlx::Result<Option<SlotRow>> {
    sqlx::query_as!(
        SlotRow,
        r#"
        SELECT
            job, pool_code, slot, window_starts_at, window_ends_at, due_at, status AS "status: Status",
            attempts, failures, next_attempt_at, instance, started_at, finished_at, last_error, report
        FROM job_slots
        WHERE job = $1 AND pool_code = $2 AND status IN ('pending', 'running')
        FOR UPDATE
        "#,
        job,
        pool_code,
    )
    .fetch_optional(conn)
    .await
}

/// This slot, if it is known.
pub(super) async fn lock_slot(conn: &mut PgConnection, id: &SlotId) -> sqlx::Result<Option<SlotRow>> {
    sqlx::query_as!(
        SlotRow,
        r#"
        SELECT
            job, pool_code, slot, window_starts_at, window_ends_at, due_at, status AS "status: Status",
            attempts, failures, next_attempt_at, instance, started_at, finished_at, last_error, report
        FROM job_slots
        WHERE job = $1 AND pool_code = $2 AND slot = $3
        FOR UPDATE
        "#,
        id.job,
        id.pool_code,
        id.slot,
    )
    .fetch_optional(conn)
    .await
}

/// Begins the next attempt of a locked, pending slot.
pub(super) async fn begin_attempt(
    conn: &mut PgConnection,
    id: &SlotId,
    instance: &str,
    now: DateTime<Utc>,
    lease_expires_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        UPDATE job_slots
        SET status = 'running', attempts = attempts + 1, next_attempt_at = NULL, lease_expires_at = $5, instance = $4,
            started_at = $6, finished_at = NULL
        WHERE job = $1 AND pool_code = $2 AND slot = $3
        "#,
        id.job,
        id.pool_code,
        id.slot,
        instance,
        lease_expires_at,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes a pending slot, or one that failed for good, due now and with all its attempts ahead.
pub(super) async fn rearm(conn: &mut PgConnection, id: &SlotId, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        UPDATE job_slots
        SET status = 'pending', failures = 0, next_attempt_at = $4
        WHERE job = $1 AND pool_code = $2 AND slot = $3
        "#,
        id.job,
        id.pool_code,
        id.slot,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes the lease of this attempt last longer. False if the attempt has lost it.
pub(super) async fn renew_lease(
    conn: &mut PgConnection,
    id: &SlotId,
    attempt: i32,
    lease_expires_at: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        r#"
        UPDATE job_slots
        SET lease_expires_at = $5
        WHERE job = $1 AND pool_code = $2 AND slot = $3 AND attempts = $4 AND status = 'running'
        "#,
        id.job,
        id.pool_code,
        id.slot,
        attempt,
        lease_expires_at,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends this attempt. False if it has lost its lease to another one: nothing is written then.
pub(super) async fn end_attempt(
    conn: &mut PgConnection,
    id: &SlotId,
    attempt: i32,
    now: DateTime<Utc>,
    settled: &Settled,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        r#"
        UPDATE job_slots
        SET status = $5, failures = $6, next_attempt_at = $7, lease_expires_at = NULL, finished_at = $8,
            last_error = coalesce($9, last_error), report = $10
        WHERE job = $1 AND pool_code = $2 AND slot = $3 AND attempts = $4 AND status = 'running'
        "#,
        id.job,
        id.pool_code,
        id.slot,
        attempt,
        settled.status.as_str(),
        settled.failures,
        settled.next_attempt_at,
        now,
        settled.error.as_deref(),
        settled.report,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
