//! A client that speaks to the service as a storefront would.

use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::Value;

/// Speaks with one API key.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Answer {
    async fn of(response: reqwest::Response) -> reqwest::Result<Self> {
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Self { status, headers, bytes: response.bytes().await?.to_vec() })
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    /// A member by JSON pointer.
    pub fn at(&self, pointer: &str) -> Value {
        self.json().pointer(pointer).cloned().unwrap_or(Value::Null)
    }

    /// The problem code.
    pub fn code(&self) -> String {
        self.at("/code").as_str().unwrap_or_default().to_owned()
    }

    /// The id of what was made.
    pub fn id(&self) -> String {
        self.at("/id").as_str().unwrap_or_default().to_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Whether it was given before.
    pub fn is_replayed(&self) -> bool {
        self.header("idempotent-replayed") == Some("true")
    }

    /// Panics with the whole answer unless the status is this.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.bytes));
        self
    }

    /// Panics unless it is a whole RFC 9457 problem with this status and code.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Self {
        let answer = self.expect(status);
        let body = answer.json();
        assert_eq!(body["code"], code, "{body:#}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{body:#}");
        assert_eq!(body["type"], format!("/problems/{code}"), "{body:#}");
        assert_eq!(body["status"], status, "{body:#}");
        for member in ["title", "detail", "instance", "request_id"] {
            assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {body:#}");
        }
        assert!(body["retryable"].is_boolean(), "{body:#}");
        assert_eq!(body["retryable"] == true, answer.header("retry-after").is_some(), "{body:#}");
        answer
    }

    /// Where the rules of a refused request are broken: JSON pointers and parameter names, sorted.
    pub fn broken(&self) -> Vec<String> {
        let errors = self.at("/errors").as_array().cloned().unwrap_or_default();
        let place = |error: &Value| Some(error.get("pointer").or(error.get("parameter"))?.as_str()?.to_owned());
        let mut places: Vec<String> = errors.iter().filter_map(place).collect();
        places.sort();
        places
    }

    /// The quantities of a member by JSON pointer, such as the terms of a sum, in this order.
    #[track_caller]
    pub fn quantities<const N: usize>(&self, pointer: &str, names: [&str; N]) -> [i64; N] {
        let at = self.at(pointer);
        names.map(|name| at[format!("{name}_quantity")].as_i64().unwrap_or_else(|| panic!("{name} in {at:#}")))
    }
}

/// A fresh idempotency key.
pub fn key() -> String {
    holdfast::ids::new_uuid().to_string()
}

impl Client {
    pub fn new(base: &str, token: &str) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        Self { http: reqwest::Client::new(), base: base.to_owned(), token: token.to_owned() }
    }

    /// The same client with another API key.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    pub fn token(&self) -> &str {
        &self.token
    }

    /// Any request; transport errors are handed on.
    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> reqwest::Result<Answer> {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        Answer::of(request.send().await?).await
    }

    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
        self.try_send(method, path, headers, body).await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], None).await
    }

    /// A POST under a fresh idempotency key.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_as(&key(), path, body).await
    }

    /// A POST under this idempotency key.
    pub async fn post_as(&self, key: &str, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, &[("idempotency-key", key)], Some(body)).await
    }

    /// A POST of exactly these bytes.
    pub async fn post_bytes(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        self.post_body(path, headers, body.into()).await
    }

    /// A POST of whatever comes, as it comes.
    pub async fn post_body(&self, path: &str, headers: &[(&str, &str)], body: reqwest::Body) -> Answer {
        let mut request = self.http.post(format!("{}{path}", self.base)).bearer_auth(&self.token).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request.send().await.unwrap()).await.unwrap()
    }

    /// An edit of what was read with this ETag.
    pub async fn patch(&self, path: &str, if_match: &str, body: &Value) -> Answer {
        self.send(Method::PATCH, path, &[("if-match", if_match)], Some(body)).await
    }
}
