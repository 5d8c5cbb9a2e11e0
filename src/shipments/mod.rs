//! What physically left and what came back: facts, each line recorded once whatever carries it here.
//!
//! The decisions are the ledger's; here are the requests, the answers and the lists.

pub mod discrepancies;
pub mod queries;
pub mod record;
pub mod returns;
pub mod routes;
pub mod view;
pub mod void;
