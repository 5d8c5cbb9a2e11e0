//! Known keys in memory, by id, and when each was last used.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use subtle::ConstantTimeEq;
use tokio::time::Instant;

use super::{ApiKey, hash, id_of, store};

/// How long an entry is trusted before the database is asked again.
pub const TRUSTED_FOR: Duration = Duration::from_secs(20);
const MOST_ENTRIES: usize = 10_000;

#[derive(Debug)]
struct Known {
    hash: [u8; 32],
    key: Arc<ApiKey>,
    read_at: Instant,
    used: std::sync::atomic::AtomicBool,
}

/// The keys that this instance has seen lately.
#[derive(Debug, Default)]
pub struct KeyCache {
    known: RwLock<HashMap<String, Known>>,
}

impl KeyCache {
    /// The key that this token is, if it is valid now. A token that has not the form of one never reaches the database.
    ///
    /// # Errors
    /// Database errors, when the key is not known in memory.
    pub async fn find(&self, db: &PgPool, token: &str, now: DateTime<Utc>) -> sqlx::Result<Option<Arc<ApiKey>>> {
        let Some(id) = id_of(token) else { return Ok(None) };
        let hash = hash(token);
        if let Some(answer) = self.lookup(id, &hash, now, TRUSTED_FOR) {
            return Ok(answer);
        }
        // Boxed: almost every request is answered from memory and should not carry the weight of a query.
        Box::pin(self.ask(db, id, hash, now)).await
    }

    async fn ask(
        &self,
        db: &PgPool,
        id: &str,
        hash: [u8; 32],
        now: DateTime<Utc>,
    ) -> sqlx::Result<Option<Arc<ApiKey>>> {
        let found = match store::find_valid(db, id).await {
            Ok(found) => found,
            // Without the database nothing can be written; what is in memory may still be read with a key that was
            // good when the database was last asked.
            Err(error) => return self.lookup(id, &hash, now, Duration::MAX).ok_or(error),
        };
        let Some((key, stored)) = found else {
            self.forget(id);
            return Ok(None);
        };
        let valid = bool::from(stored.as_slice().ct_eq(&hash));
        let key = Arc::new(key);
        if valid {
            self.remember(id, hash, Arc::clone(&key));
        }
        Ok(valid.then_some(key).filter(|key| !is_over(key, now)))
    }

    /// Outer `None`: the database must be asked. Inner `None`: known to be refused.
    #[allow(clippy::option_option, reason = "both layers mean something here")]
    fn lookup(
        &self,
        id: &str,
        hash: &[u8; 32],
        now: DateTime<Utc>,
        trusted_for: Duration,
    ) -> Option<Option<Arc<ApiKey>>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let entry = known.get(id).filter(|entry| entry.read_at.elapsed() < trusted_for)?;
        if !bool::from(entry.hash.ct_eq(hash)) || is_over(&entry.key, now) {
            return Some(None);
        }
        entry.used.store(true, std::sync::atomic::Ordering::Relaxed);
        Some(Some(Arc::clone(&entry.key)))
    }

    fn remember(&self, id: &str, hash: [u8; 32], key: Arc<ApiKey>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_ENTRIES {
            known.retain(|_, entry| entry.read_at.elapsed() < TRUSTED_FOR);
        }
        let used = std::sync::atomic::AtomicBool::new(true);
        known.insert(id.to_owned(), Known { hash, key, read_at: Instant::now(), used });
    }

    /// Drops a key from memory: it was revoked here.
    pub fn forget(&self, id: &str) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// Ids of the keys used since the last call, for the record of last use.
    #[must_use]
    pub fn take_used(&self) -> Vec<String> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known
            .iter()
            .filter(|(_, entry)| entry.used.swap(false, std::sync::atomic::Ordering::Relaxed))
            .map(|(id, _)| id.clone())
            .collect()
    }
}

fn is_over(key: &ApiKey, now: DateTime<Utc>) -> bool {
    key.expires_at.is_some_and(|end| end <= now)
}
