//! Availability of variants: how many whole ones a cart could have of one pool, and what each of their SKUs allows.
//!
//! A variant has no stock of its own: it is as available as the SKU that gives the fewest. The recipe is read from the
//! database for every question, so an edit shows at once; the balances are those of the projection, as for any SKU.

use std::collections::HashMap;
use std::sync::Arc;

use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::routes::{MOST_SKUS, Pools, choose_pools, refresh_stale, respond, sum, view};
use super::view::{AvailabilityView, mix};
use crate::app::App;
use crate::catalog::recipes::{Mapping, find_mappings, whole_kits};
use crate::catalog::{Catalogue, Pool, Sku};
use crate::http::code::Code;
use crate::http::etag::IfNoneMatch;
use crate::http::problem::{ErrorItem, Problem};
use crate::ids::SkuId;

/// One SKU of a variant, with its own terms.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = VariantComponent)]
pub struct ComponentView {
    /// Units of it in one unit of the variant.
    unit_quantity: i32,
    /// What there is of it.
    #[serde(flatten)]
    availability: AvailabilityView,
}

/// Availability of one variant in one pool, or summed over pools, in units of the variant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = VariantAvailability)]
pub struct VariantAvailabilityView {
    /// The upstream's id, as text.
    #[serde(serialize_with = "crate::http::text_id::text")]
    #[schema(value_type = String)]
    variant_id: i64,
    /// The version of its mapping: what a hold would take now.
    mapping_version: i32,
    /// Pool code; null when summed over all pools.
    pool: Option<String>,
    /// `in_stock`, `low_stock`, `out_of_stock`, `oversold`, `untracked`, `retired` or `opening_count_required`; what the
    /// worst of its SKUs makes it.
    #[schema(value_type = String)]
    status: &'static str,
    /// Whole ones that customers may be shown, never below zero. 0 where it is untracked.
    sellable_quantity: i64,
    /// How far below zero it is.
    shortfall_quantity: i64,
    /// Whole ones that a hold could take now, never below zero. 0 where it is untracked.
    reservable_quantity: i64,
    /// When the oldest of its balances was true.
    as_of: DateTime<Utc>,
    /// Milliseconds since the oldest of its balances was read as a whole.
    age_ms: u64,
    /// The database could not be asked; the numbers are older than the bound.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stale: bool,
    /// How far behind the copies of orders are; absent where no orders are copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    mirror_lag_seconds: Option<i64>,
    /// Its SKUs. None: it has no stock.
    components: Vec<ComponentView>,
}

/// Availability of many variants.
#[derive(Debug, Serialize, ToSchema)]
pub struct VariantAvailabilityList {
    /// One item per variant, or per variant and pool with `pool=*`.
    data: Vec<VariantAvailabilityView>,
}

/// A variant and its SKUs.
struct Recipe {
    variant_id: i64,
    version: i32,
    parts: Vec<(Arc<Sku>, i32)>,
}

/// Answers a question about variants; `wrong` says what is wrong with one of them, or with all together.
pub(super) async fn answer(
    app: &Arc<App>,
    known: &IfNoneMatch,
    asked: &[Option<i64>],
    pool: &str,
    wrong: impl Fn(Option<usize>, Code, String) -> ErrorItem,
) -> Result<Response, Problem> {
    let (catalogue, recipes) = resolve(app, asked, &wrong).await?;
    let Some(pools) = choose_pools(&catalogue, pool) else {
        return Err(Problem::new(Code::UnknownPool, format!("There is no pool {pool:?}.")));
    };
    let wanted = pools.all();
    let skus: HashMap<SkuId, Arc<Sku>> =
        recipes.iter().flat_map(|recipe| &recipe.parts).map(|(sku, _)| (sku.id, Arc::clone(sku))).collect();
    if skus.len() > MOST_SKUS {
        let detail = format!("come to {} SKUs; a question may come to {MOST_SKUS}", skus.len());
        return Err(Problem::listing(vec![wrong(None, Code::ValidationFailed, detail)]));
    }
    let skus: Vec<Arc<Sku>> = skus.into_values().collect();
    let mut cut_off = false;
    for pool in wanted {
        cut_off |= !refresh_stale(app, pool.id, &skus).await?;
    }
    let seen = |sku: &Sku, pool: &Pool| view(app, &catalogue, sku, pool, cut_off);
    let now = app.clock.local_now();
    let mut data = Vec::with_capacity(recipes.len() * wanted.len());
    for recipe in &recipes {
        let mut found: Vec<InPool> = wanted.iter().filter_map(|pool| recipe.in_pool(&seen, pool)).collect();
        if matches!(pools, Pools::Sum(_)) {
            found = vec![InPool::sum(recipe, &found)];
        }
        data.extend(found.into_iter().map(|in_pool| in_pool.view(&catalogue, recipe, now)));
    }
    let tag = data.iter().fold(0_u64, |tag, row| tag.rotate_left(7) ^ row.tag());
    Ok(respond(known, tag, data.len() + skus.len(), &VariantAvailabilityList { data }))
}

