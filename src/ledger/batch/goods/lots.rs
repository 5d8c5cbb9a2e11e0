//! Reading lots under their locks.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::ids::{ClientId, LotId, PoolId, SkuId};
use crate::ledger::command::Receive;
use crate::ledger::goods::LotStatus;
use crate::ledger::outcome::LotRecord;

/// SKUs of these lots; a lot never changes its SKU.
pub(in crate::ledger::batch) async fn find_skus_of_lots(
    conn: &mut PgConnection,
    pool: PoolId,
    lots: &[Uuid],
) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        SELECT l.sku_id
        FROM unnest($2::uuid[]) AS u (lot_id)
        CROSS JOIN LATERAL (SELECT sku_id FROM lots WHERE pool_id = $1 AND lot_id = u.lot_id LIMIT 1) AS l
        "#,
        pool.0,
        lots,
    )
    .fetch_all(conn)
    .await
}

/// SKUs of open lots with these codes.
pub(in crate::ledger::batch) async fn find_skus_of_codes(
    conn: &mut PgConnection,
    pool: PoolId,
    codes: &[String],
) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        SELECT DISTINCT l.sku_id
        FROM unnest($2::text[]) AS u (lot_code)
        CROSS JOIN LATERAL (
            SELECT sku_id FROM lots WHERE pool_id = $1 AND lot_code = u.lot_code AND is_open OFFSET 0
        ) AS l
        "#,
        pool.0,
        codes,
    )
    .fetch_all(conn)
    .await
}

/// Those of these SKUs of which a lot with something left is off sale.
pub(in crate::ledger::batch) async fn find_off_sale(
    conn: &mut PgConnection,
    pool: PoolId,
    skus: &[i64],
) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        SELECT u.sku_id AS "sku_id!"
        FROM unnest($2::bigint[]) AS u (sku_id)
        WHERE EXISTS (
            SELECT FROM lots WHERE pool_id = $1 AND sku_id = u.sku_id AND is_open AND status <> 'available'
        )
        "#,
        pool.0,
        skus,
    )
    .fetch_all(conn)
    .await
}

/// Which lots to lock.
#[derive(Debug, Default)]
pub(in crate::ledger::batch) struct LotNames {
    /// All with something left of these SKUs.
    pub open_of: Vec<i64>,
    /// The newest of these SKUs, for its cost.
    pub newest_of: Vec<i64>,
    /// These.
    pub ids: Vec<Uuid>,
}

/// Locks lots in the order of their ids and reads them.
pub(in crate::ledger::batch) async fn lock_lots(
    conn: &mut PgConnection,
    pool: PoolId,
    names: &LotNames,
) -> sqlx::Result<Vec<LotRecord>> {
    let mut ids = sqlx::query_scalar!(
        r#"
        SELECT l.lot_id AS "lot_id!"
        FROM unnest($2::bigint[]) AS u (sku_id)
        CROSS JOIN LATERAL (
            SELECT lot_id FROM lots WHERE pool_id = $1 AND sku_id = u.sku_id AND is_open OFFSET 0
        ) AS l
        UNION ALL
        SELECT l.lot_id
        FROM unnest($3::bigint[]) AS u (sku_id)
        CROSS JOIN LATERAL (
            SELECT lot_id
            FROM lots
            WHERE pool_id = $1 AND sku_id = u.sku_id
            ORDER BY received_date DESC, recorded_at DESC, lot_id DESC
            LIMIT 1
        ) AS l
        "#,
        pool.0,
        &names.open_of,
        &names.newest_of,
    )
    .fetch_all(&mut *conn)
    .await?;
    ids.extend(&names.ids);
    ids.sort_unstable();
    ids.dedup();
    let rows = sqlx::query!(
        r#"
        SELECT
            l.lot_id, l.sku_id, l.lot_code, l.received_quantity, l.unit_cost, l.currency, l.received_date, l.expires_date,
            l.source, l.source_ref, l.remaining_quantity, l.origin, l.status, l.quarantined_quantity,
            l.quarantine_reason, l.cost_provisional, l.source_lot_id, l.client_id, l.recorded_at, k.code AS sku_code
        FROM unnest($2::uuid[]) AS u (lot_id)
        CROSS JOIN LATERAL (
            SELECT * FROM lots WHERE pool_id = $1 AND lot_id = u.lot_id LIMIT 1 FOR NO KEY UPDATE
        ) AS l
        CROSS JOIN LATERAL (SELECT code FROM skus WHERE sku_id = l.sku_id LIMIT 1) AS k
        "#,
        pool.0,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let id = LotId { pool, uuid: row.lot_id };
            Ok(LotRecord {
                id,
                sku: SkuId(row.sku_id),
                received: Receive {
                    id,
                    sku: row.sku_code.into(),
                    lot_code: row.lot_code,
                    quantity: row.received_quantity,
                    unit_cost: row.unit_cost.normalize(),
                    currency: row.currency,
                    received_date: row.received_date,
                    expires_date: row.expires_date,
                    source: row.source,
                    source_ref: row.source_ref,
                },
                remaining: row.remaining_quantity,
                origin: row.origin,
                status: read_status(&row.status)?,
                quarantined: row.quarantined_quantity,
                quarantine_reason: row.quarantine_reason,
                cost_provisional: row.cost_provisional,
                source_lot: row.source_lot_id.map(|uuid| LotId { pool, uuid }),
                client: ClientId(row.client_id),
                recorded_at: row.recorded_at,
            })
        })
        .collect()
}

/// Reads a lot's status.
///
/// # Errors
/// A decode error for a word that this version does not know.
pub fn read_status(word: &str) -> sqlx::Result<LotStatus> {
    LotStatus::parse(word).ok_or_else(|| sqlx::Error::Decode(format!("unknown status {word:?}").into()))
}

/// Units that these transfers took out of their source lots before.
pub(in crate::ledger::batch) async fn find_departures(
    conn: &mut PgConnection,
    pool: PoolId,
    transfers: &[String],
) -> sqlx::Result<Vec<(String, i64)>> {
    let rows = sqlx::query!(
        r#"
        SELECT t.transfer AS "transfer!", t.units AS "units!"
        FROM unnest($2::text[]) AS u (transfer)
        CROSS JOIN LATERAL (
            SELECT source_ref_id AS transfer, -quantity_delta AS units
            FROM lot_transactions
            WHERE pool_id = $1 AND source_ref_id = u.transfer AND row_source = 'transfer_out'
            LIMIT 1
        ) AS t
        "#,
        pool.0,
        transfers,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.transfer, row.units)).collect())
}
