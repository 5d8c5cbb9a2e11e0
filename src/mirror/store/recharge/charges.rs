//! Charges, past and to come, with their lines.

use sqlx::PgConnection;

use super::CHUNK;
use super::lines::{self, Owner};
use crate::mirror::rows::RechargeCharge;
use crate::mirror::store::columns::{column, json, newest, plain};

/// Writes the charges that are newer than their copies, with their lines; gives their ids. Within a transaction of the
/// mirror.
///
/// # Errors
/// Database errors.
pub async fn write_charges(conn: &mut PgConnection, charges: &[RechargeCharge]) -> sqlx::Result<Vec<i64>> {
    let mut written = Vec::new();
    for chunk in newest(charges).chunks(CHUNK) {
        let mut ids = upsert(conn, chunk).await?;
        ids.sort_unstable();
        let changed: Vec<_> =
            chunk.iter().copied().filter(|charge| ids.binary_search(&charge.charge_id).is_ok()).collect();
        lines::replace(conn, Owner::Charge, &ids, &column(&changed, |charge| (charge.charge_id, &*charge.lines)))
            .await?;
        written.append(&mut ids);
    }
    Ok(written)
}

async fn upsert(conn: &mut PgConnection, charges: &[&RechargeCharge]) -> sqlx::Result<Vec<i64>> {
    let documents = column(charges, |charge| json(&charge.document));
    sqlx::query_scalar!(
        r#"
        INSERT INTO mirror.recharge_charges AS stored (
            charge_id, customer_id, status, scheduled_date, external_order_id, updated_at, fetched_at, document
        )
        SELECT
            given.charge_id, given.customer_id, given.status, given.scheduled_date, given.external_order_id,
            given.updated_at, given.fetched_at, given.document::jsonb
        FROM UNNEST(
            $1::bigint[], $2::bigint[], $3::text[], $4::date[], $5::bigint[], $6::timestamptz[], $7::timestamptz[],
            $8::text[]
        ) AS given (
            charge_id, customer_id, status, scheduled_date, external_order_id, updated_at, fetched_at, document
        )
        LEFT JOIN LATERAL (
            SELECT same.charge_id, same.updated_at, same.fetched_at, same.deleted_at, same.document
            FROM mirror.recharge_charges AS same
            WHERE same.charge_id = given.charge_id
            OFFSET 0
        ) AS known ON true
        WHERE known.charge_id IS NULL
            OR (given.updated_at, given.fetched_at) > (known.updated_at, known.fetched_at)
            AND (
                given.updated_at > known.updated_at
                OR known.deleted_at IS NOT NULL
                OR known.document <> given.document::jsonb
            )
        ORDER BY given.charge_id
        ON CONFLICT (charge_id) DO UPDATE
        SET customer_id = excluded.customer_id, status = excluded.status, scheduled_date = excluded.scheduled_date,
            external_order_id = excluded.external_order_id, updated_at = excluded.updated_at, fetched_at =
            excluded.fetched_at, deleted_at = NULL, document = excluded.document
        WHERE (excluded.updated_at, excluded.fetched_at) > (stored.updated_at, stored.fetched_at)
            AND (
                excluded.updated_at > stored.updated_at
                OR stored.deleted_at IS NOT NULL
                OR excluded.document <> stored.document
            )
        RETURNING charge_id
        "#,
        &column(charges, |charge| charge.charge_id),
        &column(charges, |charge| charge.customer_id) as &[Option<i64>],
        &column(charges, |charge| plain(&charge.status)) as &[&str],
        &column(charges, |charge| charge.scheduled_date) as &[Option<_>],
        &column(charges, |charge| charge.external_order_id) as &[Option<i64>],
        &column(charges, |charge| charge.updated_at),
        &column(charges, |charge| charge.fetched_at),
        &documents,
    )
    .fetch_all(conn)
    .await
}
