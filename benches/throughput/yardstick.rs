//! The yardstick: one transaction per reservation, straight on the tables, from prepared clients. `pgbench` runs it
//! where it is installed; otherwise [`crate::script`] runs the same file, and the report says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use tokio::process::Command;

use crate::cluster::{Cluster, Database};
use crate::cpu::{Meter, Processes};
use crate::report::Sample;
use crate::script;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/yardstick/reserve.sql");
const TRACE_PREFIX: &str = "pgbench_trace";
/// Threads that the clients are spread over, as the service has cores.
pub const THREADS: usize = 2;

/// Who runs the script.
#[derive(Debug)]
pub enum Runner {
    /// The real one.
    Pgbench(PathBuf),
    /// Clients of ours.
    Own,
}

/// One run of the script.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Connections.
    pub clients: usize,
    /// SKUs, each as likely as the other.
    pub skus: u64,
    /// How long.
    pub length: Duration,
}

/// What a run gave.
#[derive(Debug)]
pub struct Outcome {
    /// Transactions that ended well: all of them.
    pub transactions: u64,
    /// Transactions per second.
    pub per_second: f64,
    /// Latencies in microseconds.
    pub latency: Histogram<u64>,
}

impl Runner {
    /// Looks for pgbench: where the server's programs are, then on the `PATH`.
    pub async fn find(cluster: &Cluster) -> Self {
        for program in [cluster.bin_dir().join("pgbench"), PathBuf::from("pgbench")] {
            if Command::new(&program).arg("--version").output().await.is_ok_and(|output| output.status.success()) {
                return Self::Pgbench(program);
            }
        }
        Self::Own
    }

    /// For the report.
    pub fn name(&self) -> String {
        match self {
            Self::Pgbench(program) => format!("{}, prepared, {THREADS} threads", program.display()),
            Self::Own => "no pgbench on this machine: clients of ours over sqlx, which cost more".to_owned(),
        }
    }

    /// Warms up, then measures one run on a stocked database; checks that the units held are the transactions made.
    ///
    /// # Errors
    /// A client fails, or the account does not agree.
    pub async fn measure(
        &self,
        cluster: &Cluster,
        database: &Database,
        warm_up: Duration,
        run: Run,
    ) -> anyhow::Result<Sample> {
        let before = database.held(cluster).await?;
        cluster.settle().await?;
        let warmed = self.run(cluster, database, Run { length: warm_up.max(Duration::from_secs(1)), ..run }).await?;
        let meter = Meter::start(Processes { server: None, postmaster: cluster.postmaster() });
        let outcome = self.run(cluster, database, run).await?;
        let cpu = meter.stop();
        let (held, made) = (database.held(cluster).await? - before, warmed.transactions + outcome.transactions);
        ensure!(held == made, "the yardstick made {made} reservations and {held} units are held");
        Ok(Sample::new(outcome.per_second, &outcome.latency, cpu))
    }

    async fn run(&self, cluster: &Cluster, database: &Database, run: Run) -> anyhow::Result<Outcome> {
        match self {
            Self::Pgbench(program) => pgbench(program, cluster.folder(), &database.url, run).await,
            Self::Own => {
                let text = fs::read_to_string(SCRIPT).with_context(|| format!("cannot read {SCRIPT}"))?;
                script::run(cluster, database, &text, run).await
            }
        }
    }
}

async fn pgbench(program: &Path, folder: &Path, url: &str, run: Run) -> anyhow::Result<Outcome> {
    for trace in traces(folder)? {
        fs::remove_file(trace)?;
    }
    let output = Command::new(program)
        .args(["-n", "-M", "prepared", "-l"])
        .arg(format!("--log-prefix={}", folder.join(TRACE_PREFIX).display()))
        .args(["-c", &run.clients.to_string(), "-j", &THREADS.min(run.clients).to_string()])
        .args(["-T", &run.length.as_secs().to_string(), "-D", &format!("skus={}", run.skus)])
        .args(["-f", SCRIPT, url])
        .output()
        .await?;
    let (printed, complaints) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // A client that fails ends alone; the others go on and the number would be theirs.
    ensure!(output.status.success() && !complaints.contains("aborted"), "pgbench failed: {complaints}");
    let word = |label: &str| -> anyhow::Result<&str> {
        let line = printed.lines().find_map(|line| line.strip_prefix(label));
        let word = line.and_then(|rest| rest.trim_start_matches([':', '=', ' ']).split([' ', '/']).next());
        word.with_context(|| format!("pgbench printed no {label:?}: {printed}"))
    };
    let mut latency = Histogram::new_with_bounds(1, 60_000_000, 3)?;
    for trace in traces(folder)? {
        for line in fs::read_to_string(&trace)?.lines() {
            // client, transaction, microseconds, …
            let micros = line.split(' ').nth(2).and_then(|word| word.parse().ok()).context("unreadable trace")?;
            latency.saturating_record(micros);
        }
        fs::remove_file(trace)?;
    }
    Ok(Outcome {
        transactions: word("number of transactions actually processed")?.parse()?,
        per_second: word("tps")?.parse()?,
        latency,
    })
}

fn traces(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut traces = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(TRACE_PREFIX) {
            traces.push(entry.path());
        }
    }
    Ok(traces)
}
