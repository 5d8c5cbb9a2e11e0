//! Search queries such as `updated_at:>='2026-11-20T10:00:00Z' AND status:active,draft`.
//!
//! A filter that is not understood is ignored and the answer carries a warning: so a typo returns everything. A time that
//! is not quoted loses its hours, as it does upstream.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use serde_json::{Value, json};

/// What may be filtered by.
#[derive(Debug, Clone, Default)]
pub(super) struct Filters {
    /// Of times.
    pub times: Vec<(String, Comparison, DateTime<Utc>)>,
    /// Of words: one of these.
    pub words: Vec<(String, Vec<String>)>,
    /// `extensions.search` of the answer, if anything was wrong.
    pub warnings: Vec<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    AtLeast,
    After,
    AtMost,
    Before,
    Equal,
}

impl Comparison {
    pub(super) fn holds<T: PartialOrd>(self, left: &T, right: &T) -> bool {
        match self {
            Self::AtLeast => left >= right,
            Self::After => left > right,
            Self::AtMost => left <= right,
            Self::Before => left < right,
            Self::Equal => left == right,
        }
    }
}

impl Filters {
    /// Reads a query. `times` and `words` are the fields that may be filtered by.
    pub(super) fn parse(query: &str, times: &[&str], words: &[&str]) -> Self {
        let mut filters = Self::default();
        for term in terms(query) {
            let (field, value) = term.split_once(':').unwrap_or(("", term));
            if times.contains(&field) {
                match time(value) {
                    Some((comparison, at)) => filters.times.push((field.to_owned(), comparison, at)),
                    None => filters.warn(field, "Input is not a valid date."),
                }
            } else if words.contains(&field) {
                let any = value.split(',').map(|word| unquoted(word).to_lowercase());
                filters.words.push((field.to_owned(), any.collect()));
            } else {
                filters.warn(field, "Invalid search field for this query.");
            }
        }
        filters
    }

    fn warn(&mut self, field: &str, message: &str) {
        self.warnings.push(json!({"field": field, "message": message, "code": "invalid_field"}));
    }

    /// `extensions.search`, if there is anything to warn of.
    pub(super) fn extension(&self, path: &str, query: &str) -> Option<Value> {
        (!self.warnings.is_empty())
            .then(|| json!({"path": [path], "query": query, "parsed": {}, "warnings": self.warnings}))
    }

    /// Whether the times of an entity, by field, are within.
    pub(super) fn within(&self, time_of: impl Fn(&str) -> DateTime<Utc>) -> bool {
        self.times.iter().all(|(field, comparison, at)| comparison.holds(&time_of(field), at))
    }

    /// Whether the words of an entity, by field, are among those asked for.
    pub(super) fn named(&self, is: impl Fn(&str, &str) -> bool) -> bool {
        self.words.iter().all(|(field, any)| any.iter().any(|word| is(field, word)))
    }
}

/// Terms of a query. `AND` is what stands between them anyhow.
fn terms(query: &str) -> Vec<&str> {
    let (mut terms, mut start, mut quote) = (Vec::new(), None, None);
    for (at, byte) in query.char_indices() {
        match (quote, byte) {
            (Some(open), _) if open == byte => quote = None,
            (None, '\'' | '"') => {
                quote = Some(byte);
                start.get_or_insert(at);
            }
            (None, space) if space.is_whitespace() => {
                if let Some(start) = start.take() {
                    terms.push(&query[start..at]);
                }
            }
            _ => {
                start.get_or_insert(at);
            }
        }
    }
    if let Some(start) = start {
        terms.push(&query[start..]);
    }
    terms.retain(|term| *term != "AND");
    terms
}

fn unquoted(text: &str) -> &str {
    text.trim_matches(['\'', '"'])
}

fn time(value: &str) -> Option<(Comparison, DateTime<Utc>)> {
    let comparisons = [
        (">=", Comparison::AtLeast),
        ("<=", Comparison::AtMost),
        (">", Comparison::After),
        ("<", Comparison::Before),
        ("", Comparison::Equal),
    ];
    let (comparison, rest) =
        comparisons.into_iter().find_map(|(sign, meaning)| Some((meaning, value.strip_prefix(sign)?)))?;
    let quoted = rest.starts_with(['\'', '"']);
    if quoted && let Ok(at) = DateTime::parse_from_rfc3339(unquoted(rest)) {
        return Some((comparison, at.to_utc()));
    }
    let day: NaiveDate = unquoted(rest).get(..10)?.parse().ok()?;
    Some((comparison, day.and_time(NaiveTime::MIN).and_utc()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_and_a_list_of_words_are_understood() {
        let query = "updated_at:>='2026-11-20T10:00:00Z' AND updated_at:<'2026-11-20T12:00:00Z' status:active,draft";
        let filters = Filters::parse(query, &["updated_at"], &["status"]);
        assert_eq!(filters.extension("orders", query), None);
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        for (time, within) in
            [("2026-11-20T10:00:00Z", true), ("2026-11-20T12:00:00Z", false), ("2026-11-20T09:59:59Z", false)]
        {
            assert_eq!(filters.within(|_| at(time)), within, "{time}");
        }
        assert!(filters.named(|field, word| field == "status" && word == "draft"));
        assert!(!filters.named(|_, word| word == "archived"));
    }

    #[test]
    fn what_is_not_understood_is_ignored_with_a_warning() {
        for query in ["updatedat:>='2026-11-20T10:00:00Z'", "updated_at:>='yesterday'", "apples"] {
            let filters = Filters::parse(query, &["updated_at"], &[]);
            assert!(filters.times.is_empty() && filters.extension("orders", query).is_some(), "{query}");
        }
    }

    #[test]
    fn a_time_without_quotes_loses_its_hours() {
        let filters = Filters::parse("updated_at:>=2026-11-20T10:00:00Z", &["updated_at"], &[]);
        assert!(filters.within(|_| "2026-11-20T00:00:00Z".parse().unwrap()));
    }
}
