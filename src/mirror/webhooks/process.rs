//! Works on stored deliveries: claims, fetches what they are about, writes down how it went.
//!
//! Several deliveries about one entity are one fetch: of a product that is sold there is a webhook for every unit. The
//! fetch begins after all of them have come, so it sees what each of them is about. The lease only keeps two instances
//! from asking at once; fetching twice is harmless, and so is a worker that comes back from the dead.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use scoped_futures::ScopedFutureExt;
use sqlx::PgConnection;

use super::hint::Entity;
use super::queries::{self, ClaimedRow, Ended};
use super::view::DeliveryStatus;
use crate::app::App;
use crate::db::tx::is_contention;
use crate::jobs::state::{Outcome, settle};
use crate::jobs::{JobError, Report, Retry};
use crate::mirror::refetch::{self, RechargeEntity, Refetched};
use crate::mirror::rows::Source;
use crate::mirror::store;
use crate::mirror::streams::StreamError;
use crate::mirror::upstream::UpstreamError;

/// Deliveries that are claimed at once.
const BATCH: i64 = 200;
/// How long a worker may take for a batch before others take it for dead: longer than the client tries a call.
const LEASE: TimeDelta = TimeDelta::minutes(10);
/// Eight attempts within some twenty minutes. Polls go on after that.
const RETRY: Retry = Retry { most_failures: 8, base: Duration::from_secs(2), cap: Duration::from_mins(10) };

/// Fetches for a batch of one kind, until its bad ones are found: enough for two among two hundred. What is left then
/// waits for its next attempt.
const MOST_FETCHES: u32 = 32;

/// Why something was not fetched, for operators: no secrets, no data.
type Failure = String;

/// Why a fetch of several entities failed, and what that says about each.
#[derive(Debug)]
enum Blame {
    /// The database refuses one of them and does not say which.
    SomeOne(Failure),
    /// No entity is to blame: the upstream or the database is not there, or not set up.
    Nobody(Failure),
}

impl From<StreamError> for Blame {
    fn from(error: StreamError) -> Self {
        let text = error.public();
        match error {
            StreamError::Database(error) if error.as_database_error().is_some() && !is_contention(&error) => {
                Self::SomeOne(text)
            }
            _ => Self::Nobody(text),
        }
    }
}

/// What a pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passed {
    /// Deliveries that were attempted.
    pub attempted: usize,
    /// Whether there may be more that are due.
    pub was_full: bool,
}

/// Attempts what is due of a source, one batch.
///
/// # Errors
/// Database errors; what was claimed comes again after its lease.
pub async fn pass(app: &Arc<App>, source: Source) -> sqlx::Result<Passed> {
    let claimed = store::write(&app.db, "claim_webhooks", |conn| claim(conn, app, source).scope_boxed()).await?;
    if claimed.is_empty() {
        return Ok(Passed::default());
    }
    let failures = fetch_all(app, source, &claimed).await;
    app.mirror.pending.notify_one();
    let ended = store::write(&app.db, "end_webhooks", |conn| end(conn, app, source, &claimed, &failures).scope_boxed());
    ended.await?;
    Ok(Passed { attempted: claimed.len(), was_full: i64::try_from(claimed.len()).is_ok_and(|n| n >= BATCH) })
}

async fn claim(conn: &mut PgConnection, app: &App, source: Source) -> sqlx::Result<Vec<ClaimedRow>> {
    let now = app.clock.read(conn).await?;
    queries::claim(conn, source, now, LEASE, BATCH).await
}

/// What a delivery is about.
type Subject = (Entity, i64);

fn subject_of(row: &ClaimedRow) -> Option<Subject> {
    row.entity.as_deref().and_then(Entity::parse).zip(row.entity_id)
}

/// Fetches every entity that the deliveries are about, once. Gives what could not be fetched.
async fn fetch_all(app: &Arc<App>, source: Source, claimed: &[ClaimedRow]) -> BTreeMap<Subject, Failure> {
    let mut wanted: BTreeMap<Entity, BTreeSet<i64>> = BTreeMap::new();
    for (entity, id) in claimed.iter().filter(|row| row.attempts <= RETRY.most_failures).filter_map(subject_of) {
        wanted.entry(entity).or_default().insert(id);
    }
    let fetches = wanted.into_iter().map(|(entity, ids)| async move {
        let failures = fetch(app, source, entity, ids.into_iter().collect()).await;
        failures.into_iter().map(move |(id, failure)| ((entity, id), failure))
    });
    join_all(fetches).await.into_iter().flatten().collect()
}

