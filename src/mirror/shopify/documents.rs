//! The shapes in which the Admin API answers our documents. Words that it may add to are text, whatever else it sends is
//! ignored, and an id is its number, taken from the end of `gid://shopify/Order/820982911946154508`.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};

/// An id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gid(pub(super) i64);

impl Gid {
    /// Reads `gid://shopify/…/number`, or a bare number.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let path = text.split_once('?').map_or(text, |(path, _)| path);
        let tail = path.rsplit_once('/').map_or(path, |(_, tail)| tail);
        tail.parse().ok().filter(|number| *number > 0).map(Self)
    }
}

impl<'de> Deserialize<'de> for Gid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&Scalar::deserialize(deserializer)?.text())
            .ok_or_else(|| D::Error::invalid_value(Unexpected::Other("another text"), &"an id"))
    }
}

/// A text or a number, which one upstream or the other takes for the same.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Number(serde_json::Number),
}

impl Scalar {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
        }
    }
}

/// A whole number, or the digits of one.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let wrong = || D::Error::invalid_type(Unexpected::Other("something else"), &"i64");
    let scalar = Scalar::deserialize(deserializer).map_err(|_| wrong())?;
    scalar.text().trim().parse().map_err(|_| wrong())
}

/// A list; nothing is an empty one.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Option::<Vec<T>>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Yes or no; nothing is no.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Option::<bool>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Money: exact, from a text or a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Amount(pub(super) Decimal);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Scalar::deserialize(deserializer)?.text();
        let exact = Decimal::from_str_exact(text.trim());
        exact.map(Self).map_err(|_| D::Error::invalid_value(Unexpected::Other("another text"), &"a decimal"))
    }
}

/// Something of which only the id is asked for.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Reference {
    pub(super) id: Gid,
}

/// A connection, all of its pages in one.
#[derive(Debug, Deserialize)]
pub(super) struct Connection<T> {
    pub(super) nodes: Vec<T>,
}

/// Where a connection goes on.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageInfo {
    pub(super) has_next_page: bool,
    #[serde(default)]
    pub(super) end_cursor: Option<String>,
}

/// One page of a root connection.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listed<T> {
    pub(super) nodes: Vec<T>,
    pub(super) page_info: PageInfo,
}

/// That something changed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Changed {
    pub(super) id: Gid,
    pub(super) updated_at: DateTime<Utc>,
}

/// That something was deleted.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeletionEvent {
    #[serde(default)]
    pub(super) action: String,
    pub(super) created_at: DateTime<Utc>,
    #[serde(default)]
    pub(super) subject_id: Option<Gid>,
    #[serde(default)]
    pub(super) subject_type: Option<String>,
}

