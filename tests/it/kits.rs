//! Carts and questions that name a variant: a kit is its SKUs, whole or not at all, by the recipe of the moment.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::client::key;
use crate::support::copies::product;
use crate::support::race::{Call, count, expect_definite, race};
use crate::support::{Answer, TestApp};

const KIT: i64 = 39_684_723_835_051;
const DONATION: i64 = 12;

/// Says what a variant is from now on.
async fn map(app: &TestApp, variant: i64, components: &[(&str, i64)]) {
    let components: Vec<Value> = components.iter().map(|(sku, units)| json!({"sku": sku, "quantity": units})).collect();
    let path = format!("/mirror/variants/{variant}/mapping");
    let body = json!({ "components": components });
    app.client.send(Method::PUT, &path, &[("if-match", "*")], Some(&body)).await.expect(200);
}

/// A shop that sells kits of two teas and a cup, and takes donations.
async fn start(stock: &[(&str, i64)]) -> TestApp {
    let app = TestApp::start().await;
    for (sku, units) in stock {
        app.stock(sku, *units).await;
    }
    product(&app, 1, &[(KIT, None, false), (DONATION, None, false), (13, None, false)]).await;
    map(&app, KIT, &[("TEA", 2), ("CUP", 1)]).await;
    map(&app, DONATION, &[]).await;
    app
}

fn kits(quantity: i64) -> Value {
    json!({"lines": [{"variant_id": KIT.to_string(), "quantity": quantity}]})
}

async fn hold(app: &TestApp, body: &Value) -> Answer {
    app.client.post("/reservations", body).await
}

/// Line, SKU, units held and the line of the request that it is part of, of every line.
fn lines(answer: &Answer) -> Vec<(i64, String, i64, Option<i64>)> {
    let lines = answer.at("/lines");
    let of = |line: &Value| {
        let sku = line["sku"].as_str().unwrap().to_owned();
        let asked = line["part_of"]["requested_line"].as_i64();
        (line["line"].as_i64().unwrap(), sku, line["held_quantity"].as_i64().unwrap(), asked)
    };
    lines.as_array().unwrap().iter().map(of).collect()
}

