//! One HTTP answer, whole, and what its status says.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::de::DeserializeOwned;

use super::client::Failure;
use super::error::{Cause, UpstreamError};
use super::retry::{Hint, seconds};

/// Most of an upstream's words that are kept in an error.
const WORDS_MAX: usize = 160;

/// One HTTP answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, whole.
    pub body: Bytes,
}

impl Answer {
    /// A header's text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether its status says that another attempt may succeed.
    #[must_use]
    pub fn transient(&self, now: DateTime<Utc>) -> Option<Failure> {
        let cause = match self.status {
            429 => Cause::Throttled,
            408 | 500..=599 => Cause::Status(self.status),
            _ => return None,
        };
        let hint = Hint { retry_after: self.retry_after(now), throttle: None };
        Some(Failure::Transient { cause, hint })
    }

    /// `Retry-After`: seconds, with a fraction or without, or a date.
    #[must_use]
    pub fn retry_after(&self, now: DateTime<Utc>) -> Option<Duration> {
        let value = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(count) = value.parse::<f64>() {
            return Some(seconds(count));
        }
        let at = DateTime::parse_from_rfc2822(value).ok()?;
        Some((at.to_utc() - now).to_std().unwrap_or_default())
    }

    /// Reads the body as JSON. One that ends in the middle was cut off, and is not the upstream's idea of an answer.
    ///
    /// # Errors
    /// If it is not of this shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let mut text = serde_json::Deserializer::from_slice(&self.body);
        let read = serde_path_to_error::deserialize(&mut text).map_err(|error| {
            if error.inner().is_eof() {
                return Failure::transient(Cause::CutOff);
            }
            Failure::Final(malformed(error.path().to_string(), error.inner()))
        })?;
        text.end().map_err(|error| Failure::Final(malformed("the end".to_owned(), &error)))?;
        Ok(read)
    }
}

/// Reads a part of an answer.
///
/// # Errors
/// If it is not of this shape; the path is the field's, below `within`.
pub fn read<T: DeserializeOwned>(within: &str, value: &serde_json::Value) -> Result<T, UpstreamError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { within.to_owned() } else { format!("{within}.{path}") };
        malformed(path, error.inner())
    })
}

fn malformed(path: String, error: &serde_json::Error) -> UpstreamError {
    // What serde says of a wrong type may hold the value, which may be anybody's.
    let reason = match error.classify() {
        serde_json::error::Category::Data => expectation(&error.to_string()),
        _ => "not JSON".to_owned(),
    };
    UpstreamError::Malformed { path, reason }
}

/// What was expected, without what came instead.
fn expectation(said: &str) -> String {
    let said = said.rsplit_once(" at line ").map_or(said, |(said, _)| said);
    match said.split_once(": ").and_then(|(kind, detail)| Some((kind, detail.rsplit_once("expected ")?.1))) {
        Some((kind, expected)) => words(&format!("{kind}, expected {expected}")),
        None => words(said),
    }
}

/// An upstream's words, bounded, for an error.
#[must_use]
pub fn words(said: &str) -> String {
    said.chars().filter(|c| !c.is_control()).take(WORDS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &'static str) -> Answer {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        Answer { status, headers, body: Bytes::from_static(body.as_bytes()) }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = "2026-11-20T10:00:00Z".parse().unwrap();
        let after = |value| answer(429, &[("retry-after", value)], "").retry_after(now);
        assert_eq!(after("2"), Some(Duration::from_secs(2)));
        assert_eq!(after("2.5"), Some(Duration::from_millis(2500)));
        assert_eq!(after("Fri, 20 Nov 2026 10:00:30 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(after("Fri, 20 Nov 2026 09:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(after("-1"), Some(Duration::ZERO));
        assert_eq!(after("soon"), None);
    }

    #[test]
    fn only_some_statuses_are_worth_another_attempt() {
        let now = "2026-11-20T10:00:00Z".parse().unwrap();
        let again: Vec<_> = (100..600).filter(|status| answer(*status, &[], "").transient(now).is_some()).collect();
        assert_eq!(again, [408, 429].into_iter().chain(500..600).collect::<Vec<u16>>());
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Shape {
        lines: Vec<Line>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Line {
        quantity: i64,
    }

    #[test]
    fn an_unfinished_body_is_transient_and_a_wrong_one_says_where_without_what() {
        let cut = r#"{"lines": [{"quantity": 1}, {"quan"#;
        for length in 0..cut.len() {
            let failure = answer(200, &[], &cut[..length]).json::<Shape>().unwrap_err();
            assert!(matches!(failure, Failure::Transient { cause: Cause::CutOff, .. }), "{length}: {failure:?}");
        }
        let wrong = answer(200, &[], r#"{"lines": [{"quantity": 1}, {"quantity": "Jane Doe"}]}"#);
        let Failure::Final(error) = wrong.json::<Shape>().unwrap_err() else { panic!("a final one") };
        assert_eq!(error.to_string(), "lines[1].quantity cannot be read: invalid type, expected i64");
        let page = answer(200, &[], "<html>").json::<Shape>().unwrap_err();
        assert!(matches!(page, Failure::Final(UpstreamError::Malformed { .. })));
    }
}
