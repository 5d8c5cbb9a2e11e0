//! What lines of orders are.

use std::collections::HashMap;

use sqlx::PgConnection;

use super::copies::Orders;
use super::known::Pinned;
use crate::catalog::{Catalogue, SkuStatus};
use crate::ids::SkuId;
use crate::mirror::demand::plan::{Line, Meaning};
use crate::mirror::mapping::queries::find_mappings;
use crate::mirror::rows::Source;

/// What lines are: as pinned when they claimed first, as an operator said of the line, as the variant is mapped, or by the
/// SKU code that they carry themselves.
///
/// # Errors
/// Database errors.
pub async fn find_meanings(
    conn: &mut PgConnection,
    catalogue: &Catalogue,
    orders: &Orders,
    pinned: &Pinned,
) -> sqlx::Result<HashMap<(Source, i64), HashMap<String, Meaning>>> {
    let mut variants: Vec<i64> =
        orders.values().flat_map(|order| &order.lines).filter_map(|line| line.variant_id).collect();
    variants.sort_unstable();
    variants.dedup();
    let mappings = find_mappings(conn, &variants).await?;
    let by_line = find_line_mappings(conn, orders).await?;
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
