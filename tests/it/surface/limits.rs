//! What is refused before it is looked at: paths, methods, parameters, bodies, headers that never end.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::operations;
use crate::support::TestApp;
use crate::support::app::{cart, settings};
use crate::support::client::key;

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_parameter_is_refused_by_every_operation() {
    let app = TestApp::start().await;
    // Probes and scrapers may add what they like.
    for operation in operations(&app).await.iter().filter(|one| !one.is_open) {
        let path = format!("{}?frobnicate=1", operation.path);
        let body = operation.has_body().then(|| json!({}));
        let key = key();
        let headers = [("idempotency-key", key.as_str()), ("if-match", "*")];
        let answer = app.client.send(operation.method.clone(), &path, &headers, body.as_ref()).await;
        let place = format!("{} {}", operation.method, operation.template);
        assert_eq!(answer.status, 400, "{place}: {}", String::from_utf8_lossy(&answer.bytes));
        assert!(answer.refused(400, "invalid_parameter").broken().contains(&"frobnicate".to_owned()), "{place}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_that_nobody_writes_is_refused_wherever_one_is_asked_for() {
    let app = TestApp::start().await;
    app.stock("TEA", 1).await;
    let mut dates = 0;
    for operation in operations(&app).await.iter().filter(|one| one.method == Method::GET && !one.is_open) {
        let parameters = operation.object["parameters"].as_array().cloned().unwrap_or_default();
        for name in parameters.iter().filter(|one| one["in"] == "query").map(|one| one["name"].as_str().unwrap()) {
            let path = &operation.path;
            let is_date = name.ends_with("_date")
                || ["from", "to", "as_of", "received_from", "received_to", "expiring_before"].contains(&name);
            for value in ["-9999-01-01", "%2B99999-01-01", "2026-1-5", "2026-02-30"] {
                let answer = app.client.get(&format!("{path}?{name}={value}")).await;
                assert!(answer.status.as_u16() < 500, "{path}?{name}={value}: {answer:?}");
                if is_date {
                    dates += 1;
                    assert!(
                        answer.refused(400, "invalid_parameter").broken().contains(&name.to_owned()),
                        "{path} {name}"
                    );
                }
            }
        }
    }
    assert!(dates >= 40, "{dates} were tried");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_odd_body_is_refused_alike_by_every_operation_that_takes_one() {
    let app = TestApp::start().await;
    app.stock("TEA", 1).await;
    let pool = holdfast::ids::PoolId(1);
    let takes_any = |one: &&super::Operation| one.takes_json() && one.method == Method::POST && !one.is_open;
    for operation in operations(&app).await.iter().filter(takes_any) {
        let id = match operation.template.split('/').nth(1) {
            Some("lots") => holdfast::ids::LotId::new(pool).to_string(),
            Some("shipments") => holdfast::ids::ShipmentId::new(pool).to_string(),
            _ => holdfast::ids::ReservationId::new(pool, 0).to_string(),
        };
        let path = operation.template.replace("{id}", &id).replace("{sku}", "TEA");
        let post = async |content_type: &str, body: &str| {
            let key = key();
            let headers = [("idempotency-key", key.as_str()), ("content-type", content_type)];
            app.client.post_bytes(&path, &headers, body.as_bytes().to_vec()).await
        };
        for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
            post(content_type, "{}").await.refused(415, "unsupported_media_type");
        }
        for body in ["", "{", "{\"a\":}", "{} {}", "\u{feff}{}", "nul"] {
            post("application/json", body).await.refused(400, "malformed_json");
        }
        for body in ["[]", "1", "null", "\"x\"", "{\"frobnicate\": {\"deep\": [1]}}"] {
            let refused = post("application/json", body).await.refused(422, "validation_failed");
            assert!(!refused.broken().is_empty(), "{path} {body}");
        }
        if operation.template == "/reservations" {
            for body in [r#"{"lines": [["TEA", 1]]}"#, r#"{"lines": [{"sku": "TEA", "quantity": 1}, ["TEA", 1]]}"#] {
                let refused = post("application/json", body).await.refused(422, "validation_failed");
                assert!(refused.broken().iter().all(|place| place.starts_with("/lines/")), "{refused:?}");
            }
        }
        let large = format!("{{\"frobnicate\": \"{}\"}}", "x".repeat(256 * 1024));
        post("application/json", &large).await.refused(413, "body_too_large");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_or_method_that_is_not_there_is_a_problem_too() {
    let app = TestApp::start().await;
    for path in ["/", "/nothing", "/reservations/a/b/c", "/Reservations"] {
        app.client.get(path).await.refused(404, "not_found");
    }
    for (method, path, allowed) in [
        (Method::DELETE, "/reservations", "GET"),
        (Method::PUT, "/skus/TEA", "PATCH"),
        (Method::GET, "/reservations/x/commit", "POST"),
        (Method::POST, "/healthz", "GET"),
    ] {
        let refused = app.client.send(method, path, &[], None).await.refused(405, "method_not_allowed");
        assert!(refused.header("allow").is_some_and(|methods| methods.contains(allowed)), "{path}");
    }
    for operation in operations(&app).await.iter().filter(|one| one.template.contains('{') && !one.has_body()) {
        let path = operation.path.replace("something", "%FF");
        app.client.send(operation.method.clone(), &path, &[], None).await.refused(400, "invalid_parameter");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_an_id_that_the_caller_may_choose() {
    let app = TestApp::start().await;
    let chosen = app.client.send(Method::GET, "/skus/NO", &[("x-request-id", "till-3/17")], None).await;
    let chosen = chosen.refused(404, "sku_not_found");
    assert_eq!((chosen.header("x-request-id"), chosen.at("/request_id")), (Some("till-3/17"), json!("till-3/17")));
    assert_eq!(chosen.at("/instance"), json!("/skus/NO"));
    let long = "x".repeat(129);
    for odd in ["", "a b", &long] {
        let given = app.client.send(Method::GET, "/skus/NO", &[("x-request-id", odd)], None).await;
        let given = given.refused(404, "sku_not_found");
        let own = given.header("x-request-id").unwrap().to_owned();
        assert!(own != odd && !own.is_empty() && given.at("/request_id") == json!(own));
    }
    let held = app.client.post("/reservations", &cart(&[("NO", 1)])).await.refused(422, "unknown_sku");
    assert_eq!(held.at("/request_id"), json!(held.header("x-request-id")));
    assert!(app.client.get("/healthz").await.expect(200).header("x-request-id").is_some());
    app.finish().await;
}

/// Everything that the service answers on a raw connection before it closes it.
async fn heard(stream: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    let all = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut heard)).await;
    all.expect("the connection is cut off").unwrap();
    String::from_utf8(heard).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_never_ends_is_cut_off() {
    let app = TestApp::start().await;
    let address = app.client.base().trim_start_matches("http://").to_owned();
    let asked = Instant::now();
    let mut silent = TcpStream::connect(&address).await.unwrap();
    let mut undecided = TcpStream::connect(&address).await.unwrap();
    undecided.write_all(b"PRI * HT").await.unwrap();
    let mut half = TcpStream::connect(&address).await.unwrap();
    half.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ").await.unwrap();
    let all = [&mut silent, &mut undecided, &mut half];
    let all = futures_util::future::join_all(all.map(heard)).await;
    assert!(all.iter().all(|answer| !answer.contains("200")), "{all:?}");
    assert!(asked.elapsed() < Duration::from_secs(8));
    let mut whole = TcpStream::connect(&address).await.unwrap();
    whole.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    assert!(heard(&mut whole).await.starts_with("HTTP/1.1 200"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_never_ends_is_answered_within_the_request_timeout() {
    let mut hasty = settings();
    hasty.request_timeout = Duration::from_millis(300);
    let app = TestApp::start_with(hasty).await;
    let address = app.client.base().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "POST /reservations HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nidempotency-key: k\r\n\
         content-type: application/json\r\ncontent-length: 1000\r\nconnection: close\r\n\r\n{{\"lines\"",
        app.client.token()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = heard(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    let body: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!([&body["code"], &body["retryable"]], [&json!("timeout"), &json!(true)]);
    app.finish().await;
}
