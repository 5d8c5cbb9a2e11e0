//! Settings of the mirror. One shop and one Recharge account for a service.

use std::time::Duration;

use anyhow::ensure;
use chrono::{DateTime, Utc};
use clap::{ArgAction, Args};
use secrecy::SecretString;

use crate::mirror::settings::{OrderPolicy, RechargeSettings, Settings, ShopifyAccess, ShopifySettings};

/// What to copy from and what to make of orders.
#[derive(Debug, Clone, Args)]
pub struct MirrorConfig {
    /// Shop to copy from: `name.myshopify.com`. Left out: none.
    #[arg(long, env = "HOLDFAST_SHOPIFY_SHOP")]
    pub shopify_shop: Option<String>,

    /// Admin API token of the shop; or give client id and secret.
    #[arg(long, env = "HOLDFAST_SHOPIFY_TOKEN", hide_env_values = true)]
    pub shopify_token: Option<SecretString>,

    /// Client id of an app of the shop's own organisation.
    #[arg(long, env = "HOLDFAST_SHOPIFY_CLIENT_ID")]
    pub shopify_client_id: Option<String>,

    /// Client secret of that app.
    #[arg(long, env = "HOLDFAST_SHOPIFY_CLIENT_SECRET", hide_env_values = true)]
    pub shopify_client_secret: Option<SecretString>,

    /// Secrets that webhooks of the shop may be signed with, separated by commas: two while one is rotated. The client
    /// secret is one of them by itself.
    #[arg(long, env = "HOLDFAST_SHOPIFY_WEBHOOK_SECRETS", hide_env_values = true, value_delimiter = ',')]
    pub shopify_webhook_secrets: Vec<SecretString>,

    /// Where the Admin API is, if not at the shop.
    #[arg(long, env = "HOLDFAST_SHOPIFY_URL")]
    pub shopify_url: Option<String>,

    /// Recharge API token. Left out: no subscriptions.
    #[arg(long, env = "HOLDFAST_RECHARGE_TOKEN", hide_env_values = true)]
    pub recharge_token: Option<SecretString>,

    /// Recharge API client secrets that webhooks may be signed with, separated by commas.
    #[arg(long, env = "HOLDFAST_RECHARGE_WEBHOOK_SECRETS", hide_env_values = true, value_delimiter = ',')]
    pub recharge_webhook_secrets: Vec<SecretString>,

    /// Where the Recharge API is, if not at Recharge.
    #[arg(long, env = "HOLDFAST_RECHARGE_URL")]
    pub recharge_url: Option<String>,

    /// Pool that mirrored orders claim from, where neither a reservation nor the order says another.
    #[arg(long, env = "HOLDFAST_MIRROR_POOL", default_value = "default")]
    pub mirror_pool: String,

    /// What test orders claim.
    #[arg(long, env = "HOLDFAST_MIRROR_TEST_ORDERS", value_enum, default_value = "ignore")]
    pub mirror_test_orders: OrderPolicy,

    /// What orders claim that are not paid yet.
    #[arg(long, env = "HOLDFAST_MIRROR_UNPAID_ORDERS", value_enum, default_value = "commit")]
    pub mirror_unpaid_orders: OrderPolicy,

    /// How long an unpaid order holds units, in hours, where unpaid orders hold.
    #[arg(long, env = "HOLDFAST_MIRROR_UNPAID_HOLD_HOURS", default_value_t = 72)]
    pub mirror_unpaid_hold_hours: u32,

    /// Put restocked units on sale at once, instead of keeping them until somebody has looked at them.
    #[arg(long, env = "HOLDFAST_MIRROR_RESTOCK_ON_SALE", default_value_t = false)]
    pub mirror_restock_on_sale: bool,

    /// What left or came back before this instant moves no stock; RFC 3339. Left out: the first start of the mirror.
    #[arg(long, env = "HOLDFAST_MIRROR_SINCE")]
    pub mirror_since: Option<DateTime<Utc>>,

