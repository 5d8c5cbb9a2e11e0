//! Reading shipments: by name, with all that hangs on their lines.

use std::collections::{BTreeMap, HashMap};

use sqlx::PgConnection;
use uuid::Uuid;

use super::costs::find_corrected;
use crate::ids::{ClientId, PoolId, ReservationId, ShipmentId, SkuId};
use crate::ledger::entry::LineRef;
use crate::ledger::goods::{LineDepletion, ShipmentLineRecord, ShipmentLineRef, ShipmentRecord};

/// Names of shipments, as columns for UNNEST.
#[derive(Debug, Default)]
pub(in crate::ledger::batch) struct ShipmentNames {
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
pub(in crate::ledger::batch) async fn find_shipment_ids(
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
pub(in crate::ledger::batch) async fn find_shipped(
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
pub(in crate::ledger::batch) async fn find_reservations_of_orders(
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
pub(in crate::ledger::batch) async fn lock_shipments(
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
                depleted_quantity, returned_quantity, lot_id, named_lot_code, shipped_at, shipped_date, snapshot_date,
                voided_at, recorded_at
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
            lot_code: row.named_lot_code,
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
            SELECT shipment_id, line_ref, n, lot_id, quantity, unit_cost, recorded_at
            FROM depletions
            WHERE pool_id = $1 AND shipment_id = u.shipment_id
            ORDER BY line_ref, n
        ) AS d
        "#,
        pool.0,
        ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut lots: Vec<Uuid> = rows.iter().map(|row| row.lot_id).collect();
    lots.sort_unstable();
    lots.dedup();
    // Nobody gives a lot another cost now: its balance row is locked.
    let corrected = if lots.is_empty() { HashMap::new() } else { find_corrected(conn, pool, &lots).await? };
    let mut found: BTreeMap<ShipmentLineRef, Vec<LineDepletion>> = BTreeMap::new();
    for row in rows {
        let line = ShipmentLineRef { shipment: row.shipment_id, line_ref: row.line_ref };
        let since = corrected.get(&row.lot_id).filter(|(recorded_at, _)| *recorded_at >= row.recorded_at);
        let unit_cost = since.map_or(row.unit_cost, |(_, unit_cost)| *unit_cost);
        let depletion = LineDepletion { n: row.n, lot: row.lot_id, quantity: row.quantity, unit_cost };
        found.entry(line).or_default().push(depletion);
    }
    Ok(found)
}
