//! Products with their variants, and locations.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::{Missing, World};

/// A product.
#[derive(Debug, Clone)]
pub struct Product {
    /// Its id.
    pub id: i64,
    /// For people.
    pub title: Arc<str>,
    /// ACTIVE, DRAFT, ARCHIVED, UNLISTED.
    pub status: &'static str,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Its last change, its variants' included; to the second.
    pub updated_at: DateTime<Utc>,
    /// In order.
    pub variants: Vec<Variant>,
}

/// A variant.
#[derive(Debug, Clone)]
pub struct Variant {
    /// Its id.
    pub id: i64,
    /// What inventory calls it.
    pub inventory_item: i64,
    /// The seller's code.
    pub sku: Option<Arc<str>>,
    /// Of one unit.
    pub price: Decimal,
    /// From 1.
    pub position: i64,
    /// Its last change.
    pub updated_at: DateTime<Utc>,
}

/// A place that stock is sent from.
#[derive(Debug, Clone)]
pub struct Location {
    /// Its id.
    pub id: i64,
    /// For people.
    pub name: String,
    /// Whether it is in use.
    pub active: bool,
}

/// The memory of a product that was deleted.
#[derive(Debug, Clone, Copy)]
pub struct Destroyed {
    /// Of the event.
    pub id: i64,
    /// Which.
    pub product: i64,
    /// When.
    pub at: DateTime<Utc>,
}

impl World {
    /// Makes an active product with a variant for each SKU code (empty: none); ids of product and variants.
    pub fn add_product(&mut self, title: &str, skus: &[&str]) -> (i64, Vec<i64>) {
        let (id, now) = (self.mint(), self.now());
        let mut product = Product {
            id,
            title: title.into(),
            status: "ACTIVE",
            created_at: now,
            updated_at: now,
            variants: Vec::with_capacity(skus.len()),
        };
        for (position, sku) in (1..).zip(skus) {
            let variant = self.new_variant(sku, position);
            self.product_of.insert(variant.id, id);
            product.variants.push(variant);
        }
        let variants = product.variants.iter().map(|variant| variant.id).collect();
        self.products_by_change.insert((now, id));
        self.newsroom.product("products/create", &product);
        self.products.insert(id, product);
        (id, variants)
    }

    /// Makes a product as old as this, as if nothing had happened to it since.
    ///
    /// # Errors
    /// If it is not there.
    pub fn backdate_product(&mut self, id: i64, at: DateTime<Utc>) -> Result<(), Missing> {
        let product = self.products.get_mut(&id).ok_or(Missing { kind: "product", id })?;
        self.products_by_change.remove(&(product.updated_at, id));
        (product.created_at, product.updated_at) = (at, at);
        product.variants.iter_mut().for_each(|variant| variant.updated_at = at);
        self.products_by_change.insert((at, id));
        Ok(())
    }

    fn new_variant(&mut self, sku: &str, position: i64) -> Variant {
        Variant {
            id: self.mint(),
            inventory_item: self.mint(),
            sku: (!sku.is_empty()).then(|| sku.into()),
            price: Decimal::new(1_250 + 100 * position, 2),
            position,
            updated_at: self.now(),
        }
    }

    /// A product as it is.
    ///
    /// # Errors
    /// If there is none.
    pub fn product(&self, id: i64) -> Result<&Product, Missing> {
        self.products.get(&id).ok_or(Missing { kind: "product", id })
    }

    /// A variant as it is, and its product.
    ///
    /// # Errors
    /// If there is none.
    pub fn variant(&self, id: i64) -> Result<(&Product, &Variant), Missing> {
        let missing = Missing { kind: "variant", id };
        let product = self.product(*self.product_of.get(&id).ok_or(missing)?)?;
        Ok((product, product.variants.iter().find(|variant| variant.id == id).ok_or(missing)?))
    }

    fn change_product(&mut self, id: i64, change: impl FnOnce(&mut Product, DateTime<Utc>)) -> Result<(), Missing> {
        let now = self.now();
        let product = self.products.get_mut(&id).ok_or(Missing { kind: "product", id })?;
        self.products_by_change.remove(&(product.updated_at, id));
        change(product, now);
        product.updated_at = now.max(product.updated_at);
        self.products_by_change.insert((product.updated_at, id));
        self.newsroom.product("products/update", product);
        Ok(())
    }

    /// Gives a variant another SKU code; empty: none.
    ///
    /// # Errors
    /// If it is not there.
    pub fn rename_sku(&mut self, variant: i64, sku: &str) -> Result<(), Missing> {
        let product = *self.product_of.get(&variant).ok_or(Missing { kind: "variant", id: variant })?;
        self.change_product(product, |product, now| {
            for of in product.variants.iter_mut().filter(|of| of.id == variant) {
                of.sku = (!sku.is_empty()).then(|| sku.into());
                of.updated_at = now;
            }
        })
    }

    /// Adds a variant to a product; its id.
    ///
    /// # Errors
    /// If it is not there.
    pub fn add_variant(&mut self, product: i64, sku: &str) -> Result<i64, Missing> {
        let position = self.product(product)?.variants.iter().map(|variant| variant.position).max().unwrap_or(0) + 1;
        let variant = self.new_variant(sku, position);
        let id = variant.id;
        self.product_of.insert(id, product);
        self.change_product(product, |product, _| product.variants.push(variant))?;
        Ok(id)
    }

    /// Changes nothing that matters to stock, such as a description.
    ///
    /// # Errors
    /// If it is not there.
    pub fn touch_product(&mut self, product: i64) -> Result<(), Missing> {
        self.change_product(product, |_, _| {})
    }

    /// Sets a product's status: ACTIVE, DRAFT, ARCHIVED, UNLISTED.
    ///
    /// # Errors
    /// If it is not there.
    pub fn set_product_status(&mut self, product: i64, status: &'static str) -> Result<(), Missing> {
        self.change_product(product, |product, _| product.status = status)
    }

    /// Deletes a variant.
    ///
    /// # Errors
    /// If it is not there.
    pub fn delete_variant(&mut self, variant: i64) -> Result<(), Missing> {
        let product = self.product_of.remove(&variant).ok_or(Missing { kind: "variant", id: variant })?;
        self.change_product(product, |product, _| product.variants.retain(|of| of.id != variant))
    }

    /// Deletes a product; an event remembers it.
    ///
    /// # Errors
    /// If it is not there.
    pub fn delete_product(&mut self, id: i64) -> Result<(), Missing> {
        let gone = self.products.remove(&id).ok_or(Missing { kind: "product", id })?;
        self.products_by_change.remove(&(gone.updated_at, id));
        for variant in &gone.variants {
            self.product_of.remove(&variant.id);
        }
        let destroyed = Destroyed { id: self.mint(), product: id, at: self.now() };
        self.destroyed.push(destroyed);
        self.newsroom.gone("products/delete", id);
        Ok(())
    }

    /// Makes a location; its id.
    pub fn add_location(&mut self, name: &str) -> i64 {
        let id = self.mint();
        self.locations.insert(id, Location { id, name: name.to_owned(), active: true });
        self.newsroom.location("locations/create", id, name, true);
        id
    }

    /// Takes a location out of use, or into use again.
    ///
    /// # Errors
    /// If it is not there.
    pub fn set_location_active(&mut self, id: i64, active: bool) -> Result<(), Missing> {
        let location = self.locations.get_mut(&id).ok_or(Missing { kind: "location", id })?;
        location.active = active;
        self.newsroom.location("locations/update", id, &location.name, active);
        Ok(())
    }
}
