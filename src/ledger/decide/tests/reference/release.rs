//! What goes back.

use super::{Claim, Reference, Verdict, check_named, refused, target};
use crate::ledger::command::{LineQuantity, Release};
use crate::reservations::state::State;

impl Reference {
    pub(super) fn release(&mut self, release: &Release) -> Result<Verdict, Verdict> {
        let canceled = release.reason.as_deref() == Some("order_canceled");
        let cart = self.cart(release.id.uuid)?;
        let shows = Ok(Verdict::Shows(release.id.uuid, false));
        match cart.state() {
            State::Committed if !canceled => return refused("invalid_transition"),
            State::Held | State::Committed => {}
            _ => return shows,
        }
        let cancellable = |claim: &Claim| if canceled { claim.committed } else { 0 };
        if let Some(lines) = &release.lines {
            check_named(cart, lines)?;
            let most = |named: &LineQuantity| cart.claim(named.line).map_or(0, |claim| claim.held + cancellable(claim));
            if lines.iter().any(|named| named.quantity > most(named)) {
                return refused("exceeds_held");
            }
        }
        let cart = self.carts.get_mut(&release.id.uuid).unwrap();
        for claim in &mut cart.claims {
            let units = match &release.lines {
                None => claim.held + cancellable(claim),
                Some(lines) => target(lines, claim.line).unwrap_or(0),
            };
            let back = units.min(claim.held);
            claim.held -= back;
            claim.released += back;
            claim.committed -= units - back;
            claim.cancelled += units - back;
        }
        cart.ended = State::Released;
        shows
    }
}
