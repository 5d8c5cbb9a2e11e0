//! Orders of an upstream: how many are copied and claimed in a second, from empty tables until nothing is pending.
//!
//! The server does it all by itself: it is started on an empty mirror beside a stand-in that is full of orders. The
//! clock runs from its first request to whatever is later, the end of the backfill or the last order's claim, as the
//! server wrote them down. Every order has three lines over 1,000 SKUs, whose variants are mapped and whose lots are on
//! the shelf, so that each line claims.
//!
//! Two things are held against it: a COPY of all rows that it has written, in one transaction, into empty tables of the
//! same shape and with the same indexes; and a second walk through the same orders, of which none has changed. That one
//! must write nothing, by Postgres's own count of rows, and the run ends as an error if it does.

use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use chrono::{DateTime, Utc};
use hdrhistogram::Histogram;
use sqlx::{Connection, Executor, PgConnection};
use tokio::time::sleep;

use crate::cluster::Database;
use crate::cpu::{Meter, Processes, Shares};
use crate::parts::Bench;
use crate::report::{Sample, Subject, thousands};
use crate::server;
use crate::upstream::{ORDER_LINES, ORDER_UNITS, Upstream};
use crate::written::{self, Counts};

/// From when on a run that does not end is given up.
const PATIENCE: Duration = Duration::from_mins(10);
const LOOK_FOR_REQUESTS: Duration = Duration::from_millis(2);
const LOOK_FOR_END: Duration = Duration::from_millis(100);

/// Variant n of the list is SKU n.
const MAPPINGS: &str = "
    WITH new AS (
        INSERT INTO variant_mappings (variant_id, version, origin, open_lines_follow, client_id, created_at)
        SELECT variant_id, 1, 'operator', false, 1, now()
        FROM unnest($1::bigint[]) AS v (variant_id)
        RETURNING variant_id, version
    )
    INSERT INTO variant_components (variant_id, version, sku_id, quantity)
    SELECT variant_id, 1, sku_id, 1
    FROM unnest($1::bigint[]) WITH ORDINALITY AS v (variant_id, sku_id)
    WHERE EXISTS (SELECT FROM new)";
/// When all orders were copied and none was pending; no row before that.
const END: &str = "
    SELECT greatest(s.backfilled_at, (SELECT max(applied_at) FROM mirror.order_progress))
    FROM mirror.streams AS s
    WHERE s.source = 'shopify' AND s.stream = 'orders' AND s.backfilled_at IS NOT NULL
        AND NOT EXISTS (SELECT FROM mirror.order_progress WHERE applied_revision < revision)
        AND (SELECT count(*) FROM mirror.orders) = $1
        AND (SELECT count(*) FROM mirror.order_progress) = $1";
const STANDING: &str = "
    SELECT
        (SELECT count(*) FROM mirror.orders),
        (SELECT count(*) FROM mirror.order_progress WHERE applied_revision < revision),
        (SELECT string_agg(DISTINCT last_error, '; ') FROM mirror.streams),
        (SELECT max(last_error) FROM mirror.order_progress)";
const ACCOUNT: &str = "
    SELECT
        (SELECT count(*) FROM demand_lines),
        (SELECT coalesce(sum(quantity), 0)::bigint FROM demand_lines),
        (SELECT sum(committed)::bigint FROM stock),
        (SELECT count(*) FROM unmatched_lines),
        (SELECT count(*) FROM oversells)";

impl Bench {
    /// Copied and claimed, looked through again, and loaded by COPY.
    pub async fn mirror(&mut self) -> anyhow::Result<()> {
        let orders = self.pace.orders;
        let database = self.cluster.create("mirror").await?;
        let upstream = Upstream::start().await?;
        let mut conn = self.cluster.connect(&database.name).await?;
        let now = Utc::now();
        let variants = upstream.add_variants(now)?;
        upstream.add_orders(&variants, orders, now)?;
        sqlx::query(MAPPINGS).bind(&variants).execute(&mut conn).await?;
        let mark = written::mark(&mut conn).await?;
        self.walk(&mut conn, &database, &upstream, Subject::Mirrored).await?;
        expect_account(&mut conn, orders).await?;

        let before = Counts::read(&mut conn).await?;
        forget_streams(&mut conn).await?;
        self.walk(&mut conn, &database, &upstream, Subject::MirroredAgain).await?;
        let after = Counts::read(&mut conn).await?;
        let written = after.since(&before);
        ensure!(written.is_empty(), "WRITTEN THOUGH NOTHING HAD CHANGED: {written:?}");
        upstream.stop()?;

        self.copy_orders(&mut conn, mark).await?;
        conn.close().await?;
        self.cluster.drop(database).await
    }

