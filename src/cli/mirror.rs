//! `holdfast mirror`: copying everything there is, here and now, with a bar.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Subcommand;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use super::Database;
use crate::app::{self, App, Running};
use crate::clock::Clock;
use crate::config::Config;
use crate::db;
use crate::lifecycle::ShutdownSignals;
use crate::mirror::demand::apply;
use crate::mirror::streams::walk::Progress;
use crate::mirror::streams::{Stream, Tally, backfill};
use crate::mirror::view;

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy, Subcommand)]
pub(super) enum MirrorCommand {
    /// Copy everything there is, and apply its orders. It goes on where an earlier run was stopped; what is copied is
    /// not fetched again.
    Backfill {
        /// Begin again from the beginning: whatever changed since it was copied is fetched anew.
        #[arg(long)]
        again: bool,

        /// Begin again and fetch everything anew, also what says that it has not changed; what does not differ is not
        /// written.
        #[arg(long)]
        refetch: bool,
    },
}

pub(super) async fn run(config: &Config, command: MirrorCommand) -> anyhow::Result<()> {
    let MirrorCommand::Backfill { again, refetch } = command;
    let again = (again || refetch).then_some(Again { refetch });
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

/// That everything is copied from the beginning.
#[derive(Debug, Clone, Copy)]
struct Again {
    refetch: bool,
}

/// Parts of a bar where nothing can be counted: tenths of a percent of the time that is walked through.
const PARTS: f64 = 1000.0;

/// Bars, one for each stream that has shown something.
struct Bars {
    all: MultiProgress,
    streams: Mutex<HashMap<Stream, ProgressBar>>,
}

impl Bars {
    fn new() -> Self {
        Self { all: MultiProgress::new(), streams: Mutex::new(HashMap::new()) }
    }

    fn bar(&self, name: String, template: &str) -> ProgressBar {
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.all.add(ProgressBar::new_spinner().with_style(style).with_prefix(name))
    }

    /// Where the upstream counts, objects of so many; else the part of the time that is walked through; else objects.
    fn tell(&self, stream: Stream, progress: Progress) {
        let mut streams = self.streams.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let template = match (progress.expected, progress.share) {
            (Some(_), _) => "{prefix:24} {bar:40} {pos}/{len}",
            (None, Some(_)) => "{prefix:24} {bar:40} {percent} % of the time, {msg} seen",
            (None, None) => "{prefix:24} {spinner} {msg} seen",
        };
        let bar = streams.entry(stream).or_insert_with(|| self.bar(stream.to_string(), template));
        if let Some((position, length)) = measure(progress) {
            bar.set_length(length);
            bar.set_position(position);
        }
        bar.set_message(progress.seen.to_string());
        bar.tick();
    }
}

/// How far, of how much. What was not there yet when it was counted is seen all the same.
fn measure(progress: Progress) -> Option<(u64, u64)> {
    let whole = |count: i64| u64::try_from(count).unwrap_or(0);
    if let Some(expected) = progress.expected {
        return Some((whole(progress.seen), whole(expected.max(progress.seen))));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1000")]
    progress.share.map(|share| ((share.clamp(0.0, 1.0) * PARTS) as u64, PARTS as u64))
}

async fn copy(running: &Running, again: Option<Again>, signals: &mut ShutdownSignals) -> anyhow::Result<()> {
    let app = &running.app;
    if let Some(Again { refetch }) = again {
        backfill::begin_again(app, refetch).await.context("cannot begin again")?;
    }
    let (bars, stop) = (Bars::new(), CancellationToken::new());
    let tell = |stream: Stream, progress: Progress| bars.tell(stream, progress);
    let work = async {
        let tally = backfill::run(app, &stop, &tell).await;
        let pending = bars.bar("orders to apply".to_owned(), "{prefix:24} {spinner}");
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
    for warning in warnings(app).await.context("cannot tell what was left out")? {
        println!("{warning}");
    }
    println!("orders applied: {}; failed, to be tried again: {}", applied.applied, applied.failed);
    fail_if_stopped(&tally, stop.is_cancelled())
}

/// What the tokens cannot see.
async fn warnings(app: &App) -> anyhow::Result<Vec<String>> {
    let mirror = view::find(&app.db, &app.mirror.settings, app.clock.local_now()).await?;
    let of = |stream: view::StreamView| Some(format!("{} {}: {}", stream.source, stream.stream, stream.warning?));
    Ok(mirror.streams.into_iter().filter_map(of).collect())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::streams::Walked;

    #[test]
    fn a_bar_goes_on_where_an_earlier_run_stopped_and_is_never_longer_than_full() {
        let at = |seen, expected, share| measure(Progress { page: Walked::default(), seen, expected, share });
        assert_eq!(at(750, Some(1000), None), Some((750, 1000)), "not what this run has seen");
        assert_eq!(at(1003, Some(1000), None), Some((1003, 1003)), "some came while it was walked");
        assert_eq!(at(10, None, Some(0.25)), Some((250, 1000)));
        assert_eq!(at(10, None, None), None, "nobody knows");
    }
}
