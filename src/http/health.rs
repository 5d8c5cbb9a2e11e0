//! `/healthz` (the process), `/readyz` (can it serve), `/metrics` (Prometheus).

use std::sync::Arc;
use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::{App, AppState};
use crate::db;

/// Routes of this file; they need no key.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz)).routes(routes!(metrics_text))
}

/// The process is alive.
#[utoipa::path(get, path = "/healthz", tag = "operations", security(()),
    responses((status = 200, description = "Alive", body = String)))]
async fn healthz() -> &'static str {
    "ok\n"
}

/// What readiness looked at.
#[derive(Debug, Serialize, ToSchema)]
struct Readiness {
    /// Whether requests can be served.
    ready: bool,
    /// The database answers.
    database: bool,
    /// Its schema is the one that this build was made for.
    migrations: bool,
    /// Lanes with a working connection.
    lanes_connected: usize,
    /// Lanes in all.
    lanes: usize,
}

/// Requests can be served: database, migrations, lanes.
#[utoipa::path(get, path = "/readyz", tag = "operations", security(()),
    responses((status = 200, description = "Ready", body = Readiness),
        (status = 503, description = "Not ready", body = Readiness)))]
async fn readyz(app: AppState) -> Response {
    let asked = tokio::time::timeout(Duration::from_secs(2), db::is_migrated(&app.db)).await;
    let (database, migrations) = match asked {
        Ok(Ok(migrated)) => (true, migrated),
        _ => (false, false),
    };
    let (lanes_connected, lanes) = app.lanes.readiness();
    let ready = database && migrations && lanes_connected > 0;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(Readiness { ready, database, migrations, lanes_connected, lanes })).into_response()
}

/// Everything that is measured, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "operations", security(()),
    responses((status = 200, description = "Prometheus text format", body = String)))]
async fn metrics_text(app: AppState) -> Response {
    metrics::gauge!("holdfast_projection_age_seconds").set(app.projection.take_oldest_answered().as_secs_f64());
    let connections = |state| metrics::gauge!("holdfast_pool_connections", "state" => state);
    let (size, idle) = (app.db.size(), u32::try_from(app.db.num_idle()).unwrap_or(u32::MAX));
    connections("idle").set(f64::from(idle));
    connections("used").set(f64::from(size.saturating_sub(idle)));
    let (connected, _) = app.lanes.readiness();
    metrics::gauge!("holdfast_lanes_connected").set(f64::from(u32::try_from(connected).unwrap_or(u32::MAX)));
    app.metrics.run_upkeep();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], app.metrics.render()).into_response()
}
