//! The one way to run a transaction outside the lanes: commits only on `Ok`, retries what contention broke.
//!
//! `commit()` on an aborted transaction answers `Ok`, so a swallowed error inside would be acknowledged and lost: the
//! body must hand every error on with `?`, and a last statement proves that the transaction is still alive.

use std::time::Duration;

use scoped_futures::ScopedBoxFuture;
use sqlx::{Acquire, Executor, PgConnection, PgPool};

use crate::ledger::lanes::backoff;

const TRIES: u32 = 3;

/// An error that can tell whether another transaction was in the way.
pub trait Contended {
    /// Whether trying again can help.
    fn is_contention(&self) -> bool;
}

/// Whether a deadlock, a serialization failure or a lock timeout broke the statement.
#[must_use]
pub fn is_contention(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| matches!(code.as_ref(), "40001" | "40P01" | "55P03"))
}

impl Contended for sqlx::Error {
    fn is_contention(&self) -> bool {
        is_contention(self)
    }
}

impl Contended for crate::http::problem::Problem {
    fn is_contention(&self) -> bool {
        self.contended
    }
}

/// Runs `body` in a transaction named `name`, at most three times under contention. Call it from a detached task: a
/// future dropped while `BEGIN` is on its way poisons its connection.
///
/// # Errors
/// What the body returned, or what the database said.
pub async fn write<'a, T, E>(
    pool: &PgPool,
    name: &'static str,
    body: impl for<'c> Fn(&'c mut PgConnection) -> ScopedBoxFuture<'a, 'c, Result<T, E>> + Send + Sync,
) -> Result<T, E>
where
    E: From<sqlx::Error> + Contended,
{
    let mut attempt = 1;
    loop {
        match once(pool, &body).await {
            Err(error) if attempt < TRIES && error.is_contention() => {
                metrics::counter!("holdfast_transaction_retries_total", "transaction" => name).increment(1);
                let random = crate::ids::new_uuid().as_bytes()[9];
                let pause = backoff(attempt, Duration::from_millis(10), Duration::from_millis(200), random);
                tokio::time::sleep(pause).await;
                attempt += 1;
            }
            done => return done,
        }
    }
}

async fn once<'a, T, E: From<sqlx::Error>>(
    pool: &PgPool,
    body: &(impl for<'c> Fn(&'c mut PgConnection) -> ScopedBoxFuture<'a, 'c, Result<T, E>> + Send + Sync),
) -> Result<T, E> {
    let mut conn = pool.acquire().await?;
    let mut tx = conn.begin().await?;
    match body(&mut tx).await {
        Ok(done) => {
            // Fails on an aborted transaction, which COMMIT would not.
            tx.execute(sqlx::raw_sql("SELECT 1")).await?;
            tx.commit().await?;
            Ok(done)
        }
        Err(refused) => {
            tx.rollback().await?;
            Err(refused)
        }
    }
}
