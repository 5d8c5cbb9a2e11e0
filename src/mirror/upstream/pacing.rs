//! Keeping to the rate that an upstream publishes.
//!
//! Both upstreams keep a bucket that fills at a steady rate: Shopify's holds query costs and its state comes with every
//! answer, Recharge's holds calls and is only known from the documentation. [`Bucket`] is our idea of it and pure; calls
//! take from it in advance, into debt if need be, and wait until the debt would be paid. So they go in the order in which
//! they came, and the wait of each is known at once.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::retry::{Throttle, seconds};

/// What may be asked for, as far as it is known here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    capacity: f64,
    restore_per_second: f64,
    available: f64,
    as_of: Instant,
    in_flight: f64,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub fn new(capacity: f64, restore_per_second: f64, now: Instant) -> Self {
        Self { capacity, restore_per_second, available: capacity, as_of: now, in_flight: 0.0 }
    }

    /// Takes what a request costs and says how long it has to wait.
    pub fn take(&mut self, cost: f64, now: Instant) -> Duration {
        self.fill(now);
        self.available -= cost;
        self.in_flight += cost;
        seconds(-self.available / self.restore_per_second)
    }

    /// What was taken for a request that was never sent is there again.
    pub fn give_back(&mut self, cost: f64) {
        self.available = (self.available + cost).min(self.capacity);
    }

    /// The request that took this is over.
    pub fn over(&mut self, cost: f64) {
        self.in_flight = (self.in_flight - cost).max(0.0);
    }

    /// What the upstream said in the answer to a request that took `cost`. Others that are on their way may not be
    /// counted in it yet.
    pub fn correct(&mut self, said: &Throttle, cost: f64, now: Instant) {
        self.capacity = said.capacity;
        self.restore_per_second = said.restored_per_second();
        self.available = said.available - (self.in_flight - cost).max(0.0);
        self.as_of = now;
    }

    fn fill(&mut self, now: Instant) {
        let restored = now.saturating_duration_since(self.as_of).as_secs_f64() * self.restore_per_second;
        self.available = (self.available + restored).min(self.capacity);
        self.as_of = self.as_of.max(now);
    }
}

/// A bucket that calls share.
#[derive(Debug)]
pub struct Pacer {
    bucket: Mutex<Bucket>,
}

/// What a request took; given up when it is over, however it ends.
#[derive(Debug)]
#[must_use]
pub struct Taken<'a> {
    pacer: &'a Pacer,
    cost: f64,
    waiting: bool,
}

impl Pacer {
    /// Shares this bucket.
    #[must_use]
    pub fn new(bucket: Bucket) -> Self {
        Self { bucket: Mutex::new(bucket) }
    }

    /// Waits until a request of this cost may be sent.
    pub async fn wait(&self, cost: f64) -> Taken<'_> {
        let mut taken = Taken { pacer: self, cost, waiting: true };
        let wait = self.with(|bucket| bucket.take(cost, Instant::now()));
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        taken.waiting = false;
        taken
    }

    /// What the upstream said in the answer to a request of this cost.
    pub fn correct(&self, said: &Throttle, cost: f64) {
        self.with(|bucket| bucket.correct(said, cost, Instant::now()));
    }

    fn with<T>(&self, change: impl FnOnce(&mut Bucket) -> T) -> T {
        change(&mut self.bucket.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.pacer.with(|bucket| {
            bucket.over(self.cost);
            if self.waiting {
                bucket.give_back(self.cost);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_bucket_lets_a_burst_through_and_then_keeps_to_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(40.0, 2.0, start);
        let waits: Vec<_> = (0..44).map(|_| bucket.take(1.0, start).as_millis()).collect();
        assert!(waits[..40].iter().all(|wait| *wait == 0));
        assert_eq!(waits[40..], [500, 1000, 1500, 2000]);
        assert_eq!(bucket.take(1.0, start + Duration::from_secs(2)), Duration::from_millis(500));
        assert_eq!(bucket.take(40.0, start + Duration::from_hours(1)), Duration::ZERO, "it is full, not fuller");
        assert_eq!(bucket.take(1.0, start + Duration::from_hours(1)), Duration::from_millis(500));
    }

    #[test]
    fn what_the_upstream_says_counts_less_what_is_still_on_its_way() {
        let start = Instant::now();
        let mut bucket = Bucket::new(2000.0, 100.0, start);
        for _ in 0..3 {
            assert_eq!(bucket.take(96.0, start), Duration::ZERO);
        }
        let said = Throttle { requested: 96.0, available: 200.0, capacity: 1000.0, restore_per_second: 50.0 };
        bucket.correct(&said, 96.0, start);
        bucket.over(96.0);
        // 200 − 2 · 96 = 8 are left: 92 are missing of 100, at 50 a second.
        assert_eq!(bucket.take(100.0, start), Duration::from_millis(1840));
    }

    #[tokio::test]
    async fn parallel_calls_share_it_and_a_dropped_one_is_forgotten() {
        let pacer = Pacer::new(Bucket::new(10.0, 100.0, Instant::now()));
        let began = Instant::now();
        let one = pacer.wait(10.0).await;
        let (_two, _three) = tokio::join!(pacer.wait(1.0), pacer.wait(1.0));
        assert!(began.elapsed() >= Duration::from_millis(19), "{:?}", began.elapsed());
        drop(one);
        // One that gives up waiting leaves no debt behind.
        let debt = |pacer: &Pacer| pacer.with(|bucket| bucket.take(0.0, Instant::now()));
        let hopeless = pacer.wait(1_000.0);
        assert!(tokio::time::timeout(Duration::from_millis(1), hopeless).await.is_err());
        assert!(debt(&pacer) < Duration::from_millis(50), "{:?}", debt(&pacer));
        pacer.with(|bucket| assert!((bucket.in_flight - 2.0).abs() < 1e-9));
    }
}
