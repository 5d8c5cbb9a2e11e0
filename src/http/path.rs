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
        text.map(|Path(text)| Self(text))
            .map_err(|_| Problem::listing(vec![ErrorItem::of("path", "must be percent-encoded UTF-8")]))
    }
}
