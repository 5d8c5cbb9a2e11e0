//! Webhooks of Shopify and Recharge: who may send them, what is kept of them, what comes of them.

mod process;
mod receive;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use holdfast::clock::Clock;
use holdfast::mirror::settings::{RechargeSettings, Settings, ShopifyAccess, ShopifySettings};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::app::settings;
use crate::support::{Answer, TestApp, db};

const SHOP: &str = "holdfast-test.myshopify.com";
const OLD: &str = "the secret of last year";
const NEW: &str = "the secret of this year";

/// Both sources, at addresses where nobody answers, with two secrets each.
fn mirroring() -> Settings {
    let secrets = || vec![NEW.into(), OLD.into()];
    let nowhere = || Some("http://127.0.0.1:9".to_owned());
    let shopify = ShopifySettings {
        shop: SHOP.to_owned(),
        access: ShopifyAccess::Token("shpat_test".into()),
        webhook_secrets: secrets(),
        base_url: nowhere(),
    };
    let recharge = RechargeSettings {
        token: "test".into(),
        webhook_secrets: secrets(),
        legacy_signatures: true,
        base_url: nowhere(),
    };
    Settings { shopify: Some(shopify), recharge: Some(recharge), pacing: false, ..Settings::default() }
}

/// A service that mirrors both sources and works on nothing by itself.
async fn start() -> TestApp {
    TestApp::start_mirroring(Arc::new(db::fresh().await), Clock::new(), settings(), mirroring()).await
}

fn mac(secret: &str, text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

/// A delivery of Shopify, as it is sent.
#[derive(Clone)]
struct FromShopify {
    shop: &'static str,
    topic: &'static str,
    id: String,
    secret: &'static str,
    body: Vec<u8>,
}

impl FromShopify {
    fn order(id: &str, body: &Value) -> Self {
        let body = body.to_string().into_bytes();
        Self { shop: SHOP, topic: "orders/updated", id: id.to_owned(), secret: NEW, body }
    }

    fn signature(&self) -> String {
        STANDARD.encode(mac(self.secret, &self.body))
    }

    async fn send(&self, app: &TestApp) -> Answer {
        let signature = self.signature();
        let headers = [
            ("x-shopify-shop-domain", self.shop),
            ("x-shopify-topic", self.topic),
            ("x-shopify-webhook-id", &self.id),
            ("x-shopify-hmac-sha256", &signature),
            ("x-shopify-triggered-at", "2026-11-24T04:00:00.123456789Z"),
            ("content-type", "application/json"),
        ];
        app.client.with_token("").post_bytes("/webhooks/shopify", &headers, self.body.clone()).await
    }
}

/// How a delivery of Recharge is signed.
#[derive(Clone, Copy)]
enum Scheme {
    /// With the time, this many seconds from now.
    Signed(i64),
    /// The plain hash.
    Legacy,
}

async fn send_recharge(app: &TestApp, topic: &str, body: &Value, secret: &str, scheme: Scheme) -> Answer {
    let body = body.to_string().into_bytes();
    let (time, signature);
    let headers: Vec<(&str, &str)> = match scheme {
        Scheme::Signed(shift) => {
            time = (app.clock.local_now().timestamp() + shift).to_string();
            let tag = mac(secret, &[time.as_bytes(), b".", &body].concat());
            signature = format!("t={time},v1={}", hex::encode(tag));
            vec![("x-recharge-webhook-timestamp", &time), ("x-recharge-webhook-signature", &signature)]
        }
        Scheme::Legacy => {
            signature = hex::encode(Sha256::digest([secret.as_bytes(), &body].concat()));
            vec![("x-recharge-hmac-sha256", &signature)]
        }
    };
    app.client.with_token("").post_bytes(&format!("/webhooks/recharge/{topic}"), &headers, body).await
}

/// What came, newest first.
async fn deliveries(app: &TestApp, query: &str) -> Vec<Value> {
    let listed = app.client.get(&format!("/mirror/webhooks?{query}")).await.expect(200);
    listed.at("/data").as_array().unwrap().clone()
}

/// How often something was counted, in this process.
async fn counted(app: &TestApp, source: &str, outcome: &str) -> f64 {
    let text = String::from_utf8(app.client.get("/metrics").await.expect(200).bytes).unwrap();
    let sample = format!("holdfast_webhooks_total{{source=\"{source}\",outcome=\"{outcome}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&sample)?.parse().ok()).unwrap_or(0.0)
}
