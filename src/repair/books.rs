//! What lots and shelves say as a whole, each read once for all findings that ask for it.
//!
//! A lot can have given to every line of a page, and its sums cost as much to read as it has a history. They are kept
//! for as long as what was read holds: one page of a diagnosis is one snapshot, one correction is made under locks.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::balances::{self, Break};
use crate::ids::{PoolId, SkuId};
use crate::ledger::audit::Found;
use crate::ledger::audit::place::{self, Place};
use crate::ledger::correct;

/// What was read so far; of one pool.
#[derive(Debug, Default)]
pub struct Books {
    lots: BTreeMap<Uuid, Given>,
    shelves: BTreeMap<i64, Option<Shelf>>,
    days: BTreeMap<(i64, NaiveDate), Option<i64>>,
    closes: BTreeMap<(i64, NaiveDate), Option<i64>>,
    takings: BTreeMap<(Uuid, Taking), Taken>,
    corrected: BTreeMap<Uuid, Option<(DateTime<Utc>, Decimal)>>,
    breaks: BTreeMap<i64, Vec<Break>>,
    checked_days: Option<Vec<Found>>,
}

/// What a lot gave to lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given {
    /// Units that depletions took from it beyond what its transactions gave.
    pub beyond: i64,
    /// How many it could take back; none if there is no such lot.
    pub room: Option<i64>,
}

/// What took units from a lot: a day's snapshot, or the settlement of a line's shortage.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Taking {
    Day(NaiveDate),
    Settlement(Uuid, String),
}