    /// Has a server walk through all orders, and waits until nothing is pending.
    async fn walk(
        &mut self,
        conn: &mut PgConnection,
        database: &Database,
        upstream: &Upstream,
        subject: Subject,
    ) -> anyhow::Result<()> {
        let orders = self.pace.orders;
        self.cluster.settle().await?;
        upstream.stand_in.forget_requests();
        let settings = upstream.settings();
        let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (server, _) =
            server::start_holdfast(&database.url, self.cluster.folder(), &database.name, &settings).await?;
        let begin = first_request(upstream).await?;
        let meter = Meter::start(Processes { server: server.pid(), postmaster: self.cluster.postmaster() });
        let seconds = (end(conn, orders).await? - begin).as_seconds_f64();
        self.report.record(subject, 1, sample(orders, seconds, meter.stop())?);
        let requests: Vec<String> =
            upstream.stand_in.requests().iter().map(|(name, count)| format!("{name} {count}")).collect();
        self.report.note(format!("{subject:?}: requests to the upstream: {}", requests.join(", ")));
        server.stop().await
    }

    /// Loads by COPY what has been written since.
    async fn copy_orders(&mut self, conn: &mut PgConnection, mark: i64) -> anyhow::Result<()> {
        let dumped = written::dump(conn, mark).await?;
        let rows: u64 = dumped.iter().map(|table| table.count).sum();
        let megabytes = dumped.iter().map(|table| table.bytes.len()).sum::<usize>() as f64 / 1e6;
        self.report.note(format!(
            "mirror: {} rows of {} tables, {megabytes:.0} MB of text, were written for {} orders",
            thousands(rows as f64),
            dumped.len(),
            thousands(f64::from(self.pace.orders))
        ));
        written::make_empty_tables(conn, &dumped).await?;
        self.cluster.settle().await?;
        let meter = Meter::start(Processes { server: None, postmaster: self.cluster.postmaster() });
        let begin = Instant::now();
        written::load(conn, dumped).await?;
        let seconds = begin.elapsed().as_secs_f64();
        self.report.record(Subject::CopiedOrders, 1, sample(self.pace.orders, seconds, meter.stop())?);
        Ok(())
    }
}

/// Has the next server walk through everything again.
async fn forget_streams(conn: &mut PgConnection) -> anyhow::Result<()> {
    let mut tx = conn.begin().await?;
    tx.execute("SELECT set_config('holdfast.writer', 'mirror', true)").await?;
    tx.execute("DELETE FROM mirror.streams").await?;
    tx.commit().await?;
    Ok(())
}

async fn first_request(upstream: &Upstream) -> anyhow::Result<DateTime<Utc>> {
    let begun = Instant::now();
    while upstream.stand_in.requests().is_empty() {
        ensure!(begun.elapsed() < PATIENCE, "the server asks its upstream nothing");
        sleep(LOOK_FOR_REQUESTS).await;
    }
    Ok(Utc::now())
}

async fn end(conn: &mut PgConnection, orders: u32) -> anyhow::Result<DateTime<Utc>> {
    let begun = Instant::now();
    loop {
        let end: Option<Option<DateTime<Utc>>> =
            sqlx::query_scalar(END).bind(i64::from(orders)).fetch_optional(&mut *conn).await?;
        if let Some(end) = end.flatten() {
            return Ok(end);
        }
        if begun.elapsed() > PATIENCE {
            let (copied, pending, stream, order): (i64, i64, Option<String>, Option<String>) =
                sqlx::query_as(STANDING).fetch_one(conn).await?;
            bail!("{copied} orders are copied, {pending} are pending; errors: {stream:?}, {order:?}");
        }
        sleep(LOOK_FOR_END).await;
    }
}

/// Each line has claimed what it wants, once.
async fn expect_account(conn: &mut PgConnection, orders: u32) -> anyhow::Result<()> {
    let account: (i64, i64, i64, i64, i64) = sqlx::query_as(ACCOUNT).fetch_one(conn).await?;
    let lines = i64::from(orders) * i64::try_from(ORDER_LINES)?;
    let units = i64::from(orders) * i64::try_from(ORDER_UNITS)?;
    ensure!(
        account == (lines, units, units, 0, 0),
        "ACCOUNT BROKEN: {lines} lines want {units} units; lines, their units, committed, unmatched, oversold: {account:?}"
    );
    Ok(())
}

fn sample(orders: u32, seconds: f64, cpu: Option<Shares>) -> anyhow::Result<Sample> {
    let mut latency = Histogram::new_with_bounds(1, 3_600_000_000, 3)?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a run")]
    latency.saturating_record((seconds * 1e6) as u64);
    Ok(Sample::new(f64::from(orders) / seconds, &latency, cpu))
}
