//! Mappings over HTTP: variants, single lines, locations.

use std::sync::Arc;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::change::{self, NewMapping};
use super::lines::{self, LineKey, NewLineMapping};
use super::locations::{self, NewLocationPool};
use super::variants::{self, Filter};
use super::view::{Finding, LineMappingView, LocationView, MappingView, VariantView};
use crate::app::{App, AppState};
use crate::http::auth::{Caller, scope};
use crate::http::body::Json;
use crate::http::code::Code;
use crate::http::etag::{self, IfMatch};
use crate::http::pagination::{Page, Paging};
use crate::http::path::{PathText, PathThree};
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::text_id;
use crate::lifecycle::detached;
use crate::mirror::rows::Source;

/// The routes of this room.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list_variants))
        .routes(routes!(get_variant))
        .routes(routes!(put_variant_mapping))
        .routes(routes!(list_variant_mappings))
        .routes(routes!(put_line_mapping))
        .routes(routes!(list_locations))
        .routes(routes!(put_location_pool, delete_location_pool))
}

fn tagged(view: VariantView) -> Response {
    let tag = etag::of(view.version().into());
    (StatusCode::OK, [(header::ETAG, tag)], axum::Json(view)).into_response()
}

fn read_variant_id(text: &str) -> Result<i64, Problem> {
    text_id::read(text).ok_or_else(|| change::not_found(text))
}

fn read_location_id(text: &str) -> Result<i64, Problem> {
    text_id::read(text).ok_or_else(|| locations::not_found(text))
}

/// List variants with what they mean to stock.
#[utoipa::path(get, path = "/mirror/variants", tag = "mirror",
    params(
        ("sku" = Option<String>, Query, description = "Only those with this code upstream, or that are this SKU."),
        ("product_id" = Option<i64>, Query, description = "Only those of this product."),
        ("mapped" = Option<bool>, Query, description = "Only those that are, or are not, mapped."),
        ("finding" = Option<Finding>, Query, description = "Only those with this finding."),
        ("limit" = Option<u8>, Query, minimum = 1, maximum = 100, description = "Most variants; 20 unless given."),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page, by id.", body = Page<VariantView>)))]
async fn list_variants(
    app: AppState,
    _: Caller<scope::StockRead>,
    mut query: Query,
) -> Result<axum::Json<Page<VariantView>>, Problem> {
    let Paging { limit, after } = Paging::<i64>::take(&mut query);
    let filter = Filter {
        variant_id: None,
        sku: query.one("sku"),
        product_id: query.read("product_id", "the id of a product", text_id::read),
        mapped: query.read("mapped", "true or false", |text| text.parse().ok()),
        finding: query.read("finding", "a finding of a variant", Finding::parse),
    };
    query.finish()?;
    let mut conn = app.db.acquire().await?;
    let page = variants::list(&mut conn, &filter, after, limit + 1).await?;
    Ok(axum::Json(Page::of(page, limit, |variant| variant.variant_id)))
}

/// Read a variant.
#[utoipa::path(get, path = "/mirror/variants/{id}", tag = "mirror",
    params(("id" = String, Path, description = "The upstream's id of the variant.")),
    responses((status = 200, description = "The variant.", body = VariantView,
        headers(("ETag" = String, description = "For If-Match: the version of its mapping.")))))]
async fn get_variant(
    app: AppState,
    _: Caller<scope::StockRead>,
    PathText(id): PathText,
    query: Query,
) -> Result<Response, Problem> {
    query.finish()?;
    let variant_id = read_variant_id(&id)?;
    let mut conn = app.db.acquire().await?;
    let variant = variants::find(&mut conn, variant_id).await?.ok_or_else(|| change::not_found(&id))?;
    Ok(tagged(variant))
}

/// Say what a variant is.
///
/// Makes a new version of its mapping, unless the newest says the same. Unmatched lines of the variant are applied at
/// once; lines seen under an older version keep it, unless they are to follow. No components: it has no stock.
#[utoipa::path(put, path = "/mirror/variants/{id}/mapping", tag = "mirror", request_body = NewMapping,
    params(
        ("id" = String, Path, description = "The upstream's id of the variant."),
        ("If-Match" = String, Header, description = "The ETag that was read, or `*`."),
    ),
    responses((status = 200, description = "The variant.", body = VariantView,
        headers(("ETag" = String, description = "For If-Match: the version of its mapping.")))))]
async fn put_variant_mapping(
    app: AppState,
    caller: Caller<scope::Admin>,
    PathText(id): PathText,
    if_match: IfMatch,
    body: Json<NewMapping>,
) -> Result<Response, Problem> {
    let variant_id = read_variant_id(&id)?;
    let put = change::put(Arc::clone(&app), caller.client, variant_id, if_match, body.into());
    Ok(tagged(detached(&app.tasks, put).await?))
}

