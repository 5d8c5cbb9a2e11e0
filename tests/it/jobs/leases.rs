//! Leases: who died is rescued, who comes late is fenced off, who stops gives back.

use std::sync::Arc;
use std::time::Duration;

use holdfast::jobs::pass::pass;
use holdfast::jobs::{Job, JobError, Report, Retry};
use serde_json::json;
use tokio::sync::Semaphore;

use super::{another, shown, start};
use crate::support::TestApp;
use crate::support::process::{Service, folder, on_test_db};
use crate::support::race::{eventually, lock_from_outside};

/// So long that no tick of it falls into a test, whatever the hour.
const CENTURY: Duration = Duration::from_hours(36_500 * 24);

/// A job of which every attempt waits for a permit of its own, and then tells its number.
fn slow(gates: &[Arc<Semaphore>]) -> Job {
    let gates = gates.to_vec();
    let job = Job::every("slow", "Takes its time.", CENTURY, move |_, slot| {
        let gate = Arc::clone(&gates[usize::try_from(slot.attempt - 1).unwrap()]);
        async move {
            gate.acquire().await.map_err(|error| JobError::Failed(error.to_string()))?.forget();
            Ok(Report::of(json!({ "attempt": slot.attempt })))
        }
    });
    // Long enough that no renewal comes in between, whatever the machine is busy with.
    Job { lease: Duration::from_hours(3), longest: Duration::from_hours(48), ..job }
}

const LEASE: i64 = 3 * 3600;

