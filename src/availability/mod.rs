//! Availability: what is sellable now, every term of the sum, and why.
//!
//! Reads are served from an in-process [`projection`] whose staleness is bounded by a setting and told in every
//! answer; this instance's own writes are in it before their callers are answered. The numbers never decide a hold:
//! only the locked balance row does. A variant is as available as the SKU of its recipe that gives the fewest
//! ([`variants`]).

pub mod explain;
pub mod projection;
pub mod queries;
pub mod routes;
pub mod variants;
pub mod view;
