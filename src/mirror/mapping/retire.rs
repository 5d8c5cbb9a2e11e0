//! A SKU is retired when the last variant that was it is gone upstream: no new holds; claims, lots and history stay.
//!
//! Only where mappings made themselves. A SKU that any variant is part of by an operator's word, or that a variant
//! still there is, stays. And once for each variant that went: an operator who makes the SKU active again is not
//! overruled a minute later. Nothing is ever made active again here.

use scoped_futures::ScopedFutureExt;
use sqlx::PgConnection;

use crate::app::App;
use crate::catalog::change::catch_up;
use crate::catalog::skus;
use crate::db::tx;

/// SKUs of one transaction.
const SKUS: i64 = 200;

/// Retires what is due, and tells how many SKUs that were.
///
/// # Errors
/// Database errors.
pub(super) async fn retire_gone(app: &App) -> sqlx::Result<usize> {
    let retired = tx::write(&app.db, "retire_skus", |conn| retire_within(conn, app).scope_boxed()).await?;
    if !retired.is_empty() {
        tracing::info!(skus = ?retired, "SKUs are retired: their last variants are gone upstream");
        catch_up(app).await;
    }
    Ok(retired.len())
}

async fn retire_within(conn: &mut PgConnection, app: &App) -> sqlx::Result<Vec<String>> {
    let now = app.clock.read(conn).await?;
    let mut retired = Vec::new();
    for gone in list_gone(conn).await? {
        if skus::retire(conn, &app.clock, &gone.code).await? {
            sqlx::query!(
                r#"
                INSERT INTO sku_retirements (sku_id, variant_id, retired_at)
                SELECT $1, u.variant_id, $3
                FROM unnest($2::bigint[]) AS u (variant_id)
                ON CONFLICT (sku_id, variant_id) DO NOTHING
                "#,
                gone.sku_id,
                &gone.variant_ids,
                now,
            )
            .execute(&mut *conn)
            .await?;
            retired.push(gone.code);
        }
    }
    Ok(retired)
}

struct Gone {
    sku_id: i64,
    code: String,
    variant_ids: Vec<i64>,
}

/// Active SKUs that only deleted variants are, each by its code, with those of them that have not retired it before.
async fn list_gone(conn: &mut PgConnection) -> sqlx::Result<Vec<Gone>> {
    sqlx::query_as!(
        Gone,
        r#"
        SELECT s.sku_id, s.code, array_agg(v.variant_id ORDER BY v.variant_id) AS "variant_ids!"
        FROM mirror.variants AS v
        CROSS JOIN LATERAL (
            SELECT m.version, m.origin
            FROM variant_mappings AS m
            WHERE m.variant_id = v.variant_id
            ORDER BY m.version DESC
            LIMIT 1
        ) AS m
        JOIN variant_components AS c ON c.variant_id = v.variant_id AND c.version = m.version
        JOIN skus AS s ON s.sku_id = c.sku_id AND s.status = 'active'
        WHERE v.deleted_at IS NOT NULL
            AND m.origin = 'sku_code'
            AND NOT EXISTS (
                SELECT FROM sku_retirements AS r WHERE r.sku_id = s.sku_id AND r.variant_id = v.variant_id
            )
            AND NOT EXISTS (
                SELECT
                FROM variant_components AS oc
                JOIN variant_mappings AS om ON om.variant_id = oc.variant_id AND om.version = oc.version
                LEFT JOIN mirror.variants AS ov ON ov.variant_id = oc.variant_id
                WHERE oc.sku_id = s.sku_id
                    AND (om.origin = 'operator' OR ov.deleted_at IS NULL)
                    AND NOT EXISTS (
                        SELECT FROM variant_mappings AS newer
                        WHERE newer.variant_id = oc.variant_id AND newer.version > oc.version
                    )
            )
        GROUP BY s.sku_id, s.code
        ORDER BY s.sku_id
        LIMIT $1
        "#,
        SKUS,
    )
    .fetch_all(conn)
    .await
}
