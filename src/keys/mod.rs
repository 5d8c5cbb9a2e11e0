//! API keys: random, stored only as a hash, shown once, scoped, revocable, with last use.
//!
//! Form: `hf_<key id>_<secret>`; 256 random bits need no slow hash. Looking one up costs a SHA-256 and a read of a map;
//! the map is trusted for at most [`cache::TRUSTED_FOR`], so a revocation on another instance takes effect within that.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ids::ClientId;

pub mod cache;
pub mod routes;
pub mod store;

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Make, read and move reservations.
    Reservations,
    /// Read stock, availability and the catalogue.
    StockRead,
    /// Receive and read lots.
    Lots,
    /// Enter counts.
    Reconciliation,
    /// Everything, including keys and the catalogue.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] = [Self::Reservations, Self::StockRead, Self::Lots, Self::Reconciliation, Self::Admin];

    /// The word in SQL and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reservations => "reservations",
            Self::StockRead => "stock_read",
            Self::Lots => "lots",
            Self::Reconciliation => "reconciliation",
            Self::Admin => "admin",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }
}

/// A key as the service knows it.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// Its public part.
    pub id: String,
    /// Whose it is.
    pub client: ClientId,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it stops working.
    pub expires_at: Option<DateTime<Utc>>,
}

impl ApiKey {
    /// Whether it may do what needs `scope`.
    #[must_use]
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.iter().any(|own| *own == scope || *own == Scope::Admin)
    }
}

/// A fresh key: its id, the text to show once, and the hash to keep.
#[derive(Clone)]
pub struct NewKey {
    /// Its public part.
    pub id: String,
    /// The whole key.
    pub token: String,
    /// SHA-256 of the whole key.
    pub hash: [u8; 32],
}

impl NewKey {
    /// Mints a key.
    ///
    /// # Errors
    /// If the operating system has no randomness.
    pub fn mint() -> Result<Self, getrandom::Error> {
        let mut random = [0_u8; 37];
        getrandom::fill(&mut random)?;
        let (id, secret) = random.split_at(5);
        let id = hex::encode(id);
        let token = format!("hf_{id}_{}", hex::encode(secret));
        let hash = hash(&token);
        Ok(Self { id, token, hash })
    }
}

/// SHA-256 of a whole key.
#[must_use]
pub fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// The public part of a key, if it has the form of one.
#[must_use]
pub fn id_of(token: &str) -> Option<&str> {
    let (id, secret) = token.strip_prefix("hf_")?.split_once('_')?;
    (is_id(id) && secret.len() == 64 && is_hex(secret)).then_some(id)
}

/// Whether `text` has the form of the public part of a key.
#[must_use]
pub fn is_id(text: &str) -> bool {
    text.len() == 10 && is_hex(text)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minted_key_has_the_form_of_one_and_no_two_are_alike() -> Result<(), getrandom::Error> {
        let (a, b) = (NewKey::mint()?, NewKey::mint()?);
        assert_eq!(id_of(&a.token), Some(a.id.as_str()));
        assert_ne!(a.token, b.token);
        for bad in ["", "hf_", "hf_0123456789_", "x", &a.token[1..], &a.token.to_uppercase()] {
            assert_eq!(id_of(bad), None);
        }
        Ok(())
    }
}
