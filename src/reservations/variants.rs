//! Variants that a cart named: what each was when it was held. Written with the reservation and never changed, so that a
//! recipe of tomorrow changes nothing of it. Pure.
//!
//! The lines of the reservation are what counts: they are SKUs, like any other line. This only says which of them belong
//! together, and why.

use serde::{Deserialize, Serialize};

/// A line of the request that named a variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// Its position in the request, from 1.
    pub line: i16,
    /// The upstream's id.
    pub variant_id: i64,
    /// The version of its mapping.
    pub mapping_version: i32,
    /// Units of the variant that were asked for.
    pub quantity: i64,
    /// Its SKUs. None: it has no stock.
    pub parts: Vec<Part>,
}

/// One SKU of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The line of the reservation.
    pub line: i16,
    /// Units of the SKU in one unit of the variant.
    pub unit_quantity: i32,
}

/// Which variant a line of the reservation is part of.
#[must_use]
pub fn variant_of(variants: &[Variant], line: i16) -> Option<(&Variant, Part)> {
    variants.iter().find_map(|variant| Some((variant, *variant.parts.iter().find(|part| part.line == line)?)))
}
