//! Files that take a while, sent to the service as a process of its own: what it needs for them, and what is left when it
//! is killed.

use std::fmt::Write as _;
use std::time::Duration;

use reqwest::Body;
use serde_json::Value;

use super::{HEADER, row};
use crate::support::db;
use crate::support::process::{self, Service};

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_a_file_it_has_received_nothing_and_receives_all_of_it_the_next_time() {
    let folder = process::folder("import-killed");
    let db = db::fresh().await;
    let env = process::on_test_db(&db, &folder).await;
    let service = Service::start(&folder, &env).await;
    let key = process::admin_key(&folder.join("admin.key"));
    let file: String = (0..20_000).map(|n| row(&format!("SKU-{}", n % 500), 1, &format!("po-{n}"))).collect();
    let send = async |base: String| {
        let request = reqwest::Client::new().post(format!("{base}/lots/import?create_skus=true")).bearer_auth(&key);
        let answer = request.header("content-type", "text/csv").body(format!("{HEADER}{file}")).send().await?;
        answer.json::<Value>().await
    };
    let owner = db.owner();
    let base = service.base.clone();
    let killed = async {
        // Ledger entries come after every lot: the file is nearly done.
        let at_work = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                       AND application_name = 'holdfast' AND query LIKE '%INSERT INTO stock_entries%'";
        while sqlx::query_scalar::<_, i64>(at_work).fetch_one(&owner).await.unwrap() == 0 {
            tokio::task::yield_now().await;
        }
        service.kill().await;
    };
    let (sent, ()) = tokio::join!(send(base), killed);
    assert!(sent.is_err(), "{sent:?}");
    let service = Service::start(&folder, &env).await;
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM lots").fetch_one(&owner).await.unwrap();
    assert_eq!(left, 0);
    let account = send(service.base.clone()).await.unwrap();
    assert_eq!([&account["received"], &account["created_skus"]], [20_000, 0]);
    service.stop().await;
}

/// A hundred thousand rows as they would come from a disk, a piece at a time.
fn hundred_thousand() -> impl futures_util::Stream<Item = Result<String, std::io::Error>> {
    let pieces = (0..100).map(|piece| {
        let mut text = if piece == 0 { HEADER.to_owned() } else { String::new() };
        for n in piece * 1000..(piece + 1) * 1000 {
            writeln!(text, "SKU-{},B-{n},5,4.20,EUR,2026-01-15,2027-01-15,erp,PO-2026-{n:09}", n % 5000).unwrap();
        }
        Ok(text)
    });
    futures_util::stream::iter(pieces)
}

/// Most memory that a process has ever had, in MiB.
fn peak_mib(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_rows_need_little_memory() {
    let folder = process::folder("import");
    let db = db::fresh().await;
    let env = process::on_test_db(&db, &folder).await;
    let service = Service::start(&folder, &env).await;
    let key = process::admin_key(&folder.join("admin.key"));
    let before = peak_mib(service.pid().as_raw());
    let send = async |query: &str| {
        let answer = reqwest::Client::new()
            .post(format!("{}/lots/import{query}", service.base))
            .bearer_auth(&key)
            .header("content-type", "text/csv")
            .timeout(Duration::from_mins(5))
            .body(Body::wrap_stream(hundred_thousand()))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        let account: Value = answer.json().await.unwrap();
        [account["received"].clone(), account["repeated"].clone(), account["created_skus"].clone()]
    };
    assert_eq!(send("?create_skus=true").await, [100_000, 0, 5000]);
    assert_eq!(send("?on_error=skip_bad_rows").await, [0, 100_000, 0]);
    let grown = peak_mib(service.pid().as_raw()) - before;
    // The file alone has 7 MiB; rows as structures of their own would have 40.
    assert!(grown < 48, "it grew by {grown} MiB");
    service.stop().await;
    let mut conn = db.owner().acquire().await.unwrap().detach();
    let report = holdfast::ledger::audit::run(&mut conn, &holdfast::ledger::audit::Options::default()).await.unwrap();
    assert!(report.is_clean(), "{report}");
}
