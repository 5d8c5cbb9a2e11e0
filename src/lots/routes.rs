//! Lots over HTTP.

use std::sync::Arc;

use axum::http::Uri;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::count::CountShelf;
use super::history::{self, Destination, DestinationCursor, DestinationView, MovementView};
use super::queries::{self, Filter};
use super::receive::ReceiveLot;
use super::view::{CountedView, LotView};
use crate::app::{App, AppState};
use crate::catalog::Catalogue;
use crate::catalog::skus::{self, ensure_sku};
use crate::http::auth::{Caller, scope};
use crate::http::body::Json;
use crate::http::code::Code;
use crate::http::edge::RequestId;
use crate::http::idempotency::IdempotencyKey;
use crate::http::pagination::{Page, Paging};
use crate::http::path::PathText;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::submit::{Request, submit, submit_prepared};
use crate::ids::{LotId, PoolId};
use crate::ledger::command::Command;
use crate::ledger::goods::LotStatus;
use crate::ledger::lanes::hint_of_sku;
use crate::ledger::outcome::LotRecord;
use crate::lifecycle::detached;

/// How a lot came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LotOrigin {
    /// It was received.
    Receipt,
    /// It came back of a shipment.
    Return,
    /// It came from another pool.
    Transfer,
    /// A count found it.
    CountGain,
    /// It opened a shelf.
    OpeningCount,
}

impl LotOrigin {
    const ALL: [Self; 5] = [Self::Receipt, Self::Return, Self::Transfer, Self::CountGain, Self::OpeningCount];

    fn as_str(self) -> &'static str {
        match self {
            Self::Receipt => "receipt",
            Self::Return => "return",
            Self::Transfer => "transfer",
            Self::CountGain => "count_gain",
            Self::OpeningCount => "opening_count",
        }
    }
}

/// Routes of this room.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list_lots, receive_lot))
        .routes(routes!(get_lot))
        .routes(routes!(list_lot_transactions))
        .routes(routes!(list_lot_shipments))
        .routes(routes!(give_opening_count))
        .merge(super::acts::routes())
        .merge(super::recall::routes())
        .merge(super::transfer::routes())
        .merge(super::import::routes::routes())
}

/// Receives a lot and raises what is on hand. The same source reference twice is a no-op that answers the first lot.
#[utoipa::path(post, path = "/lots", tag = "lots", request_body = ReceiveLot,
    params(("Idempotency-Key" = String, Header, description = "One outcome per key, for ever")),
    responses((status = 201, description = "The lot is on the shelf", body = LotView),
        (status = 200, description = "This source reference was entered before", body = LotView)))]
async fn receive_lot(
    app: AppState,
    caller: Caller<scope::Lots>,
    key: IdempotencyKey,
    id: RequestId,
    uri: Uri,
    body: Json<ReceiveLot>,
) -> Result<Response, Problem> {
    let key = key.for_command(&body.value);
    let create_sku = body.value.create_sku == Some(true);
    let pool = app.find_pool(body.value.pool()).await?;
    let receive = ReceiveLot::into_command(body, pool.as_deref(), app.clock.local_now())?;
    // SKUs are never deleted: what memory knows is there.
    let creates = create_sku && app.catalogue.current().sku_by_code(&receive.sku).is_none();
    let registered = creates.then(|| {
        let (app, sku) = (Arc::clone(&app), Arc::clone(&receive.sku));
        Box::pin(async move {
            let tasks = app.tasks.clone();
            detached(&tasks, async move { ensure_sku(&app, &sku).await }).await
        })
    });
    let (pool, hint) = (receive.id.pool, hint_of_sku(&receive.sku));
    let request = Request { client: caller.client, key, id, uri, pool, hint };
    submit_prepared(&app, request, Command::Receive(Box::new(receive)), registered).await
}

/// Opens a shelf whose tracking was switched off and on: old lots are written off, the count becomes a lot.
#[utoipa::path(post, path = "/stock/{sku}/opening-count", tag = "stock", request_body = CountShelf,
    params(("sku" = String, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 201, description = "The shelf is open", body = CountedView)))]
async fn give_opening_count(
    app: AppState,
    caller: Caller<scope::Lots>,
    key: IdempotencyKey,
    id: RequestId,
    uri: Uri,
    PathText(sku): PathText,
    body: Json<CountShelf>,
) -> Result<Response, Problem> {
    let key = key.for_command(&body.value);
    // SKUs are never deleted: what memory knows is there.
    let is_known = |catalogue: &Catalogue| catalogue.sku_by_code(&sku).is_some();
    if !is_known(&app.catalogue.current()) && !is_known(&*app.fresh_catalogue().await?) {
        return Err(skus::not_found(&sku));
    }
    let pool = app.find_pool(body.value.pool()).await?;
    let count = CountShelf::into_command(body, &sku, pool.as_deref(), app.clock.local_now())?;
    let (pool, hint) = (pool.map_or(PoolId(0), |pool| pool.id), hint_of_sku(&sku));
    let request = Request { client: caller.client, key, id, uri, pool, hint };
    submit(&app, request, Command::OpeningCount(Box::new(count))).await
}

/// One lot.
#[utoipa::path(get, path = "/lots/{id}", tag = "lots", params(("id" = String, Path)),
    responses((status = 200, description = "The lot", body = LotView)))]
