//! Errors as the Admin API words them: a list in a 200, each with a code among its extensions.

use apollo_compiler::validation::DiagnosticList;
use serde_json::{Value, json};

/// Why there is no data.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// `errors` of the answer.
    pub errors: Vec<Value>,
}

impl Failure {
    pub(super) fn new(code: &str, message: impl Into<String>) -> Self {
        Self { errors: vec![json!({"message": message.into(), "extensions": {"code": code}})] }
    }

    pub(super) fn bad_request(message: String) -> Self {
        Self::new("BAD_REQUEST", message)
    }

    /// Something that the stand-in cannot do, where the upstream could.
    pub(super) fn internal(message: impl std::fmt::Display) -> Self {
        Self::new("INTERNAL_SERVER_ERROR", format!("stand-in: {message}"))
    }

    pub(super) fn throttled() -> Self {
        let documentation = "https://shopify.dev/api/usage/rate-limits";
        let extensions = json!({"code": "THROTTLED", "documentation": documentation});
        Self { errors: vec![json!({"message": "Throttled", "extensions": extensions})] }
    }

    pub(super) fn too_costly(cost: i64, most: i64) -> Self {
        let message = format!("Query cost is {cost}, which exceeds the single query max cost limit ({most}).");
        let extensions = json!({"code": "MAX_COST_EXCEEDED", "cost": cost, "maxCost": most});
        Self { errors: vec![json!({"message": message, "extensions": extensions})] }
    }
}

/// What is wrong with a document.
pub(super) fn of_document(found: &DiagnosticList) -> Failure {
    let errors = found.iter().map(|diagnostic| {
        let said = diagnostic.error.to_string();
        let place = diagnostic.line_column_range();
        let locations =
            place.map_or_else(Vec::new, |at| vec![json!({"line": at.start.line, "column": at.start.column})]);
        match unknown_field(&said) {
            Some((kind, field)) => json!({
                "message": format!("Field '{field}' doesn't exist on type '{kind}'"),
                "locations": locations,
                "extensions": {"code": "undefinedField", "typeName": kind, "fieldName": field},
            }),
            None => json!({"message": said, "locations": locations, "extensions": {"code": "invalidDocument"}}),
        }
    });
    Failure { errors: errors.collect() }
}

/// Type and field of ``type `Order` does not have a field `colour` ``.
fn unknown_field(said: &str) -> Option<(&str, &str)> {
    let (kind, field) = said.strip_prefix("type `")?.split_once("` does not have a field `")?;
    Some((kind, field.split_once('`')?.0))
}
