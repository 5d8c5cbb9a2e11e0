//! Many callers, one stock: two instances on one database, everybody at the same moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use holdfast::clock::Clock;
use holdfast::keys::Scope;
use serde_json::{Value, json};
use sqlx::{Executor, Row};

use crate::support::app::{cart, settings};
use crate::support::race::{Call, count, deadlocks, expect_definite, lock_from_outside, race, until_blocked};
use crate::support::{Answer, Client, TestApp, db};

/// Two instances on one database and one clock.
struct Pair {
    one: TestApp,
    other: TestApp,
}

impl Pair {
    async fn start() -> Self {
        let db = db::fresh().await;
        // Sooner than the service's lock timeout, which would hide that there was one.
        let sql = format!("ALTER DATABASE {} SET deadlock_timeout = '50ms'", db.name);
        db.owner().execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
        let one = TestApp::start_on(Arc::new(db), Clock::new(), settings()).await;
        let other = one.another().await;
        Self { one, other }
    }

    /// The client of one instance, then of the other.
    fn client(&self, number: usize) -> &Client {
        if number.is_multiple_of(2) { &self.one.client } else { &self.other.client }
    }

    async fn untracked(&self, sku: &str) {
        self.one.client.post("/skus", &json!({ "code": sku, "tracked": false })).await.expect(201);
    }

