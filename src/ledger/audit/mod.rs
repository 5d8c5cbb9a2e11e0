//! `holdfast audit`: looks for rows that break an invariant, and for guards that no longer stand.
//!
//! Invariants are kept by the write path and guarded by constraints, indexes and triggers. The audit trusts none of
//! them: it reads the rows and does the sums again, so it also finds what was done while a guard was dropped or a
//! trigger disabled.
//!
//! **Beside live traffic.** A pool is read in pages: closed ranges of a primary key that together cover every possible
//! key. Each page is one read-only `REPEATABLE READ` transaction and both sides of a comparison are read inside it, so
//! a transaction that commits meanwhile is seen whole or not at all, and nobody is blocked. One snapshot for the whole
//! run was refused: it would keep vacuum away from the hottest rows for minutes. Ranges end where a page of rows ends,
//! not where the rows of one SKU do: only the sums of `balances` read all claims on a SKU at once.
//!
//! **Cost.** A handful of statements per page; checks that share rows share a statement, and none runs once per row.
//! The comparisons of `unique` are the exception to pages, one pass over a whole pool each; so is what snapshots say
//! about their lines.
//!
//! Deliberately absent: repair, rows of a pool that is not in `pools`, the definitions of guards (a constraint of the
//! same name that says something else passes), and any judgement on what upstream systems say.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::ids::PoolId;

mod answers;
mod balances;
mod checks;
mod demand;
mod depletions;
mod entries;
pub mod guards;
mod lines;
mod lots;
mod off_sale;
mod oversells;
pub(crate) mod pages;
pub(crate) mod place;
mod report;
mod reservations;
mod returns;
mod shipments;
mod snapshots;
mod transfers;
mod unique;
mod variants;

pub use checks::{CHECKS, Check};
pub use guards::expected as expected_guards;
pub(crate) use report::Found;
pub use report::{CheckResult, Finding, Report};

/// How to audit.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Rows in one page, and so in one snapshot; at least 1. Beside live traffic not below a hundred: rows written
    /// meanwhile are read too, and the audit must be the faster one to reach an end.
    pub page: i64,
    /// Findings kept in the report. Those beyond are counted, and the first of every check is kept in any case.
    pub most_findings: usize,
    /// What counts as past expiry; `None` for the database's clock.
    pub now: Option<DateTime<Utc>>,
}

impl Default for Options {
    fn default() -> Self {
        Self { page: 5000, most_findings: 1000, now: None }
    }
}

/// Checks every invariant, pool by pool. `conn` must not be inside a transaction.
///
/// # Errors
/// Database errors. What a damaged row says is a finding, never an error.
pub async fn run(conn: &mut PgConnection, options: &Options) -> sqlx::Result<Report> {
    let mut report = Report::new(options.most_findings);
    guards::check(conn, &mut report).await?;
    for pool in find_pools(conn).await? {
        report.pools += 1;
        balances::check(conn, pool, options, &mut report).await?;
        entries::check(conn, pool, options, &mut report).await?;
        reservations::check(conn, pool, options, &mut report).await?;
        lots::check(conn, pool, options, &mut report).await?;
        oversells::check(conn, pool, options, &mut report).await?;
        shipments::check(conn, pool, options, &mut report).await?;
        snapshots::check(conn, pool, options, &mut report).await?;
        returns::check(conn, pool, options, &mut report).await?;
        transfers::check(conn, pool, options, &mut report).await?;
        demand::check(conn, pool, options, &mut report).await?;
        answers::check(conn, pool, options, &mut report).await?;
        unique::check(conn, pool, &mut report).await?;
    }
    Ok(report)
}

async fn find_pools(conn: &mut PgConnection) -> sqlx::Result<Vec<PoolId>> {
    let ids = sqlx::query_scalar!("SELECT pool_id FROM pools ORDER BY pool_id").fetch_all(conn).await?;
    Ok(ids.into_iter().map(PoolId).collect())
}
