//! A stand-in for Shopify and Recharge, in this process and on this machine alone.
//!
//! It answers as they do, as far as the mirror can tell: documents are validated against the schema, pages are keysets
//! behind opaque cursors, searches ignore what they do not understand (and warn), numbers come as strings where the real
//! ones do. What goes wrong in life goes wrong here at a rate, or by a script: statuses, throttling, connections that
//! close, bodies that end early. Whatever the stand-in does not hold is an error, never an empty answer: a query that
//! asks for more than is held fails in the first test.
//!
//! ```text
//! StandIn::change ─► world ─► news ─► signed deliveries (collected, or sent)
//!                      ▲
//!  Admin API, Recharge API (weather, rates, counters)
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use axum::Router;
use axum::routing::{get, post};
use chrono::TimeDelta;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod faults;
mod recharge;
mod requests;
mod send;
mod serve;
mod shopify;
pub mod webhooks;
pub mod world;

pub use faults::{Fault, Faults};
pub use webhooks::{Delivery, RechargeScheme, Webhooks};
pub use world::{Back, Missing, NewOrder, Restock, World};

use crate::clock::Clock;
use crate::lifecycle::spawn_tracked;
use crate::mirror;
use crate::mirror::settings::{RechargeSettings, ShopifyAccess, ShopifySettings};
use faults::Weather;
use recharge::Calls;
use requests::Requests;
use shopify::ShopifyState;

/// How a stand-in is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// What time it is; share the service's.
    pub clock: Clock,
    /// Of the weather.
    pub seed: u64,
    /// Whether requests beyond the upstreams' rates are throttled.
    pub pacing: bool,
    /// What goes wrong.
    pub faults: Faults,
    /// What happens to webhooks.
    pub webhooks: Webhooks,
    /// `name.myshopify.com`.
    pub shop: String,
    /// The token that opens the shop.
    pub token: String,
    /// The app that is granted tokens.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// Signs the shop's webhooks.
    pub webhook_secret: String,
    /// The token that opens the Recharge account.
    pub recharge_token: String,
    /// Signs Recharge's webhooks.
    pub recharge_secret: String,
    /// How it does so.
    pub recharge_scheme: RechargeScheme,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Clock::new(),
            seed: 1,
            pacing: false,
            faults: Faults::none(),
            webhooks: Webhooks::Off,
            shop: "holdfast-demo.myshopify.com".to_owned(),
            token: "shpat_standin".to_owned(),
            client_id: "standin-client".to_owned(),
            client_secret: "standin-client-secret".to_owned(),
            webhook_secret: "standin-webhook-secret".to_owned(),
            recharge_token: "sk_standin".to_owned(),
            recharge_secret: "standin-recharge-secret".to_owned(),
            recharge_scheme: RechargeScheme::Timestamped,
        }
    }
}

/// A running stand-in.
#[derive(Debug)]
pub struct StandIn {
    inner: Shared,
    base: String,
    outgoing: mpsc::UnboundedSender<Delivery>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

type Shared = Arc<Inner>;

/// What requests are answered from.
#[derive(Debug)]
struct Inner {
    options: Options,
    world: Mutex<World>,
    shopify: ShopifyState,
    calls: Mutex<Calls>,
    faults: Weather,
    requests: Requests,
    pacing: Mutex<bool>,
    webhooks: Mutex<Webhooks>,
    /// Of a thousand sent deliveries, so many are sent again.
    doubled: Mutex<u32>,
    collected: Mutex<Vec<Delivery>>,
}

/// A value that no request leaves half-changed: a panic elsewhere does not spoil it.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    fn pacing(&self) -> bool {
        *locked(&self.pacing)
    }
}

