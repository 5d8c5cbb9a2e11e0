//! Opens and resolves oversells. What is open of a SKU always sums up to what its balance row says is oversold.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::ids::{OversellId, PoolId, SkuId};
use crate::ledger::batch::BatchError;
use crate::ledger::entry::LineRef;
use crate::ledger::world::OversellMove;

/// An open oversell of one SKU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Open {
    pub id: Uuid,
    pub line: Option<LineRef>,
    pub unresolved: i64,
}

/// Which oversells `quantity` returned units resolve: the line's own first, then the oldest. Pure.
pub(super) fn resolve(open: &[Open], preferred: Option<LineRef>, quantity: i64) -> Vec<(Uuid, i64)> {
    let mut order: Vec<&Open> = open.iter().collect();
    order.sort_by_key(|o| (preferred.is_none() || o.line != preferred, o.id));
    let mut left = quantity;
    let mut resolved = Vec::new();
    for oversell in order {
        let units = oversell.unresolved.min(left);
        if units > 0 {
            resolved.push((oversell.id, units));
            left -= units;
        }
    }
    resolved
}

/// Applies the moves in order. The stock rows of their SKUs are locked, so nobody else moves these rows.
pub(in crate::ledger) async fn write(
    conn: &mut PgConnection,
    pool: PoolId,
    now: DateTime<Utc>,
    moves: &[OversellMove],
) -> Result<(), BatchError> {
    for step in moves {
        match *step {
            OversellMove::Open { sku, line, quantity } => open(conn, pool, now, sku, line, quantity).await?,
            OversellMove::Resolve { sku, preferred, quantity } => {
                let open = find_open(conn, pool, sku).await?;
                for (id, units) in resolve(&open, preferred, quantity) {
                    settle(conn, pool, now, id, units).await?;
                }
            }
        }
    }
    Ok(())
}

async fn open(
    conn: &mut PgConnection,
    pool: PoolId,
    now: DateTime<Utc>,
    sku: SkuId,
    line: Option<LineRef>,
    quantity: i64,
) -> Result<(), BatchError> {
    sqlx::query!(
        r#"
        INSERT INTO oversells (
            pool_id, oversell_id, sku_id, reservation_id, line, quantity, resolved_quantity, opened_at
        )
        VALUES ($1, $2, $3, $4, $5, $6, 0, $7)
        "#,
        pool.0,
        OversellId::new(pool).uuid,
        sku.0,
        line.map(|line| line.reservation),
        line.map(|line| line.line),
        quantity,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn find_open(conn: &mut PgConnection, pool: PoolId, sku: SkuId) -> Result<Vec<Open>, BatchError> {
    let rows = sqlx::query!(
        r#"
        SELECT oversell_id, reservation_id, line, quantity - resolved_quantity AS "unresolved!"
        FROM oversells
        WHERE pool_id = $1 AND sku_id = $2 AND resolved_quantity < quantity
        ORDER BY oversell_id
        "#,
        pool.0,
        sku.0,
    )
    .fetch_all(conn)
    .await?;
    let line = |reservation: Option<Uuid>, line: Option<i16>| Some(LineRef { reservation: reservation?, line: line? });
    Ok(rows
        .into_iter()
        .map(|row| Open { id: row.oversell_id, line: line(row.reservation_id, row.line), unresolved: row.unresolved })
        .collect())
}

async fn settle(
    conn: &mut PgConnection,
    pool: PoolId,
    now: DateTime<Utc>,
    id: Uuid,
    units: i64,
) -> Result<(), BatchError> {
    sqlx::query!(
        r#"
        UPDATE oversells
        SET resolved_quantity = resolved_quantity + $3,
            resolved_at = CASE WHEN resolved_quantity + $3 = quantity THEN $4::timestamptz END
        WHERE pool_id = $1 AND oversell_id = $2
        "#,
        pool.0,
        id,
        units,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_that_come_back_resolve_their_own_line_first_then_the_oldest() {
        let line = |n| Some(LineRef { reservation: Uuid::from_u128(n), line: 1 });
        let open = [
            Open { id: Uuid::from_u128(1), line: line(1), unresolved: 2 },
            Open { id: Uuid::from_u128(2), line: line(2), unresolved: 3 },
            Open { id: Uuid::from_u128(3), line: None, unresolved: 4 },
        ];
        let ids = |moves: Vec<(Uuid, i64)>| -> Vec<(u128, i64)> {
            moves.into_iter().map(|(id, units)| (id.as_u128(), units)).collect()
        };
        assert_eq!(ids(resolve(&open, line(2), 4)), [(2, 3), (1, 1)]);
        assert_eq!(ids(resolve(&open, None, 4)), [(1, 2), (2, 2)]);
        assert_eq!(ids(resolve(&open, line(9), 9)), [(1, 2), (2, 3), (3, 4)]);
        assert!(resolve(&open, None, 0).is_empty());
    }
}
