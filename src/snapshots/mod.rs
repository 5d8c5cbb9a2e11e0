//! The daily close: every shipped unit gets one lot and one cost, once, and every balance is photographed.
//!
//! ```text
//! begin    a row in `snapshots`, status closing      days follow each other, one at a time
//! chunk    whole SKUs, one transaction each:
//!            take a share of the day, choose SKUs, lock lines, lock lots, assign units to lots (pure): first
//!            what is short since an earlier day, then the day's lines; write; claim (pool, SKU, date)
//! finish   status closed                             never re-opened
//! ```
//!
//! What makes it happen once is in the schema, not here: `snapshot_skus` has one row per (pool, SKU, date),
//! `depletions` numbers the rows of a line from 1, `lot_transactions` takes one depletion per lot and day. A run that is
//! killed leaves whole SKUs done and the others untouched; the next run, by whomever, does the rest. Two runs at once
//! take turns, which only keeps them from doing work that the schema would then refuse.
//!
//! A closed day is never re-opened: a line that arrives late is taken by the next open day, keeps its own date and is
//! counted as late. Balances (`stock`) are not touched at all: what left the shelf left it when it was shipped.

use chrono::{DateTime, NaiveDate, Utc};

use crate::http::code::Code;
use crate::http::problem::{ErrorItem, Problem};
use crate::http::submit;
use crate::ledger::lanes::LaneError;
use crate::lots::expiry::ExpiryError;

mod assign;
mod chunk;
pub mod close;
pub mod job;
mod lock;
mod photograph;
pub mod queries;
pub mod reports;
pub mod routes;
pub mod view;
mod write;

pub use close::{Closing, Outcome, close_day, find_first_open_day};

/// How much a close takes on at once. A SKU is never split.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Transactions at a time, each on a connection of its own.
    pub workers: i64,
    /// Most SKUs of one transaction.
    pub chunk_skus: i64,
    /// Shipment lines after which no further SKU is added to it.
    pub chunk_lines: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { workers: 2, chunk_skus: 200, chunk_lines: 10_000 }
    }
}

/// What to do about a day that a guard keeps from being depleted again.
const DEPLETED_BEFORE: &str = "Part of this day has been depleted before, and nothing is depleted twice. `holdfast repair \
                               diagnose` finds which; once that is repaired, close the day again.";

/// Why a day was not closed.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// The local day goes on.
    #[error("{date} has not ended yet; it ends at {ends_at:?}")]
    NotOver {
        /// The day.
        date: NaiveDate,
        /// Its end.
        ends_at: DateTime<Utc>,
    },
    /// The local day has not even begun: nothing can have left on it.
    #[error("{date} has not begun yet; it begins at {starts_at:?}")]
    NotBegun {
        /// The day.
        date: NaiveDate,
        /// Its first instant.
        starts_at: DateTime<Utc>,
    },
    /// Days close in order.
    #[error("{first_open_date} must be closed first")]
    EarlierDayOpen {
        /// The day that comes next.
        first_open_date: NaiveDate,
    },
    /// The pool was not there yet.
    #[error("the first day of the pool is {first_date}")]
    BeforeFirstDay {
        /// The pool's first day.
        first_date: NaiveDate,
    },
    /// It was asked to leave off, between two chunks.
    #[error("asked to stop")]
    Stopped,
    /// Another transaction came first; to be tried again.
    #[error("another transaction came first")]
    Raced,
    /// A row is not as the rows around it say.
    #[error("{0}")]
    Inconsistent(String),
    /// What is off sale could not be kept so; to be tried again.
    #[error(transparent)]
    OnSale(LaneError),
    /// The database refused or could not be reached; what is done stays done.
    #[error("the database failed: {0}")]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for CloseError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<ExpiryError> for CloseError {
    fn from(error: ExpiryError) -> Self {
        match error {
            ExpiryError::Database(error) => Self::Database(error),
            ExpiryError::Lane(error) => Self::OnSale(error),
        }
    }
}

impl crate::db::tx::Contended for CloseError {
    fn is_contention(&self) -> bool {
        match self {
            Self::Raced => true,
            Self::Database(error) => crate::db::tx::is_contention(error),
            _ => false,
        }
    }
}

impl From<CloseError> for Problem {
    fn from(error: CloseError) -> Self {
        let say = error.to_string();
        match error {
            CloseError::NotOver { .. } => {
                let detail = format!("{say}. close_early closes it all the same; what ships later is carried late.");
                let errors = vec![ErrorItem::at("/date", Code::DayNotOver, detail.clone())];
                Self { errors, ..Self::new(Code::DayNotOver, detail) }
            }
            CloseError::NotBegun { .. } => {
                let detail = format!("{say}. close_early closes the current local day, and none after it.");
                let errors = vec![ErrorItem::at("/date", Code::DayNotOver, detail.clone())];
                Self { errors, ..Self::new(Code::DayNotOver, detail) }
            }
            CloseError::EarlierDayOpen { .. } => {
                Self::new(Code::EarlierDayOpen, format!("Days close in order: {say}."))
            }
            CloseError::BeforeFirstDay { .. } => {
                Self::listing(vec![ErrorItem::at("/date", Code::ValidationFailed, format!("is too early: {say}"))])
            }
            CloseError::Stopped => Self::new(Code::Unavailable, "This instance is shutting down; try again."),
            CloseError::OnSale(error) => submit::problem_of(error, false),
            CloseError::Raced => Self::new(Code::Unavailable, "Somebody else is closing this day; try again."),
            CloseError::Inconsistent(detail) => {
                tracing::error!(detail, "a day cannot be closed");
                Self::new(Code::Internal, "Stored rows disagree; it has been logged under this request id.")
            }
            // No race: two runs take turns. A guard of the schema has kept something from happening twice.
            CloseError::Database(error) if is_unique_violation(&error) => {
                tracing::error!(%error, "a day cannot be closed: part of it has been depleted before");
                Self::new(Code::DepletedBefore, DEPLETED_BEFORE)
            }
            CloseError::Database(error) => error.into(),
        }
    }
}

fn is_unique_violation(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}
