//! The edge: what happens to every request around its handler. Gives it an id, bounds its time, finishes problems with
//! id and path, counts it. One layer instead of many: it is on the path of every availability read.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::FutureExt;
use metrics::{Counter, Histogram};
use tracing::Instrument;

use crate::http::code::Code;
use crate::http::problem::{Problem, Unfinished};

/// Carries the request id in requests and answers.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SLOW: Duration = Duration::from_secs(1);

/// The id of a request; the caller's own where it sent a sensible one.
#[derive(Debug, Clone)]
pub struct RequestId(pub Arc<str>);

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for RequestId {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(|| Self(Arc::from(""))))
    }
}

fn id_of(request: &Request) -> (Arc<str>, HeaderValue) {
    let sent = request
        .headers()
        .get(REQUEST_ID)
        .filter(|value| (1..=128).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic));
    if let Some((text, value)) = sent.and_then(|value| Some((value.to_str().ok()?, value))) {
        return (Arc::from(text), value.clone());
    }
    let mut buffer = uuid::Uuid::encode_buffer();
    let text = &*crate::ids::new_uuid().simple().encode_lower(&mut buffer);
    (Arc::from(text), HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("-")))
}

/// Whether a request is one of this route.
pub fn is_of_route(request: &Request, route: &str) -> bool {
    request.extensions().get::<MatchedPath>().is_some_and(|path| path.as_str() == route)
}

/// Wraps a handler. `deadline` bounds the answer, not the work: writes go on in their lane or task.
pub async fn around(deadline: Duration, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let (id, header) = id_of(&request);
    request.extensions_mut().insert(RequestId(Arc::clone(&id)));
    let path = request.uri().clone();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let span = tracing::info_span!("request", request_id = %id, method = %method, path = path.path());
    let handled = AssertUnwindSafe(tokio::time::timeout(deadline, next.run(request))).catch_unwind();
    let mut response = match handled.instrument(span.clone()).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => finish(Problem::new(Code::Timeout, "The answer took too long."), &id, path.path()),
        Err(_) => {
            span.in_scope(|| tracing::error!("a handler panicked"));
            finish(Problem::new(Code::Internal, "An unexpected error; it has been logged."), &id, path.path())
        }
    };
    if let Some(Unfinished(problem)) = response.extensions_mut().remove::<Unfinished>() {
        let headers = std::mem::take(response.headers_mut());
        response = finish(problem, &id, path.path());
        for (name, value) in headers {
            if let Some(name) = name.filter(|name| *name != axum::http::header::CONTENT_LENGTH) {
                response.headers_mut().insert(name, value);
            }
        }
    }
    response.headers_mut().insert(REQUEST_ID, header);
    record(&span, route.as_ref(), response.status(), started.elapsed());
    response
}

fn finish(problem: Problem, id: &str, path: &str) -> Response {
    problem.into_finished(id, path)
}

fn record(span: &tracing::Span, route: Option<&MatchedPath>, status: StatusCode, took: Duration) {
    measure(route.map_or("unmatched", MatchedPath::as_str), status, took);
    if status.is_server_error() {
        span.in_scope(|| tracing::warn!(status = status.as_u16(), took_ms = took.as_millis(), "answered"));
    } else if took > SLOW {
        span.in_scope(|| tracing::info!(status = status.as_u16(), took_ms = took.as_millis(), "answered slowly"));
    } else {
        span.in_scope(|| tracing::debug!(status = status.as_u16(), took_us = took.as_micros(), "answered"));
    }
}

/// Handles by route: looking one up by name for every request would cost more than what it measures.
static ROUTES: RwLock<BTreeMap<String, Histogram>> = RwLock::new(BTreeMap::new());

fn measure(route: &str, status: StatusCode, took: Duration) {
    static CLASSES: OnceLock<[Counter; 4]> = OnceLock::new();
    let classes = CLASSES.get_or_init(|| {
        ["2xx", "3xx", "4xx", "5xx"].map(|class| metrics::counter!("holdfast_http_responses_total", "status" => class))
    });
    classes[usize::from(status.as_u16() / 100).clamp(2, 5) - 2].increment(1);
    let known = ROUTES.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(histogram) = known.get(route) {
        histogram.record(took.as_secs_f64());
        return;
    }
    drop(known);
    let histogram = metrics::histogram!("holdfast_http_request_seconds", "route" => route.to_owned());
    histogram.record(took.as_secs_f64());
    ROUTES.write().unwrap_or_else(PoisonError::into_inner).insert(route.to_owned(), histogram);
}
