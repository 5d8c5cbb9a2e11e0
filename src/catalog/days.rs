//! Local days: how they are written and which instants they cover. Pure.
//!
//! A day runs from local midnight to local midnight, so it has 23 or 25 hours where clocks change. It begins where the
//! day before it ended: days neither overlap nor leave a gap, and the first day in another zone is longer or shorter.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize as _, Deserializer};

use super::zones::{end_of, midnight};

/// From an instant, included, to an instant, excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its first instant.
    pub starts_at: DateTime<Utc>,
    /// The first instant after it.
    pub ends_at: DateTime<Utc>,
}

/// The window of `date`, in whose zone it ends, given where the day before it ended.
#[must_use]
pub fn window_of(zone: Tz, date: NaiveDate, previous_ended_at: Option<DateTime<Utc>>) -> Window {
    let starts_at = previous_ended_at.unwrap_or_else(|| midnight(zone, date));
    // A pool that moves across the date line has nothing left of a day; the schema wants days that run forward.
    let ends_at = end_of(zone, date).max(starts_at + TimeDelta::seconds(1));
    Window { starts_at, ends_at }
}

/// The first date that [`read_date`] reads.
pub const FIRST_DATE: NaiveDate = NaiveDate::from_ymd_opt(1, 1, 1).expect("a date");
/// The last date that [`read_date`] reads.
pub const LAST_DATE: NaiveDate = NaiveDate::from_ymd_opt(9999, 12, 31).expect("a date");

/// Reads YYYY-MM-DD, in full: a date of the years 0001 to 9999, which ISO 8601 writes without an agreement and the
/// database can keep.
#[must_use]
pub fn read_date(text: &str) -> Option<NaiveDate> {
    let date = text.parse::<NaiveDate>().ok()?;
    ((FIRST_DATE..=LAST_DATE).contains(&date) && date.to_string() == text).then_some(date)
}

/// Reads a date of a body, or null, as [`read_date`] does; the calendar's own reader would take `2026-1-5`, too.
///
/// # Errors
/// The deserializer's.
pub fn date_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NaiveDate>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let odd = || D::Error::invalid_value(Unexpected::Str(&text), &"a date such as 2026-11-24");
    read_date(&text).map(Some).ok_or_else(odd)
}

#[cfg(test)]
mod tests {
    use chrono::Days;

    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn hours(zone: Tz, date: &str) -> i64 {
        let window = window_of(zone, day(date), None);
        (window.ends_at - window.starts_at).num_hours()
    }

    #[test]
    fn a_day_has_as_many_hours_as_the_clocks_on_the_wall() {
        assert_eq!(hours(Tz::America__New_York, "2026-03-08"), 23);
        assert_eq!(hours(Tz::America__New_York, "2026-11-01"), 25);
        assert_eq!(hours(Tz::America__New_York, "2026-06-01"), 24);
        assert_eq!(hours(Tz::Pacific__Auckland, "2026-09-27"), 23);
        assert_eq!(hours(Tz::Pacific__Auckland, "2026-04-05"), 25);
        // Where clocks skip midnight itself the day begins at one; where they go back to before midnight the evening
        // is repeated and belongs to the day before.
        assert_eq!(hours(Tz::America__Havana, "2026-03-08"), 23);
        assert_eq!(hours(Tz::America__Havana, "2026-11-01"), 25);
        assert_eq!(hours(Tz::Asia__Beirut, "2026-03-29"), 23);
    }

    #[test]
    fn a_date_is_written_in_full_and_of_the_years_that_are_kept() {
        for good in ["0001-01-01", "2026-11-24", "9999-12-31"] {
            assert_eq!(read_date(good).map(|date| date.to_string()).as_deref(), Some(good));
        }
        for bad in ["", "x", "2026-1-5", "2026-02-30", "+99999-01-01", "-9999-01-01", "0000-01-01", "20261124"] {
            assert_eq!(read_date(bad), None, "{bad}");
        }
    }

    #[test]
    fn days_follow_each_other_through_a_change_of_zone() {
        let zones = [Tz::Pacific__Honolulu, Tz::Asia__Tokyo, Tz::America__New_York, Tz::Pacific__Kiritimati, Tz::UTC];
        let mut before: Option<Window> = None;
        for (number, zone) in zones.into_iter().enumerate() {
            let date = day("2026-11-20") + Days::new(number as u64);
            let window = window_of(zone, date, before.map(|before| before.ends_at));
            assert!(window.starts_at < window.ends_at);
            assert!(before.is_none_or(|before| before.ends_at == window.starts_at));
            before = Some(window);
        }
    }
}
