//! Stock at cost.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use utoipa::ToSchema;

use super::{Amount, By, Key, MOST_ROWS, Subject, begin, expect_fit};
use crate::catalog::days::LAST_DATE;
use crate::catalog::{Catalogue, Pool};
use crate::http::problem::Problem;
use crate::http::table::{Cell, Row};
use crate::ids::PoolId;
use crate::lots::view::money;

/// Lots on hand at cost.
#[derive(Debug, Serialize, ToSchema)]
pub struct ValuationReport {
    /// The end of which business date; null for now.
    as_of: Option<NaiveDate>,
    /// What it has a row for.
    by: By,
    /// One row for each, and for each currency.
    pub(super) data: Vec<ValuationRow>,
    /// Sums, one for each currency.
    totals: Vec<ValuationRow>,
}

/// Units in lots, and what they are worth at cost.
#[derive(Debug, Serialize, ToSchema)]
pub struct ValuationRow {
    /// What it is about.
    #[serde(flatten)]
    key: Key,
    /// Units in lots.
    remaining_quantity: i64,
    /// Decimal; at cost.
    value: String,
    /// Units of them in lots whose cost is an estimate.
    provisional_quantity: i64,
    /// Decimal; what these are worth.
    provisional_value: String,
}

#[derive(Debug, Default, Clone, Copy)]
struct Sums {
    all: Amount,
    provisional: Amount,
}

impl std::ops::AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        self.all += other.all;
        self.provisional += other.provisional;
    }
}

impl ValuationRow {
    fn of((key, sums): (Key, Sums)) -> Self {
        Self {
            key,
            remaining_quantity: sums.all.units,
            value: money(sums.all.value),
            provisional_quantity: sums.provisional.units,
            provisional_value: money(sums.provisional.value),
        }
    }
}

impl Row for ValuationRow {
    const COLUMNS: &'static [&'static str] = &[
        Key::COLUMNS[0],
        Key::COLUMNS[1],
        Key::COLUMNS[2],
        Key::COLUMNS[3],
        Key::COLUMNS[4],
        Key::COLUMNS[5],
        Key::COLUMNS[6],
        "remaining_quantity",
        "value",
        "provisional_quantity",
        "provisional_value",
    ];

    fn cells(&self) -> Vec<Cell> {
        let mut cells = self.key.cells();
        cells.extend([
            Cell::value(Some(self.remaining_quantity)),
            Cell::value(Some(&self.value)),
            Cell::value(Some(self.provisional_quantity)),
            Cell::value(Some(&self.provisional_value)),
        ]);
        cells
    }
}

/// The report over `pools` at the end of `as_of`.
pub(super) async fn report(
    db: &PgPool,
    catalogue: &Catalogue,
    pools: &[Arc<Pool>],
    by: By,
    as_of: Option<NaiveDate>,
) -> Result<ValuationReport, Problem> {
    let mut rows: BTreeMap<Key, Sums> = BTreeMap::new();
    let mut tx = begin(db).await?;
    for pool in pools {
        let found = list_held(&mut tx, pool.id, by, as_of.unwrap_or(LAST_DATE)).await?;
        expect_fit(found.len())?;
        for (subject, sums) in found {
            *rows.entry(Key::of(catalogue, pool, by, subject)).or_default() += sums;
        }
    }
    let mut totals: BTreeMap<Option<String>, Sums> = BTreeMap::new();
    for (key, sums) in &rows {
        *totals.entry(key.currency.clone()).or_default() += *sums;
    }
    let total = |(currency, sums)| ValuationRow::of((Key { currency, ..Key::default() }, sums));
    let totals = totals.into_iter().map(total).collect();
    Ok(ValuationReport { as_of, by, data: rows.into_iter().map(ValuationRow::of).collect(), totals })
}

/// Movements up to a date. Oldest ones have no business date and value of their own: they were worth what they moved,
/// on the day they were entered.
async fn list_held(
    conn: &mut PgConnection,
    pool: PoolId,
    by: By,
    as_of: NaiveDate,
) -> Result<Vec<(Subject, Sums)>, Problem> {
    let rows = sqlx::query!(
        r#"
        SELECT
            CASE WHEN $3::text IN ('sku', 'class', 'lot') THEN l.sku_id END AS sku_id,
            CASE WHEN $3 = 'lot' THEN l.lot_id END AS lot_id, CASE WHEN $3 = 'lot' THEN l.lot_code END AS lot_code,
            l.currency, l.cost_provisional, sum(t.quantity_delta)::bigint AS "units!",
            sum(coalesce(t.value_delta, t.quantity_delta * t.unit_cost)) AS "value!"
        FROM lot_transactions AS t
        JOIN lots AS l ON l.pool_id = $1 AND l.lot_id = t.lot_id
        WHERE t.pool_id = $1
            AND coalesce(t.business_date, (t.recorded_at AT TIME ZONE 'UTC')::date) <= $2
        GROUP BY 1, 2, 3, 4, 5
        HAVING sum(t.quantity_delta) <> 0 OR sum(coalesce(t.value_delta, t.quantity_delta * t.unit_cost)) <> 0
        LIMIT $4
        "#,
        pool.0,
        as_of,
        by.as_str(),
        MOST_ROWS + 1,
    )
    .fetch_all(conn)
    .await?;
    let held = rows.into_iter().map(|row| {
        let all = Amount { units: row.units, value: row.value };
        let provisional = if row.cost_provisional { all } else { Amount::default() };
        let subject = Subject {
            sku: row.sku_id,
            lot: row.lot_id,
            lot_code: row.lot_code,
            date: None,
            currency: Some(row.currency),
        };
        (subject, Sums { all, provisional })
    });
    Ok(held.collect())
}
