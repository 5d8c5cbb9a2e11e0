//! One page of a stream: what it shows, what of that is newer than the copies, and that as it is now.

use chrono::{DateTime, Utc};

use super::fetch::{self, Fetched, MOST_UNREADABLE};
use super::place::Place;
use super::{Stream, StreamError};
use crate::app::App;
use crate::mirror::recharge::{At, Documents, Recharge};
use crate::mirror::rows::{Seen, Source};
use crate::mirror::shopify::{Shopify, Window};
use crate::mirror::store::Copies;
use crate::mirror::store::seen::{Kind, newer};
use crate::mirror::upstream::UpstreamError;

/// What a page came to.
#[derive(Debug)]
pub struct Looked {
    /// Which page.
    pub here: Place,
    /// The one after it.
    pub next: Option<Place>,
    /// What it showed.
    pub ids: Vec<i64>,
    /// The first and the last of the changes that it showed.
    pub changes: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// What there is to write.
    pub fetched: Fetched,
}

/// The shop, if it is set up.
///
/// # Errors
/// If it is not.
pub fn shopify(app: &App) -> Result<&Shopify, StreamError> {
    app.mirror.shopify.as_ref().ok_or(StreamError::NotSetUp(Source::Shopify))
}

/// The Recharge account, if it is set up.
///
/// # Errors
/// If it is not.
pub fn recharge(app: &App) -> Result<&Recharge, StreamError> {
    app.mirror.recharge.as_ref().ok_or(StreamError::NotSetUp(Source::Recharge))
}

/// What of a page of Shopify is fetched. Pages of Recharge are whole documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// What is newer than its copy, and what changed at or after this and was copied too soon after ([`newer`]).
    Newer(DateTime<Utc>),
    /// All of it: an upstream may change something and not say so.
    All,
}

/// Asks for the page at `here` and for what is wanted of what it shows.
///
/// # Errors
/// What the upstream or the database said.
pub async fn look(app: &App, stream: Stream, here: Place, wanted: Wanted) -> Result<Looked, StreamError> {
    match stream.kind() {
        Some(kind @ (Kind::Product | Kind::Order)) => look_at_shopify(app, stream, kind, here, wanted).await,
        Some(kind) => look_at_recharge(app, stream, kind, here).await,
        // It has no pages.
        None => {
            let fetched = Fetched::nothing(app.clock.local_now());
            Ok(Looked { here, next: None, ids: Vec::new(), changes: None, fetched })
        }
    }
}

async fn look_at_shopify(
    app: &App,
    stream: Stream,
    kind: Kind,
    here: Place,
    wanted: Wanted,
) -> Result<Looked, StreamError> {
    let shopify = shopify(app)?;
    let window = Window { from: here.from, to: here.to };
    let page = match kind {
        Kind::Product => shopify.seen_products(&window, here.cursor.as_deref()).await?,
        _ => shopify.seen_orders(&window, here.cursor.as_deref()).await?,
    };
    let ids = match wanted {
        Wanted::Newer(recheck_from) => newer(&mut *app.db.acquire().await?, kind, &page.items, recheck_from).await?,
        Wanted::All => {
            let mut ids: Vec<i64> = page.items.iter().map(|one| one.id).collect();
            ids.sort_unstable();
            ids.dedup();
            ids
        }
    };
    let fetched = fetch::by_id(shopify, &app.clock, kind, &ids, MOST_UNREADABLE + 1).await?.unless_changed()?;
    Ok(looked(app, stream, here, &page.items, page.next, fetched)?)
}

/// Pages of Recharge are whole documents: there is nothing to be fetched.
async fn look_at_recharge(app: &App, stream: Stream, kind: Kind, here: Place) -> Result<Looked, StreamError> {
    let recharge = recharge(app)?;
    let mut fetched = Fetched::nothing(app.clock.local_now());
    let at = match &here.cursor {
        Some(cursor) => At::Cursor(cursor.clone()),
        None => At::Window { updated_from: here.from, updated_to: here.to },
    };
    let (seen, page) = recharge_page(recharge, kind, &at).await?;
    fetched.copies.push(page.copies);
    fetched.unreadable = page.unreadable;
    Ok(looked(app, stream, here, &seen, page.next, fetched.unless_changed()?)?)
}

/// A page of Recharge, of whatever kind.
struct Shown {
    copies: Copies,
    unreadable: Vec<(i64, UpstreamError)>,
    next: Option<String>,
}

async fn recharge_page(recharge: &Recharge, kind: Kind, at: &At) -> Result<(Vec<Seen>, Shown), UpstreamError> {
    fn shown<T>(
        page: Documents<T>,
        seen: impl Fn(&T) -> (i64, DateTime<Utc>),
        copies: impl Fn(Vec<T>) -> Copies,
    ) -> (Vec<Seen>, Shown) {
        let of = |row: &T| {
            let (id, updated_at) = seen(row);
            Seen { id, updated_at }
        };
        let Documents { items, unreadable, next } = page;
        (items.iter().map(of).collect(), Shown { copies: copies(items), unreadable, next })
    }
    Ok(match kind {
        Kind::Customer => {
            shown(recharge.customers_page(at).await?, |row| (row.customer_id, row.updated_at), Copies::Customers)
        }
        Kind::Subscription => {
            let page = recharge.subscriptions_page(at).await?;
            shown(page, |row| (row.subscription_id, row.updated_at), Copies::Subscriptions)
        }
        Kind::Charge => shown(recharge.charges_page(at).await?, |row| (row.charge_id, row.updated_at), Copies::Charges),
        Kind::Product | Kind::Order | Kind::RechargeOrder => {
            shown(recharge.orders_page(at).await?, |row| (row.order_id, row.updated_at), Copies::RechargeOrders)
        }
    })
}

/// What cannot be read was shown all the same: it is counted, and not taken for something that is missing.
fn looked(
    app: &App,
    stream: Stream,
    here: Place,
    seen: &[Seen],
    next: Option<String>,
    fetched: Fetched,
) -> Result<Looked, UpstreamError> {
    if next.is_some() && next == here.cursor {
        let reason = "the next page is the same page".to_owned();
        return Err(UpstreamError::Malformed { path: "cursor".to_owned(), reason });
    }
    let mut ids: Vec<i64> = seen.iter().map(|one| one.id).collect();
    ids.extend(fetched.unreadable.iter().map(|(id, _)| *id).filter(|id| !seen.iter().any(|one| one.id == *id)));
    let times = || seen.iter().map(|one| one.updated_at);
    let changes = times().min().zip(times().max());
    let count = i64::try_from(ids.len()).unwrap_or(i64::MAX);
    let next = here.after(count, changes.map(|(_, last)| last), next, stream.window_most(&app.mirror.settings));
    Ok(Looked { here, next, ids, changes, fetched })
}
