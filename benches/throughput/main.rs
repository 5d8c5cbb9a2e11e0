//! How fast Holdfast is, on this machine, in this run: `cargo bench`.
//!
//! The program brings up a Postgres of its own with full durability, and the real server beside it, and measures both
//! what plain clients reach with a transaction per reservation (the yardstick) and what Holdfast reaches over HTTP.
//! Speeds differ from machine to machine and from hour to hour, so what is wanted are ratios within one run, taken
//! round by round. A phase is a warm-up and a measured part; before each, the buffers are written out.
//!
//! ```text
//! cargo bench                          every part but the long ones
//! cargo bench -- --quick               the same in about a minute, one short round
//! cargo bench -- hot lone              these parts
//! cargo bench -- --all                 also full tables (5 million reservations), five steady minutes, a fresh start,
//!                                      a day of a million shipment lines, a year of closed days
//! cargo bench -- big-day --lines 100000
//! cargo bench -- year --days 40
//! cargo bench -- mirror --orders 5000 --rounds 1
//! cargo bench -- --seconds 10 --rounds 5
//! ```
//!
//! A wrong answer, or units held that no answer accounts for, end the run as an error. A slow number does not.

#![allow(clippy::cast_precision_loss, reason = "rates are shown with five digits")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a report is printed")]
#![allow(clippy::disallowed_methods, reason = "what is measured here is real time, in real processes")]

mod bare;
mod cluster;
mod cpu;
mod days;
mod fill;
mod import;
mod load;
mod mirror;
mod parts;
mod report;
mod script;
mod server;
mod upstream;
mod wire;
mod written;
mod yardstick;
mod year;

use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::cluster::Cluster;
use crate::parts::{Bench, Pace};
use crate::report::Report;
use crate::yardstick::Runner;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// pgbench alone: on one SKU, over 10,000, one client.
    Yardstick,
    /// Reservations of one SKU at 1 to 256 connections, against the yardstick.
    Hot,
    /// Reservations over 10,000 SKUs at 1 to 256 connections, against the yardstick.
    Spread,
    /// One connection's latency against that of the yardstick's single client.
    Lone,
    /// Availability against a bare route.
    Reads,
    /// A file of 100,000 lots against a raw COPY of the same rows.
    Import,
    /// Orders from an upstream, copied and claimed, against a raw COPY of the same rows; and again, unchanged.
    Mirror,
    /// Hot throughput with millions of reservations in the tables, against empty tables.
    FullTable,
    /// Five minutes of hot load.
    Steady,
    /// The first minute on a freshly migrated database, against one after ANALYZE.
    Fresh,
    /// Closing a day of a million shipment lines, against COPY of as many lot transactions.
    BigDay,
    /// Closing a day after a year of closed days, against the first.
    Year,
}

const USUAL: [Part; 7] =
    [Part::Yardstick, Part::Lone, Part::Reads, Part::Import, Part::Mirror, Part::Hot, Part::Spread];
const LONG: [Part; 5] = [Part::FullTable, Part::Fresh, Part::Steady, Part::BigDay, Part::Year];

/// Measures Holdfast against its yardsticks.
#[derive(Debug, Parser)]
struct Arguments {
    /// Parts to run; without any, all but the long ones (full-table, steady, fresh, big-day, year).
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Run the long parts too.
    #[arg(long)]
    all: bool,
    /// One round of short phases; a tenth of each minute and a 25th of the rows in the long parts.
    #[arg(long)]
    quick: bool,
    /// Measured seconds of a phase (default 5; 2 with --quick).
    #[arg(long)]
    seconds: Option<u64>,
    /// Rounds, of which medians are taken (default 3; 1 with --quick).
    #[arg(long)]
    rounds: Option<u32>,
    /// Reservations in full tables (default 5,000,000; 200,000 with --quick).
    #[arg(long, value_parser = clap::value_parser!(i64).range(100..))]
    rows: Option<i64>,
    /// Shipment lines of the big day (default 1,000,000; 100,000 with --quick).
    #[arg(long, value_parser = clap::value_parser!(u64).range(10_000..))]
    lines: Option<u64>,
    /// Days that are closed one after another (default 366; 20 with --quick).
    #[arg(long, value_parser = clap::value_parser!(u64).range(20..=1000))]
    days: Option<u64>,
    /// Orders that are mirrored (default 20,000; 2,000 with --quick).
    #[arg(long, value_parser = clap::value_parser!(u32).range(100..))]
    orders: Option<u32>,
    /// Threads of the load generator.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// What cargo passes to a benchmark.
    #[arg(long, hide = true)]
    bench: bool,
    /// Be the bare route, with a body of so many bytes.
    #[arg(long, hide = true)]
    bare_route: Option<usize>,
}

