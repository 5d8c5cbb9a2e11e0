//! What a batch reads of lots, shipments and returns, under the locks on their stock rows. Shipment lines are locked
//! before lots, each in the order of their keys: the close of a day, which takes no stock row, does the same.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::ids::{ClientId, LotId, PoolId, ReservationId, ReturnId, ShipmentId, SkuId};
use crate::ledger::command::Receive;
use crate::ledger::entry::LineRef;
use crate::ledger::goods::{
    LineDepletion, LotStatus, OpenDiscrepancy, OpenShortage, PendingUnits, ReturnLineRecord, ReturnRecord, ReturnedLot,
    ShipmentLineRecord, ShipmentLineRef, ShipmentRecord,
};
use crate::ledger::outcome::LotRecord;

/// The newest day that is closed, or being closed.
pub(super) async fn find_last_snapshot(conn: &mut PgConnection, pool: PoolId) -> sqlx::Result<Option<NaiveDate>> {
    sqlx::query_scalar!("SELECT max(snapshot_date) FROM snapshots WHERE pool_id = $1", pool.0).fetch_one(conn).await
}

/// SKUs of these lots; a lot never changes its SKU.
pub(super) async fn find_skus_of_lots(conn: &mut PgConnection, pool: PoolId, lots: &[Uuid]) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        SELECT l.sku_id
        FROM unnest($2::uuid[]) AS u (lot_id)
        CROSS JOIN LATERAL (SELECT sku_id FROM lots WHERE pool_id = $1 AND lot_id = u.lot_id LIMIT 1) AS l
        "#,
        pool.0,
        lots,
    )
    .fetch_all(conn)
    .await
}

/// Names of shipments, as columns for UNNEST.
#[derive(Debug, Default)]
pub(super) struct ShipmentNames {
    pub ids: Vec<Uuid>,
    pub sources: Vec<String>,
    pub source_refs: Vec<String>,
    pub order_refs: Vec<String>,
}

impl ShipmentNames {
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.sources.is_empty() && self.order_refs.is_empty()
    }
}

