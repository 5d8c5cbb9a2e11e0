//! Closing days, and what closed days say, over HTTP.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::NaiveDate;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::view::{HistoryView, SkuDayView, SnapshotView, SummedView, WithSkusView};
use super::{Closing, Outcome, close_day, queries};
use crate::app::{App, AppState};
use crate::availability::routes::{read_pool, read_sku};
use crate::catalog::days::{FIRST_DATE, LAST_DATE, read_date};
use crate::catalog::{Pool, skus};
use crate::http::auth::{Caller, scope};
use crate::http::body::Json;
use crate::http::code::Code;
use crate::http::pagination::{Page, Paging, TextCursor};
use crate::http::path::{PathPair, PathText};
use crate::http::problem::{ErrorItem, Problem};
use crate::http::query::Query;
use crate::http::table::Format;
use crate::ids::{ClientId, PoolId};
use crate::lifecycle::detached;

/// Most days in one answer of history: ten years.
const MOST_DAYS: i64 = 3660;

/// Routes of this room.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list_snapshots, close_snapshot))
        .routes(routes!(get_snapshot))
        .routes(routes!(get_stock_history))
}

/// A day to close.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseDay {
    /// Pool code; `default` if left out.
    pool: Option<String>,
    /// The pool's local day, YYYY-MM-DD.
    #[schema(required)]
    #[serde(default, deserialize_with = "crate::catalog::days::date_or_null")]
    date: Option<NaiveDate>,
    /// Close it although it has not ended; only the current day, none that has not begun. What ships during the rest
    /// of it is carried late by the next day.
    close_early: Option<bool>,
}

impl CloseDay {
    async fn read(app: &App, client: ClientId, body: Json<Self>) -> Result<(Arc<Pool>, Closing), Problem> {
        let Json { value, violations: mut v } = body;
        let code = value.pool.as_deref().unwrap_or("default");
        let pool = app.find_pool(code).await?;
        if pool.is_none() {
            v.add_code("/pool", Code::UnknownPool, format!("there is no pool {code:?}"));
        }
        let date = v.required("/date", value.date);
        v.year("/date", date);
        let early = value.close_early.unwrap_or(false);
        let closing = pool.zip(date).map(|(pool, date)| (Closing { pool: pool.id, date, early, client }, pool));
        v.finish(closing).map(|(closing, pool)| (pool, closing))
    }
}

/// Closes a local day of a pool.
///
/// Takes every shipment line that left before the end of the day and was not depleted yet from lots, and photographs
/// every balance. Days close in order. Its own key is (pool, date): closing a day again answers the same object, so no
/// Idempotency-Key is needed; one that is sent is not looked at. A close that takes longer than a request may is
/// answered 202 and goes on; one that was interrupted is carried on by the next call.
#[utoipa::path(post, path = "/snapshots", tag = "snapshots", request_body = CloseDay,
    responses((status = 201, description = "The day is closed", body = SummedView),
        (status = 200, description = "The day had been closed before", body = SummedView),
        (status = 202, description = "The day is being closed; look at its Location", body = SummedView)))]
async fn close_snapshot(app: AppState, caller: Caller<scope::Lots>, body: Json<CloseDay>) -> Result<Response, Problem> {
    let (pool, closing) = CloseDay::read(&app, caller.client, body).await?;
    let work = {
        let app = Arc::clone(&app);
        async move {
            let go_on = || !app.tasks.is_closed();
            close_day(&app, closing, &go_on).await.map_err(Problem::from)
        }
    };
    // Leaves time to answer before the edge does.
    let patience = app.settings.request_timeout.mul_f64(0.8);
    let status = match tokio::time::timeout(patience, detached(&app.tasks, work)).await {
        Ok(outcome) => match outcome? {
            Outcome::Closed => StatusCode::CREATED,
            Outcome::AlreadyClosed => StatusCode::OK,
        },
        Err(_) => StatusCode::ACCEPTED,
    };
    let location = format!("/snapshots/{}/{}", pool.code, closing.date);
    let location = HeaderValue::from_str(&location).unwrap_or_else(|_| HeaderValue::from_static("/snapshots"));
    let summed = read_summed(&app, &pool, closing.date).await?;
    Ok((status, [(header::LOCATION, location)], axum::Json(summed)).into_response())
}

async fn read_summed(app: &App, pool: &Pool, date: NaiveDate) -> Result<SummedView, Problem> {
    let day =
        queries::find_day(&app.db, pool.id, date).await?.ok_or_else(|| not_found(&pool.code, &date.to_string()))?;
    let totals = queries::sum_day(&app.db, pool.id, date).await?.into();
    Ok(SummedView { snapshot: SnapshotView::of(&pool.code, day), totals })
}

