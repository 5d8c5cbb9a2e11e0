//! What subscriptions will want: units per SKU and day of charges and prepaid orders that Recharge has queued.
//!
//! It claims nothing. A charge that succeeds becomes an order of the shop, and that claims. Charges that were skipped,
//! failed or paid are no longer queued, and neither is what has an order in the shop already. A queued order whose own
//! charge is queued, too, is that charge, and counts once.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::response::Response;
use chrono::{Days, NaiveDate};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::{App, AppState};
use crate::availability::routes::read_sku;
use crate::catalog::Catalogue;
use crate::http::auth::{Caller, scope};
use crate::http::problem::{ErrorItem, Problem};
use crate::http::query::Query;
use crate::http::table::{Cell, Format, Row};
use crate::ids::SkuId;

/// Days after today that are looked at unless asked otherwise.
const DAYS: u64 = 30;
/// Most days of one answer.
const DAYS_MOST: i64 = 366;
/// Most rows of one answer.
const ROWS_MOST: i64 = 100_000;

/// The routes of this room.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(get_upcoming_demand))
}

/// Units of a SKU that will be wanted on a day.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct UpcomingRow {
    /// The day that it is scheduled for.
    pub date: NaiveDate,
    /// SKU code.
    pub sku: String,
    /// Units, of charges and prepaid orders together.
    pub quantity: i64,
    /// Units of queued charges.
    pub charge_quantity: i64,
    /// Units of queued prepaid orders.
    pub prepaid_quantity: i64,
}

impl Row for UpcomingRow {
    const COLUMNS: &'static [&'static str] = &["date", "sku", "quantity", "charge_quantity", "prepaid_quantity"];

    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::value(Some(self.date)),
            Cell::text(Some(&self.sku)),
            Cell::value(Some(self.quantity)),
            Cell::value(Some(self.charge_quantity)),
            Cell::value(Some(self.prepaid_quantity)),
        ]
    }
}

/// What will be wanted in a period.
#[derive(Debug, Serialize, ToSchema)]
pub struct UpcomingDemand {
    /// First day.
    pub from: NaiveDate,
    /// Last day.
    pub to: NaiveDate,
    /// Units, by day and SKU.
    pub data: Vec<UpcomingRow>,
    /// Lines of the period that are in no row, since nobody has said what they are.
    pub unmapped_lines: i64,
}

/// A line of the period: its SKU, or none for one that is not mapped.
struct Wanted {
    date: NaiveDate,
    sku_id: Option<i64>,
    charge_quantity: i64,
    prepaid_quantity: i64,
    lines: i64,
}

async fn list_wanted(db: &PgPool, sku: Option<SkuId>, (from, to): (NaiveDate, NaiveDate)) -> sqlx::Result<Vec<Wanted>> {
    sqlx::query_as!(
        Wanted,
        r#"
        WITH due AS (
            SELECT c.scheduled_date AS date, 'charge' AS owner, c.charge_id AS owner_id
            FROM mirror.recharge_charges AS c
            WHERE c.scheduled_date BETWEEN $1 AND $2
                AND c.status = 'queued'
                AND c.deleted_at IS NULL
                AND c.external_order_id IS NULL
            UNION ALL
            SELECT o.scheduled_date, 'order', o.order_id
            FROM mirror.recharge_orders AS o
            WHERE o.scheduled_date BETWEEN $1 AND $2
                AND o.status = 'queued'
                AND o.deleted_at IS NULL
                AND o.external_order_id IS NULL
                AND o.prepaid
                AND NOT EXISTS (
                    SELECT FROM mirror.recharge_charges AS c
                    WHERE c.charge_id = o.charge_id
                        AND c.status = 'queued'
                        AND c.deleted_at IS NULL
                        AND c.external_order_id IS NULL
                )
        ),
        lines AS (
            SELECT d.date, d.owner, l.quantity, m.variant_id, m.version, s.sku_id
            FROM due AS d
            JOIN mirror.recharge_lines AS l ON l.owner = d.owner AND l.owner_id = d.owner_id
            LEFT JOIN LATERAL (
                SELECT n.variant_id, n.version
                FROM variant_mappings AS n
                WHERE n.variant_id = l.variant_id
                ORDER BY n.version DESC
                LIMIT 1
            ) AS m ON true
            LEFT JOIN skus AS s ON m.version IS NULL AND s.code = l.sku AND s.status = 'active'
        ),
        wanted AS (
            SELECT l.date, l.owner, c.sku_id, l.quantity * c.quantity AS quantity
            FROM lines AS l
            JOIN variant_components AS c ON c.variant_id = l.variant_id AND c.version = l.version
            UNION ALL
            SELECT l.date, l.owner, l.sku_id, l.quantity
            FROM lines AS l
            WHERE l.version IS NULL
        )
        SELECT
            w.date AS "date!", w.sku_id,
            COALESCE(sum(w.quantity) FILTER (WHERE w.owner = 'charge'), 0)::bigint AS "charge_quantity!",
            COALESCE(sum(w.quantity) FILTER (WHERE w.owner = 'order'), 0)::bigint AS "prepaid_quantity!",
            count(*) AS "lines!"
        FROM wanted AS w
        WHERE $3::bigint IS NULL OR w.sku_id = $3 OR w.sku_id IS NULL
        GROUP BY w.date, w.sku_id
        ORDER BY w.date, w.sku_id
        LIMIT $4
        "#,
        from,
        to,
        sku.map(|sku| sku.0),
        ROWS_MOST + 1,
    )
    .fetch_all(db)
    .await
}