/// Variants by id with their newest recipes; those that nobody has mapped are named all at once.
async fn resolve(
    app: &Arc<App>,
    asked: &[Option<i64>],
    wrong: impl Fn(Option<usize>, Code, String) -> ErrorItem,
) -> Result<(Arc<Catalogue>, Vec<Recipe>), Problem> {
    let known: Vec<i64> = asked.iter().flatten().copied().collect();
    let mappings = find_mappings(&mut *app.db.acquire().await?, &known).await?;
    let mut catalogue = app.catalogue.current();
    let is_known = |catalogue: &Catalogue| {
        mappings.values().flat_map(|mapping| &mapping.components).all(|(sku, _)| catalogue.sku(*sku).is_some())
    };
    if !is_known(&catalogue) {
        catalogue = app.fresh_catalogue().await?;
    }
    let mut errors = Vec::new();
    let mut recipes = Vec::with_capacity(asked.len());
    for (index, id) in asked.iter().enumerate() {
        match id.and_then(|id| Some((id, mappings.get(&id)?))) {
            Some((id, mapping)) => recipes.push(Recipe::of(&catalogue, id, mapping)),
            None => errors.push(wrong(Some(index), Code::UnknownVariant, "nobody has said what it is".to_owned())),
        }
    }
    if errors.is_empty() { Ok((catalogue, recipes)) } else { Err(Problem::listing(errors)) }
}

impl Recipe {
    fn of(catalogue: &Catalogue, variant_id: i64, mapping: &Mapping) -> Self {
        let part = |(sku, each): &(SkuId, i32)| Some((Arc::clone(catalogue.sku(*sku)?), *each));
        Self { variant_id, version: mapping.version, parts: mapping.components.iter().filter_map(part).collect() }
    }

    fn in_pool(&self, seen: &impl Fn(&Sku, &Pool) -> Option<AvailabilityView>, pool: &Pool) -> Option<InPool> {
        let rows = self.parts.iter().map(|(sku, _)| seen(sku, pool)).collect::<Option<Vec<_>>>()?;
        let whole = |of: fn(&AvailabilityView) -> i64| {
            let tracked = self.parts.iter().zip(&rows).filter(|((sku, _), _)| sku.tracked);
            whole_kits(tracked.map(|((_, each), row)| (of(row), i64::from(*each)))).unwrap_or(0)
        };
        let (sellable, reservable) = (whole(|row| row.sellable_quantity), whole(|row| row.reservable_quantity));
        Some(InPool { pool: Some(pool.code.clone()), sellable, reservable, rows })
    }
}

/// One variant in one pool, or in all: numbers that may be negative, and the terms of each SKU in the order of its recipe.
struct InPool {
    pool: Option<String>,
    sellable: i64,
    reservable: i64,
    rows: Vec<AvailabilityView>,
}

