//! Variants, mappings and locations as JSON.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::queries::Origin;

/// What an operator should know about a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Nothing says what it is: its lines wait, unmatched.
    Unmapped,
    /// It has no code upstream.
    NoCode,
    /// Another variant has the same code.
    CodeShared,
    /// It is one SKU, whose code is another than its own.
    CodeDiffers,
    /// A SKU that it is, or whose code it has, is retired.
    SkuRetired,
    /// It is gone upstream.
    Deleted,
    /// It was never copied; orders name it.
    NotMirrored,
}

impl Finding {
    const ALL: [Self; 7] = [
        Self::Unmapped,
        Self::NoCode,
        Self::CodeShared,
        Self::CodeDiffers,
        Self::SkuRetired,
        Self::Deleted,
        Self::NotMirrored,
    ];

    /// The word in SQL and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unmapped => "unmapped",
            Self::NoCode => "no_code",
            Self::CodeShared => "code_shared",
            Self::CodeDiffers => "code_differs",
            Self::SkuRetired => "sku_retired",
            Self::Deleted => "deleted",
            Self::NotMirrored => "not_mirrored",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|finding| finding.as_str() == word)
    }
}

/// What becomes of lines that were seen under an older version and have not shipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OpenLines {
    /// They keep the version that they were seen under.
    #[default]
    Keep,
    /// They take on this version.
    Follow,
}

/// Units of a SKU in one unit of a variant or of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Component)]
pub struct ComponentView {
    /// SKU code.
    #[schema(example = "TEE-BLACK-M")]
    pub sku: String,
    /// Units.
    pub quantity: i32,
}

impl ComponentView {
    /// Components, of codes and quantities by position.
    #[must_use]
    pub fn list(codes: Option<Vec<String>>, quantities: Option<Vec<i32>>) -> Vec<Self> {
        let pairs = codes.unwrap_or_default().into_iter().zip(quantities.unwrap_or_default());
        pairs.map(|(sku, quantity)| Self { sku, quantity }).collect()
    }
}

/// One version of what a variant is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Mapping)]
pub struct MappingView {
    /// From 1; the newest counts.
    pub version: i32,
    /// Who said so: its code, or somebody.
    pub origin: Origin,
    /// What became of lines seen under older versions.
    pub open_lines: OpenLines,
    /// What one unit of the variant is, by SKU code. One SKU, several (a kit), or none: it has no stock.
    pub components: Vec<ComponentView>,
    /// Client that said so; null where the mapping made itself.
    pub client: Option<String>,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

/// A variant and what it means to stock.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Variant)]
pub struct VariantView {
    /// The upstream's id, as text: ids exceed what a JSON reader may keep exact. It never changes.
    #[serde(serialize_with = "crate::http::text_id::text")]
    #[schema(value_type = String)]
    pub variant_id: i64,
    /// Its product; null for a variant that was never copied.
    #[serde(serialize_with = "crate::http::text_id::text_or_null")]
    #[schema(value_type = Option<String>)]
    pub product_id: Option<i64>,
    /// For people.
    pub product_title: Option<String>,
    /// For people.
    pub title: Option<String>,
    /// Its code upstream.
    pub sku: Option<String>,
    /// When it was found gone upstream.
    pub deleted_at: Option<DateTime<Utc>>,
    /// The newest version of its mapping; null where there is none.
    pub mapping: Option<MappingView>,
    /// What an operator should know.
    pub findings: Vec<Finding>,
}

impl VariantView {
    /// Version of its mapping, 0 without one; the `ETag`.
    #[must_use]
    pub fn version(&self) -> i32 {
        self.mapping.as_ref().map_or(0, |mapping| mapping.version)
    }
}

/// What a single order line is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LineMapping)]
pub struct LineMappingView {
    /// `shopify` or `recharge`.
    pub source: String,
    /// The upstream's id of the order, as text.
    #[serde(serialize_with = "crate::http::text_id::text")]
    #[schema(value_type = String)]
    pub order_id: i64,
    /// Which line.
    pub line_ref: String,
    /// What one unit of the line is, by SKU code.
    pub components: Vec<ComponentView>,
}

/// A place that stock is sent from.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Location)]
pub struct LocationView {
    /// The upstream's id, as text.
    #[serde(serialize_with = "crate::http::text_id::text")]
    #[schema(value_type = String)]
    pub location_id: i64,
    /// For people.
    pub name: String,
    /// Whether it is in use upstream.
    pub active: bool,
    /// When it was found gone upstream.
    pub deleted_at: Option<DateTime<Utc>>,
    /// Code of the pool that ships what leaves it; null: the order's own.
    pub pool: Option<String>,
}
