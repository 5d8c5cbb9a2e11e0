//! Shipments and returns over HTTP.

use std::sync::Arc;

use axum::http::Uri;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::discrepancies::{self, DiscrepancyView, LotShortageView};
use super::queries::{self, Filter, ReturnFilter};
use super::record::RecordShipment;
use super::returns::RecordReturn;
use super::view::{ReturnView, ShipmentView};
use super::void::VoidShipment;
use crate::app::{App, AppState};
use crate::availability::routes::{read_pool, read_sku};
use crate::http::auth::{Caller, scope};
use crate::http::body::Json;
use crate::http::code::Code;
use crate::http::edge::RequestId;
use crate::http::idempotency::IdempotencyKey;
use crate::http::pagination::{Page, Paging};
use crate::http::path::PathText;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::submit::{Request, submit};
use crate::ids::{PoolId, ReturnId, ShipmentId};
use crate::ledger::command::Command;

/// Routes of this room.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list_shipments, record_shipment))
        .routes(routes!(get_shipment))
        .routes(routes!(void_shipment))
        .routes(routes!(list_returns, record_return))
        .routes(routes!(get_return))
        .routes(routes!(list_discrepancies))
        .routes(routes!(list_lot_shortages))
}

/// Records what physically left: on hand and what the order owned fall together. A fact, never refused for stock: what
/// on hand cannot cover opens a discrepancy. The same line of the same source twice is a no-op.
#[utoipa::path(post, path = "/shipments", tag = "shipments", request_body = RecordShipment,
    params(("Idempotency-Key" = String, Header, description = "One outcome per key, for ever")),
    responses((status = 201, description = "At least one line was new", body = ShipmentView),
        (status = 200, description = "Every line had been recorded before", body = ShipmentView)))]
async fn record_shipment(
    app: AppState,
    caller: Caller<scope::Lots>,
    key: IdempotencyKey,
    id: RequestId,
    uri: Uri,
    body: Json<RecordShipment>,
) -> Result<Response, Problem> {
    let key = key.for_command(&body.value);
    let pool = app.find_pool(body.value.pool()).await?;
    let (ship, hint) = RecordShipment::into_command(body, pool.as_deref())?;
    let request = Request { client: caller.client, key, id, uri, pool: ship.id.pool, hint };
    submit(&app, request, Command::Ship(Box::new(ship))).await
}

/// Takes a shipment back that did not leave: units return to the shelf and to the lots they came from, and the order is
/// owed them again.
#[utoipa::path(post, path = "/shipments/{id}/void", tag = "shipments", request_body = VoidShipment,
    params(("id" = String, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, description = "The shipment as it now stands", body = ShipmentView)))]
async fn void_shipment(
    app: AppState,
    caller: Caller<scope::Lots>,
    key: IdempotencyKey,
    id: RequestId,
    uri: Uri,
    PathText(text): PathText,
    body: Json<VoidShipment>,
) -> Result<Response, Problem> {
    let shipment = ShipmentId::parse(&text).ok_or_else(|| shipment_not_found(&text))?;
    let key = key.for_command(&body.value);
    let void = VoidShipment::into_command(body, shipment)?;
    let hint = shipment.uuid.as_bytes()[15];
    let request = Request { client: caller.client, key, id, uri, pool: shipment.pool, hint };
    submit(&app, request, Command::VoidShipment(Box::new(void))).await
}

/// Records what came back: each line becomes lots of its own, at the cost and with the expiry of those it had been
/// depleted from, in quarantine unless said otherwise. The same line of the same source twice is a no-op.
#[utoipa::path(post, path = "/returns", tag = "shipments", request_body = RecordReturn,
    params(("Idempotency-Key" = String, Header, description = "One outcome per key, for ever")),
    responses((status = 201, description = "At least one line was new", body = ReturnView),
        (status = 200, description = "Every line had been recorded before", body = ReturnView)))]
async fn record_return(
    app: AppState,
    caller: Caller<scope::Lots>,
    key: IdempotencyKey,
    id: RequestId,
    uri: Uri,
    body: Json<RecordReturn>,
) -> Result<Response, Problem> {
    let key = key.for_command(&body.value);
    let pool = app.find_pool(body.value.pool()).await?;
    let (back, hint) = RecordReturn::into_command(body, pool.as_deref())?;
    let request = Request { client: caller.client, key, id, uri, pool: back.id.pool, hint };
    submit(&app, request, Command::Return(Box::new(back))).await
}

/// One shipment.
#[utoipa::path(get, path = "/shipments/{id}", tag = "shipments", params(("id" = String, Path)),
    responses((status = 200, description = "The shipment", body = ShipmentView)))]
async fn get_shipment(
    app: AppState,
    _caller: Caller<scope::Lots>,
    PathText(text): PathText,
    query: Query,
) -> Result<axum::Json<ShipmentView>, Problem> {
    query.finish()?;
    let id = ShipmentId::parse(&text).ok_or_else(|| shipment_not_found(&text))?;
    let shipment = queries::find(&app.db, id).await?.ok_or_else(|| shipment_not_found(&text))?;
    Ok(axum::Json(ShipmentView::of(&*app.fresh_catalogue().await?, &shipment, false, &[])))
}

/// One return.
#[utoipa::path(get, path = "/returns/{id}", tag = "shipments", params(("id" = String, Path)),
    responses((status = 200, description = "The return", body = ReturnView)))]
