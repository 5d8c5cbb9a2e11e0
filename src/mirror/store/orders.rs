//! Orders of Shopify.

use sqlx::PgConnection;

use super::columns::{code, column, json, money, newest, plain, some};
use super::{children, progress};
use crate::mirror::rows::{Order, Source};

/// Orders in one statement.
const CHUNK: usize = 500;

/// Writes the orders that are newer than their copies, with all that hangs on them, and has those applied. Gives their
/// ids. Within a transaction of the mirror.
///
/// # Errors
/// Database errors.
pub async fn write_orders(conn: &mut PgConnection, orders: &[Order]) -> sqlx::Result<Vec<i64>> {
    let mut written = Vec::new();
    for chunk in newest(orders).chunks(CHUNK) {
        let mut ids = upsert(conn, chunk).await?;
        if ids.is_empty() {
            continue;
        }
        ids.sort_unstable();
        let changed: Vec<&Order> =
            chunk.iter().copied().filter(|order| ids.binary_search(&order.order_id).is_ok()).collect();
        children::replace(conn, &ids, &changed).await?;
        progress::bump(conn, Source::Shopify, &ids, changed.iter().map(|order| order.fetched_at).max()).await?;
        written.append(&mut ids);
    }
    Ok(written)
}

/// The order rows alone. The join leaves out what would change nothing, before any row is locked; what another writer
/// has brought meanwhile is left out by the condition at the end. `LATERAL … OFFSET 0`: one look by key for each order,
/// whatever the planner believes the table to be.
async fn upsert(conn: &mut PgConnection, orders: &[&Order]) -> sqlx::Result<Vec<i64>> {
    let documents = column(orders, |order| json(&order.document));
    sqlx::query_scalar!(
        r#"
        INSERT INTO mirror.orders AS stored (
            order_id, name, created_at, processed_at, updated_at, cancelled_at, cancel_reason, closed_at, test, confirmed,
            financial_status, fulfilment_status, currency, total_price, source_name, reservation_id, pool_code, fetched_at,
            document
        )
        SELECT
            given.order_id, given.name, given.created_at, given.processed_at, given.updated_at, given.cancelled_at,
            given.cancel_reason, given.closed_at, given.test, given.confirmed, given.financial_status,
            given.fulfilment_status, given.currency, given.total_price, given.source_name, given.reservation_id,
            given.pool_code, given.fetched_at, given.document::jsonb
        FROM UNNEST(
            $1::bigint[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[],
            $7::text[], $8::timestamptz[], $9::boolean[], $10::boolean[], $11::text[], $12::text[], $13::text[],
            $14::numeric[], $15::text[], $16::text[], $17::text[], $18::timestamptz[], $19::text[]
        ) AS given (
            order_id, name, created_at, processed_at, updated_at, cancelled_at, cancel_reason, closed_at, test, confirmed,
            financial_status, fulfilment_status, currency, total_price, source_name, reservation_id, pool_code, fetched_at,
            document
        )
        LEFT JOIN LATERAL (
            SELECT same.order_id, same.updated_at, same.fetched_at, same.deleted_at, same.document
            FROM mirror.orders AS same
            WHERE same.order_id = given.order_id
            OFFSET 0
        ) AS known ON true
        WHERE known.order_id IS NULL
            OR (given.updated_at, given.fetched_at) > (known.updated_at, known.fetched_at)
            AND (
                given.updated_at > known.updated_at
                OR known.deleted_at IS NOT NULL
                OR known.document <> given.document::jsonb
            )
        ORDER BY given.order_id
        ON CONFLICT (order_id) DO UPDATE
        SET name = excluded.name, created_at = excluded.created_at, processed_at = excluded.processed_at,
            updated_at = excluded.updated_at, cancelled_at = excluded.cancelled_at,
            cancel_reason = excluded.cancel_reason, closed_at = excluded.closed_at, test = excluded.test,
            confirmed = excluded.confirmed, financial_status = excluded.financial_status,
            fulfilment_status = excluded.fulfilment_status, currency = excluded.currency,
            total_price = excluded.total_price, source_name = excluded.source_name,
            reservation_id = excluded.reservation_id, pool_code = excluded.pool_code, fetched_at = excluded.fetched_at,
            deleted_at = NULL, document = excluded.document
        WHERE (excluded.updated_at, excluded.fetched_at) > (stored.updated_at, stored.fetched_at)
            AND (
                excluded.updated_at > stored.updated_at
                OR stored.deleted_at IS NOT NULL
                OR excluded.document <> stored.document
            )
        RETURNING order_id
        "#,
        &column(orders, |order| order.order_id),
        &column(orders, |order| plain(&order.name)) as &[&str],
        &column(orders, |order| order.created_at),
        &column(orders, |order| order.processed_at) as &[Option<_>],
        &column(orders, |order| order.updated_at),
        &column(orders, |order| order.cancelled_at) as &[Option<_>],
        &column(orders, |order| some(order.cancel_reason.as_ref())) as &[Option<&str>],
        &column(orders, |order| order.closed_at) as &[Option<_>],
        &column(orders, |order| order.test),
        &column(orders, |order| order.confirmed),
        &column(orders, |order| some(order.financial_status.as_ref())) as &[Option<&str>],
        &column(orders, |order| some(order.fulfilment_status.as_ref())) as &[Option<&str>],
        &column(orders, |order| some(order.currency.as_ref())) as &[Option<&str>],
        &column(orders, |order| money(order.total_price)) as &[Option<_>],
        &column(orders, |order| some(order.source_name.as_ref())) as &[Option<&str>],
        &column(orders, |order| code(order.reservation_id.as_ref())) as &[Option<&str>],
        &column(orders, |order| code(order.pool_code.as_ref())) as &[Option<&str>],
        &column(orders, |order| order.fetched_at),
        &documents,
    )
    .fetch_all(conn)
    .await
}
