//! Shopify: Admin GraphQL, version 2026-10.
//!
//! [`operation`] is the closed list of documents that are ever sent; the only mutation among them makes a webhook
//! subscription of ours. [`reply`] says what an answer means, [`read`] makes rows of documents; both are pure. Documents
//! ask for no name, address or contact of a shopper.
//!
//! An order comes whole or not at all: nested lists are followed to their end (`nested`), lists that have no pages and
//! are full are an error, and so is an order that changes each time while its pages are read. There are no bulk
//! operations here: they reach neither the lines of refunds nor those of fulfilments, and there would be two ways for a
//! document to come in.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::time::Instant;

use self::access::Access;
use self::reply::VERSION;
use super::rows::Source;
use super::settings::ShopifySettings;
use super::upstream::{Answer, Bucket, Call, Cause, Client, Failure, Hint, Limits, Pacer, Throttle};
pub use super::upstream::{Page, UpstreamError, WebhookSubscription};
use crate::clock::Clock;

mod access;
mod documents;
mod entities;
mod lists;
mod nested;
pub mod operation;
pub mod read;
pub mod reply;

#[cfg(test)]
mod document_tests;
#[cfg(test)]
mod read_tests;
#[cfg(test)]
mod sample_tests;
#[cfg(test)]
mod tests;

pub use operation::Operation;

/// The bucket of the smallest plan. What it really is comes with the first answer.
const CAPACITY: f64 = 2000.0;
const RESTORED_PER_SECOND: f64 = 100.0;

/// The scope without which a token shows the orders of 60 days alone.
pub const READ_ALL_ORDERS: &str = "read_all_orders";

/// What is waited at least after a 429 that does not say when to come back (shopify.dev, API limits).
const THROTTLED_WAIT: Duration = Duration::from_secs(1);

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
pub struct Shopify {
    client: Client,
    access: Access,
    url: String,
    /// What each operation was last said to cost.
    costs: [AtomicU32; Operation::ALL.len()],
}

impl Shopify {
    /// The shop's API, asked at most `parallel` things at a time; nothing yet.
    ///
    /// # Errors
    /// If a setting cannot be used.
    pub fn new(settings: &ShopifySettings, parallel: usize, pacing: bool, clock: Clock) -> anyhow::Result<Self> {
        let pacer = pacing.then(|| Pacer::new(Bucket::new(CAPACITY, RESTORED_PER_SECOND, Instant::now())));
        let limits = if pacing { Limits::PATIENT } else { Limits::QUICK };
        Self::with_limits(settings, limits, parallel, pacer, clock)
    }

    fn with_limits(
        settings: &ShopifySettings,
        limits: Limits,
        parallel: usize,
        pacer: Option<Pacer>,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let base = settings.base_url.clone().unwrap_or_else(|| format!("https://{}", settings.shop));
        let base = base.trim_end_matches('/');
        let url = format!("{base}/admin/api/{VERSION}/graphql.json");
        reqwest::Url::parse(&url).with_context(|| format!("{base} is no address of a shop"))?;
        Ok(Self {
            client: Client::new(Source::Shopify, limits, parallel, pacer, clock)?,
            access: Access::new(settings.access.clone(), base),
            url,
            costs: Operation::ALL.map(|operation| AtomicU32::new(operation.first_cost())),
        })
    }

    /// Sends one of our documents. Gives the data and when it was asked for.
    async fn ask(&self, operation: Operation, variables: &Value) -> Result<(DateTime<Utc>, Value), UpstreamError> {
        let cost = f64::from(self.costs[operation as usize].load(Ordering::Relaxed));
        let call = Call { operation: operation.name(), cost, repeatable: true };
        let body = json!({ "query": operation.document(), "variables": variables });
        let renewed = AtomicBool::new(false);
        self.client.call(call, |deadline| self.attempt(operation, cost, &body, &renewed, deadline)).await
    }

    async fn attempt(
        &self,
        operation: Operation,
        cost: f64,
        body: &Value,
        renewed: &AtomicBool,
        deadline: Instant,
    ) -> Result<(DateTime<Utc>, Value), Failure> {
        let token = self.access.token(&self.client, deadline).await?;
        let asked_at = self.client.now();
        let request = self.client.http().post(&self.url);
        let request = request.header("x-shopify-access-token", token.expose_secret()).json(body);
        let read = |answer: Answer| match reply::read(&answer, asked_at) {
            Err(Failure::Final(UpstreamError::Refused { status: 401, .. }))
                if self.access.is_renewable() && !renewed.swap(true, Ordering::Relaxed) =>
            {
                Err(Failure::transient(Cause::StaleToken))
            }
            reply => reply,
        };
        match self.client.attempt(operation.name(), deadline, request, read).await {
            Ok(reply) => {
                self.learn(operation, cost, reply.throttle);
                Ok((asked_at, reply.data))
            }
            Err(mut failure) => {
                match &mut failure {
                    Failure::Transient { cause: Cause::StaleToken, .. } => self.access.renounce(&token).await,
                    Failure::Transient { cause: Cause::Throttled, hint: hint @ Hint { throttle: None, .. } }
                        if self.client.pacer().is_some() =>
                    {
                        hint.retry_after.get_or_insert(THROTTLED_WAIT);
                    }
                    Failure::Transient { hint, .. } => self.learn(operation, cost, hint.throttle),
                    Failure::Final(_) => {}
                }
                Err(failure)
            }
        }
    }

    /// Takes note of what the upstream says about costs.
    fn learn(&self, operation: Operation, cost: f64, throttle: Option<Throttle>) {
        let Some(throttle) = throttle else { return };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
        let requested = throttle.requested.clamp(0.0, 1e6).ceil() as u32;
        self.costs[operation as usize].store(requested, Ordering::Relaxed);
        if let Some(pacer) = self.client.pacer() {
            pacer.correct(&throttle, cost);
        }
    }
}
