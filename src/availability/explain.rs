//! Why a number is what it is: term by term, the lots, reservations, oversells and ledger entries behind it, read from
//! the database in one snapshot.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{Connection, PgPool};
use utoipa::ToSchema;

use super::view::EntryView;
use crate::catalog::{Catalogue, Policy, Sku};
use crate::clock::Clock;
use crate::ids::{LotId, OversellId, PoolId, ReservationId};
use crate::ledger::balance::Balance;

/// Items listed under each term; `more` says whether there are others.
const MOST: i64 = 50;

/// The explanation of one (pool, SKU).
#[derive(Debug, Serialize, ToSchema)]
pub struct Explanation {
    /// SKU code.
    sku: String,
    /// Pool code.
    pool: String,
    /// The database's clock in this snapshot.
    as_of: DateTime<Utc>,
    /// The sum in words and numbers.
    formula: String,
    /// May be negative here.
    sellable_quantity: i64,
    /// May be negative here.
    reservable_quantity: i64,
    /// Units claimed that the shelf cannot cover.
    oversold_quantity: i64,
    /// On the shelf, and the lots it consists of.
    on_hand: Term<LotItem>,
    /// Not for sale.
    quarantined_quantity: i64,
    /// Owned by orders, and which.
    committed: Term<ClaimItem>,
    /// Held by carts, and which; soonest expiry first.
    held: Term<ClaimItem>,
    /// Held units past their expiry, not swept yet; they count as free.
    lapsed_quantity: i64,
    /// From the class.
    safety_stock_quantity: i64,
    /// From the class.
    oversell_tolerance_quantity: i64,
    /// The class that both are from.
    class: String,
    /// Open oversells, oldest first.
    oversells: Vec<OversellItem>,
    /// Newest ledger entries.
    entries: Vec<EntryView>,
}

/// A term of the sum and what it consists of.
#[derive(Debug, Serialize, ToSchema)]
struct Term<T> {
    /// Units.
    quantity: i64,
    /// At most 50 items.
    items: Vec<T>,
    /// Whether there are more items than listed.
    more: bool,
}

