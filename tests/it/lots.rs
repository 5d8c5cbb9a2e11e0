//! Lots over HTTP: received once, validated at once, counted anew.

mod history;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::client::key;
use crate::support::{Answer, TestApp};

fn lot(sku: &str, quantity: i64) -> Value {
    json!({
        "sku": sku, "lot_code": "B-17", "quantity": quantity, "unit_cost": "4.2", "currency": "EUR",
        "received_date": "2026-01-15"
    })
}

fn with(mut body: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

async fn receive(app: &TestApp, body: &Value) -> Answer {
    app.client.post("/lots", body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lot_is_received_and_read_back_as_it_was_entered() {
    let app = TestApp::start().await;
    app.client.post("/skus", &json!({"code": "TEA"})).await.expect(201);
    let more = json!({"expires_date": "2096-12-31", "source": "erp", "source_ref": "PO 7/1"});
    let received = receive(&app, &with(lot("TEA", 12), more)).await.expect(201);
    assert_eq!(received.header("location"), Some(format!("/lots/{}", received.id()).as_str()));
    let read = app.client.get(&format!("/lots/{}", received.id())).await.expect(200);
    assert_eq!(read.json(), received.json());
    let mut shown = read.json();
    let shown = shown.as_object_mut().unwrap();
    for generated in ["id", "recorded_at"] {
        assert!(shown.remove(generated).is_some_and(|value| value.is_string()), "{generated}");
    }
    assert_eq!(
        Value::Object(shown.clone()),
        json!({
            "pool": "default", "sku": "TEA", "lot_code": "B-17", "origin": "receipt", "status": "available",
            "received_quantity": 12, "remaining_quantity": 12, "quarantined_quantity": 0, "quarantine_reason": null,
            "unit_cost": "4.20", "currency": "EUR", "cost_provisional": false, "source_lot_id": null,
            "received_date": "2026-01-15", "expires_date": "2096-12-31", "source": "erp", "source_ref": "PO 7/1"
        })
    );
    assert_eq!(app.availability("TEA").await["on_hand_quantity"], 12);
    let id = holdfast::ids::LotId::new(holdfast::ids::PoolId(9)).to_string();
    for id in [id.as_str(), "x", "%00"] {
        app.client.get(&format!("/lots/{id}")).await.refused(404, "lot_not_found");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_receipt_is_one_lot_however_often_it_is_entered() {
    let app = TestApp::start().await;
    let other = app.another().await;
    app.pool("eu").await;
    app.client.post("/skus", &json!({"code": "TEA"})).await.expect(201);
    let body = with(lot("TEA", 12), json!({"source_ref": "PO-7"}));
    let clients = [&app.client, &other.client, &app.client, &other.client];
    let answers = join_all(clients.map(|client| client.post("/lots", &body))).await;
    let made: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert_eq!(made.len(), 1, "{answers:#?}");
    for repeated in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!((repeated.status.as_u16(), repeated.id()), (200, made[0].id()));
        assert_eq!([repeated.at("/already_received"), repeated.at("/differences")], [json!(true), Value::Null]);
    }

    let changed = json!({"quantity": 13, "unit_cost": "4.21", "lot_code": "B-18", "expires_date": "2027-01-01"});
    let differing = receive(&app, &with(body.clone(), changed)).await.expect(200);
    assert_eq!(differing.at("/differences"), json!(["lot_code", "quantity", "unit_cost", "expires_date"]));
    assert_eq!([differing.at("/received_quantity"), differing.at("/lot_code")], [json!(12), json!("B-17")]);
    let same_cost = receive(&app, &with(body.clone(), json!({"unit_cost": "4.200"}))).await.expect(200);
    assert_eq!(same_cost.at("/differences"), Value::Null, "4.2 and 4.200 are one amount");
    assert_eq!(app.availability("TEA").await["on_hand_quantity"], 12);
    // The same name in another source or another pool is another receipt; without a name each is its own.
    receive(&app, &with(body.clone(), json!({"source": "erp"}))).await.expect(201);
    receive(&app, &with(body.clone(), json!({"pool": "eu"}))).await.expect(201);
    receive(&app, &lot("TEA", 1)).await.expect(201);
    receive(&app, &lot("TEA", 1)).await.expect(201);
    assert_eq!(app.availability("TEA").await["on_hand_quantity"], 26);
    other.stop().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_wrong_with_a_lot_is_listed_at_once() {
    let app = TestApp::start().await;
    app.client.post("/skus", &json!({"code": "TEA"})).await.expect(201);
    app.client.post("/skus", &json!({"code": "GIFT", "tracked": false})).await.expect(201);
    let nothing = receive(&app, &json!({})).await.refused(422, "validation_failed");
    let required = ["/currency", "/lot_code", "/quantity", "/received_date", "/sku", "/unit_cost"];
    assert_eq!(nothing.broken(), required);
    let body = json!({
        "sku": "", "lot_code": "", "quantity": 0, "unit_cost": 4.2, "currency": "eur", "received_date": "2026-02-30",
        "expires_date": "soon", "source": "", "source_ref": "", "create_sku": "yes", "colour": "red"
    });
    let broken = receive(&app, &body).await.refused(422, "validation_failed");
    let all = [
        "/colour",
        "/create_sku",
        "/currency",
        "/expires_date",
        "/lot_code",
        "/quantity",
        "/received_date",
        "/sku",
        "/source",
        "/source_ref",
        "/unit_cost",
    ];
    assert_eq!(broken.broken(), all);
    let early = receive(&app, &with(lot("TEA", 1), json!({"expires_date": "2026-01-14"}))).await;
    assert_eq!(early.refused(422, "validation_failed").broken(), ["/expires_date"]);
    for date in ["-5000-01-01", "+262142-12-31", "2026-1-5x"] {
        let odd = receive(&app, &with(lot("TEA", 1), json!({"received_date": date}))).await;
        assert_eq!(odd.refused(422, "validation_failed").broken(), ["/received_date"], "{date}");
    }
    let nowhere = receive(&app, &with(lot("TEA", 1), json!({"pool": "mars"}))).await;
    assert_eq!(nowhere.refused(422, "unknown_pool").broken(), ["/pool"]);
    assert_eq!(receive(&app, &lot("NO", 1)).await.refused(422, "unknown_sku").broken(), ["/sku"]);
    assert_eq!(receive(&app, &lot("GIFT", 1)).await.refused(422, "sku_untracked").broken(), ["/sku"]);
    assert_eq!(app.client.get("/lots").await.expect(200).at("/data"), json!([]));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_is_a_decimal_string_and_nothing_else() {
    let app = TestApp::start().await;
    app.client.post("/skus", &json!({"code": "TEA"})).await.expect(201);
    for (sent, shown) in [
        ("0", "0.00"),
        ("4", "4.00"),
        ("4.2", "4.20"),
        ("0.000001", "0.000001"),
        ("1.230000000", "1.23"),
        ("999999999999.999999", "999999999999.999999"),
    ] {
        let received = receive(&app, &with(lot("TEA", 1), json!({"unit_cost": sent}))).await.expect(201);
        assert_eq!(received.at("/unit_cost"), shown);
    }
    let odd =
        ["", "-0.01", "0.0000001", "1000000000000", "1e3", "1,5", "1_000", " 1", "+1", ".5", "5.", "NaN", "0x1", "١"];
    for cost in odd.map(Value::from).into_iter().chain([json!(4), json!(4.2), json!(null)]) {
        let refused = receive(&app, &with(lot("TEA", 1), json!({"unit_cost": cost}))).await;
        assert_eq!(refused.refused(422, "validation_failed").broken(), ["/unit_cost"], "{cost}");
    }
    for currency in ["EU", "EURO", "eur", "E R", "ÄÖ"] {
        let refused = receive(&app, &with(lot("TEA", 1), json!({"currency": currency}))).await;
        assert_eq!(refused.refused(422, "validation_failed").broken(), ["/currency"], "{currency}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_lot_may_bring_its_sku_along() {
    let app = TestApp::start().await;
    let body = with(lot("NEW/1 é", 1), json!({"create_sku": true}));
    let answers =
        join_all((0..8).map(|_| async { app.client.post_as(&key(), "/lots", &body).await.expect(201) })).await;
    assert_eq!(answers.len(), 8);
    let sku = app.client.get("/skus/NEW%2F1%20%C3%A9").await.expect(200);
    assert_eq!([sku.at("/class"), sku.at("/tracked")], [json!("standard"), json!(true)]);
    let seen = app.client.get("/availability?sku=NEW%2F1+%C3%A9").await.expect(200);
    assert_eq!(seen.at("/data/0/on_hand_quantity"), json!(8));
    receive(&app, &with(lot("NEVER", 0), json!({"create_sku": true}))).await.refused(422, "validation_failed");
    app.pool("eu").await;
    let key = key();
    app.client.post_as(&key, "/lots", &body).await.expect(201);
    for pool in ["default", "eu"] {
        let never = with(lot("NEVER", 1), json!({"create_sku": true, "pool": pool}));
        app.client.post_as(&key, "/lots", &never).await.refused(422, "idempotency_key_reused");
    }
    app.client.get("/skus/NEVER").await.refused(404, "sku_not_found");
    // Of two at once only the one that the key comes to belong to.
    for round in 0..8 {
        let key = crate::support::client::key();
        let skus = ["A", "B"].map(|name| format!("{name}-{round}"));
        let bodies = skus.clone().map(|sku| with(lot(&sku, 1), json!({"create_sku": true})));
        let answers = join_all(bodies.iter().map(|body| app.client.post_as(&key, "/lots", body))).await;
        for (sku, answer) in skus.iter().zip(&answers) {
            let registered = app.client.get(&format!("/skus/{sku}")).await.status == 200;
            assert_eq!(registered, answer.status == 201, "{answers:?}");
        }
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "{answers:?}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lots_are_listed_newest_first_by_what_is_known_of_them() {
    let app = TestApp::start().await;
    app.pool("eu").await;
    let body = |sku: &str, code: &str| with(lot(sku, 1), json!({"create_sku": true, "lot_code": code}));
    let mut ids = Vec::new();
    for (sku, code) in [("TEA", "A"), ("CUP", "B"), ("TEA", "B"), ("TEA", "C")] {
        ids.push(receive(&app, &body(sku, code)).await.expect(201).id());
    }
    let abroad = receive(&app, &with(body("TEA", "D"), json!({"pool": "eu"}))).await.expect(201).id();
    let listed = async |query: &str| {
        let page = app.client.get(&format!("/lots?{query}")).await.expect(200);
        let ids: Vec<String> =
            page.at("/data").as_array().unwrap().iter().map(|lot| lot["id"].as_str().unwrap().to_owned()).collect();
        (ids, page.at("/next_cursor").as_str().map(str::to_owned))
    };
    let pick = |numbers: &[usize]| numbers.iter().map(|number| ids[*number].clone()).collect::<Vec<_>>();
    assert_eq!(listed("").await.0, pick(&[3, 2, 1, 0]));
    assert_eq!(listed("sku=TEA").await.0, pick(&[3, 2, 0]));
    assert_eq!(listed("lot_code=B&open=true").await.0, pick(&[2, 1]));
    assert_eq!(listed("pool=eu").await.0, std::slice::from_ref(&abroad));
    let (first, cursor) = listed("limit=3").await;
    assert_eq!(first, pick(&[3, 2, 1]));
    assert_eq!(listed(&format!("limit=3&cursor={}", cursor.unwrap())).await, (pick(&[0]), None));
    let everywhere = listed("pool=*&limit=2").await;
    assert_eq!((everywhere.0, everywhere.1.is_some()), (vec![abroad.clone(), ids[3].clone()], true));
    assert_eq!(listed(&format!("pool=*&cursor={}", everywhere.1.unwrap())).await.0, pick(&[2, 1, 0]));
    assert_eq!(listed("pool=*&lot_code=D").await.0, [abroad]);
    let dated = json!({"lot_code": "E", "received_date": "2026-02-01", "expires_date": "2026-03-01"});
    ids.push(receive(&app, &with(body("CUP", "E"), dated)).await.expect(201).id());
    let pick = |numbers: &[usize]| numbers.iter().map(|number| ids[*number].clone()).collect::<Vec<_>>();
    for (query, found) in [
        ("expiring_before=2026-03-02", vec![4]),
        ("open=false", vec![]),
        ("expiring_before=2026-03-01", vec![]),
        ("received_from=2026-02-01", vec![4]),
        ("received_to=2026-01-31&sku=CUP", vec![1]),
        ("received_from=2026-01-15&received_to=2026-02-01&lot_code=E", vec![4]),
        ("status=available&origin=receipt&sku=CUP", vec![1]),
        ("status=expired", vec![4]),
        ("status=quarantined", vec![]),
        ("origin=return", vec![]),
    ] {
        assert_eq!(listed(query).await.0, pick(&found), "{query}");
    }
    let odd =
        "/lots?open=perhaps&sku=NO&limit=101&frob=1&status=x&origin=y&expiring_before=soon&received_to=2026-02-30";
    let odd = app.client.get(odd).await.refused(400, "invalid_parameter");
    let names = ["expiring_before", "frob", "limit", "open", "origin", "received_to", "sku", "status"];
    assert_eq!(odd.broken(), names);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shelf_that_was_untracked_for_a_while_is_counted_before_it_is_held() {
    let app = TestApp::start().await;
    app.stock("TEA", 10).await;
    let standing = app.hold("TEA", 2).await.expect(201).id();
    let order = app.hold("TEA", 3).await.expect(201).id();
    app.client.post(&format!("/reservations/{order}/commit"), &json!({"order_ref": "1"})).await.expect(200);
    let count = |quantity: i64| json!({"quantity": quantity, "lot_code": "COUNT", "unit_cost": "1.00", "currency": "EUR", "received_date": "2026-01-20"});
    let path = "/stock/TEA/opening-count";
    app.client.post(path, &count(4)).await.refused(409, "opening_count_not_due");
    app.client.post("/stock/NO/opening-count", &count(4)).await.refused(404, "sku_not_found");
    let track = async |tracked: bool| {
        app.client.patch("/skus/TEA", "*", &json!({"tracked": tracked})).await.expect(200);
    };
    track(false).await;
    let free = app.hold("TEA", 500).await.expect(201);
    assert_eq!(free.at("/lines/0/status"), "untracked");
    assert_eq!(app.availability("TEA").await["on_hand_quantity"], 10, "the counters are frozen");
    app.client.post(path, &count(4)).await.refused(422, "sku_untracked");

    track(true).await;
    app.hold("TEA", 1).await.refused(409, "opening_count_required");
    let bare = app.client.post(path, &json!({"quantity": 4})).await.refused(422, "validation_failed");
    assert_eq!(bare.broken(), ["/currency", "/lot_code", "/received_date", "/unit_cost"]);
    // What was claimed before still goes the way it went, counted or not.
    app.client.post(&format!("/reservations/{standing}/commit"), &json!({"order_ref": "2"})).await.expect(200);
    let opened = app.client.post(path, &count(4)).await.expect(201);
    assert_eq!(opened.quantities("", ["on_hand", "held", "committed", "oversold"]), [4, 0, 5, 1]);
    assert_eq!([opened.at("/lot/origin"), opened.at("/lot/remaining_quantity")], [json!("opening_count"), json!(4)]);
    let open = app.client.get("/lots?sku=TEA&open=true").await.expect(200);
    assert_eq!(open.at("/data").as_array().map(Vec::len), Some(1), "the old lots are written off");
    app.client.post(path, &count(4)).await.refused(409, "opening_count_not_due");
    app.stock("TEA", 3).await;
    app.hold("TEA", 2).await.expect(201);
    app.hold("TEA", 1).await.refused(409, "insufficient_stock");

    for tracked in [false, true] {
        track(tracked).await;
    }
    let empty = app.client.post(path, &json!({"quantity": 0})).await.expect(201);
    assert_eq!((empty.at("/on_hand_quantity"), empty.at("/lot")), (json!(0), Value::Null));
    app.finish().await;
}
