//! Answers that are tables: JSON, or CSV (RFC 4180) for spreadsheets.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::http::query::Query;

/// How a table is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `application/json`.
    Json,
    /// `text/csv`, with a header line.
    Csv,
}

/// What stands in one column of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// What somebody wrote. A spreadsheet would run some of it as a formula, so there it begins with an apostrophe.
    Text(String),
    /// A number or a date of ours, which stays one: `-11.00` is no formula.
    Value(String),
}

impl Cell {
    /// A text, empty where there is none.
    #[must_use]
    pub fn text(text: Option<&str>) -> Self {
        Self::Text(text.unwrap_or_default().to_owned())
    }

    /// An integer, a decimal or a date, empty where there is none.
    #[must_use]
    pub fn value<T: std::fmt::Display>(value: Option<T>) -> Self {
        Self::Value(value.map(|value| value.to_string()).unwrap_or_default())
    }
}

/// A line of a table.
pub trait Row {
    /// Names of its columns: the members it has in JSON.
    const COLUMNS: &'static [&'static str];

    /// One cell per column, empty where there is nothing.
    fn cells(&self) -> Vec<Cell>;
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
        let cells: Vec<String> = row.cells().into_iter().map(|cell| quoted(written(cell))).collect();
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    text
}

/// Text that a spreadsheet would read as more than text begins with an apostrophe (OWASP, CSV injection).
fn written(cell: Cell) -> String {
    match cell {
        Cell::Text(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) => format!("'{text}"),
        Cell::Text(text) | Cell::Value(text) => text,
    }
}

fn quoted(cell: String) -> String {
    if cell.contains([',', '"', '\r', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Pair(String, i64);

    impl Row for Pair {
        const COLUMNS: &'static [&'static str] = &["sku", "quantity"];

        fn cells(&self) -> Vec<Cell> {
            vec![Cell::text(Some(&self.0)), Cell::value(Some(self.1))]
        }
    }

    #[test]
    fn cells_are_quoted_where_they_would_be_read_as_more_than_one() {
        let rows = [Pair("TEA".into(), 1), Pair("TEA, \"green\"\n250 g".into(), -2)];
        assert_eq!(csv(&rows), "sku,quantity\r\nTEA,1\r\n\"TEA, \"\"green\"\"\n250 g\",-2\r\n");
    }

    /// The cells of each line, as RFC 4180 has a reader take them apart.
    fn read(csv: &str) -> Vec<Vec<String>> {
        let mut reader = csv_core::Reader::new();
        let (mut text, mut ends, mut rest) = (vec![0; csv.len() + 1], vec![0; 8], csv.as_bytes());
        let mut lines = Vec::new();
        loop {
            let (result, used, _, cells) = reader.read_record(rest, &mut text, &mut ends);
            rest = &rest[used..];
            match result {
                csv_core::ReadRecordResult::Record => {
                    let starts = std::iter::once(0).chain(ends.iter().copied());
                    let cell = |(from, to): (usize, &usize)| String::from_utf8(text[from..*to].to_vec()).unwrap();
                    lines.push(starts.zip(&ends[..cells]).map(cell).collect());
                }
                csv_core::ReadRecordResult::End => return lines,
                _ => {}
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_is_a_formula_and_every_text_and_number_can_be_read_back(
            text in "[=+@'\"a,\t\r\n-]{1,6}|.{1,12}", number in any::<i64>(),
        ) {
            let lines = read(&csv(&[Pair(text.clone(), number)]));
            prop_assert_eq!(lines.len(), 2);
            let [cell, value] = &lines[1][..] else { panic!("two cells: {lines:?}") };
            prop_assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']), "{cell:?}");
            prop_assert!(*cell == text || *cell == format!("'{text}"), "{cell:?}");
            prop_assert_eq!(value.parse::<i64>(), Ok(number));
        }
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
