//! What shipped units cost, and what is on hand worth: from the movements of lots alone.
//!
//! Movements are never edited and carry their business date and value, so a report of a past period or date comes out
//! the same whenever it is asked for, up to what is provisional: lots whose cost is an estimate, and shipped units that
//! no lot covers yet. Both are told apart in every row. Money is decimal from end to end and never added up across
//! currencies.
//!
//! This is the one room that asks across pools. It does so pool by pool, so its sums over pools are approximate while
//! stock moves.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::response::Response;
use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, Postgres, Transaction};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::cogs::CogsReport;
use self::valuation::ValuationReport;
use crate::app::{App, AppState};
use crate::catalog::days::LAST_DATE;
use crate::catalog::{Catalogue, Pool};
use crate::http::auth::{Caller, scope};
use crate::http::problem::{ErrorItem, Problem};
use crate::http::query::Query;
use crate::http::table::{Cell, Format};
use crate::ids::{LotId, SkuId};

mod cogs;
mod valuation;

/// Most rows of one report and pool.
const MOST_ROWS: i64 = 100_000;

/// Routes of this room.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(get_cogs_report)).routes(routes!(get_valuation_report))
}

/// What a report has a row for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// Each SKU.
    Sku,
    /// Each class, as SKUs belong to them now.
    Class,
    /// Each pool.
    Pool,
    /// Each lot.
    Lot,
    /// Each business date.
    Day,
}

impl By {
    const ALL: [Self; 5] = [Self::Sku, Self::Class, Self::Pool, Self::Lot, Self::Day];

    /// The word in queries and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sku => "sku",
            Self::Class => "class",
            Self::Pool => "pool",
            Self::Lot => "lot",
            Self::Day => "day",
        }
    }

    fn take(query: &mut Query, known: &[Self]) -> Option<Self> {
        let words: Vec<&str> = known.iter().map(|by| by.as_str()).collect();
        query.read("by", &words.join(", "), |text| known.iter().copied().find(|by| by.as_str() == text))
    }
}

/// What a row is about: those members that the report is broken down by, and the currency of its amounts.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
pub struct Key {
    /// Pool code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<String>,
    /// Class code.
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    /// SKU code.
    #[serde(skip_serializing_if = "Option::is_none")]
    sku: Option<String>,
    /// Lot id.
    #[serde(skip_serializing_if = "Option::is_none")]
    lot: Option<String>,
    /// The batch's own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    lot_code: Option<String>,
    /// Business date.
    #[serde(skip_serializing_if = "Option::is_none")]
    date: Option<NaiveDate>,
    /// ISO 4217; null for units whose cost nobody knows yet.
    currency: Option<String>,
}

/// What a row is about, as the database tells it.
#[derive(Debug, Default)]
struct Subject {
    sku: Option<i64>,
    lot: Option<uuid::Uuid>,
    lot_code: Option<String>,
    date: Option<NaiveDate>,
    currency: Option<String>,
}

impl Key {
    const COLUMNS: [&'static str; 7] = ["pool", "class", "sku", "lot", "lot_code", "date", "currency"];

    fn of(catalogue: &Catalogue, pool: &Pool, by: By, subject: Subject) -> Self {
        let sku = subject.sku.map(SkuId);
        let class = sku.and_then(|sku| catalogue.class(catalogue.sku(sku)?.class)).map(|class| class.code.clone());
        Self {
            pool: matches!(by, By::Pool | By::Lot).then(|| pool.code.clone()),
            class: class.filter(|_| by == By::Class),
            sku: sku.filter(|_| by != By::Class).map(|sku| catalogue.sku_code(sku).to_string()),
            lot: subject.lot.map(|uuid| LotId { pool: pool.id, uuid }.to_string()),
            lot_code: subject.lot_code,
            date: subject.date,
            currency: subject.currency,
        }
    }

    fn cells(&self) -> Vec<Cell> {
        let Self { pool, class, sku, lot, lot_code, date, currency } = self;
        let [pool, class, sku, lot, lot_code, currency] =
            [pool, class, sku, lot, lot_code, currency].map(|text| Cell::text(text.as_deref()));
        vec![pool, class, sku, lot, lot_code, Cell::value(*date), currency]
    }
}

/// Units and what they are worth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Amount {
    units: i64,
    value: Decimal,
}

impl std::ops::AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.units += other.units;
        self.value += other.value;
    }
}

/// The pool that is asked for, or all of them, by code.
fn take_pools(catalogue: &Catalogue, query: &mut Query) -> Vec<Arc<Pool>> {
    let Some(code) = query.one("pool") else {
        let mut pools: Vec<Arc<Pool>> = catalogue.pools().cloned().collect();
        pools.sort_unstable_by(|a, b| a.code.cmp(&b.code));
        return pools;
    };
    let pool = catalogue.pool_by_code(&code).cloned();
    if pool.is_none() {
        query.refuse("pool", "is not a pool of the catalogue");
    }
    pool.into_iter().collect()
}

