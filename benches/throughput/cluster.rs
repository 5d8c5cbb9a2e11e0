//! The throwaway Postgres of a run, and its databases: one for each side of a comparison and each round, freshly
//! migrated and stocked, dropped as soon as it has been measured, so that its vacuuming disturbs nobody after it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use holdfast::db::embedded::{self, Embedded, Settings};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};

/// SKUs in a stocked database; `seed.sql` makes as many.
pub const SKUS: u64 = 10_000;

const SEED: &str = include_str!("seed.sql");
const MAINTENANCE_DATABASE: &str = "postgres";
/// Begins the names of our databases and of their files: what a run has left behind is cleared away by it.
const PREFIX: &str = "throughput_";
/// Settings that decide whether an acknowledged reservation survives a power cut.
const DURABILITY: [&str; 3] = ["fsync", "synchronous_commit", "full_page_writes"];

/// A running Postgres that belongs to this run.
#[derive(Debug)]
pub struct Cluster {
    embedded: Embedded,
    folder: PathBuf,
    made: u32,
    postmaster: u32,
    _only_run: File,
}

impl Cluster {
    /// Starts it in a folder under `target/`.
    ///
    /// # Errors
    /// Another run is going on, Postgres does not start, or it runs with a setting that loses commits.
    pub async fn start() -> anyhow::Result<Self> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("throughput");
        fs::create_dir_all(&folder)?;
        let lock = File::create(folder.join("run.lock"))?;
        lock.try_lock().context("another benchmark is running")?;
        remove_files_of_last_run(&folder)?;
        let root = folder.join("postgres");
        let embedded = embedded::start(Settings {
            durable: true,
            reaper_exe: Some(PathBuf::from(env!("CARGO_BIN_EXE_holdfast"))),
            linger_seconds: 2,
            ..Settings::from_env(&root)
        })
        .await?;
        let mut conn = embedded.options(MAINTENANCE_DATABASE).connect().await?;
        check_durability(&mut conn).await?;
        drop_left_databases(&mut conn).await?;
        let postmaster: i32 = sqlx::query_scalar("SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int")
            .fetch_one(&mut conn)
            .await?;
        conn.close().await?;
        let cluster = Self { embedded, folder, made: 0, postmaster: u32::try_from(postmaster)?, _only_run: lock };
        // A run that was interrupted may have left it off.
        cluster.set_autovacuum(true).await?;
        Ok(cluster)
    }

    /// Files of this run: logs, keys, traces.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the programs of this Postgres are.
    pub fn bin_dir(&self) -> &Path {
        self.embedded.bin_dir()
    }

    /// Process id of the server's first process.
    pub fn postmaster(&self) -> u32 {
        self.postmaster
    }

    /// What the report says about the server.
    ///
    /// # Errors
    /// Database errors.
    pub async fn facts(&self) -> anyhow::Result<String> {
        let mut conn = self.connect(MAINTENANCE_DATABASE).await?;
        let mut facts = vec![format!("PostgreSQL {}", show(&mut conn, "server_version").await?)];
        for setting in DURABILITY.into_iter().chain(["shared_buffers", "max_wal_size", "checkpoint_timeout"]) {
            facts.push(format!("{setting} {}", show(&mut conn, setting).await?));
        }
        conn.close().await?;
        Ok(facts.join(", "))
    }

    /// A new database, migrated and stocked; nothing in it has ever been analysed.
    ///
    /// # Errors
    /// Database errors.
    pub async fn create(&mut self, purpose: &str) -> anyhow::Result<Database> {
        self.made += 1;
        let name = format!("{PREFIX}{}_{purpose}", self.made);
        self.embedded.create_database(&name).await?;
        let database = Database { name, url: String::new() };
        let mut conn = self.connect(&database.name).await?;
        sqlx::migrate!("./migrations").run(&mut conn).await?;
        conn.execute(sqlx::raw_sql(SEED)).await.context("cannot stock the database")?;
        let skus: i64 = sqlx::query_scalar("SELECT count(*) FROM stock").fetch_one(&mut conn).await?;
        ensure!(u64::try_from(skus) == Ok(SKUS), "seed.sql stocked {skus} SKUs, not {SKUS}");
        conn.close().await?;
        Ok(Database { url: self.embedded.url(&database.name), ..database })
    }

    /// A connection to `database`.
    ///
    /// # Errors
    /// Connection errors.
    pub async fn connect(&self, database: &str) -> anyhow::Result<PgConnection> {
        Ok(self.embedded.options(database).connect().await?)
    }

    /// Writes out what earlier phases have left in memory: every phase begins with clean buffers and an empty stretch
    /// of log before the next checkpoint.
    ///
    /// # Errors
    /// Database errors.
    pub async fn settle(&self) -> anyhow::Result<()> {
        self.run(&["CHECKPOINT"]).await
    }

    /// Switches autovacuum, and with it automatic ANALYZE, off or back on.
    ///
    /// # Errors
    /// Database errors.
    pub async fn set_autovacuum(&self, on: bool) -> anyhow::Result<()> {
        let setting = if on { "ALTER SYSTEM RESET autovacuum" } else { "ALTER SYSTEM SET autovacuum = off" };
        self.run(&[setting, "SELECT pg_reload_conf()"]).await
    }

    async fn run(&self, statements: &[&'static str]) -> anyhow::Result<()> {
        let mut conn = self.connect(MAINTENANCE_DATABASE).await?;
        for statement in statements {
            conn.execute(*statement).await?;
        }
        conn.close().await?;
        Ok(())
    }

    /// Drops a database, and who may still be connected to it.
    ///
    /// # Errors
    /// Database errors.
    pub async fn drop(&self, database: Database) -> anyhow::Result<()> {
        let mut conn = self.connect(MAINTENANCE_DATABASE).await?;
        drop_database(&mut conn, &database.name).await?;
        conn.close().await?;
        Ok(())
    }

    /// Stops the server and removes its data; the logs stay.
    ///
    /// # Errors
    /// It does not stop.
    pub async fn stop(self) -> anyhow::Result<()> {
        let data = self.embedded.data_dir();
        self.embedded.stop().await?;
        // Left-overs would cost space, not correctness: the next run starts on them.
        let _ = fs::remove_dir_all(data);
        Ok(())
    }
}

