//! `POST /repair/diagnose`, `/repair/plan`, `/repair/apply`, `/repair/verify`, `GET /repair/plans/{plan_id}` and
//! `GET /repair/report`: admin only.
//!
//! Each request does a bounded step and says where to go on, so nothing long lives behind a request and whoever drives
//! it can stop and go on at will. No Idempotency-Key: a finding is repaired once per evidence, whatever is sent again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::header;
use axum::response::IntoResponse;
use scoped_futures::ScopedFutureExt;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::apply::{self, Applied, Moved, Outcome};
use super::diagnose::{self, Cursor, Limits};
use super::plan::{self, Kept, Plan, Verified};
use super::{Finding, report};
use crate::app::{App, AppState};
use crate::db::tx;
use crate::http::auth::{Caller, scope};
use crate::http::body::Json;
use crate::http::code::Code;
use crate::http::pagination::{decode, encode};
use crate::http::path::PathText;
use crate::http::problem::{ErrorItem, Problem};
use crate::http::query::Query;
use crate::ids::{ClientId, PoolId};
use crate::lifecycle::detached;

/// No finding is begun after this long in one request.
const STEP: Duration = Duration::from_secs(3);

/// Routes of this room.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(diagnose_damage))
        .routes(routes!(plan_repair))
        .routes(routes!(get_repair_plan))
        .routes(routes!(apply_repair))
        .routes(routes!(verify_repair))
        .routes(routes!(report_repair))
}

/// Where to look.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Diagnose {
    /// Only this pool; all without.
    pool: Option<String>,
    /// Where an earlier step ended.
    cursor: Option<String>,
}

/// What a step of a diagnosis found.
#[derive(Debug, Serialize, ToSchema)]
pub struct DiagnosisView {
    /// False: there are no lots yet, so no more than days and holds can be wrong.
    has_lots: bool,
    /// What is wrong.
    findings: Vec<Finding>,
    /// Where to go on; none when everything was looked at.
    next_cursor: Option<String>,
}

async fn pool_of(app: &App, code: Option<String>) -> Result<Option<PoolId>, Problem> {
    let Some(code) = code else { return Ok(None) };
    match app.find_pool(&code).await? {
        Some(pool) => Ok(Some(pool.id)),
        None => Err(Problem::listing(vec![ErrorItem::at(
            "/pool",
            Code::UnknownPool,
            format!("There is no pool {code:?}."),
        )])),
    }
}

fn cursor_of<C: for<'de> Deserialize<'de>>(text: Option<&str>) -> Result<Option<C>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let wrong = || ErrorItem::at("/cursor", Code::ValidationFailed, "must be a cursor that a step answered");
    decode(text).map(Some).ok_or_else(|| Problem::listing(vec![wrong()]))
}

/// Looks for damage, a step at a time; locks nothing and changes nothing.
#[utoipa::path(post, path = "/repair/diagnose", tag = "repair", request_body = Diagnose,
    responses((status = 200, description = "What a step found", body = DiagnosisView)))]
async fn diagnose_damage(
    app: AppState,
    _caller: Caller<scope::Admin>,
    body: Json<Diagnose>,
) -> Result<axum::Json<DiagnosisView>, Problem> {
    let body = body.violations.finish(Some(body.value))?;
    let cursor: Option<Cursor> = cursor_of(body.cursor.as_deref())?;
    let pool = pool_of(&app, body.pool).await?;
    let tasks = app.tasks.clone();
    detached(&tasks, async move {
        let mut conn = app.db.acquire().await?;
        let has_lots = diagnose::has_lots(&mut conn, pool).await?;
        let step = diagnose::step(&mut conn, &app.clock, pool, cursor, Limits::default()).await?;
        let next_cursor = step.next.as_ref().map(encode);
        Ok(axum::Json(DiagnosisView { has_lots, findings: step.findings, next_cursor }))
    })
    .await
}

/// A plan to make, or to go on making.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MakePlan {
    /// Only this pool; all without. Not with `plan_id`: a plan keeps the pool it was begun for.
    pool: Option<String>,
    /// The plan to go on with.
    plan_id: Option<Uuid>,
}

/// A plan as far as it is made.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanView {
    /// Whether everything was looked at. If not, ask again with its id.
    complete: bool,
    /// The plan.
    #[serde(flatten)]
    plan: Plan,
}

/// Diagnoses and keeps the findings as a plan, a step at a time: repeat it with the plan's id until it is complete.
#[utoipa::path(post, path = "/repair/plan", tag = "repair", request_body = MakePlan,
    responses((status = 200, description = "The plan as far as it is made", body = PlanView)))]