    /// What a query of two columns says.
    async fn read(&self, sql: &'static str) -> BTreeMap<String, i64> {
        let rows = sqlx::query(sql).fetch_all(&self.one.db.owner()).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    async fn held(&self) -> BTreeMap<String, i64> {
        self.read("SELECT code, held FROM stock JOIN skus USING (sku_id)").await
    }

    async fn states(&self) -> BTreeMap<String, i64> {
        self.read("SELECT state, count(*) FROM reservations GROUP BY state").await
    }

    async fn finish(self) {
        let db = Arc::clone(&self.one.db);
        self.other.stop().await;
        self.one.finish().await;
        assert_eq!(deadlocks(&db).await, 0, "deadlocks");
    }
}

/// The uuid in a public id is of no concern here: what was made is told apart by its id.
fn ids(answers: &[Answer]) -> BTreeSet<String> {
    answers.iter().filter(|answer| answer.status.is_success()).map(Answer::id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_200_racers_for_the_last_unit_one_wins_and_every_answer_is_final() {
    let pair = Pair::start().await;
    pair.one.stock("LAST", 1).await;
    let calls: Vec<Call> = (0..200).map(|n| Call::new(pair.client(n), "/reservations", cart(&[("LAST", 1)]))).collect();
    let answers = race(&calls).await;
    expect_definite(&answers);
    assert_eq!((count(&answers, 201), count(&answers, 409)), (1, 199));
    assert!(answers.iter().all(|answer| answer.status == 201 || answer.code() == "insufficient_stock"));
    let again = race(&calls).await;
    for (first, again) in answers.iter().zip(&again) {
        assert_eq!((first.status, &first.bytes), (again.status, &again.bytes));
        assert!(again.is_replayed());
    }
    pair.finish().await;
}

/// Every order of one, two or three of these SKUs.
fn orders(skus: [&'static str; 3]) -> Vec<Vec<&'static str>> {
    let mut orders: Vec<Vec<&str>> = vec![Vec::new()];
    let mut all = Vec::new();
    for _ in 0..3 {
        orders = orders
            .iter()
            .flat_map(|order| {
                let left = skus.iter().filter(|sku| !order.contains(sku));
                left.map(|sku| [order.as_slice(), &[*sku]].concat()).collect::<Vec<_>>()
            })
            .collect();
        all.extend(orders.clone());
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn carts_in_every_order_from_many_clients_take_exactly_what_there_is() {
    let pair = Pair::start().await;
    let skus = ["A", "B", "C"];
    for sku in skus {
        pair.one.stock(sku, 50).await;
    }
    let mut clients = Vec::new();
    for number in 0..8 {
        let app = if number % 2 == 0 { &pair.one } else { &pair.other };
        clients.push(app.client_of(&format!("shop-{number}"), &[Scope::Reservations]).await);
    }
    // 50 lone carts of each SKU: whatever the others leave, somebody takes it.
    let lone = skus.iter().flat_map(|sku| std::iter::repeat_n(vec![*sku], 50));
    let mut carts: Vec<Vec<&str>> = orders(skus).into_iter().flat_map(|cart| std::iter::repeat_n(cart, 10)).collect();
    carts.extend(lone);
    // Deal them so that neighbours differ, the same way in every run.
    let carts: Vec<_> = (0..carts.len()).map(|n| &carts[n * 71 % carts.len()]).collect();
    let calls: Vec<Call> = carts
        .iter()
        .enumerate()
        .map(|(n, skus)| {
            let lines: Vec<(&str, i64)> = skus.iter().map(|sku| (*sku, 1)).collect();
            Call::new(&clients[n % clients.len()], "/reservations", cart(&lines))
        })
        .collect();
    let answers = race(&calls).await;
    expect_definite(&answers);
    assert_eq!(count(&answers, 201) + count(&answers, 409), calls.len());
    let mut won: BTreeMap<String, i64> = BTreeMap::new();
    for (skus, _) in carts.iter().zip(&answers).filter(|(_, answer)| answer.status == 201) {
        for sku in *skus {
            *won.entry((*sku).to_owned()).or_default() += 1;
        }
    }
    let all_gone: BTreeMap<String, i64> = skus.iter().map(|sku| ((*sku).to_owned(), 50)).collect();
    assert_eq!(won, all_gone, "what the winners were told");
    assert_eq!(pair.held().await, all_gone, "what the balances say");
    pair.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_bodies_racing_under_one_key_never_both_count() {
    let pair = Pair::start().await;
    pair.one.stock("TEA", 100).await;
    pair.untracked("GIFT").await;
    for sku in ["TEA", "GIFT"].repeat(5) {
        let first = Call::new(pair.client(0), "/reservations", cart(&[(sku, 1)]));
        let calls: Vec<Call> = (0..12)
            .map(|n| {
                let body = cart(&[(sku, if n % 3 == 0 { 1 } else { 2 })]);
                Call { client: pair.client(n).clone(), body, ..first.clone() }
            })
            .collect();
        let answers = race(&calls).await;
        expect_definite(&answers);
        assert_eq!(ids(&answers).len(), 1, "one of the bodies won");
        let won: BTreeSet<String> = calls
            .iter()
            .zip(&answers)
            .filter(|(_, answer)| answer.status == 201)
            .map(|(call, _)| call.body.to_string())
            .collect();
        assert_eq!(won.len(), 1, "{won:?}");
        let refused = answers.iter().filter(|answer| answer.code() == "idempotency_key_reused").count();
        assert_eq!(refused + count(&answers, 201), 12);
    }
    pair.finish().await;
}

/// Holds of one unit each that expire after a minute, with their ids.
async fn hold_each(pair: &Pair, sku: &str, holds: usize) -> Vec<String> {
    let mut body = cart(&[(sku, 1)]);
    body["ttl_seconds"] = json!(60);
    let calls: Vec<Call> = (0..holds).map(|n| Call::new(pair.client(n), "/reservations", body.clone())).collect();
    let answers = race(&calls).await;
    assert_eq!(count(&answers, 201), holds);
    answers.iter().map(Answer::id).collect()
}

fn commit(client: &Client, id: &str) -> Call {
    Call::new(client, format!("/reservations/{id}/commit"), json!({ "order_ref": format!("order-{id}") }))
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_and_expiry_at_the_same_instant_have_one_winner() {
    const UNITS: usize = 40;
    let pair = Pair::start().await;
    for round in 0..4 {
        let sku = format!("HOT-{round}");
        pair.one.stock(&sku, 40).await;
        let held = hold_each(&pair, &sku, UNITS).await;
        pair.one.advance(59);
        let mut calls = Vec::new();
        for (n, id) in held.iter().enumerate() {
            calls.push(commit(pair.client(n), id));
            calls.push(Call::new(pair.client(n + 1), "/reservations", cart(&[(&*sku, 1)])));
        }
        let time_goes_on = async {
            pair.one.sweep().await;
            pair.one.advance(2);
            tokio::join!(pair.one.sweep(), pair.other.sweep());
        };
        let (answers, ()) = tokio::join!(race(&calls), time_goes_on);
        expect_definite(&answers);
        pair.one.sweep().await;
        let mut owners = 0;
        for (id, answers) in held.iter().zip(answers.chunks(2)) {
            let [committed, rival] = answers else { panic!("two answers per hold") };
            owners += usize::from(rival.status == 201);
            let now = pair.one.client.get(&format!("/reservations/{id}")).await.expect(200).json();
            match (committed.status.as_u16(), committed.at("/reclaimed") == true) {
                (200, false) => {
                    assert_eq!(committed.id(), *id);
                    assert_eq!(now["state"], "committed");
                    let (committed_at, expires_at) = (time(&now["committed_at"]), time(&now["expires_at"]));
                    assert!(committed_at < expires_at, "committed at {committed_at}, expired at {expires_at}");
                    owners += 1;
                }
                (200, true) => {
                    assert_eq!((&now["state"], committed.at("/replaces")), (&json!("expired"), json!(id)));
                    owners += 1;
                }
                _ => {
                    assert_eq!(committed.code(), "hold_expired");
                    assert_eq!(now["state"], "expired");
                }
            }
        }
        assert!(owners <= UNITS, "{owners} owners of {UNITS} units");
    }
    pair.finish().await;
}

fn time(value: &Value) -> chrono::DateTime<chrono::FixedOffset> {
    chrono::DateTime::parse_from_rfc3339(value.as_str().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_waited_for_the_row_until_the_hold_had_expired_is_too_late() {
    let pair = Pair::start().await;
    pair.one.stock("ONE", 1).await;
    let held = hold_each(&pair, "ONE", 1).await;
    let outside = lock_from_outside(&pair.one.db, "SELECT * FROM stock FOR UPDATE").await;
    // First in the queue for the row a rival, then the commit; both were sent while the hold was good.
    let rival = Call::new(&pair.other.client, "/reservations", cart(&[("ONE", 1)]));
    let rival = tokio::task::JoinSet::from_iter([async move { rival.send().await }]);
    until_blocked(&pair.one.db, 1).await;
    let late = commit(&pair.one.client, &held[0]);
    let late = tokio::task::JoinSet::from_iter([async move { late.send().await }]);
    until_blocked(&pair.one.db, 2).await;
    pair.one.advance(61);
    outside.rollback().await.unwrap();
    let rival = rival.join_all().await.remove(0);
    let late = late.join_all().await.remove(0);
    rival.expect(201);
    assert_eq!(late.expect(409).code(), "hold_expired");
    pair.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_and_release_of_one_hold_have_one_winner() {
    const HOLDS: usize = 40;
    let pair = Pair::start().await;
    // A gift card has no balance row to queue for: only its reservation is locked.
    pair.one.stock("TEA", 40).await;
    pair.untracked("GIFT").await;
    let mut held = hold_each(&pair, "TEA", HOLDS).await;
    held.extend(hold_each(&pair, "GIFT", HOLDS).await);
    let calls: Vec<Call> = held
        .iter()
        .enumerate()
        .flat_map(|(n, id)| {
            let release = Call::new(pair.client(n + 1), format!("/reservations/{id}/release"), json!({}));
            let both = [commit(pair.client(n), id), release];
            if n % 4 < 2 {
                both
            } else {
                let [commit, release] = both;
                [release, commit]
            }
        })
        .collect();
    let answers = race(&calls).await;
    expect_definite(&answers);
    for both in answers.chunks(2) {
        assert_eq!((count(both, 200), count(both, 409)), (1, 1), "{both:?}");
    }
    let committed =
        calls.iter().zip(&answers).filter(|(call, answer)| call.path.ends_with("commit") && answer.status == 200);
    let committed = i64::try_from(committed.count()).unwrap();
    let states = pair.states().await;
    assert_eq!(states.get("committed").copied().unwrap_or(0), committed);
    assert_eq!(states.values().sum::<i64>(), 80);
    assert_eq!(pair.held().await["TEA"], 0);
    pair.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_order_ahead_what_was_never_received_the_tolerance_is_served() {
    let pair = Pair::start().await;
    for round in 0..6 {
        let sku = format!("NEW-{round}");
        pair.one.sku_with(&sku, json!({"oversell_tolerance_quantity": 5})).await;
        let lot = json!({
            "sku": sku, "lot_code": "L", "quantity": 2, "unit_cost": "1.00", "currency": "EUR",
            "received_date": "2026-01-15"
        });
        let hold = |n: usize| Call::new(pair.client(n), "/reservations", cart(&[(&*sku, 1)]));
        let mut calls: Vec<Call> = (0..20).map(hold).collect();
        // In half of the rounds the first delivery arrives at the same moment.
        if round % 2 == 1 {
            calls.push(Call::new(pair.client(round / 2), "/lots", lot));
        }
        let answers = race(&calls).await;
        expect_definite(&answers);
        let held = ids(&answers[..20]).len();
        let fits = if round % 2 == 1 { 5..=7 } else { 5..=5 };
        assert!(fits.contains(&held), "{held} held: {answers:?}");
        assert_eq!(pair.held().await[&sku], i64::try_from(held).unwrap());
    }
    pair.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_is_taken_once_and_a_hold_is_superseded_once_whoever_asks() {
    let pair = Pair::start().await;
    for round in 0..6 {
        // Carts of different SKUs queue for different rows; the reference alone is one.
        let skus = [format!("ONE-{round}"), format!("TWO-{round}"), format!("GIFT-{round}")];
        pair.one.stock(&skus[0], 1).await;
        pair.one.stock(&skus[1], 1).await;
        pair.untracked(&skus[2]).await;
        let body = |n: usize| {
            let mut body = cart(&[(&*skus[n % 3], 1)]);
            body["client_reference"] = json!(format!("cart-{round}"));
            body
        };
        let calls: Vec<Call> = (0..12).map(|n| Call::new(pair.client(n), "/reservations", body(n))).collect();
        let answers = race(&calls).await;
        expect_definite(&answers);
        let first = ids(&answers);
        assert_eq!(first.len(), 1);
        assert!(answers.iter().all(|a| a.status == 201 || a.code() == "client_reference_in_use"), "{answers:?}");

        // The successor of a lone unit must take over that very unit.
        let calls: Vec<Call> = (0..12)
            .map(|n| {
                let mut body = body(n);
                body["supersedes"] = json!(first.first());
                Call::new(pair.client(n), "/reservations", body)
            })
            .collect();
        let answers = race(&calls).await;
        expect_definite(&answers);
        assert_eq!(ids(&answers).len(), 1);
        let lost = ["already_superseded", "client_reference_in_use"];
        assert!(answers.iter().all(|a| a.status == 201 || lost.contains(&&*a.code())), "{answers:?}");
    }
    assert_eq!(pair.states().await, BTreeMap::from([("held".to_owned(), 6), ("released".to_owned(), 6)]));
    pair.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn once_a_policy_change_is_answered_no_instance_holds_under_the_old_one() {
    let pair = Pair::start().await;
    pair.one.stock("TEA", 1000).await;
    for safety in 1..=6 {
        let calls: Vec<Call> =
            (0..30).map(|n| Call::new(pair.client(n), "/reservations", cart(&[("TEA", 1)]))).collect();
        let class = pair.one.client.get("/classes/standard").await.expect(200);
        let etag = class.header("etag").unwrap().to_owned();
        let change = json!({ "safety_stock_quantity": safety });
        let (answers, changed) = tokio::join!(race(&calls), pair.one.client.patch("/classes/standard", &etag, &change));
        changed.expect(200);
        assert_eq!(count(&answers, 201), 30);
        // The other instance was not told.
        let after = pair.other.client.post("/reservations", &cart(&[("TEA", 1)])).await.expect(201).at("/created_at");
        let sql =
            "SELECT safety_stock_quantity FROM stock_entries WHERE recorded_at = $1::timestamptz ORDER BY seq DESC";
        let used: i64 = sqlx::query_scalar(sql).bind(time(&after)).fetch_one(&pair.one.db.owner()).await.unwrap();
        assert_eq!(used, safety);
    }
    let sql = "SELECT safety_stock_quantity FROM stock_entries WHERE kind = 'hold' ORDER BY seq";
    let used: Vec<i64> = sqlx::query_scalar(sql).fetch_all(&pair.one.db.owner()).await.unwrap();
    assert!(used.is_sorted(), "in the order of the ledger the policy never goes back: {used:?}");
    pair.finish().await;
}
