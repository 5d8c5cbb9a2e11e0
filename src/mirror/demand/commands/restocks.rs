//! Units that came back, line by line: one that is refused keeps no other from its shelf.

use std::collections::BTreeMap;

use super::{Failure, RefusedItem, Teller, order_ref};
use crate::ids::ReturnId;
use crate::ledger::command::{Command, Return, ReturnLine};
use crate::mirror::demand::plan::{Back, Finding, Move};

/// Goes away by itself, with the first lot of the SKU: tried again, not settled.
const UNKNOWN_COST: &str = "unknown_cost";

impl Teller<'_> {
    pub(super) async fn put_back(&self, back: &Back) -> Result<Vec<Finding>, Failure> {
        let catalogue = self.app.catalogue.current();
        // What is not counted has no shelf to come back to.
        let is_counted = |moved: &&Move| catalogue.sku(moved.sku).is_some_and(|sku| sku.tracked);
        let mut lines: Vec<&Move> = back.lines.iter().filter(is_counted).collect();
        let (mut findings, mut again) = (Vec::new(), None);
        while !lines.is_empty() {
            let answer = self.submit(back.pool, None, self.command(back, &lines)).await?;
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
            for (line, item) in &by_line {
                let text = format!("line {}: {}", lines[*line].move_ref, item.detail);
                if item.code == UNKNOWN_COST {
                    again.get_or_insert(format!("refund {} waits: {text}", back.source_ref));
                } else {
                    findings.push(refusal(back, &text));
                }
            }
            lines = (0..).zip(lines).filter(|(at, _)| !by_line.contains_key(at)).map(|(_, moved)| moved).collect();
        }
        again.map_or(Ok(findings), |text| Err(Failure(text)))
    }

    fn command(&self, back: &Back, lines: &[&Move]) -> Command {
        let catalogue = self.app.catalogue.current();
        let quarantine = !self.app.mirror.settings.restock_on_sale;
        let line = |moved: &&Move| ReturnLine {
            line_ref: moved.move_ref.clone(),
            sku: catalogue.sku_code(moved.sku),
            quantity: moved.quantity,
            shipped: None,
            quarantine: quarantine || back.elsewhere.contains(&moved.move_ref),
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
