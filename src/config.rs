//! Settings: one struct is flags, environment and `--help`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use secrecy::SecretString;

use crate::telemetry::LogFormat;

mod mirror;

pub use mirror::MirrorConfig;

/// Which log lines there are unless something else is asked for.
pub const DEFAULT_LOG: &str = "info,sqlx=warn";

/// Every setting of the service. `.env.example` lists them with defaults and meaning.
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// Postgres to use (15 or newer). Left out: a private one with a persistent folder is started.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<SecretString>,

    /// Postgres URL for migrations, where the service itself connects as a lesser role.
    #[arg(long, env = "HOLDFAST_MIGRATION_DATABASE_URL", hide_env_values = true)]
    pub migration_database_url: Option<SecretString>,

    /// Folder of the private Postgres and of the first key.
    #[arg(long, env = "HOLDFAST_DATA_DIR", default_value = "data")]
    pub data_dir: PathBuf,

    /// Address to listen on.
    #[arg(long, env = "HOLDFAST_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// File that the first admin key is written to, besides being printed. With the private Postgres it is
    /// `admin.key` in the data folder unless set.
    #[arg(long, env = "HOLDFAST_ADMIN_KEY_FILE")]
    pub admin_key_file: Option<PathBuf>,

    /// Number of lanes, and of connections and threads they hold.
    #[arg(long, env = "HOLDFAST_LANES", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub lanes: u16,

    /// Commands that may wait in one lane before callers are told 503 busy.
    #[arg(long, env = "HOLDFAST_LANE_QUEUE", default_value_t = 2048)]
    pub lane_queue: u32,

    /// Most commands in one transaction.
    #[arg(long, env = "HOLDFAST_BATCH_MAX", default_value_t = 256)]
    pub batch_max: u32,

    /// How long a command may take before its caller is told to try again.
    #[arg(long, env = "HOLDFAST_COMMAND_TIMEOUT_SECONDS", default_value_t = 10)]
    pub command_timeout_seconds: u64,

    /// How long any request may take.
    #[arg(long, env = "HOLDFAST_REQUEST_TIMEOUT_SECONDS", default_value_t = 15)]
    pub request_timeout_seconds: u64,

    /// How long an import of a file may take, its upload included.
    #[arg(long, env = "HOLDFAST_IMPORT_TIMEOUT_SECONDS", default_value_t = 600)]
    pub import_timeout_seconds: u64,

    /// Largest file of an import, in MiB. While it is read it is kept in the folder for temporary files.
    #[arg(long, env = "HOLDFAST_IMPORT_BODY_MIB", default_value_t = 64,
        value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub import_body_mib: u16,

    /// Connections for reads and for the catalogue.
    #[arg(long, env = "HOLDFAST_POOL_CONNECTIONS", default_value_t = 10)]
    pub pool_connections: u32,

    /// Most open client connections.
    #[arg(long, env = "HOLDFAST_MAX_CONNECTIONS", default_value_t = 10_000)]
    pub max_connections: u32,

    /// How old an availability answer may be, in milliseconds.
    #[arg(long, env = "HOLDFAST_AVAILABILITY_STALENESS_MS", default_value_t = 1000)]
    pub availability_staleness_ms: u64,

    /// How often expired holds are swept, in milliseconds; 0: never on this instance.
    #[arg(long, env = "HOLDFAST_SWEEP_INTERVAL_MS", default_value_t = 1000)]
    pub sweep_interval_ms: u64,

    /// How often this instance looks for jobs to do, in milliseconds; 0: it works on none.
    #[arg(long, env = "HOLDFAST_JOBS_INTERVAL_MS", default_value_t = 1000)]
    pub jobs_interval_ms: u64,

    /// Transactions at a time of a daily close, each on a connection of its own.
    #[arg(long, env = "HOLDFAST_SNAPSHOT_WORKERS", default_value_t = 2,
        value_parser = clap::value_parser!(u16).range(1..=16))]
    pub snapshot_workers: u16,

    /// Most SKUs in one transaction of a daily close.
    #[arg(long, env = "HOLDFAST_SNAPSHOT_CHUNK_SKUS", default_value_t = 200,
        value_parser = clap::value_parser!(u32).range(1..))]
    pub snapshot_chunk_skus: u32,

    /// Shipment lines after which a transaction of a daily close takes on no further SKU.
    #[arg(long, env = "HOLDFAST_SNAPSHOT_CHUNK_LINES", default_value_t = 10_000)]
    pub snapshot_chunk_lines: u32,

    /// How long answers are kept for replay, in days; at least 7.
    #[arg(long, env = "HOLDFAST_IDEMPOTENCY_RETENTION_DAYS", default_value_t = 14,
        value_parser = clap::value_parser!(u16).range(7..=365))]
    pub idempotency_retention_days: u16,

    /// What to copy from Shopify and Recharge.
    #[command(flatten)]
    pub mirror: MirrorConfig,

    /// Start on a Postgres that could lose what it acknowledged (`fsync` or `synchronous_commit` off). For throwaway tests.
    #[arg(long, env = "HOLDFAST_ALLOW_UNSAFE_DATABASE", default_value_t = false)]
    pub allow_unsafe_database: bool,

    /// Which log lines: `info`, `holdfast=debug`, …
    #[arg(long, env = "HOLDFAST_LOG", default_value = DEFAULT_LOG)]
    pub log: String,

    /// How log lines look.
    #[arg(long, env = "HOLDFAST_LOG_FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,
}

