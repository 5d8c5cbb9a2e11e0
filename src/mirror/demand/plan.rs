//! What an order means to stock, as a function of its newest copy. Pure: no SQL, no clock, no upstream.
//!
//! Quantities of claims are totals: units still to be sent and units that have left the order's pool, since the mirror
//! began. Parcels and restocked units from before that are history and move nothing.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};

use crate::ids::{PoolId, SkuId};
use crate::ledger::demand::DemandLine;

/// Why claims are given up; shown in the ledger.
pub const CANCELED: &str = "order_canceled";
const EDITED: &str = "order_edited";
const CLOSED: &str = "order_closed";
const DELETED: &str = "upstream_deleted";

/// Whether an order's lines want anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// They do.
    Open,
    /// Nothing more is to be sent.
    Cancelled,
    /// Nothing more is to be sent; archived.
    Closed,
    /// The upstream no longer has it.
    Deleted,
    /// By a setting it wants nothing yet; what left has left.
    Waiting,
    /// By a setting it is none of stock's business.
    Ignored,
}

/// One line, as the newest copy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The upstream's name of it.
    pub line_ref: String,
    /// What was bought.
    pub variant_id: Option<i64>,
    /// The seller's code when it was bought.
    pub sku: Option<String>,
    /// For people.
    pub title: String,
    /// Units still to be sent.
    pub unfulfilled: i64,
    /// Units ordered, without removed and refunded ones.
    pub current: i64,
    /// Whether it is a thing.
    pub requires_shipping: bool,
}

/// One parcel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// The upstream's name of it.
    pub parcel_ref: String,
    /// Whether it counts as sent.
    pub sent: bool,
    /// When it left.
    pub sent_at: DateTime<Utc>,
    /// The pool it leaves: the one it was recorded in, or else the one that its location maps to.
    pub pool: Option<PoolId>,
    /// Its own name of a line, the order line's, units.
    pub lines: Vec<(String, String, i64)>,
}

/// One refund with units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restock {
    /// The upstream's name of the refund.
    pub refund_ref: String,
    /// When it was made.
    pub made_at: Option<DateTime<Utc>>,
    /// What was put back.
    pub lines: Vec<RestockedLine>,
}

/// Units put back on a shelf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestockedLine {
    /// Its place in the refund.
    pub restock_ref: String,
    /// The order line.
    pub line_ref: String,
    /// Units.
    pub quantity: i64,
    /// The pool of the shelf, where its location maps to one.
    pub pool: Option<PoolId>,
}

/// What one unit of a line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meaning {
    /// The mapping's version; 0 for a line that says it by its own SKU code.
    pub version: i32,
    /// SKUs and units of each. None: it has no stock.
    pub components: Vec<(SkuId, i32)>,
}

/// An order and what is known about it.
#[derive(Debug, Clone)]
pub struct Order {
    /// Whether its lines want anything.
    pub standing: Standing,
    /// The pool of its claims.
    pub home: PoolId,
    /// What happened before is history.
    pub began_at: DateTime<Utc>,
    /// Its lines.
    pub lines: Vec<Line>,
    /// Its parcels.
    pub parcels: Vec<Parcel>,
    /// What came back.
    pub restocks: Vec<Restock>,
    /// What lines are, by line; those that nobody can tell are missing.
    pub meanings: HashMap<String, Meaning>,
}

/// Units that leave or come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The upstream's own name of the line, with the SKU where it is a kit's.
    pub move_ref: String,
    /// What moves.
    pub sku: SkuId,
    /// Units.
    pub quantity: i64,
}

/// Units that come back in one go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Back {
    /// Where to.
    pub pool: PoolId,
    /// What the ledger calls it.
    pub source_ref: String,
    /// Whether the ledger has the shipments; units from before the mirror began are taken at their word.
    pub recorded: bool,
    /// What comes back.
    pub lines: Vec<Move>,
}

/// Something that an operator should know.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Finding {
    /// Which.
    pub code: String,
    /// In words.
    pub detail: String,
}

impl Finding {
    /// A finding.
    #[must_use]
    pub fn new(code: &str, detail: impl Into<String>) -> Self {
        Self { code: code.to_owned(), detail: detail.into() }
    }
}

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Parcels that left: pool, name, when, what.
    pub sent: Vec<(PoolId, String, DateTime<Utc>, Vec<Move>)>,
    /// Parcels that did not leave, should they have been recorded.
    pub unsent: Vec<String>,
    /// What comes back.
    pub back: Vec<Back>,
    /// What the lines want from the home pool.
    pub claims: Vec<DemandLine>,
    /// Whether that is everything.
    pub complete: bool,
    /// Why claims are given up, should some be.
    pub reason: String,
    /// Lines that nobody can tell the stock of.
    pub unmatched: Vec<String>,
    /// What an operator should know.
    pub findings: Vec<Finding>,
}

