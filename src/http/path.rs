//! Path segments.

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use crate::http::problem::{ErrorItem, Problem};

/// The one variable segment of a path, percent-decoded. Any text: whether there is such a thing is for its room to say.
#[derive(Debug)]
pub struct PathText(pub String);

impl<S: Send + Sync> FromRequestParts<S> for PathText {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
        text.map(|Path(text)| Self(text)).map_err(|_| not_text())
    }
}

/// The two variable segments of a path, percent-decoded.
#[derive(Debug)]
pub struct PathPair(pub String, pub String);

impl<S: Send + Sync> FromRequestParts<S> for PathPair {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let pair: Result<Path<(String, String)>, PathRejection> = Path::from_request_parts(parts, state).await;
        pair.map(|Path((one, other))| Self(one, other)).map_err(|_| not_text())
    }
}

/// The three variable segments of a path, percent-decoded.
#[derive(Debug)]
pub struct PathThree(pub String, pub String, pub String);

impl<S: Send + Sync> FromRequestParts<S> for PathThree {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let three: Result<Path<(String, String, String)>, PathRejection> = Path::from_request_parts(parts, state).await;
        three.map(|Path((one, two, three))| Self(one, two, three)).map_err(|_| not_text())
    }
}

fn not_text() -> Problem {
    Problem::listing(vec![ErrorItem::of("path", "must be percent-encoded UTF-8")])
}
