//! Holdfast: inventory reservations that never oversell, on Postgres.
//!
//! A tour, top down: [`app`] wires the service, [`http`] is its surface; the rooms [`reservations`], [`lots`],
//! [`shipments`], [`snapshots`], [`oversells`], [`availability`], [`catalog`], [`keys`] and [`jobs`] hold a subject each;
//! [`mirror`] copies what Shopify and Recharge own; [`ledger`] is the one writer of stock; [`repair`] is for the day when something did not add up. Dependencies point one
//! way: routes → commands → (queries + pure core).

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on should panic"))]

pub mod app;
pub mod availability;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod db;
pub mod demo;
pub mod http;
pub mod ids;
pub mod jobs;
pub mod keys;
pub mod ledger;
pub mod lifecycle;
pub mod lots;
pub mod mirror;
pub mod oversells;
pub mod repair;
pub mod reservations;
pub mod shipments;
pub mod snapshots;
pub mod telemetry;
