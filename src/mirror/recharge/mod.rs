//! Recharge: REST, version 2021-11.
//!
//! Lists are read by cursor, the oldest change first: filters and order are part of the cursor, so it goes alone with the
//! size of a page. Values come in many shapes (`tolerant`), times are only to be compared with themselves (some of them
//! are New York's and say that they are UTC), and who somebody is is left out before a document is kept (`private`).

use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::rows::{RechargeCharge, RechargeCustomer, RechargeOrder, RechargeSubscription, Source};
use super::settings::RechargeSettings;
use super::upstream::{Bucket, Call, Cause, Client, Failure, Limits, Pacer};
pub use super::upstream::{UpstreamError, WebhookSubscription};
use crate::clock::Clock;

mod private;
pub mod read;
mod reply;
mod tolerant;
mod webhooks;

#[cfg(test)]
mod read_tests;
#[cfg(test)]
mod sample_tests;
#[cfg(test)]
mod tests;

pub use private::without_persons;

/// The only version of the API that is spoken.
pub const VERSION: &str = "2021-11";

/// The bucket as documented: forty calls, two a second.
const CAPACITY: f64 = 40.0;
const RESTORED_PER_SECOND: f64 = 2.0;

/// What the documentation asks for after a 429 that does not say when to come back.
const THROTTLED_WAIT: Duration = Duration::from_secs(2);

/// The largest page there is.
const PAGE_MAX: &str = "250";

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
    /// The one that an earlier page named. One that is no longer known is [`UpstreamError::StaleCursor`].
    Cursor(String),
}

impl At {
    /// The cursor holds filters and order; given again beside it they are refused.
    fn query(&self) -> Vec<(&'static str, String)> {
        let second = |at: DateTime<Utc>| at.trunc_subsecs(0).to_rfc3339_opts(SecondsFormat::Secs, true);
        let limit = ("limit", PAGE_MAX.to_owned());
        match self {
            Self::Cursor(cursor) => vec![limit, ("cursor", cursor.clone())],
            Self::Window { updated_from, updated_to } => vec![
                limit,
                ("sort_by", "updated_at-asc".to_owned()),
                ("updated_at_min", second(*updated_from)),
                // To the end of its second, since fractions are not shown.
                ("updated_at_max", second(*updated_to + chrono::TimeDelta::milliseconds(999))),
            ],
        }
    }
}

/// A page of a list whose documents are read one by one: one that cannot be read does not keep back the others.
#[derive(Debug)]
pub struct Documents<T> {
    /// What could be read.
    pub items: Vec<T>,
    /// The id of what could not, 0 where not even that could be, and why.
    pub unreadable: Vec<(i64, UpstreamError)>,
    /// The cursor of the next page; absent on the last.
    pub next: Option<String>,
}

/// One Recharge account.
#[derive(Debug)]
pub struct Recharge {
    client: Client,
    base: String,
    token: SecretString,
}

/// A request.
#[derive(Debug, Clone)]
struct Ask<'a> {
    operation: &'static str,
    method: Method,
    path: &'a str,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
}

impl Recharge {
    /// The account's API, asked at most `parallel` things at a time; nothing yet.
    ///
    /// # Errors
    /// If a setting cannot be used.
    pub fn new(settings: &RechargeSettings, parallel: usize, pacing: bool, clock: Clock) -> anyhow::Result<Self> {
        let pacer = pacing.then(|| Pacer::new(Bucket::new(CAPACITY, RESTORED_PER_SECOND, Instant::now())));
        let limits = if pacing { Limits::PATIENT } else { Limits::QUICK };
        Self::with_limits(settings, limits, parallel, pacer, clock)
    }

    fn with_limits(
        settings: &RechargeSettings,
        limits: Limits,
        parallel: usize,
        pacer: Option<Pacer>,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let base = settings.base_url.as_deref().unwrap_or("https://api.rechargeapps.com").trim_end_matches('/');
        reqwest::Url::parse(base).with_context(|| format!("{base} is no address of Recharge"))?;
        let client = Client::new(Source::Recharge, limits, parallel, pacer, clock)?;
        Ok(Self { client, base: base.to_owned(), token: settings.token.clone() })
    }

    /// Asks, and gives the answer and when it was asked for; no answer if what was asked for does not exist.
    async fn ask(&self, ask: &Ask<'_>) -> Result<(DateTime<Utc>, Option<Value>), UpstreamError> {
        let repeatable = ask.method == Method::GET;
        let call = Call { operation: ask.operation, cost: 1.0, repeatable };
        self.client.call(call, |deadline| self.attempt(ask, deadline)).await
    }

