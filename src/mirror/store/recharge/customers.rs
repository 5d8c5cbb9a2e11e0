//! Customers: who subscribes, without names, addresses and contact data.

use sqlx::PgConnection;

use super::CHUNK;
use crate::mirror::rows::RechargeCustomer;
use crate::mirror::store::columns::{column, json, newest};

/// Writes the customers that are newer than their copies; gives their ids. Within a transaction of the mirror.
///
/// # Errors
/// Database errors.
pub async fn write_customers(conn: &mut PgConnection, customers: &[RechargeCustomer]) -> sqlx::Result<Vec<i64>> {
    let mut written = Vec::new();
    for chunk in newest(customers).chunks(CHUNK) {
        written.append(&mut upsert(conn, chunk).await?);
    }
    Ok(written)
}

async fn upsert(conn: &mut PgConnection, customers: &[&RechargeCustomer]) -> sqlx::Result<Vec<i64>> {
    let documents = column(customers, |customer| json(&customer.document));
    sqlx::query_scalar!(
        r#"
        INSERT INTO mirror.recharge_customers AS stored (
            customer_id, external_customer_id, updated_at, fetched_at, document
        )
        SELECT
            given.customer_id, given.external_customer_id, given.updated_at, given.fetched_at, given.document::jsonb
        FROM UNNEST(
            $1::bigint[], $2::bigint[], $3::timestamptz[], $4::timestamptz[], $5::text[]
        ) AS given (
            customer_id, external_customer_id, updated_at, fetched_at, document
        )
        LEFT JOIN LATERAL (
            SELECT same.customer_id, same.updated_at, same.fetched_at, same.deleted_at, same.document
            FROM mirror.recharge_customers AS same
            WHERE same.customer_id = given.customer_id
            OFFSET 0
        ) AS known ON true
        WHERE known.customer_id IS NULL
            OR (given.updated_at, given.fetched_at) > (known.updated_at, known.fetched_at)
            AND (
                given.updated_at > known.updated_at
                OR known.deleted_at IS NOT NULL
                OR known.document <> given.document::jsonb
            )
        ORDER BY given.customer_id
        ON CONFLICT (customer_id) DO UPDATE
        SET external_customer_id = excluded.external_customer_id, updated_at = excluded.updated_at, fetched_at =
            excluded.fetched_at, deleted_at = NULL, document = excluded.document
        WHERE (excluded.updated_at, excluded.fetched_at) > (stored.updated_at, stored.fetched_at)
            AND (
                excluded.updated_at > stored.updated_at
                OR stored.deleted_at IS NOT NULL
                OR excluded.document <> stored.document
            )
        RETURNING customer_id
        "#,
        &column(customers, |customer| customer.customer_id),
        &column(customers, |customer| customer.external_customer_id) as &[Option<i64>],
        &column(customers, |customer| customer.updated_at),
        &column(customers, |customer| customer.fetched_at),
        &documents,
    )
    .fetch_all(conn)
    .await
}
