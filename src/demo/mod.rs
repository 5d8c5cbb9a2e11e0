//! The demonstration: everything that the service does with Shopify and Recharge, without either.
//!
//! [`standin`] plays the two upstreams; [`Demo`] fills it with a small shop, puts that shop's stock into the service over
//! its own API, and lets orders happen: paid, edited, sent, sent back, cancelled, subscribed to. It talks to the service as
//! anybody would, with an admin key; nothing here reaches into it.

use std::time::Duration;

use anyhow::Context;
use tokio_util::sync::CancellationToken;

mod api;
mod random;
mod report;
mod shop;
pub mod standin;
mod traffic;

use crate::clock::Clock;
use crate::mirror::rows::Source;
use crate::mirror::webhooks::subscriptions;
use api::Api;
use report::Report;
use shop::Shop;
use standin::{Fault, Faults, Options, StandIn, Webhooks};
use traffic::Traffic;

/// Between two lines of the report.
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// Of a thousand webhooks, so many come twice.
const DOUBLED: u32 = 100;
/// Orders that are there before the service is.
const HISTORY: u32 = 60;

/// How a demonstration goes.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Things that happen in the shop, each second.
    pub per_second: u32,
    /// Of a thousand requests of the mirror, so many go wrong.
    pub faults_per_mille: u32,
    /// Of chance.
    pub seed: u64,
}

/// A shop that is open, and what is needed to run it.
#[derive(Debug)]
pub struct Demo {
    /// The upstreams.
    pub standin: StandIn,
    shop: Shop,
    pace: Pace,
}

impl Demo {
    /// Opens the shop, with some orders of the days before. `base`: where the service will listen; it is subscribed to what
    /// it lives from, as if it had been there before.
    ///
    /// # Errors
    /// If the stand-in cannot listen.
    pub async fn open(clock: Clock, pace: Pace, base: &str) -> anyhow::Result<Self> {
        let standin = StandIn::start(Options { clock, seed: pace.seed, ..Options::default() }).await?;
        let shop = standin.change(|world| Shop::furnish(world, HISTORY))?;
        standin.change(|world| {
            for source in [Source::Shopify, Source::Recharge] {
                for one in subscriptions::wanted(source, base) {
                    world.add_hook(source, &one.topic, &one.uri);
                }
            }
        });
        standin.set_webhooks(Webhooks::Sent);
        standin.set_doubled(DOUBLED);
        let kinds = Fault::ALL.into_iter().filter(|fault| !matches!(fault, Fault::TooMany(None))).collect();
        standin.set_faults(Faults { per_mille: pace.faults_per_mille, kinds });
        Ok(Self { standin, shop, pace })
    }

    /// Stocks the service and lets orders happen until `stop` is cancelled. `base`: where the service listens.
    ///
    /// # Errors
    /// If the service refuses what the demonstration needs.
    pub async fn run(&self, base: &str, key: &str, stop: &CancellationToken) -> anyhow::Result<()> {
        let api = Api::new(base, key)?;
        self.shop.stock(&api).await.context("cannot put the demo's stock into the service")?;
        stop.run_until_cancelled(self.shop.connect(&api)).await.transpose()?;
        let report = Report::new(&self.standin, &self.shop);
        report.greet(base, key);
        let mut traffic = Traffic::new(&self.shop, self.pace.seed);
        let mut happens = tokio::time::interval(Duration::from_secs(1) / self.pace.per_second.max(1));
        let mut reports = tokio::time::interval(REPORT_EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = happens.tick() => self.standin.change(|world| traffic.step(world))?,
                _ = reports.tick() => report.line(&api).await,
            }
        }
        report.line(&api).await;
        Ok(())
    }

    /// Closes the shop.
    pub async fn close(self) {
        self.standin.stop().await;
    }
}
