//! Reading lots. One pool per query; keyset pages.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use sqlx::PgPool;
use uuid::Uuid;

use crate::ids::{ClientId, LotId, PoolId, SkuId};
use crate::ledger::command::Receive;
use crate::ledger::goods::LotStatus;
use crate::ledger::outcome::LotRecord;

struct Row {
    lot_id: Uuid,
    sku_id: i64,
    lot_code: String,
    origin: String,
    status: String,
    received_quantity: i64,
    remaining_quantity: i64,
    unit_cost: Decimal,
    currency: String,
    received_date: NaiveDate,
    expires_date: Option<NaiveDate>,
    source: String,
    source_ref: Option<String>,
    client_id: i64,
    recorded_at: DateTime<Utc>,
    quarantined_quantity: i64,
    quarantine_reason: Option<String>,
    cost_provisional: bool,
    source_lot_id: Option<Uuid>,
}

impl Row {
    fn into_record(self, pool: PoolId) -> LotRecord {
        let id = LotId { pool, uuid: self.lot_id };
        LotRecord {
            id,
            sku: SkuId(self.sku_id),
            received: Receive {
                id,
                sku: "".into(),
                lot_code: self.lot_code,
                quantity: self.received_quantity,
                unit_cost: self.unit_cost,
                currency: self.currency,
                received_date: self.received_date,
                expires_date: self.expires_date,
                source: self.source,
                source_ref: self.source_ref,
            },
            remaining: self.remaining_quantity,
            origin: self.origin,
            // A word that this version does not know is not for sale.
            status: LotStatus::parse(&self.status).unwrap_or(LotStatus::Quarantined),
            quarantined: self.quarantined_quantity,
            quarantine_reason: self.quarantine_reason,
            cost_provisional: self.cost_provisional,
            source_lot: self.source_lot_id.map(|uuid| LotId { pool, uuid }),
            client: ClientId(self.client_id),
            recorded_at: self.recorded_at,
        }
    }
}

/// One lot.
///
/// # Errors
/// Database errors.
pub async fn find(db: &PgPool, id: LotId) -> sqlx::Result<Option<LotRecord>> {
    let row = sqlx::query_as!(
        Row,
        r#"
        SELECT
            lot_id, sku_id, lot_code, origin, status, received_quantity, remaining_quantity, unit_cost, currency,
            received_date, expires_date, source, source_ref, client_id, recorded_at, quarantined_quantity,
            quarantine_reason, cost_provisional, source_lot_id
        FROM lots
        WHERE pool_id = $1 AND lot_id = $2
        "#,
        id.pool.0,
        id.uuid,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| row.into_record(id.pool)))
}

/// Which lots to list.
#[derive(Debug, Default)]
pub struct Filter {
    /// Of this SKU.
    pub sku: Option<SkuId>,
    /// With this code.
    pub lot_code: Option<String>,
    /// `available`, `quarantined` or `expired`.
    pub status: Option<String>,
    /// How it came about.
    pub origin: Option<String>,
    /// That expire before this day.
    pub expiring_before: Option<NaiveDate>,
    /// Received on this day or later.
    pub received_from: Option<NaiveDate>,
    /// Received on this day or earlier.
    pub received_to: Option<NaiveDate>,
    /// Only lots with something left.
    pub open: Option<bool>,
}

/// Lots of some pools by id, newest first: a page of each, merged.
///
/// # Errors
/// Database errors.
pub async fn list(
    db: &PgPool,
    pools: &[PoolId],
    filter: &Filter,
    before: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<LotRecord>> {
    let mut lots = Vec::new();
    for pool in pools {
        lots.extend(list_pool(db, *pool, filter, before, limit).await?);
    }
    lots.sort_unstable_by_key(|lot| std::cmp::Reverse(lot.id.uuid));
    lots.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(lots)
}

async fn list_pool(
    db: &PgPool,
    pool: PoolId,
    filter: &Filter,
    before: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<LotRecord>> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT
            lot_id, sku_id, lot_code, origin, status, received_quantity, remaining_quantity, unit_cost, currency,
            received_date, expires_date, source, source_ref, client_id, recorded_at, quarantined_quantity,
            quarantine_reason, cost_provisional, source_lot_id
        FROM lots
        WHERE pool_id = $1
            AND ($2::bigint IS NULL OR sku_id = $2)
            AND ($3::text IS NULL OR lot_code = $3)
            AND ($4::text IS NULL OR status = $4)
            AND ($5::text IS NULL OR origin = $5)
            AND ($6::date IS NULL OR expires_date < $6)
            AND ($7::date IS NULL OR received_date >= $7)
            AND ($8::date IS NULL OR received_date <= $8)
            AND ($9::boolean IS NULL OR is_open = $9)
            AND ($10::uuid IS NULL OR lot_id < $10)
        ORDER BY lot_id DESC
        LIMIT $11
        "#,
        pool.0,
        filter.sku.map(|sku| sku.0),
        filter.lot_code,
        filter.status,
        filter.origin,
        filter.expiring_before,
        filter.received_from,
        filter.received_to,
        filter.open,
        before,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| row.into_record(pool)).collect())
}