async fn get_lot(
    app: AppState,
    _caller: Caller<scope::Lots>,
    PathText(text): PathText,
    query: Query,
) -> Result<axum::Json<LotView>, Problem> {
    query.finish()?;
    let lot = find_lot(&app, &text).await?;
    Ok(axum::Json(LotView::of(&*app.fresh_catalogue().await?, &lot, None)))
}

async fn find_lot(app: &App, text: &str) -> Result<LotRecord, Problem> {
    let not_found = || Problem::new(Code::LotNotFound, format!("There is no lot {text:?}."));
    let id = LotId::parse(text).ok_or_else(not_found)?;
    queries::find(&app.db, id).await?.ok_or_else(not_found)
}

/// What happened to a lot, oldest first.
#[utoipa::path(get, path = "/lots/{id}/transactions", tag = "lots",
    params(("id" = String, Path), ("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "A page of transactions", body = Page<MovementView>)))]
async fn list_lot_transactions(
    app: AppState,
    _caller: Caller<scope::Lots>,
    PathText(text): PathText,
    mut query: Query,
) -> Result<axum::Json<Page<MovementView>>, Problem> {
    let paging = Paging::<i32>::take(&mut query);
    query.finish()?;
    let id = find_lot(&app, &text).await?.id;
    let rows = history::list_movements(&app.db, id, paging.after.unwrap_or(0), paging.limit + 1).await?;
    let rows = rows.into_iter().map(|row| MovementView::of(id.pool, row)).collect();
    Ok(axum::Json(Page::of(rows, paging.limit, |row: &MovementView| row.seq)))
}

/// Which shipments a lot went into, and which lines name it or its code, whatever the books say (`named`): for a recall.
/// Of days that are not closed yet (`pending`) only the lines that name it are known; the close of the day tells the rest.
#[utoipa::path(get, path = "/lots/{id}/shipments", tag = "lots",
    params(("id" = String, Path), ("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "A page of shipment lines", body = Page<DestinationView>)))]
async fn list_lot_shipments(
    app: AppState,
    _caller: Caller<scope::Lots>,
    PathText(text): PathText,
    mut query: Query,
) -> Result<axum::Json<Page<DestinationView>>, Problem> {
    let paging = Paging::<DestinationCursor>::take(&mut query);
    query.finish()?;
    let LotRecord { id, sku, received, .. } = find_lot(&app, &text).await?;
    let of = (sku, received.lot_code.as_str());
    let rows = history::list_destinations(&app.db, id, of, paging.after, paging.limit + 1).await?;
    let page = Page::of(rows, paging.limit, Destination::cursor);
    Ok(axum::Json(page.map(|row| DestinationView::of(id.pool, row))))
}

/// Lists lots of one pool, or of all, newest first.
#[utoipa::path(get, path = "/lots", tag = "lots",
    params(("pool" = Option<String>, Query, description = "Pool code, or * for all; default if left out"),
        ("sku" = Option<String>, Query), ("lot_code" = Option<String>, Query),
        ("status" = Option<LotStatus>, Query), ("origin" = Option<LotOrigin>, Query),
        ("expiring_before" = Option<String>, Query, description = "Date: lots that expire before it"),
        ("received_from" = Option<String>, Query, description = "Date: lots received on it or later"),
        ("received_to" = Option<String>, Query, description = "Date: lots received on it or earlier"),
        ("open" = Option<bool>, Query, description = "Only lots with something left, or only those without"),
        ("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "A page of lots", body = Page<LotView>)))]
async fn list_lots(
    app: AppState,
    _caller: Caller<scope::Lots>,
    mut query: Query,
) -> Result<axum::Json<Page<LotView>>, Problem> {
    let catalogue = app.fresh_catalogue().await?;
    let paging = Paging::<Uuid>::take(&mut query);
    let pools = read_pools(&catalogue, &mut query);
    let filter = read_filter(&catalogue, &mut query);
    query.finish()?;
    let lots = queries::list(&app.db, &pools, &filter, paging.after, paging.limit + 1).await?;
    let page = Page::of(lots, paging.limit, |lot| lot.id.uuid);
    Ok(axum::Json(page.map(|standing| LotView::of(&catalogue, &standing, None))))
}

/// One pool, or with `*` each of them.
fn read_pools(catalogue: &Catalogue, query: &mut Query) -> Vec<PoolId> {
    let code = query.one("pool").unwrap_or_else(|| "default".to_owned());
    let pools: Vec<PoolId> = match code.as_str() {
        "*" => catalogue.pools().map(|pool| pool.id).collect(),
        code => catalogue.pool_by_code(code).map(|pool| pool.id).into_iter().collect(),
    };
    if pools.is_empty() {
        query.refuse("pool", "is not a pool of the catalogue");
    }
    pools
}

fn read_filter(catalogue: &Catalogue, query: &mut Query) -> Filter {
    let status = |text: &str| LotStatus::parse(text).map(|status| status.as_str().to_owned());
    let origin = |text: &str| LotOrigin::ALL.iter().find(|origin| origin.as_str() == text);
    Filter {
        sku: crate::availability::routes::read_sku(catalogue, query),
        lot_code: query.one("lot_code"),
        status: query.read("status", "available, quarantined or expired", status),
        origin: query
            .read("origin", "receipt, return, transfer, count_gain or opening_count", origin)
            .map(|origin| origin.as_str().to_owned()),
        expiring_before: query.date("expiring_before"),
        received_from: query.date("received_from"),
        received_to: query.date("received_to"),
        open: query.read("open", "true or false", |text| text.parse().ok()),
    }
}
