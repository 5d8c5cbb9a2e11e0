//! Reading returns.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::ids::{ClientId, LotId, PoolId, ReturnId, SkuId};
use crate::ledger::goods::{ReturnLineRecord, ReturnRecord, ReturnedLot, ShipmentLineRef};

struct Head {
    return_id: Uuid,
    source: String,
    source_ref: String,
    order_ref: Option<String>,
    client_id: i64,
    recorded_at: DateTime<Utc>,
}

/// Returns that these source references named before, with their lines.
pub(in crate::ledger::batch) async fn find_returns(
    conn: &mut PgConnection,
    pool: PoolId,
    sources: &[String],
    source_refs: &[String],
) -> sqlx::Result<Vec<ReturnRecord>> {
    let heads = sqlx::query_as!(
        Head,
        r#"
        SELECT r.*
        FROM (SELECT DISTINCT * FROM unnest($2::text[], $3::text[])) AS u (source, source_ref)
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
    with_lines(conn, pool, heads).await
}

/// Returns by id, with their lines.
///
/// # Errors
/// Database errors.
pub async fn find_returns_by_id(
    conn: &mut PgConnection,
    pool: PoolId,
    ids: &[Uuid],
) -> sqlx::Result<Vec<ReturnRecord>> {
    let heads = sqlx::query_as!(
        Head,
        r#"
        SELECT r.*
        FROM unnest($2::uuid[]) AS u (return_id)
        CROSS JOIN LATERAL (
            SELECT return_id, source, source_ref, order_ref, client_id, recorded_at
            FROM returns
            WHERE pool_id = $1 AND return_id = u.return_id
            LIMIT 1
        ) AS r
        "#,
        pool.0,
        ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    with_lines(conn, pool, heads).await
}

async fn with_lines(conn: &mut PgConnection, pool: PoolId, heads: Vec<Head>) -> sqlx::Result<Vec<ReturnRecord>> {
    let ids: Vec<Uuid> = heads.iter().map(|head| head.return_id).collect();
    let mut lines = find_return_lines(conn, pool, &ids).await?;
    Ok(heads
        .into_iter()
        .map(|head| ReturnRecord {
            id: ReturnId { pool, uuid: head.return_id },
            source: head.source,
            source_ref: head.source_ref,
            order_ref: head.order_ref,
            client: ClientId(head.client_id),
            recorded_at: head.recorded_at,
            lines: lines.remove(&head.return_id).unwrap_or_default(),
        })
        .collect())
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
