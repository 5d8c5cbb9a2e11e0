//! Cost of goods and valuation, to the cent: through the front door alone.

use chrono::NaiveDate;
use serde_json::{Value, json};
use sqlx::Executor;

use super::close;
use crate::support::goods::Goods;
use crate::support::{Answer, TestApp};

mod identity;
mod late;

/// A shop with one SKU in the default pool.
struct Shop {
    app: TestApp,
}

impl Shop {
    /// Whose pool was made now.
    async fn open() -> Self {
        let app = TestApp::start().await;
        app.client.post("/skus", &json!({"code": "TEA", "class": "standard"})).await.expect(201);
        Self { app }
    }

    /// Whose pool has been there for a while.
    async fn since(instant: &str) -> Self {
        let shop = Self::open().await;
        Goods::of(&shop.app.db).pool_since(instant, "UTC").await;
        shop
    }

    fn today(&self) -> NaiveDate {
        self.app.clock.local_now().date_naive()
    }

    /// Closes the day that goes on, as the next begins.
    async fn close_today(&self) -> NaiveDate {
        let date = self.today();
        self.app.advance(86_400);
        close(&self.app.client, &date.to_string()).await.expect(201);
        date
    }

    /// Receives a lot; its id.
    async fn receive(&self, code: &str, date: NaiveDate, quantity: i64, unit_cost: &str) -> String {
        let lot = json!({
            "sku": "TEA", "lot_code": code, "quantity": quantity, "unit_cost": unit_cost, "currency": "EUR",
            "received_date": date
        });
        self.app.client.post("/lots", &lot).await.expect(201).at("/id").as_str().unwrap().to_owned()
    }

