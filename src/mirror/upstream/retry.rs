//! Whether and how long to wait before another attempt. Pure: time and chance are arguments.
//!
//! The span grows exponentially and a random part of it is waited ("full jitter", AWS Architecture Blog, 2015), so that
//! callers that failed together do not come back together. What the upstream asked for is a lower bound, and the random
//! part comes on top of it. If that bound lies beyond the deadline there is no point in waiting for it.

use std::time::Duration;

use super::error::Cause;

/// Longest wait that is believed; anything longer is beyond every deadline.
const BELIEVED_MAX: Duration = Duration::from_hours(24);

/// How often, and how far apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Attempts at most, the first one included.
    pub attempts: u32,
    /// The span after the first attempt.
    pub base: Duration,
    /// What it grows to at most.
    pub cap: Duration,
}

impl Schedule {
    /// For upstreams on the internet: with four retries, some two seconds on average and under eight at most.
    pub const PATIENT: Self = Self { attempts: 5, base: Duration::from_millis(500), cap: Duration::from_secs(8) };
    /// For a stand-in on this machine.
    pub const QUICK: Self = Self { attempts: 5, base: Duration::from_millis(5), cap: Duration::from_millis(100) };
}

/// What the upstream says about its query costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Throttle {
    /// What the refused or answered request asks for.
    pub requested: f64,
    /// What may be asked for now.
    pub available: f64,
    /// What may be asked for at most.
    pub capacity: f64,
    /// What becomes available in a second.
    pub restore_per_second: f64,
}

impl Throttle {
    /// How long until the request fits.
    #[must_use]
    pub fn wait(&self) -> Duration {
        seconds((self.requested - self.available) / self.restored_per_second())
    }

    /// What becomes available in a second, one at least: a shop that says nothing does is asked again all the same.
    #[must_use]
    pub fn restored_per_second(&self) -> f64 {
        self.restore_per_second.max(1.0)
    }
}

/// What the upstream says about when to come back.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Hint {
    /// `Retry-After`.
    pub retry_after: Option<Duration>,
    /// The state of its bucket.
    pub throttle: Option<Throttle>,
}

impl Hint {
    /// Not before this.
    #[must_use]
    pub fn at_least(&self) -> Duration {
        let throttle = self.throttle.map(|throttle| throttle.wait()).unwrap_or_default();
        self.retry_after.unwrap_or_default().max(throttle).min(BELIEVED_MAX)
    }
}

/// A failed attempt.
#[derive(Debug, Clone, Copy)]
pub struct Failed<'a> {
    /// Which one it was, from 1.
    pub attempt: u32,
    /// Why.
    pub cause: &'a Cause,
    /// What the upstream said about it.
    pub hint: Hint,
    /// Whether doing the same twice is the same as doing it once.
    pub repeatable: bool,
    /// Until the deadline.
    pub left: Duration,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Try again after this.
    After(Duration),
    /// There were enough attempts.
    GiveUp,
    /// The deadline comes before the upstream is ready.
    TooLate,
}

impl Schedule {
    /// What to do about a failed attempt, given a random fraction in `0.0..=1.0`.
    #[must_use]
    pub fn next(&self, failed: &Failed<'_>, fraction: f64) -> Next {
        if failed.attempt >= self.attempts || (!failed.repeatable && failed.cause.may_have_happened()) {
            return Next::GiveUp;
        }
        if *failed.cause == Cause::StaleToken {
            return Next::After(Duration::ZERO);
        }
        let at_least = failed.hint.at_least();
        let Some(slack) = failed.left.checked_sub(at_least).filter(|slack| !slack.is_zero()) else {
            return Next::TooLate;
        };
        let jitter = self.span(failed.attempt).mul_f64(fraction.clamp(0.0, 1.0));
        // Half of what is left belongs to the attempt itself.
        Next::After(at_least + jitter.min(slack / 2))
    }

    fn span(&self, attempt: u32) -> Duration {
        let doubled = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        self.base.saturating_mul(doubled).min(self.cap)
    }
}

