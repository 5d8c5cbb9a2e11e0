//! The answer to an import.

use serde::Serialize;
use utoipa::ToSchema;

use super::apply::Tally;
use super::check::Checked;
use super::{Mode, OnError};
use crate::http::problem::{ErrorItem, Problem};

/// What became of a file, or would. Every row is received, repeated or rejected, or left out because of another.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LotImport)]
pub struct ImportView {
    /// Pool code.
    pool: String,
    /// `validate`: what is said of rows is what would become of them.
    mode: Mode,
    /// What one bad row means for the others.
    on_error: OnError,
    /// Rows in the file.
    rows: u32,
    /// Rows that became lots, or would: none where a single bad row keeps the whole file out.
    received: u32,
    /// Rows whose source reference had been entered before; nothing was done for them.
    repeated: u32,
    /// Those of them that say something else than the lot that stands.
    differing: u32,
    /// Rows that break a rule.
    rejected: u32,
    /// SKUs that were registered on the way, or would be.
    created_skus: u64,
    /// Rules that are broken, over all rows.
    errors_total: u32,
    /// The first 1,000 of them.
    errors: Vec<ErrorItem>,
    /// The first 1,000 rows that differ.
    differences: Vec<Difference>,
}

/// A row that was sent differently from the lot that stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LotImportDifference)]
pub struct Difference {
    /// Its line, from 1.
    pub line: u32,
    /// The lot that stands.
    pub id: String,
    /// What was sent differently.
    #[schema(value_type = Vec<String>)]
    pub fields: Vec<&'static str>,
}

impl ImportView {
    /// The account of a file.
    pub(super) fn of(file: Checked, mut tally: Tally) -> Self {
        let mut findings = file.findings;
        findings.rejected += tally.findings.rejected;
        findings.total += tally.findings.total;
        findings.errors.append(&mut tally.findings.errors);
        findings.errors.truncate(super::MOST_ERRORS);
        if findings.rejected > 0 && file.options.on_error == OnError::RejectAll {
            (tally.received, tally.created_skus) = (0, 0);
        }
        Self {
            pool: file.options.pool.code.clone(),
            mode: file.options.mode,
            on_error: file.options.on_error,
            rows: file.rows,
            received: tally.received,
            repeated: tally.repeated,
            differing: tally.differing,
            rejected: findings.rejected,
            created_skus: tally.created_skus,
            errors_total: findings.total,
            errors: findings.errors,
            differences: tally.differences,
        }
    }

    /// The refusal of a file of which nothing is received because of its bad rows, unless there are none.
    pub(super) fn refused(self) -> Result<Self, Problem> {
        if self.rejected == 0 || self.mode == Mode::Validate || self.on_error == OnError::SkipBadRows {
            return Ok(self);
        }
        let detail = format!(
            "{} of {} rows break {} rules, of which errors lists {}; nothing was received.",
            self.rejected,
            self.rows,
            self.errors_total,
            self.errors.len()
        );
        Err(Problem { detail, ..Problem::listing(self.errors) })
    }

    /// Counts it.
    pub(super) fn measure(&self) {
        if self.mode == Mode::Apply {
            for (outcome, rows) in
                [("received", self.received), ("repeated", self.repeated), ("rejected", self.rejected)]
            {
                metrics::counter!("holdfast_import_rows_total", "outcome" => outcome).increment(rows.into());
            }
        }
    }
}
