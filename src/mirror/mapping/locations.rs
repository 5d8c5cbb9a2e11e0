//! Which pool ships what leaves a location.

use std::sync::Arc;

use scoped_futures::ScopedFutureExt;
use serde::Deserialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::view::LocationView;
use crate::app::App;
use crate::catalog::change::Given;
use crate::db::tx;
use crate::http::code::Code;
use crate::http::problem::Problem;
use crate::ids::{ClientId, PoolId};

/// The pool of a location.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLocationPool {
    /// Pool code.
    #[schema(required = true, nullable = false, example = "default")]
    pool: Option<String>,
}

/// Says which pool a location is.
///
/// # Errors
/// `location_not_found`, broken rules, `unknown_pool`, database errors.
pub async fn put(
    app: Arc<App>,
    client: ClientId,
    location_id: i64,
    given: Given<NewLocationPool>,
) -> Result<LocationView, Problem> {
    let pool = check(&app, &given).await?;
    tx::write(&app.db, "map_location", |conn| put_within(conn, &app, client, location_id, pool).scope_boxed()).await
}

async fn check(app: &App, given: &Given<NewLocationPool>) -> Result<PoolId, Problem> {
    let mut violations = given.violations();
    let mut pool = None;
    if let Some(code) = violations.required("/pool", given.value.pool.as_deref()) {
        pool = app.find_pool(code).await?;
        if pool.is_none() {
            violations.add_code("/pool", Code::UnknownPool, format!("there is no pool {code:?}"));
        }
    }
    violations.finish(pool.map(|pool| pool.id))
}

async fn put_within(
    conn: &mut PgConnection,
    app: &App,
    client: ClientId,
    location_id: i64,
    pool: PoolId,
) -> Result<LocationView, Problem> {
    let now = app.clock.read(conn).await?;
    sqlx::query!(
        r#"
        INSERT INTO location_pools (location_id, pool_id, client_id, updated_at)
        SELECT l.location_id, $2, $3, $4
        FROM mirror.locations AS l
        WHERE l.location_id = $1
        ON CONFLICT (location_id) DO UPDATE
        SET pool_id = excluded.pool_id, client_id = excluded.client_id, updated_at = excluded.updated_at
        WHERE location_pools.pool_id <> excluded.pool_id
        "#,
        location_id,
        pool.0,
        client.0,
        now,
    )
    .execute(&mut *conn)
    .await?;
    find(conn, location_id).await?.ok_or_else(|| not_found(&location_id.to_string()))
}

/// Forgets the pool of a location; where there is none, nothing happens.
///
/// # Errors
/// `location_not_found`, database errors.
pub async fn delete(app: Arc<App>, location_id: i64) -> Result<(), Problem> {
    tx::write(&app.db, "unmap_location", |conn| delete_within(conn, location_id).scope_boxed()).await
}

async fn delete_within(conn: &mut PgConnection, location_id: i64) -> Result<(), Problem> {
    find(conn, location_id).await?.ok_or_else(|| not_found(&location_id.to_string()))?;
    sqlx::query!("DELETE FROM location_pools WHERE location_id = $1", location_id).execute(conn).await?;
    Ok(())
}

async fn find(conn: &mut PgConnection, location_id: i64) -> sqlx::Result<Option<LocationView>> {
    let just_before = location_id.checked_sub(1);
    let next = list(conn, just_before, 1).await?.pop();
    Ok(next.filter(|location| location.location_id == location_id))
}

/// Locations by id, after `after`.
///
/// # Errors
/// Database errors.
pub async fn list(conn: &mut PgConnection, after: Option<i64>, most: i64) -> sqlx::Result<Vec<LocationView>> {
    sqlx::query_as!(
        LocationView,
        r#"
        SELECT l.location_id, l.name, l.active, l.deleted_at, p.code AS "pool?"
        FROM mirror.locations AS l
        LEFT JOIN location_pools AS m ON m.location_id = l.location_id
        LEFT JOIN pools AS p ON p.pool_id = m.pool_id
        WHERE ($1::bigint IS NULL OR l.location_id > $1)
        ORDER BY l.location_id
        LIMIT $2
        "#,
        after,
        most,
    )
    .fetch_all(conn)
    .await
}

/// There is no such location.
#[must_use]
pub fn not_found(id: &str) -> Problem {
    Problem::new(Code::LocationNotFound, format!("No location {id} was copied."))
}
