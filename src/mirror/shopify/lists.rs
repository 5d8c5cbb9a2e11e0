//! Lists of the shop: what changed, what was deleted, locations, scopes, and our webhook subscriptions.

use chrono::{DateTime, SecondsFormat, SubsecRound, TimeDelta, Utc};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::documents::{Changed, Count, DeletionEvent, Listed, Reference, SubscriptionDocument};
use super::operation::Operation;
use super::{Shopify, Window, nested, read};
use crate::mirror::rows::{Location, Seen};
use crate::mirror::upstream::answer::{self, words};
use crate::mirror::upstream::{Page, UpstreamError, WebhookSubscription};

/// Pages of a list that belongs to one shop; far more than there can be.
const PAGES_MAX: usize = 100;

impl Shopify {
    /// Orders that changed in a window, the oldest change first. One that changes again while the pages are read moves to
    /// the end and is seen again.
    ///
    /// # Errors
    /// If the page cannot be had.
    pub async fn seen_orders(&self, window: &Window, after: Option<&str>) -> Result<Page<Seen>, UpstreamError> {
        let variables = json!({ "query": changed_in(window), "after": after });
        self.page(Operation::OrdersSeen, "orders", &variables).await.map(seen)
    }

    /// Products in whatever state that changed in a window, the oldest change first.
    ///
    /// # Errors
    /// If the page cannot be had.
    pub async fn seen_products(&self, window: &Window, after: Option<&str>) -> Result<Page<Seen>, UpstreamError> {
        let variables = json!({ "query": products_changed_in(window), "after": after });
        self.page(Operation::ProductsSeen, "products", &variables).await.map(seen)
    }

    /// How many orders changed in a window.
    ///
    /// # Errors
    /// If that cannot be had.
    pub async fn count_orders(&self, window: &Window) -> Result<i64, UpstreamError> {
        self.count(Operation::OrdersCount, "ordersCount", &changed_in(window)).await
    }

    /// How many products in whatever state changed in a window.
    ///
    /// # Errors
    /// If that cannot be had.
    pub async fn count_products(&self, window: &Window) -> Result<i64, UpstreamError> {
        self.count(Operation::ProductsCount, "productsCount", &products_changed_in(window)).await
    }

    async fn count(&self, operation: Operation, field: &str, query: &str) -> Result<i64, UpstreamError> {
        let (_, data) = self.ask(operation, &json!({ "query": query })).await?;
        answer::read::<Count>(field, &data[field]).map(|of| of.count)
    }

    /// Products that were deleted since, with the time of it. Known for a year.
    ///
    /// # Errors
    /// If the page cannot be had.
    pub async fn deleted_products(
        &self,
        since: DateTime<Utc>,
        after: Option<&str>,
    ) -> Result<Page<(i64, DateTime<Utc>)>, UpstreamError> {
        let query = format!("subject_type:PRODUCT action:destroy created_at:>='{}'", second(since));
        let variables = json!({ "query": query, "after": after });
        let page: Page<DeletionEvent> = self.page(Operation::ProductsDeleted, "events", &variables).await?;
        let deleted = |event: DeletionEvent| {
            let product = event.action == "destroy" && event.subject_type.as_deref() == Some("PRODUCT");
            event.subject_id.filter(|_| product).map(|id| (id.0, event.created_at))
        };
        Ok(Page { items: page.items.into_iter().filter_map(deleted).collect(), next: page.next })
    }

    /// Every location, in use or not.
    ///
    /// # Errors
    /// If they cannot be had.
    pub async fn locations(&self) -> Result<Vec<Location>, UpstreamError> {
        let fetched_at = self.client.now();
        let documents: Vec<Value> = self.all(Operation::Locations, "locations").await?;
        documents.into_iter().map(|document| read::location(document, fetched_at)).collect()
    }

    /// What the token may see, such as `read_orders`.
    ///
    /// # Errors
    /// If that cannot be had.
    pub async fn scopes(&self) -> Result<Vec<String>, UpstreamError> {
        #[derive(serde::Deserialize)]
        struct Scope {
            handle: String,
        }
        let (_, data) = self.ask(Operation::Scopes, &json!({})).await?;
        let at = "currentAppInstallation.accessScopes";
        let scopes: Vec<Scope> = answer::read(at, &data["currentAppInstallation"]["accessScopes"])?;
        Ok(scopes.into_iter().map(|scope| scope.handle).collect())
    }

