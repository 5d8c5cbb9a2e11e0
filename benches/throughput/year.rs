//! Closing day after day for a year: the last days against the first.
//!
//! What is compared differs in nothing but the days behind it: every SKU has a line a day and ten lots with something
//! left, a new one as soon as one is used up, and each compared day begins analysed and with clean buffers. Otherwise
//! the first days would be slow for being those of a database that nobody has analysed yet, and the last ones quick
//! for want of lots. Vacuuming is left to Postgres.

use anyhow::ensure;
use chrono::NaiveDate;
use sqlx::{Connection, Executor, PgConnection};

use crate::cluster::SKUS;
use crate::cpu::{Meter, Processes};
use crate::days::{LOTS_PER_SKU, close, expect_account, sample, ship, yesterday};
use crate::parts::Bench;
use crate::report::{Subject, thousands};
use crate::server::{self, NO_JOBS, Server};

/// Days at each end of the history that are compared, one by one.
const COMPARED: u64 = 10;
/// Lines of a day.
const LINES: u64 = SKUS;

/// A lot of each SKU, as many units as its oldest had. `$1`: day, `$2`: units.
const LOTS: &str = "
    WITH new AS (
        INSERT INTO lots (
            pool_id, lot_id, sku_id, lot_code, origin, status, received_quantity, remaining_quantity, unit_cost,
            currency, received_date, source, source_ref, client_id, recorded_at, quarantined_quantity, cost_provisional
        )
        SELECT
            1, uuid_v7($1::date), sku_id, 'NEW-' || $1::date, 'receipt', 'available', $2, $2, 1, 'EUR', $1,
            'benchmark', sku_id || '/' || $1::date, 1, now(), 0, false
        FROM stock
        RETURNING *
    )
    INSERT INTO lot_transactions (
        pool_id, lot_id, seq, row_source, source_ref_id, quantity_delta, remaining_after, unit_cost, client_id,
        recorded_at, quarantined_delta, business_date, value_delta
    )
    SELECT 1, lot_id, 1, 'receipt', source_ref, $2, $2, unit_cost, client_id, recorded_at, 0, received_date,
        $2 * unit_cost
    FROM new";
/// Lines that the close of their own day took, whole.
const DONE: &str = "
    SELECT count(*) FROM shipment_lines WHERE snapshot_date = shipped_date AND depleted_quantity = quantity";
/// SKUs with so many lots that have something left.
const STOCKED: &str = "
    SELECT count(*)
    FROM (SELECT FROM lots WHERE is_open GROUP BY sku_id HAVING count(*) = $1) AS s";

/// What closes, and on what.
struct Site {
    conn: PgConnection,
    server: Server,
    key: String,
}

/// What a close took. The second tells more where others are at work on the machine.
struct Took {
    millis: f64,
    processor_millis: Option<f64>,
}

impl Bench {
    /// Day after day: the last ones against the first.
    pub async fn year(&mut self) -> anyhow::Result<()> {
        let days = self.pace.days.max(2 * COMPARED);
        let database = self.cluster.create("year").await?;
        let mut conn = self.plant(&database, LINES * days, days).await?;
        let newest = yesterday(&mut conn).await?;
        let (server, key) =
            server::start_holdfast(&database.url, self.cluster.folder(), &database.name, &[NO_JOBS]).await?;
        let mut site = Site { conn, server, key };
        let (mut millis, mut processor) = (Vec::new(), Vec::new());
        for day in 0..days {
            let date = newest - chrono::Days::new(days - 1 - day);
            site.fill(day, days, date).await?;
            let subject = match day {
                _ if day < COMPARED => Some(Subject::FirstDay),
                _ if day >= days - COMPARED => Some(Subject::DayAfterAYear),
                _ => None,
            };
            let took = self.close_one(&mut site, date, subject).await?;
            millis.push(took.millis);
            processor.extend(took.processor_millis.filter(|_| subject.is_some()));
        }
        site.expect_all_done(days * LINES).await?;
        let each = |values: &[f64]| values.iter().map(|one| format!("{one:.0}")).collect::<Vec<_>>().join(" ");
        let lines = thousands(LINES as f64);
        let some: Vec<f64> = millis.iter().copied().step_by(millis.len().div_ceil(24)).collect();
        self.report.note(format!("{days} days of {lines} lines, ms per close: {}", each(&some)));
        self.report.note(format!("processor ms of server and Postgres, compared days in order: {}", each(&processor)));
        site.conn.close().await?;
        site.server.stop().await?;
        self.cluster.drop(database).await
    }

    /// Closes a day; one that is compared, on prepared ground.
    async fn close_one(&mut self, site: &mut Site, date: NaiveDate, subject: Option<Subject>) -> anyhow::Result<Took> {
        let Site { conn, server, key } = site;
        if subject.is_some() {
            let stocked: i64 =
                sqlx::query_scalar(STOCKED).bind(i64::try_from(LOTS_PER_SKU)?).fetch_one(&mut *conn).await?;
            ensure!(u64::try_from(stocked) == Ok(SKUS), "before {date} {stocked} SKUs have {LOTS_PER_SKU} lots");
            conn.execute("ANALYZE").await?;
            self.cluster.settle().await?;
        }
        let meter = Meter::start(Processes { server: server.pid(), postmaster: self.cluster.postmaster() });
        let took = close(conn, server, key, date).await?;
        let sample = sample(&[took], LINES, meter);
        let millis = sample.p50_ms;
        let processor_millis = sample.cpu.map(|shares| (shares.server + shares.postgres) / 100.0 * millis);
        if let Some(subject) = subject {
            self.report.record(subject, 1, sample);
            expect_account(conn, date, LINES).await?;
        }
        Ok(Took { millis, processor_millis })
    }
}

impl Site {
    /// What a day begins with: a lot of each SKU where the day before used one up, and the lines that ship.
    async fn fill(&mut self, day: u64, days: u64, date: NaiveDate) -> anyhow::Result<()> {
        let units = days / LOTS_PER_SKU;
        if day > 0 && day.is_multiple_of(units) {
            sqlx::query(LOTS).bind(date).bind(i64::try_from(units)?).execute(&mut self.conn).await?;
        }
        ship(&mut self.conn, day * LINES, LINES, date).await
    }

    /// No line was left to a later day.
    async fn expect_all_done(&mut self, lines: u64) -> anyhow::Result<()> {
        let done: i64 = sqlx::query_scalar(DONE).fetch_one(&mut self.conn).await?;
        ensure!(
            u64::try_from(done) == Ok(lines),
            "ACCOUNT BROKEN: of {lines} lines {done} were taken by the close of their own day"
        );
        Ok(())
    }
}
