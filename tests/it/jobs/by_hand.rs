//! Slots asked for by hand.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::{Book, DAY, days_from, make_pool, shown, start};

#[tokio::test(flavor = "multi_thread")]
async fn an_interval_job_runs_when_it_is_asked_to_and_what_succeeded_stays_as_it_is() {
    let book = Book::default();
    let app = start(vec![book.hourly()]).await;
    app.work().await;
    // Neither body nor key is needed.
    app.advance(3601);
    app.work().await;
    app.advance(1);
    let asked = app.client.send(Method::POST, "/jobs/tick/run", &[], None).await.expect(202);
    assert_eq!(
        (asked.at("/status"), asked.at("/pool"), asked.at("/attempts")),
        (json!("pending"), Value::Null, json!(0))
    );
    let again = app.client.post("/jobs/tick/run", &json!({})).await.expect(202);
    assert_eq!(again.at("/slot"), asked.at("/slot"), "one that waits is the one that is meant");
    app.work().await;
    assert_eq!(book.slots("").len(), 3);
    let done = app.client.post("/jobs/tick/run", &json!({"slot": asked.at("/slot")})).await.expect(200);
    assert_eq!((done.at("/status"), done.at("/attempts")), (json!("succeeded"), json!(1)));
    app.work().await;
    assert_eq!(book.slots("").len(), 3);
    let idle = shown(&app, "tick", None).await;
    assert_eq!(
        (&idle["state"], &idle["schedule"]),
        (&json!("idle"), &json!({"kind": "every", "period_seconds": 3600}))
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_at_once_is_told_of_one_slot() {
    let book = Book::default();
    let app = start(vec![book.daily()]).await;
    let first = make_pool(&app, "eu", "UTC").await;
    app.advance(DAY + 600);
    let start = Arc::new(Barrier::new(8));
    let mut racers = JoinSet::new();
    for _ in 0..8 {
        let (client, start) = (app.client.clone(), Arc::clone(&start));
        racers.spawn(async move {
            start.wait().await;
            client.post("/jobs/close/run", &json!({"pool": "eu"})).await
        });
    }
    for answer in racers.join_all().await {
        assert_eq!(answer.expect(202).at("/slot"), json!(first.to_string()));
    }
    app.work().await;
    assert_eq!(book.slots("eu"), days_from(first, 1));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn days_are_run_by_hand_in_order_only_and_a_failed_one_starts_afresh() {
    let book = Book::default();
    let app = start(vec![book.daily(), book.hourly()]).await;
    let first = make_pool(&app, "eu", "UTC").await;
    let days = days_from(first, 4);
    let run = async |slot: &str| app.client.post("/jobs/close/run", &json!({"pool": "eu", "slot": slot})).await;
    let asked = app.client.post("/jobs/close/run", &json!({"pool": "eu"})).await.refused(409, "slot_not_due");
    assert!(asked.at("/detail").as_str().unwrap().contains(&days[0]), "{asked:?}");
    app.advance(2 * DAY + 600);
    run(&days[1]).await.refused(409, "slot_not_due");
    run(&days[0]).await.expect(202);
    run(&days[1]).await.refused(409, "job_at_work");
    app.work().await;
    run(&days[0]).await.expect(200);
    run(&days[1]).await.expect(200);
    run(&days[2]).await.refused(409, "slot_not_due");
    run("2020-01-01").await.refused(409, "slot_not_due");

    // A slot that waits for its next attempt is tried at once.
    book.set_broken(&["eu", ""]);
    app.advance(DAY);
    app.work().await;
    let waits = run(&days[2]).await.expect(202);
    assert_eq!((waits.at("/failures"), waits.at("/error")), (json!(0), json!("no luck today")));
    book.set_broken(&[""]);
    app.work().await;
    run(&days[2]).await.expect(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_tick_cannot_be_asked_for_while_a_newer_one_waits() {
    let book = Book::default();
    let job = book.hourly();
    let retry = holdfast::jobs::Retry { most_failures: 1, ..job.retry };
    let app = start(vec![holdfast::jobs::Job { retry, ..job }]).await;
    book.set_broken(&[""]);
    app.work().await;
    let failed = shown(&app, "tick", None).await["runs"][0].clone();
    assert_eq!(failed["status"], "failed");
    app.advance(60);
    let newer = app.client.send(Method::POST, "/jobs/tick/run", &[], None).await.expect(202);
    assert_ne!(newer.at("/slot"), failed["slot"]);
    let body = json!({"slot": failed["slot"]});
    app.client.post("/jobs/tick/run", &body).await.refused(409, "job_at_work");
    book.set_broken(&[]);
    app.work().await;
    app.client.post("/jobs/tick/run", &body).await.expect(202);
    app.work().await;
    app.client.post("/jobs/tick/run", &body).await.expect(200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused() {
    let book = Book::default();
    let app = start(vec![book.daily(), book.hourly()]).await;
    app.client.post("/jobs/nothing/run", &json!({})).await.refused(404, "job_not_found");
    app.client.post("/jobs/close/run", &json!({"pool": "mars"})).await.refused(422, "unknown_pool");
    for (path, body, pointer) in [
        ("/jobs/close/run", json!({"slot": "tomorrow"}), "/slot"),
        ("/jobs/close/run", json!({"slot": "2026-11-24T00:00:00Z"}), "/slot"),
        ("/jobs/tick/run", json!({"slot": "2026-11-24"}), "/slot"),
        ("/jobs/tick/run", json!({"pool": "default"}), "/pool"),
        ("/jobs/tick/run", json!({"day": "2026-11-24"}), "/day"),
        ("/jobs/close/run", json!({"pool": ""}), "/pool"),
    ] {
        let refused = app.client.post(path, &body).await.refused(422, "validation_failed");
        assert_eq!(refused.broken(), [pointer], "{path} {body}");
    }
    let unlabelled = app.client.post_bytes("/jobs/tick/run", &[], b"{}".to_vec()).await;
    unlabelled.refused(415, "unsupported_media_type");
    assert_eq!(book.lines(), []);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_listed_page_by_page_each_pool_by_itself() {
    let book = Book::default();
    let app = start(vec![book.daily(), book.hourly()]).await;
    make_pool(&app, "eu", "Europe/Berlin").await;
    let (mut seen, mut path) = (Vec::new(), "/jobs?limit=1".to_owned());
    loop {
        let page = app.client.get(&path).await.expect(200);
        for job in page.at("/data").as_array().unwrap() {
            seen.push((job["name"].as_str().unwrap().to_owned(), job["pool"].clone()));
        }
        let Some(cursor) = page.at("/next_cursor").as_str().map(str::to_owned) else { break };
        path = format!("/jobs?limit=1&cursor={cursor}");
    }
    let name = str::to_owned;
    let all = [(name("close"), json!("default")), (name("close"), json!("eu")), (name("tick"), Value::Null)];
    assert_eq!(seen, all);
    app.finish().await;
}
