//! Reading variants, with their mappings and findings.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::queries::Origin;
use super::view::{ComponentView, Finding, MappingView, OpenLines, VariantView};

/// Which variants to list.
#[derive(Debug, Default)]
pub struct Filter {
    /// This one.
    pub variant_id: Option<i64>,
    /// Those with this code, upstream or as a SKU that they are.
    pub sku: Option<String>,
    /// Those of this product.
    pub product_id: Option<i64>,
    /// Those that are, or are not, mapped.
    pub mapped: Option<bool>,
    /// Those with this finding.
    pub finding: Option<Finding>,
}

struct Row {
    variant_id: i64,
    product_id: i64,
    product_title: String,
    title: Option<String>,
    sku: Option<String>,
    deleted_at: Option<DateTime<Utc>>,
    version: Option<i32>,
    origin: Option<Origin>,
    open_lines_follow: Option<bool>,
    client: Option<String>,
    created_at: Option<DateTime<Utc>>,
    codes: Option<Vec<String>>,
    quantities: Option<Vec<i32>>,
    findings: Vec<String>,
}

impl From<Row> for VariantView {
    fn from(row: Row) -> Self {
        let newest = row.version.zip(row.origin).zip(row.created_at);
        let mapping = newest.map(|((version, origin), created_at)| MappingView {
            version,
            origin,
            open_lines: open_lines(row.open_lines_follow == Some(true)),
            components: ComponentView::list(row.codes, row.quantities),
            client: row.client,
            created_at,
        });
        Self {
            variant_id: row.variant_id,
            product_id: Some(row.product_id),
            product_title: Some(row.product_title),
            title: row.title,
            sku: row.sku,
            deleted_at: row.deleted_at,
            mapping,
            findings: row.findings.iter().filter_map(|word| Finding::parse(word)).collect(),
        }
    }
}

fn open_lines(follow: bool) -> OpenLines {
    if follow { OpenLines::Follow } else { OpenLines::Keep }
}

/// Copied variants by id, after `after`.
///
/// # Errors
/// Database errors.
pub async fn list(
    conn: &mut PgConnection,
    filter: &Filter,
    after: Option<i64>,
    most: i64,
) -> sqlx::Result<Vec<VariantView>> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT
            v.variant_id, v.product_id, p.title AS product_title, v.title, v.sku, v.deleted_at,
            m.version AS "version?", m.origin AS "origin?: Origin", m.open_lines_follow AS "open_lines_follow?",
            (SELECT k.name FROM clients AS k WHERE k.client_id = m.client_id) AS client,
            m.created_at AS "created_at?", c.codes, c.quantities, f.findings AS "findings!: Vec<String>"
        FROM mirror.variants AS v
        JOIN mirror.products AS p ON p.product_id = v.product_id
        LEFT JOIN LATERAL (
            SELECT *
            FROM variant_mappings AS n
            WHERE n.variant_id = v.variant_id
            ORDER BY n.version DESC
            LIMIT 1
        ) AS m ON true
        CROSS JOIN LATERAL (
            SELECT
                array_agg(s.code ORDER BY s.code) AS codes,
                array_agg(n.quantity ORDER BY s.code) AS quantities,
                bool_or(s.status = 'retired') AS retired
            FROM variant_components AS n
            JOIN skus AS s ON s.sku_id = n.sku_id
            WHERE n.variant_id = v.variant_id AND n.version = m.version
        ) AS c
        CROSS JOIN LATERAL (
            SELECT array_remove(ARRAY[
                CASE WHEN m.version IS NULL THEN 'unmapped' END,
                CASE WHEN v.sku IS NULL THEN 'no_code' END,
                CASE WHEN v.deleted_at IS NULL AND EXISTS (
                    SELECT FROM mirror.variants AS o
                    WHERE o.sku = v.sku AND o.variant_id <> v.variant_id AND o.deleted_at IS NULL
                ) THEN 'code_shared' END,
                CASE WHEN cardinality(c.codes) = 1 AND v.sku <> c.codes[1] THEN 'code_differs' END,
                CASE WHEN c.retired OR (m.version IS NULL AND EXISTS (
                    SELECT FROM skus AS s WHERE s.code = v.sku AND s.status = 'retired'
                )) THEN 'sku_retired' END,
                CASE WHEN v.deleted_at IS NOT NULL THEN 'deleted' END
            ], NULL) AS findings
        ) AS f
        WHERE ($1::bigint IS NULL OR v.variant_id = $1)
            AND ($2::text IS NULL OR v.sku = $2 OR $2 = ANY(c.codes))
            AND ($3::bigint IS NULL OR v.product_id = $3)
            AND ($4::boolean IS NULL OR (m.version IS NOT NULL) = $4)
            AND ($5::text IS NULL OR $5 = ANY(f.findings))
            AND ($6::bigint IS NULL OR v.variant_id > $6)
        ORDER BY v.variant_id
        LIMIT $7
        "#,
        filter.variant_id,
        filter.sku,
        filter.product_id,
        filter.mapped,
        filter.finding.map(Finding::as_str),
        after,
        most,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(VariantView::from).collect())
}

