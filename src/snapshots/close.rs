//! Closing one day: begin, chunk after chunk, finish. Whoever comes next carries on where the last one was stopped.

use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use futures_util::future::join_all;
use scoped_futures::ScopedFutureExt;
use sqlx::{PgConnection, PgPool};

use super::CloseError;
use super::chunk::{self, Share, Step};
use super::is_unique_violation;
use crate::app::App;
use crate::catalog::days::{Window, window_of};
use crate::catalog::zones::{self, Zones};
use crate::clock::Clock;
use crate::db::tx;
use crate::ids::{ClientId, PoolId};
use crate::lots::expiry;

/// A ledger transaction that read its clock before midnight is over by then: no statement of ours may run longer.
const IN_FLIGHT: TimeDelta = TimeDelta::seconds(60);
/// Rows of stock that are waited for at once.
const BARRIER_ROWS: i64 = 500;
/// How often a chunk may find its rows locked by somebody else before the close gives up.
const MOST_CONTENDED: u32 = 20;

/// Which day to close, and for whom.
#[derive(Debug, Clone, Copy)]
pub struct Closing {
    /// The pool.
    pub pool: PoolId,
    /// Its local day.
    pub date: NaiveDate,
    /// Even though the day has not ended, if it has begun.
    pub early: bool,
    /// By whom; the service itself for the daily job.
    pub client: ClientId,
}

/// What a call came to. The day is closed either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was open before.
    Closed,
    /// It had been closed before.
    AlreadyClosed,
}

/// A day that is being closed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Day {
    pub pool: PoolId,
    pub date: NaiveDate,
    pub window: Window,
    pub client: ClientId,
}

/// Closes a day, or finishes what another call has begun. To be called from a task of its own: it takes as long as it
/// takes. `go_on` is asked between chunks.
///
/// # Errors
/// [`CloseError`]; what is done stays done, and calling it again does the rest.
pub async fn close_day(
    app: &App,
    closing: Closing,
    go_on: &(dyn Fn() -> bool + Send + Sync),
) -> Result<Outcome, CloseError> {
    let begun = tx::write(&app.db, "begin_snapshot", |conn| begin(conn, &app.clock, closing).scope_boxed()).await?;
    let Begun::Open { day, begun_at } = begun else { return Ok(Outcome::AlreadyClosed) };
    let started = Instant::now();
    if begun_at - day.window.ends_at < IN_FLIGHT {
        let pool = day.pool;
        wait_for_ledger(&app.db, pool).await?;
    }
    let workers = app.settings.snapshots.workers.max(1);
    let shares = (0..workers).map(|remainder| take_share(app, day, Share { workers, remainder }, go_on));
    // Not the first error: a worker that is dropped half-way would leave its transaction to the connection pool.
    for taken in join_all(shares).await {
        taken?;
    }
    expiry::keep_off_sale(app, day.pool).await?;
    tx::write(&app.db, "finish_snapshot", |conn| finish(conn, &app.clock, day).scope_boxed()).await?;
    let took = started.elapsed();
    tracing::info!(pool = closing.pool.0, date = %closing.date, took_ms = took.as_millis(), "closed a day");
    metrics::histogram!("holdfast_snapshot_seconds").record(took.as_secs_f64());
    Ok(Outcome::Closed)
}

/// Chunk after chunk, until nothing of this share is left.
async fn take_share(
    app: &App,
    day: Day,
    share: Share,
    go_on: &(dyn Fn() -> bool + Send + Sync),
) -> Result<(), CloseError> {
    let settings = app.settings.snapshots;
    let (mut after, mut contended, mut look_twice) = (0, 0, false);
    loop {
        if !go_on() {
            return Err(CloseError::Stopped);
        }
        let taken = tx::write(&app.db, "snapshot_chunk", |conn| {
            chunk::take(conn, &app.clock, day, share, settings, (after, look_twice)).scope_boxed()
        })
        .await;
        match taken {
            Ok(Step::Done { last }) => (after, contended, look_twice) = (last, 0, false),
            Ok(Step::NothingLeft | Step::DayClosed) => return Ok(()),
            Ok(Step::Busy) => pause().await,
            Err(error) if contended < MOST_CONTENDED && may_be_done(&error) => {
                contended += 1;
                pause().await;
            }
            Err(error) if !look_twice && has_been_depleted(&error) => look_twice = true,
            Err(error) => return Err(error),
        }
    }
}

