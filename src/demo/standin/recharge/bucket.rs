//! The rate that Recharge allows: forty calls, and two more each second.

use chrono::{DateTime, Utc};

const MOST: f64 = 40.0;
const PER_SECOND: f64 = 2.0;

/// Calls that may still be made.
#[derive(Debug)]
pub(in crate::demo::standin) struct Calls {
    left: f64,
    at: DateTime<Utc>,
}

impl Calls {
    pub(in crate::demo::standin) fn new(now: DateTime<Utc>) -> Self {
        Self { left: MOST, at: now }
    }

    /// Leaves none.
    pub(in crate::demo::standin) fn drain(&mut self) {
        self.left = 0.0;
    }

    pub(super) fn take(&mut self, now: DateTime<Utc>) -> bool {
        self.left = (self.left + (now - self.at).as_seconds_f64().max(0.0) * PER_SECOND).min(MOST);
        self.at = now;
        let enough = self.left >= 1.0;
        if enough {
            self.left -= 1.0;
        }
        enough
    }
}
