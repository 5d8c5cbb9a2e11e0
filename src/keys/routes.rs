//! `POST /keys`, `GET /keys`, `DELETE /keys/{key_id}`: admin only.

use std::sync::Arc;

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use scoped_futures::ScopedFutureExt;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::store::{self, Grant, KeyRow};
use super::{NewKey, Scope};
use crate::app::{App, AppState};
use crate::db::tx;
use crate::http::auth::{Caller, scope};
use crate::http::body::Json;
use crate::http::code::Code;
use crate::http::pagination::{Page, Paging, TextCursor};
use crate::http::path::PathText;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::lifecycle::detached;

/// Routes of this room.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list_keys, create_key)).routes(routes!(revoke_key))
}

/// A key to make.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    /// Name of the program that will use it; idempotency keys belong to the client.
    #[schema(required)]
    client: Option<String>,
    /// For people.
    label: Option<String>,
    /// What it may do.
    #[schema(required)]
    scopes: Option<Vec<Scope>>,
    /// When it stops working.
    expires_at: Option<DateTime<Utc>>,
}

impl CreateKey {
    fn validate(body: Json<Self>) -> Result<Grant, Problem> {
        let Json { value, violations: mut v } = body;
        let client = v.required("/client", value.client);
        let client = v.text("/client", client, 100);
        let label = value.label.map(|label| v.text("/label", Some(label), 200).unwrap_or_default());
        let scopes = v.required("/scopes", value.scopes);
        if scopes.as_ref().is_some_and(Vec::is_empty) {
            v.add("/scopes", "must name at least one scope");
        }
        v.year("/expires_at", value.expires_at);
        let grant = client.zip(scopes).map(|(client, scopes)| Grant {
            client,
            label: label.unwrap_or_default(),
            scopes,
            expires_at: value.expires_at,
            bootstrap: false,
        });
        v.finish(grant)
    }
}

/// A key, with its secret only in the answer that made it.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyView {
    /// Its public part.
    id: String,
    /// The whole key; shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// Name of its client.
    client: String,
    /// For people.
    label: String,
    /// What it may do.
    scopes: Vec<String>,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it stops working.
    expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    revoked_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    last_used_at: Option<DateTime<Utc>>,
}

impl From<KeyRow> for KeyView {
    fn from(row: KeyRow) -> Self {
        Self {
            id: row.id,
            token: None,
            client: row.client,
            label: row.label,
            scopes: row.scopes,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
        }
    }
}

/// Makes a key. Its secret is in this answer and nowhere else.
#[utoipa::path(post, path = "/keys", tag = "keys", request_body = CreateKey,
    responses((status = 201, description = "The key, with its secret", body = KeyView)))]
async fn create_key(
    app: AppState,
    _caller: Caller<scope::Admin>,
    body: Json<CreateKey>,
) -> Result<(StatusCode, axum::Json<KeyView>), Problem> {
    let grant = CreateKey::validate(body)?;
    let tasks = app.tasks.clone();
    detached(&tasks, async move {
        let key = NewKey::mint().map_err(|_| Problem::new(Code::Internal, "No randomness."))?;
        let now = app.clock.local_now();
        tx::write(&app.db, "create_key", |conn| store::insert(conn, &key, &grant, now).scope_boxed()).await?;
        let view = KeyView {
            id: key.id,
            token: Some(key.token),
            client: grant.client,
            label: grant.label,
            scopes: grant.scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
            created_at: now,
            expires_at: grant.expires_at,
            revoked_at: None,
            last_used_at: None,
        };
        Ok((StatusCode::CREATED, axum::Json(view)))
    })
    .await
}

/// Lists keys, revoked ones included.
#[utoipa::path(get, path = "/keys", tag = "keys",
    params(("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "A page of keys", body = Page<KeyView>)))]
async fn list_keys(
    app: AppState,
    _caller: Caller<scope::Admin>,
    mut query: Query,
) -> Result<axum::Json<Page<KeyView>>, Problem> {
    let paging = Paging::<TextCursor>::take(&mut query);
    query.finish()?;
    let rows = store::list(&app.db, paging.after.as_ref().map(|after| after.0.as_str()), paging.limit + 1).await?;
    Ok(axum::Json(Page::of(rows, paging.limit, |row| TextCursor(row.id.clone())).map(KeyView::from)))
}

/// Revokes a key: at once on this instance, within 20 seconds on others.
#[utoipa::path(delete, path = "/keys/{key_id}", tag = "keys", params(("key_id" = String, Path)),
    responses((status = 204, description = "It no longer works")))]
async fn revoke_key(
    app: AppState,
    _caller: Caller<scope::Admin>,
    PathText(id): PathText,
    query: Query,
) -> Result<StatusCode, Problem> {
    query.finish()?;
    if !super::is_id(&id) {
        return Err(Problem::new(Code::KeyNotFound, "No such key."));
    }
    let tasks = app.tasks.clone();
    detached(&tasks, async move {
        let now = app.clock.local_now();
        let known = tx::write(&app.db, "revoke_key", |conn| store::revoke(conn, &id, now).scope_boxed()).await?;
        app.keys.forget(&id);
        if known { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::new(Code::KeyNotFound, "No such key.")) }
    })
    .await
}