/// Ids of the named shipments, sorted.
pub(super) async fn find_shipment_ids(
    conn: &mut PgConnection,
    pool: PoolId,
    names: &ShipmentNames,
) -> sqlx::Result<Vec<Uuid>> {
    let mut ids = names.ids.clone();
    ids.extend(
        sqlx::query_scalar!(
            r#"
            SELECT s.shipment_id AS "shipment_id!"
            FROM unnest($2::text[], $3::text[]) AS u (source, source_ref)
            CROSS JOIN LATERAL (
                SELECT shipment_id
                FROM shipments
                WHERE pool_id = $1 AND source = u.source AND source_ref = u.source_ref
                LIMIT 1
            ) AS s
            UNION ALL
            SELECT s.shipment_id
            FROM unnest($4::text[]) AS u (order_ref)
            CROSS JOIN LATERAL (
                SELECT shipment_id
                FROM shipments
                WHERE pool_id = $1 AND order_ref = u.order_ref AND order_ref IS NOT NULL
                OFFSET 0
            ) AS s
            "#,
            pool.0,
            &names.sources,
            &names.source_refs,
            &names.order_refs,
        )
        .fetch_all(conn)
        .await?,
    );
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// SKUs of the lines of these shipments, and reservations that they fulfilled, with what took over from those.
pub(super) async fn find_shipped(
    conn: &mut PgConnection,
    pool: PoolId,
    shipments: &[Uuid],
) -> sqlx::Result<(Vec<i64>, Vec<Uuid>)> {
    let skus = sqlx::query_scalar!(
        r#"
        SELECT DISTINCT l.sku_id
        FROM unnest($2::uuid[]) AS u (shipment_id)
        CROSS JOIN LATERAL (
            SELECT sku_id FROM shipment_lines WHERE pool_id = $1 AND shipment_id = u.shipment_id AND tracked OFFSET 0
        ) AS l
        "#,
        pool.0,
        shipments,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut newest = sqlx::query_scalar!(
        r#"
        SELECT DISTINCT f.reservation_id
        FROM unnest($2::uuid[]) AS u (shipment_id)
        CROSS JOIN LATERAL (
            SELECT reservation_id FROM fulfilments WHERE pool_id = $1 AND shipment_id = u.shipment_id OFFSET 0
        ) AS f
        "#,
        pool.0,
        shipments,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut claims = newest.clone();
    // Claims that took over from each other by voids form a chain.
    while !newest.is_empty() {
        newest = sqlx::query_scalar!(
            r#"
            SELECT r.reservation_id
            FROM unnest($2::uuid[]) AS u (replaces_id)
            CROSS JOIN LATERAL (
                SELECT reservation_id
                FROM reservations
                WHERE pool_id = $1 AND replaces_id = u.replaces_id AND replaces_id IS NOT NULL AND origin = 'void'
                LIMIT 1
            ) AS r
            "#,
            pool.0,
            &newest,
        )
        .fetch_all(&mut *conn)
        .await?;
        claims.extend(&newest);
    }
    Ok((skus, claims))
}

/// Reservations that these orders took units of and that are not closed.
pub(super) async fn find_reservations_of_orders(
    conn: &mut PgConnection,
    pool: PoolId,
    order_refs: &[String],
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"
        SELECT r.reservation_id
        FROM unnest($2::text[]) AS u (order_ref)
        CROSS JOIN LATERAL (
            SELECT reservation_id
            FROM reservations
            WHERE pool_id = $1 AND order_ref = u.order_ref AND order_ref IS NOT NULL AND state IN ('held', 'committed')
            OFFSET 0
        ) AS r
        "#,
        pool.0,
        order_refs,
    )
    .fetch_all(conn)
    .await
}

/// Locks the lines of these shipments, which must be sorted, and reads them with all that hangs on them.
pub(super) async fn lock_shipments(
    conn: &mut PgConnection,
    pool: PoolId,
    ids: &[Uuid],
) -> sqlx::Result<Vec<ShipmentRecord>> {
    sqlx::query!(
        r#"
        SELECT l.line_ref
        FROM unnest($2::uuid[]) AS u (shipment_id)
        CROSS JOIN LATERAL (
            SELECT line_ref
            FROM shipment_lines
            WHERE pool_id = $1 AND shipment_id = u.shipment_id
            ORDER BY line_ref
            FOR NO KEY UPDATE
        ) AS l
        "#,
        pool.0,
        ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    find_shipments(conn, pool, ids).await
}

/// Reads these shipments with all that hangs on their lines, in the order of `ids`.
///
/// # Errors
/// Database errors.
pub async fn find_shipments(conn: &mut PgConnection, pool: PoolId, ids: &[Uuid]) -> sqlx::Result<Vec<ShipmentRecord>> {
    let rows = sqlx::query!(
        r#"
        SELECT s.*
        FROM unnest($2::uuid[]) AS u (shipment_id)
        CROSS JOIN LATERAL (
            SELECT shipment_id, source, source_ref, order_ref, reservation_id, client_id, recorded_at
            FROM shipments
            WHERE pool_id = $1 AND shipment_id = u.shipment_id
            LIMIT 1
        ) AS s
        "#,
        pool.0,
        ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut lines = find_lines(conn, pool, ids).await?;
    Ok(rows
        .into_iter()
        .map(|row| ShipmentRecord {
            id: ShipmentId { pool, uuid: row.shipment_id },
            source: row.source,
            source_ref: row.source_ref,
            order_ref: row.order_ref,
            reservation: row.reservation_id.map(|uuid| ReservationId { pool, uuid }),
            client: ClientId(row.client_id),
            recorded_at: row.recorded_at,
            lines: lines.remove(&row.shipment_id).unwrap_or_default(),
        })
        .collect())
}

async fn find_lines(
    conn: &mut PgConnection,
    pool: PoolId,
    ids: &[Uuid],
) -> sqlx::Result<HashMap<Uuid, Vec<ShipmentLineRecord>>> {
    let rows = sqlx::query!(
        r#"
        SELECT l.*
        FROM unnest($2::uuid[]) AS u (shipment_id)
        CROSS JOIN LATERAL (
            SELECT
                shipment_id, line_ref, sku_id, tracked, quantity, covered_quantity, fulfilled_quantity,
                depleted_quantity, returned_quantity, lot_id, shipped_at, shipped_date, snapshot_date, voided_at,
                recorded_at
            FROM shipment_lines
            WHERE pool_id = $1 AND shipment_id = u.shipment_id
            ORDER BY line_ref
        ) AS l
        "#,
        pool.0,
        ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut fulfilments = find_fulfilments(conn, pool, ids).await?;
    let mut depletions = find_depletions(conn, pool, ids).await?;
    let mut lines: HashMap<Uuid, Vec<ShipmentLineRecord>> = HashMap::new();
    for row in rows {
        let line = ShipmentLineRef { shipment: row.shipment_id, line_ref: row.line_ref };
        lines.entry(line.shipment).or_default().push(ShipmentLineRecord {
            sku: SkuId(row.sku_id),
            tracked: row.tracked,
            quantity: row.quantity,
            covered: row.covered_quantity,
            fulfilled: row.fulfilled_quantity,
            depleted: row.depleted_quantity,
            returned: row.returned_quantity,
            lot: row.lot_id,
            shipped_at: row.shipped_at,
            shipped_date: row.shipped_date,
            snapshot_date: row.snapshot_date,
            voided_at: row.voided_at,
            recorded_at: row.recorded_at,
            fulfilments: fulfilments.remove(&line).unwrap_or_default(),
            depletions: depletions.remove(&line).unwrap_or_default(),
            line_ref: line.line_ref,
        });
    }
    Ok(lines)
}

async fn find_fulfilments(
    conn: &mut PgConnection,
    pool: PoolId,
    ids: &[Uuid],
) -> sqlx::Result<BTreeMap<ShipmentLineRef, Vec<(LineRef, i64)>>> {
    let rows = sqlx::query!(
        r#"
        SELECT f.*
        FROM unnest($2::uuid[]) AS u (shipment_id)
        CROSS JOIN LATERAL (
            SELECT shipment_id, line_ref, reservation_id, line, quantity
            FROM fulfilments
            WHERE pool_id = $1 AND shipment_id = u.shipment_id
            ORDER BY line_ref, reservation_id, line
        ) AS f
        "#,
        pool.0,
        ids,
    )
    .fetch_all(conn)
    .await?;
    let mut found: BTreeMap<ShipmentLineRef, Vec<(LineRef, i64)>> = BTreeMap::new();
    for row in rows {
        let line = ShipmentLineRef { shipment: row.shipment_id, line_ref: row.line_ref };
        let claim = LineRef { reservation: row.reservation_id, line: row.line };
        found.entry(line).or_default().push((claim, row.quantity));
    }
    Ok(found)
}

async fn find_depletions(
    conn: &mut PgConnection,
    pool: PoolId,
    ids: &[Uuid],
) -> sqlx::Result<BTreeMap<ShipmentLineRef, Vec<LineDepletion>>> {
    let rows = sqlx::query!(
        r#"
        SELECT d.*
        FROM unnest($2::uuid[]) AS u (shipment_id)
        CROSS JOIN LATERAL (
            SELECT shipment_id, line_ref, n, lot_id, quantity, unit_cost
            FROM depletions
            WHERE pool_id = $1 AND shipment_id = u.shipment_id
            ORDER BY line_ref, n
        ) AS d
        "#,
        pool.0,
        ids,
    )
    .fetch_all(conn)
    .await?;
    let mut found: BTreeMap<ShipmentLineRef, Vec<LineDepletion>> = BTreeMap::new();
    for row in rows {
        let line = ShipmentLineRef { shipment: row.shipment_id, line_ref: row.line_ref };
        let depletion = LineDepletion { n: row.n, lot: row.lot_id, quantity: row.quantity, unit_cost: row.unit_cost };
        found.entry(line).or_default().push(depletion);
    }
    Ok(found)
}

/// Which lots to lock.
#[derive(Debug, Default)]
pub(super) struct LotNames {
    /// All with something left of these SKUs.
    pub open_of: Vec<i64>,
    /// The newest of these SKUs, for its cost.
    pub newest_of: Vec<i64>,
    /// These.
    pub ids: Vec<Uuid>,
}

/// Locks lots in the order of their ids and reads them.
pub(super) async fn lock_lots(conn: &mut PgConnection, pool: PoolId, names: &LotNames) -> sqlx::Result<Vec<LotRecord>> {
    let mut ids = sqlx::query_scalar!(
        r#"
        SELECT l.lot_id AS "lot_id!"
        FROM unnest($2::bigint[]) AS u (sku_id)
        CROSS JOIN LATERAL (
            SELECT lot_id FROM lots WHERE pool_id = $1 AND sku_id = u.sku_id AND remaining_quantity > 0 OFFSET 0
        ) AS l
        UNION ALL
        SELECT l.lot_id
        FROM unnest($3::bigint[]) AS u (sku_id)
        CROSS JOIN LATERAL (
            SELECT lot_id
            FROM lots
            WHERE pool_id = $1 AND sku_id = u.sku_id
            ORDER BY received_date DESC, recorded_at DESC, lot_id DESC
            LIMIT 1
        ) AS l
        "#,
        pool.0,
        &names.open_of,
        &names.newest_of,
    )
    .fetch_all(&mut *conn)
    .await?;
    ids.extend(&names.ids);
    ids.sort_unstable();
    ids.dedup();
    let rows = sqlx::query!(
        r#"
        SELECT l.*, k.code AS sku_code
        FROM unnest($2::uuid[]) AS u (lot_id)
        CROSS JOIN LATERAL (
            SELECT * FROM lots WHERE pool_id = $1 AND lot_id = u.lot_id LIMIT 1 FOR NO KEY UPDATE
        ) AS l
        CROSS JOIN LATERAL (SELECT code FROM skus WHERE sku_id = l.sku_id LIMIT 1) AS k
        "#,
        pool.0,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let id = LotId { pool, uuid: row.lot_id };
            Ok(LotRecord {
                id,
                sku: SkuId(row.sku_id),
                received: Receive {
                    id,
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
                status: read_status(&row.status)?,
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

/// Reads a lot's status.
///
/// # Errors
/// A decode error for a word that this version does not know.
pub fn read_status(word: &str) -> sqlx::Result<LotStatus> {
    LotStatus::parse(word).ok_or_else(|| sqlx::Error::Decode(format!("unknown status {word:?}").into()))
}

/// What left the shelves of these SKUs and no lot yet: closed days excepted, whose shortages stand for themselves.
pub(super) async fn find_pending(
    conn: &mut PgConnection,
    pool: PoolId,
    skus: &[i64],
) -> sqlx::Result<HashMap<SkuId, Vec<PendingUnits>>> {
    let rows = sqlx::query!(
        r#"
        SELECT u.sku_id AS "sku_id!", l.lot_id, l.shipped_date, l.units AS "units!"
        FROM unnest($2::bigint[]) AS u (sku_id)
        CROSS JOIN LATERAL (
            SELECT lot_id, shipped_date, sum(covered_quantity - depleted_quantity)::bigint AS units
            FROM shipment_lines
            WHERE pool_id = $1 AND sku_id = u.sku_id AND snapshot_date IS NULL AND voided_at IS NULL AND tracked
            GROUP BY lot_id, shipped_date
            ORDER BY shipped_date, lot_id
        ) AS l
        WHERE l.units > 0
        "#,
        pool.0,
        skus,
    )
    .fetch_all(conn)
    .await?;
    let mut found: HashMap<SkuId, Vec<PendingUnits>> = HashMap::new();
    for row in rows {
        let units = PendingUnits { lot: row.lot_id, shipped_date: row.shipped_date, quantity: row.units };
        found.entry(SkuId(row.sku_id)).or_default().push(units);
    }
    Ok(found)
}

/// Open discrepancies of these SKUs, oldest first.
pub(super) async fn find_discrepancies(
    conn: &mut PgConnection,
    pool: PoolId,
    skus: &[i64],
) -> sqlx::Result<HashMap<SkuId, Vec<OpenDiscrepancy>>> {
    let rows = sqlx::query!(
        r#"
        SELECT u.sku_id AS "sku_id!", d.discrepancy_id, d.shipment_id, d.line_ref, d.open AS "open!"
        FROM unnest($2::bigint[]) AS u (sku_id)
        CROSS JOIN LATERAL (
            SELECT discrepancy_id, shipment_id, line_ref, quantity - settled_quantity - voided_quantity AS open
            FROM discrepancies
            WHERE pool_id = $1 AND sku_id = u.sku_id AND settled_quantity + voided_quantity < quantity
            ORDER BY discrepancy_id
        ) AS d
        "#,
        pool.0,
        skus,
    )
    .fetch_all(conn)
    .await?;
    let mut found: HashMap<SkuId, Vec<OpenDiscrepancy>> = HashMap::new();
    for row in rows {
        let line = ShipmentLineRef { shipment: row.shipment_id, line_ref: row.line_ref };
        let open = OpenDiscrepancy { id: row.discrepancy_id, line, open: row.open };
        found.entry(SkuId(row.sku_id)).or_default().push(open);
    }
    Ok(found)
}

/// Open lot shortages of these SKUs, oldest first. Their lines are locked: the close of a day settles them, too.
pub(super) async fn lock_shortages(
    conn: &mut PgConnection,
    pool: PoolId,
    skus: &[i64],
) -> sqlx::Result<HashMap<SkuId, Vec<OpenShortage>>> {
    let rows = sqlx::query!(
        r#"
        SELECT u.sku_id AS "sku_id!", s.shipment_id, s.line_ref, s.opened_date
        FROM unnest($2::bigint[]) AS u (sku_id)
        CROSS JOIN LATERAL (
            SELECT shipment_id, line_ref, opened_date
            FROM lot_shortages
            WHERE pool_id = $1 AND sku_id = u.sku_id AND settled_quantity + voided_quantity < quantity
            OFFSET 0
        ) AS s
        ORDER BY s.shipment_id, s.line_ref
        "#,
        pool.0,
        skus,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut found: HashMap<SkuId, Vec<(NaiveDate, OpenShortage)>> = HashMap::new();
    for row in rows {
        let locked = sqlx::query!(
            r#"
            SELECT
                l.covered_quantity - l.depleted_quantity AS "covered_undepleted!",
                s.quantity - s.settled_quantity - s.voided_quantity AS "open!",
                (
                    SELECT coalesce(max(n), 0::smallint)
                    FROM depletions
                    WHERE pool_id = $1 AND shipment_id = $2 AND line_ref = $3
                ) AS "newest!"
            FROM shipment_lines AS l
            JOIN lot_shortages AS s
                ON s.pool_id = $1 AND s.shipment_id = l.shipment_id AND s.line_ref = l.line_ref
            WHERE l.pool_id = $1 AND l.shipment_id = $2 AND l.line_ref = $3
            FOR NO KEY UPDATE
            "#,
            pool.0,
            row.shipment_id,
            row.line_ref,
        )
        .fetch_one(&mut *conn)
        .await?;
        let shortage = OpenShortage {
            line: ShipmentLineRef { shipment: row.shipment_id, line_ref: row.line_ref },
            open: locked.open,
            covered_undepleted: locked.covered_undepleted,
            newest_depletion: locked.newest,
        };
        if shortage.open > 0 {
            found.entry(SkuId(row.sku_id)).or_default().push((row.opened_date, shortage));
        }
    }
    Ok(found
        .into_iter()
        .map(|(sku, mut open)| {
            open.sort_by(|a, b| (a.0, &a.1.line).cmp(&(b.0, &b.1.line)));
            (sku, open.into_iter().map(|(_, shortage)| shortage).collect())
        })
        .collect())
}

/// Returns that these source references named before, with their lines.
pub(super) async fn find_returns(
    conn: &mut PgConnection,
    pool: PoolId,
    sources: &[String],
    source_refs: &[String],
) -> sqlx::Result<Vec<ReturnRecord>> {
    let rows = sqlx::query!(
        r#"
        SELECT r.*
        FROM unnest($2::text[], $3::text[]) AS u (source, source_ref)
        CROSS JOIN LATERAL (
            SELECT return_id, source, source_ref, order_ref, client_id, recorded_at
            FROM returns
            WHERE pool_id = $1 AND source = u.source AND source_ref = u.source_ref
            LIMIT 1
        ) AS r
        "#,
        pool.0,
        sources,
        source_refs,
    )
    .fetch_all(&mut *conn)
    .await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.return_id).collect();
    let mut lines = find_return_lines(conn, pool, &ids).await?;
    Ok(rows
        .into_iter()
        .map(|row| ReturnRecord {
            id: ReturnId { pool, uuid: row.return_id },
            source: row.source,
            source_ref: row.source_ref,
            order_ref: row.order_ref,
            client: ClientId(row.client_id),
            recorded_at: row.recorded_at,
            lines: lines.remove(&row.return_id).unwrap_or_default(),
        })
        .collect())
}

/// One return with its lines.
///
/// # Errors
/// Database errors.
pub async fn find_return_by_id(conn: &mut PgConnection, id: ReturnId) -> sqlx::Result<Option<ReturnRecord>> {
    let named = sqlx::query!(
        "SELECT source, source_ref FROM returns WHERE pool_id = $1 AND return_id = $2",
        id.pool.0,
        id.uuid,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(named) = named else { return Ok(None) };
    Ok(find_returns(conn, id.pool, &[named.source], &[named.source_ref]).await?.pop())
}

async fn find_return_lines(
    conn: &mut PgConnection,
    pool: PoolId,
    ids: &[Uuid],
) -> sqlx::Result<HashMap<Uuid, Vec<ReturnLineRecord>>> {
    let rows = sqlx::query!(
        r#"
        SELECT
            l.*, t.lot_id AS "lot_id?", t.source_lot_id AS "source_lot_id?", t.quantity AS "lot_quantity?",
            t.shipment_id AS "shipment_id?", t.shipment_line_ref AS "shipment_line_ref?"
        FROM unnest($2::uuid[]) AS u (return_id)
        CROSS JOIN LATERAL (
            SELECT return_id, line_ref, sku_id, quantity
            FROM return_lines
            WHERE pool_id = $1 AND return_id = u.return_id
            ORDER BY line_ref
        ) AS l
        LEFT JOIN LATERAL (
            SELECT lot_id, source_lot_id, quantity, shipment_id, shipment_line_ref
            FROM return_lots
            WHERE pool_id = $1 AND return_id = l.return_id AND line_ref = l.line_ref
            ORDER BY n
        ) AS t ON true
        "#,
        pool.0,
        ids,
    )
    .fetch_all(conn)
    .await?;
    let mut lines: HashMap<Uuid, Vec<ReturnLineRecord>> = HashMap::new();
    for row in rows {
        let own = lines.entry(row.return_id).or_default();
        if own.last().is_none_or(|last| last.line_ref != row.line_ref) {
            own.push(ReturnLineRecord {
                line_ref: row.line_ref,
                sku: SkuId(row.sku_id),
                quantity: row.quantity,
                lots: Vec::new(),
            });
        }
        if let Some((last, (lot, quantity))) = own.last_mut().zip(row.lot_id.zip(row.lot_quantity)) {
            last.lots.push(ReturnedLot {
                lot: LotId { pool, uuid: lot },
                source_lot: row.source_lot_id.map(|uuid| LotId { pool, uuid }),
                shipped: row
                    .shipment_id
                    .zip(row.shipment_line_ref)
                    .map(|(shipment, line_ref)| ShipmentLineRef { shipment, line_ref }),
                quantity,
            });
        }
    }
    Ok(lines)
}

/// Units that these transfers took out of their source lots before.
pub(super) async fn find_departures(
    conn: &mut PgConnection,
    pool: PoolId,
    transfers: &[String],
) -> sqlx::Result<Vec<(String, i64)>> {
    let rows = sqlx::query!(
        r#"
        SELECT t.transfer AS "transfer!", t.units AS "units!"
        FROM unnest($2::text[]) AS u (transfer)
        CROSS JOIN LATERAL (
            SELECT source_ref_id AS transfer, -quantity_delta AS units
            FROM lot_transactions
            WHERE pool_id = $1 AND source_ref_id = u.transfer AND row_source = 'transfer_out'
            LIMIT 1
        ) AS t
        "#,
        pool.0,
        transfers,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.transfer, row.units)).collect())
}
