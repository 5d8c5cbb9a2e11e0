//! What a batch reads. Locks come first, in (pool, SKU) order; everything after reads under them.
//!
//! Look-ups by an array of keys are written as `LATERAL … LIMIT 1`: a plain join leaves the planner the choice to scan
//! the whole pool and filter, which costs the same in its eyes while a table is new, and everything once it has grown.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::clock::Clock;
use crate::ids::{ClientId, LotId, PoolId, ReservationId, SkuId};
use crate::ledger::balance::Balance;
use crate::ledger::command::Receive;
use crate::ledger::entry::LineRef;
use crate::ledger::outcome::LotRecord;
use crate::ledger::world::{Due, DueLine, Shelf};
use crate::reservations::state::{Line, Origin, Reservation, State};
use crate::reservations::variants::Variant;

/// SKUs that these reservations claim.
/// Lines never change their SKU, so what is read before the locks is still true under them.
pub(super) async fn find_claimed_skus(conn: &mut PgConnection, pool: PoolId, ids: &[Uuid]) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        SELECT DISTINCT l.sku_id
        FROM unnest($2::uuid[]) AS u (reservation_id)
        CROSS JOIN LATERAL (
            SELECT sku_id
            FROM reservation_lines
            WHERE pool_id = $1 AND reservation_id = u.reservation_id AND tracked
            OFFSET 0
        ) AS l
        "#,
        pool.0,
        ids,
    )
    .fetch_all(conn)
    .await
}

/// Client references as columns, for UNNEST.
#[derive(Debug, Default)]
pub(super) struct References {
    pub clients: Vec<i64>,
    pub names: Vec<String>,
}

/// The named reservations, those that replaced them, who holds their references now (a late claim would want them), and
/// the holders of the named references.
pub(super) async fn find_reservation_ids(
    conn: &mut PgConnection,
    pool: PoolId,
    reservations: &[Uuid],
    references: &References,
) -> sqlx::Result<Vec<Uuid>> {
    let mut ids = reservations.to_vec();
    if !reservations.is_empty() {
        ids.extend(
            sqlx::query_scalar!(
                r#"
                SELECT r.reservation_id AS "reservation_id!"
                FROM unnest($2::uuid[]) AS u (replaces_id)
                CROSS JOIN LATERAL (
                    SELECT reservation_id
                    FROM reservations
                    WHERE pool_id = $1 AND replaces_id IS NOT NULL AND replaces_id = u.replaces_id
                    OFFSET 0
                ) AS r
                UNION ALL
                SELECT h.reservation_id
                FROM unnest($2::uuid[]) AS u (reservation_id)
                CROSS JOIN LATERAL (
                    SELECT client_id, client_reference
                    FROM reservations
                    WHERE pool_id = $1 AND reservation_id = u.reservation_id AND client_reference IS NOT NULL
                    LIMIT 1
                ) AS r
                CROSS JOIN LATERAL (
                    SELECT reservation_id
                    FROM reservations
                    WHERE pool_id = $1
                        AND client_id = r.client_id
                        AND client_reference = r.client_reference
                        AND client_reference IS NOT NULL
                        AND state IN ('held', 'committed', 'fulfilled', 'reconciled')
                    LIMIT 1
                ) AS h
                "#,
                pool.0,
                reservations,
            )
            .fetch_all(&mut *conn)
            .await?,
        );
    }
    if !references.names.is_empty() {
        ids.extend(
            sqlx::query_scalar!(
                r#"
                SELECT r.reservation_id
                FROM unnest($2::bigint[], $3::text[]) AS u (client_id, client_reference)
                CROSS JOIN LATERAL (
                    SELECT reservation_id
                    FROM reservations
                    WHERE pool_id = $1
                        AND client_id = u.client_id
                        AND client_reference = u.client_reference
                        AND client_reference IS NOT NULL
                        AND state IN ('held', 'committed', 'fulfilled', 'reconciled')
                    LIMIT 1
                ) AS r
                "#,
                pool.0,
                &references.clients,
                &references.names,
            )
            .fetch_all(&mut *conn)
            .await?,
        );
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// Locks the balance rows of `skus`, which must be sorted, one after the other, and reads them. SKUs without a row are
/// absent.
pub(super) async fn lock_stock(
    conn: &mut PgConnection,
    pool: PoolId,
    skus: &[i64],
) -> sqlx::Result<Vec<(SkuId, Shelf)>> {
    let rows = sqlx::query!(
        r#"
        SELECT s.*
        FROM unnest($2::bigint[]) AS u (sku_id)
        CROSS JOIN LATERAL (
            SELECT sku_id, on_hand, quarantined, held, committed, seq, opened_at, next_expires_date
            FROM stock
            WHERE pool_id = $1 AND sku_id = u.sku_id
            LIMIT 1
            FOR NO KEY UPDATE
        ) AS s
        "#,
        pool.0,
        skus,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let balance = Balance {
                on_hand: row.on_hand,
                quarantined: row.quarantined,
                held: row.held,
                committed: row.committed,
                seq: row.seq,
            };
            (SkuId(row.sku_id), Shelf { balance, opened_at: row.opened_at, next_expires_date: row.next_expires_date })
        })
        .collect())
}

