//! One page of a stream: what it shows, what of that is newer than the copies, and that as it is now.

use chrono::{DateTime, Utc};

use super::fetch::{self, Fetched};
use super::place::Place;
use super::{Stream, StreamError};
use crate::app::App;
use crate::mirror::recharge::{At, Recharge};
use crate::mirror::rows::{Seen, Source};
use crate::mirror::shopify::{Shopify, Window};
use crate::mirror::store::Copies;
use crate::mirror::store::seen::{Kind, newer};
use crate::mirror::upstream::{Page, UpstreamError};

/// What a page came to.
#[derive(Debug)]
pub struct Looked {
    /// Which page.
    pub here: Place,
    /// The one after it.
    pub next: Option<Place>,
    /// What it showed.
    pub ids: Vec<i64>,
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

/// Asks for the page at `here` and for what it shows that is newer than the copies. What changed at or after
/// `recheck_from` is also asked for if it was copied too soon after ([`newer`]).
///
/// # Errors
/// What the upstream or the database said.
pub async fn look(app: &App, stream: Stream, here: Place, recheck_from: DateTime<Utc>) -> Result<Looked, StreamError> {
    match stream.kind() {
        Some(kind @ (Kind::Product | Kind::Order)) => look_at_shopify(app, stream, kind, here, recheck_from).await,
        Some(kind) => look_at_recharge(app, stream, kind, here).await,
        // It has no pages.
        None => Ok(Looked { here, next: None, ids: Vec::new(), fetched: Fetched::nothing(app.clock.local_now()) }),
    }
}

async fn look_at_shopify(
    app: &App,
    stream: Stream,
    kind: Kind,
    here: Place,
    recheck_from: DateTime<Utc>,
) -> Result<Looked, StreamError> {
    let shopify = shopify(app)?;
    let window = Window { from: here.from, to: here.to };
    let page = match kind {
        Kind::Product => shopify.seen_products(&window, here.cursor.as_deref()).await?,
        _ => shopify.seen_orders(&window, here.cursor.as_deref()).await?,
    };
    let ids = {
        let mut conn = app.db.acquire().await?;
        newer(&mut conn, kind, &page.items, recheck_from).await?
    };
    let fetched = fetch::by_id(shopify, &app.clock, kind, &ids).await?;
    Ok(looked(stream, here, &page.items, page.next, fetched))
}

/// Pages of Recharge are whole documents: there is nothing to be fetched.
async fn look_at_recharge(app: &App, stream: Stream, kind: Kind, here: Place) -> Result<Looked, StreamError> {
    let recharge = recharge(app)?;
    let mut fetched = Fetched::nothing(app.clock.local_now());
    let at = match &here.cursor {
        Some(cursor) => At::Cursor(cursor.clone()),
        None => At::Window { updated_from: here.from, updated_to: here.to },
    };
    let (seen, next, copies) = recharge_page(recharge, kind, &at).await?;
    fetched.copies.push(copies);
    Ok(looked(stream, here, &seen, next, fetched))
}

async fn recharge_page(
    recharge: &Recharge,
    kind: Kind,
    at: &At,
) -> Result<(Vec<Seen>, Option<String>, Copies), UpstreamError> {
    fn shown<T>(
        page: Page<T>,
        seen: impl Fn(&T) -> (i64, DateTime<Utc>),
        copies: impl Fn(Vec<T>) -> Copies,
    ) -> (Vec<Seen>, Option<String>, Copies) {
        let of = |row: &T| {
            let (id, updated_at) = seen(row);
            Seen { id, updated_at }
        };
        (page.items.iter().map(of).collect(), page.next, copies(page.items))
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

fn looked(stream: Stream, here: Place, seen: &[Seen], next: Option<String>, fetched: Fetched) -> Looked {
    let count = i64::try_from(seen.len()).unwrap_or(i64::MAX);
    let last = seen.iter().map(|one| one.updated_at).max();
    let next = here.after(count, last, next, stream.window_most());
    Looked { here, next, ids: seen.iter().map(|one| one.id).collect(), fetched }
}
