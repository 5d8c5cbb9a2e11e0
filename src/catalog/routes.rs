//! The catalogue over HTTP: list, read, make and edit pools, classes and SKUs.
//!
//! Everything is read from the database, not from memory, so that two instances give one answer. Nothing is deleted.

use std::sync::Arc;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::{App, AppState};
use crate::catalog::SkuStatus;
use crate::catalog::change::is_code;
use crate::catalog::classes::{self, ClassView};
use crate::catalog::policy::{ClassChange, NewClass};
use crate::catalog::pools::{self, NewPool, PoolChange, PoolView};
use crate::catalog::skus::{self, NewSku, SkuChange, SkuFilter, SkuView};
use crate::http::auth::{Caller, scope};
use crate::http::body::Json;
use crate::http::etag::{self, IfMatch};
use crate::http::pagination::{Page, Paging, TextCursor};
use crate::http::path::PathText;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::lifecycle::detached;

/// The routes of this room.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list_pools, create_pool))
        .routes(routes!(get_pool, change_pool))
        .routes(routes!(list_classes, create_class))
        .routes(routes!(get_class, change_class))
        .routes(routes!(list_skus, create_sku))
        .routes(routes!(get_sku, change_sku))
}

fn read_page(mut query: Query) -> Result<Paging<TextCursor>, Problem> {
    let paging = Paging::take(&mut query);
    query.finish()?;
    Ok(paging)
}

fn tagged(status: StatusCode, revision: i64, view: impl Serialize) -> Response {
    (status, [(header::ETAG, etag::of(revision))], axum::Json(view)).into_response()
}

/// List pools.
#[utoipa::path(get, path = "/pools", tag = "catalogue",
    params(
        ("limit" = Option<u8>, Query, minimum = 1, maximum = 100, description = "Most pools; 20 unless given."),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page, by code.", body = Page<PoolView>)))]
async fn list_pools(
    app: AppState,
    _: Caller<scope::StockRead>,
    query: Query,
) -> Result<axum::Json<Page<PoolView>>, Problem> {
    let Paging { limit, after } = read_page(query)?;
    let mut conn = app.db.acquire().await?;
    let pools = pools::list_pools(&mut conn, after.as_ref().map(|after| after.0.as_str()), limit + 1).await?;
    Ok(axum::Json(Page::of(pools, limit, |pool| TextCursor(pool.code.clone()))))
}

/// Make a pool.
#[utoipa::path(post, path = "/pools", tag = "catalogue", request_body = NewPool,
    responses((status = 201, description = "The pool, made.", body = PoolView,
        headers(("ETag" = String, description = "For If-Match.")))))]
async fn create_pool(app: AppState, _: Caller<scope::Admin>, body: Json<NewPool>) -> Result<Response, Problem> {
    let pool = detached(&app.tasks, pools::create(Arc::clone(&app), body.into())).await?;
    Ok(tagged(StatusCode::CREATED, pool.revision, pool))
}

/// Read a pool.
#[utoipa::path(get, path = "/pools/{pool}", tag = "catalogue",
    params(("pool" = String, Path, description = "Pool code.")),
    responses((status = 200, description = "The pool.", body = PoolView,
        headers(("ETag" = String, description = "For If-Match.")))))]
async fn get_pool(
    app: AppState,
    _: Caller<scope::StockRead>,
    PathText(code): PathText,
    query: Query,
) -> Result<Response, Problem> {
    query.finish()?;
    let mut conn = app.db.acquire().await?;
    let pool = pools::find_pool(&mut conn, &code).await?.ok_or_else(|| pools::not_found(&code))?;
    Ok(tagged(StatusCode::OK, pool.revision, pool))
}

/// Edit a pool.
///
/// Only what is given changes. An edit that changes nothing leaves the `ETag` as it is.
#[utoipa::path(patch, path = "/pools/{pool}", tag = "catalogue", request_body = PoolChange,
    params(
        ("pool" = String, Path, description = "Pool code."),
        ("If-Match" = String, Header, description = "The ETag that was read, or `*`."),
    ),
    responses((status = 200, description = "The pool.", body = PoolView,
        headers(("ETag" = String, description = "For If-Match.")))))]
async fn change_pool(
    app: AppState,
    _: Caller<scope::Admin>,
    PathText(code): PathText,
    if_match: IfMatch,
    body: Json<PoolChange>,
) -> Result<Response, Problem> {
    let pool = detached(&app.tasks, pools::change(Arc::clone(&app), code, if_match, body.into())).await?;
    Ok(tagged(StatusCode::OK, pool.revision, pool))
}

/// List classes.
#[utoipa::path(get, path = "/classes", tag = "catalogue",
    params(
        ("limit" = Option<u8>, Query, minimum = 1, maximum = 100, description = "Most classes; 20 unless given."),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page, by code.", body = Page<ClassView>)))]
async fn list_classes(
    app: AppState,
    _: Caller<scope::StockRead>,
    query: Query,
) -> Result<axum::Json<Page<ClassView>>, Problem> {
    let Paging { limit, after } = read_page(query)?;
    let mut conn = app.db.acquire().await?;
    let classes = classes::list_classes(&mut conn, after.as_ref().map(|after| after.0.as_str()), limit + 1).await?;
    Ok(axum::Json(Page::of(classes, limit, |class| TextCursor(class.code.clone()))))
}

/// Make a class.
///
/// What is not given is as the class `standard` has it now.
#[utoipa::path(post, path = "/classes", tag = "catalogue", request_body = NewClass,
    responses((status = 201, description = "The class, made.", body = ClassView,
        headers(("ETag" = String, description = "For If-Match.")))))]
