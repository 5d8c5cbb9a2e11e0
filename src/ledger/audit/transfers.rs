//! Transfers between pools: what arrived has left elsewhere, and what was refused has not.
//!
//! A statement stays in one pool. So the destination is read first, then what left each source, and the two are
//! compared here; a transfer that moves between the two reads is looked at as it was in the first: what has arrived had
//! left before, and what was refused never leaves.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;
use uuid::Uuid;

use super::Options;
use super::pages::{self, End, Pages, Range};
use super::report::{Found, Report};
use crate::ids::PoolId;

pub(super) async fn check(
    conn: &mut PgConnection,
    pool: PoolId,
    options: &Options,
    report: &mut Report,
) -> sqlx::Result<()> {
    let mut pages = Pages::of(options.page);
    while let Some(from) = pages.from() {
        let mut tx = pages::snapshot(conn).await?;
        let end = find_end(&mut tx, pool, from, pages.size()).await?;
        report.count("transfers", end.as_ref().map_or(0, |end| end.rows));
        let range = pages.range(from, end);
        let transfers = find_transfers(&mut tx, pool, &range).await?;
        tx.commit().await?;
        let mut departures = BTreeMap::new();
        let sources: BTreeSet<i64> = transfers.iter().map(|transfer| transfer.source_pool_id).collect();
        for source in sources {
            let of = transfers.iter().filter(|transfer| transfer.source_pool_id == source);
            let refs: Vec<String> = of.map(|transfer| transfer.id.to_string()).collect();
            for departure in find_departures(conn, PoolId(source), &refs).await? {
                departures.insert((source, departure.source_ref_id.clone()), departure);
            }
        }
        report.add(Some(pool), judge(&transfers, &departures))?;
    }
    Ok(())
}

struct Transfer {
    id: Uuid,
    source_pool_id: i64,
    source_lot_id: Uuid,
    quantity: i64,
    status: String,
    arrived: Option<i64>,
}

struct Departure {
    source_ref_id: String,
    lot_id: Uuid,
    units: i64,
}

async fn find_end(conn: &mut PgConnection, pool: PoolId, from: Uuid, size: i64) -> sqlx::Result<Option<End<Uuid>>> {
    sqlx::query_as!(
        End,
        r#"
        SELECT transfer_id AS key, row_number() OVER (ORDER BY transfer_id) AS "rows!"
        FROM (
            SELECT transfer_id
            FROM transfers
            WHERE pool_id = $1 AND transfer_id >= $2
            ORDER BY transfer_id
            LIMIT $3
        ) AS page
        ORDER BY transfer_id DESC
        LIMIT 1
        "#,
        pool.0,
        from,
        size,
    )
    .fetch_optional(conn)
    .await
}

async fn find_transfers(conn: &mut PgConnection, pool: PoolId, range: &Range<Uuid>) -> sqlx::Result<Vec<Transfer>> {
    sqlx::query_as!(
        Transfer,
        r#"
        SELECT t.transfer_id AS id, t.source_pool_id, t.source_lot_id, t.quantity, t.status, l.received_quantity AS "arrived?"
        FROM transfers AS t
        LEFT JOIN LATERAL (
            SELECT received_quantity
            FROM lots
            WHERE pool_id = $1 AND lot_id = t.lot_id AND origin = 'transfer'
            LIMIT 1
        ) AS l ON true
        WHERE t.pool_id = $1 AND t.transfer_id BETWEEN $2 AND $3
        ORDER BY t.transfer_id
        "#,
        pool.0,
        range.from,
        range.to,
    )
    .fetch_all(conn)
    .await
}

async fn find_departures(conn: &mut PgConnection, pool: PoolId, refs: &[String]) -> sqlx::Result<Vec<Departure>> {
    sqlx::query_as!(
        Departure,
        r#"
        SELECT source_ref_id AS "source_ref_id!", lot_id, -quantity_delta AS "units!"
        FROM lot_transactions
        WHERE pool_id = $1 AND row_source = 'transfer_out' AND source_ref_id = ANY($2)
        "#,
        pool.0,
        refs,
    )
    .fetch_all(conn)
    .await
}

/// What does not agree. Pure.
fn judge(transfers: &[Transfer], departures: &BTreeMap<(i64, String), Departure>) -> Vec<Found> {
    let mut found = Vec::new();
    for transfer in transfers {
        let left = departures.get(&(transfer.source_pool_id, transfer.id.to_string()));
        let wrong = match (transfer.status.as_str(), left, transfer.arrived) {
            ("arrived", None, _) => Some("arrived, but never left its source".to_owned()),
            ("arrived", Some(left), _) if left.units != transfer.quantity || left.lot_id != transfer.source_lot_id => {
                Some(format!("of {} units, {} left lot {}", transfer.quantity, left.units, left.lot_id))
            }
            ("arrived", _, arrived) if arrived != Some(transfer.quantity) => {
                let arrived = arrived.map_or_else(|| "no".to_owned(), |units| units.to_string());
                Some(format!("of {} units, {arrived} arrived", transfer.quantity))
            }
            ("refused", Some(left), _) => Some(format!("refused, but {} units left lot {}", left.units, left.lot_id)),
            ("claimed" | "refused", _, Some(units)) => Some(format!("{}, but {units} units arrived", transfer.status)),
            _ => None,
        };
        found.extend(wrong.map(|detail| Found {
            check: "transfers_have_both_sides".to_owned(),
            subject: format!("transfer {}", transfer.id),
            detail,
        }));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transfer(id: u128, status: &str, arrived: Option<i64>) -> Transfer {
        Transfer {
            id: Uuid::from_u128(id),
            source_pool_id: 7,
            source_lot_id: Uuid::nil(),
            quantity: 3,
            status: status.to_owned(),
            arrived,
        }
    }

    #[test]
    fn what_arrived_has_left_and_what_was_refused_has_not() {
        let transfers = [
            transfer(1, "arrived", Some(3)),
            transfer(2, "arrived", Some(3)),
            transfer(3, "arrived", None),
            transfer(4, "refused", None),
            transfer(5, "refused", None),
            transfer(6, "claimed", None),
            transfer(7, "claimed", Some(3)),
            transfer(8, "arrived", Some(3)),
        ];
        let left = |id: u128, units| {
            let source_ref_id = Uuid::from_u128(id).to_string();
            ((7, source_ref_id.clone()), Departure { source_ref_id, lot_id: Uuid::nil(), units })
        };
        let departures = [left(1, 3), left(3, 3), left(5, 3), left(6, 3), left(8, 2)].into();
        let found: Vec<String> = judge(&transfers, &departures).into_iter().map(|found| found.subject).collect();
        let expected = [2, 3, 5, 7, 8].map(|id| format!("transfer {}", Uuid::from_u128(id)));
        assert_eq!(found, expected);
    }
}
