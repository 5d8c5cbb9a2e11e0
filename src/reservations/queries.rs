//! Reading reservations. One pool per query; keyset pages.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::types::Json;
use uuid::Uuid;

use super::state::{Origin, Reservation, State};
use super::variants::Variant;
use crate::clock::Clock;
use crate::http::pagination::{Page, Paging};
use crate::ids::{ClientId, PoolId, ReservationId, SkuId};
use crate::ledger::batch::load::find_lines;

/// Which reservations to list.
#[derive(Debug)]
pub struct Filter {
    /// The pool.
    pub pool: PoolId,
    /// That claim this SKU, which has a ledger.
    pub sku: Option<SkuId>,
    /// That claim this SKU, which is untracked and has none.
    pub untracked_sku: Option<SkuId>,
    /// In this state, as readers see it: lapsed holds are expired.
    pub state: Option<State>,
    /// Of this owner.
    pub owner: Option<String>,
    /// Of this order.
    pub order_ref: Option<String>,
    /// With this reference.
    pub client_reference: Option<String>,
    /// That expire before.
    pub expires_before: Option<DateTime<Utc>>,
    /// That expire at or after.
    pub expires_after: Option<DateTime<Utc>>,
}

/// The last item of a page: its id, or with a SKU filter its ledger number.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Cursor {
    /// Newest reservations first.
    Id(Uuid),
    /// Newest claims on one SKU first.
    Seq(i64),
}

struct Row {
    reservation_id: Uuid,
    client_id: i64,
    state: String,
    origin: String,
    client_reference: Option<String>,
    owner: Option<String>,
    order_ref: Option<String>,
    metadata: Option<serde_json::Value>,
    replaces_id: Option<Uuid>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    max_expires_at: DateTime<Utc>,
    committed_at: Option<DateTime<Utc>>,
    closed_at: Option<DateTime<Utc>>,
    closed_reason: Option<String>,
    variants: Option<Json<Vec<Variant>>>,
    seq: i64,
}

impl Row {
    fn into_reservation(self, pool: PoolId, lines: &mut HashMap<Uuid, Vec<super::state::Line>>) -> Option<Reservation> {
        Some(Reservation {
            id: ReservationId { pool, uuid: self.reservation_id },
            client: ClientId(self.client_id),
            state: State::parse(&self.state)?,
            origin: Origin::parse(&self.origin)?,
            client_reference: self.client_reference,
            owner: self.owner,
            order_ref: self.order_ref,
            metadata: self.metadata,
            replaces: self.replaces_id.map(|uuid| ReservationId { pool, uuid }),
            created_at: self.created_at,
            expires_at: self.expires_at,
            max_expires_at: self.max_expires_at,
            committed_at: self.committed_at,
            closed_at: self.closed_at,
            closed_reason: self.closed_reason,
            lines: lines.remove(&self.reservation_id).unwrap_or_default(),
            variants: self.variants.map(|variants| variants.0).unwrap_or_default(),
        })
    }
}

/// One reservation, and the database's clock.
///
/// # Errors
/// Database errors.
pub async fn find(db: &PgPool, id: ReservationId) -> sqlx::Result<(Option<Reservation>, DateTime<Utc>)> {
    let mut conn = db.acquire().await?;
    let now = sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(&mut *conn).await?;
    let row = sqlx::query_as!(
        Row,
        r#"
        SELECT
            reservation_id, client_id, state, origin, client_reference, owner, order_ref, metadata, replaces_id,
            created_at, expires_at, max_expires_at, committed_at, closed_at, closed_reason,
            variants AS "variants: Json<Vec<Variant>>", 0::bigint AS "seq!"
        FROM reservations
        WHERE pool_id = $1 AND reservation_id = $2
        "#,
        id.pool.0,
        id.uuid,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok((None, now)) };
    let mut lines = find_lines(&mut conn, id.pool, &[id.uuid]).await?;
    Ok((row.into_reservation(id.pool, &mut lines), now))
}

/// A page of reservations, and the clock it was read by.
///
/// # Errors
/// Database errors.
pub async fn list(
    db: &PgPool,
    clock: &Clock,
    filter: &Filter,
    paging: &Paging<Cursor>,
) -> sqlx::Result<(Page<Reservation>, DateTime<Utc>)> {
    let mut conn = db.acquire().await?;
    let now = clock.read(&mut conn).await?;
    let rows = match filter.sku {
        Some(sku) => list_by_sku(&mut conn, filter, sku, paging, now).await?,
        None => list_newest(&mut conn, filter, paging, now).await?,
    };
    let by_sku = filter.sku.is_some();
    let page =
        Page::of(rows, paging.limit, |row| if by_sku { Cursor::Seq(row.seq) } else { Cursor::Id(row.reservation_id) });
    let ids: Vec<Uuid> = page.data.iter().map(|row| row.reservation_id).collect();
    let mut lines = find_lines(&mut conn, filter.pool, &ids).await?;
    let data = page.data.into_iter().filter_map(|row| row.into_reservation(filter.pool, &mut lines)).collect();
    Ok((Page { data, next_cursor: page.next_cursor }, now))
}

