//! `POST /shipments`: the request and the command it becomes.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::catalog::Pool;
use crate::http::body::Json;
use crate::http::code::Code;
use crate::http::problem::Problem;
use crate::http::violations::Violations;
use crate::ids::{ReservationId, ShipmentId};
use crate::ledger::command::{Ship, ShipLine};
use crate::ledger::lanes::hint_of_sku;

/// Most lines of one shipment or return.
pub const MOST_LINES: usize = 500;
/// The source of what is entered by hand.
pub const BY_HAND: &str = "manual";

/// Units that physically left.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordShipment {
    /// Pool code; `default` if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<String>,
    /// The system that `source_ref` belongs to; `manual` if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// The source's own name of the shipment. Each of its lines is recorded once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required)]
    source_ref: Option<String>,
    /// The order it belongs to: what its reservations have committed is fulfilled.
    #[serde(skip_serializing_if = "Option::is_none")]
    order_ref: Option<String>,
    /// The reservation that it fulfils; goes before `order_ref`. What it still holds of these lines is committed, to
    /// `order_ref` or else to `source_ref`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reservation_id: Option<String>,
    /// When it left; now if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    shipped_at: Option<DateTime<Utc>>,
    /// 1 to 500 lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required)]
    lines: Option<Vec<ShipmentLine>>,
}

/// One line of a shipment.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShipmentLine {
    /// The source's own name of the line; its position, from 1, if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    line_ref: Option<String>,
    /// SKU code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required)]
    sku: Option<String>,
    /// Units, 1 to 10^9.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required, minimum = 1, maximum = 1_000_000_000)]
    quantity: Option<i64>,
    /// When it left, if not with the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    shipped_at: Option<DateTime<Utc>>,
    /// The lot that the warehouse took it from; depletion chooses if left out, or if no lot of this code has anything
    /// left.
    #[serde(skip_serializing_if = "Option::is_none")]
    lot_code: Option<String>,
}

impl RecordShipment {
    /// The pool it names.
    #[must_use]
    pub fn pool(&self) -> &str {
        self.pool.as_deref().unwrap_or("default")
    }

    /// The command it becomes, and the lane hint of its first SKU.
    ///
    /// # Errors
    /// A problem that lists every broken rule.
    pub fn into_command(body: Json<Self>, pool: Option<&Pool>) -> Result<(Ship, u8), Problem> {
        let Json { value, violations: mut v } = body;
        if pool.is_none() {
            v.add_code("/pool", Code::UnknownPool, format!("there is no pool {:?}", value.pool()));
        }
        let (source, source_ref) = read_source(&mut v, value.source, value.source_ref);
        let order_ref = value.order_ref.and_then(|text| v.text("/order_ref", Some(text), 255));
        let reservation = value.reservation_id.and_then(|text| read_reservation(&mut v, &text, pool));
        v.year("/shipped_at", value.shipped_at);
        let lines = v.required("/lines", value.lines);
        let lines = lines.map(|lines| read_lines(&mut v, lines, value.shipped_at)).unwrap_or_default();
        let hint = lines.iter().map(|line| &line.sku).min().map_or(0, |sku| hint_of_sku(sku));
        let ship = pool.zip(source).zip(source_ref).map(|((pool, source), source_ref)| Ship {
            id: ShipmentId::new(pool.id),
            source,
            source_ref,
            order_ref,
            reservation,
            lines,
        });
        Ok((v.finish(ship)?, hint))
    }
}

/// Source and source reference of a shipment or a return.
pub(super) fn read_source(
    v: &mut Violations,
    source: Option<String>,
    source_ref: Option<String>,
) -> (Option<String>, Option<String>) {
    let source = source.map_or_else(|| Some(BY_HAND.to_owned()), |text| v.text("/source", Some(text), 64));
    let source_ref = v.required("/source_ref", source_ref);
    (source, v.text("/source_ref", source_ref, 255))
}

fn read_reservation(v: &mut Violations, text: &str, pool: Option<&Pool>) -> Option<ReservationId> {
    let id = ReservationId::parse(text);
    match id {
        None => v.add("/reservation_id", "must be the id of a reservation"),
        Some(id) if pool.is_some_and(|pool| pool.id != id.pool) => {
            v.add("/reservation_id", "must be in the shipment's pool");
        }
        Some(_) => {}
    }
    id
}

/// Names of lines: 1 to 128 characters, each once. What has no name is called by its position.
pub(super) fn read_line_refs(v: &mut Violations, names: impl Iterator<Item = Option<String>>) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut read = Vec::new();
    for (index, name) in names.enumerate() {
        let pointer = format!("/lines/{index}/line_ref");
        let name = name.map_or_else(|| Some((index + 1).to_string()), |text| v.text(&pointer, Some(text), 128));
        let name = name.unwrap_or_default();
        if !seen.insert(name.clone()) {
            v.add(pointer, "must not name two lines of one request");
        }
        read.push(name);
    }
    read
}

fn read_lines(v: &mut Violations, lines: Vec<ShipmentLine>, shipped_at: Option<DateTime<Utc>>) -> Vec<ShipLine> {
    if lines.is_empty() || lines.len() > MOST_LINES {
        v.add("/lines", format!("must have 1 to {MOST_LINES} lines"));
        return Vec::new();
    }
    let names = read_line_refs(v, lines.iter().map(|line| line.line_ref.clone()));
    let mut read = Vec::with_capacity(lines.len());
    for ((index, line), line_ref) in lines.into_iter().enumerate().zip(names) {
        let at = |member: &str| format!("/lines/{index}/{member}");
        let sku = v.required(&at("sku"), line.sku);
        let sku = v.text(&at("sku"), sku, 128);
        let quantity = v.quantity(&at("quantity"), line.quantity);
        v.year(&at("shipped_at"), line.shipped_at);
        let lot_code = line.lot_code.and_then(|text| v.text(&at("lot_code"), Some(text), 128));
        if let Some((sku, quantity)) = sku.zip(quantity) {
            let shipped_at = line.shipped_at.or(shipped_at);
            read.push(ShipLine { line_ref, sku: Arc::from(sku), quantity, shipped_at, lot_code });
        }
    }
    read
}
