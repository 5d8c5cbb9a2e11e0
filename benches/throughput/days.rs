//! Closing a day: a million shipment lines against a plain COPY of as many lot transactions.
//!
//! The server closes, over its own API; what is timed is from its own `begun_at` to its `closed_at`. It works on no
//! jobs: its daily close would take days before they have their lines. Shipments are written as SQL: taking them in is
//! not what is measured here. After each close the account is checked: every line has its units, and lots have lost as
//! many.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use chrono::NaiveDate;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::time::sleep;

use crate::cluster::{Database, SKUS};
use crate::cpu::{Meter, Processes};
use crate::parts::Bench;
use crate::report::{Sample, Subject};
use crate::server::{self, NO_JOBS, Server};

const LOTS: &str = include_str!("days.sql");
/// Lots of each SKU.
pub const LOTS_PER_SKU: u64 = 10;

/// One line a shipment of four, of each SKU as many as of any other. `$1`: first line, `$2`: last, `$3`: SKUs, `$4`: day.
const SHIPMENTS: &str = "
    INSERT INTO shipments (pool_id, shipment_id, source, source_ref, client_id, recorded_at)
    SELECT 1, lpad(to_hex(n), 32, '0')::uuid, 'benchmark', n::text, 1, $3::date
    FROM generate_series($1 / 4, $2 / 4) AS n
    ON CONFLICT DO NOTHING";
const LINES: &str = "
    INSERT INTO shipment_lines (
        pool_id, shipment_id, line_ref, sku_id, tracked, quantity, covered_quantity, fulfilled_quantity,
        depleted_quantity, returned_quantity, shipped_at, shipped_date, recorded_at
    )
    SELECT
        1, lpad(to_hex(n / 4), 32, '0')::uuid, (n % 4)::text, 1 + n * 7919 % $4, true, 1, 1, 0, 0, 0,
        $3::date + interval '1 second' * (n % 86400), $3::date, $3::date
    FROM generate_series($1, $2) AS n";
const ACCOUNT: &str = "
    SELECT
        (SELECT count(*) FROM shipment_lines WHERE snapshot_date = $1 AND depleted_quantity = quantity),
        (SELECT coalesce(sum(quantity), 0)::bigint FROM depletions WHERE cost_date = $1),
        (SELECT coalesce(-sum(quantity_delta), 0)::bigint FROM lot_transactions
            WHERE row_source = 'snapshot_depletion' AND business_date = $1)";

impl Bench {
    /// One big day against COPY.
    pub async fn big_day(&mut self) -> anyhow::Result<()> {
        let lines = self.pace.lines;
        let database = self.cluster.create("copy").await?;
        let mut conn = self.plant(&database, lines, 1).await?;
        self.cluster.settle().await?;
        let meter = Meter::start(Processes { server: None, postmaster: self.cluster.postmaster() });
        let took = copy(&mut conn, lines).await?;
        self.report.record(Subject::CopiedMovements, 1, sample(&[took], lines, meter));
        conn.close().await?;
        self.cluster.drop(database).await?;

        let database = self.cluster.create("day").await?;
        let mut conn = self.plant(&database, lines, 1).await?;
        let date = yesterday(&mut conn).await?;
        ship(&mut conn, 0, lines, date).await?;
        conn.execute("ANALYZE").await?;
        let (server, key) =
            server::start_holdfast(&database.url, self.cluster.folder(), &database.name, &[NO_JOBS]).await?;
        self.cluster.settle().await?;
        let meter = Meter::start(Processes { server: server.pid(), postmaster: self.cluster.postmaster() });
        let took = close(&mut conn, &server, &key, date).await?;
        self.report.record(Subject::ClosedDay, 1, sample(&[took], lines, meter));
        expect_account(&mut conn, date, lines).await?;
        conn.close().await?;
        server.stop().await?;
        self.cluster.drop(database).await
    }

    /// Lots for `lines` lines of one unit, of which the nine older ones of a SKU hold most, and a pool so many days old.
    pub async fn plant(&self, database: &Database, lines: u64, days: u64) -> anyhow::Result<PgConnection> {
        let mut conn = self.cluster.connect(&database.name).await?;
        let units = (lines / SKUS / LOTS_PER_SKU).max(1);
        let script = LOTS.replace("$UNITS", &units.to_string()).replace("$AGE", &days.to_string());
        conn.execute(sqlx::raw_sql(AssertSqlSafe(script))).await.context("cannot plant lots")?;
        Ok(conn)
    }
}

