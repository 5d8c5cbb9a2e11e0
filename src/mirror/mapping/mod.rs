//! What mirrored things mean to stock: which SKUs a variant is, and which pool a location is.
//!
//! A variant is one SKU, a kit of several, or nothing that has stock. Its mapping is keyed by the upstream's variant id,
//! which survives every renaming of SKU codes, and has versions: the newest counts, older ones stay, since lines keep the
//! version they were first seen under. Where a variant's code is the code of a SKU the mapping makes itself
//!; everything else is an operator's word.
//!
//! Deliberately absent: kits as things of the catalogue. A kit is a recipe of a variant, no SKU.

pub mod queries;

pub use queries::{Mapping, Origin, find_mappings};
