//! Reservations over HTTP. Commands go to a lane and are answered once per key; reads go to the database.

use std::sync::Arc;

use axum::http::Uri;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::commit::CommitReservation;
use super::create::{CreateReservation, Recipes};
use super::erase::{EraseOwner, Erased};
use super::extend::ExtendReservation;
use super::queries::{self, Cursor, Filter};
use super::release::ReleaseReservation;
use super::state::State as ReservationState;
use super::view::{ReservationDetail, ReservationView};
use crate::app::{App, AppState};
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
use crate::ids::{PoolId, ReservationId};
use crate::ledger::command::Command;
use crate::lifecycle::detached;

/// Routes of this room.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list_reservations, create_reservation))
        .routes(routes!(get_reservation))
        .routes(routes!(commit_reservation))
        .routes(routes!(release_reservation))
        .routes(routes!(extend_reservation))
        .routes(routes!(erase_owner))
}

fn parse(id: &str) -> Result<ReservationId, Problem> {
    ReservationId::parse(id)
        .ok_or_else(|| Problem::new(Code::ReservationNotFound, format!("There is no reservation {id:?}.")))
}

/// Holds units of one or many SKUs of one pool, all or nothing unless partial is allowed. A line that names a variant holds
/// the SKUs of its newest recipe, as whole kits, and keeps that recipe.
#[utoipa::path(post, path = "/reservations", tag = "reservations", request_body = CreateReservation,
    params(("Idempotency-Key" = String, Header, description = "One outcome per key, for ever")),
    responses((status = 201, description = "Units are held", body = ReservationView)))]
async fn create_reservation(
    app: AppState,
    caller: Caller<scope::Reservations>,
    key: IdempotencyKey,
    id: RequestId,
    uri: Uri,
    body: Json<CreateReservation>,
) -> Result<Response, Problem> {
    let key = key.for_command(&body.value);
    let pool = app.find_pool(body.value.pool()).await?;
    let recipes = Recipes::of_cart(&app, &body.value).await?;
    let (hold, hint) = CreateReservation::into_command(body, pool.as_deref(), &recipes)?;
    let pool = hold.id.pool;
    let request = Request { client: caller.client, key, id, uri, pool, hint };
    submit(&app, request, Command::Hold(hold)).await
}

/// An order takes the held units. Repeating it is a no-op; after expiry the units are claimed again, or it is refused; of
/// a hold that was extended after expiry the extension's units are taken.
#[utoipa::path(post, path = "/reservations/{id}/commit", tag = "reservations", request_body = CommitReservation,
    params(("id" = String, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, description = "The reservation as it stands", body = ReservationView)))]
async fn commit_reservation(
    app: AppState,
    caller: Caller<scope::Reservations>,
    key: IdempotencyKey,
    request_id: RequestId,
    uri: Uri,
    PathText(id): PathText,
    body: Json<CommitReservation>,
) -> Result<Response, Problem> {
    let id = parse(&id)?;
    let key = key.for_command(&body.value);
    let command = Command::Commit(CommitReservation::into_command(body, id)?);
    submit(&app, on(caller, key, request_id, uri, id), command).await
}

/// Gives units back. Safe to repeat.
#[utoipa::path(post, path = "/reservations/{id}/release", tag = "reservations", request_body = ReleaseReservation,
    params(("id" = String, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, description = "The reservation as it stands", body = ReservationView)))]
async fn release_reservation(
    app: AppState,
    caller: Caller<scope::Reservations>,
    key: IdempotencyKey,
    request_id: RequestId,
    uri: Uri,
    PathText(id): PathText,
    body: Json<ReleaseReservation>,
) -> Result<Response, Problem> {
    let id = parse(&id)?;
    let key = key.for_command(&body.value);
    let command = Command::Release(ReleaseReservation::into_command(body, id)?);
    submit(&app, on(caller, key, request_id, uri, id), command).await
}

/// Holds longer, never beyond the longest hold. After expiry it is a new claim and may be refused.
#[utoipa::path(post, path = "/reservations/{id}/extend", tag = "reservations", request_body = ExtendReservation,
    params(("id" = String, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, description = "The reservation as it stands", body = ReservationView)))]
async fn extend_reservation(
    app: AppState,
    caller: Caller<scope::Reservations>,
    key: IdempotencyKey,
    request_id: RequestId,
    uri: Uri,
    PathText(id): PathText,
    body: Json<ExtendReservation>,
) -> Result<Response, Problem> {
    let id = parse(&id)?;
    let key = key.for_command(&body.value);
    let command = Command::Extend(ExtendReservation::into_command(body, id)?);
    submit(&app, on(caller, key, request_id, uri, id), command).await
}

