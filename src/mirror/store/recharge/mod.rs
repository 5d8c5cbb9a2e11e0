//! What Recharge owns. Its times are only compared with themselves.

mod charges;
mod customers;
mod lines;
mod orders;
mod subscriptions;

pub use charges::write_charges;
pub use customers::write_customers;
pub use orders::write_recharge_orders;
pub use subscriptions::write_subscriptions;

/// Rows in one statement.
const CHUNK: usize = 500;
