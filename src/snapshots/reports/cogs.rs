//! Cost of goods sold.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use utoipa::ToSchema;

use super::{Amount, By, Key, MOST_ROWS, Subject, begin, expect_fit};
use crate::catalog::{Catalogue, Pool};
use crate::http::problem::Problem;
use crate::http::table::{Cell, Row};
use crate::ids::PoolId;
use crate::lots::view::money;

/// Cost of goods sold in a period.
#[derive(Debug, Serialize, ToSchema)]
pub struct CogsReport {
    /// First business date.
    from: NaiveDate,
    /// Last business date.
    to: NaiveDate,
    /// What it has a row for.
    by: By,
    /// One row for each, and for each currency.
    pub(super) data: Vec<CogsRow>,
    /// Sums, one for each currency.
    totals: Vec<CogsRow>,
}

/// Units that were sold, and their cost.
#[derive(Debug, Serialize, ToSchema)]
pub struct CogsRow {
    /// What it is about.
    #[serde(flatten)]
    key: Key,
    /// Units taken from lots whose cost is known, less what came back into them.
    final_quantity: i64,
    /// Decimal; their cost.
    final_cost: String,
    /// Units whose cost is an estimate: of lots, and of what no lot covers yet.
    provisional_quantity: i64,
    /// Decimal; their cost as far as it is known.
    provisional_cost: String,
    /// Units of the provisional ones that no lot covers yet.
    shortage_quantity: i64,
    /// Units of these that nobody knows a cost of.
    uncosted_quantity: i64,
    /// Units that came back of a shipment and became lots of their own.
    returned_quantity: i64,
    /// Decimal; the cost that these lots came with.
    returned_cost: String,
    /// Final and provisional units, less those that came back.
    net_quantity: i64,
    /// Decimal; their cost.
    net_cost: String,
}

#[derive(Debug, Default, Clone, Copy)]
struct Sums {
    certain: Amount,
    provisional: Amount,
    short: i64,
    uncosted: i64,
    returned: Amount,
}

impl std::ops::AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        self.certain += other.certain;
        self.provisional += other.provisional;
        self.short += other.short;
        self.uncosted += other.uncosted;
        self.returned += other.returned;
    }
}

impl CogsRow {
    fn of((key, sums): (Key, Sums)) -> Self {
        Self {
            key,
            final_quantity: sums.certain.units,
            final_cost: money(sums.certain.value),
            provisional_quantity: sums.provisional.units,
            provisional_cost: money(sums.provisional.value),
            shortage_quantity: sums.short,
            uncosted_quantity: sums.uncosted,
            returned_quantity: sums.returned.units,
            returned_cost: money(sums.returned.value),
            net_quantity: sums.certain.units + sums.provisional.units - sums.returned.units,
            net_cost: money(sums.certain.value + sums.provisional.value - sums.returned.value),
        }
    }
}

impl Row for CogsRow {
    const COLUMNS: &'static [&'static str] = &[
        Key::COLUMNS[0],
        Key::COLUMNS[1],
        Key::COLUMNS[2],
        Key::COLUMNS[3],
        Key::COLUMNS[4],
        Key::COLUMNS[5],
        Key::COLUMNS[6],
        "final_quantity",
        "final_cost",
        "provisional_quantity",
        "provisional_cost",
        "shortage_quantity",
        "uncosted_quantity",
        "returned_quantity",
        "returned_cost",
        "net_quantity",
        "net_cost",
    ];

    fn cells(&self) -> Vec<Cell> {
        let mut cells = self.key.cells();
        cells.extend([
            Cell::value(Some(self.final_quantity)),
            Cell::value(Some(&self.final_cost)),
            Cell::value(Some(self.provisional_quantity)),
            Cell::value(Some(&self.provisional_cost)),
            Cell::value(Some(self.shortage_quantity)),
            Cell::value(Some(self.uncosted_quantity)),
            Cell::value(Some(self.returned_quantity)),
            Cell::value(Some(&self.returned_cost)),
            Cell::value(Some(self.net_quantity)),
            Cell::value(Some(&self.net_cost)),
        ]);
        cells
    }
}

/// The report over `pools`, by business dates from the first of `period` to the last.
pub(super) async fn report(
    db: &PgPool,
    catalogue: &Catalogue,
    pools: &[Arc<Pool>],
    by: By,
    (from, to): (NaiveDate, NaiveDate),
) -> Result<CogsReport, Problem> {
    let mut rows: BTreeMap<Key, Sums> = BTreeMap::new();
    let mut tx = begin(db).await?;
    for pool in pools {
        let mut found = list_moved(&mut tx, pool.id, by, from, to).await?;
        expect_fit(found.len())?;
        found.extend(list_short(&mut tx, pool.id, by, from, to).await?);
        for (subject, sums) in found {
            *rows.entry(Key::of(catalogue, pool, by, subject)).or_default() += sums;
        }
    }
    let mut totals: BTreeMap<Option<String>, Sums> = BTreeMap::new();
    for (key, sums) in &rows {
        *totals.entry(key.currency.clone()).or_default() += *sums;
    }
    let total = |(currency, sums)| CogsRow::of((Key { currency, ..Key::default() }, sums));
    let totals = totals.into_iter().map(total).collect();
    Ok(CogsReport { from, to, by, data: rows.into_iter().map(CogsRow::of).collect(), totals })
}

