//! Writing orders: their newest state, what their lines want, and which reservations are their claims.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::ids::PoolId;
use crate::ledger::batch::BatchError;
use crate::ledger::batch::write::expect_rows;
use crate::ledger::demand::DemandRecord;

/// Keys of orders as columns.
#[derive(Default)]
struct Keys<'r> {
    sources: Vec<&'r str>,
    ids: Vec<&'r str>,
}

impl<'r> Keys<'r> {
    fn push(&mut self, record: &'r DemandRecord) {
        self.sources.push(&record.key.source);
        self.ids.push(&record.key.order_id);
    }

    fn of(records: &'r [DemandRecord]) -> Self {
        let mut keys = Self::default();
        for record in records {
            keys.push(record);
        }
        keys
    }
}

/// Lines of orders as columns.
#[derive(Default)]
struct Lines<'r> {
    keys: Keys<'r>,
    refs: Vec<&'r str>,
    skus: Vec<i64>,
    units: Vec<i32>,
    versions: Vec<i32>,
    quantities: Vec<i64>,
}

impl<'r> Lines<'r> {
    fn of(records: &'r [DemandRecord]) -> Self {
        let mut lines = Self::default();
        for record in records {
            for line in &record.lines {
                lines.keys.push(record);
                lines.refs.push(&line.line_ref);
                lines.skus.push(line.sku.0);
                lines.units.push(line.unit_quantity);
                lines.versions.push(line.mapping_version);
                lines.quantities.push(line.quantity);
            }
        }
        lines
    }
}

pub(in crate::ledger::batch) async fn write(
    conn: &mut PgConnection,
    pool: PoolId,
    now: DateTime<Utc>,
    changed: &[DemandRecord],
) -> Result<(), BatchError> {
    write_records(conn, pool, now, changed).await?;
    write_lines(conn, pool, changed).await?;
    write_claims(conn, pool, changed).await
}

/// An older state never comes after a newer one. Two states of one order that were decided at once may have locked
/// different SKUs: the older one's batch then starts over, and finds that it is stale.
async fn write_records(
    conn: &mut PgConnection,
    pool: PoolId,
    now: DateTime<Utc>,
    changed: &[DemandRecord],
) -> Result<(), BatchError> {
    let Keys { sources, ids } = Keys::of(changed);
    let revisions: Vec<i64> = changed.iter().map(|record| record.revision).collect();
    let refs: Vec<&str> = changed.iter().map(|record| record.order_ref.as_str()).collect();
    let names: Vec<Option<&str>> = changed.iter().map(|record| record.order_name.as_deref()).collect();
    let absorbed: Vec<Option<&str>> = changed.iter().map(|record| record.absorbed_by.as_deref()).collect();
    let done = sqlx::query!(
        r#"
        INSERT INTO demands AS d (
            pool_id, source, order_id, order_ref, order_name, revision, absorbed_by, updated_at
        )
        SELECT $1, u.source, u.order_id, u.order_ref, u.order_name, u.revision, u.absorbed_by, $2
        FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[])
            AS u (source, order_id, order_ref, order_name, revision, absorbed_by)
        ON CONFLICT (pool_id, source, order_id) DO UPDATE
        SET
            revision = excluded.revision,
            order_name = excluded.order_name,
            absorbed_by = excluded.absorbed_by,
            updated_at = excluded.updated_at
        WHERE d.revision <= excluded.revision AND (d.absorbed_by IS NULL OR d.absorbed_by = excluded.absorbed_by)
        "#,
        pool.0,
        now,
        &sources as &[&str],
        &ids as &[&str],
        &refs as &[&str],
        &names as &[Option<&str>],
        &revisions,
        &absorbed as &[Option<&str>],
    )
    .execute(conn)
    .await?;
    expect_rows("orders", changed.len(), &done)
}

/// A line that an order no longer has stays, and wants nothing.
async fn write_lines(conn: &mut PgConnection, pool: PoolId, changed: &[DemandRecord]) -> Result<(), BatchError> {
    let lines = Lines::of(changed);
    if lines.refs.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r#"
        INSERT INTO demand_lines AS l (
            pool_id, source, order_id, line_ref, sku_id, unit_quantity, mapping_version, quantity
        )
        SELECT $1, u.*
        FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::integer[], $7::integer[], $8::bigint[]) AS u
        ON CONFLICT (pool_id, source, order_id, line_ref, sku_id) DO UPDATE
        SET
            unit_quantity = excluded.unit_quantity,
            mapping_version = excluded.mapping_version,
            quantity = excluded.quantity
        WHERE (l.unit_quantity, l.mapping_version, l.quantity)
            IS DISTINCT FROM (excluded.unit_quantity, excluded.mapping_version, excluded.quantity)
        "#,
        pool.0,
        &lines.keys.sources as &[&str],
        &lines.keys.ids as &[&str],
        &lines.refs as &[&str],
        &lines.skus,
        &lines.units,
        &lines.versions,
        &lines.quantities,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A reservation is one order's claim; it changes hands only when one order takes over from another.
async fn write_claims(conn: &mut PgConnection, pool: PoolId, changed: &[DemandRecord]) -> Result<(), BatchError> {
    let (mut keys, mut claims) = (Keys::default(), Vec::new());
    for record in changed {
        for claim in &record.claims {
            keys.push(record);
            claims.push(*claim);
        }
    }
    if claims.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r#"
        INSERT INTO demand_claims AS c (pool_id, source, order_id, reservation_id)
        SELECT $1, u.*
        FROM unnest($2::text[], $3::text[], $4::uuid[]) AS u
        ON CONFLICT (pool_id, reservation_id) DO UPDATE
        SET source = excluded.source, order_id = excluded.order_id
        WHERE (c.source, c.order_id) <> (excluded.source, excluded.order_id)
        "#,
        pool.0,
        &keys.sources as &[&str],
        &keys.ids as &[&str],
        &claims,
    )
    .execute(conn)
    .await?;
    Ok(())
}
