//! The commands of the program besides `serve`.

use serde_json::Value;
use sqlx::Executor;

use crate::support::process::{Service, folder, on_test_db, run, stop_while_starting};
use crate::support::{Client, TestApp, db};

#[tokio::test(flavor = "multi_thread")]
async fn audit_says_by_its_exit_code_and_in_words_whether_anything_is_broken() {
    let app = TestApp::start().await;
    app.stock("TEA", 5).await;
    app.hold("TEA", 2).await.expect(201);
    let folder = folder("audit");
    let env = on_test_db(&app.db, &folder).await;
    let clean = run(&folder, &env, &["audit"]).await;
    assert_eq!(clean.status.code(), Some(0), "{clean:?}");
    let report = run(&folder, &env, &["audit", "--json"]).await;
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!(report["findings"].as_array().map(Vec::len), Some(0), "{report}");

    let damage =
        "ALTER TABLE stock DISABLE TRIGGER USER; UPDATE stock SET held = 3; ALTER TABLE stock ENABLE TRIGGER USER";
    app.db.owner().execute(damage).await.unwrap();
    let broken = run(&folder, &env, &["audit"]).await;
    assert_eq!(broken.status.code(), Some(1), "{broken:?}");
    let table = String::from_utf8(broken.stdout).unwrap();
    assert!(table.contains("held_matches_lines"), "{table}");
    let broken = run(&folder, &env, &["audit", "--json"]).await;
    assert_eq!(broken.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&broken.stdout).unwrap();
    let checks: Vec<&str> = report["findings"].as_array().unwrap().iter().filter_map(|f| f["check"].as_str()).collect();
    assert!(checks.contains(&"held_matches_lines") && checks.contains(&"newest_entry_matches_balance"), "{report}");

    let nowhere = [("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none".to_owned())];
    let failed = run(&folder, &nowhere, &["audit"]).await;
    assert_eq!(failed.status.code(), Some(2), "an audit that could not be done is not a broken invariant: {failed:?}");
    app.stop().await;
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_with_their_scopes_and_revoked_by_their_id() {
    let app = TestApp::start().await;
    app.stock("TEA", 5).await;
    let folder = folder("keys");
    let env = on_test_db(&app.db, &folder).await;
    let made = run(&folder, &env, &["keys", "create", "--client", "shop", "--scope", "stock_read"]).await;
    assert!(made.status.success(), "{made:?}");
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    let client = Client::new(app.client.base(), &token);
    client.get("/availability?sku=TEA").await.expect(200);
    client.post("/reservations", &crate::support::app::cart(&[("TEA", 1)])).await.expect(403);

    let id = token.split('_').nth(1).unwrap();
    let revoked = run(&folder, &env, &["keys", "revoke", id]).await;
    assert!(revoked.status.success(), "{revoked:?}");
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM api_keys WHERE key_id = $1 AND revoked_at IS NOT NULL")
        .bind(id)
        .fetch_one(&app.db.owner())
        .await
        .unwrap();
    assert_eq!(stored, 1);
    // Another instance may remember a key for some seconds; one that starts now does not.
    let other = app.another().await;
    other.client.with_token(&token).get("/availability?sku=TEA").await.expect(401);
    other.stop().await;
    let unknown = run(&folder, &env, &["keys", "revoke", "nothing"]).await;
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
    let unknown = run(&folder, &env, &["keys", "create", "--client", "shop", "--scope", "everything"]).await;
    assert!(!unknown.status.success() && String::from_utf8_lossy(&unknown.stderr).contains("everything"));
    app.finish().await;
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_moment_it_says_where_it_listens_it_stops_in_order_when_asked() {
    let (db, folder) = (db::fresh().await, folder("stopped-at-once"));
    let env = on_test_db(&db, &folder).await;
    for _ in 0..4 {
        Service::start(&folder, &env).await.stop().await;
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_stop_while_it_starts_it_ends_in_order_and_leaves_no_database_running() {
    let folder = folder("stopped-while-starting");
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let env = [("DATABASE_URL", format!("postgres://holdfast@{}/holdfast", silent.local_addr().unwrap()))];
    let mut unanswered = None;
    let waits = async |_: &mut _| unanswered = Some(silent.accept().await.unwrap());
    let ended = stop_while_starting(&folder, &env, waits).await;
    assert!(ended.success(), "while it waits for a database that says nothing: {ended}");

    let data = folder.join("data");
    let env = [("HOLDFAST_DATA_DIR", data.display().to_string())];
    let ended = stop_while_starting(&folder, &env, async |log| {
        while !log.next_line().await.unwrap().expect("it starts").contains("started Postgres") {}
    });
    let ended = ended.await;
    assert!(ended.success(), "while it starts its own database: {ended}");
    assert!(data.join("postgres/data/PG_VERSION").exists() && !data.join("postgres/data/postmaster.pid").exists());
    let service = Service::start(&folder, &env).await;
    assert!(data.join("admin.key").exists(), "the first key is shown at the first start that gets there");
    service.stop().await;
    std::fs::remove_dir_all(folder).unwrap();
}
