//! What subscriptions will want, over HTTP.

use holdfast::keys::Scope;
use serde_json::{Value, json};

use crate::support::copies::{plant, product};
use crate::support::{Answer, TestApp};

/// Charges: id, day, status, Shopify order, and lines of variant, code and units.
async fn charge(
    app: &TestApp,
    id: i64,
    day: &str,
    status: &str,
    shop: Option<i64>,
    lines: &[(Option<i64>, Option<&str>, i64)],
) {
    let shop = shop.map_or("NULL".to_owned(), |id| id.to_string());
    let row = format!(
        "INSERT INTO mirror.recharge_charges \
         (charge_id, status, scheduled_date, external_order_id, updated_at, fetched_at, document) \
         VALUES ({id}, '{status}', '{day}', {shop}, now(), now(), '{{}}'); {}",
        lines_of("charge", id, lines),
    );
    plant(app, &row).await;
}

/// Queued orders: id, day, the charge that they belong to, whether they are prepaid, and lines.
async fn queued(
    app: &TestApp,
    id: i64,
    day: &str,
    charge: i64,
    prepaid: bool,
    lines: &[(Option<i64>, Option<&str>, i64)],
) {
    let row = format!(
        "INSERT INTO mirror.recharge_orders \
         (order_id, charge_id, status, prepaid, scheduled_date, updated_at, fetched_at, document) \
         VALUES ({id}, {charge}, 'queued', {prepaid}, '{day}', now(), now(), '{{}}'); {}",
        lines_of("order", id, lines),
    );
    plant(app, &row).await;
}

fn lines_of(owner: &str, id: i64, lines: &[(Option<i64>, Option<&str>, i64)]) -> String {
    let row = |(n, (variant, sku, quantity)): (usize, &(Option<i64>, Option<&str>, i64))| {
        let variant = variant.map_or("NULL".to_owned(), |id| id.to_string());
        let sku = sku.map_or("NULL".to_owned(), |sku| format!("'{sku}'"));
        format!(
            "INSERT INTO mirror.recharge_lines \
             VALUES ('{owner}', {id}, {n}, {variant}, NULL, {sku}, 'T', {quantity}, NULL);"
        )
    };
    lines.iter().enumerate().map(row).collect()
}

async fn map(app: &TestApp, variant: i64, components: Value) {
    let path = format!("/mirror/variants/{variant}/mapping");
    let body = json!({ "components": components });
    app.client.send(reqwest::Method::PUT, &path, &[("if-match", "*")], Some(&body)).await.expect(200);
}

/// Rows as (day, SKU, units of charges, units of prepaid orders).
fn rows(answer: &Answer) -> Vec<(String, String, i64, i64)> {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let number = |row: &Value, name: &str| row[name].as_i64().unwrap();
    let read = |row: &Value| {
        let (charges, prepaid) = (number(row, "charge_quantity"), number(row, "prepaid_quantity"));
        assert_eq!(number(row, "quantity"), charges + prepaid);
        (text(row, "date"), text(row, "sku"), charges, prepaid)
    };
    answer.at("/data").as_array().unwrap().iter().map(read).collect()
}

