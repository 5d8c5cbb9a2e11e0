//! `holdfast demo`: the service beside a stand-in for Shopify and Recharge, with a private database of its own that begins
//! empty each time.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Begin, Database, serve};
use crate::app::{self, Running};
use crate::clock::Clock;
use crate::config::Config;
use crate::db;
use crate::demo::{Demo, Pace};
use crate::http::server::{self, ServerLimits};
use crate::lifecycle::ShutdownSignals;
use crate::mirror;

/// Folder of its database, within the data folder.
const FOLDER: &str = "demo";

#[derive(Debug, Clone, Copy, Args)]
pub(super) struct DemoArgs {
    /// Stop by itself after this many seconds.
    #[arg(long)]
    seconds: Option<u64>,

    /// Things that happen in the shop, each second.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=200))]
    per_second: u32,

    /// Of a thousand requests to the stand-in, so many go wrong.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=500))]
    faults_per_mille: u32,

    /// What is left to chance; the same seed, the same shop.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(super) async fn demo(config: &Config, args: DemoArgs) -> anyhow::Result<()> {
    let mut signals = ShutdownSignals::install()?;
    let listener =
        TcpListener::bind(config.listen).await.with_context(|| format!("cannot listen on {}", config.listen))?;
    let config = Config { data_dir: config.data_dir.join(FOLDER), ..config.clone() };
    let opening = Database::open_embedded(&config, Begin::Empty);
    let Some(database) = serve::open_database(opening, &mut signals).await? else { return Ok(()) };
    let done = with_database(&config, &database, args, listener, &mut signals).await;
    database.close().await?;
    done
}

async fn with_database(
    config: &Config,
    database: &Database,
    args: DemoArgs,
    listener: TcpListener,
    signals: &mut ShutdownSignals,
) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    let Some(prepared) = signals.unless_requested(prepare(config, database, args, address)).await else {
        return Ok(());
    };
    let (demo, running, key) = prepared?;
    println!("listening on http://{address}, API page: http://{address}/docs");
    let done = serve_and_run(&demo, &running, listener, &key, args, signals).await;
    running.stop(serve::PATIENCE).await;
    demo.close().await;
    done
}

/// Database, stand-in, service and key, in this order.
async fn prepare(
    config: &Config,
    database: &Database,
    args: DemoArgs,
    address: SocketAddr,
) -> anyhow::Result<(Demo, Running, String)> {
    db::migrate(&database.migration).await?;
    let clock = Clock::new();
    let DemoArgs { per_second, faults_per_mille, seed, .. } = args;
    let base = format!("http://{address}");
    let demo = Demo::open(clock.clone(), Pace { per_second, faults_per_mille, seed }, &base).await?;
    let settings = settings(config, &demo, base)?;
    let running = app::start_mirroring(database.options.clone(), clock, config.settings(), settings).await?;
    let key = serve::first_key(&database.migration).await?.context("the demo's database is not empty")?;
    Ok((demo, running, key.token.clone()))
}

/// What is copied and how fast is the demonstration's; what is made of orders is as configured.
fn settings(config: &Config, demo: &Demo, base: String) -> anyhow::Result<mirror::Settings> {
    let mirror::Settings { pool, test_orders, unpaid_orders, unpaid_hold, .. } = config.mirror.settings()?;
    Ok(mirror::Settings {
        pool,
        test_orders,
        unpaid_orders,
        unpaid_hold,
        webhook_base_url: Some(base),
        restock_on_sale: true,
        // The stand-in's search never trails, and whoever looks on has no minute to spare.
        settle: Duration::from_secs(1),
        poll_interval: Duration::from_secs(5),
        ..demo.standin.mirror_settings()
    })
}

/// Serves until the demonstration ends, is asked to stop, or its time is over.
async fn serve_and_run(
    demo: &Demo,
    running: &Running,
    listener: TcpListener,
    key: &str,
    args: DemoArgs,
    signals: &mut ShutdownSignals,
) -> anyhow::Result<()> {
    let (ended, stop) = (CancellationToken::new(), CancellationToken::new());
    let base = format!("http://{}", listener.local_addr()?);
    let serving = server::serve(listener, running.router(), ServerLimits::default(), stop.clone());
    let happening = async {
        let done = demo.run(&base, key, &ended).await;
        stop.cancel();
        done
    };
    let over = async {
        tokio::select! {
            () = signals.requested() => {}
            () = time_is_over(args.seconds) => {}
            () = stop.cancelled() => {}
        }
        ended.cancel();
    };
    let ((), done, ()) = tokio::join!(serving, happening, over);
    println!("stopping in order");
    done
}

async fn time_is_over(seconds: Option<u64>) {
    match seconds {
        Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        None => std::future::pending().await,
    }
}
