//! What an order takes, in time and late.

use uuid::Uuid;

use super::{Cart, Claim, Reference, Verdict, check_named, refused, target};
use crate::ids::{ReservationId, SkuId};
use crate::ledger::command::{Commit, LineQuantity, OnShortage, Remainder};
use crate::reservations::state::{Origin, State};

impl Reference {
    pub(super) fn commit(&mut self, commit: &Commit) -> Result<Verdict, Verdict> {
        let cart = self.cart(commit.id.uuid)?;
        if cart.order.as_ref().is_some_and(|order| *order != commit.order_ref) {
            return refused("order_ref_conflict");
        }
        if cart.state() == State::Expired
            && let Some((extension, _)) = self.successor(commit.id.uuid, Origin::Extension)
        {
            return self.commit_extension(commit, extension);
        }
        match cart.state() {
            State::Held => self.commit_in_time(commit),
            State::Expired => self.commit_late(commit),
            State::Released if cart.claims.iter().any(|claim| claim.handed_over > 0) => self.commit_late(commit),
            State::Committed if wants_more(commit, cart) => self.commit_late(commit),
            State::Committed => commit_again(commit, cart),
            _ => refused("invalid_transition"),
        }
    }

    fn commit_extension(&mut self, commit: &Commit, extension: Uuid) -> Result<Verdict, Verdict> {
        let cart = &self.carts[&extension];
        if cart.order.as_ref().is_some_and(|order| *order != commit.order_ref) {
            return refused("order_ref_conflict");
        }
        let through = Commit { id: ReservationId { uuid: extension, ..commit.id }, ..commit.clone() };
        match cart.state() {
            State::Held => self.commit_in_time(&through)?,
            State::Committed if !wants_more(commit, cart) => commit_again(&through, cart)?,
            _ => return refused("invalid_transition"),
        };
        Ok(Verdict::Shows(extension, true))
    }

    fn commit_in_time(&mut self, commit: &Commit) -> Result<Verdict, Verdict> {
        let cart = self.carts.get_mut(&commit.id.uuid).unwrap();
        if let Some(lines) = &commit.lines {
            check_targets(cart, lines, |claim| claim.ordered() + claim.held)?;
        }
        let mut took = 0;
        for claim in &mut cart.claims {
            let units = match &commit.lines {
                None => claim.held,
                Some(lines) => target(lines, claim.line).map_or(0, |target| target - claim.ordered()).max(0),
            };
            claim.held -= units;
            claim.committed += units;
            took += units;
        }
        cart.order = Some(commit.order_ref.clone());
        if took > 0 && commit.remainder == Remainder::Release {
            cart.give_back(State::Released);
        }
        Ok(Verdict::Shows(commit.id.uuid, false))
    }

    fn commit_late(&mut self, commit: &Commit) -> Result<Verdict, Verdict> {
        let cart = &self.carts[&commit.id.uuid];
        let lines = commit.lines.as_deref();
        if let Some((id, successor)) = self.successor(commit.id.uuid, Origin::LateCommit) {
            if successor.order.as_ref() != Some(&commit.order_ref) {
                return refused("order_ref_conflict");
            }
            let ordered = |claim: &Claim| successor.claim(claim.line).map_or(0, Claim::ordered);
            check_targets(cart, lines.unwrap_or_default(), |claim| claim.ordered() + ordered(claim))?;
            let fewer = lines.into_iter().flatten().any(|named| {
                let again = named.quantity - cart.claim(named.line).map_or(0, Claim::ordered);
                successor.claim(named.line).is_some_and(|claim| again < claim.committed)
            });
            return if fewer { refused("invalid_transition") } else { Ok(Verdict::Shows(id, true)) };
        }
        let mut claims: Vec<Claim> = Vec::new();
        check_targets(cart, lines.unwrap_or_default(), |claim| claim.ordered() + claim.lost())?;
        for claim in &cart.claims {
            let units = match lines {
                None => claim.lost(),
                Some(lines) => target(lines, claim.line).map_or(0, |target| target - claim.ordered()),
            };
            if units > 0 {
                claims.push(Claim { held: 0, committed: units, ..Claim::new(claim.line, claim.sku, units, units) });
            }
        }
        let asked: Vec<(SkuId, i64)> = claims.iter().map(|claim| (claim.sku, claim.asked)).collect();
        let short = self.short(&asked, |_| 0);
        if !short.is_empty() && commit.on_shortage == OnShortage::Refuse {
            return Err(Verdict::Refused("hold_expired", short));
        }
        let reference = cart.reference.clone();
        let successor = Cart {
            origin: Origin::LateCommit,
            replaces: Some(commit.id.uuid),
            reference: if self.holder(cart.client, reference.as_ref()).is_some() { None } else { reference },
            order: Some(commit.order_ref.clone()),
            expires_at: self.now,
            latest: self.now,
            claims,
            ..cart.clone()
        };
        self.make(commit.successor_id.uuid, successor);
        Ok(Verdict::Shows(commit.successor_id.uuid, true))
    }
}

/// Whether units are asked for, by name or as everything, that were kept for the order and have expired.
fn wants_more(commit: &Commit, cart: &Cart) -> bool {
    let mut kept = cart.claims.iter().filter(|claim| claim.expired > 0);
    match &commit.lines {
        None => kept.next().is_some(),
        Some(lines) => kept.any(|claim| target(lines, claim.line).is_some_and(|target| target > claim.ordered())),
    }
}

/// The same order once more.
fn commit_again(commit: &Commit, cart: &Cart) -> Result<Verdict, Verdict> {
    check_targets(cart, commit.lines.as_deref().unwrap_or_default(), Claim::ordered)?;
    Ok(Verdict::Shows(commit.id.uuid, false))
}

/// Whether every named line can come to its target: not beyond `most`, not below what the order owns.
fn check_targets(cart: &Cart, lines: &[LineQuantity], most: impl Fn(&Claim) -> i64) -> Result<(), Verdict> {
    check_named(cart, lines)?;
    let named = || lines.iter().map(|named| (named.quantity, cart.claim(named.line).unwrap()));
    if named().any(|(target, claim)| target > most(claim)) {
        return refused("exceeds_held");
    }
    if named().any(|(target, claim)| target < claim.committed) { refused("invalid_transition") } else { Ok(()) }
}
