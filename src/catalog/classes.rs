//! Classes: commands and SQL.
//!
//! A policy is checked as the whole that an edit leads to, under the row lock, so that two edits that are each in
//! order cannot lead to a class that is not. A class is never deleted and its code never changes.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use scoped_futures::ScopedFutureExt;
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use crate::app::App;
use crate::catalog::change::{Given, catch_up, code_in_use, is_code};
use crate::catalog::policy::{self, Checked, ClassChange, NewClass};
use crate::catalog::{Class, DepletionOrder, Policy, revision};
use crate::clock::Clock;
use crate::db::tx;
use crate::http::code::Code;
use crate::http::etag::IfMatch;
use crate::http::problem::Problem;
use crate::ids::{ClassId, new_global_id};

/// The class that comes with the schema: new SKUs are in it, new classes start as it is.
pub const STANDARD: &str = "standard";

/// A class as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Class)]
pub struct ClassView {
    /// What the API calls it.
    #[schema(example = "standard")]
    pub code: String,
    /// For people.
    pub name: String,
    /// How long a hold lasts unless asked otherwise.
    pub hold_ttl_seconds: i64,
    /// How long a hold may last.
    pub longest_hold_seconds: i64,
    /// Never shown, never held.
    pub safety_stock_quantity: i64,
    /// How far holds may go below zero.
    pub oversell_tolerance_quantity: i64,
    /// Most units of one SKU in one hold.
    pub max_per_hold_quantity: i64,
    /// At or below this sellable quantity a SKU is low.
    pub low_stock_quantity: i64,
    /// Which lot goes first.
    pub depletion_order: DepletionOrder,
    /// What is allowed but probably not meant.
    pub warnings: Vec<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// Revision of its newest change; the `ETag`.
    #[serde(skip)]
    pub revision: i64,
}

impl From<Class> for ClassView {
    fn from(class: Class) -> Self {
        let Policy {
            hold_ttl_seconds,
            longest_hold_seconds,
            safety_stock_quantity,
            oversell_tolerance_quantity,
            max_per_hold_quantity,
            low_stock_quantity,
            depletion_order,
        } = class.policy;
        Self {
            code: class.code,
            name: class.name,
            hold_ttl_seconds,
            longest_hold_seconds,
            safety_stock_quantity,
            oversell_tolerance_quantity,
            max_per_hold_quantity,
            low_stock_quantity,
            depletion_order,
            warnings: policy::warnings(&class.policy),
            created_at: class.created_at,
            updated_at: class.updated_at,
            revision: class.revision,
        }
    }
}

/// Makes a class.
///
/// # Errors
/// Broken rules, `code_in_use`, database errors.
pub async fn create(app: Arc<App>, given: Given<NewClass>) -> Result<ClassView, Problem> {
    let class =
        tx::write(&app.db, "create_class", |conn| create_within(conn, &app.clock, &given).scope_boxed()).await?;
    catch_up(&app).await;
    Ok(class.into())
}

async fn create_within(conn: &mut PgConnection, clock: &Clock, given: &Given<NewClass>) -> Result<Class, Problem> {
    let standard = find_class(conn, STANDARD).await?.ok_or_else(|| not_found(STANDARD))?;
    let new = policy::of_new(&standard.policy, given)?;
    insert_class(conn, clock, &new).await?.ok_or_else(|| code_in_use("class", &new.code))
}

/// Changes a class, unless it has changed since it was read.
///
/// # Errors
/// `class_not_found`, `precondition_failed`, broken rules, database errors.
pub async fn change(
    app: Arc<App>,
    code: String,
    if_match: IfMatch,
    given: Given<ClassChange>,
) -> Result<ClassView, Problem> {
    let class = tx::write(&app.db, "change_class", |conn| {
        change_within(conn, &app.clock, &code, &if_match, &given).scope_boxed()
    })
    .await?;
    catch_up(&app).await;
    Ok(class.into())
}

async fn change_within(
    conn: &mut PgConnection,
    clock: &Clock,
    code: &str,
    if_match: &IfMatch,
    given: &Given<ClassChange>,
) -> Result<Class, Problem> {
    let current = lock_class(conn, code).await?.ok_or_else(|| not_found(code))?;
    if_match.check(current.revision)?;
    let (name, policy) = policy::of_changed(&current, given)?;
    if (&name, policy) == (&current.name, current.policy) {
        return Ok(current);
    }
    Ok(update_class(conn, clock, Class { name, policy, ..current }).await?)
}

/// There is no such class.
#[must_use]
pub fn not_found(code: &str) -> Problem {
    Problem::new(Code::ClassNotFound, format!("There is no class {code:?}."))
}

