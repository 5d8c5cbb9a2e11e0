//! Combined commits: the commands of many callers in one transaction.
//!
//! Order of a batch: find the SKUs involved, `BEGIN`, lock their balance rows in SKU order, read the clock and earlier
//! answers, lock reservations in id order, decide (pure), write every table once with `UNNEST`, claim the idempotency
//! keys together with the answers, `COMMIT`. Every caller is answered after the commit.
//!
//! An error says what to do next: try the same batch again, get a new connection, or run its commands one by one.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{Acquire, PgConnection};
use uuid::Uuid;

use crate::catalog::Catalogue;
use crate::clock::Clock;
use crate::ids::{ClientId, PoolId, SkuId};
use crate::ledger::decide::decide;
use crate::ledger::demand::DemandRecord;
use crate::ledger::goods::{OpenDiscrepancy, OpenShortage, PendingUnits, ReturnRecord, ShipmentRecord, Sold};
use crate::ledger::outcome::{LotRecord, Outcome};
use crate::ledger::submission::{Answer, Render, Scene, Submission};
use crate::ledger::world::{Changes, Due, Shelf, World};
use crate::lots::later::{Later, find_later};
use crate::reservations::state::Reservation;

mod demand;
mod error;
pub(in crate::ledger) mod goods;
pub mod load;
mod lots;
mod named;
pub(in crate::ledger) mod oversells;
pub(crate) mod receipts;
mod write;

pub use error::BatchError;
pub use goods::lots::read_status;
pub use goods::returns::find_returns_by_id;
pub use goods::shipments::find_shipments;
pub use receipts::Arrival;
pub(crate) use receipts::find_repeated;

use goods::lots::LotNames;
use named::Named;

/// Due holds are read in pages of this many lines per SKU, growing fourfold while they are not enough.
const DUE_PAGE: i64 = 1000;

/// What every batch needs.
pub struct Setting<'a> {
    /// The catalogue that commands are resolved with.
    pub catalogue: &'a Catalogue,
    /// The clock that decides.
    pub clock: &'a Clock,
    /// How outcomes become answers.
    pub render: &'a Render,
}

/// A committed batch.
pub struct Committed {
    /// One answer per submission, in order.
    pub answers: Vec<Answer>,
    /// What was decided anew, for metrics: index of the submission and its outcome.
    pub outcomes: Vec<(usize, Outcome)>,
    /// Final balances of what changed.
    pub balances: Vec<(SkuId, crate::ledger::balance::Balance)>,
    /// The clock under the locks.
    pub now: DateTime<Utc>,
}

/// Runs submissions of one pool in one transaction.
///
/// # Errors
/// [`BatchError`]; nothing was done, unless it is [`BatchError::Connection`], after which nobody knows: running the
/// batch again finds what was committed under its keys.
pub async fn run(
    conn: &mut PgConnection,
    setting: &Setting<'_>,
    pool: PoolId,
    submissions: &[Submission],
) -> Result<Committed, BatchError> {
    let named = Named::of(setting.catalogue, submissions);
    let mut tx = conn.begin().await?;
    let loaded = load(&mut tx, setting, pool, &named).await?;
    let plan = Plan::of(submissions, &loaded.answers);
    let (outcomes, changes, now) = decide_all(&mut tx, setting, pool, submissions, &plan, &loaded).await?;
    let answers = answer_all(setting, pool, submissions, &plan, &outcomes, now);
    write::write_changes(&mut tx, pool, now, &changes).await?;
    let kept = to_keep(submissions, &plan, &answers);
    if !kept.keys.is_empty() {
        write::insert_answers(&mut tx, pool, now, &kept).await?;
    }
    tx.commit().await?;
    Ok(Committed { answers, outcomes, balances: changes.balances, now })
}

/// Everything read under the locks.
struct Loaded {
    under_lock: DateTime<Utc>,
    answers: HashMap<(ClientId, String), load::StoredAnswer>,
    shelves: Vec<(SkuId, Shelf)>,
    reservations: Vec<Reservation>,
    lots: Vec<LotRecord>,
    goods: Goods,
    demands: demand::Demands,
}