impl Order {
    /// What is to be done.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let mut plan = Plan { reason: self.reason().to_owned(), complete: true, ..Plan::default() };
        if self.standing == Standing::Ignored {
            return plan;
        }
        plan.unmatched = self.unmatched();
        plan.complete = plan.unmatched.is_empty();
        for parcel in &self.parcels {
            if !parcel.sent {
                plan.unsent.push(parcel.parcel_ref.clone());
            } else if parcel.sent_at >= self.began_at {
                let moves =
                    parcel.lines.iter().flat_map(|(name, line, units)| self.moves(name, line, *units)).collect();
                plan.sent.push((parcel.pool.unwrap_or(self.home), parcel.parcel_ref.clone(), parcel.sent_at, moves));
            }
        }
        plan.sent.retain(|(_, _, _, moves)| !moves.is_empty());
        plan.claims = self.claims();
        self.put_back(&mut plan);
        plan
    }

    fn reason(&self) -> &'static str {
        match self.standing {
            Standing::Open | Standing::Waiting | Standing::Ignored => EDITED,
            Standing::Cancelled => CANCELED,
            Standing::Closed => CLOSED,
            Standing::Deleted => DELETED,
        }
    }

    /// Lines without a meaning that matter: something is still to be sent, has been sent, or has come back.
    fn unmatched(&self) -> Vec<String> {
        let moved: HashSet<&str> = self
            .parcels
            .iter()
            .filter(|parcel| parcel.sent && parcel.sent_at >= self.began_at)
            .flat_map(|parcel| parcel.lines.iter().map(|(_, line, _)| line.as_str()))
            .collect();
        let wants = |line: &&Line| self.standing == Standing::Open && line.unfulfilled > 0;
        self.lines
            .iter()
            .filter(|line| line.requires_shipping && !self.meanings.contains_key(&line.line_ref))
            .filter(|line| wants(line) || moved.contains(line.line_ref.as_str()))
            .map(|line| line.line_ref.clone())
            .collect()
    }

    fn moves(&self, name: &str, line_ref: &str, units: i64) -> Vec<Move> {
        let Some(meaning) = self.meanings.get(line_ref).filter(|_| units > 0) else { return Vec::new() };
        let kit = meaning.components.len() > 1;
        meaning
            .components
            .iter()
            .map(|(sku, each)| Move {
                move_ref: if kit { format!("{name}/{}", sku.0) } else { name.to_owned() },
                sku: *sku,
                quantity: units.saturating_mul((*each).into()),
            })
            .collect()
    }

    /// Units of each line that left the home pool since the mirror began.
    fn sent_from_home(&self, line_ref: &str) -> i64 {
        self.sent_units(line_ref, |parcel| {
            parcel.sent_at >= self.began_at && parcel.pool.is_none_or(|p| p == self.home)
        })
    }

    fn sent_units(&self, line_ref: &str, which: impl Fn(&Parcel) -> bool) -> i64 {
        let parcels = self.parcels.iter().filter(|parcel| parcel.sent && which(parcel));
        parcels
            .flat_map(|parcel| &parcel.lines)
            .filter(|(_, line, _)| line == line_ref)
            .map(|(_, _, units)| units)
            .sum()
    }

    fn claims(&self) -> Vec<DemandLine> {
        let mut claims = Vec::new();
        for line in &self.lines {
            let Some(meaning) = self.meanings.get(&line.line_ref) else { continue };
            let to_send = if self.standing == Standing::Open { line.unfulfilled.max(0) } else { 0 };
            let units = to_send + self.sent_from_home(&line.line_ref);
            claims.extend(meaning.components.iter().map(|(sku, each)| DemandLine {
                line_ref: line.line_ref.clone(),
                sku: *sku,
                unit_quantity: *each,
                mapping_version: meaning.version,
                quantity: units.saturating_mul((*each).into()),
            }));
        }
        claims
    }

    /// Restocked units come back once, oldest refund first: at most what was sent, what the ledger knows before what it
    /// does not.
    fn put_back(&self, plan: &mut Plan) {
        let mut refunds: Vec<&Restock> = self.restocks.iter().collect();
        refunds.sort_by(|a, b| (a.made_at, &a.refund_ref).cmp(&(b.made_at, &b.refund_ref)));
        let (mut used, mut used_history) = (HashMap::<&str, i64>::new(), HashMap::<&str, i64>::new());
        for refund in refunds {
            let mut groups: BTreeMap<(PoolId, bool), Vec<Move>> = BTreeMap::new();
            for line in &refund.lines {
                let known = self.sent_units(&line.line_ref, |parcel| parcel.sent_at >= self.began_at);
                let history = self.sent_units(&line.line_ref, |parcel| parcel.sent_at < self.began_at);
                // What was sent before the mirror began comes back first: it had been sent first.
                let past = take(&mut used_history, &line.line_ref, history, line.quantity);
                let since = take(&mut used, &line.line_ref, known, line.quantity - past);
                if past + since < line.quantity {
                    plan.findings.push(Finding::new(
                        "restock_exceeds_shipped",
                        format!(
                            "refund {} restocks {} units of line {}, of which {} had been sent and not come back",
                            refund.refund_ref,
                            line.quantity,
                            line.line_ref,
                            past + since
                        ),
                    ));
                }
                if refund.made_at.is_some_and(|at| at < self.began_at) {
                    continue;
                }
                for (recorded, units) in [(true, since), (false, past)] {
                    let pool = line.pool.or_else(|| self.pool_that_sent(&line.line_ref)).unwrap_or(self.home);
                    groups.entry((pool, recorded)).or_default().extend(self.moves(
                        &line.restock_ref,
                        &line.line_ref,
                        units,
                    ));
                }
            }
            let groups = groups.into_iter().filter(|(_, lines)| !lines.is_empty());
            plan.back.extend(groups.map(|((pool, recorded), lines)| Back {
                pool,
                source_ref: if recorded { refund.refund_ref.clone() } else { format!("{}/history", refund.refund_ref) },
                recorded,
                lines,
            }));
        }
    }

    fn pool_that_sent(&self, line_ref: &str) -> Option<PoolId> {
        let sent = self.parcels.iter().rev().filter(|parcel| parcel.sent);
        sent.filter(|parcel| parcel.lines.iter().any(|(_, line, _)| line == line_ref)).find_map(|parcel| parcel.pool)
    }
}

/// Up to `wanted` of what is left of `all` for this line.
fn take<'l>(used: &mut HashMap<&'l str, i64>, line: &'l str, all: i64, wanted: i64) -> i64 {
    let used = used.entry(line).or_default();
    let units = wanted.min(all - *used).max(0);
    *used += units;
    units
}
