//! Settings of the mirror. One shop and one Recharge account for a service.

use std::time::Duration;

use anyhow::ensure;
use chrono::{DateTime, Utc};
use clap::{ArgAction, Args};
use secrecy::{ExposeSecret, SecretString};

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

    /// Whether webhooks of Recharge are taken that are signed in its older way: a hash of secret and body that holds for
    /// ever. `false` once the account signs with a timestamp.
    #[arg(long, env = "HOLDFAST_RECHARGE_LEGACY_SIGNATURES", default_value_t = true, action = ArgAction::Set)]
    pub recharge_legacy_signatures: bool,

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
    /// If they name half of an access, no shop or no address; or if webhooks are asked for that nobody could check.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        let addresses = [
            ("HOLDFAST_SHOPIFY_URL", &self.shopify_url),
            ("HOLDFAST_RECHARGE_URL", &self.recharge_url),
            ("HOLDFAST_WEBHOOK_BASE_URL", &self.webhook_base_url),
        ];
        for (name, address) in addresses {
            ensure!(address.as_deref().is_none_or(is_address), "{name} must be an address such as https://example.org");
        }
        let (shopify, recharge) = (self.shopify()?, self.recharge());
        if self.webhook_base_url.is_some() {
            let secrets = shopify.as_ref().map(|shop| &shop.webhook_secrets);
            ensure!(
                secrets.is_none_or(|secrets| are_secrets(secrets)),
                "HOLDFAST_WEBHOOK_BASE_URL has Shopify send webhooks: set HOLDFAST_SHOPIFY_WEBHOOK_SECRETS to what they are signed with"
            );
            let secrets = recharge.as_ref().map(|account| &account.webhook_secrets);
            ensure!(
                secrets.is_none_or(|secrets| are_secrets(secrets)),
                "HOLDFAST_WEBHOOK_BASE_URL has Recharge send webhooks: set HOLDFAST_RECHARGE_WEBHOOK_SECRETS to what they are signed with"
            );
        }
        Ok(Settings {
            shopify,
            recharge,
            window_most: Settings::default().window_most,
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

    fn recharge(&self) -> Option<RechargeSettings> {
        self.recharge_token.clone().map(|token| RechargeSettings {
            token,
            webhook_secrets: self.recharge_webhook_secrets.clone(),
            legacy_signatures: self.recharge_legacy_signatures,
            base_url: self.recharge_url.clone(),
        })
    }

    fn shopify(&self) -> anyhow::Result<Option<ShopifySettings>> {
        let Some(shop) = self.shopify_shop.clone() else { return Ok(None) };
        ensure!(is_shop(&shop), "HOLDFAST_SHOPIFY_SHOP must be of the form name.myshopify.com");
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

/// `name.myshopify.com`, whose name is letters, digits and hyphens.
fn is_shop(text: &str) -> bool {
    let name = text.to_ascii_lowercase();
    let Some(name) = name.strip_suffix(".myshopify.com") else { return false };
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty() && !name.starts_with('-') && name.bytes().all(plain)
}

/// An address that paths can be added to.
fn is_address(text: &str) -> bool {
    reqwest::Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none() && url.fragment().is_none()
    })
}

/// Whether there is one at all: an empty one signs nothing.
fn are_secrets(secrets: &[SecretString]) -> bool {
    secrets.iter().any(|secret| !secret.expose_secret().is_empty())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        mirror: MirrorConfig,
    }

    fn settings(arguments: &[&str]) -> anyhow::Result<Settings> {
        Program::try_parse_from(["holdfast"].iter().chain(arguments))?.mirror.settings()
    }

    const SHOP: [&str; 4] = ["--shopify-shop", "tea.myshopify.com", "--shopify-token", "shpat_1"];
    const REACHED: [&str; 2] = ["--webhook-base-url", "https://stock.example.org"];

    #[test]
    fn webhooks_that_nobody_could_check_are_refused_at_start() {
        assert!(settings(&SHOP).is_ok(), "without webhooks no secret is needed");
        let said = settings(&[&SHOP[..], &REACHED[..]].concat()).unwrap_err().to_string();
        assert!(said.contains("HOLDFAST_SHOPIFY_WEBHOOK_SECRETS"), "{said}");
        let empty = [&SHOP[..], &REACHED[..], &["--shopify-webhook-secrets", ""]].concat();
        assert!(settings(&empty).is_err(), "an empty secret signs nothing");
        assert!(settings(&[&SHOP[..], &REACHED[..], &["--shopify-webhook-secrets", "hush"]].concat()).is_ok());
        let app =
            ["--shopify-shop", "tea.myshopify.com", "--shopify-client-id", "1", "--shopify-client-secret", "hush"];
        assert!(settings(&[&app[..], &REACHED[..]].concat()).is_ok(), "the client secret signs");
        let account = ["--recharge-token", "sk_1"];
        let said = settings(&[&account[..], &REACHED[..]].concat()).unwrap_err().to_string();
        assert!(said.contains("HOLDFAST_RECHARGE_WEBHOOK_SECRETS"), "{said}");
    }

    #[test]
    fn a_shop_has_its_name_and_an_address_its_host() {
        for shop in ["tea", "tea.example.org", "https://tea.myshopify.com", ".myshopify.com", "a/b.myshopify.com"] {
            assert!(settings(&["--shopify-shop", shop, "--shopify-token", "t"]).is_err(), "{shop}");
        }
        assert!(settings(&["--shopify-shop", "Tea-2.myshopify.com", "--shopify-token", "t"]).is_ok());
        for address in ["stock.example.org", "https://", "ftp://example.org", "https://example.org/?a=b"] {
            for name in ["--shopify-url", "--recharge-url", "--webhook-base-url"] {
                assert!(settings(&[name, address]).is_err(), "{name} {address}");
            }
        }
        assert!(settings(&["--recharge-url", "http://127.0.0.1:8081/base"]).is_ok());
    }
}
