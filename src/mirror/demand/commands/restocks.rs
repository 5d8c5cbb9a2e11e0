//! Units that came back, line by line: one that is refused keeps no other from its shelf.

use std::collections::{BTreeMap, BTreeSet};

use super::{Failure, RefusedItem, Shipments, Teller, order_ref};
use crate::ids::ReturnId;
use crate::ledger::command::{Command, Return, ReturnLine};
use crate::ledger::goods::ShipmentLineRef;
use crate::mirror::demand::plan::{Back, Finding, MoveBack};

/// Goes away by itself, with the first lot of the SKU: tried again, not settled.
const UNKNOWN_COST: &str = "unknown_cost";
/// Somebody else has brought back what left by this line of a shipment: these are other units of the order.
const NOT_OF_THE_LINE: [&str; 2] = ["exceeds_shipped", "unknown_shipment_line"];

impl Teller<'_> {
    pub(super) async fn put_back(&self, back: &Back, shipments: &Shipments<'_>) -> Result<Vec<Finding>, Failure> {
        let catalogue = self.app.catalogue.current();
        // What is not counted has no shelf to come back to.
        let is_counted = |line: &&MoveBack| catalogue.sku(line.moved.sku).is_some_and(|sku| sku.tracked);
        let mut lines: Vec<&MoveBack> = back.lines.iter().filter(is_counted).collect();
        let mut of_order: BTreeSet<&str> = BTreeSet::new();
        let (mut findings, mut again) = (Vec::new(), None);
        while !lines.is_empty() {
            let answer = self.submit(back.pool, None, self.command(back, &lines, shipments, &of_order)).await?;
            let Some(mut refused) = Self::refused(&answer) else { break };
            let mut by_line: BTreeMap<usize, RefusedItem> = BTreeMap::new();
            for item in std::mem::take(&mut refused.errors) {
                match item.line().filter(|line| *line < lines.len()) {
                    Some(line) => drop(by_line.entry(line).or_insert(item)),
                    None => refused.errors.push(item),
                }
            }
            if by_line.is_empty() {
                findings.push(refusal(back, &refused.text()));
                break;
            }
            by_line.retain(|line, item| {
                let MoveBack { moved, left_by } = lines[*line];
                let named = left_by.is_some() && NOT_OF_THE_LINE.contains(&item.code.as_str());
                !(named && of_order.insert(&moved.move_ref))
            });
            for (line, item) in &by_line {
                let text = format!("line {}: {}", lines[*line].moved.move_ref, item.detail);
                if item.code == UNKNOWN_COST {
                    again.get_or_insert(format!("refund {} waits: {text}", back.source_ref));
                } else {
                    findings.push(refusal(back, &text));
                }
            }
            lines = (0..).zip(lines).filter(|(at, _)| !by_line.contains_key(at)).map(|(_, line)| line).collect();
        }
        again.map_or(Ok(findings), |text| Err(Failure(text)))
    }

    /// All that is said of these lines; `of_order` are those that are said to be of the order only.
    fn command(
        &self,
        back: &Back,
        lines: &[&MoveBack],
        shipments: &Shipments<'_>,
        of_order: &BTreeSet<&str>,
    ) -> Command {
        let catalogue = self.app.catalogue.current();
        let quarantine = !self.app.mirror.settings.restock_on_sale;
        let shipped = |line: &MoveBack| {
            let left_by = line.left_by.as_ref().filter(|_| !of_order.contains(line.moved.move_ref.as_str()))?;
            let shipment = shipments.get(left_by.parcel_ref.as_str())?.uuid;
            Some(ShipmentLineRef { shipment, line_ref: left_by.move_ref.clone() })
        };
        let line = |line: &&MoveBack| ReturnLine {
            line_ref: line.moved.move_ref.clone(),
            sku: catalogue.sku_code(line.moved.sku),
            quantity: line.moved.quantity,
            shipped: shipped(line),
            quarantine: quarantine || back.elsewhere.contains(&line.moved.move_ref),
            cost: None,
        };
        Command::Return(Box::new(Return {
            id: ReturnId::new(back.pool),
            source: self.key.0.as_str().to_owned(),
            source_ref: back.source_ref.clone(),
            order_ref: back.shipped.then(|| order_ref(self.key)),
            lines: lines.iter().map(line).collect(),
        }))
    }
}

fn refusal(back: &Back, text: &str) -> Finding {
    Finding::new("restock_refused", format!("refund {}: {text}", back.source_ref))
}
