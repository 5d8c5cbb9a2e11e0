//! An operator says what a single order line is: a custom item has no variant that could be mapped. It overrules
//! whatever else says what the line is.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use scoped_futures::ScopedFutureExt;
use serde::Deserialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::components::{self, NewComponent};
use super::touch::touch;
use super::view::{ComponentView, LineMappingView};
use crate::app::App;
use crate::catalog::Catalogue;
use crate::catalog::change::Given;
use crate::http::code::Code;
use crate::http::problem::Problem;
use crate::ids::{ClientId, SkuId};
use crate::mirror::rows::Source;
use crate::mirror::store;

/// What an order line is.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLineMapping {
    /// At least one SKU. What has no stock is an untracked SKU.
    #[schema(required = true, nullable = false, min_items = 1, max_items = 100)]
    components: Option<Vec<NewComponent>>,
}

/// A line of a mirrored order.
#[derive(Debug, Clone)]
pub struct LineKey {
    /// Where the order was taken.
    pub source: Source,
    /// The upstream's id of the order.
    pub order_id: i64,
    /// Which line.
    pub line_ref: String,
}

/// Maps a line; what was said about it before is replaced.
///
/// # Errors
/// `order_line_not_found`, broken rules, `unknown_sku`, database errors.
pub async fn put(
    app: Arc<App>,
    client: ClientId,
    key: LineKey,
    given: Given<NewLineMapping>,
) -> Result<LineMappingView, Problem> {
    let catalogue = app.fresh_catalogue().await?;
    let components = check(&catalogue, &given)?;
    store::write(&app.db, "map_line", |conn| put_within(conn, &app, client, &key, &components).scope_boxed()).await?;
    app.mirror.pending.notify_one();
    let view = |(sku, quantity): &(SkuId, i32)| ComponentView {
        sku: catalogue.sku_code(*sku).to_string(),
        quantity: *quantity,
    };
    let mut components: Vec<ComponentView> = components.iter().map(view).collect();
    components.sort_unstable_by(|a, b| a.sku.cmp(&b.sku));
    let LineKey { source, order_id, line_ref } = key;
    Ok(LineMappingView { source: source.as_str().to_owned(), order_id, line_ref, components })
}

fn check(catalogue: &Catalogue, given: &Given<NewLineMapping>) -> Result<Vec<(SkuId, i32)>, Problem> {
    let mut violations = given.violations();
    let components = components::check(catalogue, given.value.components.as_deref(), &mut violations);
    if given.value.components.as_ref().is_some_and(Vec::is_empty) {
        violations.add("/components", "must have at least one SKU; what has no stock is an untracked one");
    }
    violations.finish(components)
}

async fn put_within(
    conn: &mut PgConnection,
    app: &App,
    client: ClientId,
    key: &LineKey,
    components: &[(SkuId, i32)],
) -> Result<(), Problem> {
    if !is_known(conn, key).await? {
        return Err(not_found(&key.line_ref));
    }
    let now = app.clock.read(conn).await?;
    replace(conn, client, key, components, now).await?;
    touch(conn, &[(key.source.as_str().to_owned(), key.order_id)]).await?;
    Ok(())
}

/// Lines are known by their copy, and those of Recharge by what was made of them.
async fn is_known(conn: &mut PgConnection, key: &LineKey) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        SELECT
            EXISTS (SELECT FROM unmatched_lines WHERE source = $1 AND order_id = $2 AND line_ref = $3)
            OR EXISTS (SELECT FROM line_mappings WHERE source = $1 AND order_id = $2 AND line_ref = $3)
            OR EXISTS (
                SELECT FROM mirror.order_lines WHERE $1 = 'shopify' AND order_id = $2 AND line_id::text = $3
            ) AS "known!"
        "#,
        key.source.as_str(),
        key.order_id,
        key.line_ref,
    )
    .fetch_one(conn)
    .await
}

async fn replace(
    conn: &mut PgConnection,
    client: ClientId,
    key: &LineKey,
    components: &[(SkuId, i32)],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let (sku_ids, quantities): (Vec<i64>, Vec<i32>) = components.iter().map(|(sku, units)| (sku.0, *units)).unzip();
    sqlx::query!(
        r#"
        DELETE FROM line_mappings
        WHERE source = $1 AND order_id = $2 AND line_ref = $3 AND sku_id <> ALL($4)
        "#,
        key.source.as_str(),
        key.order_id,
        key.line_ref,
        &sku_ids,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        r#"
        INSERT INTO line_mappings (source, order_id, line_ref, sku_id, quantity, client_id, created_at)
        SELECT $1, $2, $3, u.sku_id, u.quantity, $6, $7
        FROM unnest($4::bigint[], $5::integer[]) AS u (sku_id, quantity)
        ON CONFLICT (source, order_id, line_ref, sku_id) DO UPDATE
        SET quantity = excluded.quantity, client_id = excluded.client_id, created_at = excluded.created_at
        "#,
        key.source.as_str(),
        key.order_id,
        key.line_ref,
        &sku_ids,
        &quantities,
        client.0,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// There is no such line.
#[must_use]
pub fn not_found(line_ref: &str) -> Problem {
    Problem::new(Code::OrderLineNotFound, format!("There is no such order, or it has no line {line_ref:?}."))
}
