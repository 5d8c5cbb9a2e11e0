//! `holdfast mirror`: copying everything there is, here and now, with a bar.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Subcommand;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use super::Database;
use crate::app::{self, Running};
use crate::clock::Clock;
use crate::config::Config;
use crate::db;
use crate::lifecycle::ShutdownSignals;
use crate::mirror::demand::apply;
use crate::mirror::streams::{Stream, Tally, Walked, backfill};

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy, Subcommand)]
pub(super) enum MirrorCommand {
    /// Copy everything there is, and apply its orders. It goes on where an earlier run was stopped; what is copied is
    /// not fetched again.
    Backfill {
        /// Begin again from the beginning: whatever changed since it was copied is fetched anew.
        #[arg(long)]
        again: bool,
    },
}

pub(super) async fn run(config: &Config, command: MirrorCommand) -> anyhow::Result<()> {
    let MirrorCommand::Backfill { again } = command;
    let mirror = config.mirror.settings()?;
    ensure!(mirror.is_on(), "there is nothing to copy from: set HOLDFAST_SHOPIFY_SHOP or HOLDFAST_RECHARGE_TOKEN");
    let mut signals = ShutdownSignals::install()?;
    let database = Database::open(config).await?;
    let copied = async {
        db::migrate(&database.migration).await?;
        let mut settings = config.settings();
        // A service beside this one goes on with its jobs; here is nothing but the copying.
        (settings.intervals.jobs, settings.intervals.sweep) = (None, None);
        let running = app::start_mirroring(database.options.clone(), Clock::new(), settings, mirror).await?;
        let done = Box::pin(copy(&running, again, &mut signals)).await;
        running.stop(PATIENCE).await;
        done
    };
    let copied = Box::pin(copied).await;
    database.close().await?;
    copied
}

/// Bars, one for each stream that has shown something.
struct Bars {
    all: MultiProgress,
    streams: Mutex<HashMap<Stream, ProgressBar>>,
}

impl Bars {
    fn new() -> Self {
        Self { all: MultiProgress::new(), streams: Mutex::new(HashMap::new()) }
    }

    fn bar(&self, name: String, length: Option<u64>) -> ProgressBar {
        let template = match length {
            Some(_) => "{prefix:24} {bar:40} {pos}/{len} {msg}",
            None => "{prefix:24} {spinner} {pos} {msg}",
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = length.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        self.all.add(bar.with_style(style).with_prefix(name))
    }

    fn tell(&self, stream: Stream, page: Walked) {
        let mut streams = self.streams.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let name = format!("{} {}", stream.source(), stream.name());
        let bar = streams.entry(stream).or_insert_with(|| self.bar(name, None));
        bar.inc(u64::try_from(page.seen).unwrap_or(0));
        bar.tick();
    }
}

async fn copy(running: &Running, again: bool, signals: &mut ShutdownSignals) -> anyhow::Result<()> {
    let app = &running.app;
    if again {
        backfill::begin_again(app).await.context("cannot begin again")?;
    }
    let (bars, stop) = (Bars::new(), CancellationToken::new());
    let tell = |stream: Stream, page: Walked| bars.tell(stream, page);
    let work = async {
        let tally = backfill::run(app, &stop, &tell).await;
        let pending = bars.bar("orders to apply".to_owned(), None);
        let applied = apply::drain(app, &stop).await;
        pending.finish_and_clear();
        (tally, applied)
    };
    tokio::pin!(work);
    let (tally, applied) = tokio::select! {
        done = &mut work => done,
        () = signals.requested() => {
            stop.cancel();
            work.await
        }
    };
    drop(bars.all.clear());
    let applied = applied.context("orders could not be applied")?;
    for (stream, walked) in &tally.walked {
        println!("{} {}: {} seen, {} written", stream.source(), stream.name(), walked.seen, walked.written);
    }
    println!("orders applied: {}; failed, to be tried again: {}", applied.applied, applied.failed);
    fail_if_stopped(&tally, stop.is_cancelled())
}

fn fail_if_stopped(tally: &Tally, asked: bool) -> anyhow::Result<()> {
    let failed: Vec<String> = tally
        .failed
        .iter()
        .map(|(stream, error)| format!("{} {}: {}", stream.source(), stream.name(), error.public()))
        .collect();
    if !failed.is_empty() {
        bail!("not everything is copied; run it again to go on. {}", failed.join("; "));
    }
    ensure!(!asked, "stopped half-way; run it again to go on");
    Ok(())
}
