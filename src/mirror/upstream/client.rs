//! Doing what [`super::retry`] says, over HTTP.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, SubsecRound, Utc};
use reqwest::RequestBuilder;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use super::answer::Answer;
use super::error::{Cause, UpstreamError};
use super::pacing::Pacer;
use super::retry::{Failed, Hint, Next, Schedule};
use crate::clock::Clock;
use crate::mirror::rows::Source;

/// How long, how large, how often.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A call with all its attempts and the waits for its pace, from its turn on.
    pub call: Duration,
    /// One attempt.
    pub attempt: Duration,
    /// A body, in bytes.
    pub body_max: usize,
    /// The attempts.
    pub schedule: Schedule,
}

impl Limits {
    /// For upstreams on the internet. Shopify gives up on a query after some ten seconds.
    pub const PATIENT: Self = Self {
        call: Duration::from_secs(90),
        attempt: Duration::from_secs(30),
        body_max: 64 << 20,
        schedule: Schedule::PATIENT,
    };
    /// For a stand-in on this machine.
    pub const QUICK: Self = Self {
        call: Duration::from_secs(30),
        attempt: Duration::from_secs(5),
        schedule: Schedule::QUICK,
        ..Self::PATIENT
    };
}

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// The word in traces and metrics.
    pub operation: &'static str,
    /// What it takes from the bucket.
    pub cost: f64,
    /// Whether doing it twice is the same as doing it once.
    pub repeatable: bool,
}

/// Why an attempt failed.
#[derive(Debug)]
pub enum Failure {
    /// Another one may succeed.
    Transient {
        /// Why.
        cause: Cause,
        /// When to come back.
        hint: Hint,
    },
    /// No other will.
    Final(UpstreamError),
}

impl Failure {
    /// One that says nothing about when to come back.
    #[must_use]
    pub fn transient(cause: Cause) -> Self {
        Self::Transient { cause, hint: Hint::default() }
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Transient { cause, .. } => cause.label(),
            Self::Final(error) => error.label(),
        }
    }
}

impl From<UpstreamError> for Failure {
    fn from(error: UpstreamError) -> Self {
        Self::Final(error)
    }
}

/// The client of one upstream. Its calls share its connections, its turns and its pace.
#[derive(Debug)]
pub struct Client {
    upstream: Source,
    http: reqwest::Client,
    clock: Clock,
    limits: Limits,
    turns: Semaphore,
    pacer: Option<Pacer>,
}

