//! Recharge, API 2021-11.

use chrono::{DateTime, Utc};

use super::rows::{RechargeCharge, RechargeCustomer, RechargeOrder, RechargeSubscription};
use super::settings::RechargeSettings;
pub use super::upstream::{Page, UpstreamError, WebhookSubscription};
use crate::clock::Clock;

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// The first one of what changed in a span, the oldest change first.
    Window {
        /// The first instant in it.
        updated_from: DateTime<Utc>,
        /// The last instant in it.
        updated_to: DateTime<Utc>,
    },
    /// The one that an earlier page named.
    Cursor(String),
}

/// One Recharge account.
#[derive(Debug)]
pub struct Recharge {}

fn soon<T>() -> Result<T, UpstreamError> {
    Err(UpstreamError::StaleCursor)
}

#[allow(missing_docs, unused_variables, clippy::unused_async, clippy::missing_errors_doc, reason = "signatures first")]
impl Recharge {
    pub fn new(settings: &RechargeSettings, parallel: usize, pacing: bool, clock: Clock) -> anyhow::Result<Self> {
        Ok(Self {})
    }
    pub async fn orders_page(&self, at: &At) -> Result<Page<RechargeOrder>, UpstreamError> {
        soon()
    }
    pub async fn order(&self, id: i64) -> Result<Option<RechargeOrder>, UpstreamError> {
        soon()
    }
    pub async fn charges_page(&self, at: &At) -> Result<Page<RechargeCharge>, UpstreamError> {
        soon()
    }
    pub async fn charge(&self, id: i64) -> Result<Option<RechargeCharge>, UpstreamError> {
        soon()
    }
    pub async fn subscriptions_page(&self, at: &At) -> Result<Page<RechargeSubscription>, UpstreamError> {
        soon()
    }
    pub async fn subscription(&self, id: i64) -> Result<Option<RechargeSubscription>, UpstreamError> {
        soon()
    }
    pub async fn customers_page(&self, at: &At) -> Result<Page<RechargeCustomer>, UpstreamError> {
        soon()
    }
    pub async fn customer(&self, id: i64) -> Result<Option<RechargeCustomer>, UpstreamError> {
        soon()
    }
    pub async fn webhooks(&self) -> Result<Vec<WebhookSubscription>, UpstreamError> {
        soon()
    }
    pub async fn create_webhook(&self, topic: &str, address: &str) -> Result<(), UpstreamError> {
        soon()
    }
}