/// A span of that many seconds; nothing for what is no span, and never more than is believed.
#[must_use]
pub fn seconds(count: f64) -> Duration {
    if count.is_nan() || count <= 0.0 {
        return Duration::ZERO;
    }
    Duration::try_from_secs_f64(count).unwrap_or(BELIEVED_MAX).min(BELIEVED_MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn failed(attempt: u32, cause: &Cause) -> Failed<'_> {
        Failed { attempt, cause, hint: Hint::default(), repeatable: true, left: HOUR }
    }

    #[test]
    fn spans_double_up_to_the_cap_and_the_fifth_attempt_is_the_last() {
        let longest = |attempt| Schedule::PATIENT.next(&failed(attempt, &Cause::Status(503)), 1.0);
        let waits: Vec<_> = (1..=5).map(longest).collect();
        let after = |millis| Next::After(Duration::from_millis(millis));
        assert_eq!(waits, [after(500), after(1000), after(2000), after(4000), Next::GiveUp]);
        let capped = Schedule { attempts: 99, ..Schedule::PATIENT };
        assert_eq!(capped.next(&failed(40, &Cause::CutOff), 1.0), after(8000));
        assert_eq!(capped.next(&failed(40, &Cause::CutOff), 0.0), after(0));
    }

    #[test]
    fn the_longer_of_retry_after_and_the_throttle_status_is_waited_for() {
        let throttle = Throttle { requested: 96.0, available: 46.0, capacity: 2000.0, restore_per_second: 100.0 };
        let wait = |retry_after, throttle| {
            let hint = Hint { retry_after, throttle };
            Schedule::PATIENT.next(&Failed { hint, ..failed(1, &Cause::Throttled) }, 0.0)
        };
        assert_eq!(wait(None, Some(throttle)), Next::After(Duration::from_millis(500)));
        assert_eq!(wait(Some(Duration::from_secs(2)), Some(throttle)), Next::After(Duration::from_secs(2)));
        let full = Throttle { available: 2000.0, ..throttle };
        assert_eq!(wait(None, Some(full)), Next::After(Duration::ZERO));
        let dead = Throttle { restore_per_second: 0.0, ..throttle };
        assert_eq!(wait(None, Some(dead)), Next::After(Duration::from_secs(50)), "as if one came back a second");
        let far = Throttle { requested: 4000.0, restore_per_second: 0.0, ..throttle };
        assert_eq!(wait(None, Some(far)), Next::TooLate, "beyond the deadline");
    }

    #[test]
    fn what_may_have_happened_is_not_done_twice_unless_twice_is_once() {
        let next = |cause: &Cause| Schedule::PATIENT.next(&Failed { repeatable: false, ..failed(1, cause) }, 0.0);
        for unsure in [Cause::TimedOut, Cause::CutOff, Cause::Transport, Cause::Status(500), Cause::Code("X".into())] {
            assert_eq!(next(&unsure), Next::GiveUp, "{unsure}");
        }
        for sure in [Cause::Throttled, Cause::Connection, Cause::StaleToken] {
            assert_eq!(next(&sure), Next::After(Duration::ZERO), "{sure}");
        }
    }

    #[test]
    fn a_renewed_token_is_used_at_once() {
        assert_eq!(Schedule::PATIENT.next(&failed(1, &Cause::StaleToken), 1.0), Next::After(Duration::ZERO));
    }

    proptest! {
        #[test]
        fn waits_are_within_their_bounds(
            attempt in 1..8_u32,
            fraction in 0.0..=1.0_f64,
            retry_after in proptest::option::of(0..100_000_u64),
            throttle in proptest::option::of((0.0..5000.0_f64, -100.0..5000.0_f64, 0.0..2000.0_f64)),
            left in 0..100_000_u64,
        ) {
            let left = Duration::from_millis(left);
            let throttle = throttle.map(|(requested, available, restore_per_second)| {
                Throttle { requested, available, capacity: 2000.0, restore_per_second }
            });
            let hint = Hint { retry_after: retry_after.map(Duration::from_millis), throttle };
            let cause = Cause::Throttled;
            let failed = Failed { attempt, cause: &cause, hint, repeatable: true, left };
            match Schedule::PATIENT.next(&failed, fraction) {
                Next::After(wait) => {
                    prop_assert!(attempt < 5);
                    prop_assert!(wait >= hint.at_least());
                    prop_assert!(wait < left, "there is time for the attempt");
                    prop_assert!(wait <= hint.at_least() + Schedule::PATIENT.cap);
                }
                Next::GiveUp => prop_assert!(attempt >= 5),
                Next::TooLate => prop_assert!(hint.at_least() >= left),
            }
        }
    }
}
