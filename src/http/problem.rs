//! RFC 9457 problems: one shape for everything that is refused or fails.
//!
//! Handlers return a [`Problem`]; the [edge](crate::http::edge) adds request id and path and writes the body. The one
//! mapping from domain refusals to problems is [`crate::http::answers`].

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::code::Code;
use crate::ledger::batch::BatchError;
use crate::reservations::state::State;

/// One broken rule, at a place in the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ErrorItem {
    /// Line of a file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// RFC 6901 pointer into the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Name of the query parameter, path segment or header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// Which rule.
    pub code: Code,
    /// For people.
    pub detail: String,
}

impl ErrorItem {
    /// A broken rule in the body.
    pub fn at(pointer: impl Into<String>, code: Code, detail: impl Into<String>) -> Self {
        Self { line: None, pointer: Some(pointer.into()), parameter: None, code, detail: detail.into() }
    }

    /// A broken rule in the query, the path or a header.
    pub fn of(parameter: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            line: None,
            pointer: None,
            parameter: Some(parameter.into()),
            code: Code::InvalidParameter,
            detail: detail.into(),
        }
    }
}

/// A pool that could serve what this one could not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct OtherPool {
    /// Pool code.
    pub pool: String,
    /// Units that could be held there, as last seen.
    pub available_quantity: i64,
}

/// One SKU that is short: what was asked, what there is, and every term of the sum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ShortfallView {
    /// SKU code.
    pub sku: String,
    /// Lines of the request that ask for it.
    pub lines: Vec<i16>,
    /// Units asked for, summed over the lines.
    pub requested_quantity: i64,
    /// Units that could be held, never below zero.
    pub available_quantity: i64,
    /// Units missing.
    pub short_quantity: i64,
    /// On the shelf.
    pub on_hand_quantity: i64,
    /// Not for sale.
    pub quarantined_quantity: i64,
    /// Owned by orders.
    pub committed_quantity: i64,
    /// Held by carts.
    pub held_quantity: i64,
    /// Kept back by policy.
    pub safety_stock_quantity: i64,
    /// How far the policy lets holds go below zero.
    pub oversell_tolerance_quantity: i64,
    /// When the next hold on this SKU expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hold_expires_at: Option<DateTime<Utc>>,
    /// Other pools that could serve the whole quantity.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_pools: Vec<OtherPool>,
}

/// A line of a variant that cannot be had whole; the SKUs that are short are in `shortfalls`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct VariantShortfallView {
    /// Line of the request.
    pub line: i16,
    /// The upstream's id, as text.
    #[serde(serialize_with = "crate::http::text_id::text")]
    #[schema(value_type = String)]
    pub variant_id: i64,
    /// The version of its mapping that was asked for.
    pub mapping_version: i32,
    /// Units of the variant asked for.
    pub requested_quantity: i64,
    /// Whole ones among them that could be held if the cart had no other line.
    pub available_quantity: i64,
}

/// A line that was asked for more than it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ExceededView {
    /// Line number.
    pub line: i16,
    /// Units asked for.
    pub requested_quantity: i64,
    /// Units it holds.
    pub held_quantity: i64,
    /// Units that an order owns already.
    pub committed_quantity: i64,
}

/// The reservation that a problem is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct About {
    /// Its id.
    pub id: String,
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// The order it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_ref: Option<String>,
    /// When it expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expired_at: Option<DateTime<Utc>>,
    /// The latest possible expiry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_expires_at: Option<DateTime<Utc>>,
}

impl About {
    /// About the reservation with this id.
    pub fn id(id: impl ToString) -> Self {
        Self { id: id.to_string(), state: None, order_ref: None, expired_at: None, max_expires_at: None }
    }
}

/// What was refused or failed, and everything the caller needs to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Decides status, title and retryability.
    pub code: Code,
    /// For people, about this occurrence.
    pub detail: String,
    /// Every broken rule.
    pub errors: Vec<ErrorItem>,
    /// Every SKU that is short.
    pub shortfalls: Vec<ShortfallView>,
    /// Every line of a variant that is short.
    pub variants: Vec<VariantShortfallView>,
    /// Every line that is exceeded.
    pub lines: Vec<ExceededView>,
    /// The reservation it is about.
    pub reservation: Option<About>,
    /// Seconds after which a retry makes sense.
    pub retry_after_seconds: Option<u32>,
    /// Another transaction was in the way: trying again inside the service can help.
    pub contended: bool,
}

