//! Tasks and shutdown. Nothing that matters lives in a request future: a client that hangs up drops it. Writes run
//! detached, on a tracker that shutdown waits for.

use std::future::Future;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::http::code::Code;
use crate::http::problem::Problem;

/// Spawns a task that shutdown waits for.
pub fn spawn_tracked<F>(tracker: &TaskTracker, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tracker.spawn(future)
}

/// Runs a write handler to its end whether or not its caller stays.
///
/// # Errors
/// The handler's problem; [`Code::Internal`] if it panicked.
pub async fn detached<T: Send + 'static>(
    tracker: &TaskTracker,
    handler: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    match spawn_tracked(tracker, handler).await {
        Ok(done) => done,
        Err(_) => Err(Problem::new(Code::Internal, "The request handler failed; it has been logged.")),
    }
}

/// SIGINT and SIGTERM, from the moment that they are listened for. Before that they end the process as they do any
/// other, so install this before starting anything that has to be stopped.
pub struct ShutdownSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl ShutdownSignals {
    /// Listens from now on.
    ///
    /// # Errors
    /// If signal handlers cannot be installed.
    pub fn install() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Resolves on the next of them.
    pub async fn requested(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Carries `work` out unless one of them comes first; then it is dropped where it stands, and `None`.
    pub async fn unless_requested<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.requested() => None,
        }
    }
}
