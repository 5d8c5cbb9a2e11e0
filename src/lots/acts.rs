//! What operations do to one lot over HTTP: quarantine, release, write off, revalue. Each with a reason.

use std::sync::Arc;

use axum::http::Uri;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::receive::read_cost;
use super::view::LotActedView;
use crate::app::{App, AppState};
use crate::http::auth::{Caller, scope};
use crate::http::body::Json;
use crate::http::code::Code;
use crate::http::edge::RequestId;
use crate::http::idempotency::IdempotencyKey;
use crate::http::path::PathText;
use crate::http::problem::Problem;
use crate::http::submit::{Request, submit};
use crate::http::violations::Violations;
use crate::ids::{ClientId, LotId};
use crate::ledger::command::{Act, Command, LotAct};
use crate::ledger::submission::Key;

/// Routes of acts on lots.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(quarantine_lot))
        .routes(routes!(unquarantine_lot))
        .routes(routes!(write_off_lot))
        .routes(routes!(revalue_lot))
}

/// Why something is done to a lot.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reasoned {
    /// 1 to 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required)]
    reason: Option<String>,
}

/// Units that are gone.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteOff {
    /// Units, 1 to 10^9; all that is there if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    quantity: Option<i64>,
    /// 1 to 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required)]
    reason: Option<String>,
}

/// Another cost.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Revalue {
    /// Decimal string, per unit, at most 6 decimals, in the lot's currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required)]
    unit_cost: Option<String>,
    /// Whether it is for what was sold of the lot, too: then a correction, booked on the first day that is not closed,
    /// makes up the difference in the cost of goods. Always so for a lot whose cost was provisional.
    #[serde(skip_serializing_if = "Option::is_none")]
    correct_depleted: Option<bool>,
    /// 1 to 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required)]
    reason: Option<String>,
}

/// A required reason.
pub(super) fn read_reason(v: &mut Violations, reason: Option<String>) -> Option<String> {
    let reason = v.required("/reason", reason);
    v.text("/reason", reason, 200)
}

struct Sender {
    client: ClientId,
    key: Key,
    id: RequestId,
    uri: Uri,
}

async fn act(app: &Arc<App>, sender: Sender, lot: LotId, act: Act, reason: String) -> Result<Response, Problem> {
    let Sender { client, key, id, uri } = sender;
    let request = Request { client, key, id, uri, pool: lot.pool, hint: lot.uuid.as_bytes()[15] };
    submit(app, request, Command::LotAct(Box::new(LotAct { id: lot, act, reason }))).await
}

pub(super) fn parse(text: &str) -> Result<LotId, Problem> {
    LotId::parse(text).ok_or_else(|| Problem::new(Code::LotNotFound, format!("There is no lot {text:?}.")))
}

/// Takes a lot off sale: its units stay on hand and are quarantined. Holds and orders keep their claims.
#[utoipa::path(post, path = "/lots/{id}/quarantine", tag = "lots", request_body = Reasoned,
    params(("id" = String, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, description = "The lot as it now stands", body = LotActedView)))]
async fn quarantine_lot(
    app: AppState,
    caller: Caller<scope::Lots>,
    key: IdempotencyKey,
    id: RequestId,
    uri: Uri,
    PathText(text): PathText,
    body: Json<Reasoned>,
) -> Result<Response, Problem> {
    let lot = parse(&text)?;
    let sender = Sender { client: caller.client, key: key.for_command(&body.value), id, uri };
    let Json { value, violations: mut v } = body;
    let reason = read_reason(&mut v, value.reason);
    act(&app, sender, lot, Act::Quarantine, v.finish(reason)?).await
}

/// Puts a quarantined lot on sale again. A lot past its expiry stays off sale.
#[utoipa::path(post, path = "/lots/{id}/unquarantine", tag = "lots", request_body = Reasoned,
    params(("id" = String, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, description = "The lot as it now stands", body = LotActedView)))]
async fn unquarantine_lot(
    app: AppState,
    caller: Caller<scope::Lots>,
    key: IdempotencyKey,
    id: RequestId,
    uri: Uri,
    PathText(text): PathText,
    body: Json<Reasoned>,
) -> Result<Response, Problem> {
    let lot = parse(&text)?;
    let sender = Sender { client: caller.client, key: key.for_command(&body.value), id, uri };
    let Json { value, violations: mut v } = body;
    let reason = read_reason(&mut v, value.reason);
    act(&app, sender, lot, Act::Unquarantine, v.finish(reason)?).await
}

/// Writes units of a lot off: they are gone. At most what is physically there of it.
#[utoipa::path(post, path = "/lots/{id}/write-off", tag = "lots", request_body = WriteOff,
    params(("id" = String, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, description = "The lot as it now stands", body = LotActedView)))]
async fn write_off_lot(
    app: AppState,
    caller: Caller<scope::Lots>,
    key: IdempotencyKey,
    id: RequestId,
    uri: Uri,
    PathText(text): PathText,
    body: Json<WriteOff>,
) -> Result<Response, Problem> {
    let lot = parse(&text)?;
    let sender = Sender { client: caller.client, key: key.for_command(&body.value), id, uri };
    let Json { value, violations: mut v } = body;
    let reason = read_reason(&mut v, value.reason);
    let quantity = value.quantity.map(|quantity| v.quantity("/quantity", Some(quantity)).unwrap_or(quantity));
    act(&app, sender, lot, Act::WriteOff { quantity }, v.finish(reason)?).await
}

/// Gives a lot another cost, from the first day on that is not closed: rows of closed days stay as they are. A
/// provisional cost becomes final, and what was sold at it is corrected by a row of its own; what was sold at a final
/// cost keeps it, unless `correct_depleted` is set.
#[utoipa::path(post, path = "/lots/{id}/revalue", tag = "lots", request_body = Revalue,
    params(("id" = String, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, description = "The lot as it now stands", body = LotActedView)))]
async fn revalue_lot(
    app: AppState,
    caller: Caller<scope::Lots>,
    key: IdempotencyKey,
    id: RequestId,
    uri: Uri,
    PathText(text): PathText,
    body: Json<Revalue>,
) -> Result<Response, Problem> {
    let lot = parse(&text)?;
    let sender = Sender { client: caller.client, key: key.for_command(&body.value), id, uri };
    let Json { value, violations: mut v } = body;
    let reason = read_reason(&mut v, value.reason);
    let unit_cost = v.required("/unit_cost", value.unit_cost);
    let unit_cost = unit_cost.and_then(|text| read_cost(&mut v, "/unit_cost", &text));
    let (unit_cost, reason) = v.finish(unit_cost.zip(reason))?;
    let correct_depleted = value.correct_depleted.unwrap_or(false);
    act(&app, sender, lot, Act::Revalue { unit_cost, correct_depleted }, reason).await
}
