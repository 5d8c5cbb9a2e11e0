//! Reading what a plan needs: the newest copies of orders, what their lines are, and what of them is recorded already.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::plan::{Line, Meaning, Parcel, Restock, RestockedLine};
use crate::catalog::{Catalogue, SkuStatus};
use crate::ids::{PoolId, SkuId};
use crate::mirror::mapping::queries::find_mappings;
use crate::mirror::rows::Source;

/// An order as copied, from whichever upstream.
#[derive(Debug, Clone)]
pub struct Copied {
    /// What people call it.
    pub name: Option<String>,
    /// Whether nobody means it.
    pub test: bool,
    /// Whether it is paid for, or may be taken for it.
    pub paid: bool,
    /// Whether anything more is to be sent.
    pub end: Option<End>,
    /// When it was made in the shop.
    pub processed_at: Option<DateTime<Utc>>,
    /// Attribute of the storefront: its reservation.
    pub reservation_id: Option<String>,
    /// Attribute of the storefront: its pool.
    pub pool_code: Option<String>,
    /// The same order in Shopify; of Recharge orders.
    pub external_order_id: Option<i64>,
    /// Its lines.
    pub lines: Vec<Line>,
    /// Its parcels; their pools are where their locations map to.
    pub parcels: Vec<Parcel>,
    /// What came back.
    pub restocks: Vec<Restock>,
}

/// Why nothing more of an order is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The upstream no longer has it.
    Deleted,
    /// It was cancelled.
    Cancelled,
    /// It was archived.
    Closed,
}

impl End {
    fn of(deleted: bool, cancelled: bool, closed: bool) -> Option<Self> {
        match (deleted, cancelled, closed) {
            (true, ..) => Some(Self::Deleted),
            (_, true, _) => Some(Self::Cancelled),
            (_, _, true) => Some(Self::Closed),
            _ => None,
        }
    }
}

/// States of money in which an order may come to nothing. A word not known yet is taken for paid.
fn is_paid(financial_status: Option<&str>) -> bool {
    !matches!(financial_status, Some("PENDING" | "EXPIRED" | "VOIDED"))
}