impl Problem {
    /// A problem with this code and detail.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            shortfalls: Vec::new(),
            variants: Vec::new(),
            lines: Vec::new(),
            reservation: None,
            retry_after_seconds: code.is_retryable().then_some(1),
            contended: false,
        }
    }

    /// A problem that lists broken rules. The code is theirs where they agree.
    #[must_use]
    pub fn listing(errors: Vec<ErrorItem>) -> Self {
        let code = match errors.as_slice() {
            [first, rest @ ..] if rest.iter().all(|e| e.code.status() == first.code.status()) => {
                if rest.iter().all(|e| e.code == first.code) { first.code } else { Code::ValidationFailed }
            }
            _ => Code::ValidationFailed,
        };
        let detail = match errors.as_slice() {
            [only] => only.detail.clone(),
            many => format!("{} rules are broken; see errors.", many.len()),
        };
        Self { errors, ..Self::new(code, detail) }
    }

    /// The same problem about a reservation.
    #[must_use]
    pub fn about(self, reservation: About) -> Self {
        Self { reservation: Some(reservation), ..self }
    }

    /// The body as answered.
    #[must_use]
    pub fn body(&self, request_id: &str, instance: &str) -> Vec<u8> {
        let view = ProblemView {
            r#type: format!("/problems/{}", self.code.as_str()),
            title: self.code.title(),
            status: self.code.status().as_u16(),
            detail: &self.detail,
            instance,
            code: self.code,
            retryable: self.code.is_retryable(),
            request_id,
            errors: &self.errors,
            shortfalls: &self.shortfalls,
            variants: &self.variants,
            lines: &self.lines,
            reservation: self.reservation.as_ref(),
        };
        serde_json::to_vec(&view).unwrap_or_default()
    }

    /// The finished response.
    #[must_use]
    pub fn into_finished(self, request_id: &str, instance: &str) -> Response {
        let body = self.body(request_id, instance);
        let mut response = (self.code.status(), PROBLEM_JSON, body).into_response();
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if self.code == Code::Unauthorized {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Content type of every problem.
pub const PROBLEM_JSON: [(header::HeaderName, HeaderValue); 1] =
    [(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"))];

/// The members of a problem (RFC 9457 plus ours).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemView<'a> {
    /// Relative reference to the documentation of the code.
    pub r#type: String,
    /// One sentence per code.
    pub title: &'a str,
    /// The HTTP status.
    pub status: u16,
    /// About this occurrence.
    pub detail: &'a str,
    /// Path of the request.
    pub instance: &'a str,
    /// From the closed list.
    pub code: Code,
    /// Whether the same request, under the same key, may succeed later.
    pub retryable: bool,
    /// Correlates with the service's log.
    pub request_id: &'a str,
    /// Every broken rule.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub errors: &'a [ErrorItem],
    /// Every SKU that is short.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub shortfalls: &'a [ShortfallView],
    /// Every line of a variant of which a SKU is short.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub variants: &'a [VariantShortfallView],
    /// Every line that is exceeded.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub lines: &'a [ExceededView],
    /// The reservation it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reservation: Option<&'a About>,
}

/// A problem on its way to the edge, which alone knows request id and path.
#[derive(Clone)]
pub struct Unfinished(pub Problem);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        *response.status_mut() = self.code.status();
        response.extensions_mut().insert(Unfinished(self));
        response
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        let contended = crate::db::tx::is_contention(&error);
        match BatchError::from(error) {
            BatchError::Unexpected(error) => {
                tracing::error!(%error, "a query failed");
                Self::new(Code::Internal, "An unexpected error; it has been logged under this request id.")
            }
            error => {
                tracing::warn!(%error, "the database is unavailable");
                let problem = Self::new(Code::Unavailable, "The database did not answer in time; try again.");
                Self { contended, ..problem }
            }
        }
    }
}
