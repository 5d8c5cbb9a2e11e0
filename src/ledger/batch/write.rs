//! What a batch writes: every table in one statement over arrays, whatever the number of commands.
//!
//! Changes of existing rows are upserts on their key: an update from a list is a join, which a plan that was made while
//! the table was empty turns into a scan of the pool for every batch.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::ids::PoolId;
use crate::ledger::batch::BatchError;
use crate::ledger::entry::Entry;
use crate::ledger::world::{Changes, DueLine};
use crate::reservations::state::{Line, Reservation};
use crate::reservations::variants::Variant;

/// Writes all changes of a batch. Reservations that give something up go before those that take it.
pub(super) async fn write_changes(
    conn: &mut PgConnection,
    pool: PoolId,
    now: DateTime<Utc>,
    changes: &Changes,
) -> Result<(), BatchError> {
    if !changes.changed.is_empty() {
        update_reservations(conn, pool, &changes.changed).await?;
        update_lines(conn, pool, &changes.changed).await?;
    }
    if !changes.expired_lines.is_empty() {
        expire_lines(conn, pool, &changes.expired_lines).await?;
    }
    if !changes.made.is_empty() {
        insert_reservations(conn, pool, &changes.made).await?;
        insert_lines(conn, pool, &changes.made).await?;
    }
    if !changes.first_claimed.is_empty() {
        let skus: Vec<i64> = changes.first_claimed.iter().map(|sku| sku.0).collect();
        super::load::open_stock(conn, pool, &skus, now).await?;
    }
    if !changes.entries.is_empty() {
        insert_entries(conn, pool, now, &changes.entries).await?;
        update_stock(conn, pool, now, changes).await?;
    }
    if !changes.lots.is_empty() || !changes.opened.is_empty() {
        super::lots::write(conn, pool, now, changes).await?;
    }
    if !changes.goods.is_empty() {
        super::goods::write::write(conn, pool, now, &changes.goods).await?;
    }
    if !changes.demands.is_empty() {
        super::demand::write(conn, pool, now, &changes.demands).await?;
    }
    if !changes.oversells.is_empty() {
        super::oversells::write(conn, pool, now, &changes.oversells).await?;
    }
    Ok(())
}

pub(super) fn expect_rows(
    what: &'static str,
    expected: usize,
    done: &sqlx::postgres::PgQueryResult,
) -> Result<(), BatchError> {
    if usize::try_from(done.rows_affected()).is_ok_and(|rows| rows == expected) {
        Ok(())
    } else {
        Err(BatchError::Raced(what))
    }
}

/// A line quantity as stored; requests are bounded to 10^9.
fn small(quantity: i64) -> i32 {
    i32::try_from(quantity).unwrap_or(i32::MAX)
}

/// Many reservations as columns.
struct ReservationColumns<'r> {
    ids: Vec<Uuid>,
    clients: Vec<i64>,
    states: Vec<&'r str>,
    origins: Vec<&'r str>,
    references: Vec<Option<&'r str>>,
    owners: Vec<Option<&'r str>>,
    orders: Vec<Option<&'r str>>,
    metadata: Vec<Option<&'r serde_json::Value>>,
    replaces: Vec<Option<Uuid>>,
    created: Vec<DateTime<Utc>>,
    expires: Vec<DateTime<Utc>>,
    longest: Vec<DateTime<Utc>>,
    committed: Vec<Option<DateTime<Utc>>>,
    closed: Vec<Option<DateTime<Utc>>>,
    reasons: Vec<Option<&'r str>>,
}

