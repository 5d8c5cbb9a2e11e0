//! Availability as JSON.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::projection::Seen;
use super::queries::EntryRow;
use crate::catalog::{Policy, Sku};
use crate::ids::{LotId, PoolId, ReservationId, ShipmentId};

const OPENING_COUNT_REQUIRED: &str = "opening_count_required";

/// Availability of one SKU in one pool, or summed over pools; every term of the sum, in units.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Availability)]
pub struct AvailabilityView {
    /// SKU code.
    pub sku: String,
    /// Pool code; null when summed over all pools.
    pub pool: Option<String>,
    /// `in_stock`, `low_stock`, `out_of_stock`, `oversold`, `untracked`, `retired` or `opening_count_required`.
    #[schema(value_type = String)]
    pub status: &'static str,
    /// What customers may be shown: on hand − quarantined − committed − held − safety stock, never below zero.
    pub sellable_quantity: i64,
    /// How far below zero it is.
    pub shortfall_quantity: i64,
    /// What a hold could take now: sellable plus the oversell tolerance, never below zero.
    pub reservable_quantity: i64,
    /// On the shelf.
    pub on_hand_quantity: i64,
    /// On the shelf but not for sale.
    pub quarantined_quantity: i64,
    /// Owned by orders that have not shipped.
    pub committed_quantity: i64,
    /// Held by carts; what is past its expiry does not count.
    pub held_quantity: i64,
    /// Kept back by policy, once per pool that has stock.
    pub safety_stock_quantity: i64,
    /// How far the policy lets holds go below zero.
    pub oversell_tolerance_quantity: i64,
    /// Units claimed that the shelf cannot cover.
    pub oversold_quantity: i64,
    /// When the balance was true.
    pub as_of: DateTime<Utc>,
    /// Milliseconds since it was read as a whole.
    pub age_ms: u64,
    /// The database could not be asked; the numbers are older than the bound.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
    /// How far behind the copies of orders are that claim from this stock; absent where no orders are copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror_lag_seconds: Option<i64>,
}

impl AvailabilityView {
    /// What is seen of one SKU in one pool, and for how long.
    #[must_use]
    pub fn of(sku: &Sku, pool: &str, policy: &Policy, seen: &Seen, age: Duration, stale: bool) -> Self {
        let mut balance = seen.balance;
        balance.held -= seen.lapsed;
        let counting = sku.tracked && seen.opened_at.is_some_and(|opened_at| opened_at < sku.tracked_since_at);
        // A shelf that was untracked for a while may not be held before it is counted.
        let (sellable, reservable) =
            if counting { (0, 0) } else { (balance.sellable(policy), balance.reservable(policy)) };
        Self {
            sku: sku.code.to_string(),
            pool: Some(pool.to_owned()),
            status: if counting { OPENING_COUNT_REQUIRED } else { "" },
            sellable_quantity: sellable,
            shortfall_quantity: 0,
            reservable_quantity: reservable,
            on_hand_quantity: balance.on_hand,
            quarantined_quantity: balance.quarantined,
            committed_quantity: balance.committed,
            held_quantity: balance.held,
            safety_stock_quantity: policy.safety_stock_quantity,
            oversell_tolerance_quantity: policy.oversell_tolerance_quantity,
            oversold_quantity: balance.oversold(),
            as_of: seen.as_of,
            age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
            stale,
            mirror_lag_seconds: None,
        }
    }

    /// Whether the pool has anything to do with the SKU.
    #[must_use]
    pub fn is_stocked(&self) -> bool {
        self.on_hand_quantity != 0 || self.committed_quantity != 0 || self.held_quantity != 0
    }

    /// Adds another pool's terms.
    pub fn add(&mut self, other: &Self) {
        self.sellable_quantity += other.sellable_quantity;
        self.reservable_quantity += other.reservable_quantity;
        self.on_hand_quantity += other.on_hand_quantity;
        self.quarantined_quantity += other.quarantined_quantity;
        self.committed_quantity += other.committed_quantity;
        self.held_quantity += other.held_quantity;
        self.safety_stock_quantity += other.safety_stock_quantity;
        self.oversell_tolerance_quantity += other.oversell_tolerance_quantity;
        self.oversold_quantity += other.oversold_quantity;
        self.as_of = self.as_of.min(other.as_of);
        self.age_ms = self.age_ms.max(other.age_ms);
        self.stale |= other.stale;
        self.mirror_lag_seconds = self.mirror_lag_seconds.max(other.mirror_lag_seconds);
    }