impl Client {
    /// A client that makes at most `parallel` calls at a time. Nothing is asked of the upstream yet.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(
        upstream: Source,
        limits: Limits,
        parallel: usize,
        pacer: Option<Pacer>,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        // A program has done this by now; a test that makes a client of its own may not have.
        drop(rustls::crypto::ring::default_provider().install_default());
        let parallel = parallel.max(1);
        let http = reqwest::Client::builder()
            .user_agent(concat!("holdfast/", env!("CARGO_PKG_VERSION")))
            // A token would travel along.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(limits.attempt / 3)
            .pool_max_idle_per_host(parallel)
            .build()?;
        Ok(Self { upstream, http, clock, limits, turns: Semaphore::new(parallel), pacer })
    }

    /// For making requests.
    #[must_use]
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// When something is asked for, as it is written beside a copy.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.local_now().trunc_subsecs(6)
    }

    /// The bucket, where a pace is kept.
    #[must_use]
    pub fn pacer(&self) -> Option<&Pacer> {
        self.pacer.as_ref()
    }

    /// Makes attempts until one succeeds or there is no point in another. `attempt` is given the deadline, which runs from
    /// the call's turn on. The wait for that is bounded, too: by the deadlines of those whose turn comes before.
    ///
    /// # Errors
    /// Why it came to nothing.
    pub async fn call<T, F, A>(&self, call: Call, attempt: F) -> Result<T, UpstreamError>
    where
        F: Fn(Instant) -> A,
        A: Future<Output = Result<T, Failure>>,
    {
        // The semaphore is never closed, so this never fails.
        let _turn = self.turns.acquire().await.ok();
        let deadline = Instant::now() + self.limits.call;
        let mut taken = timeout_at(deadline, self.pace(call.cost)).await.map_err(|_| UpstreamError::Deadline {
            attempts: 0,
            last: Cause::Throttled,
            retry_after: None,
        })?;
        let mut number = 1;
        loop {
            let span = tracing::debug_span!("upstream_attempt", upstream = %self.upstream, call.operation, number);
            let (cause, hint) = match attempt(deadline).instrument(span).await {
                Ok(done) => return Ok(done),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Transient { cause, hint }) => (cause, hint),
            };
            drop(taken);
            let left = deadline.saturating_duration_since(Instant::now());
            let failed = Failed { attempt: number, cause: &cause, hint, repeatable: call.repeatable, left };
            match self.limits.schedule.next(&failed, fraction()) {
                Next::After(wait) => tokio::time::sleep(wait).await,
                Next::GiveUp => return Err(UpstreamError::Exhausted { attempts: number, last: cause }),
                Next::TooLate => {
                    let retry_after = Some(hint.at_least()).filter(|wait| !wait.is_zero());
                    return Err(UpstreamError::Deadline { attempts: number, last: cause, retry_after });
                }
            }
            taken = match timeout_at(deadline, self.pace(call.cost)).await {
                Ok(taken) => taken,
                Err(_) => {
                    return Err(UpstreamError::Deadline { attempts: number, last: cause, retry_after: None });
                }
            };
            number += 1;
        }
    }

    async fn pace(&self, cost: f64) -> Option<super::pacing::Taken<'_>> {
        match &self.pacer {
            Some(pacer) => Some(pacer.wait(cost).await),
            None => None,
        }
    }

    /// Sends one request once and has the answer read. Traced and counted.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn attempt<T>(
        &self,
        operation: &'static str,
        deadline: Instant,
        request: RequestBuilder,
        read: impl FnOnce(Answer) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let begun = Instant::now();
        let until = deadline.min(begun + self.limits.attempt);
        let answer = timeout_at(until, self.exchange(request)).await;
        let done = answer.unwrap_or_else(|_| Err(Failure::transient(Cause::TimedOut))).and_then(read);
        self.record(operation, done.as_ref().err(), begun.elapsed());
        done
    }

    async fn exchange(&self, request: RequestBuilder) -> Result<Answer, Failure> {
        let mut response = request.send().await.map_err(|error| of_sending(&error))?;
        let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
        let body = body(response, self.limits.body_max).await?;
        Ok(Answer { status, headers, body })
    }

    fn record(&self, operation: &'static str, failure: Option<&Failure>, took: Duration) {
        let outcome = failure.map_or("ok", Failure::label);
        let upstream = self.upstream.as_str();
        metrics::counter!(
            "holdfast_upstream_attempts_total",
            "upstream" => upstream, "operation" => operation, "outcome" => outcome
        )
        .increment(1);
        metrics::histogram!(
            "holdfast_upstream_attempt_seconds",
            "upstream" => upstream, "operation" => operation
        )
        .record(took.as_secs_f64());
        let seconds = took.as_secs_f64();
        match failure {
            None => tracing::debug!(upstream, operation, seconds, "answered"),
            Some(Failure::Transient { cause, .. }) => {
                tracing::info!(upstream, operation, seconds, %cause, "attempt failed");
            }
            Some(Failure::Final(error)) => tracing::warn!(upstream, operation, seconds, %error, "attempt refused"),
        }
    }
}

async fn body(mut response: reqwest::Response, body_max: usize) -> Result<Bytes, Failure> {
    let too_large = || Failure::Final(UpstreamError::TooLarge { limit: body_max });
    let announced = response.content_length().unwrap_or(0);
    if announced > u64::try_from(body_max).unwrap_or(u64::MAX) {
        return Err(too_large());
    }
    let mut body = BytesMut::with_capacity(usize::try_from(announced).unwrap_or(0));
    // Whatever breaks a body that has begun, it ends in the middle.
    while let Some(chunk) = response.chunk().await.map_err(|_| Failure::transient(Cause::CutOff))? {
        if body.len() + chunk.len() > body_max {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn of_sending(error: &reqwest::Error) -> Failure {
    if error.is_builder() {
        let reason = "the request cannot be made of these settings".to_owned();
        return Failure::Final(UpstreamError::Malformed { path: "request".to_owned(), reason });
    }
    Failure::transient(match () {
        () if error.is_timeout() && !error.is_connect() => Cause::TimedOut,
        () if error.is_connect() => Cause::Connection,
        () => Cause::Transport,
    })
}

/// A random number from 0 to 1; where there is no chance to be had, the middle.
fn fraction() -> f64 {
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}
