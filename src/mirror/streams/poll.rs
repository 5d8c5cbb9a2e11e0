//! What has changed since last time, of every stream that was copied whole.

use std::sync::Arc;

use futures_util::future::join;
use scoped_futures::ScopedFutureExt;
use tokio_util::sync::CancellationToken;

use super::backfill::settled;
use super::walk::{Walked, nobody, walk};
use super::{Stream, StreamError, Tally, queries, sources};
use crate::app::App;
use crate::mirror::rows::Source;
use crate::mirror::store;

/// Looks once at every stream that is past its backfill; the upstreams side by side.
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
        let ended = poll(app, stream, stop).await;
        if !tally.note(app, stream, ended).await {
            break;
        }
    }
    tally
}

/// Opens a window over what may have changed, unless one was left open, and walks it.
async fn poll(app: &Arc<App>, stream: Stream, stop: &CancellationToken) -> Result<Walked, StreamError> {
    let row = queries::find(&mut *app.db.acquire().await?, stream).await?;
    let Some(row) = row.filter(queries::StreamRow::is_backfilled) else { return Ok(Walked::default()) };
    if let (None, Some(watermark)) = (row.place(), row.watermark) {
        let (from, to) = (watermark - stream.overlap(), settled(app));
        if to <= watermark {
            return Ok(Walked::default());
        }
        store::write(&app.db, "mirror_window", |conn| queries::open_window(conn, stream, from, to).scope_boxed())
            .await?;
    }
    walk(app, stream, stop, &nobody).await
}
