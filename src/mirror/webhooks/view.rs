//! Deliveries as the API shows them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::hint::Entity;
use super::queries::{After, DeliveryRow};

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[schema(as = WebhookStatus)]
pub enum DeliveryStatus {
    /// Stored; what it is about is still to be fetched.
    Pending,
    /// What it is about was fetched after it came.
    Done,
    /// It is about nothing that is mirrored, or does not say about what.
    Ignored,
    /// Given up after its last attempt, until it is asked for by hand. Polls find what it was about all the same.
    Failed,
}

impl DeliveryStatus {
    /// The word in SQL and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Ignored => "ignored",
            Self::Failed => "failed",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Pending, Self::Done, Self::Ignored, Self::Failed].into_iter().find(|status| status.as_str() == word)
    }
}

/// A delivery. Its payload is not kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
pub struct DeliveryView {
    /// Who sent it: `shopify` or `recharge`.
    source: String,
    /// Its id: Shopify's own, or a digest of topic and body.
    delivery_id: String,
    /// What happened, in the source's words.
    topic: String,
    /// What is fetched because of it; null where it was ignored.
    entity: Option<Entity>,
    /// Its id upstream, as text: ids exceed what a JSON reader may keep exact.
    entity_id: Option<String>,
    /// Where it stands.
    status: DeliveryStatus,
    /// How often it was tried.
    attempts: i32,
    /// When it happened, as the source says.
    triggered_at: Option<DateTime<Utc>>,
    /// When it came.
    received_at: DateTime<Utc>,
    /// While it is pending: when it is tried next, or taken over from a worker that died.
    next_attempt_at: Option<DateTime<Utc>>,
    /// When it was done, ignored or given up.
    processed_at: Option<DateTime<Utc>>,
    /// The `updated_at` that it carried, in the source's own form.
    upstream_updated_at: Option<String>,
    /// What went wrong last; kept after a later attempt succeeds.
    last_error: Option<String>,
}

impl From<DeliveryRow> for DeliveryView {
    fn from(row: DeliveryRow) -> Self {
        Self {
            source: row.source,
            delivery_id: row.delivery_id,
            topic: row.topic,
            entity: row.entity.as_deref().and_then(Entity::parse),
            entity_id: row.entity_id.map(|id| id.to_string()),
            status: row.status,
            attempts: row.attempts,
            triggered_at: row.triggered_at,
            received_at: row.received_at,
            next_attempt_at: row.next_attempt_at,
            processed_at: row.processed_at,
            upstream_updated_at: row.body["updated_at"].as_str().map(str::to_owned),
            last_error: row.last_error,
        }
    }
}

impl DeliveryRow {
    /// Its place in the list.
    #[must_use]
    pub fn place(&self) -> After {
        (self.received_at, self.source.clone(), self.delivery_id.clone())
    }
}

/// What a sender learns.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookReceipt)]
pub struct ReceiptView {
    /// What the delivery is stored under.
    pub delivery_id: String,
    /// Whether it had come before.
    pub duplicate: bool,
}
