//! From a request to a lane and back.

use std::future::{Future, Ready};
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, Uri, header};

use crate::app::App;
use crate::http::code::Code;
use crate::http::edge::RequestId;
use crate::http::in_flight::Place;
use crate::http::problem::Problem;
use crate::ids::{ClientId, PoolId};
use crate::ledger::command::Command;
use crate::ledger::lanes::LaneError;
use crate::ledger::submission::{Answer, Key, Submission};

/// Says that an answer was given before.
pub const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// What a command needs besides itself.
pub struct Request {
    /// Who calls.
    pub client: ClientId,
    /// Under which key.
    pub key: Key,
    /// Correlates answer and logs.
    pub id: RequestId,
    /// For problem answers and `Location`.
    pub uri: Uri,
    /// The pool it draws on.
    pub pool: PoolId,
    /// Which lane.
    pub hint: u8,
}

/// Hands a command to its lane and turns the answer into a response.
///
/// # Errors
/// Problems that are not outcomes: busy, unavailable, taking too long.
pub async fn submit(app: &Arc<App>, request: Request, command: Command) -> Result<Response<Body>, Problem> {
    submit_prepared(app, request, command, None::<Ready<_>>).await
}

/// The same, after `preparation`, which a command may need and which is no part of its transaction. It is left out where
/// the key has its outcome already, be it this request's or another's: what is refused or replayed prepares nothing.
///
/// # Errors
/// Those of [`submit`] and of the preparation.
pub async fn submit_prepared(
    app: &Arc<App>,
    request: Request,
    command: Command,
    preparation: Option<impl Future<Output = Result<(), Problem>>>,
) -> Result<Response<Body>, Problem> {
    let Request { client, key, id, uri, pool, hint } = request;
    let place = app.in_flight.enter(client, &key, pool);
    let twin_ahead = match place {
        Place::First(_) => false,
        // Which of the two requests the key will belong to is not known yet.
        Place::BehindTwin { same: false } if preparation.is_some() => return Err(in_flight()),
        Place::BehindTwin { .. } => true,
        Place::BehindOtherPool => return Err(in_flight()),
    };
    if let Some(problem) = app.key_in_other_pool(client, pool, &key).await? {
        return Err(problem);
    }
    if let Some(preparation) = preparation
        && !app.key_is_used(client, pool, &key).await?
    {
        preparation.await?;
    }
    let submission =
        Submission { client, key: Some(key), pool, request_id: id.0, instance: Arc::from(uri.path()), command };
    let answer = app.lanes.submit(submission, hint).await;
    drop(place);
    match answer {
        Ok(answer) => Ok(respond(answer)),
        Err(error) => Err(problem_of(error, twin_ahead)),
    }
}

/// The problem that a lane's failure is.
pub fn problem_of(error: LaneError, twin_ahead: bool) -> Problem {
    match error {
        LaneError::Busy => Problem::new(Code::Busy, "Too many commands are waiting for this SKU; try again."),
        LaneError::Unavailable => {
            Problem::new(Code::Unavailable, "The database is unavailable; nothing was lost. Repeat the request.")
        }
        LaneError::ShuttingDown => Problem::new(Code::Unavailable, "This instance is shutting down; try again."),
        LaneError::KeyInFlight => in_flight(),
        LaneError::TimedOut if twin_ahead => in_flight(),
        LaneError::TimedOut => Problem::new(
            Code::Timeout,
            "It is taking too long. Repeat the request with the same Idempotency-Key to learn its outcome.",
        ),
        LaneError::Internal => {
            Problem::new(Code::Internal, "An unexpected error; nothing was done. It has been logged.")
        }
    }
}

fn in_flight() -> Problem {
    Problem::new(Code::IdempotencyKeyInFlight, "A request with the same Idempotency-Key is still at work; try again.")
}

/// The response that an answer is, stored or fresh.
pub fn respond(answer: Answer) -> Response<Body> {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = if status.is_success() { "application/json" } else { "application/problem+json" };
    let location = if status == StatusCode::CREATED { location_of(&answer.body) } else { None };
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(location) = location {
        headers.insert(header::LOCATION, location);
    }
    if answer.replayed {
        headers.insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// Answers that made something begin with its id, which names its kind.
fn location_of(body: &[u8]) -> Option<HeaderValue> {
    let id = body.strip_prefix(b"{\"id\":\"")?.split(|byte| *byte == b'"').next()?;
    let id = std::str::from_utf8(id).ok()?;
    let path = match id.split('_').next()? {
        "res" => "/reservations/",
        "lot" => "/lots/",
        "shp" => "/shipments/",
        "rtn" => "/returns/",
        _ => return None,
    };
    HeaderValue::from_str(&format!("{path}{id}")).ok()
}
