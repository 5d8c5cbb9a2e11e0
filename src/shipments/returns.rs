//! `POST /returns`: the request and the command it becomes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::record::{MOST_LINES, read_line_refs, read_source};
use crate::catalog::Pool;
use crate::http::body::Json;
use crate::http::code::Code;
use crate::http::problem::Problem;
use crate::http::violations::Violations;
use crate::ids::{ReturnId, ShipmentId};
use crate::ledger::command::{Return, ReturnLine as Line};
use crate::ledger::goods::ShipmentLineRef;
use crate::ledger::lanes::hint_of_sku;
use crate::lots::receive::{read_cost, read_currency};

/// Units that came back.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordReturn {
    /// Pool code; `default` if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<String>,
    /// The system that `source_ref` belongs to; `manual` if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// The source's own name of the return. Each of its lines is recorded once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required)]
    source_ref: Option<String>,
    /// The order they had been shipped for: lines that name no shipment line are taken from its newest ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    order_ref: Option<String>,
    /// 1 to 500 lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required)]
    lines: Option<Vec<ReturnLine>>,
}

/// What becomes of returned units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// Off sale until somebody releases the lot.
    Quarantine,
    /// For sale at once.
    Restock,
}

/// One line of a return.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReturnLine {
    /// The source's own name of the line; its position, from 1, if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    line_ref: Option<String>,
    /// Code of the SKU that came back, which is not always the one that was shipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required)]
    sku: Option<String>,
    /// Units, 1 to 10^9; at most what was shipped and has not come back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required, minimum = 1, maximum = 1_000_000_000)]
    quantity: Option<i64>,
    /// The shipment that had sent them; needs `shipment_line_ref`.
    #[serde(skip_serializing_if = "Option::is_none")]
    shipment_id: Option<String>,
    /// The line of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    shipment_line_ref: Option<String>,
    /// `quarantine` if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    disposition: Option<Disposition>,
    /// Cost of a unit, where no shipment tells it; without it the newest lot's, provisionally.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit_cost: Option<String>,
    /// ISO 4217; needed with `unit_cost`.
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<String>,
}

impl RecordReturn {
    /// The pool it names.
    #[must_use]
    pub fn pool(&self) -> &str {
        self.pool.as_deref().unwrap_or("default")
    }

    /// The command it becomes, and the lane hint of its first SKU.
    ///
    /// # Errors
    /// A problem that lists every broken rule.
    pub fn into_command(body: Json<Self>, pool: Option<&Pool>) -> Result<(Return, u8), Problem> {
        let Json { value, violations: mut v } = body;
        if pool.is_none() {
            v.add_code("/pool", Code::UnknownPool, format!("there is no pool {:?}", value.pool()));
        }
        let (source, source_ref) = read_source(&mut v, value.source, value.source_ref);
        let order_ref = value.order_ref.and_then(|text| v.text("/order_ref", Some(text), 255));
        let lines = v.required("/lines", value.lines);
        let lines = lines.map(|lines| read_lines(&mut v, lines, pool)).unwrap_or_default();
        let hint = lines.iter().map(|line| &line.sku).min().map_or(0, |sku| hint_of_sku(sku));
        let back = pool.zip(source).zip(source_ref).map(|((pool, source), source_ref)| Return {
            id: ReturnId::new(pool.id),
            source,
            source_ref,
            order_ref,
            lines,
        });
        Ok((v.finish(back)?, hint))
    }
}

fn read_lines(v: &mut Violations, lines: Vec<ReturnLine>, pool: Option<&Pool>) -> Vec<Line> {
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
        let shipped = read_shipped(v, index, line.shipment_id, line.shipment_line_ref, pool);
        if line.unit_cost.is_some() != line.currency.is_some() {
            v.add(at("currency"), "must be given together with unit_cost");
        }
        let unit_cost = line.unit_cost.and_then(|text| read_cost(v, &at("unit_cost"), &text));
        let currency = line.currency.and_then(|text| read_currency(v, &at("currency"), text));
        if let Some((sku, quantity)) = sku.zip(quantity) {
            read.push(Line {
                line_ref,
                sku: Arc::from(sku),
                quantity,
                shipped,
                quarantine: line.disposition != Some(Disposition::Restock),
                cost: unit_cost.zip(currency),
            });
        }
    }
    read
}

fn read_shipped(
    v: &mut Violations,
    index: usize,
    shipment: Option<String>,
    line_ref: Option<String>,
    pool: Option<&Pool>,
) -> Option<ShipmentLineRef> {
    let pointer = format!("/lines/{index}/shipment_id");
    let (shipment, line_ref) = match (shipment, line_ref) {
        (None, None) => return None,
        (Some(shipment), Some(line_ref)) => (shipment, line_ref),
        _ => {
            v.add(pointer, "must be given together with shipment_line_ref");
            return None;
        }
    };
    match ShipmentId::parse(&shipment) {
        None => v.add(pointer, "must be the id of a shipment"),
        Some(id) if pool.is_some_and(|pool| pool.id != id.pool) => v.add(pointer, "must be in the return's pool"),
        Some(id) => return Some(ShipmentLineRef { shipment: id.uuid, line_ref }),
    }
    None
}
