//! Pages of a collection.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::render;
use crate::demo::standin::world::{Charge, Customer, RechargeOrder, Subscription};

const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 250;

/// One thing of a collection.
#[derive(Debug, Clone, Copy)]
pub(super) enum Row<'w> {
    Order(&'w RechargeOrder),
    Charge(&'w Charge),
    Subscription(&'w Subscription),
    Customer(&'w Customer),
}

impl Row<'_> {
    pub(super) fn id(self) -> i64 {
        match self {
            Self::Order(of) => of.id,
            Self::Charge(of) => of.id,
            Self::Subscription(of) => of.id,
            Self::Customer(of) => of.id,
        }
    }

    fn updated_at(self) -> DateTime<Utc> {
        match self {
            Self::Order(of) => of.updated_at,
            Self::Charge(of) => of.updated_at,
            Self::Subscription(of) => of.updated_at,
            Self::Customer(of) => of.updated_at,
        }
    }

    fn status(self) -> &'static str {
        match self {
            Self::Order(of) => of.status,
            Self::Charge(of) => of.status,
            Self::Subscription(of) => of.status,
            Self::Customer(_) => "",
        }
    }

    /// The member that holds one of them.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Order(_) => "order",
            Self::Charge(_) => "charge",
            Self::Subscription(_) => "subscription",
            Self::Customer(_) => "customer",
        }
    }

    pub(super) fn render(self) -> Value {
        match self {
            Self::Order(of) => render::order(of),
            Self::Charge(of) => render::charge(of),
            Self::Subscription(of) => render::subscription(of),
            Self::Customer(of) => render::customer(of, 1),
        }
    }
}

/// What is listed, and where the last page ended. This is what a cursor holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Window {
    sort_by: String,
    updated_at_min: Option<DateTime<Utc>>,
    updated_at_max: Option<DateTime<Utc>>,
    status: Option<String>,
    last: Option<(i64, i64)>,
}

type Broken = Value;

impl Window {
    /// Reads a query: the window, and the page size.
    pub(super) fn read(query: &[(String, String)]) -> Result<(Self, usize), Broken> {
        let given = |name: &str| query.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str());
        let limit = match given("limit").map(str::parse::<usize>) {
            None => LIMIT_DEFAULT,
            Some(Ok(limit @ 1..=LIMIT_MAX)) => limit,
            Some(_) => return Err(json!({"limit": ["Must be between 1 and 250."]})),
        };
        if let Some(cursor) = given("cursor") {
            if let Some((other, _)) = query.iter().find(|(name, _)| !matches!(name.as_str(), "cursor" | "limit")) {
                return Err(json!({other.as_str(): ["Not allowed together with a cursor."]}));
            }
            let read = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|json| serde_json::from_slice(&json).ok());
            return read.map(|window| (window, limit)).ok_or(json!({"cursor": ["Invalid value"]}));
        }
        let time = |name: &str| match given(name) {
            None => Ok(None),
            Some(text) => parse_time(text).map(Some).ok_or(json!({name: ["Not a valid datetime."]})),
        };
        let sort_by = given("sort_by").unwrap_or("id-desc");
        if !["id-asc", "id-desc", "updated_at-asc", "updated_at-desc"].contains(&sort_by) {
            return Err(json!({"sort_by": ["Invalid value"]}));
        }
        let window = Self {
            sort_by: sort_by.to_owned(),
            updated_at_min: time("updated_at_min")?,
            updated_at_max: time("updated_at_max")?,
            status: given("status").map(ToOwned::to_owned),
            last: None,
        };
        Ok((window, limit))
    }

    /// One page, and the cursor of the next.
    pub(super) fn page(mut self, rows: Vec<Row<'_>>, limit: usize, collection: &str) -> Value {
        let (by, descending) = (self.sort_by.starts_with("updated_at"), self.sort_by.ends_with("-desc"));
        let key = |row: &Row<'_>| {
            let value = if by { row.updated_at().timestamp_micros() } else { row.id() };
            if descending { (-value, -row.id()) } else { (value, row.id()) }
        };
        let within = |row: &Row<'_>| {
            self.updated_at_min.is_none_or(|min| row.updated_at() >= min)
                && self.updated_at_max.is_none_or(|max| row.updated_at() <= max)
                && self.status.as_deref().is_none_or(|status| row.status() == status)
                && self.last.is_none_or(|last| key(row) > last)
        };
        let mut page: Vec<Row<'_>> = rows.into_iter().filter(within).collect();
        page.sort_unstable_by_key(key);
        let more = page.len() > limit;
        page.truncate(limit);
        self.last = page.last().map(key);
        let next = more.then(|| URL_SAFE_NO_PAD.encode(serde_json::to_vec(&self).unwrap_or_default()));
        let rendered: Vec<Value> = page.into_iter().map(Row::render).collect();
        json!({"next_cursor": next, "previous_cursor": null, collection: rendered})
    }
}

/// With or without an offset; without one it is read as UTC. A date is its midnight.
fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.to_utc());
    }
    let naive = text.parse::<NaiveDateTime>().or_else(|_| format!("{text}T00:00:00").parse());
    naive.ok().map(|naive| naive.and_utc())
}
