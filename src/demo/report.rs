//! What the demonstration prints.

use serde_json::Value;

use super::api::Api;
use super::shop::Shop;
use super::standin::StandIn;

/// SKUs whose numbers are shown.
const SHOWN: usize = 3;

/// Prints how it goes.
#[derive(Debug)]
pub(super) struct Report<'d> {
    standin: &'d StandIn,
    skus: Vec<&'d str>,
}

impl<'d> Report<'d> {
    pub(super) fn new(standin: &'d StandIn, shop: &'d Shop) -> Self {
        Self { standin, skus: shop.variants.iter().map(|(_, sku)| sku.as_str()).collect() }
    }

    /// Says what can be looked at meanwhile.
    pub(super) fn greet(&self, base: &str, key: &str) {
        let sku = self.skus.first().copied().unwrap_or_default();
        println!("\nA shop is open, and the service copies it. Meanwhile, in another terminal:\n");
        println!("{}", LOOK.replace("{URL}", base).replace("{KEY}", key).replace("{SKU}", sku));
    }

    /// One line: what happened upstream, what the service made of it.
    pub(super) async fn line(&self, api: &Api) {
        let orders = self.standin.look(super::standin::World::order_count);
        let requests = self.standin.requests();
        let count = |name: &str| requests.get(name).copied().unwrap_or(0);
        let mirror = api.find("/mirror").await.unwrap_or_default();
        let query: Vec<String> = self.skus.iter().map(|sku| format!("sku={sku}")).collect();
        let stock = api.find(&format!("/availability?{}", query.join("&"))).await.unwrap_or_default();
        let rows = stock["data"].as_array().cloned().unwrap_or_default();
        let committed: i64 = rows.iter().filter_map(|row| row["committed_quantity"].as_i64()).sum();
        let sellable: Vec<String> = rows.iter().take(SHOWN).map(sellable).collect();
        println!(
            "orders {orders} ({}) · units claimed {committed} · sellable {} · webhooks {} ({} of them twice) · faults {}",
            copied(&mirror),
            sellable.join(", "),
            count("webhooks sent"),
            count("webhooks sent twice"),
            count("faults"),
        );
    }
}

fn sellable(row: &Value) -> String {
    format!("{} {}", row["sku"].as_str().unwrap_or("?"), row["sellable_quantity"])
}

/// What `GET /mirror` says of orders: how many are copied, and how far behind.
fn copied(mirror: &Value) -> String {
    let streams = mirror["streams"].as_array().cloned().unwrap_or_default();
    let orders = streams.iter().find(|stream| stream["source"] == "shopify" && stream["stream"] == "orders");
    match orders {
        Some(stream) => format!("{} copied, {} s behind", stream["rows"], stream["lag_seconds"]),
        None => "copying".to_owned(),
    }
}

const LOOK: &str = r#"export KEY={KEY} URL={URL}
# how far the copies are, and what is waiting
curl -sS $URL/mirror -H "Authorization: Bearer $KEY"
# what is sellable, and why
curl -sS "$URL/availability?sku={SKU}" -H "Authorization: Bearer $KEY"
curl -sS "$URL/availability/explain?sku={SKU}" -H "Authorization: Bearer $KEY"
# lines that nobody has told the stock of
curl -sS $URL/mirror/unmatched -H "Authorization: Bearer $KEY"
# what subscriptions will want
curl -sS $URL/demand/upcoming -H "Authorization: Bearer $KEY"
"#;
