//! Oversells over HTTP: opened with a claim that stock cannot cover, resolved as stock comes back, never hidden.

use serde_json::{Value, json};

use crate::support::TestApp;

/// Ids of a page, and where the next one begins.
async fn listed(app: &TestApp, query: &str) -> (Vec<String>, Option<String>) {
    let page = app.client.get(&format!("/oversells?{query}")).await.expect(200);
    let ids = page.at("/data").as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect();
    (ids, page.at("/next_cursor").as_str().map(str::to_owned))
}

#[tokio::test(flavor = "multi_thread")]
async fn oversells_are_listed_newest_first_by_sku_pool_and_whether_they_are_open() {
    let app = TestApp::start().await;
    app.pool("eu").await;
    for sku in ["TEA", "CUP"] {
        app.sku_with(sku, json!({"oversell_tolerance_quantity": 9})).await;
    }
    assert_eq!(listed(&app, "").await, (Vec::new(), None));
    let mut claims = Vec::new();
    for (sku, pool, quantity) in [("TEA", "default", 2), ("CUP", "default", 3), ("TEA", "default", 4), ("TEA", "eu", 1)]
    {
        let cart = json!({"pool": pool, "lines": [{"sku": sku, "quantity": quantity}]});
        claims.push(app.client.post("/reservations", &cart).await.expect(201).id());
    }
    let (all, _) = listed(&app, "").await;
    assert_eq!((all.len(), listed(&app, "pool=eu").await.0.len()), (3, 1));
    assert_eq!(listed(&app, "sku=TEA").await.0, [&*all[0], &all[2]]);
    let (first, cursor) = listed(&app, "limit=2").await;
    assert_eq!(first, all[..2]);
    assert_eq!(listed(&app, &format!("limit=2&cursor={}", cursor.unwrap())).await, (all[2..].to_vec(), None));

    // Of what arrives the oldest is covered first, and what is left of the next stays open.
    app.stock("TEA", 3).await;
    assert_eq!(listed(&app, "status=open").await.0, all[..2]);
    assert_eq!(listed(&app, "status=resolved&sku=TEA").await.0, all[2..]);
    let page = app.client.get("/oversells?sku=TEA").await.expect(200);
    let times = ["opened_at", "resolved_at"];
    let shown: Vec<Value> = page
        .at("/data")
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let mut one = one.clone();
            let known = times.map(|time| one.as_object_mut().unwrap().remove(time).unwrap().is_string());
            assert_eq!(known, [true, one["status"] == "resolved"], "{one}");
            one
        })
        .collect();
    let expected = |id: &str, claim: &str, [quantity, resolved]: [i64; 2], status: &str| {
        json!({
            "id": id, "pool": "default", "sku": "TEA", "status": status, "reservation_id": claim, "line": 1,
            "quantity": quantity, "resolved_quantity": resolved, "unresolved_quantity": quantity - resolved
        })
    };
    let both = [expected(&all[0], &claims[2], [4, 1], "open"), expected(&all[2], &claims[0], [2, 2], "resolved")];
    assert_eq!(shown, both);

    let odd = app.client.get("/oversells?status=lost&sku=NO&pool=mars&limit=0&frob=1").await;
    assert_eq!(odd.refused(400, "invalid_parameter").broken(), ["frob", "limit", "pool", "sku", "status"]);
    app.finish().await;
}
