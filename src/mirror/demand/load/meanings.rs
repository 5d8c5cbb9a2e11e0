//! What lines of orders are.

use std::collections::HashMap;

use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::copies::Orders;
use super::known::Pinned;
use crate::catalog::recipes::find_versions;
use crate::catalog::{Catalogue, SkuStatus};
use crate::ids::{PoolId, ReservationId, SkuId};
use crate::mirror::demand::plan::{Line, Meaning};
use crate::mirror::demand::progress::CalledByOrder;
use crate::mirror::mapping::queries::find_mappings;
use crate::mirror::rows::Source;
use crate::reservations::variants::Variant;

/// What lines are: as an operator said of the line, as pinned when they claimed first, as the checkout held the variant, as
/// it is mapped now, or by the SKU code that they carry themselves.
///
/// # Errors
/// Database errors.
pub async fn find_meanings(
    conn: &mut PgConnection,
    catalogue: &Catalogue,
    orders: &Orders,
    called: &CalledByOrder,
    pinned: &Pinned,
) -> sqlx::Result<HashMap<(Source, i64), HashMap<String, Meaning>>> {
    let mut variants: Vec<i64> =
        orders.values().flat_map(|order| &order.lines).filter_map(|line| line.variant_id).collect();
    variants.sort_unstable();
    variants.dedup();
    let mappings = find_mappings(conn, &variants).await?;
    let by_line = find_line_mappings(conn, orders).await?;
    let held = find_held(conn, catalogue, orders, called, pinned).await?;
    let mut meanings = HashMap::new();
    for ((source, id), order) in orders {
        let mut of_order = HashMap::new();
        for line in &order.lines {
            let key = (*source, *id, line.line_ref.clone());
            let mapping = line.variant_id.and_then(|variant| mappings.get(&variant));
            let follows = mapping.map_or(0, |mapping| mapping.open_lines_follow_from);
            let pinned = pinned.get(&key).filter(|pinned| pinned.iter().all(|(_, _, version)| *version >= follows));
            let meaning = if let Some(components) = by_line.get(&key) {
                Some(Meaning { version: 0, components: components.clone() })
            } else if let Some(pinned) = pinned {
                let version = pinned.first().map_or(0, |(_, _, version)| *version);
                let components = pinned.iter().map(|(sku, units, _)| (*sku, *units)).collect();
                Some(Meaning { version, components })
            } else if let Some(held) = line.variant_id.and_then(|variant| held.get(&(*source, *id, variant)))
                && held.version >= follows
            {
                Some(held.clone())
            } else if let Some(mapping) = mapping {
                Some(Meaning { version: mapping.version, components: mapping.components.clone() })
            } else {
                by_code(catalogue, line)
            };
            of_order.extend(meaning.map(|meaning| (line.line_ref.clone(), meaning)));
        }
        meanings.insert((*source, *id), of_order);
    }
    Ok(meanings)
}

/// A retired SKU's code on something new may mean something else: somebody has to say so.
fn by_code(catalogue: &Catalogue, line: &Line) -> Option<Meaning> {
    let sku = catalogue.sku_by_code(line.sku.as_deref()?).filter(|sku| sku.status == SkuStatus::Active)?;
    Some(Meaning { version: 0, components: vec![(sku.id, 1)] })
}

/// What the holds of these orders took variants for: what was sold is what was held, also where the recipe has changed
/// before the order is seen. Only of orders that have not claimed yet; from then on their own lines say it.
async fn find_held(
    conn: &mut PgConnection,
    catalogue: &Catalogue,
    orders: &Orders,
    called: &CalledByOrder,
    pinned: &Pinned,
) -> sqlx::Result<HashMap<(Source, i64, i64), Meaning>> {
    let is_new = |(source, id): &(Source, i64), line: &Line| {
        line.variant_id.is_some() && !pinned.contains_key(&(*source, *id, line.line_ref.clone()))
    };
    let new: Vec<_> = orders.iter().filter(|(key, order)| order.lines.iter().any(|line| is_new(key, line))).collect();
    let hints: Vec<_> = new.iter().filter_map(|(key, order)| Some((**key, order.names?))).collect();
    let mut held: Vec<((Source, i64), Variant)> = Vec::new();
    for pool in catalogue.pools() {
        held.extend(find_held_in(conn, pool.id, &hints).await?);
    }
    for (key, _) in &new {
        let variants = called.get(key).into_iter().flatten().flat_map(|called| &called.variants);
        held.extend(variants.map(|variant| (**key, variant.clone())));
    }
    let mut versions: HashMap<(Source, i64, i64), i32> = HashMap::new();
    for ((source, id), variant) in held {
        let version = versions.entry((source, id, variant.variant_id)).or_default();
        *version = variant.mapping_version.max(*version);
    }
    if versions.is_empty() {
        return Ok(HashMap::new());
    }
    let said = find_versions(conn, versions.iter().map(|((_, _, variant), version)| (*variant, *version))).await?;
    let meaning = |(key, version): ((Source, i64, i64), i32)| {
        Some((key, Meaning { version, components: said.get(&(key.2, version))?.clone() }))
    };
    Ok(versions.into_iter().filter_map(meaning).collect())
}

/// Variants of the reservations in one pool that orders name.
async fn find_held_in(
    conn: &mut PgConnection,
    pool: PoolId,
    hints: &[((Source, i64), ReservationId)],
) -> sqlx::Result<Vec<((Source, i64), Variant)>> {
    let of_pool: Vec<&((Source, i64), ReservationId)> = hints.iter().filter(|(_, id)| id.pool == pool).collect();
    if of_pool.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = of_pool.iter().map(|(_, id)| id.uuid).collect();
    let rows = sqlx::query!(
        r#"
        SELECT u.n AS "n!", r.variants AS "variants!: Json<Vec<Variant>>"
        FROM unnest($2::uuid[]) WITH ORDINALITY AS u (reservation_id, n)
        CROSS JOIN LATERAL (
            SELECT variants
            FROM reservations
            WHERE pool_id = $1 AND reservation_id = u.reservation_id AND variants IS NOT NULL
            LIMIT 1
        ) AS r
        "#,
        pool.0,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    let mut found = Vec::new();
    for row in rows {
        let Some((key, _)) = usize::try_from(row.n - 1).ok().and_then(|at| of_pool.get(at)) else { continue };
        found.extend(row.variants.0.into_iter().map(|variant| (*key, variant)));
    }
    Ok(found)
}

async fn find_line_mappings(
    conn: &mut PgConnection,
    orders: &Orders,
) -> sqlx::Result<HashMap<(Source, i64, String), Vec<(SkuId, i32)>>> {
    let sources: Vec<String> = orders.keys().map(|(source, _)| source.as_str().to_owned()).collect();
    let ids: Vec<i64> = orders.keys().map(|(_, id)| *id).collect();
    let rows = sqlx::query!(
        r#"
        SELECT m.source, m.order_id, m.line_ref, m.sku_id, m.quantity
        FROM unnest($1::text[], $2::bigint[]) AS u (source, order_id)
        CROSS JOIN LATERAL (
            SELECT source, order_id, line_ref, sku_id, quantity
            FROM line_mappings
            WHERE source = u.source AND order_id = u.order_id
            OFFSET 0
        ) AS m
        ORDER BY m.sku_id
        "#,
        &sources,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    let mut found: HashMap<_, Vec<_>> = HashMap::new();
    for row in rows {
        if let Some(source) = Source::parse(&row.source) {
            found.entry((source, row.order_id, row.line_ref)).or_default().push((SkuId(row.sku_id), row.quantity));
        }
    }
    Ok(found)
}
