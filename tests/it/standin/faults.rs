//! What goes wrong on the way.

use std::time::Duration;

use chrono::TimeDelta;
use holdfast::demo::standin::{Fault, Faults, Options};
use serde_json::json;

use super::{Caller, SEEN};

const SHOP: &str = "query Shop { shop { myshopifyDomain } }";

#[tokio::test]
async fn every_fault_looks_as_it_does_in_life() {
    let caller = Caller::start().await;
    let faults = [
        Fault::Status(502),
        Fault::TooMany(Some(1)),
        Fault::TooMany(None),
        Fault::Throttled,
        Fault::Closed,
        Fault::CutOff,
        Fault::Slow(Duration::from_millis(1)),
    ];
    caller.standin.script_faults(&faults.map(Some));
    let bad_gateway = caller.try_graphql(SHOP, json!({})).await.unwrap();
    assert_eq!(bad_gateway.status().as_u16(), 502);
    let too_many = caller.try_graphql(SHOP, json!({})).await.unwrap();
    assert_eq!((too_many.status().as_u16(), too_many.headers()["retry-after"].as_bytes()), (429, &b"1"[..]));
    let too_many = caller.try_graphql(SHOP, json!({})).await.unwrap();
    assert_eq!((too_many.status().as_u16(), too_many.headers().get("retry-after")), (429, None));
    let throttled = caller.graphql(SHOP, json!({})).await;
    assert_eq!(throttled["errors"][0]["extensions"]["code"], "THROTTLED");
    assert_eq!(throttled["extensions"]["cost"]["actualQueryCost"], json!(null));
    let closed = caller.try_graphql(SHOP, json!({})).await.unwrap_err();
    assert!(closed.is_request(), "{closed:?}");
    let cut_off = caller.try_graphql(SHOP, json!({})).await.unwrap();
    assert_eq!(cut_off.status().as_u16(), 200);
    let cut_off = cut_off.bytes().await.unwrap_err();
    assert!(cut_off.is_body() || cut_off.is_decode(), "{cut_off:?}");
    assert_eq!(caller.graphql(SHOP, json!({})).await["data"]["shop"]["myshopifyDomain"], "holdfast-demo.myshopify.com");
    assert_eq!(caller.standin.count("faults"), 7);
    assert_eq!(caller.standin.count("Shop"), 7);
    caller.standin.stop().await;
}

#[tokio::test]
async fn the_same_seed_is_the_same_weather_at_the_rate_that_was_asked_for() {
    let mut seen = Vec::new();
    for _ in 0..2 {
        let faults = Faults { per_mille: 300, kinds: vec![Fault::Status(500)] };
        let caller = Caller::of(Options { seed: 7, faults, ..Options::default() }).await;
        let mut bad = Vec::new();
        for request in 0..200 {
            if caller.try_graphql(SHOP, json!({})).await.unwrap().status().is_server_error() {
                bad.push(request);
            }
        }
        assert!((40..80).contains(&bad.len()), "{} of 200", bad.len());
        seen.push(bad);
        caller.standin.stop().await;
    }
    assert_eq!(seen[0], seen[1]);
}

#[tokio::test]
async fn an_empty_bucket_throttles_until_enough_has_flowed_in() {
    let caller = Caller::of(Options { pacing: true, ..Options::default() }).await;
    let page = json!({"first": 250, "query": ""});
    let answer = caller.graphql(SEEN, page.clone()).await;
    assert_eq!(answer["extensions"]["cost"]["requestedQueryCost"], 13, "{answer}");
    assert_eq!(answer["extensions"]["cost"]["throttleStatus"]["maximumAvailable"], 2000.0);
    caller.standin.drain_rates();
    let answer = caller
        .graphql("{ shop { name plan { publicDisplayName } } orders(first: 250) { nodes { id } } }", json!({}))
        .await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "THROTTLED", "{answer}");
    caller.standin.options().clock.advance(TimeDelta::seconds(1));
    let answer = caller.graphql(SEEN, page).await;
    assert!(answer.get("errors").is_none(), "a second brings a hundred points: {answer}");
    caller.standin.options().clock.advance(TimeDelta::seconds(20));
    let nested =
        "{ orders(first: 250) { nodes { lineItems(first: 250) { nodes { variant { id } product { id } } } } } }";
    let answer = caller.graphql(nested, json!({})).await;
    assert_eq!(answer["errors"].as_array().map(Vec::len), None, "{answer}");
    let huge = "{ orders(first: 250) { nodes { lineItems(first: 250) { nodes { variant { id product { variants(first: 250) { nodes { id } } } } } } } } }";
    let answer = caller.graphql(huge, json!({})).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "MAX_COST_EXCEEDED", "{answer}");
    caller.standin.stop().await;
}

#[tokio::test]
async fn a_token_is_granted_to_the_app_and_no_other_opens_the_shop() {
    let caller = Caller::start().await;
    let (base, options) = (caller.standin.shopify_url(), caller.standin.options().clone());
    let grant = |secret: &str| {
        let body = format!("grant_type=client_credentials&client_id={}&client_secret={secret}", options.client_id);
        let url = format!("{base}/admin/oauth/access_token");
        caller.http.post(url).header("content-type", "application/x-www-form-urlencoded").body(body).send()
    };
    assert_eq!(grant("wrong").await.unwrap().status().as_u16(), 400);
    let granted: serde_json::Value = grant(&options.client_secret).await.unwrap().json().await.unwrap();
    assert_eq!(granted["expires_in"], 86_399);
    let ask = |token: &str| {
        let url = format!("{base}/admin/api/2026-10/graphql.json");
        caller.http.post(url).header("X-Shopify-Access-Token", token).json(&json!({"query": SHOP})).send()
    };
    let token = granted["access_token"].as_str().unwrap();
    assert_eq!(ask(token).await.unwrap().status().as_u16(), 200);
    caller.standin.revoke_tokens();
    assert_eq!(ask(token).await.unwrap().status().as_u16(), 401);
    caller.standin.stop().await;
}
