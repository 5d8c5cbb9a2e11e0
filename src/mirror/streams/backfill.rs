//! The first copy of everything, and copying everything again.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use futures_util::future::join;
use scoped_futures::ScopedFutureExt;
use tokio_util::sync::CancellationToken;

use super::queries::{self, Counts, StreamRow};
use super::walk::{self, Progress, Tell, Walked, walk};
use super::{Stream, StreamError, Tally, begin, look, sources};
use crate::app::App;
use crate::mirror::rows::Source;
use crate::mirror::shopify::{READ_ALL_ORDERS, Window};
use crate::mirror::store::{self, Copies};
use crate::mirror::upstream::UpstreamError;

/// Before any of the upstreams had a customer.
fn beginning() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2006, 1, 1, 0, 0, 0).single().unwrap_or(DateTime::UNIX_EPOCH)
}

/// Copies every stream that has not been copied whole yet, from where it stands; the upstreams side by side, the streams
/// of one after one another. Streams that are done cost one read.
pub async fn run(app: &Arc<App>, stop: &CancellationToken, tell: Tell<'_>) -> Tally {
    let of = |source| run_source(app, source, stop, tell);
    let (shopify, recharge) = Box::pin(join(of(Source::Shopify), of(Source::Recharge))).await;
    shopify.join(recharge)
}

async fn run_source(app: &Arc<App>, source: Source, stop: &CancellationToken, tell: Tell<'_>) -> Tally {
    let mut tally = Tally::default();
    if !sources(&app.mirror.settings).contains(&source) {
        return tally;
    }
    for stream in Stream::of(source) {
        let ended = copy_stream(app, stream, stop, tell).await;
        if !tally.note(app, stream, ended).await {
            break;
        }
    }
    tally
}

async fn copy_stream(
    app: &Arc<App>,
    stream: Stream,
    stop: &CancellationToken,
    tell: Tell<'_>,
) -> Result<Walked, StreamError> {
    begin(app, stream.source()).await?;
    let window = window_of(app, stream);
    store::write(&app.db, "mirror_stream", |conn| queries::insert(conn, stream, window).scope_boxed()).await?;
    let row = queries::find(&mut *app.db.acquire().await?, stream).await?;
    let Some(row) = row.filter(|row| !row.is_backfilled()) else { return Ok(Walked::default()) };
    look_ahead(app, stream, &row).await?;
    if stream == Stream::Locations { copy_locations(app, tell).await } else { walk(app, stream, stop, tell).await }
}

/// What is said of orders that a token without `read_all_orders` does not show.
const SIXTY_DAYS: &str = "The token lacks the scope read_all_orders: orders that were made more than 60 days ago are \
    neither copied nor compared.";

/// Notes how much there is to copy, where the upstream counts, and what of it the token cannot see. That the upstream does
/// not say is no reason not to copy.
async fn look_ahead(app: &Arc<App>, stream: Stream, row: &StreamRow) -> Result<(), StreamError> {
    let window = row.backfill_from.zip(row.backfill_to).map(|(from, to)| Window { from, to });
    let (Stream::Orders | Stream::Products, Some(window)) = (stream, window) else { return Ok(()) };
    let shopify = look::shopify(app)?;
    let expected = match stream {
        _ if row.backfill_expected.is_some() => None,
        Stream::Orders => told(stream, shopify.count_orders(&window).await),
        _ => told(stream, shopify.count_products(&window).await),
    };
    let hides = stream == Stream::Orders
        && told(stream, shopify.scopes().await).is_some_and(|scopes| !scopes.iter().any(|of| of == READ_ALL_ORDERS));
    if hides {
        tracing::warn!(%stream, "{SIXTY_DAYS}");
    }
    let warning = hides.then_some(SIXTY_DAYS);
    store::write(&app.db, "mirror_outlook", |conn| queries::set_outlook(conn, stream, expected, warning).scope_boxed())
        .await?;
    Ok(())
}

fn told<T>(stream: Stream, answer: Result<T, UpstreamError>) -> Option<T> {
    answer.inspect_err(|error| tracing::info!(%stream, %error, "what lies ahead of a first copy is not known")).ok()
}

/// What the first copy of a stream spans. Its end is fixed here, and what changes later is the polls' to find. Only
/// orders of Shopify may begin later than at the beginning: what was not touched for long may still be on sale, be
/// subscribed to, or come due.
fn window_of(app: &App, stream: Stream) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let from = match stream {
        Stream::Locations => return None,
        Stream::Orders => app.mirror.settings.backfill_from.unwrap_or_else(beginning),
        _ => beginning(),
    };
    // Never empty, so that the stream has something to walk through and then to go on from.
    Some((from, settled(app).max(from + TimeDelta::seconds(1))))
}

/// Up to when changes have settled.
pub(super) fn settled(app: &App) -> DateTime<Utc> {
    app.clock.local_now() - TimeDelta::from_std(app.mirror.settings.settle).unwrap_or_default()
}

/// Has every stream copied whole once more. What has not changed is not written; `refetching`: what is as new as its copy
/// is fetched and compared all the same.
///
/// # Errors
/// Database errors.
pub async fn begin_again(app: &Arc<App>, refetching: bool) -> sqlx::Result<()> {
    for stream in Stream::set_up(&app.mirror.settings) {
        let window = window_of(app, stream);
        store::write(&app.db, "mirror_again", |conn| {
            queries::begin_again(conn, stream, window, refetching).scope_boxed()
        })
        .await?;
    }
    Ok(())
}

/// Copies all locations: there are few, and they do not say when they changed.
///
/// # Errors
/// What the upstream or the database said.
pub async fn copy_locations(app: &Arc<App>, tell: Tell<'_>) -> Result<Walked, StreamError> {
    let (stream, asked_at) = (Stream::Locations, app.clock.local_now());
    let locations = look::shopify(app)?.locations().await?;
    let seen = i64::try_from(locations.len()).unwrap_or(i64::MAX);
    let copies = &Copies::Locations(locations);
    let written = store::write(&app.db, "mirror_locations", |conn| {
        async move {
            let written = i64::try_from(copies.write(conn).await?.len()).unwrap_or(i64::MAX);
            queries::copied_at_once(conn, stream, Counts { seen, written, changes: None }, asked_at).await?;
            Ok::<_, StreamError>(written)
        }
        .scope_boxed()
    })
    .await?;
    let walked = Walked { seen, written, ..Walked::default() };
    walk::count(stream, walked);
    tell(stream, Progress { page: walked, seen, expected: Some(seen), share: None });
    Ok(walked)
}