/// What a lot gave, by its transactions and by the depletions that name it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Taken {
    /// Units that depletions took beyond what transactions gave.
    pub beyond: i64,
    /// What a unit was worth when it left by the newest of these transactions, or has been corrected to since.
    pub worth: Option<Decimal>,
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
    /// Whether lots that hold `units` more would be further from the shelf than they are, or beyond it: what is missing
    /// on one side is no reason for too much on the other.
    pub(super) fn is_worse_with(self, units: i64) -> bool {
        let after = self.by_ledgers + units;
        units != 0 && after != 0 && after.signum() == units.signum()
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

    /// Units that lines took from lots by the snapshot of a day, beyond what the close of that day says; all of them
    /// where it is not closed. `None`: it is, and says nothing of the SKU.
    pub(super) async fn lines_beyond_close(
        &mut self,
        conn: &mut PgConnection,
        pool: PoolId,
        sku: i64,
        date: NaiveDate,
    ) -> sqlx::Result<Option<i64>> {
        if let Some(beyond) = self.closes.get(&(sku, date)) {
            return Ok(*beyond);
        }
        let beyond = read_lines_beyond_close(conn, pool, sku, date).await?;
        self.closes.insert((sku, date), beyond);
        Ok(beyond)
    }

    pub(super) async fn taken(
        &mut self,
        conn: &mut PgConnection,
        pool: PoolId,
        lot: Uuid,
        by: Taking,
    ) -> sqlx::Result<Taken> {
        if let Some(taken) = self.takings.get(&(lot, by.clone())) {
            return Ok(*taken);
        }
        let corrected = self.corrected(conn, pool, lot).await?;
        let taken = read_taken(conn, pool, lot, &by, corrected).await?;
        self.takings.insert((lot, by), taken);
        Ok(taken)
    }

    /// When what was sold of a lot was corrected last, and to which cost.
    pub(super) async fn corrected(
        &mut self,
        conn: &mut PgConnection,
        pool: PoolId,
        lot: Uuid,
    ) -> sqlx::Result<Option<(DateTime<Utc>, Decimal)>> {
        if let Some(corrected) = self.corrected.get(&lot) {
            return Ok(*corrected);
        }
        let corrected = correct::find_corrected(conn, pool, &[lot]).await?.remove(&lot);
        self.corrected.insert(lot, corrected);
        Ok(corrected)
    }

    /// What the audit finds about the days of the pool: one pass, whatever is asked of it.
    pub(super) async fn checked_days(
        &mut self,
        conn: &mut PgConnection,
        pool: PoolId,
        now: DateTime<Utc>,
    ) -> sqlx::Result<&Vec<Found>> {
        let found = match self.checked_days.take() {
            Some(found) => found,
            None => place::find(conn, pool, now, Place::Days).await?,
        };
        Ok(self.checked_days.insert(found))
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

/// What was corrected of a line is taken off: of what another day took first, as corrections are made.
async fn read_lines_beyond_close(
    conn: &mut PgConnection,
    pool: PoolId,
    sku: i64,
    date: NaiveDate,
) -> sqlx::Result<Option<i64>> {
    let seen = sqlx::query!(
        r#"
        SELECT
            (
                SELECT coalesce(sum(
                    CASE
                        WHEN t.back = 0 THEN t.units
                        WHEN l.snapshot_date = $3 THEN t.units - greatest(t.back - (t.ever - t.units), 0)
                        ELSE greatest(t.units - t.back, 0)
                    END
                ), 0)
                FROM (
                    SELECT
                        d.shipment_id,
                        d.line_ref,
                        sum(d.quantity) FILTER (WHERE d.kind = 'snapshot' AND d.cost_date = $3) AS units,
                        sum(d.quantity) FILTER (WHERE d.kind = 'snapshot') AS ever,
                        coalesce(-sum(d.quantity) FILTER (WHERE d.kind = 'correction'), 0) AS back
                    FROM lots AS o
                    CROSS JOIN LATERAL (
                        SELECT shipment_id, line_ref, kind, cost_date, quantity
                        FROM depletions
                        WHERE pool_id = $1 AND lot_id = o.lot_id
                        OFFSET 0
                    ) AS d
                    WHERE o.pool_id = $1 AND o.sku_id = $2
                    GROUP BY d.shipment_id, d.line_ref
                ) AS t
                LEFT JOIN LATERAL (
                    SELECT snapshot_date
                    FROM shipment_lines
                    WHERE pool_id = $1 AND shipment_id = t.shipment_id AND line_ref = t.line_ref AND t.back <> 0
                    LIMIT 1
                ) AS l ON true
                WHERE t.units > 0
            )::bigint AS "units!",
            (
                SELECT depleted_quantity FROM snapshot_skus WHERE pool_id = $1 AND sku_id = $2 AND snapshot_date = $3
            ) AS close,
            EXISTS (
                SELECT FROM snapshots WHERE pool_id = $1 AND snapshot_date = $3 AND status = 'closed'
            ) AS "closed!"
        "#,
        pool.0,
        sku,
        date,
    )
    .fetch_one(conn)
    .await?;
    Ok(match seen.close {
        Some(close) => Some(seen.units - close),
        None => (!seen.closed).then_some(seen.units),
    })
}

async fn read_taken(
    conn: &mut PgConnection,
    pool: PoolId,
    lot: Uuid,
    by: &Taking,
    corrected: Option<(DateTime<Utc>, Decimal)>,
) -> sqlx::Result<Taken> {
    let (source, reference, date, line) = match by {
        Taking::Day(date) => ("snapshot_depletion", date.format("%Y%m%d").to_string(), Some(*date), None),
        Taking::Settlement(shipment, line_ref) => {
            ("shortage_settlement", format!("{shipment}/{line_ref}"), None, Some((*shipment, line_ref.as_str())))
        }
    };
    let seen = sqlx::query!(
        r#"
        SELECT
            (
                SELECT coalesce(-sum(quantity_delta), 0)
                FROM lot_transactions
                WHERE pool_id = $1 AND lot_id = $2 AND source_ref_id = $4
                    AND (row_source = $3 OR row_source = 'correction' AND shipment_id IS NULL)
            )::bigint AS "given!",
            (
                SELECT coalesce(sum(quantity), 0)
                FROM depletions
                WHERE pool_id = $1 AND lot_id = $2
                    AND CASE
                        WHEN $5::date IS NULL THEN kind = 'settlement' AND shipment_id = $6 AND line_ref = $7
                        ELSE kind = 'snapshot' AND cost_date = $5
                    END
            )::bigint AS "depleted!",
            t.quantity_delta AS "quantity?", coalesce(t.value_delta, t.quantity_delta * t.unit_cost) AS value,
            t.recorded_at AS "recorded_at?"
        FROM (SELECT) AS one
        LEFT JOIN LATERAL (
            SELECT quantity_delta, value_delta, unit_cost, recorded_at
            FROM lot_transactions
            WHERE pool_id = $1 AND lot_id = $2 AND source_ref_id = $4 AND row_source = $3 AND quantity_delta < 0
            ORDER BY seq DESC
            LIMIT 1
        ) AS t ON true
        "#,
        pool.0,
        lot,
        source,
        reference,
        date,
        line.map(|(shipment, _)| shipment),
        line.map(|(_, line_ref)| line_ref),
    )
    .fetch_one(conn)
    .await?;
    let worth = match (seen.value, seen.quantity, seen.recorded_at) {
        (Some(value), Some(quantity), Some(at)) => match corrected {
            Some((since, cost)) if since >= at => Some(cost),
            _ => Some((value / Decimal::from(quantity)).normalize()),
        },
        _ => None,
    };
    Ok(Taken { beyond: seen.depleted - seen.given, worth })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lots_may_come_nearer_to_the_shelf_and_never_leave_it() {
        let of = |by_ledgers| Shelf { by_rows: 0, by_ledgers };
        assert!(!of(-4).is_worse_with(4) && !of(-8).is_worse_with(4) && !of(0).is_worse_with(0));
        assert!(of(0).is_worse_with(4) && of(-1).is_worse_with(4) && of(3).is_worse_with(1));
        assert!(of(-3).is_worse_with(5), "nearer by the number, and on the other side");
    }
}
