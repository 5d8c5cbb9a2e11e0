//! Looking at everything, and what happens behind everybody's back: for comparing copies with what they are copies of.

use super::{Charge, Customer, Location, Missing, Order, Product, RechargeOrder, Subscription, World};

impl World {
    /// Every order of the shop, by id.
    pub fn all_orders(&self) -> impl Iterator<Item = &Order> {
        self.orders.values()
    }

    /// Every product, by id.
    pub fn all_products(&self) -> impl Iterator<Item = &Product> {
        self.products.values()
    }

    /// Every location, by id.
    pub fn all_locations(&self) -> impl Iterator<Item = &Location> {
        self.locations.values()
    }

    /// Every customer of Recharge, by id.
    pub fn all_customers(&self) -> impl Iterator<Item = &Customer> {
        self.recharge.customers.values()
    }

    /// Every subscription, by id.
    pub fn all_subscriptions(&self) -> impl Iterator<Item = &Subscription> {
        self.recharge.subscriptions.values()
    }

    /// Every charge, by id.
    pub fn all_charges(&self) -> impl Iterator<Item = &Charge> {
        self.recharge.charges.values()
    }

    /// Every order of Recharge, by id.
    pub fn all_recharge_orders(&self) -> impl Iterator<Item = &RechargeOrder> {
        self.recharge.orders.values()
    }

    /// Deletes a customer of Recharge: it is not found any more, and nobody is told.
    ///
    /// # Errors
    /// If it is not there.
    pub fn delete_customer(&mut self, id: i64) -> Result<(), Missing> {
        self.recharge.customers.remove(&id).map(drop).ok_or(Missing { kind: "customer", id })
    }

    /// Deletes a subscription: it is not found any more, and nobody is told.
    ///
    /// # Errors
    /// If it is not there.
    pub fn delete_subscription(&mut self, id: i64) -> Result<(), Missing> {
        self.recharge.subscriptions.remove(&id).map(drop).ok_or(Missing { kind: "subscription", id })
    }

    /// Closes an order without a word: its last change stays what it was, as Shopify does where it was closed before.
    ///
    /// # Errors
    /// If it is not there.
    pub fn close_silently(&mut self, id: i64) -> Result<(), Missing> {
        let now = self.now();
        let order = self.orders.get_mut(&id).ok_or(Missing { kind: "order", id })?;
        order.closed_at = Some(now);
        Ok(())
    }

    /// Gives a variant another SKU code without a word: neither its last change nor its product's moves.
    ///
    /// # Errors
    /// If it is not there.
    pub fn rename_sku_silently(&mut self, variant: i64, sku: &str) -> Result<(), Missing> {
        let missing = Missing { kind: "variant", id: variant };
        let product = self.product_of.get(&variant).and_then(|id| self.products.get_mut(id)).ok_or(missing)?;
        product.variants.iter_mut().filter(|of| of.id == variant).for_each(|of| of.sku = Some(sku.into()));
        Ok(())
    }

    /// From now on, the shop's tokens lack this scope.
    pub fn take_scope(&mut self, scope: &str) {
        self.scopes.retain(|of| *of != scope);
    }

    /// Makes a charge one that cannot be read: how many of its items are charged for is not told any more.
    ///
    /// # Errors
    /// If it is not there.
    pub fn garble_charge(&mut self, id: i64) -> Result<(), Missing> {
        let charge = self.recharge.charges.get_mut(&id).ok_or(Missing { kind: "charge", id })?;
        charge.items.iter_mut().for_each(|item| item.quantity = -1);
        Ok(())
    }
}
