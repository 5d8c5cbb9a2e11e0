//! Cursors of connections: opaque to clients, keysets inside. So what changes during paging moves, and is never lost.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::errors::Failure;

/// Where a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// What it is sorted by, as a number.
    pub last_value: i64,
    /// Breaks ties.
    pub last_id: i64,
}

impl Cursor {
    pub(super) fn encode(self) -> String {
        STANDARD.encode(serde_json::to_vec(&self).unwrap_or_default())
    }

    pub(super) fn decode(text: &str) -> Result<Self, Failure> {
        let read = STANDARD.decode(text).ok().and_then(|json| serde_json::from_slice(&json).ok());
        read.ok_or_else(|| Failure::bad_request(format!("Invalid cursor for current pagination sort: \"{text}\".")))
    }
}
