//! `POST /lots/{id}/transfer`: units of a lot go to another pool.
//!
//! Two pools are two transactions, and anything may end between them. So the transfer is claimed at the destination
//! first; then the units leave their lot under the caller's idempotency key, whose stored outcome says for ever whether
//! they did; then they arrive. Whoever finds a claimed transfer carries it on by taking the same steps.

use std::sync::Arc;

use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use scoped_futures::ScopedFutureExt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::acts::{parse, read_reason};
use super::queries;
use super::view::LotActedView;
use crate::app::{App, AppState};
use crate::catalog::Pool;
use crate::db;
use crate::http::auth::{Caller, scope};
use crate::http::body::Json;
use crate::http::code::Code;
use crate::http::edge::RequestId;
use crate::http::idempotency::IdempotencyKey;
use crate::http::path::PathText;
use crate::http::problem::Problem;
use crate::http::submit::{problem_of, respond};
use crate::http::violations::Violations;
use crate::ids::{ClientId, LotId, PoolId};
use crate::ledger::command::{Act, Command, LotAct, TransferIn};
use crate::ledger::goods::LotStatus;
use crate::ledger::lanes::LaneError;
use crate::ledger::submission::{Answer, Key, Submission};
use crate::ledger::world::HOUSE;
use crate::lifecycle::detached;

/// How long a transfer may stand claimed before somebody else carries it on.
const PATIENCE_SECONDS: i64 = 60;
const PAGE: i64 = 100;

/// Routes of transfers.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(transfer_lot))
}

/// Units of a lot go to another pool.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// Code of the pool they go to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required)]
    to_pool: Option<String>,
    /// Units, 1 to 10^9; at most what is there for sale.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required, minimum = 1, maximum = 1_000_000_000)]
    quantity: Option<i64>,
    /// 1 to 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required)]
    reason: Option<String>,
}

/// A transfer as claimed at its destination.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Claim {
    id: Uuid,
    to: PoolId,
    from: LotId,
    lot: LotId,
    quantity: i64,
    reason: String,
    client: ClientId,
    key: Key,
}

/// Moves units of a lot to another pool, where they are a lot of their own with the same code, cost and expiry. Claims
/// do not follow: they stay with the pool they were made in.
#[utoipa::path(post, path = "/lots/{id}/transfer", tag = "lots", request_body = Transfer,
    params(("id" = String, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, description = "The lot that the units are at their destination", body = LotActedView)))]
async fn transfer_lot(
    app: AppState,
    caller: Caller<scope::Lots>,
    key: IdempotencyKey,
    id: RequestId,
    uri: Uri,
    PathText(text): PathText,
    body: Json<Transfer>,
) -> Result<Response, Problem> {
    let lot = parse(&text)?;
    let key = key.for_command(&body.value);
    let to = match &body.value.to_pool {
        Some(code) => app.find_pool(code).await?,
        None => None,
    };
    let claim = read(body, lot, to.as_deref(), caller.client, key)?;
    let (state, tasks) = (Arc::clone(&app), app.tasks.clone());
    let answer = detached(&tasks, async move { carry_out(&state, claim, &id, &uri).await }).await?;
    Ok(respond(answer).into_response())
}

fn read(body: Json<Transfer>, from: LotId, to: Option<&Pool>, client: ClientId, key: Key) -> Result<Claim, Problem> {
    let Json { value, violations: mut v } = body;
    let reason = read_reason(&mut v, value.reason);
    let quantity = v.quantity("/quantity", value.quantity);
    let code = v.required("/to_pool", value.to_pool);
    check_pool(&mut v, code.as_deref(), to, from.pool);
    let claim = to.zip(quantity).zip(reason).map(|((to, quantity), reason)| {
        // The same request is the same transfer, whoever finds it.
        let digest = Sha256::digest([client.0.to_be_bytes().as_slice(), key.key.as_bytes()].concat());
        let id = uuid::Builder::from_custom_bytes(std::array::from_fn(|at| digest[at])).into_uuid();
        // Ordered by time, as lots are listed; who finds the transfer claimed takes the id that it was claimed with.
        Claim { id, to: to.id, from, lot: LotId::new(to.id), quantity, reason, client, key }
    });
    v.finish(claim)
}

