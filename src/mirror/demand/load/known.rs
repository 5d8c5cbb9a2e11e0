//! What the ledger has of orders already.

use std::collections::{HashMap, HashSet};

use sqlx::PgConnection;
use uuid::Uuid;

use crate::ids::{PoolId, ShipmentId, SkuId};
use crate::mirror::demand::plan::{Move, Parcel, RestockedLine, TakenBack};
use crate::mirror::rows::Source;

/// What a line said it was when it claimed first: SKU, units of it, version of the mapping.
pub type Pinned = HashMap<(Source, i64, String), Vec<(SkuId, i32, i32)>>;

/// What the ledger knows of orders in one pool.
#[derive(Debug, Default)]
pub struct Known {
    /// Orders that claim in this pool.
    pub claiming: HashSet<(Source, i64)>,
    /// What their lines are.
    pub pinned: Pinned,
    /// Orders that want something here.
    pub wanting: HashSet<(Source, i64)>,
    /// Recorded parcels.
    pub parcels: HashMap<String, RecordedParcel>,
    /// Recorded lines of refunds.
    pub back: HashMap<String, Vec<Move>>,
}

/// A parcel that the ledger has.
#[derive(Debug, Clone, Default)]
pub struct RecordedParcel {
    /// The shipment.
    pub shipment: Uuid,
    /// Its lines, and whether they stand.
    pub lines: Vec<(Move, bool)>,
    /// Whether units of it have come back.
    pub returned: bool,
}

impl RecordedParcel {
    /// Tells a parcel what of it is recorded, in this pool.
    pub fn tell(&self, pool: PoolId, parcel: &mut Parcel) {
        // Where it was recorded it stays, wherever its location maps to since.
        parcel.pool = Some(pool);
        parcel.stays = self.returned;
        let stands = self.lines.iter().any(|(_, standing)| *standing);
        parcel.shipment = stands.then_some((ShipmentId { pool, uuid: self.shipment }, self.lines.len()));
        for line in &mut parcel.lines {
            line.recorded = self.lines.iter().filter(|(moved, _)| moved.is_of(&line.name)).cloned().collect();
        }
    }
}

impl Known {
    /// Tells a line of a refund what of it is recorded here, in this pool.
    pub fn tell(&self, pool: PoolId, refund_ref: &str, line: &mut RestockedLine) {
        for (name, shipped) in [(refund_ref.to_owned(), true), (format!("{refund_ref}/history"), false)] {
            let own = self.back.get(&name).into_iter().flatten().filter(|moved| moved.is_of(&line.restock_ref));
            line.recorded.extend(own.cloned().map(|moved| TakenBack { pool, shipped, moved }));
        }
    }
}

/// What the ledger knows of these orders in one pool.
///
/// # Errors
/// Database errors.
pub async fn find_known(
    conn: &mut PgConnection,
    pool: PoolId,
    orders: &[(Source, i64)],
    parcels: &[String],
    refunds: &[String],
) -> sqlx::Result<Known> {
    let mut known = Known::default();
    put_claiming(conn, pool, orders, &mut known).await?;
    if !parcels.is_empty() {
        put_recorded_parcels(conn, pool, parcels, &mut known).await?;
    }
    if !refunds.is_empty() {
        put_recorded_refunds(conn, pool, refunds, &mut known).await?;
    }
    Ok(known)
}

