//! What the lines of a cart come to, SKU by SKU. A line that names a SKU is one piece; one that names a variant is a piece
//! for each SKU of its recipe, and those are taken together, as whole kits, or not at all.

use std::collections::HashMap;
use std::sync::Arc;

use crate::catalog::recipes::whole_kits;
use crate::catalog::{Catalogue, Policy, Sku, SkuStatus};
use crate::ids::SkuId;
use crate::ledger::command::{Hold, VariantLine};
use crate::ledger::outcome::{Refusal, Rule, Shortfall, VariantShortfall, Violation};
use crate::reservations::variants::{Part, Variant};

/// Most lines of a reservation. A request may have a hundred, each a kit of a hundred SKUs: more than one transaction
/// should write for one cart.
const MOST_LINES: usize = 1000;

/// Units of one SKU that one line of the request asks for.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    /// The line of the reservation that it becomes.
    pub line: i16,
    /// The line of the request, from 1.
    pub asked: i16,
    pub sku: Arc<Sku>,
    pub policy: Policy,
    /// Units of what the request names.
    pub quantity: i64,
    /// Units of the SKU in each of them: 1 where the request names the SKU itself.
    pub each: i32,
}

impl Piece {
    /// Units of the SKU.
    pub fn units(&self) -> i64 {
        self.quantity * i64::from(self.each)
    }
}

/// The place of a line in the request, as its rules are told by.
pub(super) fn pointer(asked: i16, member: &str) -> String {
    format!("/lines/{}/{member}", asked - 1)
}

/// The pieces in the order of the request, or every rule that stands against them.
///
/// The first piece of a line keeps the line's number, so that a cart of SKUs, and of variants that are one SKU, is
/// numbered as it was sent; further ones are numbered on after the last line of the request.
pub(super) fn resolve(catalogue: &Catalogue, hold: &Hold) -> Result<Vec<Piece>, Refusal> {
    let mut pieces = Vec::with_capacity(hold.lines.len());
    let mut violations = Vec::new();
    for line in &hold.lines {
        match find(catalogue, catalogue.sku_by_code(&line.sku), || line.sku.to_string()) {
            Ok((sku, policy)) => {
                let (asked, quantity) = (line.line, line.quantity);
                pieces.push(Piece { line: asked, asked, sku, policy, quantity, each: 1 });
            }
            Err(rule) => violations.push(Violation { pointer: pointer(line.line, "sku"), rule }),
        }
    }
    if !hold.variants.is_empty() {
        expand(catalogue, hold, &mut pieces, &mut violations);
        pieces.sort_by_key(|piece| piece.asked);
    }
    if violations.is_empty() { Ok(pieces) } else { Err(Refusal::Unprocessable(violations)) }
}

fn expand(catalogue: &Catalogue, hold: &Hold, pieces: &mut Vec<Piece>, violations: &mut Vec<Violation>) {
    let components = hold.variants.iter().map(|line| line.mapping.as_ref().map_or(1, |m| m.components.len().max(1)));
    let lines = hold.lines.len() + components.sum::<usize>();
    if lines > MOST_LINES {
        let rule = Rule::TooManyLines { lines, most: MOST_LINES };
        return violations.push(Violation { pointer: "/lines".to_owned(), rule });
    }
    let last = hold.lines.iter().map(|line| line.line).chain(hold.variants.iter().map(|line| line.line)).max();
    let mut further = last.map_or(1, |last| last + 1)..;
    for asked in &hold.variants {
        let VariantLine { line, variant_id, quantity, .. } = *asked;
        let Some(mapping) = &asked.mapping else {
            let rule = Rule::UnknownVariant(variant_id);
            violations.push(Violation { pointer: pointer(line, "variant_id"), rule });
            continue;
        };
        let numbers = std::iter::once(line).chain(further.by_ref());
        // What is numbered comes first: a number is only taken where there is a piece for it.
        for ((id, each), number) in mapping.components.iter().zip(numbers) {
            match find(catalogue, catalogue.sku(*id), || id.0.to_string()) {
                Ok((sku, policy)) => {
                    pieces.push(Piece { line: number, asked: line, sku, policy, quantity, each: *each });
                }
                Err(rule) => violations.push(Violation { pointer: pointer(line, "variant_id"), rule }),
            }
        }
    }
}

fn find(
    catalogue: &Catalogue,
    found: Option<&Arc<Sku>>,
    name: impl Fn() -> String,
) -> Result<(Arc<Sku>, Policy), Rule> {
    match found.and_then(|sku| Some((sku, catalogue.policy(sku)?))) {
        None => Err(Rule::UnknownSku(name())),
        Some((sku, _)) if sku.status == SkuStatus::Retired => Err(Rule::RetiredSku(sku.code.to_string())),
        Some((sku, policy)) => Ok((Arc::clone(sku), *policy)),
    }
}

/// Units that each piece gets of what is `left` of each SKU, line by line in the order of the request: what there is of a
/// SKU, whole kits of a variant. What is not limited is missing from `left`.
pub(super) fn grant(pieces: &[Piece], mut left: HashMap<SkuId, i64>) -> Vec<i64> {
    let mut granted = Vec::with_capacity(pieces.len());
    for line in pieces.chunk_by(|one, next| one.asked == next.asked) {
        let room = line.iter().filter_map(|piece| Some((*left.get(&piece.sku.id)?, i64::from(piece.each))));
        let whole = whole_kits(room);
        for piece in line {
            let units = whole.map_or(piece.quantity, |whole| whole.min(piece.quantity)) * i64::from(piece.each);
            if let Some(left) = left.get_mut(&piece.sku.id) {
                *left -= units;
            }
            granted.push(units);
        }
    }
    granted
}

/// Lines of variants of which a SKU is short, and how many of each could be had. What is not short limits none: there is
/// enough of it for all that is asked.
pub(super) fn short_variants(hold: &Hold, pieces: &[Piece], short: &[Shortfall]) -> Vec<VariantShortfall> {
    let room = |piece: &Piece| {
        let short = short.iter().find(|short| short.sku == piece.sku.id)?;
        Some((short.reservable.max(0), i64::from(piece.each)))
    };
    let of = |line: &VariantLine| {
        let whole = whole_kits(pieces.iter().filter(|piece| piece.asked == line.line).filter_map(room))?;
        Some(VariantShortfall {
            line: line.line,
            variant_id: line.variant_id,
            mapping_version: line.mapping.as_ref()?.version,
            requested: line.quantity,
            available: whole.min(line.quantity),
        })
    };
    hold.variants.iter().filter_map(of).collect()
}

/// The variants as the reservation keeps them.
pub(super) fn variants(hold: &Hold, pieces: &[Piece]) -> Vec<Variant> {
    let part = |piece: &Piece| Part { line: piece.line, unit_quantity: piece.each };
    let of = |line: &VariantLine| Variant {
        line: line.line,
        variant_id: line.variant_id,
        mapping_version: line.mapping.as_ref().map_or(0, |mapping| mapping.version),
        quantity: line.quantity,
        parts: pieces.iter().filter(|piece| piece.asked == line.line).map(part).collect(),
    };
    hold.variants.iter().map(of).collect()
}
