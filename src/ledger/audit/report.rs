//! What an audit found, as data and as text.

use std::fmt;

use serde::Serialize;

use super::CHECKS;
use crate::ids::PoolId;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Number of the invariant in section 3 of the design.
    pub invariant: u8,
    /// The check that found it.
    pub check: &'static str,
    /// The pool; `None` for what belongs to the whole database.
    pub pool: Option<PoolId>,
    /// Which rows, such as `sku 12 seq 7`.
    pub subject: String,
    /// What is wrong with them.
    pub detail: String,
}

/// What one check came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckResult {
    /// Its name.
    pub name: &'static str,
    /// Number of the invariant in section 3 of the design.
    pub invariant: u8,
    /// Rows it looked at.
    pub rows: u64,
    /// How often it failed, also beyond the findings that are kept.
    pub findings: u64,
}

/// What an audit found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Pools read.
    pub pools: u64,
    /// Rows read, each counted once.
    pub rows_read: u64,
    /// Every check, clean or not.
    pub checks: Vec<CheckResult>,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Whether there is more that is wrong than `findings` tells.
    pub truncated: bool,
    #[serde(skip)]
    most_findings: usize,
}

/// What a check's SQL answers: one row per finding.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub check: String,
    pub subject: String,
    pub detail: String,
}

impl Report {
    pub(super) fn new(most_findings: usize) -> Self {
        let checks = CHECKS
            .iter()
            .map(|check| CheckResult { name: check.name, invariant: check.invariant, rows: 0, findings: 0 })
            .collect();
        Self { pools: 0, rows_read: 0, checks, findings: Vec::new(), truncated: false, most_findings }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.checks.iter().all(|check| check.findings == 0)
    }

    /// Counts rows of `table` for every check that looks at it.
    pub(super) fn count(&mut self, table: &str, rows: i64) {
        let rows = rows.unsigned_abs();
        self.rows_read += rows;
        for (check, result) in CHECKS.iter().zip(&mut self.checks) {
            if check.over == table {
                result.rows += rows;
            }
        }
    }

    /// Takes in what was found in one pool, or in the whole database.
    ///
    /// # Errors
    /// A check that is not in [`CHECKS`].
    pub(super) fn add(&mut self, pool: Option<PoolId>, found: Vec<Found>) -> sqlx::Result<()> {
        for Found { check, subject, detail } in found {
            let Some(result) = self.checks.iter_mut().find(|result| result.name == check) else {
                return Err(sqlx::Error::Decode(format!("unknown check {check:?}").into()));
            };
            result.findings += 1;
            if self.findings.len() < self.most_findings || result.findings == 1 {
                let (check, invariant) = (result.name, result.invariant);
                self.findings.push(Finding { invariant, check, pool, subject, detail });
            } else {
                self.truncated = true;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
        writeln!(f, "{:<width$}  {:>9}  {:>12}  {:>9}", "check", "invariant", "rows", "findings")?;
        for CheckResult { name, invariant, rows, findings } in &self.checks {
            writeln!(f, "{name:<width$}  {invariant:>9}  {rows:>12}  {findings:>9}")?;
        }
        if !self.findings.is_empty() {
            writeln!(f)?;
        }
        for Finding { check, pool, subject, detail, .. } in &self.findings {
            match pool {
                Some(pool) => writeln!(f, "{check}: pool {}, {subject}: {detail}", pool.0)?,
                None => writeln!(f, "{check}: {subject}: {detail}")?,
            }
        }
        if self.truncated {
            writeln!(f, "… and more: the counts above are complete, the findings are not")?;
        }
        writeln!(f)?;
        let found: u64 = self.checks.iter().map(|check| check.findings).sum();
        let verdict = if self.is_clean() { "clean".to_owned() } else { format!("{found} found") };
        writeln!(f, "{} pools, {} rows read: {verdict}", self.pools, self.rows_read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(check: &str, subject: &str) -> Found {
        Found { check: check.to_owned(), subject: subject.to_owned(), detail: "wrong".to_owned() }
    }

    #[test]
    fn findings_beyond_the_limit_are_counted_and_every_check_keeps_its_first() -> sqlx::Result<()> {
        let mut report = Report::new(2);
        let rows = (1..=5).map(|seq| found("ledger_gapless", &format!("sku 1 seq {seq}"))).collect();
        report.add(Some(PoolId(1)), rows)?;
        report.add(None, vec![found("guards_in_place", "stock")])?;
        let kept: Vec<_> = report.findings.iter().map(|finding| finding.check).collect();
        assert_eq!(kept, ["ledger_gapless", "ledger_gapless", "guards_in_place"]);
        assert!(report.truncated && !report.is_clean());
        let counted: Vec<u64> = report.checks.iter().map(|check| check.findings).filter(|n| *n > 0).collect();
        assert_eq!(counted, [5, 1]);
        Ok(())
    }

    #[test]
    fn the_text_is_a_table_with_a_verdict() -> sqlx::Result<()> {
        let mut report = Report::new(10);
        report.count("stock_entries", 12);
        assert!(report.to_string().ends_with("\n0 pools, 12 rows read: clean\n"));
        report.add(Some(PoolId(3)), vec![found("ledger_gapless", "sku 1 seq 7")])?;
        let text = report.to_string();
        let row: Vec<&str> = text.lines().filter(|row| row.starts_with("ledger_gapless ")).collect();
        assert_eq!(
            row.iter().flat_map(|row| row.split_whitespace()).collect::<Vec<_>>(),
            ["ledger_gapless", "3", "12", "1"]
        );
        assert!(text.contains("ledger_gapless: pool 3, sku 1 seq 7: wrong\n"), "{text}");
        assert!(text.ends_with("\n0 pools, 12 rows read: 1 found\n"), "{text}");
        Ok(())
    }

    #[test]
    fn an_unknown_check_is_an_error() {
        assert!(Report::new(1).add(None, vec![found("no_such_check", "")]).is_err());
    }
}
