//! `ETag` and `If-Match` on what people edit (RFC 9110, section 13): the tag is the revision of the row.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};

use crate::http::code::Code;
use crate::http::problem::Problem;

/// The strong tag of a revision.
#[must_use]
pub fn of(revision: i64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"r{revision}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"r0\""))
}

/// What the caller believes the revision to be.
#[derive(Debug, Clone)]
pub struct IfMatch(String);

impl IfMatch {
    /// Compares with the revision read under the row lock.
    ///
    /// # Errors
    /// 412 if it has changed since.
    pub fn check(&self, current_revision: i64) -> Result<(), Problem> {
        let current = format!("\"r{current_revision}\"");
        if self.0.split(',').map(str::trim).any(|tag| tag == "*" || tag == current) {
            return Ok(());
        }
        Err(Problem::new(
            Code::PreconditionFailed,
            format!("It has changed since it was read: its ETag is {current} now. Read it again and repeat the edit."),
        ))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let value = parts.headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok());
        value.map(|value| Self(value.to_owned())).ok_or_else(|| {
            Problem::new(Code::PreconditionRequired, "Send If-Match with the ETag that you read, or * to overwrite.")
        })
    }
}

/// An edit that may make what it edits: the tag may be left out.
impl<S: Send + Sync> OptionalFromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Problem> {
        if parts.headers.contains_key(header::IF_MATCH) {
            return <Self as FromRequestParts<S>>::from_request_parts(parts, state).await.map(Some);
        }
        Ok(None)
    }
}

/// The tags that the caller has an answer for already. An extractor of its own: taking all headers copies them.
#[derive(Debug, Clone)]
pub struct IfNoneMatch(Option<HeaderValue>);

impl IfNoneMatch {
    /// Whether this tag is one of them.
    #[must_use]
    pub fn names(&self, tag: &HeaderValue) -> bool {
        let tags = self.0.as_ref().and_then(|value| value.to_str().ok());
        tags.is_some_and(|tags| tags.split(',').map(str::trim).any(|known| known.as_bytes() == tag.as_bytes()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(parts.headers.get(header::IF_NONE_MATCH).cloned()))
    }
}
