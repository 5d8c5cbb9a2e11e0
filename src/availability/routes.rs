//! Availability, its explanation, and the ledger over HTTP.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::explain::{Explanation, Subject, explain};
use super::variants::VariantAvailabilityList;
use super::view::{AvailabilityView, EntryView};
use super::{queries, variants};
use crate::app::{App, AppState};
use crate::catalog::{Catalogue, Pool, Sku};
use crate::http::auth::{Caller, scope};
use crate::http::body::Json;
use crate::http::code::Code;
use crate::http::etag::IfNoneMatch;
use crate::http::pagination::{Page, Paging};
use crate::http::path::PathText;
use crate::http::problem::{ErrorItem, Problem};
use crate::http::query::Query;
use crate::http::text_id::{self, GivenId, GivenIdSchema};
use crate::ids::{PoolId, SkuId};
use crate::lots::expiry;

/// Most SKUs in one question.
pub(super) const MOST_SKUS: usize = 1000;
/// Most SKUs, or variants, in one query string.
const MOST_SKUS_IN_QUERY: usize = 100;
/// Bytes of one item, with long names.
const ITEM_BYTES: usize = 640;

/// Routes of this room.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(get_availability))
        .routes(routes!(query_availability))
        .routes(routes!(explain_availability))
        .routes(routes!(list_stock_entries))
}

/// Reads `pool`, by default `default`.
pub fn read_pool(catalogue: &Catalogue, query: &mut Query) -> Option<PoolId> {
    let code = query.one("pool").unwrap_or_else(|| "default".to_owned());
    let pool = catalogue.pool_by_code(&code).map(|pool| pool.id);
    if pool.is_none() {
        query.refuse("pool", "is not a pool of the catalogue");
    }
    pool
}

/// Reads `sku`, if given.
pub fn read_sku(catalogue: &Catalogue, query: &mut Query) -> Option<SkuId> {
    let code = query.one("sku")?;
    let sku = catalogue.sku_by_code(&code).map(|sku| sku.id);
    if sku.is_none() {
        query.refuse("sku", "is not a SKU of the catalogue");
    }
    sku
}

/// Which pools a question is about.
pub(super) enum Pools {
    One(Arc<Pool>),
    /// Per pool, as rows of their own.
    Each(Vec<Arc<Pool>>),
    /// Summed up.
    Sum(Vec<Arc<Pool>>),
}

impl Pools {
    /// All of them.
    pub(super) fn all(&self) -> &[Arc<Pool>] {
        match self {
            Self::One(pool) => std::slice::from_ref(pool),
            Self::Each(pools) | Self::Sum(pools) => pools,
        }
    }
}

pub(super) fn choose_pools(catalogue: &Catalogue, word: &str) -> Option<Pools> {
    let all = || {
        let mut pools: Vec<_> = catalogue.pools().cloned().collect();
        pools.sort_unstable_by(|a, b| a.code.cmp(&b.code));
        pools
    };
    match word {
        "*" => Some(Pools::Each(all())),
        "sum" => Some(Pools::Sum(all())),
        code => catalogue.pool_by_code(code).cloned().map(Pools::One),
    }
}

/// Availability of many SKUs.
#[derive(Debug, Serialize, ToSchema)]
pub struct AvailabilityList {
    /// One item per SKU, or per SKU and pool with `pool=*`.
    data: Vec<AvailabilityView>,
}

/// What was asked for: availability of SKUs, or of variants.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only described, never made")]
enum AvailabilityAnswer {
    Skus(AvailabilityList),
    Variants(VariantAvailabilityList),
}

/// Availability of one or many SKUs: every term of the sum, and how old it is. Or of one or many variants: whole kits, and
/// the terms of each of their SKUs.
#[utoipa::path(get, path = "/availability", tag = "availability",
    params(("sku" = Option<Vec<String>>, Query, description = "SKU code; repeat it for up to 100"),
        ("variant_id" = Option<Vec<String>>, Query,
            description = "The shop's id of a variant, in place of `sku`; repeat it for up to 100"),
        ("pool" = Option<String>, Query,
            description = "Pool code (default: default), * for every pool, sum for the total over pools")),
    responses((status = 200, description = "Availability", body = AvailabilityAnswer),
        (status = 304, description = "Unchanged since If-None-Match")))]