/// A variant: copied, or only named by an order or mapped by somebody.
///
/// # Errors
/// Database errors.
pub async fn find(conn: &mut PgConnection, variant_id: i64) -> sqlx::Result<Option<VariantView>> {
    let filter = Filter { variant_id: Some(variant_id), ..Filter::default() };
    if let Some(copied) = list(conn, &filter, None, 1).await?.pop() {
        return Ok(Some(copied));
    }
    let mapping = history(conn, variant_id, None, 1).await?.pop();
    if mapping.is_none() && !is_named(conn, variant_id).await? {
        return Ok(None);
    }
    let mut findings = vec![Finding::NotMirrored];
    if mapping.is_none() {
        findings.insert(0, Finding::Unmapped);
    }
    Ok(Some(VariantView {
        variant_id,
        product_id: None,
        product_title: None,
        title: None,
        sku: None,
        deleted_at: None,
        mapping,
        findings,
    }))
}

/// Whether an order or a subscription names it: variants are deleted before they are seen.
async fn is_named(conn: &mut PgConnection, variant_id: i64) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        SELECT
            EXISTS (SELECT FROM unmatched_lines WHERE variant_id = $1)
            OR EXISTS (SELECT FROM mirror.order_lines WHERE variant_id = $1)
            OR EXISTS (SELECT FROM mirror.recharge_lines WHERE variant_id = $1) AS "named!"
        "#,
        variant_id,
    )
    .fetch_one(conn)
    .await
}

/// Versions of a variant's mapping, newest first, before `before`.
///
/// # Errors
/// Database errors.
pub async fn history(
    conn: &mut PgConnection,
    variant_id: i64,
    before: Option<i32>,
    most: i64,
) -> sqlx::Result<Vec<MappingView>> {
    let rows = sqlx::query!(
        r#"
        SELECT
            m.version, m.origin AS "origin: Origin", m.open_lines_follow, m.created_at,
            (SELECT k.name FROM clients AS k WHERE k.client_id = m.client_id) AS client,
            array_agg(s.code ORDER BY s.code) FILTER (WHERE s.code IS NOT NULL) AS codes,
            array_agg(c.quantity ORDER BY s.code) FILTER (WHERE s.code IS NOT NULL) AS quantities
        FROM variant_mappings AS m
        LEFT JOIN variant_components AS c ON c.variant_id = m.variant_id AND c.version = m.version
        LEFT JOIN skus AS s ON s.sku_id = c.sku_id
        WHERE m.variant_id = $1 AND ($2::integer IS NULL OR m.version < $2)
        GROUP BY m.variant_id, m.version
        ORDER BY m.version DESC
        LIMIT $3
        "#,
        variant_id,
        before,
        most,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| MappingView {
            version: row.version,
            origin: row.origin,
            open_lines: open_lines(row.open_lines_follow),
            components: ComponentView::list(row.codes, row.quantities),
            client: row.client,
            created_at: row.created_at,
        })
        .collect())
}
