//! From a plan to the ledger: the commands of one order, one after the other.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use super::DemandedView;
use super::apply::{Work, order_ref};
use super::plan::{Back, Finding, Move};
use super::progress::{Taken, hold_reference};
use crate::app::App;
use crate::ids::{PoolId, ReservationId, ReturnId, ShipmentId};
use crate::ledger::command::{Command, Demand, Hold, HoldLine, Return, ReturnLine, Ship, ShipLine, VoidShipment};
use crate::ledger::demand::DemandKey;
use crate::ledger::lanes::{LaneError, hint_of_sku};
use crate::ledger::submission::{Answer, Key, Submission};
use crate::ledger::world::MIRROR;
use crate::mirror::rows::Source;

/// Why an order has to be tried again; for people.
#[derive(Debug)]
pub(super) struct Failure(pub String);

/// Longer than a command may wait in its lane.
const MARGIN: TimeDelta = TimeDelta::seconds(15);

/// All orders of a pool meet in one lane: its combined commits lock each balance row once for many orders.
const LANE: u8 = 0;

/// Carries out a plan: parcels, then claims, then what came back. What it finds out on the way.
pub(super) async fn run(
    app: &Arc<App>,
    key: (Source, i64),
    taken: &Taken,
    work: &Work,
) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    let teller = Teller { app, key, lease: taken.lease };
    // What did not leave is on the shelf before anything else takes from it.
    for name in &work.plan.unsent {
        for (pool, known) in &work.known {
            if let Some(parcel) = known.parcels.get(name).filter(|parcel| parcel.standing) {
                let id = ShipmentId { pool: *pool, uuid: parcel.shipment };
                findings.extend(teller.void(id, parcel.lines.len()).await?);
            }
        }
    }
    for (pool, name, at, moves) in &work.plan.sent {
        let recorded = work.known.get(pool).and_then(|known| known.parcels.get(name));
        let new: Vec<&Move> =
            moves.iter().filter(|m| recorded.is_none_or(|r| !r.lines.contains(&m.move_ref))).collect();
        if !new.is_empty() {
            teller.ship(*pool, name, *at, &new).await?;
        }
    }
    if work.hold {
        findings.extend(teller.hold(work).await?);
    }
    if work.claims {
        findings.extend(teller.claim(taken.revision, work).await?);
    }
    for back in &work.plan.back {
        let known = work.known.get(&back.pool).and_then(|known| known.back.get(&back.source_ref));
        let new: Vec<&Move> =
            back.lines.iter().filter(|m| known.is_none_or(|known| !known.contains(&m.move_ref))).collect();
        if !new.is_empty() {
            findings.extend(teller.put_back(back, &new).await?);
        }
    }
    Ok(findings)
}

/// Tells the ledger about one order.
struct Teller<'a> {
    app: &'a Arc<App>,
    key: (Source, i64),
    lease: DateTime<Utc>,
}

#[derive(Deserialize)]
struct Refused {
    code: String,
    detail: Option<String>,
    #[serde(default)]
    errors: Vec<RefusedItem>,
}

#[derive(Deserialize)]
struct RefusedItem {
    detail: String,
}

impl Refused {
    fn text(self) -> String {
        let mut texts: Vec<String> = self.detail.into_iter().collect();
        texts.extend(self.errors.into_iter().map(|item| item.detail));
        format!("{}: {}", self.code, texts.join("; "))
    }
}

