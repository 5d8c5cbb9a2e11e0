//! The account's webhook subscriptions.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::{At, PAGE_MAX, Recharge, tolerant};
use crate::mirror::upstream::{UpstreamError, WebhookSubscription, answer};

/// Far more pages than there can be.
const PAGES_MAX: usize = 20;

#[derive(Deserialize)]
struct Document {
    #[serde(deserialize_with = "tolerant::whole")]
    id: i64,
    topic: String,
    address: String,
}

/// All of them.
pub(super) async fn list(recharge: &Recharge) -> Result<Vec<WebhookSubscription>, UpstreamError> {
    let mut query = vec![("limit", PAGE_MAX.to_owned())];
    let mut all = Vec::new();
    for _ in 0..PAGES_MAX {
        let page = recharge.page("webhooks", query, read).await?;
        // One that is overlooked would be made again every hour.
        if let Some((_, error)) = page.unreadable.into_iter().next() {
            return Err(error);
        }
        all.extend(page.items);
        match page.next {
            Some(cursor) => query = At::Cursor(cursor).query(),
            None => return Ok(all),
        }
    }
    Err(UpstreamError::Malformed { path: "webhooks".to_owned(), reason: "it has no end".to_owned() })
}

fn read(document: Value, _: DateTime<Utc>) -> Result<WebhookSubscription, UpstreamError> {
    let webhook: Document = answer::read("webhook", &document)?;
    Ok(WebhookSubscription { id: webhook.id.to_string(), topic: webhook.topic, uri: webhook.address })
}
