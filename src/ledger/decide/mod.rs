//! `decide(world, command) → outcome`: the rules of every command that changes stock. Pure, no I/O.
//!
//! The world holds the locked rows of one pool; commands are decided in arrival order, each seeing what the ones before
//! it did. A refusal changes nothing. The caller writes [`crate::ledger::world::Changes`] in one transaction, after it
//! has made sure that nothing is [wanted](crate::ledger::world::World::wanted).

use crate::ids::ClientId;
use crate::ledger::command::Command;
use crate::ledger::outcome::Outcome;
use crate::ledger::world::{LOT_OFF_SALE, World};

mod claim;
mod commit;
mod demand;
mod extend;
mod hold;
mod lot_act;
mod pieces;
pub(crate) mod receive;
mod release;
mod returns;
mod ship;
#[cfg(test)]
mod tests;
mod void;

/// Decides one command of one client.
pub fn decide(world: &mut World<'_>, client: ClientId, command: &Command) -> Outcome {
    match command {
        Command::Hold(hold) => hold::decide(world, client, hold),
        Command::Commit(commit) => commit::decide(world, client, commit),
        Command::Release(release) => release::decide(world, client, release),
        Command::Extend(extend) => extend::decide(world, client, extend),
        Command::Expire(expire) => release::expire(world, expire.id),
        Command::Receive(receive) => receive::decide(world, client, receive),
        Command::OpeningCount(count) => receive::opening_count(world, client, count),
        Command::Ship(ship) => ship::decide(world, client, ship),
        Command::VoidShipment(void) => void::decide(world, client, void),
        Command::Return(back) => returns::decide(world, client, back),
        Command::LotAct(act) => lot_act::decide(world, client, act),
        Command::Recall(recall) => lot_act::recall(world, client, recall),
        Command::TransferIn(arrival) => lot_act::transfer_in(world, client, arrival),
        Command::ExpireLots(expire) => {
            // What is past its expiry went off sale before anything was decided, as for every command on the SKU.
            world.keep_off_sale(client, expire.sku, LOT_OFF_SALE);
            Outcome::LotsExpired
        }
        Command::Demand(wanted) => demand::decide(world, client, wanted),
    }
}
