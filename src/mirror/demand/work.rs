//! What there is to do for orders: everything that is read for a pass, and what follows from it for each of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::load::{self, Copied, End, Held, Known, Pinned};
use super::plan::{Meaning, Order, Plan, Standing};
use super::progress::{self, CalledByOrder, Taken};
use crate::app::App;
use crate::catalog::Catalogue;
use crate::ids::{PoolId, ReservationId, SkuId};
use crate::mirror::Settings;
use crate::mirror::rows::Source;
use crate::mirror::settings::OrderPolicy;

/// An order with everything that its commands need.
pub(super) struct Work {
    pub order: Order,
    pub plan: Plan,
    pub name: Option<String>,
    /// The reservation that it names.
    pub reservation: Option<ReservationId>,
    /// What was held for it until it is paid.
    pub held: Option<ReservationId>,
    /// The same in pools that are not that of its claims.
    pub held_elsewhere: Vec<ReservationId>,
    /// What is to be held for it until it is paid.
    pub hold: Option<Hold>,
    /// Whether its claims are this application's business at all.
    pub claims: bool,
    /// The same order elsewhere.
    pub absorbs: Vec<i64>,
    /// Where the same order elsewhere claims in another pool: pool, its id, its newest state.
    pub gives_up: Vec<(PoolId, i64, i64)>,
}

/// What is to be held for an order until it is paid.
pub(super) struct Hold {
    /// Units that no reservation of its checkout has, by SKU.
    pub wanted: BTreeMap<SkuId, i64>,
    /// What is held now.
    pub current: Option<(ReservationId, Held)>,
    /// Until when it may be: an edit is no reason to hold for longer, and what has ended is not made again.
    pub until: Option<DateTime<Utc>>,
}

/// Everything that is read for a pass.
struct Context<'a> {
    settings: &'a Settings,
    catalogue: &'a Catalogue,
    began_at: HashMap<Source, DateTime<Utc>>,
    orders: HashMap<(Source, i64), Copied>,
    meanings: HashMap<(Source, i64), HashMap<String, Meaning>>,
    known: HashMap<PoolId, Known>,
    /// Reservations that are called like an order, and holds that were made for it.
    called: CalledByOrder,
    /// What those have, and those that orders name; only where orders may wait for their money.
    held: HashMap<ReservationId, Held>,
    /// Recharge orders that are a Shopify order, and their newest state.
    links: HashMap<i64, Vec<(i64, i64)>>,
    default_pool: Option<PoolId>,
}

/// Reads what plans need, a set at a time, and plans. `None`: there is nothing to do for the order.
pub(super) async fn prepare(app: &Arc<App>, taken: &[Taken]) -> sqlx::Result<Vec<(Taken, Option<Work>)>> {
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
    follow_names(&mut conn, &catalogue, &mut orders).await?;
    let mut links: HashMap<i64, Vec<(i64, i64)>> = HashMap::new();
    if settings.recharge.is_some() && !shopify.is_empty() {
        for (order, of_recharge, revision) in load::find_links(&mut conn, &shopify).await? {
            links.entry(order).or_default().push((of_recharge, revision));
        }
    }
    let Recorded { known, called, pinned } = find_recorded(&mut conn, &catalogue, &orders, &links).await?;
    let held = find_held(&mut conn, settings, &orders, &called, app.clock.local_now()).await?;
    let meanings = load::find_meanings(&mut conn, &catalogue, &orders, &called, &pinned).await?;
    let mut began_at = HashMap::new();
    for source in [Source::Shopify, Source::Recharge] {
        began_at.extend(load::find_began_at(&mut conn, source).await?.map(|at| (source, at)));
    }
    conn.commit().await?;
    let default_pool = catalogue.pool_by_code(&settings.pool).map(|pool| pool.id);
    let context = Context {
        settings,
        catalogue: &catalogue,
        began_at,
        orders,
        meanings,
        known,
        called,
        held,
        links,
        default_pool,
    };
    Ok(taken.iter().map(|taken| (taken.clone(), context.work(taken))).collect())
}

/// What the ledger has of orders, in every pool.
struct Recorded {
    known: HashMap<PoolId, Known>,
    called: CalledByOrder,
    pinned: Pinned,
}

