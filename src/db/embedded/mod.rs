//! A Postgres of our own, for who has none at hand.
//!
//! `cargo run` should be enough to see Holdfast work, and `cargo test` to test it. So when no
//! `DATABASE_URL` is given, this module finds the machine's Postgres programs (or downloads them),
//! makes a cluster in a folder of the project, starts its server and stops it at the end. The data
//! stays from run to run, and it is as safe as in any Postgres: `fsync` and checksums are on.
//!
//! # The life of a server
//!
//! ```text
//!  start ─ folder, account ─ start lock ─ programs ─ initdb? ─ adopt | launch ─ reaper ─ ready
//!  stop  ─ start lock ─ was I the last? ─ SIGINT, wait ─ gone
//! ```
//!
//! What holds at any time, whoever is killed when:
//!
//! - **At most one server on a folder.** A start happens under an exclusive lock; the pid file is
//!   believed only together with the process list (`postmaster`, `server`).
//! - **A user is a process that holds a shared lock** (`share`). The kernel drops it at the
//!   process's end, so a `kill -9` needs no cleaning.
//! - **The last user stops the server**; one that dies without that is replaced by the `reaper`.
//! - **A cluster is whole or absent**: it is made under another name and renamed (`cluster`).
//! - **Nobody else can connect**: no network, a socket folder closed to all but one account
//!   (`home`). That is why there is no password.
//!
//! # Refused alternatives
//!
//! The crate `postgresql_embedded` switches `fsync` off, cannot work as root, and fails the first
//! start after a `kill -9`. Containers need a container engine. In-memory substitutes are not
//! Postgres, and Holdfast's guarantees are Postgres's locks. Dropping root's privileges in our own
//! process would need `unsafe`; a child's account does not.
//!
//! # Deliberately absent
//!
//! Windows (a `DATABASE_URL` works there), upgrades of a cluster to another major version,
//! backups, and watching the server while it runs: who needs these runs a Postgres of their own.

#[cfg(not(unix))]
compile_error!("the embedded Postgres needs a Unix system; on Windows build Holdfast in WSL");

mod account;
mod binaries;
mod cluster;
mod download;
mod error;
mod home;
mod log;
mod parameters;
mod postmaster;
mod reaper;
mod server;
mod settings;
mod share;
mod socket;
mod version;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

pub use self::error::{EmbeddedError, NoBinaries};
pub use self::reaper::run_reaper;
pub use self::settings::{Settings, Surroundings};
pub use self::version::Version;

use self::binaries::Binaries;
use self::home::Home;
use self::share::LockFile;

/// The superuser that `initdb` makes.
const SUPERUSER: &str = "postgres";
/// The database that every cluster has.
const MAINTENANCE_DATABASE: &str = "postgres";

/// A running server that this process uses.
///
/// Dropping it ends the use without stopping the server; the reaper does that after the linger.
/// Connections must be closed before [`stop`](Self::stop): it ends those that are left.
#[derive(Debug)]
pub struct Embedded {
    home: Home,
    binaries: Binaries,
    socket_folder: PathBuf,
    users: LockFile,
}

/// What became of the server at [`Embedded::stop`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopOutcome {
    /// This was the last user: no server runs any more.
    Stopped,
    /// Others still use it; the last of them stops it.
    LeftRunning,
}

/// Makes sure that a server runs on the folder and that this process is one of its users.
///
/// A server that is running already is adopted, whoever started it. Otherwise the cluster is made
/// if need be and its server started. Any number of processes may do this at once.
///
/// # Errors
///
/// See [`EmbeddedError`]; each one's text tells the way out.
pub async fn start(settings: Settings) -> Result<Embedded, EmbeddedError> {
    let settings = Arc::new(settings);
    let (home, start_lock) = blocking({
        let settings = Arc::clone(&settings);
        move || {
            let home = Home::prepare(&settings)?;
            let start_lock = share::lock_start(&home)?;
            Ok((home, start_lock))
        }
    })
    .await?;
    let binaries = binaries::locate(&settings, &home).await?;
    blocking(move || {
        cluster::create(&home, &binaries, settings.durable)?;
        let users = share::join(&home)?;
        // Before the server: from its first moment somebody sees to it that it ends.
        reaper::spawn(&home, &settings);
        let socket_folder = server::ensure_running(&home, &binaries, &settings)?;
        drop(start_lock);
        Ok(Embedded { home, binaries, socket_folder, users })
    })
    .await
}

