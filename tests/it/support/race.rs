//! Many callers at one moment, and waiting for what another session does.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sqlx::{Postgres, Transaction};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::client::{self, Answer, Client};
use super::db::TestDb;

/// A POST that can be sent again: the same caller, key and body.
#[derive(Clone)]
pub struct Call {
    pub client: Client,
    pub key: String,
    pub path: String,
    pub body: Value,
}

impl Call {
    /// A call under a fresh key.
    pub fn new(client: &Client, path: impl Into<String>, body: Value) -> Self {
        Self { client: client.clone(), key: client::key(), path: path.into(), body }
    }

    pub async fn send(&self) -> Answer {
        self.client.post_as(&self.key, &self.path, &self.body).await
    }
}

/// Sends every call from one moment on, each from a task of its own; gives the answers in the calls' order.
pub async fn race(calls: &[Call]) -> Vec<Answer> {
    let start = Arc::new(Barrier::new(calls.len()));
    let mut racers = JoinSet::new();
    for (number, call) in calls.iter().cloned().enumerate() {
        let start = Arc::clone(&start);
        racers.spawn(async move {
            start.wait().await;
            (number, call.send().await)
        });
    }
    let mut answers = racers.join_all().await;
    answers.sort_by_key(|(number, _)| *number);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// Fails if an answer is our fault, or asks its caller to come again.
#[track_caller]
pub fn expect_definite(answers: &[Answer]) {
    for answer in answers {
        let status = answer.status.as_u16();
        let final_answer = status < 500 && status != 429 && answer.code() != "idempotency_key_in_flight";
        assert!(final_answer, "{status} {}", String::from_utf8_lossy(&answer.bytes));
    }
}

/// How many answers have this status.
pub fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status.as_u16() == status).count()
}

/// Waits until `check` holds, for half a minute at most.
pub async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(30), async {
        while !check().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(waited.await.is_ok(), "never: {what}");
}

/// Runs `sql` in a transaction that stays open, and so keeps its locks until it is dropped or rolled back.
pub async fn lock_from_outside(db: &TestDb, sql: &'static str) -> Transaction<'static, Postgres> {
    let mut outside = db.owner().begin().await.unwrap();
    sqlx::query(sql).execute(&mut *outside).await.unwrap();
    outside
}

/// Waits until so many sessions of the service wait for a lock.
pub async fn until_blocked(db: &TestDb, sessions: i64) {
    let owner = db.owner();
    eventually("sessions wait for a lock", async || {
        let sql =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        sqlx::query_scalar::<_, i64>(sql).fetch_one(&owner).await.unwrap() >= sessions
    })
    .await;
}

/// How many deadlocks this database has seen, once the service's sessions are gone: they report as they end.
pub async fn deadlocks(db: &TestDb) -> i64 {
    let owner = db.owner();
    eventually("the service's sessions end", async || {
        let sql =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'holdfast_app'";
        sqlx::query_scalar::<_, i64>(sql).fetch_one(&owner).await.unwrap() == 0
    })
    .await;
    let sql = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    sqlx::query_scalar(sql).fetch_one(&owner).await.unwrap()
}