async fn find_recorded(
    conn: &mut PgConnection,
    catalogue: &Catalogue,
    orders: &load::Orders,
    links: &HashMap<i64, Vec<(i64, i64)>>,
) -> sqlx::Result<Recorded> {
    let keys: Vec<(Source, i64)> =
        orders.keys().copied().chain(links.values().flatten().map(|(id, _)| (Source::Recharge, *id))).collect();
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
    let mut recorded = Recorded { known: HashMap::new(), called: HashMap::new(), pinned: Pinned::new() };
    for pool in catalogue.pools() {
        let of_pool = load::find_known(conn, pool.id, &keys, &parcels, &refunds).await?;
        recorded.pinned.extend(of_pool.pinned.clone());
        recorded.known.insert(pool.id, of_pool);
        for (key, called) in progress::find_called(conn, pool.id, &names).await? {
            recorded.called.entry(key).or_default().push(called);
        }
    }
    Ok(recorded)
}

/// Lets orders name what the reservations that they name have become.
async fn follow_names(conn: &mut PgConnection, catalogue: &Catalogue, orders: &mut load::Orders) -> sqlx::Result<()> {
    let mut named: BTreeMap<PoolId, Vec<Uuid>> = BTreeMap::new();
    for id in orders.values().filter_map(|order| order.names).filter(|id| catalogue.pool(id.pool).is_some()) {
        named.entry(id.pool).or_default().push(id.uuid);
    }
    for (pool, ids) in named {
        let newest = load::find_newest(conn, pool, &ids).await?;
        for id in orders.values_mut().filter_map(|order| order.names.as_mut()).filter(|id| id.pool == pool) {
            id.uuid = newest.get(&id.uuid).copied().unwrap_or(id.uuid);
        }
    }
    Ok(())
}

