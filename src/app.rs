//! The service: its parts, wired.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use chrono::{DateTime, Utc};
use metrics_exporter_prometheus::PrometheusHandle;
use scoped_futures::ScopedFutureExt;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::availability::projection::Projection;
use crate::catalog::cache::CatalogueCache;
use crate::catalog::{Catalogue, Pool};
use crate::clock::Clock;
use crate::http::answers::{Answers, code_of};
use crate::http::code::Code;
use crate::http::in_flight::InFlight;
use crate::http::problem::Problem;
use crate::ids::{ClientId, PoolId, SkuId};
use crate::jobs::Intervals;
use crate::keys::cache::KeyCache;
use crate::ledger::balance::Balance;
use crate::ledger::command::Command;
use crate::ledger::lanes::{LaneSettings, Lanes, Observer, Shared};
use crate::ledger::outcome::Outcome;
use crate::ledger::submission::{Key, Submission};
use crate::{availability, db, jobs};

/// What axum handlers take.
pub type AppState = State<Arc<App>>;

/// Limits and intervals.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How long any request may take.
    pub request_timeout: Duration,
    /// How long answers are kept for replay.
    pub idempotency_retention_seconds: i64,
    /// How old an availability answer may be.
    pub availability_staleness: Duration,
    /// Connections for reads and for the catalogue.
    pub pool_connections: u32,
    /// Sizes of the lanes.
    pub lanes: LaneSettings,
    /// How often background tasks run.
    pub intervals: Intervals,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(15),
            idempotency_retention_seconds: 14 * 86_400,
            availability_staleness: Duration::from_secs(1),
            pool_connections: 10,
            lanes: LaneSettings::default(),
            intervals: Intervals::default(),
        }
    }
}

/// The parts that handlers use.
pub struct App {
    /// Reads and catalogue writes.
    pub db: PgPool,
    /// The catalogue in memory.
    pub catalogue: Arc<CatalogueCache>,
    /// The one way to change stock.
    pub lanes: Lanes,
    /// Balances in memory.
    pub projection: Arc<Projection>,
    /// API keys in memory.
    pub keys: KeyCache,
    /// Idempotency keys at work.
    pub in_flight: InFlight,
    /// The clock.
    pub clock: Clock,
    /// Detached handlers.
    pub tasks: TaskTracker,
    /// Limits.
    pub settings: Settings,
    /// Renders `/metrics`.
    pub metrics: PrometheusHandle,
}

/// A service that is running its lanes and background tasks.
pub struct Running {
    /// Its parts.
    pub app: Arc<App>,
    jobs: TaskTracker,
    lanes: TaskTracker,
    stop_jobs: CancellationToken,
}

/// Starts lanes and background tasks on a migrated database.
///
/// # Errors
/// If the database cannot be read.
pub async fn start(options: PgConnectOptions, clock: Clock, settings: Settings) -> anyhow::Result<Running> {
    let metrics = crate::telemetry::init_metrics()?;
    let pool = db::pool(options.clone(), settings.pool_connections);
    let catalogue = Arc::new(CatalogueCache::default());
    catalogue.refresh(&mut *pool.acquire().await?).await?;
    let projection = Arc::new(Projection::new(settings.availability_staleness));
    for of in catalogue.current().pools() {
        availability::queries::warm_up(&pool, &clock, &projection, of.id).await?;
    }
    let lane_tasks = TaskTracker::new();
    let shared = Shared {
        settings: settings.lanes,
        connect: db::for_lane(options),
        catalogue: Arc::clone(&catalogue),
        clock: clock.clone(),
        render: Arc::new(Answers { projection: Arc::clone(&projection) }),
        observer: Arc::new(Watcher { projection: Arc::clone(&projection) }),
        ready: 0.into(),
        stopping: false.into(),
    };
    let app = Arc::new(App {
        db: pool,
        catalogue,
        lanes: Lanes::start(shared, &lane_tasks)?,
        projection,
        keys: KeyCache::default(),
        in_flight: InFlight::default(),
        clock,
        tasks: TaskTracker::new(),
        settings,
        metrics,
    });
    let (jobs, stop_jobs) = (TaskTracker::new(), CancellationToken::new());
    jobs::start(&app, settings.intervals, &jobs, &stop_jobs);
    Ok(Running { app, jobs, lanes: lane_tasks, stop_jobs })
}

impl Running {
    /// The HTTP surface.
    pub fn router(&self) -> Router {
        crate::http::openapi::router(Arc::clone(&self.app))
    }

