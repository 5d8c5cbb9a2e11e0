//! What an order means to stock, as a function of its newest copy. Pure: no SQL, no clock, no upstream.
//!
//! Quantities of claims are totals: units still to be sent and units that have left the order's pool, since the mirror
//! began. Parcels and restocked units from before that are history and move nothing.
//!
//! What the ledger has recorded is what its record says, whatever the line is taken for since: a line that means
//! something else now means it for the units that are still to be sent.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::ids::{PoolId, ShipmentId, SkuId};
use crate::ledger::demand::DemandLine;

mod restocks;
#[cfg(test)]
mod tests;

/// The version of a mapping that says nothing about what is still to be sent: units that left as another SKU than the
/// line is now.
pub const LEFT_AS: i32 = -1;

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
    /// The shipment that the ledger has of it, while a line of that stands, and how many lines that has.
    pub shipment: Option<(ShipmentId, usize)>,
    /// Whether units of it have come back: then the ledger does not take it back, whatever the upstream says.
    pub stays: bool,
    /// What is in it.
    pub lines: Vec<ParcelLine>,
}

/// Units of one order line in a parcel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParcelLine {
    /// The upstream's own name of it.
    pub name: String,
    /// The order line.
    pub line_ref: String,
    /// Units of the order line.
    pub quantity: i64,
    /// What the ledger has of it, and whether that stands.
    pub recorded: Vec<(Move, bool)>,
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
    /// What the ledger has of it.
    pub recorded: Vec<TakenBack>,
}

/// Units that the ledger has taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenBack {
    /// Where.
    pub pool: PoolId,
    /// Whether out of a shipment that the ledger has.
    pub shipped: bool,
    /// What.
    pub moved: Move,
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

impl Move {
    /// Whether it is of this line of a parcel or a refund.
    #[must_use]
    pub fn is_of(&self, name: &str) -> bool {
        self.move_ref.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// Units that come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveBack {
    /// What.
    pub moved: Move,
    /// What they had left by, where the ledger has, or is about to have, the shipment.
    pub left_by: Option<LeftBy>,
}

/// A line of a shipment that the ledger has of a parcel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftBy {
    /// The parcel.
    pub parcel_ref: String,
    /// The ledger's name of the line.
    pub move_ref: String,
}

/// Units that come back in one go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Back {
    /// Where to.
    pub pool: PoolId,
    /// What the ledger calls it.
    pub source_ref: String,
    /// Whether the ledger has the shipments; units from before the mirror began are taken at their word.
    pub shipped: bool,
    /// What comes back.
    pub lines: Vec<MoveBack>,
    /// Names of those lines whose units are on a shelf of another pool.
    pub elsewhere: Vec<String>,
}

/// A line that nobody can tell the stock of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmatched {
    /// Which.
    pub line_ref: String,
    /// Units that it will claim, were it mapped.
    pub quantity: i64,
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
    /// Parcels that left and are not recorded yet: pool, name, when, what.
    pub sent: Vec<(PoolId, String, DateTime<Utc>, Vec<Move>)>,
    /// Shipments that did not leave after all, and how many lines they have.
    pub unsent: Vec<(ShipmentId, usize)>,
    /// What comes back and is not recorded yet.
    pub back: Vec<Back>,
    /// What the lines want from the home pool.
    pub claims: Vec<DemandLine>,
    /// Whether that is everything.
    pub complete: bool,
    /// Why claims are given up, should some be.
    pub reason: String,
    /// Lines that nobody can tell the stock of.
    pub unmatched: Vec<Unmatched>,
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
        plan.complete = !plan.unmatched.iter().any(|unmatched| self.is_thing(&unmatched.line_ref));
        for parcel in &self.parcels {
            if !parcel.sent {
                plan.unsent.extend(parcel.shipment);
            } else if parcel.sent_at >= self.began_at {
                let new = parcel.lines.iter().filter(|line| line.recorded.is_empty());
                let moves = new.flat_map(|line| self.moves(&line.name, &line.line_ref, line.quantity)).collect();
                plan.sent.push((parcel.pool.unwrap_or(self.home), parcel.parcel_ref.clone(), parcel.sent_at, moves));
            }
        }
        plan.sent.retain(|(_, _, _, moves)| !moves.is_empty());
        plan.claims = self.claims();
        restocks::put_back(self, &mut plan);
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

    fn is_thing(&self, line_ref: &str) -> bool {
        self.lines.iter().any(|line| line.line_ref == line_ref && line.requires_shipping)
    }

    /// Lines without a meaning that matter: something is still to be sent, or has been sent and is not recorded.
    fn unmatched(&self) -> Vec<Unmatched> {
        let unknown = self.lines.iter().filter(|line| !self.meanings.contains_key(&line.line_ref));
        unknown
            .map(|line| {
                let parcels = self.parcels.iter().filter(|parcel| parcel.sent && parcel.sent_at >= self.began_at);
                let left = parcels
                    .flat_map(|parcel| &parcel.lines)
                    .filter(|left| left.line_ref == line.line_ref && left.recorded.is_empty());
                let quantity = self.to_send(line) + left.map(|left| left.quantity).sum::<i64>();
                Unmatched { line_ref: line.line_ref.clone(), quantity }
            })
            .filter(|unmatched| unmatched.quantity > 0)
            .collect()
    }

    fn to_send(&self, line: &Line) -> i64 {
        if self.standing == Standing::Open { line.unfulfilled.max(0) } else { 0 }
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

    /// What of a line has left the home pool, or is about to be recorded so.
    fn left_home(&self, line_ref: &str) -> Vec<(Move, i64)> {
        let of_home = self.parcels.iter().filter(|parcel| parcel.pool.is_none_or(|pool| pool == self.home));
        let mut left = Vec::new();
        for parcel in of_home {
            for line in parcel.lines.iter().filter(|line| line.line_ref == line_ref) {
                let units = line.quantity.max(1);
                if !line.recorded.is_empty() {
                    let counts = |standing: bool| parcel.sent || (parcel.stays && standing);
                    let own = line.recorded.iter().filter(|(_, standing)| counts(*standing));
                    left.extend(own.map(|(moved, _)| (moved.clone(), units)));
                } else if parcel.sent && parcel.sent_at >= self.began_at {
                    let own = self.moves(&line.name, line_ref, line.quantity);
                    left.extend(own.into_iter().map(|moved| (moved, units)));
                }
            }
        }
        left
    }

    fn claims(&self) -> Vec<DemandLine> {
        let mut claims = Vec::new();
        for line in &self.lines {
            let to_send = self.to_send(line);
            let meaning = self.meanings.get(&line.line_ref);
            let mut wanted: Vec<DemandLine> = meaning
                .iter()
                .flat_map(|meaning| meaning.components.iter().map(|component| (meaning.version, component)))
                .map(|(version, (sku, each))| DemandLine {
                    line_ref: line.line_ref.clone(),
                    sku: *sku,
                    unit_quantity: *each,
                    mapping_version: version,
                    quantity: to_send.saturating_mul((*each).into()),
                })
                .collect();
            for (left, units) in self.left_home(&line.line_ref) {
                match wanted.iter_mut().find(|own| own.sku == left.sku) {
                    Some(own) => own.quantity = own.quantity.saturating_add(left.quantity),
                    None => wanted.push(DemandLine {
                        line_ref: line.line_ref.clone(),
                        sku: left.sku,
                        unit_quantity: i32::try_from(left.quantity / units).unwrap_or(i32::MAX).max(1),
                        mapping_version: LEFT_AS,
                        quantity: left.quantity,
                    }),
                }
            }
            claims.append(&mut wanted);
        }
        claims
    }
}