/// One state of the books for all queries of a report, planned for what the tables hold now: right after a large import
/// nothing is known of its rows yet, and a look-up for each of them would take longer than anyone waits.
async fn begin(db: &PgPool) -> sqlx::Result<Transaction<'static, Postgres>> {
    let mut tx = db.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    sqlx::query!(
        r#"
        SELECT
            set_config('plan_cache_mode', 'force_custom_plan', true) AS a, set_config('jit', 'off', true) AS b,
            set_config('enable_nestloop', 'off', true) AS c, set_config('statement_timeout', '12s', true) AS d
        "#
    )
    .fetch_one(&mut *tx)
    .await?;
    Ok(tx)
}

fn expect_fit(rows: usize) -> Result<(), Problem> {
    if i64::try_from(rows).is_ok_and(|rows| rows <= MOST_ROWS) {
        return Ok(());
    }
    let detail = format!("gives more than {MOST_ROWS} rows; name a pool, a shorter period or a coarser breakdown");
    Err(Problem::listing(vec![ErrorItem::of("by", detail)]))
}

/// Cost of goods sold in a period, by the business date on which units were taken from lots, or came back.
///
/// Final: taken from lots whose cost is known. Provisional: from lots whose cost is an estimate, and shipped units that
/// no lot covers yet, at the newest known cost of their SKU in the pool; units of which none is known are counted
/// without a cost. Returned: came back of a shipment, at the cost they carry. Net: final and provisional, less returned.
///
/// Over all days, what lots cost when they were received and what revaluations added, less what was written off, is the
/// net cost and what is on hand worth.
#[utoipa::path(get, path = "/reports/cogs", tag = "reports",
    params(("from" = String, Query, description = "First business date, YYYY-MM-DD"),
        ("to" = String, Query, description = "Last business date, YYYY-MM-DD"),
        ("pool" = Option<String>, Query, description = "Pool code; all pools if left out"),
        ("by" = Option<By>, Query, description = "One row for each; sku if left out"),
        ("format" = Option<Format>, Query, description = "Otherwise as Accept says")),
    responses((status = 200, description = "The report",
        content((CogsReport = "application/json"), (String = "text/csv")))))]
async fn get_cogs_report(
    app: AppState,
    _caller: Caller<scope::Lots>,
    headers: HeaderMap,
    mut query: Query,
) -> Result<Response, Problem> {
    let catalogue = app.fresh_catalogue().await?;
    let format = Format::take(&mut query, &headers);
    let pools = take_pools(&catalogue, &mut query);
    let by = By::take(&mut query, &By::ALL).unwrap_or(By::Sku);
    let [from, to] = ["from", "to"].map(|name| {
        let given = query.has(name);
        let date = query.date(name);
        if !given {
            query.refuse(name, "is required");
        }
        date
    });
    if from.zip(to).is_some_and(|(from, to)| to < from) {
        query.refuse("to", "must not be before from");
    }
    query.finish()?;
    let period = (from.unwrap_or(LAST_DATE), to.unwrap_or(LAST_DATE));
    let report = cogs::report(&app.db, &catalogue, &pools, by, period).await?;
    Ok(format.respond(&report, |report| &report.data))
}

/// Lots on hand at cost, now or at the end of any past business date.
///
/// What shipped on a day leaves it when that day is closed.
#[utoipa::path(get, path = "/reports/valuation", tag = "reports",
    params(("as_of" = Option<String>, Query, description = "Business date, YYYY-MM-DD; now if left out"),
        ("pool" = Option<String>, Query, description = "Pool code; all pools if left out"),
        ("by" = Option<By>, Query, description = "One row for each sku, class, pool or lot; sku if left out"),
        ("format" = Option<Format>, Query, description = "Otherwise as Accept says")),
    responses((status = 200, description = "The report",
        content((ValuationReport = "application/json"), (String = "text/csv")))))]
async fn get_valuation_report(
    app: AppState,
    _caller: Caller<scope::Lots>,
    headers: HeaderMap,
    mut query: Query,
) -> Result<Response, Problem> {
    let catalogue = app.fresh_catalogue().await?;
    let format = Format::take(&mut query, &headers);
    let pools = take_pools(&catalogue, &mut query);
    let by = By::take(&mut query, &[By::Sku, By::Class, By::Pool, By::Lot]).unwrap_or(By::Sku);
    let as_of = query.date("as_of");
    query.finish()?;
    let report = valuation::report(&app.db, &catalogue, &pools, by, as_of).await?;
    Ok(format.respond(&report, |report| &report.data))
}
