//! Fetches entities as they are now and writes them; what is gone is marked. Webhooks and the reconciliation end here:
//! whatever they were told, what counts is what the upstream says when it is asked.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use scoped_futures::ScopedFutureExt;
use sqlx::PgConnection;

use super::recharge::Recharge;
use super::rows::Source;
use super::shopify::Shopify;
use super::store::seen::Kind;
use super::store::{self, Copies};
use super::streams::fetch::{self, Fetched};
use super::streams::walk::{Walked, count, nobody, write_fetched};
use super::streams::{Stream, StreamError, backfill, begin, look};
use super::upstream::UpstreamError;
use crate::app::App;

/// Entities in one transaction.
pub const CHUNK: usize = 250;
/// Without the scope `read_all_orders` a token sees the orders of 60 days; a day less, so that clocks may differ.
const VISIBLE: TimeDelta = TimeDelta::days(59);

/// What Shopify can be asked for by id; locations are always asked for together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entity {
    /// With everything that hangs on it.
    Order,
    /// With its variants.
    Product,
    /// All of them, whichever was named.
    Location,
}

/// What Recharge can be asked for by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RechargeEntity {
    /// With its lines.
    Order,
    /// With its lines.
    Charge,
    /// Alone.
    Subscription,
    /// Alone.
    Customer,
}

/// What became of the ids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refetched {
    /// Copies that were older and are written.
    pub written: usize,
    /// Copies that are marked gone.
    pub gone: usize,
}

/// Why some of the ids could not be dealt with.
#[derive(Debug, thiserror::Error)]
pub enum RefetchError {
    /// Upstream or database failed.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// One of them cannot be read; the others are written.
    #[error("{id} cannot be read: {error}")]
    Unreadable {
        /// Which.
        id: i64,
        /// Why.
        error: UpstreamError,
    },
}

impl From<UpstreamError> for RefetchError {
    fn from(error: UpstreamError) -> Self {
        Self::Stream(error.into())
    }
}

impl From<sqlx::Error> for RefetchError {
    fn from(error: sqlx::Error) -> Self {
        Self::Stream(error.into())
    }
}

impl RefetchError {
    /// What may be shown to a user.
    #[must_use]
    pub fn public(&self) -> String {
        match self {
            Self::Stream(error) => error.public(),
            Self::Unreadable { id, error } => format!("{id} cannot be read: {}", error.public()),
        }
    }

    /// Whether the same may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Stream(StreamError::Upstream(error)) | Self::Unreadable { error, .. } => error.is_transient(),
            Self::Stream(StreamError::Database(_) | StreamError::Stopped) => true,
            Self::Stream(StreamError::NotSetUp(_)) => false,
        }
    }
}

/// Fetches these entities of Shopify as they are now and writes them. `Ok`: every id was dealt with.
///
/// # Errors
/// If the upstream or the database failed, or an entity cannot be read.
pub async fn shopify(app: &Arc<App>, entity: Entity, ids: &[i64]) -> Result<Refetched, RefetchError> {
    let of = match entity {
        Entity::Order => Stream::Orders,
        Entity::Product => Stream::Products,
        Entity::Location => Stream::Locations,
    };
    stream(app, of, ids).await
}

/// Fetches these entities of Recharge as they are now and writes them. `Ok`: every id was dealt with.
///
/// # Errors
/// If the upstream or the database failed, or an entity cannot be read.
pub async fn recharge(app: &Arc<App>, entity: RechargeEntity, ids: &[i64]) -> Result<Refetched, RefetchError> {
    let of = match entity {
        RechargeEntity::Order => Stream::RechargeOrders,
        RechargeEntity::Charge => Stream::Charges,
        RechargeEntity::Subscription => Stream::Subscriptions,
        RechargeEntity::Customer => Stream::Customers,
    };
    stream(app, of, ids).await
}

