//! Products and their variants.
//!
//! A product's time of change is not sure to move with each of its variants, so the variants of an answer are compared
//! on their own. One that the newest answer no longer has is marked gone; its row stays, since orders name it.

use sqlx::PgConnection;

use super::columns::{code, column, json, money, newest, plain, some};
use crate::mirror::rows::{Product, Variant};

/// Products in one statement.
const CHUNK: usize = 250;

/// Writes the products and variants that are newer than their copies; gives the ids of the products. Within a transaction
/// of the mirror.
///
/// # Errors
/// Database errors.
pub async fn write_products(conn: &mut PgConnection, products: &[Product]) -> sqlx::Result<Vec<i64>> {
    let mut written = Vec::new();
    for chunk in newest(products).chunks(CHUNK) {
        written.append(&mut upsert(conn, chunk).await?);
        let current = find_current(conn, chunk).await?;
        let answers: Vec<&Product> =
            chunk.iter().copied().filter(|product| current.contains(&product.product_id)).collect();
        written.append(&mut upsert_variants(conn, &answers).await?);
        written.append(&mut mark_missing(conn, &answers).await?);
    }
    written.sort_unstable();
    written.dedup();
    Ok(written)
}

async fn upsert(conn: &mut PgConnection, products: &[&Product]) -> sqlx::Result<Vec<i64>> {
    let documents = column(products, |product| json(&product.document));
    sqlx::query_scalar!(
        r#"
        INSERT INTO mirror.products AS stored (product_id, title, handle, status, updated_at, fetched_at, document)
        SELECT
            given.product_id, given.title, given.handle, given.status, given.updated_at, given.fetched_at,
            given.document::jsonb
        FROM UNNEST(
            $1::bigint[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::text[]
        ) AS given (product_id, title, handle, status, updated_at, fetched_at, document)
        LEFT JOIN LATERAL (
            SELECT same.product_id, same.updated_at, same.fetched_at, same.deleted_at, same.document
            FROM mirror.products AS same
            WHERE same.product_id = given.product_id
            OFFSET 0
        ) AS known ON true
        WHERE known.product_id IS NULL
            OR (given.updated_at, given.fetched_at) > (known.updated_at, known.fetched_at)
            AND (
                given.updated_at > known.updated_at
                OR known.deleted_at IS NOT NULL
                OR known.document <> given.document::jsonb
            )
        ORDER BY given.product_id
        ON CONFLICT (product_id) DO UPDATE
        SET title = excluded.title, handle = excluded.handle, status = excluded.status,
            updated_at = excluded.updated_at, fetched_at = excluded.fetched_at, deleted_at = NULL,
            document = excluded.document
        WHERE (excluded.updated_at, excluded.fetched_at) > (stored.updated_at, stored.fetched_at)
            AND (
                excluded.updated_at > stored.updated_at
                OR stored.deleted_at IS NOT NULL
                OR excluded.document <> stored.document
            )
        RETURNING product_id
        "#,
        &column(products, |product| product.product_id),
        &column(products, |product| plain(&product.title)) as &[&str],
        &column(products, |product| some(product.handle.as_ref())) as &[Option<&str>],
        &column(products, |product| plain(&product.status)) as &[&str],
        &column(products, |product| product.updated_at),
        &column(products, |product| product.fetched_at),
        &documents,
    )
    .fetch_all(conn)
    .await
}

/// Of which products these answers are not older than the copy.
async fn find_current(conn: &mut PgConnection, products: &[&Product]) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        SELECT stored.product_id
        FROM UNNEST($1::bigint[], $2::timestamptz[], $3::timestamptz[]) AS given (product_id, updated_at, fetched_at)
        JOIN mirror.products AS stored ON stored.product_id = given.product_id
        WHERE stored.deleted_at IS NULL
            AND (given.updated_at, given.fetched_at) >= (stored.updated_at, stored.fetched_at)
        "#,
        &column(products, |product| product.product_id),
        &column(products, |product| product.updated_at),
        &column(products, |product| product.fetched_at),
    )
    .fetch_all(conn)
    .await
}

/// The newest answer about each variant, with its product: a variant is in one product, whatever two answers say.
fn variants_of<'a>(products: &[&'a Product]) -> Vec<(&'a Product, &'a Variant)> {
    let mut all: Vec<_> =
        products.iter().flat_map(|product| product.variants.iter().map(move |variant| (*product, variant))).collect();
    let age = |(product, variant): &(&Product, &Variant)| (variant.updated_at, product.fetched_at);
    all.sort_by(|a, b| a.1.variant_id.cmp(&b.1.variant_id).then_with(|| age(b).cmp(&age(a))));
    all.dedup_by_key(|(_, variant)| variant.variant_id);
    all
}