impl Arguments {
    fn has(&self, part: Part) -> bool {
        self.parts.contains(&part) || self.all || (self.parts.is_empty() && USUAL.contains(&part))
    }

    fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 1 } else { 3 }).max(1)
    }

    fn pace(&self) -> Pace {
        let (warm_up_millis, seconds, minute, rows) =
            if self.quick { (500, 2, 6, 200_000) } else { (2000, 5, 60, 5_000_000) };
        Pace {
            warm_up: Duration::from_millis(warm_up_millis),
            measured: Duration::from_secs(self.seconds.unwrap_or(seconds).max(1)),
            minute: Duration::from_secs(minute),
            rows: self.rows.unwrap_or(rows),
            lines: self.lines.unwrap_or(if self.quick { 100_000 } else { 1_000_000 }),
            days: self.days.unwrap_or(if self.quick { 20 } else { 366 }),
            orders: self.orders.unwrap_or(if self.quick { 2_000 } else { 20_000 }),
            file_rows: if self.quick { 10_000 } else { 100_000 },
            threads: self.threads,
        }
    }
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(body_bytes) = arguments.bare_route {
        return bare::serve(body_bytes);
    }
    if !arguments.bench {
        // `cargo test --all-targets` runs benchmarks only to see them run.
        println!("measures with `cargo bench`");
        return Ok(());
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(&arguments))
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let runner = Runner::find(&cluster).await;
    let mut report = Report::default();
    let pace = arguments.pace();
    report.fact(format!(
        "{} cores, load generator on the same machine ({} thread)",
        std::thread::available_parallelism().map_or(0, usize::from),
        pace.threads
    ));
    report.fact(cluster.facts().await?);
    report.fact(format!("yardstick: {}", runner.name()));
    report.fact(format!("rounds: {}, of {:?} after {:?}", arguments.rounds(), pace.measured, pace.warm_up));
    let settings = server::settings();
    report.fact(format!("server: {}", if settings.is_empty() { "defaults".to_owned() } else { settings.join(" ") }));
    let mut bench = Bench { cluster, runner, pace, report };
    let ended = measure(&mut bench, arguments).await;
    let Bench { cluster, report, .. } = bench;
    println!("\n{report}");
    // What went wrong in a part matters more than what then goes wrong in clearing away.
    let stopped = cluster.stop().await;
    ended.and(stopped)
}

async fn measure(bench: &mut Bench, arguments: &Arguments) -> anyhow::Result<()> {
    let wants = |parts: &[Part]| parts.iter().any(|part| arguments.has(*part));
    if wants(&USUAL) {
        for round in 1..=arguments.rounds() {
            eprintln!("round {round} of {}", arguments.rounds());
            measure_round(bench, &wants).await?;
        }
    }
    for part in LONG.into_iter().filter(|part| arguments.has(*part)) {
        eprintln!("{part:?}");
        match part {
            Part::FullTable => bench.full_table(arguments.rounds()).await?,
            Part::Fresh => {
                for _ in 0..arguments.rounds() {
                    bench.fresh().await?;
                }
            }
            Part::BigDay => {
                for _ in 0..arguments.rounds() {
                    bench.big_day().await?;
                }
            }
            Part::Year => bench.year().await?,
            _ => bench.steady().await?,
        }
    }
    Ok(())
}

/// Both sides of a comparison follow each other at once; the light parts come before those that leave work behind.
async fn measure_round(bench: &mut Bench, wants: &impl Fn(&[Part]) -> bool) -> anyhow::Result<()> {
    if wants(&[Part::Yardstick, Part::Lone]) {
        bench.yardstick_lone().await?;
    }
    if wants(&[Part::Lone]) {
        bench.lone().await?;
    }
    if wants(&[Part::Reads]) {
        bench.reads().await?;
    }
    if wants(&[Part::Import]) {
        bench.import().await?;
    }
    if wants(&[Part::Mirror]) {
        bench.mirror().await?;
    }
    if wants(&[Part::Yardstick, Part::Hot]) {
        bench.yardstick_hot().await?;
    }
    if wants(&[Part::Hot]) {
        bench.hot().await?;
    }
    if wants(&[Part::Yardstick, Part::Spread]) {
        bench.yardstick_spread().await?;
    }
    if wants(&[Part::Spread]) {
        bench.spread().await?;
    }
    Ok(())
}
