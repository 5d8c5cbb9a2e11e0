//! What an operator says that one unit of a variant, or of a line, is.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::catalog::Catalogue;
use crate::catalog::skus::CODE_MOST;
use crate::http::code::Code;
use crate::http::violations::Violations;
use crate::ids::SkuId;

/// Most SKUs of a kit.
const COMPONENTS_MOST: usize = 100;
/// Most units of a SKU in one unit; the schema's own limit.
const QUANTITY_MOST: i64 = 10_000;

/// Units of a SKU in one unit of a variant or of a line.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewComponent {
    /// SKU code.
    #[schema(required = true, nullable = false, example = "TEE-BLACK-M")]
    sku: Option<String>,
    /// Units.
    #[schema(required = true, nullable = false, minimum = 1, maximum = 10_000)]
    quantity: Option<i64>,
}

/// Checks every component; unknown SKUs and those that are there twice are named all at once.
pub(super) fn check(
    catalogue: &Catalogue,
    given: Option<&[NewComponent]>,
    violations: &mut Violations,
) -> Option<Vec<(SkuId, i32)>> {
    let given = violations.required("/components", given)?;
    if given.len() > COMPONENTS_MOST {
        violations.add("/components", format!("must have at most {COMPONENTS_MOST} SKUs"));
        return None;
    }
    let mut checked: Vec<(SkuId, i32)> = Vec::with_capacity(given.len());
    for (n, component) in given.iter().enumerate() {
        let quantity = violations.integer(&format!("/components/{n}/quantity"), component.quantity, 1, QUANTITY_MOST);
        let Some(sku) = check_sku(catalogue, component, &format!("/components/{n}/sku"), violations) else { continue };
        if checked.iter().any(|(known, _)| *known == sku) {
            violations.add(format!("/components/{n}/sku"), "is there more than once; add its units up");
        } else {
            checked.push((sku, quantity.and_then(|quantity| i32::try_from(quantity).ok()).unwrap_or(1)));
        }
    }
    checked.sort_unstable();
    Some(checked)
}

fn check_sku(
    catalogue: &Catalogue,
    component: &NewComponent,
    pointer: &str,
    violations: &mut Violations,
) -> Option<SkuId> {
    let code = violations.required(pointer, component.sku.clone());
    let code = violations.text(pointer, code, CODE_MOST)?;
    let sku = catalogue.sku_by_code(&code);
    if sku.is_none() {
        violations.add_code(pointer, Code::UnknownSku, format!("there is no SKU {code:?}"));
    }
    sku.map(|sku| sku.id)
}
