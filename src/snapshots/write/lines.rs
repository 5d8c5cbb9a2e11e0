//! Shipment lines, and what is short of them.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::expect_rows;
use crate::snapshots::CloseError;
use crate::snapshots::assign::Assigned;
use crate::snapshots::close::Day;
use crate::snapshots::lock::LockedLine;

/// The lines of SKUs of which lots gave every unit that the shelf had covered, in one sweep: most days, all of them.
/// Gives these SKUs. Their lines are locked, so more rows than those can only mean that a shipment has come since.
pub(super) async fn update_whole(
    conn: &mut PgConnection,
    day: Day,
    assigned: &Assigned,
    of_day: &[(usize, &LockedLine)],
) -> Result<BTreeSet<i64>, CloseError> {
    let mut whole: BTreeSet<i64> = of_day.iter().map(|(_, line)| line.sku_id).collect();
    for (place, line) in of_day {
        if line.depleted_quantity + assigned.taken[*place].depleted < line.covered_quantity {
            whole.remove(&line.sku_id);
        }
    }
    if whole.is_empty() {
        return Ok(whole);
    }
    let skus: Vec<i64> = whole.iter().copied().collect();
    let done = sqlx::query!(
        r#"
        UPDATE shipment_lines
        SET depleted_quantity = covered_quantity, snapshot_date = $3
        WHERE pool_id = $1 AND sku_id = ANY($2) AND shipped_at < $4
            AND snapshot_date IS NULL AND voided_at IS NULL AND tracked
        "#,
        day.pool.0,
        &skus,
        day.date,
        day.window.ends_at,
    )
    .execute(conn)
    .await?;
    let expected = of_day.iter().filter(|(_, line)| whole.contains(&line.sku_id)).count();
    if usize::try_from(done.rows_affected()).is_ok_and(|rows| rows == expected) {
        Ok(whole)
    } else {
        Err(CloseError::Raced)
    }
}

/// The day's lines: which day took them, and how much of each came from lots.
pub(super) async fn update(
    conn: &mut PgConnection,
    day: Day,
    assigned: &Assigned,
    slice: &[(usize, &LockedLine)],
) -> Result<(), CloseError> {
    let shipments: Vec<Uuid> = slice.iter().map(|(_, line)| line.shipment_id).collect();
    let line_refs: Vec<&str> = slice.iter().map(|(_, line)| line.line_ref.as_str()).collect();
    let depleted: Vec<i64> = slice.iter().map(|(place, _)| assigned.taken[*place].depleted).collect();
    let done = sqlx::query!(
        r#"
        UPDATE shipment_lines AS l
        SET depleted_quantity = l.depleted_quantity + u.depleted, snapshot_date = $5
        FROM unnest($2::uuid[], $3::text[], $4::bigint[]) AS u (shipment_id, line_ref, depleted)
        WHERE l.pool_id = $1 AND l.shipment_id = u.shipment_id AND l.line_ref = u.line_ref
            AND l.snapshot_date IS NULL
        "#,
        day.pool.0,
        &shipments,
        &line_refs as &[&str],
        &depleted,
        day.date,
    )
    .execute(conn)
    .await?;
    expect_rows("shipment lines", slice.len(), &done)
}

/// What no lot covers of the day's lines.
pub(super) async fn insert_shortages(
    conn: &mut PgConnection,
    day: Day,
    now: DateTime<Utc>,
    assigned: &Assigned,
    slice: &[(usize, &LockedLine)],
) -> Result<(), CloseError> {
    let shipments: Vec<Uuid> = slice.iter().map(|(_, line)| line.shipment_id).collect();
    let line_refs: Vec<&str> = slice.iter().map(|(_, line)| line.line_ref.as_str()).collect();
    let skus: Vec<i64> = slice.iter().map(|(_, line)| line.sku_id).collect();
    let open: Vec<i64> = slice
        .iter()
        .map(|(place, line)| line.quantity - line.depleted_quantity - assigned.taken[*place].depleted)
        .collect();
    sqlx::query!(
        r#"
        INSERT INTO lot_shortages (
            pool_id, shipment_id, line_ref, sku_id, quantity, settled_quantity, voided_quantity, opened_date,
            opened_at, closed_at
        )
        SELECT $1, u.*, 0, 0, $6, $7, NULL
        FROM unnest($2::uuid[], $3::text[], $4::bigint[], $5::bigint[]) AS u
        "#,
        day.pool.0,
        &shipments,
        &line_refs as &[&str],
        &skus,
        &open,
        day.date,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Units that were found for lines of earlier days: their shortages shrink, and what is depleted of them grows.
pub(super) async fn settle_shortages(
    conn: &mut PgConnection,
    day: Day,
    now: DateTime<Utc>,
    assigned: &Assigned,
) -> Result<(), CloseError> {
    let settled: Vec<(&LockedLine, i64)> = assigned
        .lines
        .iter()
        .zip(&assigned.taken)
        .filter(|(_, taken)| taken.settled > 0)
        .map(|(line, taken)| (line, taken.settled))
        .collect();
    if settled.is_empty() {
        return Ok(());
    }
    let shipments: Vec<Uuid> = settled.iter().map(|(line, _)| line.shipment_id).collect();
    let line_refs: Vec<&str> = settled.iter().map(|(line, _)| line.line_ref.as_str()).collect();
    let units: Vec<i64> = settled.iter().map(|(_, units)| *units).collect();
    let done = sqlx::query!(
        r#"
        UPDATE lot_shortages AS s
        SET settled_quantity = s.settled_quantity + u.units,
            closed_at = CASE WHEN s.settled_quantity + u.units + s.voided_quantity = s.quantity THEN $5::timestamptz END
        FROM unnest($2::uuid[], $3::text[], $4::bigint[]) AS u (shipment_id, line_ref, units)
        WHERE s.pool_id = $1 AND s.shipment_id = u.shipment_id AND s.line_ref = u.line_ref
        "#,
        day.pool.0,
        &shipments,
        &line_refs as &[&str],
        &units,
        now,
    )
    .execute(&mut *conn)
    .await?;
    expect_rows("lot shortages", settled.len(), &done)?;
    let done = sqlx::query!(
        r#"
        UPDATE shipment_lines AS l
        SET depleted_quantity = l.depleted_quantity + u.units
        FROM unnest($2::uuid[], $3::text[], $4::bigint[]) AS u (shipment_id, line_ref, units)
        WHERE l.pool_id = $1 AND l.shipment_id = u.shipment_id AND l.line_ref = u.line_ref
        "#,
        day.pool.0,
        &shipments,
        &line_refs as &[&str],
        &units,
    )
    .execute(conn)
    .await?;
    expect_rows("settled lines", settled.len(), &done)
}