    /// Only answers clamp at zero, and then they carry the shortfall.
    #[must_use]
    pub fn clamped(mut self, sku: &Sku, low_stock: i64) -> Self {
        use crate::catalog::SkuStatus;
        self.status = match (sku.tracked, sku.status) {
            (_, SkuStatus::Retired) => "retired",
            (false, _) => "untracked",
            _ if self.status == OPENING_COUNT_REQUIRED => OPENING_COUNT_REQUIRED,
            _ if self.oversold_quantity > 0 => "oversold",
            _ if self.sellable_quantity <= 0 => "out_of_stock",
            _ if self.sellable_quantity <= low_stock => "low_stock",
            _ => "in_stock",
        };
        self.shortfall_quantity = (-self.sellable_quantity).max(0);
        self.sellable_quantity = self.sellable_quantity.max(0);
        self.reservable_quantity = self.reservable_quantity.max(0);
        self
    }

    /// A tag of the numbers alone, so that an unchanged number is an unchanged tag: FNV-1a over every term, then over
    /// the names by byte. Each step can be undone, so terms that differ in one place never meet.
    #[must_use]
    pub fn tag(&self) -> u64 {
        let terms = [
            self.sellable_quantity,
            self.reservable_quantity,
            self.shortfall_quantity,
            self.on_hand_quantity,
            self.quarantined_quantity,
            self.committed_quantity,
            self.held_quantity,
            self.safety_stock_quantity,
            self.oversell_tolerance_quantity,
            self.oversold_quantity,
            i64::from(self.stale),
        ];
        let pool = self.pool.as_deref().unwrap_or_default();
        let names = self.sku.bytes().chain(pool.bytes()).chain(self.status.bytes()).map(u64::from);
        names.fold(terms.into_iter().map(i64::cast_unsigned).fold(0xcbf2_9ce4_8422_2325, mix), mix)
    }
}

/// One step of a tag. Multiplying moves bits up only; turning brings the upper ones down again.
pub(super) fn mix(hash: u64, word: u64) -> u64 {
    (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29)
}

/// A change of a balance, in units.
#[derive(Debug, Serialize, ToSchema)]
pub struct Quantities {
    /// On the shelf.
    pub on_hand_quantity: i64,
    /// Not for sale.
    pub quarantined_quantity: i64,
    /// Held by carts.
    pub held_quantity: i64,
    /// Owned by orders.
    pub committed_quantity: i64,
}

/// One ledger entry.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StockEntry)]
pub struct EntryView {
    /// Number, gapless from 1 per pool and SKU.
    pub seq: i64,
    /// What happened.
    #[schema(value_type = crate::ledger::entry::EntryKind)]
    pub kind: String,
    /// The change.
    pub delta: Quantities,
    /// The balance after it.
    pub after: Quantities,
    /// For holds: the safety stock they were decided under.
    pub safety_stock_quantity: Option<i64>,
    /// For holds: the oversell tolerance they were decided under.
    pub oversell_tolerance_quantity: Option<i64>,
    /// The reservation.
    pub reservation_id: Option<String>,
    /// Its line.
    pub line: Option<i16>,
    /// The lot.
    pub lot_id: Option<String>,
    /// The shipment.
    pub shipment_id: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Name of the client; null for the service itself.
    pub client: Option<String>,
    /// When.
    pub recorded_at: DateTime<Utc>,
}

impl EntryView {
    /// A ledger row of `pool`.
    #[must_use]
    pub fn of(pool: PoolId, row: EntryRow) -> Self {
        Self {
            seq: row.seq,
            kind: row.kind,
            delta: Quantities {
                on_hand_quantity: row.on_hand_delta,
                quarantined_quantity: row.quarantined_delta,
                held_quantity: row.held_delta,
                committed_quantity: row.committed_delta,
            },
            after: Quantities {
                on_hand_quantity: row.on_hand_after,
                quarantined_quantity: row.quarantined_after,
                held_quantity: row.held_after,
                committed_quantity: row.committed_after,
            },
            safety_stock_quantity: row.safety_stock_quantity,
            oversell_tolerance_quantity: row.oversell_tolerance_quantity,
            reservation_id: row.reservation_id.map(|uuid| ReservationId { pool, uuid }.to_string()),
            line: row.line,
            lot_id: row.lot_id.map(|uuid| LotId { pool, uuid }.to_string()),
            shipment_id: row.shipment_id.map(|uuid| ShipmentId { pool, uuid }.to_string()),
            reason: row.reason,
            client: row.client,
            recorded_at: row.recorded_at,
        }
    }
}