async fn create_class(app: AppState, _: Caller<scope::Admin>, body: Json<NewClass>) -> Result<Response, Problem> {
    let class = detached(&app.tasks, classes::create(Arc::clone(&app), body.into())).await?;
    Ok(tagged(StatusCode::CREATED, class.revision, class))
}

/// Read a class.
#[utoipa::path(get, path = "/classes/{class}", tag = "catalogue",
    params(("class" = String, Path, description = "Class code.")),
    responses((status = 200, description = "The class.", body = ClassView,
        headers(("ETag" = String, description = "For If-Match.")))))]
async fn get_class(
    app: AppState,
    _: Caller<scope::StockRead>,
    PathText(code): PathText,
    query: Query,
) -> Result<Response, Problem> {
    query.finish()?;
    let mut conn = app.db.acquire().await?;
    let class = classes::find_class(&mut conn, &code).await?.ok_or_else(|| classes::not_found(&code))?;
    Ok(tagged(StatusCode::OK, class.revision, ClassView::from(class)))
}

/// Edit a class.
///
/// Only what is given changes. It applies to new holds; claims already made keep the policy they were made under. An
/// edit that changes nothing leaves the `ETag` as it is.
#[utoipa::path(patch, path = "/classes/{class}", tag = "catalogue", request_body = ClassChange,
    params(
        ("class" = String, Path, description = "Class code."),
        ("If-Match" = String, Header, description = "The ETag that was read, or `*`."),
    ),
    responses((status = 200, description = "The class.", body = ClassView,
        headers(("ETag" = String, description = "For If-Match.")))))]
async fn change_class(
    app: AppState,
    _: Caller<scope::Admin>,
    PathText(code): PathText,
    if_match: IfMatch,
    body: Json<ClassChange>,
) -> Result<Response, Problem> {
    let class = detached(&app.tasks, classes::change(Arc::clone(&app), code, if_match, body.into())).await?;
    Ok(tagged(StatusCode::OK, class.revision, class))
}

/// List SKUs.
#[utoipa::path(get, path = "/skus", tag = "catalogue",
    params(
        ("class" = Option<String>, Query, description = "Only those of the class with this code."),
        ("status" = Option<SkuStatus>, Query, description = "Only those with this status."),
        ("tracked" = Option<bool>, Query, description = "Only those that do, or do not, move balances."),
        ("limit" = Option<u8>, Query, minimum = 1, maximum = 100, description = "Most SKUs; 20 unless given."),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page, by code.", body = Page<SkuView>)))]
async fn list_skus(
    app: AppState,
    _: Caller<scope::StockRead>,
    mut query: Query,
) -> Result<axum::Json<Page<SkuView>>, Problem> {
    let filter = read_filter(&mut query);
    let Paging { limit, after } = read_page(query)?;
    let mut conn = app.db.acquire().await?;
    let after = after.as_ref().map(|after| after.0.as_str());
    let skus = skus::list_skus(&mut conn, &filter, after, limit + 1).await?;
    Ok(axum::Json(Page::of(skus, limit, |sku| TextCursor(sku.code.clone()))))
}

fn read_filter(query: &mut Query) -> SkuFilter {
    SkuFilter {
        class: query.read("class", "the code of a class", |text| is_code(text).then(|| text.to_owned())),
        status: query.read("status", "active or retired", |text| match text {
            "active" => Some(SkuStatus::Active),
            "retired" => Some(SkuStatus::Retired),
            _ => None,
        }),
        tracked: query.read("tracked", "true or false", |text| text.parse().ok()),
    }
}

/// Make a SKU.
#[utoipa::path(post, path = "/skus", tag = "catalogue", request_body = NewSku,
    responses((status = 201, description = "The SKU, made.", body = SkuView,
        headers(("ETag" = String, description = "For If-Match.")))))]
async fn create_sku(app: AppState, _: Caller<scope::Admin>, body: Json<NewSku>) -> Result<Response, Problem> {
    let sku = detached(&app.tasks, skus::create(Arc::clone(&app), body.into())).await?;
    Ok(tagged(StatusCode::CREATED, sku.revision, sku))
}

/// Read a SKU.
#[utoipa::path(get, path = "/skus/{sku}", tag = "catalogue",
    params(("sku" = String, Path, description = "SKU code, percent-encoded.")),
    responses((status = 200, description = "The SKU.", body = SkuView,
        headers(("ETag" = String, description = "For If-Match.")))))]
async fn get_sku(
    app: AppState,
    _: Caller<scope::StockRead>,
    PathText(code): PathText,
    query: Query,
) -> Result<Response, Problem> {
    query.finish()?;
    let mut conn = app.db.acquire().await?;
    let sku = skus::find_sku(&mut conn, &code).await?.ok_or_else(|| skus::not_found(&code))?;
    Ok(tagged(StatusCode::OK, sku.revision, sku))
}

/// Edit a SKU.
///
/// Only what is given changes. A retired SKU takes no new holds; claims, lots and history stay. A SKU that is tracked
/// again needs an opening count wherever it had stock before. An edit that changes nothing leaves the `ETag` as it is.
#[utoipa::path(patch, path = "/skus/{sku}", tag = "catalogue", request_body = SkuChange,
    params(
        ("sku" = String, Path, description = "SKU code, percent-encoded."),
        ("If-Match" = String, Header, description = "The ETag that was read, or `*`."),
    ),
    responses((status = 200, description = "The SKU.", body = SkuView,
        headers(("ETag" = String, description = "For If-Match.")))))]
async fn change_sku(
    app: AppState,
    _: Caller<scope::Admin>,
    PathText(code): PathText,
    if_match: IfMatch,
    body: Json<SkuChange>,
) -> Result<Response, Problem> {
    let sku = detached(&app.tasks, skus::change(Arc::clone(&app), code, if_match, body.into())).await?;
    Ok(tagged(StatusCode::OK, sku.revision, sku))
}