/// A database of ours.
#[derive(Debug)]
pub struct Database {
    /// Its name in the cluster.
    pub name: String,
    /// How others connect to it.
    pub url: String,
}

impl Database {
    /// Units held, over all SKUs.
    ///
    /// # Errors
    /// Database errors.
    pub async fn held(&self, cluster: &Cluster) -> anyhow::Result<u64> {
        let mut conn = cluster.connect(&self.name).await?;
        let held: i64 = sqlx::query_scalar("SELECT sum(held)::bigint FROM stock").fetch_one(&mut conn).await?;
        conn.close().await?;
        Ok(u64::try_from(held)?)
    }
}

/// A key of the last run opens nothing now.
fn remove_files_of_last_run(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

async fn check_durability(conn: &mut PgConnection) -> anyhow::Result<()> {
    for setting in DURABILITY {
        let value = show(conn, setting).await?;
        ensure!(value == "on", "{setting} is {value}: these numbers would not count");
    }
    Ok(())
}

/// What a run that was interrupted has left.
async fn drop_left_databases(conn: &mut PgConnection) -> sqlx::Result<()> {
    let left = sqlx::query_scalar::<_, String>("SELECT datname FROM pg_database WHERE starts_with(datname, $1)");
    for name in left.bind(PREFIX).fetch_all(&mut *conn).await? {
        drop_database(conn, &name).await?;
    }
    Ok(())
}

async fn show(conn: &mut PgConnection, setting: &str) -> sqlx::Result<String> {
    sqlx::query_scalar("SELECT current_setting($1)").bind(setting).fetch_one(conn).await
}

async fn drop_database(conn: &mut PgConnection, name: &str) -> sqlx::Result<()> {
    // The name is ours, or begins as ours do and comes from the catalog.
    conn.execute(AssertSqlSafe(format!(r#"DROP DATABASE "{name}" WITH (FORCE)"#))).await?;
    Ok(())
}
