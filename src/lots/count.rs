//! `POST /stock/{sku}/opening-count`: what a shelf holds when tracking is switched on again.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::catalog::Pool;
use crate::http::body::Json;
use crate::http::code::Code;
use crate::http::problem::Problem;
use crate::http::violations::MAX_QUANTITY;
use crate::ledger::command::OpeningCount;
use crate::lots::receive::{ReceiveLot, check_arrival};

/// The units that were counted. A count above zero is a lot of its own, with all that a lot needs.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CountShelf {
    /// Pool code; `default` if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<String>,
    /// Units counted, 0 to 10^9.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required)]
    quantity: Option<i64>,
    /// The batch's own name; needed for a count above zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    lot_code: Option<String>,
    /// Decimal string, per unit; needed for a count above zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit_cost: Option<String>,
    /// ISO 4217; needed for a count above zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<String>,
    /// Business date of the count; needed for a count above zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(default, deserialize_with = "crate::catalog::days::date_or_null")]
    received_date: Option<NaiveDate>,
    /// From the start of this local day the units are expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(default, deserialize_with = "crate::catalog::days::date_or_null")]
    expires_date: Option<NaiveDate>,
}

impl CountShelf {
    /// The pool it names.
    #[must_use]
    pub fn pool(&self) -> &str {
        self.pool.as_deref().unwrap_or("default")
    }

    /// The command it becomes.
    ///
    /// # Errors
    /// A problem that lists every broken rule.
    pub fn into_command(
        body: Json<Self>,
        sku: &str,
        pool: Option<&Pool>,
        now: DateTime<Utc>,
    ) -> Result<OpeningCount, Problem> {
        let Json { value, violations: mut v } = body;
        if pool.is_none() {
            v.add_code("/pool", Code::UnknownPool, format!("there is no pool {:?}", value.pool()));
        }
        let quantity = v.integer("/quantity", value.quantity, 0, MAX_QUANTITY);
        let sku: Arc<str> = Arc::from(sku);
        if quantity == Some(0) {
            return v.finish(Some(OpeningCount { lot: None, sku }));
        }
        check_arrival(&mut v, pool, value.received_date, now);
        let lot = ReceiveLot::counted(
            &sku,
            value.lot_code,
            quantity,
            value.unit_cost,
            value.currency,
            value.received_date,
            value.expires_date,
        );
        let lot = lot.read(&mut v, pool);
        v.finish(lot.map(|lot| OpeningCount { lot: Some(lot), sku }))
    }
}
