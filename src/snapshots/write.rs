//! What a chunk writes: every table in one statement over arrays (a hot SKU in several). What proves that it happens
//! once comes first: a line that was depleted before, or a lot that was depleted for this day before, is a unique
//! violation, and the chunk is rolled back as a whole.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::CloseError;
use super::assign::{Assigned, Depletion, Movement, Totals};
use super::close::Day;
use super::lock::{self, LockedLine};
use super::photograph::Photograph;

mod lines;

/// Rows of one statement.
const SLICE: usize = 20_000;

pub(super) async fn write(
    conn: &mut PgConnection,
    day: Day,
    now: DateTime<Utc>,
    assigned: &Assigned,
    photographs: &[Photograph],
) -> Result<(), CloseError> {
    keep_plans(conn, true).await?;
    for slice in assigned.depletions.chunks(SLICE) {
        insert_depletions(conn, day, now, assigned, slice).await?;
    }
    let units = sum_by_lot(&assigned.movements);
    let lots: Vec<Uuid> = units.keys().copied().collect();
    let newest = lock::find_newest(conn, day.pool, &lots).await?;
    for slice in assigned.movements.chunks(SLICE) {
        insert_movements(conn, day, now, assigned, slice, &newest).await?;
    }
    keep_plans(conn, false).await?;
    update_lots(conn, day, units).await?;
    let of_day: Vec<(usize, &LockedLine)> = assigned.of_day().collect();
    let whole = lines::update_whole(conn, day, assigned, &of_day).await?;
    let rest: Vec<(usize, &LockedLine)> =
        of_day.iter().copied().filter(|(_, line)| !whole.contains(&line.sku_id)).collect();
    for slice in rest.chunks(SLICE) {
        lines::update(conn, day, assigned, slice).await?;
    }
    let short: Vec<(usize, &LockedLine)> = of_day
        .into_iter()
        .filter(|(place, line)| line.quantity > line.depleted_quantity + assigned.taken[*place].depleted)
        .collect();
    for slice in short.chunks(SLICE) {
        lines::insert_shortages(conn, day, now, assigned, slice).await?;
    }
    lines::settle_shortages(conn, day, now, assigned).await?;
    insert_skus(conn, day, now, assigned, photographs).await
}

/// Each row that is inserted is checked against its line, or its lot, by a statement of the database's own: a look-up by
/// key, whose plan is not to be made anew for each of a million rows, as it would be with the other plans of a chunk.
async fn keep_plans(conn: &mut PgConnection, keep: bool) -> Result<(), CloseError> {
    let mode = if keep { "auto" } else { "force_custom_plan" };
    sqlx::query!("SELECT set_config('plan_cache_mode', $1, true) AS mode", mode).fetch_one(conn).await?;
    Ok(())
}

