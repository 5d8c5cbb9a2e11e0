//! Subscriptions.

use sqlx::PgConnection;

use super::CHUNK;
use crate::mirror::rows::RechargeSubscription;
use crate::mirror::store::columns::{code, column, json, newest, plain};

/// Writes the subscriptions that are newer than their copies; gives their ids. Within a transaction of the mirror.
///
/// # Errors
/// Database errors.
pub async fn write_subscriptions(
    conn: &mut PgConnection,
    subscriptions: &[RechargeSubscription],
) -> sqlx::Result<Vec<i64>> {
    let mut written = Vec::new();
    for chunk in newest(subscriptions).chunks(CHUNK) {
        written.append(&mut upsert(conn, chunk).await?);
    }
    Ok(written)
}

async fn upsert(conn: &mut PgConnection, subscriptions: &[&RechargeSubscription]) -> sqlx::Result<Vec<i64>> {
    let documents = column(subscriptions, |subscription| json(&subscription.document));
    sqlx::query_scalar!(
        r#"
        INSERT INTO mirror.recharge_subscriptions AS stored (
            subscription_id, customer_id, status, variant_id, product_id, sku, quantity, next_charge_date, updated_at,
            fetched_at, document
        )
        SELECT
            given.subscription_id, given.customer_id, given.status, given.variant_id, given.product_id, given.sku,
            given.quantity, given.next_charge_date, given.updated_at, given.fetched_at, given.document::jsonb
        FROM UNNEST(
            $1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[], $8::date[],
            $9::timestamptz[], $10::timestamptz[], $11::text[]
        ) AS given (
            subscription_id, customer_id, status, variant_id, product_id, sku, quantity, next_charge_date, updated_at,
            fetched_at, document
        )
        LEFT JOIN LATERAL (
            SELECT same.subscription_id, same.updated_at, same.fetched_at, same.deleted_at, same.document
            FROM mirror.recharge_subscriptions AS same
            WHERE same.subscription_id = given.subscription_id
            OFFSET 0
        ) AS known ON true
        WHERE known.subscription_id IS NULL
            OR (given.updated_at, given.fetched_at) > (known.updated_at, known.fetched_at)
            AND (
                given.updated_at > known.updated_at
                OR known.deleted_at IS NOT NULL
                OR known.document <> given.document::jsonb
            )
        ORDER BY given.subscription_id
        ON CONFLICT (subscription_id) DO UPDATE
        SET customer_id = excluded.customer_id, status = excluded.status, variant_id = excluded.variant_id, product_id
            = excluded.product_id, sku = excluded.sku, quantity = excluded.quantity, next_charge_date =
            excluded.next_charge_date, updated_at = excluded.updated_at, fetched_at = excluded.fetched_at, deleted_at =
            NULL, document = excluded.document
        WHERE (excluded.updated_at, excluded.fetched_at) > (stored.updated_at, stored.fetched_at)
            AND (
                excluded.updated_at > stored.updated_at
                OR stored.deleted_at IS NOT NULL
                OR excluded.document <> stored.document
            )
        RETURNING subscription_id
        "#,
        &column(subscriptions, |subscription| subscription.subscription_id),
        &column(subscriptions, |subscription| subscription.customer_id) as &[Option<i64>],
        &column(subscriptions, |subscription| plain(&subscription.status)) as &[&str],
        &column(subscriptions, |subscription| subscription.variant_id) as &[Option<i64>],
        &column(subscriptions, |subscription| subscription.product_id) as &[Option<i64>],
        &column(subscriptions, |subscription| code(subscription.sku.as_ref())) as &[Option<&str>],
        &column(subscriptions, |subscription| subscription.quantity),
        &column(subscriptions, |subscription| subscription.next_charge_date) as &[Option<_>],
        &column(subscriptions, |subscription| subscription.updated_at),
        &column(subscriptions, |subscription| subscription.fetched_at),
        &documents,
    )
    .fetch_all(conn)
    .await
}