async fn put_claiming(
    conn: &mut PgConnection,
    pool: PoolId,
    orders: &[(Source, i64)],
    known: &mut Known,
) -> sqlx::Result<()> {
    let sources: Vec<String> = orders.iter().map(|(source, _)| source.as_str().to_owned()).collect();
    let ids: Vec<String> = orders.iter().map(|(_, id)| id.to_string()).collect();
    let rows = sqlx::query!(
        r#"
        SELECT
            u.n AS "n!", l.line_ref AS "line_ref?", l.sku_id AS "sku_id?", l.unit_quantity AS "unit_quantity?",
            l.mapping_version AS "mapping_version?", l.quantity AS "quantity?"
        FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS u (source, order_id, n)
        CROSS JOIN LATERAL (
            SELECT source, order_id
            FROM demands
            WHERE pool_id = $1 AND source = u.source AND order_id = u.order_id
            LIMIT 1
        ) AS d
        LEFT JOIN LATERAL (
            SELECT line_ref, sku_id, unit_quantity, mapping_version, quantity
            FROM demand_lines
            WHERE pool_id = $1 AND source = d.source AND order_id = d.order_id
            OFFSET 0
        ) AS l ON true
        "#,
        pool.0,
        &sources,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    for row in rows {
        let Some((source, id)) = usize::try_from(row.n - 1).ok().and_then(|index| orders.get(index)) else { continue };
        known.claiming.insert((*source, *id));
        if row.quantity.is_some_and(|quantity| quantity > 0) {
            known.wanting.insert((*source, *id));
        }
        // What has left as something else does not say what the line is.
        if row.mapping_version.is_some_and(|version| version < 0) {
            continue;
        }
        if let (Some(line), Some(sku), Some(units), Some(version)) =
            (row.line_ref, row.sku_id, row.unit_quantity, row.mapping_version)
        {
            let pinned = known.pinned.entry((*source, *id, line)).or_default();
            // What it was under an older version of the mapping wants nothing any more.
            let newest = pinned.iter().map(|(_, _, version)| *version).max().unwrap_or(version);
            if version > newest {
                pinned.clear();
            }
            if version >= newest {
                pinned.push((SkuId(sku), units, version));
            }
        }
    }
    Ok(())
}

async fn put_recorded_parcels(
    conn: &mut PgConnection,
    pool: PoolId,
    parcels: &[String],
    known: &mut Known,
) -> sqlx::Result<()> {
    let rows = sqlx::query!(
        r#"
        SELECT
            s.source_ref, s.shipment_id, l.line_ref, l.sku_id, l.quantity, l.returned_quantity, l.voided_at
        FROM unnest($2::text[]) AS u (source_ref)
        CROSS JOIN LATERAL (
            SELECT source_ref, shipment_id
            FROM shipments
            WHERE pool_id = $1 AND source = 'shopify' AND source_ref = u.source_ref
            LIMIT 1
        ) AS s
        CROSS JOIN LATERAL (
            SELECT line_ref, sku_id, quantity, returned_quantity, voided_at
            FROM shipment_lines
            WHERE pool_id = $1 AND shipment_id = s.shipment_id
            ORDER BY line_ref
            OFFSET 0
        ) AS l
        "#,
        pool.0,
        parcels,
    )
    .fetch_all(conn)
    .await?;
    for row in rows {
        let parcel = known.parcels.entry(row.source_ref).or_default();
        parcel.shipment = row.shipment_id;
        parcel.returned |= row.voided_at.is_none() && row.returned_quantity > 0;
        let moved = Move { move_ref: row.line_ref, sku: SkuId(row.sku_id), quantity: row.quantity };
        parcel.lines.push((moved, row.voided_at.is_none()));
    }
    Ok(())
}

async fn put_recorded_refunds(
    conn: &mut PgConnection,
    pool: PoolId,
    refunds: &[String],
    known: &mut Known,
) -> sqlx::Result<()> {
    let rows = sqlx::query!(
        r#"
        SELECT r.source_ref, l.line_ref, l.sku_id, l.quantity
        FROM unnest($2::text[]) AS u (source_ref)
        CROSS JOIN LATERAL (
            SELECT source_ref, return_id
            FROM returns
            WHERE pool_id = $1 AND source = 'shopify' AND source_ref = u.source_ref
            LIMIT 1
        ) AS r
        CROSS JOIN LATERAL (
            SELECT line_ref, sku_id, quantity
            FROM return_lines
            WHERE pool_id = $1 AND return_id = r.return_id
            ORDER BY line_ref
            OFFSET 0
        ) AS l
        "#,
        pool.0,
        refunds,
    )
    .fetch_all(conn)
    .await?;
    for row in rows {
        let moved = Move { move_ref: row.line_ref, sku: SkuId(row.sku_id), quantity: row.quantity };
        known.back.entry(row.source_ref).or_default().push(moved);
    }
    Ok(())
}
