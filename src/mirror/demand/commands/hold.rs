//! What is held for an order until it is paid: as far as there is stock, once, and following the order's edits.

use super::{Failure, Teller};
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
    ) -> Result<Option<Finding>, Failure> {
        match &hold.current {
            Some((_, current)) if current.requested == hold.wanted => Ok(None),
            Some((id, _)) if hold.wanted.is_empty() => self.release(*id).await,
            None if hold.wanted.is_empty() => Ok(None),
            _ => self.take(revision, hold, pool).await,
        }
    }

    async fn release(&self, id: ReservationId) -> Result<Option<Finding>, Failure> {
        let release = Release { id, lines: None, reason: Some("order_edited".to_owned()) };
        let answer = self.submit(id.pool, None, Command::Release(release)).await?;
        Self::refusal(&answer).map_or(Ok(None), |text| Err(Failure(format!("hold {id} was not given back: {text}"))))
    }

    async fn take(&self, revision: i64, hold: &work::Hold, pool: PoolId) -> Result<Option<Finding>, Failure> {
        let catalogue = self.app.catalogue.current();
        let mut ttl_seconds = i64::try_from(self.app.mirror.settings.unpaid_hold.as_secs()).unwrap_or(i64::MAX);
        let mut lines = Vec::new();
        for (id, quantity) in &hold.wanted {
            let Some(sku) = catalogue.sku(*id) else { continue };
            ttl_seconds = catalogue.policy(sku).map_or(ttl_seconds, |own| ttl_seconds.min(own.longest_hold_seconds));
            lines.push((std::sync::Arc::clone(&sku.code), *quantity));
        }
        lines.sort();
        let Some((first, _)) = lines.first() else { return Ok(None) };
        let reference = hold_reference(self.key);
        let (key, supersedes) = match &hold.current {
            None => (format!("hold/{reference}"), None),
            Some((id, current)) => {
                // An edit is no reason to hold for longer.
                let left = (current.expires_at - self.app.clock.local_now()).num_seconds();
                ttl_seconds = ttl_seconds.min(left.max(1));
                (format!("hold/{reference}/{revision}"), Some(*id))
            }
        };
        let command = Hold {
            id: ReservationId::new(pool, hint_of_sku(first)),
            lines: (1..).zip(lines).map(|(line, (sku, quantity))| HoldLine { line, sku, quantity }).collect(),
            variants: Vec::new(),
            ttl_seconds: Some(ttl_seconds),
            client_reference: Some(reference),
            owner: None,
            metadata: None,
            allow_partial: true,
            supersedes,
        };
        let key = Key { key, fingerprint: [0; 32] };
        let answer = self.submit(pool, Some(key), Command::Hold(command)).await?;
        Ok(Self::refusal(&answer).map(|text| Finding::new("unpaid_order_not_held", text)))
    }
}
