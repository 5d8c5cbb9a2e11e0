//! Orders taken elsewhere: reading them under the locks, and writing what became of them.

mod load;
mod write;

pub(in crate::ledger::batch) use load::{DemandNames, Demands, find, load};
pub(in crate::ledger::batch) use write::write;
