//! Copies of what an upstream owns, planted without one.

use std::fmt::Write as _;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor};

use super::TestApp;

/// Runs SQL as the mirror would, in one transaction.
pub async fn plant(app: &TestApp, sql: &str) {
    let sql = format!("SELECT set_config('holdfast.writer', 'mirror', true); {sql}");
    app.db.owner().execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
}

/// A product with variants: id, code, and whether it is gone upstream.
pub async fn product(app: &TestApp, product_id: i64, variants: &[(i64, Option<&str>, bool)]) {
    let mut sql = format!(
        "INSERT INTO mirror.products (product_id, title, status, updated_at, fetched_at, document) \
         VALUES ({product_id}, 'Product {product_id}', 'ACTIVE', '2026-01-01', '2026-01-01', '{{}}');"
    );
    for (variant_id, sku, gone) in variants {
        let sku = sku.map_or("NULL".to_owned(), |sku| format!("'{sku}'"));
        let deleted_at = if *gone { "'2026-01-02'" } else { "NULL" };
        write!(
            sql,
            "INSERT INTO mirror.variants (variant_id, product_id, sku, updated_at, fetched_at, deleted_at, document) \
             VALUES ({variant_id}, {product_id}, {sku}, '2026-01-01', '2026-01-01', {deleted_at}, '{{}}');"
        )
        .unwrap();
    }
    plant(app, &sql).await;
}

/// An order of the shop, applied already: its lines' variant, product, code, units ordered, left and unfulfilled.
pub async fn order(app: &TestApp, order_id: i64, processed_at: &str, lines: &[Line<'_>]) {
    let mut sql = format!(
        "INSERT INTO mirror.orders \
         (order_id, name, created_at, processed_at, updated_at, test, confirmed, fetched_at, document) \
         VALUES ({order_id}, '#{order_id}', '{processed_at}', '{processed_at}', '2026-01-01', false, true, \
         '2026-01-01', '{{}}'); \
         INSERT INTO mirror.order_progress \
         (source, order_id, revision, applied_revision, attempts, next_attempt_at) \
         VALUES ('shopify', {order_id}, 1, 1, 0, '2026-01-01');"
    );
    for (n, line) in (0_i64..).zip(lines) {
        let number = |id: Option<i64>| id.map_or("NULL".to_owned(), |id| id.to_string());
        let sku = line.sku.map_or("NULL".to_owned(), |sku| format!("'{sku}'"));
        let (line_id, variant, product) = (order_id * 10 + n, number(line.variant), number(line.product));
        write!(
            sql,
            "INSERT INTO mirror.order_lines VALUES ({order_id}, {line_id}, {n}, {variant}, {product}, {sku}, \
             'Line {n}', {}, {}, {}, true, false, NULL);",
            line.ordered, line.current, line.unfulfilled,
        )
        .unwrap();
    }
    plant(app, &sql).await;
}

/// A line of an order.
#[derive(Debug, Clone, Copy, Default)]
pub struct Line<'a> {
    pub variant: Option<i64>,
    pub product: Option<i64>,
    pub sku: Option<&'a str>,
    pub ordered: i64,
    pub current: i64,
    pub unfulfilled: i64,
}

/// Writes down that the first line of an order is unmatched.
pub async fn unmatched(app: &TestApp, order_id: i64) {
    let sql = format!(
        "INSERT INTO unmatched_lines \
         SELECT 'shopify', order_id, line_id::text, variant_id, sku, title, current_quantity, '2026-01-03', true \
         FROM mirror.order_lines WHERE order_id = {order_id} AND position = 0"
    );
    plant(app, &sql).await;
}

/// Revisions of orders, by id; those above 1 wait to be applied again.
pub async fn revisions(app: &TestApp) -> Vec<(i64, i64)> {
    sqlx::query_as("SELECT order_id, revision FROM mirror.order_progress ORDER BY order_id")
        .fetch_all(&app.db.owner())
        .await
        .unwrap()
}

/// Takes note of every order as applied.
pub async fn apply_all(app: &TestApp) {
    plant(app, "UPDATE mirror.order_progress SET revision = 1, applied_revision = 1").await;
}

/// Members of the items of a page, by name.
pub fn column(page: &Value, name: &str) -> Vec<Value> {
    page["data"].as_array().unwrap().iter().map(|item| item[name].clone()).collect()
}
