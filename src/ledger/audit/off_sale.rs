//! What is on the shelf of a lot that is off sale is quarantined: what is left of it, less the units that shipped and
//! will be taken from it when their day is closed. Which those are is told by the allocation that the close makes.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::pages::Range;
use super::report::Found;
use crate::catalog::DepletionOrder;
use crate::catalog::days::FIRST_DATE;
use crate::ids::{PoolId, SkuId};
use crate::ledger::batch::goods::open::find_pending;
use crate::ledger::batch::goods::{find_last_snapshot, find_still_open};
use crate::ledger::goods::PendingUnits;
use crate::ledger::world::by_day;
use crate::lots::fifo;
use crate::lots::later::{Later, find_later};

struct Row {
    lot_id: Uuid,
    sku_id: i64,
    received_date: NaiveDate,
    recorded_at: DateTime<Utc>,
    expires_date: Option<NaiveDate>,
    remaining_quantity: i64,
    quarantined_quantity: i64,
    status: String,
    order: DepletionOrder,
    /// On hand and not quarantined: at most so much of the SKU can go off sale.
    for_sale: i64,
}

/// Lots of a page that are off sale and of which something is for sale all the same.
pub(super) async fn compare(conn: &mut PgConnection, pool: PoolId, range: &Range<Uuid>) -> sqlx::Result<Vec<Found>> {
    let skus = find_suspicious(conn, pool, range).await?;
    if skus.is_empty() {
        return Ok(Vec::new());
    }
    let last = find_last_snapshot(conn, pool).await?;
    let first_open = last.and_then(|date| date.succ_opt());
    let still_open: BTreeSet<i64> = find_still_open(conn, pool, &skus).await?.into_iter().collect();
    let pending = find_pending(conn, pool, &skus).await?;
    let mut shelves: BTreeMap<i64, Vec<Row>> = BTreeMap::new();
    for lot in find_lots(conn, pool, &skus).await? {
        shelves.entry(lot.sku_id).or_default().push(lot);
    }
    let ids: Vec<Uuid> = shelves.values().flatten().map(|lot| lot.lot_id).collect();
    let later = find_later(conn, pool, last.unwrap_or(FIRST_DATE), &ids).await?;
    let mut found = Vec::new();
    for (sku, lots) in &shelves {
        let first_open =
            if still_open.contains(sku) { first_open.and_then(|date| date.pred_opt()) } else { first_open };
        let pending = pending.get(&SkuId(*sku)).map_or(&[][..], Vec::as_slice);
        found.extend(judge(lots, &later, pending, first_open, range));
    }
    Ok(found)
}

/// Pure.
fn judge(
    lots: &[Row],
    later: &Later,
    pending: &[PendingUnits],
    first_open: Option<NaiveDate>,
    range: &Range<Uuid>,
) -> Vec<Found> {
    let order = lots.first().map_or(DepletionOrder::Fifo, |lot| lot.order);
    let (short, days) = by_day(first_open, pending.iter());
    let as_depleted: Vec<fifo::Lot> =
        lots.iter().map(|lot| lot.as_depleted(later.get(&lot.lot_id).cloned().unwrap_or_default())).collect();
    let present = fifo::present(&as_depleted, &short, &days, order);
    lots.iter()
        .zip(present)
        .filter(|(lot, _)| lot.status != "available" && (range.from..=range.to).contains(&lot.lot_id))
        .filter(|(lot, present)| *present > lot.quarantined_quantity && lot.for_sale > 0)
        .map(|(lot, present)| Found {
            check: "off_sale_lots_are_quarantined".to_owned(),
            subject: format!("lot {}", lot.lot_id),
            detail: format!("{}, {present} on the shelf, quarantined {}", lot.status, lot.quarantined_quantity),
        })
        .collect()
}

impl Row {
    fn as_depleted(&self, later: Vec<(NaiveDate, i64)>) -> fifo::Lot {
        fifo::Lot {
            id: self.lot_id,
            received_date: self.received_date,
            recorded_at: self.recorded_at,
            expires_date: self.expires_date,
            remaining: self.remaining_quantity,
            quarantined: self.quarantined_quantity,
            later,
        }
    }
}

/// SKUs of lots of this page that are off sale, but not all of it. Mostly none: what shipped of them waits for its day.
async fn find_suspicious(conn: &mut PgConnection, pool: PoolId, range: &Range<Uuid>) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        SELECT DISTINCT sku_id
        FROM lots
        WHERE pool_id = $1 AND lot_id BETWEEN $2 AND $3
            AND status <> 'available' AND quarantined_quantity < remaining_quantity
        "#,
        pool.0,
        range.from,
        range.to,
    )
    .fetch_all(conn)
    .await
}

async fn find_lots(conn: &mut PgConnection, pool: PoolId, skus: &[i64]) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"
        SELECT
            l.lot_id, l.sku_id, l.received_date, l.recorded_at, l.expires_date, l.remaining_quantity,
            l.quarantined_quantity, l.status, c.depletion_order AS "order: DepletionOrder",
            coalesce(s.on_hand - s.quarantined, 0) AS "for_sale!"
        FROM lots AS l
        JOIN skus AS k ON k.sku_id = l.sku_id
        JOIN classes AS c ON c.class_id = k.class_id
        LEFT JOIN stock AS s ON s.pool_id = $1 AND s.sku_id = l.sku_id
        WHERE l.pool_id = $1 AND l.sku_id = ANY($2) AND l.is_open
        ORDER BY l.lot_id
        "#,
        pool.0,
        skus,
    )
    .fetch_all(conn)
    .await
}
