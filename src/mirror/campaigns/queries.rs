//! Reading campaigns.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::sales::list_sales;
use super::view::{CampaignKind, CampaignView, Sales};

/// A campaign as it is stored, without its products.
#[derive(Debug)]
pub struct CampaignRow {
    /// What the API calls it.
    pub code: String,
    /// What it is.
    pub kind: CampaignKind,
    /// For people.
    pub name: String,
    /// Orders count from here.
    pub starts_at: DateTime<Utc>,
    /// Orders count up to here.
    pub ends_at: DateTime<Utc>,
    /// Its newest change.
    pub revision: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// The campaign with this code.
///
/// # Errors
/// Database errors.
pub async fn find(conn: &mut PgConnection, code: &str) -> sqlx::Result<Option<CampaignView>> {
    let row = sqlx::query_as!(
        CampaignRow,
        r#"
        SELECT
            code, kind AS "kind: CampaignKind", name, starts_at, ends_at, revision, created_at, updated_at
        FROM campaigns
        WHERE code = $1
        "#,
        code,
    )
    .fetch_optional(&mut *conn)
    .await?;
    Ok(with_sales(conn, row.into_iter().collect()).await?.pop())
}

/// Campaigns by code, after `after`.
///
/// # Errors
/// Database errors.
pub async fn list(
    conn: &mut PgConnection,
    kind: Option<CampaignKind>,
    after: Option<&str>,
    most: i64,
) -> sqlx::Result<Vec<CampaignView>> {
    let rows = sqlx::query_as!(
        CampaignRow,
        r#"
        SELECT
            code, kind AS "kind: CampaignKind", name, starts_at, ends_at, revision, created_at, updated_at
        FROM campaigns
        WHERE ($1::text IS NULL OR kind = $1) AND ($2::text IS NULL OR code > $2)
        ORDER BY code
        LIMIT $3
        "#,
        kind.map(CampaignKind::as_str),
        after,
        most,
    )
    .fetch_all(&mut *conn)
    .await?;
    with_sales(conn, rows).await
}

async fn with_sales(conn: &mut PgConnection, rows: Vec<CampaignRow>) -> sqlx::Result<Vec<CampaignView>> {
    let codes: Vec<String> = rows.iter().map(|row| row.code.clone()).collect();
    let mut sales = list_sales(conn, &codes).await?;
    let view = |row: CampaignRow| {
        let (sales, products) = sales.remove(&row.code).unwrap_or_else(|| (Sales::default(), Vec::new()));
        CampaignView {
            code: row.code,
            kind: row.kind,
            name: row.name,
            starts_at: row.starts_at,
            ends_at: row.ends_at,
            sales,
            products,
            created_at: row.created_at,
            updated_at: row.updated_at,
            revision: row.revision,
        }
    };
    Ok(rows.into_iter().map(view).collect())
}
