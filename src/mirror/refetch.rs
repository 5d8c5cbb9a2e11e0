//! Fetches entities as they are now and writes them; what is gone is marked. Webhooks and the reconciliation end here:
//! whatever they were told, what counts is what the upstream says when it is asked.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use scoped_futures::ScopedFutureExt;
use sqlx::PgConnection;

use super::recharge::Recharge;
use super::rows::Source;
use super::shopify::{READ_ALL_ORDERS, Shopify};
use super::store::seen::Kind;
use super::store::{self, Copies};
use super::streams::fetch::{self, Fetched, is_about_an_entity};
use super::streams::walk::{Walked, count, nobody, tell_unreadable, write_fetched};
use super::streams::{Stream, StreamError, backfill, begin, look};
use super::upstream::UpstreamError;
use crate::app::App;

/// Entities in one transaction.
pub const CHUNK: usize = 250;
/// Bad ones of one question that are singled out; what is left then waits for the next attempt.
const MOST_SINGLED_OUT: usize = 25;
/// Calls of one question that may come to nothing before the upstream is taken for out of reach.
const MOST_OUT_OF_REACH: usize = 2;
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refetched {
    /// Copies that were older and are written.
    pub written: usize,
    /// Copies that are marked gone.
    pub gone: usize,
    /// Those that could not be read, and why. The others were dealt with.
    pub unreadable: Vec<(i64, UpstreamError)>,
}

/// Fetches these entities of Shopify as they are now and writes them. `Ok`: every id was dealt with, but those that are told
/// as unreadable.
///
/// # Errors
/// If the upstream or the database failed.
pub async fn shopify(app: &Arc<App>, entity: Entity, ids: &[i64]) -> Result<Refetched, StreamError> {
    let of = match entity {
        Entity::Order => Stream::Orders,
        Entity::Product => Stream::Products,
        Entity::Location => Stream::Locations,
    };
    stream(app, of, ids).await
}

/// Fetches these entities of Recharge as they are now and writes them. `Ok`: every id was dealt with, but those that are told
/// as unreadable.
///
/// # Errors
/// If the upstream or the database failed.
pub async fn recharge(app: &Arc<App>, entity: RechargeEntity, ids: &[i64]) -> Result<Refetched, StreamError> {
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
/// If the upstream or the database failed.
pub async fn stream(app: &Arc<App>, stream: Stream, ids: &[i64]) -> Result<Refetched, StreamError> {
    begin(app, stream.source()).await?;
    let Some(kind) = stream.kind() else {
        let walked = backfill::copy_locations(app, &nobody).await?;
        let written = usize::try_from(walked.written).unwrap_or_default();
        return Ok(Refetched { written, ..Refetched::default() });
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
        tell_unreadable(app, stream, &fetched.unreadable).await;
        done.unreadable.extend(fetched.unreadable);
    }
    Ok(done)
}

async fn from_shopify(app: &App, kind: Kind, ids: &[i64]) -> Result<Fetched, StreamError> {
    let shopify = look::shopify(app)?;
    let mut fetched = fetch::by_id(shopify, &app.clock, kind, ids, MOST_SINGLED_OUT).await?;
    if kind == Kind::Order && !fetched.gone.is_empty() {
        let hidden = find_hidden(app, shopify, &fetched.gone).await?;
        fetched.gone.retain(|id| !hidden.contains(id));
    }
    Ok(fetched)
}

/// Orders among these that may be there all the same: older than what the token may see.
async fn find_hidden(app: &App, shopify: &Shopify, orders: &[i64]) -> Result<Vec<i64>, StreamError> {
    let old = find_made_before(&mut *app.db.acquire().await?, orders, app.clock.local_now() - VISIBLE).await?;
    if old.is_empty() || shopify.scopes().await?.iter().any(|scope| scope == READ_ALL_ORDERS) {
        return Ok(Vec::new());
    }
    Ok(old)
}

async fn find_made_before(conn: &mut PgConnection, orders: &[i64], at: DateTime<Utc>) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!("SELECT order_id FROM mirror.orders WHERE order_id = ANY($1) AND created_at < $2", orders, at,)
        .fetch_all(conn)
        .await
}

/// One by one, `parallel` at a time: Recharge has no question for several. What goes wrong with one is told of that one,
/// unless so much goes wrong that it is the upstream.
async fn from_recharge(app: &App, kind: Kind, ids: &[i64]) -> Result<Fetched, StreamError> {
    let recharge = look::recharge(app)?;
    let mut fetched = Fetched::nothing(app.clock.local_now());
    let asking: Vec<BoxFuture<'_, _>> = ids.iter().map(|id| ask_recharge(recharge, kind, *id).boxed()).collect();
    let parallel = app.mirror.settings.parallel.max(1);
    let mut asked = stream::iter(asking).buffered(parallel);
    let (mut found, mut out_of_reach) = (Vec::new(), Vec::new());
    while let Some((id, answer)) = asked.next().await {
        match answer {
            Ok(Some(copies)) => found.push((id, copies)),
            Ok(None) => fetched.gone.push(id),
            Err(error) if is_about_an_entity(&error) || is_refused_alone(&error) => {
                fetched.unreadable.push((id, error));
            }
            Err(error) if error.is_transient() && out_of_reach.len() < MOST_OUT_OF_REACH => {
                out_of_reach.push((id, error));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let answered = !found.is_empty() || !fetched.gone.is_empty() || !fetched.unreadable.is_empty();
    match out_of_reach.pop() {
        Some((_, error)) if !answered => return Err(error.into()),
        last => fetched.unreadable.extend(out_of_reach.into_iter().chain(last)),
    }
    // Locks are taken by id.
    found.sort_unstable_by_key(|(id, _)| *id);
    fetched.copies.extend(found.into_iter().map(|(_, copies)| copies));
    Ok(fetched)
}

/// Whether an upstream refuses this one question, and not whoever asks.
fn is_refused_alone(error: &UpstreamError) -> bool {
    matches!(error, UpstreamError::Refused { status: 400 | 409 | 410 | 422, .. })
}

async fn ask_recharge(recharge: &Recharge, kind: Kind, id: i64) -> (i64, Result<Option<Copies>, UpstreamError>) {
    let answer = match kind {
        Kind::Customer => recharge.customer(id).await.map(|row| row.map(|row| Copies::Customers(vec![row]))),
        Kind::Subscription => {
            recharge.subscription(id).await.map(|row| row.map(|row| Copies::Subscriptions(vec![row])))
        }
        Kind::Charge => recharge.charge(id).await.map(|row| row.map(|row| Copies::Charges(vec![row]))),
        Kind::RechargeOrder | Kind::Product | Kind::Order => {
            recharge.order(id).await.map(|row| row.map(|row| Copies::RechargeOrders(vec![row])))
        }
    };
    (id, answer)
}
