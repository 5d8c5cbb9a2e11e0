//! Pools: commands and SQL.
//!
//! A pool is never deleted and its code never changes, so a code that was found once stays valid.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use scoped_futures::ScopedFutureExt;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::ToSchema;

use crate::app::App;
use crate::catalog::change::{Given, NAME_MOST, catch_up, code_in_use, is_code, new_code};
use crate::catalog::{revision, zones};
use crate::clock::Clock;
use crate::db::tx;
use crate::http::code::Code;
use crate::http::etag::IfMatch;
use crate::http::problem::Problem;
use crate::http::violations::Violations;
use crate::ids::{PoolId, new_global_id};

/// A pool as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Pool)]
pub struct PoolView {
    /// What the API calls it.
    #[schema(example = "eu")]
    pub code: String,
    /// For people.
    pub name: String,
    /// IANA zone whose midnight closes a day.
    #[schema(example = "Europe/Berlin")]
    pub time_zone: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// Revision of its newest change; the `ETag`.
    #[serde(skip)]
    pub revision: i64,
}

/// A pool to make.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPool {
    /// 1 to 63 of a-z, 0-9 and -; never changes.
    #[schema(required = true, nullable = false, pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
    code: Option<String>,
    /// For people; the code unless given.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// IANA zone; UTC unless given.
    #[schema(example = "Europe/Berlin")]
    time_zone: Option<String>,
}

/// What changes about a pool; what is absent stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolChange {
    /// For people.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// IANA zone, in force from the pool's next local date on: days that are over or going on end in the one before.
    #[schema(example = "Europe/Berlin")]
    time_zone: Option<String>,
}

/// Makes a pool.
///
/// # Errors
/// Broken rules, `code_in_use`, database errors.
pub async fn create(app: Arc<App>, given: Given<NewPool>) -> Result<PoolView, Problem> {
    let new = check_new(&given)?;
    let pool = tx::write(&app.db, "create_pool", |conn| create_within(conn, &app.clock, &new).scope_boxed()).await?;
    catch_up(&app).await;
    Ok(pool)
}

async fn create_within(conn: &mut PgConnection, clock: &Clock, new: &Checked) -> Result<PoolView, Problem> {
    insert_pool(conn, clock, new).await?.ok_or_else(|| code_in_use("pool", &new.code))
}

/// Changes a pool, unless it has changed since it was read.
///
/// # Errors
/// `pool_not_found`, `precondition_failed`, broken rules, database errors.
pub async fn change(
    app: Arc<App>,
    code: String,
    if_match: IfMatch,
    given: Given<PoolChange>,
) -> Result<PoolView, Problem> {
    let pool = tx::write(&app.db, "change_pool", |conn| {
        change_within(conn, &app.clock, &code, &if_match, &given).scope_boxed()
    })
    .await?;
    catch_up(&app).await;
    Ok(pool)
}

async fn change_within(
    conn: &mut PgConnection,
    clock: &Clock,
    code: &str,
    if_match: &IfMatch,
    given: &Given<PoolChange>,
) -> Result<PoolView, Problem> {
    let current = lock_pool(conn, code).await?.ok_or_else(|| not_found(code))?;
    if_match.check(current.revision)?;
    let (name, time_zone) = merge(&current, given)?;
    if (&name, &time_zone) == (&current.name, &current.time_zone) {
        return Ok(current);
    }
    if time_zone != current.time_zone {
        let now = clock.read(conn).await?;
        let id = sqlx::query_scalar!("SELECT pool_id FROM pools WHERE code = $1", code).fetch_one(&mut *conn).await?;
        zones::keep(conn, PoolId(id), now).await?;
    }
    Ok(update_pool(conn, clock, PoolView { name, time_zone, ..current }).await?)
}

/// There is no such pool.
#[must_use]
pub fn not_found(code: &str) -> Problem {
    Problem::new(Code::PoolNotFound, format!("There is no pool {code:?}."))
}

struct Checked {
    code: String,
    name: String,
    time_zone: String,
}

