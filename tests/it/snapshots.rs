//! The daily close: what it takes, in which order, and that it does so once.

mod costs;
mod crash;
mod days;
mod once;
mod zones;

use serde_json::{Value, json};

use crate::support::goods::{Goods, Lot, Shipped};
use crate::support::{Answer, Client};

/// Asks for a day of the default pool to be closed.
async fn close(client: &Client, date: &str) -> Answer {
    client.post("/snapshots", &json!({ "date": date })).await
}

/// The sums of a day: lines, late lines, shipped, depleted, short.
fn totals(answer: &Answer) -> [i64; 5] {
    ["lines", "late_lines", "shipped_quantity", "depleted_quantity", "shortage_quantity"]
        .map(|name| answer.at("/totals")[name].as_i64().unwrap())
}

fn lot(number: u32, sku: i64, received: &'static str, quantity: i64, cost: &'static str) -> Lot<'static> {
    Lot { number, sku, received, quantity, cost, expires: None }
}

fn shipped(number: u32, sku: i64, quantity: i64, at: &'static str) -> Shipped<'static> {
    Shipped { number, sku, quantity, at, date: &at[..10], lot: None }
}

/// A pool since 2025-03-05 with five SKUs. Of each, 40 units in two lots; of the third, fewer than leave on the first
/// day. Lines of two days, one of which names its lot.
async fn plant_two_days(goods: &Goods) {
    goods.pool_since("2025-03-05T09:00:00Z", "UTC").await;
    for sku in 101..=105 {
        goods.sku(sku, "standard").await;
        let number = u32::try_from(sku).unwrap() * 10;
        goods.lot(lot(number, sku, "2025-03-01", 15, "2.50")).await;
        goods.lot(lot(number + 1, sku, "2025-03-02", 25, "3.10")).await;
        goods.ship(shipped(number, sku, 4, "2025-03-05T10:00:00Z")).await;
        goods.ship(Shipped { lot: Some(number + 1), ..shipped(number + 1, sku, 5, "2025-03-05T11:00:00Z") }).await;
        let many = if sku == 103 { 90 } else { 14 };
        goods.ship(shipped(number + 2, sku, many, "2025-03-05T12:00:00Z")).await;
        if sku != 103 {
            goods.ship(shipped(number + 3, sku, 2, "2025-03-06T12:00:00Z")).await;
        }
    }
}

/// What comes after [`plant_two_days`] once both are closed: a lot of the SKU that was short, which what was beyond the
/// shelf is settled with in part, and lines of the day itself.
async fn plant_settling_day(goods: &Goods) {
    goods.lot(lot(2000, 103, "2025-03-07", 30, "3.70")).await;
    goods.settle_discrepancy(1032, 103, 20, "2025-03-07T13:00:00Z").await;
    goods.ship(shipped(2001, 103, 2, "2025-03-07T14:00:00Z")).await;
    goods.ship(shipped(2002, 104, 1, "2025-03-07T14:00:00Z")).await;
}

/// The lots that a line was depleted from, with the units of each.
async fn depletions_of(goods: &Goods, shipment: u32) -> Value {
    let sql =
        "SELECT coalesce(jsonb_agg(jsonb_build_array(l.lot_code, d.quantity, d.kind, d.cost_date) ORDER BY d.n), '[]')
        FROM depletions AS d JOIN lots AS l USING (pool_id, lot_id) WHERE d.shipment_id = $1";
    sqlx::query_scalar(sql).bind(crate::support::goods::shipment_id(shipment)).fetch_one(&goods.owner).await.unwrap()
}