async fn get_availability(
    app: AppState,
    _caller: Caller<scope::StockRead>,
    known: IfNoneMatch,
    mut query: Query,
) -> Result<Response, Problem> {
    let (skus, asked) = (query.all("sku"), query.all("variant_id"));
    if asked.is_empty() && (skus.is_empty() || skus.len() > MOST_SKUS_IN_QUERY) {
        query.refuse("sku", format!("must be given 1 to {MOST_SKUS_IN_QUERY} times"));
    }
    if asked.len() > MOST_SKUS_IN_QUERY {
        query.refuse("variant_id", format!("must be given 1 to {MOST_SKUS_IN_QUERY} times"));
    } else if !asked.is_empty() && !skus.is_empty() {
        query.refuse("variant_id", "may not be given together with sku: a question is about one of the two");
    }
    let pool = query.one("pool");
    query.finish()?;
    let pool = pool.as_deref().unwrap_or("default");
    if !asked.is_empty() {
        let wrong = |index: Option<usize>, code, detail: String| {
            let detail = index.map_or_else(|| detail.clone(), |index| format!("value {}: {detail}", index + 1));
            // What is wrong with the question as a whole is a parameter's.
            let code = if index.is_some() { code } else { Code::InvalidParameter };
            ErrorItem { code, ..ErrorItem::of("variant_id", detail) }
        };
        let asked: Vec<Option<i64>> = asked.iter().map(|text| text_id::read(text)).collect();
        return Box::pin(variants::answer(&app, &known, &asked, pool, wrong)).await;
    }
    answer(&app, &known, &skus, pool, |index| ErrorItem {
        code: Code::UnknownSku,
        ..ErrorItem::of("sku", format!("value {}: there is no such SKU", index + 1))
    })
    .await
}

/// A question about up to 1,000 SKUs, or variants.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AvailabilityQuery {
    /// SKU codes, 1 to 1,000.
    skus: Option<Vec<String>>,
    /// In place of `skus`: the shop's ids of variants, 1 to 1,000, which may come to 1,000 SKUs together.
    #[schema(value_type = Option<Vec<GivenIdSchema>>)]
    variant_ids: Option<Vec<GivenId>>,
    /// Pool code (default: `default`), `*` for every pool, `sum` for the total over pools.
    pool: Option<String>,
}

/// Availability of up to 1,000 SKUs or variants in one question. Moves nothing; needs no key.
#[utoipa::path(post, path = "/availability/query", tag = "availability", request_body = AvailabilityQuery,
    responses((status = 200, description = "Availability", body = AvailabilityAnswer),
        (status = 304, description = "Unchanged since If-None-Match")))]
async fn query_availability(
    app: AppState,
    _caller: Caller<scope::StockRead>,
    known: IfNoneMatch,
    body: Json<AvailabilityQuery>,
) -> Result<Response, Problem> {
    let Json { value, violations: mut v } = body;
    let pool = value.pool.as_deref().unwrap_or("default");
    let fits = |length: usize| (1..=MOST_SKUS).contains(&length);
    if let Some(ids) = value.variant_ids {
        if value.skus.is_some() {
            v.add("/variant_ids", "may not be given together with skus: a question is about one of the two");
        }
        if !fits(ids.len()) {
            v.add("/variant_ids", format!("must name 1 to {MOST_SKUS} variants"));
        }
        let ids: Vec<Option<i64>> = v.finish(Some(ids))?.into_iter().map(|GivenId(id)| Some(id)).collect();
        let wrong = |index: Option<usize>, code, detail| {
            let pointer = index.map_or_else(|| "/variant_ids".to_owned(), |index| format!("/variant_ids/{index}"));
            ErrorItem::at(pointer, code, detail)
        };
        return Box::pin(variants::answer(&app, &known, &ids, pool, wrong)).await;
    }
    let skus = v.required("/skus", value.skus);
    if skus.as_ref().is_some_and(|skus| !fits(skus.len())) {
        v.add("/skus", format!("must name 1 to {MOST_SKUS} SKUs"));
    }
    let skus = v.finish(skus)?;
    answer(&app, &known, &skus, pool, |index| {
        ErrorItem::at(format!("/skus/{index}"), Code::UnknownSku, "there is no such SKU")
    })
    .await
}

