//! Lots over HTTP.

use std::sync::Arc;

use axum::http::Uri;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::count::CountShelf;
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
use crate::ledger::lanes::hint_of_sku;
use crate::lifecycle::detached;

/// Routes of this room.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list_lots, receive_lot))
        .routes(routes!(get_lot))
        .routes(routes!(give_opening_count))
        .merge(super::acts::routes())
        .merge(super::transfer::routes())
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
    let receive = ReceiveLot::into_command(body, pool.as_deref())?;
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
    let count = CountShelf::into_command(body, &sku, pool.as_deref())?;
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
    let not_found = || Problem::new(Code::LotNotFound, format!("There is no lot {text:?}."));
    let id = LotId::parse(&text).ok_or_else(not_found)?;
    let lot = queries::find(&app.db, id).await?.ok_or_else(not_found)?;
    Ok(axum::Json(LotView::of(&*app.fresh_catalogue().await?, &lot, None)))
}

/// Lists lots of one pool, newest first.
#[utoipa::path(get, path = "/lots", tag = "lots",
    params(("pool" = Option<String>, Query, description = "Pool code; default if left out"),
        ("sku" = Option<String>, Query), ("lot_code" = Option<String>, Query),
        ("open" = Option<bool>, Query, description = "Only lots with something left"),
        ("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "A page of lots", body = Page<LotView>)))]
async fn list_lots(
    app: AppState,
    _caller: Caller<scope::Lots>,
    mut query: Query,
) -> Result<axum::Json<Page<LotView>>, Problem> {
    let catalogue = app.fresh_catalogue().await?;
    let paging = Paging::<Uuid>::take(&mut query);
    let filter = Filter {
        pool: crate::availability::routes::read_pool(&catalogue, &mut query).unwrap_or(PoolId(0)),
        sku: crate::availability::routes::read_sku(&catalogue, &mut query),
        lot_code: query.one("lot_code"),
        open: query.read("open", "true or false", |text| text.parse().ok()).unwrap_or(false),
    };
    query.finish()?;
    let lots = queries::list(&app.db, &filter, paging.after, paging.limit + 1).await?;
    let page = Page::of(lots, paging.limit, |lot| lot.id.uuid);
    Ok(axum::Json(page.map(|lot| LotView::of(&catalogue, &lot, None))))
}
