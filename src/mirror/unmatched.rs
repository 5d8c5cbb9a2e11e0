//! Order lines that nobody can tell the stock of yet: shown until somebody maps them, never dropped.
//!
//! Who applies orders writes these rows down and takes them away; here they are only read.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::rows::Source;
use crate::app::{App, AppState};
use crate::catalog::SkuStatus;
use crate::http::auth::{Caller, scope};
use crate::http::pagination::{Page, Paging, TextCursor};
use crate::http::problem::Problem;
use crate::http::query::Query;

/// How often they are counted for the metrics.
pub const COUNTED_EVERY: Duration = Duration::from_secs(15);

/// The routes of this room.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list_unmatched_lines))
}

/// The SKU that a line may be, by its code.
#[derive(Debug, Serialize, ToSchema)]
pub struct Suggestion {
    /// SKU code.
    pub sku: String,
    /// A retired SKU is never taken without being asked.
    pub status: SkuStatus,
}

/// A line that claims nothing until it is mapped.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UnmatchedLine)]
pub struct UnmatchedView {
    /// `shopify` or `recharge`.
    pub source: String,
    /// The upstream's id of the order, as text: ids exceed what a JSON reader may keep exact.
    #[serde(serialize_with = "crate::http::text_id::text")]
    #[schema(value_type = String)]
    pub order_id: i64,
    /// What people call the order.
    pub order_name: Option<String>,
    /// When the order counts as made.
    pub processed_at: Option<DateTime<Utc>>,
    /// Which line; names it when it is mapped by itself.
    pub line_ref: String,
    /// What was bought; null for a custom item.
    #[serde(serialize_with = "crate::http::text_id::text_or_null")]
    #[schema(value_type = Option<String>)]
    pub variant_id: Option<i64>,
    /// The seller's code.
    pub sku: Option<String>,
    /// For people.
    pub title: String,
    /// Units that it will claim, were it mapped.
    pub quantity: i64,
    /// Whether it is a thing. What is none (a warranty, a tip) is listed, too: mapped to `[]`, its variant is settled.
    pub requires_shipping: bool,
    /// Since when it has been unmatched.
    pub seen_at: DateTime<Utc>,
    /// The SKU with its code, if there is one.
    pub suggestion: Option<Suggestion>,
}

/// Which lines to list.
#[derive(Debug, Default)]
struct Filter {
    variant_id: Option<i64>,
    sku: Option<String>,
    source: Option<Source>,
    requires_shipping: Option<bool>,
}

/// The line that a page ended with.
#[derive(Debug, Serialize, Deserialize)]
struct After(TextCursor, i64, TextCursor);

async fn list(db: &PgPool, filter: &Filter, after: Option<&After>, most: i64) -> sqlx::Result<Vec<UnmatchedView>> {
    let rows = sqlx::query!(
        r#"
        SELECT
            u.source, u.order_id, u.line_ref, u.variant_id, u.sku, u.title, u.quantity,
            u.requires_shipping, u.seen_at,
            COALESCE(o.name, r.external_order_name) AS order_name,
            COALESCE(o.processed_at, o.created_at, r.processed_at) AS processed_at,
            s.status AS "status?: SkuStatus"
        FROM unmatched_lines AS u
        LEFT JOIN mirror.orders AS o ON u.source = 'shopify' AND o.order_id = u.order_id
        LEFT JOIN mirror.recharge_orders AS r ON u.source = 'recharge' AND r.order_id = u.order_id
        LEFT JOIN skus AS s ON s.code = u.sku
        WHERE ($1::bigint IS NULL OR u.variant_id = $1)
            AND ($2::text IS NULL OR u.sku = $2)
            AND ($3::text IS NULL OR u.source = $3)
            AND ($4::boolean IS NULL OR u.requires_shipping = $4)
            AND ($5::text IS NULL OR (u.source, u.order_id, u.line_ref) > ($5, $6, $7))
        ORDER BY u.source, u.order_id, u.line_ref
        LIMIT $8
        "#,
        filter.variant_id,
        filter.sku,
        filter.source.map(Source::as_str),
        filter.requires_shipping,
        after.map(|after| &*after.0.0),
        after.map(|after| after.1),
        after.map(|after| &*after.2.0),
        most,
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| UnmatchedView {
            suggestion: row.sku.clone().zip(row.status).map(|(sku, status)| Suggestion { sku, status }),
            source: row.source,
            order_id: row.order_id,
            order_name: row.order_name,
            processed_at: row.processed_at,
            line_ref: row.line_ref,
            variant_id: row.variant_id,
            sku: row.sku,
            title: row.title,
            quantity: row.quantity,
            requires_shipping: row.requires_shipping,
            seen_at: row.seen_at,
        })
        .collect())
}

/// List order lines that claim nothing, since nobody has said what they are.
///
/// They are applied as soon as their variant, or the line itself, is mapped.
#[utoipa::path(get, path = "/mirror/unmatched", tag = "mirror",
    params(
        ("variant_id" = Option<i64>, Query, description = "Only those of this variant."),
        ("sku" = Option<String>, Query, description = "Only those with this code."),
        ("source" = Option<String>, Query, description = "Only those of `shopify` or `recharge`."),
        ("requires_shipping" = Option<bool>, Query, description = "Only goods, or only what is none."),
        ("limit" = Option<u8>, Query, minimum = 1, maximum = 100, description = "Most lines; 20 unless given."),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page, by source and order.", body = Page<UnmatchedView>)))]
async fn list_unmatched_lines(
    app: AppState,
    _: Caller<scope::StockRead>,
    mut query: Query,
) -> Result<axum::Json<Page<UnmatchedView>>, Problem> {
    let Paging { limit, after } = Paging::<After>::take(&mut query);
    let filter = Filter {
        variant_id: query.read("variant_id", "the id of a variant", |text| text.parse().ok()),
        sku: query.one("sku"),
        source: query.read("source", "shopify or recharge", Source::parse),
        requires_shipping: query.read("requires_shipping", "true or false", |text| text.parse().ok()),
    };
    query.finish()?;
    let lines = list(&app.db, &filter, after.as_ref(), limit + 1).await?;
    let cursor =
        |line: &UnmatchedView| After(TextCursor(line.source.clone()), line.order_id, TextCursor(line.line_ref.clone()));
    Ok(axum::Json(Page::of(lines, limit, cursor)))
}

/// Sets the gauge of their number, goods alone. Every instance does this by itself, so that none shows an old one.
///
/// # Errors
/// Database errors.
pub async fn count(app: &App) -> sqlx::Result<()> {
    let lines = sqlx::query_scalar!(r#"SELECT count(*) AS "lines!" FROM unmatched_lines WHERE requires_shipping"#)
        .fetch_one(&app.db)
        .await?;
    metrics::gauge!("holdfast_unmatched_lines").set(f64::from(u32::try_from(lines).unwrap_or(u32::MAX)));
    Ok(())
}
