//! The rows of `mirror.streams`.

use chrono::{DateTime, Utc};
use scoped_futures::ScopedFutureExt;
use sqlx::PgConnection;

use super::Stream;
use super::place::Place;
use crate::app::App;
use crate::mirror::store;

/// A stream as its row says.
#[derive(Debug, Clone)]
pub struct StreamRow {
    /// Of which upstream.
    pub source: String,
    /// Which.
    pub stream: String,
    /// `backfill` or `incremental`.
    pub phase: String,
    /// Every change up to here is copied.
    pub watermark: Option<DateTime<Utc>>,
    /// The first instant of the open window.
    pub window_from: Option<DateTime<Utc>>,
    /// The first instant after it.
    pub window_to: Option<DateTime<Utc>>,
    /// The upstream's word for its next page.
    pub cursor: Option<String>,
    /// Objects seen in the open window.
    pub window_seen: i64,
    /// Objects seen, ever.
    pub seen: i64,
    /// Copies written, ever.
    pub written: i64,
    /// Where the backfill begins.
    pub backfill_from: Option<DateTime<Utc>>,
    /// Where it ends.
    pub backfill_to: Option<DateTime<Utc>>,
    /// Objects that the backfill will see, if known.
    pub backfill_expected: Option<i64>,
    /// Objects that it has seen.
    pub backfill_seen: i64,
    /// The first change that it was shown.
    pub backfill_first_at: Option<DateTime<Utc>>,
    /// When it was done.
    pub backfilled_at: Option<DateTime<Utc>>,
    /// When the copies were last compared with what there is.
    pub reconciled_at: Option<DateTime<Utc>>,
    /// When all copies that matter were last compared, however old.
    pub deep_reconciled_at: Option<DateTime<Utc>>,
    /// Whether what the open window shows is fetched again, also where the copy is as new.
    pub refetching: bool,
    /// When a page was last written.
    pub last_success_at: Option<DateTime<Utc>>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// When.
    pub last_error_at: Option<DateTime<Utc>>,
}

impl StreamRow {
    /// Where to go on in the open window, if there is one.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        let (from, to) = self.window_from.zip(self.window_to)?;
        Some(Place { from, to, cursor: self.cursor.clone(), seen: self.window_seen })
    }

    /// Whether everything was copied once.
    #[must_use]
    pub fn is_backfilled(&self) -> bool {
        self.phase == "incremental"
    }
}

/// The row of a stream, if it has begun.
///
/// # Errors
/// Database errors.
pub async fn find(conn: &mut PgConnection, stream: Stream) -> sqlx::Result<Option<StreamRow>> {
    Ok(list(conn).await?.into_iter().find(|row| row.is(stream)))
}

impl StreamRow {
    /// Whether it is this stream's.
    #[must_use]
    pub fn is(&self, stream: Stream) -> bool {
        self.source == stream.source().as_str() && self.stream == stream.name()
    }
}

/// Every stream that has begun.
///
/// # Errors
/// Database errors.
pub async fn list(conn: &mut PgConnection) -> sqlx::Result<Vec<StreamRow>> {
    sqlx::query_as!(
        StreamRow,
        r#"
        SELECT
            source, stream, phase, watermark, window_from, window_to, cursor, window_seen, seen, written, backfill_from,
            backfill_to, backfill_expected, backfill_seen, backfill_first_at, backfilled_at, reconciled_at, deep_reconciled_at,
            refetching, last_success_at, last_error, last_error_at
        FROM mirror.streams
        ORDER BY source, stream
        "#
    )
    .fetch_all(conn)
    .await
}

