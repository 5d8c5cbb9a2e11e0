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
use tokio::sync::Semaphore;
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
use crate::jobs::{Intervals, Job, Registry};
use crate::keys::cache::KeyCache;
use crate::ledger::balance::Balance;
use crate::ledger::lanes::{LaneSettings, Lanes, Observer, Shared};
use crate::ledger::outcome::Outcome;
use crate::ledger::submission::{Key, Submission};
use crate::mirror::{self, Mirror};
use crate::{availability, db, jobs};

/// What axum handlers take.
pub type AppState = State<Arc<App>>;

/// Files that an instance imports at once: each has a connection of its own and tens of megabytes.
const IMPORTS_AT_ONCE: usize = 2;

/// Limits and intervals.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How long any request may take.
    pub request_timeout: Duration,
    /// How long an import may take, its upload included.
    pub import_timeout: Duration,
    /// Largest file of an import, in bytes.
    pub import_body_limit: usize,
    /// How long answers are kept for replay.
    pub idempotency_retention_seconds: i64,
    /// How old an availability answer may be.
    pub availability_staleness: Duration,
    /// Connections for reads and for the catalogue.
    pub pool_connections: u32,
    /// Sizes of the lanes.
    pub lanes: LaneSettings,
    /// How much one transaction of a daily close takes on.
    pub snapshots: crate::snapshots::Settings,
    /// How often background tasks run.
    pub intervals: Intervals,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(15),
            import_timeout: Duration::from_mins(10),
            import_body_limit: 64 * 1024 * 1024,
            idempotency_retention_seconds: 14 * 86_400,
            availability_staleness: Duration::from_secs(1),
            pool_connections: 10,
            lanes: LaneSettings::default(),
            snapshots: crate::snapshots::Settings::default(),
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
    /// What is copied from Shopify and Recharge.
    pub mirror: Arc<Mirror>,
    /// What is owed at a time, and the workers on it.
    pub jobs: Registry,
    /// Places for files that are imported at once.
    pub imports: Arc<Semaphore>,
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
    start_mirroring(options, clock, settings, mirror::Settings::default()).await
}

/// Starts lanes, background tasks and the mirror.
///
/// # Errors
/// If the database cannot be read, or a setting of the mirror cannot be used.
pub async fn start_mirroring(
    options: PgConnectOptions,
    clock: Clock,
    settings: Settings,
    mirror: mirror::Settings,
) -> anyhow::Result<Running> {
    let mut jobs = jobs::registry::all();
    jobs.extend(mirror::jobs(&mirror));
    start_with_jobs(options, clock, settings, mirror, jobs).await
}

/// Starts lanes and background tasks, with these jobs instead of the service's own.
///
/// # Errors
/// If the database cannot be read.
pub async fn start_with_jobs(
    options: PgConnectOptions,
    clock: Clock,
    settings: Settings,
    mirror: mirror::Settings,
    own_jobs: Vec<Job>,
) -> anyhow::Result<Running> {
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
    let (jobs, stop_jobs) = (TaskTracker::new(), CancellationToken::new());
    let app = Arc::new(App {
        db: pool,
        catalogue,
        lanes: Lanes::start(shared, &lane_tasks)?,
        projection,
        keys: KeyCache::default(),
        in_flight: InFlight::default(),
        mirror: Mirror::new(mirror, &clock)?,
        clock,
        jobs: Registry::new(own_jobs, jobs.clone(), stop_jobs.clone()),
        imports: Arc::new(Semaphore::new(IMPORTS_AT_ONCE)),
        tasks: TaskTracker::new(),
        settings,
        metrics,
    });
    jobs::start(&app, settings.intervals, &jobs, &stop_jobs);
    if settings.intervals.jobs.is_some() {
        mirror::start(&app, &jobs, &stop_jobs);
    }
    Ok(Running { app, jobs, lanes: lane_tasks, stop_jobs })
}

impl Running {
    /// The HTTP surface.
    pub fn router(&self) -> Router {
        crate::http::openapi::router(Arc::clone(&self.app))
    }

    /// Stops in order: background tasks (a job that can leaves off and gives its slot back), detached handlers, lanes (which answer what they accepted), connections.
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
            if self.key_is_used(client, other.id, key).await? {
                let detail = format!("This Idempotency-Key belongs to a request in pool {:?}.", other.code);
                return Ok(Some(Problem::new(Code::IdempotencyKeyReused, detail)));
            }
        }
        Ok(None)
    }

    /// Whether a key of this client has its outcome in `pool`.
    ///
    /// # Errors
    /// Database errors.
    pub async fn key_is_used(&self, client: ClientId, pool: PoolId, key: &Key) -> sqlx::Result<bool> {
        sqlx::query_scalar!(
            r#"
            SELECT EXISTS (
                SELECT FROM idempotency_keys WHERE pool_id = $1 AND client_id = $2 AND key = $3
            ) AS "used!"
            "#,
            pool.0,
            client.0,
            key.key,
        )
        .fetch_one(&self.db)
        .await
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
        let command = submission.command.name();
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
