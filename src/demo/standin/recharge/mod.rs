//! The Recharge API, version 2021-11: four collections, single things of them, and webhook subscriptions.
//!
//! A list is asked for by filters once, and then by cursor and page size alone: the filters are inside the cursor.

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

mod bucket;
mod page;
pub(super) mod render;

use super::serve::too_many;
use super::world::{Hook, World};
use super::{Inner, Shared, locked};
pub(super) use bucket::Calls;
use page::{Row, Window};

/// The version that is held.
pub const API_VERSION: &str = "2021-11";

/// The rows of a collection.
fn rows<'w>(world: &'w World, collection: &str) -> Option<Vec<Row<'w>>> {
    let of = &world.recharge;
    Some(match collection {
        "orders" => of.orders.values().map(Row::Order).collect(),
        "charges" => of.charges.values().map(Row::Charge).collect(),
        "subscriptions" => of.subscriptions.values().map(Row::Subscription).collect(),
        "customers" => of.customers.values().map(Row::Customer).collect(),
        _ => return None,
    })
}

fn json_of(status: StatusCode, body: Value) -> Response {
    (status, axum::Json(body)).into_response()
}

fn not_found() -> Response {
    json_of(StatusCode::NOT_FOUND, json!({"errors": "Not Found"}))
}

/// `GET /{collection}`.
pub(super) async fn list(
    State(shared): State<Shared>,
    Path(collection): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query: Vec<(String, String)> =
        form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
    let work = |world: &mut World| {
        let Some(rows) = rows(world, &collection) else { return not_found() };
        match Window::read(&query) {
            Ok((window, limit)) => json_of(StatusCode::OK, window.page(rows, limit, &collection)),
            Err(errors) => json_of(StatusCode::UNPROCESSABLE_ENTITY, json!({"errors": errors})),
        }
    };
    shared.recharge(&headers, &format!("GET /{collection}"), work).await
}

/// `GET /{collection}/{id}`.
pub(super) async fn one(
    State(shared): State<Shared>,
    Path((collection, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let work = |world: &mut World| {
        let found = rows(world, &collection).and_then(|rows| rows.into_iter().find(|row| row.id().to_string() == id));
        match found {
            Some(row) => json_of(StatusCode::OK, json!({row.name(): row.render()})),
            None => not_found(),
        }
    };
    shared.recharge(&headers, &format!("GET /{collection}/{{id}}"), work).await
}

/// `GET /webhooks`.
pub(super) async fn list_webhooks(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let work = |world: &mut World| {
        let hooks: Vec<Value> = world.recharge_hooks.iter().map(hook).collect();
        json_of(StatusCode::OK, json!({"webhooks": hooks, "next_cursor": null, "previous_cursor": null}))
    };
    shared.recharge(&headers, "GET /webhooks", work).await
}

/// `POST /webhooks`.
pub(super) async fn create_webhook(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let work = |world: &mut World| {
        let given: Value = serde_json::from_slice(&body).unwrap_or_default();
        let (Some(topic), Some(address)) = (given["topic"].as_str(), given["address"].as_str()) else {
            return json_of(
                StatusCode::UNPROCESSABLE_ENTITY,
                json!({"errors": {"topic": ["Missing data for required field."]}}),
            );
        };
        let created_at = world.now();
        let made = Hook { id: world.mint_small(), topic: topic.to_owned(), address: address.to_owned(), created_at };
        let answer = json_of(StatusCode::OK, json!({"webhook": hook(&made)}));
        world.recharge_hooks.push(made);
        answer
    };
    shared.recharge(&headers, "POST /webhooks", work).await
}

fn hook(hook: &Hook) -> Value {
    json!({"id": hook.id, "topic": hook.topic, "address": hook.address, "included_objects": [], "version": API_VERSION})
}

impl Inner {
    async fn recharge(
        &self,
        headers: &HeaderMap,
        operation: &str,
        work: impl FnOnce(&mut World) -> Response,
    ) -> Response {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if header("x-recharge-access-token") != Some(&self.options.recharge_token) {
            self.requests.count("unauthorized");
            return json_of(StatusCode::UNAUTHORIZED, json!({"errors": "Unauthorized"}));
        }
        if header("x-recharge-version") != Some(API_VERSION) {
            return json_of(StatusCode::BAD_REQUEST, json!({"error": "the stand-in holds version 2021-11 alone"}));
        }
        let work = |throttled| {
            let mut world = locked(&self.world);
            let now = world.clock.local_now();
            if throttled || (self.pacing() && !locked(&self.calls).take(now)) {
                self.requests.count("throttled");
                return too_many(None);
            }
            work(&mut world)
        };
        self.answered(operation, work).await
    }
}
