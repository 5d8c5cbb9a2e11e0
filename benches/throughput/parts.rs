//! The parts of a run. Each opens a database and a server of its own, measures, checks the account (units held are the
//! 201s that were answered) and clears away.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sqlx::{Connection, Executor};

use crate::bare;
use crate::cluster::{Cluster, Database, SKUS};
use crate::cpu::{Meter, Processes};
use crate::fill;
use crate::load::{self, Load, Outcome};
use crate::report::{Report, Sample, Subject, thousands};
use crate::server::{self, Server};
use crate::wire::{AnswerReader, Random, Request};
use crate::yardstick::{Run, Runner};

const YARDSTICK_CLIENTS: usize = 16;
/// Connections of the hot and the spread part.
const CONNECTIONS: [usize; 5] = [1, 16, 64, 128, 256];
/// Connections of reads.
const READERS: usize = 64;
/// Connections of the hot load elsewhere, unless this run has found a better number.
const HOT_CONNECTIONS: usize = 128;
/// Minutes of the steady load.
const STEADY_MINUTES: u32 = 5;
const AVAILABILITY: &str = "/availability?sku=SKU-1";

/// How long and how often.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Unmeasured first part of a phase.
    pub warm_up: Duration,
    /// Measured part.
    pub measured: Duration,
    /// What the steady and the fresh part call a minute.
    pub minute: Duration,
    /// Reservations in full tables.
    pub rows: i64,
    /// Shipment lines of the big day.
    pub lines: u64,
    /// Days that are closed one after another.
    pub days: u64,
    /// Rows of an imported file.
    pub file_rows: u32,
    /// Orders that are mirrored.
    pub orders: u32,
    /// Threads of the load generator.
    pub threads: usize,
}

/// A run in progress.
#[derive(Debug)]
pub struct Bench {
    /// Its Postgres.
    pub cluster: Cluster,
    /// Its yardstick.
    pub runner: Runner,
    /// How long and how often.
    pub pace: Pace,
    /// What it has found out.
    pub report: Report,
}

/// A stocked database and the server on it.
struct Site {
    database: Database,
    server: Server,
    key: String,
    /// Units that must be held: those at the start, and one for each 201.
    expected: u64,
}

impl Bench {
    /// The yardstick: 16 clients on one SKU.
    pub async fn yardstick_hot(&mut self) -> anyhow::Result<()> {
        self.yardstick(Subject::YardstickHot, YARDSTICK_CLIENTS, 1).await
    }

    /// The yardstick: 16 clients over all SKUs.
    pub async fn yardstick_spread(&mut self) -> anyhow::Result<()> {
        self.yardstick(Subject::YardstickSpread, YARDSTICK_CLIENTS, SKUS).await
    }

    /// The yardstick: one client.
    pub async fn yardstick_lone(&mut self) -> anyhow::Result<()> {
        self.yardstick(Subject::YardstickLone, 1, 1).await
    }

    async fn yardstick(&mut self, subject: Subject, clients: usize, skus: u64) -> anyhow::Result<()> {
        let database = self.cluster.create("yardstick").await?;
        let run = Run { clients, skus, length: self.pace.measured };
        let sample = self.runner.measure(&self.cluster, &database, self.pace.warm_up, run).await?;
        self.report.record(subject, clients, sample);
        self.cluster.drop(database).await
    }

    /// Reservations of one SKU, at every number of connections.
    pub async fn hot(&mut self) -> anyhow::Result<()> {
        self.reserve_at_all(Subject::Hot, 1).await
    }

    /// Reservations over all SKUs, at every number of connections.
    pub async fn spread(&mut self) -> anyhow::Result<()> {
        self.reserve_at_all(Subject::Spread, SKUS).await
    }

    async fn reserve_at_all(&mut self, subject: Subject, skus: u64) -> anyhow::Result<()> {
        let mut site = self.open("reserve").await?;
        for connections in CONNECTIONS {
            self.reserve(&mut site, subject, connections, skus).await?;
        }
        self.close(site).await
    }

