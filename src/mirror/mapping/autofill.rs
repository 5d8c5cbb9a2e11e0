//! Mappings that make themselves: a variant whose code is, to the letter, the code of a SKU is one unit of that SKU.
//!
//! Only the first version is ever made here. A mapped variant keeps its mapping when its code changes upstream, and a
//! retired SKU takes no new variants: whether what has its code now is the same thing is for an operator to say.
//!
//! Every pass also has orders applied again whose unmatched lines could be matched by now. It goes by what is there,
//! not by what it has just done itself, so a line that was written down while its mapping was made is found a minute
//! later.

use std::sync::Arc;
use std::time::Duration;

use scoped_futures::ScopedFutureExt;
use sqlx::PgConnection;

use super::retire;
use super::touch::{OrderKey, touch};
use crate::app::App;
use crate::db::tx;
use crate::jobs::{Job, JobError, Report, Slot};
use crate::ledger::world::HOUSE;
use crate::mirror::store;

/// Variants of one transaction.
const VARIANTS: i64 = 2000;
/// Orders of one transaction.
const ORDERS: i64 = 1000;

/// The job.
#[must_use]
pub fn job() -> Job {
    let about = "Maps variants whose code is the code of a SKU, and retires SKUs whose last variant is gone.";
    Job::every("mirror_mapping", about, Duration::from_mins(1), |app, slot| async move { run(&app, &slot).await })
}

async fn run(app: &Arc<App>, slot: &Slot) -> Result<Report, JobError> {
    let mut mapped = 0;
    loop {
        slot.go_on()?;
        let page = tx::write(&app.db, "fill_mappings", |conn| fill(conn, app).scope_boxed()).await?;
        mapped += page;
        if page == 0 {
            break;
        }
    }
    let retired = retire::retire_gone(app).await?;
    let touched = touch_matchable(app, slot).await?;
    Ok(Report::of(serde_json::json!({ "mapped": mapped, "retired_skus": retired, "touched_orders": touched })))
}

async fn fill(conn: &mut PgConnection, app: &App) -> sqlx::Result<u64> {
    let now = app.clock.read(conn).await?;
    let filled = sqlx::query!(
        r#"
        WITH filled AS (
            INSERT INTO variant_mappings (variant_id, version, origin, open_lines_follow, client_id, created_at)
            SELECT v.variant_id, 1, 'sku_code', false, $1, $2
            FROM mirror.variants AS v
            JOIN skus AS s ON s.code = v.sku AND s.status = 'active'
            WHERE v.deleted_at IS NULL
                AND NOT EXISTS (SELECT FROM variant_mappings AS m WHERE m.variant_id = v.variant_id)
            ORDER BY v.variant_id
            LIMIT $3
            ON CONFLICT (variant_id, version) DO NOTHING
            RETURNING variant_id, version
        )
        INSERT INTO variant_components (variant_id, version, sku_id, quantity)
        SELECT f.variant_id, f.version, s.sku_id, 1
        FROM filled AS f
        JOIN mirror.variants AS v ON v.variant_id = f.variant_id
        JOIN skus AS s ON s.code = v.sku
        "#,
        HOUSE.0,
        now,
        VARIANTS,
    )
    .execute(conn)
    .await?;
    Ok(filled.rows_affected())
}

async fn touch_matchable(app: &App, slot: &Slot) -> Result<usize, JobError> {
    let mut touched = 0;
    let mut after = (String::new(), i64::MIN);
    loop {
        slot.go_on()?;
        let from = &after;
        let orders = store::write(&app.db, "touch_matchable", |conn| touch_page(conn, from).scope_boxed()).await?;
        touched += orders.len();
        app.mirror.pending.notify_one();
        match orders.into_iter().last() {
            Some(last) => after = last,
            None => return Ok(touched),
        }
    }
}

async fn touch_page(conn: &mut PgConnection, after: &OrderKey) -> sqlx::Result<Vec<OrderKey>> {
    let orders = list_matchable(conn, after).await?;
    touch(conn, &orders).await?;
    Ok(orders)
}

/// Orders with a line that is unmatched though something says now what it is. One that waits to be applied anyway is
/// left alone: touching it would undo its pauses between attempts.
async fn list_matchable(conn: &mut PgConnection, after: &OrderKey) -> sqlx::Result<Vec<OrderKey>> {
    let rows = sqlx::query!(
        r#"
        SELECT DISTINCT u.source, u.order_id
        FROM unmatched_lines AS u
        JOIN mirror.order_progress AS p ON p.source = u.source AND p.order_id = u.order_id
        WHERE (u.source, u.order_id) > ($1, $2)
            AND p.applied_revision = p.revision
            AND (
                EXISTS (SELECT FROM variant_mappings AS m WHERE m.variant_id = u.variant_id)
                OR EXISTS (SELECT FROM skus AS s WHERE s.code = u.sku AND s.status = 'active')
                OR EXISTS (
                    SELECT FROM line_mappings AS l
                    WHERE l.source = u.source AND l.order_id = u.order_id AND l.line_ref = u.line_ref
                )
            )
        ORDER BY u.source, u.order_id
        LIMIT $3
        "#,
        after.0,
        after.1,
        ORDERS,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.source, row.order_id)).collect())
}
