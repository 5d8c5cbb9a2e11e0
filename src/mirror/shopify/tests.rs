//! The shop's client against a shop that misbehaves.

use std::time::Duration;

use chrono::TimeDelta;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::read_tests::{order_document, product_document};
use super::*;
use crate::mirror::settings::ShopifyAccess;
use crate::mirror::upstream::Schedule;
use crate::mirror::upstream::fake::{Act, Fake, Request};

fn shop(fake: &Fake, access: ShopifyAccess, clock: Clock) -> Shopify {
    let schedule = Schedule { attempts: 5, base: Duration::from_millis(1), cap: Duration::from_millis(4) };
    shop_with(fake, access, clock, Limits { schedule, ..Limits::QUICK }, None)
}

fn shop_with(fake: &Fake, access: ShopifyAccess, clock: Clock, limits: Limits, pacer: Option<Pacer>) -> Shopify {
    let settings = ShopifySettings {
        shop: "example.myshopify.com".to_owned(),
        access,
        webhook_secrets: Vec::new(),
        base_url: Some(format!("{}/", fake.base)),
    };
    Shopify::with_limits(&settings, limits, 4, pacer, clock).unwrap()
}

fn with_token(fake: &Fake) -> Shopify {
    shop(fake, ShopifyAccess::Token(SecretString::from("shpat_1")), Clock::new())
}

fn data(data: &Value) -> Act {
    Act::ok(&json!({ "data": data }))
}

/// Answers a question for ids with the documents that `document` makes.
fn nodes(request: &Request, document: impl Fn(i64) -> Value) -> Act {
    let ids = request.json()["variables"]["ids"].as_array().unwrap().clone();
    let id = |gid: &Value| gid.as_str().unwrap().rsplit('/').next().unwrap().parse().unwrap();
    data(&json!({ "nodes": ids.iter().map(|gid| document(id(gid))).collect::<Vec<_>>() }))
}

fn asks_for(request: &Request, operation: Operation) -> bool {
    request.json()["query"] == operation.document()
}

#[tokio::test]
async fn orders_come_in_chunks_in_the_order_of_their_ids_and_gone_ones_as_none() {
    let fake =
        Fake::start(|_, request| nodes(request, |id| if id % 7 == 0 { Value::Null } else { order_document(id) })).await;
    let ids: Vec<i64> = (1..=60).rev().collect();
    let orders = with_token(&fake).orders(&ids).await.unwrap();
    assert_eq!(orders.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids);
    for (id, order) in orders {
        assert_eq!(order.map(|order| order.order_id), (id % 7 != 0).then_some(id));
    }
    let requests = fake.requests();
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|request| request.line == "POST /admin/api/2026-10/graphql.json"));
    assert!(requests.iter().all(|request| request.headers.contains("x-shopify-access-token: shpat_1")));
}

#[tokio::test]
async fn answers_that_are_not_what_was_asked_for_are_errors() {
    let others = Fake::start(|_, request| nodes(request, |id| order_document(id + 1))).await;
    assert!(with_token(&others).orders(&[1, 2]).await.is_err());
    let fewer = Fake::start(|_, _| data(&json!({ "nodes": [] }))).await;
    assert!(with_token(&fewer).orders(&[1, 2]).await.is_err());
}

#[tokio::test]
async fn throttled_in_a_200_is_asked_again_and_a_refusal_is_not() {
    let throttled = json!({ "errors": [{ "message": "Throttled", "extensions": { "code": "THROTTLED" } }] });
    let fake = Fake::start(move |n, request| match n {
        0 => Act::ok(&throttled),
        _ => nodes(request, order_document),
    })
    .await;
    assert_eq!(with_token(&fake).orders(&[1]).await.unwrap().len(), 1);
    assert_eq!(fake.requests().len(), 2);
    let costly = json!({ "errors": [{ "message": "Too costly", "extensions": { "code": "MAX_COST_EXCEEDED" } }] });
    let fake = Fake::start(move |_, _| Act::ok(&costly)).await;
    assert!(with_token(&fake).orders(&[1]).await.is_err());
    assert_eq!(fake.requests().len(), 1);
}

