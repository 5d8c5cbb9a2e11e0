//! `POST /lots/quarantine`: a recall. Every open lot of one code goes off sale, in all pools or in some.
//!
//! Each pool is one command, and one transaction, under the caller's key: what it answered is kept there, so a request
//! that was interrupted between two pools is finished by repeating it, and a pool that was done is not done again.

use std::sync::Arc;

use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::acts::read_reason;
use super::view::RecalledView;
use crate::app::{App, AppState};
use crate::catalog::Catalogue;
use crate::http::auth::{Caller, scope};
use crate::http::body::Json;
use crate::http::code::Code;
use crate::http::edge::RequestId;
use crate::http::idempotency::IdempotencyKey;
use crate::http::problem::Problem;
use crate::http::submit::{problem_of, respond};
use crate::http::violations::Violations;
use crate::ids::{ClientId, PoolId};
use crate::ledger::command::{Command, Recall};
use crate::ledger::lanes::{LaneError, hint_of_sku};
use crate::ledger::submission::{Answer, Key, Submission};
use crate::lifecycle::detached;

/// Routes of recalls.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(recall_lots))
}

/// A batch that must not be sold, wherever it is.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecallLots {
    /// The batch's own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required)]
    lot_code: Option<String>,
    /// Codes of the pools it is looked for in; all of them if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pools: Option<Vec<String>>,
    /// 1 to 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required)]
    reason: Option<String>,
}

/// Who recalls, and under which key.
struct Sender {
    client: ClientId,
    key: Key,
    id: RequestId,
    uri: Uri,
}

/// Takes every open lot of a code off sale, of whatever SKU and in whichever pool. Answers each of them with what was done;
/// `GET /lots/{id}/shipments` tells where units of it went.
#[utoipa::path(post, path = "/lots/quarantine", tag = "lots", request_body = RecallLots,
    params(("Idempotency-Key" = String, Header)),
    responses((status = 200, description = "Every open lot of the code, as it now stands", body = RecalledView)))]
async fn recall_lots(
    app: AppState,
    caller: Caller<scope::Lots>,
    key: IdempotencyKey,
    id: RequestId,
    uri: Uri,
    body: Json<RecallLots>,
) -> Result<Response, Problem> {
    let sender = Sender { client: caller.client, key: key.for_command(&body.value), id, uri };
    let (recall, pools) = read(body, &*app.fresh_catalogue().await?)?;
    let (state, tasks) = (Arc::clone(&app), app.tasks.clone());
    let answer = detached(&tasks, async move { carry_out(&state, &sender, &recall, &pools).await }).await?;
    Ok(respond(answer).into_response())
}

fn read(body: Json<RecallLots>, catalogue: &Catalogue) -> Result<(Recall, Vec<PoolId>), Problem> {
    let Json { value, violations: mut v } = body;
    let lot_code = v.required("/lot_code", value.lot_code);
    let lot_code = v.text("/lot_code", lot_code, 128);
    let reason = read_reason(&mut v, value.reason);
    let pools = match value.pools {
        None => catalogue.pools().map(|pool| pool.id).collect(),
        Some(codes) => read_pools(&mut v, catalogue, &codes),
    };
    let recall = lot_code.zip(reason).map(|(lot_code, reason)| (Recall { lot_code, reason }, pools));
    v.finish(recall)
}

/// In the order of their ids, each once.
fn read_pools(v: &mut Violations, catalogue: &Catalogue, codes: &[String]) -> Vec<PoolId> {
    if codes.is_empty() {
        v.add("/pools", "must name a pool, or be left out");
    }
    let mut pools = Vec::new();
    for (index, code) in codes.iter().enumerate() {
        match catalogue.pool_by_code(code) {
            Some(pool) => pools.push(pool.id),
            None => {
                v.add_code(format!("/pools/{index}"), Code::UnknownPool, format!("there is no pool {code:?}"));
            }
        }
    }
    pools.sort_unstable();
    pools.dedup();
    pools
}

/// Every pool at once; the first refusal is the answer, whatever was done elsewhere stays done.
async fn carry_out(app: &Arc<App>, sender: &Sender, recall: &Recall, pools: &[PoolId]) -> Result<Answer, Problem> {
    for other in app.catalogue.current().pools().filter(|pool| !pools.contains(&pool.id)) {
        if app.key_is_used(sender.client, other.id, &sender.key).await? {
            let detail = format!("This Idempotency-Key belongs to a request in pool {:?}.", other.code);
            return Err(Problem::new(Code::IdempotencyKeyReused, detail));
        }
    }
    let mut answers = Vec::with_capacity(pools.len());
    for answer in join_all(pools.iter().map(|pool| submit(app, sender, recall, *pool))).await {
        let answer = answer.map_err(|error| problem_of(error, false))?;
        if answer.status != StatusCode::OK.as_u16() {
            return Ok(answer);
        }
        answers.push(answer);
    }
    Ok(merge(&answers))
}

async fn submit(app: &Arc<App>, sender: &Sender, recall: &Recall, pool: PoolId) -> Result<Answer, LaneError> {
    let submission = Submission {
        client: sender.client,
        key: Some(sender.key.clone()),
        pool,
        request_id: Arc::clone(&sender.id.0),
        instance: Arc::from(sender.uri.path()),
        command: Command::Recall(Box::new(recall.clone())),
    };
    app.lanes.submit(submission, hint_of_sku(&recall.lot_code)).await
}

/// The lots of all pools in one answer: the same bytes whenever each of them is a replay.
fn merge(answers: &[Answer]) -> Answer {
    let mut lots: Vec<Value> = Vec::new();
    for answer in answers {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        lots.extend(body["lots"].as_array().into_iter().flatten().cloned());
    }
    let body = serde_json::to_vec(&serde_json::json!({ "lots": lots })).unwrap_or_default();
    Answer { status: 200, body: body.into(), replayed: answers.iter().all(|answer| answer.replayed) }
}