/// Begins a stream, if it has not begun. Within a transaction of the mirror.
///
/// # Errors
/// Database errors.
pub async fn insert(
    conn: &mut PgConnection,
    stream: Stream,
    window: Option<(DateTime<Utc>, DateTime<Utc>)>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO mirror.streams (
            source, stream, phase, window_from, window_to, backfill_from, backfill_to, seen, written, backfill_seen
        )
        VALUES ($1, $2, 'backfill', $3, $4, $3, $4, 0, 0, 0)
        ON CONFLICT (source, stream) DO NOTHING
        "#,
        stream.source().as_str(),
        stream.name(),
        window.map(|(from, _)| from),
        window.map(|(_, to)| to),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Opens a window of a stream that has none. Within a transaction of the mirror.
///
/// # Errors
/// Database errors.
pub async fn open_window(
    conn: &mut PgConnection,
    stream: Stream,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        UPDATE mirror.streams
        SET window_from = $3, window_to = $4, cursor = NULL, window_seen = 0, window_at = NULL
        WHERE source = $1 AND stream = $2 AND window_to IS NULL
        "#,
        stream.source().as_str(),
        stream.name(),
        from,
        to,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Has a stream copied from the beginning again, as if for the first time; its copies stay, and what has not changed is
/// not written. `refetching`: also what is as new as its copy is fetched. Within a transaction of the mirror.
///
/// # Errors
/// Database errors.
pub async fn begin_again(
    conn: &mut PgConnection,
    stream: Stream,
    window: Option<(DateTime<Utc>, DateTime<Utc>)>,
    refetching: bool,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        UPDATE mirror.streams
        SET phase = 'backfill', window_from = $3, window_to = $4, cursor = NULL, window_seen = 0, backfill_from = $3,
            backfill_to = $4, backfill_expected = NULL, backfill_seen = 0, backfill_first_at = NULL,
            backfilled_at = NULL, window_at = NULL, refetching = $5
        WHERE source = $1 AND stream = $2
        "#,
        stream.source().as_str(),
        stream.name(),
        window.map(|(from, _)| from),
        window.map(|(_, to)| to),
        refetching,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes how many objects a backfill will see, and what its token cannot see. Within a transaction of the mirror.
///
/// # Errors
/// Database errors.
pub async fn set_outlook(
    conn: &mut PgConnection,
    stream: Stream,
    expected: Option<i64>,
    warning: Option<&str>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        UPDATE mirror.streams
        SET backfill_expected = COALESCE($3, backfill_expected), warning = $4
        WHERE source = $1 AND stream = $2
        "#,
        stream.source().as_str(),
        stream.name(),
        expected,
        warning,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What a page comes to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Objects that it showed.
    pub seen: i64,
    /// Copies that were written for it.
    pub written: i64,
    /// The first and the last of the changes that it showed.
    pub changes: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

/// Moves a stream from `here` to `next`; without a next place its window is done, and everything up to its end is copied.
/// False if the stream is not `here`: somebody else has gone on with it. Within a transaction of the mirror.
///
/// # Errors
/// Database errors.
pub async fn advance(
    conn: &mut PgConnection,
    stream: Stream,
    here: &Place,
    next: Option<&Place>,
    counts: Counts,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        r#"
        UPDATE mirror.streams
        SET window_from = $7, window_to = $8, cursor = $9, window_seen = $10, seen = seen + $11, written = written + $12,
            backfill_seen = backfill_seen + CASE WHEN phase = 'backfill' THEN $11 ELSE 0 END,
            backfilled_at = CASE WHEN $8::timestamptz IS NULL AND phase = 'backfill' THEN $13 ELSE backfilled_at END,
            phase = CASE WHEN $8::timestamptz IS NULL THEN 'incremental' ELSE phase END,
            watermark = CASE WHEN $8::timestamptz IS NULL THEN GREATEST(watermark, window_to) ELSE watermark END,
            refetching = refetching AND $8::timestamptz IS NOT NULL,
            backfill_first_at = CASE WHEN phase = 'backfill' THEN COALESCE(backfill_first_at, $14) ELSE backfill_first_at END,
            window_at = CASE WHEN $8::timestamptz IS NULL THEN NULL ELSE GREATEST(window_at, $15) END,
            last_success_at = $13
        WHERE source = $1 AND stream = $2 AND window_from = $3 AND window_to = $4 AND cursor IS NOT DISTINCT FROM $5
            AND window_seen = $6
        "#,
        stream.source().as_str(),
        stream.name(),
        here.from,
        here.to,
        here.cursor,
        here.seen,
        next.map(|place| place.from),
        next.map(|place| place.to),
        next.and_then(|place| place.cursor.as_deref()),
        next.map_or(0, |place| place.seen),
        counts.seen,
        counts.written,
        now,
        counts.changes.map(|(first, _)| first),
        counts.changes.map(|(_, last)| last),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes that a stream without windows was copied, as it was at `asked_at`. Within a transaction of the mirror.
///
/// # Errors
/// Database errors.
pub async fn copied_at_once(
    conn: &mut PgConnection,
    stream: Stream,
    counts: Counts,
    asked_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        UPDATE mirror.streams
        SET phase = 'incremental', watermark = GREATEST(watermark, $5), seen = seen + $3, written = written + $4,
            backfill_seen = backfill_seen + CASE WHEN phase = 'backfill' THEN $3 ELSE 0 END,
            backfilled_at = COALESCE(backfilled_at, $5), refetching = false, last_success_at = $5
        WHERE source = $1 AND stream = $2
        "#,
        stream.source().as_str(),
        stream.name(),
        counts.seen,
        counts.written,
        asked_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Goes back to the beginning of the open window: the upstream no longer knows the cursor. Within a transaction of the
/// mirror.
///
/// # Errors
/// Database errors.
pub async fn restart_window(conn: &mut PgConnection, stream: Stream) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE mirror.streams SET cursor = NULL, window_seen = 0, window_at = NULL WHERE source = $1 AND stream = $2",
        stream.source().as_str(),
        stream.name(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that the copies of a stream were compared with what there is; `deep`: all that matter, however old. Within a
/// transaction of the mirror.
///
/// # Errors
/// Database errors.
pub async fn reconciled(
    conn: &mut PgConnection,
    stream: Stream,
    counts: Counts,
    deep: bool,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        UPDATE mirror.streams
        SET reconciled_at = $5, deep_reconciled_at = CASE WHEN $6 THEN $5 ELSE deep_reconciled_at END, seen = seen + $3, written = written + $4
        WHERE source = $1 AND stream = $2
        "#,
        stream.source().as_str(),
        stream.name(),
        counts.seen,
        counts.written,
        now,
        deep,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes what went wrong with a stream. Where even that fails, the log has it.
pub async fn note_failure(app: &App, stream: Stream, text: &str) {
    let now = app.clock.local_now();
    let noted =
        store::write(&app.db, "mirror_failure", |conn| set_failure(conn, stream, text, now).scope_boxed()).await;
    if let Err(error) = noted {
        tracing::warn!(%stream, %error, "what went wrong with a stream was not written down");
    }
}

async fn set_failure(conn: &mut PgConnection, stream: Stream, text: &str, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE mirror.streams SET last_error = $3, last_error_at = $4 WHERE source = $1 AND stream = $2",
        stream.source().as_str(),
        stream.name(),
        text,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