#[tokio::test]
async fn a_token_is_asked_for_once_kept_and_renewed_when_it_is_refused_or_old() {
    let fake = Fake::start(|n, request| {
        if request.line == "POST /admin/oauth/access_token" {
            return Act::ok(&json!({ "access_token": format!("t{n}"), "scope": "read_orders", "expires_in": 86399 }));
        }
        // The first token is taken back after one use.
        if n > 1 && request.headers.contains("x-shopify-access-token: t0") {
            Act::json(401, &json!({ "errors": "[API] Invalid API key or access token" }))
        } else {
            nodes(request, order_document)
        }
    })
    .await;
    let clock = Clock::new();
    let client_secret = SecretString::from("s & s");
    let access = ShopifyAccess::ClientCredentials { client_id: "app".to_owned(), client_secret };
    let shop = shop(&fake, access, clock.clone());
    let lines = || fake.requests().iter().map(|request| request.line.contains("oauth")).collect::<Vec<_>>();
    shop.orders(&[1]).await.unwrap();
    assert_eq!(lines(), [true, false]);
    assert_eq!(fake.requests()[0].body, "grant_type=client_credentials&client_id=app&client_secret=s+%26+s");
    shop.orders(&[1]).await.unwrap();
    assert_eq!(lines(), [true, false, false, true, false], "refused, renewed, asked again");
    clock.advance(TimeDelta::hours(24));
    shop.orders(&[1]).await.unwrap();
    assert_eq!(lines()[5..], [true, false], "renewed before it expires");
}

#[tokio::test]
async fn a_token_that_is_refused_again_or_cannot_be_renewed_is_an_error() {
    let fake = Fake::start(|_, request| {
        if request.line.contains("oauth") {
            Act::ok(&json!({ "access_token": "t", "expires_in": 86399 }))
        } else {
            Act::json(401, &json!({ "errors": "no" }))
        }
    })
    .await;
    let client_secret = SecretString::from("s");
    let access = ShopifyAccess::ClientCredentials { client_id: "app".to_owned(), client_secret };
    let error = shop(&fake, access, Clock::new()).orders(&[1]).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Refused { status: 401, .. }), "{error}");
    assert_eq!(fake.requests().len(), 4, "token, refused, token, refused");
    let error = with_token(&fake).orders(&[1]).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Refused { status: 401, .. }), "{error}");
    assert_eq!(fake.requests().len(), 5);
}

/// One more page of an order's lines, of order 1 as it was at this time.
fn more_lines(updated_at: &str, first_id: i64, next: Option<&str>) -> Act {
    let mut lines = order_document(1)["lineItems"].take();
    for (at, node) in lines["nodes"].as_array_mut().unwrap().iter_mut().enumerate() {
        node["id"] = json!(format!("gid://shopify/LineItem/{}", first_id + i64::try_from(at).unwrap()));
    }
    lines["pageInfo"] = json!({ "hasNextPage": next.is_some(), "endCursor": next });
    data(&json!({ "order": { "id": "gid://shopify/Order/1", "updatedAt": updated_at, "lineItems": lines } }))
}

fn long_order(updated_at: &str) -> Value {
    let mut order = order_document(1);
    order["updatedAt"] = json!(updated_at);
    order["lineItems"]["pageInfo"] = json!({ "hasNextPage": true, "endCursor": "page-2" });
    order
}

#[tokio::test]
async fn nested_pages_are_followed_to_the_end_and_an_order_that_changes_meanwhile_is_read_again() {
    const BEFORE: &str = "2026-11-02T09:00:00Z";
    const AFTER: &str = "2026-11-02T09:00:07Z";
    let fake = Fake::start(|n, request| match n {
        0 => nodes(request, |_| long_order(BEFORE)),
        1 => more_lines(BEFORE, 100, Some("page-3")),
        // It changes between its second and its third page.
        2 => more_lines(AFTER, 200, None),
        3 => nodes(request, |_| long_order(AFTER)),
        4 => more_lines(AFTER, 300, Some("page-3")),
        _ => more_lines(AFTER, 400, None),
    })
    .await;
    let orders = with_token(&fake).orders(&[1]).await.unwrap();
    let order = orders[0].1.as_ref().unwrap();
    let ids: Vec<_> = order.lines.iter().map(|line| line.line_id).collect();
    assert_eq!(ids, [51, 52, 53, 300, 301, 302, 400, 401, 402]);
    assert_eq!(order.updated_at, AFTER.parse::<DateTime<Utc>>().unwrap());
    assert_eq!(order.document["lineItems"]["nodes"].as_array().unwrap().len(), 9);
    let requests = fake.requests();
    assert_eq!(requests[5].json()["variables"], json!({ "id": "gid://shopify/Order/1", "after": "page-3" }));
    assert!(asks_for(&requests[5], Operation::OrderLinesMore));
}

