//! Deliveries of webhooks: signed as Shopify and Recharge sign theirs, and either collected, so that a test sends,
//! repeats and shuffles them itself, or sent to whoever subscribed.
//!
//! Shopify signs the raw body with HMAC-SHA256, in base64. Recharge has two schemes: the newer one is HMAC-SHA256 over
//! `timestamp.body` in hex, the older one a plain SHA-256 over secret and body, in hex.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

pub(super) mod news;
mod payloads;

use super::Options;
use super::world::Hook;
use crate::ids;
use crate::mirror::rows::Source;
use news::News;

/// What happens to webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Webhooks {
    /// None are made.
    Off,
    /// They are kept until they are taken.
    Collected,
    /// They are sent to the addresses that are subscribed, once.
    Sent,
}

/// How Recharge signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RechargeScheme {
    /// With a timestamp.
    Timestamped,
    /// Secret and body.
    Legacy,
}

/// One delivery, signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Who sends it.
    pub source: Source,
    /// `orders/updated`, `order/created`.
    pub topic: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The very bytes that are signed.
    pub body: Vec<u8>,
}

impl Delivery {
    /// A header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(of, _)| of.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(super) fn of(news: &News, options: &Options, now: DateTime<Utc>) -> Self {
        let body = news.body.to_string().into_bytes();
        let headers = match news.source {
            Source::Shopify => shopify_headers(news, &body, options, now),
            Source::Recharge => recharge_headers(news, &body, options, now),
        };
        let mut headers: Vec<(String, String)> =
            headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        Self { source: news.source, topic: news.topic.to_owned(), headers, body }
    }

    /// Whether a subscription is to this.
    pub(super) fn is_for(&self, hook: &Hook) -> bool {
        match self.source {
            Source::Shopify => hook.topic == self.topic.to_uppercase().replace('/', "_"),
            Source::Recharge => hook.topic == self.topic,
        }
    }
}

fn shopify_headers(news: &News, body: &[u8], options: &Options, now: DateTime<Utc>) -> Vec<(&'static str, String)> {
    vec![
        ("X-Shopify-Topic", news.topic.to_owned()),
        ("X-Shopify-Hmac-Sha256", STANDARD.encode(hmac_sha256(&options.webhook_secret, &[body]))),
        ("X-Shopify-Shop-Domain", options.shop.clone()),
        ("X-Shopify-API-Version", super::shopify::API_VERSION.to_owned()),
        ("X-Shopify-Webhook-Id", ids::new_uuid().to_string()),
        ("X-Shopify-Event-Id", news.event.to_string()),
        ("X-Shopify-Triggered-At", now.to_rfc3339_opts(SecondsFormat::Nanos, true)),
    ]
}

fn recharge_headers(news: &News, body: &[u8], options: &Options, now: DateTime<Utc>) -> Vec<(&'static str, String)> {
    let topic = ("X-Recharge-Topic", news.topic.to_owned());
    match options.recharge_scheme {
        RechargeScheme::Timestamped => {
            let seconds = now.timestamp().to_string();
            let signed = hmac_sha256(&options.recharge_secret, &[seconds.as_bytes(), b".", body]);
            let signature = format!("t={seconds},v1={}", hex::encode(signed));
            vec![topic, ("X-Recharge-Webhook-Timestamp", seconds), ("X-Recharge-Webhook-Signature", signature)]
        }
        RechargeScheme::Legacy => {
            let digest = Sha256::new().chain_update(options.recharge_secret.as_bytes()).chain_update(body).finalize();
            vec![topic, ("X-Recharge-Hmac-Sha256", hex::encode(digest))]
        }
    }
}

fn hmac_sha256(secret: &str, parts: &[&[u8]]) -> Vec<u8> {
    // A key of any length is one; there is nothing to sign with otherwise.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return Vec::new() };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}
