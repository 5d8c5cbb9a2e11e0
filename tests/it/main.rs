//! Black-box tests over HTTP on a real Postgres, one binary.
//!
//! One private, throwaway Postgres serves the whole run; each test gets a database of its own, copied from a migrated
//! template. A test that ends well runs the audit on what it leaves behind.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should panic")]

mod support;

mod audit;
mod availability;
mod campaigns;
mod catalogue;
mod cli;
mod crash;
mod demand;
mod grants;
mod guards;
mod hangup;
mod idempotency;
mod import;
mod jobs;
mod kits;
mod lots;
mod mapping;
mod oversells;
mod races;
mod repair;
mod reservations;
mod scale;
mod shipments;
mod snapshots;
mod standin;
mod streams;
mod surface;
mod upcoming;
mod webhooks;