/// Copies of Shopify orders, by id.
///
/// # Errors
/// Database errors.
pub async fn find_shopify(conn: &mut PgConnection, ids: &[i64]) -> sqlx::Result<HashMap<i64, Copied>> {
    let rows = sqlx::query!(
        r#"
        SELECT
            order_id, name, test, financial_status, cancelled_at, closed_at, deleted_at, processed_at, reservation_id,
            pool_code
        FROM mirror.orders
        WHERE order_id = ANY($1)
        "#,
        ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut orders: HashMap<i64, Copied> = rows
        .into_iter()
        .map(|row| {
            let copied = Copied {
                name: Some(row.name),
                test: row.test,
                paid: is_paid(row.financial_status.as_deref()),
                end: End::of(row.deleted_at.is_some(), row.cancelled_at.is_some(), row.closed_at.is_some()),
                processed_at: row.processed_at,
                reservation_id: row.reservation_id,
                pool_code: row.pool_code,
                external_order_id: None,
                lines: Vec::new(),
                parcels: Vec::new(),
                restocks: Vec::new(),
            };
            (row.order_id, copied)
        })
        .collect();
    put_lines(conn, ids, &mut orders).await?;
    put_parcels(conn, ids, &mut orders).await?;
    put_restocks(conn, ids, &mut orders).await?;
    Ok(orders)
}

async fn put_lines(conn: &mut PgConnection, ids: &[i64], orders: &mut HashMap<i64, Copied>) -> sqlx::Result<()> {
    let rows = sqlx::query!(
        r#"
        SELECT
            order_id, line_id, variant_id, sku, title, unfulfilled_quantity, current_quantity, requires_shipping
        FROM mirror.order_lines
        WHERE order_id = ANY($1)
        ORDER BY order_id, position
        "#,
        ids,
    )
    .fetch_all(conn)
    .await?;
    for row in rows {
        if let Some(order) = orders.get_mut(&row.order_id) {
            order.lines.push(Line {
                line_ref: row.line_id.to_string(),
                variant_id: row.variant_id,
                sku: row.sku,
                title: row.title,
                unfulfilled: row.unfulfilled_quantity,
                current: row.current_quantity,
                requires_shipping: row.requires_shipping,
            });
        }
    }
    Ok(())
}

async fn put_parcels(conn: &mut PgConnection, ids: &[i64], orders: &mut HashMap<i64, Copied>) -> sqlx::Result<()> {
    let rows = sqlx::query!(
        r#"
        SELECT
            f.order_id, f.fulfilment_id, f.status, f.created_at, p.pool_id AS "pool_id?",
            l.fulfilment_line_id, l.line_id, l.quantity
        FROM mirror.fulfilments AS f
        JOIN mirror.fulfilment_lines AS l ON l.order_id = f.order_id AND l.fulfilment_id = f.fulfilment_id
        LEFT JOIN location_pools AS p ON p.location_id = f.location_id
        WHERE f.order_id = ANY($1)
        ORDER BY f.order_id, f.created_at, f.fulfilment_id, l.fulfilment_line_id
        "#,
        ids,
    )
    .fetch_all(conn)
    .await?;
    for row in rows {
        let Some(order) = orders.get_mut(&row.order_id) else { continue };
        let parcel_ref = row.fulfilment_id.to_string();
        if order.parcels.last().is_none_or(|parcel| parcel.parcel_ref != parcel_ref) {
            order.parcels.push(Parcel {
                parcel_ref,
                sent: row.status == "SUCCESS",
                sent_at: row.created_at,
                pool: row.pool_id.map(PoolId),
                lines: Vec::new(),
            });
        }
        if let Some(parcel) = order.parcels.last_mut() {
            parcel.lines.push((row.fulfilment_line_id.to_string(), row.line_id.to_string(), row.quantity));
        }
    }
    Ok(())
}

/// Only units that were sent and came back: what was never sent leaves with the units that are still to be sent.
async fn put_restocks(conn: &mut PgConnection, ids: &[i64], orders: &mut HashMap<i64, Copied>) -> sqlx::Result<()> {
    let rows = sqlx::query!(
        r#"
        SELECT
            r.order_id, r.refund_id, r.created_at, l.position, l.line_id, l.quantity, p.pool_id AS "pool_id?"
        FROM mirror.refunds AS r
        JOIN mirror.refund_lines AS l ON l.order_id = r.order_id AND l.refund_id = r.refund_id
        LEFT JOIN location_pools AS p ON p.location_id = l.location_id
        WHERE r.order_id = ANY($1) AND l.restocked AND l.restock_type IN ('RETURN', 'LEGACY_RESTOCK') AND l.quantity > 0
        ORDER BY r.order_id, r.refund_id, l.position
        "#,
        ids,
    )
    .fetch_all(conn)
    .await?;
    for row in rows {
        let Some(order) = orders.get_mut(&row.order_id) else { continue };
        let refund_ref = row.refund_id.to_string();
        if order.restocks.last().is_none_or(|refund| refund.refund_ref != refund_ref) {
            order.restocks.push(Restock { refund_ref, made_at: row.created_at, lines: Vec::new() });
        }
        if let Some(refund) = order.restocks.last_mut() {
            refund.lines.push(RestockedLine {
                restock_ref: row.position.to_string(),
                line_ref: row.line_id.to_string(),
                quantity: row.quantity,
                pool: row.pool_id.map(PoolId),
            });
        }
    }
    Ok(())
}

/// Copies of Recharge orders, by id. What is processed is open until it is known to be a Shopify order.
///
/// # Errors
/// Database errors.
pub async fn find_recharge(conn: &mut PgConnection, ids: &[i64]) -> sqlx::Result<HashMap<i64, Copied>> {
    let rows = sqlx::query!(
        r#"
        SELECT order_id, status, processed_at, external_order_id, external_order_name, deleted_at
        FROM mirror.recharge_orders
        WHERE order_id = ANY($1)
        "#,
        ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut orders: HashMap<i64, Copied> = rows
        .into_iter()
        .map(|row| {
            let copied = Copied {
                name: None,
                test: false,
                paid: true,
                end: End::of(row.deleted_at.is_some(), row.status != "success", false),
                processed_at: row.processed_at,
                reservation_id: None,
                pool_code: None,
                external_order_id: row.external_order_id,
                lines: Vec::new(),
                parcels: Vec::new(),
                restocks: Vec::new(),
            };
            (row.order_id, copied)
        })
        .collect();
    let rows = sqlx::query!(
        r#"
        SELECT owner_id, position, variant_id, sku, title, quantity
        FROM mirror.recharge_lines
        WHERE owner = 'order' AND owner_id = ANY($1)
        ORDER BY owner_id, position
        "#,
        ids,
    )
    .fetch_all(conn)
    .await?;
    for row in rows {
        if let Some(order) = orders.get_mut(&row.owner_id) {
            order.lines.push(Line {
                line_ref: row.position.to_string(),
                variant_id: row.variant_id,
                sku: row.sku,
                title: row.title,
                unfulfilled: row.quantity,
                current: row.quantity,
                requires_shipping: true,
            });
        }
    }
    Ok(orders)
}

/// Recharge orders that are these Shopify orders: (Shopify's id, Recharge's).
///
/// # Errors
/// Database errors.
pub async fn find_links(conn: &mut PgConnection, shopify: &[i64]) -> sqlx::Result<Vec<(i64, i64)>> {
    let rows = sqlx::query!(
        r#"
        SELECT external_order_id AS "external_order_id!", order_id
        FROM mirror.recharge_orders
        WHERE external_order_id = ANY($1) AND external_order_id IS NOT NULL
        ORDER BY order_id
        "#,
        shopify,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.external_order_id, row.order_id)).collect())
}

