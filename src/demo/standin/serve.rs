//! The listener: HTTP/1.1 on this machine alone. Its own, because a server that behaves well has no way to close a
//! connection without an answer, or to end a body early.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Inner;
use super::faults::Fault;
use crate::lifecycle::spawn_tracked;

/// Marks an answer that is never given.
#[derive(Debug, Clone, Copy)]
struct Hush;

/// Serves until it is stopped; connections end with it.
pub(super) async fn serve(listener: TcpListener, router: Router, tasks: TaskTracker, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else { continue };
        drop(stream.set_nodelay(true));
        let (inner, stop) = (Arc::new(TowerToHyperService::new(router.clone())), stop.clone());
        let service = service_fn(move |request| {
            let inner = Arc::clone(&inner);
            async move {
                let response: Result<Response, Infallible> = inner.call(request).await;
                match response {
                    Ok(response) if response.extensions().get::<Hush>().is_none() => Ok(response),
                    _ => Err(std::io::Error::other("no answer")),
                }
            }
        });
        drop(spawn_tracked(&tasks, async move {
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                ended = connection => drop(ended),
                () = stop.cancelled() => {}
            }
        }));
    }
}

impl Inner {
    /// Answers a request unless something goes wrong. `work` is told whether to throttle.
    pub(super) async fn answered(&self, operation: &str, work: impl FnOnce(bool) -> Response) -> Response {
        self.requests.count(operation);
        let fault = self.faults.next(operation);
        if fault.is_some() {
            self.requests.count("faults");
        }
        match fault {
            None => work(false),
            Some(Fault::Throttled) => work(true),
            Some(Fault::Status(status)) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                (status, "upstream trouble").into_response()
            }
            Some(Fault::TooMany(retry_after)) => too_many(retry_after),
            Some(Fault::Closed) => hushed(work(false)),
            Some(Fault::CutOff) => cut_off(work(false)).await,
            Some(Fault::Slow(wait)) => {
                let answer = work(false);
                tokio::time::sleep(wait).await;
                answer
            }
        }
    }
}

/// 429.
pub(super) fn too_many(retry_after: Option<u64>) -> Response {
    let body = axum::Json(json!({"errors": "Exceeded rate limit"}));
    let mut answer = (StatusCode::TOO_MANY_REQUESTS, body).into_response();
    if let Some(seconds) = retry_after {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

fn hushed(mut answer: Response) -> Response {
    answer.extensions_mut().insert(Hush);
    answer
}

/// The same answer, two thirds of it, under the length of the whole.
async fn cut_off(answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    let whole = to_bytes(body, usize::MAX).await.unwrap_or_default();
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len() + 1));
    let some = Bytes::copy_from_slice(&whole[..whole.len() * 2 / 3]);
    let stream = futures_util::stream::iter([Ok::<Bytes, Infallible>(some)]);
    Response::from_parts(parts, Body::from_stream(stream))
}

/// How long a delivery of a webhook may take, and a connection to end.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