/// Lots, shipments and returns, read under the locks; empty for a batch of claims.
#[derive(Default)]
struct Goods {
    last_snapshot: Option<NaiveDate>,
    closing: Option<NaiveDate>,
    sold: Vec<(Uuid, Sold)>,
    lots: Vec<LotRecord>,
    later: Later,
    still_open: Vec<i64>,
    pending: HashMap<SkuId, Vec<PendingUnits>>,
    discrepancies: HashMap<SkuId, Vec<OpenDiscrepancy>>,
    shortages: HashMap<SkuId, Vec<OpenShortage>>,
    shipments: Vec<ShipmentRecord>,
    returns: Vec<ReturnRecord>,
    departures: Vec<(Uuid, i64)>,
}

/// Reservations that the batch names, by id, by reference, by order or by shipment.
async fn find_claims(
    conn: &mut PgConnection,
    pool: PoolId,
    named: &Named,
    shipped: &[Uuid],
    demands: &[DemandRecord],
) -> Result<Vec<Uuid>, BatchError> {
    let mut own = named.reservations.clone();
    own.extend(shipped);
    own.extend(demands.iter().flat_map(|record| &record.claims));
    if !named.order_refs.is_empty() {
        own.extend(goods::shipments::find_reservations_of_orders(conn, pool, &named.order_refs).await?);
    }
    Ok(load::find_reservation_ids(conn, pool, &own, &named.references).await?)
}

async fn find_demands(conn: &mut PgConnection, pool: PoolId, named: &Named) -> sqlx::Result<Vec<DemandRecord>> {
    if named.demands.is_empty() { Ok(Vec::new()) } else { demand::find(conn, pool, &named.demands).await }
}

async fn load(
    conn: &mut PgConnection,
    setting: &Setting<'_>,
    pool: PoolId,
    named: &Named,
) -> Result<Loaded, BatchError> {
    let mut skus = named.skus.clone();
    let (mut shipments, mut shipped) = (Vec::new(), Vec::new());
    if !named.shipments.is_empty() {
        shipments = goods::shipments::find_shipment_ids(conn, pool, &named.shipments).await?;
        let (own, claims) = goods::shipments::find_shipped(conn, pool, &shipments).await?;
        skus.extend(own);
        shipped = claims;
    }
    let names_claims = named.names_claims() || !shipped.is_empty();
    if names_claims {
        let known = find_demands(conn, pool, named).await?;
        let ids = find_claims(conn, pool, named, &shipped, &known).await?;
        skus.extend(load::find_claimed_skus(conn, pool, &ids).await?);
    }
    if !named.acted.is_empty() {
        skus.extend(goods::lots::find_skus_of_lots(conn, pool, &named.acted).await?);
    }
    if !named.lot_codes.is_empty() {
        skus.extend(goods::lots::find_skus_of_codes(conn, pool, &named.lot_codes).await?);
    }
    skus.extend(&named.shelved);
    skus.extend(&named.counted);
    if !named.shelved.is_empty() {
        let shelved: Vec<i64> = named.shelved.iter().copied().collect();
        load::ensure_stock(conn, pool, &shelved, setting.clock).await?;
    }
    let skus: Vec<i64> = skus.into_iter().collect();
    let shelves = if skus.is_empty() { Vec::new() } else { load::lock_stock(conn, pool, &skus).await? };
    let under_lock = load::read_under_lock(conn, pool, &named.clients, &named.keys).await?;
    if under_lock.catalogue_revision > setting.catalogue.revision {
        return Err(BatchError::CatalogueBehind);
    }
    let (mut reservations, mut demands) = (Vec::new(), demand::Demands::default());
    if names_claims {
        let known = find_demands(conn, pool, named).await?;
        let ids = find_claims(conn, pool, named, &shipped, &known).await?;
        if !named.demands.is_empty() {
            demands = demand::load(conn, pool, &named.demands, known, &ids).await?;
        }
        reservations = load::lock_reservations(conn, pool, &ids).await?;
        check_covered(&reservations, &skus)?;
    }
    let lots = if named.source_refs.is_empty() {
        Vec::new()
    } else {
        load::find_lots_by_source_ref(conn, pool, &named.sources, &named.source_refs).await?
    };
    let now = setting.clock.at(under_lock.now);
    let today = setting.catalogue.pool(pool).map_or(now.date_naive(), |pool| pool.date_at(now));
    let expiring: Vec<i64> = shelves
        .iter()
        .filter(|(_, shelf)| shelf.next_expires_date.is_some_and(|date| date <= today))
        .map(|(sku, _)| sku.0)
        .collect();
    let goods = if named.names_goods() || !expiring.is_empty() {
        load_goods(conn, setting, pool, (named, &shipments), (&skus, &expiring), today).await?
    } else {
        Goods::default()
    };
    Ok(Loaded { under_lock: now, answers: under_lock.answers, shelves, reservations, lots, goods, demands })
}

