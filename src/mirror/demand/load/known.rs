//! What the ledger has of orders already.

use std::collections::{HashMap, HashSet};

use sqlx::PgConnection;
use uuid::Uuid;

use crate::ids::{PoolId, SkuId};
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
    /// Recorded parcels: id, and the names of lines that stand and of those that were voided.
    pub parcels: HashMap<String, RecordedParcel>,
    /// Recorded lines of refunds.
    pub back: HashMap<String, HashSet<String>>,
}

/// A parcel that the ledger has.
#[derive(Debug, Clone, Default)]
pub struct RecordedParcel {
    /// The shipment.
    pub shipment: Uuid,
    /// Names of its lines.
    pub lines: HashSet<String>,
    /// Whether a line of it stands.
    pub standing: bool,
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
            l.mapping_version AS "mapping_version?"
        FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS u (source, order_id, n)
        CROSS JOIN LATERAL (
            SELECT source, order_id
            FROM demands
            WHERE pool_id = $1 AND source = u.source AND order_id = u.order_id
            LIMIT 1
        ) AS d
        LEFT JOIN LATERAL (
            SELECT line_ref, sku_id, unit_quantity, mapping_version
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
        SELECT s.source_ref, s.shipment_id, l.line_ref, l.voided_at
        FROM unnest($2::text[]) AS u (source_ref)
        CROSS JOIN LATERAL (
            SELECT source_ref, shipment_id
            FROM shipments
            WHERE pool_id = $1 AND source = 'shopify' AND source_ref = u.source_ref
            LIMIT 1
        ) AS s
        CROSS JOIN LATERAL (
            SELECT line_ref, voided_at FROM shipment_lines WHERE pool_id = $1 AND shipment_id = s.shipment_id OFFSET 0
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
        parcel.standing |= row.voided_at.is_none();
        parcel.lines.insert(row.line_ref);
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
        SELECT r.source_ref, l.line_ref
        FROM unnest($2::text[]) AS u (source_ref)
        CROSS JOIN LATERAL (
            SELECT source_ref, return_id
            FROM returns
            WHERE pool_id = $1 AND source = 'shopify' AND source_ref = u.source_ref
            LIMIT 1
        ) AS r
        CROSS JOIN LATERAL (
            SELECT line_ref FROM return_lines WHERE pool_id = $1 AND return_id = r.return_id OFFSET 0
        ) AS l
        "#,
        pool.0,
        refunds,
    )
    .fetch_all(conn)
    .await?;
    for row in rows {
        known.back.entry(row.source_ref).or_default().insert(row.line_ref);
    }
    Ok(())
}
