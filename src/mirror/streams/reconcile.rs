//! What polls cannot find: what an upstream failed to list, and what is gone.
//!
//! Every day the changes of the last three days are listed once more, and once a week those of the last 59: everything
//! that is newer than its copy is fetched, and every copy that should have been listed and was not is asked for by id. If
//! that says that it is gone, it is marked. Shopify also tells which products were deleted.

use std::sync::Arc;

use chrono::{DateTime, Datelike, TimeDelta, Utc, Weekday};
use futures_util::future::join;
use scoped_futures::ScopedFutureExt;
use tokio_util::sync::CancellationToken;

use super::backfill::settled;
use super::look::{self, look};
use super::place::Place;
use super::queries::{self, Counts, StreamRow};
use super::walk::{self, Walked};
use super::{Stream, StreamError, Tally, sources};
use crate::app::App;
use crate::mirror::refetch::{self, RefetchError, Refetched};
use crate::mirror::rows::Source;
use crate::mirror::store::{self, seen};

/// Days that are listed again every day.
const SHALLOW: TimeDelta = TimeDelta::days(3);
/// Days that are listed again every week: a token without `read_all_orders` shows orders of 60.
const DEEP: TimeDelta = TimeDelta::days(59);

/// How far back the reconciliation of the day that ends at `ends_at` looks.
#[must_use]
pub fn depth(ends_at: DateTime<Utc>) -> TimeDelta {
    if ends_at.weekday() == Weekday::Sun { DEEP } else { SHALLOW }
}

/// Compares the copies of every stream that is past its backfill with what its upstream shows of the last `depth`.
pub async fn run(app: &Arc<App>, depth: TimeDelta, stop: &CancellationToken) -> Tally {
    let of = |source| run_source(app, source, depth, stop);
    let (shopify, recharge) = join(of(Source::Shopify), of(Source::Recharge)).await;
    shopify.join(recharge)
}

async fn run_source(app: &Arc<App>, source: Source, depth: TimeDelta, stop: &CancellationToken) -> Tally {
    let mut tally = Tally::default();
    if !sources(&app.mirror.settings).contains(&source) {
        return tally;
    }
    for stream in Stream::of(source).into_iter().filter(|stream| stream.kind().is_some()) {
        let ended = reconcile(app, stream, depth, stop).await;
        if !tally.note(app, stream, ended).await {
            break;
        }
    }
    tally
}

async fn reconcile(
    app: &Arc<App>,
    stream: Stream,
    depth: TimeDelta,
    stop: &CancellationToken,
) -> Result<Walked, StreamError> {
    let row = queries::find(&mut *app.db.acquire().await?, stream).await?;
    let Some(row) = row.filter(StreamRow::is_backfilled) else { return Ok(Walked::default()) };
    let (asked_at, to) = (app.clock.local_now(), settled(app));
    // A reconciliation that was missed is made up for.
    let from = row.reconciled_at.map_or(to - depth, |last| (to - depth).min(last - stream.overlap()));
    let from = row.backfill_from.map_or(from, |first| from.max(first));
    if from >= to {
        return Ok(Walked::default());
    }
    let (mut walked, shown) = list_again(app, stream, Place::start(from, to), stop).await?;
    walked.add(ask_for_unseen(app, stream, (from, to), asked_at, &shown, stop).await?);
    if stream == Stream::Products {
        let since = row.reconciled_at.or(row.backfill_to).unwrap_or(from) - stream.overlap();
        walked.add(ask_for_deleted(app, since, stop).await?);
    }
    let counts = Counts { seen: walked.seen, written: walked.written };
    store::write(&app.db, "mirror_reconciled", |conn| {
        queries::reconciled(conn, stream, counts, asked_at).scope_boxed()
    })
    .await?;
    Ok(walked)
}

/// Lists the window and writes what is newer than its copy. Gives what was shown, in order.
async fn list_again(
    app: &Arc<App>,
    stream: Stream,
    start: Place,
    stop: &CancellationToken,
) -> Result<(Walked, Vec<i64>), StreamError> {
    let (mut walked, mut shown) = (Walked::default(), Vec::new());
    // Polls have looked at what changed twice in one second.
    let recheck_from = start.to;
    let mut place = Some(start);
    while let Some(here) = place {
        if stop.is_cancelled() {
            return Err(StreamError::Stopped);
        }
        let page = look(app, stream, here, recheck_from).await?;
        let page = &page;
        let written = store::write(&app.db, "mirror_reconcile", |conn| {
            walk::write_fetched(conn, stream, page.ids.len(), &page.fetched).scope_boxed()
        })
        .await?;
        walk::tell_unreadable(app, stream, &page.fetched).await;
        walk::count(stream, written);
        walked.add(written);
        shown.extend(&page.ids);
        place = page.next.clone();
    }
    shown.sort_unstable();
    Ok((walked, shown))
}

/// Asks by id for copies that the upstream should have shown and did not.
async fn ask_for_unseen(
    app: &Arc<App>,
    stream: Stream,
    window: (DateTime<Utc>, DateTime<Utc>),
    asked_at: DateTime<Utc>,
    shown: &[i64],
    stop: &CancellationToken,
) -> Result<Walked, StreamError> {
    let Some(kind) = stream.kind() else { return Ok(Walked::default()) };
    let unseen = seen::list_unseen(&mut *app.db.acquire().await?, kind, window, asked_at, shown).await?;
    ask_for(app, stream, &unseen, stop).await
}

/// Asks by id for products that Shopify says were deleted.
async fn ask_for_deleted(
    app: &Arc<App>,
    since: DateTime<Utc>,
    stop: &CancellationToken,
) -> Result<Walked, StreamError> {
    let shopify = look::shopify(app)?;
    let (mut deleted, mut after) = (Vec::new(), None::<String>);
    loop {
        if stop.is_cancelled() {
            return Err(StreamError::Stopped);
        }
        let page = shopify.deleted_products(since, after.as_deref()).await?;
        deleted.extend(page.items.iter().map(|(id, _)| *id));
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    deleted.sort_unstable();
    deleted.dedup();
    ask_for(app, Stream::Products, &deleted, stop).await
}

async fn ask_for(app: &Arc<App>, stream: Stream, ids: &[i64], stop: &CancellationToken) -> Result<Walked, StreamError> {
    let mut walked = Walked::default();
    for part in ids.chunks(refetch::CHUNK) {
        if stop.is_cancelled() {
            return Err(StreamError::Stopped);
        }
        let Refetched { written, gone } = refetch::stream(app, stream, part).await.map_err(|error| match error {
            RefetchError::Stream(error) => error,
            RefetchError::Unreadable { error, .. } => error.into(),
        })?;
        let as_count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        walked.add(Walked { written: as_count(written + gone), gone: as_count(gone), ..Walked::default() });
    }
    Ok(walked)
}
