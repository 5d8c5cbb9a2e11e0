//! Lanes: a small number of queues, each with one worker and one connection, that combine waiting commands into one
//! transaction. A worker has a thread of its own: between the statements of a batch it would otherwise queue behind the
//! answers to the batch before, each of which is a task too. The lane is chosen by (pool, first SKU), so commands on one hot SKU meet in one batch instead of in a
//! lock queue. Lanes only spread work: any lane may decide any command, correctness comes from the row locks.
//!
//! A lane is bounded: past its bound a command is refused at once with [`LaneError::Busy`], which is not "no stock".

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnectOptions;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::catalog::cache::CatalogueCache;
use crate::clock::Clock;
use crate::ids::{PoolId, SkuId};
use crate::ledger::balance::Balance;
use crate::ledger::outcome::Outcome;
use crate::ledger::submission::{Answer, Render, Submission};

mod bulk;
mod retry;
mod worker;

pub use bulk::Bulk;
pub use retry::backoff;

/// Sizes and limits of the lanes.
#[derive(Debug, Clone, Copy)]
pub struct LaneSettings {
    /// Number of lanes, and of connections and threads they hold.
    pub lanes: usize,
    /// Commands that may wait in one lane.
    pub queue: usize,
    /// Most commands in one transaction.
    pub batch_max: usize,
    /// How long a command may take before its caller is told to try again.
    pub patience: Duration,
}

impl Default for LaneSettings {
    fn default() -> Self {
        Self { lanes: 4, queue: 2048, batch_max: 256, patience: Duration::from_secs(10) }
    }
}

/// What lanes tell the rest of the service about what they committed.
pub trait Observer: Send + Sync {
    /// Balances as they are after a commit; called before the callers are answered.
    fn balances(&self, pool: PoolId, balances: &[(SkuId, Balance)], at: DateTime<Utc>);
    /// A decision that was committed.
    fn decided(&self, submission: &Submission, outcome: &Outcome, now: DateTime<Utc>);
}

/// Everything that the workers share.
pub(crate) struct Shared {
    pub settings: LaneSettings,
    pub connect: PgConnectOptions,
    pub catalogue: Arc<CatalogueCache>,
    pub clock: Clock,
    pub render: Render,
    pub observer: Arc<dyn Observer>,
    pub ready: AtomicUsize,
    pub stopping: AtomicBool,
}

/// A command in a lane, and where its answer goes.
pub(crate) struct Job {
    pub submission: Submission,
    pub answer: oneshot::Sender<Result<Answer, LaneError>>,
    pub enqueued_at: Instant,
}

/// Why a command got no answer of its own. All are retryable under the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LaneError {
    /// The lane is full.
    #[error("the lane is full")]
    Busy,
    /// The database cannot be reached, or contention did not clear.
    #[error("the database is unavailable")]
    Unavailable,
    /// A twin under the same key is still at work.
    #[error("the same idempotency key is in flight")]
    KeyInFlight,
    /// The command was accepted but is taking too long; its outcome is unknown to the caller.
    #[error("the command is taking too long")]
    TimedOut,
    /// The service is shutting down and takes no more.
    #[error("shutting down")]
    ShuttingDown,
    /// A defect; nothing was done.
    #[error("internal error")]
    Internal,
}

/// Handle to the lanes; cheap to clone.
#[derive(Clone)]
pub struct Lanes {
    senders: Arc<[mpsc::Sender<Job>]>,
    shared: Arc<Shared>,
}

impl Lanes {
    /// Starts the workers. They stop once [`Lanes::stop`] was called and their queues are empty; `tracker` knows when.
    ///
    /// # Errors
    /// If the operating system has no thread for one of them.
    pub(crate) fn start(shared: Shared, tracker: &TaskTracker) -> std::io::Result<Self> {
        let shared = Arc::new(shared);
        let senders: std::io::Result<Vec<_>> = (0..shared.settings.lanes.max(1))
            .map(|lane| {
                let (sender, receiver) = mpsc::channel(shared.settings.queue.max(1));
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                let worker = tracker.track_future(worker::run(lane, receiver, Arc::clone(&shared)));
                std::thread::Builder::new().name(format!("lane-{lane}")).spawn(move || runtime.block_on(worker))?;
                Ok(sender)
            })
            .collect();
        Ok(Self { senders: senders?.into(), shared })
    }

    /// Hands a command to its lane and waits for the answer. Dropping the returned future does not undo anything.
    ///
    /// # Errors
    /// [`LaneError`]; after [`LaneError::TimedOut`] the command may still be carried out, under its key.
    pub async fn submit(&self, submission: Submission, hint: u8) -> Result<Answer, LaneError> {
        if self.shared.stopping.load(Ordering::Acquire) {
            return Err(LaneError::ShuttingDown);
        }
        let (answer, receiver) = oneshot::channel();
        let lane = (usize::from(hint) + usize::try_from(submission.pool.0).unwrap_or(0)) % self.senders.len();
        self.senders[lane].try_send(Job { submission, answer, enqueued_at: Instant::now() }).map_err(|refused| {
            match refused {
                mpsc::error::TrySendError::Full(_) => LaneError::Busy,
                mpsc::error::TrySendError::Closed(_) => LaneError::ShuttingDown,
            }
        })?;
        let answered = tokio::time::timeout(self.shared.settings.patience, receiver).await;
        match answered {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(LaneError::Unavailable),
            Err(_) => Err(LaneError::TimedOut),
        }
    }

    /// Takes no new commands. What is queued is still carried out and answered.
    pub fn stop(&self) {
        self.shared.stopping.store(true, Ordering::Release);
    }

    /// Lanes with a working connection, and lanes in all.
    #[must_use]
    pub fn readiness(&self) -> (usize, usize) {
        (self.shared.ready.load(Ordering::Relaxed), self.senders.len())
    }
}

/// The lane hint of a SKU code: FNV-1a folded to a byte. Stable across releases, since reservation ids carry it.
#[must_use]
pub fn hint_of_sku(code: &str) -> u8 {
    let hash = code
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let folded = hash ^ (hash >> 32);
    let folded = folded ^ (folded >> 16);
    ((folded ^ (folded >> 8)) & 0xff) as u8
}
