//! A slot that someone asks for: due at once, with all its attempts ahead. What has succeeded is not run again, so
//! asking twice is asking once.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use scoped_futures::ScopedFutureExt;
use serde::Deserialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::pass::{find_next, id_of};
use super::queries::{self, SlotRow};
use super::registry::{Registered, Subject};
use super::schedule::{self, Next, Planned};
use super::state::Status;
use super::view::RunView;
use crate::app::App;
use crate::db::tx;
use crate::http::body::Json;
use crate::http::code::Code;
use crate::http::problem::{ErrorItem, Problem};

/// Which slot to run.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunJob {
    /// Pool code, for a job that has slots per pool; `default` unless given.
    pool: Option<String>,
    /// The slot: a date or an instant, as `GET /jobs` names it. Unless given: the next one that is due; for an
    /// interval job with none due, one for now.
    #[schema(example = "2026-11-24")]
    slot: Option<String>,
}

/// A slot to run, checked by itself.
#[derive(Debug)]
pub struct Asked {
    pool: Option<String>,
    slot: Option<String>,
}

impl RunJob {
    /// Checks what can be checked without knowing the job.
    ///
    /// # Errors
    /// A problem that lists every broken rule.
    pub fn validate(body: Option<Json<Self>>) -> Result<Asked, Problem> {
        let Some(Json { value, violations: mut v }) = body else { return Ok(Asked { pool: None, slot: None }) };
        let pool = value.pool.map(|pool| v.text("/pool", Some(pool), 63).unwrap_or_default());
        let slot = value.slot.map(|slot| v.text("/slot", Some(slot), 64).unwrap_or_default());
        v.finish(Some(Asked { pool, slot }))
    }
}

/// Makes a slot due now, unless it has succeeded, and gives it as it stands. Whoever sees it first works on it.
///
/// # Errors
/// `job_not_found`, `unknown_pool`, `slot_not_due`, `job_at_work`, broken rules, database problems.
pub async fn run(app: Arc<App>, name: String, asked: Asked) -> Result<RunView, Problem> {
    let registered = app.jobs.find(&name).ok_or_else(|| not_found(&name))?;
    let subject = find_subject(&app, registered, &asked).await?;
    let schedule = registered.job.schedule;
    if let Some(slot) = asked.slot.as_deref().filter(|slot| !schedule.is_key(slot)) {
        let form = if schedule.is_per_pool() { "a date, YYYY-MM-DD" } else { "an instant, YYYY-MM-DDThh:mm:ssZ" };
        let detail = format!("{slot:?} is no slot of this job; give {form}");
        return Err(Problem::listing(vec![ErrorItem::at("/slot", Code::ValidationFailed, detail)]));
    }
    let row =
        tx::write(&app.db, "run_job", |conn| run_within(conn, &app, &subject, asked.slot.as_deref()).scope_boxed())
            .await?;
    app.jobs.look.notify_one();
    Ok(RunView::from(row))
}

fn not_found(name: &str) -> Problem {
    Problem::new(Code::JobNotFound, format!("There is no job {name:?}; GET /jobs lists them."))
}

async fn find_subject(app: &App, registered: &Arc<Registered>, asked: &Asked) -> Result<Subject, Problem> {
    if !registered.job.schedule.is_per_pool() {
        if asked.pool.is_some() {
            let detail = "this job runs for the whole service, not per pool";
            return Err(Problem::listing(vec![ErrorItem::at("/pool", Code::ValidationFailed, detail)]));
        }
        return Ok(Subject::whole(registered));
    }
    let code = asked.pool.as_deref().unwrap_or("default");
    let pool = app.find_pool(code).await?.ok_or_else(|| {
        let detail = format!("There is no pool {code:?}.");
        Problem::listing(vec![ErrorItem::at("/pool", Code::UnknownPool, detail)])
    })?;
    Ok(Subject::of(registered, &pool))
}

async fn run_within(
    conn: &mut PgConnection,
    app: &App,
    subject: &Subject,
    slot: Option<&str>,
) -> Result<SlotRow, Problem> {
    // The second time after somebody else wrote it down in between.
    for _ in 0..2 {
        if let Some(row) = lock_asked(conn, subject, slot).await? {
            return revive(conn, app, row).await;
        }
        let now = app.clock.read(conn).await?;
        let Some(next) = find_next(conn, std::slice::from_ref(subject), now).await?.pop() else { continue };
        let Some(planned) = choose(subject, &next, slot, now)? else { continue };
        let due = [(id_of(subject, &planned.key), planned)];
        if queries::insert_due(conn, &due).await? == 1 {
            return queries::lock_slot(conn, &due[0].0).await?.ok_or_else(at_work);
        }
    }
    Err(at_work())
}

/// The slot that is meant, if it is known: the named one, or else the one that is open or holds up the rest.
async fn lock_asked(conn: &mut PgConnection, subject: &Subject, slot: Option<&str>) -> sqlx::Result<Option<SlotRow>> {
    let (job, pool_code) = subject.place();
    if let Some(slot) = slot {
        return queries::lock_slot(conn, &id_of(subject, slot)).await;
    }
    if let Some(open) = queries::lock_open(conn, job, pool_code).await? {
        return Ok(Some(open));
    }
    let newest = queries::list_newest(conn, &[job.to_owned()], &[pool_code.to_owned()], 1).await?.pop();
    let waits = subject.registered.job.schedule.waits_for_failed();
    match newest.filter(|newest| waits && newest.status == Status::Failed) {
        Some(failed) => queries::lock_slot(conn, &failed.id()).await,
        None => Ok(None),
    }
}

/// Makes a known slot due now, if it may be attempted.
async fn revive(conn: &mut PgConnection, app: &App, row: SlotRow) -> Result<SlotRow, Problem> {
    if matches!(row.status, Status::Succeeded | Status::Running) {
        return Ok(row);
    }
    let now = app.clock.read(conn).await?;
    match queries::rearm(conn, &row.id(), now).await {
        Ok(()) => queries::lock_slot(conn, &row.id()).await?.ok_or_else(at_work),
        // Of an interval job another slot is open by now.
        Err(sqlx::Error::Database(refused)) if refused.is_unique_violation() => Err(at_work()),
        Err(error) => Err(error.into()),
    }
}

/// The slot to write down; `None` if there is one by now that was not there when it was looked for.
fn choose(subject: &Subject, next: &Next, slot: Option<&str>, now: DateTime<Utc>) -> Result<Option<Planned>, Problem> {
    match (next, slot) {
        (Next::Due(planned), None) => Ok(Some(planned.clone())),
        (Next::Due(planned), Some(slot)) if planned.key == slot => Ok(Some(planned.clone())),
        (Next::Later(_), None) if !subject.registered.job.schedule.is_per_pool() => Ok(Some(schedule::by_hand(now))),
        (Next::Open(_), _) | (Next::Blocked(_), None) => Ok(None),
        (next, _) => {
            let planned = next.planned();
            let detail = format!("The next slot is {}, due at {}; slots run in order.", planned.key, planned.due_at);
            Err(Problem::new(Code::SlotNotDue, detail))
        }
    }
}

fn at_work() -> Problem {
    Problem::new(Code::JobAtWork, "Another slot of this job is waiting or at work; try again when it is finished.")
}
