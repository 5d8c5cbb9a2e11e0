//! What a cart may have.

use chrono::TimeDelta;

use super::{Cart, Claim, Reference, Verdict, refused};
use crate::ids::{ClientId, SkuId};
use crate::ledger::command::Hold;
use crate::reservations::state::{Origin, State};

impl Reference {
    pub(super) fn hold(&mut self, client: ClientId, hold: &Hold) -> Result<Verdict, Verdict> {
        let known: Option<Vec<(i16, SkuId, i64)>> = hold
            .lines
            .iter()
            .map(|line| Some((line.line, self.catalogue.sku_by_code(&line.sku)?.id, line.quantity)))
            .collect();
        let Some(lines) = known else { return refused("unprocessable") };
        let asked: Vec<(SkuId, i64)> = lines.iter().map(|(_, sku, units)| (*sku, *units)).collect();
        let longest = self.least(&asked, |policy| policy.longest_hold_seconds);
        let ttl = hold.ttl_seconds.unwrap_or_else(|| self.least(&asked, |policy| policy.hold_ttl_seconds).min(longest));
        let too_many = asked.iter().any(|(sku, _)| {
            let sum: i64 = asked.iter().filter(|(own, _)| own == sku).map(|(_, units)| units).sum();
            sum > self.policy(*sku).max_per_hold_quantity
        });
        if ttl > longest || too_many {
            return refused("unprocessable");
        }
        let older = hold.supersedes.map(|id| id.uuid);
        self.may_supersede(client, hold)?;
        if self.holder(client, hold.client_reference.as_ref()).is_some_and(|holder| Some(holder) != older) {
            return refused("client_reference_in_use");
        }
        let handed_over = |sku| {
            let claims = older.iter().flat_map(|id| &self.carts[id].claims);
            claims.filter(|claim| claim.sku == sku).map(|claim| claim.held).sum::<i64>()
        };
        let short = self.short(&asked, handed_over);
        let mut claims: Vec<Claim> = Vec::new();
        for (line, sku, units) in lines {
            let got = match short.get(&sku) {
                Some((_, free)) => {
                    let taken: i64 = claims.iter().filter(|claim| claim.sku == sku).map(|claim| claim.held).sum();
                    (free - taken).clamp(0, units)
                }
                None => units,
            };
            claims.push(Claim::new(line, sku, units, got));
        }
        if !short.is_empty() && !hold.allow_partial || claims.iter().all(|claim| claim.held == 0) {
            return Err(Verdict::Refused("insufficient_stock", short));
        }
        if let Some(cart) = older.and_then(|id| self.carts.get_mut(&id))
            && cart.state() == State::Held
        {
            cart.hand_over();
        }
        let cart = Cart {
            client,
            origin: if older.is_some() { Origin::Supersede } else { Origin::Checkout },
            replaces: older,
            reference: hold.client_reference.clone(),
            owner: hold.owner.clone(),
            order: None,
            expires_at: self.now + TimeDelta::seconds(ttl),
            latest: self.now + TimeDelta::seconds(longest),
            claims,
            ended: State::Held,
        };
        self.make(hold.id.uuid, cart);
        Ok(Verdict::Held(hold.id.uuid))
    }

    fn may_supersede(&self, client: ClientId, hold: &Hold) -> Result<(), Verdict> {
        let Some(id) = hold.supersedes else { return Ok(()) };
        let Some(older) = self.carts.get(&id.uuid) else { return refused("unprocessable") };
        if older.client != client || older.owner != hold.owner {
            return refused("supersedes_other_owner");
        }
        if self.successor(id.uuid, Origin::Supersede).is_some() {
            return refused("already_superseded");
        }
        if older.order.is_some() { refused("invalid_transition") } else { Ok(()) }
    }
}
