//! Load from clients that never give up, and their account of what they were told.
//!
//! Each client works like a storefront: it holds, then commits, releases or leaves it, and repeats whatever got no
//! definite answer under the same key. The account is theirs alone; it is compared with the database at the end.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use holdfast::ids::{LotId, ReservationId};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{PgPool, Row};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::app::cart;
use super::client::{self, Answer, Client};
use super::race::eventually;

const SKUS: [&str; 4] = ["S0", "S1", "S2", "S3"];
/// Longer than any outage of these tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// A definite answer, and what it answered.
struct Told {
    path: String,
    body: Value,
    status: u16,
    bytes: Vec<u8>,
}

struct Shared {
    client: Mutex<Client>,
    told: Mutex<HashMap<String, Told>>,
    retries: AtomicUsize,
    stop: AtomicBool,
}

/// Clients at work.
pub struct Load {
    shared: Arc<Shared>,
    workers: JoinSet<()>,
}

impl Load {
    pub fn start(client: Client, workers: usize) -> Self {
        let shared = Arc::new(Shared {
            client: Mutex::new(client),
            told: Mutex::default(),
            retries: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        });
        let work = |number| {
            let shared = Arc::clone(&shared);
            async move { shared.work(number).await }
        };
        let workers = (0..workers).map(work).collect();
        Self { shared, workers }
    }

    /// Tells the clients where the service is now.
    pub fn move_to(&self, client: Client) {
        *self.shared.client.lock().unwrap() = client;
    }

    /// Waits until the clients were told so much more: the service is alive and at work.
    pub async fn until_told(&self, more: usize) {
        let before = self.shared.told.lock().unwrap().len();
        eventually("more answers", async || self.shared.told.lock().unwrap().len() >= before + more).await;
    }

    /// Lets every client finish what it has begun.
    pub async fn finish(self) -> Account {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.workers.join_all().await;
        let shared = Arc::into_inner(self.shared).unwrap();
        Account {
            client: shared.client.into_inner().unwrap(),
            told: shared.told.into_inner().unwrap(),
            retries: shared.retries.into_inner(),
        }
    }
}

