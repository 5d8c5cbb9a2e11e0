//! Values as Recharge sends them: the same field is a number here and a text there, true or 1, an object or null.
//!
//! Each of these reads whatever can mean the thing; what can't is an error at the field. An empty text is nothing.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use serde::de::{DeserializeOwned, Error, Unexpected};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A whole number that must be there.
pub(super) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    number(deserializer)?.ok_or_else(|| wrong("nothing", "a whole number"))
}

/// A whole number: `30`, `"30"`, `30.0`.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    given(deserializer, "a whole number", as_whole)
}

/// The shop's id of something: `{"ecommerce": "5006149877931"}`, or the id itself.
pub(super) fn external<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    given(deserializer, "an id of the shop", |value| as_whole(ecommerce(value)))
}

/// The shop's text for something: `{"ecommerce": "#1016"}`, or the text itself.
pub(super) fn external_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    given(deserializer, "a text", |value| as_text(ecommerce(value)))
}

/// A text; a number is one too.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    given(deserializer, "a text", as_text)
}

/// Yes or no: `true`, `1`, `"1"`, `"true"`. Nothing is no.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let flag = given(deserializer, "true or false", |value| match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(word) if word.eq_ignore_ascii_case("true") => Some(true),
        Value::String(word) if word.eq_ignore_ascii_case("false") => Some(false),
        other => as_whole(other).map(|number| number != 0),
    });
    flag.map(Option::unwrap_or_default)
}

/// An instant that must be there.
pub(super) fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    maybe_time(deserializer)?.ok_or_else(|| wrong("nothing", "an instant"))
}

/// An instant, with an offset or (UTC) without, to the second or finer.
pub(super) fn maybe_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    given(deserializer, "an instant", |value| as_time(value.as_str()?))
}

/// A day: a date, or the date of an instant as it is written.
pub(super) fn day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NaiveDate>, D::Error> {
    given(deserializer, "a date", |value| {
        let text = value.as_str()?.trim();
        let date = text.get(..10)?.parse().ok()?;
        (text.len() == 10 || as_time(text).is_some()).then_some(date)
    })
}

/// A list: `[…]`, or `"[…]"`, or nothing.
pub(super) fn list<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let value = match Value::deserialize(deserializer)? {
        Value::String(text) if text.trim().is_empty() => return Ok(Vec::new()),
        Value::String(text) => serde_json::from_str(&text).map_err(|_| wrong("another text", "a list"))?,
        Value::Null => return Ok(Vec::new()),
        value => value,
    };
    serde_path_to_error::deserialize(value)
        .map_err(|error| D::Error::custom(format!("in the list at {}: not of the known shape", error.path())))
}

fn given<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &'static str,
    read: impl FnOnce(&Value) -> Option<T>,
) -> Result<Option<T>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    if is_nothing(&value) || is_nothing(ecommerce(&value)) {
        return Ok(None);
    }
    read(&value).map(Some).ok_or_else(|| wrong("something else", expected))
}

fn wrong<E: Error>(found: &'static str, expected: &'static str) -> E {
    E::invalid_value(Unexpected::Other(found), &expected)
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn ecommerce(value: &Value) -> &Value {
    match value {
        Value::Object(fields) => fields.get("ecommerce").unwrap_or(&Value::Null),
        other => other,
    }
}

fn as_whole(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| fraction_free(&number.to_string())),
        Value::String(text) => text.trim().parse().ok().or_else(|| fraction_free(text.trim())),
        Value::Bool(flag) => Some(i64::from(*flag)),
        _ => None,
    }
}

/// `30.0` is 30.
fn fraction_free(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.')?;
    fraction.bytes().all(|digit| digit == b'0').then(|| whole.parse().ok())?
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn as_time(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    let without_offset = |format| NaiveDateTime::parse_from_str(text, format).ok();
    let time = without_offset("%Y-%m-%dT%H:%M:%S%.f").or_else(|| without_offset("%Y-%m-%d %H:%M:%S%.f"));
    let time = time.or_else(|| text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0));
    time.map(|time| time.and_utc())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn all<T: std::fmt::Debug>(read: fn(Value) -> Result<T, serde_json::Error>, values: Value) -> Vec<Option<T>> {
        values.as_array().unwrap().iter().map(|value| read(value.clone()).ok()).collect()
    }

    #[test]
    fn one_thing_in_many_shapes() {
        let numbers = all(
            number::<Value>,
            json!([30, "30", " 30 ", 30.0, "30.0", null, "", 30.5, "x", [], 9_007_199_254_740_993_i64]),
        );
        let some = Some(Some(30));
        let exact = Some(Some(9_007_199_254_740_993));
        assert_eq!(numbers, [some, some, some, some, some, Some(None), Some(None), None, None, None, exact]);
        let ids = all(
            external::<Value>,
            json!([{ "ecommerce": "30" }, { "ecommerce": 30 }, "30", { "ecommerce": null }, {}, null, { "ecommerce": "" }, { "ecommerce": "gid" }]),
        );
        assert_eq!(ids, [some, some, some, Some(None), Some(None), Some(None), Some(None), None]);
        let flags = all(flag::<Value>, json!([true, 1, "1", "true", false, 0, "0", null, "maybe"]));
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(flags, [yes, yes, yes, yes, no, no, no, no, None]);
    }

    #[test]
    fn instants_come_with_and_without_offsets() {
        let texts = json!([
            "2023-05-13T04:07:28+00:00",
            "2023-05-13T00:07:28-04:00",
            "2023-05-13T04:07:28",
            "2023-05-13 04:07:28.000000"
        ]);
        let expected = "2023-05-13T04:07:28Z".parse().ok();
        assert_eq!(all(maybe_time::<Value>, texts), vec![Some(expected); 4]);
        let days =
            json!(["2024-05-12", "2024-05-12T04:00:00+00:00", "2024-05-12T00:00:00", null, "2024-05-12x", "12.5."]);
        let date = Some("2024-05-12".parse().ok());
        assert_eq!(all(day::<Value>, days), [date, date, date, Some(None), None, None]);
    }

    #[test]
    fn a_list_may_be_written_as_a_text() {
        let lists = all(list::<Value, i64>, json!([[1, 2], "[1, 2]", "[]", "", null, "x", ["x"]]));
        let (two, none) = (Some(vec![1, 2]), Some(vec![]));
        assert_eq!(lists, [two.clone(), two, none.clone(), none.clone(), none, None, None]);
    }
}
