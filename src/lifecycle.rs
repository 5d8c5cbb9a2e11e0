//! Tasks and shutdown. Nothing that matters lives in a request future: a client that hangs up drops it. Writes run
//! detached, on a tracker that shutdown waits for.

use std::future::Future;

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

/// Resolves on the first SIGINT or SIGTERM.
///
/// # Errors
/// If signal handlers cannot be installed.
pub async fn shutdown_requested() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        done = tokio::signal::ctrl_c() => done,
        _ = terminate.recv() => Ok(()),
    }
}
