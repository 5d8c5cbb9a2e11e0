//! Tests of the pure core: worked examples, and a model that runs random commands against a plain reference.
//!
//! Both run through [`store::Store`], which loads a [`World`](crate::ledger::world::World) and writes its changes as a
//! lane does, with the constraints of the schema as assertions.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::catalog::{Catalogue, Class, DepletionOrder, Policy, Sku, SkuStatus};
use crate::ids::{ClassId, ClientId, LotId, PoolId, ReservationId, SkuId};
use crate::ledger::command::Receive;

mod audit;
mod examples;
mod model;
mod orders;
mod reference;
mod seen;
mod store;

const POOL: PoolId = PoolId(1);
const SHOP: ClientId = ClientId(1);
const WEBHOOK: ClientId = ClientId(2);

/// No safety stock, no tolerance: what is on the shelf can be held.
const MUG: SkuId = SkuId(1);
/// Two units are never held.
const TEA: SkuId = SkuId(2);
/// One unit is never held, but holds may go three below zero.
const HAT: SkuId = SkuId(3);
/// Untracked.
const GIFT: SkuId = SkuId(4);

const CODES: [&str; 4] = ["MUG", "TEA", "HAT", "GIFT"];

/// Time zero of every test, plus `seconds`.
fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

/// The smallest step of the database's clock.
fn tick() -> TimeDelta {
    TimeDelta::microseconds(1)
}

fn policy_of(sku: SkuId) -> Policy {
    let policy = Policy {
        hold_ttl_seconds: 60,
        longest_hold_seconds: 180,
        safety_stock_quantity: 0,
        oversell_tolerance_quantity: 0,
        max_per_hold_quantity: 10,
        low_stock_quantity: 0,
        depletion_order: DepletionOrder::Fifo,
    };
    match sku {
        TEA => Policy { hold_ttl_seconds: 90, longest_hold_seconds: 120, safety_stock_quantity: 2, ..policy },
        HAT => Policy {
            hold_ttl_seconds: 40,
            longest_hold_seconds: 400,
            safety_stock_quantity: 1,
            oversell_tolerance_quantity: 3,
            max_per_hold_quantity: 6,
            ..policy
        },
        _ => policy,
    }
}

/// Four SKUs, each in a class of its own.
fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::default();
    for (id, code) in (1..).zip(CODES) {
        put_policy(&mut catalogue, SkuId(id), policy_of(SkuId(id)));
        catalogue.put_sku(Sku {
            id: SkuId(id),
            code: Arc::from(code),
            name: code.to_owned(),
            class: ClassId(id),
            tracked: SkuId(id) != GIFT,
            tracked_since_at: at(0),
            status: SkuStatus::Active,
            revision: 1,
            created_at: at(0),
            updated_at: at(0),
        });
    }
    catalogue
}

fn put_policy(catalogue: &mut Catalogue, sku: SkuId, policy: Policy) {
    let code = CODES[usize::try_from(sku.0 - 1).unwrap()];
    catalogue.put_class(Class {
        id: ClassId(sku.0),
        code: code.to_lowercase(),
        name: code.to_owned(),
        policy,
        revision: 1,
        created_at: at(0),
        updated_at: at(0),
    });
}

fn reservation_id(number: u128) -> ReservationId {
    ReservationId { pool: POOL, uuid: Uuid::from_u128(number) }
}

fn lot(number: u128, sku: &str, quantity: i64) -> Receive {
    Receive {
        id: LotId { pool: POOL, uuid: Uuid::from_u128(number) },
        sku: Arc::from(sku),
        lot_code: format!("lot {number}"),
        quantity,
        unit_cost: Decimal::ONE,
        currency: "EUR".to_owned(),
        received_date: NaiveDate::from_ymd_opt(2027, 1, 15).unwrap(),
        expires_date: None,
        source: "api".to_owned(),
        source_ref: None,
    }
}