/// Whether a line of the chunk has depletions already. Only then it is asked which: of millions of lines none should.
fn has_been_depleted(error: &CloseError) -> bool {
    let CloseError::Database(error) = error else { return false };
    let name = error.as_database_error().and_then(sqlx::error::DatabaseError::constraint);
    is_unique_violation(error) && name.is_some_and(|name| name.starts_with("depletions_pkey"))
}

/// Whether to look again: rows were locked by somebody else, or somebody else was faster with the same SKUs.
fn may_be_done(error: &CloseError) -> bool {
    let is_claim = |error: &sqlx::Error| {
        let name = error.as_database_error().and_then(sqlx::error::DatabaseError::constraint);
        is_unique_violation(error) && name.is_some_and(|name| name.starts_with("snapshot_skus_pkey"))
    };
    tx::Contended::is_contention(error) || matches!(error, CloseError::Database(error) if is_claim(error))
}

/// Long enough not to be in the way of who is at work, and not always the same.
async fn pause() {
    let random = crate::ids::new_uuid().as_bytes()[9];
    tokio::time::sleep(Duration::from_millis(20 + u64::from(random) / 4)).await;
}

/// The day of a pool that closes next. One that is being closed is still open.
///
/// # Errors
/// Database errors.
pub async fn find_first_open_day(conn: &mut PgConnection, pool: PoolId) -> sqlx::Result<Option<NaiveDate>> {
    let Some(home) = find_home(conn, pool).await? else { return Ok(None) };
    Ok(Some(first_open(&home, find_newest(conn, pool).await?.as_ref())))
}

struct Home {
    zones: Zones,
    created_at: DateTime<Utc>,
}

struct Newest {
    snapshot_date: NaiveDate,
    window_end: DateTime<Utc>,
    closed: bool,
}

/// The first day is the local date on which the pool was made: what had shipped before is taken by it, late.
fn first_open(home: &Home, newest: Option<&Newest>) -> NaiveDate {
    match newest {
        None => home.zones.date_at(home.created_at),
        Some(newest) if newest.closed => newest.snapshot_date.succ_opt().unwrap_or(newest.snapshot_date),
        Some(newest) => newest.snapshot_date,
    }
}

enum Begun {
    Open { day: Day, begun_at: DateTime<Utc> },
    Closed,
}

async fn begin(conn: &mut PgConnection, clock: &Clock, closing: Closing) -> Result<Begun, CloseError> {
    let Closing { pool, date, early, client } = closing;
    let known = async |conn: &mut PgConnection, now| -> Result<Option<Begun>, CloseError> {
        let found = find_day(conn, pool, date).await?;
        Ok(found.map(|(window, closed)| {
            let day = Day { pool, date, window, client };
            if closed { Begun::Closed } else { Begun::Open { day, begun_at: now } }
        }))
    };
    let now = clock.read(conn).await?;
    if let Some(begun) = known(conn, now).await? {
        return Ok(begun);
    }
    wait_for_files(conn, pool).await?;
    let now = clock.read(conn).await?;
    if let Some(begun) = known(conn, now).await? {
        return Ok(begun);
    }
    let home = find_home(conn, pool).await?.ok_or_else(|| CloseError::Inconsistent(format!("no pool {}", pool.0)))?;
    let newest = find_newest(conn, pool).await?;
    let window = window_of(
        home.zones.on(date),
        date,
        newest.as_ref().filter(|newest| newest.snapshot_date.succ_opt() == Some(date)).map(|newest| newest.window_end),
    );
    if now < window.ends_at && !early {
        return Err(CloseError::NotOver { date, ends_at: window.ends_at });
    }
    if now < window.starts_at {
        return Err(CloseError::NotBegun { date, starts_at: window.starts_at });
    }
    let open = first_open(&home, newest.as_ref());
    if date > open {
        return Err(CloseError::EarlierDayOpen { first_open_date: open });
    }
    if date < open {
        return Err(CloseError::BeforeFirstDay { first_date: open });
    }
    insert_day(conn, closing, &home, newest.is_some(), window, now).await?;
    Ok(Begun::Open { day: Day { pool, date, window, client }, begun_at: now })
}

