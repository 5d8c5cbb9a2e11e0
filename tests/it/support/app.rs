//! The service in this process, on a real port and a database of its own.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use holdfast::app::{App, Running, Settings};
use holdfast::clock::Clock;
use holdfast::http::server::{ServerLimits, serve};
use holdfast::jobs::Job;
use holdfast::keys::store::{self, Grant};
use holdfast::keys::{NewKey, Scope};
use holdfast::ledger::audit;
use holdfast::mirror;
use serde_json::{Value, json};
use sqlx::ConnectOptions;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::client::{Answer, Client};
use super::db::{self, TestDb};

/// A running service with an admin client. End a test with [`TestApp::finish`], which audits what it leaves.
pub struct TestApp {
    pub db: Arc<TestDb>,
    pub client: Client,
    pub clock: Clock,
    pub app: Arc<App>,
    running: Running,
    serving: JoinHandle<()>,
    stop: CancellationToken,
}

/// Settings of tests: nothing runs by itself, nothing is stale.
pub fn settings() -> Settings {
    let mut settings = Settings { availability_staleness: Duration::ZERO, ..Settings::default() };
    settings.intervals.sweep = None;
    settings.intervals.jobs = None;
    settings.pool_connections = 4;
    settings
}

impl TestApp {
    /// The service on a fresh database, sweeper off.
    pub async fn start() -> Self {
        Self::start_with(settings()).await
    }

    pub async fn start_with(settings: Settings) -> Self {
        Self::start_on(Arc::new(db::fresh().await), Clock::new(), settings).await
    }

    /// One more instance on the same database and clock.
    pub async fn another(&self) -> Self {
        self.another_with(self.app.settings).await
    }

    /// One more instance on the same database and clock, with settings of its own.
    pub async fn another_with(&self, settings: Settings) -> Self {
        Self::start_on(Arc::clone(&self.db), self.clock.clone(), settings).await
    }

    /// The service on this database and clock.
    pub async fn start_on(db: Arc<TestDb>, clock: Clock, settings: Settings) -> Self {
        Self::start_with_jobs(db, clock, settings, holdfast::jobs::registry::all()).await
    }

    /// The service on this database and clock, with these jobs.
    pub async fn start_with_jobs(db: Arc<TestDb>, clock: Clock, settings: Settings, jobs: Vec<Job>) -> Self {
        Self::start_all(db, clock, settings, mirror::Settings::default(), jobs).await
    }

    /// The service on this database and clock, copying from what these settings name.
    pub async fn start_mirroring(db: Arc<TestDb>, clock: Clock, settings: Settings, mirror: mirror::Settings) -> Self {
        let mut jobs = holdfast::jobs::registry::all();
        jobs.extend(holdfast::mirror::jobs(&mirror));
        Self::start_all(db, clock, settings, mirror, jobs).await
    }

    async fn start_all(
        db: Arc<TestDb>,
        clock: Clock,
        settings: Settings,
        mirror: mirror::Settings,
        jobs: Vec<Job>,
    ) -> Self {
        holdfast::telemetry::init_logs("warn,holdfast=warn", holdfast::telemetry::LogFormat::Text);
        let token = make_key(&db, "tests", &[Scope::Admin]).await;
        let options = db.app_options.clone();
        let running = holdfast::app::start_with_jobs(options, clock.clone(), settings, mirror, jobs).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let limits = ServerLimits {
            header_timeout: Duration::from_secs(2),
            drain: Duration::from_secs(5),
            ..ServerLimits::default()
        };
        #[expect(clippy::disallowed_methods, reason = "waited for in stop")]
        let serving = tokio::spawn(serve(listener, running.router(), limits, stop.clone()));
        let client = Client::new(&base, &token);
        Self { db, client, clock, app: Arc::clone(&running.app), running, serving, stop }
    }

    /// A client with a key of its own.
    pub async fn client_of(&self, client: &str, scopes: &[Scope]) -> Client {
        self.client.with_token(&make_key(&self.db, client, scopes).await)
    }

    /// Moves the service's clock.
    pub fn advance(&self, seconds: i64) {
        self.clock.advance(TimeDelta::seconds(seconds));
    }

