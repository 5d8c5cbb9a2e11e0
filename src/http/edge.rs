//! The edge: what happens to every request around its handler. Gives it an id, bounds its time, finishes problems with
//! id and path, counts it. One layer instead of many: it is on the path of every availability read, so nothing here is
//! done that only few requests need.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use futures_util::FutureExt;
use metrics::{Counter, Histogram};
use tower::{Layer, Service};

use crate::http::code::Code;
use crate::http::problem::{Problem, Unfinished};
use crate::telemetry::request::{self, RequestLine};

/// Carries the request id in requests and answers.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SLOW: Duration = Duration::from_secs(1);

/// The id of a request; the caller's own where it sent a sensible one.
#[derive(Debug, Clone)]
pub struct RequestId(pub Arc<str>);

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for RequestId {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut axum::http::request::Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(request::current().map_or_else(|| Arc::from(""), |request| Arc::clone(&request.id))))
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

/// Wraps every handler. A layer of its own and not `from_fn`, which boxes each request's way inward once more.
#[derive(Debug, Clone, Copy)]
pub struct Edge {
    /// Bounds the answer, not the work: writes go on in their lane or task.
    pub deadline: Duration,
    /// The one route whose requests are as long as their bodies, and its deadline.
    pub longer: (&'static str, Duration),
}

impl<S> Layer<S> for Edge {
    type Service = Around<S>;

    fn layer(&self, inner: S) -> Around<S> {
        Around { edge: *self, inner }
    }
}

/// A handler with the edge around it.
#[derive(Debug, Clone)]
pub struct Around<S> {
    edge: Edge,
    inner: S,
}

impl<S> Service<Request> for Around<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let started = Instant::now();
        let (id, header) = id_of(&request);
        let line = Arc::new(RequestLine { id, method: request.method().clone(), uri: request.uri().clone() });
        let route = request.extensions().get::<MatchedPath>().cloned();
        let handler = self.inner.call(request);
        let Edge { deadline, longer: (long, longer) } = self.edge;
        let is_long = route.as_ref().is_some_and(|route| route.as_str() == long);
        let answer = answer(if is_long { longer } else { deadline }, Arc::clone(&line), handler);
        Box::pin(request::about(Arc::clone(&line), async move {
            let mut response = answer.await;
            response.headers_mut().insert(REQUEST_ID, header);
            record(route.as_ref(), response.status(), started.elapsed());
            Ok(response)
        }))
    }
}

async fn answer(
    deadline: Duration,
    line: Arc<RequestLine>,
    handler: impl Future<Output = Result<Response, Infallible>>,
) -> Response {
    let mut response = match AssertUnwindSafe(within(deadline, handler)).catch_unwind().await {
        Ok(Some(Ok(response))) => response,
        Ok(None) => finish(Problem::new(Code::Timeout, "The answer took too long."), &line),
        Err(_) => {
            tracing::error!("a handler panicked");
            finish(Problem::new(Code::Internal, "An unexpected error; it has been logged."), &line)
        }
    };
    if let Some(Unfinished(problem)) = response.extensions_mut().remove::<Unfinished>() {
        let headers = std::mem::take(response.headers_mut());
        response = finish(problem, &line);
        for (name, value) in headers {
            if let Some(name) = name.filter(|name| *name != axum::http::header::CONTENT_LENGTH) {
                response.headers_mut().insert(name, value);
            }
        }
    }
    response
}

/// `None` if the deadline has passed. A handler that is done when it is first asked needs no timer.
async fn within<T>(deadline: Duration, handler: impl Future<Output = T>) -> Option<T> {
    let mut handler = pin!(handler);
    let first = poll_fn(|context| Poll::Ready(handler.as_mut().poll(context))).await;
    match first {
        Poll::Ready(done) => Some(done),
        Poll::Pending => tokio::time::timeout(deadline, handler).await.ok(),
    }
}

fn finish(problem: Problem, line: &RequestLine) -> Response {
    problem.into_finished(&line.id, line.uri.path())
}

fn record(route: Option<&MatchedPath>, status: StatusCode, took: Duration) {
    measure(route.map_or("unmatched", MatchedPath::as_str), status, took);
    if status.is_server_error() {
        tracing::warn!(status = status.as_u16(), took_ms = took.as_millis(), "answered");
    } else if took > SLOW {
        tracing::info!(status = status.as_u16(), took_ms = took.as_millis(), "answered slowly");
    } else {
        tracing::debug!(status = status.as_u16(), took_us = took.as_micros(), "answered");
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
