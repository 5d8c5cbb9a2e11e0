//! Everything that a batch names, before anything is locked.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::demand::DemandNames;
use super::goods::shipments::ShipmentNames;
use super::load;
use crate::catalog::Catalogue;
use crate::ids::{ClientId, SkuId};
use crate::ledger::command::{Act, Command, Demand, Return, Ship};
use crate::ledger::submission::Submission;

/// SKUs, ids and references of a batch.
#[derive(Default)]
pub(super) struct Named {
    /// SKUs that are named by code.
    pub skus: BTreeSet<i64>,
    /// Those of them that get a balance row if they have none.
    pub shelved: BTreeSet<i64>,
    /// Those whose shelf is counted.
    pub counted: BTreeSet<i64>,
    /// Those of which lots are looked after that are off sale.
    pub kept: BTreeSet<i64>,
    /// Those that come back.
    pub returned: BTreeSet<i64>,
    pub reservations: Vec<Uuid>,
    pub references: load::References,
    pub order_refs: Vec<String>,
    pub demands: DemandNames,
    pub sources: Vec<String>,
    pub source_refs: Vec<String>,
    pub shipments: ShipmentNames,
    /// Sources and source references of returns.
    pub returns: (Vec<String>, Vec<String>),
    /// Lots that are named by id.
    pub acted: Vec<Uuid>,
    /// Those of them that get another cost.
    pub revalued: Vec<Uuid>,
    /// Codes of lots that are recalled.
    pub lot_codes: Vec<String>,
    pub transfers: Vec<String>,
    /// Whether a shipment line names a lot by its code.
    pub names_lot_codes: bool,
    /// Whether a command may cover what had left without being there.
    pub settles: bool,
    /// Whether a command looks at shipments, returns or lots.
    pub goods: bool,
    pub clients: Vec<i64>,
    pub keys: Vec<String>,
}

impl Named {
    pub fn of(catalogue: &Catalogue, submissions: &[Submission]) -> Self {
        let mut named = Self::default();
        for submission in submissions {
            if let Some(key) = &submission.key {
                named.clients.push(submission.client.0);
                named.keys.push(key.key.clone());
            }
            named.add(catalogue, submission.client, &submission.command);
        }
        named
    }

    /// Whether any reservation may be looked at.
    pub fn names_claims(&self) -> bool {
        !self.reservations.is_empty()
            || !self.references.names.is_empty()
            || !self.order_refs.is_empty()
            || !self.demands.is_empty()
    }

    /// Whether what is physically there of lots must be known.
    pub fn names_lots(&self) -> bool {
        !self.acted.is_empty() || !self.lot_codes.is_empty() || !self.counted.is_empty() || self.names_lot_codes
    }

    /// Whether a command may change which lots shipped units will be taken from. What ships does not: lots give it in
    /// turn, and none of them gives less for it.
    pub fn reallocates(&self) -> bool {
        self.settles || !self.kept.is_empty()
    }

    /// Whether lots, shipments or returns must be read.
    pub fn names_goods(&self) -> bool {
        self.goods || !self.kept.is_empty()
    }

