//! `GET /jobs`, `POST /jobs/{name}/run`.

use std::sync::Arc;

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::by_hand::{self, RunJob};
use super::pass::{find_next, places};
use super::queries;
use super::registry::Subject;
use super::state::Status;
use super::view::{JobView, RunView};
use crate::app::{App, AppState};
use crate::http::auth::{Caller, scope};
use crate::http::body::Json;
use crate::http::pagination::{Page, Paging};
use crate::http::path::PathText;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::lifecycle::detached;

/// Slots that are shown of each job and pool.
const RUNS: i64 = 10;

/// The routes of this room.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list_jobs)).routes(routes!(run_job))
}

/// Job and pool that a page ended with. They are compared in memory, so a forged one does no harm.
#[derive(Serialize, Deserialize)]
struct After(String, String);

/// List jobs: their schedules, what is next, what ran last.
///
/// A daily job is listed once for each pool.
#[utoipa::path(get, path = "/jobs", tag = "jobs",
    params(
        ("limit" = Option<u8>, Query, minimum = 1, maximum = 100, description = "Most jobs; 20 unless given."),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page, by name and pool.", body = Page<JobView>)))]
async fn list_jobs(
    app: AppState,
    _: Caller<scope::StockRead>,
    mut query: Query,
) -> Result<axum::Json<Page<JobView>>, Problem> {
    let Paging { limit, after } = Paging::<After>::take(&mut query);
    query.finish()?;
    let catalogue = app.fresh_catalogue().await?;
    let mut subjects = app.jobs.subjects(&catalogue);
    subjects.retain(|one| after.as_ref().is_none_or(|After(job, pool)| one.place() > (job, pool)));
    let page = Page::of(subjects, limit, |one| After(one.place().0.to_owned(), one.place().1.to_owned()));
    let mut conn = app.db.acquire().await?;
    let now = app.clock.read(&mut conn).await?;
    let nexts = find_next(&mut conn, &page.data, now).await?;
    let (jobs, pool_codes) = places(&page.data);
    let runs = queries::list_newest(&mut conn, &jobs, &pool_codes, RUNS).await?;
    let mut nexts = nexts.iter();
    let view = |one: Subject| {
        let own = runs.iter().filter(|row| (&*row.job, &*row.pool_code) == one.place()).cloned().collect();
        nexts.next().map(|next| JobView::new(&one, next, own, now))
    };
    let Page { data, next_cursor } = page;
    Ok(axum::Json(Page { data: data.into_iter().filter_map(view).collect(), next_cursor }))
}

/// Run a slot of a job now.
///
/// Makes the slot due at once, with all its attempts ahead; an instance that works on jobs takes it. A slot that has
/// succeeded is not run again, so repeating this is safe without an `Idempotency-Key`. Without a body: the slot that
/// is open, failed or due, and else, for an interval job, one for now.
#[utoipa::path(post, path = "/jobs/{name}/run", tag = "jobs", request_body(content = Option<RunJob>),
    params(("name" = String, Path, description = "Name of the job.")),
    responses((status = 200, description = "The slot has succeeded.", body = RunView),
        (status = 202, description = "The slot is due or at work; `GET /jobs` tells how it ends.", body = RunView)))]
async fn run_job(
    app: AppState,
    _: Caller<scope::Admin>,
    PathText(name): PathText,
    query: Query,
    body: Option<Json<RunJob>>,
) -> Result<(StatusCode, axum::Json<RunView>), Problem> {
    query.finish()?;
    let asked = RunJob::validate(body)?;
    let view = detached(&app.tasks, by_hand::run(Arc::clone(&app), name, asked)).await?;
    let status = if view.status() == Status::Succeeded { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, axum::Json(view)))
}