async fn insert_depletions(
    conn: &mut PgConnection,
    day: Day,
    now: DateTime<Utc>,
    assigned: &Assigned,
    slice: &[Depletion],
) -> Result<(), CloseError> {
    let line = |depletion: &Depletion| &assigned.lines[depletion.line];
    let shipments: Vec<Uuid> = slice.iter().map(|one| line(one).shipment_id).collect();
    let line_refs: Vec<&str> = slice.iter().map(|one| line(one).line_ref.as_str()).collect();
    let numbers: Vec<i16> = slice.iter().map(|one| one.n).collect();
    let kinds: Vec<&str> = slice.iter().map(|one| if one.is_settlement { "settlement" } else { "snapshot" }).collect();
    let skus: Vec<i64> = slice.iter().map(|one| line(one).sku_id).collect();
    let lots: Vec<Uuid> = slice.iter().map(|one| one.lot).collect();
    let quantities: Vec<i64> = slice.iter().map(|one| one.quantity).collect();
    let costs: Vec<Decimal> = slice.iter().map(|one| one.unit_cost).collect();
    sqlx::query!(
        r#"
        INSERT INTO depletions (
            pool_id, shipment_id, line_ref, n, kind, sku_id, lot_id, quantity, unit_cost, cost_date, recorded_at
        )
        SELECT $1, u.*, $10, $11
        FROM unnest(
            $2::uuid[], $3::text[], $4::smallint[], $5::text[], $6::bigint[], $7::uuid[], $8::bigint[], $9::numeric[]
        ) AS u
        "#,
        day.pool.0,
        &shipments,
        &line_refs as &[&str],
        &numbers,
        &kinds as &[&str],
        &skus,
        &lots,
        &quantities,
        &costs,
        day.date,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn insert_movements(
    conn: &mut PgConnection,
    day: Day,
    now: DateTime<Utc>,
    assigned: &Assigned,
    slice: &[Movement],
    newest: &BTreeMap<Uuid, i32>,
) -> Result<(), CloseError> {
    let settled = |movement: &Movement| movement.settles.map(|place| &assigned.lines[place]);
    let day_ref = day.date.format("%Y%m%d").to_string();
    let lots: Vec<Uuid> = slice.iter().map(|one| one.lot).collect();
    let seqs: Vec<i32> = slice.iter().map(|one| newest.get(&one.lot).copied().unwrap_or(0) + one.n).collect();
    let sources: Vec<&str> = slice
        .iter()
        .map(|one| if one.settles.is_some() { "shortage_settlement" } else { "snapshot_depletion" })
        .collect();
    let references: Vec<String> = slice
        .iter()
        .map(|one| {
            settled(one).map_or_else(|| day_ref.clone(), |line| format!("{}/{}", line.shipment_id, line.line_ref))
        })
        .collect();
    let shipments: Vec<Option<Uuid>> = slice.iter().map(|one| settled(one).map(|line| line.shipment_id)).collect();
    let taken: Vec<i64> = slice.iter().map(|one| one.taken).collect();
    let remaining: Vec<i64> = slice.iter().map(|one| one.remaining_after).collect();
    let costs: Vec<Decimal> = slice.iter().map(|one| one.unit_cost).collect();
    sqlx::query!(
        r#"
        INSERT INTO lot_transactions (
            pool_id, lot_id, seq, row_source, source_ref_id, shipment_id, quantity_delta, remaining_after, unit_cost,
            value_delta, reason, client_id, recorded_at, business_date, quarantined_delta
        )
        SELECT
            $1, u.lot_id, u.seq, u.row_source, u.source_ref_id, u.shipment_id, -u.taken, u.remaining, u.unit_cost,
            -u.taken * u.unit_cost, NULL, $10, $11, $12, 0
        FROM unnest(
            $2::uuid[], $3::integer[], $4::text[], $5::text[], $6::uuid[], $7::bigint[], $8::bigint[], $9::numeric[]
        ) AS u (lot_id, seq, row_source, source_ref_id, shipment_id, taken, remaining, unit_cost)
        "#,
        day.pool.0,
        &lots,
        &seqs,
        &sources as &[&str],
        &references,
        &shipments as &[Option<Uuid>],
        &taken,
        &remaining,
        &costs,
        day.client.0,
        now,
        day.date,
    )
    .execute(conn)
    .await?;
    Ok(())
}

fn sum_by_lot(movements: &[Movement]) -> BTreeMap<Uuid, i64> {
    let mut units: BTreeMap<Uuid, i64> = BTreeMap::new();
    for movement in movements {
        *units.entry(movement.lot).or_default() += movement.taken;
    }
    units
}

async fn update_lots(conn: &mut PgConnection, day: Day, units: BTreeMap<Uuid, i64>) -> Result<(), CloseError> {
    if units.is_empty() {
        return Ok(());
    }
    let (lots, taken): (Vec<Uuid>, Vec<i64>) = units.into_iter().unzip();
    let done = sqlx::query!(
        r#"
        UPDATE lots AS l
        SET remaining_quantity = l.remaining_quantity - u.taken
        FROM unnest($2::uuid[], $3::bigint[]) AS u (lot_id, taken)
        WHERE l.pool_id = $1 AND l.lot_id = u.lot_id
        "#,
        day.pool.0,
        &lots,
        &taken,
    )
    .execute(conn)
    .await?;
    expect_rows("lots", lots.len(), &done)
}

/// The claim of (pool, SKU, date), with what was counted.
async fn insert_skus(
    conn: &mut PgConnection,
    day: Day,
    now: DateTime<Utc>,
    assigned: &Assigned,
    photographs: &[Photograph],
) -> Result<(), CloseError> {
    let balances = |of: fn(&Photograph) -> i64| photographs.iter().map(of).collect::<Vec<i64>>();
    let counted = |of: fn(&Totals) -> i64| {
        photographs.iter().map(|one| assigned.totals.get(&one.sku_id).map_or(0, of)).collect::<Vec<i64>>()
    };
    sqlx::query!(
        r#"
        INSERT INTO snapshot_skus (
            pool_id, snapshot_date, sku_id, on_hand, quarantined, held, committed, seq, lines, late_lines,
            shipped_quantity, depleted_quantity, shortage_quantity, recorded_at
        )
        SELECT $1, $2, u.*, $14
        FROM unnest(
            $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
            $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[]
        ) AS u
        "#,
        day.pool.0,
        day.date,
        &balances(|one| one.sku_id),
        &balances(|one| one.on_hand),
        &balances(|one| one.quarantined),
        &balances(|one| one.held),
        &balances(|one| one.committed),
        &balances(|one| one.seq),
        &counted(|totals| totals.lines),
        &counted(|totals| totals.late_lines),
        &counted(|totals| totals.shipped),
        &counted(|totals| totals.depleted),
        &counted(|totals| totals.shipped - totals.depleted),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

fn expect_rows(what: &str, expected: usize, done: &sqlx::postgres::PgQueryResult) -> Result<(), CloseError> {
    let rows = done.rows_affected();
    if usize::try_from(rows).is_ok_and(|rows| rows == expected) {
        Ok(())
    } else {
        Err(CloseError::Inconsistent(format!("{rows} of {expected} {what} could be changed")))
    }
}