fn gates<const N: usize>() -> [Arc<Semaphore>; N] {
    std::array::from_fn(|_| Arc::new(Semaphore::new(0)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_whose_worker_died_is_another_s_and_the_late_worker_cannot_finish_it() {
    let gates = gates::<2>();
    let app = start(vec![slow(&gates)]).await;
    let other = another(&app, vec![slow(&gates)]).await;
    let mut stuck = pass(&app.app).await.unwrap();
    assert_eq!(stuck.len(), 1);
    app.advance(LEASE - 60);
    assert!(pass(&other.app).await.unwrap().is_empty(), "a lease is honoured");
    assert_eq!(shown(&other, "slow", None).await["state"], "running");

    app.advance(61);
    let mut rescuer = pass(&other.app).await.unwrap();
    assert_eq!(rescuer.len(), 1);
    // The first worker comes back while the second is at work, and has nothing to say any more.
    gates[0].add_permits(1);
    stuck.pop().unwrap().await.unwrap();
    let run = shown(&app, "slow", None).await["runs"][0].clone();
    assert_eq!((&run["status"], &run["attempts"], &run["report"]), (&json!("running"), &json!(2), &json!(null)));
    gates[1].add_permits(1);
    rescuer.pop().unwrap().await.unwrap();
    let run = shown(&app, "slow", None).await["runs"][0].clone();
    assert_eq!((&run["status"], &run["attempts"], &run["failures"]), (&json!("succeeded"), &json!(2), &json!(1)));
    assert_eq!(run["report"], json!({"attempt": 2}));
    assert_eq!(run["instance"], other.app.jobs.instance.as_str());
    assert_eq!(run["error"], format!("the lease of {} ran out", app.app.jobs.instance));
    other.stop().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_worker_cannot_undo_what_its_rescuer_has_finished() {
    let gates = gates::<2>();
    let app = start(vec![slow(&gates)]).await;
    let other = another(&app, vec![slow(&gates)]).await;
    let mut stuck = pass(&app.app).await.unwrap();
    app.advance(LEASE);
    gates[1].add_permits(1);
    other.work().await;
    gates[0].close();
    stuck.pop().unwrap().await.unwrap();
    let run = shown(&app, "slow", None).await["runs"][0].clone();
    assert_eq!((&run["status"], &run["report"]), (&json!("succeeded"), &json!({"attempt": 2})));
    other.stop().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_kills_every_worker_is_given_up_and_shown() {
    let gates = gates::<3>();
    let retry = Retry { most_failures: 3, ..Retry::default() };
    let app = start(vec![Job { retry, parallel: 3, ..slow(&gates) }]).await;
    for attempt in 1..=3 {
        assert_eq!(pass(&app.app).await.unwrap().len(), 1, "attempt {attempt}");
        app.advance(LEASE);
    }
    assert!(pass(&app.app).await.unwrap().is_empty());
    let run = shown(&app, "slow", None).await["runs"][0].clone();
    assert_eq!((&run["status"], &run["attempts"], &run["failures"]), (&json!("failed"), &json!(3), &json!(3)));
    assert_eq!(run["error"], format!("the lease of {} ran out", app.app.jobs.instance));
    for gate in &gates {
        gate.add_permits(1);
    }
    app.finish().await;
}

/// A job that works until it is told to stop.
fn endless() -> Job {
    Job::every("endless", "Never ends.", CENTURY, |_, slot| async move {
        if slot.attempt == 1 {
            slot.stop.cancelled().await;
        }
        slot.go_on()?;
        Ok(Report::default())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn at_shutdown_a_running_slot_is_given_back_at_once_and_nothing_is_held_against_it() {
    let app = start(vec![endless()]).await;
    let other = another(&app, vec![endless()]).await;
    assert_eq!(pass(&app.app).await.unwrap().len(), 1);
    app.stop().await;
    let run = shown(&other, "endless", None).await["runs"][0].clone();
    assert_eq!((&run["status"], &run["attempts"], &run["failures"]), (&json!("pending"), &json!(1), &json!(0)));
    other.work().await;
    let run = shown(&other, "endless", None).await["runs"][0].clone();
    assert_eq!((&run["status"], &run["attempts"], &run["error"]), (&json!("succeeded"), &json!(2), &json!(null)));
    other.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_attempt_keeps_its_lease_but_not_for_ever() {
    let gates = gates::<1>();
    let kept = Job { lease: Duration::from_millis(60), ..slow(&gates) };
    let overdue = Job { lease: Duration::from_millis(60), longest: Duration::ZERO, ..endless() };
    let app = start(vec![kept, overdue]).await;
    let owner = app.db.owner();
    let lease = "SELECT lease_expires_at - started_at > interval '90 ms' FROM job_slots WHERE job = 'slow'";
    let mut workers = pass(&app.app).await.unwrap();
    assert_eq!(workers.len(), 2);
    eventually("the lease is renewed", async || sqlx::query_scalar::<_, bool>(lease).fetch_one(&owner).await.unwrap())
        .await;
    // By name: `endless` comes first, and was told to stop.
    workers.remove(0).await.unwrap();
    let run = shown(&app, "endless", None).await["runs"][0].clone();
    assert_eq!((&run["status"], &run["attempts"]), (&json!("pending"), &json!(1)));
    gates[0].add_permits(1);
    workers.remove(0).await.unwrap();
    assert_eq!(shown(&app, "slow", None).await["runs"][0]["status"], "succeeded");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_whose_process_was_killed_is_taken_over_once() {
    let app = TestApp::start().await;
    app.stock("TEA", 5).await;
    let owner = app.db.owner();
    sqlx::query("UPDATE pools SET created_at = created_at - interval '1 day 2 hours'").execute(&owner).await.unwrap();
    // Whoever begins to close a day waits here.
    let outside = lock_from_outside(&app.db, "LOCK TABLE snapshots IN SHARE ROW EXCLUSIVE MODE").await;
    let folder = folder("killed-at-work");
    let mut env = on_test_db(&app.db, &folder).await;
    env.push(("HOLDFAST_JOBS_INTERVAL_MS", "50".to_owned()));
    let service = Service::start(&folder, &env).await;
    let oldest = "SELECT status = 'running' FROM job_slots WHERE job = 'snapshot' ORDER BY window_ends_at LIMIT 1";
    eventually("the process is at work on a day", async || {
        sqlx::query_scalar::<_, bool>(oldest).fetch_optional(&owner).await.unwrap() == Some(true)
    })
    .await;
    service.kill().await;
    drop(outside);
    app.work().await;
    let slot = |run: &serde_json::Value| (run["status"].clone(), run["attempts"].clone(), run["failures"].clone());
    let days = async || shown(&app, "snapshot", Some("default")).await["runs"].as_array().unwrap().clone();
    let held = days().await.pop().unwrap();
    assert_eq!(held["status"], "running", "its lease is honoured: {held:#}");
    let by = held["instance"].as_str().unwrap().to_owned();
    assert_ne!(by, app.app.jobs.instance);
    // A lease, and by how much the killed one may have been behind with it.
    app.advance(3600);
    let other = TestApp::start_on(Arc::clone(&app.db), app.clock.clone(), app.app.settings).await;
    tokio::join!(app.work(), other.work());
    let taken = days().await.pop().unwrap();
    assert_eq!(slot(&taken), (json!("succeeded"), json!(2), json!(1)), "{taken:#}");
    assert_eq!(taken["error"], format!("the lease of {by} ran out"));
    let closed = "SELECT count(*) FROM snapshots WHERE status = 'closed' AND snapshot_date = $1::date";
    let closed: i64 = sqlx::query_scalar(closed).bind(taken["slot"].as_str().unwrap()).fetch_one(&owner).await.unwrap();
    assert_eq!(closed, 1);
    other.stop().await;
    app.finish().await;
    std::fs::remove_dir_all(folder).unwrap();
}
