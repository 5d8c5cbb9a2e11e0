//! From a plan to the ledger: the commands of one order, one after the other.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use super::DemandedView;
use super::plan::{Finding, Move};
use super::progress::Taken;
use super::work::{Work, order_ref};
use crate::app::App;
use crate::ids::{PoolId, ReservationId, ShipmentId};
use crate::ledger::command::{Command, Demand, Ship, ShipLine, VoidShipment};
use crate::ledger::demand::DemandKey;
use crate::ledger::lanes::LaneError;
use crate::ledger::submission::{Answer, Key, Submission};
use crate::ledger::world::MIRROR;
use crate::mirror::rows::Source;

mod hold;
mod restocks;

/// Why an order has to be tried again; for people.
#[derive(Debug)]
pub(super) struct Failure(pub String);

/// Longer than a command may wait in its lane.
const MARGIN: TimeDelta = TimeDelta::seconds(15);

/// All orders of a pool meet in one lane: its combined commits lock each balance row once for many orders.
const LANE: u8 = 0;

/// What is found out on the way, as far as it went.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// What an operator should know.
    pub findings: Vec<Finding>,
    /// Until when units of the order are held at most, if they are.
    pub held_until: Option<DateTime<Utc>>,
}

/// Carries out a plan: parcels, then claims, then what came back.
pub(super) async fn run(
    app: &Arc<App>,
    key: (Source, i64),
    taken: &Taken,
    work: &Work,
    told: &mut Told,
) -> Result<(), Failure> {
    let teller = Teller { app, key, lease: taken.lease };
    let recorded =
        work.order.parcels.iter().filter_map(|parcel| Some((parcel.parcel_ref.as_str(), parcel.shipment?.0)));
    let mut shipments: Shipments<'_> = recorded.collect();
    // What did not leave is on the shelf before anything else takes from it.
    for (shipment, lines) in &work.plan.unsent {
        told.findings.extend(teller.void(*shipment, *lines).await?);
    }
    for (pool, name, at, moves) in &work.plan.sent {
        shipments.insert(name, teller.ship(*pool, name, *at, moves).await?);
    }
    if let Some(hold) = &work.hold {
        teller.hold(taken.revision, hold, work.order.home, told).await?;
    }
    if work.claims {
        told.findings.extend(teller.claim(taken.revision, work).await?);
        // Claimed at its destination first: meanwhile it is claimed twice, never not at all.
        for (pool, order, revision) in &work.gives_up {
            teller.give_up(*pool, *order, *revision).await?;
        }
    }
    for hold in &work.held_elsewhere {
        teller.release(*hold, "held_in_another_pool").await?;
    }
    let mut again = None;
    for back in &work.plan.back {
        // One refund that has to wait keeps no other from its shelf.
        match teller.put_back(back, &shipments).await {
            Ok(found) => told.findings.extend(found),
            Err(failure) => again = again.or(Some(failure)),
        }
    }
    again.map_or(Ok(()), Err)
}

/// The shipments that the ledger has of parcels.
type Shipments<'a> = HashMap<&'a str, ShipmentId>;

/// Tells the ledger about one order.
struct Teller<'a> {
    app: &'a Arc<App>,
    key: (Source, i64),
    lease: DateTime<Utc>,
}

#[derive(Deserialize)]
struct Shipped {
    id: String,
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
    #[serde(default)]
    code: String,
    #[serde(default)]
    pointer: String,
}

impl RefusedItem {
    /// The line of the command that it is about.
    fn line(&self) -> Option<usize> {
        self.pointer.strip_prefix("/lines/")?.split('/').next()?.parse().ok()
    }
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

    /// The refusal that an answer is; `None` if it is none.
    fn refused(answer: &Answer) -> Option<Refused> {
        if answer.status < 400 {
            return None;
        }
        let unread = |_| Refused { code: format!("status {}", answer.status), detail: None, errors: Vec::new() };
        Some(serde_json::from_slice(&answer.body).unwrap_or_else(unread))
    }

    /// The same in words.
    fn refusal(answer: &Answer) -> Option<String> {
        Self::refused(answer).map(Refused::text)
    }

    async fn ship(&self, pool: PoolId, name: &str, at: DateTime<Utc>, moves: &[Move]) -> Result<ShipmentId, Failure> {
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
        if let Some(text) = Self::refusal(&answer) {
            return Err(Failure(format!("parcel {name} was refused: {text}")));
        }
        let shipped: Option<Shipped> = serde_json::from_slice(&answer.body).ok();
        let id = shipped.and_then(|shipped| ShipmentId::parse(&shipped.id));
        id.ok_or_else(|| Failure(format!("the answer to parcel {name} cannot be read")))
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
        let demand = Demand {
            key: key_of(self.key),
            revision,
            order_ref: order_ref(self.key),
            order_name: work.name.clone(),
            reservation: work.reservation,
            held: work.held,
            absorbs: work.absorbs.iter().map(|id| key_of((Source::Recharge, *id))).collect(),
            lines: work.plan.claims.clone(),
            complete: work.plan.complete,
            reason: work.plan.reason.clone(),
            id: ReservationId::new(pool, LANE),
        };
        let view = self.demand(pool, demand).await?;
        let foreign = view.foreign.map(|id| {
            Finding::new(
                "reservation_of_another_order",
                format!("the order names {id}, which is another order's claim"),
            )
        });
        let oversold = view.oversold.into_iter().map(|(sku, units)| {
            Finding::new("oversold", format!("{units} units of {sku} were claimed that stock cannot cover"))
        });
        Ok(foreign.into_iter().chain(oversold).collect())
    }

    /// The same order elsewhere gives up what it claims in another pool.
    async fn give_up(&self, pool: PoolId, order: i64, revision: i64) -> Result<(), Failure> {
        let key = (Source::Recharge, order);
        let demand = Demand {
            key: key_of(key),
            revision,
            order_ref: order_ref(key),
            order_name: None,
            reservation: None,
            held: None,
            absorbs: Vec::new(),
            lines: Vec::new(),
            complete: true,
            reason: "claimed_in_another_pool".to_owned(),
            id: ReservationId::new(pool, LANE),
        };
        self.demand(pool, demand).await.map(drop)
    }

    async fn demand(&self, pool: PoolId, demand: Demand) -> Result<DemandedView, Failure> {
        let answer = self.submit(pool, None, Command::Demand(Box::new(demand))).await?;
        if let Some(text) = Self::refusal(&answer) {
            return Err(Failure(format!("the claim was refused: {text}")));
        }
        serde_json::from_slice(&answer.body).map_err(|_| Failure("the claim's answer cannot be read".to_owned()))
    }
}

fn key_of((source, id): (Source, i64)) -> DemandKey {
    DemandKey { source: source.as_str().to_owned(), order_id: id.to_string() }
}