    /// Our webhook subscriptions, those made by configuration of the app excepted: the API does not list them.
    ///
    /// # Errors
    /// If they cannot be had.
    pub async fn webhook_subscriptions(&self) -> Result<Vec<WebhookSubscription>, UpstreamError> {
        let all: Vec<SubscriptionDocument> = self.all(Operation::WebhookSubscriptions, "webhookSubscriptions").await?;
        let subscription = |SubscriptionDocument { id, topic, uri }| WebhookSubscription { id, topic, uri };
        Ok(all.into_iter().map(subscription).collect())
    }

    /// Has a topic delivered. One that already is, is done.
    ///
    /// # Errors
    /// If the shop refuses.
    pub async fn create_webhook_subscription(&self, topic: &str, uri: &str) -> Result<(), UpstreamError> {
        let variables = json!({ "topic": topic, "uri": uri });
        let (_, data) = self.ask(Operation::WebhookSubscriptionCreate, &variables).await?;
        created(&data["webhookSubscriptionCreate"])
    }

    async fn page<T: DeserializeOwned>(
        &self,
        operation: Operation,
        list: &str,
        variables: &Value,
    ) -> Result<Page<T>, UpstreamError> {
        let (_, data) = self.ask(operation, variables).await?;
        let listed: Listed<T> = answer::read(list, &data[list])?;
        Ok(Page { next: nested::next(&listed.page_info, list)?, items: listed.nodes })
    }

    async fn all<T: DeserializeOwned>(&self, operation: Operation, list: &str) -> Result<Vec<T>, UpstreamError> {
        let (mut all, mut after) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let page: Page<T> = self.page(operation, list, &json!({ "after": after })).await?;
            all.extend(page.items);
            after = page.next;
            if after.is_none() {
                return Ok(all);
            }
        }
        Err(UpstreamError::Malformed { path: list.to_owned(), reason: "it has no end".to_owned() })
    }
}

/// What came of making a subscription.
pub(super) fn created(payload: &Value) -> Result<(), UpstreamError> {
    match payload["userErrors"][0]["message"].as_str() {
        // An attempt whose answer got lost did it.
        Some(message) if message.contains("already been taken") => Ok(()),
        Some(message) => Err(UpstreamError::Refused { status: 200, code: words(message) }),
        None => answer::read::<Reference>("webhookSubscription", &payload["webhookSubscription"]).map(drop),
    }
}

fn seen(page: Page<Changed>) -> Page<Seen> {
    let seen = |changed: Changed| Seen { id: changed.id.0, updated_at: changed.updated_at };
    Page { items: page.items.into_iter().map(seen).collect(), next: page.next }
}

/// The filter of a window. Changes have fractions of a second that are never shown: the window is widened to whole
/// seconds. `>` would leave out the whole second, and a value that is not quoted loses its time of day.
fn changed_in(window: &Window) -> String {
    let to = window.to.trunc_subsecs(0);
    let to = if to < window.to { to + TimeDelta::seconds(1) } else { to };
    format!("updated_at:>='{}' AND updated_at:<'{}'", second(window.from), second(to))
}

/// Without a state that is named, only products on sale would be found.
fn products_changed_in(window: &Window) -> String {
    format!("{} AND status:active,draft,archived,unlisted", changed_in(window))
}

fn second(at: DateTime<Utc>) -> String {
    at.trunc_subsecs(0).to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_widened_to_whole_seconds_and_quoted() {
        let window =
            |from: &str, to: &str| changed_in(&Window { from: from.parse().unwrap(), to: to.parse().unwrap() });
        let expected = "updated_at:>='2026-11-20T10:00:00Z' AND updated_at:<'2026-11-20T12:00:01Z'";
        assert_eq!(window("2026-11-20T10:00:00.9Z", "2026-11-20T12:00:00.1Z"), expected);
        assert_eq!(window("2026-11-20T10:00:00Z", "2026-11-20T12:00:01Z"), expected);
    }
}
