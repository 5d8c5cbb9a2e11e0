//! Diagnosis: page by page over what could be wrong, each page a read-only snapshot that locks nothing.
//!
//! A cursor says where to go on: pool, scan, key, and what of that page was looked at. So a run of any length is many
//! short ones, however much is wrong, none of which keeps vacuum waiting, and one that was stopped goes on where it was.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::books::Books;
use super::{Finding, Kind, Subject, balances, checks, days, holds, lines, lots, shortages};
use crate::clock::Clock;
use crate::ids::{PoolId, SkuId};
use crate::ledger::audit::pages;
use crate::ledger::audit::place::Place;

/// What is looked at, in this order. Causes come before what follows from them.
const SCANS: [Scan; 8] =
    [Scan::Lines, Scan::Lots, Scan::Entries, Scan::Skus, Scan::Shortages, Scan::Holds, Scan::Reservations, Scan::Days];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Scan {
    Lines,
    Lots,
    Entries,
    Skus,
    Shortages,
    Holds,
    Reservations,
    Days,
}

/// Where a diagnosis goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cursor {
    pool: i64,
    scan: Scan,
    after: Option<Value>,
    /// What was looked at last of the page that begins there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    looked: Option<(Kind, Subject)>,
}

impl Cursor {
    fn begin(pool: i64, scan: Scan) -> Self {
        Self { pool, scan, after: None, looked: None }
    }
}

/// How much one step does.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Rows of one page.
    pub page: i64,
    /// Nothing more is looked at after this long.
    pub time: Duration,
    /// Nothing more is looked at after this many findings.
    pub findings: usize,
}

impl Limits {
    fn are_reached(&self, began: Instant, found: usize) -> bool {
        began.elapsed() >= self.time || found >= self.findings
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { page: 1000, time: Duration::from_secs(3), findings: 100 }
    }
}

/// What a step found.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct Step {
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Where to go on; none when everything was looked at.
    #[serde(skip)]
    pub next: Option<Cursor>,
}

