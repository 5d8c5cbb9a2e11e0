//! Keys at work in this process, to tell a caller that waits behind its own twin from one that waits for the database.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::ids::{ClientId, PoolId};
use crate::ledger::submission::Key;

const SHARDS: usize = 16;

type Shard = Mutex<HashMap<(ClientId, String), (PoolId, Fingerprint)>>;

/// What a key stands for.
type Fingerprint = [u8; 32];

/// The keys at work.
#[derive(Debug, Clone)]
pub struct InFlight {
    shards: Arc<[Shard]>,
}

impl Default for InFlight {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

/// Removes its key when dropped.
#[derive(Debug)]
pub struct Entered {
    at: InFlight,
    key: (ClientId, String),
}

/// Where a request with a key finds itself.
#[derive(Debug)]
pub enum Place {
    /// Nobody else is at work under this key.
    First(Entered),
    /// A request under the same key is at work in the same pool; the lane sorts it out.
    BehindTwin {
        /// Whether it is the same request.
        same: bool,
    },
    /// A request under the same key is at work in another pool: one of the two will be refused.
    BehindOtherPool,
}

impl InFlight {
    /// Marks a key as at work in `pool`.
    #[must_use]
    pub fn enter(&self, client: ClientId, key: &Key, pool: PoolId) -> Place {
        let (key, fingerprint) = ((client, key.key.clone()), key.fingerprint);
        let mut at_work = self.shard(&key.1).lock().unwrap_or_else(PoisonError::into_inner);
        match at_work.get(&key) {
            None => {
                at_work.insert(key.clone(), (pool, fingerprint));
                Place::First(Entered { at: self.clone(), key })
            }
            Some((same, of)) if *same == pool => Place::BehindTwin { same: *of == fingerprint },
            Some(_) => Place::BehindOtherPool,
        }
    }

    fn shard(&self, key: &str) -> &Shard {
        let sum = key.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        &self.shards[sum % SHARDS]
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let shard = self.at.shard(&self.key.1);
        shard.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