async fn upsert_variants(conn: &mut PgConnection, products: &[&Product]) -> sqlx::Result<Vec<i64>> {
    let variants = variants_of(products);
    if variants.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<_> = variants.iter().collect();
    let documents = column(&rows, |(_, variant)| json(&variant.document));
    sqlx::query_scalar!(
        r#"
        INSERT INTO mirror.variants AS stored (
            variant_id, product_id, sku, title, barcode, price, inventory_item_id, tracked, requires_shipping, position,
            updated_at, fetched_at, document
        )
        SELECT
            given.variant_id, given.product_id, given.sku, given.title, given.barcode, given.price,
            given.inventory_item_id, given.tracked, given.requires_shipping, given.position, given.updated_at,
            given.fetched_at, given.document::jsonb
        FROM UNNEST(
            $1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::numeric[], $7::bigint[], $8::boolean[],
            $9::boolean[], $10::integer[], $11::timestamptz[], $12::timestamptz[], $13::text[]
        ) AS given (
            variant_id, product_id, sku, title, barcode, price, inventory_item_id, tracked, requires_shipping, position,
            updated_at, fetched_at, document
        )
        LEFT JOIN LATERAL (
            SELECT same.variant_id, same.product_id, same.updated_at, same.fetched_at, same.deleted_at, same.document
            FROM mirror.variants AS same
            WHERE same.variant_id = given.variant_id
            OFFSET 0
        ) AS known ON true
        WHERE known.variant_id IS NULL
            OR (given.updated_at, given.fetched_at) > (known.updated_at, known.fetched_at)
            AND (
                given.updated_at > known.updated_at
                OR known.deleted_at IS NOT NULL
                OR known.product_id <> given.product_id
                OR known.document <> given.document::jsonb
            )
        ORDER BY given.variant_id
        ON CONFLICT (variant_id) DO UPDATE
        SET product_id = excluded.product_id, sku = excluded.sku, title = excluded.title, barcode = excluded.barcode,
            price = excluded.price, inventory_item_id = excluded.inventory_item_id, tracked = excluded.tracked,
            requires_shipping = excluded.requires_shipping, position = excluded.position,
            updated_at = excluded.updated_at, fetched_at = excluded.fetched_at, deleted_at = NULL,
            document = excluded.document
        WHERE (excluded.updated_at, excluded.fetched_at) > (stored.updated_at, stored.fetched_at)
            AND (
                excluded.updated_at > stored.updated_at
                OR stored.deleted_at IS NOT NULL
                OR stored.product_id <> excluded.product_id
                OR excluded.document <> stored.document
            )
        RETURNING product_id
        "#,
        &column(&rows, |(_, variant)| variant.variant_id),
        &column(&rows, |(product, _)| product.product_id),
        &column(&rows, |(_, variant)| code(variant.sku.as_ref())) as &[Option<&str>],
        &column(&rows, |(_, variant)| some(variant.title.as_ref())) as &[Option<&str>],
        &column(&rows, |(_, variant)| some(variant.barcode.as_ref())) as &[Option<&str>],
        &column(&rows, |(_, variant)| money(variant.price)) as &[Option<_>],
        &column(&rows, |(_, variant)| variant.inventory_item_id) as &[Option<i64>],
        &column(&rows, |(_, variant)| variant.tracked) as &[Option<bool>],
        &column(&rows, |(_, variant)| variant.requires_shipping) as &[Option<bool>],
        &column(&rows, |(_, variant)| variant.position) as &[Option<i32>],
        &column(&rows, |(_, variant)| variant.updated_at),
        &column(&rows, |(product, _)| product.fetched_at),
        &documents,
    )
    .fetch_all(conn)
    .await
}

/// Marks variants gone that their product no longer has, unless they were seen later than it was asked for.
async fn mark_missing(conn: &mut PgConnection, products: &[&Product]) -> sqlx::Result<Vec<i64>> {
    let kept: Vec<i64> =
        products.iter().flat_map(|product| product.variants.iter().map(|variant| variant.variant_id)).collect();
    sqlx::query_scalar!(
        r#"
        UPDATE mirror.variants AS stored
        SET deleted_at = given.fetched_at, fetched_at = given.fetched_at
        FROM UNNEST($1::bigint[], $2::timestamptz[]) AS given (product_id, fetched_at)
        WHERE stored.product_id = given.product_id
            AND stored.deleted_at IS NULL
            AND stored.fetched_at < given.fetched_at
            AND NOT (stored.variant_id = ANY($3))
        RETURNING stored.product_id
        "#,
        &column(products, |product| product.product_id),
        &column(products, |product| product.fetched_at),
        &kept,
    )
    .fetch_all(conn)
    .await
}