/// Movements that are cost of goods: what days and settlements took, what voids gave back, corrections of either and of
/// what was sold at another cost than it turned out to have; and lots that came back of a shipment. What somebody brings
/// that no shipment is known of is a gain of stock.
async fn list_moved(
    conn: &mut PgConnection,
    pool: PoolId,
    by: By,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<Vec<(Subject, Sums)>, Problem> {
    let rows = sqlx::query!(
        r#"
        SELECT
            CASE WHEN $4::text IN ('sku', 'class', 'lot') THEN l.sku_id END AS sku_id,
            CASE WHEN $4 = 'lot' THEN l.lot_id END AS lot_id, CASE WHEN $4 = 'lot' THEN l.lot_code END AS lot_code,
            CASE WHEN $4 = 'day' THEN t.business_date END AS date, l.currency, l.cost_provisional,
            t.row_source = 'return' AS "returned!",
            -sum(t.quantity_delta)::bigint AS "units!", -sum(t.value_delta) AS "value!"
        FROM lot_transactions AS t
        JOIN lots AS l ON l.pool_id = $1 AND l.lot_id = t.lot_id
        WHERE t.pool_id = $1 AND t.business_date BETWEEN $2 AND $3
            AND (
                t.row_source IN ('snapshot_depletion', 'shortage_settlement', 'void')
                OR (t.row_source = 'correction' AND (t.shipment_id IS NOT NULL OR t.source_ref_id IS NOT NULL))
                OR (t.row_source = 'return' AND EXISTS (
                    SELECT FROM return_lots AS r
                    WHERE r.pool_id = $1 AND r.lot_id = t.lot_id AND r.shipment_id IS NOT NULL
                ))
            )
        GROUP BY 1, 2, 3, 4, 5, 6, 7
        LIMIT $5
        "#,
        pool.0,
        from,
        to,
        by.as_str(),
        MOST_ROWS + 1,
    )
    .fetch_all(conn)
    .await?;
    let sums = |provisional: bool, returned: bool, amount: Amount| match (returned, provisional) {
        (true, _) => Sums { returned: Amount { units: -amount.units, value: -amount.value }, ..Sums::default() },
        (false, true) => Sums { provisional: amount, ..Sums::default() },
        (false, false) => Sums { certain: amount, ..Sums::default() },
    };
    let moved = rows.into_iter().map(|row| {
        let subject = Subject {
            sku: row.sku_id,
            lot: row.lot_id,
            lot_code: row.lot_code,
            date: row.date,
            currency: Some(row.currency),
        };
        (subject, sums(row.cost_provisional, row.returned, Amount { units: row.units, value: row.value }))
    });
    Ok(moved.collect())
}

/// Units of lines closed in the period that no lot covers to this day, at the cost of the newest lot of their SKU.
async fn list_short(
    conn: &mut PgConnection,
    pool: PoolId,
    by: By,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<Vec<(Subject, Sums)>, Problem> {
    let rows = sqlx::query!(
        r#"
        SELECT
            CASE WHEN $4::text IN ('sku', 'class', 'lot') THEN s.sku_id END AS sku_id,
            CASE WHEN $4 = 'day' THEN s.opened_date END AS date, c.currency AS "currency?",
            sum(s.quantity - s.settled_quantity - s.voided_quantity)::bigint AS "units!",
            sum((s.quantity - s.settled_quantity - s.voided_quantity) * c.unit_cost) AS value
        FROM lot_shortages AS s
        LEFT JOIN LATERAL (
            SELECT unit_cost, currency
            FROM lots
            WHERE pool_id = $1 AND sku_id = s.sku_id
            ORDER BY received_date DESC, recorded_at DESC, lot_id DESC
            LIMIT 1
        ) AS c ON true
        WHERE s.pool_id = $1 AND s.opened_date BETWEEN $2 AND $3
            AND s.settled_quantity + s.voided_quantity < s.quantity
        GROUP BY 1, 2, 3
        "#,
        pool.0,
        from,
        to,
        by.as_str(),
    )
    .fetch_all(conn)
    .await?;
    let short = rows.into_iter().map(|row| {
        let sums = Sums {
            provisional: Amount { units: row.units, value: row.value.unwrap_or(Decimal::ZERO) },
            short: row.units,
            uncosted: if row.value.is_none() { row.units } else { 0 },
            ..Sums::default()
        };
        (Subject { sku: row.sku_id, date: row.date, currency: row.currency, ..Subject::default() }, sums)
    });
    Ok(short.collect())
}
