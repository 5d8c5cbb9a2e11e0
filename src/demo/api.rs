//! The service's API, as the demonstration speaks to it.

use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::ids;

/// A client with a key.
#[derive(Debug)]
pub(super) struct Api {
    http: reqwest::Client,
    base: String,
    key: String,
}

impl Api {
    pub(super) fn new(base: &str, key: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
        Ok(Self { http, base: base.to_owned(), key: key.to_owned() })
    }

    /// Status and body of an answer.
    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<(StatusCode, Value)> {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.key);
        request = request.header("Idempotency-Key", ids::new_uuid().to_string()).header("If-Match", "*");
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.with_context(|| format!("{path} is not answered"))?;
        let status = answer.status();
        Ok((status, answer.json().await.unwrap_or_default()))
    }

    /// What is at a path; none where that is an error.
    pub(super) async fn find(&self, path: &str) -> Option<Value> {
        let (status, body) = self.ask(Method::GET, path, None).await.ok()?;
        status.is_success().then_some(body)
    }

    /// Sends something that has to succeed.
    pub(super) async fn send(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        let (status, answer) = self.ask(method.clone(), path, Some(body)).await?;
        ensure!(status.is_success(), "{method} {path} is answered with {status}: {answer}");
        Ok(answer)
    }
}