/// List the versions of a variant's mapping.
#[utoipa::path(get, path = "/mirror/variants/{id}/mappings", tag = "mirror",
    params(
        ("id" = String, Path, description = "The upstream's id of the variant."),
        ("limit" = Option<u8>, Query, minimum = 1, maximum = 100, description = "Most versions; 20 unless given."),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page, newest first.", body = Page<MappingView>)))]
async fn list_variant_mappings(
    app: AppState,
    _: Caller<scope::StockRead>,
    PathText(id): PathText,
    mut query: Query,
) -> Result<axum::Json<Page<MappingView>>, Problem> {
    let Paging { limit, after } = Paging::<i32>::take(&mut query);
    query.finish()?;
    let variant_id = read_variant_id(&id)?;
    let mut conn = app.db.acquire().await?;
    variants::find(&mut conn, variant_id).await?.ok_or_else(|| change::not_found(&id))?;
    let page = variants::history(&mut conn, variant_id, after, limit + 1).await?;
    Ok(axum::Json(Page::of(page, limit, |mapping| mapping.version)))
}

/// Say what a single order line is.
///
/// For custom items, which have no variant. It overrules the mapping of a variant, and what was said of the line
/// before.
#[utoipa::path(put, path = "/mirror/orders/{source}/{order_id}/lines/{line_ref}/mapping", tag = "mirror",
    request_body = NewLineMapping,
    params(
        ("source" = String, Path, description = "`shopify` or `recharge`."),
        ("order_id" = String, Path, description = "The upstream's id of the order."),
        ("line_ref" = String, Path, description = "The line, as `GET /mirror/unmatched` calls it."),
    ),
    responses((status = 200, description = "What the line is.", body = LineMappingView)))]
async fn put_line_mapping(
    app: AppState,
    caller: Caller<scope::Admin>,
    PathThree(source, order_id, line_ref): PathThree,
    body: Json<NewLineMapping>,
) -> Result<axum::Json<LineMappingView>, Problem> {
    let is_text = !line_ref.chars().any(char::is_control);
    let (Some(source), Some(order_id), true) = (Source::parse(&source), text_id::read(&order_id), is_text) else {
        return Err(Problem::new(Code::OrderLineNotFound, "There is no such order."));
    };
    let key = LineKey { source, order_id, line_ref };
    let put = lines::put(Arc::clone(&app), caller.client, key, body.into());
    Ok(axum::Json(detached(&app.tasks, put).await?))
}

/// List locations with the pool that each is.
#[utoipa::path(get, path = "/mirror/locations", tag = "mirror",
    params(
        ("limit" = Option<u8>, Query, minimum = 1, maximum = 100, description = "Most locations; 20 unless given."),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page, by id.", body = Page<LocationView>)))]
async fn list_locations(
    app: AppState,
    _: Caller<scope::StockRead>,
    mut query: Query,
) -> Result<axum::Json<Page<LocationView>>, Problem> {
    let Paging { limit, after } = Paging::<i64>::take(&mut query);
    query.finish()?;
    let mut conn = app.db.acquire().await?;
    let page = locations::list(&mut conn, after, limit + 1).await?;
    Ok(axum::Json(Page::of(page, limit, |location| location.location_id)))
}

/// Say which pool ships what leaves a location.
///
/// It applies to what leaves from now on.
#[utoipa::path(put, path = "/mirror/locations/{id}/pool", tag = "mirror", request_body = NewLocationPool,
    params(("id" = String, Path, description = "The upstream's id of the location.")),
    responses((status = 200, description = "The location.", body = LocationView)))]
async fn put_location_pool(
    app: AppState,
    caller: Caller<scope::Admin>,
    PathText(id): PathText,
    body: Json<NewLocationPool>,
) -> Result<axum::Json<LocationView>, Problem> {
    let location_id = read_location_id(&id)?;
    let put = locations::put(Arc::clone(&app), caller.client, location_id, body.into());
    Ok(axum::Json(detached(&app.tasks, put).await?))
}

/// Forget the pool of a location: what leaves it leaves the pool that the order claimed in.
#[utoipa::path(delete, path = "/mirror/locations/{id}/pool", tag = "mirror",
    params(("id" = String, Path, description = "The upstream's id of the location.")),
    responses((status = 204, description = "It has no pool of its own.")))]
async fn delete_location_pool(
    app: AppState,
    _: Caller<scope::Admin>,
    PathText(id): PathText,
    query: Query,
) -> Result<StatusCode, Problem> {
    query.finish()?;
    let location_id = read_location_id(&id)?;
    detached(&app.tasks, locations::delete(Arc::clone(&app), location_id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