fn demand(catalogue: &Catalogue, wanted: Vec<Wanted>, (from, to): (NaiveDate, NaiveDate)) -> UpcomingDemand {
    let unmapped_lines = wanted.iter().filter(|one| one.sku_id.is_none()).map(|one| one.lines).sum();
    let row = |one: Wanted| {
        one.sku_id.map(|sku| UpcomingRow {
            date: one.date,
            sku: catalogue.sku_code(SkuId(sku)).to_string(),
            quantity: one.charge_quantity + one.prepaid_quantity,
            charge_quantity: one.charge_quantity,
            prepaid_quantity: one.prepaid_quantity,
        })
    };
    let mut data: Vec<UpcomingRow> = wanted.into_iter().filter_map(row).collect();
    data.sort_unstable_by(|a, b| (a.date, &a.sku).cmp(&(b.date, &b.sku)));
    UpcomingDemand { from, to, data, unmapped_lines }
}

/// Today, where the pool is that orders claim from.
async fn today(app: &App, catalogue: &Catalogue) -> Result<NaiveDate, Problem> {
    let mut conn = app.db.acquire().await?;
    let now = app.clock.read(&mut conn).await?;
    let pool = catalogue.pool_by_code(&app.mirror.settings.pool);
    Ok(pool.map_or_else(|| now.date_naive(), |pool| pool.date_at(now)))
}

/// What subscriptions will want, by day and SKU.
///
/// Queued charges and queued prepaid orders that no order of the shop has come of. It claims nothing. Kits count as
/// their components.
#[utoipa::path(get, path = "/demand/upcoming", tag = "mirror",
    params(("sku" = Option<String>, Query, description = "Only this SKU; unmapped lines are counted all the same"),
        ("from" = Option<String>, Query, description = "First day, YYYY-MM-DD; today if left out"),
        ("to" = Option<String>, Query, description = "Last day, YYYY-MM-DD; 30 days later if left out; 366 at most"),
        ("format" = Option<Format>, Query, description = "Otherwise as Accept says")),
    responses((status = 200, description = "Units by day and SKU",
        content((UpcomingDemand = "application/json"), (String = "text/csv")))))]
async fn get_upcoming_demand(
    app: AppState,
    _caller: Caller<scope::StockRead>,
    headers: HeaderMap,
    mut query: Query,
) -> Result<Response, Problem> {
    let catalogue = app.fresh_catalogue().await?;
    let format = Format::take(&mut query, &headers);
    let sku = read_sku(&catalogue, &mut query);
    let from = match query.date("from") {
        Some(from) => from,
        None => today(&app, &catalogue).await?,
    };
    let to = query.date("to").or_else(|| from.checked_add_days(Days::new(DAYS))).unwrap_or(from);
    let days = (to - from).num_days();
    if !(0..DAYS_MOST).contains(&days) {
        query.refuse("to", format!("must not be before from, nor more than {DAYS_MOST} days of it"));
    }
    query.finish()?;
    let wanted = list_wanted(&app.db, sku, (from, to)).await?;
    if i64::try_from(wanted.len()).is_ok_and(|rows| rows > ROWS_MOST) {
        let detail = format!("gives more than {ROWS_MOST} rows; name a SKU or a shorter period");
        return Err(Problem::listing(vec![ErrorItem::of("to", detail)]));
    }
    let demand = demand(&catalogue, wanted, (from, to));
    Ok(format.respond(&demand, |demand| &demand.data))
}