#[tokio::test]
async fn an_order_that_never_holds_still_is_given_up_and_one_that_goes_is_gone() {
    let restless = Fake::start(|n, request| match n % 2 {
        0 => nodes(request, |_| long_order("2026-11-02T09:00:00Z")),
        _ => more_lines("2026-11-02T09:00:01Z", 100, None),
    })
    .await;
    let error = with_token(&restless).orders(&[1]).await.unwrap_err();
    assert!(matches!(error, UpstreamError::KeepsChanging(_)) && error.is_transient(), "{error}");
    let going = Fake::start(|n, request| match n {
        0 => nodes(request, |_| long_order("2026-11-02T09:00:00Z")),
        1 => data(&json!({ "order": null })),
        _ => nodes(request, |_| Value::Null),
    })
    .await;
    assert_eq!(with_token(&going).orders(&[1]).await.unwrap(), [(1, None)]);
}

#[tokio::test]
async fn nested_pages_of_parcels_refunds_and_products_are_followed() {
    let fake = Fake::start(|_, request| {
        let page_2 = json!({ "hasNextPage": true, "endCursor": "page-2" });
        let last = |list: &Value| json!({ "nodes": list["nodes"], "pageInfo": { "hasNextPage": false } });
        let (order, product) = (order_document(1), product_document(31));
        let of_order = json!({ "id": order["id"], "updatedAt": order["updatedAt"] });
        if asks_for(request, Operation::FulfilmentLinesMore) {
            let lines = last(&order["fulfillments"][0]["fulfillmentLineItems"]);
            return data(&json!({ "fulfillment": { "order": of_order, "fulfillmentLineItems": lines } }));
        }
        if asks_for(request, Operation::RefundLinesMore) {
            let lines = last(&order["refunds"][1]["refundLineItems"]);
            return data(&json!({ "refund": { "order": of_order, "refundLineItems": lines } }));
        }
        if asks_for(request, Operation::ProductVariantsMore) {
            let variants = last(&product["variants"]);
            return data(&json!({ "product": { "updatedAt": product["updatedAt"], "variants": variants } }));
        }
        nodes(request, |id| {
            let mut document = if id == 31 { product_document(id) } else { order_document(id) };
            let open = ["/fulfillments/0/fulfillmentLineItems", "/refunds/1/refundLineItems", "/variants"];
            for list in open {
                if let Some(list) = document.pointer_mut(list) {
                    list["pageInfo"] = page_2.clone();
                }
            }
            document
        })
    })
    .await;
    let shop = with_token(&fake);
    let order = shop.orders(&[1]).await.unwrap().remove(0).1.unwrap();
    assert_eq!((order.fulfilments[0].lines.len(), order.refunds[1].lines.len()), (2, 2));
    let product = shop.products(&[31]).await.unwrap().remove(0).1.unwrap();
    assert_eq!(product.variants.len(), 6);
}

