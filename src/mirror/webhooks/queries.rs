//! The rows of deliveries. Whoever calls these is [the mirror](crate::mirror::store::write), but for reading.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};

use super::hint::Meaning;
use super::receive::Delivery;
use super::view::DeliveryStatus;
use crate::clock::Clock;
use crate::jobs::state::Status;
use crate::mirror::rows::Source;

/// Stores a delivery. False if it was stored before.
pub(super) async fn insert(conn: &mut PgConnection, clock: &Clock, delivery: &Delivery) -> sqlx::Result<bool> {
    let (entity, id, status, error) = match delivery.hint.meaning {
        Meaning::Fetch(entity, id) => (Some(entity.as_str()), Some(id), DeliveryStatus::Pending, None),
        Meaning::OtherTopic => (None, None, DeliveryStatus::Ignored, None),
        Meaning::NoId => (None, None, DeliveryStatus::Ignored, Some("the body does not say what it is about")),
    };
    let done = sqlx::query!(
        r#"
        INSERT INTO mirror.webhook_deliveries (
            source, delivery_id, topic, entity, entity_id, triggered_at, received_at, body, status, attempts,
            next_attempt_at, processed_at, last_error
        )
        SELECT
            $1, $2, $3, $4, $5, $6, received.at, $7, $8, 0, received.at,
            CASE WHEN $8 = 'pending' THEN NULL ELSE received.at END, $9
        FROM (SELECT clock_timestamp() + make_interval(secs => $10) AS at) AS received
        ON CONFLICT (source, delivery_id) DO NOTHING
        "#,
        delivery.source.as_str(),
        delivery.delivery_id,
        delivery.topic,
        entity,
        id,
        delivery.triggered_at,
        delivery.hint.about,
        status.as_str(),
        error,
        clock.offset_seconds(),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A delivery that this instance works on until its lease ends.
#[derive(Debug, Clone)]
pub(super) struct ClaimedRow {
    pub delivery_id: String,
    pub entity: Option<String>,
    pub entity_id: Option<i64>,
    pub received_at: DateTime<Utc>,
    /// Which attempt this is, from 1; also the fence.
    pub attempts: i32,
}

/// Takes deliveries that may be attempted, the longest due first. The lease is the time of their next attempt: they stay
/// pending, and come again by themselves if their worker dies.
pub(super) async fn claim(
    conn: &mut PgConnection,
    source: Source,
    now: DateTime<Utc>,
    lease: TimeDelta,
    most: i64,
) -> sqlx::Result<Vec<ClaimedRow>> {
    // ARRAY: a sub-select is asked once whatever the plan, and so locks no more than its limit.
    sqlx::query_as!(
        ClaimedRow,
        r#"
        UPDATE mirror.webhook_deliveries
        SET attempts = attempts + 1, next_attempt_at = $3
        WHERE source = $1
            AND delivery_id = ANY(ARRAY(
                SELECT delivery_id
                FROM mirror.webhook_deliveries
                WHERE source = $1 AND status = 'pending' AND next_attempt_at <= $2
                ORDER BY next_attempt_at
                LIMIT $4
                FOR UPDATE SKIP LOCKED
            ))
        RETURNING delivery_id, entity, entity_id, received_at, attempts
        "#,
        source.as_str(),
        now,
        now + lease,
        most,
    )
    .fetch_all(conn)
    .await
}

/// How an attempt at a delivery ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub delivery_id: String,
    pub attempts: i32,
    pub status: DeliveryStatus,
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub error: Option<String>,
}

/// Writes down how attempts ended, where they have not lost their lease to another. Gives how many were written.
pub(super) async fn end(
    conn: &mut PgConnection,
    source: Source,
    now: DateTime<Utc>,
    ended: &[Ended],
) -> sqlx::Result<u64> {
    let ids: Vec<String> = ended.iter().map(|one| one.delivery_id.clone()).collect();
    let attempts: Vec<i32> = ended.iter().map(|one| one.attempts).collect();
    let statuses: Vec<String> = ended.iter().map(|one| one.status.as_str().to_owned()).collect();
    let nexts: Vec<Option<DateTime<Utc>>> = ended.iter().map(|one| one.next_attempt_at).collect();
    let errors: Vec<Option<String>> = ended.iter().map(|one| one.error.clone()).collect();
    let done = sqlx::query!(
        r#"
        UPDATE mirror.webhook_deliveries AS d
        SET status = ended.status,
            next_attempt_at = coalesce(ended.next_attempt_at, d.next_attempt_at),
            processed_at = CASE WHEN ended.status = 'pending' THEN NULL ELSE $2::timestamptz END,
            last_error = coalesce(ended.error, d.last_error)
        FROM UNNEST($3::text[], $4::integer[], $5::text[], $6::timestamptz[], $7::text[])
            AS ended (delivery_id, attempts, status, next_attempt_at, error)
        WHERE d.source = $1
            AND d.delivery_id = ended.delivery_id
            AND d.attempts = ended.attempts
            AND d.status = 'pending'
        "#,
        source.as_str(),
        now,
        &ids,
        &attempts,
        &statuses,
        &nexts as &[Option<DateTime<Utc>>],
        &errors as &[Option<String>],
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Makes a delivery that was given up due now, with all its attempts ahead. Others stay as they are.
pub(super) async fn rearm(
    conn: &mut PgConnection,
    source: Source,
    delivery_id: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        r#"
        UPDATE mirror.webhook_deliveries
        SET status = 'pending', attempts = 0, next_attempt_at = $3, processed_at = NULL
        WHERE source = $1 AND delivery_id = $2 AND status = 'failed'
        "#,
        source.as_str(),
        delivery_id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets a page of what nobody will ask about any more.
pub(super) async fn delete_page(
    conn: &mut PgConnection,
    done_before: DateTime<Utc>,
    failed_before: DateTime<Utc>,
    most: i64,
) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        r#"
        DELETE FROM mirror.webhook_deliveries
        WHERE ctid = ANY(ARRAY(
            SELECT ctid
            FROM mirror.webhook_deliveries
            WHERE received_at < $1
                AND (status IN ('done', 'ignored') OR (status = 'failed' AND received_at < $2))
            LIMIT $3
        ))
            AND status <> 'pending'
        "#,
        done_before,
        failed_before,
        most,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// A delivery as it is stored.
#[derive(Debug)]
pub struct DeliveryRow {
    /// Who sent it.
    pub source: String,
    /// What it is stored under.
    pub delivery_id: String,
    /// What happened.
    pub topic: String,
    /// What is fetched because of it.
    pub entity: Option<String>,
    /// Its id upstream.
    pub entity_id: Option<i64>,
    /// When it happened, as the source says.
    pub triggered_at: Option<DateTime<Utc>>,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// What is kept of it.
    pub body: Value,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// How often it was tried.
    pub attempts: i32,
    /// When it is tried next, while it is pending.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// When it was done, ignored or given up.
    pub processed_at: Option<DateTime<Utc>>,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// Where a page of deliveries ended.
pub type After = (DateTime<Utc>, String, String);

/// Which deliveries to list.
#[derive(Debug, Default)]
pub struct Filter {
    /// Of this source.
    pub source: Option<Source>,
    /// In this status.
    pub status: Option<DeliveryStatus>,
}

/// Deliveries, newest first.
///
/// # Errors
/// Database errors.
pub async fn list(db: &PgPool, filter: &Filter, after: Option<After>, limit: i64) -> sqlx::Result<Vec<DeliveryRow>> {
    let (at, source, id) = after.map_or((None, None, None), |(at, source, id)| (Some(at), Some(source), Some(id)));
    sqlx::query_as!(
        DeliveryRow,
        r#"
        SELECT
            source, delivery_id, topic, entity, entity_id, triggered_at, received_at, body,
            status AS "status: DeliveryStatus", attempts,
            CASE WHEN status = 'pending' THEN next_attempt_at END AS next_attempt_at, processed_at, last_error
        FROM mirror.webhook_deliveries
        WHERE ($1::text IS NULL OR source = $1)
            AND ($2::text IS NULL OR status = $2)
            AND ($3::timestamptz IS NULL OR (received_at, source, delivery_id) < ($3, $4::text, $5::text))
        ORDER BY received_at DESC, source DESC, delivery_id DESC
        LIMIT $6
        "#,
        filter.source.map(Source::as_str),
        filter.status.map(DeliveryStatus::as_str),
        at,
        source,
        id,
        limit,
    )
    .fetch_all(db)
    .await
}

/// This delivery, if it is known.
///
/// # Errors
/// Database errors.
pub async fn find(conn: &mut PgConnection, source: Source, delivery_id: &str) -> sqlx::Result<Option<DeliveryRow>> {
    sqlx::query_as!(
        DeliveryRow,
        r#"
        SELECT
            source, delivery_id, topic, entity, entity_id, triggered_at, received_at, body,
            status AS "status: DeliveryStatus", attempts,
            CASE WHEN status = 'pending' THEN next_attempt_at END AS next_attempt_at, processed_at, last_error
        FROM mirror.webhook_deliveries
        WHERE source = $1 AND delivery_id = $2
        "#,
        source.as_str(),
        delivery_id,
    )
    .fetch_optional(conn)
    .await
}

/// How many deliveries of a source are waiting, and how many were given up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Waiting for an attempt, or at work.
    pub pending: i64,
    /// When the oldest of them came.
    pub oldest_pending_at: Option<DateTime<Utc>>,
    /// Given up.
    pub failed: i64,
    /// When the newest of all came.
    pub newest_at: Option<DateTime<Utc>>,
}

/// What is left to do of a source's deliveries.
///
/// # Errors
/// Database errors.
pub async fn backlog(db: &PgPool, source: Source) -> sqlx::Result<Backlog> {
    sqlx::query_as!(
        Backlog,
        r#"
        SELECT
            count(*) FILTER (WHERE status = 'pending') AS "pending!",
            min(received_at) FILTER (WHERE status = 'pending') AS oldest_pending_at,
            count(*) FILTER (WHERE status = 'failed') AS "failed!",
            (
                SELECT max(received_at) FROM mirror.webhook_deliveries WHERE source = $1
            ) AS newest_at
        FROM mirror.webhook_deliveries
        WHERE source = $1 AND status IN ('pending', 'failed')
        "#,
        source.as_str(),
    )
    .fetch_one(db)
    .await
}

/// Where a delivery stands after an attempt.
impl From<Status> for DeliveryStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Pending | Status::Running => Self::Pending,
            Status::Succeeded => Self::Done,
            Status::Failed => Self::Failed,
        }
    }
}
