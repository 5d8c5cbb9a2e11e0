//! The OpenAPI document, its page, the pages of the problems, and the metrics.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::operations;
use crate::support::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_openapi_3_1_and_every_reference_in_it_leads_somewhere() {
    let app = TestApp::start().await;
    let answer = app.client.with_token("").get("/openapi.json").await.expect(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let document = answer.json();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")));
    let mut references = BTreeSet::new();
    collect_references(&document, &mut references);
    assert!(references.contains("#/components/schemas/Problem"));
    for reference in &references {
        assert!(document.pointer(&reference[1..]).is_some(), "{reference} leads nowhere");
    }
    let ids: Vec<Value> = operations(&app).await.iter().map(|one| one.object["operationId"].clone()).collect();
    assert_eq!(
        ids.iter().map(Value::to_string).collect::<BTreeSet<_>>().len(),
        ids.len(),
        "an operation id is taken twice"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_that_takes_a_few_words_lists_them() {
    let app = TestApp::start().await;
    let document = app.client.get("/openapi.json").await.expect(200).json();
    let mut seen = 0;
    for operation in operations(&app).await {
        for parameter in operation.object["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap();
            let of_lots = operation.template == "/lots" && ["status", "origin"].contains(&name);
            if !of_lots && !["format", "mode", "on_error", "by"].contains(&name) {
                continue;
            }
            seen += 1;
            let schema = &parameter["schema"];
            let either = schema["oneOf"].as_array().into_iter().flatten().chain([schema]);
            let words = either.filter_map(|one| match one["$ref"].as_str() {
                Some(reference) => document.pointer(&reference[1..])?.get("enum"),
                None => one.get("enum"),
            });
            let place = format!("{} {} {name}", operation.method, operation.template);
            assert!(words.flat_map(|words| words.as_array().unwrap()).count() > 1, "{place}: {parameter}");
        }
    }
    assert!(seen >= 10, "{seen} were looked at");
    app.finish().await;
}

fn collect_references(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                into.insert(reference.clone());
            }
            members.values().for_each(|member| collect_references(member, into));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, into)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_lists_its_problems_and_every_problem_has_a_page() {
    let app = TestApp::start().await;
    let mut codes = BTreeSet::new();
    for operation in operations(&app).await {
        let place = format!("{} {}", operation.method, operation.template);
        let responses = operation.object["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{place} never succeeds");
        let mut expected = if operation.is_open { vec![] } else { vec!["400", "401", "403", "500", "503"] };
        if operation.has_body() && operation.is_open {
            // A webhook: whatever is signed is taken.
            expected.extend(["400", "401", "404", "413", "500", "503"]);
        } else if operation.has_body() {
            expected.extend(["413", "415", "422"]);
        }
        if operation.template.contains('{') {
            expected.push("404");
        }
        if operation.method == reqwest::Method::PATCH {
            expected.extend(["412", "428"]);
        }
        for status in expected {
            let schema = &responses.get(status).unwrap_or_else(|| panic!("{place} does not list {status}"))["content"]
                ["application/problem+json"]["schema"];
            assert_eq!(*schema, json!({"$ref": "#/components/schemas/Problem"}), "{place} {status}");
        }
        for response in responses.values() {
            let text = response["description"].as_str().unwrap_or_default();
            codes.extend(
                text.strip_prefix("Problem: ").into_iter().flat_map(|list| list.split(", ")).map(str::to_owned),
            );
        }
    }
    codes.extend(["not_found", "method_not_allowed"].map(str::to_owned));
    let listed = holdfast::http::code::Code::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    assert_eq!(codes, listed);
    for code in &codes {
        let page = app.client.with_token("").get(&format!("/problems/{code}")).await.expect(200);
        assert!(String::from_utf8_lossy(&page.bytes).starts_with(code.as_str()));
    }
    app.client.get("/problems/no_such_code").await.refused(404, "not_found");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_has_a_page_for_people() {
    let app = TestApp::start().await;
    let page = app.client.with_token("").get("/docs").await.expect(200);
    assert!(page.header("content-type").is_some_and(|content_type| content_type.starts_with("text/html")));
    let settings = app.client.get("/docs/swagger-initializer.js").await.expect(200);
    assert!(String::from_utf8_lossy(&settings.bytes).contains("/openapi.json"), "the page shows another document");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_tell_what_the_service_does() {
    let app = TestApp::start().await;
    app.stock("TEA", 1).await;
    let id = app.hold("TEA", 1).await.expect(201).id();
    app.hold("TEA", 1).await.expect(409);
    app.client.post(&format!("/reservations/{id}/commit"), &json!({"order_ref": "1"})).await.expect(200);
    app.availability("TEA").await;
    app.sweep().await;
    let answer = app.client.with_token("").get("/metrics").await.expect(200);
    let text = String::from_utf8(answer.bytes).unwrap();
    for (family, kind) in [
        ("holdfast_commands_total", "counter"),
        ("holdfast_lane_batch_size", "histogram"),
        ("holdfast_lane_wait_seconds", "histogram"),
        ("holdfast_hold_age_seconds", "histogram"),
        ("holdfast_sweeper_lag_seconds", "gauge"),
        ("holdfast_projection_age_seconds", "gauge"),
        ("holdfast_pool_connections", "gauge"),
        ("holdfast_http_responses_total", "counter"),
    ] {
        assert!(text.contains(&format!("# TYPE {family} {kind}\n")), "{family}\n{text}");
    }
    for sample in [
        "holdfast_commands_total{command=\"hold\",outcome=\"ok\"}",
        "holdfast_commands_total{command=\"hold\",outcome=\"insufficient_stock\"}",
        "holdfast_commands_total{command=\"commit\",outcome=\"ok\"}",
        "holdfast_lane_batch_size_bucket{le=\"1\"}",
        "holdfast_hold_age_seconds_count",
        "holdfast_pool_connections{state=\"idle\"}",
        "holdfast_pool_connections{state=\"used\"}",
    ] {
        assert!(text.lines().any(|line| line.starts_with(sample)), "{sample}\n{text}");
    }
    app.finish().await;
}