async fn load_goods(
    conn: &mut PgConnection,
    setting: &Setting<'_>,
    pool: PoolId,
    (named, shipments): (&Named, &[Uuid]),
    (skus, expiring): (&[i64], &[i64]),
    today: NaiveDate,
) -> Result<Goods, BatchError> {
    let mut goods = Goods { last_snapshot: goods::find_last_snapshot(conn, pool).await?, ..Goods::default() };
    // Lines before lots, as the close of a day does.
    goods.shipments = goods::shipments::lock_shipments(conn, pool, shipments).await?;
    if named.settles {
        goods.discrepancies = goods::open::find_discrepancies(conn, pool, skus).await?;
        goods.shortages = goods::open::lock_shortages(conn, pool, skus).await?;
    }
    let off_sale = if named.reallocates() && !named.names_lots() {
        goods::lots::find_off_sale(conn, pool, skus).await?
    } else {
        Vec::new()
    };
    // What lots lacked for a closed day is taken from them in their order.
    let short = goods.shortages.keys().map(|sku| sku.0);
    let whole: BTreeSet<i64> =
        if named.names_lots() { skus } else { expiring }.iter().copied().chain(off_sale).chain(short).collect();
    let whole: Vec<i64> = whole.into_iter().collect();
    let shipped = || goods.shipments.iter().flat_map(|shipment| &shipment.lines);
    let depleted = shipped().flat_map(|line| &line.depletions).map(|depletion| depletion.lot);
    let depleted = depleted.chain(shipped().filter_map(|line| line.lot));
    let names = LotNames {
        open_of: whole.clone(),
        newest_of: named.returned.iter().copied().collect(),
        ids: named.acted.iter().copied().chain(depleted).collect(),
    };
    goods.lots = goods::lots::lock_lots(conn, pool, &names).await?;
    if !whole.is_empty() {
        goods.pending = goods::open::find_pending(conn, pool, &whole).await?;
        goods.still_open = goods::find_still_open(conn, pool, &whole).await?;
    }
    if !named.revalued.is_empty() {
        goods.closing = goods::lock_closing(conn, pool).await?;
        goods.sold = goods::costs::find_sold(conn, pool, &named.revalued).await?;
    }
    // Mostly no day waits to be closed, and then nothing came later than the first that is open.
    let first_day = setting.catalogue.pool(pool).map_or(today, |pool| pool.date_at(pool.created_at));
    let first_open = goods.last_snapshot.and_then(|date| date.succ_opt()).unwrap_or(first_day);
    if !goods.lots.is_empty() && (today > first_open || goods.closing.is_some() || !goods.still_open.is_empty()) {
        let lots: Vec<Uuid> = goods.lots.iter().map(|lot| lot.id.uuid).collect();
        let after = goods.last_snapshot.unwrap_or(first_day);
        goods.later = find_later(conn, pool, after, &lots).await?;
    }
    if !named.returns.0.is_empty() {
        goods.returns = goods::returns::find_returns(conn, pool, &named.returns.0, &named.returns.1).await?;
    }
    if !named.transfers.is_empty() {
        let departures = goods::lots::find_departures(conn, pool, &named.transfers).await?;
        goods.departures =
            departures.into_iter().filter_map(|(id, units)| Some((Uuid::parse_str(&id).ok()?, units))).collect();
    }
    Ok(goods)
}

