//! What happens in the shop: mostly new orders, and everything that people do to orders afterwards.

use super::random::Random;
use super::shop::Shop;
use super::standin::{Back, Missing, NewOrder, World};

/// Orders that something may still happen to; older ones are left alone.
const REMEMBERED: usize = 200;

/// Lets things happen, one at a time.
#[derive(Debug)]
pub(super) struct Traffic<'s> {
    shop: &'s Shop,
    random: Random,
    unpaid: Vec<i64>,
    open: Vec<i64>,
    sent: Vec<i64>,
    charges: Vec<i64>,
    /// Orders of Recharge that the shop does not have yet.
    unlinked: Vec<i64>,
}

impl<'s> Traffic<'s> {
    pub(super) fn new(shop: &'s Shop, seed: u64) -> Self {
        let charges = shop.charges.clone();
        let (unpaid, open, sent, unlinked) = Default::default();
        Self { shop, random: Random::new(seed), unpaid, open, sent, charges, unlinked }
    }

    /// One thing happens.
    pub(super) fn step(&mut self, world: &mut World) -> Result<(), Missing> {
        for remembered in [&mut self.unpaid, &mut self.open, &mut self.sent] {
            let old = remembered.len().saturating_sub(REMEMBERED);
            remembered.drain(..old);
        }
        match self.random.below(100) {
            0..45 => self.order(world),
            45..53 => self.pay(world),
            53..73 => self.send(world),
            73..79 => self.edit(world),
            79..85 => self.give_back(world),
            85..90 => self.cancel(world),
            90..92 => self.cancel_parcel(world),
            92..97 => self.charge(world),
            _ => self.link(world),
        }
    }

    fn take(random: &mut Random, from: &mut Vec<i64>) -> Option<i64> {
        if from.is_empty() { None } else { Some(from.swap_remove(random.below(from.len()))) }
    }

    fn order(&mut self, world: &mut World) -> Result<(), Missing> {
        let mut order = NewOrder::of(&self.shop.cart(&mut self.random));
        match self.random.below(20) {
            0..4 => order = order.unpaid(),
            4 => order = order.test(),
            5 => order = order.custom("Engraving", 1),
            _ => {}
        }
        let paid = order.paid;
        let made = world.create_order(order)?;
        if paid {
            self.open.push(made);
        } else {
            self.unpaid.push(made);
        }
        Ok(())
    }

    fn pay(&mut self, world: &mut World) -> Result<(), Missing> {
        let Some(order) = Self::take(&mut self.random, &mut self.unpaid) else { return Ok(()) };
        self.open.push(order);
        world.pay(order)
    }

    /// All of an order, or its first line.
    fn send(&mut self, world: &mut World) -> Result<(), Missing> {
        let Some(order) = Self::take(&mut self.random, &mut self.open) else { return Ok(()) };
        let of = world.order(order)?;
        let first = of.lines.first().map(|line| (line.id, of.unfulfilled(line))).filter(|(_, open)| *open > 0);
        let location = Some(self.shop.location);
        match first {
            Some(first) if self.random.below(4) == 0 => drop(world.fulfil(order, &[first], location)?),
            _ => drop(world.fulfil_rest(order, location)?),
        }
        let left = world.order(order)?.fulfilment_status() != "FULFILLED";
        if left {
            self.open.push(order);
        } else {
            self.sent.push(order);
        }
        Ok(())
    }

    fn edit(&mut self, world: &mut World) -> Result<(), Missing> {
        let Some(&order) = self.random.one_of(&self.open) else { return Ok(()) };
        if self.random.below(3) == 0 {
            let Some((variant, _)) = self.random.one_of(&self.shop.variants) else { return Ok(()) };
            return world.add_line(order, *variant, 1).map(drop);
        }
        let of = world.order(order)?;
        let Some(line) = of.lines.first().filter(|line| of.fulfilled(line.id) == 0) else { return Ok(()) };
        let line = line.id;
        world.edit_quantity(order, line, self.random.between(1, 3))
    }

    /// A unit of something that was sent comes back to the shelf, or only the money does.
    fn give_back(&mut self, world: &mut World) -> Result<(), Missing> {
        let Some(order) = Self::take(&mut self.random, &mut self.sent) else { return Ok(()) };
        let of = world.order(order)?;
        let Some(line) = of.lines.iter().find(|line| of.fulfilled(line.id) > 0) else { return Ok(()) };
        let back = match self.random.below(3) {
            0 => Back::money(line.id, 1),
            _ => Back::returned(line.id, 1, Some(self.shop.location)),
        };
        world.refund(order, &[back]).map(drop)
    }

    fn cancel(&mut self, world: &mut World) -> Result<(), Missing> {
        let Some(order) = Self::take(&mut self.random, &mut self.open) else { return Ok(()) };
        world.cancel(order, true)
    }

    fn cancel_parcel(&mut self, world: &mut World) -> Result<(), Missing> {
        let Some(order) = Self::take(&mut self.random, &mut self.sent) else { return Ok(()) };
        let parcel = world.order(order)?.fulfilments.last().map(|parcel| parcel.id);
        self.open.push(order);
        parcel.map_or(Ok(()), |parcel| world.cancel_fulfilment(parcel))
    }

    /// A subscription is charged, moved or skipped.
    fn charge(&mut self, world: &mut World) -> Result<(), Missing> {
        let Some(charge) = Self::take(&mut self.random, &mut self.charges) else { return Ok(()) };
        let scheduled = world.charge(charge)?.scheduled;
        match self.random.below(4) {
            0 => {
                let later = scheduled.checked_add_days(chrono::Days::new(7)).unwrap_or(scheduled);
                world.move_charge(charge, later)?;
                self.charges.push(charge);
            }
            1 => self.charges.push(world.skip_charge(charge)?),
            _ => {
                let linked = self.random.below(2) == 0;
                let order = world.process_charge(charge, linked)?;
                if !linked {
                    self.unlinked.push(order);
                }
                self.charges.extend(world.newest_charge());
            }
        }
        Ok(())
    }

    fn link(&mut self, world: &mut World) -> Result<(), Missing> {
        let Some(order) = Self::take(&mut self.random, &mut self.unlinked) else { return Ok(()) };
        self.open.push(world.link(order)?);
        Ok(())
    }
}