fn expected(rows: &[(&str, &str, i64, i64)]) -> Vec<(String, String, i64, i64)> {
    rows.iter().map(|(day, sku, charges, prepaid)| ((*day).to_owned(), (*sku).to_owned(), *charges, *prepaid)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn queued_charges_and_prepaid_orders_are_wanted_by_day_and_sku_and_claim_nothing() {
    let app = TestApp::start().await;
    for sku in ["TEA", "CUP"] {
        app.stock(sku, 10).await;
    }
    let variants = [(11, Some("TEA"), false), (12, None, false), (13, None, false), (14, None, false)];
    product(&app, 1, &variants).await;
    map(&app, 11, json!([{"sku": "TEA", "quantity": 1}])).await;
    map(&app, 12, json!([{"sku": "TEA", "quantity": 2}, {"sku": "CUP", "quantity": 1}])).await;
    map(&app, 13, json!([])).await;
    // A newer recipe is the one that will be in force.
    map(&app, 12, json!([{"sku": "TEA", "quantity": 3}, {"sku": "CUP", "quantity": 1}])).await;
    // One of each: mapped, a kit, without stock; not mapped, or a custom item, of a code that is a SKU's; of none.
    let lines = [
        (Some(11), None, 1),
        (Some(12), None, 2),
        (Some(13), None, 5),
        (Some(14), Some("TEA"), 7),
        (None, Some("CUP"), 4),
        (None, Some("NO"), 1),
    ];
    charge(&app, 1, "2030-05-02", "queued", None, &lines).await;
    charge(&app, 2, "2030-05-03", "queued", None, &[(Some(11), None, 2)]).await;
    charge(&app, 3, "2030-05-03", "queued", Some(99), &[(Some(11), None, 100)]).await;
    for (id, status) in [(4, "success"), (5, "skipped"), (6, "error")] {
        charge(&app, id, "2030-05-03", status, None, &[(Some(11), None, 100)]).await;
    }
    charge(&app, 7, "2030-05-03", "queued", None, &[(Some(11), None, 100)]).await;
    plant(&app, "UPDATE mirror.recharge_charges SET deleted_at = now() WHERE charge_id = 7").await;
    // Paid for by charge 4; the queued charge 2 itself; not prepaid; gone; in the shop.
    queued(&app, 1, "2030-05-03", 4, true, &[(Some(11), None, 3), (Some(14), None, 1)]).await;
    queued(&app, 2, "2030-05-03", 2, true, &[(Some(11), None, 100)]).await;
    queued(&app, 3, "2030-05-03", 4, false, &[(Some(11), None, 100)]).await;
    for id in [4, 5] {
        queued(&app, id, "2030-05-03", 4, true, &[(Some(11), None, 100)]).await;
    }
    plant(&app, "UPDATE mirror.recharge_orders SET deleted_at = now() WHERE order_id = 4").await;
    plant(&app, "UPDATE mirror.recharge_orders SET external_order_id = 9 WHERE order_id = 5").await;

    let month = app.client.get("/demand/upcoming?from=2030-05-01&to=2030-05-31").await.expect(200);
    let all = [("2030-05-02", "CUP", 6, 0), ("2030-05-02", "TEA", 14, 0), ("2030-05-03", "TEA", 2, 3)];
    assert_eq!(rows(&month), expected(&all));
    assert_eq!(month.at("/unmapped_lines"), 2);
    let days = app.client.get("/demand/upcoming?from=2030-05-03&to=2030-05-03").await.expect(200);
    assert_eq!((rows(&days), days.at("/unmapped_lines")), (expected(&all[2..]), json!(1)));
    let cups = app.client.get("/demand/upcoming?from=2030-05-01&sku=CUP").await.expect(200);
    assert_eq!((rows(&cups), cups.at("/to")), (expected(&all[..1]), json!("2030-05-31")));
    let csv = app.client.get("/demand/upcoming?from=2030-05-01&sku=CUP&format=csv").await.expect(200);
    let text = "date,sku,quantity,charge_quantity,prepaid_quantity\r\n2030-05-02,CUP,6,6,0\r\n";
    assert_eq!(String::from_utf8(csv.bytes).unwrap(), text);
    assert_eq!(app.availability("TEA").await["sellable_quantity"], 10);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_period_begins_today_where_the_pool_is_and_is_a_year_at_most() {
    let app = TestApp::start().await;
    app.client.patch("/pools/default", "*", &json!({"time_zone": "Pacific/Kiritimati"})).await.expect(200);
    // In force from the next date on.
    app.advance(86_400);
    let today = app.clock.local_now().with_timezone(&chrono_tz::Pacific::Kiritimati).date_naive();
    let seen = app.client.get("/demand/upcoming").await.expect(200);
    let until = today + chrono::Days::new(30);
    assert_eq!(seen.json(), json!({"from": today, "to": until, "data": [], "unmapped_lines": 0}));
    app.client.get("/demand/upcoming?from=2030-01-01&to=2031-01-01").await.expect(200);
    for period in ["from=2030-01-01&to=2031-01-02", "from=2030-01-02&to=2030-01-01"] {
        let refused = app.client.get(&format!("/demand/upcoming?{period}")).await;
        assert_eq!(refused.refused(400, "invalid_parameter").broken(), ["to"]);
    }
    let odd = app.client.get("/demand/upcoming?from=x&to=1&sku=NO&format=xml&q=1").await;
    let broken = odd.refused(400, "invalid_parameter").broken();
    assert!(["format", "from", "q", "sku", "to"].iter().all(|name| broken.contains(&(*name).to_owned())), "{broken:?}");
    let lots = app.client_of("lots", &[Scope::Lots]).await;
    lots.get("/demand/upcoming").await.refused(403, "forbidden");
    app.finish().await;
}