/// Which of these Shopify orders are copied.
///
/// # Errors
/// Database errors.
pub async fn find_copied(conn: &mut PgConnection, shopify: &[i64]) -> sqlx::Result<HashSet<i64>> {
    let ids = sqlx::query_scalar!("SELECT order_id FROM mirror.orders WHERE order_id = ANY($1)", shopify)
        .fetch_all(conn)
        .await?;
    Ok(ids.into_iter().collect())
}

/// What a line said it was when it claimed first: SKU, units of it, version of the mapping.
pub type Pinned = HashMap<(Source, i64, String), Vec<(SkuId, i32, i32)>>;

/// Orders as copied, by source and id.
pub type Orders = HashMap<(Source, i64), Copied>;

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

/// What lines are: as pinned when they claimed first, as an operator said of the line, as the variant is mapped, or by the
/// SKU code that they carry themselves.
///
/// # Errors
/// Database errors.
pub async fn find_meanings(
    conn: &mut PgConnection,
    catalogue: &Catalogue,
    orders: &Orders,
    pinned: &Pinned,
) -> sqlx::Result<HashMap<(Source, i64), HashMap<String, Meaning>>> {
    let mut variants: Vec<i64> =
        orders.values().flat_map(|order| &order.lines).filter_map(|line| line.variant_id).collect();
    variants.sort_unstable();
    variants.dedup();
    let mappings = find_mappings(conn, &variants).await?;
    let by_line = find_line_mappings(conn, orders).await?;
    let mut meanings = HashMap::new();
    for ((source, id), order) in orders {
        let mut of_order = HashMap::new();
        for line in &order.lines {
            let key = (*source, *id, line.line_ref.clone());
            let mapping = line.variant_id.and_then(|variant| mappings.get(&variant));
            let follows = mapping.map_or(0, |mapping| mapping.open_lines_follow_from);
            let pinned = pinned.get(&key).filter(|pinned| pinned.iter().all(|(_, _, version)| *version >= follows));
            let meaning = if let Some(components) = by_line.get(&key) {
                Some(Meaning { version: 0, components: components.clone() })
            } else if let Some(pinned) = pinned {
                let version = pinned.first().map_or(0, |(_, _, version)| *version);
                let components = pinned.iter().map(|(sku, units, _)| (*sku, *units)).collect();
                Some(Meaning { version, components })
            } else if let Some(mapping) = mapping {
                Some(Meaning { version: mapping.version, components: mapping.components.clone() })
            } else {
                by_code(catalogue, line)
            };
            of_order.extend(meaning.map(|meaning| (line.line_ref.clone(), meaning)));
        }
        meanings.insert((*source, *id), of_order);
    }
    Ok(meanings)
}

/// A retired SKU's code on something new may mean something else: somebody has to say so.
fn by_code(catalogue: &Catalogue, line: &Line) -> Option<Meaning> {
    let sku = catalogue.sku_by_code(line.sku.as_deref()?).filter(|sku| sku.status == SkuStatus::Active)?;
    Some(Meaning { version: 0, components: vec![(sku.id, 1)] })
}

async fn find_line_mappings(
    conn: &mut PgConnection,
    orders: &Orders,
) -> sqlx::Result<HashMap<(Source, i64, String), Vec<(SkuId, i32)>>> {
    let sources: Vec<String> = orders.keys().map(|(source, _)| source.as_str().to_owned()).collect();
    let ids: Vec<i64> = orders.keys().map(|(_, id)| *id).collect();
    let rows = sqlx::query!(
        r#"
        SELECT m.source, m.order_id, m.line_ref, m.sku_id, m.quantity
        FROM unnest($1::text[], $2::bigint[]) AS u (source, order_id)
        CROSS JOIN LATERAL (
            SELECT source, order_id, line_ref, sku_id, quantity
            FROM line_mappings
            WHERE source = u.source AND order_id = u.order_id
            OFFSET 0
        ) AS m
        ORDER BY m.sku_id
        "#,
        &sources,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    let mut found: HashMap<_, Vec<_>> = HashMap::new();
    for row in rows {
        if let Some(source) = Source::parse(&row.source) {
            found.entry((source, row.order_id, row.line_ref)).or_default().push((SkuId(row.sku_id), row.quantity));
        }
    }
    Ok(found)
}

/// When copying from a source began.
///
/// # Errors
/// Database errors.
pub async fn find_began_at(conn: &mut PgConnection, source: Source) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!("SELECT began_at FROM mirror.beginnings WHERE source = $1", source.as_str())
        .fetch_optional(conn)
        .await
}
