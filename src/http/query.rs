//! Query strings: unknown and malformed parameters are refused, all at once.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use chrono::NaiveDate;

use crate::catalog::days::read_date;

use crate::http::problem::{ErrorItem, Problem};

/// The parameters of a request, taken out one by one; what is left over at the end was unknown.
#[derive(Debug, Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
    errors: Vec<ErrorItem>,
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

impl Query {
    /// Splits a query string.
    #[must_use]
    pub fn parse(query: &str) -> Self {
        let pairs: Vec<(String, String)> =
            form_urlencoded::parse(query.as_bytes()).map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
        let mut read = Self { pairs, errors: Vec::new() };
        let controlled: Vec<String> = read
            .pairs
            .iter()
            .filter(|(_, value)| value.chars().any(char::is_control))
            .map(|(name, _)| name.clone())
            .collect();
        for name in controlled {
            read.refuse(&name, "must not contain control characters");
        }
        read
    }

    /// Whether a parameter is still there to be taken.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(key, _)| key == name)
    }

    /// Every value of a parameter, in order.
    pub fn all(&mut self, name: &str) -> Vec<String> {
        self.pairs.extract_if(.., |(key, _)| key == name).map(|(_, value)| value).collect()
    }

    /// The value of a parameter that may be given once.
    pub fn one(&mut self, name: &str) -> Option<String> {
        let mut values = self.all(name);
        if values.len() > 1 {
            self.refuse(name, "may be given once");
        }
        values.pop()
    }

    /// The value of a parameter, read by `read`; `expected` says what it must be.
    pub fn read<T>(&mut self, name: &str, expected: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let value = self.one(name)?;
        let parsed = read(&value);
        if parsed.is_none() {
            self.refuse(name, format!("must be {expected}"));
        }
        parsed
    }

    /// A date, as [`read_date`] reads it.
    pub fn date(&mut self, name: &str) -> Option<NaiveDate> {
        self.read(name, "a date such as 2026-11-24", read_date)
    }

    /// Adds a broken rule about a parameter.
    pub fn refuse(&mut self, name: &str, detail: impl Into<String>) {
        self.errors.push(ErrorItem::of(name, detail));
    }

    /// Ends reading.
    ///
    /// # Errors
    /// A problem that lists every unknown and malformed parameter.
    pub fn finish(self) -> Result<(), Problem> {
        let mut errors = self.errors;
        for (name, _) in self.pairs {
            errors.push(ErrorItem::of(name, "is not a known parameter"));
        }
        if errors.is_empty() { Ok(()) } else { Err(Problem::listing(errors)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_repeated_and_malformed_parameters_are_listed_together() {
        let mut query = Query::parse("limit=x&pool=a&pool=b&frob=1&sku=A&sku=B");
        assert_eq!(query.read("limit", "a number", |text| text.parse::<u8>().ok()), None);
        assert_eq!(query.one("pool").as_deref(), Some("b"));
        assert_eq!(query.all("sku"), ["A", "B"]);
        let problem = query.finish().err().unwrap_or_else(|| panic!("must be refused"));
        let names: Vec<_> = problem.errors.iter().filter_map(|e| e.parameter.as_deref()).collect();
        assert_eq!(names, ["limit", "pool", "frob"]);
    }
}