fn on(
    caller: Caller<scope::Reservations>,
    key: crate::ledger::submission::Key,
    request_id: RequestId,
    uri: Uri,
    id: ReservationId,
) -> Request {
    Request { client: caller.client, key, id: request_id, uri, pool: id.pool, hint: id.lane_hint() }
}

/// One reservation.
#[utoipa::path(get, path = "/reservations/{id}", tag = "reservations", params(("id" = String, Path)),
    responses((status = 200, description = "The reservation", body = ReservationDetail)))]
async fn get_reservation(
    app: AppState,
    _caller: Caller<scope::Reservations>,
    PathText(text): PathText,
    query: Query,
) -> Result<axum::Json<ReservationDetail>, Problem> {
    query.finish()?;
    let id = parse(&text)?;
    let (found, now) = queries::find(&app.db, id).await?;
    let reservation =
        found.ok_or_else(|| Problem::new(Code::ReservationNotFound, format!("There is no reservation {text:?}.")))?;
    let catalogue = app.fresh_catalogue().await?;
    Ok(axum::Json(ReservationDetail::of(&catalogue, reservation, app.clock.at(now))))
}

/// Lists reservations of one pool, newest first; with `sku`, in the order they claimed it, newest first.
#[utoipa::path(get, path = "/reservations", tag = "reservations",
    params(("pool" = Option<String>, Query, description = "Pool code; default if left out"),
        ("state" = Option<ReservationState>, Query), ("sku" = Option<String>, Query), ("owner" = Option<String>, Query),
        ("order_ref" = Option<String>, Query), ("client_reference" = Option<String>, Query),
        ("expires_before" = Option<DateTime<Utc>>, Query), ("expires_after" = Option<DateTime<Utc>>, Query),
        ("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "A page of reservations", body = Page<ReservationDetail>)))]
async fn list_reservations(
    app: AppState,
    _caller: Caller<scope::Reservations>,
    query: Query,
) -> Result<axum::Json<Page<ReservationDetail>>, Problem> {
    let catalogue = app.fresh_catalogue().await?;
    let (filter, paging) = read_filter(&catalogue, query)?;
    let (page, now) = queries::list(&app.db, &app.clock, &filter, &paging).await?;
    Ok(axum::Json(page.map(|reservation| ReservationDetail::of(&catalogue, reservation, now))))
}

fn read_filter(catalogue: &crate::catalog::Catalogue, mut query: Query) -> Result<(Filter, Paging<Cursor>), Problem> {
    let time = |text: &str| DateTime::parse_from_rfc3339(text).ok().map(|time| time.with_timezone(&Utc));
    let paging = Paging::take(&mut query);
    let pool = query.one("pool").unwrap_or_else(|| "default".to_owned());
    let pool = catalogue.pool_by_code(&pool).map(|pool| pool.id);
    if pool.is_none() {
        query.refuse("pool", "is not a pool of the catalogue");
    }
    let sku = query.one("sku");
    let named = sku.as_deref().and_then(|code| catalogue.sku_by_code(code));
    if sku.is_some() && named.is_none() {
        query.refuse("sku", "is not a SKU of the catalogue");
    }
    let filter = Filter {
        pool: pool.unwrap_or(PoolId(0)),
        sku: named.filter(|sku| sku.tracked).map(|sku| sku.id),
        untracked_sku: named.filter(|sku| !sku.tracked).map(|sku| sku.id),
        state: query.read("state", "a state of a reservation", ReservationState::parse),
        owner: query.one("owner"),
        order_ref: query.one("order_ref"),
        client_reference: query.one("client_reference"),
        expires_before: query.read("expires_before", "an RFC 3339 time", time),
        expires_after: query.read("expires_after", "an RFC 3339 time", time),
    };
    query.finish()?;
    Ok((filter, paging))
}

/// How many reservations were touched.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct ErasedView {
    /// Reservations that no longer name their owner.
    erased_count: u64,
}

/// Erases a person: owner and metadata of all their reservations, in every pool. Quantities stay.
#[utoipa::path(post, path = "/owners/erase", tag = "reservations", request_body = EraseOwner,
    responses((status = 200, description = "What was erased", body = ErasedView)))]
async fn erase_owner(
    app: AppState,
    _caller: Caller<scope::Admin>,
    body: Json<EraseOwner>,
) -> Result<axum::Json<ErasedView>, Problem> {
    let owner = EraseOwner::validate(body)?;
    let tasks = app.tasks.clone();
    detached(&tasks, async move {
        let Erased(erased_count) = super::erase::erase(&app, &owner).await?;
        Ok(axum::Json(ErasedView { erased_count }))
    })
    .await
}
