//! SKUs: commands and SQL.
//!
//! A SKU is never deleted and its code never changes; what is no longer sold is retired. Its code is the seller's own:
//! any characters but control characters.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use scoped_futures::ScopedFutureExt;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::ToSchema;

use crate::app::App;
use crate::catalog::change::{Given, NAME_MOST, catch_up, code_in_use};
use crate::catalog::classes::{STANDARD, find_class};
use crate::catalog::{SkuStatus, revision};
use crate::clock::Clock;
use crate::db::tx;
use crate::http::code::Code;
use crate::http::etag::IfMatch;
use crate::http::problem::Problem;
use crate::http::violations::Violations;
use crate::ids::{ClassId, new_global_id};

/// Most characters of a SKU's code.
pub const CODE_MOST: usize = 128;

/// A SKU as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Sku)]
pub struct SkuView {
    /// What the API calls it.
    #[schema(example = "TEE-BLACK-M")]
    pub code: String,
    /// For people.
    pub name: String,
    /// Code of the class whose policy it is under.
    #[schema(example = "standard")]
    pub class: String,
    /// Whether it moves balances; a gift card or a service does not.
    pub tracked: bool,
    /// Whether it takes new holds.
    pub status: SkuStatus,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// Revision of its newest change; the `ETag`.
    #[serde(skip)]
    pub revision: i64,
}

/// A SKU to make; it is active.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSku {
    /// 1 to 128 characters without control characters; never changes.
    #[schema(required = true, nullable = false, min_length = 1, max_length = 128)]
    code: Option<String>,
    /// For people; the code unless given.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// Code of a class; `standard` unless given.
    #[schema(example = "standard")]
    class: Option<String>,
    /// Whether it moves balances; true unless given.
    tracked: Option<bool>,
}

/// What changes about a SKU; what is absent stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SkuChange {
    /// For people.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// Code of a class. It applies to new holds.
    class: Option<String>,
    /// Whether it moves balances. Switched on again, stock from before must be counted before it can be held.
    tracked: Option<bool>,
    /// Whether it takes new holds. Claims already made keep.
    status: Option<SkuStatus>,
}

/// Which SKUs to list.
#[derive(Debug, Default)]
pub struct SkuFilter {
    /// Those of the class with this code.
    pub class: Option<String>,
    /// Those with this status.
    pub status: Option<SkuStatus>,
    /// Those that do, or do not, move balances.
    pub tracked: Option<bool>,
}

/// Makes a SKU.
///
/// # Errors
/// Broken rules, `unknown_class`, `code_in_use`, database errors.
pub async fn create(app: Arc<App>, given: Given<NewSku>) -> Result<SkuView, Problem> {
    let created = insert(&app, &given).await;
    // Also where the code is taken: memory may not know that yet.
    catch_up(&app).await;
    created
}

/// Registers a SKU with defaults unless there is one with this code; for callers that bring the SKU along with its
/// first lot. To be called from a detached task, outside a transaction.
///
/// # Errors
/// A broken rule at `/sku`, database errors.
pub async fn ensure_sku(app: &App, code: &str) -> Result<(), Problem> {
    // SKUs are never deleted: what memory knows is there.
    if app.catalogue.current().sku_by_code(code).is_some() {
        return Ok(());
    }
    let mut violations = Violations::default();
    let code = violations.text("/sku", Some(code.to_owned()), CODE_MOST);
    let code = violations.finish(code)?;
    let made = insert(app, &Given::made(NewSku { code: Some(code), ..NewSku::default() })).await;
    catch_up(app).await;
    match made {
        Err(problem) if problem.code != Code::CodeInUse => Err(problem),
        _ => Ok(()),
    }
}

/// Registers those of these codes that the catalogue does not have, with defaults, as one change of the catalogue; for a
/// file of lots. To be called from a detached task, outside a transaction, with codes that keep the rules.
///
/// # Errors
/// Database errors.
pub async fn ensure_skus(app: &App, codes: &[Arc<str>]) -> Result<u64, Problem> {
    let made = tx::write(&app.db, "create_skus", |conn| insert_skus(conn, &app.clock, codes).scope_boxed()).await;
    catch_up(app).await;
    made
}

async fn insert_skus(conn: &mut PgConnection, clock: &Clock, codes: &[Arc<str>]) -> Result<u64, Problem> {
    let revision = revision::take(conn).await?;
    let now = clock.read(conn).await?;
    // One after the other: random ones of the same millisecond would soon meet each other.
    let ids: Vec<i64> = (new_global_id()..).take(codes.len()).collect();
    let made = sqlx::query!(
        r#"
        INSERT INTO skus (
            sku_id, code, name, class_id, tracked, tracked_since_at, status, revision, created_at, updated_at
        )
        SELECT u.sku_id, u.code, u.code, c.class_id, true, $4, $5, $6, $4, $4
        FROM unnest($1::bigint[], $2::text[]) AS u (sku_id, code)
        JOIN classes AS c ON c.code = $3
        ON CONFLICT (code) DO NOTHING
        "#,
        &ids,
        &codes.iter().map(|code| &**code).collect::<Vec<_>>() as &[&str],
        STANDARD,
        now,
        SkuStatus::Active.as_str(),
        revision,
    )
    .execute(conn)
    .await?;
    Ok(made.rows_affected())
}

