//! Orders of Recharge, with their lines. Once one is in Shopify, both are one order.

use sqlx::PgConnection;

use super::CHUNK;
use super::lines::{self, Owner};
use crate::mirror::rows::{RechargeOrder, Source};
use crate::mirror::store::columns::{column, json, newest, plain, some};
use crate::mirror::store::progress;

/// Writes the orders that are newer than their copies, with their lines, and has those applied; also the Shopify orders
/// that they turn out to be. Gives their ids. Within a transaction of the mirror.
///
/// # Errors
/// Database errors.
pub async fn write_recharge_orders(conn: &mut PgConnection, orders: &[RechargeOrder]) -> sqlx::Result<Vec<i64>> {
    let mut written = Vec::new();
    for chunk in newest(orders).chunks(CHUNK) {
        let before = find_links(conn, &column(chunk, |order| order.order_id)).await?;
        let mut ids = upsert(conn, chunk).await?;
        ids.sort_unstable();
        let changed: Vec<_> =
            chunk.iter().copied().filter(|order| ids.binary_search(&order.order_id).is_ok()).collect();
        lines::replace(conn, Owner::Order, &ids, &column(&changed, |order| (order.order_id, &*order.lines))).await?;
        progress::bump(conn, Source::Recharge, &ids, changed.iter().map(|order| order.fetched_at).max()).await?;
        let mut linked: Vec<i64> = changed
            .iter()
            .filter_map(|order| Some((order.order_id, order.external_order_id?)))
            .filter(|link| !before.contains(link))
            .map(|(_, shopify)| shopify)
            .collect();
        linked.sort_unstable();
        progress::touch_orders(conn, Source::Shopify, &linked).await?;
        written.append(&mut ids);
    }
    Ok(written)
}

/// Which Shopify orders these are, as far as is known.
async fn find_links(conn: &mut PgConnection, orders: &[i64]) -> sqlx::Result<Vec<(i64, i64)>> {
    let links = sqlx::query!(
        r#"
        SELECT order_id, external_order_id AS "external_order_id!"
        FROM mirror.recharge_orders
        WHERE order_id = ANY($1) AND external_order_id IS NOT NULL
        "#,
        orders,
    )
    .fetch_all(conn)
    .await?;
    Ok(links.into_iter().map(|link| (link.order_id, link.external_order_id)).collect())
}

async fn upsert(conn: &mut PgConnection, orders: &[&RechargeOrder]) -> sqlx::Result<Vec<i64>> {
    let documents = column(orders, |order| json(&order.document));
    sqlx::query_scalar!(
        r#"
        INSERT INTO mirror.recharge_orders AS stored (
            order_id, charge_id, customer_id, status, type, prepaid, scheduled_date, processed_at, external_order_id,
            external_order_name, updated_at, fetched_at, document
        )
        SELECT
            given.order_id, given.charge_id, given.customer_id, given.status, given.type, given.prepaid,
            given.scheduled_date, given.processed_at, given.external_order_id, given.external_order_name,
            given.updated_at, given.fetched_at, given.document::jsonb
        FROM UNNEST(
            $1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::boolean[], $7::date[],
            $8::timestamptz[], $9::bigint[], $10::text[], $11::timestamptz[], $12::timestamptz[], $13::text[]
        ) AS given (
            order_id, charge_id, customer_id, status, type, prepaid, scheduled_date, processed_at, external_order_id,
            external_order_name, updated_at, fetched_at, document
        )
        LEFT JOIN LATERAL (
            SELECT same.order_id, same.updated_at, same.fetched_at, same.deleted_at, same.document
            FROM mirror.recharge_orders AS same
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
        SET charge_id = excluded.charge_id, customer_id = excluded.customer_id, status = excluded.status, type =
            excluded.type, prepaid = excluded.prepaid, scheduled_date = excluded.scheduled_date, processed_at =
            excluded.processed_at, external_order_id = excluded.external_order_id, external_order_name =
            excluded.external_order_name, updated_at = excluded.updated_at, fetched_at = excluded.fetched_at,
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
        &column(orders, |order| order.charge_id) as &[Option<i64>],
        &column(orders, |order| order.customer_id) as &[Option<i64>],
        &column(orders, |order| plain(&order.status)) as &[&str],
        &column(orders, |order| some(order.kind.as_ref())) as &[Option<&str>],
        &column(orders, |order| order.prepaid),
        &column(orders, |order| order.scheduled_date) as &[Option<_>],
        &column(orders, |order| order.processed_at) as &[Option<_>],
        &column(orders, |order| order.external_order_id) as &[Option<i64>],
        &column(orders, |order| some(order.external_order_name.as_ref())) as &[Option<&str>],
        &column(orders, |order| order.updated_at),
        &column(orders, |order| order.fetched_at),
        &documents,
    )
    .fetch_all(conn)
    .await
}
