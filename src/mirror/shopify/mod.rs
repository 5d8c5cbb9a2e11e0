//! Shopify, Admin GraphQL 2026-10.

use chrono::{DateTime, Utc};

use super::rows::{Location, Order, Product, Seen};
use super::settings::ShopifySettings;
pub use super::upstream::{Page, UpstreamError, WebhookSubscription};
use crate::clock::Clock;

/// A span of changes: `from <= updated_at < to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first instant in it.
    pub from: DateTime<Utc>,
    /// The first instant after it.
    pub to: DateTime<Utc>,
}

/// One shop's Admin API.
#[derive(Debug)]
pub struct Shopify {}

fn soon<T>() -> Result<T, UpstreamError> {
    Err(UpstreamError::StaleCursor)
}

#[allow(missing_docs, unused_variables, clippy::unused_async, clippy::missing_errors_doc, reason = "signatures first")]
impl Shopify {
    pub fn new(settings: &ShopifySettings, parallel: usize, pacing: bool, clock: Clock) -> anyhow::Result<Self> {
        Ok(Self {})
    }
    pub async fn seen_orders(&self, window: &Window, after: Option<&str>) -> Result<Page<Seen>, UpstreamError> {
        soon()
    }
    pub async fn orders(&self, ids: &[i64]) -> Result<Vec<(i64, Option<Order>)>, UpstreamError> {
        soon()
    }
    pub async fn seen_products(&self, window: &Window, after: Option<&str>) -> Result<Page<Seen>, UpstreamError> {
        soon()
    }
    pub async fn products(&self, ids: &[i64]) -> Result<Vec<(i64, Option<Product>)>, UpstreamError> {
        soon()
    }
    pub async fn deleted_products(
        &self,
        since: DateTime<Utc>,
        after: Option<&str>,
    ) -> Result<Page<(i64, DateTime<Utc>)>, UpstreamError> {
        soon()
    }
    pub async fn locations(&self) -> Result<Vec<Location>, UpstreamError> {
        soon()
    }
    pub async fn scopes(&self) -> Result<Vec<String>, UpstreamError> {
        soon()
    }
    pub async fn webhook_subscriptions(&self) -> Result<Vec<WebhookSubscription>, UpstreamError> {
        soon()
    }
    pub async fn create_webhook_subscription(&self, topic: &str, uri: &str) -> Result<(), UpstreamError> {
        soon()
    }
}
