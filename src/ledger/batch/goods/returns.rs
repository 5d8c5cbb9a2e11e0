//! Reading returns.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::ids::{ClientId, LotId, PoolId, ReturnId, SkuId};
use crate::ledger::goods::{ReturnLineRecord, ReturnRecord, ReturnedLot, ShipmentLineRef};

/// Returns that these source references named before, with their lines.
pub(in crate::ledger::batch) async fn find_returns(
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
