//! The `Idempotency-Key` header (IETF httpapi draft): quoted or bare, 1–255 visible ASCII characters, required on
//! every POST that moves stock.
//!
//! A key belongs to the client (not to the API key, so that keys can be rotated between two tries). Its fingerprint is
//! SHA-256 over method, path and the canonical command: members that the caller gave, in a fixed order, so that white
//! space, member order and new optional members of later releases change nothing.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::http::code::Code;
use crate::http::problem::Problem;
use crate::ledger::submission::Key;

/// The key of a request, with what it is fingerprinted over besides the body.
#[derive(Debug, Clone)]
pub struct IdempotencyKey {
    key: String,
    method_and_path: Sha256,
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all("idempotency-key").iter();
        let Some(value) = values.next() else {
            return Err(Problem::new(
                Code::IdempotencyKeyRequired,
                "Send an Idempotency-Key header, for example a UUID; repeat it when you repeat the request.",
            ));
        };
        let key = value.to_str().ok().and_then(unquote).filter(|_| values.next().is_none());
        let Some(key) = key else {
            return Err(Problem::new(
                Code::IdempotencyKeyInvalid,
                "The Idempotency-Key must be one value of 1 to 255 visible ASCII characters, bare or in quotes.",
            ));
        };
        let mut method_and_path = Sha256::new();
        method_and_path.update(parts.method.as_str());
        method_and_path.update(b" ");
        method_and_path.update(parts.uri.path());
        method_and_path.update(b"\n");
        Ok(Self { key: key.to_owned(), method_and_path })
    }
}

fn unquote(value: &str) -> Option<&str> {
    let value = value.trim();
    let bare = match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').filter(|inner| !inner.contains(['"', '\\']))?,
        None => value,
    };
    let visible = bare.bytes().all(|byte| byte.is_ascii_graphic());
    (visible && (1..=255).contains(&bare.len())).then_some(bare)
}

impl IdempotencyKey {
    /// The key with the fingerprint of this request.
    #[must_use]
    pub fn for_command(self, canonical: &impl Serialize) -> Key {
        let mut hash = self.method_and_path;
        hash.update(serde_json::to_vec(canonical).unwrap_or_default());
        Key { key: self.key, fingerprint: hash.finalize().into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_may_be_quoted_or_bare_and_are_bounded() {
        assert_eq!(unquote("abc"), Some("abc"));
        assert_eq!(unquote("\"abc\""), Some("abc"));
        let longest = "k".repeat(255);
        assert_eq!(unquote(&longest), Some(longest.as_str()));
        for bad in ["", "\"\"", "\"abc", "a b", "a\u{e9}", "\"a\"b\"", &"k".repeat(256)] {
            assert_eq!(unquote(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_fingerprint_of_a_recorded_request_never_changes() {
        let mut method_and_path = Sha256::new();
        method_and_path.update(b"POST /reservations\n");
        let key = IdempotencyKey { key: "k".into(), method_and_path };
        let canonical = serde_json::json!({"lines": [{"sku": "A", "quantity": 1}]});
        assert_eq!(
            hex::encode(key.for_command(&canonical).fingerprint),
            hex::encode(Sha256::digest(b"POST /reservations\n{\"lines\":[{\"quantity\":1,\"sku\":\"A\"}]}")),
        );
    }
}
