//! A migrated database per test, on one private Postgres for the whole run.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use holdfast::db::embedded::{self, Embedded};
use holdfast::db::{self, MIGRATOR};
use sha2::{Digest, Sha256};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use tokio::sync::OnceCell;

/// A database of its own. Dropping it leaves the database to the throwaway server.
pub struct TestDb {
    pub name: String,
    /// Options of a superuser.
    pub owner_options: PgConnectOptions,
    /// Options of the role that the service runs as.
    pub app_options: PgConnectOptions,
}

impl TestDb {
    /// A superuser's pool, for planting and looking.
    pub fn owner(&self) -> PgPool {
        PgPoolOptions::new().max_connections(3).connect_lazy_with(self.owner_options.clone())
    }

    /// Cuts every connection to this database and lets none in, until [`TestDb::restore`].
    pub async fn cut(&self) {
        let mut conn = server().await.options("postgres").connect().await.unwrap();
        let lock = format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", self.name);
        conn.execute(AssertSqlSafe(lock)).await.unwrap();
        sqlx::query("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1")
            .bind(&self.name)
            .execute(&mut conn)
            .await
            .unwrap();
    }

    /// Lets connections in again.
    pub async fn restore(&self) {
        let mut conn = server().await.options("postgres").connect().await.unwrap();
        let open = format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", self.name);
        conn.execute(AssertSqlSafe(open)).await.unwrap();
    }

    /// Tables of which some row contains `text`, in whatever column.
    pub async fn tables_with(&self, text: &str) -> Vec<String> {
        let owner = self.owner();
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT oid::regclass::text FROM pg_class \
             WHERE relkind IN ('r', 'p') AND relnamespace IN ('public'::regnamespace, 'mirror'::regnamespace)",
        )
        .fetch_all(&owner)
        .await
        .unwrap();
        let mut found = Vec::new();
        for table in tables {
            // Stored answers are bytes; they are looked into as text.
            let row = if table == "idempotency_keys" { "t.key || encode(t.body, 'escape')" } else { "t::text" };
            let sql = format!("SELECT EXISTS (SELECT FROM {table} AS t WHERE position($1 IN {row}) > 0)");
            if sqlx::query_scalar(AssertSqlSafe(sql)).bind(text).fetch_one(&owner).await.unwrap() {
                found.push(table);
            }
        }
        found
    }

    /// A `DATABASE_URL` for a child process, as superuser or as the service's role.
    pub async fn url(&self, role: &str) -> String {
        server().await.url(&self.name).replacen("postgres@", &format!("{role}@"), 1)
    }
}

/// Where the run's Postgres lives; removed with the target folder.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("postgres")
}

/// The run's Postgres. Under nextest every test is a process of its own and they all share it.
pub async fn server() -> &'static Embedded {
    static SERVER: OnceCell<Embedded> = OnceCell::const_new();
    SERVER
        .get_or_init(|| async {
            let settings = embedded::Settings {
                durable: false,
                reaper_exe: Some(PathBuf::from(env!("CARGO_BIN_EXE_holdfast"))),
                linger_seconds: 5,
                ..embedded::Settings::from_env(root())
            };
            embedded::start(settings).await.expect("the private Postgres of the tests starts")
        })
        .await
}

/// A fresh, migrated database.
pub async fn fresh() -> TestDb {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let server = server().await;
    let template = template(server).await;
    let name = format!("t_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let mut conn = server.options("postgres").connect().await.unwrap();
    let sql = format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY = file_copy");
    conn.execute(AssertSqlSafe(sql)).await.unwrap();
    let owner_options = server.options(&name);
    let app_options = owner_options.clone().username(db::roles::APP_ROLE);
    TestDb { name, owner_options, app_options }
}

/// The template, named by the hash of the migrations and made once under an advisory lock.
async fn template(server: &Embedded) -> &'static str {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    TEMPLATE
        .get_or_init(|| async {
            let mut hash = Sha256::new();
            for migration in MIGRATOR.iter() {
                hash.update(&*migration.checksum);
            }
            hash.update(include_bytes!("../../../src/db/roles.sql"));
            let name = format!("template_{}", &hex::encode(hash.finalize())[..16]);
            let mut conn = server.options("postgres").connect().await.unwrap();
            conn.execute("SELECT pg_advisory_lock(4711)").await.unwrap();
            let made: bool =
                sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)")
                    .bind(&name)
                    .fetch_one(&mut conn)
                    .await
                    .unwrap();
            if !made {
                make_template(server, &mut conn, &name).await;
            }
            conn.execute("SELECT pg_advisory_unlock(4711)").await.unwrap();
            conn.close().await.unwrap();
            name
        })
        .await
}

async fn make_template(server: &Embedded, conn: &mut sqlx::PgConnection, name: &str) {
    let drop = format!("DROP DATABASE IF EXISTS {name}");
    conn.execute(AssertSqlSafe(drop)).await.unwrap();
    server.create_database(name).await.unwrap();
    let options = server.options(name);
    db::roles::ensure_app_role(&options).await.unwrap();
    db::migrate(&options).await.unwrap();
    let seal = format!("ALTER DATABASE {name} WITH IS_TEMPLATE true ALLOW_CONNECTIONS false");
    conn.execute(AssertSqlSafe(seal)).await.unwrap();
}