/// What reservations have for orders, where some may wait for their money.
async fn find_held(
    conn: &mut PgConnection,
    settings: &Settings,
    orders: &load::Orders,
    called: &CalledByOrder,
    now: DateTime<Utc>,
) -> sqlx::Result<HashMap<ReservationId, Held>> {
    let mut found = HashMap::new();
    if settings.unpaid_orders != OrderPolicy::Hold && settings.test_orders != OrderPolicy::Hold {
        return Ok(found);
    }
    let mut named: BTreeMap<PoolId, Vec<Uuid>> = BTreeMap::new();
    for id in called.values().flatten().map(|called| called.id).chain(orders.values().filter_map(|order| order.names)) {
        named.entry(id.pool).or_default().push(id.uuid);
    }
    for (pool, ids) in named {
        let of_pool = load::find_held(conn, pool, &ids, now).await?;
        found.extend(of_pool.into_iter().map(|(uuid, held)| (ReservationId { pool, uuid }, held)));
    }
    Ok(found)
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
        let links = self.links.get(&taken.order_id).filter(|_| taken.source == Source::Shopify);
        let links = links.map(Vec::as_slice).unwrap_or_default();
        let hint = copied.names.filter(|id| self.catalogue.pool(id.pool).is_some());
        let home = self.home(key, copied, hint, links)?;
        let (standing, waits) = self.standing(taken.source, copied);
        let order = self.order(taken, copied, home, standing);
        let plan = order.plan();
        let called = self.called.get(&key).map(Vec::as_slice).unwrap_or_default();
        let (held, held_elsewhere): (Vec<_>, Vec<_>) =
            called.iter().filter(|called| called.is_hold).map(|called| called.id).partition(|id| id.pool == home);
        let held = held.first().copied();
        let holds = |id: &ReservationId| self.held.get(id).is_some_and(|held| held.holds);
        let is_known = self.known.values().any(|known| known.claiming.contains(&key));
        let wants = plan.claims.iter().any(|line| line.quantity > 0);
        let reservation = hint.filter(|id| id.pool == home);
        // An order of which nothing is claimed and nothing is wanted leaves no trace in the ledger.
        let concerned = wants || is_known || reservation.is_some() || !called.is_empty() || !links.is_empty();
        let may_claim = match standing {
            Standing::Ignored => false,
            Standing::Waiting => is_known,
            _ => true,
        };
        Some(Work {
            name: copied.name.clone(),
            hold: (waits && !is_known).then(|| self.hold(taken, &order, hint, held)),
            reservation,
            held,
            held_elsewhere: held_elsewhere.into_iter().filter(holds).collect(),
            claims: concerned && may_claim,
            absorbs: links.iter().map(|(id, _)| *id).collect(),
            gives_up: self.gives_up(home, links),
            order,
            plan,
        })
    }

    /// The order and what of it is recorded.
    fn order(&self, taken: &Taken, copied: &Copied, home: PoolId, standing: Standing) -> Order {
        let mut pools: Vec<(PoolId, &Known)> = self.known.iter().map(|(pool, known)| (*pool, known)).collect();
        pools.sort_unstable_by_key(|(pool, _)| *pool);
        let (mut parcels, mut restocks) = (copied.parcels.clone(), copied.restocks.clone());
        for parcel in &mut parcels {
            let recorded = pools.iter().find_map(|(pool, known)| Some((*pool, known.parcels.get(&parcel.parcel_ref)?)));
            if let Some((pool, recorded)) = recorded {
                recorded.tell(pool, parcel);
            }
        }
        for refund in &mut restocks {
            for line in &mut refund.lines {
                for (pool, known) in &pools {
                    known.tell(*pool, &refund.refund_ref, line);
                }
            }
        }
        Order {
            standing,
            home,
            began_at: self.began_at.get(&taken.source).copied().unwrap_or(DateTime::<Utc>::MIN_UTC),
            lines: copied.lines.clone(),
            parcels,
            restocks,
            meanings: self.meanings.get(&(taken.source, taken.order_id)).cloned().unwrap_or_default(),
        }
    }

    /// What is to be held: what is still to be sent and no reservation of the checkout's has.
    fn hold(&self, taken: &Taken, order: &Order, hint: Option<ReservationId>, held: Option<ReservationId>) -> Hold {
        let mut wanted: BTreeMap<SkuId, i64> = BTreeMap::new();
        for line in &order.lines {
            for (sku, each) in order.meanings.get(&line.line_ref).iter().flat_map(|meaning| &meaning.components) {
                *wanted.entry(*sku).or_default() += line.unfulfilled.max(0).saturating_mul((*each).into());
            }
        }
        let called = self.called.get(&(taken.source, taken.order_id)).into_iter().flatten();
        let own = called.filter(|called| !called.is_hold).map(|called| called.id);
        let owners: BTreeSet<ReservationId> = own.chain(hint).collect();
        for owned in owners.iter().filter_map(|id| self.held.get(id)) {
            for (sku, units) in &owned.units {
                wanted.entry(*sku).and_modify(|wanted| *wanted -= units);
            }
        }
        wanted.retain(|_, units| *units > 0);
        let current = held.and_then(|id| Some((id, self.held.get(&id).filter(|held| held.holds)?.clone())));
        let until = taken.held_until.or_else(|| current.as_ref().map(|(_, held)| held.expires_at));
        Hold { wanted, current, until }
    }

    /// Where the same order elsewhere wants something of another pool.
    fn gives_up(&self, home: PoolId, links: &[(i64, i64)]) -> Vec<(PoolId, i64, i64)> {
        let others = self.known.iter().filter(|(pool, _)| **pool != home);
        let mut found: Vec<(PoolId, i64, i64)> = others
            .flat_map(|(pool, known)| {
                let wanting = links.iter().filter(|(id, _)| known.wanting.contains(&(Source::Recharge, *id)));
                wanting.map(|(id, revision)| (*pool, *id, *revision))
            })
            .collect();
        found.sort_unstable();
        found
    }

    /// The pool of its claims: where it claims already; else where its reservation is, one of the checkout's before what
    /// was held here; else what the storefront said; else where the same order elsewhere claims; else the setting's.
    fn home(
        &self,
        key: (Source, i64),
        copied: &Copied,
        hint: Option<ReservationId>,
        links: &[(i64, i64)],
    ) -> Option<PoolId> {
        let claiming = |key: &(Source, i64)| {
            self.known.iter().filter(|(_, known)| known.claiming.contains(key)).map(|(pool, _)| *pool).min()
        };
        let called = || {
            let called = self.called.get(&key)?.iter();
            called.map(|called| (called.is_hold, called.id.pool)).min().map(|(_, pool)| pool)
        };
        let said = || self.catalogue.pool_by_code(copied.pool_code.as_deref()?).map(|pool| pool.id);
        claiming(&key)
            .or_else(|| hint.map(|id| id.pool))
            .or_else(called)
            .or_else(said)
            .or_else(|| links.iter().find_map(|(id, _)| claiming(&(Source::Recharge, *id))))
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
