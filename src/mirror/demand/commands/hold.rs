//! What is held for an order until it is paid: as far as there is stock, once, and following the order's edits.

use chrono::TimeDelta;

use super::{Failure, Teller, Told};
use crate::ids::{PoolId, ReservationId};
use crate::ledger::command::{Command, Hold, HoldLine, Release};
use crate::ledger::lanes::hint_of_sku;
use crate::ledger::submission::Key;
use crate::mirror::demand::plan::Finding;
use crate::mirror::demand::progress::hold_reference;
use crate::mirror::demand::work;

impl Teller<'_> {
    /// Brings the hold to what is wanted. One that has ended is not made again: its time was the order's time to be paid.
    pub(super) async fn hold(
        &self,
        revision: i64,
        hold: &work::Hold,
        pool: PoolId,
        told: &mut Told,
    ) -> Result<(), Failure> {
        told.held_until = hold.until;
        match &hold.current {
            Some((_, current)) if current.requested == hold.wanted => Ok(()),
            Some((id, _)) if hold.wanted.is_empty() => self.release(*id, "order_edited").await,
            None if hold.wanted.is_empty() || hold.until.is_some_and(|until| until <= self.app.clock.local_now()) => {
                Ok(())
            }
            _ => self.take(revision, hold, pool, told).await,
        }
    }

    pub(super) async fn release(&self, id: ReservationId, reason: &str) -> Result<(), Failure> {
        let release = Release { id, lines: None, reason: Some(reason.to_owned()) };
        let answer = self.submit(id.pool, None, Command::Release(release)).await?;
        Self::refusal(&answer).map_or(Ok(()), |text| Err(Failure(format!("hold {id} was not given back: {text}"))))
    }

    async fn take(&self, revision: i64, hold: &work::Hold, pool: PoolId, told: &mut Told) -> Result<(), Failure> {
        let catalogue = self.app.catalogue.current();
        let mut ttl_seconds = i64::try_from(self.app.mirror.settings.unpaid_hold.as_secs()).unwrap_or(i64::MAX);
        let mut lines = Vec::new();
        for (id, quantity) in &hold.wanted {
            let Some(sku) = catalogue.sku(*id) else { continue };
            ttl_seconds = catalogue.policy(sku).map_or(ttl_seconds, |own| ttl_seconds.min(own.longest_hold_seconds));
            lines.push((std::sync::Arc::clone(&sku.code), *quantity));
        }
        lines.sort();
        let Some((first, _)) = lines.first() else { return Ok(()) };
        let now = self.app.clock.local_now();
        if let Some(until) = hold.until {
            ttl_seconds = ttl_seconds.min((until - now).num_seconds()).max(1);
        }
        let reference = hold_reference(self.key);
        let key = format!("hold/{reference}/{revision}");
        let command = Hold {
            id: ReservationId::new(pool, hint_of_sku(first)),
            lines: (1..).zip(lines).map(|(line, (sku, quantity))| HoldLine { line, sku, quantity }).collect(),
            variants: Vec::new(),
            ttl_seconds: Some(ttl_seconds),
            client_reference: Some(reference),
            owner: None,
            metadata: None,
            allow_partial: true,
            supersedes: hold.current.as_ref().map(|(id, _)| *id),
        };
        let key = Key { key, fingerprint: [0; 32] };
        let answer = self.submit(pool, Some(key), Command::Hold(command)).await?;
        match Self::refusal(&answer) {
            Some(text) => told.findings.push(Finding::new("unpaid_order_not_held", text)),
            None => told.held_until = hold.until.or(TimeDelta::try_seconds(ttl_seconds).map(|ttl| now + ttl)),
        }
        Ok(())
    }
}
