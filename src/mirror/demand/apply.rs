//! Applying orders: takes those whose copy is newer than what was applied, plans them, and carries the plans out.
//!
//! A taken order is leased for a minute, so that two instances do not do the same work; the ledger would decide it once
//! even so. Commands of one order follow each other, orders run side by side and meet in the lanes' combined commits.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join;
use futures_util::stream::{self, StreamExt};

use tokio_util::sync::CancellationToken;

use super::commands::{self, Failure};
use super::load::{self, Copied, End, Known, Pinned};
use super::plan::{Finding, Meaning, Order, Plan, Standing};
use super::progress::{self, Done, Taken};
use crate::app::App;
use crate::catalog::Catalogue;
use crate::ids::{PoolId, ReservationId};
use crate::ledger::lanes::backoff;
use crate::mirror::Settings;
use crate::mirror::rows::Source;
use crate::mirror::settings::OrderPolicy;

/// How long an order stays with whoever took it.
const LEASE: TimeDelta = TimeDelta::seconds(60);
/// Most orders in one pass.
const PASS: i64 = 256;
/// Longest wait before an order that failed is tried again.
const LONGEST_WAIT: Duration = Duration::from_mins(15);

/// What passes came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// Orders that were applied.
    pub applied: usize,
    /// Orders that failed, to be tried again.
    pub failed: usize,
}

/// Applies what is pending, pass by pass, until nothing is due or it is asked to stop.
///
/// # Errors
/// Database errors; what was applied stays applied.
pub async fn drain(app: &Arc<App>, stop: &CancellationToken) -> sqlx::Result<Applied> {
    // While the commands of one pass are decided, the next is read.
    let (one, other) = join(drain_alone(app, stop), drain_alone(app, stop)).await;
    let (one, other) = (one?, other?);
    Ok(Applied { applied: one.applied + other.applied, failed: one.failed + other.failed })
}

async fn drain_alone(app: &Arc<App>, stop: &CancellationToken) -> sqlx::Result<Applied> {
    let mut all = Applied::default();
    while !stop.is_cancelled() {
        let pass = apply_pending(app, PASS).await?;
        all.applied += pass.applied;
        all.failed += pass.failed;
        if pass == Applied::default() {
            break;
        }
    }
    Ok(all)
}

/// One pass: at most `limit` orders.
///
/// # Errors
/// Database errors.
pub async fn apply_pending(app: &Arc<App>, limit: i64) -> sqlx::Result<Applied> {
    let now = app.clock.local_now();
    let taken = progress::take(&app.db, now, now + LEASE, limit).await?;
    if taken.is_empty() {
        return Ok(Applied::default());
    }
    let works = prepare(app, &taken).await?;
    let done: Vec<Done> = stream::iter(works)
        .map(|(taken, work)| async move {
            match work {
                Some(work) => carry_out(app, &taken, work).await,
                None => Done::nothing(&taken),
            }
        })
        .buffer_unordered(usize::try_from(limit).unwrap_or(1))
        .collect()
        .await;
    let failed = done.iter().filter(|done| done.error.is_some()).count();
    let now = app.clock.local_now();
    progress::finish(&app.db, now, &done, |attempts| now + wait(attempts)).await?;
    metrics::counter!("holdfast_demand_applied_total").increment((done.len() - failed) as u64);
    metrics::counter!("holdfast_demand_failed_total").increment(failed as u64);
    Ok(Applied { applied: done.len() - failed, failed })
}

fn wait(attempts: i32) -> TimeDelta {
    let attempt = u32::try_from(attempts).unwrap_or(1).clamp(1, 16);
    let pause = backoff(attempt, Duration::from_secs(1), LONGEST_WAIT, crate::ids::new_uuid().as_bytes()[9]);
    TimeDelta::from_std(pause).unwrap_or(TimeDelta::MAX)
}

/// An order with everything that its commands need.
pub(super) struct Work {
    pub order: Order,
    pub plan: Plan,
    pub lines: HashMap<String, super::plan::Line>,
    pub name: Option<String>,
    pub reservation: Option<ReservationId>,
    /// Whether its units are to be held until it is paid.
    pub hold: bool,
    /// Whether its claims are this application's business at all.
    pub claims: bool,
    /// The same order elsewhere.
    pub absorbs: Vec<i64>,
    /// What the ledger has of it, by pool.
    pub known: HashMap<PoolId, Known>,
}

/// A reservation that is called like an order, and whether it is a hold that was made for it.
type Called = (PoolId, ReservationId, bool);

/// Everything that is read for a pass.
struct Context<'a> {
    settings: &'a Settings,
    catalogue: &'a Catalogue,
    began_at: HashMap<Source, DateTime<Utc>>,
    orders: HashMap<(Source, i64), Copied>,
    meanings: HashMap<(Source, i64), HashMap<String, Meaning>>,
    known: HashMap<PoolId, Known>,
    /// Reservations that are called like an order, and holds that were made for it.
    called: HashMap<(Source, i64), Vec<Called>>,
    links: HashMap<i64, Vec<i64>>,
    default_pool: Option<PoolId>,
}

