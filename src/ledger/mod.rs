//! The stock and reservation ledger: the one writer of balances.
//!
//! A command travels: [`submission`] → a [`lanes`] queue → a [`batch`] (one transaction for everything that waits) →
//! [`decide`] (pure) on the locked [`world`] → entries, rows and answers in the same commit.
//!
//! Why lanes: a hot SKU is a queue on one row. A transaction per request is bounded by lock, round trips and fsync; a
//! transaction per batch pays them once for all that are waiting, and nobody waits for a timer. Because a lane owns the
//! transaction, a caller that hangs up never leaves one half-done.
//!
//! Deliberately absent: balances or states computed in SQL, retries of refusals, any knowledge of HTTP.

pub mod audit;
pub mod balance;
pub mod batch;
pub mod command;
pub mod correct;
pub mod decide;
pub mod demand;
pub mod entry;
pub mod goods;
pub mod lanes;
pub mod outcome;
pub mod submission;
pub mod world;
