//! Shortages of lots that lots could settle. One that waits for a receipt, or for the next close since what came did so
//! after the newest one, is no damage; one that lots of that day could settle was passed over. What settles it is what a
//! receipt would have done: first in, first out, at the cost of the lots.

use chrono::NaiveDate;
use sqlx::PgConnection;
use uuid::Uuid;

use super::evidence::finding;
use super::{Correction, Finding, Kind, LotUnits, Subject};
use crate::catalog::DepletionOrder;
use crate::catalog::days::FIRST_DATE;
use crate::ids::PoolId;
use crate::lots::fifo::{self, Line, Lot};
use crate::lots::later::find_later;

/// Lines of the SKUs of a page whose shortage is open although the shelf gave the units.
pub(super) async fn find(
    conn: &mut PgConnection,
    pool: PoolId,
    from: i64,
    to: i64,
) -> sqlx::Result<Vec<(Uuid, String)>> {
    let rows = sqlx::query!(
        r#"
        SELECT o.shipment_id, o.line_ref
        FROM lot_shortages AS o
        CROSS JOIN LATERAL (
            SELECT covered_quantity > depleted_quantity AS given
            FROM shipment_lines
            WHERE pool_id = $1 AND shipment_id = o.shipment_id AND line_ref = o.line_ref AND voided_at IS NULL
            LIMIT 1
        ) AS l
        WHERE o.pool_id = $1 AND o.sku_id BETWEEN $2 AND $3 AND o.settled_quantity + o.voided_quantity < o.quantity
            AND l.given
        ORDER BY o.sku_id, o.opened_date, o.shipment_id, o.line_ref
        "#,
        pool.0,
        from,
        to,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.shipment_id, row.line_ref)).collect())
}

async fn find_newest_closed(conn: &mut PgConnection, pool: PoolId) -> sqlx::Result<Option<NaiveDate>> {
    sqlx::query_scalar!("SELECT max(snapshot_date) FROM snapshots WHERE pool_id = $1 AND status = 'closed'", pool.0,)
        .fetch_one(conn)
        .await
}

/// The lots that could give something for this line's SKU.
pub(super) async fn find_lots(
    conn: &mut PgConnection,
    pool: PoolId,
    shipment: Uuid,
    line_ref: &str,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"
        SELECT l.lot_id
        FROM lots AS l
        WHERE l.pool_id = $1 AND l.remaining_quantity > l.quarantined_quantity
            AND l.sku_id = (
                SELECT sku_id FROM shipment_lines WHERE pool_id = $1 AND shipment_id = $2 AND line_ref = $3
            )
        ORDER BY l.lot_id
        "#,
        pool.0,
        shipment,
        line_ref,
    )
    .fetch_all(conn)
    .await
}

/// A shortage that lots could settle, as far as they can.
pub(super) async fn look(
    conn: &mut PgConnection,
    pool: PoolId,
    shipment: Uuid,
    line_ref: &str,
) -> sqlx::Result<Option<Finding>> {
    let Some(seen) = sqlx::query!(
        r#"
        SELECT
            l.lot_id, l.shipped_at, l.shipped_date, l.covered_quantity - l.depleted_quantity AS "given!",
            o.quantity - o.settled_quantity - o.voided_quantity AS "open!",
            c.depletion_order AS "order: DepletionOrder",
            to_jsonb(l) AS "line!", to_jsonb(o) AS "shortage!"
        FROM lot_shortages AS o
        JOIN shipment_lines AS l
            ON l.pool_id = $1 AND l.shipment_id = o.shipment_id AND l.line_ref = o.line_ref AND l.voided_at IS NULL
        JOIN skus AS k ON k.sku_id = l.sku_id
        JOIN classes AS c ON c.class_id = k.class_id
        WHERE o.pool_id = $1 AND o.shipment_id = $2 AND o.line_ref = $3
        "#,
        pool.0,
        shipment,
        line_ref,
    )
    .fetch_optional(&mut *conn)
    .await?
    else {
        return Ok(None);
    };
    let quantity = seen.given.min(seen.open);
    if quantity <= 0 {
        return Ok(None);
    }
    let named = find_lots(conn, pool, shipment, line_ref).await?;
    let lots = sqlx::query!(
        r#"
        SELECT
            lot_id, received_date, recorded_at, expires_date, remaining_quantity, quarantined_quantity, unit_cost,
            to_jsonb(l) AS "row!"
        FROM lots AS l
        WHERE pool_id = $1 AND lot_id = ANY($2)
        ORDER BY lot_id
        "#,
        pool.0,
        &named,
    )
    .fetch_all(&mut *conn)
    .await?;
    // What came later settles it at the next close.
    let closed = find_newest_closed(conn, pool).await?.unwrap_or(FIRST_DATE);
    let later = find_later(conn, pool, closed, &named).await?;
    let open: Vec<Lot> = lots
        .iter()
        .map(|lot| Lot {
            id: lot.lot_id,
            received_date: lot.received_date,
            recorded_at: lot.recorded_at,
            expires_date: lot.expires_date,
            remaining: lot.remaining_quantity,
            quarantined: lot.quarantined_quantity,
            later: later.get(&lot.lot_id).cloned().unwrap_or_default(),
        })
        .collect();
    let line = Line {
        shipment,
        line_ref: line_ref.into(),
        lot: seen.lot_id,
        shipped_at: seen.shipped_at,
        shipped_date: seen.shipped_date,
        quantity,
    };
    let allocated = fifo::allocate(&open, &[line], seen.order, closed);
    if allocated.allocations.is_empty() {
        return Ok(None);
    }
    let units: Vec<LotUnits> = allocated
        .allocations
        .iter()
        .map(|one| LotUnits {
            lot_id: open[one.lot].id,
            quantity: one.quantity,
            lot_quantity: -one.quantity,
            unit_cost: lots[one.lot].unit_cost,
            value: None,
        })
        .collect();
    let settled: i64 = units.iter().map(|one| one.quantity).sum();
    let detail = format!("{} units without a lot; lots could give {settled} now.", seen.open);
    let mut rows = vec![seen.line, seen.shortage];
    rows.extend(lots.into_iter().map(|lot| lot.row));
    let subject = Subject::Line { shipment_id: shipment, line_ref: line_ref.to_owned() };
    Ok(Some(finding(Kind::Shortage, pool, subject, rows, detail, Correction::SettleShortage { units })))
}