/// Reads what plans need, a set at a time, and plans. `None`: there is nothing to do for the order.
async fn prepare(app: &Arc<App>, taken: &[Taken]) -> sqlx::Result<Vec<(Taken, Option<Work>)>> {
    let catalogue = app.catalogue.current();
    let settings = &app.mirror.settings;
    // One snapshot: parcels of one state of an order and refunds of another would make a third that never was.
    let mut conn = app.db.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let of = |source| -> Vec<i64> { taken.iter().filter(|t| t.source == source).map(|t| t.order_id).collect() };
    let (shopify, recharge) = (of(Source::Shopify), of(Source::Recharge));
    let mut orders = HashMap::new();
    if !shopify.is_empty() {
        let found = load::find_shopify(&mut conn, &shopify).await?;
        orders.extend(found.into_iter().map(|(id, order)| ((Source::Shopify, id), order)));
    }
    if !recharge.is_empty() {
        let found = load::find_recharge(&mut conn, &recharge).await?;
        orders.extend(found.into_iter().map(|(id, order)| ((Source::Recharge, id), order)));
    }
    let mut links: HashMap<i64, Vec<i64>> = HashMap::new();
    if settings.recharge.is_some() && !shopify.is_empty() {
        for (order, of_recharge) in load::find_links(&mut conn, &shopify).await? {
            links.entry(order).or_default().push(of_recharge);
        }
    }
    let keys: Vec<(Source, i64)> =
        orders.keys().copied().chain(links.values().flatten().map(|id| (Source::Recharge, *id))).collect();
    let parcels: Vec<String> =
        orders.values().flat_map(|order| &order.parcels).map(|parcel| parcel.parcel_ref.clone()).collect();
    let refunds: Vec<String> = orders
        .values()
        .flat_map(|order| &order.restocks)
        .flat_map(|refund| [refund.refund_ref.clone(), format!("{}/history", refund.refund_ref)])
        .collect();
    let names: Vec<((Source, i64), String)> = orders
        .iter()
        .flat_map(|(key, order)| order.name.iter().cloned().chain([order_ref(*key)]).map(|name| (*key, name)))
        .collect();
    let (mut known, mut called, mut pinned) = (HashMap::new(), HashMap::<_, Vec<_>>::new(), Pinned::new());
    for pool in catalogue.pools() {
        let of_pool = load::find_known(&mut conn, pool.id, &keys, &parcels, &refunds).await?;
        pinned.extend(of_pool.pinned.clone());
        known.insert(pool.id, of_pool);
        for (key, reservation, hold) in progress::find_called(&mut conn, pool.id, &names).await? {
            called.entry(key).or_default().push((pool.id, reservation, hold));
        }
    }
    let meanings = load::find_meanings(&mut conn, &catalogue, &orders, &pinned).await?;
    let mut began_at = HashMap::new();
    for source in [Source::Shopify, Source::Recharge] {
        began_at.extend(load::find_began_at(&mut conn, source).await?.map(|at| (source, at)));
    }
    conn.commit().await?;
    let default_pool = catalogue.pool_by_code(&settings.pool).map(|pool| pool.id);
    let context =
        Context { settings, catalogue: &catalogue, began_at, orders, meanings, known, called, links, default_pool };
    Ok(taken.iter().map(|taken| (taken.clone(), context.work(taken))).collect())
}

/// What the ledger calls an order: the upstream's id, which a Recharge order shares with no Shopify order.
pub(super) fn order_ref((source, id): (Source, i64)) -> String {
    match source {
        Source::Shopify => id.to_string(),
        Source::Recharge => format!("recharge:{id}"),
    }
}