impl<'r> ReservationColumns<'r> {
    fn of(reservations: &'r [Reservation]) -> Self {
        let all = || reservations.iter();
        Self {
            ids: all().map(|r| r.id.uuid).collect(),
            clients: all().map(|r| r.client.0).collect(),
            states: all().map(|r| r.state.as_str()).collect(),
            origins: all().map(|r| r.origin.as_str()).collect(),
            references: all().map(|r| r.client_reference.as_deref()).collect(),
            owners: all().map(|r| r.owner.as_deref()).collect(),
            orders: all().map(|r| r.order_ref.as_deref()).collect(),
            metadata: all().map(|r| r.metadata.as_ref()).collect(),
            replaces: all().map(|r| r.replaces.map(|id| id.uuid)).collect(),
            created: all().map(|r| r.created_at).collect(),
            expires: all().map(|r| r.expires_at).collect(),
            longest: all().map(|r| r.max_expires_at).collect(),
            committed: all().map(|r| r.committed_at).collect(),
            closed: all().map(|r| r.closed_at).collect(),
            reasons: all().map(|r| r.closed_reason.as_deref()).collect(),
        }
    }
}

async fn insert_reservations(conn: &mut PgConnection, pool: PoolId, made: &[Reservation]) -> Result<(), BatchError> {
    let c = ReservationColumns::of(made);
    // Written once: no later change of a reservation touches it.
    let variants: Vec<Option<Json<&[Variant]>>> =
        made.iter().map(|r| (!r.variants.is_empty()).then_some(Json(r.variants.as_slice()))).collect();
    sqlx::query!(
        r#"
        INSERT INTO reservations (
            pool_id, reservation_id, client_id, state, origin, client_reference, owner, order_ref, metadata,
            replaces_id, created_at, expires_at, max_expires_at, committed_at, closed_at, closed_reason, variants
        )
        SELECT $1, u.*
        FROM unnest(
            $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::jsonb[],
            $10::uuid[], $11::timestamptz[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[],
            $15::timestamptz[], $16::text[], $17::jsonb[]
        ) AS u
        "#,
        pool.0,
        &c.ids,
        &c.clients,
        &c.states as &[&str],
        &c.origins as &[&str],
        &c.references as &[Option<&str>],
        &c.owners as &[Option<&str>],
        &c.orders as &[Option<&str>],
        &c.metadata as &[Option<&serde_json::Value>],
        &c.replaces as &[Option<Uuid>],
        &c.created,
        &c.expires,
        &c.longest,
        &c.committed as &[Option<DateTime<Utc>>],
        &c.closed as &[Option<DateTime<Utc>>],
        &c.reasons as &[Option<&str>],
        &variants as &[Option<Json<&[Variant]>>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The lines of many reservations as columns.
struct LineColumns {
    reservations: Vec<Uuid>,
    lines: Vec<i16>,
    skus: Vec<i64>,
    tracked: Vec<bool>,
    requested: Vec<i32>,
    short: Vec<i32>,
    held: Vec<i32>,
    committed: Vec<i32>,
    released: Vec<i32>,
    superseded: Vec<i32>,
    expired: Vec<i32>,
    cancelled: Vec<i32>,
    fulfilled: Vec<i32>,
    expires_at: Vec<DateTime<Utc>>,
}

impl LineColumns {
    fn of(reservations: &[Reservation]) -> Self {
        let all: Vec<(&Reservation, &Line)> =
            reservations.iter().flat_map(|r| r.lines.iter().map(move |line| (r, line))).collect();
        let quantities = |of: fn(&Line) -> i64| all.iter().map(|(_, line)| small(of(line))).collect();
        Self {
            reservations: all.iter().map(|(r, _)| r.id.uuid).collect(),
            lines: all.iter().map(|(_, line)| line.line).collect(),
            skus: all.iter().map(|(_, line)| line.sku.0).collect(),
            tracked: all.iter().map(|(_, line)| line.tracked).collect(),
            requested: quantities(|line| line.requested),
            short: quantities(|line| line.short),
            held: quantities(|line| line.held),
            committed: quantities(|line| line.committed),
            released: quantities(|line| line.released),
            superseded: quantities(|line| line.superseded),
            expired: quantities(|line| line.expired),
            cancelled: quantities(|line| line.cancelled),
            fulfilled: quantities(|line| line.fulfilled),
            expires_at: all.iter().map(|(r, _)| r.expires_at).collect(),
        }
    }
}

async fn insert_lines(conn: &mut PgConnection, pool: PoolId, made: &[Reservation]) -> Result<(), BatchError> {
    let c = LineColumns::of(made);
    sqlx::query!(
        r#"
        INSERT INTO reservation_lines (
            pool_id, reservation_id, line, sku_id, tracked, requested_quantity, short_quantity, held_quantity,
            committed_quantity, released_quantity, superseded_quantity, expired_quantity, cancelled_quantity,
            fulfilled_quantity, expires_at
        )
        SELECT $1, u.*
        FROM unnest(
            $2::uuid[], $3::smallint[], $4::bigint[], $5::boolean[], $6::integer[], $7::integer[], $8::integer[],
            $9::integer[], $10::integer[], $11::integer[], $12::integer[], $13::integer[], $14::integer[],
            $15::timestamptz[]
        ) AS u
        "#,
        pool.0,
        &c.reservations,
        &c.lines,
        &c.skus,
        &c.tracked,
        &c.requested,
        &c.short,
        &c.held,
        &c.committed,
        &c.released,
        &c.superseded,
        &c.expired,
        &c.cancelled,
        &c.fulfilled,
        &c.expires_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn update_lines(conn: &mut PgConnection, pool: PoolId, changed: &[Reservation]) -> Result<(), BatchError> {
    let c = LineColumns::of(changed);
    let done = sqlx::query!(
        r#"
        INSERT INTO reservation_lines (
            pool_id, reservation_id, line, sku_id, tracked, requested_quantity, short_quantity, held_quantity,
            committed_quantity, released_quantity, superseded_quantity, expired_quantity, cancelled_quantity,
            fulfilled_quantity, expires_at
        )
        SELECT $1, u.*
        FROM unnest(
            $2::uuid[], $3::smallint[], $4::bigint[], $5::boolean[], $6::integer[], $7::integer[], $8::integer[],
            $9::integer[], $10::integer[], $11::integer[], $12::integer[], $13::integer[], $14::integer[],
            $15::timestamptz[]
        ) AS u
        ON CONFLICT (pool_id, reservation_id, line) DO UPDATE
        SET held_quantity = EXCLUDED.held_quantity,
            committed_quantity = EXCLUDED.committed_quantity,
            released_quantity = EXCLUDED.released_quantity,
            superseded_quantity = EXCLUDED.superseded_quantity,
            expired_quantity = EXCLUDED.expired_quantity,
            cancelled_quantity = EXCLUDED.cancelled_quantity,
            fulfilled_quantity = EXCLUDED.fulfilled_quantity,
            expires_at = EXCLUDED.expires_at
        "#,
        pool.0,
        &c.reservations,
        &c.lines,
        &c.skus,
        &c.tracked,
        &c.requested,
        &c.short,
        &c.held,
        &c.committed,
        &c.released,
        &c.superseded,
        &c.expired,
        &c.cancelled,
        &c.fulfilled,
        &c.expires_at,
    )
    .execute(conn)
    .await?;
    expect_rows("reservation_lines", c.lines.len(), &done)
}

/// Closes due lines of reservations that this batch has not loaded; their stock rows are locked.
async fn expire_lines(conn: &mut PgConnection, pool: PoolId, due: &[DueLine]) -> Result<(), BatchError> {
    let ids: Vec<Uuid> = due.iter().map(|line| line.line.reservation).collect();
    let lines: Vec<i16> = due.iter().map(|line| line.line.line).collect();
    let units: Vec<i32> = due.iter().map(|line| small(line.held)).collect();
    let done = sqlx::query!(
        r#"
        INSERT INTO reservation_lines
        SELECT l.*
        FROM unnest($2::uuid[], $3::smallint[], $4::integer[]) AS u (reservation_id, line, units)
        CROSS JOIN LATERAL (
            SELECT *
            FROM reservation_lines
            WHERE pool_id = $1 AND reservation_id = u.reservation_id AND line = u.line AND held_quantity = u.units
            LIMIT 1
        ) AS l
        ON CONFLICT (pool_id, reservation_id, line) DO UPDATE
        SET held_quantity = 0,
            expired_quantity = reservation_lines.expired_quantity + EXCLUDED.held_quantity
        WHERE reservation_lines.held_quantity = EXCLUDED.held_quantity
        "#,
        pool.0,
        &ids,
        &lines,
        &units,
    )
    .execute(conn)
    .await?;
    expect_rows("due lines", due.len(), &done)
}

/// Compare-and-set: a reservation that is terminal by now is nobody's to change.
async fn update_reservations(conn: &mut PgConnection, pool: PoolId, changed: &[Reservation]) -> Result<(), BatchError> {
    let c = ReservationColumns::of(changed);
    let done = sqlx::query!(
        r#"
        INSERT INTO reservations (
            pool_id, reservation_id, client_id, state, origin, client_reference, owner, order_ref, metadata,
            replaces_id, created_at, expires_at, max_expires_at, committed_at, closed_at, closed_reason
        )
        SELECT $1, u.*
        FROM unnest(
            $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::jsonb[],
            $10::uuid[], $11::timestamptz[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[],
            $15::timestamptz[], $16::text[]
        ) AS u
        ON CONFLICT (pool_id, reservation_id) DO UPDATE
        SET state = EXCLUDED.state,
            order_ref = EXCLUDED.order_ref,
            expires_at = EXCLUDED.expires_at,
            committed_at = EXCLUDED.committed_at,
            closed_at = EXCLUDED.closed_at,
            closed_reason = EXCLUDED.closed_reason
        WHERE reservations.state IN ('held', 'committed')
        "#,
        pool.0,
        &c.ids,
        &c.clients,
        &c.states as &[&str],
        &c.origins as &[&str],
        &c.references as &[Option<&str>],
        &c.owners as &[Option<&str>],
        &c.orders as &[Option<&str>],
        &c.metadata as &[Option<&serde_json::Value>],
        &c.replaces as &[Option<Uuid>],
        &c.created,
        &c.expires,
        &c.longest,
        &c.committed as &[Option<DateTime<Utc>>],
        &c.closed as &[Option<DateTime<Utc>>],
        &c.reasons as &[Option<&str>],
    )
    .execute(conn)
    .await?;
    expect_rows("reservations", changed.len(), &done)
}

async fn insert_entries(
    conn: &mut PgConnection,
    pool: PoolId,
    now: DateTime<Utc>,
    entries: &[Entry],
) -> Result<(), BatchError> {
    let numbers = |of: fn(&Entry) -> i64| -> Vec<i64> { entries.iter().map(of).collect() };
    let kinds: Vec<&str> = entries.iter().map(|e| e.kind.as_str()).collect();
    let safety: Vec<Option<i64>> = entries.iter().map(|e| e.policy.map(|policy| policy.0)).collect();
    let tolerance: Vec<Option<i64>> = entries.iter().map(|e| e.policy.map(|policy| policy.1)).collect();
    let reservations: Vec<Option<Uuid>> = entries.iter().map(|e| e.line.map(|line| line.reservation)).collect();
    let lines: Vec<Option<i16>> = entries.iter().map(|e| e.line.map(|line| line.line)).collect();
    let closes: Vec<bool> = entries.iter().map(|e| e.closes_line).collect();
    let lots: Vec<Option<Uuid>> = entries.iter().map(|e| e.lot).collect();
    let shipments: Vec<Option<Uuid>> = entries.iter().map(|e| e.shipment).collect();
    let reasons: Vec<Option<&str>> = entries.iter().map(|e| e.reason.as_deref()).collect();
    sqlx::query!(
        r#"
        INSERT INTO stock_entries (
            pool_id, recorded_at, sku_id, seq, kind, on_hand_delta, quarantined_delta, held_delta, committed_delta,
            on_hand_after, quarantined_after, held_after, committed_after, safety_stock_quantity,
            oversell_tolerance_quantity, reservation_id, line, closes_line, lot_id, shipment_id, reason, client_id
        )
        SELECT $1, $2, u.*
        FROM unnest(
            $3::bigint[], $4::bigint[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
            $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::uuid[],
            $17::smallint[], $18::boolean[], $19::uuid[], $20::uuid[], $21::text[], $22::bigint[]
        ) AS u
        "#,
        pool.0,
        now,
        &numbers(|e| e.sku.0),
        &numbers(|e| e.after.seq),
        &kinds as &[&str],
        &numbers(|e| e.delta.on_hand),
        &numbers(|e| e.delta.quarantined),
        &numbers(|e| e.delta.held),
        &numbers(|e| e.delta.committed),
        &numbers(|e| e.after.on_hand),
        &numbers(|e| e.after.quarantined),
        &numbers(|e| e.after.held),
        &numbers(|e| e.after.committed),
        &safety as &[Option<i64>],
        &tolerance as &[Option<i64>],
        &reservations as &[Option<Uuid>],
        &lines as &[Option<i16>],
        &closes,
        &lots as &[Option<Uuid>],
        &shipments as &[Option<Uuid>],
        &reasons as &[Option<&str>],
        &numbers(|e| e.client.0),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Each balance row once, to its final values. The rows are there, and locked but for those that a first claim has opened,
/// of whose entries this batch owns the first. An upsert finds each by its key whatever the planner thinks of the table,
/// where an update from a list is a join that it may turn into a scan of the pool.
async fn update_stock(
    conn: &mut PgConnection,
    pool: PoolId,
    now: DateTime<Utc>,
    changes: &Changes,
) -> Result<(), BatchError> {
    let balances = &changes.balances;
    let numbers = |of: fn(&crate::ledger::balance::Balance) -> i64| -> Vec<i64> {
        balances.iter().map(|(_, balance)| of(balance)).collect()
    };
    let skus: Vec<i64> = balances.iter().map(|(sku, _)| sku.0).collect();
    let done = sqlx::query!(
        r#"
        INSERT INTO stock (
            pool_id, opened_at, updated_at, sku_id, on_hand, quarantined, held, committed, seq
        )
        SELECT $1, $2, $2, u.*
        FROM unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[]) AS u
        ON CONFLICT (pool_id, sku_id) DO UPDATE
        SET on_hand = EXCLUDED.on_hand,
            quarantined = EXCLUDED.quarantined,
            held = EXCLUDED.held,
            committed = EXCLUDED.committed,
            seq = EXCLUDED.seq,
            updated_at = EXCLUDED.updated_at
        "#,
        pool.0,
        now,
        &skus,
        &numbers(|b| b.on_hand),
        &numbers(|b| b.quarantined),
        &numbers(|b| b.held),
        &numbers(|b| b.committed),
        &numbers(|b| b.seq),
    )
    .execute(conn)
    .await?;
    expect_rows("stock", balances.len(), &done)
}

/// Answers to be kept under their keys.
#[derive(Debug, Default)]
pub(super) struct AnswerColumns {
    pub clients: Vec<i64>,
    pub keys: Vec<String>,
    pub fingerprints: Vec<Vec<u8>>,
    pub statuses: Vec<i16>,
    pub bodies: Vec<Vec<u8>>,
}

/// Claims the keys together with their answers. This is the last statement of a batch: it fails when the transaction
/// is already aborted, and when another instance has claimed one of the keys in the meantime.
pub(super) async fn insert_answers(
    conn: &mut PgConnection,
    pool: PoolId,
    now: DateTime<Utc>,
    answers: &AnswerColumns,
) -> Result<(), BatchError> {
    let done = sqlx::query!(
        r#"
        INSERT INTO idempotency_keys (pool_id, created_at, client_id, key, fingerprint, status, body)
        SELECT $1, $2, u.*
        FROM unnest($3::bigint[], $4::text[], $5::bytea[], $6::smallint[], $7::bytea[]) AS u
        "#,
        pool.0,
        now,
        &answers.clients,
        &answers.keys,
        &answers.fingerprints,
        &answers.statuses,
        &answers.bodies,
    )
    .execute(conn)
    .await
    .map_err(BatchError::from_key_claim)?;
    expect_rows("idempotency_keys", answers.keys.len(), &done)
}
