//! Oversells over HTTP.

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::queries::{self, Filter};
use super::view::{OversellStatus, OversellView};
use crate::app::{App, AppState};
use crate::availability::routes::{read_pool, read_sku};
use crate::http::auth::{Caller, scope};
use crate::http::pagination::{Page, Paging};
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::ids::PoolId;

/// Routes of this room.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list_oversells))
}

/// Lists oversells of one pool, newest first: claims that stock could not cover, open or resolved.
#[utoipa::path(get, path = "/oversells", tag = "stock",
    params(("pool" = Option<String>, Query, description = "Pool code; default if left out"),
        ("sku" = Option<String>, Query), ("status" = Option<OversellStatus>, Query),
        ("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "A page of oversells", body = Page<OversellView>)))]
async fn list_oversells(
    app: AppState,
    _caller: Caller<scope::StockRead>,
    mut query: Query,
) -> Result<axum::Json<Page<OversellView>>, Problem> {
    let catalogue = app.fresh_catalogue().await?;
    let paging = Paging::<Uuid>::take(&mut query);
    let filter = Filter {
        pool: read_pool(&catalogue, &mut query).unwrap_or(PoolId(0)),
        sku: read_sku(&catalogue, &mut query),
        status: query.read("status", "open or resolved", OversellStatus::parse),
    };
    query.finish()?;
    let rows = queries::list(&app.db, &filter, paging.after, paging.limit + 1).await?;
    let page = Page::of(rows, paging.limit, |row| row.oversell_id);
    Ok(axum::Json(page.map(|row| OversellView::of(&catalogue, filter.pool, &row))))
}