impl<T> Term<T> {
    fn of(quantity: i64, mut items: Vec<T>) -> Self {
        let most = usize::try_from(MOST).unwrap_or(usize::MAX);
        let more = items.len() > most;
        items.truncate(most);
        Self { quantity, items, more }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct LotItem {
    lot_id: String,
    lot_code: String,
    remaining_quantity: i64,
    received_date: chrono::NaiveDate,
    expires_date: Option<chrono::NaiveDate>,
    status: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct ClaimItem {
    reservation_id: String,
    line: i16,
    quantity: i64,
    owner: Option<String>,
    order_ref: Option<String>,
    expires_at: DateTime<Utc>,
    lapsed: bool,
}

#[derive(Debug, Serialize, ToSchema)]
struct OversellItem {
    oversell_id: String,
    reservation_id: Option<String>,
    line: Option<i16>,
    quantity: i64,
    unresolved_quantity: i64,
    opened_at: DateTime<Utc>,
}

/// Whom and what to explain.
pub struct Subject<'a> {
    /// The pool.
    pub pool: PoolId,
    /// The SKU.
    pub sku: &'a Sku,
    /// Its policy.
    pub policy: &'a Policy,
    /// Names.
    pub catalogue: &'a Catalogue,
}

/// Reads everything behind the number in one repeatable-read snapshot.
///
/// # Errors
/// Database errors.
pub async fn explain(db: &PgPool, clock: &Clock, subject: &Subject<'_>) -> sqlx::Result<Explanation> {
    let mut conn = db.acquire().await?;
    let mut tx = conn.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let now = clock.read(&mut tx).await?;
    let balance = read_balance(&mut tx, subject).await?;
    let lots = read_lots(&mut tx, subject).await?;
    let held = read_held(&mut tx, subject, now).await?;
    let committed = read_committed(&mut tx, subject).await?;
    let lapsed = read_lapsed(&mut tx, subject, now).await?;
    let oversells = read_oversells(&mut tx, subject).await?;
    drop(tx);
    drop(conn);
    let entries = super::queries::list_entries(db, subject.pool, subject.sku.id, Some(balance.seq + 1), 20).await?;
    Ok(compose(subject, now, &balance, (lots, committed, held), lapsed, oversells, entries))
}

fn compose(
    subject: &Subject<'_>,
    now: DateTime<Utc>,
    balance: &Balance,
    (lots, committed, held): (Vec<LotItem>, Vec<ClaimItem>, Vec<ClaimItem>),
    lapsed: i64,
    oversells: Vec<OversellItem>,
    entries: Vec<super::queries::EntryRow>,
) -> Explanation {
    let counted = Balance { held: balance.held - lapsed, ..*balance };
    let policy = subject.policy;
    let sellable = counted.sellable(policy);
    Explanation {
        sku: subject.sku.code.to_string(),
        pool: subject.catalogue.pool_code(subject.pool),
        as_of: now,
        formula: format!(
            "sellable {sellable} = on_hand {} − quarantined {} − committed {} − held {} − safety_stock {}; \
             reservable {} = sellable + oversell_tolerance {}",
            counted.on_hand,
            counted.quarantined,
            counted.committed,
            counted.held,
            policy.safety_stock_quantity,
            counted.reservable(policy),
            policy.oversell_tolerance_quantity,
        ),
        sellable_quantity: sellable,
        reservable_quantity: counted.reservable(policy),
        oversold_quantity: counted.oversold(),
        on_hand: Term::of(counted.on_hand, lots),
        quarantined_quantity: counted.quarantined,
        committed: Term::of(counted.committed, committed),
        held: Term::of(counted.held, held),
        lapsed_quantity: lapsed,
        safety_stock_quantity: policy.safety_stock_quantity,
        oversell_tolerance_quantity: policy.oversell_tolerance_quantity,
        class: subject.catalogue.class(subject.sku.class).map(|class| class.code.clone()).unwrap_or_default(),
        oversells,
        entries: entries.into_iter().map(|row| EntryView::of(subject.pool, row)).collect(),
    }
}

async fn read_balance(conn: &mut sqlx::PgConnection, subject: &Subject<'_>) -> sqlx::Result<Balance> {
    let row = sqlx::query_as!(
        Balance,
        "SELECT on_hand, quarantined, held, committed, seq FROM stock WHERE pool_id = $1 AND sku_id = $2",
        subject.pool.0,
        subject.sku.id.0,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.unwrap_or_default())
}

async fn read_lots(conn: &mut sqlx::PgConnection, subject: &Subject<'_>) -> sqlx::Result<Vec<LotItem>> {
    let rows = sqlx::query!(
        r#"
        SELECT lot_id, lot_code, remaining_quantity, received_date, expires_date, status
        FROM lots
        WHERE pool_id = $1 AND sku_id = $2 AND is_open
        ORDER BY received_date, recorded_at, lot_id
        LIMIT $3
        "#,
        subject.pool.0,
        subject.sku.id.0,
        MOST + 1,
    )
    .fetch_all(conn)
    .await?;
    let item = |lot_id| LotId { pool: subject.pool, uuid: lot_id }.to_string();
    Ok(rows
        .into_iter()
        .map(|row| LotItem {
            lot_id: item(row.lot_id),
            lot_code: row.lot_code,
            remaining_quantity: row.remaining_quantity,
            received_date: row.received_date,
            expires_date: row.expires_date,
            status: row.status,
        })
        .collect())
}

async fn read_held(
    conn: &mut sqlx::PgConnection,
    subject: &Subject<'_>,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<ClaimItem>> {
    let rows = sqlx::query!(
        r#"
        SELECT l.reservation_id, l.line, l.held_quantity, l.expires_at, r.owner, r.order_ref
        FROM reservation_lines AS l
        JOIN reservations AS r ON r.pool_id = $1 AND r.reservation_id = l.reservation_id
        WHERE l.pool_id = $1 AND l.sku_id = $2 AND l.held_quantity > 0 AND l.tracked
        ORDER BY l.expires_at
        LIMIT $3
        "#,
        subject.pool.0,
        subject.sku.id.0,
        MOST + 1,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| ClaimItem {
            reservation_id: ReservationId { pool: subject.pool, uuid: row.reservation_id }.to_string(),
            line: row.line,
            quantity: row.held_quantity.into(),
            owner: row.owner,
            order_ref: row.order_ref,
            expires_at: row.expires_at,
            lapsed: row.expires_at <= now,
        })
        .collect())
}

async fn read_committed(conn: &mut sqlx::PgConnection, subject: &Subject<'_>) -> sqlx::Result<Vec<ClaimItem>> {
    let rows = sqlx::query!(
        r#"
        SELECT l.reservation_id, l.line, l.committed_quantity - l.fulfilled_quantity AS "quantity!", l.expires_at,
            r.owner, r.order_ref
        FROM reservation_lines AS l
        JOIN reservations AS r ON r.pool_id = $1 AND r.reservation_id = l.reservation_id
        WHERE l.pool_id = $1 AND l.sku_id = $2 AND l.committed_quantity > l.fulfilled_quantity AND l.tracked
        ORDER BY l.reservation_id
        LIMIT $3
        "#,
        subject.pool.0,
        subject.sku.id.0,
        MOST + 1,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| ClaimItem {
            reservation_id: ReservationId { pool: subject.pool, uuid: row.reservation_id }.to_string(),
            line: row.line,
            quantity: row.quantity.into(),
            owner: row.owner,
            order_ref: row.order_ref,
            expires_at: row.expires_at,
            lapsed: false,
        })
        .collect())
}

async fn read_lapsed(conn: &mut sqlx::PgConnection, subject: &Subject<'_>, now: DateTime<Utc>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"
        SELECT COALESCE(sum(held_quantity), 0) AS "lapsed!"
        FROM reservation_lines
        WHERE pool_id = $1 AND sku_id = $2 AND held_quantity > 0 AND tracked AND expires_at <= $3
        "#,
        subject.pool.0,
        subject.sku.id.0,
        now,
    )
    .fetch_one(conn)
    .await
}

async fn read_oversells(conn: &mut sqlx::PgConnection, subject: &Subject<'_>) -> sqlx::Result<Vec<OversellItem>> {
    let rows = sqlx::query!(
        r#"
        SELECT oversell_id, reservation_id, line, quantity, quantity - resolved_quantity AS "unresolved!", opened_at
        FROM oversells
        WHERE pool_id = $1 AND sku_id = $2 AND resolved_quantity < quantity
        ORDER BY oversell_id
        LIMIT $3
        "#,
        subject.pool.0,
        subject.sku.id.0,
        MOST,
    )
    .fetch_all(conn)
    .await?;
    let reservation = |uuid| ReservationId { pool: subject.pool, uuid }.to_string();
    Ok(rows
        .into_iter()
        .map(|row| OversellItem {
            oversell_id: OversellId { pool: subject.pool, uuid: row.oversell_id }.to_string(),
            reservation_id: row.reservation_id.map(reservation),
            line: row.line,
            quantity: row.quantity,
            unresolved_quantity: row.unresolved,
            opened_at: row.opened_at,
        })
        .collect())
}