async fn plan_repair(
    app: AppState,
    caller: Caller<scope::Admin>,
    body: Json<MakePlan>,
) -> Result<axum::Json<PlanView>, Problem> {
    let Json { value: body, violations: mut v } = body;
    if body.plan_id.is_some() && body.pool.is_some() {
        v.add("/pool", "is the plan's own: leave it out");
    }
    let body = v.finish(Some(body))?;
    let pool = pool_of(&app, body.pool).await?;
    let tasks = app.tasks.clone();
    detached(&tasks, async move {
        let kept = match body.plan_id {
            Some(id) => go_on(&app, id).await?,
            None => begin(&app, pool, caller.client).await?,
        };
        Ok(axum::Json(PlanView { complete: kept.complete, plan: kept.plan }))
    })
    .await
}

/// The plan is kept before anything is looked at: whatever becomes of its first step, its id is known.
async fn begin(app: &App, pool: Option<PoolId>, client: ClientId) -> Result<Kept, Problem> {
    let plan = {
        let mut conn = app.db.acquire().await?;
        Plan::begin(&mut conn, &app.clock, pool).await?
    };
    let kept = Kept { plan, cursor: None, complete: false };
    tx::write(&app.db, "keep_repair_plan", |conn| plan::insert(conn, &kept, client).scope_boxed()).await?;
    match step_on(app, kept.clone()).await {
        Ok(stepped) => Ok(stepped),
        Err(problem) => {
            tracing::warn!(plan = %kept.plan.plan_id, problem = problem.detail, "the first step of a plan failed");
            Ok(kept)
        }
    }
}

async fn go_on(app: &App, id: Uuid) -> Result<Kept, Problem> {
    let kept = get(app, id).await?;
    if kept.complete { Ok(kept) } else { step_on(app, kept).await }
}

async fn step_on(app: &App, kept: Kept) -> Result<Kept, Problem> {
    let (id, before) = (kept.plan.plan_id, kept.cursor.clone());
    let next = {
        let mut conn = app.db.acquire().await?;
        kept.step(&mut conn, &app.clock, Limits::default()).await?
    };
    let now = app.clock.local_now();
    let stepped =
        tx::write(&app.db, "keep_repair_plan", |conn| plan::update(conn, &next, before.as_ref(), now).scope_boxed())
            .await?;
    // Whoever was faster has stepped over the same rows.
    if stepped { Ok(next) } else { get(app, id).await }
}

async fn get(app: &App, id: Uuid) -> Result<Kept, Problem> {
    let mut conn = app.db.acquire().await?;
    let kept = plan::find(&mut conn, id).await?;
    kept.ok_or_else(|| Problem::new(Code::RepairPlanNotFound, "No such plan."))
}

/// A plan, with its findings, evidence and corrections.
#[utoipa::path(get, path = "/repair/plans/{plan_id}", tag = "repair", params(("plan_id" = Uuid, Path)),
    responses((status = 200, description = "The plan", body = PlanView)))]
async fn get_repair_plan(
    app: AppState,
    _caller: Caller<scope::Admin>,
    PathText(id): PathText,
    query: Query,
) -> Result<axum::Json<PlanView>, Problem> {
    query.finish()?;
    let id = Uuid::parse_str(&id).map_err(|_| Problem::new(Code::RepairPlanNotFound, "No such plan."))?;
    let kept = get(&app, id).await?;
    Ok(axum::Json(PlanView { complete: kept.complete, plan: kept.plan }))
}

/// Which findings of a plan.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Apply {
    /// The plan.
    #[schema(required)]
    plan_id: Option<Uuid>,
    /// Only these findings; all without.
    findings: Option<Vec<String>>,
    /// Where an earlier step ended.
    cursor: Option<String>,
    /// Do everything but commit; true unless told otherwise.
    #[schema(default = true)]
    dry_run: Option<bool>,
}

/// What became of the findings of a step.
#[derive(Debug, Serialize, ToSchema)]
pub struct AppliedView {
    /// Whether nothing was committed.
    dry_run: bool,
    /// One per finding.
    findings: Vec<Applied>,
    /// Where to go on; none when every finding was tried.
    next_cursor: Option<String>,
}

/// Appends the corrections of a plan whose evidence still holds, a step at a time. A dry run unless `dry_run` is false.
#[utoipa::path(post, path = "/repair/apply", tag = "repair", request_body = Apply,
    responses((status = 200, description = "What became of each finding", body = AppliedView)))]
