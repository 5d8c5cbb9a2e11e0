//! The demonstration: everything that the service does with Shopify and Recharge, without either.

pub mod standin;
