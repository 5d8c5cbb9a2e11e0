//! The newest copies of orders, from either upstream.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::ids::{PoolId, ReservationId};
use crate::mirror::demand::plan::{Line, Parcel, ParcelLine, Restock, RestockedLine};
use crate::mirror::rows::Source;

/// Orders as copied, by source and id.
pub type Orders = HashMap<(Source, i64), Copied>;

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
    pub names: Option<ReservationId>,
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
                names: row.reservation_id.as_deref().and_then(ReservationId::parse),
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
                shipment: None,
                stays: false,
                lines: Vec::new(),
            });
        }
        if let Some(parcel) = order.parcels.last_mut() {
            parcel.lines.push(ParcelLine {
                name: row.fulfilment_line_id.to_string(),
                line_ref: row.line_id.to_string(),
                quantity: row.quantity,
                recorded: Vec::new(),
            });
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
                recorded: Vec::new(),
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
                names: None,
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

/// Recharge orders that are these Shopify orders: Shopify's id, Recharge's, and the newest state of Recharge's.
///
/// # Errors
/// Database errors.
pub async fn find_links(conn: &mut PgConnection, shopify: &[i64]) -> sqlx::Result<Vec<(i64, i64, i64)>> {
    let rows = sqlx::query!(
        r#"
        SELECT o.external_order_id AS "external_order_id!", o.order_id, COALESCE(p.revision, 0) AS "revision!"
        FROM mirror.recharge_orders AS o
        LEFT JOIN mirror.order_progress AS p ON p.source = 'recharge' AND p.order_id = o.order_id
        WHERE o.external_order_id = ANY($1) AND o.external_order_id IS NOT NULL
        ORDER BY o.order_id
        "#,
        shopify,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.external_order_id, row.order_id, row.revision)).collect())
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

/// When copying from a source began.
///
/// # Errors
/// Database errors.
pub async fn find_began_at(conn: &mut PgConnection, source: Source) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!("SELECT began_at FROM mirror.beginnings WHERE source = $1", source.as_str())
        .fetch_optional(conn)
        .await
}
