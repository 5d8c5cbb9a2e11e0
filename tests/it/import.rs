//! Files of lots: read as they arrive, refused with line numbers, received whole or not at all, sent again without harm.

mod large;

use futures_util::future::join_all;
use reqwest::{Body, StatusCode};
use serde_json::{Value, json};

use crate::support::app::settings;
use crate::support::{Answer, TestApp};

const HEADER: &str = "sku,lot_code,quantity,unit_cost,currency,received_date,expires_date,source,source_ref\n";

fn row(sku: &str, quantity: i64, source_ref: &str) -> String {
    format!("{sku},L-{source_ref},{quantity},4.20,EUR,2026-01-15,,erp,{source_ref}\n")
}

async fn import(app: &TestApp, query: &str, content_type: &str, file: impl Into<Vec<u8>>) -> Answer {
    app.client.post_bytes(&format!("/lots/import{query}"), &[("content-type", content_type)], file.into()).await
}

async fn csv(app: &TestApp, query: &str, rows: &str) -> Answer {
    import(app, query, "text/csv", format!("{HEADER}{rows}")).await
}

fn counts(answer: &Answer) -> [i64; 5] {
    ["rows", "received", "repeated", "differing", "rejected"].map(|name| answer.json()[name].as_i64().unwrap())
}

/// Broken rules as `line pointer code`.
fn broken(answer: &Answer) -> Vec<String> {
    let errors = answer.at("/errors");
    let say = |error: &Value| {
        let word = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        format!("{} {} {}", error["line"], word("pointer"), word("code"))
    };
    errors.as_array().unwrap().iter().map(say).collect()
}

