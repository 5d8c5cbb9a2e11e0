//! What a query costs, roughly as the Admin API counts, and the bucket that it is paid from.
//!
//! A connection costs 2 and, for each step of a logarithm of its page size, 1 and what is asked of a node. An object costs
//! 1, money and pairs nothing, a count 10, a mutation 10. Plain lists and `nodes(ids:)` are not multiplied. The model was
//! fitted to recorded pairs of query and cost; the true figure is whatever an answer says.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::arguments::Arguments;
use super::document::{Field, Prepared, Selection};

/// Most that one query may cost.
pub(super) const SINGLE_QUERY_MAX: i64 = 1000;
const MUTATION: i64 = 10;
const FREE: [&str; 4] = ["MoneyBag", "MoneyV2", "Attribute", "SelectedOption"];

/// What an operation may cost at most.
pub(super) fn requested(operation: &Prepared, arguments: &Arguments<'_>) -> i64 {
    if operation.mutation {
        return MUTATION;
    }
    selection(&operation.root, arguments)
}

fn selection(asked: &Selection, arguments: &Arguments<'_>) -> i64 {
    let each = asked.all().map(|fields| fields.iter().map(|of| field(of, arguments)).sum());
    each.max().unwrap_or(0)
}

fn field(of: &Field, arguments: &Arguments<'_>) -> i64 {
    let Some(asked) = &of.selection else { return 0 };
    if of.is_connection() {
        let first = arguments.integer(of, "first").unwrap_or(0);
        return 2 + steps(first) * (1 + node(asked, arguments));
    }
    match of.of.as_str() {
        free if FREE.contains(&free) => 0,
        "Count" => 10,
        "Node" => selection(asked, arguments),
        _ => 1 + selection(asked, arguments),
    }
}

/// What one node of a connection costs.
fn node(asked: &Selection, arguments: &Arguments<'_>) -> i64 {
    let parts = asked.all().flatten().filter_map(|part| Some((part.name.as_str(), part.selection.as_ref()?)));
    let nodes = parts.map(|(name, part)| match name {
        "nodes" => selection(part, arguments),
        "edges" => {
            part.all().flatten().filter_map(|edge| edge.selection.as_ref()).map(|of| selection(of, arguments)).sum()
        }
        _ => 0,
    });
    nodes.max().unwrap_or(0)
}

fn steps(first: i64) -> i64 {
    let first = i32::try_from(first.max(1)).unwrap_or(i32::MAX);
    #[expect(clippy::cast_possible_truncation, reason = "twice the logarithm of an i32 is below 50")]
    let steps = (2.0 * f64::from(first).ln()).floor() as i64;
    steps.max(1)
}

/// The leaky bucket: it holds twenty seconds of what flows in.
#[derive(Debug)]
pub(super) struct Bucket {
    available: f64,
    at: DateTime<Utc>,
    per_second: f64,
}

impl Bucket {
    pub(super) fn new(per_second: u32, now: DateTime<Utc>) -> Self {
        let per_second = f64::from(per_second);
        Self { available: per_second * 20.0, at: now, per_second }
    }

    fn refill(&mut self, now: DateTime<Utc>) {
        let passed = (now - self.at).as_seconds_f64().max(0.0);
        self.available = (self.available + passed * self.per_second).min(self.per_second * 20.0);
        self.at = now;
    }

    /// Takes what a query asks for, if it is there.
    pub(super) fn take(&mut self, cost: i64, now: DateTime<Utc>) -> bool {
        self.refill(now);
        let cost = whole(cost);
        let enough = self.available >= cost;
        if enough {
            self.available -= cost;
        }
        enough
    }

    /// Gives back what a query did not use.
    pub(super) fn refund(&mut self, cost: i64) {
        self.available = (self.available + whole(cost)).min(self.per_second * 20.0);
    }

    /// Empties it.
    pub(super) fn drain(&mut self) {
        self.available = 0.0;
    }

    /// `extensions.cost` of an answer.
    pub(super) fn extension(&self, requested: i64, actual: Option<i64>) -> Value {
        json!({
            "requestedQueryCost": requested,
            "actualQueryCost": actual,
            "throttleStatus": {
                "maximumAvailable": self.per_second * 20.0,
                "currentlyAvailable": self.available.floor(),
                "restoreRate": self.per_second,
            },
        })
    }
}

fn whole(cost: i64) -> f64 {
    f64::from(i32::try_from(cost).unwrap_or(i32::MAX))
}
