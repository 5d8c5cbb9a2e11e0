//! Lots: physical batches with their own received date, expiry and unit cost.
//!
//! Receiving a lot raises what is on hand, in the ledger and in the lot's own transactions, through the lanes like
//! every other change of stock.

pub mod acts;
pub mod count;
pub mod expiry;
pub mod fifo;
pub mod history;
pub mod import;
pub mod later;
pub mod queries;
mod recall;
pub mod receive;
pub mod routes;
pub mod transfer;
pub mod view;
