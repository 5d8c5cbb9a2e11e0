//! Days as JSON and CSV.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::queries::{DayRow, DaySums, SkuDayRow};
use crate::catalog::Catalogue;
use crate::http::pagination::Page;
use crate::http::table::{Cell, Row};
use crate::ids::SkuId;

/// A local day of a pool.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Snapshot)]
pub struct SnapshotView {
    /// Pool code.
    pool: String,
    /// The local day.
    date: NaiveDate,
    /// `closing` or `closed`.
    status: String,
    /// IANA zone whose midnight ended it.
    time_zone: String,
    /// Its first instant: where the day before it ended.
    window_starts_at: DateTime<Utc>,
    /// The first instant after it.
    window_ends_at: DateTime<Utc>,
    /// When somebody began to close it.
    begun_at: DateTime<Utc>,
    /// When it was closed.
    closed_at: Option<DateTime<Utc>>,
}

impl SnapshotView {
    /// A day as recorded.
    #[must_use]
    pub fn of(pool: &str, day: DayRow) -> Self {
        Self {
            pool: pool.to_owned(),
            date: day.snapshot_date,
            status: day.status,
            time_zone: day.time_zone,
            window_starts_at: day.window_start,
            window_ends_at: day.window_end,
            begun_at: day.begun_at,
            closed_at: day.closed_at,
        }
    }
}

/// Sums over all SKUs of a day; of a day that is still closing, over those that are done.
#[derive(Debug, Serialize, ToSchema)]
pub struct SnapshotTotals {
    /// SKUs.
    skus: i64,
    /// Shipment lines that the day took.
    lines: i64,
    /// Those of them that had shipped before it.
    late_lines: i64,
    /// Units of these lines.
    shipped_quantity: i64,
    /// Units of them taken from lots.
    depleted_quantity: i64,
    /// Units that no lot covered when the day closed; later receipts settle them.
    shortage_quantity: i64,
    /// On the shelf at the end of the day.
    on_hand_quantity: i64,
    /// Not for sale at the end of the day.
    quarantined_quantity: i64,
    /// Held by carts at the end of the day.
    held_quantity: i64,
    /// Owned by orders at the end of the day.
    committed_quantity: i64,
}

impl From<DaySums> for SnapshotTotals {
    fn from(sums: DaySums) -> Self {
        Self {
            skus: sums.skus,
            lines: sums.lines,
            late_lines: sums.late_lines,
            shipped_quantity: sums.shipped,
            depleted_quantity: sums.depleted,
            shortage_quantity: sums.shortage,
            on_hand_quantity: sums.on_hand,
            quarantined_quantity: sums.quarantined,
            held_quantity: sums.held,
            committed_quantity: sums.committed,
        }
    }
}

/// A day with its sums.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SummedSnapshot)]
pub struct SummedView {
    /// The day.
    #[serde(flatten)]
    pub snapshot: SnapshotView,
    /// Its sums.
    pub totals: SnapshotTotals,
}

/// A day with its sums and a page of its SKUs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SnapshotWithSkus)]
pub struct WithSkusView {
    /// The day.
    #[serde(flatten)]
    pub snapshot: SnapshotView,
    /// Its sums.
    pub totals: SnapshotTotals,
    /// A page of its SKUs.
    pub skus: Page<SkuDayView>,
}

/// One SKU on one day.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SnapshotSku)]
pub struct SkuDayView {
    /// SKU code.
    sku: String,
    /// The local day.
    date: NaiveDate,
    /// On the shelf at the end of the day.
    on_hand_quantity: i64,
    /// Not for sale at the end of the day.
    quarantined_quantity: i64,
    /// Held by carts at the end of the day.
    held_quantity: i64,
    /// Owned by orders at the end of the day.
    committed_quantity: i64,
    /// Shipment lines that the day took.
    lines: i64,
    /// Those of them that had shipped before it.
    late_lines: i64,
    /// Units of these lines.
    shipped_quantity: i64,
    /// Units of them taken from lots.
    depleted_quantity: i64,
    /// Units that no lot covered when the day closed.
    shortage_quantity: i64,
}

impl SkuDayView {
    /// A SKU's day as recorded.
    #[must_use]
    pub fn of(catalogue: &Catalogue, row: &SkuDayRow) -> Self {
        Self {
            sku: catalogue.sku_code(SkuId(row.sku_id)).to_string(),
            date: row.snapshot_date,
            on_hand_quantity: row.on_hand,
            quarantined_quantity: row.quarantined,
            held_quantity: row.held,
            committed_quantity: row.committed,
            lines: row.lines,
            late_lines: row.late_lines,
            shipped_quantity: row.shipped_quantity,
            depleted_quantity: row.depleted_quantity,
            shortage_quantity: row.shortage_quantity,
        }
    }
}

impl Row for SkuDayView {
    const COLUMNS: &'static [&'static str] = &[
        "sku",
        "date",
        "on_hand_quantity",
        "quarantined_quantity",
        "held_quantity",
        "committed_quantity",
        "lines",
        "late_lines",
        "shipped_quantity",
        "depleted_quantity",
        "shortage_quantity",
    ];

    fn cells(&self) -> Vec<Cell> {
        let numbers = [
            self.on_hand_quantity,
            self.quarantined_quantity,
            self.held_quantity,
            self.committed_quantity,
            self.lines,
            self.late_lines,
            self.shipped_quantity,
            self.depleted_quantity,
            self.shortage_quantity,
        ];
        let mut cells = vec![Cell::text(Some(&self.sku)), Cell::value(Some(self.date))];
        cells.extend(numbers.map(|number| Cell::value(Some(number))));
        cells
    }
}

/// The balance of one SKU at the end of each closed day, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StockHistory)]
pub struct HistoryView {
    /// Pool code.
    pub pool: String,
    /// One item per closed day.
    pub data: Vec<SkuDayView>,
}
