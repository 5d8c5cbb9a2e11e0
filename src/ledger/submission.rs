//! A command on its way: who sent it, under which key, and how its outcome becomes the bytes of an answer.
//!
//! The ledger knows nothing of HTTP: it stores and replays the status and bytes that its renderer made.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::catalog::Catalogue;
use crate::ids::{ClientId, PoolId};
use crate::ledger::command::Command;
use crate::ledger::outcome::Outcome;

/// A command with its sender.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Who sent it.
    pub client: ClientId,
    /// The key it is answered once under; none for the service's own commands.
    pub key: Option<Key>,
    /// The pool it draws on.
    pub pool: PoolId,
    /// Correlates the answer with the logs.
    pub request_id: Arc<str>,
    /// Path of the request, for problem answers.
    pub instance: Arc<str>,
    /// What to do.
    pub command: Command,
}

/// An idempotency key and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The caller's key.
    pub key: String,
    /// SHA-256 of method, path and canonical command.
    pub fingerprint: [u8; 32],
}

/// Status and bytes of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: bytes::Bytes,
    /// Whether it was given before.
    pub replayed: bool,
}

impl Answer {
    /// The same answer, given again.
    #[must_use]
    pub fn replay(&self) -> Self {
        Self { replayed: true, ..self.clone() }
    }
}

/// What a renderer may look at.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// Names of SKUs and pools.
    pub catalogue: &'a Catalogue,
    /// The pool of the batch.
    pub pool: PoolId,
    /// The clock that decided.
    pub now: DateTime<Utc>,
}

/// Makes answers of outcomes. Must be a function of its arguments: its bytes are stored.
pub trait Renderer: Send + Sync {
    /// The answer to a decided command.
    fn outcome(&self, scene: &Scene<'_>, submission: &Submission, outcome: &Outcome) -> Answer;
    /// The answer to a key that belongs to another request; never stored.
    fn key_reused(&self, submission: &Submission) -> Answer;
}

/// A shared renderer.
pub type Render = Arc<dyn Renderer>;
