//! Commands of the program: serve (the default), migrate, audit, repair, keys, demo.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use secrecy::ExposeSecret;
use sqlx::postgres::PgConnectOptions;

use crate::config::{Config, DEFAULT_LOG};
use crate::db::embedded::{self, Embedded};
use crate::{db, telemetry};

mod demo;
mod keys;
mod mirror;
mod repair;
mod serve;

/// Inventory reservations that never oversell.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Subcommands>,
    #[command(flatten)]
    config: Config,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Serve (the default).
    Serve,
    /// Bring the database up to date and stop.
    Migrate,
    /// Check every invariant; read-only. Exit code 1 when one is broken.
    Audit {
        /// Machine-readable.
        #[arg(long)]
        json: bool,
    },
    /// Find damage, and append what makes up for it.
    Repair {
        #[command(subcommand)]
        command: repair::RepairCommand,
    },
    /// What is copied from Shopify and Recharge.
    Mirror {
        #[command(subcommand)]
        command: mirror::MirrorCommand,
    },
    /// API keys.
    Keys {
        #[command(subcommand)]
        command: keys::KeysCommand,
    },
    /// Try everything without a shop: a stand-in for Shopify and Recharge, a stream of orders, and the service copying it.
    Demo(demo::DemoArgs),
    /// Stops the private Postgres once nobody uses it.
    #[command(hide = true)]
    PgReaper {
        #[arg(long)]
        root: PathBuf,
        #[arg(long)]
        linger_seconds: u64,
    },
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    drop(dotenvy::dotenv());
    let cli = Cli::parse();
    let log = match &cli.command {
        // Faults are part of the show, and the show is not the log.
        Some(Subcommands::Demo(_)) if cli.config.log == DEFAULT_LOG => "error",
        _ => &cli.config.log,
    };
    telemetry::init_logs(log, cli.config.log_format);
    if let Some(Subcommands::PgReaper { root, linger_seconds }) = &cli.command {
        return exit(embedded::run_reaper(root, Duration::from_secs(*linger_seconds)).map_err(Into::into));
    }
    // sqlx and everything else share one TLS provider; installing it twice is harmless.
    drop(rustls::crypto::ring::default_provider().install_default());
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(run(cli));
            // Whatever had to end in order has ended. Dropping the runtime would wait for a start that was given up.
            runtime.shutdown_background();
            code
        }
        Err(error) => exit(Err(error.into())),
    }
}

async fn run(cli: Cli) -> ExitCode {
    match cli.command.unwrap_or(Subcommands::Serve) {
        Subcommands::Serve => exit(Box::pin(serve::serve(&cli.config)).await),
        Subcommands::Migrate => exit(migrate(&cli.config).await),
        Subcommands::Audit { json } => match audit(&cli.config, json).await {
            Ok(clean) => ExitCode::from(u8::from(!clean)),
            Err(error) => exit(Err(error)),
        },
        Subcommands::Repair { command } => match repair::run(&cli.config, command).await {
            Ok(clean) => ExitCode::from(u8::from(!clean)),
            Err(error) => exit(Err(error)),
        },
        Subcommands::Mirror { command } => exit(Box::pin(mirror::run(&cli.config, command)).await),
        Subcommands::Keys { command } => exit(keys::run(&cli.config, command).await),
        Subcommands::Demo(args) => exit(Box::pin(demo::demo(&cli.config, args)).await),
        Subcommands::PgReaper { .. } => ExitCode::SUCCESS,
    }
}

fn exit(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("holdfast: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// The database of this run: one of the user's, or the private one.
struct Database {
    options: PgConnectOptions,
    migration: PgConnectOptions,
    embedded: Option<Embedded>,
}

const EMBEDDED_DATABASE: &str = "holdfast";

/// What is in the private database at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begin {
    /// What was left in it.
    AsLeft,
    /// Nothing: what was left in it is dropped.
    Empty,
}

impl Database {
    async fn open(config: &Config) -> anyhow::Result<Self> {
        let Some(url) = &config.database_url else { return Self::open_embedded(config, Begin::AsLeft).await };
        let options: PgConnectOptions = url.expose_secret().parse().context("DATABASE_URL does not parse")?;
        let migration = match &config.migration_database_url {
            Some(url) => url.expose_secret().parse().context("HOLDFAST_MIGRATION_DATABASE_URL does not parse")?,
            None => options.clone(),
        };
        Ok(Self { options, migration, embedded: None })
    }

    /// The private Postgres: the service runs as a role that cannot rewrite the ledger.
    async fn open_embedded(config: &Config, begin: Begin) -> anyhow::Result<Self> {
        let server = embedded::start(embedded::Settings::from_env(config.data_dir.join("postgres"))).await?;
        if begin == Begin::Empty {
            server.drop_database(EMBEDDED_DATABASE).await?;
        }
        server.create_database(EMBEDDED_DATABASE).await?;
        let migration = server.options(EMBEDDED_DATABASE);
        db::roles::ensure_app_role(&migration).await?;
        let options = migration.clone().username(db::roles::APP_ROLE);
        Ok(Self { options, migration, embedded: Some(server) })
    }

    async fn close(self) -> anyhow::Result<()> {
        if let Some(server) = self.embedded {
            server.stop().await?;
        }
        Ok(())
    }
}

async fn migrate(config: &Config) -> anyhow::Result<()> {
    let database = Database::open(config).await?;
    let done = db::migrate(&database.migration).await;
    database.close().await?;
    Ok(done?)
}

async fn audit(config: &Config, json: bool) -> anyhow::Result<bool> {
    use sqlx::ConnectOptions;
    let database = Database::open(config).await?;
    let checked = async {
        let mut conn = database.migration.clone().application_name("holdfast-audit").connect().await?;
        crate::ledger::audit::run(&mut conn, &crate::ledger::audit::Options::default()).await
    };
    let checked = checked.await;
    database.close().await?;
    let report = checked.context("the audit could not be finished")?;
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(report.is_clean())
}
