//! Webhooks over HTTP. Senders have no API key; they sign.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use chrono::{DateTime, Datelike, Utc};
use scoped_futures::ScopedFutureExt;
use sqlx::PgConnection;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::queries::{self, DeliveryRow, Filter};
use super::receive::{self, BODY_LIMIT, Delivery};
use super::view::{DeliveryStatus, DeliveryView, ReceiptView};
use crate::app::{App, AppState};
use crate::http::auth::{Caller, scope};
use crate::http::body;
use crate::http::code::Code;
use crate::http::pagination::{Page, Paging, TextCursor};
use crate::http::path::{PathPair, PathText};
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::lifecycle::detached;
use crate::mirror::rows::Source;
use crate::mirror::store;

/// Routes of this room.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(take_shopify_webhook))
        .routes(routes!(take_recharge_webhook))
        // The same with the topic as one segment, its slash escaped.
        .route("/webhooks/recharge/{topic}", post(take_recharge_topic))
        .routes(routes!(list_webhooks))
        .routes(routes!(retry_webhook))
}

/// Take a webhook of Shopify.
///
/// Needs no API key: `X-Shopify-Hmac-Sha256` must be the base64 of HMAC-SHA256 over the raw body with one of the secrets
/// that are configured. It is stored under `X-Shopify-Webhook-Id` and answered; the same delivery again changes nothing.
#[utoipa::path(post, path = "/webhooks/shopify", tag = "mirror", security(()),
    request_body(content = serde_json::Value, description = "As Shopify sends it; at most 2 MiB."),
    params(("X-Shopify-Shop-Domain" = String, Header), ("X-Shopify-Topic" = String, Header),
        ("X-Shopify-Hmac-Sha256" = String, Header), ("X-Shopify-Webhook-Id" = String, Header),
        ("X-Shopify-Triggered-At" = Option<String>, Header)),
    responses((status = 200, description = "Stored, now or before", body = ReceiptView)))]
async fn take_shopify_webhook(app: AppState, request: Request) -> Result<axum::Json<ReceiptView>, Problem> {
    let taken = async {
        let (headers, body) = read(request).await?;
        take(&app, receive::shopify(&app.mirror.settings, &headers, &body)?).await
    };
    counted(Source::Shopify, taken.await)
}

/// Take a webhook of Recharge.
///
/// Needs no API key: the raw body must be signed with one of the secrets that are configured, by
/// `X-Recharge-Webhook-Signature` or else by `X-Recharge-Hmac-Sha256`. The path names the topic, such as
/// `/webhooks/recharge/order/created`. It is stored under a digest of topic and body and answered; the same delivery
/// again changes nothing.
#[utoipa::path(post, path = "/webhooks/recharge/{entity}/{event}", tag = "mirror", security(()),
    request_body(content = serde_json::Value, description = "As Recharge sends it; at most 2 MiB."),
    params(("entity" = String, Path, description = "order, charge, subscription, customer …"),
        ("event" = String, Path, description = "created, updated …"),
        ("X-Recharge-Webhook-Timestamp" = Option<String>, Header),
        ("X-Recharge-Webhook-Signature" = Option<String>, Header),
        ("X-Recharge-Hmac-Sha256" = Option<String>, Header)),
    responses((status = 200, description = "Stored, now or before", body = ReceiptView)))]
async fn take_recharge_webhook(
    app: AppState,
    PathPair(entity, event): PathPair,
    request: Request,
) -> Result<axum::Json<ReceiptView>, Problem> {
    take_recharge(&app, format!("{entity}/{event}"), request).await
}

async fn take_recharge_topic(
    app: AppState,
    PathText(topic): PathText,
    request: Request,
) -> Result<axum::Json<ReceiptView>, Problem> {
    take_recharge(&app, topic, request).await
}

async fn take_recharge(app: &Arc<App>, topic: String, request: Request) -> Result<axum::Json<ReceiptView>, Problem> {
    let taken = async {
        let (headers, body) = read(request).await?;
        let now = app.clock.local_now();
        take(app, receive::recharge(&app.mirror.settings, &topic, &headers, &body, now)?).await
    };
    counted(Source::Recharge, taken.await)
}

