//! Campaigns as JSON.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a campaign is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum CampaignKind {
    /// Sold live.
    Webinar,
    /// Somebody talks about it.
    Influencer,
    /// It costs less.
    Promotion,
    /// Anything else.
    Other,
}

impl CampaignKind {
    /// The word in SQL and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webinar => "webinar",
            Self::Influencer => "influencer",
            Self::Promotion => "promotion",
            Self::Other => "other",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Webinar, Self::Influencer, Self::Promotion, Self::Other].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// What was sold in the window of a campaign. Orders that are tests, cancelled or deleted do not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Sales {
    /// Units ever ordered.
    pub ordered_quantity: i64,
    /// Units ordered, without removed and refunded ones.
    pub sold_quantity: i64,
    /// Orders.
    pub orders: i64,
}

/// A product that a campaign features.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = CampaignProduct)]
pub struct ProductView {
    /// The upstream's id, as text: ids exceed what a JSON reader may keep exact.
    #[serde(serialize_with = "crate::http::text_id::text")]
    #[schema(value_type = String)]
    pub product_id: i64,
    /// For people.
    pub title: String,
    /// When it was found gone upstream.
    pub deleted_at: Option<DateTime<Utc>>,
    /// What was sold of it.
    #[serde(flatten)]
    pub sales: Sales,
}

/// A campaign, what it features, and what was sold.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Campaign)]
pub struct CampaignView {
    /// What the API calls it.
    #[schema(example = "webinar-june")]
    pub code: String,
    /// What it is.
    pub kind: CampaignKind,
    /// For people.
    pub name: String,
    /// Orders count from here.
    pub starts_at: DateTime<Utc>,
    /// Orders count up to here, this instant not included.
    pub ends_at: DateTime<Utc>,
    /// What was sold of all of its products; an order of several counts once.
    pub sales: Sales,
    /// Its products, by id.
    pub products: Vec<ProductView>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// Revision of its newest change; the `ETag`.
    #[serde(skip)]
    pub revision: i64,
}
