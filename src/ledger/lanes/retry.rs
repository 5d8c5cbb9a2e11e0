//! The retry schedule: bounded, exponential, full jitter. Pure.

use std::time::Duration;

/// How long to wait before try `attempt` (from 1), given `random` in `0..=255`: a uniform share of
/// `min(cap, base · 2^(attempt−1))` ("full jitter", AWS Architecture Blog, 2015).
#[must_use]
pub fn backoff(attempt: u32, base: Duration, cap: Duration, random: u8) -> Duration {
    let ceiling = base.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX)).min(cap);
    ceiling.mul_f64(f64::from(random) / 255.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_the_cap_and_jitter_spreads_them() {
        let (base, cap) = (Duration::from_millis(10), Duration::from_millis(500));
        let ceilings: Vec<_> = (1..=8).map(|n| backoff(n, base, cap, 255).as_millis()).collect();
        assert_eq!(ceilings, [10, 20, 40, 80, 160, 320, 500, 500]);
        assert_eq!(backoff(5, base, cap, 0), Duration::ZERO);
        assert_eq!(backoff(99, base, cap, 255), cap);
    }
}