async fn read(request: Request) -> Result<(HeaderMap, Bytes), Problem> {
    let (parts, body): (_, Body) = request.into_parts();
    Ok((parts.headers, body::bytes(body, BODY_LIMIT).await?))
}

async fn take(app: &Arc<App>, delivery: Delivery) -> Result<ReceiptView, Problem> {
    let delivery_id = delivery.delivery_id.clone();
    let is_new = detached(&app.tasks, receive::store(Arc::clone(app), delivery)).await?;
    Ok(ReceiptView { delivery_id, duplicate: !is_new })
}

fn counted(source: Source, taken: Result<ReceiptView, Problem>) -> Result<axum::Json<ReceiptView>, Problem> {
    if let Err(problem) = &taken {
        receive::count(source, problem.code.as_str());
    }
    taken.map(axum::Json)
}

/// List webhooks that came, newest first.
#[utoipa::path(get, path = "/mirror/webhooks", tag = "mirror",
    params(("source" = Option<String>, Query, description = "shopify or recharge"),
        ("status" = Option<DeliveryStatus>, Query),
        ("limit" = Option<u8>, Query, minimum = 1, maximum = 100), ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "A page of deliveries", body = Page<DeliveryView>)))]
async fn list_webhooks(
    app: AppState,
    _: Caller<scope::StockRead>,
    mut query: Query,
) -> Result<axum::Json<Page<DeliveryView>>, Problem> {
    let paging = Paging::<(_, TextCursor, TextCursor)>::take(&mut query);
    let filter = Filter {
        source: query.read("source", "shopify or recharge", Source::parse),
        status: query.read("status", "pending, done, ignored or failed", DeliveryStatus::parse),
    };
    // A forged one must not reach the database with a time that it does not know.
    if paging.after.as_ref().is_some_and(|(at, ..): &(DateTime<Utc>, _, _)| !(1..=9999).contains(&at.year())) {
        query.refuse("cursor", "must be a cursor that a list answered");
    }
    query.finish()?;
    let after = paging.after.map(|(at, TextCursor(source), TextCursor(id))| (at, source, id));
    let rows = queries::list(&app.db, &filter, after, paging.limit + 1).await?;
    Ok(axum::Json(Page::of(rows, paging.limit, DeliveryRow::place).map(DeliveryView::from)))
}

/// Try a webhook again that was given up.
///
/// One that is pending, done or ignored stays as it is, so repeating this is safe without an `Idempotency-Key`.
#[utoipa::path(post, path = "/mirror/webhooks/{source}/{delivery_id}/retry", tag = "mirror",
    params(("source" = String, Path, description = "shopify or recharge"), ("delivery_id" = String, Path)),
    responses((status = 200, description = "There is nothing to try", body = DeliveryView),
        (status = 202, description = "It is due; `GET /mirror/webhooks` tells how it ends", body = DeliveryView)))]
async fn retry_webhook(
    app: AppState,
    _: Caller<scope::Admin>,
    PathPair(source, delivery_id): PathPair,
    query: Query,
) -> Result<(StatusCode, axum::Json<DeliveryView>), Problem> {
    query.finish()?;
    let source = Source::parse(&source).filter(|_| !delivery_id.contains('\0')).ok_or_else(not_found)?;
    let row = detached(&app.tasks, retry(Arc::clone(&app), source, delivery_id)).await?;
    let status = if row.status == DeliveryStatus::Pending { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, axum::Json(row.into())))
}

async fn retry(app: Arc<App>, source: Source, delivery_id: String) -> Result<DeliveryRow, Problem> {
    let row =
        store::write(&app.db, "retry_webhook", |conn| retry_within(conn, &app, source, &delivery_id).scope_boxed())
            .await?;
    app.mirror.arrivals.of(source).notify_one();
    Ok(row)
}

async fn retry_within(
    conn: &mut PgConnection,
    app: &App,
    source: Source,
    delivery_id: &str,
) -> Result<DeliveryRow, Problem> {
    let now = app.clock.read(conn).await?;
    queries::rearm(conn, source, delivery_id, now).await?;
    queries::find(conn, source, delivery_id).await?.ok_or_else(not_found)
}

fn not_found() -> Problem {
    Problem::new(Code::WebhookNotFound, "There is no such delivery; GET /mirror/webhooks lists them.")
}
