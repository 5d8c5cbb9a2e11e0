//! Writes what happens to lots, shipments and returns. Physical goods move far less often than claims: most of these
//! are a statement per row.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::ids::{PoolId, SkuId};
use crate::ledger::batch::BatchError;
use crate::ledger::goods::{
    GoodsChanges, LineChange, LotMove, LotStatus, NewDepletion, OpenDiscrepancy, ReturnLineRecord, ReturnRecord,
    ShipmentLineRecord, ShipmentLineRef, ShipmentRecord,
};

/// Writes everything in an order that references allow. New lots are written before.
pub(in crate::ledger::batch) async fn write(
    conn: &mut PgConnection,
    pool: PoolId,
    now: DateTime<Utc>,
    changes: &GoodsChanges,
) -> Result<(), BatchError> {
    for shipment in &changes.shipments {
        insert_shipment(conn, pool, shipment).await?;
    }
    for (shipment, line) in &changes.new_lines {
        insert_line(conn, pool, *shipment, line).await?;
        insert_fulfilments(conn, pool, *shipment, line).await?;
    }
    for (discrepancy, sku) in &changes.discrepancies {
        insert_discrepancy(conn, pool, now, discrepancy, *sku).await?;
    }
    for (line, change) in &changes.lines {
        change_line(conn, pool, now, line, change).await?;
    }
    for (id, closing) in &changes.closed_discrepancies {
        let done = sqlx::query!(
            r#"
            UPDATE discrepancies
            SET settled_quantity = settled_quantity + $3,
                voided_quantity = voided_quantity + $4,
                closed_at = CASE
                    WHEN settled_quantity + $3 + voided_quantity + $4 = quantity THEN $5::timestamptz
                END
            WHERE pool_id = $1 AND discrepancy_id = $2
            "#,
            pool.0,
            id,
            closing.settled,
            closing.voided,
            now,
        )
        .execute(&mut *conn)
        .await?;
        crate::ledger::batch::write::expect_rows("discrepancies", 1, &done)?;
    }
    for (line, closing) in &changes.closed_shortages {
        let done = sqlx::query!(
            r#"
            UPDATE lot_shortages
            SET settled_quantity = settled_quantity + $4,
                voided_quantity = voided_quantity + $5,
                closed_at = CASE
                    WHEN settled_quantity + $4 + voided_quantity + $5 = quantity THEN $6::timestamptz
                END
            WHERE pool_id = $1 AND shipment_id = $2 AND line_ref = $3
            "#,
            pool.0,
            line.shipment,
            line.line_ref,
            closing.settled,
            closing.voided,
            now,
        )
        .execute(&mut *conn)
        .await?;
        crate::ledger::batch::write::expect_rows("lot_shortages", 1, &done)?;
    }
    for step in &changes.moves {
        move_lot(conn, pool, now, step).await?;
    }
    for depletion in &changes.depletions {
        insert_depletion(conn, pool, now, depletion).await?;
    }
    for record in &changes.returns {
        insert_return(conn, pool, record).await?;
    }
    for (id, line) in &changes.return_lines {
        insert_return_line(conn, pool, now, *id, line).await?;
    }
    for (sku, date) in &changes.next_expiry {
        sqlx::query!(
            "UPDATE stock SET next_expires_date = $3 WHERE pool_id = $1 AND sku_id = $2",
            pool.0,
            sku.0,
            *date,
        )
        .execute(&mut *conn)
        .await?;
    }
    for transfer in &changes.arrived {
        sqlx::query!(
            r#"
            UPDATE transfers SET status = 'arrived', closed_at = $3
            WHERE pool_id = $1 AND transfer_id = $2 AND status = 'claimed'
            "#,
            pool.0,
            transfer,
            now,
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Moves a lot and appends the transaction that says so.
async fn move_lot(conn: &mut PgConnection, pool: PoolId, now: DateTime<Utc>, step: &LotMove) -> Result<(), BatchError> {
    let (status, status_reason) = step.status.clone().unzip();
    let after = sqlx::query!(
        r#"
        UPDATE lots
        SET remaining_quantity = remaining_quantity + $3,
            quarantined_quantity = quarantined_quantity + $4,
            status = coalesce($5, status),
            quarantine_reason = CASE WHEN $5::text IS NULL THEN quarantine_reason ELSE $6::text END,
            unit_cost = coalesce($7, unit_cost),
            cost_provisional = cost_provisional AND $7::numeric IS NULL
        WHERE pool_id = $1 AND lot_id = $2
        RETURNING remaining_quantity, unit_cost
        "#,
        pool.0,
        step.lot,
        step.quantity,
        step.quarantined,
        status.map(LotStatus::as_str),
        status_reason.flatten(),
        step.revalued.map(|(unit_cost, _)| unit_cost),
    )
    .fetch_one(&mut *conn)
    .await?;
    let value = match (step.value, step.revalued) {
        (Some(value), _) => value,
        (None, Some((_, difference))) => difference,
        (None, None) => after.unit_cost * rust_decimal::Decimal::from(step.quantity),
    };
    sqlx::query!(
        r#"
        INSERT INTO lot_transactions (
            pool_id, lot_id, seq, row_source, source_ref_id, quantity_delta, remaining_after, unit_cost, reason,
            client_id, recorded_at, business_date, value_delta, quarantined_delta, shipment_id
        )
        SELECT $1, $2, t.seq + 1, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14
        FROM lot_transactions AS t
        WHERE t.pool_id = $1 AND t.lot_id = $2
        ORDER BY t.seq DESC
        LIMIT 1
        "#,
        pool.0,
        step.lot,
        step.kind.as_str(),
        step.source_ref,
        step.quantity,
        after.remaining_quantity,
        after.unit_cost,
        step.reason,
        step.client.0,
        now,
        step.business_date,
        value,
        step.quarantined,
        step.shipment,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn insert_shipment(conn: &mut PgConnection, pool: PoolId, shipment: &ShipmentRecord) -> Result<(), BatchError> {
    sqlx::query!(
        r#"
        INSERT INTO shipments (
            pool_id, shipment_id, source, source_ref, order_ref, reservation_id, client_id, recorded_at
        )
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        "#,
        pool.0,
        shipment.id.uuid,
        shipment.source,
        shipment.source_ref,
        shipment.order_ref,
        shipment.reservation.map(|id| id.uuid),
        shipment.client.0,
        shipment.recorded_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn insert_line(
    conn: &mut PgConnection,
    pool: PoolId,
    shipment: Uuid,
    line: &ShipmentLineRecord,
) -> Result<(), BatchError> {
    sqlx::query!(
        r#"
        INSERT INTO shipment_lines (
            pool_id, shipment_id, line_ref, sku_id, tracked, quantity, covered_quantity, fulfilled_quantity,
            depleted_quantity, returned_quantity, lot_id, shipped_at, shipped_date, recorded_at, named_lot_code
        )
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0, $9, $10, $11, $12, $13)
        "#,
        pool.0,
        shipment,
        line.line_ref,
        line.sku.0,
        line.tracked,
        line.quantity,
        // What settled it since is added with the changes of lines.
        line.covered,
        line.fulfilled,
        line.lot,
        line.shipped_at,
        line.shipped_date,
        line.recorded_at,
        line.lot_code,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn insert_fulfilments(
    conn: &mut PgConnection,
    pool: PoolId,
    shipment: Uuid,
    line: &ShipmentLineRecord,
) -> Result<(), BatchError> {
    for (claim, quantity) in &line.fulfilments {
        sqlx::query!(
            r#"
            INSERT INTO fulfilments (pool_id, shipment_id, line_ref, reservation_id, line, quantity)
            VALUES ($1, $2, $3, $4, $5, $6)
            "#,
            pool.0,
            shipment,
            line.line_ref,
            claim.reservation,
            claim.line,
            quantity,
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

async fn insert_discrepancy(
    conn: &mut PgConnection,
    pool: PoolId,
    now: DateTime<Utc>,
    discrepancy: &OpenDiscrepancy,
    sku: SkuId,
) -> Result<(), BatchError> {
    sqlx::query!(
        r#"
        INSERT INTO discrepancies (
            pool_id, discrepancy_id, sku_id, kind, shipment_id, line_ref, quantity, settled_quantity, voided_quantity,
            opened_at
        )
        VALUES ($1, $2, $3, 'shipped_beyond_on_hand', $4, $5, $6, 0, 0, $7)
        "#,
        pool.0,
        discrepancy.id,
        sku.0,
        discrepancy.line.shipment,
        discrepancy.line.line_ref,
        discrepancy.open,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn change_line(
    conn: &mut PgConnection,
    pool: PoolId,
    now: DateTime<Utc>,
    line: &ShipmentLineRef,
    change: &LineChange,
) -> Result<(), BatchError> {
    let done = sqlx::query!(
        r#"
        UPDATE shipment_lines
        SET covered_quantity = covered_quantity + $4,
            depleted_quantity = depleted_quantity + $5,
            returned_quantity = returned_quantity + $6,
            voided_at = CASE WHEN $7 THEN $8::timestamptz ELSE voided_at END
        WHERE pool_id = $1 AND shipment_id = $2 AND line_ref = $3
        "#,
        pool.0,
        line.shipment,
        line.line_ref,
        change.covered,
        change.depleted,
        change.returned,
        change.voided,
        now,
    )
    .execute(conn)
    .await?;
    crate::ledger::batch::write::expect_rows("shipment_lines", 1, &done)
}

async fn insert_depletion(
    conn: &mut PgConnection,
    pool: PoolId,
    now: DateTime<Utc>,
    depletion: &NewDepletion,
) -> Result<(), BatchError> {
    sqlx::query!(
        r#"
        INSERT INTO depletions (
            pool_id, shipment_id, line_ref, n, kind, sku_id, lot_id, quantity, unit_cost, cost_date, recorded_at
        )
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        "#,
        pool.0,
        depletion.line.shipment,
        depletion.line.line_ref,
        depletion.n,
        depletion.kind,
        depletion.sku.0,
        depletion.lot,
        depletion.quantity,
        depletion.unit_cost,
        depletion.cost_date,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn insert_return(conn: &mut PgConnection, pool: PoolId, record: &ReturnRecord) -> Result<(), BatchError> {
    sqlx::query!(
        r#"
        INSERT INTO returns (pool_id, return_id, source, source_ref, order_ref, client_id, recorded_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        "#,
        pool.0,
        record.id.uuid,
        record.source,
        record.source_ref,
        record.order_ref,
        record.client.0,
        record.recorded_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn insert_return_line(
    conn: &mut PgConnection,
    pool: PoolId,
    now: DateTime<Utc>,
    id: Uuid,
    line: &ReturnLineRecord,
) -> Result<(), BatchError> {
    sqlx::query!(
        r#"
        INSERT INTO return_lines (
            pool_id, return_id, line_ref, sku_id, quantity, recorded_at
        )
        VALUES ($1, $2, $3, $4, $5, $6)
        "#,
        pool.0,
        id,
        line.line_ref,
        line.sku.0,
        line.quantity,
        now,
    )
    .execute(&mut *conn)
    .await?;
    for (n, lot) in (1_i16..).zip(&line.lots) {
        sqlx::query!(
            r#"
            INSERT INTO return_lots (
                pool_id, return_id, line_ref, n, lot_id, source_lot_id, shipment_id, shipment_line_ref, quantity
            )
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            "#,
            pool.0,
            id,
            line.line_ref,
            n,
            lot.lot.uuid,
            lot.source_lot.map(|lot| lot.uuid),
            lot.shipped.as_ref().map(|shipped| shipped.shipment),
            lot.shipped.as_ref().map(|shipped| shipped.line_ref.as_str()),
            lot.quantity,
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}