#[tokio::test]
async fn lists_are_asked_for_as_they_have_to_be() {
    let fake = Fake::start(|_, request| {
        let end = json!({ "hasNextPage": false, "endCursor": "x" });
        if asks_for(request, Operation::OrdersSeen) {
            let node = json!({ "id": "gid://shopify/Order/820982911946154508", "updatedAt": "2026-11-20T10:00:00Z" });
            let more = json!({ "hasNextPage": true, "endCursor": "next" });
            return data(&json!({ "orders": { "nodes": [node], "pageInfo": more } }));
        }
        if asks_for(request, Operation::ProductsSeen) {
            return data(&json!({ "products": { "nodes": [], "pageInfo": end } }));
        }
        let event = |id: i64, action: &str, kind: &str| {
            json!({ "id": "e", "action": action, "createdAt": "2026-11-20T10:00:00Z",
                    "subjectId": format!("gid://shopify/Product/{id}"), "subjectType": kind })
        };
        let comment = json!({ "id": "e", "action": "create", "createdAt": "2026-11-20T10:00:00Z" });
        let events =
            [event(1, "destroy", "PRODUCT"), event(2, "update", "PRODUCT"), event(3, "destroy", "ORDER"), comment];
        data(&json!({ "events": { "nodes": events, "pageInfo": end } }))
    })
    .await;
    let shop = with_token(&fake);
    let window = Window { from: "2026-11-20T10:00:00Z".parse().unwrap(), to: "2026-11-20T12:00:00Z".parse().unwrap() };
    let orders = shop.seen_orders(&window, Some("here")).await.unwrap();
    assert_eq!((orders.items[0].id, orders.next.as_deref()), (820_982_911_946_154_508, Some("next")));
    assert_eq!(shop.seen_products(&window, None).await.unwrap().next, None);
    let deleted = shop.deleted_products(window.from, None).await.unwrap();
    assert_eq!(deleted.items, [(1, "2026-11-20T10:00:00Z".parse().unwrap())]);
    let variables: Vec<_> = fake.requests().iter().map(|request| request.json()["variables"].clone()).collect();
    let span = "updated_at:>='2026-11-20T10:00:00Z' AND updated_at:<'2026-11-20T12:00:00Z'";
    assert_eq!(variables[0], json!({ "query": span, "after": "here" }));
    let any_state = format!("{span} AND status:active,draft,archived,unlisted");
    assert_eq!(variables[1], json!({ "query": any_state, "after": null }));
    let destroyed = "subject_type:PRODUCT action:destroy created_at:>='2026-11-20T10:00:00Z'";
    assert_eq!(variables[2]["query"], destroyed);
}

#[tokio::test]
async fn a_webhook_subscription_that_exists_is_done_and_another_refusal_is_not() {
    let answer = |message: &'static str| {
        let refused = json!({ "webhookSubscription": null, "userErrors": [{ "field": ["uri"], "message": message }] });
        move |_: usize, _: &Request| data(&json!({ "webhookSubscriptionCreate": refused }))
    };
    let taken = Fake::start(answer("Address for this topic has already been taken")).await;
    with_token(&taken)
        .create_webhook_subscription("ORDERS_UPDATED", "https://h.example/webhooks/shopify")
        .await
        .unwrap();
    let refused = Fake::start(answer("Address is not allowed")).await;
    assert!(with_token(&refused).create_webhook_subscription("ORDERS_UPDATED", "https://h.example/x").await.is_err());
}

#[tokio::test]
async fn a_429_that_does_not_say_when_to_come_back_means_a_second() {
    let fake = Fake::start(|_, _| Act::status(429, &[])).await;
    let limits = Limits { call: Duration::from_millis(900), ..Limits::QUICK };
    let pacer = Pacer::new(Bucket::new(CAPACITY, RESTORED_PER_SECOND, Instant::now()));
    let access = ShopifyAccess::Token(SecretString::from("shpat_1"));
    let shop = shop_with(&fake, access, Clock::new(), limits, Some(pacer));
    let error = shop.scopes().await.unwrap_err();
    let second = Some(Duration::from_secs(1));
    assert!(matches!(error, UpstreamError::Deadline { retry_after, .. } if retry_after == second), "{error}");
    assert_eq!(fake.requests().len(), 1);
}

#[tokio::test]
async fn the_deadline_runs_while_a_call_waits_for_the_token_that_another_has_asked_for() {
    let fake = Fake::start(|_, _| Act::Hang).await;
    let limits = Limits { call: Duration::from_millis(100), ..Limits::QUICK };
    let access =
        ShopifyAccess::ClientCredentials { client_id: "1".to_owned(), client_secret: SecretString::from("hush") };
    let shop = shop_with(&fake, access, Clock::new(), limits, None);
    let both = async { tokio::join!(shop.scopes(), shop.scopes(), shop.scopes()) };
    let (one, two, three) = tokio::time::timeout(Duration::from_secs(4), both).await.expect("they wait for each other");
    for ended in [one, two, three] {
        assert!(ended.is_err_and(|error| error.is_transient()));
    }
}
