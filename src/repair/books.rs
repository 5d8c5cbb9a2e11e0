//! What lots and shelves say as a whole, each read once for all findings that ask for it.
//!
//! A lot can have given to every line of a page, and its sums cost as much to read as it has a history. They are kept
//! for as long as what was read holds: one page of a diagnosis is one snapshot, one correction is made under locks.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use chrono::NaiveDate;
use sqlx::PgConnection;
use uuid::Uuid;

use super::balances::{self, Break};
use crate::ids::{PoolId, SkuId};

/// What was read so far; of one pool.
#[derive(Debug, Default)]
pub struct Books {
    lots: BTreeMap<Uuid, Given>,
    shelves: BTreeMap<i64, Option<Shelf>>,
    days: BTreeMap<(i64, NaiveDate), Option<i64>>,
    breaks: BTreeMap<i64, Vec<Break>>,
}

/// What a lot gave to lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given {
    /// Units that depletions took from it beyond what its transactions gave.
    pub beyond: i64,
    /// How many it could take back; none if there is no such lot.
    pub room: Option<i64>,
}

/// By how much the lots of a SKU hold more than is on its shelf and was shipped and not yet depleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shelf {
    /// By the rows as they are.
    pub by_rows: i64,
    /// By the ledgers: once every row is what its ledger says.
    pub by_ledgers: i64,
}

impl Shelf {
    /// Whether lots that hold `units` more would be further from the shelf than they are.
    pub(super) fn is_worse_with(self, units: i64) -> bool {
        (self.by_ledgers + units).abs() > self.by_ledgers.abs()
    }
}

impl Books {
    pub(super) async fn given(&mut self, conn: &mut PgConnection, pool: PoolId, lot: Uuid) -> sqlx::Result<Given> {
        if let Some(given) = self.lots.get(&lot) {
            return Ok(*given);
        }
        let given = read_given(conn, pool, lot).await?;
        self.lots.insert(lot, given);
        Ok(given)
    }

    /// `None`: the SKU has no balance.
    pub(super) async fn shelf(
        &mut self,
        conn: &mut PgConnection,
        pool: PoolId,
        sku: i64,
    ) -> sqlx::Result<Option<Shelf>> {
        if let Some(shelf) = self.shelves.get(&sku) {
            return Ok(*shelf);
        }
        let shelf = read_shelf(conn, pool, sku).await?;
        self.shelves.insert(sku, shelf);
        Ok(shelf)
    }

    /// Units that the lots of a SKU gave on a day beyond what the close of that day says; `None` where it says nothing.
    pub(super) async fn beyond_close(
        &mut self,
        conn: &mut PgConnection,
        pool: PoolId,
        sku: i64,
        date: NaiveDate,
    ) -> sqlx::Result<Option<i64>> {
        if let Some(beyond) = self.days.get(&(sku, date)) {
            return Ok(*beyond);
        }
        let beyond = read_beyond_close(conn, pool, sku, date).await?;
        self.days.insert((sku, date), beyond);
        Ok(beyond)
    }

    /// Every break of a SKU that no repair has named.
    pub(super) async fn breaks(&mut self, conn: &mut PgConnection, pool: PoolId, sku: i64) -> sqlx::Result<&[Break]> {
        match self.breaks.entry(sku) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(unknown) => {
                let found = balances::find_breaks(conn, pool, (sku, i64::MIN), (sku, i64::MAX)).await?;
                Ok(unknown.insert(found))
            }
        }
    }
}

async fn read_given(conn: &mut PgConnection, pool: PoolId, lot: Uuid) -> sqlx::Result<Given> {
    let seen = sqlx::query!(
        r#"
        SELECT
            (SELECT coalesce(sum(quantity), 0) FROM depletions WHERE pool_id = $1 AND lot_id = $2)::bigint
            AS "depleted!",
            (
                SELECT coalesce(-sum(quantity_delta), 0)
                FROM lot_transactions
                WHERE pool_id = $1 AND lot_id = $2
                    AND (
                        row_source IN ('snapshot_depletion', 'shortage_settlement', 'void')
                        OR row_source = 'correction' AND (shipment_id IS NOT NULL OR source_ref_id IS NOT NULL)
                    )
            )::bigint AS "given!",
            (SELECT received_quantity - remaining_quantity FROM lots WHERE pool_id = $1 AND lot_id = $2) AS room
        "#,
        pool.0,
        lot,
    )
    .fetch_one(conn)
    .await?;
    Ok(Given { beyond: seen.depleted - seen.given, room: seen.room })
}

async fn read_shelf(conn: &mut PgConnection, pool: PoolId, sku: i64) -> sqlx::Result<Option<Shelf>> {
    let Some(seen) = balances::see(conn, pool, SkuId(sku)).await? else { return Ok(None) };
    let ledgers = sqlx::query_scalar!(
        r#"
        SELECT coalesce(sum(t.remaining_after), 0)::bigint AS "units!"
        FROM lots AS l
        CROSS JOIN LATERAL (
            SELECT remaining_after
            FROM lot_transactions
            WHERE pool_id = $1 AND lot_id = l.lot_id
            ORDER BY seq DESC
            LIMIT 1
        ) AS t
        WHERE l.pool_id = $1 AND l.sku_id = $2
        "#,
        pool.0,
        sku,
    )
    .fetch_one(conn)
    .await?;
    // What `truth` leaves out of the lots is what was shipped and not yet depleted.
    let shipped = seen.lots - seen.truth.on_hand;
    Ok(Some(Shelf {
        by_rows: seen.truth.on_hand - seen.row.on_hand,
        by_ledgers: ledgers - shipped - seen.newest.on_hand,
    }))
}

async fn read_beyond_close(
    conn: &mut PgConnection,
    pool: PoolId,
    sku: i64,
    date: NaiveDate,
) -> sqlx::Result<Option<i64>> {
    let day = date.format("%Y%m%d").to_string();
    sqlx::query_scalar!(
        r#"
        SELECT (
            coalesce((
                SELECT -sum(t.quantity_delta)
                FROM lots AS l
                JOIN lot_transactions AS t ON t.pool_id = $1 AND t.lot_id = l.lot_id
                WHERE l.pool_id = $1 AND l.sku_id = $2 AND t.source_ref_id = $4
                    AND (t.row_source = 'snapshot_depletion' OR t.row_source = 'correction' AND t.shipment_id IS NULL)
            ), 0) - depleted_quantity
        )::bigint AS "beyond!"
        FROM snapshot_skus
        WHERE pool_id = $1 AND sku_id = $2 AND snapshot_date = $3
        "#,
        pool.0,
        sku,
        date,
        day,
    )
    .fetch_optional(conn)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lots_may_come_nearer_to_the_shelf_and_never_leave_it() {
        let of = |by_ledgers| Shelf { by_rows: 0, by_ledgers };
        assert!(!of(-4).is_worse_with(4) && !of(-8).is_worse_with(4) && !of(0).is_worse_with(0));
        assert!(of(0).is_worse_with(4) && of(-1).is_worse_with(4) && of(3).is_worse_with(1));
    }
}
