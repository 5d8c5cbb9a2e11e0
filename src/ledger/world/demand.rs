//! The orders that a batch looks at and changes.

use std::collections::HashMap;

use uuid::Uuid;

use super::World;
use crate::ids::SkuId;
use crate::ledger::demand::{DemandKey, DemandRecord};

/// Orders by key, and whose claim a reservation is.
#[derive(Debug, Default)]
pub(super) struct Demands {
    records: HashMap<DemandKey, (DemandRecord, bool)>,
    claimed_by: HashMap<Uuid, DemandKey>,
}

impl World<'_> {
    /// Puts in an order whose claims are loaded, too.
    pub fn put_demand(&mut self, record: DemandRecord) {
        for claim in &record.claims {
            self.demands.claimed_by.insert(*claim, record.key.clone());
        }
        self.demands.records.insert(record.key.clone(), (record, false));
    }

    /// Says whose claim a reservation is, where that order itself is not looked at.
    pub fn put_claimed_by(&mut self, reservation: Uuid, key: DemandKey) {
        self.demands.claimed_by.entry(reservation).or_insert(key);
    }

    pub(in crate::ledger) fn demand(&self, key: &DemandKey) -> Option<&DemandRecord> {
        self.demands.records.get(key).map(|(record, _)| record)
    }

    /// The order that is called so and stands for itself; the one with the lowest key, should two share a name.
    pub(in crate::ledger) fn demand_called(&self, order_ref: &str) -> Option<&DemandRecord> {
        self.demands
            .records
            .values()
            .map(|(record, _)| record)
            .filter(|record| record.absorbed_by.is_none() && record.is_called(order_ref))
            .min_by(|a, b| a.key.cmp(&b.key))
    }

    pub(in crate::ledger) fn claimed_by(&self, reservation: Uuid) -> Option<&DemandKey> {
        self.demands.claimed_by.get(&reservation)
    }

    /// Keeps an order as it now is. Its claims are nobody else's from here on.
    pub(in crate::ledger) fn keep_demand(&mut self, record: DemandRecord) {
        for claim in &record.claims {
            self.demands.claimed_by.insert(*claim, record.key.clone());
        }
        self.demands.records.insert(record.key.clone(), (record, true));
    }

    /// Units left, or did not after all (negative), for an order, or for a claim of one.
    pub(in crate::ledger) fn note_shipped(
        &mut self,
        order_ref: Option<&str>,
        reservation: Option<Uuid>,
        sku: SkuId,
        units: i64,
    ) {
        let owner = reservation.and_then(|id| self.demands.claimed_by.get(&id)).cloned();
        for (record, _) in self.demands.records.values_mut() {
            if order_ref.is_some_and(|order_ref| record.is_called(order_ref)) || owner.as_ref() == Some(&record.key) {
                *record.shipped.entry(sku).or_default() += units;
            }
        }
    }

    /// Orders that are different now, in key order.
    pub(super) fn changed_demands(&mut self) -> Vec<DemandRecord> {
        let records = std::mem::take(&mut self.demands.records);
        let mut changed: Vec<DemandRecord> =
            records.into_values().filter(|(_, changed)| *changed).map(|(record, _)| record).collect();
        changed.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        changed
    }
}
