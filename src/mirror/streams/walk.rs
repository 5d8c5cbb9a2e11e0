//! Walks a stream through its open window. While a page is written the next is fetched already; pages are written in
//! their order, each with the place after it.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use scoped_futures::ScopedFutureExt;
use serde::Serialize;
use sqlx::PgConnection;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::fetch::Fetched;
use super::look::{self, Looked, Wanted};
use super::place::Place;
use super::queries::{self, Counts};
use super::{Stream, StreamError};
use crate::app::App;
use crate::mirror::store::seen::SAME_SECOND;
use crate::mirror::store::{self, gone};
use crate::mirror::upstream::UpstreamError;

/// Pages that are fetched ahead of the one that is being written.
const AHEAD: usize = 1;
/// Cursors that may turn out to be stale before that is taken for an error.
const MOST_RESTARTS: u32 = 3;

/// What a walk came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Walked {
    /// Objects that the upstream showed.
    pub seen: i64,
    /// Copies that were written.
    pub written: i64,
    /// Of those, how many were marked gone.
    pub gone: i64,
    /// What could not be read; each is told in the stream's `last_error`.
    pub unreadable: i64,
}

impl Walked {
    pub(super) fn add(&mut self, other: Self) {
        self.seen += other.seen;
        self.written += other.written;
        self.gone += other.gone;
        self.unreadable += other.unreadable;
    }
}

/// A page, and how far the walk is with it.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// What the page came to.
    pub page: Walked,
    /// Objects that the first copy has seen, this page included.
    pub seen: i64,
    /// How many it will see, where the upstream tells.
    pub expected: Option<i64>,
    /// Which part of the time from the first change to the end of the window is walked, from 0 to 1.
    pub share: Option<f64>,
}

/// The first and the last change of a page, if it showed any.
pub type Changes = Option<(DateTime<Utc>, DateTime<Utc>)>;

/// Is told of every page.
pub type Tell<'a> = &'a (dyn Fn(Stream, Progress) + Send + Sync);

/// Who is told nothing.
pub fn nobody(_: Stream, _: Progress) {}

/// Which part of the time from `first` to `to` has passed at `at`, from 0 to 1.
#[must_use]
pub fn share(first: Option<DateTime<Utc>>, at: Option<DateTime<Utc>>, to: DateTime<Utc>) -> Option<f64> {
    let (first, at) = first.zip(at)?;
    let whole = (to - first).as_seconds_f64();
    (whole > 0.0).then(|| ((at - first).as_seconds_f64() / whole).clamp(0.0, 1.0))
}