impl Teller<'_> {
    async fn submit(&self, pool: PoolId, key: Option<Key>, command: Command) -> Result<Answer, Failure> {
        let (source, id) = self.key;
        // What another may have taken over is no longer this one's to tell.
        if self.app.clock.local_now() + MARGIN >= self.lease {
            return Err(Failure("it took longer than its lease".to_owned()));
        }
        let submission = Submission {
            client: MIRROR,
            key,
            pool,
            request_id: format!("mirror-{source}-{id}").into(),
            instance: format!("/mirror/orders/{source}/{id}").into(),
            command,
        };
        self.app.lanes.submit(submission, LANE).await.map_err(|error: LaneError| Failure(error.to_string()))
    }

    /// The refusal that an answer is, in words; `None` if it is none.
    fn refusal(answer: &Answer) -> Option<String> {
        if answer.status < 400 {
            return None;
        }
        let read: Result<Refused, _> = serde_json::from_slice(&answer.body);
        Some(read.map_or_else(|_| format!("status {}", answer.status), Refused::text))
    }

    async fn ship(&self, pool: PoolId, name: &str, at: DateTime<Utc>, moves: &[&Move]) -> Result<(), Failure> {
        let catalogue = self.app.catalogue.current();
        let ship = Ship {
            id: ShipmentId::new(pool),
            source: self.key.0.as_str().to_owned(),
            source_ref: name.to_owned(),
            order_ref: Some(order_ref(self.key)),
            reservation: None,
            lines: moves
                .iter()
                .map(|m| ShipLine {
                    line_ref: m.move_ref.clone(),
                    sku: catalogue.sku_code(m.sku),
                    quantity: m.quantity,
                    shipped_at: Some(at),
                    lot_code: None,
                })
                .collect(),
        };
        let answer = self.submit(pool, None, Command::Ship(Box::new(ship))).await?;
        Self::refusal(&answer).map_or(Ok(()), |text| Err(Failure(format!("parcel {name} was refused: {text}"))))
    }

    /// What has come back did leave: such a parcel cannot be unsent, which is told and not tried again.
    async fn void(&self, id: ShipmentId, lines: usize) -> Result<Option<Finding>, Failure> {
        let void = VoidShipment {
            id,
            lines: None,
            reason: "cancelled upstream".to_owned(),
            successor_ids: (0..lines).map(|_| ReservationId::new(id.pool, LANE)).collect(),
        };
        let answer = self.submit(id.pool, None, Command::VoidShipment(Box::new(void))).await?;
        Ok(Self::refusal(&answer).map(|text| Finding::new("parcel_not_voided", format!("shipment {id}: {text}"))))
    }

    async fn claim(&self, revision: i64, work: &Work) -> Result<Vec<Finding>, Failure> {
        let pool = work.order.home;
        let key =
            |(source, id): (Source, i64)| DemandKey { source: source.as_str().to_owned(), order_id: id.to_string() };
        let demand = Demand {
            key: key(self.key),
            revision,
            order_ref: order_ref(self.key),
            order_name: work.name.clone(),
            reservation: work.reservation,
            absorbs: work.absorbs.iter().map(|id| key((Source::Recharge, *id))).collect(),
            lines: work.plan.claims.clone(),
            complete: work.plan.complete,
            reason: work.plan.reason.clone(),
            id: ReservationId::new(pool, LANE),
        };
        let answer = self.submit(pool, None, Command::Demand(Box::new(demand))).await?;
        if let Some(text) = Self::refusal(&answer) {
            return Err(Failure(format!("the claim was refused: {text}")));
        }
        let view: DemandedView = serde_json::from_slice(&answer.body)
            .map_err(|_| Failure("the claim's answer cannot be read".to_owned()))?;
        let foreign = view.foreign.map(|id| {
            Finding::new(
                "reservation_of_another_order",
                format!("the order names {id}, which is another order's claim"),
            )
        });
        let oversold = view.oversold.into_iter().map(|(sku, units)| {
            Finding::new("oversold", format!("{sku} was oversold by {units} units when it claimed"))
        });
        Ok(foreign.into_iter().chain(oversold).collect())
    }

    /// A hold for an order that is not paid yet, made once, as far as there is stock.
    async fn hold(&self, work: &Work) -> Result<Option<Finding>, Failure> {
        let pool = work.order.home;
        let catalogue = self.app.catalogue.current();
        let mut wanted: Vec<(Arc<str>, i64)> = Vec::new();
        let mut longest = i64::try_from(self.app.mirror.settings.unpaid_hold.as_secs()).unwrap_or(i64::MAX);
        for line in work.lines.values() {
            let Some(meaning) = work.order.meanings.get(&line.line_ref) else { continue };
            for (id, each) in &meaning.components {
                let Some(sku) = catalogue.sku(*id) else { continue };
                longest = longest.min(catalogue.policy(sku).map_or(longest, |policy| policy.longest_hold_seconds));
                let units = line.unfulfilled.max(0).saturating_mul((*each).into());
                match wanted.iter_mut().find(|(code, _)| *code == sku.code) {
                    Some((_, sum)) => *sum += units,
                    None if units > 0 => wanted.push((Arc::clone(&sku.code), units)),
                    None => {}
                }
            }
        }
        if wanted.is_empty() {
            return Ok(None);
        }
        wanted.sort();
        let reference = hold_reference(self.key);
        let hold = Hold {
            id: ReservationId::new(pool, hint_of_sku(&wanted[0].0)),
            lines: (1..).zip(wanted).map(|(line, (sku, quantity))| HoldLine { line, sku, quantity }).collect(),
            variants: Vec::new(),
            ttl_seconds: Some(longest),
            client_reference: Some(reference.clone()),
            owner: None,
            metadata: None,
            allow_partial: true,
            supersedes: None,
        };
        let key = Key { key: format!("hold/{reference}"), fingerprint: [0; 32] };
        let answer = self.submit(pool, Some(key), Command::Hold(hold)).await?;
        Ok(Self::refusal(&answer).map(|text| Finding::new("unpaid_order_not_held", text)))
    }

    async fn put_back(&self, back: &Back, moves: &[&Move]) -> Result<Option<Finding>, Failure> {
        let catalogue = self.app.catalogue.current();
        let quarantine = !self.app.mirror.settings.restock_on_sale;
        let command = Return {
            id: ReturnId::new(back.pool),
            source: self.key.0.as_str().to_owned(),
            source_ref: back.source_ref.clone(),
            order_ref: back.recorded.then(|| order_ref(self.key)),
            lines: moves
                .iter()
                .map(|m| ReturnLine {
                    line_ref: m.move_ref.clone(),
                    sku: catalogue.sku_code(m.sku),
                    quantity: m.quantity,
                    shipped: None,
                    quarantine,
                    cost: None,
                })
                .collect(),
        };
        let answer = self.submit(back.pool, None, Command::Return(Box::new(command))).await?;
        Ok(Self::refusal(&answer)
            .map(|text| Finding::new("restock_refused", format!("refund {}: {text}", back.source_ref))))
    }
}
