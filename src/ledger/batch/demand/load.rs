//! Reading orders by key and by name, with their lines, their claims and what has left for them.

use std::collections::{BTreeSet, HashMap};

use sqlx::PgConnection;
use uuid::Uuid;

use crate::ids::{PoolId, SkuId};
use crate::ledger::command::Demand;
use crate::ledger::demand::{DemandKey, DemandLine, DemandRecord};

/// Orders that a batch names.
#[derive(Debug, Default)]
pub(in crate::ledger::batch) struct DemandNames {
    /// Those that it applies, as they would be if they were new.
    applied: Vec<DemandRecord>,
    /// Those that these take over.
    absorbed: Vec<DemandKey>,
    /// What commits and shipments call orders.
    refs: BTreeSet<String>,
}

impl DemandNames {
    /// Adds an order that is applied.
    pub fn apply(&mut self, demand: &Demand) {
        self.applied.push(DemandRecord {
            key: demand.key.clone(),
            order_ref: demand.order_ref.clone(),
            order_name: demand.order_name.clone(),
            revision: UNSEEN,
            absorbed_by: None,
            lines: Vec::new(),
            claims: Vec::new(),
            shipped: HashMap::new(),
        });
        self.absorbed.extend(demand.absorbs.iter().cloned());
    }

    /// Adds an order that a commit or a shipment names.
    pub fn call(&mut self, order_ref: &str) {
        self.refs.insert(order_ref.to_owned());
    }

    pub fn is_empty(&self) -> bool {
        self.applied.is_empty() && self.refs.is_empty()
    }

    fn keys(&self) -> (Vec<String>, Vec<String>) {
        let own = self.applied.iter().map(|record| &record.key);
        own.chain(&self.absorbed).map(|key| (key.source.clone(), key.order_id.clone())).unzip()
    }
}

/// Before any state of an order was applied.
pub(in crate::ledger::batch) const UNSEEN: i64 = -1;

/// Orders as they are under the locks.
#[derive(Debug, Default)]
pub(in crate::ledger::batch) struct Demands {
    /// The named ones; those that are new stand here without lines and claims.
    pub records: Vec<DemandRecord>,
    /// Whose claims the loaded reservations are.
    pub claimed_by: Vec<(Uuid, DemandKey)>,
}

/// The named orders, `found` by [`find`], as they are under the locks, and whose claims these reservations are.
pub(in crate::ledger::batch) async fn load(
    conn: &mut PgConnection,
    pool: PoolId,
    names: &DemandNames,
    found: Vec<DemandRecord>,
    reservations: &[Uuid],
) -> sqlx::Result<Demands> {
    let mut records = found;
    if !records.is_empty() {
        put_lines(conn, pool, &mut records).await?;
    }
    for new in &names.applied {
        if !records.iter().any(|record| record.key == new.key) {
            records.push(new.clone());
        }
    }
    if !records.is_empty() {
        put_shipped(conn, pool, &mut records).await?;
    }
    let claimed_by = if reservations.is_empty() { Vec::new() } else { find_owners(conn, pool, reservations).await? };
    Ok(Demands { records, claimed_by })
}

/// The named orders that are known, with their claims.
pub(in crate::ledger::batch) async fn find(
    conn: &mut PgConnection,
    pool: PoolId,
    names: &DemandNames,
) -> sqlx::Result<Vec<DemandRecord>> {
    let (sources, ids) = names.keys();
    let refs: Vec<String> = names.refs.iter().cloned().collect();
    let rows = sqlx::query!(
        r#"
        SELECT
            d.source AS "source!", d.order_id AS "order_id!", d.order_ref AS "order_ref!", d.order_name,
            d.revision AS "revision!", d.absorbed_by,
            ARRAY(
                SELECT reservation_id
                FROM demand_claims
                WHERE pool_id = $1 AND source = d.source AND order_id = d.order_id
            ) AS "claims!"
        FROM (
            SELECT k.*
            FROM unnest($2::text[], $3::text[]) AS u (source, order_id)
            CROSS JOIN LATERAL (
                SELECT source, order_id, order_ref, order_name, revision, absorbed_by
                FROM demands
                WHERE pool_id = $1 AND source = u.source AND order_id = u.order_id
                LIMIT 1
            ) AS k
            UNION
            SELECT k.*
            FROM unnest($4::text[]) AS u (order_ref)
            CROSS JOIN LATERAL (
                SELECT source, order_id, order_ref, order_name, revision, absorbed_by
                FROM demands
                WHERE pool_id = $1 AND order_ref = u.order_ref
                OFFSET 0
            ) AS k
            UNION
            SELECT k.*
            FROM unnest($4::text[]) AS u (order_ref)
            CROSS JOIN LATERAL (
                SELECT source, order_id, order_ref, order_name, revision, absorbed_by
                FROM demands
                WHERE pool_id = $1 AND order_name = u.order_ref AND order_name IS NOT NULL
                OFFSET 0
            ) AS k
        ) AS d
        "#,
        pool.0,
        &sources,
        &ids,
        &refs,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| DemandRecord {
            key: DemandKey { source: row.source, order_id: row.order_id },
            order_ref: row.order_ref,
            order_name: row.order_name,
            revision: row.revision,
            absorbed_by: row.absorbed_by,
            lines: Vec::new(),
            claims: row.claims,
            shipped: HashMap::new(),
        })
        .collect())
}

