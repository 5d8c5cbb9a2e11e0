//! One stretch of the audit: what [repair](crate::repair) asks where it has no finding of its own.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::pages::{Key, Range};
use super::report::Found;
use super::{
    Options, balances, depletions, entries, lines, lots, off_sale, reservations, shipments, snapshots, variants,
};
use crate::ids::PoolId;

/// Most lines of a pool that are read in one pass.
const MOST_LINES: i64 = 100_000;

/// A closed range of what is checked together, or the days of a pool, which are checked in one pass.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    Skus(i64, i64),
    /// SKU and number; begins with the entry after the one that the first must follow from.
    Entries((i64, i64), (i64, i64)),
    Reservations(Uuid, Uuid),
    Lots(Uuid, Uuid),
    Shipments(Uuid, Uuid),
    Days,
}

/// What is wrong there, in one snapshot of the caller's.
pub(crate) async fn find(
    conn: &mut PgConnection,
    pool: PoolId,
    now: DateTime<Utc>,
    place: Place,
) -> sqlx::Result<Vec<Found>> {
    match place {
        Place::Skus(from, to) => {
            let range = Range { from, to };
            let mut found = balances::compare(conn, pool, &range).await?;
            found.extend(snapshots::compare_skus(conn, pool, &range).await?);
            Ok(found)
        }
        Place::Entries(before, to) => {
            let from = before.next().unwrap_or(before);
            entries::compare(conn, pool, before, &Range { from, to }).await
        }
        Place::Reservations(from, to) => {
            let (range, options) = (Range { from, to }, Options { now: Some(now), ..Options::default() });
            let mut found = reservations::compare(conn, pool, &range, &options).await?;
            found.extend(lines::compare(conn, pool, &range).await?);
            found.extend(variants::compare(conn, pool, &range).await?);
            Ok(found)
        }
        Place::Lots(from, to) => {
            let range = Range { from, to };
            let mut found = lots::compare_lots(conn, pool, &range).await?;
            found.extend(lots::compare_transactions(conn, pool, &range).await?);
            found.extend(off_sale::compare(conn, pool, &range).await?);
            found.extend(depletions::compare(conn, pool, &range).await?);
            Ok(found)
        }
        Place::Shipments(from, to) => {
            let range = Range { from, to };
            let mut found = shipments::compare_lines(conn, pool, &range).await?;
            found.extend(shipments::compare_open(conn, pool, &range).await?);
            found.extend(shipments::compare_ledger(conn, pool, &range).await?);
            Ok(found)
        }
        Place::Days => {
            let mut found = snapshots::compare_days(conn, pool).await?;
            // One pass over all lines of the pool: of more than a few pages it is the audit's alone.
            if snapshots::has_few_lines(conn, pool, MOST_LINES).await? {
                found.extend(snapshots::compare_lines(conn, pool).await?);
            }
            Ok(found)
        }
    }
}