fn check_new(given: &Given<NewPool>) -> Result<Checked, Problem> {
    let mut violations = given.violations();
    let code = new_code(&mut violations, given.value.code.as_ref());
    let name = violations.text("/name", given.value.name.clone(), NAME_MOST);
    let time_zone = zone(&mut violations, given.value.time_zone.as_ref());
    let checked = code.map(|code| Checked {
        name: name.unwrap_or_else(|| code.clone()),
        time_zone: time_zone.unwrap_or_else(|| Tz::UTC.name().to_owned()),
        code,
    });
    violations.finish(checked)
}

fn merge(current: &PoolView, given: &Given<PoolChange>) -> Result<(String, String), Problem> {
    let PoolChange { name, time_zone } = &given.value;
    let mut violations = given.edit_violations(name.is_none() && time_zone.is_none());
    let name = violations.text("/name", name.clone(), NAME_MOST).unwrap_or_else(|| current.name.clone());
    let time_zone = zone(&mut violations, time_zone.as_ref()).unwrap_or_else(|| current.time_zone.clone());
    violations.finish(Some((name, time_zone)))
}

fn zone(violations: &mut Violations, value: Option<&String>) -> Option<String> {
    let zone = value?.parse::<Tz>().ok();
    if zone.is_none() {
        violations.add("/time_zone", "must be an IANA time zone such as Europe/Berlin");
    }
    zone.map(|zone| zone.name().to_owned())
}

/// The pool with this code.
///
/// # Errors
/// Database errors.
pub async fn find_pool(conn: &mut PgConnection, code: &str) -> sqlx::Result<Option<PoolView>> {
    // What has not the form of a code may be something that the database cannot even be asked for (NUL).
    if !is_code(code) {
        return Ok(None);
    }
    sqlx::query_as!(
        PoolView,
        "SELECT code, name, time_zone, created_at, updated_at, revision FROM pools WHERE code = $1",
        code,
    )
    .fetch_optional(conn)
    .await
}

/// Pools by code, after `after`.
///
/// # Errors
/// Database errors.
pub async fn list_pools(conn: &mut PgConnection, after: Option<&str>, most: i64) -> sqlx::Result<Vec<PoolView>> {
    sqlx::query_as!(
        PoolView,
        r#"
        SELECT code, name, time_zone, created_at, updated_at, revision
        FROM pools
        WHERE $1::text IS NULL OR code > $1
        ORDER BY code
        LIMIT $2
        "#,
        after,
        most,
    )
    .fetch_all(conn)
    .await
}

/// Not `FOR UPDATE`: its key never changes, and new rows of stock must not wait for an edit of the name.
async fn lock_pool(conn: &mut PgConnection, code: &str) -> sqlx::Result<Option<PoolView>> {
    if !is_code(code) {
        return Ok(None);
    }
    sqlx::query_as!(
        PoolView,
        r#"
        SELECT code, name, time_zone, created_at, updated_at, revision
        FROM pools
        WHERE code = $1
        FOR NO KEY UPDATE
        "#,
        code,
    )
    .fetch_optional(conn)
    .await
}

/// `None` if the code is taken; the revision taken for it must then be rolled back.
async fn insert_pool(conn: &mut PgConnection, clock: &Clock, new: &Checked) -> sqlx::Result<Option<PoolView>> {
    let revision = revision::take(conn).await?;
    let now = clock.read(conn).await?;
    sqlx::query_as!(
        PoolView,
        r#"
        INSERT INTO pools (pool_id, code, name, time_zone, revision, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $6)
        ON CONFLICT (code) DO NOTHING
        RETURNING code, name, time_zone, created_at, updated_at, revision
        "#,
        new_global_id(),
        new.code,
        new.name,
        new.time_zone,
        revision,
        now,
    )
    .fetch_optional(conn)
    .await
}

async fn update_pool(conn: &mut PgConnection, clock: &Clock, changed: PoolView) -> sqlx::Result<PoolView> {
    let revision = revision::take(conn).await?;
    let now = clock.read(conn).await?;
    sqlx::query_as!(
        PoolView,
        r#"
        UPDATE pools
        SET name = $2, time_zone = $3, revision = $4, updated_at = $5
        WHERE code = $1
        RETURNING code, name, time_zone, created_at, updated_at, revision
        "#,
        changed.code,
        changed.name,
        changed.time_zone,
        revision,
        now,
    )
    .fetch_one(conn)
    .await
}
