//! Upstreams' ids in JSON: text, since they exceed what a JSON reader may keep exact (2^53). Read as text or as numbers.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

/// An id.
///
/// # Errors
/// The serializer's.
pub fn text<S: Serializer>(id: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

/// An id, or null.
///
/// # Errors
/// The serializer's.
pub fn text_or_null<S: Serializer>(id: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    match id {
        Some(id) => serializer.collect_str(id),
        None => serializer.serialize_none(),
    }
}

/// The id that a text says, written the one way that it is shown.
#[must_use]
pub fn read(text: &str) -> Option<i64> {
    text.parse().ok().filter(|id: &i64| *id > 0 && id.to_string() == text)
}

/// An id as a caller gives it; a number and its digits are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenId(pub i64);

/// Digits, or the number.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum GivenIdSchema {
    /// Digits.
    Text(String),
    /// The number.
    Number(i64),
}

impl Serialize for GivenId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        text(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for GivenId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReadId).map(Self)
    }
}

struct ReadId;

impl Visitor<'_> for ReadId {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an upstream's id: a whole number, or one as text")
    }

    fn visit_i64<E: Error>(self, id: i64) -> Result<i64, E> {
        Some(id).filter(|id| *id > 0).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Signed(id), &self))
    }

    fn visit_u64<E: Error>(self, id: u64) -> Result<i64, E> {
        let read = i64::try_from(id).ok().filter(|id| *id > 0);
        read.ok_or_else(|| E::invalid_value(serde::de::Unexpected::Unsigned(id), &self))
    }

    fn visit_str<E: Error>(self, id: &str) -> Result<i64, E> {
        read(id).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(id), &self))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn an_id_is_read_as_text_and_as_a_number_and_never_as_another_one() {
        let largest = 9_223_372_036_854_775_807_i64;
        for given in [json!(largest), json!("9223372036854775807")] {
            assert_eq!(from_value::<GivenId>(given).unwrap(), GivenId(largest));
        }
        let numbers = [json!(1.0), json!(0), json!(-1), json!(u64::MAX), json!(null), json!(true)];
        let texts = ["", "0", "011", "+1", "-1", " 1", "1.0", "x", "99999999999999999999"].map(|text| json!(text));
        for odd in numbers.into_iter().chain(texts) {
            assert!(from_value::<GivenId>(odd.clone()).is_err(), "{odd}");
        }
    }
}
