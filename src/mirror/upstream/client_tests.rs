//! The client against an upstream that fails in every way.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::fake::{Act, Fake};
use super::*;
use crate::clock::Clock;
use crate::mirror::rows::Source;

const GET: Call = Call { operation: "get", cost: 1.0, repeatable: true };

fn limits() -> Limits {
    let schedule = Schedule { attempts: 5, base: Duration::from_millis(1), cap: Duration::from_millis(4) };
    Limits { call: Duration::from_secs(20), attempt: Duration::from_millis(300), body_max: 1000, schedule }
}

fn client(limits: Limits, parallel: usize) -> Client {
    Client::new(Source::Shopify, limits, parallel, None, Clock::new()).unwrap()
}

async fn get(client: &Client, call: Call, fake: &Fake) -> Result<Value, UpstreamError> {
    let read = |answer: Answer| match answer.transient(client.now()) {
        Some(failure) => Err(failure),
        None if answer.status != 200 => {
            Err(Failure::Final(UpstreamError::Refused { status: answer.status, code: String::new() }))
        }
        None => answer.json(),
    };
    let attempt = |deadline| client.attempt("get", deadline, client.http().get(&fake.base), read);
    client.call(call, attempt).await
}

fn fault(kind: usize) -> Act {
    match kind {
        0 => Act::status(500, &[]),
        1 => Act::status(429, &[("retry-after", "0")]),
        2 => Act::Close,
        3 => Act::Truncate(r#"{"a": "#.to_owned()),
        4 => Act::BreakOff(r#"{"a": "#.to_owned()),
        5 => Act::Hang,
        _ => Act::status(503, &[]),
    }
}

#[tokio::test]
async fn four_faults_of_any_kind_are_outlived_and_a_fifth_is_not() {
    let client = client(limits(), 4);
    for kind in 0..7 {
        let outlived = Fake::start(move |n, _| if n < 4 { fault(kind) } else { Act::ok(&json!({ "a": 1 })) }).await;
        assert_eq!(get(&client, GET, &outlived).await.unwrap(), json!({ "a": 1 }), "{kind}");
        assert_eq!(outlived.requests().len(), 5, "{kind}");
        let lasting = Fake::start(move |_, _| fault(kind)).await;
        let error = get(&client, GET, &lasting).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Exhausted { attempts: 5, .. }), "{kind}: {error}");
        assert!(error.is_transient());
        assert_eq!(lasting.requests().len(), 5, "{kind}");
    }
    let mut nobody = Fake::start(|_, _| Act::Close).await;
    nobody.base = "http://127.0.0.1:1".to_owned();
    let error = get(&client, GET, &nobody).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Exhausted { last: Cause::Connection, .. }), "{error}");
}

#[tokio::test]
async fn what_cannot_succeed_is_asked_for_once() {
    let client = client(limits(), 4);
    for (status, headers) in [(400, None), (401, None), (404, None), (302, Some(("location", "/elsewhere")))] {
        let fake = Fake::start(move |_, _| Act::status(status, headers.as_slice())).await;
        let error = get(&client, GET, &fake).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Refused { status: said, .. } if said == status), "{error}");
        assert!(!error.is_transient());
        assert_eq!(fake.requests().len(), 1, "{status}");
    }
    for announced in [true, false] {
        let large = "x".repeat(1001);
        let act = move |_, _: &_| {
            if announced {
                Act::Answer { status: 200, headers: vec![], body: large.clone() }
            } else {
                Act::BreakOff(large.clone())
            }
        };
        let fake = Fake::start(act).await;
        let error = get(&client, GET, &fake).await.unwrap_err();
        assert!(matches!(error, UpstreamError::TooLarge { limit: 1000 }), "{error}");
        assert_eq!(fake.requests().len(), 1);
    }
}

#[tokio::test]
async fn what_is_not_repeatable_is_only_tried_again_if_it_cannot_have_happened() {
    let client = client(limits(), 4);
    let once = Call { repeatable: false, ..GET };
    let unsure = Fake::start(|_, _| Act::status(500, &[])).await;
    assert!(get(&client, once, &unsure).await.is_err());
    assert_eq!(unsure.requests().len(), 1);
    let sure = Fake::start(|n, _| if n == 0 { fault(1) } else { Act::ok(&json!({})) }).await;
    assert!(get(&client, once, &sure).await.is_ok());
}

#[tokio::test]
async fn a_wait_beyond_the_deadline_is_not_begun_and_the_deadline_ends_an_attempt() {
    let client = client(Limits { call: Duration::from_millis(100), ..limits() }, 4);
    let later = Fake::start(|_, _| Act::status(429, &[("retry-after", "600")])).await;
    let error = get(&client, GET, &later).await.unwrap_err();
    let wanted = Duration::from_mins(10);
    assert!(
        matches!(error, UpstreamError::Deadline { attempts: 1, retry_after: Some(wait), .. } if wait == wanted),
        "{error}"
    );
    let begun = Instant::now();
    let hanging = Fake::start(|_, _| Act::Hang).await;
    let error = get(&client, GET, &hanging).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Deadline { last: Cause::TimedOut, .. }), "{error}");
    assert!(begun.elapsed() < Duration::from_millis(290), "an attempt's own time would have been longer");
}

#[tokio::test]
async fn a_wait_that_is_asked_for_is_kept() {
    let client = client(limits(), 4);
    let act = |n, _: &_| match n {
        0 => Act::status(503, &[("retry-after", "0.2")]),
        _ => Act::ok(&json!({})),
    };
    let fake = Fake::start(act).await;
    let begun = Instant::now();
    get(&client, GET, &fake).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn no_more_calls_than_allowed_are_made_at_a_time() {
    let client = client(limits(), 3);
    let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let attempt = |_| async {
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(2)).await;
        now.fetch_sub(1, Ordering::SeqCst);
        Ok::<_, Failure>(())
    };
    futures_util::future::try_join_all((0..20).map(|_| client.call(GET, attempt))).await.unwrap();
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn the_deadline_runs_while_a_call_waits_for_its_pace() {
    let limits = Limits { call: Duration::from_millis(50), ..limits() };
    let empty = Pacer::new(Bucket::new(0.0, 1.0, Instant::now()));
    let client = Client::new(Source::Shopify, limits, 1, Some(empty), Clock::new()).unwrap();
    let fake = Fake::start(|_, _| Act::ok(&json!({ "a": 1 }))).await;
    let costly = Call { cost: 3600.0, ..GET };
    let ended =
        tokio::time::timeout(Duration::from_secs(5), get(&client, costly, &fake)).await.expect("it waits for an hour");
    assert!(matches!(ended, Err(UpstreamError::Deadline { attempts: 0, .. })), "{ended:?}");
    // It was never sent, and those after it do not pay for it.
    assert_eq!(get(&client, Call { cost: 0.0, ..GET }, &fake).await.unwrap(), json!({ "a": 1 }));
    assert_eq!(fake.requests().len(), 1);
}
