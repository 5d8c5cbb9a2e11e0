//! Writing campaigns and their links: one transaction, upserts, the set of links replaced as a whole.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use scoped_futures::ScopedFutureExt;
use serde::Deserialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::queries;
use super::view::{CampaignKind, CampaignView};
use crate::app::App;
use crate::catalog::change::{Given, NAME_MOST};
use crate::db::tx;
use crate::http::code::Code;
use crate::http::etag::IfMatch;
use crate::http::problem::{ErrorItem, Problem};
use crate::http::text_id::GivenId;
use crate::ids::new_global_id;

/// Most products of a campaign.
const PRODUCTS_MOST: usize = 1000;

/// A campaign as it shall be.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCampaign {
    /// What it is.
    #[schema(required = true, nullable = false)]
    kind: Option<CampaignKind>,
    /// For people; the code unless given.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// Orders count from here.
    #[schema(required = true, nullable = false)]
    starts_at: Option<DateTime<Utc>>,
    /// Orders count up to here, this instant not included.
    #[schema(required = true, nullable = false)]
    ends_at: Option<DateTime<Utc>>,
    /// The upstream's ids of its products, all of them, as text; numbers are read, too.
    #[schema(value_type = Vec<String>, required = true, nullable = false, max_items = 1000)]
    product_ids: Option<Vec<GivenId>>,
}

struct Checked {
    code: String,
    kind: CampaignKind,
    name: String,
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
    /// As given, for pointing at them.
    product_ids: Vec<i64>,
}

/// Makes a campaign, or replaces one that has not changed since it was read. Tells whether it was made.
///
/// # Errors
/// `campaign_not_found` and `precondition_failed` by `If-Match`, `precondition_required`, broken rules,
/// `unknown_product`, database errors.
pub async fn put(
    app: Arc<App>,
    code: String,
    if_match: Option<IfMatch>,
    given: Given<NewCampaign>,
) -> Result<(bool, CampaignView), Problem> {
    let new = check(code, &given)?;
    tx::write(&app.db, "put_campaign", |conn| put_within(conn, &app, if_match.as_ref(), &new).scope_boxed()).await
}

fn check(code: String, given: &Given<NewCampaign>) -> Result<Checked, Problem> {
    let NewCampaign { kind, name, starts_at, ends_at, product_ids } = &given.value;
    let mut violations = given.violations();
    let kind = violations.required("/kind", *kind);
    let name = violations.text("/name", name.clone(), NAME_MOST).unwrap_or_else(|| code.clone());
    violations.year("/starts_at", *starts_at);
    violations.year("/ends_at", *ends_at);
    let starts_at = violations.required("/starts_at", *starts_at);
    let ends_at = violations.required("/ends_at", *ends_at);
    if starts_at.zip(ends_at).is_some_and(|(starts_at, ends_at)| starts_at >= ends_at) {
        violations.add("/ends_at", "must be after starts_at");
    }
    let product_ids = violations.required("/product_ids", product_ids.clone());
    if product_ids.as_ref().is_some_and(|ids| ids.len() > PRODUCTS_MOST) {
        violations.add("/product_ids", format!("must have at most {PRODUCTS_MOST} products"));
    }
    let product_ids = product_ids.map(|ids| ids.into_iter().map(|GivenId(id)| id).collect());
    let checked = kind.zip(starts_at.zip(ends_at)).zip(product_ids);
    violations.finish(checked.map(|((kind, (starts_at, ends_at)), product_ids)| Checked {
        code,
        kind,
        name,
        starts_at,
        ends_at,
        product_ids,
    }))
}

async fn put_within(
    conn: &mut PgConnection,
    app: &App,
    if_match: Option<&IfMatch>,
    new: &Checked,
) -> Result<(bool, CampaignView), Problem> {
    let known = queries::find(conn, &new.code).await?;
    match (&known, if_match) {
        (Some(known), Some(if_match)) => if_match.check(known.revision)?,
        (Some(_), None) => {
            let detail = "There is a campaign with this code; send If-Match with the ETag that you read, or *.";
            return Err(Problem::new(Code::PreconditionRequired, detail));
        }
        (None, Some(_)) => return Err(not_found(&new.code)),
        (None, None) => {}
    }
    refuse_unknown(conn, &new.product_ids).await?;
    if let Some(known) = known.as_ref().filter(|known| says_the_same(known, new)) {
        return Ok((false, known.clone()));
    }
    upsert(conn, app, known.as_ref().map(|known| known.revision), new).await?;
    link(conn, new).await?;
    let view = queries::find(conn, &new.code).await?.ok_or_else(|| not_found(&new.code))?;
    Ok((known.is_none(), view))
}

