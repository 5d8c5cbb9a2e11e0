//! API keys and scopes.

use chrono::TimeDelta;
use holdfast::keys::Scope;
use reqwest::Method;
use serde_json::{Value, json};

use super::operations;
use crate::support::TestApp;
use crate::support::app::cart;
use crate::support::client::key;

fn last_digit_changed(token: &str) -> String {
    let (start, last) = token.split_at(token.len() - 1);
    format!("{start}{}", if last == "0" { "1" } else { "0" })
}

#[tokio::test(flavor = "multi_thread")]
async fn no_operation_is_reached_without_a_key_or_with_one_of_another_scope() {
    let app = TestApp::start().await;
    // No operation is about counts yet, so this key may do nothing.
    let powerless = app.client_of("counter", &[Scope::Reconciliation]).await;
    let wrong = [
        app.client.with_token(""),
        app.client.with_token("hf_0123456789_"),
        app.client.with_token(&format!("hf_0123456789_{}", "0".repeat(64))),
        app.client.with_token(&last_digit_changed(app.client.token())),
    ];
    let open: Vec<String> =
        operations(&app).await.iter().filter(|one| one.is_open).map(|one| one.template.clone()).collect();
    let signed = ["/webhooks/recharge/{entity}/{event}", "/webhooks/shopify"];
    assert_eq!(open, [["/healthz", "/metrics", "/readyz"].as_slice(), &signed].concat());
    for operation in operations(&app).await.iter().filter(|one| !one.is_open) {
        let headers = [("idempotency-key", key()), ("if-match", "*".to_owned())];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        let body = operation.has_body().then(|| json!({}));
        for client in &wrong {
            let answer = client.send(operation.method.clone(), &operation.path, &headers, body.as_ref()).await;
            let answer = answer.refused(401, "unauthorized");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
        let answer = powerless.send(operation.method.clone(), &operation.path, &headers, body.as_ref()).await;
        answer.refused(403, "forbidden");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_opens_its_own_doors_only() {
    let app = TestApp::start().await;
    app.stock("TEA", 5).await;
    let lot = json!({
        "sku": "TEA", "lot_code": "L", "quantity": 1, "unit_cost": "1", "currency": "EUR", "received_date": "2026-01-15"
    });
    let doors = [
        (Scope::Reservations, Method::POST, "/reservations", Some(cart(&[("TEA", 1)])), 201),
        (Scope::Reservations, Method::GET, "/reservations", None, 200),
        (Scope::StockRead, Method::GET, "/availability?sku=TEA", None, 200),
        (Scope::StockRead, Method::GET, "/skus", None, 200),
        (Scope::Lots, Method::POST, "/lots", Some(lot), 201),
        (Scope::Lots, Method::GET, "/lots", None, 200),
        (Scope::Admin, Method::POST, "/skus", Some(json!({"code": "NEW"})), 201),
        (Scope::Admin, Method::GET, "/keys", None, 200),
    ];
    for scope in [Scope::Reservations, Scope::StockRead, Scope::Lots] {
        let client = app.client_of(scope.as_str(), &[scope]).await;
        for (needed, method, path, body, status) in &doors {
            let key = key();
            let answer = client.send(method.clone(), path, &[("idempotency-key", &key)], body.as_ref()).await;
            if *needed == scope {
                answer.expect(*status);
            } else {
                answer.refused(403, "forbidden");
            }
        }
    }
    for (_, method, path, body, status) in &doors {
        let key = key();
        let answer = app.client.send(method.clone(), path, &[("idempotency-key", &key)], body.as_ref()).await;
        answer.expect(*status);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_shown_once_kept_as_a_hash_and_ends_when_told() {
    let app = TestApp::start().await;
    let until = (app.clock.local_now() + TimeDelta::hours(1)).to_rfc3339();
    let body = json!({"client": "shop", "label": "till 3", "scopes": ["stock_read"], "expires_at": until});
    let made = app.client.post("/keys", &body).await.expect(201);
    let token = made.at("/token").as_str().unwrap().to_owned();
    let secret = token.rsplit('_').next().unwrap().to_owned();
    let brief = app.client.with_token(&token);
    brief.get("/pools").await.expect(200);
    brief.get("/keys").await.refused(403, "forbidden");
    for text in [&token, &secret] {
        assert_eq!(app.db.tables_with(text).await, Vec::<String>::new(), "the key is in the database");
    }
    app.app.note_last_use().await.unwrap();
    let listed = app.client.get("/keys?limit=100").await.expect(200);
    assert!(!String::from_utf8_lossy(&listed.bytes).contains(&secret));
    let keys = listed.at("/data").as_array().unwrap().clone();
    let own = keys.iter().find(|key| key["id"] == made.at("/id")).unwrap();
    assert!(own.get("token").is_none() && own["last_used_at"].is_string() && own["revoked_at"] == Value::Null);
    app.advance(3601);
    brief.get("/pools").await.refused(401, "unauthorized");

    let lasting = app.client.post("/keys", &json!({"client": "shop", "scopes": ["stock_read"]})).await.expect(201);
    let client = app.client.with_token(lasting.at("/token").as_str().unwrap());
    client.get("/pools").await.expect(200);
    let path = format!("/keys/{}", lasting.id());
    for _ in 0..2 {
        app.client.send(Method::DELETE, &path, &[], None).await.expect(204);
        client.get("/pools").await.refused(401, "unauthorized");
    }
    for id in ["0123456789", "x", "%00"] {
        app.client.send(Method::DELETE, &format!("/keys/{id}"), &[], None).await.refused(404, "key_not_found");
    }
    let odd = json!({"client": "", "scopes": [], "expires_at": "+262142-12-31T00:00:00Z", "bogus": 1});
    let odd = app.client.post("/keys", &odd).await.refused(422, "validation_failed");
    assert_eq!(odd.broken(), ["/bogus", "/client", "/expires_at", "/scopes"]);
    let unknown = app.client.post("/keys", &json!({"client": "a", "scopes": ["root", "lots", 7]})).await;
    assert_eq!(unknown.refused(422, "validation_failed").broken(), ["/scopes/0", "/scopes/2"]);
    app.finish().await;
}