/// Between finding the SKUs and locking them another instance may have given a reference to a new reservation; its
/// SKUs are not locked here, so the batch starts over.
fn check_covered(reservations: &[Reservation], locked: &[i64]) -> Result<(), BatchError> {
    let covered = reservations
        .iter()
        .filter(|r| !r.state.is_terminal())
        .flat_map(|r| r.lines.iter())
        .all(|line| !line.tracked || locked.binary_search(&line.sku.0).is_ok());
    if covered { Ok(()) } else { Err(BatchError::Raced("claimed SKUs")) }
}

/// What happens to each submission of the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It is decided.
    Decide,
    /// It was answered before, in an earlier transaction.
    Stored,
    /// It was answered before, by an earlier submission of this batch.
    Twin(usize),
    /// Its key belongs to another request.
    Reused,
}

struct Plan<'l> {
    steps: Vec<Step>,
    stored: &'l HashMap<(ClientId, String), load::StoredAnswer>,
}

impl<'l> Plan<'l> {
    fn of(submissions: &[Submission], stored: &'l HashMap<(ClientId, String), load::StoredAnswer>) -> Self {
        let mut first: HashMap<(ClientId, &str), usize> = HashMap::new();
        let steps = submissions
            .iter()
            .enumerate()
            .map(|(index, submission)| {
                let Some(key) = &submission.key else { return Step::Decide };
                if let Some(answer) = stored.get(&(submission.client, key.key.clone())) {
                    return if answer.fingerprint == key.fingerprint { Step::Stored } else { Step::Reused };
                }
                let twin = *first.entry((submission.client, &key.key)).or_insert(index);
                let same = submissions[twin].key.as_ref().is_some_and(|other| other.fingerprint == key.fingerprint);
                match (twin == index, same) {
                    (true, _) => Step::Decide,
                    (false, true) => Step::Twin(twin),
                    (false, false) => Step::Reused,
                }
            })
            .collect();
        Self { steps, stored }
    }
}

/// Decides every command, reading due holds for as long as a decision asks for more of them.
async fn decide_all(
    conn: &mut PgConnection,
    setting: &Setting<'_>,
    pool: PoolId,
    submissions: &[Submission],
    plan: &Plan<'_>,
    loaded: &Loaded,
) -> Result<(Vec<(usize, Outcome)>, Changes, DateTime<Utc>), BatchError> {
    let now = loaded.under_lock;
    let mut due: HashMap<SkuId, Due> = HashMap::new();
    let mut page = DUE_PAGE;
    loop {
        let (outcomes, wanted, changes) = {
            let mut world = build(setting.catalogue, pool, loaded, &due);
            let outcomes: Vec<(usize, Outcome)> = submissions
                .iter()
                .enumerate()
                .filter(|(index, _)| plan.steps[*index] == Step::Decide)
                .map(|(index, submission)| (index, decide(&mut world, submission.client, &submission.command)))
                .collect();
            (outcomes, world.wanted().clone(), world.into_changes())
        };
        if wanted.is_empty() {
            return Ok((outcomes, changes, now));
        }
        for sku in wanted {
            due.insert(sku, load::find_due(conn, pool, sku, now, page).await?);
        }
        page = page.saturating_mul(4);
    }
}

