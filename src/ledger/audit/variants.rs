//! Variants that carts named: the lines they came to against the recipe of the version that the cart was held under.
//!
//! What a reservation says of its variants is read as it is and compared here, not in SQL: a document that cannot be read
//! is a finding, and would be an error there.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::pages::Range;
use super::report::Found;
use crate::catalog::recipes::find_versions;
use crate::ids::{PoolId, SkuId};
use crate::reservations::variants::Variant;

const CHECK: &str = "variants_match_recipes";

struct Row {
    reservation_id: Uuid,
    origin: String,
    variants: Value,
    lines: Vec<i16>,
    sku_ids: Vec<i64>,
    requested: Vec<i32>,
}

/// SKUs and units, by variant and version.
type Recipes = HashMap<(i64, i32), Vec<(SkuId, i32)>>;

/// Reservations in `range` that name variants. Few do: those that do not are passed over by the row.
pub(super) async fn compare(conn: &mut PgConnection, pool: PoolId, range: &Range<Uuid>) -> sqlx::Result<Vec<Found>> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT
            r.reservation_id, r.origin, r.variants AS "variants!", l.lines AS "lines!", l.sku_ids AS "sku_ids!",
            l.requested AS "requested!"
        FROM reservations AS r
        CROSS JOIN LATERAL (
            SELECT
                coalesce(array_agg(line), '{}') AS lines,
                coalesce(array_agg(sku_id), '{}') AS sku_ids,
                coalesce(array_agg(requested_quantity), '{}') AS requested
            FROM reservation_lines
            WHERE pool_id = $1 AND reservation_id = r.reservation_id
        ) AS l
        WHERE r.pool_id = $1 AND r.reservation_id BETWEEN $2 AND $3 AND r.variants IS NOT NULL
        ORDER BY r.reservation_id
        "#,
        pool.0,
        range.from,
        range.to,
    )
    .fetch_all(&mut *conn)
    .await?;
    let read: Vec<Option<Vec<Variant>>> =
        rows.iter().map(|row| serde_json::from_value(row.variants.clone()).ok()).collect();
    let named: BTreeSet<(i64, i32)> =
        read.iter().flatten().flatten().map(|variant| (variant.variant_id, variant.mapping_version)).collect();
    let recipes = if named.is_empty() { Recipes::new() } else { find_versions(conn, named).await? };
    let wrong = |(row, variants): (Row, Option<Vec<Variant>>)| {
        let detail = match variants {
            Some(variants) => row.odd(&variants, &recipes)?,
            None => "what it says of its variants cannot be read".to_owned(),
        };
        Some(Found { check: CHECK.to_owned(), subject: format!("reservation {}", row.reservation_id), detail })
    };
    Ok(rows.into_iter().zip(read).filter_map(wrong).collect())
}

impl Row {
    /// What is wrong with it, if anything. A claim that took over from another has the lines that were left of that, with
    /// what was left of each; of the first all must be there, with all that was asked for.
    fn odd(&self, variants: &[Variant], recipes: &Recipes) -> Option<String> {
        if variants.is_empty() {
            return Some("names no variant, and says so at length".to_owned());
        }
        let first = matches!(self.origin.as_str(), "checkout" | "supersede");
        let mut taken = BTreeSet::new();
        for variant in variants {
            let Variant { variant_id, mapping_version, .. } = *variant;
            let Some(recipe) = recipes.get(&(variant_id, mapping_version)) else {
                return Some(format!("variant {variant_id} has no version {mapping_version}"));
            };
            let mut found = BTreeSet::new();
            for part in &variant.parts {
                let at = self.lines.iter().position(|line| *line == part.line);
                let asked = variant.quantity.checked_mul(part.unit_quantity.into());
                match at {
                    _ if !taken.insert(part.line) => return Some(format!("line {} is part of two", part.line)),
                    None if first => return Some(format!("line {} of variant {variant_id} is missing", part.line)),
                    Some(at) if first && asked != Some(self.requested[at].into()) => {
                        return Some(format!("line {} is not {} of variant {variant_id}", part.line, variant.quantity));
                    }
                    Some(at) => found.insert((SkuId(self.sku_ids[at]), part.unit_quantity)),
                    None => continue,
                };
            }
            let recipe = recipe.iter().copied().collect();
            if !found.is_subset(&recipe) || (first && found != recipe) {
                return Some(format!("its lines are not version {mapping_version} of variant {variant_id}"));
            }
        }
        None
    }
}
