//! Shipment lines: what lots gave for a line against what the line took, and on which days.
//!
//! The line says what it took from lots: never more than it took from the shelf, nothing once it is voided, nothing
//! before a snapshot has taken it. What its depletions sum up to beyond that goes back, at the cost it left at: first
//! what another day took, then last out first, and into the lots as far as those gave it: a depletion that was only
//! written twice gives no lot anything.
//!
//! Its row can be edited; depletions, movements of lots and the close of a day cannot. So a row that contradicts them,
//! and its own shortage as well, is what is wrong: it is set forward, and no lot is moved for that. Depletions that the
//! close of their day counted are never too many.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::books::{Books, Taken, Taking};
use super::evidence::finding;
use super::line::{Line, Row, decide};
use super::{Finding, Kind, Subject};
use crate::ids::PoolId;

/// Lines of the shipments of a page, or one of them, whose depletions are not what the line says, or of more than one
/// day.
pub(super) async fn find(
    conn: &mut PgConnection,
    pool: PoolId,
    (from, to): (Uuid, Uuid),
    only: Option<&str>,
) -> sqlx::Result<Vec<(Uuid, String)>> {
    let rows = sqlx::query!(
        r#"
        SELECT shipment_id, line_ref
        FROM (
            SELECT
                l.shipment_id,
                l.line_ref,
                coalesce(sum(d.quantity), 0) AS units,
                sum(d.quantity) FILTER (
                    WHERE d.kind = 'snapshot' AND d.cost_date IS DISTINCT FROM l.snapshot_date
                ) AS strayed,
                -sum(d.quantity) FILTER (WHERE d.kind IN ('reversal', 'correction') AND d.quantity < 0) AS put_back,
                min(CASE WHEN l.voided_at IS NULL THEN least(l.depleted_quantity, l.covered_quantity) ELSE 0 END) AS due
            FROM shipment_lines AS l
            LEFT JOIN (
                SELECT * FROM depletions WHERE pool_id = $1 AND shipment_id BETWEEN $2 AND $3
            ) AS d ON d.shipment_id = l.shipment_id AND d.line_ref = l.line_ref
            WHERE l.pool_id = $1 AND l.shipment_id BETWEEN $2 AND $3 AND ($4::text IS NULL OR l.line_ref = $4)
            GROUP BY l.shipment_id, l.line_ref
        ) AS line
        WHERE units <> due OR strayed > coalesce(put_back, 0)
        ORDER BY shipment_id, line_ref
        "#,
        pool.0,
        from,
        to,
        only,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.shipment_id, row.line_ref)).collect())
}

/// The lots that a line was ever depleted from.
pub(super) async fn find_lots(
    conn: &mut PgConnection,
    pool: PoolId,
    shipment: Uuid,
    line_ref: &str,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"
        SELECT DISTINCT lot_id
        FROM depletions
        WHERE pool_id = $1 AND shipment_id = $2 AND line_ref = $3
        ORDER BY lot_id
        "#,
        pool.0,
        shipment,
        line_ref,
    )
    .fetch_all(conn)
    .await
}

/// A line whose depletions are not what it says, or of more than one day.
#[allow(clippy::too_many_lines, reason = "one row, and what was seen of it")]
pub(super) async fn look(
    conn: &mut PgConnection,
    pool: PoolId,
    shipment: Uuid,
    line_ref: &str,
    books: &mut Books,
) -> sqlx::Result<Option<Finding>> {
    if find(conn, pool, (shipment, shipment), Some(line_ref)).await?.is_empty() {
        return Ok(None);
    }
    let Some(line) = sqlx::query!(
        r#"
        SELECT
            l.sku_id, l.depleted_quantity, l.covered_quantity, l.snapshot_date, l.voided_at, to_jsonb(l) AS "row!",
            to_jsonb(o) AS shortage,
            CASE
                WHEN l.voided_at IS NULL AND l.tracked
                    THEN l.quantity - coalesce(o.quantity - o.settled_quantity - o.voided_quantity, 0)
            END AS by_shortage
        FROM shipment_lines AS l
        LEFT JOIN lot_shortages AS o
            ON o.pool_id = $1 AND o.shipment_id = l.shipment_id AND o.line_ref = l.line_ref
        WHERE l.pool_id = $1 AND l.shipment_id = $2 AND l.line_ref = $3
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
    let depletions = sqlx::query!(
        r#"
        SELECT kind, lot_id, quantity, unit_cost, cost_date, recorded_at, to_jsonb(d) AS "row!"
        FROM depletions AS d
        WHERE pool_id = $1 AND shipment_id = $2 AND line_ref = $3
        ORDER BY n
        "#,
        pool.0,
        shipment,
        line_ref,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut evidence: Vec<_> = [Some(line.row), line.shortage].into_iter().flatten().collect();
    evidence.extend(depletions.iter().map(|row| row.row.clone()));
    let (mut lots, mut beyond_closes, mut rows) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for row in depletions {
        lots.insert(row.lot_id, books.given(conn, pool, row.lot_id).await?);
        let by = match &*row.kind {
            "snapshot" => Some(Taking::Day(row.cost_date)),
            "settlement" => Some(Taking::Settlement(shipment, line_ref.to_owned())),
            _ => None,
        };
        if row.kind == "snapshot" && line.voided_at.is_none() {
            let beyond = books.lines_beyond_close(conn, pool, line.sku_id, row.cost_date).await?;
            beyond_closes.insert(row.cost_date, beyond);
        }
        let corrected = books.corrected(conn, pool, row.lot_id).await?.filter(|(since, _)| *since >= row.recorded_at);
        rows.push(Row {
            lot_id: row.lot_id,
            quantity: row.quantity,
            unit_cost: corrected.map_or(row.unit_cost, |(_, unit_cost)| unit_cost),
            cost_date: row.cost_date,
            taken: match by {
                Some(by) => books.taken(conn, pool, row.lot_id, by).await?,
                None => Taken::default(),
            },
            kind: row.kind,
        });
    }
    let mut seen = Line {
        due: if line.voided_at.is_some() { 0 } else { line.depleted_quantity.min(line.covered_quantity) },
        depleted: line.depleted_quantity,
        covered: line.covered_quantity,
        by_shortage: line.by_shortage,
        snapshot_date: line.snapshot_date,
        rows,
        lots,
        beyond_closes,
    };
    // What of it is this line's, so that what is repaired of others leaves it as it is.
    let mut never_given: BTreeMap<Uuid, i64> = seen.lots.keys().map(|lot| (*lot, 0)).collect();
    for (row, back) in seen.backs() {
        *never_given.entry(row.lot_id).or_default() += back.never;
    }
    evidence.extend(
        never_given
            .iter()
            .map(|(lot, units)| serde_json::json!({"lot_id": lot, "depletions_beyond_transactions": units})),
    );
    let shelf = books.shelf(conn, pool, line.sku_id).await?;
    let strayed = if seen.snapshot_date.is_some() { seen.strayed().max(0) } else { 0 };
    let kind = if strayed > 0 { Kind::TwoDates } else { Kind::DoubleDepletion };
    let detail = format!(
        "It takes {} from lots; its depletions sum up to {}, {strayed} of them by the snapshot of another day.",
        seen.due,
        seen.taken()
    );
    let correction = decide(&mut seen, shelf);
    let subject = Subject::Line { shipment_id: shipment, line_ref: line_ref.to_owned() };
    Ok(Some(finding(kind, pool, subject, evidence, detail, correction)))
}
