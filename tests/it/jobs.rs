//! The clock of jobs: each slot once, in order, whatever dies and however long nobody looked.

mod by_hand;
mod leases;
mod purges;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use holdfast::clock::Clock;
use holdfast::jobs::{Job, JobError, Report, Slot};
use serde_json::{Value, json};

use crate::support::app::settings;
use crate::support::race::eventually;
use crate::support::{TestApp, db};

const DAY: i64 = 86_400;

/// What jobs of a test did, and whether they shall fail.
#[derive(Clone, Default)]
struct Book {
    lines: Arc<Mutex<Vec<(String, String, i32)>>>,
    /// Pools whose day cannot be closed at the moment.
    broken: Arc<Mutex<Vec<String>>>,
}

fn pool_of(slot: &Slot) -> String {
    slot.pool.as_ref().map_or_else(String::new, |pool| pool.code.clone())
}

impl Book {
    /// Pool, slot and attempt of every run that did its work, in order.
    fn lines(&self) -> Vec<(String, String, i32)> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The slots of one pool, in the order they ran.
    fn slots(&self, pool: &str) -> Vec<String> {
        self.lines().into_iter().filter(|(of, ..)| of == pool).map(|(_, slot, _)| slot).collect()
    }

    fn set_broken(&self, pools: &[&str]) {
        *self.broken.lock().unwrap() = pools.iter().map(|pool| (*pool).to_owned()).collect();
    }

    fn write(&self, slot: &Slot) -> Result<Report, JobError> {
        if self.broken.lock().unwrap().contains(&pool_of(slot)) {
            return Err(JobError::Failed("no luck today".to_owned()));
        }
        self.lines.lock().unwrap().push((pool_of(slot), slot.key.clone(), slot.attempt));
        Ok(Report::of(json!({ "closed": slot.key })))
    }

    /// A job that closes days, a few at once.
    fn daily(&self) -> Job {
        let book = self.clone();
        let job = Job::daily_per_pool("close", "Closes days.", Duration::from_mins(10), move |_, slot| {
            let book = book.clone();
            async move {
                slot.day()?;
                book.write(&slot)
            }
        });
        Job { parallel: 2, ..job }
    }

    /// A job that is due every hour.
    fn hourly(&self) -> Job {
        let book = self.clone();
        Job::every("tick", "Ticks.", Duration::from_hours(1), move |_, slot| {
            let book = book.clone();
            async move { book.write(&slot) }
        })
    }
}

async fn start(jobs: Vec<Job>) -> TestApp {
    TestApp::start_with_jobs(Arc::new(db::fresh().await), Clock::new(), settings(), jobs).await
}

async fn another(app: &TestApp, jobs: Vec<Job>) -> TestApp {
    TestApp::start_with_jobs(Arc::clone(&app.db), app.clock.clone(), settings(), jobs).await
}

/// Makes a pool; gives the local day it was made on.
async fn make_pool(app: &TestApp, code: &str, zone: &str) -> NaiveDate {
    let made = app.client.post("/pools", &json!({"code": code, "time_zone": zone})).await.expect(201);
    let made_at: DateTime<Utc> = made.at("/created_at").as_str().unwrap().parse().unwrap();
    made_at.with_timezone(&zone.parse::<chrono_tz::Tz>().unwrap()).date_naive()
}

/// A job, or a pool's share of it, as the API shows it.
async fn shown(app: &TestApp, name: &str, pool: Option<&str>) -> Value {
    let listed = app.client.get("/jobs?limit=100").await.expect(200);
    let jobs = listed.at("/data").as_array().unwrap().clone();
    let found = jobs.into_iter().find(|job| job["name"] == name && job["pool"] == json!(pool));
    found.unwrap_or_else(|| panic!("{name} of {pool:?} is not in {listed:?}"))
}

