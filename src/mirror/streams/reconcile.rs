//! What polls cannot find: what an upstream failed to list, and what is gone.
//!
//! Every day the changes of the last three days are listed once more: what is newer than its copy is fetched, and every
//! copy that should have been listed and was not is asked for by id. If that says that it is gone, it is marked. Shopify
//! also tells which products were deleted.
//!
//! Once a week it is everything. Orders of the shop are listed for 59 days, all else from the beginning, and whatever is
//! shown is fetched again, since an upstream may change something and not say so; what does not differ is not written.
//! Copies that still matter and were not shown are asked for by id, however old they are: orders with something to send,
//! subscriptions that go on, charges that may still go.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join;
use scoped_futures::ScopedFutureExt;
use tokio_util::sync::CancellationToken;

use super::backfill::settled;
use super::look::{self, Wanted, look};
use super::place::Place;
use super::queries::{self, Counts, StreamRow};
use super::walk::{self, Walked};
use super::{Stream, StreamError, Tally, sources};
use crate::app::App;
use crate::mirror::refetch::{self, Refetched};
use crate::mirror::rows::Source;
use crate::mirror::store::{self, seen};
use crate::mirror::upstream::UpstreamError;

/// Days that are listed again every day.
const SHALLOW: TimeDelta = TimeDelta::days(3);
/// Days that orders of the shop are listed again every week: a token without `read_all_orders` shows 60 of them.
const DEEP: TimeDelta = TimeDelta::days(59);
/// A deep comparison is due this long after the last one: a week, less what a daily job may come early.
const DEEP_EVERY: TimeDelta = TimeDelta::hours(7 * 24 - 12);

/// What one comparison of a stream spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    /// Whether everything that matters is looked at, whatever its age.
    deep: bool,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
}

impl Span {
    /// What is due for a stream now. Pure. A reconciliation that was missed is made up for.
    fn of(stream: Stream, row: &StreamRow, now: DateTime<Utc>, to: DateTime<Utc>) -> Self {
        let deep = row.deep_reconciled_at.max(row.backfilled_at).is_none_or(|at| now - at >= DEEP_EVERY);
        let last = row.reconciled_at.map(|at| at - stream.overlap());
        let earliest = row.backfill_from.unwrap_or(DateTime::UNIX_EPOCH);
        let back = |depth| last.map_or(to - depth, |last| last.min(to - depth)).max(earliest);
        let from = match stream {
            _ if !deep => back(SHALLOW),
            Stream::Orders => back(DEEP),
            _ => earliest,
        };
        Self { deep, from, to }
    }
}

/// Compares the copies of every stream that is past its backfill with what its upstream shows.
pub async fn run(app: &Arc<App>, stop: &CancellationToken) -> Tally {
    let of = |source| run_source(app, source, stop);
    let (shopify, recharge) = join(of(Source::Shopify), of(Source::Recharge)).await;
    shopify.join(recharge)
}

async fn run_source(app: &Arc<App>, source: Source, stop: &CancellationToken) -> Tally {
    let mut tally = Tally::default();
    if !sources(&app.mirror.settings).contains(&source) {
        return tally;
    }
    for stream in Stream::of(source).into_iter().filter(|stream| stream.kind().is_some()) {
        let ended = reconcile(app, stream, stop).await;
        if !tally.note(app, stream, ended).await {
            break;
        }
    }
    tally
}

async fn reconcile(app: &Arc<App>, stream: Stream, stop: &CancellationToken) -> Result<Walked, StreamError> {
    let row = queries::find(&mut *app.db.acquire().await?, stream).await?;
    let Some(row) = row.filter(StreamRow::is_backfilled) else { return Ok(Walked::default()) };
    let asked_at = app.clock.local_now();
    let span = Span::of(stream, &row, asked_at, settled(app));
    if span.from >= span.to {
        return Ok(Walked::default());
    }
    let (mut walked, shown) = list_again(app, stream, span, stop).await?;
    walked.add(ask_for_unseen(app, stream, span, asked_at, &shown, stop).await?);
    if stream == Stream::Products {
        let since = row.reconciled_at.or(row.backfill_to).unwrap_or(span.from) - stream.overlap();
        walked.add(ask_for_deleted(app, since, stop).await?);
    }
    let counts = Counts { seen: walked.seen, written: walked.written, changes: None };
    store::write(&app.db, "mirror_reconciled", |conn| {
        queries::reconciled(conn, stream, counts, span.deep, asked_at).scope_boxed()
    })
    .await?;
    Ok(walked)
}

/// Lists the span and writes what is newer than its copy, or differs from it. Gives what was shown, in order.
async fn list_again(
    app: &Arc<App>,
    stream: Stream,
    span: Span,
    stop: &CancellationToken,
) -> Result<(Walked, Vec<i64>), StreamError> {
    let (mut walked, mut shown) = (Walked::default(), Vec::new());
    // Polls have looked at what changed twice in one second.
    let wanted = if span.deep { Wanted::All } else { Wanted::Newer(span.to) };
    let mut place = Some(Place::start(span.from, span.to));
    while let Some(here) = place {
        if stop.is_cancelled() {
            return Err(StreamError::Stopped);
        }
        let page = look(app, stream, here, wanted).await?;
        let page = &page;
        let written = store::write(&app.db, "mirror_reconcile", |conn| {
            walk::write_fetched(conn, stream, page.ids.len(), &page.fetched).scope_boxed()
        })
        .await?;
        walk::tell_unreadable(app, stream, &page.fetched.unreadable).await;
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
    span: Span,
    asked_at: DateTime<Utc>,
    shown: &[i64],
    stop: &CancellationToken,
) -> Result<Walked, StreamError> {
    let Some(kind) = stream.kind() else { return Ok(Walked::default()) };
    let mut conn = app.db.acquire().await?;
    // What is older and settled is only listed: an upstream that hides it would be asked for each of years.
    let recent = (span.from.max(span.to - DEEP), span.to);
    let mut unseen = seen::list_unseen(&mut conn, kind, recent, asked_at).await?;
    if span.deep {
        unseen.extend(seen::list_standing(&mut conn, kind, asked_at).await?);
    }
    drop(conn);
    unseen.retain(|id| shown.binary_search(id).is_err());
    unseen.sort_unstable();
    unseen.dedup();
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
            Some(next) if after.as_ref() == Some(&next) => {
                let reason = "the next page is the same page".to_owned();
                return Err(UpstreamError::Malformed { path: "events".to_owned(), reason }.into());
            }
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
        let Refetched { written, gone, unreadable } = refetch::stream(app, stream, part).await?;
        let as_count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let (written, gone, unreadable) = (as_count(written + gone), as_count(gone), as_count(unreadable.len()));
        walked.add(Walked { written, gone, unreadable, ..Walked::default() });
    }
    Ok(walked)
}
