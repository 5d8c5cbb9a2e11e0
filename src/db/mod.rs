//! The database: connections with their guards, migrations, the embedded server.
//!
//! Every connection carries timeouts; lanes also carry planner settings, because a statement that was planned while
//! its tables were tiny would go on scanning them as they grow. `test_before_acquire` and the probe on release keep a
//! connection that was left inside a transaction (a cancelled `BEGIN` does that in the pinned driver) out of the pool.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Executor, PgConnection, Row};

pub mod embedded;
pub mod roles;
pub mod tx;

/// The oldest server that is supported.
pub const OLDEST_MAJOR: u32 = 15;

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The URL does not parse or the server cannot be reached.
    #[error("cannot reach the database: {0}")]
    Connect(#[from] sqlx::Error),
    /// Migrations failed.
    #[error("cannot migrate the database: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The server is too old.
    #[error("Postgres {found} is too old; Holdfast needs {OLDEST_MAJOR} or newer")]
    TooOld {
        /// Its version.
        found: String,
    },
    /// The server could lose what it acknowledged.
    #[error("the database runs with {setting} = {value}: acknowledged reservations could be lost. Switch it on")]
    NotDurable {
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: String,
    },
}

/// Options of an ordinary connection: timeouts, so that a lost or stuck client never blocks others for long.
#[must_use]
pub fn ordinary(options: PgConnectOptions) -> PgConnectOptions {
    options.application_name("holdfast").log_slow_statements(log::LevelFilter::Warn, Duration::from_secs(1)).options([
        ("lock_timeout", "1000"),
        ("statement_timeout", "5000"),
        ("idle_in_transaction_session_timeout", "10000"),
        ("default_transaction_isolation", "read committed"),
        ("timezone", "UTC"),
    ])
}

/// Options of a lane's connection: index plans from the first row on, planned once.
#[must_use]
pub fn for_lane(options: PgConnectOptions) -> PgConnectOptions {
    ordinary(options).options([
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        ("enable_bitmapscan", "off"),
        ("plan_cache_mode", "force_generic_plan"),
        ("jit", "off"),
    ])
}

/// A pool of ordinary connections.
#[must_use]
pub fn pool(options: PgConnectOptions, most: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(Duration::from_secs(3))
        .max_lifetime(Duration::from_mins(30))
        .after_release(|conn, _| {
            Box::pin(async move {
                // Inside a leaked transaction the two differ, or this fails: either way the connection is closed.
                // Only the simple protocol stamps both at once.
                let probe = sqlx::raw_sql("SELECT transaction_timestamp() = statement_timestamp()");
                let row = Executor::fetch_one(&mut *conn, probe).await?;
                row.try_get(0)
            })
        })
        .connect_lazy_with(ordinary(options))
}

/// Brings the schema up to date, and the grants where roles are split.
///
/// # Errors
/// [`DatabaseError`].
pub async fn migrate(options: &PgConnectOptions) -> Result<(), DatabaseError> {
    let mut conn = options.clone().application_name("holdfast-migrate").connect().await?;
    check_version(&mut conn).await?;
    MIGRATOR.run_direct(None, &mut conn, false).await?;
    roles::grant(&mut conn).await?;
    Ok(())
}

/// The migrations that this build carries.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

async fn check_version(conn: &mut PgConnection) -> Result<(), DatabaseError> {
    let row = sqlx::raw_sql("SELECT current_setting('server_version_num')::int / 10000, version()");
    let row = Executor::fetch_one(&mut *conn, row).await?;
    let major: i32 = row.try_get(0)?;
    if u32::try_from(major).is_ok_and(|major| major >= OLDEST_MAJOR) {
        Ok(())
    } else {
        Err(DatabaseError::TooOld { found: row.try_get(1)? })
    }
}

/// Refuses a server that could lose what it acknowledged.
///
/// # Errors
/// [`DatabaseError::NotDurable`], and connection errors.
pub async fn check_durability(pool: &PgPool) -> Result<(), DatabaseError> {
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        let value: String = sqlx::query_scalar("SELECT current_setting($1)").bind(setting).fetch_one(pool).await?;
        if value == "off" || (setting == "synchronous_commit" && value == "local") {
            return Err(DatabaseError::NotDurable { setting, value });
        }
    }
    Ok(())
}

/// Whether the schema is the one that this build was made for.
///
/// # Errors
/// Connection errors.
pub async fn is_migrated(pool: &PgPool) -> sqlx::Result<bool> {
    // Not checked at compile time: the driver's own table is not in the migrations.
    let applied: i64 = sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations WHERE success AND version = ANY($1)")
        .bind(MIGRATOR.iter().map(|migration| migration.version).collect::<Vec<_>>())
        .fetch_one(pool)
        .await?;
    Ok(usize::try_from(applied).is_ok_and(|applied| applied == MIGRATOR.iter().count()))
}
