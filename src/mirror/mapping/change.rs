//! An operator says what a variant is: a new version of its mapping.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use scoped_futures::ScopedFutureExt;
use serde::Deserialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::components::{self, NewComponent};
use super::queries::{Mapping, Origin, find_mappings};
use super::touch::{list_orders_of, touch};
use super::variants;
use super::view::{OpenLines, VariantView};
use crate::app::App;
use crate::catalog::Catalogue;
use crate::catalog::change::Given;
use crate::http::code::Code;
use crate::http::etag::IfMatch;
use crate::http::problem::Problem;
use crate::ids::{ClientId, SkuId};
use crate::mirror::store;

/// What a variant is from now on.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMapping {
    /// One SKU, several (a kit), or none: it has no stock.
    #[schema(required = true, nullable = false, max_items = 100)]
    components: Option<Vec<NewComponent>>,
    /// What becomes of lines that were seen under an older version and have not shipped; `keep` unless given.
    open_lines: Option<OpenLines>,
}

struct Checked {
    components: Vec<(SkuId, i32)>,
    open_lines: OpenLines,
}

/// Maps a variant, unless its mapping has changed since it was read.
///
/// # Errors
/// `variant_not_found`, `precondition_failed`, broken rules, `unknown_sku`, database errors.
pub async fn put(
    app: Arc<App>,
    client: ClientId,
    variant_id: i64,
    if_match: IfMatch,
    given: Given<NewMapping>,
) -> Result<VariantView, Problem> {
    let new = check(&*app.fresh_catalogue().await?, &given)?;
    let mapped = store::write(&app.db, "map_variant", |conn| {
        put_within(conn, &app, client, variant_id, &if_match, &new).scope_boxed()
    })
    .await?;
    app.mirror.pending.notify_one();
    Ok(mapped)
}

fn check(catalogue: &Catalogue, given: &Given<NewMapping>) -> Result<Checked, Problem> {
    let mut violations = given.violations();
    let components = components::check(catalogue, given.value.components.as_deref(), &mut violations);
    let open_lines = given.value.open_lines.unwrap_or_default();
    violations.finish(components.map(|components| Checked { components, open_lines }))
}

async fn put_within(
    conn: &mut PgConnection,
    app: &App,
    client: ClientId,
    variant_id: i64,
    if_match: &IfMatch,
    new: &Checked,
) -> Result<VariantView, Problem> {
    let seen = variants::find(conn, variant_id).await?.ok_or_else(|| not_found(&variant_id.to_string()))?;
    let current = find_mappings(conn, &[variant_id]).await?.remove(&variant_id);
    let version = current.as_ref().map_or(0, |mapping| mapping.version);
    if_match.check(version.into())?;
    if current.is_some_and(|mapping| says_the_same(&mapping, new)) {
        return Ok(seen);
    }
    let now = app.clock.read(conn).await?;
    if !insert(conn, client, (variant_id, version + 1), new, now).await? {
        // Somebody else was faster; looked at again, the tag decides.
        return Err(Problem { contended: true, ..Problem::new(Code::Unavailable, "The mapping is being changed.") });
    }
    let follow = new.open_lines == OpenLines::Follow;
    let orders = list_orders_of(conn, variant_id, follow).await?;
    touch(conn, &orders).await?;
    variants::find(conn, variant_id).await?.ok_or_else(|| not_found(&variant_id.to_string()))
}

/// A mapping that made itself says less than an operator's: hers stays when the variant goes.
fn says_the_same(mapping: &Mapping, new: &Checked) -> bool {
    let followed = mapping.open_lines_follow_from == mapping.version;
    mapping.origin == Origin::Operator
        && mapping.components == new.components
        && (followed || new.open_lines == OpenLines::Keep)
}

/// False where there is such a version already.
async fn insert(
    conn: &mut PgConnection,
    client: ClientId,
    (variant_id, version): (i64, i32),
    new: &Checked,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let made = sqlx::query!(
        r#"
        INSERT INTO variant_mappings (variant_id, version, origin, open_lines_follow, client_id, created_at)
        VALUES ($1, $2, 'operator', $3, $4, $5)
        ON CONFLICT (variant_id, version) DO NOTHING
        "#,
        variant_id,
        version,
        new.open_lines == OpenLines::Follow,
        client.0,
        now,
    )
    .execute(&mut *conn)
    .await?;
    if made.rows_affected() == 0 {
        return Ok(false);
    }
    let (sku_ids, quantities): (Vec<i64>, Vec<i32>) = new.components.iter().map(|(sku, units)| (sku.0, *units)).unzip();
    sqlx::query!(
        r#"
        INSERT INTO variant_components (variant_id, version, sku_id, quantity)
        SELECT $1, $2, u.sku_id, u.quantity
        FROM unnest($3::bigint[], $4::integer[]) AS u (sku_id, quantity)
        "#,
        variant_id,
        version,
        &sku_ids,
        &quantities,
    )
    .execute(conn)
    .await?;
    Ok(true)
}

/// There is no such variant.
#[must_use]
pub fn not_found(id: &str) -> Problem {
    Problem::new(Code::VariantNotFound, format!("No variant {id} was copied, and no order names it."))
}
