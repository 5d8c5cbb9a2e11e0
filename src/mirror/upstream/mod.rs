//! The one client that talks to the outside.
//!
//! A call is at most five attempts under one deadline. What can't succeed is not tried again; what may is tried after a
//! random part of an exponentially growing span, and never before the upstream said. [`retry`] decides that and is pure;
//! [`client`] does what it says; [`pacing`] keeps to the rate that the upstream publishes, so that being throttled is the
//! exception. Every attempt is traced and counted (`holdfast_upstream_attempts_total`, `holdfast_upstream_attempt_seconds`).
//!
//! Nothing here knows an API: what an answer means is said by [`super::shopify`] and [`super::recharge`]. A call has no
//! state that outlives it: dropping its future, as a shutdown does, leaves nothing behind.

pub mod answer;
pub mod client;
pub mod error;
pub mod pacing;
pub mod retry;

#[cfg(test)]
mod client_tests;
#[cfg(test)]
pub(super) mod fake;
#[cfg(test)]
pub(super) mod samples;

pub use answer::Answer;
pub use client::{Call, Client, Failure, Limits};
pub use error::{Cause, UpstreamError};
pub use pacing::{Bucket, Pacer};
pub use retry::{Hint, Schedule, Throttle};

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next one begins; absent on the last.
    pub next: Option<String>,
}

/// One subscription of ours to an upstream's webhooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSubscription {
    /// The upstream's id of it.
    pub id: String,
    /// In the upstream's words: `ORDERS_UPDATED` at Shopify, `order/updated` at Recharge.
    pub topic: String,
    /// Where it is delivered.
    pub uri: String,
}
