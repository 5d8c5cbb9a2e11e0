//! Clients that hang up, and futures that are dropped: nothing that was begun is left half done, and no connection
//! comes back to the pool with a transaction open.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use scoped_futures::ScopedFutureExt;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{Acquire, Executor, PgConnection, PgPool, Row};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinSet;

use crate::support::TestApp;
use crate::support::app::cart;
use crate::support::client::key;
use crate::support::db::{self, TestDb};
use crate::support::race::{Call, eventually, lock_from_outside, until_blocked};

/// A POST as bytes, head and body.
fn bytes_of(call: &Call) -> (Vec<u8>, Vec<u8>) {
    let body = call.body.to_string().into_bytes();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {}\r\nIdempotency-Key: {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        call.path,
        call.client.token(),
        call.key,
        body.len()
    );
    (head.into_bytes(), body)
}

/// Sends so many bytes and hangs up after so many milliseconds.
async fn hang_up(call: &Call, bytes: &[u8], after_ms: u64) {
    let address = call.client.base().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    if after_ms > 0 {
        tokio::time::sleep(Duration::from_millis(after_ms)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_the_client_hangs_up_its_key_has_one_outcome_that_a_retry_repeats() {
    let app = TestApp::start().await;
    app.stock("TEA", 60).await;
    let mut calls = Vec::new();
    for n in 0..90 {
        // Some are refused in the end: that is an outcome too.
        let call = Call::new(&app.client, "/reservations", cart(&[("TEA", 1)]));
        let (head, body) = bytes_of(&call);
        let all = [head.as_slice(), &body].concat();
        match n % 9 {
            0 => hang_up(&call, b"", 0).await,
            1 => hang_up(&call, &head[..head.len() / 2], 0).await,
            2 => hang_up(&call, &head, 0).await,
            3 => hang_up(&call, &all[..all.len() - body.len() / 2], 0).await,
            4 => hang_up(&call, &all, 0).await,
            _ => hang_up(&call, &all, n / 9).await,
        }
        calls.push(call);
    }
    let stored = keys(&app).await;
    let unsent = calls.iter().enumerate().filter(|(n, _)| n % 9 < 4);
    assert!(unsent.clone().all(|(_, call)| !stored.contains_key(&call.key)), "done before it was asked for");
    let mut held = 0;
    for call in &calls {
        let first = call.send().await;
        let again = call.send().await;
        assert!([201, 409].contains(&first.status.as_u16()), "{first:?}");
        assert_eq!((first.status, &first.bytes), (again.status, &again.bytes));
        assert!(again.is_replayed());
        if let Some(body) = stored.get(&call.key) {
            assert!(first.is_replayed() && *body == first.bytes, "what was done before the hang-up is what counts");
        }
        held += i32::from(first.status == 201);
    }
    assert_eq!(held, 60);
    assert_eq!(app.availability("TEA").await["held_quantity"], 60);
    app.finish().await;
}

async fn keys(app: &TestApp) -> BTreeMap<String, Vec<u8>> {
    let rows = sqlx::query("SELECT key, body FROM idempotency_keys").fetch_all(&app.db.owner()).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_has_begun_is_finished_though_its_client_has_gone() {
    let app = TestApp::start().await;
    app.stock("TEA", 1).await;
    // A command, which its lane owns.
    let outside = lock_from_outside(&app.db, "SELECT * FROM stock FOR UPDATE").await;
    let call = Call::new(&app.client, "/reservations", cart(&[("TEA", 1)]));
    leave_while_blocked(&app, &call).await;
    outside.rollback().await.unwrap();
    eventually("the hold is made", async || keys(&app).await.contains_key(&call.key)).await;
    assert!(call.send().await.expect(201).is_replayed());
    // An edit of the catalogue, which a detached task owns.
    let outside = lock_from_outside(&app.db, "SELECT * FROM catalogue_revision FOR UPDATE").await;
    let call = Call::new(&app.client, "/pools", json!({ "code": "eu", "time_zone": "Europe/Berlin" }));
    leave_while_blocked(&app, &call).await;
    outside.rollback().await.unwrap();
    eventually("the pool is made", async || app.client.get("/pools/eu").await.status == 200).await;
    app.finish().await;
}

/// Sends a call, waits until it waits for a lock, and hangs up; then waits until the service has noticed.
async fn leave_while_blocked(app: &TestApp, call: &Call) {
    let address = call.client.base().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (head, body) = bytes_of(call);
    stream.write_all(&[head, body].concat()).await.unwrap();
    until_blocked(&app.db, 1).await;
    drop(stream);
    // The server reads the end of the stream at once; a few requests later it has.
    for _ in 0..5 {
        app.client.get("/healthz").await.expect(200);
    }
}

/// Polls the inner future so many times, then drops it.
struct Budget<F> {
    future: Pin<Box<F>>,
    left: usize,
}

impl<F: Future> Future for Budget<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        match self.future.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            // Out of budget: dropped while it waits, not before.
            Poll::Pending if self.left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

async fn mark(conn: &mut PgConnection, key: &str) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO marks VALUES ($1)").bind(key).execute(&mut *conn).await?;
    sqlx::query("SELECT count(*) FROM marks").execute(conn).await?;
    Ok(())
}

/// Cancels `write` after one poll, two polls, … until it completes. After each an ordinary write on the same pool, of
/// one connection, must be seen by everybody. Gives the number of places where it was cancelled.
async fn cancel_everywhere(owner: &PgPool, pool: &PgPool, write: impl AsyncFn(&str) -> sqlx::Result<()>) -> usize {
    let count = "SELECT count(*) FROM marks WHERE mark = $1";
    for left in 1..200 {
        let (cancelled, next) = (key(), key());
        let done = Budget { future: Box::pin(write(&cancelled)), left }.await;
        sqlx::query("INSERT INTO marks VALUES ($1)").bind(&next).execute(pool).await.unwrap();
        let seen: i64 = sqlx::query_scalar(count).bind(&next).fetch_one(owner).await.unwrap();
        assert_eq!(seen, 1, "acknowledged and lost: the connection was left in a transaction after {left} polls");
        let kept: i64 = sqlx::query_scalar(count).bind(&cancelled).fetch_one(owner).await.unwrap();
        if let Some(done) = done {
            done.unwrap();
            assert_eq!(kept, 1);
            return left - 1;
        }
    }
    panic!("it never completes");
}

/// A link to the test's database on which everything takes two milliseconds each way, so that every answer is awaited.
async fn slow_link(db: &TestDb) -> (PgConnectOptions, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let socket = db.app_options.get_socket().unwrap().join(format!(".s.PGSQL.{}", db.app_options.get_port()));
    let mut links = JoinSet::new();
    links.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = UnixStream::connect(&socket).await.unwrap().into_split();
            connections.spawn(slow_copy(from_client, to_server));
            connections.spawn(slow_copy(from_server, to_client));
        }
    });
    let options = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(port)
        .username("holdfast_app")
        .database(&db.name)
        .ssl_mode(PgSslMode::Disable);
    (options, links)
}