/// Sellable, reservable and missing kits of an item.
fn whole(item: &Value) -> [i64; 3] {
    ["sellable", "reservable", "shortfall"].map(|name| item[format!("{name}_quantity")].as_i64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kit_is_held_as_its_skus_and_keeps_the_recipe_it_was_held_under() {
    let app = start(&[("TEA", 10), ("CUP", 10), ("POT", 10)]).await;
    let body = json!({"lines": [
        {"variant_id": KIT.to_string(), "quantity": 2}, {"sku": "TEA", "quantity": 1}, {"variant_id": "12", "quantity": 5}
    ]});
    let once = key();
    let held = app.client.post_as(&once, "/reservations", &body).await.expect(201);
    let line = |line, sku: &str, units, asked| (line, sku.to_owned(), units, asked);
    let expected = vec![line(1, "TEA", 4, Some(1)), line(2, "TEA", 1, None), line(4, "CUP", 2, Some(1))];
    assert_eq!(lines(&held), expected, "TEA was made first");
    let part = json!({"requested_line": 1, "variant_id": KIT.to_string(), "mapping_version": 1, "unit_quantity": 2});
    assert_eq!(held.at("/lines/0/part_of"), part);
    assert!(held.at("/lines/1").get("part_of").is_none());
    let named = json!([
        {"requested_line": 1, "variant_id": KIT.to_string(), "mapping_version": 1, "requested_quantity": 2, "status": "tracked"},
        {"requested_line": 3, "variant_id": "12", "mapping_version": 1, "requested_quantity": 5, "status": "untracked"}
    ]);
    assert_eq!(held.at("/variants"), named);

    // The recipe of tomorrow changes nothing of it, nor of the answer under its key, however the id is written.
    map(&app, KIT, &[("POT", 1)]).await;
    let path = format!("/reservations/{}", held.id());
    let read = app.client.get(&path).await.expect(200);
    assert_eq!((read.at("/lines"), read.at("/variants")), (held.at("/lines"), named.clone()));
    let listed = app.client.get("/reservations").await.expect(200);
    assert_eq!(listed.at("/data/0/lines"), held.at("/lines"));
    let mut as_number = body.clone();
    as_number["lines"][0]["variant_id"] = json!(KIT);
    for same in [&body, &as_number] {
        let again = app.client.post_as(&once, "/reservations", same).await.expect(201);
        assert!(again.is_replayed() && again.bytes == held.bytes);
    }
    as_number["lines"][0]["variant_id"] = json!(13);
    app.client.post_as(&once, "/reservations", &as_number).await.refused(422, "idempotency_key_reused");
    let newer = hold(&app, &kits(1)).await.expect(201);
    assert_eq!(lines(&newer), [line(1, "POT", 1, Some(1))]);

    // Its lines are given back, committed in part and shipped like any other.
    let back = json!({"lines": [{"line": 2, "quantity": 1}, {"line": 4, "quantity": 1}]});
    app.client.post(&format!("{path}/release"), &back).await.expect(200);
    let order = json!({"order_ref": "1001", "lines": [{"line": 1, "quantity": 2}, {"line": 4, "quantity": 1}]});
    let committed = app.client.post(&format!("{path}/commit"), &order).await.expect(200);
    assert_eq!((committed.at("/state"), committed.at("/variants")), (json!("committed"), named));
    for (sku, units) in [("TEA", 2), ("CUP", 1)] {
        let seen = app.availability(sku).await;
        assert_eq!([&seen["held_quantity"], &seen["committed_quantity"]], [&json!(0), &json!(units)], "{sku}");
    }
    let parcel = json!({"source_ref": "P-1", "order_ref": "1001",
        "lines": [{"sku": "TEA", "quantity": 2}, {"sku": "CUP", "quantity": 1}]});
    app.client.post("/shipments", &parcel).await.expect(201);
    assert_eq!(app.client.get(&path).await.at("/state"), "fulfilled");
    // A part of the kit comes back by itself.
    let back = json!({"source_ref": "R-1", "order_ref": "1001", "lines": [{"sku": "CUP", "quantity": 1}]});
    app.client.post("/returns", &back).await.expect(201);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_kit_names_the_short_skus_and_how_many_kits_could_be_had() {
    let app = start(&[("TEA", 5), ("CUP", 9)]).await;
    let mut body = kits(3);
    body["lines"].as_array_mut().unwrap().insert(0, json!({"sku": "CUP", "quantity": 1}));
    let refused = hold(&app, &body).await.refused(409, "insufficient_stock");
    assert_eq!(refused.at("/shortfalls").as_array().map(Vec::len), Some(1));
    assert_eq!((refused.at("/shortfalls/0/sku"), refused.at("/shortfalls/0/lines")), (json!("TEA"), json!([2])));
    assert_eq!(refused.quantities("/shortfalls/0", ["requested", "available", "short"]), [6, 5, 1]);
    let kit = json!([{"line": 2, "variant_id": KIT.to_string(), "mapping_version": 1, "requested_quantity": 3,
        "available_quantity": 2}]);
    assert_eq!(refused.at("/variants"), kit);
    for (sku, units) in [("TEA", 5), ("CUP", 9)] {
        assert_eq!(app.availability(sku).await["sellable_quantity"], units, "{sku} was held all the same");
    }
    // A cart of SKUs tells of none.
    assert!(app.hold("TEA", 6).await.refused(409, "insufficient_stock").json().get("variants").is_none());
    // In part, whole kits are held.
    body["partial"] = json!("allow");
    let held = hold(&app, &body).await.expect(201);
    let (cups, teas) = (held.at("/lines/2"), held.at("/lines/1"));
    let part =
        |line: &Value| [&line["requested_quantity"], &line["held_quantity"]].map(|units| units.as_i64().unwrap());
    let (cups, teas) = if cups["sku"] == "CUP" { (cups, teas) } else { (teas, cups) };
    assert_eq!((part(&teas), part(&cups)), ([6, 4], [3, 2]));
    hold(&app, &body["lines"].as_array().map(|lines| json!({"lines": [lines[1]], "partial": "allow"})).unwrap())
        .await
        .refused(409, "insufficient_stock");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_names_a_sku_or_a_variant_that_somebody_has_mapped() {
    let app = start(&[("TEA", 5), ("CUP", 9)]).await;
    let odd = json!({"lines": [
        {"sku": "TEA", "variant_id": "12", "quantity": 1}, {"quantity": 1}, {"variant_id": "012", "quantity": 1},
        {"variant_id": "TEA", "quantity": 1}, {"variant_id": -1, "quantity": 1}, {"variant_id": 1.5, "quantity": 1},
        {"variant_id": true, "quantity": 1}, {"variant_id": "12"}, {"variant_id": "99999999999999999999", "quantity": 1}
    ]});
    let broken = [
        "/lines/0/variant_id",
        "/lines/1/sku",
        "/lines/2/variant_id",
        "/lines/3/variant_id",
        "/lines/4/variant_id",
        "/lines/5/variant_id",
        "/lines/6/variant_id",
        "/lines/7/quantity",
        "/lines/8/variant_id",
    ];
    assert_eq!(hold(&app, &odd).await.refused(422, "validation_failed").broken(), broken);

    // What nobody has mapped is a decision, kept under its key; once it is mapped, a new key asks again.
    let unmapped = json!({"lines": [
        {"variant_id": "13", "quantity": 1}, {"sku": "TEA", "quantity": 1}, {"variant_id": 9999, "quantity": 1}
    ]});
    let once = key();
    let refused = app.client.post_as(&once, "/reservations", &unmapped).await.refused(422, "unknown_variant");
    assert_eq!(refused.broken(), ["/lines/0/variant_id", "/lines/2/variant_id"]);
    map(&app, 13, &[("TEA", 1)]).await;
    assert!(app.client.post_as(&once, "/reservations", &unmapped).await.is_replayed());
    let mapped = json!({"lines": [{"variant_id": 13, "quantity": 1}]});
    assert_eq!(lines(&hold(&app, &mapped).await.expect(201)), [(1, "TEA".to_owned(), 1, Some(1))]);
    app.client.patch("/skus/CUP", "*", &json!({"status": "retired"})).await.expect(200);
    let retired = hold(&app, &kits(1)).await.refused(422, "sku_retired");
    assert_eq!(retired.broken(), ["/lines/0/variant_id"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_want_the_last_kits_nobody_gets_a_part_of_one() {
    // Teas for five kits, cups for three, and somebody who wants cups alone.
    let app = start(&[("TEA", 10), ("CUP", 3)]).await;
    let other = app.another().await;
    let calls: Vec<Call> = (0..12)
        .map(|n| {
            let client = if n % 2 == 0 { &app.client } else { &other.client };
            let body = if n % 3 == 0 { json!({"lines": [{"sku": "CUP", "quantity": 1}]}) } else { kits(1) };
            Call::new(client, "/reservations", body)
        })
        .collect();
    let answers = race(&calls).await;
    expect_definite(&answers);
    assert_eq!((count(&answers, 201), count(&answers, 409)), (3, 9));
    let kits = answers.iter().filter(|answer| answer.status == 201 && !answer.at("/variants").is_null()).count();
    let (teas, cups) = (app.availability("TEA").await, app.availability("CUP").await);
    assert_eq!((&teas["held_quantity"], &cups["held_quantity"]), (&json!(2 * kits), &json!(3)));
    other.stop().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn racers_for_the_last_kit_have_one_winner() {
    let app = start(&[("TEA", 3), ("CUP", 1)]).await;
    let calls: Vec<Call> = (0..8).map(|_| Call::new(&app.client, "/reservations", kits(1))).collect();
    let answers = race(&calls).await;
    expect_definite(&answers);
    assert_eq!((count(&answers, 201), count(&answers, 409)), (1, 7));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_of_what_has_no_stock_is_accepted_and_moves_nothing() {
    let app = start(&[("TEA", 2), ("CUP", 1)]).await;
    let donation = json!({"lines": [{"variant_id": DONATION, "quantity": 5000}]});
    let held = hold(&app, &donation).await.expect(201);
    assert_eq!(
        (held.at("/state"), held.at("/lines"), held.at("/variants/0/status")),
        (json!("held"), json!([]), json!("untracked"))
    );
    let path = format!("/reservations/{}", held.id());
    app.client.post(&format!("{path}/extend"), &json!({"ttl_seconds": 3600})).await.expect(200);
    let committed = app.client.post(&format!("{path}/commit"), &json!({"order_ref": "1"})).await.expect(200);
    assert_eq!(committed.at("/state"), "fulfilled", "there is nothing to send");
    let given_back = hold(&app, &donation).await.expect(201).id();
    let released = app.client.post(&format!("/reservations/{given_back}/release"), &json!({})).await.expect(200);
    assert_eq!(released.at("/state"), "released");
    let lapsed = hold(&app, &donation).await.expect(201).id();
    app.advance(901);
    app.sweep().await;
    assert_eq!(app.client.get(&format!("/reservations/{lapsed}")).await.at("/state"), "expired");
    let late = app.client.post(&format!("/reservations/{lapsed}/commit"), &json!({"order_ref": "2"})).await.expect(200);
    assert_eq!((late.at("/state"), late.at("/late_commit")), (json!("fulfilled"), json!(true)));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variant_is_as_available_as_the_sku_that_gives_the_fewest() {
    let app = TestApp::start().await;
    app.sku_with("CUP", json!({"safety_stock_quantity": 1, "oversell_tolerance_quantity": 2})).await;
    app.client.post("/skus", &json!({"code": "CARD", "tracked": false})).await.expect(201);
    for (sku, units) in [("TEA", 9), ("CUP", 4)] {
        app.stock(sku, units).await;
    }
    product(&app, 1, &[(KIT, None, false), (DONATION, None, false), (13, None, false), (14, None, false)]).await;
    map(&app, KIT, &[("TEA", 2), ("CUP", 1), ("CARD", 1)]).await;
    map(&app, DONATION, &[]).await;
    map(&app, 13, &[("TEA", 1)]).await;
    let path = format!("/availability?variant_id={KIT}");
    let seen = app.client.get(&path).await.expect(200);
    let kit = seen.at("/data/0");
    assert_eq!((whole(&kit), &kit["status"], &kit["pool"]), ([3, 4, 0], &json!("in_stock"), &json!("default")));
    assert_eq!((&kit["variant_id"], &kit["mapping_version"]), (&json!(KIT.to_string()), &json!(1)));
    let components = kit["components"].as_array().unwrap();
    let of = |sku: &str| components.iter().find(|part| part["sku"] == sku).unwrap();
    assert_eq!([&of("TEA")["unit_quantity"], &of("CARD")["status"]], [&json!(2), &json!("untracked")]);
    assert_eq!(whole(of("CUP")), [3, 5, 0]);
    assert!(kit["as_of"].is_string() && kit["age_ms"].is_number());
    // Nothing has changed since; then a hold takes what the answer said could be taken, and no more.
    let tag = seen.header("etag").unwrap().to_owned();
    app.client.send(Method::GET, &path, &[("if-none-match", &tag)], None).await.expect(304);
    hold(&app, &kits(5)).await.refused(409, "insufficient_stock");
    hold(&app, &kits(4)).await.expect(201);
    let after = app.client.send(Method::GET, &path, &[("if-none-match", &tag)], None).await.expect(200).at("/data/0");
    assert_eq!((whole(&after), &after["status"]), ([0, 0, 1], &json!("out_of_stock")));

    // A variant that is one SKU is as that SKU is; one without stock is untracked; of several, each in the order asked.
    let several = app.client.get("/availability?variant_id=13&variant_id=12").await.expect(200);
    let tea = app.availability("TEA").await;
    assert_eq!(several.at("/data/0/sellable_quantity"), tea["sellable_quantity"]);
    assert_eq!((several.at("/data/1/status"), several.at("/data/1/components")), (json!("untracked"), json!([])));
    let query = async |body: Value| app.client.post("/availability/query", &body).await;
    let numbers = |answer: &Answer| {
        let rows = answer.at("/data");
        let row = |row: &Value| (row["variant_id"].clone(), row["sellable_quantity"].clone(), row["status"].clone());
        rows.as_array().unwrap().iter().map(row).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&query(json!({"variant_ids": ["13", 12]})).await.expect(200)), numbers(&several));
    let unknown = query(json!({"variant_ids": [14, 13, "15"]})).await.refused(422, "unknown_variant");
    assert_eq!(unknown.broken(), ["/variant_ids/0", "/variant_ids/2"]);
    for odd in [json!({"variant_ids": []}), json!({"variant_ids": [13], "skus": ["TEA"]})] {
        assert_eq!(query(odd).await.refused(422, "validation_failed").broken(), ["/variant_ids"]);
    }
    // An edit of the recipe shows at once.
    map(&app, KIT, &[("TEA", 1)]).await;
    let edited = app.client.get(&path).await.expect(200).at("/data/0");
    assert_eq!((whole(&edited)[0], &edited["mapping_version"]), (1, &json!(2)));

    let unknown = app.client.get("/availability?variant_id=13&variant_id=14&variant_id=x").await;
    let unknown = unknown.refused(422, "unknown_variant");
    assert_eq!(unknown.broken(), ["variant_id", "variant_id"]);
    let both = app.client.get("/availability?variant_id=13&sku=TEA").await.refused(400, "invalid_parameter");
    assert_eq!(both.broken(), ["variant_id"]);
    app.client.get("/availability").await.refused(400, "invalid_parameter");
    app.client.get("/availability?variant_id=13&pool=mars").await.refused(422, "unknown_pool");
    let blind = app.client_of("blind", &[holdfast::keys::Scope::Reservations]).await;
    blind.get(&path).await.refused(403, "forbidden");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kits_are_counted_pool_by_pool_since_a_cart_draws_on_one() {
    let app = start(&[("TEA", 9), ("CUP", 1)]).await;
    app.pool("eu").await;
    app.pool("us").await;
    app.stock_in("eu", "TEA", 3).await;
    app.stock_in("eu", "CUP", 9).await;
    let of = async |pool: &str| {
        app.client.get(&format!("/availability?variant_id={KIT}&pool={pool}")).await.expect(200).at("/data")
    };
    assert_eq!((whole(&of("default").await[0])[0], whole(&of("eu").await[0])[0]), (1, 1));
    let each = of("*").await;
    let pools: Vec<_> = each.as_array().unwrap().iter().map(|item| (item["pool"].clone(), whole(item)[0])).collect();
    assert_eq!(pools, [(json!("default"), 1), (json!("eu"), 1), (json!("us"), 0)]);
    // Twelve teas and ten cups are in all, and yet there are two kits that a cart could have.
    let sum = of("sum").await;
    assert_eq!((whole(&sum[0]), &sum[0]["pool"]), ([2, 2, 0], &Value::Null));
    let cups =
        &sum[0]["components"].as_array().unwrap().iter().find(|part| part["sku"] == "CUP").unwrap()["on_hand_quantity"];
    assert_eq!(*cups, json!(10));
    // Another instance on the same database says the same.
    let other = app.another().await;
    let there = other.client.get(&format!("/availability?variant_id={KIT}")).await.expect(200);
    assert_eq!(whole(&there.at("/data/0"))[0], 1);
    other.stop().await;
    app.finish().await;
}
