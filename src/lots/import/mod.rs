//! `POST /lots/import`: a file of receipts, CSV or NDJSON, each row a lot.
//!
//! A file is read once, as it arrives. Rows that keep every rule go to an unnamed temporary file; of each, memory keeps
//! where it is and a hash of its name, so a file of any length that the limits allow needs little of it. Rows that break
//! a rule are listed with their line numbers, all of them up to a bound.
//!
//! Then the rows are received, in the order of their SKUs' ids, which is the order that locks are taken in: the whole
//! file in one transaction, or, where bad rows are skipped, so many rows in each. A row's name is `(pool, source,
//! source_ref)`, so a file can be sent again after whatever happened: what was received is counted as repeated. That is
//! why no Idempotency-Key is asked for.
//!
//! Deliberately absent: rows of several pools in one file (a transaction touches one pool), files kept for later.

mod apply;
mod check;
mod csv;
mod kept;
mod read;
pub mod routes;
mod view;

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::catalog::Pool;
use crate::http::code::Code;
use crate::http::problem::{ErrorItem, Problem};
use crate::http::query::Query;

/// The path it is sent to.
pub const PATH: &str = "/lots/import";

/// Most rows of a file: what memory keeps of each is about a hundred bytes.
const MOST_ROWS: u32 = 500_000;
/// Most broken rules that are listed; all are counted.
const MOST_ERRORS: usize = 1000;
/// Most rows listed that differ from what was received under their names before; all are counted.
const MOST_DIFFERENCES: usize = 1000;
/// Longest row, in bytes: far above any row that keeps the rules, far below what hurts.
const LONGEST_ROW: usize = 64 * 1024;

/// Whether rows are received or only looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Nothing is changed.
    Validate,
    /// Rows are received.
    Apply,
}

/// What one bad row means for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// Nothing of the file is received: it is one transaction.
    RejectAll,
    /// The good rows are received.
    SkipBadRows,
}

/// How a file is to be taken.
#[derive(Debug, Clone)]
struct Options {
    pool: Arc<Pool>,
    mode: Mode,
    on_error: OnError,
    create_skus: bool,
    /// When it arrived.
    now: DateTime<Utc>,
}

impl Mode {
    fn take(query: &mut Query) -> Self {
        let read = |text: &str| match text {
            "validate" => Some(Self::Validate),
            "apply" => Some(Self::Apply),
            _ => None,
        };
        query.read("mode", "validate or apply", read).unwrap_or(Self::Apply)
    }
}

impl OnError {
    fn take(query: &mut Query) -> Self {
        let read = |text: &str| match text {
            "reject_all" => Some(Self::RejectAll),
            "skip_bad_rows" => Some(Self::SkipBadRows),
            _ => None,
        };
        query.read("on_error", "reject_all or skip_bad_rows", read).unwrap_or(Self::RejectAll)
    }
}

/// A broken rule of a line.
fn at_line(line: u32, error: ErrorItem) -> ErrorItem {
    ErrorItem { line: Some(line), ..error }
}

/// A file that cannot be read on from this line.
fn unreadable(line: u32, detail: impl Into<String>) -> Problem {
    Problem::listing(vec![at_line(line, ErrorItem::at("", Code::ValidationFailed, detail))])
}

/// A failure of this machine's: the temporary file cannot be written or read.
fn disk(error: &std::io::Error) -> Problem {
    tracing::error!(%error, "the temporary file of an import");
    Problem::new(Code::Internal, "The file could not be kept while it was read; nothing was received.")
}