impl Context<'_> {
    fn work(&self, taken: &Taken) -> Option<Work> {
        let key = (taken.source, taken.order_id);
        let copied = self.orders.get(&key)?;
        // From here on it is the Shopify order, which takes over what was claimed before the two were known to be one.
        if taken.source == Source::Recharge && copied.external_order_id.is_some() && self.settings.shopify.is_some() {
            return None;
        }
        let absorbs = self.links.get(&taken.order_id).filter(|_| taken.source == Source::Shopify).cloned();
        let absorbs = absorbs.unwrap_or_default();
        let hint = copied.reservation_id.as_deref().and_then(ReservationId::parse);
        let hint = hint.filter(|id| self.catalogue.pool(id.pool).is_some());
        let home = self.home(key, copied, hint, &absorbs)?;
        let (standing, hold) = self.standing(taken.source, copied);
        let mut parcels = copied.parcels.clone();
        for parcel in &mut parcels {
            // Where it was recorded it stays, wherever its location maps to since.
            let recorded = self.known.iter().find(|(_, known)| known.parcels.contains_key(&parcel.parcel_ref));
            parcel.pool = recorded.map(|(pool, _)| *pool).or(parcel.pool);
        }
        let order = Order {
            standing,
            home,
            began_at: self.began_at.get(&taken.source).copied().unwrap_or(DateTime::<Utc>::MIN_UTC),
            lines: copied.lines.clone(),
            parcels,
            restocks: copied.restocks.clone(),
            meanings: self.meanings.get(&key).cloned().unwrap_or_default(),
        };
        let plan = order.plan();
        let called = self.called.get(&key).map(Vec::as_slice).unwrap_or_default();
        let held = called.iter().find(|(pool, _, hold)| *hold && *pool == home).map(|(_, id, _)| *id);
        let is_known = self.known.values().any(|known| known.claiming.contains(&key));
        let wants = plan.claims.iter().any(|line| line.quantity > 0);
        let reservation = hint.filter(|id| id.pool == home).or(held);
        // An order of which nothing is claimed and nothing is wanted leaves no trace in the ledger.
        let concerned = wants || is_known || reservation.is_some() || !called.is_empty() || !absorbs.is_empty();
        let may_claim = match standing {
            Standing::Ignored => false,
            Standing::Waiting => is_known,
            _ => true,
        };
        let claims = concerned && may_claim;
        Some(Work {
            lines: copied.lines.iter().map(|line| (line.line_ref.clone(), line.clone())).collect(),
            name: copied.name.clone(),
            reservation,
            hold: hold && !is_known && held.is_none(),
            claims,
            absorbs,
            known: self.known_of(&order),
            order,
            plan,
        })
    }

    fn known_of(&self, order: &Order) -> HashMap<PoolId, Known> {
        let of = |known: &Known| Known {
            parcels: order
                .parcels
                .iter()
                .filter_map(|parcel| known.parcels.get_key_value(&parcel.parcel_ref))
                .map(|(name, parcel)| (name.clone(), parcel.clone()))
                .collect(),
            back: order
                .restocks
                .iter()
                .flat_map(|refund| [refund.refund_ref.clone(), format!("{}/history", refund.refund_ref)])
                .filter_map(|name| Some((name.clone(), known.back.get(&name)?.clone())))
                .collect(),
            ..Known::default()
        };
        self.known.iter().map(|(pool, known)| (*pool, of(known))).collect()
    }

    /// The pool of its claims: where it claims already, or the same order elsewhere does; else where its reservation is;
    /// else what the storefront said; else the setting's.
    fn home(
        &self,
        key: (Source, i64),
        copied: &Copied,
        hint: Option<ReservationId>,
        absorbs: &[i64],
    ) -> Option<PoolId> {
        let claiming = |key: &(Source, i64)| {
            self.known.iter().filter(|(_, known)| known.claiming.contains(key)).map(|(pool, _)| *pool).min()
        };
        let called = || self.called.get(&key)?.iter().map(|(pool, _, _)| *pool).min();
        let said = || self.catalogue.pool_by_code(copied.pool_code.as_deref()?).map(|pool| pool.id);
        claiming(&key)
            .or_else(|| absorbs.iter().find_map(|id| claiming(&(Source::Recharge, *id))))
            .or_else(|| hint.map(|id| id.pool))
            .or_else(called)
            .or_else(said)
            .or(self.default_pool)
    }

    fn standing(&self, source: Source, copied: &Copied) -> (Standing, bool) {
        let (test, unpaid) = (self.settings.test_orders, self.settings.unpaid_orders);
        let hold = (copied.test && test == OrderPolicy::Hold) || (!copied.paid && unpaid == OrderPolicy::Hold);
        let began_at = self.began_at.get(&source).copied().unwrap_or(DateTime::<Utc>::MIN_UTC);
        let standing = match () {
            () if copied.test && test == OrderPolicy::Ignore => Standing::Ignored,
            () if copied.end == Some(End::Deleted) => Standing::Deleted,
            () if copied.end == Some(End::Cancelled) => Standing::Cancelled,
            () if copied.end == Some(End::Closed) => Standing::Closed,
            // Recharge does not tell what was sent: what was processed before the mirror began is taken for sent.
            () if source == Source::Recharge && copied.processed_at.is_none_or(|at| at < began_at) => Standing::Closed,
            () if !copied.paid && unpaid == OrderPolicy::Ignore => Standing::Waiting,
            () if hold => Standing::Waiting,
            () => Standing::Open,
        };
        (standing, hold && standing == Standing::Waiting)
    }
}

async fn carry_out(app: &Arc<App>, taken: &Taken, work: Work) -> Done {
    let mut findings = work.plan.findings.clone();
    let unmatched = work.plan.unmatched.iter().filter_map(|name| work.lines.get(name)).cloned().collect();
    let error = match commands::run(app, (taken.source, taken.order_id), taken, &work).await {
        Ok(found) => {
            findings.extend(found);
            None
        }
        Err(Failure(error)) => Some(error),
    };
    Done { taken: taken.clone(), pool: Some(work.order.home), unmatched, findings, error }
}

impl Done {
    fn nothing(taken: &Taken) -> Self {
        Self { taken: taken.clone(), pool: None, unmatched: Vec::new(), findings: Vec::<Finding>::new(), error: None }
    }
}