    async fn attempt(&self, ask: &Ask<'_>, deadline: Instant) -> Result<(DateTime<Utc>, Option<Value>), Failure> {
        let asked_at = self.client.now();
        let mut request = self.client.http().request(ask.method.clone(), format!("{}/{}", self.base, ask.path));
        request = request.query(&ask.query);
        request = request.header("x-recharge-access-token", self.token.expose_secret());
        request = request.header("x-recharge-version", VERSION);
        if let Some(body) = &ask.body {
            request = request.json(body);
        }
        let read = |answer| reply::read(&answer, asked_at);
        let answer = self.client.attempt(ask.operation, deadline, request, read).await;
        Ok((asked_at, answer.map_err(|failure| self.throttled(failure))?))
    }

    /// A 429 that does not say when to come back means two seconds.
    fn throttled(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Transient { cause: Cause::Throttled, mut hint } if self.client.pacer().is_some() => {
                hint.retry_after.get_or_insert(THROTTLED_WAIT);
                Failure::Transient { cause: Cause::Throttled, hint }
            }
            failure => failure,
        }
    }

    async fn page<T>(
        &self,
        operation: &'static str,
        query: Vec<(&'static str, String)>,
        read: fn(Value, DateTime<Utc>) -> Result<T, UpstreamError>,
    ) -> Result<Documents<T>, UpstreamError> {
        let ask = Ask { operation, method: Method::GET, path: operation, query, body: None };
        let (asked_at, answer) = self.ask(&ask).await?;
        let mut answer = answer.ok_or_else(|| missing(operation))?;
        let Value::Array(documents) = answer[operation].take() else { return Err(missing(operation)) };
        let next = answer["next_cursor"].as_str().filter(|cursor| !cursor.is_empty()).map(str::to_owned);
        let (mut items, mut unreadable) = (Vec::with_capacity(documents.len()), Vec::new());
        for document in documents {
            let id = read::id_of(&document);
            match read(document, asked_at) {
                Ok(item) => items.push(item),
                Err(error) => unreadable.push((id.unwrap_or_default(), error)),
            }
        }
        Ok(Documents { items, unreadable, next })
    }

    async fn one<T>(
        &self,
        operation: &'static str,
        list: &str,
        id: i64,
        read: fn(Value, DateTime<Utc>) -> Result<T, UpstreamError>,
    ) -> Result<Option<T>, UpstreamError> {
        let path = format!("{list}/{id}");
        let ask = Ask { operation, method: Method::GET, path: &path, query: Vec::new(), body: None };
        let (asked_at, answer) = self.ask(&ask).await?;
        let Some(mut answer) = answer else { return Ok(None) };
        match answer[operation].take() {
            Value::Null => Err(missing(operation)),
            document => read(document, asked_at).map(Some),
        }
    }
}

fn missing(field: &str) -> UpstreamError {
    UpstreamError::Malformed { path: field.to_owned(), reason: "it is missing".to_owned() }
}

macro_rules! entity {
    ($row:ty, $one:ident, $page:ident, $list:literal, $what:literal) => {
        impl Recharge {
            #[doc = concat!("A page of ", $what, "s by their last change.")]
            ///
            /// # Errors
            /// If it cannot be had.
            pub async fn $page(&self, at: &At) -> Result<Documents<$row>, UpstreamError> {
                self.page($list, at.query(), read::$one).await
            }

            #[doc = concat!("The ", $what, " as it is now; `None` if there is none.")]
            ///
            /// # Errors
            /// If it cannot be had.
            pub async fn $one(&self, id: i64) -> Result<Option<$row>, UpstreamError> {
                self.one(stringify!($one), $list, id, read::$one).await
            }
        }
    };
}

entity!(RechargeOrder, order, orders_page, "orders", "order");
entity!(RechargeCharge, charge, charges_page, "charges", "charge");
entity!(RechargeSubscription, subscription, subscriptions_page, "subscriptions", "subscription");
entity!(RechargeCustomer, customer, customers_page, "customers", "customer");

impl Recharge {
    /// Our webhook subscriptions.
    ///
    /// # Errors
    /// If they cannot be had.
    pub async fn webhooks(&self) -> Result<Vec<WebhookSubscription>, UpstreamError> {
        webhooks::list(self).await
    }

    /// Has a topic delivered. Not tried again where it may have been done: the next check sees whether it was.
    ///
    /// # Errors
    /// If Recharge refuses, or may have done it.
    pub async fn create_webhook(&self, topic: &str, address: &str) -> Result<(), UpstreamError> {
        let body = Some(json!({ "topic": topic, "address": address }));
        let ask = Ask { operation: "webhook_create", method: Method::POST, path: "webhooks", query: Vec::new(), body };
        let (_, answer) = self.ask(&ask).await?;
        answer.map(drop).ok_or_else(|| missing("webhook"))
    }
}