    /// Reservations of one SKU over one connection.
    pub async fn lone(&mut self) -> anyhow::Result<()> {
        let mut site = self.open("lone").await?;
        self.reserve(&mut site, Subject::Lone, 1, 1).await?;
        self.close(site).await
    }

    /// Availability against the bare route.
    pub async fn reads(&mut self) -> anyhow::Result<()> {
        let site = self.open("reads").await?;
        let request = Request::get(site.server.address, &site.key, AVAILABILITY);
        let body_bytes = body_bytes(&site.server, &request).await?;
        let bare = bare::start(body_bytes, self.cluster.folder()).await?;
        let bare_request = Request::get(bare.address, &site.key, AVAILABILITY);
        for (subject, server, request) in
            [(Subject::BareRoute, &bare, bare_request), (Subject::Availability, &site.server, request)]
        {
            self.cluster.settle().await?;
            let (outcome, sample) = self.load(server, request, READERS, self.pace.warm_up, self.pace.measured).await?;
            ensure!(outcome.answered > 0, "no reads");
            self.report.record(subject, READERS, sample);
        }
        bare.stop().await?;
        self.close(site).await
    }

    /// Hot throughput on full tables against empty ones, `rounds` times in alternating order.
    pub async fn full_table(&mut self, rounds: u32) -> anyhow::Result<()> {
        let connections = self.hot_connections();
        // The first start makes the key whose client the past belongs to: its idempotency keys share the index pages.
        let Site { database, server, expected, .. } = self.open("full").await?;
        server.stop().await?;
        eprintln!("  filling {} reservations", thousands(self.pace.rows as f64));
        let begin = Instant::now();
        let client = self.bootstrap_client(&database).await?;
        fill::fill(&self.cluster, &database, client, self.pace.rows).await?;
        let filled = database.held(&self.cluster).await?;
        ensure!(filled > expected, "nothing was filled");
        eprintln!("  filled in {:?}", begin.elapsed());
        let mut full = self.reopen(database, filled).await?;
        for round in 0..rounds {
            if round % 2 == 1 {
                self.empty_tables(connections).await?;
            }
            self.reserve(&mut full, Subject::FullTables, connections, 1).await?;
            if round % 2 == 0 {
                self.empty_tables(connections).await?;
            }
        }
        self.close(full).await
    }

    async fn empty_tables(&mut self, connections: usize) -> anyhow::Result<()> {
        let mut site = self.open("empty").await?;
        self.reserve(&mut site, Subject::EmptyTables, connections, 1).await?;
        self.close(site).await
    }

    /// Five minutes of hot load: the last against the best.
    pub async fn steady(&mut self) -> anyhow::Result<()> {
        let connections = self.hot_connections();
        let mut site = self.open("steady").await?;
        self.cluster.settle().await?;
        let request = Request::reserve(site.server.address, &site.key, 1);
        let length = self.pace.minute * STEADY_MINUTES;
        let (outcome, sample) = self.load(&site.server, request, connections, self.pace.warm_up, length).await?;
        site.expected += outcome.answered;
        // Latencies and shares are those of the whole; only throughput is taken apart.
        let minute = usize::try_from(self.pace.minute.as_secs())?;
        let per_second = |part: &[u64]| part.iter().sum::<u64>() as f64 / part.len() as f64;
        let rates: Vec<f64> = outcome.by_second.chunks_exact(minute).map(per_second).collect();
        let best = rates.iter().copied().fold(0.0, f64::max);
        let last = rates.last().copied().context("the steady load was too short")?;
        self.report.record(Subject::SteadyBest, connections, Sample { per_second: best, ..sample.clone() });
        self.report.record(Subject::SteadyLast, connections, Sample { per_second: last, ..sample });
        let step = (minute / 6).max(1);
        let series: Vec<String> =
            outcome.by_second.chunks_exact(step).map(|part| thousands(per_second(part))).collect();
        self.report.note(format!("steady, per second in each {step} s: {}", series.join(" ")));
        self.close(site).await
    }

