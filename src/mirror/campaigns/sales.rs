//! What was sold in the windows of campaigns, counted from the copies of orders.

use std::collections::HashMap;

use sqlx::PgConnection;

use super::view::{ProductView, Sales};

/// All sales of a campaign, and those of its products, by id.
pub(super) type Sold = (Sales, Vec<ProductView>);

/// What was sold in the windows of these campaigns.
pub(super) async fn list_sales(conn: &mut PgConnection, codes: &[String]) -> sqlx::Result<HashMap<String, Sold>> {
    // An order of two featured products counts once for the campaign: sums over products would count it twice.
    let rows = sqlx::query!(
        r#"
        SELECT
            c.code AS "code!", f.product_id AS "product_id?", min(p.title) AS title, min(p.deleted_at) AS deleted_at,
            COALESCE(sum(s.quantity), 0)::bigint AS "ordered_quantity!",
            COALESCE(sum(s.current_quantity), 0)::bigint AS "sold_quantity!",
            count(DISTINCT s.order_id) AS "orders!"
        FROM campaigns AS c
        JOIN campaign_products AS f ON f.code = c.code
        JOIN mirror.products AS p ON p.product_id = f.product_id
        LEFT JOIN LATERAL (
            SELECT l.order_id, l.quantity, l.current_quantity
            FROM mirror.order_lines AS l
            JOIN mirror.orders AS o ON o.order_id = l.order_id
            WHERE l.product_id = f.product_id
                AND o.processed_at >= c.starts_at
                AND o.processed_at < c.ends_at
                AND NOT o.test
                AND o.cancelled_at IS NULL
                AND o.deleted_at IS NULL
        ) AS s ON true
        WHERE c.code = ANY($1)
        GROUP BY GROUPING SETS ((c.code), (c.code, f.product_id))
        ORDER BY c.code, f.product_id
        "#,
        codes,
    )
    .fetch_all(conn)
    .await?;
    let mut sold: HashMap<String, Sold> = HashMap::new();
    for row in rows {
        let sales =
            Sales { ordered_quantity: row.ordered_quantity, sold_quantity: row.sold_quantity, orders: row.orders };
        let of = sold.entry(row.code).or_default();
        match row.product_id {
            None => of.0 = sales,
            Some(product_id) => {
                let title = row.title.unwrap_or_default();
                of.1.push(ProductView { product_id, title, deleted_at: row.deleted_at, sales });
            }
        }
    }
    Ok(sold)
}