impl InPool {
    /// Over all pools: a cart draws on one of them, so kits are counted pool by pool and then added. A pool that does not
    /// carry every SKU has none, and takes no safety stock off the sum, as in the sum of one SKU.
    fn sum(recipe: &Recipe, pools: &[Self]) -> Self {
        let carries = |pool: &&Self| {
            recipe.parts.iter().zip(&pool.rows).filter(|((sku, _), _)| sku.tracked).all(|(_, row)| row.is_stocked())
        };
        let mut counted: Vec<&Self> = pools.iter().filter(carries).collect();
        if counted.is_empty() {
            counted.extend(pools.first());
        }
        let of_part = |n: usize| sum(pools.iter().filter_map(|pool| pool.rows.get(n).cloned()));
        Self {
            pool: None,
            sellable: counted.iter().map(|pool| pool.sellable).sum(),
            reservable: counted.iter().map(|pool| pool.reservable).sum(),
            rows: (0..recipe.parts.len()).filter_map(of_part).collect(),
        }
    }

    fn view(self, catalogue: &Catalogue, recipe: &Recipe, now: DateTime<Utc>) -> VariantAvailabilityView {
        let component = |((sku, each), row): (&(Arc<Sku>, i32), AvailabilityView)| {
            let low = catalogue.policy(sku).map_or(0, |policy| policy.low_stock_quantity);
            ComponentView { unit_quantity: *each, availability: row.clamped(sku, low) }
        };
        let components: Vec<ComponentView> = recipe.parts.iter().zip(self.rows).map(component).collect();
        let rows = || components.iter().map(|component| &component.availability);
        VariantAvailabilityView {
            variant_id: recipe.variant_id,
            mapping_version: recipe.version,
            pool: self.pool,
            status: status(self.sellable, &rows().map(|row| row.status).collect::<Vec<_>>()),
            sellable_quantity: self.sellable.max(0),
            shortfall_quantity: (-self.sellable).max(0),
            reservable_quantity: self.reservable.max(0),
            as_of: rows().map(|row| row.as_of).min().unwrap_or(now),
            age_ms: rows().map(|row| row.age_ms).max().unwrap_or(0),
            stale: rows().any(|row| row.stale),
            mirror_lag_seconds: rows().filter_map(|row| row.mirror_lag_seconds).max(),
            components,
        }
    }
}

/// What the SKUs make of it: what keeps it from being held at all comes first.
fn status(sellable: i64, components: &[&'static str]) -> &'static str {
    let any = |status: &str| components.contains(&status);
    match () {
        () if any("retired") => "retired",
        () if any("opening_count_required") => "opening_count_required",
        () if components.iter().all(|status| *status == "untracked") => "untracked",
        () if any("oversold") => "oversold",
        () if sellable <= 0 => "out_of_stock",
        () if any("low_stock") => "low_stock",
        () => "in_stock",
    }
}

impl VariantAvailabilityView {
    /// A tag of the numbers alone, as of a SKU's.
    fn tag(&self) -> u64 {
        let own = [
            self.variant_id,
            i64::from(self.mapping_version),
            self.sellable_quantity,
            self.shortfall_quantity,
            self.reservable_quantity,
        ];
        let pool = self.pool.as_deref().unwrap_or_default();
        let names = pool.bytes().chain(self.status.bytes()).map(u64::from);
        let parts = self.components.iter().map(|part| part.availability.tag());
        own.into_iter().map(i64::cast_unsigned).chain(names).chain(parts).fold(0xcbf2_9ce4_8422_2325, mix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_is_what_the_worst_of_its_skus_makes_it() {
        for (sellable, components, expected) in [
            (3, vec!["in_stock", "untracked"], "in_stock"),
            (3, vec!["in_stock", "low_stock"], "low_stock"),
            (0, vec!["in_stock", "low_stock"], "out_of_stock"),
            (0, vec!["in_stock", "out_of_stock"], "out_of_stock"),
            (-1, vec!["oversold", "in_stock"], "oversold"),
            (0, vec!["opening_count_required", "oversold"], "opening_count_required"),
            (9, vec!["in_stock", "retired"], "retired"),
            (0, vec!["untracked"], "untracked"),
            (0, vec![], "untracked"),
        ] {
            assert_eq!(status(sellable, &components), expected, "{components:?}");
        }
    }
}