/// Fetches entities of one kind. Those that are to blame for a failure are found, within bounds, and the others are
/// fetched without them.
async fn fetch(app: &Arc<App>, source: Source, entity: Entity, ids: Vec<i64>) -> Vec<(i64, Failure)> {
    let (mut left, mut failures) = (vec![ids], Vec::new());
    for _ in 0..MOST_FETCHES {
        let Some(ids) = left.pop() else { return failures };
        match refetch(app, source, entity, &ids).await.map_err(Blame::from) {
            Ok(Refetched { unreadable, .. }) => {
                let why = |error: &UpstreamError| format!("it cannot be read: {}", error.public());
                failures.extend(unreadable.iter().map(|(id, error)| (*id, why(error))));
            }
            Err(Blame::SomeOne(_)) if ids.len() > 1 => {
                let (some, others) = ids.split_at(ids.len() / 2);
                left.extend([some.to_vec(), others.to_vec()]);
            }
            Err(Blame::Nobody(why) | Blame::SomeOne(why)) => {
                let rest = std::mem::take(&mut left).into_iter().flatten().chain(ids);
                failures.extend(rest.map(|id| (id, why.clone())));
            }
        }
    }
    let rest = left.into_iter().flatten();
    failures.extend(rest.map(|id| (id, "too many others of its batch could not be fetched".to_owned())));
    failures
}

async fn refetch(app: &Arc<App>, source: Source, entity: Entity, ids: &[i64]) -> Result<Refetched, StreamError> {
    match (source, entity) {
        (Source::Shopify, Entity::Order) => refetch::shopify(app, refetch::Entity::Order, ids).await,
        (Source::Shopify, Entity::Product) => refetch::shopify(app, refetch::Entity::Product, ids).await,
        (Source::Shopify, Entity::Location) => refetch::shopify(app, refetch::Entity::Location, ids).await,
        (Source::Recharge, Entity::Order) => refetch::recharge(app, RechargeEntity::Order, ids).await,
        (Source::Recharge, Entity::Charge) => refetch::recharge(app, RechargeEntity::Charge, ids).await,
        (Source::Recharge, Entity::Subscription) => refetch::recharge(app, RechargeEntity::Subscription, ids).await,
        (Source::Recharge, Entity::Customer) => refetch::recharge(app, RechargeEntity::Customer, ids).await,
        // No topic of the one is about what only the other has.
        (Source::Shopify, _) | (Source::Recharge, Entity::Product | Entity::Location) => Ok(Refetched::default()),
    }
}

/// Writes down how the attempts ended.
async fn end(
    conn: &mut PgConnection,
    app: &App,
    source: Source,
    claimed: &[ClaimedRow],
    failures: &BTreeMap<Subject, Failure>,
) -> sqlx::Result<()> {
    let now = app.clock.read(conn).await?;
    let ended: Vec<Ended> = claimed
        .iter()
        .map(|row| {
            let random = crate::ids::new_uuid().as_bytes()[9];
            settled(row, subject_of(row).and_then(|subject| failures.get(&subject)), now, random)
        })
        .collect();
    queries::end(conn, source, now, &ended).await?;
    tell(source, claimed, &ended, now);
    Ok(())
}

/// What becomes of a delivery after an attempt. Pure.
fn settled(row: &ClaimedRow, failure: Option<&Failure>, now: DateTime<Utc>, random: u8) -> Ended {
    let outcome = match failure {
        Some(failure) => Outcome::Failed(JobError::Failed(failure.clone())),
        // Not tried: it ends whoever tries.
        None if row.attempts > RETRY.most_failures => {
            Outcome::Failed(JobError::Refused("its workers died, one after the other".to_owned()))
        }
        None => Outcome::Succeeded(Report::default()),
    };
    let settled = settle(&outcome, row.attempts - 1, RETRY, now, random);
    Ended {
        delivery_id: row.delivery_id.clone(),
        attempts: row.attempts,
        status: settled.status.into(),
        next_attempt_at: settled.next_attempt_at,
        error: settled.error,
    }
}

fn tell(source: Source, claimed: &[ClaimedRow], ended: &[Ended], now: DateTime<Utc>) {
    for (row, end) in claimed.iter().zip(ended) {
        let result = match end.status {
            DeliveryStatus::Failed => {
                let error = end.error.as_deref().unwrap_or_default();
                tracing::error!(%source, delivery = row.delivery_id, error, "a webhook was given up; polls go on");
                "failed"
            }
            DeliveryStatus::Pending => "retried",
            _ => {
                let waited = (now - row.received_at).as_seconds_f64().max(0.0);
                metrics::histogram!("holdfast_webhook_wait_seconds", "source" => source.as_str()).record(waited);
                "done"
            }
        };
        let labels = [("source", source.as_str()), ("result", result)];
        metrics::counter!("holdfast_webhook_attempts_total", &labels).increment(1);
    }
}