    fn add(&mut self, catalogue: &Catalogue, client: ClientId, command: &Command) {
        let tracked = |code: &str| catalogue.sku_by_code(code).filter(|sku| sku.tracked).map(|sku| sku.id.0);
        match command {
            Command::Hold(hold) => {
                self.skus.extend(hold.lines.iter().filter_map(|line| tracked(&line.sku)));
                let mappings = hold.variants.iter().filter_map(|line| line.mapping.as_ref());
                let skus = mappings.flat_map(|mapping| &mapping.components).filter_map(|(id, _)| catalogue.sku(*id));
                self.skus.extend(skus.filter(|sku| sku.tracked).map(|sku| sku.id.0));
                self.reservations.extend(hold.supersedes.map(|id| id.uuid));
                if let Some(reference) = &hold.client_reference {
                    self.references.clients.push(client.0);
                    self.references.names.push(reference.clone());
                }
                return;
            }
            Command::Commit(commit) => {
                self.demands.call(&commit.order_ref);
                return self.reservations.push(commit.id.uuid);
            }
            Command::Demand(demand) => return self.add_demand(catalogue, demand),
            Command::Release(release) => return self.reservations.push(release.id.uuid),
            Command::Extend(extend) => return self.reservations.push(extend.id.uuid),
            Command::Expire(expire) => return self.reservations.push(expire.id.uuid),
            // What is past its expiry is looked for on every SKU that is locked.
            Command::ExpireLots(expire) => {
                self.skus.insert(expire.sku.0);
                self.kept.insert(expire.sku.0);
                return;
            }
            Command::Receive(receive) => {
                self.shelved.extend(tracked(&receive.sku));
                if let Some(source_ref) = &receive.source_ref {
                    self.sources.push(receive.source.clone());
                    self.source_refs.push(source_ref.clone());
                }
            }
            Command::OpeningCount(count) => self.counted.extend(tracked(&count.sku)),
            Command::Ship(ship) => self.add_shipment(catalogue, ship),
            Command::VoidShipment(void) => self.shipments.ids.push(void.id.uuid),
            Command::Return(back) => self.add_return(catalogue, back),
            Command::LotAct(act) => {
                self.acted.push(act.id.uuid);
                match act.act {
                    Act::TransferOut { transfer, .. } => self.transfers.push(transfer.to_string()),
                    Act::Revalue { .. } => self.revalued.push(act.id.uuid),
                    _ => {}
                }
            }
            Command::Recall(recall) => self.lot_codes.push(recall.lot_code.clone()),
            Command::TransferIn(arrival) => {
                self.shelved.insert(arrival.lot.sku.0);
                self.acted.push(arrival.lot.id.uuid);
            }
        }
        self.goods = true;
        self.settles |= !matches!(command, Command::Ship(_));
    }

    fn add_demand(&mut self, catalogue: &Catalogue, demand: &Demand) {
        let tracked = |sku: &SkuId| catalogue.sku(*sku).is_some_and(|sku| sku.tracked);
        self.shelved.extend(demand.lines.iter().map(|line| line.sku).filter(tracked).map(|sku| sku.0));
        self.reservations.extend(demand.reservation.into_iter().chain(demand.held).map(|id| id.uuid));
        self.order_refs.push(demand.order_ref.clone());
        self.order_refs.extend(demand.order_name.clone());
        self.demands.apply(demand);
    }

    fn add_shipment(&mut self, catalogue: &Catalogue, ship: &Ship) {
        let tracked = |code: &str| catalogue.sku_by_code(code).filter(|sku| sku.tracked).map(|sku| sku.id.0);
        self.shelved.extend(ship.lines.iter().filter_map(|line| tracked(&line.sku)));
        self.names_lot_codes |= ship.lines.iter().any(|line| line.lot_code.is_some());
        self.shipments.sources.push(ship.source.clone());
        self.shipments.source_refs.push(ship.source_ref.clone());
        match ship.reservation {
            Some(id) => self.reservations.push(id.uuid),
            None => self.order_refs.extend(ship.order_ref.clone()),
        }
        if let Some(order_ref) = &ship.order_ref {
            self.demands.call(order_ref);
        }
    }

    fn add_return(&mut self, catalogue: &Catalogue, back: &Return) {
        let tracked = |code: &str| catalogue.sku_by_code(code).filter(|sku| sku.tracked).map(|sku| sku.id.0);
        let skus: Vec<i64> = back.lines.iter().filter_map(|line| tracked(&line.sku)).collect();
        self.shelved.extend(&skus);
        self.returned.extend(skus);
        self.returns.0.push(back.source.clone());
        self.returns.1.push(back.source_ref.clone());
        for line in &back.lines {
            match (&line.shipped, &back.order_ref) {
                (Some(shipped), _) => self.shipments.ids.push(shipped.shipment),
                (None, Some(order_ref)) => self.shipments.order_refs.push(order_ref.clone()),
                (None, None) => {}
            }
        }
    }
}
