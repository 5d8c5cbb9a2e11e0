//! Keeps us subscribed to the topics we live from: missing subscriptions are made again. The only thing that is ever
//! written upstream, and only where an address to be reached at is configured.
//!
//! An upstream drops a subscription whose deliveries failed for a day or two, without a word. Subscriptions that are not
//! ours, or of ours at another address, are never touched: another environment may live from them.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::app::App;
use crate::jobs::{Job, JobError, Report, Slot};
use crate::mirror::Mirror;
use crate::mirror::rows::Source;
use crate::mirror::upstream::UpstreamError;

/// Topics of Shopify. Not those that tell of some of these once more (paid, fulfilled), nor inventory levels.
const SHOPIFY_TOPICS: [&str; 16] = [
    "ORDERS_CREATE",
    "ORDERS_UPDATED",
    "ORDERS_CANCELLED",
    "ORDERS_EDITED",
    "ORDERS_DELETE",
    "FULFILLMENTS_CREATE",
    "FULFILLMENTS_UPDATE",
    "REFUNDS_CREATE",
    "PRODUCTS_CREATE",
    "PRODUCTS_UPDATE",
    "PRODUCTS_DELETE",
    "LOCATIONS_CREATE",
    "LOCATIONS_UPDATE",
    "LOCATIONS_DELETE",
    "LOCATIONS_ACTIVATE",
    "LOCATIONS_DEACTIVATE",
];

/// Topics of Recharge.
const RECHARGE_TOPICS: [&str; 24] = [
    "order/created",
    "order/processed",
    "order/updated",
    "order/cancelled",
    "order/deleted",
    "charge/created",
    "charge/paid",
    "charge/failed",
    "charge/max_retries_reached",
    "charge/refunded",
    "charge/upcoming",
    "charge/updated",
    "charge/deleted",
    "subscription/created",
    "subscription/updated",
    "subscription/activated",
    "subscription/cancelled",
    "subscription/skipped",
    "subscription/unskipped",
    "subscription/deleted",
    "customer/created",
    "customer/updated",
    "customer/activated",
    "customer/deactivated",
];

/// A topic and the address that it is delivered to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// In the source's words.
    pub topic: String,
    /// Where deliveries go.
    pub uri: String,
}

/// The job.
#[must_use]
pub fn job() -> Job {
    let about = "Makes webhook subscriptions again that are missing upstream.";
    Job::every("mirror_webhook_subscriptions", about, Duration::from_hours(1), |app, slot| async move {
        check(&app, &slot).await
    })
}

/// What a source should deliver to us, where we are reached at `base_url`.
#[must_use]
pub fn wanted(source: Source, base_url: &str) -> Vec<Subscription> {
    let base_url = base_url.trim_end_matches('/');
    let of = |topic: &str, uri| Subscription { topic: topic.to_owned(), uri };
    match source {
        Source::Shopify => SHOPIFY_TOPICS.map(|topic| of(topic, format!("{base_url}/webhooks/shopify"))).into(),
        Source::Recharge => {
            RECHARGE_TOPICS.map(|topic| of(topic, format!("{base_url}/webhooks/recharge/{topic}"))).into()
        }
    }
}

/// What is wanted and not there. A topic counts only at the wanted address. Pure.
#[must_use]
pub fn missing(wanted: &[Subscription], there: &[Subscription]) -> Vec<Subscription> {
    let same = |one: &Subscription, other: &Subscription| {
        one.topic.eq_ignore_ascii_case(&other.topic) && one.uri.trim_end_matches('/') == other.uri.trim_end_matches('/')
    };
    wanted.iter().filter(|one| !there.iter().any(|other| same(one, other))).cloned().collect()
}

/// What was found and done at one source.
#[derive(Debug, Serialize)]
struct Checked {
    source: &'static str,
    wanted: usize,
    made: Vec<String>,
    /// Topics that the source would not take, and why.
    refused: Vec<(String, String)>,
}