impl Embedded {
    /// How to connect to `database`: as the superuser, over the socket. `PGOPTIONS` and
    /// `PGAPPNAME` of the environment still count, as with any client; `PGHOST` and the like do not.
    #[must_use]
    pub fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.socket_folder)
            .port(socket::PORT)
            .username(SUPERUSER)
            .database(database)
            .ssl_mode(PgSslMode::Disable)
    }

    /// The same as [`options`](Self::options) as an address, for `psql` and others. `database` is
    /// a plain name; the socket's path has no character that would need an escape.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{SUPERUSER}@localhost/{database}?host={}", self.socket_folder.display())
    }

    /// Creates a database unless it exists. Several processes may try at once.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::CreateDatabase`] when the server refuses for another reason.
    pub async fn create_database(&self, name: &str) -> Result<(), EmbeddedError> {
        self.try_create_database(name)
            .await
            .map_err(|source| EmbeddedError::CreateDatabase { database: name.to_owned(), source })
    }

    async fn try_create_database(&self, name: &str) -> Result<(), sqlx::Error> {
        let mut connection = self.options(MAINTENANCE_DATABASE).connect().await?;
        let exists = sqlx::query("SELECT 1 FROM pg_database WHERE datname = $1").bind(name);
        if exists.fetch_optional(&mut connection).await?.is_none() {
            let statement = format!(r#"CREATE DATABASE "{}""#, name.replace('"', r#""""#));
            match sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await {
                Err(error) if !is_duplicate(&error) => return Err(error),
                _ => {}
            }
        }
        connection.close().await
    }

    /// Drops a database if it exists; who is connected to it is disconnected.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::CreateDatabase`] when the server refuses: there will be no empty one.
    pub async fn drop_database(&self, name: &str) -> Result<(), EmbeddedError> {
        let dropped = async {
            let mut connection = self.options(MAINTENANCE_DATABASE).connect().await?;
            let statement = format!(r#"DROP DATABASE IF EXISTS "{}" WITH (FORCE)"#, name.replace('"', r#""""#));
            sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await?;
            connection.close().await
        };
        dropped.await.map_err(|source| EmbeddedError::CreateDatabase { database: name.to_owned(), source })
    }

    /// The cluster's own folder.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.home.data()
    }

    /// The folder of the server's programs, `psql` and `pg_dump` among them if they are installed.
    #[must_use]
    pub fn bin_dir(&self) -> &Path {
        &self.binaries.bin_dir
    }

    /// The version of those programs.
    #[must_use]
    pub fn server_version(&self) -> Version {
        self.binaries.version
    }

    /// Ends the use of the server; the last user stops it and waits until it is gone.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::NotStopped`] when the server takes longer than a minute: it is left to
    /// finish by itself, which loses nothing.
    pub async fn stop(self) -> Result<StopOutcome, EmbeddedError> {
        blocking(move || share::leave(&self.home, self.users)).await
    }
}

/// Somebody else created it in between: 42P04 `duplicate_database`, or 23505 from the catalog's
/// index when both were at it in the same moment.
fn is_duplicate(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(code.as_deref(), Some("42P04" | "23505"))
}

/// Files, locks and child processes are awaited off the runtime's threads. If the caller goes away
/// the work still ends in order: what it returns is dropped, and the reaper sees to the rest.
async fn blocking<T, F>(work: F) -> Result<T, EmbeddedError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, EmbeddedError> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await?
}