fn days_from(first: NaiveDate, count: usize) -> Vec<String> {
    first.iter_days().take(count).map(|day| day.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_run_each_slot_once_and_the_days_of_a_pool_in_order() {
    let book = Book::default();
    let app = start(vec![book.daily(), book.hourly()]).await;
    let mut first = Vec::new();
    for pool in ["eu", "us", "jp"] {
        first.push((pool, make_pool(&app, pool, "UTC").await));
    }
    let other = another(&app, vec![book.daily(), book.hourly()]).await;
    // The hours in which somebody looked: a tick is owed in each.
    let mut hours = BTreeSet::new();
    let hour = || app.clock.local_now().timestamp() / 3600;
    for _ in 0..4 {
        hours.insert(hour());
        tokio::join!(app.work(), other.work(), app.work(), other.work());
        hours.insert(hour());
        app.advance(2 * DAY);
    }
    tokio::join!(app.work(), other.work());
    hours.insert(hour());
    // Eight times 24 hours later the eighth day has ended, or is about to.
    app.advance(600);
    tokio::join!(app.work(), other.work());
    hours.insert(hour());
    for (pool, first) in first {
        assert_eq!(book.slots(pool), days_from(first, 8), "{pool}");
    }
    assert_eq!(book.slots("").len(), hours.len(), "one tick in each hour of a look, none made up for");
    assert!(book.lines().iter().all(|(.., attempt)| *attempt == 1), "{:?}", book.lines());
    let untidy: i64 = sqlx::query_scalar("SELECT count(*) FROM job_slots WHERE attempts <> 1 OR status <> 'succeeded'")
        .fetch_one(&app.db.owner())
        .await
        .unwrap();
    assert_eq!(untidy, 0);
    other.stop().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_downtime_days_are_caught_up_in_order_each_from_midnight_to_midnight() {
    let book = Book::default();
    let app = start(vec![book.daily()]).await;
    let first = make_pool(&app, "eu", "Europe/Berlin").await;
    app.work().await;
    let idle = shown(&app, "close", Some("eu")).await;
    assert_eq!((&idle["state"], &idle["due_count"]), (&json!("idle"), &json!(0)));
    assert_eq!(idle["next_slot"], first.to_string());
    assert_eq!(idle["schedule"], json!({"kind": "daily", "time_zone": "Europe/Berlin", "after_midnight_seconds": 600}));
    app.advance(12 * DAY + 2 * 3600);
    let behind = shown(&app, "close", Some("eu")).await;
    let due = usize::try_from(behind["due_count"].as_u64().unwrap()).unwrap();
    assert!((12..=13).contains(&due) && behind["state"] == "due", "{behind:#}");
    app.work().await;
    assert_eq!(book.slots("eu"), days_from(first, due));

    let caught_up = shown(&app, "close", Some("eu")).await;
    assert_eq!((&caught_up["state"], &caught_up["due_count"]), (&json!("idle"), &json!(0)));
    let runs = caught_up["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 10);
    for (newer, older) in runs.iter().zip(&runs[1..]) {
        assert_eq!(newer["window_starts_at"], older["window_ends_at"]);
    }
    let newest = &runs[0];
    assert_eq!(newest["report"], json!({"closed": newest["slot"]}));
    assert_eq!(
        (&newest["status"], &newest["attempts"], &newest["error"]),
        (&json!("succeeded"), &json!(1), &Value::Null)
    );
    for member in ["started_at", "finished_at", "instance"] {
        assert!(newest[member].is_string(), "{member} of {newest:#}");
    }
    assert!(newest["duration_ms"].is_u64(), "{newest:#}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_day_is_tried_so_often_then_holds_up_its_pool_alone_until_it_is_asked_for() {
    let book = Book::default();
    let app = start(vec![book.daily()]).await;
    let first = make_pool(&app, "eu", "UTC").await;
    make_pool(&app, "us", "UTC").await;
    book.set_broken(&["eu"]);
    app.advance(3 * DAY + 600);
    let most = holdfast::jobs::Retry::default().most_failures;
    let (mut failures, most) = (0, i64::from(most));
    while failures < most {
        app.work().await;
        let run = shown(&app, "close", Some("eu")).await["runs"][0].clone();
        // By chance a wait may be none at all.
        let known = std::mem::replace(&mut failures, run["failures"].as_i64().unwrap());
        assert!((known + 1..=most).contains(&failures) && run["error"] == "no luck today", "{run:#}");
        assert_eq!(run["status"], if failures < most { "pending" } else { "failed" }, "{run:#}");
        assert_eq!(run["next_attempt_at"].is_string(), failures < most, "{run:#}");
        app.advance(600);
    }
    app.advance(2 * DAY);
    app.work().await;
    let blocked = shown(&app, "close", Some("eu")).await;
    // Late in the evening the waits reach into one more day.
    let due = usize::try_from(blocked["due_count"].as_u64().unwrap()).unwrap();
    assert!((5..=6).contains(&due) && blocked["state"] == "blocked", "{blocked:#}");
    assert_eq!((&blocked["next_slot"], &blocked["runs"][0]["attempts"]), (&json!(first.to_string()), &json!(most)));
    assert_eq!(blocked["runs"].as_array().unwrap().len(), 1);
    assert_eq!(book.slots("eu"), [""; 0]);
    assert_eq!(book.slots("us"), days_from(first, due));
    let metrics = String::from_utf8(app.client.get("/metrics").await.expect(200).bytes).unwrap();
    for sample in [
        "holdfast_job_attempts_total{job=\"close\",result=\"failed\"}",
        "holdfast_job_attempts_total{job=\"close\",result=\"retried\"}",
        "holdfast_job_attempts_total{job=\"close\",result=\"succeeded\"}",
        "holdfast_job_run_seconds_bucket{job=\"close\",le=\"0.01\"}",
        "holdfast_job_lag_seconds{job=\"close\"}",
    ] {
        assert!(metrics.lines().any(|line| line.starts_with(sample)), "{sample}\n{metrics}");
    }

    book.set_broken(&[]);
    let asked = app.client.post("/jobs/close/run", &json!({"pool": "eu"})).await.expect(202);
    assert_eq!((asked.at("/slot"), asked.at("/failures")), (json!(first.to_string()), json!(0)));
    app.work().await;
    assert_eq!(book.slots("eu"), days_from(first, due));
    let run = shown(&app, "close", Some("eu")).await["runs"][due - 1].clone();
    assert_eq!((&run["status"], &run["attempts"]), (&json!("succeeded"), &json!(most + 1)));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_panics_or_is_refused_has_failed_and_says_no_sql() {
    let panics = Job::every("panics", "", Duration::from_hours(1), |_, slot: Slot| async move {
        assert!(slot.key.is_empty(), "a planted panic");
        Ok(Report::default())
    });
    let broken = Job::every("broken", "", Duration::from_hours(1), |app, _| async move {
        sqlx::query("INSERT INTO clients VALUES (0, 'secret-name', now()), (0, '', now())").execute(&app.db).await?;
        Ok(Report::default())
    });
    let refused = Job::every("refused", "", Duration::from_hours(1), |_, _| async {
        Err(JobError::Refused("there is nothing to close".to_owned()))
    });
    let app = start(vec![panics, broken, refused]).await;
    app.work().await;
    for (name, status, error) in [
        ("panics", "pending", "the job panicked; it has been logged"),
        ("broken", "pending", "the database refused (23514, by clients_name_length)"),
        ("refused", "failed", "there is nothing to close"),
    ] {
        let run = shown(&app, name, None).await["runs"][0].clone();
        assert_eq!((&run["status"], &run["error"]), (&json!(status), &json!(error)));
    }
    // A tick that failed for good does not hold up the next one.
    app.advance(3600);
    app.work().await;
    assert_eq!(shown(&app, "refused", None).await["runs"].as_array().unwrap().len(), 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_looks_by_itself_and_at_once_when_a_slot_is_done() {
    let book = Book::default();
    let mut settings = settings();
    settings.intervals.jobs = Some(Duration::from_mins(10));
    let (db, clock) = (Arc::new(db::fresh().await), Clock::new());
    let seed = TestApp::start_with_jobs(Arc::clone(&db), clock.clone(), crate::support::app::settings(), vec![]).await;
    let first = make_pool(&seed, "eu", "UTC").await;
    seed.advance(5 * DAY + 600);
    let app = TestApp::start_with_jobs(db, clock, settings, vec![book.daily()]).await;
    // One tick is enough: each finished day makes the clock look again.
    eventually("every day is closed", async || book.slots("eu").len() == 5).await;
    assert_eq!(book.slots("eu"), days_from(first, 5));
    seed.stop().await;
    app.finish().await;
}
