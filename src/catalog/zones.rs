//! Which zone a pool has had on which local date. Pure, but for reading it.
//!
//! A change takes effect on the next local date. A day ends at midnight in the zone of its own date and the next begins
//! there, so days neither overlap nor leave a gap, and the first day in a new zone is longer or shorter.

use chrono::{DateTime, Days, LocalResult, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::{GapInfo, Tz};
use sqlx::PgConnection;

use crate::ids::PoolId;

/// The zone a pool has, and those it had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zones {
    /// Those it had, each with the last date of it, oldest first.
    past: Vec<(NaiveDate, Tz)>,
    current: Tz,
}

impl From<Tz> for Zones {
    /// Always the same.
    fn from(zone: Tz) -> Self {
        Self { past: Vec::new(), current: zone }
    }
}

impl Zones {
    /// The zone it has, and those it had with their last dates, oldest first.
    #[must_use]
    pub fn new(current: Tz, past: Vec<(NaiveDate, Tz)>) -> Self {
        Self { past, current }
    }

    /// The newest zone. On the date of a change it is not in force yet.
    #[must_use]
    pub fn current(&self) -> Tz {
        self.current
    }

    /// The zone in force on a local date.
    #[must_use]
    pub fn on(&self, date: NaiveDate) -> Tz {
        self.past.iter().find(|(last, _)| date <= *last).map_or(self.current, |(_, zone)| *zone)
    }

    /// The local date at an instant.
    #[must_use]
    pub fn date_at(&self, instant: DateTime<Utc>) -> NaiveDate {
        let at = |zone: Tz, first: Option<NaiveDate>| {
            // West of the zone before, the clock on the wall is back on a date that is over.
            let date = instant.with_timezone(&zone).date_naive();
            first.map_or(date, |first| date.max(first))
        };
        let mut first = None;
        for (last, zone) in &self.past {
            if instant < end_of(*zone, *last) {
                return at(*zone, first);
            }
            first = last.succ_opt();
        }
        at(self.current, first)
    }
}

/// The instant at which a local day ends.
#[must_use]
pub fn end_of(zone: Tz, date: NaiveDate) -> DateTime<Utc> {
    midnight(zone, date.checked_add_days(Days::new(1)).unwrap_or(date))
}

/// The first instant of a local day: where clocks skip midnight, the instant they skip to; where they repeat it, the
/// first of the two.
#[must_use]
pub fn midnight(zone: Tz, date: NaiveDate) -> DateTime<Utc> {
    let local = date.and_time(NaiveTime::MIN);
    let instant = match zone.from_local_datetime(&local) {
        LocalResult::Single(instant) => instant,
        LocalResult::Ambiguous(one, other) => one.min(other),
        LocalResult::None => {
            GapInfo::new(&local, &zone).and_then(|gap| gap.end).unwrap_or_else(|| zone.from_utc_datetime(&local))
        }
    };
    instant.to_utc()
}

/// Reads what is kept of a pool: its zones, and when it was made.
///
/// # Errors
/// Database errors; a decode error for a zone that this version does not know.
pub async fn find(conn: &mut PgConnection, pool: PoolId) -> sqlx::Result<Option<(Zones, DateTime<Utc>)>> {
    let row = sqlx::query!(
        r#"
        SELECT
            time_zone, created_at,
            array(SELECT last_date FROM pool_zones WHERE pool_id = $1 ORDER BY last_date) AS "last_dates!",
            array(SELECT time_zone FROM pool_zones WHERE pool_id = $1 ORDER BY last_date) AS "past_zones!"
        FROM pools
        WHERE pool_id = $1
        "#,
        pool.0,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| Ok((read(&row.time_zone, &row.last_dates, &row.past_zones)?, row.created_at))).transpose()
}

/// Zones as the database keeps them.
///
/// # Errors
/// A decode error for a zone that this version does not know.
pub fn read(current: &str, last_dates: &[NaiveDate], past: &[String]) -> sqlx::Result<Zones> {
    let zone =
        |name: &str| name.parse::<Tz>().map_err(|_| sqlx::Error::Decode(format!("unknown time zone {name:?}").into()));
    let past: sqlx::Result<Vec<Tz>> = past.iter().map(|name| zone(name)).collect();
    Ok(Zones::new(zone(current)?, last_dates.iter().copied().zip(past?).collect()))
}

/// Keeps the zone that is in force at `now`, before the pool is given another: for the rest of the local date it stays.
/// Of several changes on one date the last counts.
///
/// # Errors
/// Database errors.
pub async fn keep(conn: &mut PgConnection, pool: PoolId, now: DateTime<Utc>) -> sqlx::Result<()> {
    let Some((zones, _)) = find(conn, pool).await? else { return Ok(()) };
    let today = zones.date_at(now);
    sqlx::query!(
        "INSERT INTO pool_zones (pool_id, last_date, time_zone) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        pool.0,
        today,
        zones.on(today).name(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    const ZONES: [Tz; 7] = [
        Tz::UTC,
        Tz::America__New_York,
        Tz::Asia__Tokyo,
        Tz::Pacific__Honolulu,
        Tz::Pacific__Auckland,
        Tz::America__Havana,
        Tz::Europe__Berlin,
    ];

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn a_change_takes_effect_at_the_end_of_the_date_it_is_made_on() {
        let zones = Zones::new(Tz::America__New_York, vec![(day("2026-11-28"), Tz::UTC)]);
        assert_eq!([zones.on(day("2026-11-28")), zones.on(day("2026-11-29"))], [Tz::UTC, Tz::America__New_York]);
        for (instant, date) in [
            ("2026-11-28T23:59:59Z", "2026-11-28"),
            // In New York it is the evening of the 28th again; that date is over.
            ("2026-11-29T00:00:00Z", "2026-11-29"),
            ("2026-11-30T04:59:59Z", "2026-11-29"),
            ("2026-11-30T05:00:00Z", "2026-11-30"),
        ] {
            assert_eq!(zones.date_at(at(instant)), day(date), "{instant}");
        }
    }

    proptest! {
        #[test]
        fn dates_follow_each_other_and_each_ends_in_its_own_zone(
            first in 0_u64..3000, lengths in prop::collection::vec(0_u64..4, 0..5),
            picked in prop::collection::vec(0..ZONES.len(), 6),
        ) {
            let mut last = day("2025-01-01") + Days::new(first);
            let mut past = Vec::new();
            for (length, zone) in lengths.iter().zip(&picked) {
                past.push((last, ZONES[*zone]));
                last = last + Days::new(1 + length);
            }
            let zones = Zones::new(ZONES[picked[5]], past);
            for date in (day("2025-01-01") + Days::new(first)).iter_days().take(20) {
                let end = end_of(zones.on(date), date);
                prop_assert_eq!(zones.date_at(end - TimeDelta::seconds(1)), date);
                // Zones a day apart leave nothing of the date between them.
                let next = zones.date_at(end);
                prop_assert!(next == date.succ_opt().unwrap() || end >= end_of(zones.on(next), date), "{date} {next}");
            }
        }
    }
}
