//! Reservations: one purchase attempt's claim on units of one pool.
//!
//! The rules live in [`state`] and in [`crate::ledger::decide`]; this room turns requests into commands, reads
//! reservations back and sweeps what has expired. Expiry is exact without the sweeper: a lapsed hold is treated as
//! expired by every reader and writer; the sweeper only closes its rows.
//!
//! A cart may name variants. What is held are the SKUs of their recipes, line by line; [`variants`] keeps what belongs
//! together and by which version. Deliberately absent: a kit with a state or a balance of its own.

pub mod commit;
pub mod create;
pub mod erase;
pub mod extend;
pub mod queries;
pub mod release;
pub mod routes;
pub mod state;
pub mod sweeper;
pub mod variants;
pub mod view;
