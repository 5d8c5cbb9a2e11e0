//! Orders to apply again, since what their lines mean has changed.

use sqlx::PgConnection;

use crate::mirror::rows::Source;
use crate::mirror::store;

/// An order of an upstream.
pub(super) type OrderKey = (String, i64);

/// Has these orders applied again. Within a transaction of the mirror.
///
/// # Errors
/// Database errors.
pub(super) async fn touch(conn: &mut PgConnection, orders: &[OrderKey]) -> sqlx::Result<()> {
    for source in [Source::Shopify, Source::Recharge] {
        let ids: Vec<i64> = orders.iter().filter(|(of, _)| of == source.as_str()).map(|(_, id)| *id).collect();
        if !ids.is_empty() {
            store::touch_orders(conn, source, &ids).await?;
        }
    }
    Ok(())
}

/// Orders with an unmatched line of this variant and, if `open`, every order that has units of it to send yet. A
/// Recharge order that is in the shop by now is one with the shop's, which alone is applied.
///
/// # Errors
/// Database errors.
pub(super) async fn list_orders_of(
    conn: &mut PgConnection,
    variant_id: i64,
    open: bool,
) -> sqlx::Result<Vec<OrderKey>> {
    let rows = sqlx::query!(
        r#"
        SELECT u.source AS "source!", u.order_id AS "order_id!"
        FROM unmatched_lines AS u
        WHERE u.variant_id = $1
        UNION
        SELECT 'shopify', l.order_id
        FROM mirror.order_lines AS l
        WHERE $2 AND l.variant_id = $1 AND l.unfulfilled_quantity > 0
        UNION
        SELECT 'recharge', l.owner_id
        FROM mirror.recharge_lines AS l
        JOIN mirror.recharge_orders AS o ON o.order_id = l.owner_id
        WHERE $2 AND l.variant_id = $1 AND l.owner = 'order' AND o.external_order_id IS NULL
        "#,
        variant_id,
        open,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.source, row.order_id)).collect())
}
