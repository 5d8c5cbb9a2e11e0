//! How a hold lasts longer.

use chrono::TimeDelta;

use super::{Cart, Claim, Reference, Verdict, refused};
use crate::ids::SkuId;
use crate::ledger::command::Extend;
use crate::reservations::state::{Origin, State};

impl Reference {
    pub(super) fn extend(&mut self, extend: &Extend) -> Result<Verdict, Verdict> {
        let cart = self.cart(extend.id.uuid)?;
        let skus: Vec<(SkuId, i64)> = cart.claims.iter().map(|claim| (claim.sku, 0)).collect();
        let ttl = extend.ttl_seconds.unwrap_or_else(|| self.least(&skus, |policy| policy.hold_ttl_seconds));
        let longest = self.least(&skus, |policy| policy.longest_hold_seconds);
        match cart.state() {
            State::Held => {
                let mut until = self.now + TimeDelta::seconds(ttl);
                if extend.ttl_seconds.is_none() {
                    until = until.min(cart.latest);
                }
                if until > cart.latest || extend.ttl_seconds.is_none() && cart.expires_at == cart.latest {
                    return refused("exceeds_longest_hold");
                }
                let cart = self.carts.get_mut(&extend.id.uuid).unwrap();
                cart.expires_at = cart.expires_at.max(until);
                Ok(Verdict::Shows(extend.id.uuid, false))
            }
            State::Expired => {
                let ttl = if extend.ttl_seconds.is_none() { ttl.min(longest) } else { ttl };
                self.extend_late(extend, ttl, longest)
            }
            _ => refused("invalid_transition"),
        }
    }

    fn extend_late(&mut self, extend: &Extend, ttl: i64, longest: i64) -> Result<Verdict, Verdict> {
        if let Some((id, _)) = self.successor(extend.id.uuid, Origin::Extension) {
            return Ok(Verdict::Shows(id, true));
        }
        if self.successor(extend.id.uuid, Origin::LateCommit).is_some() {
            return refused("invalid_transition");
        }
        if ttl > longest {
            return refused("unprocessable");
        }
        let cart = &self.carts[&extend.id.uuid];
        let lost = cart.claims.iter().filter(|claim| claim.expired > 0);
        let claims: Vec<Claim> =
            lost.map(|claim| Claim::new(claim.line, claim.sku, claim.expired, claim.expired)).collect();
        let asked: Vec<(SkuId, i64)> = claims.iter().map(|claim| (claim.sku, claim.asked)).collect();
        let short = self.short(&asked, |_| 0);
        if !short.is_empty() {
            return Err(Verdict::Refused("hold_expired", short));
        }
        if self.holder(cart.client, cart.reference.as_ref()).is_some() {
            return refused("client_reference_in_use");
        }
        let successor = Cart {
            origin: Origin::Extension,
            replaces: Some(extend.id.uuid),
            expires_at: self.now + TimeDelta::seconds(ttl),
            latest: self.now + TimeDelta::seconds(longest),
            claims,
            ..cart.clone()
        };
        self.make(extend.successor_id.uuid, successor);
        Ok(Verdict::Shows(extend.successor_id.uuid, true))
    }
}