impl Shared {
    async fn work(&self, worker: usize) {
        for step in worker.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            if step % 8 == 0 {
                let sku = SKUS[step / 8 % 4];
                let lot = json!({
                    "sku": sku, "create_sku": true, "lot_code": "L", "quantity": 40, "unit_cost": "1.00",
                    "currency": "EUR", "received_date": "2026-01-15", "source_ref": client::key()
                });
                self.settle("/lots", lot, false).await;
            }
            let lines = [(SKUS[step % 4], 1 + i64::try_from(step % 3).unwrap()), (SKUS[step / 4 % 4], 1)];
            let held = self.settle("/reservations", cart(&lines[..=step % 2]), step % 5 == 0).await;
            let id = held.id();
            if held.status != 201 {
                continue;
            }
            match step % 7 {
                0..3 => {
                    let order = json!({ "order_ref": format!("order-{id}") });
                    self.settle(&format!("/reservations/{id}/commit"), order, step % 5 == 1).await;
                }
                3..5 => {
                    self.settle(&format!("/reservations/{id}/release"), json!({}), step % 5 == 2).await;
                }
                _ => {}
            }
        }
    }

    /// Sends one request until it has a definite answer, and keeps that. `twice`: two at once, as an impatient
    /// customer does.
    async fn settle(&self, path: &str, body: Value, twice: bool) -> Answer {
        let (key, began) = (client::key(), Instant::now());
        loop {
            let client = self.client.lock().unwrap().clone();
            let (one, other) = tokio::join!(attempt(&client, &key, path, &body), async {
                if twice { attempt(&client, &key, path, &body).await } else { None }
            });
            let answers: Vec<Answer> = one.into_iter().chain(other).collect();
            for answer in &answers {
                self.keep(&key, path, &body, answer);
            }
            if let Some(answer) = answers.into_iter().next() {
                return answer;
            }
            assert!(began.elapsed() < PATIENCE, "no answer to {path} {body}");
            self.retries.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    fn keep(&self, key: &str, path: &str, body: &Value, answer: &Answer) {
        let (status, bytes) = (answer.status.as_u16(), answer.bytes.clone());
        let mut told = self.told.lock().unwrap();
        let first = told.entry(key.to_owned()).or_insert_with(|| Told {
            path: path.to_owned(),
            body: body.clone(),
            status,
            bytes: bytes.clone(),
        });
        assert_eq!((first.status, &first.bytes), (status, &bytes), "two outcomes of {key}");
    }
}

/// One try: `None` if nobody knows what came of it.
async fn attempt(client: &Client, key: &str, path: &str, body: &Value) -> Option<Answer> {
    let headers = [("idempotency-key", key)];
    let sent = client.try_send(Method::POST, path, &headers, Some(body));
    let answer = tokio::time::timeout(Duration::from_secs(3), sent).await.ok()?.ok()?;
    let again = answer.status.as_u16() == 503 || answer.code() == "idempotency_key_in_flight";
    assert!(again || answer.status.as_u16() < 500, "{}", String::from_utf8_lossy(&answer.bytes));
    (!again).then_some(answer)
}

/// Units of one line: SKU, held, committed.
type Units = (String, i64, i64);

/// What the clients were told, every key definite.
pub struct Account {
    client: Client,
    told: HashMap<String, Told>,
    /// Tries without a definite answer.
    pub retries: usize,
}

impl Account {
    /// Fails unless the service repeats every answer and the database holds exactly what was acknowledged.
    pub async fn expect_agreement(&self, owner: &PgPool) {
        self.expect_replays().await;
        let mut reservations: BTreeMap<Uuid, (String, Vec<Units>)> = BTreeMap::new();
        let mut lots: BTreeMap<Uuid, i64> = BTreeMap::new();
        let mut done: Vec<&Told> = self.told.values().filter(|told| told.status < 300).collect();
        // Commits and releases come after the hold they are about; no reservation has two of them.
        done.sort_by_key(|told| told.path.len());
        for told in done {
            let answer: Value = serde_json::from_slice(&told.bytes).unwrap();
            let id = answer["id"].as_str().unwrap();
            if told.path == "/lots" {
                lots.insert(LotId::parse(id).unwrap().uuid, 40);
            } else {
                let state = answer["state"].as_str().unwrap().to_owned();
                reservations.insert(ReservationId::parse(id).unwrap().uuid, (state, units(&answer)));
            }
        }
        assert!(reservations.len() > 50 && lots.len() > 10, "{} {}", reservations.len(), lots.len());
        assert_eq!(read_reservations(owner).await, reservations, "reservations");
        let sql = "SELECT lot_id, received_quantity FROM lots";
        let rows = sqlx::query(sql).fetch_all(owner).await.unwrap();
        let stored: BTreeMap<Uuid, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        assert_eq!(stored, lots, "lots");
        self.expect_balances(owner, reservations.values().flat_map(|(_, units)| units)).await;
    }

    /// Each key: one status and one body for ever.
    async fn expect_replays(&self) {
        let repeat = async |(key, told): (&String, &Told)| {
            let again = self.client.post_as(key, &told.path, &told.body).await;
            assert_eq!((again.status.as_u16(), &again.bytes), (told.status, &told.bytes), "{key}");
            assert!(again.is_replayed(), "{key} was forgotten");
        };
        futures_util::stream::iter(&self.told).for_each_concurrent(32, repeat).await;
    }

    async fn expect_balances(&self, owner: &PgPool, units: impl Iterator<Item = &Units>) {
        let mut expected: BTreeMap<String, (i64, i64)> = SKUS.iter().map(|sku| ((*sku).to_owned(), (0, 0))).collect();
        for (sku, held, committed) in units {
            let sums = expected.entry(sku.clone()).or_default();
            *sums = (sums.0 + held, sums.1 + committed);
        }
        let sql = "SELECT code, held, committed FROM stock JOIN skus USING (sku_id)";
        let rows = sqlx::query(sql).fetch_all(owner).await.unwrap();
        let stored: BTreeMap<String, (i64, i64)> =
            rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect();
        assert_eq!(stored, expected, "sums of what was acknowledged as held and committed");
    }
}

fn units(answer: &Value) -> Vec<Units> {
    let number = |line: &Value, member: &str| line[member].as_i64().unwrap();
    let lines = answer["lines"].as_array().unwrap().iter();
    lines
        .map(|line| {
            let sku = line["sku"].as_str().unwrap().to_owned();
            (sku, number(line, "held_quantity"), number(line, "committed_quantity"))
        })
        .collect()
}

async fn read_reservations(owner: &PgPool) -> BTreeMap<Uuid, (String, Vec<Units>)> {
    let sql = "SELECT reservation_id, state, code, held_quantity::bigint, committed_quantity::bigint \
               FROM reservations JOIN reservation_lines USING (pool_id, reservation_id) JOIN skus USING (sku_id) \
               ORDER BY reservation_id, line";
    let mut reservations: BTreeMap<Uuid, (String, Vec<Units>)> = BTreeMap::new();
    for row in sqlx::query(sql).fetch_all(owner).await.unwrap() {
        let entry = reservations.entry(row.get(0)).or_insert_with(|| (row.get(1), Vec::new()));
        entry.1.push((row.get(2), row.get(3), row.get(4)));
    }
    reservations
}
