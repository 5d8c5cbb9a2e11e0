//! Answers that are tables: JSON, or CSV (RFC 4180) for spreadsheets.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::http::query::Query;

/// How a table is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `application/json`.
    Json,
    /// `text/csv`, with a header line.
    Csv,
}

/// A line of a table.
pub trait Row {
    /// Names of its columns: the members it has in JSON.
    const COLUMNS: &'static [&'static str];

    /// One cell per column, empty where there is nothing.
    fn cells(&self) -> Vec<String>;
}

impl Format {
    /// `format=csv` or `format=json`; where that is left out, what `Accept` prefers.
    pub fn take(query: &mut Query, headers: &HeaderMap) -> Self {
        let read = |text: &str| match text {
            "json" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            _ => None,
        };
        let accepts_csv = || {
            let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
            accept.split(',').next().unwrap_or_default().trim().to_ascii_lowercase().starts_with("text/csv")
        };
        match query.read("format", "json or csv", read) {
            Some(format) => format,
            None if accepts_csv() => Self::Csv,
            None => Self::Json,
        }
    }

    /// The whole object as JSON, or its rows as CSV.
    pub fn respond<T: Serialize, R: Row>(self, whole: &T, rows: impl Fn(&T) -> &[R]) -> Response {
        match self {
            Self::Json => axum::Json(whole).into_response(),
            Self::Csv => {
                let content_type = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
                ([(header::CONTENT_TYPE, content_type)], csv(rows(whole))).into_response()
            }
        }
    }
}

fn csv<R: Row>(rows: &[R]) -> String {
    let mut text = R::COLUMNS.join(",");
    text.push_str("\r\n");
    for row in rows {
        let cells: Vec<String> = row.cells().into_iter().map(quoted).collect();
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    text
}

fn quoted(cell: String) -> String {
    if cell.contains([',', '"', '\r', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Pair(&'static str, i64);

    impl Row for Pair {
        const COLUMNS: &'static [&'static str] = &["sku", "quantity"];

        fn cells(&self) -> Vec<String> {
            vec![self.0.to_owned(), self.1.to_string()]
        }
    }

    #[test]
    fn cells_are_quoted_where_they_would_be_read_as_more_than_one() {
        let rows = [Pair("TEA", 1), Pair("TEA, \"green\"\n250 g", -2)];
        assert_eq!(csv(&rows), "sku,quantity\r\nTEA,1\r\n\"TEA, \"\"green\"\"\n250 g\",-2\r\n");
    }

    #[test]
    fn the_parameter_decides_before_the_header() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/csv, */*;q=0.1"));
        assert_eq!(Format::take(&mut Query::parse(""), &headers), Format::Csv);
        assert_eq!(Format::take(&mut Query::parse("format=json"), &headers), Format::Json);
        assert_eq!(Format::take(&mut Query::parse(""), &HeaderMap::new()), Format::Json);
    }
}
