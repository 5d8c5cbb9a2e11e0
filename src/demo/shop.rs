//! The shop of the demonstration: what it sells, what is on its shelf, and how the service is told.

use std::time::Duration;

use chrono::{Days, TimeDelta};
use reqwest::Method;
use serde_json::json;

use super::api::Api;
use super::random::Random;
use super::standin::{Missing, NewOrder, World};

/// Products, their SKU codes, and units on the shelf.
const GOODS: [(&str, &[(&str, i64)]); 4] = [
    ("Green tea", &[("TEA-GREEN-100", 900), ("TEA-GREEN-250", 600)]),
    ("Black tea", &[("TEA-BLACK-100", 900), ("TEA-BLACK-250", 500)]),
    ("Cup", &[("CUP-WHITE", 400), ("CUP-BLUE", 300)]),
    ("Kettle", &[("KETTLE-1L", 120)]),
];
/// Sold as one thing, packed as two: one of each of these.
const KIT: (&str, [&str; 2]) = ("Tea for two", ["TEA-GREEN-100", "CUP-WHITE"]);
/// Sold, and unknown to the service until somebody says what it is.
const UNKNOWN: (&str, &str) = ("Gift card holder", "HOLDER-OLD-CODE");
/// Subscribers at the start.
const SUBSCRIBERS: u32 = 12;

/// What there is in the shop.
#[derive(Debug)]
pub(super) struct Shop {
    /// Variants that are sold often, with their code.
    pub variants: Vec<(i64, String)>,
    /// The kit's variant.
    pub kit: i64,
    /// The variant that nobody knows.
    pub unknown: i64,
    /// Where parcels leave from.
    pub location: i64,
    /// Charges that are queued.
    pub charges: Vec<i64>,
}

impl Shop {
    /// Fills the world: goods, orders of the days before, subscribers.
    pub(super) fn furnish(world: &mut World, history: u32) -> Result<Self, Missing> {
        let now = world.now();
        // Older than the orders of it: what is as new as the service is copied by its first poll alone.
        let opened = now - TimeDelta::days(30);
        let mut add = |title: &str, codes: &[&str]| {
            let (product, made) = world.add_product(title, codes);
            world.backdate_product(product, opened).map(|()| made)
        };
        let mut variants = Vec::new();
        for (title, skus) in GOODS {
            let codes: Vec<&str> = skus.iter().map(|(code, _)| *code).collect();
            let made = add(title, &codes)?;
            variants.extend(made.into_iter().zip(codes.iter().map(ToString::to_string)));
        }
        let kit = add(KIT.0, &["KIT-TEA-FOR-TWO"])?;
        let unknown = add(UNKNOWN.0, &[UNKNOWN.1])?;
        let location = world.add_location("Main warehouse");
        let mut shop = Self {
            variants,
            kit: kit.first().copied().unwrap_or(0),
            unknown: unknown.first().copied().unwrap_or(0),
            location,
            charges: Vec::new(),
        };
        let mut random = Random::new(7);
        for hours in (1..=history).rev() {
            let order = NewOrder::of(&shop.cart(&mut random)).at(now - TimeDelta::hours(hours.into()));
            world.create_order(order)?;
        }
        for days in 1..=SUBSCRIBERS {
            let Some(&(variant, _)) = random.one_of(&shop.variants) else { break };
            let first = now.date_naive().checked_add_days(Days::new(days.into())).unwrap_or(now.date_naive());
            shop.charges.push(world.subscribe(variant, random.between(1, 2), first)?.charge);
        }
        Ok(shop)
    }

    /// One to three things, as somebody would buy them.
    pub(super) fn cart(&self, random: &mut Random) -> Vec<(i64, i64)> {
        let mut cart: Vec<(i64, i64)> = Vec::new();
        for _ in 0..random.between(1, 3) {
            let wanted = match random.below(20) {
                0 => self.unknown,
                1 => self.kit,
                _ => random.one_of(&self.variants).map_or(self.kit, |(variant, _)| *variant),
            };
            if cart.iter().all(|(variant, _)| *variant != wanted) {
                cart.push((wanted, random.between(1, 2)));
            }
        }
        cart
    }

    /// Receives a lot of everything.
    pub(super) async fn stock(&self, api: &Api) -> anyhow::Result<()> {
        for (code, quantity) in GOODS.iter().flat_map(|(_, skus)| *skus) {
            let lot = json!({
                "sku": code, "create_sku": true, "lot_code": format!("{code}-1"), "quantity": quantity,
                "unit_cost": "3.20", "currency": "USD", "received_date": "2026-01-15", "source_ref": format!("PO-1/{code}"),
            });
            api.send(Method::POST, "/lots", &lot).await?;
        }
        Ok(())
    }

    /// Says which pool the location is and what the kit consists of, once the mirror has copied them.
    pub(super) async fn connect(&self, api: &Api) -> anyhow::Result<()> {
        for path in [format!("/mirror/variants/{}", self.kit), "/mirror/locations".to_owned()] {
            self.copied(api, &path).await;
        }
        let components: Vec<_> = KIT.1.iter().map(|sku| json!({"sku": sku, "quantity": 1})).collect();
        let kit = json!({"components": components, "open_lines": "follow"});
        api.send(Method::PUT, &format!("/mirror/variants/{}/mapping", self.kit), &kit).await?;
        api.send(Method::PUT, &format!("/mirror/locations/{}/pool", self.location), &json!({"pool": "default"}))
            .await?;
        // Everything is copied: what maps itself by its code need not wait for its minute. At work already is as good.
        drop(api.send(Method::POST, "/jobs/mirror_mapping/run", &json!({})).await);
        Ok(())
    }

    /// Waits, within reason, until there is something at a path: a thing, or a list that is not empty.
    async fn copied(&self, api: &Api, path: &str) {
        for _ in 0..120 {
            let found = api.find(path).await;
            if found.is_some_and(|found| found["data"].as_array().is_none_or(|list| !list.is_empty())) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
}
