//! Recipes: what one unit of a variant is in SKUs, by the newest version of its mapping.
//!
//! Storefronts and orders name variants, stock is kept by SKU. Holds, availability and mirrored orders all read a variant
//! here; who says what one is, is the mirror's business ([`crate::mirror::mapping`]). Versions are only ever added, so
//! whoever has written down a version can look up what it said.

use std::collections::HashMap;

use sqlx::PgConnection;

use crate::ids::SkuId;

/// Who said what a variant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Origin {
    /// Its code, which is the code of a SKU.
    SkuCode,
    /// Somebody.
    Operator,
}

impl Origin {
    /// The word in SQL and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SkuCode => "sku_code",
            Self::Operator => "operator",
        }
    }
}

/// What a variant is, by the newest version of its mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The newest version, from 1.
    pub version: i32,
    /// The newest version that open lines follow: a line seen under an older one takes it on. 0 if there is none.
    pub open_lines_follow_from: i32,
    /// Who said so.
    pub origin: Origin,
    /// SKUs, by id, with the units of each in one unit of the variant. None: it has no stock.
    pub components: Vec<(SkuId, i32)>,
}

/// The mappings of these variants; those without one are missing.
///
/// # Errors
/// Database errors.
pub async fn find_mappings(conn: &mut PgConnection, variant_ids: &[i64]) -> sqlx::Result<HashMap<i64, Mapping>> {
    // Both halves are looked up by primary key, variant by variant: the planner cannot take them for a scan.
    let rows = sqlx::query!(
        r#"
        SELECT
            v.variant_id AS "variant_id!", m.version AS "version!", m.origin AS "origin!: Origin",
            m.follow AS "follow!", m.sku_ids AS "sku_ids!: Vec<i64>", m.quantities AS "quantities!: Vec<i32>"
        FROM (SELECT DISTINCT variant_id FROM unnest($1::bigint[]) AS u (variant_id)) AS v
        CROSS JOIN LATERAL (
            SELECT
                n.version, n.origin,
                COALESCE((
                    SELECT f.version
                    FROM variant_mappings AS f
                    WHERE f.variant_id = v.variant_id AND f.open_lines_follow
                    ORDER BY f.version DESC
                    LIMIT 1
                ), 0) AS follow,
                ARRAY(
                    SELECT c.sku_id
                    FROM variant_components AS c
                    WHERE c.variant_id = v.variant_id AND c.version = n.version
                    ORDER BY c.sku_id
                ) AS sku_ids,
                ARRAY(
                    SELECT c.quantity
                    FROM variant_components AS c
                    WHERE c.variant_id = v.variant_id AND c.version = n.version
                    ORDER BY c.sku_id
                ) AS quantities
            FROM variant_mappings AS n
            WHERE n.variant_id = v.variant_id
            ORDER BY n.version DESC
            LIMIT 1
        ) AS m
        "#,
        variant_ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let components = row.sku_ids.into_iter().map(SkuId).zip(row.quantities).collect();
            let mapping =
                Mapping { version: row.version, open_lines_follow_from: row.follow, origin: row.origin, components };
            (row.variant_id, mapping)
        })
        .collect())
}

/// What variants were by these versions of their mappings, SKUs by id; versions that were never made are missing.
///
/// # Errors
/// Database errors.
pub async fn find_versions(
    conn: &mut PgConnection,
    versions: impl IntoIterator<Item = (i64, i32)>,
) -> sqlx::Result<HashMap<(i64, i32), Vec<(SkuId, i32)>>> {
    let (variants, versions): (Vec<i64>, Vec<i32>) = versions.into_iter().unzip();
    let rows = sqlx::query!(
        r#"
        SELECT m.variant_id AS "variant_id!", m.version AS "version!", c.sku_id AS "sku_id?", c.quantity AS "quantity?"
        FROM unnest($1::bigint[], $2::integer[]) AS u (variant_id, version)
        CROSS JOIN LATERAL (
            SELECT variant_id, version
            FROM variant_mappings
            WHERE variant_id = u.variant_id AND version = u.version
            LIMIT 1
        ) AS m
        LEFT JOIN LATERAL (
            SELECT sku_id, quantity
            FROM variant_components
            WHERE variant_id = m.variant_id AND version = m.version
            OFFSET 0
        ) AS c ON true
        ORDER BY c.sku_id
        "#,
        &variants,
        &versions,
    )
    .fetch_all(conn)
    .await?;
    let mut found: HashMap<_, Vec<_>> = HashMap::new();
    for row in rows {
        let components = found.entry((row.variant_id, row.version)).or_default();
        components.extend(row.sku_id.map(SkuId).zip(row.quantity));
    }
    Ok(found)
}

/// How many whole kits there are: of `(units there, units in one kit)` the part that gives the fewest. Below zero where
/// units are missing, rounded away from zero, since a kit that lacks one unit is no kit. `None` where nothing limits it.
pub fn whole_kits(parts: impl IntoIterator<Item = (i64, i64)>) -> Option<i64> {
    parts.into_iter().map(|(there, each)| there.div_euclid(each.max(1))).min()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_kit_is_whole_or_it_is_none() {
        assert_eq!(whole_kits([]), None, "what has no stock is not limited by it");
        assert_eq!(whole_kits([(7, 2), (5, 1)]), Some(3));
        assert_eq!(whole_kits([(7, 2), (2, 1)]), Some(2));
        assert_eq!(whole_kits([(1, 2), (9, 1)]), Some(0));
        assert_eq!(whole_kits([(-1, 2), (9, 1)]), Some(-1));
        assert_eq!(whole_kits([(-4, 2), (-3, 1)]), Some(-3));
    }

    proptest! {
        #[test]
        fn that_many_kits_fit_and_one_more_does_not(
            parts in prop::collection::vec((-1_000_000_i64..1_000_000, 1_i64..=10_000), 1..10)
        ) {
            let kits = whole_kits(parts.iter().copied()).unwrap();
            prop_assert!(parts.iter().all(|(there, each)| kits * each <= *there));
            prop_assert!(parts.iter().any(|(there, each)| (kits + 1) * each > *there));
        }
    }
}