    /// The first minute of a database against a minute after ANALYZE, with nobody else analysing in between.
    pub async fn fresh(&mut self) -> anyhow::Result<()> {
        self.cluster.set_autovacuum(false).await?;
        let connections = self.hot_connections();
        let mut site = self.open("fresh").await?;
        for subject in [Subject::NeverAnalysed, Subject::Analysed] {
            if subject == Subject::Analysed {
                let mut conn = self.cluster.connect(&site.database.name).await?;
                conn.execute("ANALYZE").await?;
                conn.close().await?;
            }
            self.cluster.settle().await?;
            let request = Request::reserve(site.server.address, &site.key, 1);
            let (outcome, sample) =
                self.load(&site.server, request, connections, Duration::ZERO, self.pace.minute).await?;
            site.expected += outcome.answered;
            self.report.record(subject, connections, sample);
        }
        self.close(site).await?;
        self.cluster.set_autovacuum(true).await
    }

    fn hot_connections(&self) -> usize {
        self.report.best_connections(Subject::Hot).unwrap_or(HOT_CONNECTIONS)
    }

    /// A stocked database with a server on it and the server's first key.
    pub async fn open_for_import(&mut self) -> anyhow::Result<(Database, Server, String)> {
        let Site { database, server, key, .. } = self.open("import").await?;
        Ok((database, server, key))
    }

    async fn open(&mut self, purpose: &str) -> anyhow::Result<Site> {
        let database = self.cluster.create(purpose).await?;
        let expected = database.held(&self.cluster).await?;
        self.reopen(database, expected).await
    }

    async fn reopen(&self, database: Database, expected: u64) -> anyhow::Result<Site> {
        let (server, key) = server::start_holdfast(&database.url, self.cluster.folder(), &database.name, &[]).await?;
        Ok(Site { database, server, key, expected })
    }

    async fn close(&self, site: Site) -> anyhow::Result<()> {
        site.server.stop().await?;
        let held = site.database.held(&self.cluster).await?;
        ensure!(
            held == site.expected,
            "ACCOUNT BROKEN: by the answers {} units are held, by the database {held}",
            site.expected
        );
        self.cluster.drop(site.database).await
    }

    async fn reserve(
        &mut self,
        site: &mut Site,
        subject: Subject,
        connections: usize,
        skus: u64,
    ) -> anyhow::Result<()> {
        self.cluster.settle().await?;
        let request = Request::reserve(site.server.address, &site.key, skus);
        let (outcome, sample) =
            self.load(&site.server, request, connections, self.pace.warm_up, self.pace.measured).await?;
        site.expected += outcome.answered;
        self.report.record(subject, connections, sample);
        Ok(())
    }

    async fn load(
        &self,
        server: &Server,
        request: Request,
        connections: usize,
        warm_up: Duration,
        measured: Duration,
    ) -> anyhow::Result<(Outcome, Sample)> {
        let load = Load { target: server.address, request, connections, threads: self.pace.threads, warm_up, measured };
        let meter = Meter::start(Processes { server: server.pid(), postmaster: self.cluster.postmaster() });
        let outcome = load::run(load).await?;
        let sample = Sample::new(outcome.per_second(), &outcome.latency, meter.stop());
        Ok((outcome, sample))
    }

    async fn bootstrap_client(&self, database: &Database) -> anyhow::Result<i64> {
        let mut conn = self.cluster.connect(&database.name).await?;
        let client = sqlx::query_scalar("SELECT client_id FROM api_keys WHERE bootstrap").fetch_one(&mut conn).await;
        conn.close().await?;
        client.context("the server has made no first key")
    }
}

/// Size of one answer's body.
async fn body_bytes(server: &Server, request: &Request) -> anyhow::Result<usize> {
    use tokio::io::AsyncWriteExt;

    let mut stream = tokio::net::TcpStream::connect(server.address).await?;
    let mut bytes = Vec::new();
    request.write(&mut bytes, &mut Random::new());
    stream.write_all(&bytes).await?;
    let mut reader = AnswerReader::new();
    let answer = reader.read(&mut stream).await?;
    ensure!(answer.status == 200, "{AVAILABILITY} answers {}", String::from_utf8_lossy(answer.body));
    Ok(answer.body.len())
}
