//! What to look at next, and how far it came.
//!
//! A [`Stream`] is the entities of one kind at one upstream, in the order of their changes. It has one row in
//! `mirror.streams`, and at any time at most one *window* of changes that it walks through, page by page:
//!
//! ```text
//!  backfill     everything there is ─────────────────────────────────► the moment it began
//!  incremental                                              overlap ◄──┤ watermark ─────► now - settle
//! ```
//!
//! - The end of a window is fixed when it is opened, so a walk ends however much changes meanwhile. What changes while a
//!   window is walked moves behind its end, or is fetched as it is by then; the next window begins an overlap before the
//!   end of the last, since the search of an upstream trails its writes.
//! - A page of Shopify is ids and times of change. Only what is [newer](super::store::seen::newer) than the copies is
//!   fetched, by id. Pages of Recharge are whole documents.
//! - A page's copies and the [place] after it are written in one transaction. Whoever dies in the middle of a page
//!   goes on with that page, and what is written twice is written once ([`super::store`]).
//! - The place is moved with a compare-and-set. Two who walk one stream (a job and `holdfast mirror backfill`, or a worker
//!   that was taken for dead) do no harm: who comes second sees where the other is and goes on there.
//! - Polls find what has changed, not what is gone and not what an upstream failed to list. [`reconcile`] compares every
//!   day what the upstream shows of the last days with the copies, and asks for what is missing by id; every week, of all
//!   that matters.
//!
//! An entity that cannot be read (a new shape, a list that is longer than can be asked for) must neither stop the stream
//! nor be dropped in silence: it is left out, told in the stream's `last_error`, counted, and comes up again at every
//! reconciliation. Many on one page are taken for a change of the API, and stop the stream. A question that is more than the
//! upstream manages is asked in halves; it is an outage only where not even something small is answered.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use scoped_futures::ScopedFutureExt;
use sqlx::PgConnection;

use super::Settings;
use super::rows::Source;
use super::store;
use super::upstream::UpstreamError;
use crate::app::App;
use crate::db::tx;
use crate::jobs::JobError;

pub mod backfill;
pub mod fetch;
mod jobs;
pub mod look;
pub mod place;
pub mod poll;
pub mod queries;
pub mod reconcile;
mod stream;
pub mod walk;

pub use jobs::jobs;
pub use stream::Stream;
pub use walk::Walked;

/// Why a stream did not get on.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The upstream did not answer, or not as expected.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// There is no such upstream in the settings.
    #[error("{0} is not set up")]
    NotSetUp(Source),
    /// It was asked to stop. Where it stands is written down.
    #[error("asked to stop")]
    Stopped,
}

impl tx::Contended for StreamError {
    fn is_contention(&self) -> bool {
        matches!(self, Self::Database(error) if tx::is_contention(error))
    }
}

impl StreamError {
    /// What `GET /mirror` and `GET /jobs` may show: no secret, no SQL, no data.
    #[must_use]
    pub fn public(&self) -> String {
        match self {
            Self::Upstream(error) => error.public(),
            Self::Database(_) => "the database refused or did not answer".to_owned(),
            Self::NotSetUp(_) | Self::Stopped => self.to_string(),
        }
    }

    /// Whether the upstream itself is out of reach, so that its other streams need not be tried.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Upstream(UpstreamError::Exhausted { .. } | UpstreamError::Deadline { .. }))
    }
}

/// Writes down, once for ever, when copying from an upstream began: what was shipped or restocked before moves no stock.
/// The setting says when, or it is now.
///
/// # Errors
/// Database errors.
pub async fn begin(app: &Arc<App>, source: Source) -> sqlx::Result<()> {
    let began_at = app.mirror.settings.since.unwrap_or_else(|| app.clock.local_now());
    store::write(&app.db, "mirror_begin", |conn| insert_beginning(conn, source, began_at).scope_boxed()).await
}

async fn insert_beginning(conn: &mut PgConnection, source: Source, began_at: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO mirror.beginnings (source, began_at) VALUES ($1, $2) ON CONFLICT (source) DO NOTHING",
        source.as_str(),
        began_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What became of several streams.
#[derive(Debug, Default)]
pub struct Tally {
    /// What each walked through.
    pub walked: Vec<(Stream, Walked)>,
    /// What stopped some of them.
    pub failed: Vec<(Stream, StreamError)>,
}

impl Tally {
    /// The streams of both.
    #[must_use]
    pub fn join(mut self, other: Self) -> Self {
        self.walked.extend(other.walked);
        self.failed.extend(other.failed);
        self
    }

    /// Notes how one stream ended; says whether those after it should be tried. A failure is written to its row.
    pub(crate) async fn note(&mut self, app: &App, stream: Stream, ended: Result<Walked, StreamError>) -> bool {
        match ended {
            Ok(walked) => {
                self.walked.push((stream, walked));
                true
            }
            Err(error) => {
                let go_on = !matches!(error, StreamError::Stopped) && !error.is_outage();
                if !matches!(error, StreamError::Stopped) {
                    tracing::warn!(%stream, %error, "a stream did not get on");
                    queries::note_failure(app, stream, &error.public()).await;
                }
                self.failed.push((stream, error));
                go_on
            }
        }
    }

    /// The attempt of a job that this was.
    ///
    /// # Errors
    /// If a stream was stopped or failed.
    pub fn report(self) -> Result<crate::jobs::Report, JobError> {
        if self.failed.iter().any(|(_, error)| matches!(error, StreamError::Stopped)) {
            return Err(JobError::Stopped);
        }
        if !self.failed.is_empty() {
            let texts: Vec<String> =
                self.failed.iter().map(|(stream, error)| format!("{stream}: {}", error.public())).collect();
            return Err(JobError::Failed(texts.join("; ")));
        }
        let streams: serde_json::Map<String, serde_json::Value> =
            self.walked.iter().map(|(stream, walked)| (stream.to_string(), serde_json::json!(walked))).collect();
        Ok(crate::jobs::Report::of(streams))
    }
}

/// The upstreams that are set up.
#[must_use]
pub fn sources(settings: &Settings) -> Vec<Source> {
    let mut sources: Vec<Source> = Stream::set_up(settings).into_iter().map(Stream::source).collect();
    sources.dedup();
    sources
}
