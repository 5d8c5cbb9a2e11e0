//! What is gone upstream. Rows are marked and stay: orders and links name them.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::progress::bump;
use super::seen::Kind;
use crate::mirror::rows::Source;

/// Marks these copies gone, which an upstream asked at `asked_at` did not have. What is marked already, or was seen
/// later than that, is left alone. Orders that are marked are applied again. Gives the ids. Within a transaction of the
/// mirror.
///
/// # Errors
/// Database errors.
pub async fn mark(conn: &mut PgConnection, kind: Kind, ids: &[i64], asked_at: DateTime<Utc>) -> sqlx::Result<Vec<i64>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    match kind {
        Kind::Product => mark_products(conn, ids, asked_at).await,
        Kind::Order => {
            let marked = mark_orders(conn, ids, asked_at).await?;
            bump(conn, Source::Shopify, &marked, Some(asked_at)).await?;
            Ok(marked)
        }
        Kind::Customer => mark_customers(conn, ids, asked_at).await,
        Kind::Subscription => mark_subscriptions(conn, ids, asked_at).await,
        Kind::Charge => mark_charges(conn, ids, asked_at).await,
        Kind::RechargeOrder => {
            let marked = mark_recharge_orders(conn, ids, asked_at).await?;
            bump(conn, Source::Recharge, &marked, Some(asked_at)).await?;
            Ok(marked)
        }
    }
}

/// With the variants: without their product they cannot be bought.
async fn mark_products(conn: &mut PgConnection, ids: &[i64], asked_at: DateTime<Utc>) -> sqlx::Result<Vec<i64>> {
    let marked = sqlx::query_scalar!(
        r#"
        UPDATE mirror.products
        SET deleted_at = $2, fetched_at = $2
        WHERE product_id = ANY($1) AND deleted_at IS NULL AND fetched_at < $2
        RETURNING product_id
        "#,
        ids,
        asked_at,
    )
    .fetch_all(&mut *conn)
    .await?;
    sqlx::query!(
        r#"
        UPDATE mirror.variants
        SET deleted_at = $2, fetched_at = $2
        WHERE product_id = ANY($1) AND deleted_at IS NULL AND fetched_at < $2
        "#,
        &marked,
        asked_at,
    )
    .execute(conn)
    .await?;
    Ok(marked)
}

async fn mark_orders(conn: &mut PgConnection, ids: &[i64], asked_at: DateTime<Utc>) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        UPDATE mirror.orders
        SET deleted_at = $2, fetched_at = $2
        WHERE order_id IN (
            SELECT order_id
            FROM mirror.orders
            WHERE order_id = ANY($1) AND deleted_at IS NULL AND fetched_at < $2
            ORDER BY order_id
            FOR UPDATE
        )
        RETURNING order_id
        "#,
        ids,
        asked_at,
    )
    .fetch_all(conn)
    .await
}

async fn mark_customers(conn: &mut PgConnection, ids: &[i64], asked_at: DateTime<Utc>) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        UPDATE mirror.recharge_customers
        SET deleted_at = $2, fetched_at = $2
        WHERE customer_id = ANY($1) AND deleted_at IS NULL AND fetched_at < $2
        RETURNING customer_id
        "#,
        ids,
        asked_at,
    )
    .fetch_all(conn)
    .await
}

async fn mark_subscriptions(conn: &mut PgConnection, ids: &[i64], asked_at: DateTime<Utc>) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        UPDATE mirror.recharge_subscriptions
        SET deleted_at = $2, fetched_at = $2
        WHERE subscription_id = ANY($1) AND deleted_at IS NULL AND fetched_at < $2
        RETURNING subscription_id
        "#,
        ids,
        asked_at,
    )
    .fetch_all(conn)
    .await
}

/// Recharge no longer shows paid charges that are older than 90 days (changelog of 2025-03-19): those have not gone.
async fn mark_charges(conn: &mut PgConnection, ids: &[i64], asked_at: DateTime<Utc>) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        UPDATE mirror.recharge_charges
        SET deleted_at = $2, fetched_at = $2
        WHERE charge_id = ANY($1) AND deleted_at IS NULL AND fetched_at < $2
            AND status NOT IN ('success', 'refunded', 'partially_refunded')
        RETURNING charge_id
        "#,
        ids,
        asked_at,
    )
    .fetch_all(conn)
    .await
}

async fn mark_recharge_orders(conn: &mut PgConnection, ids: &[i64], asked_at: DateTime<Utc>) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        UPDATE mirror.recharge_orders
        SET deleted_at = $2, fetched_at = $2
        WHERE order_id IN (
            SELECT order_id
            FROM mirror.recharge_orders
            WHERE order_id = ANY($1) AND deleted_at IS NULL AND fetched_at < $2
            ORDER BY order_id
            FOR UPDATE
        )
        RETURNING order_id
        "#,
        ids,
        asked_at,
    )
    .fetch_all(conn)
    .await
}