async fn apply_repair(
    app: AppState,
    caller: Caller<scope::Admin>,
    body: Json<Apply>,
) -> Result<axum::Json<AppliedView>, Problem> {
    let Json { value, violations: mut v } = body;
    let id = v.required("/plan_id", value.plan_id);
    let id = v.finish(id)?;
    let from: usize = cursor_of(value.cursor.as_deref())?.unwrap_or(0);
    let dry_run = value.dry_run.unwrap_or(true);
    let tasks = app.tasks.clone();
    detached(&tasks, async move {
        let chosen = choose(get(&app, id).await?.plan, value.findings)?;
        let (began, mut at, mut findings) = (Instant::now(), from, Vec::new());
        let mut moved = Moved::default();
        while at < chosen.len() && began.elapsed() < STEP {
            match apply::apply(&app, &chosen[at], dry_run, Some(caller.client), &mut moved).await {
                Ok(applied) => findings.push(applied),
                Err(error) if findings.is_empty() => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(%error, finding = chosen[at].id, "a step of a repair ended early");
                    break;
                }
            }
            at += 1;
        }
        moved.keep_off_sale(&app).await;
        let whole = from == 0 && at == chosen.len();
        if whole && !findings.is_empty() && findings.iter().all(|one| one.outcome == Outcome::Stale) {
            let detail = "What these findings were made from is no longer so; diagnose and plan again.";
            return Err(Problem::new(Code::EvidenceStale, detail));
        }
        let next_cursor = (at < chosen.len()).then(|| encode(&at));
        Ok(axum::Json(AppliedView { dry_run, findings, next_cursor }))
    })
    .await
}

fn choose(plan: Plan, only: Option<Vec<String>>) -> Result<Vec<Finding>, Problem> {
    let Some(only) = only else { return Ok(plan.findings) };
    let unknown = only.iter().enumerate().filter(|(_, id)| !plan.findings.iter().any(|one| one.id == **id));
    let unknown: Vec<ErrorItem> = unknown
        .map(|(at, _)| ErrorItem::at(format!("/findings/{at}"), Code::ValidationFailed, "is not in the plan"))
        .collect();
    if !unknown.is_empty() {
        return Err(Problem::listing(unknown));
    }
    Ok(plan.findings.into_iter().filter(|one| only.contains(&one.id)).collect())
}

/// A plan to look at again.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// The plan.
    #[schema(required)]
    plan_id: Option<Uuid>,
    /// Where an earlier step ended.
    cursor: Option<String>,
}

/// How the findings of a step stand.
#[derive(Debug, Serialize, ToSchema)]
pub struct VerifiedView {
    /// One per finding.
    findings: Vec<Verified>,
    /// Where to go on; none when every finding was looked at.
    next_cursor: Option<String>,
}

/// Looks again at what a plan names, a step at a time; locks nothing and changes nothing.
#[utoipa::path(post, path = "/repair/verify", tag = "repair", request_body = Verify,
    responses((status = 200, description = "How each finding stands", body = VerifiedView)))]
async fn verify_repair(
    app: AppState,
    _caller: Caller<scope::Admin>,
    body: Json<Verify>,
) -> Result<axum::Json<VerifiedView>, Problem> {
    let Json { value, violations: mut v } = body;
    let id = v.required("/plan_id", value.plan_id);
    let id = v.finish(id)?;
    let from: usize = cursor_of(value.cursor.as_deref())?.unwrap_or(0);
    let tasks = app.tasks.clone();
    detached(&tasks, async move {
        let plan = get(&app, id).await?.plan;
        let mut conn = app.db.acquire().await?;
        let (began, mut at, mut findings) = (Instant::now(), from, Vec::new());
        while at < plan.findings.len() && began.elapsed() < STEP {
            findings.push(plan::verify(&mut conn, &app.clock, &plan.findings[at]).await?);
            at += 1;
        }
        let next_cursor = (at < plan.findings.len()).then(|| encode(&at));
        Ok(axum::Json(VerifiedView { findings, next_cursor }))
    })
    .await
}

/// An account of a plan and of what was appended because of it, in Markdown.
#[utoipa::path(get, path = "/repair/report", tag = "repair", params(("plan_id" = Uuid, Query)),
    responses((status = 200, description = "The account", body = String, content_type = "text/markdown")))]
async fn report_repair(
    app: AppState,
    _caller: Caller<scope::Admin>,
    mut query: Query,
) -> Result<impl IntoResponse, Problem> {
    let id = query.read("plan_id", "the id of a plan", |text| Uuid::parse_str(text).ok());
    if id.is_none() && !query.has("plan_id") {
        query.refuse("plan_id", "is required");
    }
    query.finish()?;
    let plan = get(&app, id.unwrap_or_default()).await?.plan;
    let mut conn = app.db.acquire().await?;
    let done = report::find_done(&mut conn, &plan).await?;
    Ok(([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], report::render(&plan, &done)))
}
