//! The shop's Admin API: GraphQL that validates against the schema, a token grant, and nothing else.

use std::cell::RefCell;
use std::sync::Mutex;

use apollo_compiler::request::coerce_variable_values;
use apollo_compiler::response::JsonMap;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Map, Value, json};

mod arguments;
mod cost;
mod cursor;
mod document;
mod errors;
mod execute;
mod roots;
mod search;
#[cfg(test)]
mod tests;
mod things;

use super::world::{Hook, World};
use super::{Inner, Shared, locked};
use arguments::Arguments;
use cost::Bucket;
use document::{Documents, Prepared};
use errors::Failure;
use execute::Writer;
use roots::Roots;
pub(super) use things::SCOPES;
use things::{Answer, Thing};

/// The version of the Admin API that the schema is of.
pub const API_VERSION: &str = "2026-10";

/// Points a second that a shop on the standard plan may spend.
const POINTS_PER_SECOND: u32 = 100;

/// What the shop's API remembers between requests.
#[derive(Debug)]
pub(super) struct ShopifyState {
    documents: Documents,
    bucket: Mutex<Bucket>,
    /// Tokens that were granted and not revoked.
    granted: Mutex<Vec<String>>,
    /// What the version header says, where it is not what was asked for.
    pub(super) answered_version: Mutex<Option<String>>,
    pub(super) search_lag: Mutex<TimeDelta>,
}

impl ShopifyState {
    pub(super) fn new(now: chrono::DateTime<chrono::Utc>) -> Self {
        Self {
            documents: Documents::default(),
            bucket: Mutex::new(Bucket::new(POINTS_PER_SECOND, now)),
            granted: Mutex::default(),
            answered_version: Mutex::default(),
            search_lag: Mutex::new(TimeDelta::zero()),
        }
    }

    /// Ends every token that was granted.
    pub(super) fn revoke(&self) {
        locked(&self.granted).clear();
    }

    /// Leaves no points in the bucket.
    pub(super) fn drain(&self) {
        locked(&self.bucket).drain();
    }
}

#[derive(Debug, Deserialize)]
struct Request {
    query: String,
    #[serde(default)]
    variables: Option<JsonMap>,
    #[serde(default, rename = "operationName")]
    operation_name: Option<String>,
}

/// `POST /admin/api/{version}/graphql.json`.
pub(super) async fn graphql(
    State(shared): State<Shared>,
    Path(version): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if !shared.is_token(&headers) {
        shared.requests.count("unauthorized");
        let said = "[API] Invalid API key or access token (unrecognized login or wrong password)";
        return (StatusCode::UNAUTHORIZED, axum::Json(json!({"errors": said}))).into_response();
    }
    let Ok(request) = serde_json::from_slice::<Request>(&body) else {
        return (
            StatusCode::BAD_REQUEST,
            axum::Json(json!({"errors": {"query": "Required parameter missing or invalid"}})),
        )
            .into_response();
    };
    let prepared = shared.shopify.documents.prepare(&request.query, request.operation_name.as_deref());
    let operation = prepared.as_ref().map_or("invalid", |prepared| prepared.name.as_str()).to_owned();
    shared.requests.document(&request.query);
    if let Some(variables) = request.variables.as_ref().filter(|variables| variables.contains_key("after")) {
        shared.requests.cursor(&operation, variables["after"].as_str());
    }
    let work = |throttled| {
        let answered = prepared.and_then(|prepared| answer(&shared, &prepared, request.variables.as_ref(), throttled));
        let body = answered.unwrap_or_else(|failure| body_of(&failure, None));
        let version = locked(&shared.shopify.answered_version).clone().unwrap_or(version);
        let headers =
            [("content-type", "application/json; charset=utf-8"), ("x-shopify-api-version", version.as_str())];
        (headers, body).into_response()
    };
    shared.answered(&operation, work).await
}

fn body_of(failure: &Failure, cost: Option<Value>) -> Vec<u8> {
    let mut body = json!({"errors": failure.errors});
    if let Some(cost) = cost {
        body["extensions"] = json!({"cost": cost});
    }
    body.to_string().into_bytes()
}

/// The body of an answer, unless there is nothing but errors.
fn answer(
    shared: &Inner,
    prepared: &Prepared,
    variables: Option<&JsonMap>,
    throttled: bool,
) -> Result<Vec<u8>, Failure> {
    let variables = variables_of(prepared, variables)?;
    let arguments = Arguments { variables: &variables };
    let requested = cost::requested(prepared, &arguments);
    if requested > cost::SINGLE_QUERY_MAX {
        return Err(Failure::too_costly(requested, cost::SINGLE_QUERY_MAX));
    }
    let mut world = locked(&shared.world);
    let mut bucket = locked(&shared.shopify.bucket);
    let paid = !shared.pacing() || bucket.take(requested, world.clock.local_now());
    if throttled || !paid {
        shared.requests.count("throttled");
        return Ok(body_of(&Failure::throttled(), Some(bucket.extension(requested, None))));
    }
    let made = if prepared.mutation { Some(mutate(&mut world, prepared, &arguments)?) } else { None };
    let roots = Roots {
        world: &world,
        shop: &shared.options.shop,
        arguments: &arguments,
        search_lag: *locked(&shared.shopify.search_lag),
        warnings: RefCell::default(),
    };
    let (mut body, spent) = data(&roots, prepared, made)?;
    let actual = spent.min(requested);
    if shared.pacing() {
        bucket.refund(requested - actual);
    }
    let mut extensions = json!({"cost": bucket.extension(requested, Some(actual))});
    let warnings = roots.warnings.into_inner();
    if !warnings.is_empty() {
        extensions["search"] = Value::Array(warnings);
    }
    body.extend_from_slice(b",\"extensions\":");
    drop(serde_json::to_writer(&mut body, &extensions));
    body.push(b'}');
    Ok(body)
}

