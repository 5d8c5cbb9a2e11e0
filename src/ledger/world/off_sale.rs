//! What is off sale: lots past their expiry, lots that somebody keeps from sale, and every unit on the shelf that belongs
//! to one of them.

use chrono::NaiveDate;
use uuid::Uuid;

use super::{HOUSE, Posting, World};
use crate::ids::{ClientId, SkuId};
use crate::ledger::balance::Delta;
use crate::ledger::entry::EntryKind;
use crate::ledger::goods::{LotMove, LotMoveKind, LotStatus};
use crate::ledger::outcome::LotRecord;

/// Why units of a lot that is off sale go off sale later than the lot did.
pub(in crate::ledger) const LOT_OFF_SALE: &str = "its lot is off sale";

impl World<'_> {
    /// Takes every lot off sale that is past its expiry, on every shelf that says it has one.
    pub(in crate::ledger) fn expire_due_lots(&mut self) {
        let today = self.today();
        let mut due: Vec<SkuId> = self
            .shelves
            .iter()
            .filter(|(_, shelf)| shelf.next_expires_date.is_some_and(|date| date <= today))
            .map(|(sku, _)| *sku)
            .collect();
        due.sort_unstable();
        for sku in due {
            self.expire_lots(sku, today);
        }
    }

    fn expire_lots(&mut self, sku: SkuId, today: NaiveDate) {
        let present = self.present(sku);
        let past: Vec<Uuid> = self
            .lots_of(sku)
            .filter(|lot| {
                lot.status == LotStatus::Available && lot.received.expires_date.is_some_and(|date| date <= today)
            })
            .map(|lot| lot.id.uuid)
            .collect();
        for lot in past {
            let units = present.get(&lot).copied().unwrap_or(0);
            self.take_off_sale(HOUSE, sku, lot, units, LotStatus::Expired, "expired");
        }
        let next = self
            .lots_of(sku)
            .filter(|lot| lot.status == LotStatus::Available)
            .filter_map(|lot| lot.received.expires_date)
            .min();
        self.set_next_expiry(sku, next);
    }

    /// Quarantines `units` of a lot and gives it a status that says so.
    pub(in crate::ledger) fn take_off_sale(
        &mut self,
        client: ClientId,
        sku: SkuId,
        lot: Uuid,
        units: i64,
        status: LotStatus,
        reason: &str,
    ) {
        self.quarantine(client, sku, lot, units, Some((status, Some(reason.to_owned()))), reason);
    }

    /// Whatever is on the shelf of a lot that is off sale is off sale. Units of it that had shipped when it went off sale
    /// may be there again, voided, or be taken from another lot when their day is closed. To be called whenever it may
    /// have changed which lots shipped units will be taken from. That more ships never makes it less that a lot gives,
    /// and neither does taking from a lot what is on the shelf.
    ///
    /// At most what the shelf has: of units that no lot will give, because all of them have expired, nobody knows
    /// whose they were until their shortage is settled.
    pub(in crate::ledger) fn keep_off_sale(&mut self, client: ClientId, sku: SkuId, reason: &str) {
        let off_sale = |lot: &&LotRecord| lot.status != LotStatus::Available && lot.remaining > lot.quarantined;
        let of_sku = self.goods.off_sale.range((sku, Uuid::nil())..=(sku, Uuid::max()));
        let lots: Vec<Uuid> =
            of_sku.filter_map(|(_, lot)| self.lot(*lot)).filter(off_sale).map(|lot| lot.id.uuid).collect();
        if lots.is_empty() {
            return;
        }
        let present = self.present(sku);
        for lot in lots {
            self.hold_back(client, sku, lot, present.get(&lot).copied().unwrap_or(0), reason);
        }
    }

    /// Quarantines more of a lot that is off sale.
    pub(in crate::ledger) fn hold_back(&mut self, client: ClientId, sku: SkuId, lot: Uuid, units: i64, reason: &str) {
        let balance = self.balance(sku);
        if units.min(balance.on_hand - balance.quarantined) > 0 {
            self.quarantine(client, sku, lot, units, None, reason);
        }
    }

    fn quarantine(
        &mut self,
        client: ClientId,
        sku: SkuId,
        lot: Uuid,
        units: i64,
        status: Option<(LotStatus, Option<String>)>,
        reason: &str,
    ) {
        let balance = self.balance(sku);
        let units = units.min(balance.on_hand - balance.quarantined).max(0);
        self.move_lot(LotMove {
            lot,
            kind: LotMoveKind::Quarantine,
            source_ref: None,
            quantity: 0,
            quarantined: units,
            status,
            revalued: None,
            value: None,
            reason: Some(reason.to_owned()),
            shipment: None,
            business_date: self.booked_today(),
            client,
        });
        self.post_for(
            client,
            sku,
            EntryKind::Quarantine,
            Posting {
                delta: Delta { quarantined: units, ..Delta::default() },
                lot: Some(lot),
                reason: Some(reason.to_owned()),
                ..Posting::default()
            },
        );
    }

    /// Makes sure that the shelf knows of a lot that expires.
    pub(in crate::ledger) fn expects_expiry(&mut self, sku: SkuId, date: Option<NaiveDate>) {
        let known = self.shelves.get(&sku).and_then(|shelf| shelf.next_expires_date);
        if let Some(date) = date
            && known.is_none_or(|known| date < known)
        {
            self.set_next_expiry(sku, Some(date));
        }
    }

    fn set_next_expiry(&mut self, sku: SkuId, next: Option<NaiveDate>) {
        if let Some(shelf) = self.shelves.get_mut(&sku)
            && shelf.next_expires_date != next
        {
            shelf.next_expires_date = next;
            self.goods.changes.next_expiry.push((sku, next));
        }
    }
}
