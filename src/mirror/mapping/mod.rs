//! What mirrored things mean to stock: which SKUs a variant is, and which pool a location is.
//!
//! A variant is one SKU, a kit of several, or nothing that has stock. Its mapping is keyed by the upstream's variant
//! id, which survives every renaming of SKU codes, and has versions: the newest counts, older ones stay, since lines
//! keep the version that they were first seen under. Where a variant's code is the code of a SKU the mapping makes
//! itself ([`autofill`]); everything else is an operator's word ([`change`]), and so is what a single line is
//! ([`lines`]).
//!
//! This room writes mappings; whoever sells by variant reads them too, so that is the catalogue's
//! ([`crate::catalog::recipes`]).
//!
//! Deliberately absent: kits as things of the catalogue. A kit is a recipe of a variant, no SKU; and a mapping is never
//! taken back, only replaced.

pub mod autofill;
pub mod change;
mod components;
pub mod lines;
pub mod locations;
mod retire;
pub mod routes;
mod touch;
pub mod variants;
pub mod view;

pub use crate::catalog::recipes as queries;
pub use queries::{Mapping, Origin, find_mappings};
