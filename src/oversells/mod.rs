//! Oversells: claims that stock could not cover when they were made. They are opened and resolved by the ledger alone, and
//! read here.

pub mod queries;
pub mod routes;
pub mod view;
