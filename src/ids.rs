//! Ids. Global things are numbered by a time-ordered 63-bit integer, pool-owned things by a `UUIDv7`.
//!
//! The public form of a pool-owned id carries its pool (`res_1_01kb…`), so that a look-up by id is a look-up in one
//! pool. The last byte of a reservation's UUID is the lane hint of its first SKU: commands that only know the id reach
//! the lane that works on that SKU. It is a hint; correctness never depends on it.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! global_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);
    };
}

global_id!(
    /// A pool.
    PoolId
);
global_id!(
    /// What is sold; its code is what the API speaks.
    SkuId
);
global_id!(
    /// A policy.
    ClassId
);
global_id!(
    /// A program that calls the API.
    ClientId
);

/// Mints the number of a global thing: milliseconds since 2026 in the upper 42 bits, 20 random bits below.
/// A collision is a primary-key violation and is retried by the caller's client.
#[must_use]
pub fn new_global_id() -> i64 {
    const EPOCH_2026_MILLIS: u64 = 1_767_225_600_000;
    let uuid = new_uuid();
    let bytes = uuid.as_bytes();
    let millis = bytes[..6].iter().fold(0_u64, |acc, b| (acc << 8) | u64::from(*b));
    let random = u64::from(bytes[13] & 0x0f) << 16 | u64::from(bytes[14]) << 8 | u64::from(bytes[15]);
    let id = (millis.saturating_sub(EPOCH_2026_MILLIS) << 20) | random;
    i64::try_from(id & (i64::MAX as u64)).unwrap_or(i64::MAX)
}

/// A fresh `UUIDv7`; the one home of id randomness.
#[must_use]
pub fn new_uuid() -> Uuid {
    #[expect(clippy::disallowed_methods, reason = "this is the one home of id minting")]
    Uuid::now_v7()
}

macro_rules! pool_owned_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name {
            /// The pool that owns it.
            pub pool: PoolId,
            /// Unique within and across pools.
            pub uuid: Uuid,
        }

        impl $name {
            /// Reads the public form; `None` for anything that was never printed by [`fmt::Display`].
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                let (pool, uuid) = text.strip_prefix($prefix)?.split_once('_')?;
                let pool = i64::try_from(base32::decode(pool)?).ok().filter(|id| *id > 0)?;
                if uuid.len() != base32::UUID_LENGTH {
                    return None;
                }
                let id = Self { pool: PoolId(pool), uuid: Uuid::from_u128(base32::decode(uuid)?) };
                (id.to_string() == text).then_some(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($prefix)?;
                f.write_str(base32::encode(self.pool.0.unsigned_abs().into(), 1, &mut [0; 26]))?;
                f.write_str("_")?;
                f.write_str(base32::encode(self.uuid.as_u128(), base32::UUID_LENGTH, &mut [0; 26]))
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

pool_owned_id!(
    /// A reservation: `res_<pool>_<uuid>`.
    ReservationId,
    "res_"
);
pool_owned_id!(
    /// A lot: `lot_<pool>_<uuid>`.
    LotId,
    "lot_"
);
pool_owned_id!(
    /// A shipment: `shp_<pool>_<uuid>`.
    ShipmentId,
    "shp_"
);
pool_owned_id!(
    /// An oversell: `ovs_<pool>_<uuid>`.
    OversellId,
    "ovs_"
);

impl ReservationId {
    /// A fresh id in `pool` whose last byte is `lane_hint`.
    #[must_use]
    pub fn new(pool: PoolId, lane_hint: u8) -> Self {
        let mut bytes = *new_uuid().as_bytes();
        bytes[15] = lane_hint;
        Self { pool, uuid: Uuid::from_bytes(bytes) }
    }

    /// The lane hint that [`Self::new`] put in.
    #[must_use]
    pub fn lane_hint(self) -> u8 {
        self.uuid.as_bytes()[15]
    }
}

impl LotId {
    /// A fresh id in `pool`.
    #[must_use]
    pub fn new(pool: PoolId) -> Self {
        Self { pool, uuid: new_uuid() }
    }
}

impl OversellId {
    /// A fresh id in `pool`.
    #[must_use]
    pub fn new(pool: PoolId) -> Self {
        Self { pool, uuid: new_uuid() }
    }
}

/// Crockford's base 32, lower case, most significant digit first: sorts as the number does.
mod base32 {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    pub const UUID_LENGTH: usize = 26;

    pub fn encode(mut value: u128, min_length: usize, buffer: &mut [u8; 26]) -> &str {
        let mut at = buffer.len();
        while value > 0 || buffer.len() - at < min_length {
            at -= 1;
            buffer[at] = DIGITS[(value & 31) as usize];
            value >>= 5;
        }
        std::str::from_utf8(&buffer[at..]).unwrap_or_default()
    }

    pub fn decode(text: &str) -> Option<u128> {
        if text.is_empty() || text.len() > UUID_LENGTH {
            return None;
        }
        text.bytes().try_fold(0_u128, |value, byte| {
            let digit = DIGITS.iter().position(|d| *d == byte)?;
            value.checked_mul(32)?.checked_add(digit as u128)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_id_reads_back_and_keeps_its_lane_hint() {
        for pool in [1, 31, 32, i64::MAX] {
            let id = ReservationId::new(PoolId(pool), 0xa7);
            assert_eq!(ReservationId::parse(&id.to_string()), Some(id));
            assert_eq!(id.lane_hint(), 0xa7);
        }
    }

    #[test]
    fn anything_never_printed_is_no_id() {
        let id = ReservationId::new(PoolId(1), 0).to_string();
        for text in ["", "res_", "res_1_", "res_0_01", &id[1..], &id.to_uppercase(), &format!("{id}0")] {
            assert_eq!(ReservationId::parse(text), None, "{text}");
        }
        assert_eq!(LotId::parse(&id), None);
        assert_eq!(ReservationId::parse(&id.replace("res_1_", "res_01_")), None);
        assert_eq!(ReservationId::parse("res_1_zzzzzzzzzzzzzzzzzzzzzzzzzz"), None);
    }

    #[test]
    fn global_ids_are_positive_and_differ() {
        let ids: std::collections::HashSet<i64> = (0..100).map(|_| new_global_id()).collect();
        assert!(ids.len() > 95 && ids.iter().all(|id| *id > 0));
    }
}
