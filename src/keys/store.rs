//! Keys and clients in the database.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use super::{ApiKey, NewKey, Scope};
use crate::ids::{ClientId, new_global_id};

/// The client that the first key belongs to.
pub const FIRST_CLIENT: &str = "admin";

/// A key that is not revoked, with its hash.
///
/// # Errors
/// Database errors.
pub async fn find_valid(db: &PgPool, id: &str) -> sqlx::Result<Option<(ApiKey, Vec<u8>)>> {
    let row = sqlx::query!(
        "SELECT client_id, secret_hash, scopes, expires_at FROM api_keys WHERE key_id = $1 AND revoked_at IS NULL",
        id,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| {
        let scopes = row.scopes.iter().filter_map(|word| Scope::parse(word)).collect();
        let key = ApiKey { id: id.to_owned(), client: ClientId(row.client_id), scopes, expires_at: row.expires_at };
        (key, row.secret_hash)
    }))
}

/// The id of the client with this name, made if it is new.
///
/// # Errors
/// Database errors.
pub async fn ensure_client(conn: &mut PgConnection, name: &str, now: DateTime<Utc>) -> sqlx::Result<ClientId> {
    sqlx::query!(
        "INSERT INTO clients (client_id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
        new_global_id(),
        name,
        now,
    )
    .execute(&mut *conn)
    .await?;
    let id = sqlx::query_scalar!("SELECT client_id FROM clients WHERE name = $1", name).fetch_one(conn).await?;
    Ok(ClientId(id))
}

/// What a new key is for.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Name of the client.
    pub client: String,
    /// For people.
    pub label: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it stops working.
    pub expires_at: Option<DateTime<Utc>>,
    /// Whether it is the very first key.
    pub bootstrap: bool,
}

/// Records a key. False if it is a first key and there is one already.
///
/// # Errors
/// Database errors.
pub async fn insert(conn: &mut PgConnection, key: &NewKey, grant: &Grant, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let client = ensure_client(conn, &grant.client, now).await?;
    let scopes: Vec<String> = grant.scopes.iter().map(|scope| scope.as_str().to_owned()).collect();
    let done = sqlx::query!(
        r#"
        INSERT INTO api_keys (key_id, client_id, secret_hash, label, scopes, created_at, expires_at, bootstrap)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (bootstrap) WHERE bootstrap DO NOTHING
        "#,
        key.id,
        client.0,
        &key.hash,
        grant.label,
        &scopes,
        now,
        grant.expires_at,
        grant.bootstrap,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A key as listed; the secret is gone.
#[derive(Debug)]
pub struct KeyRow {
    /// Its public part.
    pub id: String,
    /// Name of its client.
    pub client: String,
    /// For people.
    pub label: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it stops working.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// Keys by id, after `after`, at most `limit`.
///
/// # Errors
/// Database errors.
pub async fn list(db: &PgPool, after: Option<&str>, limit: i64) -> sqlx::Result<Vec<KeyRow>> {
    sqlx::query_as!(
        KeyRow,
        r#"
        SELECT k.key_id AS id, c.name AS client, k.label, k.scopes, k.created_at, k.expires_at, k.revoked_at,
            k.last_used_at
        FROM api_keys AS k
        JOIN clients AS c ON c.client_id = k.client_id
        WHERE $1::text IS NULL OR k.key_id > $1
        ORDER BY k.key_id
        LIMIT $2
        "#,
        after,
        limit,
    )
    .fetch_all(db)
    .await
}

/// Revokes a key; repeating it changes nothing. False if there is no such key.
///
/// # Errors
/// Database errors.
pub async fn revoke(conn: &mut PgConnection, id: &str, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let done = sqlx::query!("UPDATE api_keys SET revoked_at = COALESCE(revoked_at, $2) WHERE key_id = $1", id, now)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Records when keys were last used; at most once a minute each, since it is the same row again and again.
///
/// # Errors
/// Database errors.
pub async fn touch(conn: &mut PgConnection, ids: &[String], now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        UPDATE api_keys SET last_used_at = $2
        WHERE key_id = ANY($1) AND (last_used_at IS NULL OR last_used_at < $2)
        "#,
        ids,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