async fn slow_copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let mut buffer = [0; 8192];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        tokio::time::sleep(Duration::from_millis(2)).await;
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_write_cancelled_at_any_await_poisons_no_connection() {
    let db = db::fresh().await;
    let owner = db.owner();
    owner.execute("CREATE TABLE marks (mark text); GRANT ALL ON marks TO holdfast_app").await.unwrap();
    let (options, _links) = slow_link(&db).await;
    let pool = holdfast::db::pool(options, 1);
    let places = cancel_everywhere(&owner, &pool, async |key| {
        holdfast::db::tx::write(&pool, "test", |conn| mark(conn, key).scope_boxed()).await
    });
    let places = places.await;
    assert!(places >= 6, "the ping, begin, two statements, the probe and commit each wait: {places}");
    let places = cancel_everywhere(&owner, &pool, async |key| {
        let mut conn = pool.acquire().await?;
        let mut tx = conn.begin().await?;
        mark(&mut tx, key).await?;
        tx.commit().await
    });
    let places = places.await;
    assert!(places >= 5, "{places}");
}

#[tokio::test]
async fn a_swallowed_error_is_not_acknowledged() {
    let db = db::fresh().await;
    let owner = db.owner();
    owner.execute("CREATE TABLE marks (mark text UNIQUE); GRANT ALL ON marks TO holdfast_app").await.unwrap();
    let pool = holdfast::db::pool(db.app_options.clone(), 1);
    let written: sqlx::Result<()> = holdfast::db::tx::write(&pool, "test", |conn| {
        async move {
            mark(conn, "kept").await?;
            // The driver's `commit` would answer Ok to what follows.
            drop(mark(conn, "kept").await);
            Ok(())
        }
        .scope_boxed()
    })
    .await;
    let code = written.unwrap_err().as_database_error().and_then(|error| error.code().map(String::from));
    assert_eq!(code.as_deref(), Some("25P02"), "current transaction is aborted");
}