    /// One pass of the sweeper.
    pub async fn sweep(&self) -> holdfast::reservations::sweeper::Swept {
        holdfast::reservations::sweeper::sweep(&self.app).await.unwrap()
    }

    /// Works on every webhook and every job that is due, to the end.
    pub async fn work(&self) {
        loop {
            let attempted = self.work_on_webhooks().await;
            let started = holdfast::jobs::pass::pass(&self.app).await.unwrap();
            if started.is_empty() && attempted == 0 {
                return;
            }
            for worker in started {
                worker.await.unwrap();
            }
        }
    }

    /// Works on every webhook that is due, once. Gives how many there were.
    pub async fn work_on_webhooks(&self) -> usize {
        let mut attempted = 0;
        for source in mirror::webhooks::sources(&self.app.mirror.settings) {
            attempted += mirror::webhooks::process::pass(&self.app, source).await.unwrap().attempted;
        }
        attempted
    }

    /// Puts a lot of `quantity` units on the shelf of `default`.
    pub async fn stock(&self, sku: &str, quantity: i64) {
        self.stock_in("default", sku, quantity).await;
    }

    /// Puts a lot on the shelf of a pool.
    pub async fn stock_in(&self, pool: &str, sku: &str, quantity: i64) {
        let lot = json!({
            "pool": pool, "sku": sku, "create_sku": true, "lot_code": "L", "quantity": quantity, "unit_cost": "1.00",
            "currency": "EUR", "received_date": "2026-01-15"
        });
        self.client.post("/lots", &lot).await.expect(201);
    }

    /// Registers a SKU in a class of its own, which is `standard` but for `policy`.
    pub async fn sku_with(&self, sku: &str, policy: Value) {
        let class = sku.to_lowercase();
        let mut body = policy;
        body["code"] = json!(class);
        self.client.post("/classes", &body).await.expect(201);
        self.client.post("/skus", &json!({"code": sku, "class": class})).await.expect(201);
    }

    /// One more pool.
    pub async fn pool(&self, code: &str) {
        self.client.post("/pools", &json!({"code": code})).await.expect(201);
    }

    /// Holds units of one SKU.
    pub async fn hold(&self, sku: &str, quantity: i64) -> Answer {
        self.client.post("/reservations", &cart(&[(sku, quantity)])).await
    }

    /// Availability of one SKU in `default`.
    pub async fn availability(&self, sku: &str) -> Value {
        let path = format!("/availability?sku={sku}");
        self.client.get(&path).await.expect(200).at("/data/0")
    }

    /// Stops the service and fails if any invariant is broken.
    pub async fn finish(self) {
        self.audit().await;
        self.stop().await;
    }

    /// Stops the service.
    pub async fn stop(self) {
        self.stop.cancel();
        drop(self.client);
        self.serving.await.unwrap();
        self.running.stop(Duration::from_secs(10)).await;
    }

    /// Fails if any invariant is broken.
    pub async fn audit(&self) {
        let mut conn = self.db.owner_options.connect().await.unwrap();
        let now = Some(self.clock.local_now());
        let options = audit::Options { now, ..audit::Options::default() };
        let report = audit::run(&mut conn, &options).await.unwrap();
        assert!(report.is_clean(), "{report}");
    }
}

/// Makes a key straight in the database.
pub async fn make_key(db: &TestDb, client: &str, scopes: &[Scope]) -> String {
    let mut conn = db.owner_options.connect().await.unwrap();
    let key = NewKey::mint().unwrap();
    let grant = Grant {
        client: client.to_owned(),
        label: String::new(),
        scopes: scopes.to_vec(),
        expires_at: None,
        bootstrap: false,
    };
    store::insert(&mut conn, &key, &grant, Clock::new().local_now()).await.unwrap();
    key.token
}

/// A cart of these SKUs and quantities.
pub fn cart(lines: &[(&str, i64)]) -> Value {
    let lines: Vec<Value> = lines.iter().map(|(sku, quantity)| json!({"sku": sku, "quantity": quantity})).collect();
    json!({ "lines": lines })
}
