//! Combined commits: the commands of many callers in one transaction.
//!
//! Order of a batch: find the SKUs involved, `BEGIN`, lock their balance rows in SKU order, read the clock and earlier
//! answers, lock reservations in id order, decide (pure), write every table once with `UNNEST`, claim the idempotency
//! keys together with the answers, `COMMIT`. Every caller is answered after the commit.
//!
//! An error says what to do next: try the same batch again, get a new connection, or run its commands one by one.

use std::collections::{BTreeSet, HashMap};

use sqlx::{Acquire, PgConnection};
use uuid::Uuid;

use crate::catalog::Catalogue;
use crate::clock::Clock;
use crate::ids::{ClientId, PoolId, SkuId};
use crate::ledger::command::Command;
use crate::ledger::decide::decide;
use crate::ledger::outcome::{LotRecord, Outcome};
use crate::ledger::submission::{Answer, Render, Scene, Submission};
use crate::ledger::world::{Changes, Due, Shelf, World};
use crate::reservations::state::Reservation;

mod error;
pub mod load;
mod lots;
mod oversells;
pub(crate) mod receipts;
mod write;

pub use error::BatchError;
pub use receipts::Arrival;
pub(crate) use receipts::find_repeated;

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
    pub now: chrono::DateTime<chrono::Utc>,
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

/// Everything that a batch names, before anything is locked.
#[derive(Default)]
struct Named {
    skus: BTreeSet<i64>,
    received: BTreeSet<i64>,
    counted: BTreeSet<i64>,
    reservations: Vec<Uuid>,
    references: load::References,
    sources: Vec<String>,
    source_refs: Vec<String>,
    clients: Vec<i64>,
    keys: Vec<String>,
}

impl Named {
    fn of(catalogue: &Catalogue, submissions: &[Submission]) -> Self {
        let mut named = Self::default();
        for submission in submissions {
            if let Some(key) = &submission.key {
                named.clients.push(submission.client.0);
                named.keys.push(key.key.clone());
            }
            named.add(catalogue, submission.client, &submission.command);
        }
        named
    }

    fn add(&mut self, catalogue: &Catalogue, client: ClientId, command: &Command) {
        let tracked = |code: &str| catalogue.sku_by_code(code).filter(|sku| sku.tracked).map(|sku| sku.id.0);
        match command {
            Command::Hold(hold) => {
                self.skus.extend(hold.lines.iter().filter_map(|line| tracked(&line.sku)));
                self.reservations.extend(hold.supersedes.map(|id| id.uuid));
                if let Some(reference) = &hold.client_reference {
                    self.references.clients.push(client.0);
                    self.references.names.push(reference.clone());
                }
            }
            Command::Commit(commit) => self.reservations.push(commit.id.uuid),
            Command::Release(release) => self.reservations.push(release.id.uuid),
            Command::Extend(extend) => self.reservations.push(extend.id.uuid),
            Command::Expire(expire) => self.reservations.push(expire.id.uuid),
            Command::Receive(receive) => {
                self.received.extend(tracked(&receive.sku));
                if let Some(source_ref) = &receive.source_ref {
                    self.sources.push(receive.source.clone());
                    self.source_refs.push(source_ref.clone());
                }
            }
            Command::OpeningCount(count) => self.counted.extend(tracked(&count.sku)),
        }
    }
}

/// Everything read under the locks.
struct Loaded {
    under_lock: chrono::DateTime<chrono::Utc>,
    answers: HashMap<(ClientId, String), load::StoredAnswer>,
    shelves: Vec<(SkuId, Shelf)>,
    reservations: Vec<Reservation>,
    lots: Vec<LotRecord>,
    open_lots: Vec<(SkuId, Vec<(Uuid, i64)>)>,
}

async fn load(
    conn: &mut PgConnection,
    setting: &Setting<'_>,
    pool: PoolId,
    named: &Named,
) -> Result<Loaded, BatchError> {
    let mut skus = named.skus.clone();
    let names_claims = !named.reservations.is_empty() || !named.references.names.is_empty();
    if names_claims {
        skus.extend(load::find_claimed_skus(conn, pool, &named.reservations, &named.references).await?);
    }
    skus.extend(&named.received);
    skus.extend(&named.counted);
    if !named.received.is_empty() {
        let received: Vec<i64> = named.received.iter().copied().collect();
        load::ensure_stock(conn, pool, &received, setting.clock).await?;
    }
    let skus: Vec<i64> = skus.into_iter().collect();
    let shelves = if skus.is_empty() { Vec::new() } else { load::lock_stock(conn, pool, &skus).await? };
    let under_lock = load::read_under_lock(conn, pool, &named.clients, &named.keys).await?;
    if under_lock.catalogue_revision > setting.catalogue.revision {
        return Err(BatchError::CatalogueBehind);
    }
    let mut reservations = Vec::new();
    if names_claims {
        let ids = load::find_reservation_ids(conn, pool, &named.reservations, &named.references).await?;
        reservations = load::lock_reservations(conn, pool, &ids).await?;
        check_covered(&reservations, &skus)?;
    }
    let lots = if named.source_refs.is_empty() {
        Vec::new()
    } else {
        load::find_lots_by_source_ref(conn, pool, &named.sources, &named.source_refs).await?
    };
    let mut open_lots = Vec::new();
    for sku in &named.counted {
        open_lots.push((SkuId(*sku), load::lock_open_lots(conn, pool, SkuId(*sku)).await?));
    }
    let now = setting.clock.at(under_lock.now);
    Ok(Loaded { under_lock: now, answers: under_lock.answers, shelves, reservations, lots, open_lots })
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
) -> Result<(Vec<(usize, Outcome)>, Changes, chrono::DateTime<chrono::Utc>), BatchError> {
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
    for (sku, lots) in &loaded.open_lots {
        world.put_open_lots(*sku, lots.clone());
    }
    for (sku, due) in due {
        world.put_due(*sku, due.clone());
    }
    world
}

fn answer_all(
    setting: &Setting<'_>,
    pool: PoolId,
    submissions: &[Submission],
    plan: &Plan<'_>,
    outcomes: &[(usize, Outcome)],
    now: chrono::DateTime<chrono::Utc>,
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