struct ClassRow {
    class_id: i64,
    code: String,
    name: String,
    hold_ttl_seconds: i32,
    longest_hold_seconds: i32,
    safety_stock_quantity: i64,
    oversell_tolerance_quantity: i64,
    max_per_hold_quantity: i64,
    low_stock_quantity: i64,
    depletion_order: DepletionOrder,
    revision: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<ClassRow> for Class {
    fn from(row: ClassRow) -> Self {
        let policy = Policy {
            hold_ttl_seconds: row.hold_ttl_seconds.into(),
            longest_hold_seconds: row.longest_hold_seconds.into(),
            safety_stock_quantity: row.safety_stock_quantity,
            oversell_tolerance_quantity: row.oversell_tolerance_quantity,
            max_per_hold_quantity: row.max_per_hold_quantity,
            low_stock_quantity: row.low_stock_quantity,
            depletion_order: row.depletion_order,
        };
        Self {
            id: ClassId(row.class_id),
            code: row.code,
            name: row.name,
            policy,
            revision: row.revision,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// The class with this code.
///
/// # Errors
/// Database errors.
pub async fn find_class(conn: &mut PgConnection, code: &str) -> sqlx::Result<Option<Class>> {
    // What has not the form of a code may be something that the database cannot even be asked for (NUL).
    if !is_code(code) {
        return Ok(None);
    }
    let row = sqlx::query_as!(
        ClassRow,
        r#"
        SELECT
            class_id, code, name, hold_ttl_seconds, longest_hold_seconds, safety_stock_quantity,
            oversell_tolerance_quantity, max_per_hold_quantity, low_stock_quantity,
            depletion_order AS "depletion_order: DepletionOrder", revision, created_at, updated_at
        FROM classes
        WHERE code = $1
        "#,
        code,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Class::from))
}

/// Classes by code, after `after`.
///
/// # Errors
/// Database errors.
pub async fn list_classes(conn: &mut PgConnection, after: Option<&str>, most: i64) -> sqlx::Result<Vec<ClassView>> {
    let rows = sqlx::query_as!(
        ClassRow,
        r#"
        SELECT
            class_id, code, name, hold_ttl_seconds, longest_hold_seconds, safety_stock_quantity,
            oversell_tolerance_quantity, max_per_hold_quantity, low_stock_quantity,
            depletion_order AS "depletion_order: DepletionOrder", revision, created_at, updated_at
        FROM classes
        WHERE $1::text IS NULL OR code > $1
        ORDER BY code
        LIMIT $2
        "#,
        after,
        most,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| Class::from(row).into()).collect())
}

/// Not `FOR UPDATE`: its key never changes, and new SKUs must not wait for an edit of their policy; a SKU that is
/// being made holds the revision that this edit will ask for, so that the two would wait for each other.
async fn lock_class(conn: &mut PgConnection, code: &str) -> sqlx::Result<Option<Class>> {
    if !is_code(code) {
        return Ok(None);
    }
    let row = sqlx::query_as!(
        ClassRow,
        r#"
        SELECT
            class_id, code, name, hold_ttl_seconds, longest_hold_seconds, safety_stock_quantity,
            oversell_tolerance_quantity, max_per_hold_quantity, low_stock_quantity,
            depletion_order AS "depletion_order: DepletionOrder", revision, created_at, updated_at
        FROM classes
        WHERE code = $1
        FOR NO KEY UPDATE
        "#,
        code,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Class::from))
}

/// `None` if the code is taken; the revision taken for it must then be rolled back.
async fn insert_class(conn: &mut PgConnection, clock: &Clock, new: &Checked) -> sqlx::Result<Option<Class>> {
    let revision = revision::take(conn).await?;
    let now = clock.read(conn).await?;
    let row = sqlx::query_as!(
        ClassRow,
        r#"
        INSERT INTO classes (
            class_id, code, name, hold_ttl_seconds, longest_hold_seconds, safety_stock_quantity,
            oversell_tolerance_quantity, max_per_hold_quantity, low_stock_quantity, depletion_order, revision,
            created_at, updated_at
        )
        VALUES ($1, $2, $3, $4::bigint, $5::bigint, $6, $7, $8, $9, $10, $11, $12, $12)
        ON CONFLICT (code) DO NOTHING
        RETURNING
            class_id, code, name, hold_ttl_seconds, longest_hold_seconds, safety_stock_quantity,
            oversell_tolerance_quantity, max_per_hold_quantity, low_stock_quantity,
            depletion_order AS "depletion_order: DepletionOrder", revision, created_at, updated_at
        "#,
        new_global_id(),
        new.code,
        new.name,
        new.policy.hold_ttl_seconds,
        new.policy.longest_hold_seconds,
        new.policy.safety_stock_quantity,
        new.policy.oversell_tolerance_quantity,
        new.policy.max_per_hold_quantity,
        new.policy.low_stock_quantity,
        new.policy.depletion_order.as_str(),
        revision,
        now,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Class::from))
}

async fn update_class(conn: &mut PgConnection, clock: &Clock, changed: Class) -> sqlx::Result<Class> {
    let revision = revision::take(conn).await?;
    let now = clock.read(conn).await?;
    sqlx::query!(
        r#"
        UPDATE classes
        SET
            name = $2, hold_ttl_seconds = $3::bigint, longest_hold_seconds = $4::bigint, safety_stock_quantity = $5,
            oversell_tolerance_quantity = $6, max_per_hold_quantity = $7, low_stock_quantity = $8,
            depletion_order = $9, revision = $10, updated_at = $11
        WHERE class_id = $1
        "#,
        changed.id.0,
        changed.name,
        changed.policy.hold_ttl_seconds,
        changed.policy.longest_hold_seconds,
        changed.policy.safety_stock_quantity,
        changed.policy.oversell_tolerance_quantity,
        changed.policy.max_per_hold_quantity,
        changed.policy.low_stock_quantity,
        changed.policy.depletion_order.as_str(),
        revision,
        now,
    )
    .execute(conn)
    .await?;
    Ok(Class { revision, updated_at: now, ..changed })
}