/// Walks to the end of the open window, from wherever the stream stands. To be called from a task that is not dropped.
///
/// # Errors
/// What the upstream or the database said, or that it was asked to stop. What was walked is written down.
pub async fn walk(
    app: &Arc<App>,
    stream: Stream,
    stop: &CancellationToken,
    tell: Tell<'_>,
) -> Result<Walked, StreamError> {
    let mut walked = Walked::default();
    let mut restarts = 0;
    loop {
        let row = queries::find(&mut *app.db.acquire().await?, stream).await?;
        let Some((here, row)) = row.and_then(|row| Some((row.place()?, row))) else { return Ok(walked) };
        // What an earlier window has shown was looked at then, but for what changed just before its end: that may have been
        // copied in the very second of its change, with another change still to come in it.
        let again_before = SAME_SECOND + TimeDelta::seconds(1);
        let wanted = match row.watermark {
            _ if row.refetching => Wanted::All,
            Some(watermark) => Wanted::Newer(watermark - again_before),
            None => Wanted::Newer(here.from),
        };
        let (mut seen, mut first, to) = (row.backfill_seen, row.backfill_first_at, here.to);
        let mut note = |page: Walked, changes: Changes| {
            walked.add(page);
            seen += page.seen;
            first = first.or(changes.map(|(first, _)| first));
            let share = share(first, changes.map(|(_, last)| last), to);
            tell(stream, Progress { page, seen, expected: row.backfill_expected, share });
        };
        match walk_from(app, stream, here, wanted, stop, &mut note).await {
            Ok(()) => {}
            Err(StreamError::Upstream(UpstreamError::StaleCursor)) if restarts < MOST_RESTARTS => {
                restarts += 1;
                tracing::info!(%stream, "a cursor is stale; the window is walked from its beginning");
                store::write(&app.db, "mirror_restart", |conn| queries::restart_window(conn, stream).scope_boxed())
                    .await?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Walks until the window is done, or somebody else has gone on with it.
async fn walk_from(
    app: &Arc<App>,
    stream: Stream,
    here: Place,
    wanted: Wanted,
    stop: &CancellationToken,
    note: &mut (dyn FnMut(Walked, Changes) + Send),
) -> Result<(), StreamError> {
    let (sender, mut pages) = mpsc::channel(AHEAD);
    let fetching = async {
        fetch_pages(app, stream, here, wanted, sender).await;
        // What it has sent is still to be written.
        std::future::pending::<()>().await;
    };
    let writing = async {
        loop {
            let page = tokio::select! {
                biased;
                () = stop.cancelled() => return Err(StreamError::Stopped),
                page = pages.recv() => page,
            };
            let Some(page) = page else { return Ok(()) };
            let page = page?;
            let Some(written) = write_page(app, stream, &page).await? else { return Ok(()) };
            note(written, page.changes);
        }
    };
    // Once writing ends the fetching of what nobody waits for is given up; it holds no transaction.
    tokio::select! {
        ended = writing => ended,
        () = fetching => Ok(()),
    }
}

/// Sends every page from `here` on, or what went wrong.
async fn fetch_pages(
    app: &Arc<App>,
    stream: Stream,
    here: Place,
    wanted: Wanted,
    sender: mpsc::Sender<Result<Looked, StreamError>>,
) {
    let mut place = Some(here);
    while let Some(here) = place.take() {
        let looked = look::look(app, stream, here, wanted).await;
        place = looked.as_ref().ok().and_then(|page| page.next.clone());
        if sender.send(looked).await.is_err() {
            return;
        }
    }
}

/// Writes what a page brought and the place after it, in one transaction. None if somebody else has gone on with the
/// stream from there; what the page brought is written all the same.
async fn write_page(app: &App, stream: Stream, page: &Looked) -> Result<Option<Walked>, StreamError> {
    let now = app.clock.local_now();
    let (walked, advanced) = store::write(&app.db, "mirror_page", |conn| {
        async move {
            let walked = write_fetched(conn, stream, page.ids.len(), &page.fetched).await?;
            let counts = Counts { seen: walked.seen, written: walked.written, changes: page.changes };
            let advanced = queries::advance(conn, stream, &page.here, page.next.as_ref(), counts, now).await?;
            Ok::<_, StreamError>((walked, advanced))
        }
        .scope_boxed()
    })
    .await?;
    tell_unreadable(app, stream, &page.fetched.unreadable).await;
    count(stream, walked);
    Ok(advanced.then_some(walked))
}

/// Writes what was fetched and marks what is gone.
pub(crate) async fn write_fetched(
    conn: &mut PgConnection,
    stream: Stream,
    seen: usize,
    fetched: &Fetched,
) -> sqlx::Result<Walked> {
    let as_count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let mut written = 0;
    for copies in &fetched.copies {
        written += copies.write(conn).await?.len();
    }
    let gone = match stream.kind() {
        Some(kind) => gone::mark(conn, kind, &fetched.gone, fetched.asked_at).await?.len(),
        None => 0,
    };
    Ok(Walked {
        seen: as_count(seen),
        written: as_count(written + gone),
        gone: as_count(gone),
        unreadable: as_count(fetched.unreadable.len()),
    })
}

/// Tells what could not be read where an operator looks.
pub(crate) async fn tell_unreadable(app: &App, stream: Stream, unreadable: &[(i64, UpstreamError)]) {
    for (id, error) in unreadable {
        tracing::error!(%stream, id, %error, "an entity cannot be read and is not copied");
    }
    // One text for all of them: the next would hide the one before.
    let texts: Vec<String> =
        unreadable.iter().map(|(id, error)| format!("{id} cannot be read: {}", error.public())).collect();
    if !texts.is_empty() {
        queries::note_failure(app, stream, &texts.join("; ")).await;
    }
}

/// Counts for metrics.
pub(crate) fn count(stream: Stream, walked: Walked) {
    let labels = [("source", stream.source().as_str()), ("stream", stream.name())];
    let counted = |count: i64| u64::try_from(count).unwrap_or_default();
    metrics::counter!("holdfast_mirror_seen_total", &labels).increment(counted(walked.seen));
    metrics::counter!("holdfast_mirror_written_total", &labels).increment(counted(walked.written));
    metrics::counter!("holdfast_mirror_unreadable_total", &labels).increment(counted(walked.unreadable));
}
