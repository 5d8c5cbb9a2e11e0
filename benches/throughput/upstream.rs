//! The upstream of the mirror's part: the stand-in of `holdfast demo`, unpaced and without faults, with orders to copy.
//!
//! It lives in a thread of this process with a runtime of its own, so what it uses of the processor is what the report
//! gives to the load side. Who waits for the mirror in the meantime looks a few times a second and is not noticed.

use std::thread::{self, JoinHandle};

use anyhow::{Context, anyhow};
use chrono::{DateTime, TimeDelta, Utc};
use holdfast::demo::standin::{NewOrder, Options, StandIn};
use tokio::sync::oneshot;

/// SKUs that are bought: `SKU-1` and on.
pub const BOUGHT_SKUS: usize = 1_000;
/// Lines of an order; the first buys one unit, the next one more, and so on.
pub const ORDER_LINES: usize = 3;
/// Units of an order.
pub const ORDER_UNITS: usize = 6;

const VARIANTS_PER_PRODUCT: usize = 10;
/// The oldest order is this old: younger than what a token without `read_all_orders` sees.
const OLDEST_DAYS: i64 = 50;

/// A running stand-in.
pub struct Upstream {
    /// Itself.
    pub stand_in: StandIn,
    stop: oneshot::Sender<StandIn>,
    thread: JoinHandle<anyhow::Result<()>>,
}

impl Upstream {
    /// Starts it, with an empty world.
    ///
    /// # Errors
    /// It cannot listen.
    pub async fn start() -> anyhow::Result<Self> {
        let (started, running) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<StandIn>();
        let thread = thread::Builder::new().name("stand-in".to_owned()).spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async move {
                let stand_in = StandIn::start(Options { pacing: false, ..Options::default() }).await?;
                started.send(stand_in).map_err(|_| anyhow!("nobody waits for the stand-in"))?;
                stopped.await.context("the stand-in was dropped")?.stop().await;
                Ok(())
            })
        })?;
        let stand_in = running.await.context("the stand-in does not start")?;
        Ok(Self { stand_in, stop, thread })
    }

    /// Makes the products, as old as the oldest order, a variant for each SKU that is bought; their ids in the order of the
    /// SKUs.
    ///
    /// # Errors
    /// A product is not there.
    pub fn add_variants(&self, now: DateTime<Utc>) -> anyhow::Result<Vec<i64>> {
        let codes: Vec<String> = (1..=BOUGHT_SKUS).map(|n| format!("SKU-{n}")).collect();
        let mut all = Vec::new();
        self.stand_in.change(|world| {
            for codes in codes.chunks(VARIANTS_PER_PRODUCT) {
                let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
                let (product, variants) = world.add_product("Daily", &codes);
                // What changed within the last minute is not copied yet, and would be by the second walk.
                world.backdate_product(product, now - TimeDelta::days(OLDEST_DAYS))?;
                all.extend(variants);
            }
            anyhow::Ok(())
        })?;
        Ok(all)
    }

    /// Makes paid orders of three different variants each, spread over the last weeks.
    ///
    /// # Errors
    /// A variant is not there.
    pub fn add_orders(&self, variants: &[i64], orders: u32, now: DateTime<Utc>) -> anyhow::Result<()> {
        let oldest = now - TimeDelta::days(OLDEST_DAYS);
        let step = TimeDelta::days(OLDEST_DAYS - 1) / i32::try_from(orders.max(1))?;
        self.stand_in.change(|world| {
            for n in 0..orders {
                let first = usize::try_from(n)? * 7919;
                let lines: Vec<(i64, i64)> = (1..)
                    .take(ORDER_LINES)
                    .zip(first..)
                    .map(|(units, at)| (variants[at % variants.len()], units))
                    .collect();
                world.create_order(NewOrder::of(&lines).at(oldest + step * i32::try_from(n)?))?;
            }
            Ok(())
        })
    }

    /// Settings of a server that copies from it.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let options = self.stand_in.options();
        vec![
            ("HOLDFAST_SHOPIFY_SHOP", options.shop.clone()),
            ("HOLDFAST_SHOPIFY_TOKEN", options.token.clone()),
            ("HOLDFAST_SHOPIFY_URL", self.stand_in.shopify_url()),
            ("HOLDFAST_MIRROR_PACING", "false".to_owned()),
        ]
    }

    /// Stops it.
    ///
    /// # Errors
    /// It did not run to its end.
    pub fn stop(self) -> anyhow::Result<()> {
        let Self { stand_in, stop, thread } = self;
        stop.send(stand_in).map_err(|_| anyhow!("the stand-in has ended by itself"))?;
        thread.join().map_err(|_| anyhow!("the stand-in panicked"))?
    }
}