fn check_pool(v: &mut Violations, code: Option<&str>, to: Option<&Pool>, from: PoolId) {
    match (code, to) {
        (Some(code), None) => v.add_code("/to_pool", Code::UnknownPool, format!("there is no pool {code:?}")),
        (Some(_), Some(to)) if to.id == from => v.add("/to_pool", "must be another pool than the lot's"),
        _ => {}
    }
}

/// Takes every step that is not taken yet; each can be taken twice.
async fn carry_out(app: &Arc<App>, claim: Claim, id: &RequestId, uri: &Uri) -> Result<Answer, Problem> {
    let Some(lot) = take_claim(app, &claim).await? else {
        let detail = "This Idempotency-Key belongs to another transfer. Use a new key for a new request.";
        return Err(Problem::new(Code::IdempotencyKeyReused, detail));
    };
    let claim = &Claim { lot, ..claim };
    let departure = depart(app, claim, id, uri).await.map_err(|error| problem_of(error, false))?;
    if departure.status != 200 {
        give_up(app, claim).await?;
        return Ok(departure);
    }
    arrive(app, claim, id, uri).await
}

/// Claims the transfer at its destination and gives the lot that its units become there, now or as claimed before; none
/// if the id stands for another transfer.
async fn take_claim(app: &App, claim: &Claim) -> Result<Option<LotId>, Problem> {
    let now = app.clock.local_now();
    let kept = db::tx::write(&app.db, "transfer", |conn| insert(conn, claim, now).scope_boxed()).await?;
    Ok(kept)
}

async fn insert(conn: &mut PgConnection, claim: &Claim, now: DateTime<Utc>) -> sqlx::Result<Option<LotId>> {
    sqlx::query!(
        r#"
        INSERT INTO transfers (
            pool_id, transfer_id, source_pool_id, source_lot_id, lot_id, quantity, reason, status, client_id, key,
            fingerprint, claimed_at
        )
        VALUES ($1, $2, $3, $4, $5, $6, $7, 'claimed', $8, $9, $10, $11)
        ON CONFLICT (pool_id, transfer_id) DO NOTHING
        "#,
        claim.to.0,
        claim.id,
        claim.from.pool.0,
        claim.from.uuid,
        claim.lot.uuid,
        claim.quantity,
        claim.reason,
        claim.client.0,
        claim.key.key,
        &claim.key.fingerprint,
        now,
    )
    .execute(&mut *conn)
    .await?;
    let standing = sqlx::query!(
        "SELECT fingerprint, lot_id FROM transfers WHERE pool_id = $1 AND transfer_id = $2",
        claim.to.0,
        claim.id,
    )
    .fetch_one(conn)
    .await?;
    let is_same = standing.fingerprint == claim.key.fingerprint;
    Ok(is_same.then_some(LotId { pool: claim.to, uuid: standing.lot_id }))
}

/// Takes the units out of their lot, under the caller's key.
async fn depart(app: &Arc<App>, claim: &Claim, id: &RequestId, uri: &Uri) -> Result<Answer, LaneError> {
    let act = Act::TransferOut { transfer: claim.id, quantity: claim.quantity };
    let submission = Submission {
        client: claim.client,
        key: Some(claim.key.clone()),
        pool: claim.from.pool,
        request_id: Arc::clone(&id.0),
        instance: Arc::from(uri.path()),
        command: Command::LotAct(Box::new(LotAct { id: claim.from, act, reason: claim.reason.clone() })),
    };
    app.lanes.submit(submission, claim.from.uuid.as_bytes()[15]).await
}

