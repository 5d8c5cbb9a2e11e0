//! Keys at work in this process, to tell a caller that waits behind its own twin from one that waits for the database.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::ids::ClientId;

const SHARDS: usize = 16;

/// The keys at work.
#[derive(Debug, Clone)]
pub struct InFlight {
    shards: Arc<[Mutex<HashSet<(ClientId, String)>>]>,
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

impl InFlight {
    /// Marks a key as at work; `None` if it already is.
    #[must_use]
    pub fn enter(&self, client: ClientId, key: &str) -> Option<Entered> {
        let key = (client, key.to_owned());
        let fresh = self.shard(&key.1).lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        fresh.then(|| Entered { at: self.clone(), key })
    }

    fn shard(&self, key: &str) -> &Mutex<HashSet<(ClientId, String)>> {
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
