//! The real program, killed at the worst moment: what was acknowledged stands, what is retried happens once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use holdfast::db::{embedded, roles};
use holdfast::ledger::audit;
use reqwest::Method;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgPool};
use tokio::task::JoinSet;

use crate::support::app::cart;
use crate::support::client::key;
use crate::support::load::Load;
use crate::support::process::{Service, admin_key, folder, kill_postgres, on_test_db};
use crate::support::race::{eventually, lock_from_outside, until_blocked};
use crate::support::{Answer, Client, db};

async fn expect_clean_audit(options: &PgConnectOptions) {
    let mut conn = options.connect().await.unwrap();
    let report = audit::run(&mut conn, &audit::Options::default()).await.unwrap();
    assert!(report.is_clean(), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_killed_in_mid_load_loses_nothing_and_doubles_nothing() {
    let (db, folder) = (db::fresh().await, folder("killed-service"));
    let env = on_test_db(&db, &folder).await;
    let mut service = Service::start(&folder, &env).await;
    let token = admin_key(&folder.join("admin.key"));
    let load = Load::start(Client::new(&service.base, &token), 10);
    for _ in 0..4 {
        load.until_told(100).await;
        service.kill().await;
        service = Service::start(&folder, &env).await;
        load.move_to(Client::new(&service.base, &token));
    }
    load.until_told(100).await;
    let account = load.finish().await;
    assert!(account.retries > 0, "no client was cut off");
    account.expect_agreement(&db.owner()).await;
    service.stop().await;
    expect_clean_audit(&db.owner_options).await;
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_killed_in_mid_load_loses_nothing_and_doubles_nothing() {
    let folder = folder("killed-postgres");
    let settings = embedded::Settings {
        reaper_exe: Some(PathBuf::from(env!("CARGO_BIN_EXE_holdfast"))),
        ..embedded::Settings::from_env(folder.join("postgres"))
    };
    let mut server = embedded::start(settings.clone()).await.unwrap();
    server.create_database("shop").await.unwrap();
    let owner = server.options("shop");
    roles::ensure_app_role(&owner).await.unwrap();
    let env = [
        ("DATABASE_URL", server.url("shop").replacen("postgres@", "holdfast_app@", 1)),
        ("HOLDFAST_MIGRATION_DATABASE_URL", server.url("shop")),
        ("HOLDFAST_ADMIN_KEY_FILE", folder.join("admin.key").display().to_string()),
    ];
    let mut service = Service::start(&folder, &env).await;
    let token = admin_key(&folder.join("admin.key"));
    let load = Load::start(Client::new(&service.base, &token), 10);
    for _ in 0..2 {
        load.until_told(100).await;
        kill_postgres(&server.data_dir());
        server = embedded::start(settings.clone()).await.unwrap();
    }
    load.until_told(100).await;
    service.expect_running();
    let account = load.finish().await;
    account.expect_agreement(&PgPool::connect_lazy_with(owner.clone())).await;
    service.stop().await;
    expect_clean_audit(&owner).await;
    assert_eq!(server.stop().await.unwrap(), embedded::StopOutcome::Stopped);
    std::fs::remove_dir_all(folder).unwrap();
}

/// A client that takes no for an answer: it goes on until it is cut off. Gives the keys and what came back.
async fn go_on(client: Client, told: Arc<AtomicUsize>) -> Vec<(String, Option<Answer>)> {
    let mut sent = Vec::new();
    loop {
        let key = key();
        let body = cart(&[("TEA", 1)]);
        let answer = client.try_send(Method::POST, "/reservations", &[("idempotency-key", &key)], Some(&body)).await;
        told.fetch_add(1, Ordering::Relaxed);
        let cut_off = answer.is_err();
        sent.push((key, answer.ok()));
        if cut_off {
            return sent;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_stop_under_load_it_answers_what_it_accepted_and_accepts_nothing_it_does_not_answer() {
    const CLIENTS: usize = 24;
    let (db, folder) = (db::fresh().await, folder("terminated"));
    let env = on_test_db(&db, &folder).await;
    let service = Service::start(&folder, &env).await;
    let client = Client::new(&service.base, &admin_key(&folder.join("admin.key")));
    let lot = serde_json::json!({
        "sku": "TEA", "create_sku": true, "lot_code": "L", "quantity": 300, "unit_cost": "1.00", "currency": "EUR",
        "received_date": "2026-01-15"
    });
    client.post("/lots", &lot).await.expect(201);
    let told = Arc::new(AtomicUsize::new(0));
    let clients: JoinSet<_> = (0..CLIENTS).map(|_| go_on(client.clone(), Arc::clone(&told))).collect();
    // Some units are left and some are not: refusals are answers too.
    eventually("some load", async || told.load(Ordering::Relaxed) > 250).await;
    // Every client has a request in there that cannot be finished yet.
    let outside = lock_from_outside(&db, "SELECT * FROM stock FOR UPDATE").await;
    until_blocked(&db, 1).await;
    eventually("nobody is told anything any more", async || {
        let so_far = told.load(Ordering::Relaxed);
        for _ in 0..20 {
            client.get("/healthz").await.expect(200);
        }
        told.load(Ordering::Relaxed) == so_far
    })
    .await;
    let before = told.load(Ordering::Relaxed);
    service.terminate();
    let address = client.base().strip_prefix("http://").unwrap();
    eventually("it listens no more", async || tokio::net::TcpStream::connect(address).await.is_err()).await;
    outside.rollback().await.unwrap();
    let sent: Vec<(String, Option<Answer>)> = clients.join_all().await.into_iter().flatten().collect();
    let status = service.ended().await;
    assert!(status.success(), "{status}");

    let answers = sent.iter().filter(|(_, answer)| answer.is_some()).count();
    assert!(answers >= before + CLIENTS, "{before} answers before, {answers} in the end, of {CLIENTS} clients");
    let outcome = |answer: &Answer| answer.status.is_success() || answer.status == 409;
    let answered: BTreeMap<&str, &[u8]> = sent
        .iter()
        .filter_map(|(key, answer)| Some((&**key, answer.as_ref().filter(|answer| outcome(answer))?)))
        .map(|(key, answer)| (key, &*answer.bytes))
        .collect();
    let sql = "SELECT key, body FROM idempotency_keys WHERE body NOT LIKE '{\"id\":\"lot%'::bytea";
    let stored: Vec<(String, Vec<u8>)> = sqlx::query_as(sql).fetch_all(&db.owner()).await.unwrap();
    let stored: BTreeMap<&str, &[u8]> = stored.iter().map(|(key, body)| (&**key, &**body)).collect();
    let keys = |of: &BTreeMap<&str, &[u8]>| of.keys().map(|key| (*key).to_owned()).collect::<BTreeSet<String>>();
    let (told, done) = (keys(&answered), keys(&stored));
    assert!(told.is_subset(&done), "answered but not done: {:?}", told.difference(&done));
    assert!(done.is_subset(&told), "done but not answered: {:?}", done.difference(&told));
    assert_eq!(answered, stored);
    expect_clean_audit(&db.owner_options).await;
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_nothing_but_a_folder_it_brings_its_own_postgres_and_takes_over_after_a_kill() {
    let folder = folder("nothing-but-a-folder");
    let data = folder.join("data");
    let env = [("HOLDFAST_DATA_DIR", data.display().to_string())];
    let service = Service::start(&folder, &env).await;
    let token = admin_key(&data.join("admin.key"));
    let client = Client::new(&service.base, &token);
    let lot = serde_json::json!({
        "sku": "TEA", "create_sku": true, "lot_code": "L", "quantity": 3, "unit_cost": "1.00", "currency": "EUR",
        "received_date": "2026-01-15"
    });
    client.post("/lots", &lot).await.expect(201);
    let cart = cart(&[("TEA", 2)]);
    let held = client.post_as("cart", "/reservations", &cart).await.expect(201);
    let database = data.join("postgres/data");
    let mut running = service;
    for database_too in [false, true] {
        running.kill().await;
        if database_too {
            kill_postgres(&database);
        }
        running = Service::start(&folder, &env).await;
        let client = Client::new(&running.base, &token);
        let again = client.post_as("cart", "/reservations", &cart).await.expect(201);
        assert!(again.is_replayed() && again.bytes == held.bytes);
        assert_eq!(client.get("/availability?sku=TEA").await.expect(200).at("/data/0/held_quantity"), 2);
    }
    let pid_file = database.join("postmaster.pid");
    assert!(pid_file.exists());
    running.stop().await;
    assert!(!pid_file.exists(), "a clean stop stops the database");
    std::fs::remove_dir_all(folder).unwrap();
}
