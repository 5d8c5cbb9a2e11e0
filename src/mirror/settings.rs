//! What the mirror copies from, and what it makes of orders.

use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;

/// Settings of the mirror. Without a shop and without Recharge there is no mirror.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The shop to copy from.
    pub shopify: Option<ShopifySettings>,
    /// The Recharge account to copy from.
    pub recharge: Option<RechargeSettings>,
    /// Code of the pool that orders claim from, where neither a reservation nor the order says another.
    pub pool: String,
    /// What an order that is marked as a test claims.
    pub test_orders: OrderPolicy,
    /// What an order that is not paid yet claims.
    pub unpaid_orders: OrderPolicy,
    /// How long an unpaid order holds units under [`OrderPolicy::Hold`].
    pub unpaid_hold: Duration,
    /// Whether restocked units go on sale at once; otherwise they wait for somebody to look at them.
    pub restock_on_sale: bool,
    /// What left or came back before this moves no stock. Unset: the moment of the first start.
    pub since: Option<DateTime<Utc>>,
    /// How far back orders are copied at first; unset: everything that the token may see.
    pub backfill_from: Option<DateTime<Utc>>,
    /// Where upstreams reach this service; set: webhook subscriptions are checked hourly and made again where missing.
    pub webhook_base_url: Option<String>,
    /// How often upstreams are asked what has changed; whole seconds.
    pub poll_interval: Duration,
    /// How long a change is left to settle before it is looked for: an upstream's search trails its writes.
    pub settle: Duration,
    /// Objects after which a window of Shopify is closed and another begun: it pages through 25,000 of one search.
    pub window_most: i64,
    /// Requests to an upstream at a time.
    pub parallel: usize,
    /// Whether requests keep to the upstreams' published rates; only off against a stand-in.
    pub pacing: bool,
}

/// One shop.
#[derive(Debug, Clone)]
pub struct ShopifySettings {
    /// `name.myshopify.com`.
    pub shop: String,
    /// How it is entered.
    pub access: ShopifyAccess,
    /// Secrets that its webhooks may be signed with: two while one is rotated.
    pub webhook_secrets: Vec<SecretString>,
    /// Where the Admin API is; unset: `https://{shop}`.
    pub base_url: Option<String>,
}

/// How the Admin API is entered.
#[derive(Debug, Clone)]
pub enum ShopifyAccess {
    /// A token of an app made in the shop's admin.
    Token(SecretString),
    /// An app of the organisation's own: a token is asked for and lasts a day.
    ClientCredentials {
        /// The app's id.
        client_id: String,
        /// The app's secret; also signs its webhooks.
        client_secret: SecretString,
    },
}

/// One Recharge account.
#[derive(Debug, Clone)]
pub struct RechargeSettings {
    /// `X-Recharge-Access-Token`.
    pub token: SecretString,
    /// API client secrets that its webhooks may be signed with.
    pub webhook_secrets: Vec<SecretString>,
    /// Whether its older signatures, which are no HMAC and hold for ever, are taken, too.
    pub legacy_signatures: bool,
    /// Where the API is; unset: `https://api.rechargeapps.com`.
    pub base_url: Option<String>,
}

/// What an order claims that may come to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OrderPolicy {
    /// Nothing, for as long as it is so.
    Ignore,
    /// A hold, as far as there is stock.
    Hold,
    /// What any order claims.
    Commit,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            shopify: None,
            recharge: None,
            pool: "default".to_owned(),
            test_orders: OrderPolicy::Ignore,
            unpaid_orders: OrderPolicy::Commit,
            unpaid_hold: Duration::from_hours(72),
            restock_on_sale: false,
            since: None,
            backfill_from: None,
            webhook_base_url: None,
            poll_interval: Duration::from_secs(30),
            settle: Duration::from_mins(1),
            window_most: 20_000,
            parallel: 4,
            pacing: true,
        }
    }
}

impl Settings {
    /// Whether there is anything to copy from.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.shopify.is_some() || self.recharge.is_some()
    }
}
