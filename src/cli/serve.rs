//! `holdfast serve`: database, first key, listener, and an orderly end, at whatever point it is asked for.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::Database;
use crate::app::Running;
use crate::clock::Clock;
use crate::config::Config;
use crate::http::server::{self, ServerLimits};
use crate::keys::store::{self, FIRST_CLIENT, Grant};
use crate::keys::{NewKey, Scope};
use crate::lifecycle::ShutdownSignals;
use crate::{app, db};

/// How long lanes and tasks may take to finish.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn serve(config: &Config) -> anyhow::Result<()> {
    // Before anything that would have to be stopped.
    let mut signals = ShutdownSignals::install()?;
    // And before a database: who cannot listen should not start one.
    let listener =
        TcpListener::bind(config.listen).await.with_context(|| format!("cannot listen on {}", config.listen))?;
    let Some(database) = open_database(Database::open(config), &mut signals).await? else { return Ok(()) };
    let served = Box::pin(with_database(config, &database, listener, &mut signals)).await;
    database.close().await?;
    served
}

/// The database, or none if it was asked to stop meanwhile. A private Postgres that is being started is then awaited and
/// stopped again: given up half-way, it would run on with nobody to stop it but its reaper.
pub(super) async fn open_database(
    opening: impl Future<Output = anyhow::Result<Database>>,
    signals: &mut ShutdownSignals,
) -> anyhow::Result<Option<Database>> {
    tokio::pin!(opening);
    if let Some(opened) = signals.unless_requested(&mut opening).await {
        return opened.map(Some);
    }
    tracing::info!("asked to stop while the database starts: stopping it as soon as it is there");
    let opened = signals.unless_requested(tokio::time::timeout(PATIENCE, opening)).await;
    if let Some(Ok(opened)) = opened {
        opened?.close().await?;
    } else {
        tracing::warn!("not waiting for the database to start");
    }
    Ok(None)
}

async fn with_database(
    config: &Config,
    database: &Database,
    listener: TcpListener,
    signals: &mut ShutdownSignals,
) -> anyhow::Result<()> {
    // Nothing is accepted yet, so there is nothing to finish: a migration that is cut off is rolled back.
    let Some(prepared) = signals.unless_requested(prepare(config, database)).await else {
        tracing::info!("asked to stop while starting");
        return Ok(());
    };
    let running = prepared?;
    // From here to where it is shown nothing is cut off: a key that was made and never shown is nobody's.
    let first_key = first_key(&database.migration).await?;
    let address = listener.local_addr()?;
    let key_file = match (&config.admin_key_file, &database.embedded) {
        (Some(file), _) => Some(file.clone()),
        (None, Some(_)) => Some(config.data_dir.join("admin.key")),
        (None, None) => None,
    };
    greet(address, first_key.as_ref(), key_file.as_deref())?;
    let stop = CancellationToken::new();
    let limits = ServerLimits {
        connections: usize::try_from(config.max_connections).unwrap_or(usize::MAX),
        ..ServerLimits::default()
    };
    let serving = server::serve(listener, running.router(), limits, stop.clone());
    tokio::pin!(serving);
    tokio::select! {
        () = &mut serving => {}
        () = signals.requested() => {
            tracing::info!("shutting down: finishing what was accepted");
            stop.cancel();
            tokio::select! {
                () = &mut serving => {}
                () = signals.requested() => {
                    tracing::warn!("asked twice: not waiting for clients");
                }
            }
        }
    }
    running.stop(PATIENCE).await;
    Ok(())
}

/// Brings the database up to date and starts the service's parts on it.
async fn prepare(config: &Config, database: &Database) -> anyhow::Result<Running> {
    db::migrate(&database.migration).await?;
    let running =
        app::start_mirroring(database.options.clone(), Clock::new(), config.settings(), config.mirror.settings()?)
            .await?;
    if !config.allow_unsafe_database {
        db::check_durability(&running.app.db).await?;
    }
    Ok(running)
}

/// Makes the first admin key, if there is none yet.
pub(super) async fn first_key(options: &PgConnectOptions) -> anyhow::Result<Option<NewKey>> {
    let mut conn = options.connect().await?;
    let key = NewKey::mint()?;
    let grant = Grant {
        client: FIRST_CLIENT.to_owned(),
        label: "first key".to_owned(),
        scopes: vec![Scope::Admin],
        expires_at: None,
        bootstrap: true,
    };
    let made = store::insert(&mut conn, &key, &grant, Clock::new().local_now()).await?;
    Ok(made.then_some(key))
}

/// Says where it listens and, the first time, how to try it.
fn greet(address: std::net::SocketAddr, first_key: Option<&NewKey>, key_file: Option<&Path>) -> anyhow::Result<()> {
    if let (Some(key), Some(file)) = (first_key, key_file) {
        write_key(key, file.to_path_buf())?;
    }
    println!("listening on http://{address}");
    println!("API page: http://{address}/docs");
    let Some(key) = first_key else {
        match key_file.filter(|file| file.exists()) {
            Some(file) => println!("admin key: in {}", file.display()),
            None => println!("admin key: as printed at the first start; holdfast keys create makes another"),
        }
        return Ok(());
    };
    println!(
        "\nFirst admin key, shown this once{}:",
        key_file.map(|f| format!(" (and kept in {})", f.display())).unwrap_or_default()
    );
    println!("  {}\n", key.token);
    println!("Try it:\n");
    println!("{}", TRY_IT.replace("{KEY}", &key.token).replace("{URL}", &format!("http://{address}")));
    Ok(())
}

const TRY_IT: &str = r#"export KEY={KEY}
# a lot on the shelf
curl -sS {URL}/lots -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' -H 'Idempotency-Key: lot-1' \
  -d '{"sku":"TEA-250","create_sku":true,"lot_code":"L-1","quantity":10,"unit_cost":"4.20","currency":"EUR","received_date":"2026-01-15"}'
# a cart holds units of it
RES=$(curl -sS {URL}/reservations -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' -H 'Idempotency-Key: cart-1' \
  -d '{"lines":[{"sku":"TEA-250","quantity":2}]}' | tee /dev/stderr | sed -E 's/^\{"id":"([^"]+)".*/\1/')
# the order commits them
curl -sS {URL}/reservations/$RES/commit -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' -H 'Idempotency-Key: order-1' \
  -d '{"order_ref":"1001"}'
# and availability shows every step
curl -sS "{URL}/availability?sku=TEA-250" -H "Authorization: Bearer $KEY"
"#;

fn write_key(key: &NewKey, file: PathBuf) -> anyhow::Result<()> {
    use std::io::Write;
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    let mut opened = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&file)
        .with_context(|| format!("cannot write the first key to {}", file.display()))?;
    writeln!(opened, "{}", key.token)?;
    Ok(())
}
