//! JSON bodies. The good case is one pass of serde; only a body that fails is looked at again, to name everything that
//! is wrong with it: the offending member is cut out and the rest is read again, until it reads.

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::header;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use crate::http::code::Code;
use crate::http::problem::{ErrorItem, Problem};
use crate::http::violations::Violations;

/// Largest body, in bytes: room for a thousand SKUs.
pub const BODY_LIMIT: usize = 256 * 1024;
const MOST_ERRORS: usize = 50;

/// A body read as `T`, whose members are all optional, and what could not be read of it.
pub struct Json<T> {
    /// What could be read.
    pub value: T,
    /// What could not.
    pub violations: Violations,
}

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !content_type.is_some_and(is_json) {
            return Err(Problem::new(Code::UnsupportedMediaType, "Send the body as application/json."));
        }
        read(&bytes(request.into_body()).await?)
    }
}

async fn bytes(body: Body) -> Result<bytes::Bytes, Problem> {
    to_bytes(body, BODY_LIMIT).await.map_err(|error| {
        let mut source = std::error::Error::source(&error);
        while let Some(inner) = source {
            if inner.is::<http_body_util::LengthLimitError>() {
                return Problem::new(Code::BodyTooLarge, format!("The body may have {BODY_LIMIT} bytes."));
            }
            source = inner.source();
        }
        Problem::new(Code::MalformedJson, "The body ended early.")
    })
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        || (essence.len() > 17
            && essence[..12].eq_ignore_ascii_case("application/")
            && essence.to_ascii_lowercase().ends_with("+json"))
}

fn read<T: DeserializeOwned + Default>(bytes: &[u8]) -> Result<Json<T>, Problem> {
    if let Ok(value) = serde_json::from_slice(bytes) {
        return Ok(Json { value, violations: Violations::default() });
    }
    let mut document: Value = serde_json::from_slice(bytes)
        .map_err(|error| Problem::new(Code::MalformedJson, format!("The body is not JSON: {error}.")))?;
    if !document.is_object() {
        return Err(Problem::listing(vec![ErrorItem::at("", Code::ValidationFailed, "must be a JSON object")]));
    }
    let mut errors = Vec::new();
    while errors.len() < MOST_ERRORS {
        match serde_path_to_error::deserialize::<_, T>(&document) {
            Ok(value) => return Ok(Json { value, violations: Violations::starting_with(errors) }),
            Err(error) => {
                let (pointer, detail) = (pointer_of(error.path(), &error), say(error.inner()));
                if !cut(&mut document, &pointer) {
                    // A duplicate member or the like: nothing to cut.
                    errors.push(ErrorItem::at(pointer, Code::ValidationFailed, detail));
                    break;
                }
                errors.push(ErrorItem::at(pointer, Code::ValidationFailed, detail));
            }
        }
    }
    Err(Problem::listing(errors))
}

/// RFC 6901 pointer to what serde stumbled over. For an unknown member serde's path ends at the member itself.
fn pointer_of(path: &Path, error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let mut pointer = String::new();
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => pointer.push_str(&format!("/{}", escape(key))),
            Segment::Enum { variant } => pointer.push_str(&format!("/{}", escape(variant))),
            Segment::Unknown => {}
        }
    }
    let message = error.inner().to_string();
    if let Some(field) = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next())
        && !pointer.ends_with(&format!("/{}", escape(field)))
    {
        pointer.push_str(&format!("/{}", escape(field)));
    }
    pointer
}

fn escape(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

fn say(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.strip_prefix("unknown field `").and_then(|rest| rest.split_once("`, ")) {
        Some((_, expected)) => format!("is not a known member; {expected}"),
        None => text,
    }
}

/// Removes a member, or makes an array element null-free by removing it. False if there is nothing there.
fn cut(document: &mut Value, pointer: &str) -> bool {
    let Some((parent, last)) = pointer.rsplit_once('/') else { return false };
    let last = last.replace("~1", "/").replace("~0", "~");
    match document.pointer_mut(parent) {
        Some(Value::Object(members)) => members.remove(&last).is_some(),
        // Replaced, not removed: later pointers keep their index.
        Some(Value::Array(items)) => match last.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
            Some(item) if !item.as_object().is_some_and(serde_json::Map::is_empty) => {
                *item = Value::Object(serde_json::Map::new());
                true
            }
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Cart {
        lines: Option<Vec<Line>>,
        ttl_seconds: Option<i64>,
        note: Option<String>,
    }

    #[derive(Debug, Default, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Line {
        sku: Option<String>,
        quantity: Option<i64>,
    }

    fn pointers(body: &str) -> Vec<String> {
        let errors = match read::<Cart>(body.as_bytes()) {
            Ok(json) => match json.violations.finish(Some(())) {
                Ok(()) => return Vec::new(),
                Err(problem) => problem.errors,
            },
            Err(problem) => problem.errors,
        };
        errors.into_iter().filter_map(|error| error.pointer).collect()
    }

    #[test]
    fn everything_that_cannot_be_read_is_named_at_once() {
        let body = r#"{"lines":[{"sku":7,"quantity":1.5},{"sku":"A","color":"red"}],"ttl_seconds":"x","bogus":1}"#;
        let mut found = pointers(body);
        found.sort();
        assert_eq!(found, ["/bogus", "/lines/0/quantity", "/lines/0/sku", "/lines/1/color", "/ttl_seconds"]);
    }

    #[test]
    fn what_can_be_read_is_read() {
        let json = read::<Cart>(br#"{"lines":[{"sku":"A","quantity":2}],"note":"hi","ttl_seconds":[]}"#);
        let json = json.unwrap_or_else(|problem| panic!("{problem:?}"));
        assert_eq!(json.value.note.as_deref(), Some("hi"));
        let lines = json.value.lines.unwrap_or_default();
        assert_eq!((lines[0].sku.as_deref(), lines[0].quantity), (Some("A"), Some(2)));
        assert_eq!(json.value.ttl_seconds, None);
    }

    #[test]
    fn no_json_and_no_object_are_told_apart() {
        for body in ["", "{", "[1", "{\"lines\":}"] {
            assert_eq!(read::<Cart>(body.as_bytes()).err().map(|p| p.code), Some(Code::MalformedJson), "{body}");
        }
        for body in ["[]", "1", "null", "\"x\""] {
            assert_eq!(read::<Cart>(body.as_bytes()).err().map(|p| p.code), Some(Code::ValidationFailed), "{body}");
        }
    }
}
