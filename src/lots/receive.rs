//! `POST /lots`: the request and the command it becomes.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::catalog::Pool;
use crate::http::body::Json;
use crate::http::code::Code;
use crate::http::problem::Problem;
use crate::http::violations::Violations;
use crate::ids::LotId;
use crate::ledger::command::Receive;

/// The source of lots that are entered by hand.
const BY_HAND: &str = "manual";

/// A lot that arrives.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiveLot {
    /// Pool code; `default` if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pool: Option<String>,
    /// SKU code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required)]
    pub(super) sku: Option<String>,
    /// Register the SKU in class `standard` if the catalogue does not have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) create_sku: Option<bool>,
    /// The batch's own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required)]
    pub(super) lot_code: Option<String>,
    /// Units, 1 to 10^9.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required, minimum = 1, maximum = 1_000_000_000)]
    pub(super) quantity: Option<i64>,
    /// Decimal string, per unit, at most 6 decimals.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required)]
    pub(super) unit_cost: Option<String>,
    /// ISO 4217, three capital letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required)]
    pub(super) currency: Option<String>,
    /// Business date of arrival, YYYY-MM-DD; tomorrow in the pool's zone at the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required)]
    #[serde(default, deserialize_with = "crate::catalog::days::date_or_null")]
    pub(super) received_date: Option<NaiveDate>,
    /// From the start of this local day it is expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(default, deserialize_with = "crate::catalog::days::date_or_null")]
    pub(super) expires_date: Option<NaiveDate>,
    /// The system that `source_ref` belongs to; `manual` if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<String>,
    /// The source's own name of this receipt; entering it twice is a no-op.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source_ref: Option<String>,
}

impl ReceiveLot {
    /// The pool it names.
    #[must_use]
    pub fn pool(&self) -> &str {
        self.pool.as_deref().unwrap_or("default")
    }

    /// The command it becomes.
    ///
    /// # Errors
    /// A problem that lists every broken rule.
    pub fn into_command(body: Json<Self>, pool: Option<&Pool>, now: DateTime<Utc>) -> Result<Receive, Problem> {
        let Json { value, violations: mut v } = body;
        if pool.is_none() {
            v.add_code("/pool", Code::UnknownPool, format!("there is no pool {:?}", value.pool()));
        }
        check_arrival(&mut v, pool, value.received_date, now);
        let receive = value.read(&mut v, pool);
        v.finish(receive)
    }

    /// Counted units as a lot.
    pub(super) fn counted(
        sku: &str,
        lot_code: Option<String>,
        quantity: Option<i64>,
        unit_cost: Option<String>,
        currency: Option<String>,
        received_date: Option<NaiveDate>,
        expires_date: Option<NaiveDate>,
    ) -> Self {
        Self {
            sku: Some(sku.to_owned()),
            lot_code,
            quantity,
            unit_cost,
            currency,
            received_date,
            expires_date,
            ..Self::default()
        }
    }

    pub(super) fn read(self, v: &mut Violations, pool: Option<&Pool>) -> Option<Receive> {
        let sku = v.required("/sku", self.sku);
        let sku = v.text("/sku", sku, 128);
        let lot_code = v.required("/lot_code", self.lot_code);
        let lot_code = v.text("/lot_code", lot_code, 128);
        let quantity = v.quantity("/quantity", self.quantity);
        let unit_cost = v.required("/unit_cost", self.unit_cost);
        let unit_cost = unit_cost.and_then(|text| read_cost(v, "/unit_cost", &text));
        let currency = v.required("/currency", self.currency);
        let currency = currency.and_then(|text| read_currency(v, "/currency", text));
        let received_date = v.required("/received_date", self.received_date);
        v.year("/received_date", received_date);
        v.year("/expires_date", self.expires_date);
        if self.expires_date.zip(received_date).is_some_and(|(expires, received)| expires < received) {
            v.add("/expires_date", "must not be before received_date");
        }
        let source = self.source.map_or_else(|| Some(BY_HAND.to_owned()), |text| v.text("/source", Some(text), 64));
        let source_ref = self.source_ref.map(|text| v.text("/source_ref", Some(text), 255));
        Some(Receive {
            id: LotId::new(pool?.id),
            sku: Arc::from(sku?),
            lot_code: lot_code?,
            quantity: quantity?,
            unit_cost: unit_cost?,
            currency: currency?,
            received_date: received_date?,
            expires_date: self.expires_date,
            source: source?,
            source_ref: match source_ref {
                Some(text) => Some(text?),
                None => None,
            },
        })
    }
}

/// A lot that is on the shelf has arrived. What comes over night may be entered the evening before; a later date is a
/// slip, and would keep the lot behind all others.
pub(super) fn check_arrival(
    v: &mut Violations,
    pool: Option<&Pool>,
    received_date: Option<NaiveDate>,
    now: DateTime<Utc>,
) {
    let tomorrow = pool.and_then(|pool| pool.date_at(now).succ_opt());
    if let Some(tomorrow) = tomorrow.filter(|tomorrow| received_date.is_some_and(|date| date > *tomorrow)) {
        v.add("/received_date", format!("must not be later than {tomorrow}, tomorrow in the pool's zone"));
    }
}

/// Digits, and maybe a point and digits. The decimal library would also read exponents, signs and underscores.
fn is_plain_decimal(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    digits(whole) && digits(decimals)
}

/// A cost with at most 6 decimals and 12 digits before them, as the database keeps it.
pub fn read_cost(v: &mut Violations, pointer: &str, text: &str) -> Option<Decimal> {
    let plain = Some(text).filter(|text| is_plain_decimal(text));
    let cost = plain.and_then(|text| Decimal::from_str_exact(text).ok()).map(|cost| cost.normalize());
    let fits = |cost: &Decimal| cost.scale() <= 6 && *cost < Decimal::from(1_000_000_000_000_i64);
    let cost = cost.filter(fits);
    if cost.is_none() {
        v.add(pointer, "must be a decimal string from 0 with at most 6 decimals, such as \"4.20\"");
    }
    cost
}

/// An ISO 4217 code.
pub fn read_currency(v: &mut Violations, pointer: &str, text: String) -> Option<String> {
    if text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Some(text);
    }
    v.add(pointer, "must be three capital letters (ISO 4217), such as \"EUR\"");
    None
}