fn variables_of(prepared: &Prepared, given: Option<&JsonMap>) -> Result<Map<String, Value>, Failure> {
    let none = JsonMap::new();
    let coerced = coerce_variable_values(document::schema()?, &prepared.operation, given.unwrap_or(&none))
        .map_err(|error| Failure::new("INVALID_VARIABLE", error.message().to_string()))?;
    match serde_json::to_value(coerced.into_inner()) {
        Ok(Value::Object(variables)) => Ok(variables),
        _ => Err(Failure::internal("variables are no object")),
    }
}

/// `{"data":…`, without the last brace, and what it cost.
fn data(roots: &Roots<'_, '_>, prepared: &Prepared, made: Option<i64>) -> Result<(Vec<u8>, i64), Failure> {
    let find = |kind: &'static str, id: i64| roots::find(roots.world, kind, id);
    let mut writer = Writer { arguments: roots.arguments, find: &find, out: Vec::with_capacity(16 * 1024), spent: 0 };
    writer.put(b"{\"data\":");
    if let Some(hook) = made {
        let hook = roots.world.hooks.iter().find(|of| of.id == hook);
        let answer = hook.map_or(Thing::HookDeleted(made.unwrap_or(0)), Thing::HookMade);
        writer.members(prepared.root.of("Mutation"), |_| Ok(Answer::One(answer)), "Mutation")?;
        return Ok((writer.out, 10));
    }
    let root = |field: &document::Field| match field.name.as_str() {
        "nodes" => {
            let ids = roots.arguments.ids(field)?;
            Ok(Answer::Nodes(ids.iter().map(|id| roots.node(id)).collect()))
        }
        _ => roots.answer(field),
    };
    writer.members(prepared.root.of("QueryRoot"), root, "QueryRoot")?;
    Ok((writer.out, writer.spent))
}

/// Carries a mutation out; the subscription's id.
fn mutate(world: &mut World, prepared: &Prepared, arguments: &Arguments<'_>) -> Result<i64, Failure> {
    let [field] = prepared.root.of("Mutation") else { return Err(Failure::internal("one mutation at a time is held")) };
    match field.name.as_str() {
        "webhookSubscriptionCreate" => {
            let of = arguments.value(field, "webhookSubscription");
            let address = of["uri"].as_str().or(of["callbackUrl"].as_str()).unwrap_or_default().to_owned();
            let topic = arguments.text(field, "topic").unwrap_or_default();
            let (id, created_at) = (world.mint(), world.now());
            world.hooks.push(Hook { id, topic, address, created_at });
            Ok(id)
        }
        "webhookSubscriptionDelete" => {
            let id = arguments.text(field, "id").unwrap_or_default();
            let id = id.rsplit('/').next().and_then(|id| id.parse().ok()).unwrap_or(0);
            world.hooks.retain(|hook| hook.id != id);
            Ok(id)
        }
        other => Err(Failure::internal(format!("Mutation.{other} is not held"))),
    }
}

/// `POST /admin/oauth/access_token`: a token for client id and secret, which lasts a day.
pub(super) async fn grant(State(shared): State<Shared>, body: Bytes) -> Response {
    let work = |_| {
        let mut given: std::collections::HashMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
        if let Ok(json) = serde_json::from_slice(&body) {
            given = json;
        }
        let is = |name: &str, value: &str| given.get(name).is_some_and(|given| given == value);
        let options = &shared.options;
        if !is("grant_type", "client_credentials")
            || !is("client_id", &options.client_id)
            || !is("client_secret", &options.client_secret)
        {
            return (StatusCode::BAD_REQUEST, axum::Json(json!({"error": "invalid_client"}))).into_response();
        }
        let token = format!("shpat_{}", crate::ids::new_uuid().simple());
        locked(&shared.shopify.granted).push(token.clone());
        let scope = locked(&shared.world).scopes.join(",");
        axum::Json(json!({"access_token": token, "scope": scope, "expires_in": 86_399})).into_response()
    };
    shared.answered("access_token", work).await
}

impl Inner {
    fn is_token(&self, headers: &HeaderMap) -> bool {
        let Some(given) = headers.get("x-shopify-access-token").and_then(|value| value.to_str().ok()) else {
            return false;
        };
        given == self.options.token || locked(&self.shopify.granted).iter().any(|token| token == given)
    }
}
