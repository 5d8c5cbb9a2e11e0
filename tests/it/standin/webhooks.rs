//! Signatures, computed here from the vendors' descriptions by another road.

use holdfast::demo::standin::{NewOrder, Options, RechargeScheme, Webhooks};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Caller;

fn sha256(parts: &[&[u8]]) -> Vec<u8> {
    Sha256::digest(parts.concat()).to_vec()
}

/// HMAC-SHA256 from its definition (RFC 2104), in hex, for keys of less than a block.
fn hmac(key: &str, message: &[u8]) -> String {
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key.as_bytes());
    let inner = sha256(&[&block.map(|byte| byte ^ 0x36), message]);
    hex::encode(sha256(&[&block.map(|byte| byte ^ 0x5c), &inner]))
}

#[tokio::test]
async fn deliveries_are_signed_as_the_vendors_describe() {
    let options = Options { webhooks: Webhooks::Collected, ..Options::default() };
    let caller = Caller::of(options).await;
    let (variant, order) = caller.order();
    let deliveries = caller.standin.take_deliveries();
    let topics: Vec<&str> = deliveries.iter().map(|delivery| delivery.topic.as_str()).collect();
    assert_eq!(topics, ["products/create", "orders/create", "orders/paid"]);
    let delivery = &deliveries[1];
    let body: Value = serde_json::from_slice(&delivery.body).unwrap();
    assert_eq!(body["id"], order);
    let expected = hmac(&caller.standin.options().webhook_secret, &delivery.body);
    let signature = delivery.header("x-shopify-hmac-sha256").unwrap();
    assert_eq!(hex::encode(base64_decoded(signature)), expected);
    assert_eq!(delivery.header("x-shopify-shop-domain"), Some("holdfast-demo.myshopify.com"));
    assert_ne!(deliveries[1].header("x-shopify-webhook-id"), deliveries[2].header("x-shopify-webhook-id"));

    caller.standin.change(|world| world.subscribe(variant, 1, "2026-12-24".parse().unwrap()).unwrap());
    let charge = caller.standin.take_deliveries().pop().unwrap();
    assert_eq!(charge.topic, "charge/created");
    let seconds = charge.header("x-recharge-webhook-timestamp").unwrap();
    let signed = [seconds.as_bytes(), b".", &charge.body].concat();
    let expected = hmac(&caller.standin.options().recharge_secret, &signed);
    assert_eq!(charge.header("x-recharge-webhook-signature"), Some(format!("t={seconds},v1={expected}").as_str()));
    caller.standin.stop().await;
}

#[tokio::test]
async fn the_older_scheme_of_recharge_is_a_digest_of_secret_and_body() {
    let scheme = RechargeScheme::Legacy;
    let options = Options { webhooks: Webhooks::Collected, recharge_scheme: scheme, ..Options::default() };
    let caller = Caller::of(options).await;
    let (variant, _) = caller.order();
    caller.standin.change(|world| world.subscribe(variant, 1, "2026-12-24".parse().unwrap()).unwrap());
    let delivery = caller.standin.take_deliveries().pop().unwrap();
    let expected = hex::encode(sha256(&[caller.standin.options().recharge_secret.as_bytes(), &delivery.body]));
    assert_eq!(delivery.header("x-recharge-hmac-sha256"), Some(expected.as_str()));
    assert_eq!(delivery.header("x-recharge-webhook-signature"), None);
    caller.standin.stop().await;
}

#[tokio::test]
async fn nothing_is_made_where_nobody_listens() {
    let caller = Caller::start().await;
    let (variant, _) = caller.order();
    caller.standin.set_webhooks(Webhooks::Collected);
    assert!(caller.standin.take_deliveries().is_empty());
    caller.standin.change(|world| world.create_order(NewOrder::of(&[(variant, 1)]).unpaid()).unwrap());
    assert_eq!(caller.standin.take_deliveries().len(), 1);
    caller.standin.stop().await;
}

fn base64_decoded(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}
