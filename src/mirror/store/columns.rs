//! Rows as the columns of one statement, and what Postgres cannot keep left out of them.
//!
//! Text and JSON of Postgres have no NUL, and money has 14 digits before the point. An upstream that sends otherwise must
//! not hold up the stream of everything after it, so a text ends at its first NUL, documents lose theirs, and such a sum
//! is absent; the document still has it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::Value;

use crate::mirror::rows::{
    Location, Order, Product, RechargeCharge, RechargeCustomer, RechargeOrder, RechargeSubscription,
};

/// A row that replaces only what is older.
pub(super) trait Copied {
    /// Its id.
    fn id(&self) -> i64;
    /// Its last change, and when it was asked for.
    fn age(&self) -> (DateTime<Utc>, DateTime<Utc>);
}

macro_rules! copied {
    ($($row:ty: $id:ident),+) => {
        $(impl Copied for $row {
            fn id(&self) -> i64 {
                self.$id
            }

            fn age(&self) -> (DateTime<Utc>, DateTime<Utc>) {
                (self.updated_at, self.fetched_at)
            }
        })+
    };
}

copied!(
    Product: product_id,
    Order: order_id,
    RechargeCustomer: customer_id,
    RechargeSubscription: subscription_id,
    RechargeCharge: charge_id,
    RechargeOrder: order_id
);

impl Copied for Location {
    fn id(&self) -> i64 {
        self.location_id
    }

    /// The upstream does not say when a location changed.
    fn age(&self) -> (DateTime<Utc>, DateTime<Utc>) {
        (self.fetched_at, self.fetched_at)
    }
}

/// The newest row of each id, by id: a statement may not touch a row twice, and locks are taken in one order.
pub(super) fn newest<T: Copied>(rows: &[T]) -> Vec<&T> {
    let mut by_id: BTreeMap<i64, &T> = BTreeMap::new();
    for row in rows {
        let newest = by_id.entry(row.id()).or_insert(row);
        if row.age() > newest.age() {
            *newest = row;
        }
    }
    by_id.into_values().collect()
}

/// One column of these rows.
pub(super) fn column<'a, T, U>(rows: &[&'a T], of: impl Fn(&'a T) -> U) -> Vec<U> {
    rows.iter().map(|row| of(row)).collect()
}

/// A text up to its first NUL.
pub(super) fn plain(text: &str) -> &str {
    text.split('\0').next().unwrap_or_default()
}

/// A text up to its first NUL, if it is there.
pub(super) fn some(text: Option<&String>) -> Option<&str> {
    text.map(|text| plain(text))
}

/// A code, if there is one: an empty one is none.
pub(super) fn code(text: Option<&String>) -> Option<&str> {
    some(text).filter(|code| !code.is_empty())
}

/// A sum that the column takes.
pub(super) fn money(sum: Option<Decimal>) -> Option<Decimal> {
    sum.filter(|sum| sum.abs() < Decimal::from(100_000_000_000_000_i64))
}

/// A document as text that Postgres reads. As text it is written once and read once; as a value of the driver it would
/// be copied twice more.
pub(super) fn json(document: &Value) -> String {
    let text = document.to_string();
    if !text.contains("\\u0000") {
        return text;
    }
    let mut document = document.clone();
    drop_nul(&mut document);
    document.to_string()
}

fn drop_nul(value: &mut Value) {
    match value {
        Value::String(text) => text.retain(|c| c != '\0'),
        Value::Array(items) => items.iter_mut().for_each(drop_nul),
        Value::Object(members) => {
            members.values_mut().for_each(drop_nul);
            if members.keys().any(|name| name.contains('\0')) {
                *members =
                    std::mem::take(members).into_iter().map(|(name, value)| (name.replace('\0', ""), value)).collect();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_postgres_cannot_keep_is_left_out_and_nothing_else() {
        let document = json!({"a": "x\u{0}y", "b\u{0}": ["\u{0}", "\\u0000"], "n": 9_007_199_254_740_993_i64});
        assert_eq!(json(&document), r#"{"a":"xy","b":["","\\u0000"],"n":9007199254740993}"#);
        assert_eq!((plain("x\u{0}y"), code(Some(&"\u{0}y".to_owned())), some(None)), ("x", None, None));
        assert_eq!(money(Some(Decimal::MAX)), None);
        assert_eq!(money(Some(Decimal::new(-1, 2))), Some(Decimal::new(-1, 2)));
    }

    #[test]
    fn of_two_states_of_one_entity_the_newer_is_written() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap_or_default();
        let customer = |customer_id, updated_at, fetched_at| RechargeCustomer {
            customer_id,
            external_customer_id: None,
            updated_at: at(updated_at),
            fetched_at: at(fetched_at),
            document: Value::Null,
        };
        let rows = [customer(2, 5, 6), customer(1, 5, 8), customer(1, 6, 7), customer(1, 5, 9), customer(2, 5, 7)];
        assert_eq!(newest(&rows), [&rows[2], &rows[4]]);
    }
}
