//! The account's client against an account that misbehaves.

use serde_json::json;

use super::*;
use crate::mirror::upstream::fake::{Act, Fake};

fn account(fake: &Fake) -> Recharge {
    let settings = RechargeSettings {
        token: SecretString::from("sk_1"),
        webhook_secrets: Vec::new(),
        legacy_signatures: true,
        base_url: Some(fake.base.clone()),
    };
    Recharge::new(&settings, 4, false, Clock::new()).unwrap()
}

fn subscription(id: i64) -> Value {
    json!({ "id": id, "status": "active", "quantity": 1, "updated_at": "2026-11-20T10:00:00+00:00" })
}

#[tokio::test]
async fn pages_go_on_with_the_cursor_and_its_limit_alone() {
    let fake = Fake::start(|n, _| match n {
        0 => Act::ok(&json!({ "next_cursor": "a+b=", "previous_cursor": null, "subscriptions": [subscription(1)] })),
        _ => Act::ok(&json!({ "next_cursor": null, "subscriptions": [subscription(2), subscription(3)] })),
    })
    .await;
    let recharge = account(&fake);
    let window = At::Window {
        updated_from: "2026-11-20T10:00:00.5Z".parse().unwrap(),
        updated_to: "2026-11-20T12:00:00.5Z".parse().unwrap(),
    };
    let first = recharge.subscriptions_page(&window).await.unwrap();
    let second = recharge.subscriptions_page(&At::Cursor(first.next.unwrap())).await.unwrap();
    assert_eq!((first.items.len(), second.items.len(), second.next), (1, 2, None));
    let requests = fake.requests();
    let expected = "GET /subscriptions?limit=250&sort_by=updated_at-asc\
                    &updated_at_min=2026-11-20T10%3A00%3A00Z&updated_at_max=2026-11-20T12%3A00%3A01Z";
    assert_eq!(requests[0].line, expected);
    assert_eq!(requests[1].line, "GET /subscriptions?limit=250&cursor=a%2Bb%3D");
    for request in requests {
        assert!(request.headers.contains("x-recharge-access-token: sk_1"));
        assert!(request.headers.contains("x-recharge-version: 2021-11"));
    }
}

#[tokio::test]
async fn a_cursor_that_is_no_longer_known_is_said_to_be_so() {
    let fake = Fake::start(|_, _| Act::json(422, &json!({ "errors": { "cursor": ["Invalid value"] } }))).await;
    let error = account(&fake).orders_page(&At::Cursor("old".to_owned())).await.unwrap_err();
    assert!(matches!(error, UpstreamError::StaleCursor), "{error}");
    assert_eq!(fake.requests().len(), 1);
}

#[tokio::test]
async fn one_is_found_or_is_not_there_and_a_cut_off_answer_is_asked_for_again() {
    let fake = Fake::start(|n, request| match n {
        _ if request.line != "GET /subscriptions/7" => Act::json(404, &json!({ "errors": "Not Found" })),
        0 => Act::Truncate(json!({ "subscription": subscription(7) }).to_string()),
        1 => Act::status(429, &[]),
        _ => Act::ok(&json!({ "subscription": subscription(7) })),
    })
    .await;
    let recharge = account(&fake);
    assert_eq!(recharge.subscription(7).await.unwrap().unwrap().subscription_id, 7);
    assert_eq!(fake.requests().len(), 3);
    assert!(recharge.subscription(8).await.unwrap().is_none());
}

#[tokio::test]
async fn a_webhook_that_may_have_been_made_is_not_made_again() {
    let fake = Fake::start(|_, _| Act::status(500, &[])).await;
    let error = account(&fake).create_webhook("order/updated", "https://h.example/x").await.unwrap_err();
    assert!(matches!(error, UpstreamError::Exhausted { attempts: 1, .. }), "{error}");
    assert_eq!(fake.requests()[0].json(), json!({ "topic": "order/updated", "address": "https://h.example/x" }));
    let webhook =
        json!({ "id": 5, "topic": "order/updated", "address": "https://h.example/x", "included_objects": [] });
    let fake = Fake::start(move |_, _| Act::ok(&json!({ "webhooks": [webhook] }))).await;
    let all = account(&fake).webhooks().await.unwrap();
    assert_eq!((all[0].id.as_str(), all[0].uri.as_str()), ("5", "https://h.example/x"));
    assert_eq!(fake.requests()[0].line, "GET /webhooks?limit=250");
}
