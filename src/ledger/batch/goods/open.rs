//! Reading what is open of shipments: what no lot was depleted for yet, what on hand and what lots could not cover.

use std::collections::HashMap;

use chrono::NaiveDate;
use sqlx::PgConnection;

use crate::ids::{PoolId, SkuId};
use crate::ledger::goods::{OpenDiscrepancy, OpenShortage, PendingUnits, ShipmentLineRef};

/// What left the shelves of these SKUs and no lot yet: of days that are open, and what was short of days that are closed.
pub(in crate::ledger) async fn find_pending(
    conn: &mut PgConnection,
    pool: PoolId,
    skus: &[i64],
) -> sqlx::Result<HashMap<SkuId, Vec<PendingUnits>>> {
    let rows = sqlx::query!(
        r#"
        SELECT u.sku_id AS "sku_id!", l.lot_id, l.shipped_date AS "shipped_date!", false AS "short!", l.units AS "units!"
        FROM unnest($2::bigint[]) AS u (sku_id)
        CROSS JOIN LATERAL (
            SELECT lot_id, shipped_date, sum(covered_quantity - depleted_quantity)::bigint AS units
            FROM shipment_lines
            WHERE pool_id = $1 AND sku_id = u.sku_id AND snapshot_date IS NULL AND voided_at IS NULL AND tracked
            GROUP BY lot_id, shipped_date
            ORDER BY shipped_date, lot_id
        ) AS l
        WHERE l.units > 0
        UNION ALL
        SELECT u.sku_id, l.lot_id, l.shipped_date, true, l.units
        FROM unnest($2::bigint[]) AS u (sku_id)
        CROSS JOIN LATERAL (
            SELECT shipment_id, line_ref, quantity - settled_quantity - voided_quantity AS open
            FROM lot_shortages
            WHERE pool_id = $1 AND sku_id = u.sku_id AND settled_quantity + voided_quantity < quantity
            OFFSET 0
        ) AS s
        CROSS JOIN LATERAL (
            SELECT lot_id, shipped_date, least(s.open, covered_quantity - depleted_quantity) AS units
            FROM shipment_lines
            WHERE pool_id = $1 AND shipment_id = s.shipment_id AND line_ref = s.line_ref
            LIMIT 1
        ) AS l
        WHERE l.units > 0
        "#,
        pool.0,
        skus,
    )
    .fetch_all(conn)
    .await?;
    let mut found: HashMap<SkuId, Vec<PendingUnits>> = HashMap::new();
    for row in rows {
        let (lot, shipped_date) = (row.lot_id, row.shipped_date);
        let units = PendingUnits { lot, shipped_date, short: row.short, quantity: row.units };
        found.entry(SkuId(row.sku_id)).or_default().push(units);
    }
    Ok(found)
}

/// Open discrepancies of these SKUs, oldest first.
pub(in crate::ledger::batch) async fn find_discrepancies(
    conn: &mut PgConnection,
    pool: PoolId,
    skus: &[i64],
) -> sqlx::Result<HashMap<SkuId, Vec<OpenDiscrepancy>>> {
    let rows = sqlx::query!(
        r#"
        SELECT u.sku_id AS "sku_id!", d.discrepancy_id, d.shipment_id, d.line_ref, d.open AS "open!"
        FROM unnest($2::bigint[]) AS u (sku_id)
        CROSS JOIN LATERAL (
            SELECT discrepancy_id, shipment_id, line_ref, quantity - settled_quantity - voided_quantity AS open
            FROM discrepancies
            WHERE pool_id = $1 AND sku_id = u.sku_id AND settled_quantity + voided_quantity < quantity
            ORDER BY discrepancy_id
        ) AS d
        "#,
        pool.0,
        skus,
    )
    .fetch_all(conn)
    .await?;
    let mut found: HashMap<SkuId, Vec<OpenDiscrepancy>> = HashMap::new();
    for row in rows {
        let line = ShipmentLineRef { shipment: row.shipment_id, line_ref: row.line_ref };
        let open = OpenDiscrepancy { id: row.discrepancy_id, line, open: row.open };
        found.entry(SkuId(row.sku_id)).or_default().push(open);
    }
    Ok(found)
}

/// Open lot shortages of these SKUs, oldest first. Their lines are locked: the close of a day settles them, too.
pub(in crate::ledger::batch) async fn lock_shortages(
    conn: &mut PgConnection,
    pool: PoolId,
    skus: &[i64],
) -> sqlx::Result<HashMap<SkuId, Vec<OpenShortage>>> {
    let rows = sqlx::query!(
        r#"
        SELECT u.sku_id AS "sku_id!", s.shipment_id, s.line_ref, s.opened_date
        FROM unnest($2::bigint[]) AS u (sku_id)
        CROSS JOIN LATERAL (
            SELECT shipment_id, line_ref, opened_date
            FROM lot_shortages
            WHERE pool_id = $1 AND sku_id = u.sku_id AND settled_quantity + voided_quantity < quantity
            OFFSET 0
        ) AS s
        ORDER BY s.shipment_id, s.line_ref
        "#,
        pool.0,
        skus,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut found: HashMap<SkuId, Vec<(NaiveDate, OpenShortage)>> = HashMap::new();
    for row in rows {
        let locked = sqlx::query!(
            r#"
            SELECT
                l.covered_quantity - l.depleted_quantity AS "covered_undepleted!", l.lot_id, l.shipped_date,
                s.quantity - s.settled_quantity - s.voided_quantity AS "open!",
                (
                    SELECT coalesce(max(n), 0::smallint)
                    FROM depletions
                    WHERE pool_id = $1 AND shipment_id = $2 AND line_ref = $3
                ) AS "newest!"
            FROM shipment_lines AS l
            JOIN lot_shortages AS s
                ON s.pool_id = $1 AND s.shipment_id = l.shipment_id AND s.line_ref = l.line_ref
            WHERE l.pool_id = $1 AND l.shipment_id = $2 AND l.line_ref = $3
            FOR NO KEY UPDATE
            "#,
            pool.0,
            row.shipment_id,
            row.line_ref,
        )
        .fetch_one(&mut *conn)
        .await?;
        let shortage = OpenShortage {
            line: ShipmentLineRef { shipment: row.shipment_id, line_ref: row.line_ref },
            open: locked.open,
            covered_undepleted: locked.covered_undepleted,
            newest_depletion: locked.newest,
            lot: locked.lot_id,
            shipped_date: locked.shipped_date,
        };
        if shortage.open > 0 {
            found.entry(SkuId(row.sku_id)).or_default().push((row.opened_date, shortage));
        }
    }
    Ok(found
        .into_iter()
        .map(|(sku, mut open)| {
            open.sort_by(|a, b| (a.0, &a.1.line).cmp(&(b.0, &b.1.line)));
            (sku, open.into_iter().map(|(_, shortage)| shortage).collect())
        })
        .collect())
}