/// Makes sure that `skus` have a balance row to lock.
pub(super) async fn ensure_stock(
    conn: &mut PgConnection,
    pool: PoolId,
    skus: &[i64],
    clock: &Clock,
) -> sqlx::Result<()> {
    // The database's clock: SKUs are tracked since a moment of it, and a new shelf is opened after that.
    let now = clock.read(conn).await?;
    open_stock(conn, pool, skus, now).await
}

/// Opens the balance rows of `skus` that are not there yet, empty.
pub(super) async fn open_stock(
    conn: &mut PgConnection,
    pool: PoolId,
    skus: &[i64],
    opened_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO stock (pool_id, sku_id, on_hand, quarantined, held, committed, seq, opened_at, updated_at)
        SELECT $1, u.sku_id, 0, 0, 0, 0, 0, $3, $3
        FROM unnest($2::bigint[]) AS u (sku_id)
        ON CONFLICT (pool_id, sku_id) DO NOTHING
        "#,
        pool.0,
        skus,
        opened_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// An answer given before under an idempotency key.
#[derive(Debug)]
pub(super) struct StoredAnswer {
    pub fingerprint: Vec<u8>,
    pub status: i16,
    pub body: Vec<u8>,
}

/// What is read once the locks are held: the clock, the catalogue's revision, answers given before.
#[derive(Debug)]
pub(super) struct UnderLock {
    pub now: DateTime<Utc>,
    pub catalogue_revision: i64,
    pub answers: HashMap<(ClientId, String), StoredAnswer>,
}

/// Reads the clock after the locks (a time read before a lock wait accepts what has expired meanwhile) and looks up
/// the keys. The look-up only saves work: the insert at the end of the transaction is what claims a key.
pub(super) async fn read_under_lock(
    conn: &mut PgConnection,
    pool: PoolId,
    clients: &[i64],
    keys: &[String],
) -> sqlx::Result<UnderLock> {
    let rows = sqlx::query!(
        r#"
        SELECT
            clock_timestamp() AS "now!",
            (SELECT revision FROM catalogue_revision) AS "revision!",
            k.client_id AS "client_id?",
            k.key AS "key?",
            k.fingerprint AS "fingerprint?",
            k.status AS "status?",
            k.body AS "body?"
        FROM (SELECT 1) AS one
        LEFT JOIN LATERAL (
            SELECT i.*
            FROM unnest($2::bigint[], $3::text[]) AS u (client_id, key)
            CROSS JOIN LATERAL (
                SELECT client_id, key, fingerprint, status, body
                FROM idempotency_keys
                WHERE pool_id = $1 AND client_id = u.client_id AND key = u.key
                LIMIT 1
            ) AS i
        ) AS k ON true
        "#,
        pool.0,
        clients,
        keys,
    )
    .fetch_all(conn)
    .await?;
    let (now, catalogue_revision) = rows.first().map(|row| (row.now, row.revision)).ok_or(sqlx::Error::RowNotFound)?;
    let answers = rows
        .into_iter()
        .filter_map(|row| {
            let answer = StoredAnswer { fingerprint: row.fingerprint?, status: row.status?, body: row.body? };
            Some(((ClientId(row.client_id?), row.key?), answer))
        })
        .collect();
    Ok(UnderLock { now, catalogue_revision, answers })
}

/// Locks the reservations with these ids, which must be sorted, one after the other, and reads them with their lines.
pub(super) async fn lock_reservations(
    conn: &mut PgConnection,
    pool: PoolId,
    ids: &[Uuid],
) -> sqlx::Result<Vec<Reservation>> {
    let rows = sqlx::query!(
        r#"
        SELECT
            r.reservation_id, r.client_id, r.state, r.origin, r.client_reference, r.owner, r.order_ref, r.metadata,
            r.replaces_id, r.created_at, r.expires_at, r.max_expires_at, r.committed_at, r.closed_at, r.closed_reason,
            r.variants AS "variants: Json<Vec<Variant>>"
        FROM unnest($2::uuid[]) AS u (reservation_id)
        CROSS JOIN LATERAL (
            SELECT
                reservation_id, client_id, state, origin, client_reference, owner, order_ref, metadata, replaces_id,
                created_at, expires_at, max_expires_at, committed_at, closed_at, closed_reason, variants
            FROM reservations
            WHERE pool_id = $1 AND reservation_id = u.reservation_id
            LIMIT 1
            FOR NO KEY UPDATE
        ) AS r
        "#,
        pool.0,
        ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut lines = find_lines(conn, pool, ids).await?;
    rows.into_iter()
        .map(|row| {
            Ok(Reservation {
                id: ReservationId { pool, uuid: row.reservation_id },
                client: ClientId(row.client_id),
                state: State::parse(&row.state).ok_or_else(|| unknown_word("state", &row.state))?,
                origin: Origin::parse(&row.origin).ok_or_else(|| unknown_word("origin", &row.origin))?,
                client_reference: row.client_reference,
                owner: row.owner,
                order_ref: row.order_ref,
                metadata: row.metadata,
                replaces: row.replaces_id.map(|uuid| ReservationId { pool, uuid }),
                created_at: row.created_at,
                expires_at: row.expires_at,
                max_expires_at: row.max_expires_at,
                committed_at: row.committed_at,
                closed_at: row.closed_at,
                closed_reason: row.closed_reason,
                lines: lines.remove(&row.reservation_id).unwrap_or_default(),
                variants: row.variants.map(|variants| variants.0).unwrap_or_default(),
            })
        })
        .collect()
}

fn unknown_word(column: &str, word: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("unknown {column} {word:?}").into())
}

/// Lines of these reservations, in line order.
///
/// # Errors
/// Database errors.
pub async fn find_lines(conn: &mut PgConnection, pool: PoolId, ids: &[Uuid]) -> sqlx::Result<HashMap<Uuid, Vec<Line>>> {
    let rows = sqlx::query!(
        r#"
        SELECT
            l.reservation_id, l.line, l.sku_id, l.tracked, l.requested_quantity, l.short_quantity, l.held_quantity,
            l.committed_quantity, l.released_quantity, COALESCE(l.superseded_quantity, 0) AS "superseded_quantity!",
            l.expired_quantity, l.cancelled_quantity, l.fulfilled_quantity
        FROM unnest($2::uuid[]) AS u (reservation_id)
        CROSS JOIN LATERAL (
            SELECT
                reservation_id, line, sku_id, tracked, requested_quantity, short_quantity, held_quantity,
                committed_quantity, released_quantity, superseded_quantity, expired_quantity, cancelled_quantity,
                fulfilled_quantity
            FROM reservation_lines
            WHERE pool_id = $1 AND reservation_id = u.reservation_id
            ORDER BY line
        ) AS l
        "#,
        pool.0,
        ids,
    )
    .fetch_all(conn)
    .await?;
    let mut lines: HashMap<Uuid, Vec<Line>> = HashMap::new();
    for row in rows {
        lines.entry(row.reservation_id).or_default().push(Line {
            line: row.line,
            sku: SkuId(row.sku_id),
            tracked: row.tracked,
            requested: row.requested_quantity.into(),
            short: row.short_quantity.into(),
            held: row.held_quantity.into(),
            committed: row.committed_quantity.into(),
            released: row.released_quantity.into(),
            superseded: row.superseded_quantity.into(),
            expired: row.expired_quantity.into(),
            cancelled: row.cancelled_quantity.into(),
            fulfilled: row.fulfilled_quantity.into(),
        });
    }
    Ok(lines)
}

/// The holds on one locked SKU that are due at `now`, soonest first, at most `limit`, and when the next one is.
pub(super) async fn find_due(
    conn: &mut PgConnection,
    pool: PoolId,
    sku: SkuId,
    now: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Due> {
    let rows = sqlx::query!(
        r#"
        SELECT reservation_id, line, held_quantity
        FROM reservation_lines
        WHERE pool_id = $1 AND sku_id = $2 AND held_quantity > 0 AND tracked AND expires_at <= $3
        ORDER BY expires_at
        LIMIT $4
        "#,
        pool.0,
        sku.0,
        now,
        limit,
    )
    .fetch_all(&mut *conn)
    .await?;
    let next_hold_expires_at = sqlx::query_scalar!(
        r#"
        SELECT min(expires_at)
        FROM reservation_lines
        WHERE pool_id = $1 AND sku_id = $2 AND held_quantity > 0 AND expires_at > $3
        "#,
        pool.0,
        sku.0,
        now,
    )
    .fetch_one(conn)
    .await?;
    let complete = i64::try_from(rows.len()).is_ok_and(|found| found < limit);
    let lines = rows
        .into_iter()
        .map(|row| DueLine {
            line: LineRef { reservation: row.reservation_id, line: row.line },
            sku,
            held: row.held_quantity.into(),
        })
        .collect();
    Ok(Due { lines, next_hold_expires_at, complete })
}

/// Lots that these source references named before.
pub(super) async fn find_lots_by_source_ref(
    conn: &mut PgConnection,
    pool: PoolId,
    sources: &[String],
    source_refs: &[String],
) -> sqlx::Result<Vec<LotRecord>> {
    let rows = sqlx::query!(
        r#"
        SELECT
            l.lot_id, l.sku_id, l.lot_code, l.received_quantity, l.unit_cost, l.currency, l.received_date, l.expires_date,
            l.source, l.source_ref, l.remaining_quantity, l.origin, l.status, l.quarantined_quantity,
            l.quarantine_reason, l.cost_provisional, l.source_lot_id, l.client_id, l.recorded_at, k.code AS sku_code
        FROM unnest($2::text[], $3::text[]) AS u (source, source_ref)
        CROSS JOIN LATERAL (
            SELECT *
            FROM lots
            WHERE pool_id = $1 AND source = u.source AND source_ref = u.source_ref AND source_ref IS NOT NULL
            LIMIT 1
        ) AS l
        CROSS JOIN LATERAL (SELECT code FROM skus WHERE sku_id = l.sku_id LIMIT 1) AS k
        "#,
        pool.0,
        sources,
        source_refs,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(LotRecord {
                id: LotId { pool, uuid: row.lot_id },
                sku: SkuId(row.sku_id),
                received: Receive {
                    id: LotId { pool, uuid: row.lot_id },
                    sku: row.sku_code.into(),
                    lot_code: row.lot_code,
                    quantity: row.received_quantity,
                    unit_cost: row.unit_cost.normalize(),
                    currency: row.currency,
                    received_date: row.received_date,
                    expires_date: row.expires_date,
                    source: row.source,
                    source_ref: row.source_ref,
                },
                remaining: row.remaining_quantity,
                origin: row.origin,
                status: super::read_status(&row.status)?,
                quarantined: row.quarantined_quantity,
                quarantine_reason: row.quarantine_reason,
                cost_provisional: row.cost_provisional,
                source_lot: row.source_lot_id.map(|uuid| LotId { pool, uuid }),
                client: ClientId(row.client_id),
                recorded_at: row.recorded_at,
            })
        })
        .collect()
}
