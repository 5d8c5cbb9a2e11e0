//! Erasing a person: owner and metadata go, quantities and history stay. Stored answers never held either.

use scoped_futures::ScopedFutureExt;
use serde::Deserialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use crate::app::App;
use crate::db::tx;
use crate::http::body::Json;
use crate::http::problem::Problem;
use crate::ids::PoolId;

/// Whom to erase.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EraseOwner {
    /// The owner as reservations name it.
    #[schema(required)]
    owner: Option<String>,
}

/// Number of reservations that were changed.
#[derive(Debug, Clone, Copy)]
pub struct Erased(pub u64);

impl EraseOwner {
    /// The owner.
    ///
    /// # Errors
    /// A problem that lists every broken rule.
    pub fn validate(body: Json<Self>) -> Result<String, Problem> {
        let Json { value, violations: mut v } = body;
        let owner = v.required("/owner", value.owner);
        let owner = v.text("/owner", owner, 255);
        v.finish(owner)
    }
}

/// Erases `owner` pool by pool. Safe to repeat.
///
/// # Errors
/// Database problems; pools done so far stay done.
pub async fn erase(app: &App, owner: &str) -> Result<Erased, Problem> {
    let catalogue = app.fresh_catalogue().await?;
    let mut erased = 0;
    for pool in catalogue.pools() {
        let pool = pool.id;
        erased += tx::write(&app.db, "erase_owner", |conn| erase_in(conn, pool, owner).scope_boxed()).await?;
    }
    Ok(Erased(erased))
}

async fn erase_in(conn: &mut PgConnection, pool: PoolId, owner: &str) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "UPDATE reservations SET owner = NULL, metadata = NULL WHERE pool_id = $1 AND owner = $2",
        pool.0,
        owner,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