impl StandIn {
    /// Starts one on a free port, with an empty world.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("the stand-in cannot listen")?;
        let base = format!("http://{}", listener.local_addr()?);
        let now = options.clock.local_now();
        let inner = Arc::new(Inner {
            world: Mutex::new(World::new(options.clock.clone(), options.webhooks != Webhooks::Off)),
            shopify: ShopifyState::new(now),
            calls: Mutex::new(Calls::new(now)),
            faults: Weather::new(options.faults.clone(), options.seed),
            requests: Requests::default(),
            pacing: Mutex::new(options.pacing),
            webhooks: Mutex::new(options.webhooks),
            doubled: Mutex::new(0),
            collected: Mutex::default(),
            options,
        });
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (outgoing, queue) = mpsc::unbounded_channel();
        drop(spawn_tracked(&tasks, serve::serve(listener, router(Arc::clone(&inner)), tasks.clone(), stop.clone())));
        drop(spawn_tracked(&tasks, send::send(Arc::clone(&inner), queue, stop.clone())));
        Ok(Self { inner, base, outgoing, tasks, stop })
    }

    /// Stops it; connections are closed.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        drop(tokio::time::timeout(serve::PATIENCE, self.tasks.wait()).await);
    }

    /// Where the shop's API is.
    #[must_use]
    pub fn shopify_url(&self) -> String {
        self.base.clone()
    }

    /// Where the Recharge API is.
    #[must_use]
    pub fn recharge_url(&self) -> String {
        self.base.clone()
    }

    /// How it is set up.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    /// Settings of a mirror that copies from it, without pacing.
    #[must_use]
    pub fn mirror_settings(&self) -> mirror::Settings {
        let options = &self.inner.options;
        let secret = |text: &str| SecretString::from(text.to_owned());
        mirror::Settings {
            shopify: Some(ShopifySettings {
                shop: options.shop.clone(),
                access: ShopifyAccess::Token(secret(&options.token)),
                webhook_secrets: vec![secret(&options.webhook_secret)],
                base_url: Some(self.shopify_url()),
            }),
            recharge: Some(RechargeSettings {
                token: secret(&options.recharge_token),
                webhook_secrets: vec![secret(&options.recharge_secret)],
                legacy_signatures: true,
                base_url: Some(self.recharge_url()),
            }),
            pacing: false,
            ..mirror::Settings::default()
        }
    }

    /// Changes the world; what webhooks tell of it is collected or sent.
    pub fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let (done, news, now) = {
            let mut world = locked(&self.inner.world);
            let done = change(&mut world);
            (done, world.take_news(), self.inner.options.clock.local_now())
        };
        let deliveries = news.iter().map(|news| Delivery::of(news, &self.inner.options, now));
        match *locked(&self.inner.webhooks) {
            Webhooks::Off => {}
            Webhooks::Collected => locked(&self.inner.collected).extend(deliveries),
            Webhooks::Sent => deliveries.for_each(|delivery| drop(self.outgoing.send(delivery))),
        }
        done
    }

    /// Looks at the world.
    pub fn look<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&locked(&self.inner.world))
    }

    /// The deliveries that were collected since the last call, in the order of what happened.
    #[must_use]
    pub fn take_deliveries(&self) -> Vec<Delivery> {
        std::mem::take(&mut *locked(&self.inner.collected))
    }

    /// From now on, this happens to webhooks.
    pub fn set_webhooks(&self, webhooks: Webhooks) {
        locked(&self.inner.world).newsroom.tell(webhooks != Webhooks::Off);
        *locked(&self.inner.webhooks) = webhooks;
    }

    /// From now on, so many of a thousand sent deliveries are sent twice, as both upstreams do at times.
    pub fn set_doubled(&self, per_mille: u32) {
        *locked(&self.inner.doubled) = per_mille;
    }

    /// From now on, this goes wrong.
    pub fn set_faults(&self, faults: Faults) {
        self.inner.faults.set(faults);
    }

    /// What happens to the next requests, one by one, whatever the rate. `None` among them: nothing.
    pub fn script_faults(&self, faults: &[Option<Fault>]) {
        self.inner.faults.script(None, faults);
    }

    /// What happens to the next requests of one operation, as [`StandIn::requests`] names it.
    pub fn script_faults_of(&self, operation: &str, faults: &[Option<Fault>]) {
        self.inner.faults.script(Some(operation), faults);
    }

    /// From now on, requests beyond the upstreams' rates are throttled, or not.
    pub fn set_pacing(&self, pacing: bool) {
        *locked(&self.inner.pacing) = pacing;
    }

    /// Uses up what the rates allow.
    pub fn drain_rates(&self) {
        self.inner.shopify.drain();
        locked(&self.inner.calls).drain();
    }

    /// From now on, searches find what changed this long ago.
    pub fn set_search_lag(&self, lag: TimeDelta) {
        *locked(&self.inner.shopify.search_lag) = lag;
    }

    /// From now on, answers claim to be of this version; none: of the one that was asked for.
    pub fn set_answered_version(&self, version: Option<&str>) {
        *locked(&self.inner.shopify.answered_version) = version.map(ToOwned::to_owned);
    }

    /// Ends every token that was granted.
    pub fn revoke_tokens(&self) {
        self.inner.shopify.revoke();
    }

    /// How often what was asked: GraphQL operations by name, Recharge as `GET /orders` and `GET /orders/{id}`; `faults`,
    /// `throttled` and `unauthorized` count beside them.
    #[must_use]
    pub fn requests(&self) -> BTreeMap<String, u64> {
        self.inner.requests.counts()
    }

    /// How often one operation was asked for.
    #[must_use]
    pub fn count(&self, operation: &str) -> u64 {
        self.requests().get(operation).copied().unwrap_or(0)
    }

    /// The cursors that one operation was asked for with, in order; none: the first page.
    #[must_use]
    pub fn cursors(&self, operation: &str) -> Vec<Option<String>> {
        self.inner.requests.cursors(operation)
    }

    /// Counts from zero again.
    pub fn forget_requests(&self) {
        self.inner.requests.forget();
    }

    /// Every GraphQL document that was ever asked, each once.
    #[must_use]
    pub fn documents(&self) -> Vec<String> {
        self.inner.requests.documents()
    }
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/admin/api/{version}/graphql.json", post(shopify::graphql))
        .route("/admin/oauth/access_token", post(shopify::grant))
        .route("/webhooks", post(recharge::create_webhook).get(recharge::list_webhooks))
        .route("/{collection}", get(recharge::list))
        .route("/{collection}/{id}", get(recharge::one))
        .with_state(shared)
}