/// Whether there is anything to repair at all: without a lot nothing was ever received, shipped or depleted.
///
/// # Errors
/// Database errors.
pub async fn has_lots(conn: &mut PgConnection, of: Option<PoolId>) -> sqlx::Result<bool> {
    for pool in find_pools(conn, of, i64::MIN).await? {
        let found = sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM lots WHERE pool_id = $1) AS "found!""#, pool.0)
            .fetch_one(&mut *conn)
            .await?;
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn find_pools(conn: &mut PgConnection, of: Option<PoolId>, from: i64) -> sqlx::Result<Vec<PoolId>> {
    let ids = sqlx::query_scalar!(
        "SELECT pool_id FROM pools WHERE pool_id >= $1 AND ($2::bigint IS NULL OR pool_id = $2) ORDER BY pool_id",
        from,
        of.map(|pool| pool.0),
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(PoolId).collect())
}

/// Looks on from `cursor`, in one pool or in all of them. `conn` must not be inside a transaction.
///
/// # Errors
/// Database errors. What a damaged row says is a finding, never an error.
pub async fn step(
    conn: &mut PgConnection,
    clock: &Clock,
    of: Option<PoolId>,
    cursor: Option<Cursor>,
    limits: Limits,
) -> sqlx::Result<Step> {
    let began = Instant::now();
    let mut step = Step { findings: Vec::new(), next: cursor };
    loop {
        let Some(place) = place(conn, of, step.next.take()).await? else { return Ok(step) };
        let pool = PoolId(place.pool);
        let mut tx = pages::snapshot(conn).await?;
        let now = clock.read(&mut tx).await?;
        let (about, last) = find(&mut tx, pool, now, &place, limits.page).await?;
        let mut books = Books::default();
        let mut about = left_of(about, place.looked.as_ref()).into_iter().peekable();
        let mut cut = None;
        while let Some((kind, subject)) = about.next() {
            step.findings.extend(look(&mut tx, pool, now, (kind, &subject), &mut books).await?);
            if about.peek().is_some() && limits.are_reached(began, step.findings.len()) {
                cut = Some((kind, subject));
                break;
            }
        }
        tx.commit().await?;
        step.next = Some(match (cut, last) {
            (Some(looked), _) => Cursor { looked: Some(looked), ..place },
            (None, Some(after)) => Cursor { after: Some(after), looked: None, ..place },
            (None, None) => following(&place),
        });
        if limits.are_reached(began, step.findings.len()) {
            // Not an end that is only found out by asking again.
            step.next = match step.next.take() {
                Some(next) => self::place(conn, of, Some(next)).await?,
                None => None,
            };
            return Ok(step);
        }
    }
}

/// What of a page is still to be looked at. All of it where the last thing is no longer suspected: it was repaired
/// meanwhile.
fn left_of(mut about: Vec<(Kind, Subject)>, looked: Option<&(Kind, Subject)>) -> Vec<(Kind, Subject)> {
    match looked.and_then(|looked| about.iter().position(|one| one == looked)) {
        Some(at) => about.split_off(at + 1),
        None => about,
    }
}

/// The next scan of the pool, or the first of the next pool.
fn following(place: &Cursor) -> Cursor {
    let at = SCANS.iter().position(|scan| *scan == place.scan).unwrap_or(0);
    match SCANS.get(at + 1) {
        Some(scan) => Cursor::begin(place.pool, *scan),
        None => Cursor::begin(place.pool.saturating_add(1), SCANS[0]),
    }
}

/// Where a cursor points to: a pool that exists. `None`: beyond the last.
async fn place(conn: &mut PgConnection, of: Option<PoolId>, cursor: Option<Cursor>) -> sqlx::Result<Option<Cursor>> {
    let cursor = cursor.unwrap_or(Cursor::begin(i64::MIN, SCANS[0]));
    let pools = find_pools(conn, of, cursor.pool).await?;
    let of_pool = |pool: &PoolId| if pool.0 == cursor.pool { cursor } else { Cursor::begin(pool.0, SCANS[0]) };
    Ok(pools.first().map(of_pool))
}

/// What one page suspects, and its last key; `None` when the scan is through.
async fn find(
    conn: &mut PgConnection,
    pool: PoolId,
    now: DateTime<Utc>,
    place: &Cursor,
    page: i64,
) -> sqlx::Result<(Vec<(Kind, Subject)>, Option<Value>)> {
    let line = |kind| move |(shipment_id, line_ref)| (kind, Subject::Line { shipment_id, line_ref });
    match place.scan {
        Scan::Lines => {
            let after: Option<Uuid> = read(place);
            let (from, to, last) = uuids(after, shipments_after(conn, pool, after, page).await?, page);
            let found = lines::find(conn, pool, (from, to), None).await?;
            let mut about = found.into_iter().map(line(Kind::DoubleDepletion)).collect();
            checks::extend(conn, pool, now, Place::Shipments(from, to), &mut about).await?;
            Ok((about, last))
        }
        Scan::Lots => {
            let after: Option<Uuid> = read(place);
            let (from, to, last) = uuids(after, lots_after(conn, pool, after, page).await?, page);
            let mut about: Vec<_> = lots::find_drifted(conn, pool, from, to)
                .await?
                .into_iter()
                .map(|lot_id| (Kind::LotDrift, Subject::Lot { lot_id }))
                .collect();
            let days = lots::find_days(conn, pool, (from, to), None).await?;
            about.extend(days.into_iter().map(|(lot_id, date)| (Kind::LotDay, Subject::LotDay { lot_id, date })));
            checks::extend(conn, pool, now, Place::Lots(from, to), &mut about).await?;
            Ok((about, last))
        }
        Scan::Entries => {
            let after: (i64, i64) = read(place).unwrap_or((i64::MIN, i64::MIN));
            let end = entries_after(conn, pool, after, page).await?;
            let to = end.unwrap_or((i64::MAX, i64::MAX));
            let found = balances::find_breaks(conn, pool, after, to).await?;
            let mut about = found
                .into_iter()
                // The entry a page begins with was the last of the page before.
                .filter(|one| (one.sku, one.seq) != after)
                .map(|one| (Kind::LedgerBreak, Subject::Entry { sku_id: SkuId(one.sku), seq: one.seq }))
                .collect();
            checks::extend(conn, pool, now, Place::Entries(after, to), &mut about).await?;
            Ok((about, end.map(|end| serde_json::json!(end))))
        }
        Scan::Skus => {
            let (from, to, last) = skus(place, skus_after(conn, pool, read(place), page).await?, page);
            let mut about = Vec::new();
            for sku in balances::find_skus(conn, pool, from, to).await? {
                let subject = Subject::Sku { sku_id: SkuId(sku) };
                about.extend([(Kind::BalanceDrift, subject.clone()), (Kind::ShelfDiffersFromLots, subject)]);
            }
            checks::extend(conn, pool, now, Place::Skus(from, to), &mut about).await?;
            Ok((about, last))
        }
        Scan::Shortages => {
            let (from, to, last) = skus(place, skus_after(conn, pool, read(place), page).await?, page);
            let found = shortages::find(conn, pool, from, to).await?;
            Ok((found.into_iter().map(line(Kind::Shortage)).collect(), last))
        }
        Scan::Holds => {
            let found = holds::find(conn, pool, now, read(place), page).await?;
            let last = found.last().filter(|_| is_full(found.len(), page)).map(|last| serde_json::json!(last));
            let about = found.into_iter().map(|(_, reservation_id)| Subject::Reservation { reservation_id });
            Ok((about.map(|subject| (Kind::StuckHold, subject)).collect(), last))
        }
        Scan::Reservations => {
            let after: Option<Uuid> = read(place);
            let (from, to, last) = uuids(after, reservations_after(conn, pool, after, page).await?, page);
            let mut about = Vec::new();
            checks::extend(conn, pool, now, Place::Reservations(from, to), &mut about).await?;
            Ok((about, last))
        }
        Scan::Days => {
            let found = days::find(conn, pool, now).await?;
            let mut about = found.into_iter().map(|date| (Kind::OpenDay, Subject::Day { date })).collect();
            checks::extend(conn, pool, now, Place::Days, &mut about).await?;
            Ok((about, None))
        }
    }
}

/// Looks at one thing: what is wrong with it now, if anything is. `books`: what was read of other things in the same
/// snapshot or under the same locks.
///
/// # Errors
/// Database errors.
pub async fn look(
    conn: &mut PgConnection,
    pool: PoolId,
    now: DateTime<Utc>,
    about: (Kind, &Subject),
    books: &mut Books,
) -> sqlx::Result<Option<Finding>> {
    match about {
        (Kind::BalanceDrift, Subject::Sku { sku_id }) => balances::look_drift(conn, pool, *sku_id).await,
        (Kind::ShelfDiffersFromLots, Subject::Sku { sku_id }) => balances::look_shelf(conn, pool, *sku_id).await,
        (Kind::LedgerBreak, Subject::Entry { sku_id, seq }) => {
            balances::look_break(conn, pool, now, (*sku_id, *seq), books).await
        }
        (Kind::LotDrift, Subject::Lot { lot_id }) => lots::look_drift(conn, pool, *lot_id, books).await,
        (Kind::LotDay, Subject::LotDay { lot_id, date }) => lots::look_day(conn, pool, *lot_id, *date, books).await,
        (Kind::DoubleDepletion | Kind::TwoDates, Subject::Line { shipment_id, line_ref }) => {
            lines::look(conn, pool, *shipment_id, line_ref, books).await
        }
        (Kind::Shortage, Subject::Line { shipment_id, line_ref }) => {
            shortages::look(conn, pool, *shipment_id, line_ref).await
        }
        (Kind::StuckHold, Subject::Reservation { reservation_id }) => {
            holds::look(conn, pool, now, *reservation_id).await
        }
        (Kind::OpenDay, Subject::Day { date }) => days::look(conn, pool, now, *date).await,
        (Kind::AuditCheck, Subject::Check { check, about }) => {
            checks::look(conn, pool, now, (check, about), books).await
        }
        // A plan that somebody wrote by hand.
        _ => Ok(None),
    }
}

fn read<K: for<'de> Deserialize<'de>>(place: &Cursor) -> Option<K> {
    place.after.clone().and_then(|after| serde_json::from_value(after).ok())
}

fn is_full(rows: usize, page: i64) -> bool {
    i64::try_from(rows).is_ok_and(|rows| rows >= page)
}

/// A closed range that begins after `after`, and the key it ends with if there is more.
fn uuids(after: Option<Uuid>, rows: Vec<Uuid>, page: i64) -> (Uuid, Uuid, Option<Value>) {
    let from = after.map_or(Uuid::nil(), |after| Uuid::from_u128(after.as_u128().saturating_add(1)));
    let end = rows.last().copied().filter(|_| is_full(rows.len(), page));
    (from, end.unwrap_or(Uuid::max()), end.map(|end| serde_json::json!(end)))
}

fn skus(place: &Cursor, rows: Vec<i64>, page: i64) -> (i64, i64, Option<Value>) {
    let from = read::<i64>(place).map_or(i64::MIN, |after| after.saturating_add(1));
    let end = rows.last().copied().filter(|_| is_full(rows.len(), page));
    (from, end.unwrap_or(i64::MAX), end.map(|end| serde_json::json!(end)))
}

async fn shipments_after(
    conn: &mut PgConnection,
    pool: PoolId,
    after: Option<Uuid>,
    page: i64,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"
        SELECT shipment_id
        FROM shipments
        WHERE pool_id = $1 AND ($2::uuid IS NULL OR shipment_id > $2)
        ORDER BY shipment_id
        LIMIT $3
        "#,
        pool.0,
        after,
        page,
    )
    .fetch_all(conn)
    .await
}

