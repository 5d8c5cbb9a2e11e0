//! The router and its OpenAPI document: one declaration for both, plus the problem codes of every operation.

use std::sync::Arc;

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Router, routing};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi as _};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

use crate::app::App;
use crate::http::code::Code;
use crate::http::edge::Edge;
use crate::http::health;
use crate::http::problem::{Problem, ProblemView};
use crate::http::table::Format;
use crate::lots::routes::LotOrigin;
use crate::{availability, catalog, jobs, keys, lots, mirror, oversells, repair, reservations, shipments, snapshots};

mod codes;

pub use codes::codes_of;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Holdfast",
        description = "Inventory reservations that never oversell. Quantities are integers, money is a decimal string \
            with a currency, times are RFC 3339 UTC. Every problem is application/problem+json with a code of a closed \
            list; its documentation is at its type."
    ),
    modifiers(&BearerAuth),
    security(("api_key" = [])),
    components(schemas(ProblemView, Format, LotOrigin)),
    tags(
        (name = "reservations", description = "Holds, commits, releases"),
        (name = "availability", description = "What is sellable now, and why"),
        (name = "stock", description = "The ledger, and what it cannot cover"),
        (name = "lots", description = "Physical batches"),
        (name = "shipments", description = "What left, what came back, what does not add up"),
        (name = "snapshots", description = "The daily close"),
        (name = "reports", description = "Cost of goods and valuation"),
        (name = "mirror", description = "Copies of Shopify and Recharge, and what they mean to stock"),
        (name = "campaigns", description = "Webinars, influencers, promotions, and what they sold"),
        (name = "catalogue", description = "Pools, classes, SKUs"),
        (name = "keys", description = "API keys"),
        (name = "mirror", description = "What is copied from Shopify and Recharge"),
        (name = "jobs", description = "What runs at a time, and how it went"),
        (name = "repair", description = "What is damaged, and what makes up for it"),
        (name = "operations", description = "Health and metrics")
    )
)]
struct Document;

struct BearerAuth;

impl Modify for BearerAuth {
    fn modify(&self, openapi: &mut OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An API key: hf_…")).build();
        openapi.components.get_or_insert_default().add_security_scheme("api_key", SecurityScheme::Http(bearer));
    }
}

/// Routes and document, problems included.
pub fn build() -> (Router<Arc<App>>, OpenApi) {
    let (router, mut document) = OpenApiRouter::with_openapi(Document::openapi())
        .merge(reservations::routes::routes())
        .merge(availability::routes::routes())
        .merge(oversells::routes::routes())
        .merge(lots::routes::routes())
        .merge(shipments::routes::routes())
        .merge(snapshots::routes::routes())
        .merge(snapshots::reports::routes())
        .merge(catalog::routes::routes())
        .merge(keys::routes::routes())
        .merge(repair::routes::routes())
        .merge(jobs::routes::routes())
        .merge(mirror::routes::routes())
        .merge(mirror::mapping::routes::routes())
        .merge(mirror::unmatched::routes())
        .merge(mirror::campaigns::routes::routes())
        .merge(mirror::upcoming::routes())
        .merge(mirror::webhooks::routes::routes())
        .merge(health::routes())
        .split_for_parts();
    add_problems(&mut document);
    (router, document)
}

/// The whole HTTP surface.
pub fn router(app: Arc<App>) -> Router {
    let (router, document) = build();
    let (deadline, of_files) = (app.settings.request_timeout, app.settings.import_timeout);
    let json: Arc<str> = document.to_json().unwrap_or_default().into();
    router
        .route("/openapi.json", routing::get(move || std::future::ready(openapi_json(&json))))
        .route("/problems/{code}", routing::get(explain_problem))
        .with_state(app)
        .merge(SwaggerUi::new("/docs").config(utoipa_swagger_ui::Config::from("/openapi.json")))
        .fallback(async || Problem::new(Code::NotFound, "There is nothing at this path; see /docs."))
        .method_not_allowed_fallback(async || {
            Problem::new(Code::MethodNotAllowed, "This path does not take this method; see /docs.")
        })
        .layer(Edge { deadline, longer: (lots::import::PATH, of_files) })
}

fn openapi_json(json: &str) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], json.to_string()).into_response()
}

/// The documentation that the `type` of a problem points to.
async fn explain_problem(Path(word): Path<String>) -> Result<String, Problem> {
    let code = Code::ALL.iter().find(|code| code.as_str() == word);
    let code = code.ok_or_else(|| Problem::new(Code::NotFound, format!("There is no problem code {word:?}.")))?;
    let retry = if code.is_retryable() {
        "The same request, with the same Idempotency-Key, may succeed later."
    } else {
        "Repeating the same request will not help."
    };
    Ok(format!("{}\n\n{} (HTTP {})\n{retry}\n", code.as_str(), code.title(), code.status().as_u16()))
}

/// Lists, under each status, the codes that an operation can answer.
fn add_problems(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete, &mut item.put];
        for operation in operations.into_iter().flatten() {
            let id = operation.operation_id.clone().unwrap_or_default();
            let mut by_status: std::collections::BTreeMap<u16, Vec<&str>> = std::collections::BTreeMap::new();
            for code in codes_of(&id) {
                by_status.entry(code.status().as_u16()).or_default().push(code.as_str());
            }
            for (status, words) in by_status {
                let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
                let response = ResponseBuilder::new()
                    .description(format!("Problem: {}", words.join(", ")))
                    .content("application/problem+json", content)
                    .build();
                operation.responses.responses.entry(status.to_string()).or_insert_with(|| response.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_its_problem_codes_and_every_code_is_used() {
        let (_, document) = build();
        let mut used: std::collections::HashSet<Code> = std::collections::HashSet::new();
        for item in document.paths.paths.values() {
            for operation in [&item.get, &item.post, &item.patch, &item.delete, &item.put].into_iter().flatten() {
                let id = operation.operation_id.clone().unwrap_or_default();
                let codes = codes_of(&id);
                let open = matches!(id.as_str(), "healthz" | "readyz" | "metrics_text");
                let guards = [Code::Unauthorized, Code::InvalidSignature];
                assert!(open || guards.iter().any(|code| codes.contains(code)), "{id} has no codes");
                used.extend(codes);
            }
        }
        // Answered outside of any operation.
        used.extend([Code::NotFound, Code::MethodNotAllowed]);
        let unused: Vec<_> = Code::ALL.iter().filter(|code| !used.contains(code)).collect();
        assert!(unused.is_empty(), "no operation answers {unused:?}");
    }
}
