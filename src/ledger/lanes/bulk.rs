//! A lane of its own for one file: receipts by the thousand, in transactions that the file's reader begins and ends.
//!
//! It owns its connection, as lanes do: whatever ends it in mid-transaction closes the connection, and the server rolls
//! back. `COMMIT` on an aborted transaction answers well, so a statement before it proves that this one is alive.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{ConnectOptions, Executor, PgConnection};

use super::{Lanes, Shared};
use crate::catalog::Catalogue;
use crate::ids::{ClientId, PoolId};
use crate::ledger::batch::receipts::{self, Arrival, Posted};
use crate::ledger::batch::{BatchError, Setting};
use crate::ledger::command::Receive;

/// While lots are put in nobody waits for this transaction's locks, but it may wait for another one's: a twin of the
/// same file, say.
const BEGIN: &str = "BEGIN; SET LOCAL lock_timeout = '30s'; SET LOCAL statement_timeout = '60s'";
/// With balance rows locked it waits no longer than a lane does.
const BEFORE_LOCKS: &str = "SET LOCAL lock_timeout = '1s'";
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// Receipts of one client into one pool, in bulk.
pub struct Bulk {
    shared: Arc<Shared>,
    conn: PgConnection,
    catalogue: Arc<Catalogue>,
    pool: PoolId,
    client: ClientId,
    posted: Vec<Posted>,
}

impl Lanes {
    /// Opens a connection for receipts in bulk.
    ///
    /// # Errors
    /// [`BatchError::Connection`].
    pub async fn bulk(&self, pool: PoolId, client: ClientId) -> Result<Bulk, BatchError> {
        let shared = Arc::clone(&self.shared);
        let conn = tokio::time::timeout(CONNECT_LIMIT, shared.connect.connect()).await;
        let conn = conn.map_err(|_| BatchError::Connection(sqlx::Error::PoolTimedOut))??;
        let catalogue = shared.catalogue.current();
        Ok(Bulk { shared, conn, catalogue, pool, client, posted: Vec::new() })
    }
}

impl Bulk {
    /// Begins a transaction.
    ///
    /// # Errors
    /// [`BatchError`].
    pub async fn begin(&mut self) -> Result<(), BatchError> {
        self.catalogue = self.shared.catalogue.refresh(&mut self.conn).await?;
        self.posted.clear();
        self.conn.execute(sqlx::raw_sql(BEGIN)).await?;
        Ok(())
    }

    /// Writes the lots of these receipts; answers what became of each, in order.
    ///
    /// # Errors
    /// [`BatchError`].
    pub async fn put(&mut self, receives: &[Receive]) -> Result<Vec<Arrival>, BatchError> {
        let setting = Setting { catalogue: &self.catalogue, clock: &self.shared.clock, render: &self.shared.render };
        receipts::put(&mut self.conn, &setting, self.pool, self.client, receives).await
    }

    /// Puts the units of these lots on the shelf. They come in the order of their SKUs' ids, after every
    /// [`Bulk::put`] of the transaction.
    ///
    /// # Errors
    /// [`BatchError`].
    pub async fn post(&mut self, receives: Vec<Receive>) -> Result<(), BatchError> {
        if self.posted.is_empty() {
            self.conn.execute(sqlx::raw_sql(BEFORE_LOCKS)).await?;
        }
        let receipts: Vec<_> =
            receives.into_iter().map(|receive| receipts::submission(self.client, self.pool, receive)).collect();
        let setting = Setting { catalogue: &self.catalogue, clock: &self.shared.clock, render: &self.shared.render };
        self.posted.push(receipts::post(&mut self.conn, &setting, self.pool, &receipts).await?);
        Ok(())
    }

    /// Commits, and tells who keeps balances in memory.
    ///
    /// # Errors
    /// [`BatchError`]; after [`BatchError::Connection`] nobody knows whether it was committed.
    pub async fn commit(&mut self) -> Result<(), BatchError> {
        self.conn.execute(sqlx::raw_sql("SELECT 1")).await?;
        self.conn.execute(sqlx::raw_sql("COMMIT")).await?;
        for posted in self.posted.drain(..) {
            self.shared.observer.balances(self.pool, &posted.balances, posted.now);
        }
        Ok(())
    }

    /// Gives up what was done since [`Bulk::begin`].
    ///
    /// # Errors
    /// [`BatchError::Connection`]: then the server gives it up.
    pub async fn roll_back(&mut self) -> Result<(), BatchError> {
        self.conn.execute(sqlx::raw_sql("ROLLBACK")).await?;
        Ok(())
    }
}
