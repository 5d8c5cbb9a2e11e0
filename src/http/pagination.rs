//! Lists: `limit` (1–100, default 20) and an opaque `cursor`; keyset, no total.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::http::query::Query;

/// One page of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The items.
    pub data: Vec<T>,
    /// Give it as `cursor` to get the next page; null on the last.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page of at most `limit` items, of `items` fetched with one more than that.
    pub fn of<C: Serialize>(mut items: Vec<T>, limit: i64, cursor_of: impl Fn(&T) -> C) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = if more { items.last().map(|last| encode(&cursor_of(last))) } else { None };
        Self { data: items, next_cursor }
    }

    /// The same page of something else.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page { data: self.data.into_iter().map(f).collect(), next_cursor: self.next_cursor }
    }
}

/// Where a page starts and how long it is.
#[derive(Debug)]
pub struct Paging<C> {
    /// Most items.
    pub limit: i64,
    /// The last item of the page before.
    pub after: Option<C>,
}

impl<C: DeserializeOwned> Paging<C> {
    /// Takes `limit` and `cursor` out of a query.
    pub fn take(query: &mut Query) -> Self {
        let limit = query
            .read("limit", "a number from 1 to 100", |text| text.parse().ok().filter(|n| (1..=100).contains(n)))
            .unwrap_or(20);
        let after = query.read("cursor", "a cursor that a list answered", decode);
        Self { limit, after }
    }
}

/// The text that a page ended with. A forged one must not reach the database with what it cannot be asked for (NUL).
#[derive(Debug, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct TextCursor(pub String);

impl TryFrom<String> for TextCursor {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.chars().any(char::is_control) { Err("has control characters") } else { Ok(Self(text)) }
    }
}

#[derive(Serialize, Deserialize)]
struct Versioned<C> {
    v: u8,
    c: C,
}

/// A cursor as the caller gets it.
pub(crate) fn encode<C: Serialize>(cursor: &C) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&Versioned { v: 1, c: cursor }).unwrap_or_default())
}

/// What a cursor says; `None` for one that was never answered.
pub(crate) fn decode<C: DeserializeOwned>(text: &str) -> Option<C> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    serde_json::from_slice::<Versioned<C>>(&bytes).ok().filter(|cursor| cursor.v == 1).map(|cursor| cursor.c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_garbage_does_not() {
        let page = Page::of(vec![1_i64, 2, 3], 2, |n| *n);
        assert_eq!(page.data, [1, 2]);
        let cursor = page.next_cursor.unwrap_or_default();
        assert_eq!(decode::<i64>(&cursor), Some(2));
        for garbage in ["", "x", "e30", "!!!!"] {
            assert_eq!(decode::<i64>(garbage), None);
        }
        assert_eq!(Page::of(vec![1_i64, 2], 2, |n| *n).next_cursor, None);
    }
}