fn not_found(pool: &str, date: &str) -> Problem {
    Problem::new(Code::SnapshotNotFound, format!("Day {date:?} of pool {pool:?} has not been closed."))
}

/// Lists days of one pool, newest first.
#[utoipa::path(get, path = "/snapshots", tag = "snapshots",
    params(("pool" = Option<String>, Query, description = "Pool code; default if left out"),
        ("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "A page of days", body = Page<SnapshotView>)))]
async fn list_snapshots(
    app: AppState,
    _caller: Caller<scope::StockRead>,
    mut query: Query,
) -> Result<axum::Json<Page<SnapshotView>>, Problem> {
    let catalogue = app.fresh_catalogue().await?;
    let paging = Paging::<TextCursor>::take(&mut query);
    let pool = read_pool(&catalogue, &mut query).unwrap_or(PoolId(0));
    let before = paging.after.map(|TextCursor(date)| read_date(&date));
    if before == Some(None) {
        query.refuse("cursor", "must be a cursor that a list answered");
    }
    query.finish()?;
    let days = queries::list_days(&app.db, pool, before.flatten(), paging.limit + 1).await?;
    let code = catalogue.pool_code(pool);
    let page = Page::of(days, paging.limit, |day| day.snapshot_date);
    Ok(axum::Json(page.map(|day| SnapshotView::of(&code, day))))
}

/// One day: its window, its sums, and its SKUs by page.
#[utoipa::path(get, path = "/snapshots/{pool}/{date}", tag = "snapshots",
    params(("pool" = String, Path), ("date" = String, Path, description = "YYYY-MM-DD"),
        ("sku" = Option<String>, Query, description = "Only this SKU"), ("limit" = Option<i64>, Query),
        ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "The day", body = WithSkusView)))]
async fn get_snapshot(
    app: AppState,
    _caller: Caller<scope::StockRead>,
    PathPair(code, date): PathPair,
    mut query: Query,
) -> Result<axum::Json<WithSkusView>, Problem> {
    let catalogue = app.fresh_catalogue().await?;
    let paging = Paging::<i64>::take(&mut query);
    let sku = read_sku(&catalogue, &mut query);
    query.finish()?;
    let missing = || not_found(&code, &date);
    let (pool, day) = catalogue.pool_by_code(&code).zip(read_date(&date)).ok_or_else(missing)?;
    let SummedView { snapshot, totals } = read_summed(&app, pool, day).await?;
    let rows = queries::list_skus(&app.db, pool.id, day, sku, paging.after, paging.limit + 1).await?;
    let skus = Page::of(rows, paging.limit, |row| row.sku_id).map(|row| SkuDayView::of(&catalogue, &row));
    Ok(axum::Json(WithSkusView { snapshot, totals, skus }))
}

/// The balance of one SKU at the end of each closed day, for charts. At most 3,660 days, which are ten years: a longer
/// period is refused, never cut.
#[utoipa::path(get, path = "/stock/{sku}/history", tag = "stock",
    params(("sku" = String, Path), ("pool" = Option<String>, Query, description = "Pool code; default if left out"),
        ("from" = Option<String>, Query, description = "First day, YYYY-MM-DD"),
        ("to" = Option<String>, Query, description = "Last day, YYYY-MM-DD"),
        ("format" = Option<Format>, Query, description = "Otherwise as Accept says")),
    responses((status = 200, description = "One item per closed day, oldest first",
        content((HistoryView = "application/json"), (String = "text/csv")))))]
async fn get_stock_history(
    app: AppState,
    _caller: Caller<scope::StockRead>,
    headers: HeaderMap,
    PathText(code): PathText,
    mut query: Query,
) -> Result<Response, Problem> {
    let catalogue = app.fresh_catalogue().await?;
    let format = Format::take(&mut query, &headers);
    let pool = read_pool(&catalogue, &mut query).unwrap_or(PoolId(0));
    let from = query.date("from").unwrap_or(FIRST_DATE);
    let to = query.date("to").unwrap_or(LAST_DATE);
    query.finish()?;
    let sku = catalogue.sku_by_code(&code).ok_or_else(|| skus::not_found(&code))?;
    let rows = queries::list_history(&app.db, pool, sku.id, from, to, MOST_DAYS + 1).await?;
    if i64::try_from(rows.len()).is_ok_and(|days| days > MOST_DAYS) {
        let detail = format!("gives more than {MOST_DAYS} days; name a later from, or an earlier to");
        return Err(Problem::listing(vec![ErrorItem::of("from", detail)]));
    }
    let data = rows.iter().map(|row| SkuDayView::of(&catalogue, row)).collect();
    let history = HistoryView { pool: catalogue.pool_code(pool), data };
    Ok(format.respond(&history, |history| &history.data))
}
