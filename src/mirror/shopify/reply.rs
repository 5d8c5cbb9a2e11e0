//! What an answer of the Admin API means. Pure.
//!
//! A 200 is not a success yet: being throttled, being refused and trouble of Shopify's own all come in one. Data beside
//! errors is partial, and a copy of a part would pass for the whole. A filter that was not understood is answered with
//! everything. And a version that is no longer supported is answered in another one, whose words may mean something else.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use crate::mirror::upstream::answer::words;
use crate::mirror::upstream::{Answer, Cause, Failure, Hint, Throttle, UpstreamError};

/// The only version of the Admin API that is spoken.
pub const VERSION: &str = "2026-10";

/// An answer that is one.
#[derive(Debug)]
pub struct Reply {
    /// What was asked for.
    pub data: Value,
    /// What it cost and what is left.
    pub throttle: Option<Throttle>,
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    data: Value,
    #[serde(default)]
    errors: Vec<GraphQlError>,
    #[serde(default)]
    extensions: Extensions,
}

#[derive(Deserialize)]
struct GraphQlError {
    #[serde(default)]
    message: String,
    #[serde(default)]
    extensions: ErrorExtensions,
}

#[derive(Default, Deserialize)]
struct ErrorExtensions {
    code: Option<String>,
}

#[derive(Default, Deserialize)]
struct Extensions {
    cost: Option<Cost>,
    #[serde(default)]
    search: Vec<Search>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cost {
    requested_query_cost: Option<f64>,
    throttle_status: Option<ThrottleStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ThrottleStatus {
    maximum_available: f64,
    currently_available: f64,
    restore_rate: f64,
}

#[derive(Deserialize)]
struct Search {
    #[serde(default)]
    warnings: Vec<SearchWarning>,
}

#[derive(Deserialize)]
struct SearchWarning {
    #[serde(default)]
    field: Option<String>,
    #[serde(default)]
    message: String,
}

impl Extensions {
    fn throttle(&self) -> Option<Throttle> {
        let cost = self.cost.as_ref()?;
        let status = cost.throttle_status.as_ref()?;
        Some(Throttle {
            requested: cost.requested_query_cost?,
            available: status.currently_available,
            capacity: status.maximum_available,
            restore_per_second: status.restore_rate,
        })
    }
}

/// Reads an answer.
///
/// # Errors
/// If it is none, or not the one that was asked for.
pub fn read(answer: &Answer, now: DateTime<Utc>) -> Result<Reply, Failure> {
    if let Some(failure) = answer.transient(now) {
        return Err(failure);
    }
    if answer.status != 200 {
        return Err(refused(answer).into());
    }
    check_version(answer)?;
    let envelope: Envelope = answer.json()?;
    let throttle = envelope.extensions.throttle();
    if !envelope.errors.is_empty() {
        return Err(failure(&envelope.errors, throttle));
    }
    if let Some(warning) = envelope.extensions.search.iter().flat_map(|search| &search.warnings).next() {
        let field = words(warning.field.as_deref().unwrap_or("?"));
        return Err(UpstreamError::SearchWarning { field, message: words(&warning.message) }.into());
    }
    if !envelope.data.is_object() {
        let reason = "there is neither data nor an error".to_owned();
        return Err(UpstreamError::Malformed { path: "data".to_owned(), reason }.into());
    }
    Ok(Reply { data: envelope.data, throttle })
}

fn check_version(answer: &Answer) -> Result<(), UpstreamError> {
    match answer.header("x-shopify-api-version") {
        Some(answered) if answered != VERSION => {
            Err(UpstreamError::Version { asked: VERSION, answered: words(answered) })
        }
        _ => Ok(()),
    }
}

/// Which of several errors decides: another attempt is only worth it if nothing stands against it.
fn failure(errors: &[GraphQlError], throttle: Option<Throttle>) -> Failure {
    let code = |error: &GraphQlError| error.extensions.code.clone().unwrap_or_default();
    let passing =
        |error: &&GraphQlError| matches!(code(error).as_str(), "THROTTLED" | "INTERNAL_SERVER_ERROR" | "TIMEOUT");
    if let Some(error) = errors.iter().find(|error| !passing(error)) {
        let message = words(&error.message);
        return Failure::Final(match code(error).as_str() {
            "ACCESS_DENIED" => UpstreamError::AccessDenied(message),
            _ if message.to_lowercase().contains("invalid cursor") => UpstreamError::StaleCursor,
            "" => UpstreamError::Refused { status: 200, code: message },
            code => UpstreamError::Refused { status: 200, code: format!("{}: {message}", words(code)) },
        });
    }
    match errors.iter().map(code).find(|code| code != "THROTTLED") {
        Some(code) => Failure::transient(Cause::Code(code)),
        None => Failure::Transient { cause: Cause::Throttled, hint: Hint { retry_after: None, throttle } },
    }
}

/// A refusal: `errors` is a text, or a list as in a 200.
pub(super) fn refused(answer: &Answer) -> UpstreamError {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let said = [&body["errors"][0]["message"], &body["errors"], &body["error_description"], &body["error"]];
    let code = said.into_iter().find_map(Value::as_str).map(words);
    match (answer.status, code) {
        (403, Some(what)) => UpstreamError::AccessDenied(what),
        (403, None) => UpstreamError::AccessDenied("the token may not do this".to_owned()),
        (status, code) => UpstreamError::Refused { status, code: code.unwrap_or_else(|| "no reason given".to_owned()) },
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;

    fn read_200(version: Option<&'static str>, body: &Value) -> Result<Reply, Failure> {
        let headers = version.map(|version| ("x-shopify-api-version".parse().unwrap(), version.parse().unwrap()));
        let answer =
            Answer { status: 200, headers: headers.into_iter().collect(), body: Bytes::from(body.to_string()) };
        read(&answer, "2026-11-20T10:00:00Z".parse().unwrap())
    }

    fn last_word(body: &Value) -> UpstreamError {
        match read_200(None, body) {
            Err(Failure::Final(error)) => error,
            other => panic!("a final error, not {other:?}"),
        }
    }

    fn cost(requested: u32, available: u32) -> Value {
        let status = json!({ "maximumAvailable": 2000.0, "currentlyAvailable": available, "restoreRate": 100.0 });
        json!({ "cost": { "requestedQueryCost": requested, "actualQueryCost": null, "throttleStatus": status } })
    }

    #[test]
    fn throttled_in_a_200_says_when_to_come_back() {
        let error = json!({ "message": "Throttled", "extensions": { "code": "THROTTLED", "documentation": "…" } });
        match read_200(None, &json!({ "errors": [error], "extensions": cost(96, 16) })) {
            Err(Failure::Transient { cause: Cause::Throttled, hint }) => {
                assert_eq!(hint.at_least(), std::time::Duration::from_millis(800));
            }
            other => panic!("throttled, not {other:?}"),
        }
    }

    #[test]
    fn data_beside_errors_is_a_failure_and_a_refusal_outweighs_what_may_pass() {
        let denied = json!({ "message": "Access denied for orders field.", "extensions": { "code": "ACCESS_DENIED" } });
        let internal = json!({ "message": "Internal error", "extensions": { "code": "INTERNAL_SERVER_ERROR" } });
        let body = json!({ "data": { "orders": null }, "errors": [internal, denied] });
        assert!(matches!(last_word(&body), UpstreamError::AccessDenied(_)));
        let body = json!({ "data": { "orders": null }, "errors": [internal] });
        let again = read_200(None, &body);
        assert!(
            matches!(&again, Err(Failure::Transient { cause: Cause::Code(code), .. }) if code == "INTERNAL_SERVER_ERROR")
        );
        let costly = json!({ "message": "Query cost is 1200", "extensions": { "code": "MAX_COST_EXCEEDED" } });
        let error = last_word(&json!({ "errors": [costly] }));
        assert_eq!(error.to_string(), "refused with status 200: MAX_COST_EXCEEDED: Query cost is 1200");
        let cursor = json!({ "message": "Invalid cursor for current pagination sort." });
        assert!(matches!(last_word(&json!({ "errors": [cursor] })), UpstreamError::StaleCursor));
    }

    #[test]
    fn a_filter_that_was_not_understood_is_an_error() {
        let warning = json!({ "field": "updatd_at", "message": "Invalid search field for this query." });
        let search = json!([{ "path": ["orders"], "query": "updatd_at:>=1", "warnings": [warning] }]);
        let body = json!({ "data": { "orders": {} }, "extensions": { "search": search } });
        assert!(matches!(last_word(&body), UpstreamError::SearchWarning { field, .. } if field == "updatd_at"));
        let body =
            json!({ "data": { "orders": {} }, "extensions": { "search": [{ "path": ["orders"], "query": "" }] } });
        assert!(read_200(None, &body).is_ok());
    }

    #[test]
    fn another_version_is_an_error_and_no_version_is_fine() {
        let body = json!({ "data": { "shop": {} }, "extensions": cost(1, 1999) });
        assert!(read_200(None, &body).is_ok());
        let throttle = read_200(Some("2026-10"), &body).unwrap().throttle.unwrap();
        assert!((throttle.available - 1999.0).abs() < 0.1);
        let newer = read_200(Some("2027-10"), &body);
        assert!(matches!(newer, Err(Failure::Final(UpstreamError::Version { answered, .. })) if answered == "2027-10"));
    }

    #[test]
    fn neither_data_nor_errors_is_no_answer() {
        for body in [json!({}), json!({ "data": null })] {
            assert!(matches!(last_word(&body), UpstreamError::Malformed { path, .. } if path == "data"));
        }
    }
}
