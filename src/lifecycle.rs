//! Tasks and shutdown. Nothing that matters lives in a request future: a client that hangs up drops it. Writes run
//! detached, on a tracker that shutdown waits for.

use std::future::Future;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::http::code::Code;
use crate::http::problem::Problem;
use crate::telemetry::request;

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
    // What it logs is about the request, wherever it runs.
    let running = match request::current() {
        Some(request) => spawn_tracked(tracker, request::about(request, handler)),
        None => spawn_tracked(tracker, handler),
    };
    match running.await {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::http::{Method, Uri};

    use super::*;

    #[tokio::test]
    async fn a_detached_handler_is_still_about_its_request() {
        let tracker = TaskTracker::new();
        let handler = async { Ok(request::current().map(|request| Arc::clone(&request.id))) };
        let line = request::RequestLine { id: Arc::from("till-3"), method: Method::POST, uri: Uri::from_static("/") };
        let seen = request::about(Arc::new(line), detached(&tracker, handler)).await;
        assert_eq!(seen, Ok(Some(Arc::from("till-3"))));
    }
}
