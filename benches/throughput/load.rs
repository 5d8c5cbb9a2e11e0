//! The load generator: a closed loop on each of many keep-alive connections, as lean as HTTP/1.1 over plain TCP
//! allows, because it shares the machine with what it measures. Each connection sends its next request when it has
//! read the answer to the last one, so latency is that of a caller who waits, and throughput follows from it.
//!
//! Every answer is checked. One that is not the expected one ends the phase with its text: a number that contains
//! refusals or errors would mean nothing.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use hdrhistogram::Histogram;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

use crate::wire::{AnswerReader, Random, Request};

/// How long answers may still be out after the end of a phase.
const GRACE: Duration = Duration::from_secs(30);
/// The longest latency that can be told apart: a minute, in microseconds.
const LONGEST_MICROS: u64 = 60_000_000;

/// One phase of load.
#[derive(Debug, Clone)]
pub struct Load {
    /// Who answers.
    pub target: SocketAddr,
    /// What is asked, with the answer that is expected.
    pub request: Request,
    /// How many connections ask at once.
    pub connections: usize,
    /// Threads that they are spread over.
    pub threads: usize,
    /// Answers in this first part are checked and counted as answered, but not measured.
    pub warm_up: Duration,
    /// Answers in this second part are measured.
    pub measured: Duration,
}

/// What one phase gave.
#[derive(Debug)]
pub struct Outcome {
    /// All expected answers: those of the warm-up, the measured ones, and those still out at the end.
    pub answered: u64,
    /// Measured answers by second of the measured part, for its whole seconds.
    pub by_second: Vec<u64>,
    /// Latencies of the measured answers, in microseconds.
    pub latency: Histogram<u64>,
    /// Length of the measured part.
    pub measured: Duration,
}

impl Outcome {
    fn new(measured: Duration) -> anyhow::Result<Self> {
        Ok(Self {
            answered: 0,
            by_second: vec![0; usize::try_from(measured.as_secs())?],
            latency: Histogram::new_with_bounds(1, LONGEST_MICROS, 3)?,
            measured,
        })
    }

    /// Measured answers per second.
    pub fn per_second(&self) -> f64 {
        self.latency.len() as f64 / self.measured.as_secs_f64()
    }

    fn add(&mut self, other: &Self) -> anyhow::Result<()> {
        self.answered += other.answered;
        for (sum, more) in self.by_second.iter_mut().zip(&other.by_second) {
            *sum += more;
        }
        self.latency.add(&other.latency)?;
        Ok(())
    }
}

/// Runs one phase on threads of its own and waits for it.
///
/// # Errors
/// The first connection that fails, or the first answer that is not the expected one.
pub async fn run(load: Load) -> anyhow::Result<Outcome> {
    tokio::task::spawn_blocking(move || run_threads(&load)).await?
}

fn run_threads(load: &Load) -> anyhow::Result<Outcome> {
    let begin = Instant::now();
    let threads = load.threads.clamp(1, load.connections);
    let outcomes: Vec<anyhow::Result<Outcome>> = thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                let connections = load.connections / threads + usize::from(thread < load.connections % threads);
                scope.spawn(move || run_thread(load, connections, begin))
            })
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap_or_else(|_| bail!("a load thread panicked"))).collect()
    });
    let mut sum = Outcome::new(load.measured)?;
    for outcome in outcomes {
        sum.add(&outcome?)?;
    }
    Ok(sum)
}

fn run_thread(load: &Load, connections: usize, begin: Instant) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = Rc::new(RefCell::new(Outcome::new(load.measured)?));
    let recorder = Recorder { outcome: Rc::clone(&outcome), from: begin + load.warm_up, measured: load.measured };
    let all = async {
        let mut tasks = JoinSet::new();
        for _ in 0..connections {
            tasks.spawn_local(drive(load.target, load.request.clone(), recorder.clone()));
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    };
    let longest = load.warm_up + load.measured + GRACE;
    LocalSet::new()
        .block_on(&runtime, async { tokio::time::timeout(longest, all).await })
        .context("answers stayed out")??;
    drop(recorder);
    let outcome = Rc::try_unwrap(outcome).map_err(|_| anyhow::anyhow!("a connection is still running"))?;
    Ok(outcome.into_inner())
}

/// Asks and reads until the measured part is over.
async fn drive(target: SocketAddr, request: Request, recorder: Recorder) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(target).await.with_context(|| format!("cannot connect to {target}"))?;
    stream.set_nodelay(true)?;
    let mut reader = AnswerReader::new();
    let mut bytes = Vec::with_capacity(1024);
    let mut random = Random::new();
    let mut now = Instant::now();
    while !recorder.is_over(now) {
        request.write(&mut bytes, &mut random);
        let sent = Instant::now();
        stream.write_all(&bytes).await?;
        let answer = reader.read(&mut stream).await?;
        ensure!(
            answer.status == request.expected_status(),
            "expected {} and was answered {}: {}",
            request.expected_status(),
            answer.status,
            String::from_utf8_lossy(answer.body),
        );
        now = Instant::now();
        recorder.record(sent, now);
    }
    Ok(())
}

/// Where the connections of one thread write down what they saw.
#[derive(Debug, Clone)]
struct Recorder {
    outcome: Rc<RefCell<Outcome>>,
    from: Instant,
    measured: Duration,
}

impl Recorder {
    fn is_over(&self, now: Instant) -> bool {
        now >= self.from + self.measured
    }

    fn record(&self, sent: Instant, now: Instant) {
        let mut outcome = self.outcome.borrow_mut();
        outcome.answered += 1;
        if now < self.from || self.is_over(now) {
            return;
        }
        let second = usize::try_from((now - self.from).as_secs()).unwrap_or(usize::MAX);
        if let Some(answers) = outcome.by_second.get_mut(second) {
            *answers += 1;
        }
        outcome.latency.saturating_record(u64::try_from((now - sent).as_micros()).unwrap_or(u64::MAX));
    }
}
