//! Many receipts in one transaction that is not a lane's: first the lots, which nobody waits for, then the balances,
//! which everybody does. So a file of a hundred thousand lots keeps its balance rows locked for the second half only.
//!
//! Both halves are made of the same parts as any other batch: the same rules decide, the same statements write.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

use super::{BatchError, Named, Plan, Setting, decide_all, goods, load, lots, write};
use crate::catalog::Catalogue;
use crate::ids::{ClientId, LotId, PoolId, SkuId};
use crate::ledger::balance::Balance;
use crate::ledger::command::{Command, Receive};
use crate::ledger::decide::receive::{arriving, differences, tracked_sku};
use crate::ledger::outcome::{LotRecord, Outcome, Violation};
use crate::ledger::submission::Submission;
use crate::ledger::world::World;

/// What became of a receipt.
#[derive(Debug)]
pub enum Arrival {
    /// Its lot is in the tables; its units are not on the shelf before they are posted.
    New,
    /// Its source reference was entered before.
    Repeated {
        /// The lot that stands.
        first: LotId,
        /// What was sent differently this time.
        differences: Vec<&'static str>,
    },
    /// There is no such SKU to receive, by now.
    Refused(Violation),
}

/// Writes the lots of these receipts, each with the transaction of its arrival. No balance row is locked.
pub(crate) async fn put(
    conn: &mut PgConnection,
    setting: &Setting<'_>,
    pool: PoolId,
    client: ClientId,
    receives: &[Receive],
) -> Result<Vec<Arrival>, BatchError> {
    let skus: Vec<Result<SkuId, Violation>> =
        receives.iter().map(|receive| tracked_sku(setting.catalogue, "/sku", &receive.sku)).collect();
    let known: BTreeSet<i64> = skus.iter().flatten().map(|sku| sku.0).collect();
    load::ensure_stock(conn, pool, &known.into_iter().collect::<Vec<_>>(), setting.clock).await?;
    let now = setting.clock.at(load::read_under_lock(conn, pool, &[], &[]).await?.now);
    // No day begins to close before these are on the shelf: they would be booked on a day that is over.
    sqlx::query!("SELECT FROM pools WHERE pool_id = $1 FOR SHARE", pool.0).execute(&mut *conn).await?;
    let mut world = World::new(pool, now, setting.catalogue);
    let last = goods::find_last_snapshot(conn, pool).await?;
    world.put_first_open_date(last.and_then(|date| date.succ_opt()));
    let arrivals: Vec<(LotRecord, NaiveDate)> = receives
        .iter()
        .zip(&skus)
        .filter_map(|(receive, sku)| Some(arriving(&world, client, *sku.as_ref().ok()?, receive, "receipt")))
        .map(|lot| (world.booked_on(lot.received.received_date), lot))
        .map(|(booked_on, lot)| (lot, booked_on))
        .collect();
    let inserted = lots::insert(conn, pool, &arrivals).await?;
    let repeated = arrivals.iter().filter(|(lot, _)| !inserted.contains(&lot.id.uuid)).map(|(lot, _)| &lot.received);
    let standing = find_standing(conn, pool, repeated).await?;
    receives
        .iter()
        .zip(skus)
        .map(|(receive, sku)| match sku {
            Err(violation) => Ok(Arrival::Refused(violation)),
            Ok(_) if inserted.contains(&receive.id.uuid) => Ok(Arrival::New),
            Ok(_) => {
                let key = (receive.source.clone(), receive.source_ref.clone());
                let first = standing.get(&key).ok_or(BatchError::Raced("lots"))?;
                Ok(Arrival::Repeated { first: first.id, differences: differences(setting.catalogue, first, receive) })
            }
        })
        .collect()
}

type Standing = HashMap<(String, Option<String>), LotRecord>;

async fn find_standing(
    conn: &mut PgConnection,
    pool: PoolId,
    receives: impl Iterator<Item = &Receive>,
) -> sqlx::Result<Standing> {
    let (sources, source_refs): (Vec<String>, Vec<String>) =
        receives.filter_map(|receive| Some((receive.source.clone(), receive.source_ref.clone()?))).unzip();
    let mut standing = Standing::new();
    if !sources.is_empty() {
        for lot in load::find_lots_by_source_ref(conn, pool, &sources, &source_refs).await? {
            standing.insert((lot.received.source.clone(), lot.received.source_ref.clone()), lot);
        }
    }
    Ok(standing)
}

/// Which of these receipts were entered before, as which lot, and what would be different; only looks.
pub(crate) async fn find_repeated(
    conn: &mut PgConnection,
    catalogue: &Catalogue,
    pool: PoolId,
    receives: &[Receive],
) -> sqlx::Result<Vec<Option<(LotId, Vec<&'static str>)>>> {
    let standing = find_standing(conn, pool, receives.iter()).await?;
    Ok(receives
        .iter()
        .map(|receive| {
            let first = standing.get(&(receive.source.clone(), receive.source_ref.clone()))?;
            Some((first.id, differences(catalogue, first, receive)))
        })
        .collect())
}

/// What was posted, for those who keep balances in memory.
pub(crate) struct Posted {
    pub balances: Vec<(SkuId, Balance)>,
    pub now: DateTime<Utc>,
}

/// Puts the units of lots that were [`put`] on the shelf: locks the balance rows in SKU order, decides, writes. Receipts
/// must come in the order of their SKUs' ids, over all calls of one transaction.
pub(crate) async fn post(
    conn: &mut PgConnection,
    setting: &Setting<'_>,
    pool: PoolId,
    receipts: &[Submission],
) -> Result<Posted, BatchError> {
    let mut named = Named::of(setting.catalogue, receipts);
    // Their own lots stand already: what they are named by is no earlier entry.
    named.sources.clear();
    named.source_refs.clear();
    let loaded = load(conn, setting, pool, &named).await?;
    let plan = Plan::of(receipts, &loaded.answers);
    let (outcomes, mut changes, now) = decide_all(conn, setting, pool, receipts, &plan, &loaded).await?;
    if !outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::Received(_))) {
        // The catalogue is the one that the lots were put in under, so this is a defect.
        return Err(BatchError::Unexpected(sqlx::Error::Decode("a lot that stands was refused".into())));
    }
    changes.lots.clear();
    write::write_changes(conn, pool, now, &changes).await?;
    Ok(Posted { balances: changes.balances, now })
}

/// A receipt as a command of the service's own: without a key, since its row is its key.
pub(crate) fn submission(client: ClientId, pool: PoolId, receive: Receive) -> Submission {
    Submission {
        client,
        key: None,
        pool,
        request_id: "".into(),
        instance: "".into(),
        command: Command::Receive(Box::new(receive)),
    }
}
