//! Campaigns over HTTP.

use std::sync::Arc;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::queries;
use super::view::{CampaignKind, CampaignView};
use super::write::{self, NewCampaign};
use crate::app::{App, AppState};
use crate::catalog::change::is_code;
use crate::http::auth::{Caller, scope};
use crate::http::body::Json;
use crate::http::etag::{self, IfMatch};
use crate::http::pagination::{Page, Paging, TextCursor};
use crate::http::path::PathText;
use crate::http::problem::{ErrorItem, Problem};
use crate::http::query::Query;
use crate::lifecycle::detached;

/// The routes of this room.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list_campaigns)).routes(routes!(get_campaign, put_campaign, delete_campaign))
}

fn tagged(status: StatusCode, view: CampaignView) -> Response {
    (status, [(header::ETAG, etag::of(view.revision))], axum::Json(view)).into_response()
}

/// List campaigns with what was sold in their windows.
#[utoipa::path(get, path = "/campaigns", tag = "campaigns",
    params(
        ("kind" = Option<CampaignKind>, Query, description = "Only those of this kind."),
        ("limit" = Option<u8>, Query, minimum = 1, maximum = 100, description = "Most campaigns; 20 unless given."),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page, by code.", body = Page<CampaignView>)))]
async fn list_campaigns(
    app: AppState,
    _: Caller<scope::StockRead>,
    mut query: Query,
) -> Result<axum::Json<Page<CampaignView>>, Problem> {
    let Paging { limit, after } = Paging::<TextCursor>::take(&mut query);
    let kind = query.read("kind", "webinar, influencer, promotion or other", CampaignKind::parse);
    query.finish()?;
    let mut conn = app.db.acquire().await?;
    let after = after.as_ref().map(|after| after.0.as_str());
    let campaigns = queries::list(&mut conn, kind, after, limit + 1).await?;
    Ok(axum::Json(Page::of(campaigns, limit, |campaign| TextCursor(campaign.code.clone()))))
}

/// Read a campaign with what was sold in its window.
#[utoipa::path(get, path = "/campaigns/{code}", tag = "campaigns",
    params(("code" = String, Path, description = "Campaign code.")),
    responses((status = 200, description = "The campaign.", body = CampaignView,
        headers(("ETag" = String, description = "For If-Match.")))))]
async fn get_campaign(
    app: AppState,
    _: Caller<scope::StockRead>,
    PathText(code): PathText,
    query: Query,
) -> Result<Response, Problem> {
    query.finish()?;
    let mut conn = app.db.acquire().await?;
    let found = if is_code(&code) { queries::find(&mut conn, &code).await? } else { None };
    Ok(tagged(StatusCode::OK, found.ok_or_else(|| write::not_found(&code))?))
}

/// Make or replace a campaign and its links to products.
///
/// A campaign that is there is only replaced with `If-Match`. One that says the same already keeps its `ETag`.
#[utoipa::path(put, path = "/campaigns/{code}", tag = "campaigns", request_body = NewCampaign,
    params(
        ("code" = String, Path, description = "Campaign code: 1 to 63 of a-z, 0-9 and -, not starting with -."),
        ("If-Match" = Option<String>, Header, description = "To replace one: the ETag that was read, or `*`."),
    ),
    responses(
        (status = 200, description = "The campaign.", body = CampaignView,
            headers(("ETag" = String, description = "For If-Match."))),
        (status = 201, description = "The campaign, made.", body = CampaignView,
            headers(("ETag" = String, description = "For If-Match.")))))]
async fn put_campaign(
    app: AppState,
    _: Caller<scope::Admin>,
    PathText(code): PathText,
    if_match: Option<IfMatch>,
    body: Json<NewCampaign>,
) -> Result<Response, Problem> {
    if !is_code(&code) {
        let detail = "must have 1 to 63 of a-z, 0-9 and -, and not start with -";
        return Err(Problem::listing(vec![ErrorItem::of("code", detail)]));
    }
    let put = write::put(Arc::clone(&app), code, if_match, body.into());
    let (made, campaign) = detached(&app.tasks, put).await?;
    Ok(tagged(if made { StatusCode::CREATED } else { StatusCode::OK }, campaign))
}

/// Take a campaign away. Products and orders stay as they are.
#[utoipa::path(delete, path = "/campaigns/{code}", tag = "campaigns",
    params(("code" = String, Path, description = "Campaign code.")),
    responses((status = 204, description = "It is gone.")))]
async fn delete_campaign(
    app: AppState,
    _: Caller<scope::Admin>,
    PathText(code): PathText,
    query: Query,
) -> Result<StatusCode, Problem> {
    query.finish()?;
    if !is_code(&code) {
        return Err(write::not_found(&code));
    }
    detached(&app.tasks, write::delete(Arc::clone(&app), code)).await?;
    Ok(StatusCode::NO_CONTENT)
}