/// Looks at every source, also after one of them has failed.
async fn check(app: &Arc<App>, slot: &Slot) -> Result<Report, JobError> {
    let Some(base_url) = app.mirror.settings.webhook_base_url.as_deref() else { return Ok(Report::default()) };
    let (mut checked, mut failed) = (Vec::new(), None);
    for source in super::sources(&app.mirror.settings) {
        slot.go_on()?;
        match check_source(&app.mirror, source, base_url).await {
            Ok(one) => checked.push(one),
            Err(error) => failed = Some(format!("{source}: {}", error.public())),
        }
    }
    match failed {
        Some(error) => Err(JobError::Failed(error)),
        None => Ok(Report::of(checked)),
    }
}

async fn check_source(mirror: &Mirror, source: Source, base_url: &str) -> Result<Checked, UpstreamError> {
    let wanted = wanted(source, base_url);
    let there = list(mirror, source).await?;
    let mut checked = Checked { source: source.as_str(), wanted: wanted.len(), made: Vec::new(), refused: Vec::new() };
    for Subscription { topic, uri } in missing(&wanted, &there) {
        match create(mirror, source, &topic, &uri).await {
            Ok(()) => {
                tracing::warn!(%source, topic, "a webhook subscription was missing; it is made again");
                checked.made.push(topic);
            }
            Err(error) if error.is_transient() => return Err(error),
            // One topic that a token may not subscribe to does not keep us from the others.
            Err(error) => {
                tracing::warn!(%source, topic, %error, "a webhook subscription is refused");
                checked.refused.push((topic, error.public()));
            }
        }
    }
    Ok(checked)
}

async fn list(mirror: &Mirror, source: Source) -> Result<Vec<Subscription>, UpstreamError> {
    let listed = match (source, &mirror.shopify, &mirror.recharge) {
        (Source::Shopify, Some(shopify), _) => shopify.webhook_subscriptions().await?,
        (Source::Recharge, _, Some(recharge)) => recharge.webhooks().await?,
        _ => Vec::new(),
    };
    Ok(listed.into_iter().map(|one| Subscription { topic: one.topic, uri: one.uri }).collect())
}

async fn create(mirror: &Mirror, source: Source, topic: &str, uri: &str) -> Result<(), UpstreamError> {
    match (source, &mirror.shopify, &mirror.recharge) {
        (Source::Shopify, Some(shopify), _) => shopify.create_webhook_subscription(topic, uri).await,
        (Source::Recharge, _, Some(recharge)) => recharge.create_webhook(topic, uri).await,
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_made_and_what_is_foreign_does_not_count() {
        for source in [Source::Shopify, Source::Recharge] {
            let wanted = wanted(source, "https://stock.example.org/");
            assert_eq!(missing(&wanted, &[]), wanted);
            assert!(missing(&wanted, &wanted).is_empty());
            let mut there = wanted.clone();
            let lost = there.remove(3);
            there.reverse();
            assert_eq!(missing(&wanted, &there), std::slice::from_ref(&lost));
            there.push(Subscription { uri: "https://other.example.org/hook".to_owned(), ..lost.clone() });
            there.push(Subscription { topic: "app/uninstalled".to_owned(), ..lost.clone() });
            assert_eq!(missing(&wanted, &there), std::slice::from_ref(&lost));
            there.push(Subscription { uri: format!("{}/", lost.uri), topic: lost.topic.to_lowercase() });
            assert!(missing(&wanted, &there).is_empty());
        }
    }

    #[test]
    fn every_topic_leads_to_something_that_is_mirrored_and_to_our_own_path() {
        use crate::mirror::webhooks::hint::{Meaning, read};
        for topic in SHOPIFY_TOPICS {
            let word = topic.to_lowercase();
            let (room, event) = word.split_once('_').unwrap();
            assert_ne!(
                read(Source::Shopify, &format!("{room}/{event}"), b"{}").meaning,
                Meaning::OtherTopic,
                "{topic}"
            );
        }
        for one in wanted(Source::Recharge, "https://stock.example.org") {
            assert_ne!(read(Source::Recharge, &one.topic, b"{}").meaning, Meaning::OtherTopic, "{}", one.topic);
            assert_eq!(one.uri, format!("https://stock.example.org/webhooks/recharge/{}", one.topic));
        }
    }
}