impl Config {
    /// The limits of answers.
    #[must_use]
    pub fn settings(&self) -> crate::app::Settings {
        crate::app::Settings {
            request_timeout: Duration::from_secs(self.request_timeout_seconds),
            import_timeout: Duration::from_secs(self.import_timeout_seconds),
            import_body_limit: usize::from(self.import_body_mib) * 1024 * 1024,
            idempotency_retention_seconds: i64::from(self.idempotency_retention_days) * 86_400,
            availability_staleness: Duration::from_millis(self.availability_staleness_ms),
            pool_connections: self.pool_connections,
            lanes: crate::ledger::lanes::LaneSettings {
                lanes: usize::from(self.lanes),
                queue: usize::try_from(self.lane_queue).unwrap_or(usize::MAX),
                batch_max: usize::try_from(self.batch_max).unwrap_or(usize::MAX),
                patience: Duration::from_secs(self.command_timeout_seconds),
            },
            snapshots: crate::snapshots::Settings {
                workers: self.snapshot_workers.into(),
                chunk_skus: self.snapshot_chunk_skus.into(),
                chunk_lines: self.snapshot_chunk_lines.into(),
            },
            intervals: crate::jobs::Intervals {
                jobs: (self.jobs_interval_ms > 0).then(|| Duration::from_millis(self.jobs_interval_ms)),
                sweep: (self.sweep_interval_ms > 0).then(|| Duration::from_millis(self.sweep_interval_ms)),
                ..Default::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::Config;

    /// Values that are examples, or defaults that are worked out later.
    const EXAMPLES: [&str; 3] = ["DATABASE_URL", "HOLDFAST_RECHARGE_URL", "HOLDFAST_SHOPIFY_SHOP"];

    #[test]
    fn the_example_lists_every_setting_with_its_default() {
        let example = include_str!("../.env.example");
        for argument in Config::augment_args(clap::Command::new("holdfast")).get_arguments() {
            let Some(name) = argument.get_env().and_then(std::ffi::OsStr::to_str) else { continue };
            let line = example.lines().find_map(|line| line.strip_prefix('#')?.strip_prefix(name)?.strip_prefix('='));
            let line = line.unwrap_or_else(|| panic!("{name} is not in .env.example"));
            let default = argument.get_default_values().first().and_then(|value| value.to_str()).unwrap_or_default();
            assert!(line == default || EXAMPLES.contains(&name), "{name} is {default:?}, not {line:?}");
        }
    }
}
