//! Balances in memory. Entries are newest-wins by ledger number, so the order of own writes and refreshes does not
//! matter.
//!
//! An entry is fresh while it was read (or known not to exist) within the bound. Stale entries are re-read together,
//! one query per pool, before they are answered; when the database cannot be reached they are answered as they are,
//! marked stale. Holds that are past their expiry but not swept yet do not count as held.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::ids::{PoolId, SkuId};
use crate::ledger::balance::Balance;

const SHARDS: usize = 64;

/// What is known of one (pool, SKU).
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// The balance; zero where there is no row.
    pub balance: Balance,
    /// Held units that are past their expiry and not swept yet.
    pub lapsed: i64,
    /// When the shelf was last opened; none where it has no row or was not read as a whole yet.
    pub opened_at: Option<DateTime<Utc>>,
    /// When the balance was true, by the database's clock.
    pub as_of: DateTime<Utc>,
    /// When it was last read as a whole, by this process' clock.
    read_at: Option<Instant>,
}

impl Seen {
    /// Whether it is within `bound`.
    #[must_use]
    pub fn is_fresh(&self, bound: Duration) -> bool {
        self.read_at.is_some_and(|read_at| read_at.elapsed() <= bound)
    }

    /// Time since it was read as a whole.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.read_at.map(|read_at| read_at.elapsed())
    }
}

/// One balance row as read from the database.
#[derive(Debug, Clone, Copy)]
pub struct Read {
    /// The balance; zero where there is no row.
    pub balance: Balance,
    /// Held units that are past their expiry and not swept yet.
    pub lapsed: i64,
    /// When the shelf was last opened; none where it has no row.
    pub opened_at: Option<DateTime<Utc>>,
    /// The database's clock.
    pub as_of: DateTime<Utc>,
}

type Shard = RwLock<HashMap<(PoolId, SkuId), Seen>>;

/// Balances in memory.
#[derive(Debug)]
pub struct Projection {
    shards: Vec<Shard>,
    bound: Duration,
    oldest_answered_micros: AtomicU64,
}

impl Projection {
    /// An empty projection whose answers are at most `bound` old.
    #[must_use]
    pub fn new(bound: Duration) -> Self {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        Self { shards, bound, oldest_answered_micros: AtomicU64::default() }
    }

    /// The staleness bound.
    #[must_use]
    pub fn bound(&self) -> Duration {
        self.bound
    }

    fn shard(&self, pool: PoolId, sku: SkuId) -> &Shard {
        let mixed = (pool.0 ^ sku.0).unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        &self.shards[usize::try_from(mixed).unwrap_or(0) % SHARDS]
    }

    /// What is known, fresh or not.
    #[must_use]
    pub fn peek(&self, pool: PoolId, sku: SkuId) -> Option<Seen> {
        self.shard(pool, sku).read().unwrap_or_else(PoisonError::into_inner).get(&(pool, sku)).copied()
    }

    /// Takes in a balance that this instance has just committed.
    pub fn wrote(&self, pool: PoolId, sku: SkuId, balance: Balance, at: DateTime<Utc>) {
        let mut shard = self.shard(pool, sku).write().unwrap_or_else(PoisonError::into_inner);
        let seen =
            shard.entry((pool, sku)).or_insert(Seen { balance, lapsed: 0, opened_at: None, as_of: at, read_at: None });
        if balance.seq >= seen.balance.seq {
            // What had lapsed may just have been closed: read it again before answering.
            if seen.lapsed > 0 {
                seen.read_at = None;
                seen.lapsed = 0;
            }
            seen.balance = balance;
            seen.as_of = seen.as_of.max(at);
        }
    }

    /// Takes in what was read from the database, begun at `begun`.
    pub fn read(&self, pool: PoolId, sku: SkuId, read: Read, begun: Instant) {
        let Read { balance, lapsed, opened_at, as_of } = read;
        let mut shard = self.shard(pool, sku).write().unwrap_or_else(PoisonError::into_inner);
        let fresh = Seen { balance, lapsed, opened_at, as_of, read_at: Some(begun) };
        let seen = shard.entry((pool, sku)).or_insert(fresh);
        if balance.seq >= seen.balance.seq {
            *seen = fresh;
        } else {
            // An own write overtook this read: its balance is newer, and the rest of the read still counts.
            seen.opened_at = opened_at;
            seen.read_at = Some(begun);
        }
    }

    /// Has the next answer read this shelf again, whatever is known of it.
    pub fn reread(&self, pool: PoolId, sku: SkuId) {
        let mut shard = self.shard(pool, sku).write().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = shard.get_mut(&(pool, sku)) {
            seen.read_at = None;
        }
    }

    /// Notes the age of an answer, for the metric.
    pub fn answered(&self, age: Duration) {
        let micros = u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
        self.oldest_answered_micros.fetch_max(micros, Ordering::Relaxed);
    }

    /// The age of the oldest answer since the last call.
    #[must_use]
    pub fn take_oldest_answered(&self) -> Duration {
        Duration::from_micros(self.oldest_answered_micros.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: (PoolId, SkuId) = (PoolId(1), SkuId(7));

    fn balance(seq: i64) -> Balance {
        Balance { on_hand: 10, held: seq, seq, ..Balance::default() }
    }

    fn row(seq: i64, lapsed: i64) -> Read {
        Read { balance: balance(seq), lapsed, opened_at: None, as_of: DateTime::UNIX_EPOCH }
    }

    #[test]
    fn the_newest_entry_wins_whatever_arrives_last() {
        let projection = Projection::new(Duration::from_secs(1));
        let at = DateTime::UNIX_EPOCH;
        projection.wrote(KEY.0, KEY.1, balance(5), at);
        projection.read(KEY.0, KEY.1, row(4, 0), Instant::now());
        let seen = projection.peek(KEY.0, KEY.1).map(|seen| (seen.balance.seq, seen.is_fresh(projection.bound())));
        assert_eq!(seen, Some((5, true)));
        projection.wrote(KEY.0, KEY.1, balance(3), at);
        assert_eq!(projection.peek(KEY.0, KEY.1).map(|seen| seen.balance.seq), Some(5));
    }

    #[test]
    fn an_own_write_alone_is_not_a_read() {
        let projection = Projection::new(Duration::from_secs(1));
        projection.wrote(KEY.0, KEY.1, balance(1), DateTime::UNIX_EPOCH);
        assert_eq!(projection.peek(KEY.0, KEY.1).map(|seen| seen.is_fresh(projection.bound())), Some(false));
    }

    #[test]
    fn closing_lapsed_holds_asks_for_a_new_read() {
        let projection = Projection::new(Duration::from_mins(1));
        projection.read(KEY.0, KEY.1, row(1, 1), Instant::now());
        projection.wrote(KEY.0, KEY.1, balance(2), DateTime::UNIX_EPOCH);
        assert_eq!(projection.peek(KEY.0, KEY.1).map(|seen| seen.is_fresh(projection.bound())), Some(false));
    }
}
