//! `GET /mirror`, and what an operator should look at.

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::rows::Source;
use super::view::{self, After, FindingView, MirrorView};
use crate::app::{App, AppState};
use crate::http::auth::{Caller, scope};
use crate::http::pagination::{Page, Paging};
use crate::http::problem::Problem;
use crate::http::query::Query;

/// The routes of this room.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(get_mirror)).routes(routes!(list_mirror_findings))
}

/// Where the mirror stands: what is copied, how far behind, and what went wrong last.
#[utoipa::path(get, path = "/mirror", tag = "mirror",
    responses((status = 200, description = "Where it stands.", body = MirrorView)))]
async fn get_mirror(
    app: AppState,
    _: Caller<scope::StockRead>,
    query: Query,
) -> Result<axum::Json<MirrorView>, Problem> {
    query.finish()?;
    Ok(axum::Json(view::find(&app.db, &app.mirror.settings, app.clock.local_now()).await?))
}

/// List orders that an operator should look at: oversold, restocked beyond what was sent, refused, or failing.
#[utoipa::path(get, path = "/mirror/findings", tag = "mirror",
    params(
        ("source" = Option<String>, Query, description = "Only those of `shopify` or `recharge`."),
        ("limit" = Option<u8>, Query, minimum = 1, maximum = 100, description = "Most orders; 20 unless given."),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page, by source and order.", body = Page<FindingView>)))]
async fn list_mirror_findings(
    app: AppState,
    _: Caller<scope::StockRead>,
    mut query: Query,
) -> Result<axum::Json<Page<FindingView>>, Problem> {
    let Paging { limit, after } = Paging::<After>::take(&mut query);
    let source = query.read("source", "shopify or recharge", Source::parse);
    query.finish()?;
    let found = view::find_findings(&app.db, source, after.as_ref(), limit + 1).await?;
    Ok(axum::Json(Page::of(found, limit, |one| After(one.source.clone(), one.order_id.parse().unwrap_or(i64::MAX)))))
}