fn build<'a>(catalogue: &'a Catalogue, pool: PoolId, loaded: &Loaded, due: &HashMap<SkuId, Due>) -> World<'a> {
    let mut world = World::new(pool, loaded.under_lock, catalogue);
    for (sku, shelf) in &loaded.shelves {
        world.put_shelf(*sku, *shelf);
    }
    for reservation in &loaded.reservations {
        world.put_reservation(reservation.clone());
    }
    for lot in &loaded.lots {
        world.put_lot(lot.clone());
    }
    for record in &loaded.demands.records {
        world.put_demand(record.clone());
    }
    for (reservation, key) in &loaded.demands.claimed_by {
        world.put_claimed_by(*reservation, key.clone());
    }
    for (sku, due) in due {
        world.put_due(*sku, due.clone());
    }
    put_goods(&mut world, &loaded.goods);
    world.expire_due_lots();
    world
}

fn put_goods(world: &mut World<'_>, goods: &Goods) {
    world.put_first_open_date(goods.last_snapshot.and_then(|date| date.succ_opt()));
    world.put_still_open(goods.still_open.iter().map(|sku| SkuId(*sku)));
    world.put_closing_date(goods.closing);
    for (lot, sold) in &goods.sold {
        world.put_sold(*lot, *sold);
    }
    for lot in &goods.lots {
        world.put_open_lot(lot.clone());
    }
    for (lot, moved) in &goods.later {
        for (date, units) in moved {
            world.put_later(*lot, *date, *units);
        }
    }
    for (sku, pending) in &goods.pending {
        world.put_pending(*sku, pending.clone());
    }
    for (sku, open) in &goods.discrepancies {
        world.put_discrepancies(*sku, open.clone());
    }
    for (sku, open) in &goods.shortages {
        world.put_shortages(*sku, open.clone());
    }
    for shipment in &goods.shipments {
        world.put_shipment(shipment.clone());
    }
    for record in &goods.returns {
        world.put_return(record.clone());
    }
    for (transfer, quantity) in &goods.departures {
        world.put_departure(*transfer, *quantity);
    }
}

fn answer_all(
    setting: &Setting<'_>,
    pool: PoolId,
    submissions: &[Submission],
    plan: &Plan<'_>,
    outcomes: &[(usize, Outcome)],
    now: DateTime<Utc>,
) -> Vec<Answer> {
    let scene = Scene { catalogue: setting.catalogue, pool, now };
    let mut decided = outcomes.iter();
    let mut answers: Vec<Answer> = Vec::with_capacity(submissions.len());
    for (index, submission) in submissions.iter().enumerate() {
        let answer = match plan.steps[index] {
            Step::Decide => match decided.next() {
                Some((_, outcome)) => setting.render.outcome(&scene, submission, outcome),
                None => setting.render.key_reused(submission),
            },
            Step::Twin(first) => answers[first].replay(),
            Step::Reused => setting.render.key_reused(submission),
            Step::Stored => submission
                .key
                .as_ref()
                .and_then(|key| plan.stored.get(&(submission.client, key.key.clone())))
                .map_or_else(
                    || setting.render.key_reused(submission),
                    |stored| Answer {
                        status: u16::try_from(stored.status).unwrap_or(500),
                        body: stored.body.clone().into(),
                        replayed: true,
                    },
                ),
        };
        answers.push(answer);
    }
    answers
}

/// Decided answers with their keys, in key order: two instances that claim the same keys never wait in a circle.
fn to_keep(submissions: &[Submission], plan: &Plan<'_>, answers: &[Answer]) -> write::AnswerColumns {
    let mut kept: Vec<_> = submissions
        .iter()
        .zip(&plan.steps)
        .zip(answers)
        .filter(|((_, step), _)| **step == Step::Decide)
        .filter_map(|((submission, _), answer)| Some((submission.client, submission.key.as_ref()?, answer)))
        .collect();
    kept.sort_unstable_by(|a, b| (a.0, &a.1.key).cmp(&(b.0, &b.1.key)));
    let mut columns = write::AnswerColumns::default();
    for (client, key, answer) in kept {
        columns.clients.push(client.0);
        columns.keys.push(key.key.clone());
        columns.fingerprints.push(key.fingerprint.to_vec());
        columns.statuses.push(i16::try_from(answer.status).unwrap_or(500));
        columns.bodies.push(answer.body.to_vec());
    }
    columns
}