/// The newest day that can be closed.
pub async fn yesterday(conn: &mut PgConnection) -> anyhow::Result<NaiveDate> {
    Ok(sqlx::query_scalar("SELECT (now() AT TIME ZONE 'UTC')::date - 1").fetch_one(conn).await?)
}

/// Writes shipment lines of one day, numbered from `first`.
pub async fn ship(conn: &mut PgConnection, first: u64, lines: u64, date: NaiveDate) -> anyhow::Result<()> {
    let (first, last) = (i64::try_from(first)?, i64::try_from(first + lines)? - 1);
    conn.execute("SET session_replication_role = replica").await?;
    sqlx::query(SHIPMENTS).bind(first).bind(last).bind(date).execute(&mut *conn).await?;
    sqlx::query(LINES).bind(first).bind(last).bind(date).bind(i64::try_from(SKUS)?).execute(&mut *conn).await?;
    conn.execute("SET session_replication_role = origin").await?;
    Ok(())
}

/// Asks the server to close a day, waits until it has, and gives what it took by its own account.
pub async fn close(conn: &mut PgConnection, server: &Server, key: &str, date: NaiveDate) -> anyhow::Result<Duration> {
    // Another part may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let body = serde_json::json!({ "date": date });
    let url = format!("http://{}/snapshots", server.address);
    let answer = reqwest::Client::new().post(url).bearer_auth(key).json(&body).send().await?;
    let (status, text) = (answer.status(), answer.text().await?);
    ensure!(status.is_success(), "closing {date} answers {status}: {text}");
    loop {
        let took: Option<f64> = sqlx::query_scalar(
            "SELECT extract(epoch FROM closed_at - begun_at)::float8 FROM snapshots WHERE snapshot_date = $1",
        )
        .bind(date)
        .fetch_one(&mut *conn)
        .await?;
        if let Some(took) = took {
            return Ok(Duration::from_secs_f64(took));
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Every line of the day has its units, and lots have lost as many.
pub async fn expect_account(conn: &mut PgConnection, date: NaiveDate, lines: u64) -> anyhow::Result<()> {
    let (done, depleted, moved): (i64, i64, i64) = sqlx::query_as(ACCOUNT).bind(date).fetch_one(conn).await?;
    let lines = i64::try_from(lines)?;
    ensure!(
        [done, depleted, moved] == [lines; 3],
        "ACCOUNT BROKEN: of {lines} lines {done} are done, {depleted} units are depleted and {moved} left their lots"
    );
    Ok(())
}

/// Writes as many movements as there are lines, by COPY, in one transaction.
async fn copy(conn: &mut PgConnection, lines: u64) -> anyhow::Result<Duration> {
    let lots: Vec<uuid::Uuid> = sqlx::query_scalar("SELECT lot_id FROM lots").fetch_all(&mut *conn).await?;
    let begin = Instant::now();
    let mut tx = conn.begin().await?;
    let mut into = tx
        .copy_in_raw(
            "COPY lot_transactions (pool_id, lot_id, seq, row_source, source_ref_id, quantity_delta, remaining_after, \
             unit_cost, client_id, recorded_at, quarantined_delta, business_date, value_delta) FROM STDIN",
        )
        .await?;
    let mut text = String::new();
    for (row, lot) in (0..lines).zip(lots.iter().cycle()) {
        let round = row / lots.len() as u64;
        writeln!(
            text,
            "1\t{lot}\t{}\tsnapshot_depletion\t{}\t-1\t100\t1.000000\t1\t2026-01-01 00:00:00+00\t0\t2026-01-01\t-1.000000",
            round + 2,
            20_260_101 + round
        )?;
        if text.len() > 1 << 16 {
            into.send(text.as_bytes()).await?;
            text.clear();
        }
    }
    into.send(text.as_bytes()).await?;
    let copied = into.finish().await?;
    tx.commit().await?;
    ensure!(copied == lines, "{copied} rows were copied");
    Ok(begin.elapsed())
}

/// Of several closes: the median's rate, the median and the longest.
pub fn sample(took: &[Duration], lines: u64, meter: Meter) -> Sample {
    let mut millis: Vec<f64> = took.iter().map(|took| took.as_secs_f64() * 1000.0).collect();
    millis.sort_by(f64::total_cmp);
    let median = millis[millis.len() / 2];
    let longest = millis.last().copied().unwrap_or(median);
    Sample { per_second: lines as f64 / median * 1000.0, p50_ms: median, p99_ms: longest, cpu: meter.stop() }
}