/// Puts the units on the shelf they went to.
async fn arrive(app: &Arc<App>, claim: &Claim, id: &RequestId, uri: &Uri) -> Result<Answer, Problem> {
    let not_found = || Problem::new(Code::LotNotFound, format!("There is no lot \"{}\".", claim.from));
    let mut lot = queries::find(&app.db, claim.from).await?.ok_or_else(not_found)?;
    lot.received.unit_cost = departure_cost(&app.db, claim).await?.unwrap_or(lot.received.unit_cost);
    let from = lot.id;
    lot.received = crate::ledger::command::Receive {
        id: claim.lot,
        sku: app.fresh_catalogue().await?.sku_code(lot.sku),
        quantity: claim.quantity,
        source: "transfer".to_owned(),
        source_ref: Some(claim.id.to_string()),
        ..lot.received
    };
    (lot.id, lot.source_lot, lot.remaining) = (claim.lot, Some(from), claim.quantity);
    (lot.origin, lot.status) = ("transfer".to_owned(), LotStatus::Available);
    (lot.quarantined, lot.quarantine_reason) = (0, None);
    let submission = Submission {
        client: HOUSE,
        // The answer is kept with the arrival: a repeated request gets the same bytes.
        key: Some(Key { key: format!("transfer {}", claim.id), fingerprint: claim.key.fingerprint }),
        pool: claim.to,
        request_id: Arc::clone(&id.0),
        instance: Arc::from(uri.path()),
        command: Command::TransferIn(Box::new(TransferIn { transfer: claim.id, from: claim.from.pool, lot })),
    };
    app.lanes.submit(submission, claim.lot.uuid.as_bytes()[15]).await.map_err(|error| problem_of(error, false))
}

/// What a unit cost when it left.
async fn departure_cost(db: &PgPool, claim: &Claim) -> sqlx::Result<Option<rust_decimal::Decimal>> {
    sqlx::query_scalar!(
        r#"
        SELECT unit_cost
        FROM lot_transactions
        WHERE pool_id = $1 AND source_ref_id = $2 AND row_source = 'transfer_out'
        "#,
        claim.from.pool.0,
        claim.id.to_string(),
    )
    .fetch_optional(db)
    .await
}

async fn give_up(app: &App, claim: &Claim) -> sqlx::Result<()> {
    let now = app.clock.local_now();
    db::tx::write(&app.db, "transfer", |conn| {
        async move {
            sqlx::query!(
                r#"
                UPDATE transfers SET status = 'refused', closed_at = $3
                WHERE pool_id = $1 AND transfer_id = $2 AND status = 'claimed'
                "#,
                claim.to.0,
                claim.id,
                now,
            )
            .execute(conn)
            .await
            .map(drop)
        }
        .scope_boxed()
    })
    .await
}

/// Carries on transfers that were left standing.
///
/// # Errors
/// Database errors.
pub async fn resume(app: &Arc<App>) -> sqlx::Result<()> {
    let pools: Vec<PoolId> = app.catalogue.current().pools().map(|pool| pool.id).collect();
    let before = app.clock.local_now() - chrono::TimeDelta::seconds(PATIENCE_SECONDS);
    for pool in pools {
        for claim in find_left(&app.db, pool, before).await? {
            let (id, uri) = (RequestId(Arc::from("transfers")), Uri::from_static("/lots"));
            let transfer = claim.id;
            match carry_out(app, claim, &id, &uri).await {
                Ok(answer) if answer.status == StatusCode::OK.as_u16() => {}
                Ok(answer) => tracing::warn!(%transfer, status = answer.status, "a transfer was refused"),
                Err(problem) => tracing::warn!(%transfer, code = problem.code.as_str(), "a transfer waits"),
            }
        }
    }
    Ok(())
}

async fn find_left(db: &PgPool, pool: PoolId, before: DateTime<Utc>) -> sqlx::Result<Vec<Claim>> {
    let rows = sqlx::query!(
        r#"
        SELECT transfer_id, source_pool_id, source_lot_id, lot_id, quantity, reason, client_id, key, fingerprint
        FROM transfers
        WHERE pool_id = $1 AND status = 'claimed' AND claimed_at < $2
        ORDER BY claimed_at
        LIMIT $3
        "#,
        pool.0,
        before,
        PAGE,
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            Some(Claim {
                id: row.transfer_id,
                to: pool,
                from: LotId { pool: PoolId(row.source_pool_id), uuid: row.source_lot_id },
                lot: LotId { pool, uuid: row.lot_id },
                quantity: row.quantity,
                reason: row.reason,
                client: ClientId(row.client_id),
                key: Key { key: row.key, fingerprint: row.fingerprint.try_into().ok()? },
            })
        })
        .collect())
}
