//! What is off sale stays off sale.
//!
//! Lots past their expiry go off sale at the pool's local midnight. The write path does so itself for every SKU that it
//! locks; here is who asks it to where nothing is being written: readers who see a due date, and housekeeping, which can
//! be down without harm.

use std::sync::Arc;

use chrono::NaiveDate;

use crate::app::App;
use crate::catalog::Pool;
use crate::ids::{PoolId, SkuId};
use crate::ledger::command::{Command, ExpireLots};
use crate::ledger::lanes::{LaneError, hint_of_sku};
use crate::ledger::submission::Submission;
use crate::ledger::world::HOUSE;

const PAGE: i64 = 500;
const PAGE_SKUS: usize = 500;

/// The local day in a pool, by this process' clock: good enough to ask, never to decide.
#[must_use]
pub fn today(app: &App, pool: PoolId) -> NaiveDate {
    let now = app.clock.local_now();
    app.catalogue.current().pool(pool).map_or_else(|| now.date_naive(), |pool| pool.date_at(now))
}

/// What is to be off sale may not be: to be tried again.
#[derive(Debug, thiserror::Error)]
pub enum ExpiryError {
    /// The database refused or could not be reached.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// A lane did not do it.
    #[error("lots were not kept off sale: {0}")]
    Lane(#[from] LaneError),
}

/// Has the lanes take due lots of these SKUs off sale, and keep off sale what is there of lots that are.
///
/// # Errors
/// [`LaneError`] of the first SKU that it was not done for; it was tried for all.
pub async fn expire(app: &App, pool: PoolId, skus: &[SkuId]) -> Result<(), LaneError> {
    let catalogue = app.catalogue.current();
    let submissions = skus.iter().map(|sku| {
        let submission = Submission {
            client: HOUSE,
            key: None,
            pool,
            request_id: "expiry".into(),
            instance: "".into(),
            command: Command::ExpireLots(ExpireLots { sku: *sku }),
        };
        app.lanes.submit(submission, hint_of_sku(&catalogue.sku_code(*sku)))
    });
    futures_util::future::join_all(submissions).await.into_iter().try_for_each(|answer| answer.map(drop))
}

/// One pass over every pool.
///
/// # Errors
/// [`ExpiryError`], after all pools where it is a lane's; what went off sale stays off sale.
pub async fn sweep(app: &Arc<App>) -> Result<(), ExpiryError> {
    let mut swept = Ok(());
    let pools: Vec<Arc<Pool>> = app.catalogue.current().pools().cloned().collect();
    for pool in pools {
        let mut after = 0;
        loop {
            let due = find_due(app, pool.id, after).await?;
            let Some(last) = due.last().copied() else { break };
            after = last.0;
            swept = swept.and(expire(app, pool.id, &due).await);
        }
    }
    Ok(swept?)
}

/// Has the lanes look at every SKU of a pool of which a lot is off sale, but not all that is left of it: what of it is on
/// the shelf is kept from sale. Whatever changes which lots shipped units will be taken from sees to that itself, a
/// change of the order in which a class's lots are taken excepted: that is why the close of a day asks for it.
///
/// # Errors
/// [`ExpiryError`]; what was kept off sale is.
pub async fn keep_off_sale(app: &App, pool: PoolId) -> Result<(), ExpiryError> {
    let skus = sqlx::query_scalar!(
        r#"
        SELECT DISTINCT sku_id
        FROM lots
        WHERE pool_id = $1 AND is_open AND status <> 'available' AND quarantined_quantity < remaining_quantity
        ORDER BY sku_id
        "#,
        pool.0,
    )
    .fetch_all(&app.db)
    .await?;
    let skus: Vec<SkuId> = skus.into_iter().map(SkuId).collect();
    for page in skus.chunks(PAGE_SKUS) {
        expire(app, pool, page).await?;
    }
    Ok(())
}

async fn find_due(app: &App, pool: PoolId, after: i64) -> sqlx::Result<Vec<SkuId>> {
    let skus = sqlx::query_scalar!(
        r#"
        SELECT sku_id
        FROM stock
        WHERE pool_id = $1 AND sku_id > $2 AND next_expires_date <= $3
        ORDER BY sku_id
        LIMIT $4
        "#,
        pool.0,
        after,
        today(app, pool),
        PAGE,
    )
    .fetch_all(&app.db)
    .await?;
    Ok(skus.into_iter().map(SkuId).collect())
}
