//! What is due, in order. Pure: the last slot, the zones and the time go in, the next slot comes out.

use std::time::Duration;

use chrono::{DateTime, Days, SecondsFormat, TimeDelta, Utc};

use super::state::Status;
use crate::catalog::days::{Window, read_date, window_of};
use crate::catalog::zones::Zones;

#[cfg(test)]
mod tests;

/// When a job is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// On every multiple of this many whole seconds since 1970, for the whole service. Missed ticks are skipped.
    Every(Duration),
    /// Once for each local day of each pool, some time after its midnight. Missed days are caught up in order.
    DailyPerPool {
        /// How long after midnight.
        after_midnight: Duration,
    },
}

/// A slot that the schedule owes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// A date or an instant.
    pub key: String,
    /// What it covers.
    pub window: Window,
    /// When it is due.
    pub due_at: DateTime<Utc>,
}

/// The newest slot that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Last {
    /// What it is.
    pub planned: Planned,
    /// Where it stands.
    pub status: Status,
}

/// What comes next for a job, or for one of its pools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The newest slot is waiting or at work.
    Open(Planned),
    /// The newest slot failed for good, and what comes after it must wait for it.
    Blocked(Planned),
    /// This slot is due.
    Due(Planned),
    /// This slot is next, and its time has not come.
    Later(Planned),
}

impl Next {
    /// The slot.
    #[must_use]
    pub fn planned(&self) -> &Planned {
        match self {
            Self::Open(planned) | Self::Blocked(planned) | Self::Due(planned) | Self::Later(planned) => planned,
        }
    }

    /// How long the oldest slot has been due.
    #[must_use]
    pub fn lag(&self, now: DateTime<Utc>) -> TimeDelta {
        match self {
            Self::Later(_) => TimeDelta::zero(),
            owed => (now - owed.planned().due_at).max(TimeDelta::zero()),
        }
    }
}

impl Schedule {
    /// Whether every pool has slots of its own.
    #[must_use]
    pub fn is_per_pool(self) -> bool {
        matches!(self, Self::DailyPerPool { .. })
    }

    /// Whether a slot that failed for good keeps the slots after it waiting.
    #[must_use]
    pub fn waits_for_failed(self) -> bool {
        self.is_per_pool()
    }

    /// What comes next, given the newest slot. `since` is when the pool was made: its first day is the first slot.
    /// Each day ends in the zone of its date: a change of zone makes the next day longer or shorter and leaves no gap.
    #[must_use]
    pub fn next(self, zones: &Zones, since: DateTime<Utc>, last: Option<&Last>, now: DateTime<Utc>) -> Next {
        match last {
            Some(last) if last.status.is_open() => Next::Open(last.planned.clone()),
            Some(last) if last.status == Status::Failed && self.waits_for_failed() => {
                Next::Blocked(last.planned.clone())
            }
            last => {
                let planned = self.after(zones, since, last.map(|last| &last.planned), now);
                if planned.due_at <= now { Next::Due(planned) } else { Next::Later(planned) }
            }
        }
    }

    /// Number of slots that are due from `next` on, counted up to `most`.
    #[must_use]
    pub fn count_due(self, zones: &Zones, since: DateTime<Utc>, next: &Next, now: DateTime<Utc>, most: u32) -> u32 {
        if matches!(next, Next::Later(_)) {
            return 0;
        }
        let (mut due, mut planned) = (1, next.planned().clone());
        // Ticks of an interval that were missed are never made up for.
        while self.is_per_pool() && due < most {
            planned = self.after(zones, since, Some(&planned), now);
            if planned.due_at > now {
                break;
            }
            due += 1;
        }
        due
    }

    fn after(self, zones: &Zones, since: DateTime<Utc>, last: Option<&Planned>, now: DateTime<Utc>) -> Planned {
        match self {
            Self::Every(period) => next_tick(period, last, now),
            Self::DailyPerPool { after_midnight } => next_day(after_midnight, zones, since, last),
        }
    }

    /// Whether a slot of this schedule can have this key.
    #[must_use]
    pub fn is_key(self, key: &str) -> bool {
        match self {
            Self::Every(_) => {
                DateTime::parse_from_rfc3339(key).is_ok_and(|instant| instant_key(instant.to_utc()) == key)
            }
            Self::DailyPerPool { .. } => read_date(key).is_some(),
        }
    }
}

/// The tick that is due, unless it or a later slot has been; then the tick after.
fn next_tick(period: Duration, last: Option<&Planned>, now: DateTime<Utc>) -> Planned {
    let seconds = i64::try_from(period.as_secs()).unwrap_or(i64::MAX).max(1);
    let tick_at_or_before = |time: DateTime<Utc>| time.timestamp().div_euclid(seconds) * seconds;
    let due = tick_at_or_before(now);
    let tick = match last.map(|last| last.window.ends_at) {
        Some(ran) if ran.timestamp() >= due => tick_at_or_before(ran) + seconds,
        _ => due,
    };
    let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap_or(DateTime::<Utc>::MAX_UTC);
    let window = Window { starts_at: at(tick - seconds), ends_at: at(tick) };
    Planned { key: instant_key(window.ends_at), window, due_at: window.ends_at }
}

/// A slot of an interval job outside its ticks, asked for by hand.
#[must_use]
pub fn by_hand(now: DateTime<Utc>) -> Planned {
    let instant = DateTime::from_timestamp(now.timestamp(), 0).unwrap_or(now);
    Planned { key: instant_key(instant), window: Window { starts_at: instant, ends_at: instant }, due_at: instant }
}

/// The day after the last one, or the pool's first.
fn next_day(after_midnight: Duration, zones: &Zones, since: DateTime<Utc>, last: Option<&Planned>) -> Planned {
    let first = zones.date_at(since);
    let follows =
        last.and_then(|last| Some((read_date(&last.key)?.checked_add_days(Days::new(1))?, last.window.ends_at)));
    let (date, previous_ended_at) = follows.map_or((first, None), |(date, ended_at)| (date, Some(ended_at)));
    let window = window_of(zones.on(date), date, previous_ended_at);
    let due_at = window.ends_at + TimeDelta::from_std(after_midnight).unwrap_or_default();
    Planned { key: date.to_string(), window, due_at }
}

fn instant_key(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Secs, true)
}
