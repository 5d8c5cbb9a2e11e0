//! Cost of goods and valuation, to the cent.

use serde_json::{Value, json};
use sqlx::Executor;

use super::{close, lot, shipped};
use crate::support::TestApp;
use crate::support::goods::{Goods, lot_id};

/// The textbook schedule of `lots::fifo` (Wild et al., Problem 6-1A), a quarter per season: the same numbers must come
/// out of the whole service.
#[tokio::test(flavor = "multi_thread")]
async fn a_textbook_schedule_comes_out_of_the_reports_to_the_cent() {
    let app = TestApp::start().await;
    let goods = Goods::of(&app.db);
    goods.pool_since("2025-03-15T00:00:00Z", "UTC").await;
    goods.sku(101, "standard").await;
    goods.lot(lot(1, 101, "2025-01-01", 600, "45")).await;
    goods.lot(lot(2, 101, "2025-02-10", 400, "42")).await;
    goods.lot(lot(3, 101, "2025-03-13", 200, "27")).await;
    goods.ship(shipped(1, 101, 800, "2025-03-15T12:00:00Z")).await;
    close(&app.client, "2025-03-15").await.expect(201);
    goods.lot(lot(4, 101, "2025-03-16", 100, "50")).await;
    goods.lot(lot(5, 101, "2025-03-16", 500, "46")).await;
    goods.ship(shipped(2, 101, 600, "2025-03-16T12:00:00Z")).await;
    close(&app.client, "2025-03-16").await.expect(201);
    goods.expect_agreement().await;

    let cogs = async |query: &str| app.client.get(&format!("/reports/cogs?{query}")).await.expect(200);
    let costs = |report: &crate::support::Answer| -> Vec<(Value, Value)> {
        let rows = report.at("/data");
        rows.as_array().unwrap().iter().map(|row| (row["final_quantity"].clone(), row["final_cost"].clone())).collect()
    };
    let both = "from=2025-03-01&to=2025-03-31";
    let by_day = cogs(&format!("{both}&by=day")).await;
    assert_eq!(costs(&by_day), [(json!(800), json!("35400.00")), (json!(600), json!("23400.00"))]);
    assert_eq!(by_day.at("/totals/0/final_cost"), "58800.00");
    for by in ["sku", "class", "pool"] {
        let report = cogs(&format!("{both}&by={by}&pool=default")).await;
        assert_eq!(costs(&report), [(json!(1400), json!("58800.00"))], "{by}");
    }
    let by_lot = cogs(&format!("{both}&by=lot")).await;
    let mut by_lot = costs(&by_lot);
    by_lot.sort_by_key(|(units, cost)| (units.as_i64(), cost.to_string()));
    let expected = [(100, "4600.00"), (100, "5000.00"), (200, "5400.00"), (400, "16800.00"), (600, "27000.00")];
    assert_eq!(by_lot, expected.map(|(units, cost)| (json!(units), json!(cost))));

    let worth = async |query: &str| {
        let report = app.client.get(&format!("/reports/valuation?{query}")).await.expect(200);
        (report.at("/totals/0/remaining_quantity"), report.at("/totals/0/value"))
    };
    for (query, units, value) in [
        ("as_of=2025-02-09", 600, "27000.00"),
        ("as_of=2025-03-14", 1200, "49200.00"),
        ("as_of=2025-03-15", 400, "13800.00"),
        ("as_of=2025-03-16&by=lot", 400, "18400.00"),
        ("by=class", 400, "18400.00"),
    ] {
        assert_eq!(worth(query).await, (json!(units), json!(value)), "{query}");
    }
    let nothing = app.client.get("/reports/valuation?as_of=2024-12-31").await.expect(200);
    assert_eq!((nothing.at("/data"), nothing.at("/totals")), (json!([]), json!([])));
    let csv = app.client.get(&format!("/reports/cogs?{both}&format=csv")).await.expect(200);
    let expected = "pool,class,sku,lot,lot_code,date,currency,final_quantity,final_cost,provisional_quantity,\
        provisional_cost,shortage_quantity,uncosted_quantity\r\n,,SKU-101,,,,EUR,1400,58800.00,0,0.00,0,0\r\n";
    assert_eq!(String::from_utf8(csv.bytes).unwrap(), expected);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_certain_is_told_apart_from_what_is() {
    let app = TestApp::start().await;
    let goods = Goods::of(&app.db);
    goods.pool_since("2025-03-05T00:00:00Z", "UTC").await;
    for sku in 101..=102 {
        goods.sku(sku, "standard").await;
    }
    goods.lot(lot(1, 101, "2025-03-01", 10, "1.10")).await;
    goods.lot(lot(2, 101, "2025-03-02", 10, "1.305001")).await;
    let estimate = "UPDATE lots SET cost_provisional = true WHERE lot_code = 'L-2'";
    goods.owner.execute(estimate).await.unwrap();
    goods.ship(shipped(1, 101, 23, "2025-03-05T12:00:00Z")).await;
    // Nothing of this SKU was ever received: nobody knows what it cost.
    goods.ship(shipped(2, 102, 4, "2025-03-05T12:00:00Z")).await;
    close(&app.client, "2025-03-05").await.expect(201);
    let period = "from=2025-03-05&to=2025-03-05";
    let report = app.client.get(&format!("/reports/cogs?{period}")).await.expect(200);
    let expected = json!([
        {
            "sku": "SKU-101", "currency": "EUR", "final_quantity": 10, "final_cost": "11.00",
            "provisional_quantity": 13, "provisional_cost": "16.965013", "shortage_quantity": 3, "uncosted_quantity": 0
        },
        {
            "sku": "SKU-102", "currency": null, "final_quantity": 0, "final_cost": "0.00",
            "provisional_quantity": 4, "provisional_cost": "0.00", "shortage_quantity": 4, "uncosted_quantity": 4
        }
    ]);
    assert_eq!(report.at("/data"), expected);
    // The shipment never left after all: its units go back into the lots they came from, at what they cost.
    let void = "INSERT INTO lot_transactions (
            pool_id, lot_id, seq, row_source, source_ref_id, shipment_id, quantity_delta, remaining_after, unit_cost,
            client_id, recorded_at, business_date, value_delta, quarantined_delta
        )
        VALUES (1, $1, 3, 'void', 'x', NULL, 10, 10, 1.10, 0, now(), '2025-03-06', 11, 0)";
    sqlx::query(void).bind(lot_id(1)).execute(&goods.owner).await.unwrap();
    let both = app.client.get("/reports/cogs?from=2025-03-05&to=2025-03-06&by=pool").await.expect(200);
    assert_eq!([both.at("/data/0/final_quantity"), both.at("/data/0/final_cost")], [json!(0), json!("0.00")]);
    let day = app.client.get("/reports/cogs?from=2025-03-06&to=2025-03-06").await.expect(200);
    assert_eq!([day.at("/data/0/final_quantity"), day.at("/data/0/final_cost")], [json!(-10), json!("-11.00")]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_says_everything_that_is_wrong_with_its_question() {
    let app = TestApp::start().await;
    let odd = app.client.get("/reports/cogs?to=x&by=moon&pool=mars&frob=1").await.refused(400, "invalid_parameter");
    assert_eq!(odd.broken(), ["by", "frob", "from", "pool", "to"]);
    let backwards = app.client.get("/reports/cogs?from=2025-03-06&to=2025-03-05").await.expect(400);
    assert_eq!(backwards.broken(), ["to"]);
    let odd = app.client.get("/reports/valuation?as_of=x&by=day&format=xml").await.refused(400, "invalid_parameter");
    assert_eq!(odd.broken(), ["as_of", "by", "format"]);
    app.finish().await;
}
