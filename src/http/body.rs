//! JSON bodies, taken at their word (`strict`). The good case is one pass of serde; only a body that fails is looked at
//! again, to name everything that is wrong with it: the offending member is cut out and the rest is read again, until it
//! reads.

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{FromRequest, OptionalFromRequest, Request};
use axum::http::header;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use crate::http::code::Code;
use crate::http::problem::{ErrorItem, Problem};
use crate::http::query::Query;
use crate::http::violations::Violations;

mod strict;

use strict::Strict;

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
        // No operation with a body takes query parameters.
        Query::parse(request.uri().query().unwrap_or_default()).finish()?;
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !content_type.is_some_and(is_json) {
            return Err(Problem::new(Code::UnsupportedMediaType, "Send the body as application/json."));
        }
        read(&bytes(request.into_body(), BODY_LIMIT).await?)
    }
}

/// A body that may be left out altogether: without a content type there must be none.
impl<S: Send + Sync, T: DeserializeOwned + Default> OptionalFromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Problem> {
        if request.headers().contains_key(header::CONTENT_TYPE) || !request.body().is_end_stream() {
            return <Self as FromRequest<S>>::from_request(request, state).await.map(Some);
        }
        Ok(None)
    }
}

/// The whole body, if it has no more than `limit` bytes.
///
/// # Errors
/// `body_too_large`; `malformed_json` if it ends early.
pub async fn bytes(body: Body, limit: usize) -> Result<bytes::Bytes, Problem> {
    to_bytes(body, limit).await.map_err(|error| {
        let mut source = std::error::Error::source(&error);
        while let Some(inner) = source {
            if inner.is::<http_body_util::LengthLimitError>() {
                return Problem::new(Code::BodyTooLarge, format!("The body may have {limit} bytes."));
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

/// Reads a document of its own, such as a line of a file.
///
/// # Errors
/// A problem if it is not JSON or no object, or nothing of it can be read.
pub fn read<T: DeserializeOwned + Default>(bytes: &[u8]) -> Result<Json<T>, Problem> {
    if let Ok(value) = read_at_once(bytes) {
        return Ok(Json { value, violations: Violations::default() });
    }
    let mut document: Value = serde_json::from_slice(bytes)
        .map_err(|error| Problem::new(Code::MalformedJson, format!("The body is not JSON: {error}.")))?;
    if !document.is_object() {
        return Err(Problem::listing(vec![ErrorItem::at("", Code::ValidationFailed, "must be a JSON object")]));
    }
    let mut errors: Vec<ErrorItem> = Vec::new();
    let mut removed = Vec::new();
    while errors.len() < MOST_ERRORS {
        match serde_path_to_error::deserialize::<_, T>(Strict(&document)) {
            Ok(value) => {
                if errors.is_empty() {
                    errors.extend(twice::<T>(bytes));
                }
                return Ok(Json { value, violations: Violations::starting_with(errors) });
            }
            Err(error) => {
                let pointer = pointer_of(error.path(), &error);
                let sent = as_sent(&pointer, &removed);
                if !errors.iter().any(|known| known.pointer.as_ref() == Some(&sent)) {
                    errors.push(ErrorItem::at(sent, Code::ValidationFailed, say(error.inner())));
                }
                if !cut(&mut document, &pointer, &mut removed) {
                    // A duplicate member or the like: nothing to cut.
                    break;
                }
            }
        }
    }
    Err(Problem::listing(errors))
}

fn read_at_once<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = T::deserialize(Strict(&mut deserializer))?;
    deserializer.end()?;
    Ok(value)
}

/// What reads as a document but not as it was sent: a member is there twice, and nobody knows which one is meant.
fn twice<T: DeserializeOwned>(bytes: &[u8]) -> Option<ErrorItem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let error = serde_path_to_error::deserialize::<_, T>(Strict(&mut deserializer)).err()?;
    Some(ErrorItem::at(pointer_of(error.path(), &error), Code::ValidationFailed, "is there more than once"))
}

/// An element that was taken out of the array at a pointer, and where it was.
type Removed = (String, usize);

/// The pointer into the body as it was sent: elements taken out since count again.
fn as_sent(pointer: &str, removed: &[Removed]) -> String {
    removed.iter().rev().fold(pointer.to_owned(), |pointer, (array, at)| {
        let below = pointer.strip_prefix(array.as_str()).and_then(|rest| rest.strip_prefix('/'));
        let Some(rest) = below else { return pointer };
        let (index, tail) = rest.find('/').map_or((rest, ""), |end| rest.split_at(end));
        match index.parse::<usize>() {
            Ok(index) if index >= *at => format!("{array}/{}{tail}", index + 1),
            _ => pointer,
        }
    })
}

/// RFC 6901 pointer to what serde stumbled over. For an unknown or repeated member serde's path may end at its object.
fn pointer_of(path: &Path, error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => push(&mut pointer, &index.to_string()),
            Segment::Map { key } => push(&mut pointer, &escape(key)),
            Segment::Enum { variant } => push(&mut pointer, &escape(variant)),
            Segment::Unknown => {}
        }
    }
    let message = error.inner().to_string();
    let field = message.strip_prefix("unknown field `").or_else(|| message.strip_prefix("duplicate field `"));
    if let Some(field) = field.and_then(|rest| rest.split('`').next())
        && !pointer.ends_with(&format!("/{}", escape(field)))
    {
        push(&mut pointer, &escape(field));
    }
    pointer
}

fn push(pointer: &mut String, segment: &str) {
    pointer.push('/');
    pointer.push_str(segment);
}

fn escape(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

fn say(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.contains(", expected struct ") {
        return "must be a JSON object".to_owned();
    }
    match text.strip_prefix("unknown field `").and_then(|rest| rest.split_once("`, ")) {
        Some((_, expected)) => format!("is not a known member; {expected}"),
        None => text,
    }
}

/// Takes out what could not be read. An array element becomes an empty object first, so that the members it would need
/// are named too; what cannot be an object at all is taken out. False if there is nothing there.
fn cut(document: &mut Value, pointer: &str, removed: &mut Vec<Removed>) -> bool {
    let Some((parent, last)) = pointer.rsplit_once('/') else { return false };
    let last = last.replace("~1", "/").replace("~0", "~");
    match document.pointer_mut(parent) {
        Some(Value::Object(members)) => members.remove(&last).is_some(),
        Some(Value::Array(items)) => {
            let Some(index) = last.parse::<usize>().ok().filter(|index| *index < items.len()) else { return false };
            if items[index].as_object().is_some_and(serde_json::Map::is_empty) {
                items.remove(index);
                removed.push((parent.to_owned(), index));
            } else {
                items[index] = Value::Object(serde_json::Map::new());
            }
            true
        }
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
        tags: Option<Vec<String>>,
        gift: Option<Line>,
        wrap: Option<Wrap>,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Wrap {
        Paper,
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
    fn elements_of_an_array_are_named_by_the_place_they_were_sent_at() {
        let body = r#"{"tags":[1,"a",{},["x"],"b",null],"lines":[7,{"sku":"A"},{"bogus":1}]}"#;
        let mut found = pointers(body);
        found.sort();
        assert_eq!(found, ["/lines/0", "/lines/2/bogus", "/tags/0", "/tags/2", "/tags/3", "/tags/5"]);
    }

    #[test]
    fn an_object_is_not_read_from_an_array_nor_a_word_from_an_object() {
        let body = r#"{"lines":[["A",1],{"sku":"B"},[]],"gift":["A",1],"wrap":{"paper":null}}"#;
        let mut found = pointers(body);
        found.sort();
        assert_eq!(found, ["/gift", "/lines/0", "/lines/2", "/wrap"]);
        let json = read::<Cart>(br#"{"gift":{"sku":"A"},"wrap":"paper"}"#);
        let json = json.unwrap_or_else(|problem| panic!("{problem:?}"));
        assert_eq!(json.value.wrap, Some(Wrap::Paper));
        assert_eq!(json.value.gift.and_then(|line| line.sku).as_deref(), Some("A"));
    }

    #[test]
    fn a_member_that_is_there_twice_is_refused() {
        assert_eq!(pointers(r#"{"note":"a","note":"b"}"#), ["/note"]);
        assert_eq!(pointers(r#"{"lines":[{"sku":"A"},{"quantity":1,"quantity":100}]}"#), ["/lines/1/quantity"]);
    }

    #[test]
    fn what_can_be_read_is_read() {
        let json = read::<Cart>(br#"{"lines":[{"sku":"A","quantity":2}],"note":"hi","tags":["x"],"ttl_seconds":[]}"#);
        let json = json.unwrap_or_else(|problem| panic!("{problem:?}"));
        assert_eq!((json.value.note.as_deref(), json.value.tags), (Some("hi"), Some(vec!["x".to_owned()])));
        let lines = json.value.lines.unwrap_or_default();
        assert_eq!((lines[0].sku.as_deref(), lines[0].quantity), (Some("A"), Some(2)));
        assert_eq!(json.value.ttl_seconds, None);
    }

    #[test]
    fn no_json_and_no_object_are_told_apart() {
        for body in ["", "{", "[1", "{\"lines\":}"] {
            assert_eq!(read::<Cart>(body.as_bytes()).err().map(|p| p.code), Some(Code::MalformedJson), "{body}");
        }
        for body in ["[]", "[null, null, \"note\", null]", "1", "null", "\"x\""] {
            assert_eq!(read::<Cart>(body.as_bytes()).err().map(|p| p.code), Some(Code::ValidationFailed), "{body}");
        }
    }
}
