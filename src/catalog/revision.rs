//! The catalogue revision: taken by every change, read back to bring memory up to date.

use sqlx::PgConnection;

use super::zones;
use super::{Catalogue, Class, DepletionOrder, Policy, Pool, Sku, SkuStatus};
use crate::ids::{ClassId, PoolId, SkuId};

/// Takes the next revision. Its row lock is held until the transaction ends, so changes become visible in order.
///
/// # Errors
/// Database errors.
pub async fn take(conn: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!("UPDATE catalogue_revision SET revision = revision + 1 RETURNING revision")
        .fetch_one(conn)
        .await
}

/// Takes into `catalogue` everything newer than it.
///
/// # Errors
/// Database errors; a half-read catalogue must be thrown away.
pub async fn read_changes(conn: &mut PgConnection, catalogue: &mut Catalogue) -> sqlx::Result<()> {
    // Read first: what is committed while the rows are read is newer than this and will be read again.
    let newest = sqlx::query_scalar!("SELECT revision FROM catalogue_revision").fetch_one(&mut *conn).await?;
    let known = catalogue.revision;
    if newest == known {
        return Ok(());
    }
    // What refers is read before what it refers to, so a SKU is never in memory without its class.
    for sku in read_skus(conn, known).await? {
        catalogue.put_sku(sku);
    }
    for class in read_classes(conn, known).await? {
        catalogue.put_class(class);
    }
    for pool in read_pools(conn, known).await? {
        catalogue.put_pool(pool);
    }
    catalogue.revision = newest;
    Ok(())
}

async fn read_pools(conn: &mut PgConnection, known: i64) -> sqlx::Result<Vec<Pool>> {
    let rows = sqlx::query!(
        r#"
        SELECT
            p.*,
            array(SELECT last_date FROM pool_zones WHERE pool_id = p.pool_id ORDER BY last_date) AS "last_dates!",
            array(SELECT time_zone FROM pool_zones WHERE pool_id = p.pool_id ORDER BY last_date) AS "past_zones!"
        FROM pools AS p
        WHERE p.revision > $1
        "#,
        known,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Pool {
                id: PoolId(row.pool_id),
                code: row.code,
                name: row.name,
                zones: zones::read(&row.time_zone, &row.last_dates, &row.past_zones)?,
                revision: row.revision,
                created_at: row.created_at,
                updated_at: row.updated_at,
            })
        })
        .collect()
}

async fn read_classes(conn: &mut PgConnection, known: i64) -> sqlx::Result<Vec<Class>> {
    let rows = sqlx::query!("SELECT * FROM classes WHERE revision > $1", known).fetch_all(conn).await?;
    rows.into_iter()
        .map(|row| {
            let depletion_order = match row.depletion_order.as_str() {
                "fifo" => DepletionOrder::Fifo,
                "fefo" => DepletionOrder::Fefo,
                other => return Err(unknown_word("depletion order", other)),
            };
            let policy = Policy {
                hold_ttl_seconds: row.hold_ttl_seconds.into(),
                longest_hold_seconds: row.longest_hold_seconds.into(),
                safety_stock_quantity: row.safety_stock_quantity,
                oversell_tolerance_quantity: row.oversell_tolerance_quantity,
                max_per_hold_quantity: row.max_per_hold_quantity,
                low_stock_quantity: row.low_stock_quantity,
                depletion_order,
            };
            Ok(Class {
                id: ClassId(row.class_id),
                code: row.code,
                name: row.name,
                policy,
                revision: row.revision,
                created_at: row.created_at,
                updated_at: row.updated_at,
            })
        })
        .collect()
}

async fn read_skus(conn: &mut PgConnection, known: i64) -> sqlx::Result<Vec<Sku>> {
    let rows = sqlx::query!("SELECT * FROM skus WHERE revision > $1 ORDER BY revision", known).fetch_all(conn).await?;
    rows.into_iter()
        .map(|row| {
            let status = match row.status.as_str() {
                "active" => SkuStatus::Active,
                "retired" => SkuStatus::Retired,
                other => return Err(unknown_word("SKU status", other)),
            };
            Ok(Sku {
                id: SkuId(row.sku_id),
                code: row.code.into(),
                name: row.name,
                class: ClassId(row.class_id),
                tracked: row.tracked,
                tracked_since_at: row.tracked_since_at,
                status,
                revision: row.revision,
                created_at: row.created_at,
                updated_at: row.updated_at,
            })
        })
        .collect()
}

fn unknown_word(column: &str, word: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("unknown {column} {word:?}").into())
}