async fn skus(app: &TestApp) {
    for sku in ["TEA", "CUP"] {
        app.client.post("/skus", &json!({"code": sku})).await.expect(201);
    }
    app.client.post("/skus", &json!({"code": "GIFT", "tracked": false})).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_received_as_its_rows_would_be_one_by_one() {
    let app = TestApp::start().await;
    skus(&app).await;
    let file = "\u{feff}source_ref,sku,lot_code,quantity,unit_cost,currency,received_date,expires_date\r\n\
                po-1,TEA,\"B, \"\"one\"\"\",12,4.2,EUR,2026-01-15,2026-12-31\r\n\r\n\
                po-2,CUP,B-2,3,1,EUR,2026-01-16,\r\n\
                po-3,TEA,B-3,5,0.000001,EUR,2026-01-17,";
    let answer = import(&app, "", "text/csv; charset=utf-8", file).await.expect(200);
    assert_eq!(counts(&answer), [3, 3, 0, 0, 0]);
    assert_eq!([answer.at("/mode"), answer.at("/pool")], [json!("apply"), json!("default")]);
    let lots = app.client.get("/lots?sku=TEA&lot_code=B%2C+%22one%22").await.expect(200);
    let lot = lots.at("/data/0");
    assert_eq!([&lot["source"], &lot["source_ref"], &lot["unit_cost"]], ["manual", "po-1", "4.20"]);
    assert_eq!([&lot["origin"], &lot["expires_date"]], ["receipt", "2026-12-31"]);
    assert_eq!(app.availability("TEA").await["on_hand_quantity"], 17);
    // A row is what a receipt of that name is, whichever way it comes.
    let same = json!({"sku": "CUP", "lot_code": "B-2", "quantity": 3, "unit_cost": "1", "currency": "EUR",
        "received_date": "2026-01-16", "source_ref": "po-2"});
    assert_eq!(app.client.post("/lots", &same).await.expect(200).at("/already_received"), json!(true));

    let lines = format!(
        "\u{feff}{same}\n\n{}\r\n",
        json!({"sku": "NEW", "lot_code": "N", "quantity": 1, "unit_cost": "2",
        "currency": "EUR", "received_date": "2026-01-18", "source": "erp", "source_ref": "n-1", "create_sku": true,
        "pool": "default"})
    );
    let answer = import(&app, "", "application/x-ndjson", lines).await.expect(200);
    assert_eq!((counts(&answer), answer.at("/created_skus")), ([2, 1, 1, 0, 0], json!(1)));
    assert_eq!(app.availability("NEW").await["on_hand_quantity"], 1);
    let entries = app.client.get("/stock/TEA/entries").await.expect(200);
    let seqs: Vec<Value> = entries.at("/data").as_array().unwrap().iter().map(|entry| entry["seq"].clone()).collect();
    assert_eq!(seqs, [2, 1]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_row_is_named_by_its_line_and_one_of_them_stops_the_file() {
    let app = TestApp::start().await;
    skus(&app).await;
    let rows = [
        row("TEA", 1, "a"),
        row("TEA", 0, "b"),
        row("NO", 1, "c"),
        "TEA,\"two\nlines\",x,-1,eur,2026-02-30,soon,,\n".to_owned(),
        row("GIFT", 1, "d"),
        row("TEA", 2, "a"),
        "TEA,L\n".to_owned(),
        row("CUP", 1, "e"),
    ]
    .concat();
    let expected = [
        "3 /quantity validation_failed",
        "4 /sku unknown_sku",
        "5 /quantity validation_failed",
        "5 /received_date validation_failed",
        "5 /expires_date validation_failed",
        "5 /source_ref validation_failed",
        "5 /lot_code validation_failed",
        "5 /unit_cost validation_failed",
        "5 /currency validation_failed",
        "7 /sku sku_untracked",
        "8 /source_ref validation_failed",
        "9  validation_failed",
    ];
    let refused = csv(&app, "", &rows).await.refused(422, "validation_failed");
    assert_eq!(broken(&refused), expected);
    assert!(refused.at("/detail").as_str().unwrap().starts_with("6 of 8 rows break 12 rules"), "{refused:?}");
    let bytes: Vec<Result<Vec<u8>, std::io::Error>> =
        format!("{HEADER}{rows}").as_bytes().chunks(5).map(|piece| Ok(piece.to_vec())).collect();
    let body = Body::wrap_stream(futures_util::stream::iter(bytes));
    let in_pieces = app.client.post_body("/lots/import", &[("content-type", "text/csv")], body).await;
    assert_eq!(broken(&in_pieces.expect(422)), expected, "wherever the pieces end");
    for (query, received) in [("?mode=validate", 0), ("?mode=validate&on_error=skip_bad_rows", 2)] {
        let looked = csv(&app, query, &rows).await.expect(200);
        let told = (broken(&looked), counts(&looked));
        assert_eq!(told, (expected.map(str::to_owned).to_vec(), [8, received, 0, 0, 6]), "{query}");
    }
    assert_eq!(app.client.get("/lots").await.expect(200).at("/data"), json!([]), "nothing is received");

    let skipped = csv(&app, "?on_error=skip_bad_rows", &rows).await.expect(200);
    assert_eq!((broken(&skipped), counts(&skipped)), (expected.map(str::to_owned).to_vec(), [8, 2, 0, 0, 6]));
    assert_eq!(app.availability("TEA").await["on_hand_quantity"], 1);
    let unknown = csv(&app, "", &row("NO", 1, "z")).await.refused(422, "unknown_sku");
    assert_eq!(broken(&unknown), ["2 /sku unknown_sku"]);

    let lines = "{\"sku\": 1}\n{\n[1]\n{\"sku\": \"TEA\", \"frob\": 1}\n";
    let refused = import(&app, "", "application/x-ndjson", lines).await.refused(422, "validation_failed");
    let found = broken(&refused);
    for error in ["1 /sku validation_failed", "2  malformed_json", "3  validation_failed", "4 /frob validation_failed"]
    {
        assert!(found.contains(&error.to_owned()), "{error}: {found:?}");
    }
    let many: String = (0..2000).map(|n| row("TEA", 0, &n.to_string())).collect();
    let refused = csv(&app, "?mode=validate", &many).await.expect(200);
    assert_eq!((broken(&refused).len(), refused.at("/errors_total")), (1000, json!(2000)));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_as_what_it_says_it_is_is_refused_whole() {
    let mut small = settings();
    small.import_body_limit = 100_000;
    let app = TestApp::start_with(small).await;
    skus(&app).await;
    let large: String = (0..3000).map(|n| row("TEA", 1, &n.to_string())).collect();
    csv(&app, "", &large).await.refused(413, "body_too_large");
    let places = app.app.imports.acquire_many(2).await.unwrap();
    csv(&app, "", "").await.refused(503, "busy");
    drop(places);
    import(&app, "", "application/json", "{}").await.refused(415, "unsupported_media_type");
    import(&app, "?pool=mars", "text/csv", HEADER).await.refused(422, "unknown_pool");
    let odd = import(&app, "?mode=try&on_error=x&create_skus=1&frob=2", "text/csv", HEADER).await;
    assert_eq!(odd.refused(400, "invalid_parameter").broken(), ["create_skus", "frob", "mode", "on_error"]);
    let header = import(&app, "", "text/csv", "sku,colour,sku,quantity\n").await.refused(422, "validation_failed");
    let places =
        ["1 /colour", "1 /sku", "1 /lot_code", "1 /unit_cost", "1 /currency", "1 /received_date", "1 /source_ref"];
    assert_eq!(broken(&header), places.map(|place| format!("{place} validation_failed")));
    for (separator, word) in [(";", "semicolons"), ("\t", "tabs")] {
        let file = format!("{HEADER}{}", row("TEA", 1, "a")).replace(',', separator);
        let refused = import(&app, "", "text/csv", file).await.refused(422, "validation_failed");
        assert_eq!(broken(&refused), ["1  validation_failed"]);
        let detail = refused.at("/errors/0/detail");
        assert_eq!(detail, format!("is separated by {word}; columns are separated by commas"));
    }
    let ahead = format!("TEA,L,1,1,EUR,{},,erp,a\n", app.clock.local_now().date_naive() + chrono::Days::new(2));
    assert_eq!(broken(&csv(&app, "", &ahead).await.expect(422)), ["2 /received_date validation_failed"]);
    let quote = format!("{HEADER}{}TEA,\"{}", row("TEA", 1, "a"), "x".repeat(70_000));
    for (content_type, file, line) in [
        ("text/csv", String::new(), 1),
        ("text/csv", quote, 3),
        ("application/x-ndjson", format!("\n{{\"sku\": \"{}", "x".repeat(70_000)), 2),
    ] {
        let refused = import(&app, "", content_type, file).await.refused(422, "validation_failed");
        assert_eq!(refused.at("/errors/0/line"), json!(line));
    }
    let latin = [HEADER.as_bytes(), b"T\xc4A,L,1,1,EUR,2026-01-15,,erp,a\n"].concat();
    assert_eq!(broken(&import(&app, "", "text/csv", latin).await.expect(422)), ["2  validation_failed"]);
    assert_eq!(counts(&csv(&app, "", "").await.expect(200)), [0, 0, 0, 0, 0]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_changes_nothing_and_sending_again_says_what_was_there() {
    let app = TestApp::start().await;
    app.pool("eu").await;
    skus(&app).await;
    let file: String = (0..50).map(|n| row(["TEA", "NEW"][n % 2], 2, &format!("po-{n}"))).collect();
    let query = "?create_skus=true";
    let looked = csv(&app, "?create_skus=true&mode=validate", &file).await.expect(200);
    assert_eq!((counts(&looked), looked.at("/created_skus")), ([50, 50, 0, 0, 0], json!(1)));
    app.client.get("/skus/NEW").await.refused(404, "sku_not_found");
    assert_eq!(app.client.get("/lots").await.expect(200).at("/data"), json!([]));

    let answers = join_all((0..2).map(|_| csv(&app, query, &file))).await;
    let received: i64 = answers.iter().map(|answer| counts(answer)[1]).sum();
    assert_eq!(received, 50, "{answers:?}");
    assert_eq!(counts(&csv(&app, query, &file).await.expect(200)), [50, 0, 50, 0, 0]);
    let changed = file.replacen(",2,4.20,", ",3,4.21,", 1);
    let again = csv(&app, "?mode=validate", &changed).await.expect(200);
    assert_eq!(counts(&again), [50, 0, 50, 1, 0]);
    assert_eq!(csv(&app, query, &changed).await.expect(200).at("/differences"), again.at("/differences"));
    assert_eq!(
        [again.at("/differences/0/line"), again.at("/differences/0/fields")],
        [json!(2), json!(["quantity", "unit_cost"])]
    );
    assert_eq!(app.availability("TEA").await["on_hand_quantity"], 50);
    // The same names in another pool are other lots.
    assert_eq!(counts(&csv(&app, "?pool=eu", &file).await.expect(200)), [50, 50, 0, 0, 0]);
    let elsewhere = json!({"sku": "TEA", "lot_code": "L", "quantity": 1, "unit_cost": "1", "currency": "EUR",
        "received_date": "2026-01-15", "source_ref": "x", "pool": "eu"});
    let refused =
        import(&app, "", "application/x-ndjson", elsewhere.to_string()).await.refused(422, "validation_failed");
    assert_eq!(broken(&refused), ["1 /pool validation_failed"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_go_on_while_files_arrive_and_what_was_promised_is_covered() {
    let app = TestApp::start().await;
    app.client.post("/classes", &json!({"code": "lax", "oversell_tolerance_quantity": 50})).await.expect(201);
    let codes: Vec<String> = (0..40).map(|n| format!("S{n}")).collect();
    for code in &codes {
        app.client.post("/skus", &json!({"code": code, "class": "lax"})).await.expect(201);
        app.stock(code, 5).await;
    }
    // More is promised than there is: what arrives resolves it.
    for code in codes.iter().take(10) {
        let cart = app.hold(code, 20).await.expect(201).id();
        app.client.post(&format!("/reservations/{cart}/commit"), &json!({"order_ref": code})).await.expect(200);
    }
    let file =
        |name: &str| -> String { (0..4000).map(|n| row(&codes[n % codes.len()], 1, &format!("{name}-{n}"))).collect() };
    let (whole, skipping) = (file("whole"), file("skip"));
    let files = async {
        let whole = csv(&app, "", &whole).await.expect(200);
        let parts = csv(&app, "?on_error=skip_bad_rows", &skipping).await.expect(200);
        (counts(&whole), counts(&parts))
    };
    let carts = async {
        let mut statuses = Vec::new();
        for n in 0..200 {
            statuses.push(app.hold(&codes[n % codes.len()], 1).await.status);
        }
        statuses
    };
    let (files, carts) = tokio::join!(files, carts);
    assert_eq!(files, ([4000, 4000, 0, 0, 0], [4000, 4000, 0, 0, 0]));
    assert!(carts.iter().all(|status| *status == StatusCode::CREATED), "{carts:?}");
    assert_eq!(app.availability("S0").await["on_hand_quantity"], 205);
    app.finish().await;
}
