//! What an answer of Recharge means. Pure.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::mirror::upstream::answer::words;
use crate::mirror::upstream::{Answer, Failure, UpstreamError};

/// Reads an answer; nothing if what was asked for does not exist.
///
/// # Errors
/// If it is none.
pub(super) fn read(answer: &Answer, now: DateTime<Utc>) -> Result<Option<Value>, Failure> {
    if let Some(failure) = answer.transient(now) {
        return Err(failure);
    }
    match answer.status {
        200..=299 => answer.json().map(Some),
        404 => Ok(None),
        _ => Err(refused(answer).into()),
    }
}

/// `errors` is a text, or an object of lists by field; some answers have `error` or `warning`.
fn refused(answer: &Answer) -> UpstreamError {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if answer.status == 422 && body["errors"].get("cursor").is_some() {
        return UpstreamError::StaleCursor;
    }
    let of_field = |(field, said): (&String, &Value)| {
        let said = said.as_str().or_else(|| said[0].as_str()).unwrap_or("refused");
        format!("{field}: {said}")
    };
    let texts = [&body["errors"], &body["error"], &body["warning"]].into_iter().find_map(Value::as_str);
    let fields = body["errors"].as_object().and_then(|errors| errors.iter().next()).map(of_field);
    let code = texts.map(words).or_else(|| fields.map(|said| words(&said)));
    match (answer.status, code) {
        (403, Some(what)) => UpstreamError::AccessDenied(what),
        (403, None) => UpstreamError::AccessDenied("the token may not do this".to_owned()),
        (status, code) => UpstreamError::Refused { status, code: code.unwrap_or_else(|| "no reason given".to_owned()) },
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn said(status: u16, body: &'static str) -> Result<Option<Value>, Failure> {
        let answer = Answer { status, headers: [].into_iter().collect(), body: Bytes::from_static(body.as_bytes()) };
        read(&answer, "2026-11-20T10:00:00Z".parse().unwrap())
    }

    fn error(status: u16, body: &'static str) -> UpstreamError {
        match said(status, body) {
            Err(Failure::Final(error)) => error,
            other => panic!("a final error, not {other:?}"),
        }
    }

    #[test]
    fn errors_come_in_every_shape() {
        assert!(matches!(said(404, r#"{"errors":"Not Found"}"#), Ok(None)));
        assert!(matches!(error(422, r#"{"errors":{"cursor":["Invalid value"]}}"#), UpstreamError::StaleCursor));
        let field = error(422, r#"{"errors":{"limit":["Too large"]}}"#);
        assert_eq!(field.to_string(), "refused with status 422: limit: Too large");
        assert_eq!(error(401, r#"{"errors":"bad token"}"#).to_string(), "refused with status 401: bad token");
        assert_eq!(
            error(400, r#"{"warning":"too many requests"}"#).to_string(),
            "refused with status 400: too many requests"
        );
        assert_eq!(error(402, "<html>").to_string(), "refused with status 402: no reason given");
        assert!(matches!(error(403, "{}"), UpstreamError::AccessDenied(_)));
    }
}