async fn list_newest(
    conn: &mut sqlx::PgConnection,
    filter: &Filter,
    paging: &Paging<Cursor>,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Row>> {
    let before = match paging.after {
        Some(Cursor::Id(id)) => Some(id),
        _ => None,
    };
    sqlx::query_as!(
        Row,
        r#"
        SELECT
            reservation_id, client_id, state, origin, client_reference, owner, order_ref, metadata, replaces_id,
            created_at, expires_at, max_expires_at, committed_at, closed_at, closed_reason,
            variants AS "variants: Json<Vec<Variant>>", 0::bigint AS "seq!"
        FROM reservations
        WHERE pool_id = $1
            AND ($2::uuid IS NULL OR reservation_id < $2)
            AND ($3::text IS NULL OR owner = $3)
            AND ($4::text IS NULL OR order_ref = $4)
            AND ($5::text IS NULL OR client_reference = $5)
            AND ($6::timestamptz IS NULL OR expires_at < $6)
            AND ($7::timestamptz IS NULL OR expires_at >= $7)
            AND ($8::text IS NULL OR $8 = CASE
                WHEN state <> 'held' OR expires_at > $9 THEN state
                WHEN committed_at IS NULL THEN 'expired'
                ELSE 'committed'
            END)
            AND ($8 IS DISTINCT FROM 'held' OR (state = 'held' AND expires_at > $9))
            AND ($11::bigint IS NULL OR EXISTS (
                SELECT FROM reservation_lines AS l
                WHERE l.pool_id = $1 AND l.reservation_id = reservations.reservation_id AND l.sku_id = $11
            ))
        ORDER BY reservation_id DESC
        LIMIT $10
        "#,
        filter.pool.0,
        before,
        filter.owner,
        filter.order_ref,
        filter.client_reference,
        filter.expires_before,
        filter.expires_after,
        filter.state.map(State::as_str),
        now,
        paging.limit + 1,
        filter.untracked_sku.map(|sku| sku.0),
    )
    .fetch_all(conn)
    .await
}

/// The ledger is the index: opening entries of a SKU, newest first.
async fn list_by_sku(
    conn: &mut sqlx::PgConnection,
    filter: &Filter,
    sku: SkuId,
    paging: &Paging<Cursor>,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Row>> {
    let before = match paging.after {
        Some(Cursor::Seq(seq)) => Some(seq),
        _ => None,
    };
    sqlx::query_as!(
        Row,
        r#"
        SELECT
            r.reservation_id, r.client_id, r.state, r.origin, r.client_reference, r.owner, r.order_ref, r.metadata,
            r.replaces_id, r.created_at, r.expires_at, r.max_expires_at, r.committed_at, r.closed_at, r.closed_reason,
            r.variants AS "variants: Json<Vec<Variant>>", e.seq
        FROM stock_entries AS e
        JOIN reservations AS r ON r.pool_id = e.pool_id AND r.reservation_id = e.reservation_id
        WHERE e.pool_id = $1
            AND r.pool_id = $1
            AND e.sku_id = $11
            AND e.kind IN ('hold', 'claim')
            -- A SKU on several lines of one cart is listed once, by its first line.
            AND NOT EXISTS (
                SELECT FROM reservation_lines AS l
                WHERE l.pool_id = $1 AND l.reservation_id = e.reservation_id AND l.sku_id = $11 AND l.line < e.line
            )
            AND ($2::bigint IS NULL OR e.seq < $2)
            AND ($3::text IS NULL OR r.owner = $3)
            AND ($4::text IS NULL OR r.order_ref = $4)
            AND ($5::text IS NULL OR r.client_reference = $5)
            AND ($6::timestamptz IS NULL OR r.expires_at < $6)
            AND ($7::timestamptz IS NULL OR r.expires_at >= $7)
            AND ($8::text IS NULL OR $8 = CASE
                WHEN r.state <> 'held' OR r.expires_at > $9 THEN r.state
                WHEN r.committed_at IS NULL THEN 'expired'
                ELSE 'committed'
            END)
        ORDER BY e.seq DESC
        LIMIT $10
        "#,
        filter.pool.0,
        before,
        filter.owner,
        filter.order_ref,
        filter.client_reference,
        filter.expires_before,
        filter.expires_after,
        filter.state.map(State::as_str),
        now,
        paging.limit + 1,
        sku.0,
    )
    .fetch_all(conn)
    .await
}
