//! Upstreams' ids in JSON: text, since they exceed what a JSON reader may keep exact (2^53). Read as text or as numbers.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serializer};

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

/// An id as a caller gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenId(pub i64);

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
        Ok(id)
    }

    fn visit_u64<E: Error>(self, id: u64) -> Result<i64, E> {
        i64::try_from(id).map_err(|_| E::invalid_value(serde::de::Unexpected::Unsigned(id), &self))
    }

    fn visit_str<E: Error>(self, id: &str) -> Result<i64, E> {
        let digits = id.bytes().all(|byte| byte.is_ascii_digit());
        let read = id.parse().ok().filter(|_| digits);
        read.ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(id), &self))
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
        for odd in [json!(1.0), json!("1.0"), json!("+1"), json!(" 1"), json!(""), json!(null), json!(u64::MAX)] {
            assert!(from_value::<GivenId>(odd.clone()).is_err(), "{odd}");
        }
    }
}