/// Whoever loses (the day was begun, an earlier one is being closed) looks again: that is no error of the caller's.
async fn insert_day(
    conn: &mut PgConnection,
    closing: Closing,
    home: &Home,
    follows: bool,
    window: Window,
    now: DateTime<Utc>,
) -> Result<(), CloseError> {
    let previous = closing.date.pred_opt().filter(|_| follows);
    let done = sqlx::query!(
        r#"
        INSERT INTO snapshots (
            pool_id, snapshot_date, previous_date, window_start, window_end, time_zone, status, client_id, begun_at,
            closed_at
        )
        VALUES ($1, $2, $3, $4, $5, $6, 'closing', $7, $8, NULL)
        ON CONFLICT DO NOTHING
        "#,
        closing.pool.0,
        closing.date,
        previous,
        window.starts_at,
        window.ends_at,
        home.zones.on(closing.date).name(),
        closing.client.0,
        now,
    )
    .execute(conn)
    .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(CloseError::Raced) }
}

/// All SKUs are done: the day is closed, for ever.
async fn finish(conn: &mut PgConnection, clock: &Clock, day: Day) -> Result<(), CloseError> {
    let now = clock.read(conn).await?;
    sqlx::query!(
        r#"
        UPDATE snapshots
        SET status = 'closed', closed_at = $3
        WHERE pool_id = $1 AND snapshot_date = $2 AND status = 'closing'
        "#,
        day.pool.0,
        day.date,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn find_day(
    conn: &mut PgConnection,
    pool: PoolId,
    date: NaiveDate,
) -> Result<Option<(Window, bool)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        SELECT window_start, window_end, status = 'closed' AS "closed!"
        FROM snapshots
        WHERE pool_id = $1 AND snapshot_date = $2
        "#,
        pool.0,
        date,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (Window { starts_at: row.window_start, ends_at: row.window_end }, row.closed)))
}

async fn find_newest(conn: &mut PgConnection, pool: PoolId) -> sqlx::Result<Option<Newest>> {
    sqlx::query_as!(
        Newest,
        r#"
        SELECT snapshot_date, window_end, status = 'closed' AS "closed!"
        FROM snapshots
        WHERE pool_id = $1
        ORDER BY snapshot_date DESC
        LIMIT 1
        "#,
        pool.0,
    )
    .fetch_optional(conn)
    .await
}

/// From the database and not from memory, which may be behind a change of zone.
async fn find_home(conn: &mut PgConnection, pool: PoolId) -> sqlx::Result<Option<Home>> {
    Ok(zones::find(conn, pool).await?.map(|(zones, created_at)| Home { zones, created_at }))
}

/// Files of lots that are on their way come first: they have booked their lots, and hold this row until those are on the
/// shelf.
async fn wait_for_files(conn: &mut PgConnection, pool: PoolId) -> sqlx::Result<()> {
    sqlx::query!(
        "SELECT set_config('lock_timeout', '30s', true) AS a, set_config('statement_timeout', '60s', true) AS b"
    )
    .fetch_one(&mut *conn)
    .await?;
    sqlx::query!("SELECT FROM pools WHERE pool_id = $1 FOR NO KEY UPDATE", pool.0).execute(conn).await?;
    Ok(())
}

/// Waits until no transaction of the ledger is at work that read its clock before the day ended: whoever locks a row
/// after this reads it later. In the order of the ledger's own locks, each page a transaction of its own.
async fn wait_for_ledger(db: &PgPool, pool: PoolId) -> Result<(), CloseError> {
    let mut after = 0;
    loop {
        let page = tx::write(db, "snapshot_barrier", |conn| lock_stock(conn, pool, after).scope_boxed()).await?;
        match page {
            Some(last) => after = last,
            None => return Ok(()),
        }
    }
}

async fn lock_stock(conn: &mut PgConnection, pool: PoolId, after: i64) -> Result<Option<i64>, CloseError> {
    let skus = sqlx::query_scalar!(
        "SELECT sku_id FROM stock WHERE pool_id = $1 AND sku_id > $2 ORDER BY sku_id LIMIT $3 FOR SHARE",
        pool.0,
        after,
        BARRIER_ROWS,
    )
    .fetch_all(conn)
    .await?;
    Ok(skus.last().copied())
}
