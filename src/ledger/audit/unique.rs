//! What partial unique indexes keep unique, counted again.
//!
//! Equal rows can lie anywhere in a pool, so these are not read in pages: each is one pass, in the order of the index
//! where it still stands. What is unique within one line or one lot is counted there.

use sqlx::PgConnection;

use super::pages;
use super::report::{Found, Report};
use crate::ids::PoolId;

pub(super) async fn check(conn: &mut PgConnection, pool: PoolId, report: &mut Report) -> sqlx::Result<()> {
    let mut tx = pages::snapshot(conn).await?;
    let mut found = find_references(&mut tx, pool).await?;
    found.extend(find_replaced(&mut tx, pool).await?);
    found.extend(find_source_refs(&mut tx, pool).await?);
    found.extend(find_oversells(&mut tx, pool).await?);
    tx.commit().await?;
    report.add(Some(pool), found)
}

async fn find_references(conn: &mut PgConnection, pool: PoolId) -> sqlx::Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"
        SELECT
            'client_references_unique' AS "check!",
            format('client %s reference %s', client_id, client_reference) AS "subject!",
            format('%s reservations stand under it', count(*)) AS "detail!"
        FROM reservations
        WHERE pool_id = $1
            AND client_reference IS NOT NULL
            AND state IN ('held', 'committed', 'fulfilled', 'reconciled')
        GROUP BY client_id, client_reference
        HAVING count(*) > 1
        "#,
        pool.0,
    )
    .fetch_all(conn)
    .await
}

async fn find_replaced(conn: &mut PgConnection, pool: PoolId) -> sqlx::Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"
        SELECT
            'replaced_once' AS "check!",
            format('reservation %s', replaces_id) AS "subject!",
            format('%s reservations replace it by %s', count(*), origin) AS "detail!"
        FROM reservations
        WHERE pool_id = $1 AND replaces_id IS NOT NULL
        GROUP BY replaces_id, origin
        HAVING count(*) > 1
        "#,
        pool.0,
    )
    .fetch_all(conn)
    .await
}

async fn find_source_refs(conn: &mut PgConnection, pool: PoolId) -> sqlx::Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"
        SELECT
            'lot_source_refs_unique' AS "check!",
            format('source %s reference %s', source, source_ref) AS "subject!",
            format('%s lots were received under it', count(*)) AS "detail!"
        FROM lots
        WHERE pool_id = $1 AND source_ref IS NOT NULL
        GROUP BY source, source_ref
        HAVING count(*) > 1
        "#,
        pool.0,
    )
    .fetch_all(conn)
    .await
}

async fn find_oversells(conn: &mut PgConnection, pool: PoolId) -> sqlx::Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"
        SELECT
            'oversells_unique_per_line' AS "check!",
            format('reservation %s line %s', reservation_id, line) AS "subject!",
            format('%s oversells name it', count(*)) AS "detail!"
        FROM oversells
        WHERE pool_id = $1 AND reservation_id IS NOT NULL
        GROUP BY reservation_id, line
        HAVING count(*) > 1
        "#,
        pool.0,
    )
    .fetch_all(conn)
    .await
}