/// Tells how many; exact, since no limit is asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Count {
    #[serde(deserialize_with = "whole")]
    pub(super) count: i64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrderDocument {
    pub(super) id: Gid,
    pub(super) name: String,
    pub(super) created_at: DateTime<Utc>,
    #[serde(default)]
    pub(super) processed_at: Option<DateTime<Utc>>,
    pub(super) updated_at: DateTime<Utc>,
    #[serde(default)]
    pub(super) cancelled_at: Option<DateTime<Utc>>,
    #[serde(default)]
    pub(super) cancel_reason: Option<String>,
    #[serde(default)]
    pub(super) closed_at: Option<DateTime<Utc>>,
    pub(super) test: bool,
    pub(super) confirmed: bool,
    #[serde(default)]
    pub(super) display_financial_status: Option<String>,
    #[serde(default)]
    pub(super) display_fulfillment_status: Option<String>,
    #[serde(default)]
    pub(super) currency_code: Option<String>,
    #[serde(default)]
    pub(super) current_total_price_set: Option<MoneyBag>,
    #[serde(default)]
    pub(super) source_name: Option<String>,
    #[serde(default, deserialize_with = "list")]
    pub(super) custom_attributes: Vec<Attribute>,
    pub(super) line_items: Connection<LineItemDocument>,
    pub(super) fulfillments: Vec<FulfillmentDocument>,
    pub(super) refunds: Vec<RefundDocument>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MoneyBag {
    #[serde(default)]
    pub(super) shop_money: Option<Money>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Money {
    pub(super) amount: Amount,
}

#[derive(Debug, Deserialize)]
pub(super) struct Attribute {
    pub(super) key: String,
    #[serde(default)]
    pub(super) value: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LineItemDocument {
    pub(super) id: Gid,
    pub(super) title: String,
    #[serde(default)]
    pub(super) variant_title: Option<String>,
    #[serde(default)]
    pub(super) sku: Option<String>,
    #[serde(deserialize_with = "whole")]
    pub(super) quantity: i64,
    #[serde(deserialize_with = "whole")]
    pub(super) current_quantity: i64,
    #[serde(deserialize_with = "whole")]
    pub(super) unfulfilled_quantity: i64,
    pub(super) requires_shipping: bool,
    #[serde(default, deserialize_with = "flag")]
    pub(super) is_gift_card: bool,
    #[serde(default)]
    pub(super) variant: Option<Reference>,
    #[serde(default)]
    pub(super) product: Option<Reference>,
    #[serde(default)]
    pub(super) line_item_group: Option<Group>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Group {
    pub(super) id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FulfillmentDocument {
    pub(super) id: Gid,
    pub(super) status: String,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
    #[serde(default)]
    pub(super) location: Option<Reference>,
    pub(super) fulfillment_line_items: Connection<FulfillmentLineDocument>,
}

/// `quantity` may be null by the schema; a parcel with nobody knows how much in it cannot be booked.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FulfillmentLineDocument {
    pub(super) id: Gid,
    #[serde(deserialize_with = "whole")]
    pub(super) quantity: i64,
    pub(super) line_item: Reference,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RefundDocument {
    pub(super) id: Gid,
    #[serde(default)]
    pub(super) created_at: Option<DateTime<Utc>>,
    #[serde(default)]
    pub(super) updated_at: Option<DateTime<Utc>>,
    pub(super) refund_line_items: Connection<RefundLineDocument>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RefundLineDocument {
    #[serde(default)]
    pub(super) id: Option<Gid>,
    #[serde(deserialize_with = "whole")]
    pub(super) quantity: i64,
    pub(super) restock_type: String,
    pub(super) restocked: bool,
    #[serde(default)]
    pub(super) location: Option<Reference>,
    pub(super) line_item: Reference,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProductDocument {
    pub(super) id: Gid,
    pub(super) title: String,
    #[serde(default)]
    pub(super) handle: Option<String>,
    /// The schema says that it is never null, and a recorded answer has it null all the same. It must be there.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(super) status: Option<String>,
    pub(super) updated_at: DateTime<Utc>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VariantDocument {
    pub(super) id: Gid,
    #[serde(default)]
    pub(super) sku: Option<String>,
    #[serde(default)]
    pub(super) title: Option<String>,
    #[serde(default)]
    pub(super) barcode: Option<String>,
    #[serde(default)]
    pub(super) price: Option<Amount>,
    #[serde(default)]
    pub(super) position: Option<i32>,
    pub(super) updated_at: DateTime<Utc>,
    #[serde(default)]
    pub(super) inventory_item: Option<InventoryItemDocument>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InventoryItemDocument {
    pub(super) id: Gid,
    #[serde(default)]
    pub(super) sku: Option<String>,
    #[serde(default)]
    pub(super) tracked: Option<bool>,
    #[serde(default)]
    pub(super) requires_shipping: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LocationDocument {
    pub(super) id: Gid,
    pub(super) name: String,
    pub(super) is_active: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct SubscriptionDocument {
    pub(super) id: String,
    pub(super) topic: String,
    pub(super) uri: String,
}