    /// Stops in order: background tasks, detached handlers, lanes (which answer what they accepted), connections.
    pub async fn stop(self, patience: Duration) {
        self.stop_jobs.cancel();
        self.jobs.close();
        self.app.tasks.close();
        let orderly = async {
            self.jobs.wait().await;
            self.app.tasks.wait().await;
            self.app.lanes.stop();
            self.lanes.close();
            self.lanes.wait().await;
            self.app.db.close().await;
        };
        if tokio::time::timeout(patience, orderly).await.is_err() {
            tracing::warn!("shutdown took too long; leaving what is left to the database");
        }
    }
}

impl App {
    /// The catalogue as the database has it now.
    ///
    /// # Errors
    /// A problem if the database cannot be asked.
    pub async fn fresh_catalogue(&self) -> Result<Arc<Catalogue>, Problem> {
        Ok(self.refresh_catalogue().await?)
    }

    /// Brings the catalogue in memory up to date.
    ///
    /// # Errors
    /// Database errors.
    pub async fn refresh_catalogue(&self) -> sqlx::Result<Arc<Catalogue>> {
        let mut conn = self.db.acquire().await?;
        self.catalogue.refresh(&mut conn).await
    }

    /// The pool with this code, asking the database if memory does not know it.
    ///
    /// # Errors
    /// A problem if the database cannot be asked.
    pub async fn find_pool(&self, code: &str) -> Result<Option<Arc<Pool>>, Problem> {
        if let Some(pool) = self.catalogue.current().pool_by_code(code) {
            return Ok(Some(Arc::clone(pool)));
        }
        Ok(self.fresh_catalogue().await?.pool_by_code(code).cloned())
    }

    /// Refuses a key that this client has used in another pool: keys are unique per pool in the database, and one
    /// outcome for the client. Only asked where there is more than one pool.
    ///
    /// # Errors
    /// A problem if the database cannot be asked.
    pub async fn key_in_other_pool(
        &self,
        client: ClientId,
        pool: PoolId,
        key: &Key,
    ) -> Result<Option<Problem>, Problem> {
        let catalogue = self.catalogue.current();
        for other in catalogue.pools().filter(|other| other.id != pool) {
            let used = sqlx::query_scalar!(
                r#"
                SELECT EXISTS (
                    SELECT FROM idempotency_keys WHERE pool_id = $1 AND client_id = $2 AND key = $3
                ) AS "used!"
                "#,
                other.id.0,
                client.0,
                key.key,
            )
            .fetch_one(&self.db)
            .await?;
            if used {
                let detail = format!("This Idempotency-Key belongs to a request in pool {:?}.", other.code);
                return Ok(Some(Problem::new(Code::IdempotencyKeyReused, detail)));
            }
        }
        Ok(None)
    }

    /// Writes down which keys were used since the last call.
    ///
    /// # Errors
    /// Database errors.
    pub async fn note_last_use(&self) -> sqlx::Result<()> {
        let used = self.keys.take_used();
        if used.is_empty() {
            return Ok(());
        }
        let now = self.clock.local_now();
        db::tx::write(&self.db, "last_use", |conn| crate::keys::store::touch(conn, &used, now).scope_boxed()).await
    }
}

/// Feeds projection and metrics with what the lanes commit.
struct Watcher {
    projection: Arc<Projection>,
}

impl Observer for Watcher {
    fn balances(&self, pool: PoolId, balances: &[(SkuId, Balance)], at: DateTime<Utc>) {
        for (sku, balance) in balances {
            self.projection.wrote(pool, *sku, *balance, at);
        }
    }

    fn decided(&self, submission: &Submission, outcome: &Outcome, now: DateTime<Utc>) {
        let command = match submission.command {
            Command::Hold(_) => "hold",
            Command::Commit(_) => "commit",
            Command::Release(_) => "release",
            Command::Extend(_) => "extend",
            Command::Expire(_) => "expire",
            Command::Receive(_) => "receive",
            Command::OpeningCount(_) => "opening_count",
        };
        if let Outcome::Counted { sku, .. } = outcome {
            self.projection.reread(submission.pool, *sku);
        }
        let result = match outcome {
            Outcome::Refused(refusal) => code_of(refusal).as_str(),
            _ => "ok",
        };
        metrics::counter!("holdfast_commands_total", "command" => command, "outcome" => result).increment(1);
        if let Outcome::Current { reservation, .. } = outcome
            && matches!(command, "commit" | "release" | "expire")
        {
            let age = (now - reservation.created_at).as_seconds_f64().max(0.0);
            metrics::histogram!("holdfast_hold_age_seconds").record(age);
        }
    }
}