    /// Receives units that nobody says the cost of: at that of the newest lot, provisionally. The id of their lot.
    async fn find(&self, reference: &str, quantity: i64) -> String {
        let line = json!({"sku": "TEA", "quantity": quantity, "disposition": "restock"});
        let back = json!({"source_ref": reference, "lines": [line]});
        self.app
            .client
            .post("/returns", &back)
            .await
            .expect(201)
            .at("/lines/0/lots/0/lot_id")
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Ships units; the shipment's id.
    async fn ship(&self, reference: &str, quantity: i64, at: Option<&str>) -> String {
        let line = json!({"line_ref": "1", "sku": "TEA", "quantity": quantity});
        let mut shipment = json!({"source_ref": reference, "lines": [line]});
        if let Some(at) = at {
            shipment["shipped_at"] = json!(at);
        }
        self.app.client.post("/shipments", &shipment).await.expect(201).at("/id").as_str().unwrap().to_owned()
    }

    /// Takes units of a shipment back onto the shelf.
    async fn take_back(&self, reference: &str, shipment: &str, quantity: i64) -> Answer {
        let line = json!({
            "sku": "TEA", "quantity": quantity, "disposition": "restock", "shipment_id": shipment,
            "shipment_line_ref": "1"
        });
        self.app.client.post("/returns", &json!({"source_ref": reference, "lines": [line]})).await
    }

    async fn void(&self, shipment: &str) {
        let path = format!("/shipments/{shipment}/void");
        self.app.client.post(&path, &json!({"reason": "never left"})).await.expect(200);
    }

    async fn revalue(&self, lot: &str, unit_cost: &str, correct_depleted: Option<bool>) {
        let mut body = json!({"unit_cost": unit_cost, "reason": "invoice"});
        if let Some(correct) = correct_depleted {
            body["correct_depleted"] = json!(correct);
        }
        self.app.client.post(&format!("/lots/{lot}/revalue"), &body).await.expect(200);
    }

    /// Final, provisional, returned and net units and cost of these dates.
    async fn cogs(&self, from: NaiveDate, to: NaiveDate) -> [(i64, String); 4] {
        let report = self.app.client.get(&format!("/reports/cogs?from={from}&to={to}&by=pool")).await.expect(200);
        ["final", "provisional", "returned", "net"].map(|kind| {
            let row = report.at("/data/0");
            let units = row[format!("{kind}_quantity")].as_i64().unwrap_or(0);
            (units, row[format!("{kind}_cost")].as_str().unwrap_or("0.00").to_owned())
        })
    }

    /// Units and value at the end of a date; now without one.
    async fn worth(&self, as_of: Option<NaiveDate>) -> (i64, String) {
        let query = as_of.map_or(String::new(), |date| format!("?as_of={date}"));
        let report = self.app.client.get(&format!("/reports/valuation{query}")).await.expect(200);
        let total = report.at("/totals/0");
        (total["remaining_quantity"].as_i64().unwrap_or(0), total["value"].as_str().unwrap_or("0.00").to_owned())
    }

    async fn finish(self) {
        self.app.finish().await;
    }
}

fn of(units: i64, cost: &str) -> (i64, String) {
    (units, cost.to_owned())
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// The textbook schedule of `lots::fifo` (Wild et al., Problem 6-1A), a quarter per season: the same numbers must come
/// out of the whole service.
#[tokio::test(flavor = "multi_thread")]
async fn a_textbook_schedule_comes_out_of_the_reports_to_the_cent() {
    let shop = Shop::since("2025-03-15T00:00:00Z").await;
    let client = &shop.app.client;
    for (code, date, quantity, cost) in
        [("L-1", "2025-01-01", 600, "45"), ("L-2", "2025-02-10", 400, "42"), ("L-3", "2025-03-13", 200, "27")]
    {
        shop.receive(code, day(date), quantity, cost).await;
    }
    shop.ship("1", 800, Some("2025-03-15T12:00:00Z")).await;
    close(client, "2025-03-15").await.expect(201);
    shop.receive("L-4", day("2025-03-16"), 100, "50").await;
    shop.receive("L-5", day("2025-03-16"), 500, "46").await;
    shop.ship("2", 600, Some("2025-03-16T12:00:00Z")).await;
    close(client, "2025-03-16").await.expect(201);

    let cogs = async |query: &str| client.get(&format!("/reports/cogs?{query}")).await.expect(200);
    let costs = |report: &Answer| -> Vec<(Value, Value)> {
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

    for (as_of, units, value) in [
        ("2025-02-09", 600, "27000.00"),
        ("2025-03-14", 1200, "49200.00"),
        ("2025-03-15", 400, "13800.00"),
        ("2025-03-16", 400, "18400.00"),
    ] {
        assert_eq!(shop.worth(Some(day(as_of))).await, of(units, value), "{as_of}");
    }
    for by in ["lot", "class"] {
        let report = client.get(&format!("/reports/valuation?by={by}")).await.expect(200);
        assert_eq!(report.at("/totals/0/value"), "18400.00", "{by}");
    }
    let nothing = client.get("/reports/valuation?as_of=2024-12-31").await.expect(200);
    assert_eq!((nothing.at("/data"), nothing.at("/totals")), (json!([]), json!([])));
    let csv = client.get(&format!("/reports/cogs?{both}&format=csv")).await.expect(200);
    let expected = "pool,class,sku,lot,lot_code,date,currency,final_quantity,final_cost,provisional_quantity,\
        provisional_cost,shortage_quantity,uncosted_quantity,returned_quantity,returned_cost,net_quantity,net_cost\r\n\
        ,,TEA,,,,EUR,1400,58800.00,0,0.00,0,0,0,0.00,1400,58800.00\r\n";
    assert_eq!(String::from_utf8(csv.bytes).unwrap(), expected);
    shop.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_certain_is_told_apart_from_what_is() {
    let shop = Shop::open().await;
    let client = &shop.app.client;
    client.post("/skus", &json!({"code": "CUP", "class": "standard"})).await.expect(201);
    let today = shop.today();
    shop.receive("L-1", today, 10, "1.305001").await;
    shop.find("found", 10).await;
    let gone = shop.ship("1", 23, None).await;
    // Nothing of this SKU was ever received: nobody knows what it cost.
    let line = json!({"sku": "CUP", "quantity": 4});
    client.post("/shipments", &json!({"source_ref": "2", "lines": [line]})).await.expect(201);
    shop.close_today().await;
    let report = client.get(&format!("/reports/cogs?from={today}&to={today}")).await.expect(200);
    let expected = json!([
        {
            "sku": "CUP", "currency": null, "final_quantity": 0, "final_cost": "0.00", "provisional_quantity": 4,
            "provisional_cost": "0.00", "shortage_quantity": 4, "uncosted_quantity": 4, "returned_quantity": 0,
            "returned_cost": "0.00", "net_quantity": 4, "net_cost": "0.00"
        },
        {
            "sku": "TEA", "currency": "EUR", "final_quantity": 10, "final_cost": "13.05001",
            "provisional_quantity": 13, "provisional_cost": "16.965013", "shortage_quantity": 3,
            "uncosted_quantity": 0, "returned_quantity": 0, "returned_cost": "0.00", "net_quantity": 23,
            "net_cost": "30.015023"
        }
    ]);
    assert_eq!(report.at("/data"), expected);
    // The shipment never left after all: its units go back into the lots they came from, at what they cost.
    shop.void(&gone).await;
    let next = shop.today();
    let nothing = of(0, "0.00");
    let both = shop.cogs(today, next).await;
    // What is left is what nobody knows the cost of.
    assert_eq!(both[0], nothing);
    let back = client.get(&format!("/reports/cogs?from={next}&to={next}")).await.expect(200);
    assert_eq!([back.at("/data/0/final_quantity"), back.at("/data/0/final_cost")], [json!(-10), json!("-13.05001")]);
    let csv = client.get(&format!("/reports/cogs?from={next}&to={next}&format=csv")).await.expect(200);
    let csv = String::from_utf8(csv.bytes).unwrap();
    assert!(csv.contains(",-10,-13.05001,"), "a number stays one: {csv}");
    shop.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_is_not_sold_until_it_is_sold_again() {
    let shop = Shop::open().await;
    let first = shop.today();
    shop.receive("L-1", first, 10, "4").await;
    let sent = shop.ship("1", 10, None).await;
    shop.close_today().await;
    shop.take_back("1", &sent, 10).await.expect(201);
    let back_on = shop.today();
    let nothing = of(0, "0.00");
    assert_eq!(shop.cogs(first, first).await, [of(10, "40.00"), nothing.clone(), nothing.clone(), of(10, "40.00")]);
    assert_eq!(
        shop.cogs(back_on, back_on).await,
        [nothing.clone(), nothing.clone(), of(10, "40.00"), of(-10, "-40.00")]
    );
    assert_eq!(shop.worth(None).await, of(10, "40.00"));
    shop.ship("2", 10, None).await;
    shop.close_today().await;
    let all = shop.cogs(first, shop.today()).await;
    assert_eq!(all, [of(20, "80.00"), nothing.clone(), of(10, "40.00"), of(10, "40.00")]);
    assert_eq!(shop.worth(None).await, nothing);

    // Back on the very day it left, before anybody knows its lot: at an estimate, which is final once it is said.
    shop.receive("L-2", shop.today(), 5, "7").await;
    let sent = shop.ship("3", 5, None).await;
    let lot = shop.take_back("3", &sent, 5).await.expect(201).at("/lines/0/lots/0/lot_id").as_str().unwrap().to_owned();
    shop.close_today().await;
    let all = shop.cogs(first, shop.today()).await;
    assert_eq!(all, [of(25, "115.00"), nothing, of(15, "75.00"), of(10, "40.00")]);
    shop.revalue(&lot, "6", None).await;
    assert_eq!(shop.cogs(first, shop.today()).await[3], of(10, "45.00"));
    assert_eq!(shop.worth(None).await, of(5, "30.00"));
    shop.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_estimate_that_proves_wrong_is_made_up_for_by_a_row_of_its_own() {
    let shop = Shop::open().await;
    let first = shop.today();
    shop.receive("L-1", first, 1, "4").await;
    let lot = shop.find("found", 10).await;
    shop.ship("1", 1, None).await;
    let sent = shop.ship("2", 7, None).await;
    shop.close_today().await;
    let nothing = of(0, "0.00");
    let before = [of(1, "4.00"), of(7, "28.00"), nothing.clone(), of(8, "32.00")];
    assert_eq!(shop.cogs(first, first).await, before);
    shop.revalue(&lot, "6", None).await;
    let open = shop.today();
    // The closed day stays as it was; the first open one makes up for it.
    assert_eq!(shop.cogs(first, first).await[0], of(8, "32.00"));
    assert_eq!(shop.cogs(open, open).await[0], of(0, "14.00"));
    assert_eq!(shop.cogs(first, open).await, [of(8, "46.00"), nothing.clone(), nothing.clone(), of(8, "46.00")]);
    assert_eq!(shop.worth(None).await, of(3, "18.00"));
    let rows = shop.app.client.get(&format!("/lots/{lot}/transactions")).await.expect(200);
    let told: Vec<_> = rows
        .at("/data")
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["kind"].clone(), row["value_delta"].clone()))
        .collect();
    let expected =
        [("return", "40.00"), ("snapshot_depletion", "-28.00"), ("revaluation", "20.00"), ("correction", "-14.00")];
    assert_eq!(told, expected.map(|(kind, value)| (json!(kind), json!(value))));

    // Units that come back, or never left, do so at what they cost in the end.
    shop.take_back("back", &sent, 2).await.expect(201);
    assert_eq!(shop.cogs(first, open).await[2..], [of(2, "12.00"), of(6, "34.00")]);
    // The cost is final now: another one is for what is left, unless it is said to be for all.
    shop.revalue(&lot, "5", None).await;
    assert_eq!(shop.cogs(first, open).await[3], of(6, "34.00"));
    shop.revalue(&lot, "5.50", Some(true)).await;
    assert_eq!(shop.cogs(first, open).await[0], of(8, "42.50"));
    assert_eq!(shop.worth(None).await, of(5, "28.50"));
    shop.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_void_gives_back_what_was_corrected_too() {
    let shop = Shop::open().await;
    let first = shop.today();
    let lot = shop.receive("L-1", first, 10, "4").await;
    let sent = shop.ship("1", 7, None).await;
    shop.close_today().await;
    shop.revalue(&lot, "6", Some(true)).await;
    shop.revalue(&lot, "7", None).await;
    assert_eq!(shop.cogs(first, shop.today()).await[0], of(7, "42.00"));
    shop.void(&sent).await;
    assert_eq!(shop.cogs(first, shop.today()).await[3], of(0, "0.00"));
    assert_eq!(shop.worth(None).await, of(10, "70.00"));
    shop.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lot_that_gets_another_cost_before_a_day_is_closed_is_worth_nothing_once_it_is_gone() {
    let shop = Shop::since("2025-11-24T00:00:00Z").await;
    let client = &shop.app.client;
    let lot = shop.receive("L-1", day("2025-11-24"), 10, "4").await;
    close(client, "2025-11-24").await.expect(201);
    shop.ship("1", 10, Some("2025-11-25T12:00:00Z")).await;
    shop.revalue(&lot, "6", None).await;
    for date in ["2025-11-25", "2025-11-26", "2025-11-27"] {
        close(client, date).await.expect(201);
    }
    assert_eq!(shop.worth(Some(day("2025-11-24"))).await, of(10, "40.00"));
    for date in ["2025-11-25", "2025-11-26", "2025-11-27"] {
        assert_eq!(shop.worth(Some(day(date))).await, of(0, "0.00"), "{date}");
    }
    assert_eq!(shop.worth(None).await, of(0, "0.00"));
    assert_eq!(shop.cogs(day("2025-11-25"), day("2025-11-25")).await[0], of(10, "60.00"));
    // One that is being closed is open still, whoever was stopped half-way.
    let lot = shop.receive("L-3", day("2025-11-28"), 3, "4").await;
    shop.ship("2", 3, Some("2025-11-28T12:00:00Z")).await;
    let begun = "INSERT INTO snapshots VALUES (1, '2025-11-28', '2025-11-27', '2025-11-28', '2025-11-29', 'UTC',
        'closing', 0, now(), NULL)";
    Goods::of(&shop.app.db).owner.execute(begun).await.unwrap();
    shop.revalue(&lot, "6", None).await;
    close(client, "2025-11-28").await.expect(201);
    assert_eq!(shop.worth(Some(day("2025-11-28"))).await, of(0, "0.00"));
    // A lot that came later has no other cost before it came.
    let later = shop.receive("L-2", day("2025-11-30"), 10, "4").await;
    shop.revalue(&later, "5", None).await;
    assert_eq!(shop.worth(Some(day("2025-11-29"))).await, of(0, "0.00"));
    assert_eq!(shop.worth(Some(day("2025-11-30"))).await, of(10, "50.00"));
    shop.finish().await;
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
