//! The way in: what a delivery must have to be stored, and storing it.
//!
//! It is looked at in this order: size, whether its source is configured, signature over the bytes as they came, then
//! what it says. Whoever cannot sign learns nothing but that. Once stored it is answered; an upstream that waits long
//! for an answer, or gets an error for what sending again cannot mend, gives up on us and drops the subscription. So a
//! signed delivery that means nothing to us is stored and ignored, not refused.

use std::sync::Arc;

use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use scoped_futures::ScopedFutureExt;
use sha2::{Digest, Sha256};

use super::hint::{self, Hint, Meaning};
use super::queries;
use super::verify::{self, RechargeProof};
use crate::app::App;
use crate::http::code::Code;
use crate::http::problem::{ErrorItem, Problem};
use crate::mirror::rows::Source;
use crate::mirror::{Settings, store};

/// Largest body, in bytes. Orders of hundreds of lines stay far below.
pub const BODY_LIMIT: usize = 2 * 1024 * 1024;

/// A delivery that its source has signed.
#[derive(Debug)]
pub struct Delivery {
    /// Who sent it.
    pub source: Source,
    /// What it is stored under: once, however often it comes.
    pub delivery_id: String,
    /// What happened, in the source's words.
    pub topic: String,
    /// When it happened, where the source says so.
    pub triggered_at: Option<DateTime<Utc>>,
    /// What it is about.
    pub hint: Hint,
}

/// A delivery of Shopify.
///
/// # Errors
/// `unknown_shop`, `invalid_signature`, `invalid_parameter` for headers that are missing.
pub fn shopify(settings: &Settings, headers: &HeaderMap, body: &[u8]) -> Result<Delivery, Problem> {
    let shop = settings.shopify.as_ref().ok_or_else(unknown_shop)?;
    if !required(headers, "x-shopify-shop-domain")?.eq_ignore_ascii_case(&shop.shop) {
        return Err(unknown_shop());
    }
    let signature = text(headers, "x-shopify-hmac-sha256").unwrap_or_default();
    if !verify::shopify(body, signature, &shop.webhook_secrets) {
        return Err(invalid_signature());
    }
    let topic = required(headers, "x-shopify-topic")?.to_ascii_lowercase();
    let triggered_at = text(headers, "x-shopify-triggered-at").and_then(|at| DateTime::parse_from_rfc3339(at).ok());
    Ok(Delivery {
        source: Source::Shopify,
        delivery_id: required(headers, "x-shopify-webhook-id")?.to_owned(),
        hint: hint::read(Source::Shopify, &topic, body),
        topic,
        triggered_at: triggered_at.map(|at| at.to_utc()),
    })
}

/// A delivery of Recharge about `topic`, which the path names: no header that is documented does.
///
/// # Errors
/// `unknown_shop`, `invalid_signature`, `invalid_parameter` for an odd topic.
pub fn recharge(
    settings: &Settings,
    topic: &str,
    headers: &HeaderMap,
    body: &[u8],
    now: DateTime<Utc>,
) -> Result<Delivery, Problem> {
    let account = settings.recharge.as_ref().ok_or_else(unknown_shop)?;
    let proof = RechargeProof {
        timestamp: text(headers, "x-recharge-webhook-timestamp"),
        signature: text(headers, "x-recharge-webhook-signature"),
        legacy: text(headers, "x-recharge-hmac-sha256").filter(|_| account.legacy_signatures),
    };
    if !verify::recharge(body, proof, &account.webhook_secrets, now) {
        return Err(invalid_signature());
    }
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_' || byte == b'/';
    if topic.len() > 100 || !topic.bytes().all(plain) {
        return Err(Problem::listing(vec![ErrorItem::of("topic", "must be a topic such as order/created")]));
    }
    // Recharge sends no id, and the same bytes when it tries again.
    let digest = Sha256::new().chain_update(topic).chain_update(body).finalize();
    Ok(Delivery {
        source: Source::Recharge,
        delivery_id: hex::encode(digest),
        topic: topic.to_owned(),
        triggered_at: None,
        hint: hint::read(Source::Recharge, topic, body),
    })
}

/// Stores a delivery, unless it is known. True if it was new.
///
/// # Errors
/// Database problems.
pub async fn store(app: Arc<App>, delivery: Delivery) -> Result<bool, Problem> {
    let is_new =
        store::write(&app.db, "webhook", |conn| queries::insert(conn, &app.clock, &delivery).scope_boxed()).await?;
    let outcome = match delivery.hint.meaning {
        _ if !is_new => "duplicate",
        Meaning::Fetch(..) => {
            app.mirror.arrivals.of(delivery.source).notify_one();
            "stored"
        }
        Meaning::OtherTopic => "ignored",
        Meaning::NoId => {
            tracing::warn!(source = %delivery.source, topic = delivery.topic, "a webhook does not say what it is about");
            "ignored"
        }
    };
    count(delivery.source, outcome);
    Ok(is_new)
}

/// Counts a delivery by what became of it.
pub fn count(source: Source, outcome: &'static str) {
    metrics::counter!("holdfast_webhooks_total", "source" => source.as_str(), "outcome" => outcome).increment(1);
}

/// A header, if it is plain text.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// A header that a delivery cannot be stored without.
fn required<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Problem> {
    let value = text(headers, name).filter(|value| (1..=255).contains(&value.len()));
    value
        .filter(|value| value.bytes().all(|byte| byte.is_ascii_graphic()))
        .ok_or_else(|| Problem::listing(vec![ErrorItem::of(name, "must be 1 to 255 visible ASCII characters")]))
}

fn unknown_shop() -> Problem {
    Problem::new(Code::UnknownShop, "Nothing is mirrored from there.")
}

/// One answer whatever is wrong with the signature, or that there is none.
fn invalid_signature() -> Problem {
    Problem::new(Code::InvalidSignature, "The body is not signed with a secret that is known here.")
}