async fn put_lines(conn: &mut PgConnection, pool: PoolId, records: &mut [DemandRecord]) -> sqlx::Result<()> {
    let (sources, ids): (Vec<String>, Vec<String>) =
        records.iter().map(|record| (record.key.source.clone(), record.key.order_id.clone())).unzip();
    let rows = sqlx::query!(
        r#"
        SELECT u.n AS "n!", l.line_ref, l.sku_id, l.unit_quantity, l.mapping_version, l.quantity
        FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS u (source, order_id, n)
        CROSS JOIN LATERAL (
            SELECT line_ref, sku_id, unit_quantity, mapping_version, quantity
            FROM demand_lines
            WHERE pool_id = $1 AND source = u.source AND order_id = u.order_id
            OFFSET 0
        ) AS l
        "#,
        pool.0,
        &sources,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    for row in rows {
        let of = usize::try_from(row.n - 1).ok().and_then(|index| records.get_mut(index));
        if let Some(record) = of {
            record.lines.push(DemandLine {
                line_ref: row.line_ref,
                sku: SkuId(row.sku_id),
                unit_quantity: row.unit_quantity,
                mapping_version: row.mapping_version,
                quantity: row.quantity,
            });
        }
    }
    Ok(())
}

/// What has left for each order: by shipments that name it, and by those that fulfilled its claims.
async fn put_shipped(conn: &mut PgConnection, pool: PoolId, records: &mut [DemandRecord]) -> sqlx::Result<()> {
    let (mut called, mut refs, mut claimed, mut claims) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (n, record) in (0_i64..).zip(records.iter()) {
        for name in [Some(&record.order_ref), record.order_name.as_ref()].into_iter().flatten() {
            called.push(n);
            refs.push(name.clone());
        }
        for claim in &record.claims {
            claimed.push(n);
            claims.push(*claim);
        }
    }
    let rows = sqlx::query!(
        r#"
        SELECT s.n AS "n!", l.sku_id AS "sku_id!", sum(l.quantity)::bigint AS "quantity!"
        FROM (
            SELECT u.n, k.shipment_id
            FROM unnest($2::bigint[], $3::text[]) AS u (n, order_ref)
            CROSS JOIN LATERAL (
                SELECT shipment_id
                FROM shipments
                WHERE pool_id = $1 AND order_ref = u.order_ref AND order_ref IS NOT NULL
                OFFSET 0
            ) AS k
            UNION
            SELECT u.n, k.shipment_id
            FROM unnest($4::bigint[], $5::uuid[]) AS u (n, reservation_id)
            CROSS JOIN LATERAL (
                SELECT shipment_id FROM fulfilments WHERE pool_id = $1 AND reservation_id = u.reservation_id OFFSET 0
            ) AS k
        ) AS s
        CROSS JOIN LATERAL (
            SELECT sku_id, quantity
            FROM shipment_lines
            WHERE pool_id = $1 AND shipment_id = s.shipment_id AND voided_at IS NULL AND tracked
            OFFSET 0
        ) AS l
        GROUP BY s.n, l.sku_id
        "#,
        pool.0,
        &called,
        &refs,
        &claimed,
        &claims,
    )
    .fetch_all(conn)
    .await?;
    for row in rows {
        if let Some(record) = usize::try_from(row.n).ok().and_then(|index| records.get_mut(index)) {
            record.shipped.insert(SkuId(row.sku_id), row.quantity);
        }
    }
    Ok(())
}

async fn find_owners(
    conn: &mut PgConnection,
    pool: PoolId,
    reservations: &[Uuid],
) -> sqlx::Result<Vec<(Uuid, DemandKey)>> {
    let rows = sqlx::query!(
        r#"
        SELECT c.reservation_id, c.source, c.order_id
        FROM unnest($2::uuid[]) AS u (reservation_id)
        CROSS JOIN LATERAL (
            SELECT reservation_id, source, order_id
            FROM demand_claims
            WHERE pool_id = $1 AND reservation_id = u.reservation_id
            LIMIT 1
        ) AS c
        "#,
        pool.0,
        reservations,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.reservation_id, DemandKey { source: row.source, order_id: row.order_id }))
        .collect())
}
