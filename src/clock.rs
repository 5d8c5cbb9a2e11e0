//! Time. One clock decides: the database's, read after the row locks are held. Instances may disagree about the time
//! of day without any effect on stock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

/// The clock that a service instance runs on: real time, or real time moved by a test.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    offset_micros: Arc<AtomicI64>,
}

impl Clock {
    /// Real time.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves this clock forward; for tests, which never sleep.
    pub fn advance(&self, by: TimeDelta) {
        self.offset_micros.fetch_add(by.num_microseconds().unwrap_or(0), Ordering::SeqCst);
    }

    /// What this clock says now, by the database's: the one that decides. To be read after the locks are held.
    ///
    /// # Errors
    /// Database errors.
    pub async fn read(&self, conn: &mut PgConnection) -> sqlx::Result<DateTime<Utc>> {
        Ok(self.at(sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(conn).await?))
    }

    /// What this clock says when the database's says `database_now`.
    #[must_use]
    pub fn at(&self, database_now: DateTime<Utc>) -> DateTime<Utc> {
        database_now + TimeDelta::microseconds(self.offset_micros.load(Ordering::SeqCst))
    }

    /// How far this clock is ahead of the database's, in seconds.
    #[must_use]
    pub fn offset_seconds(&self) -> f64 {
        TimeDelta::microseconds(self.offset_micros.load(Ordering::SeqCst)).as_seconds_f64()
    }

    /// This process' own idea of now. For housekeeping and logs, never for a decision about stock.
    #[must_use]
    pub fn local_now(&self) -> DateTime<Utc> {
        #[expect(clippy::disallowed_methods, reason = "this is the one home of the system clock")]
        self.at(Utc::now())
    }
}
