//! The accept loop. Our own, because `axum::serve` waits for ever for a header that never ends.
//!
//! Bounds: time to send a header, number of connections. The library's header timeout begins only after the
//! bytes that tell HTTP/1 from HTTP/2, so a connection that never gets to a first request has a deadline of its own. On
//! shutdown the listener closes first, connections finish what they have begun, then the rest is cut off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Limits of the listener.
#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    /// How long a client may take to send a header.
    pub header_timeout: Duration,
    /// Most open connections; further ones wait in the kernel's queue.
    pub connections: usize,
    /// How long connections may take to finish at shutdown.
    pub drain: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self { header_timeout: Duration::from_secs(10), connections: 10_000, drain: Duration::from_secs(15) }
    }
}

/// Serves until `stop` is cancelled, then drains.
pub async fn serve(listener: TcpListener, router: Router, limits: ServerLimits, stop: CancellationToken) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.header_timeout).pipeline_flush(true);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(30));
    let builder = Arc::new(builder);
    let permits = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        let Some((stream, permit)) = accepted else { continue };
        drop(stream.set_nodelay(true));
        let begun = Arc::new(AtomicBool::new(false));
        let (inner, first) = (TowerToHyperService::new(router.clone()), Arc::clone(&begun));
        let service = service_fn(move |request| {
            first.store(true, Ordering::Relaxed);
            inner.call(request)
        });
        let builder = Arc::clone(&builder);
        let watcher = graceful.watcher();
        #[expect(clippy::disallowed_methods, reason = "connections are tracked by the graceful watcher")]
        tokio::spawn(async move {
            let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
            tokio::select! {
                ended = watcher.watch(connection) => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "connection ended");
                    }
                }
                () = never_begun(&begun, limits.header_timeout) => tracing::debug!("connection never asked for anything"),
            }
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("some connections did not finish in time");
    }
}

/// Resolves if no request has come in within `patience`.
async fn never_begun(begun: &AtomicBool, patience: Duration) {
    tokio::time::sleep(patience).await;
    if begun.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(error) => {
            // Out of file descriptors, or the client is gone already: do not spin.
            tracing::warn!(%error, "cannot accept");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}