async fn insert(app: &App, given: &Given<NewSku>) -> Result<SkuView, Problem> {
    tx::write(&app.db, "create_sku", |conn| create_within(conn, &app.clock, given).scope_boxed()).await
}

async fn create_within(conn: &mut PgConnection, clock: &Clock, given: &Given<NewSku>) -> Result<SkuView, Problem> {
    let new = check_new(conn, given).await?;
    insert_sku(conn, clock, &new).await?.ok_or_else(|| code_in_use("SKU", &new.code))
}

/// Changes a SKU, unless it has changed since it was read.
///
/// # Errors
/// `sku_not_found`, `precondition_failed`, broken rules, `unknown_class`, database errors.
pub async fn change(
    app: Arc<App>,
    code: String,
    if_match: IfMatch,
    given: Given<SkuChange>,
) -> Result<SkuView, Problem> {
    let sku = tx::write(&app.db, "change_sku", |conn| {
        change_within(conn, &app.clock, &code, &if_match, &given).scope_boxed()
    })
    .await?;
    catch_up(&app).await;
    Ok(sku)
}

async fn change_within(
    conn: &mut PgConnection,
    clock: &Clock,
    code: &str,
    if_match: &IfMatch,
    given: &Given<SkuChange>,
) -> Result<SkuView, Problem> {
    let current = lock_sku(conn, code).await?.ok_or_else(|| not_found(code))?;
    if_match.check(current.revision)?;
    let changed = merge(conn, &current, given).await?;
    if changed == current {
        return Ok(current);
    }
    let tracking_starts = changed.tracked && !current.tracked;
    Ok(update_sku(conn, clock, changed, tracking_starts).await?)
}

/// Retires a SKU that is active; for callers that know it is sold no longer. False where it is retired already, or is
/// none. Within a transaction; [`catch_up`] afterwards.
///
/// # Errors
/// Database errors.
pub async fn retire(conn: &mut PgConnection, clock: &Clock, code: &str) -> sqlx::Result<bool> {
    let Some(current) = lock_sku(conn, code).await?.filter(|sku| sku.status == SkuStatus::Active) else {
        return Ok(false);
    };
    update_sku(conn, clock, SkuView { status: SkuStatus::Retired, ..current }, false).await?;
    Ok(true)
}

/// There is no such SKU.
#[must_use]
pub fn not_found(code: &str) -> Problem {
    Problem::new(Code::SkuNotFound, format!("There is no SKU {code:?}."))
}

struct Checked {
    code: String,
    name: String,
    class: String,
    class_id: ClassId,
    tracked: bool,
}

async fn check_new(conn: &mut PgConnection, given: &Given<NewSku>) -> Result<Checked, Problem> {
    let NewSku { code, name, class, tracked } = &given.value;
    let mut violations = given.violations();
    let code = violations.required("/code", code.clone());
    let code = violations.text("/code", code, CODE_MOST);
    let name = violations.text("/name", name.clone(), NAME_MOST);
    let class = known_class(conn, class.as_deref().unwrap_or(STANDARD), &mut violations).await?;
    let checked = code.zip(class).map(|(code, (class, class_id))| Checked {
        name: name.unwrap_or_else(|| code.clone()),
        code,
        class,
        class_id,
        tracked: tracked.unwrap_or(true),
    });
    violations.finish(checked)
}

async fn merge(conn: &mut PgConnection, current: &SkuView, given: &Given<SkuChange>) -> Result<SkuView, Problem> {
    let SkuChange { name, class, tracked, status } = &given.value;
    let is_empty = name.is_none() && class.is_none() && tracked.is_none() && status.is_none();
    let mut violations = given.edit_violations(is_empty);
    let name = violations.text("/name", name.clone(), NAME_MOST);
    if let Some(class) = class {
        known_class(conn, class, &mut violations).await?;
    }
    violations.finish(Some(SkuView {
        name: name.unwrap_or_else(|| current.name.clone()),
        class: class.clone().unwrap_or_else(|| current.class.clone()),
        tracked: tracked.unwrap_or(current.tracked),
        status: status.unwrap_or(current.status),
        ..current.clone()
    }))
}