fn says_the_same(known: &CampaignView, new: &Checked) -> bool {
    let mut ids = new.product_ids.clone();
    ids.sort_unstable();
    ids.dedup();
    let linked = known.products.iter().map(|product| product.product_id);
    (known.kind, &known.name, known.starts_at, known.ends_at) == (new.kind, &new.name, new.starts_at, new.ends_at)
        && linked.eq(ids)
}

/// Names every product that was never copied. Copies are never taken away, so what is there stays there; if all else
/// fails, the foreign key refuses.
async fn refuse_unknown(conn: &mut PgConnection, product_ids: &[i64]) -> Result<(), Problem> {
    let known = sqlx::query_scalar!("SELECT product_id FROM mirror.products WHERE product_id = ANY($1)", product_ids)
        .fetch_all(conn)
        .await?;
    let known: std::collections::HashSet<i64> = known.into_iter().collect();
    let unknown = product_ids.iter().enumerate().filter(|(_, id)| !known.contains(id));
    let errors: Vec<ErrorItem> = unknown
        .map(|(n, id)| {
            ErrorItem::at(format!("/product_ids/{n}"), Code::UnknownProduct, format!("no product {id} was copied"))
        })
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(Problem::listing(errors)) }
}

/// Writes the campaign if it is still as it was `known`. A code that is taken again begins with a revision that it
/// never had, so that no tag of the one before it fits.
async fn upsert(conn: &mut PgConnection, app: &App, known: Option<i64>, new: &Checked) -> Result<(), Problem> {
    let now = app.clock.read(conn).await?;
    let written = sqlx::query!(
        r#"
        INSERT INTO campaigns (code, kind, name, starts_at, ends_at, revision, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
        ON CONFLICT (code) DO UPDATE
        SET
            kind = excluded.kind, name = excluded.name, starts_at = excluded.starts_at, ends_at = excluded.ends_at,
            revision = campaigns.revision + 1, updated_at = excluded.updated_at
        WHERE campaigns.revision = $8
        "#,
        new.code,
        new.kind.as_str(),
        new.name,
        new.starts_at,
        new.ends_at,
        new_global_id(),
        now,
        known,
    )
    .execute(conn)
    .await?;
    if written.rows_affected() == 0 {
        // Somebody else was faster; looked at again, the tag decides.
        return Err(Problem { contended: true, ..Problem::new(Code::Unavailable, "The campaign is being changed.") });
    }
    Ok(())
}

async fn link(conn: &mut PgConnection, new: &Checked) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM campaign_products WHERE code = $1 AND product_id <> ALL($2)",
        new.code,
        &new.product_ids,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        r#"
        INSERT INTO campaign_products (code, product_id)
        SELECT $1, u.product_id
        FROM unnest($2::bigint[]) AS u (product_id)
        ON CONFLICT (code, product_id) DO NOTHING
        "#,
        new.code,
        &new.product_ids,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes a campaign and its links away.
///
/// # Errors
/// `campaign_not_found`, database errors.
pub async fn delete(app: Arc<App>, code: String) -> Result<(), Problem> {
    tx::write(&app.db, "delete_campaign", |conn| delete_within(conn, &code).scope_boxed()).await
}

async fn delete_within(conn: &mut PgConnection, code: &str) -> Result<(), Problem> {
    let deleted = sqlx::query!("DELETE FROM campaigns WHERE code = $1", code).execute(conn).await?;
    if deleted.rows_affected() == 0 { Err(not_found(code)) } else { Ok(()) }
}

/// There is no such campaign.
#[must_use]
pub fn not_found(code: &str) -> Problem {
    Problem::new(Code::CampaignNotFound, format!("There is no campaign {code:?}."))
}