async fn answer(
    app: &Arc<App>,
    known: &IfNoneMatch,
    codes: &[String],
    pool: &str,
    unknown: impl Fn(usize) -> ErrorItem,
) -> Result<Response, Problem> {
    let (catalogue, skus) = resolve(app, codes, unknown).await?;
    let Some(pools) = choose_pools(&catalogue, pool) else {
        return Err(Problem::new(Code::UnknownPool, format!("There is no pool {pool:?}.")));
    };
    let wanted = pools.all();
    let mut cut_off = false;
    for pool in wanted {
        cut_off |= !refresh_stale(app, pool.id, &skus).await?;
    }
    let mut data = Vec::with_capacity(skus.len() * wanted.len());
    for sku in &skus {
        let rows = wanted.iter().filter_map(|pool| view(app, &catalogue, sku, pool, cut_off));
        let low = catalogue.policy(sku).map_or(0, |policy| policy.low_stock_quantity);
        match pools {
            Pools::One(_) | Pools::Each(_) => data.extend(rows.map(|row| row.clamped(sku, low))),
            Pools::Sum(_) => data.extend(sum(rows).map(|row| row.clamped(sku, low))),
        }
    }
    let tag = data.iter().fold(0_u64, |tag, row| tag.rotate_left(7) ^ row.tag());
    Ok(respond(known, tag, data.len(), &AvailabilityList { data }))
}

/// The answer, or that it is as it was; `rows` of it are about so many bytes.
pub(super) fn respond(known: &IfNoneMatch, tag: u64, rows: usize, list: &impl Serialize) -> Response {
    let tag = HeaderValue::from_str(&format!("\"{tag:016x}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""));
    if known.names(&tag) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
    }
    // Room for all of it from the start: it would grow some four times.
    let mut body = Vec::with_capacity(rows * ITEM_BYTES + 16);
    if let Err(error) = serde_json::to_writer(&mut body, list) {
        tracing::error!(%error, "availability is no JSON");
        return Problem::new(Code::Internal, "An unexpected error; it has been logged.").into_response();
    }
    let json = HeaderValue::from_static("application/json");
    ([(header::ETAG, tag), (header::CONTENT_TYPE, json)], Body::from(body)).into_response()
}

/// Terms of all pools that have the SKU; a pool without stock of it takes no safety stock off the sum.
pub(super) fn sum(rows: impl Iterator<Item = AvailabilityView>) -> Option<AvailabilityView> {
    let mut rows: Vec<AvailabilityView> = rows.collect();
    if rows.iter().any(AvailabilityView::is_stocked) {
        rows.retain(AvailabilityView::is_stocked);
    } else {
        rows.truncate(1);
    }
    let mut rows = rows.into_iter();
    let mut total = rows.next()?;
    for row in rows {
        total.add(&row);
    }
    total.pool = None;
    Some(total)
}

/// SKUs by code; looks at the database once if memory does not know one of them.
async fn resolve(
    app: &Arc<App>,
    codes: &[String],
    unknown: impl Fn(usize) -> ErrorItem,
) -> Result<(Arc<Catalogue>, Vec<Arc<Sku>>), Problem> {
    let mut catalogue = app.catalogue.current();
    if codes.iter().any(|code| catalogue.sku_by_code(code).is_none()) {
        // Boxed, as is everything here that asks the database: an answer from memory is not to carry its weight.
        catalogue = Box::pin(app.fresh_catalogue()).await?;
    }
    let mut skus = Vec::with_capacity(codes.len());
    let mut errors = Vec::new();
    for (index, code) in codes.iter().enumerate() {
        match catalogue.sku_by_code(code) {
            Some(sku) => skus.push(Arc::clone(sku)),
            None => errors.push(unknown(index)),
        }
    }
    if errors.is_empty() { Ok((catalogue, skus)) } else { Err(Problem::listing(errors)) }
}

/// Re-reads what is older than the bound. False if the database cannot be reached and everything is known all the same:
/// that is good enough, marked stale.
pub(super) async fn refresh_stale(app: &Arc<App>, pool: PoolId, skus: &[Arc<Sku>]) -> Result<bool, Problem> {
    let bound = app.projection.bound();
    let stale: Vec<i64> = skus
        .iter()
        .filter(|sku| !app.projection.peek(pool, sku.id).is_some_and(|seen| seen.is_fresh(bound)))
        .map(|sku| sku.id.0)
        .collect();
    if stale.is_empty() {
        return Ok(true);
    }
    let Err(error) = Box::pin(read(app, pool, &stale)).await else {
        return Ok(true);
    };
    let all_known = skus.iter().all(|sku| app.projection.peek(pool, sku.id).is_some());
    if all_known { Ok(false) } else { Err(error.into()) }
}

/// Reads these shelves, once lots of theirs that are past their expiry are off sale.
async fn read(app: &Arc<App>, pool: PoolId, skus: &[i64]) -> sqlx::Result<()> {
    let today = expiry::today(app, pool);
    let expiring = queries::refresh(&app.db, &app.clock, &app.projection, pool, skus, today).await?;
    if !expiring.is_empty() {
        if let Err(error) = expiry::expire(app, pool, &expiring).await {
            // The numbers are what the ledger has; the next reader asks again.
            tracing::warn!(pool = pool.0, %error, "due lots are still on sale");
        }
        let expired: Vec<i64> = expiring.iter().map(|sku| sku.0).collect();
        queries::refresh(&app.db, &app.clock, &app.projection, pool, &expired, today).await?;
    }
    Ok(())
}

pub(super) fn view(
    app: &App,
    catalogue: &Catalogue,
    sku: &Sku,
    pool: &Pool,
    cut_off: bool,
) -> Option<AvailabilityView> {
    let seen = app.projection.peek(pool.id, sku.id)?;
    let age = seen.age().unwrap_or_default();
    app.projection.answered(age);
    let stale = cut_off && !seen.is_fresh(app.projection.bound());
    let view = AvailabilityView::of(sku, &pool.code, catalogue.policy(sku)?, &seen, age, stale);
    let mirror_lag_seconds = app.mirror.watermark.lag_seconds(app.clock.local_now());
    Some(AvailabilityView { mirror_lag_seconds, ..view })
}

/// Why the number is what it is: the reservations, lots, oversells and entries behind every term.
#[utoipa::path(get, path = "/availability/explain", tag = "availability",
    params(("sku" = String, Query), ("pool" = Option<String>, Query)),
    responses((status = 200, description = "Term by term", body = Explanation)))]