async fn get_return(
    app: AppState,
    _caller: Caller<scope::Lots>,
    PathText(text): PathText,
    query: Query,
) -> Result<axum::Json<ReturnView>, Problem> {
    query.finish()?;
    let not_found = || Problem::new(Code::ReturnNotFound, format!("There is no return {text:?}."));
    let id = ReturnId::parse(&text).ok_or_else(not_found)?;
    let record = queries::find_return(&app.db, id).await?.ok_or_else(not_found)?;
    Ok(axum::Json(ReturnView::of(&*app.fresh_catalogue().await?, &record, false, &[])))
}

/// Lists shipments of one pool, newest first.
#[utoipa::path(get, path = "/shipments", tag = "shipments",
    params(("pool" = Option<String>, Query, description = "Pool code; default if left out"),
        ("order_ref" = Option<String>, Query), ("source" = Option<String>, Query),
        ("source_ref" = Option<String>, Query), ("shipped_date" = Option<String>, Query),
        ("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "A page of shipments", body = Page<ShipmentView>)))]
async fn list_shipments(
    app: AppState,
    _caller: Caller<scope::Lots>,
    mut query: Query,
) -> Result<axum::Json<Page<ShipmentView>>, Problem> {
    let catalogue = app.fresh_catalogue().await?;
    let paging = Paging::<Uuid>::take(&mut query);
    let filter = Filter {
        pool: read_pool(&catalogue, &mut query).unwrap_or(PoolId(0)),
        order_ref: query.one("order_ref"),
        source: query.one("source"),
        source_ref: query.one("source_ref"),
        shipped_date: query.date("shipped_date"),
    };
    query.finish()?;
    let shipments = queries::list(&app.db, &filter, paging.after, paging.limit + 1).await?;
    let page = Page::of(shipments, paging.limit, |shipment| shipment.id.uuid);
    Ok(axum::Json(page.map(|shipment| ShipmentView::of(&catalogue, &shipment, false, &[]))))
}

/// Lists returns of one pool, newest first.
#[utoipa::path(get, path = "/returns", tag = "shipments",
    params(("pool" = Option<String>, Query, description = "Pool code; default if left out"),
        ("order_ref" = Option<String>, Query),
        ("sku" = Option<String>, Query, description = "Code of a SKU that came back"),
        ("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "A page of returns", body = Page<ReturnView>)))]
async fn list_returns(
    app: AppState,
    _caller: Caller<scope::Lots>,
    mut query: Query,
) -> Result<axum::Json<Page<ReturnView>>, Problem> {
    let catalogue = app.fresh_catalogue().await?;
    let paging = Paging::<Uuid>::take(&mut query);
    let filter = ReturnFilter {
        pool: read_pool(&catalogue, &mut query).unwrap_or(PoolId(0)),
        order_ref: query.one("order_ref"),
        sku: read_sku(&catalogue, &mut query),
    };
    query.finish()?;
    let returns = queries::list_returns(&app.db, &filter, paging.after, paging.limit + 1).await?;
    let page = Page::of(returns, paging.limit, |record| record.id.uuid);
    Ok(axum::Json(page.map(|record| ReturnView::of(&catalogue, &record, false, &[]))))
}

fn read_filter(catalogue: &crate::catalog::Catalogue, query: &mut Query) -> discrepancies::Filter {
    discrepancies::Filter {
        pool: read_pool(catalogue, query).unwrap_or(PoolId(0)),
        sku: read_sku(catalogue, query),
        open: query.read("open", "true or false", |text| text.parse().ok()),
    }
}

/// Lists discrepancies of one pool, newest first.
#[utoipa::path(get, path = "/discrepancies", tag = "shipments",
    params(("pool" = Option<String>, Query, description = "Pool code; default if left out"),
        ("sku" = Option<String>, Query), ("open" = Option<bool>, Query),
        ("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "A page of discrepancies", body = Page<DiscrepancyView>)))]
async fn list_discrepancies(
    app: AppState,
    _caller: Caller<scope::StockRead>,
    mut query: Query,
) -> Result<axum::Json<Page<DiscrepancyView>>, Problem> {
    let catalogue = app.fresh_catalogue().await?;
    let paging = Paging::<Uuid>::take(&mut query);
    let filter = read_filter(&catalogue, &mut query);
    query.finish()?;
    let found = discrepancies::list(&app.db, &catalogue, &filter, paging.after, paging.limit + 1).await?;
    Ok(axum::Json(Page::of(found, paging.limit, DiscrepancyView::cursor)))
}

/// Lists lot shortages of one pool: shipped units without a lot and a cost.
#[utoipa::path(get, path = "/lot-shortages", tag = "shipments",
    params(("pool" = Option<String>, Query, description = "Pool code; default if left out"),
        ("sku" = Option<String>, Query), ("open" = Option<bool>, Query),
        ("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "A page of lot shortages", body = Page<LotShortageView>)))]
async fn list_lot_shortages(
    app: AppState,
    _caller: Caller<scope::StockRead>,
    mut query: Query,
) -> Result<axum::Json<Page<LotShortageView>>, Problem> {
    let catalogue = app.fresh_catalogue().await?;
    let paging = Paging::<(String, String)>::take(&mut query);
    let filter = read_filter(&catalogue, &mut query);
    query.finish()?;
    let before = paging.after.and_then(|(shipment, line)| Some((ShipmentId::parse(&shipment)?.uuid, line)));
    let found = discrepancies::list_shortages(&app.db, &catalogue, &filter, before, paging.limit + 1).await?;
    Ok(axum::Json(Page::of(found, paging.limit, LotShortageView::cursor)))
}

fn shipment_not_found(text: &str) -> Problem {
    Problem::new(Code::ShipmentNotFound, format!("There is no shipment {text:?}."))
}