/// Fetches these entities of a stream as they are now and writes them.
///
/// # Errors
/// If the upstream or the database failed, or an entity cannot be read.
pub async fn stream(app: &Arc<App>, stream: Stream, ids: &[i64]) -> Result<Refetched, RefetchError> {
    begin(app, stream.source()).await?;
    let Some(kind) = stream.kind() else {
        let walked = backfill::copy_locations(app, &nobody).await?;
        return Ok(Refetched { written: usize::try_from(walked.written).unwrap_or_default(), gone: 0 });
    };
    let mut done = Refetched::default();
    for part in ids.chunks(CHUNK) {
        let fetched = match stream.source() {
            Source::Shopify => from_shopify(app, kind, part).await?,
            Source::Recharge => from_recharge(app, kind, part).await?,
        };
        let of = &fetched;
        let walked: Walked =
            store::write(&app.db, "mirror_refetch", |conn| write_fetched(conn, stream, 0, of).scope_boxed()).await?;
        count(stream, walked);
        let as_count = |count: i64| usize::try_from(count).unwrap_or_default();
        done.written += as_count(walked.written - walked.gone);
        done.gone += as_count(walked.gone);
        if let Some((id, error)) = fetched.unreadable.into_iter().next() {
            return Err(RefetchError::Unreadable { id, error });
        }
    }
    Ok(done)
}

async fn from_shopify(app: &App, kind: Kind, ids: &[i64]) -> Result<Fetched, RefetchError> {
    let shopify = look::shopify(app)?;
    let mut fetched = fetch::by_id(shopify, &app.clock, kind, ids).await?;
    if kind == Kind::Order && !fetched.gone.is_empty() {
        let hidden = find_hidden(app, shopify, &fetched.gone).await?;
        fetched.gone.retain(|id| !hidden.contains(id));
    }
    Ok(fetched)
}

/// Orders among these that may be there all the same: older than what the token may see.
async fn find_hidden(app: &App, shopify: &Shopify, orders: &[i64]) -> Result<Vec<i64>, RefetchError> {
    let old = find_made_before(&mut *app.db.acquire().await?, orders, app.clock.local_now() - VISIBLE).await?;
    if old.is_empty() || shopify.scopes().await?.iter().any(|scope| scope == "read_all_orders") {
        return Ok(Vec::new());
    }
    Ok(old)
}

async fn find_made_before(conn: &mut PgConnection, orders: &[i64], at: DateTime<Utc>) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!("SELECT order_id FROM mirror.orders WHERE order_id = ANY($1) AND created_at < $2", orders, at,)
        .fetch_all(conn)
        .await
}

/// One by one, `parallel` at a time: Recharge has no question for several.
async fn from_recharge(app: &App, kind: Kind, ids: &[i64]) -> Result<Fetched, RefetchError> {
    let recharge = look::recharge(app)?;
    let mut fetched = Fetched::nothing(app.clock.local_now());
    let asking: Vec<BoxFuture<'_, _>> = ids.iter().map(|id| ask_recharge(recharge, kind, *id).boxed()).collect();
    let parallel = app.mirror.settings.parallel.max(1);
    let mut answers: Vec<(i64, Option<Copies>)> = stream::iter(asking).buffered(parallel).try_collect().await?;
    // Locks are taken by id.
    answers.sort_unstable_by_key(|(id, _)| *id);
    for (id, answer) in answers {
        match answer {
            Some(copies) => fetched.copies.push(copies),
            None => fetched.gone.push(id),
        }
    }
    Ok(fetched)
}

async fn ask_recharge(recharge: &Recharge, kind: Kind, id: i64) -> Result<(i64, Option<Copies>), UpstreamError> {
    let copies = match kind {
        Kind::Customer => recharge.customer(id).await?.map(|row| Copies::Customers(vec![row])),
        Kind::Subscription => recharge.subscription(id).await?.map(|row| Copies::Subscriptions(vec![row])),
        Kind::Charge => recharge.charge(id).await?.map(|row| Copies::Charges(vec![row])),
        Kind::RechargeOrder | Kind::Product | Kind::Order => {
            recharge.order(id).await?.map(|row| Copies::RechargeOrders(vec![row]))
        }
    };
    Ok((id, copies))
}