async fn explain_availability(
    app: AppState,
    _caller: Caller<scope::StockRead>,
    mut query: Query,
) -> Result<axum::Json<Explanation>, Problem> {
    let catalogue = app.fresh_catalogue().await?;
    let pool = read_pool(&catalogue, &mut query);
    let named = query.has("sku");
    let sku = read_sku(&catalogue, &mut query);
    if !named {
        query.refuse("sku", "is required");
    }
    query.finish()?;
    let found = pool.zip(sku).and_then(|(pool, sku)| {
        let sku = catalogue.sku(sku)?;
        Some(Subject { pool, sku, policy: catalogue.policy(sku)?, catalogue: &catalogue })
    });
    let subject = found.ok_or_else(|| Problem::new(Code::SkuNotFound, "There is no such SKU."))?;
    read(&app, subject.pool, &[subject.sku.id.0]).await?;
    Ok(axum::Json(explain(&app.db, &app.clock, &subject).await?))
}

/// The ledger of one SKU in one pool, newest first.
#[utoipa::path(get, path = "/stock/{sku}/entries", tag = "stock",
    params(("sku" = String, Path), ("pool" = Option<String>, Query), ("limit" = Option<i64>, Query),
        ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "A page of entries", body = Page<EntryView>)))]
async fn list_stock_entries(
    app: AppState,
    _caller: Caller<scope::StockRead>,
    PathText(code): PathText,
    mut query: Query,
) -> Result<axum::Json<Page<EntryView>>, Problem> {
    let catalogue = app.fresh_catalogue().await?;
    let pool = read_pool(&catalogue, &mut query);
    let paging = Paging::<i64>::take(&mut query);
    query.finish()?;
    let sku = catalogue
        .sku_by_code(&code)
        .ok_or_else(|| Problem::new(Code::SkuNotFound, format!("There is no SKU {code:?}.")))?;
    let pool = pool.unwrap_or(PoolId(0));
    let rows = queries::list_entries(&app.db, pool, sku.id, paging.after, paging.limit + 1).await?;
    let page = Page::of(rows, paging.limit, |row| row.seq);
    Ok(axum::Json(page.map(|row| EntryView::of(pool, row))))
}