async fn reservations_after(
    conn: &mut PgConnection,
    pool: PoolId,
    after: Option<Uuid>,
    page: i64,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"
        SELECT reservation_id
        FROM reservations
        WHERE pool_id = $1 AND ($2::uuid IS NULL OR reservation_id > $2)
        ORDER BY reservation_id
        LIMIT $3
        "#,
        pool.0,
        after,
        page,
    )
    .fetch_all(conn)
    .await
}

async fn lots_after(conn: &mut PgConnection, pool: PoolId, after: Option<Uuid>, page: i64) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"
        SELECT lot_id
        FROM lots
        WHERE pool_id = $1 AND ($2::uuid IS NULL OR lot_id > $2)
        ORDER BY lot_id
        LIMIT $3
        "#,
        pool.0,
        after,
        page,
    )
    .fetch_all(conn)
    .await
}

async fn skus_after(conn: &mut PgConnection, pool: PoolId, after: Option<i64>, page: i64) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        SELECT sku_id
        FROM stock
        WHERE pool_id = $1 AND ($2::bigint IS NULL OR sku_id > $2)
        ORDER BY sku_id
        LIMIT $3
        "#,
        pool.0,
        after,
        page,
    )
    .fetch_all(conn)
    .await
}

/// The last key of a full page; `None` when the page is the last one.
async fn entries_after(
    conn: &mut PgConnection,
    pool: PoolId,
    after: (i64, i64),
    page: i64,
) -> sqlx::Result<Option<(i64, i64)>> {
    let row = sqlx::query!(
        r#"
        SELECT sku_id, seq
        FROM stock_entries
        WHERE pool_id = $1 AND (sku_id, seq) > ($2, $3)
        ORDER BY sku_id, seq
        LIMIT 1
        OFFSET $4
        "#,
        pool.0,
        after.0,
        after.1,
        page.max(1) - 1,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (row.sku_id, row.seq)))
}
