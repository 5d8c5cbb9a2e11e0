//! What holds for every operation: who may call it, what it refuses, how it says so.

mod document;
mod keys;
mod limits;

use reqwest::Method;
use serde_json::Value;

use crate::support::TestApp;

/// An operation of the OpenAPI document.
struct Operation {
    method: Method,
    /// As in the document.
    template: String,
    /// With something in place of its parameters.
    path: String,
    /// Whether it needs no key.
    is_open: bool,
    object: Value,
}

impl Operation {
    fn has_body(&self) -> bool {
        self.object.get("requestBody").is_some()
    }

    /// Whether it takes a JSON document, not a file.
    fn takes_json(&self) -> bool {
        self.object.pointer("/requestBody/content/application~1json").is_some()
    }
}

/// Every operation that the service says it has.
async fn operations(app: &TestApp) -> Vec<Operation> {
    let document = app.client.get("/openapi.json").await.expect(200).json();
    let mut operations = Vec::new();
    for (template, item) in document["paths"].as_object().unwrap() {
        for (method, object) in item.as_object().unwrap() {
            let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
            let path = template
                .split('/')
                .map(|segment| if segment.starts_with('{') { "something" } else { segment })
                .collect::<Vec<_>>()
                .join("/");
            let is_open = object["security"] == serde_json::json!([{}]);
            operations.push(Operation { method, template: template.clone(), path, is_open, object: object.clone() });
        }
    }
    assert!(operations.len() > 25, "the document lists {} operations", operations.len());
    operations
}