    /// How far back orders are copied at first; RFC 3339. Left out: everything that the token may see.
    #[arg(long, env = "HOLDFAST_MIRROR_BACKFILL_FROM")]
    pub mirror_backfill_from: Option<DateTime<Utc>>,

    /// Where Shopify and Recharge reach this service: their webhook subscriptions are then checked hourly, and made again
    /// where missing. Left out: they are left alone.
    #[arg(long, env = "HOLDFAST_WEBHOOK_BASE_URL")]
    pub webhook_base_url: Option<String>,

    /// How often Shopify and Recharge are asked what has changed, in seconds.
    #[arg(long, env = "HOLDFAST_MIRROR_POLL_SECONDS", default_value_t = 30,
        value_parser = clap::value_parser!(u16).range(5..=3600))]
    pub mirror_poll_seconds: u16,

    /// How long a change is left to settle before it is looked for, in seconds: their searches trail their writes.
    #[arg(long, env = "HOLDFAST_MIRROR_SETTLE_SECONDS", default_value_t = 60,
        value_parser = clap::value_parser!(u16).range(..=3600))]
    pub mirror_settle_seconds: u16,

    /// Requests to Shopify and to Recharge at a time.
    #[arg(long, env = "HOLDFAST_MIRROR_PARALLEL", default_value_t = 4,
        value_parser = clap::value_parser!(u16).range(1..=32))]
    pub mirror_parallel: u16,

    /// Whether requests keep to the rates that Shopify and Recharge publish. Only off against a stand-in.
    #[arg(long, env = "HOLDFAST_MIRROR_PACING", default_value_t = true, hide = true, action = ArgAction::Set)]
    pub mirror_pacing: bool,
}

impl MirrorConfig {
    /// The mirror's settings.
    ///
    /// # Errors
    /// If they name half of an access.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        Ok(Settings {
            shopify: self.shopify()?,
            recharge: self.recharge_token.clone().map(|token| RechargeSettings {
                token,
                webhook_secrets: self.recharge_webhook_secrets.clone(),
                base_url: self.recharge_url.clone(),
            }),
            pool: self.mirror_pool.clone(),
            test_orders: self.mirror_test_orders,
            unpaid_orders: self.mirror_unpaid_orders,
            unpaid_hold: Duration::from_hours(self.mirror_unpaid_hold_hours.into()),
            restock_on_sale: self.mirror_restock_on_sale,
            since: self.mirror_since,
            backfill_from: self.mirror_backfill_from,
            webhook_base_url: self.webhook_base_url.clone(),
            poll_interval: Duration::from_secs(self.mirror_poll_seconds.into()),
            settle: Duration::from_secs(self.mirror_settle_seconds.into()),
            parallel: self.mirror_parallel.into(),
            pacing: self.mirror_pacing,
        })
    }

    fn shopify(&self) -> anyhow::Result<Option<ShopifySettings>> {
        let Some(shop) = self.shopify_shop.clone() else { return Ok(None) };
        let mut webhook_secrets = self.shopify_webhook_secrets.clone();
        let access = match (&self.shopify_token, &self.shopify_client_id, &self.shopify_client_secret) {
            (Some(token), ..) => ShopifyAccess::Token(token.clone()),
            (None, Some(client_id), Some(client_secret)) => {
                webhook_secrets.push(client_secret.clone());
                ShopifyAccess::ClientCredentials { client_id: client_id.clone(), client_secret: client_secret.clone() }
            }
            _ => {
                ensure!(
                    false,
                    "HOLDFAST_SHOPIFY_SHOP needs HOLDFAST_SHOPIFY_TOKEN, or HOLDFAST_SHOPIFY_CLIENT_ID and HOLDFAST_SHOPIFY_CLIENT_SECRET"
                );
                return Ok(None);
            }
        };
        Ok(Some(ShopifySettings { shop, access, webhook_secrets, base_url: self.shopify_url.clone() }))
    }
}