/// Not locked: a class is never deleted and keeps its code.
async fn known_class(
    conn: &mut PgConnection,
    code: &str,
    violations: &mut Violations,
) -> sqlx::Result<Option<(String, ClassId)>> {
    let class = find_class(conn, code).await?;
    if class.is_none() {
        violations.add_code("/class", Code::UnknownClass, format!("there is no class {code:?}"));
    }
    Ok(class.map(|class| (class.code, class.id)))
}

/// What is no code may be something that the database cannot even be asked for (NUL).
fn is_sku_code(text: &str) -> bool {
    (1..=CODE_MOST).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// The SKU with this code.
///
/// # Errors
/// Database errors.
pub async fn find_sku(conn: &mut PgConnection, code: &str) -> sqlx::Result<Option<SkuView>> {
    if !is_sku_code(code) {
        return Ok(None);
    }
    sqlx::query_as!(
        SkuView,
        r#"
        SELECT
            s.code, s.name, c.code AS class, s.tracked, s.status AS "status: SkuStatus",
            s.created_at, s.updated_at, s.revision
        FROM skus AS s
        JOIN classes AS c ON c.class_id = s.class_id
        WHERE s.code = $1
        "#,
        code,
    )
    .fetch_optional(conn)
    .await
}

/// SKUs by code, after `after`.
///
/// # Errors
/// Database errors.
pub async fn list_skus(
    conn: &mut PgConnection,
    filter: &SkuFilter,
    after: Option<&str>,
    most: i64,
) -> sqlx::Result<Vec<SkuView>> {
    sqlx::query_as!(
        SkuView,
        r#"
        SELECT
            s.code, s.name, c.code AS class, s.tracked, s.status AS "status: SkuStatus",
            s.created_at, s.updated_at, s.revision
        FROM skus AS s
        JOIN classes AS c ON c.class_id = s.class_id
        WHERE ($1::text IS NULL OR c.code = $1)
            AND ($2::text IS NULL OR s.status = $2)
            AND ($3::boolean IS NULL OR s.tracked = $3)
            AND ($4::text IS NULL OR s.code > $4)
        ORDER BY s.code
        LIMIT $5
        "#,
        filter.class,
        filter.status.map(SkuStatus::as_str),
        filter.tracked,
        after,
        most,
    )
    .fetch_all(conn)
    .await
}

/// Not `FOR UPDATE`: its key never changes, and the first stock of a SKU must not wait for an edit of its name. Not a
/// join: after waiting for an edit of the class, the row would not join any more and seem to be gone.
async fn lock_sku(conn: &mut PgConnection, code: &str) -> sqlx::Result<Option<SkuView>> {
    if !is_sku_code(code) {
        return Ok(None);
    }
    sqlx::query_as!(
        SkuView,
        r#"
        SELECT
            s.code, s.name, (SELECT c.code FROM classes AS c WHERE c.class_id = s.class_id) AS "class!",
            s.tracked, s.status AS "status: SkuStatus", s.created_at, s.updated_at, s.revision
        FROM skus AS s
        WHERE s.code = $1
        FOR NO KEY UPDATE
        "#,
        code,
    )
    .fetch_optional(conn)
    .await
}

/// `None` if the code is taken; the revision taken for it must then be rolled back.
async fn insert_sku(conn: &mut PgConnection, clock: &Clock, new: &Checked) -> sqlx::Result<Option<SkuView>> {
    let revision = revision::take(conn).await?;
    let now = clock.read(conn).await?;
    sqlx::query_as!(
        SkuView,
        r#"
        INSERT INTO skus (
            sku_id, code, name, class_id, tracked, tracked_since_at, status, revision, created_at, updated_at
        )
        VALUES ($1, $2, $3, $4, $5, $8, $6, $7, $8, $8)
        ON CONFLICT (code) DO NOTHING
        RETURNING
            code, name, $9::text AS "class!", tracked, status AS "status: SkuStatus", created_at, updated_at, revision
        "#,
        new_global_id(),
        new.code,
        new.name,
        new.class_id.0,
        new.tracked,
        SkuStatus::Active.as_str(),
        revision,
        now,
        new.class,
    )
    .fetch_optional(conn)
    .await
}

async fn update_sku(
    conn: &mut PgConnection,
    clock: &Clock,
    changed: SkuView,
    tracking_starts: bool,
) -> sqlx::Result<SkuView> {
    let revision = revision::take(conn).await?;
    let now = clock.read(conn).await?;
    sqlx::query!(
        r#"
        UPDATE skus
        SET
            name = $2, class_id = (SELECT class_id FROM classes WHERE code = $3), tracked = $4,
            tracked_since_at = COALESCE($5, tracked_since_at), status = $6, revision = $7, updated_at = $8
        WHERE code = $1
        "#,
        changed.code,
        changed.name,
        changed.class,
        changed.tracked,
        tracking_starts.then_some(now),
        changed.status.as_str(),
        revision,
        now,
    )
    .execute(conn)
    .await?;
    Ok(SkuView { revision, updated_at: now, ..changed })
}
