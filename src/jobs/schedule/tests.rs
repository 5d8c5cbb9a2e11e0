use chrono::NaiveDate;
use chrono_tz::Tz;
use proptest::prelude::*;

use super::*;
use crate::catalog::zones::midnight;

const ZONES: [Tz; 10] = [
    Tz::UTC,
    Tz::Europe__Berlin,
    Tz::America__New_York,
    Tz::America__Havana,
    Tz::Africa__Cairo,
    Tz::Asia__Beirut,
    Tz::Australia__Lord_Howe,
    Tz::Asia__Kathmandu,
    Tz::Pacific__Kiritimati,
    Tz::Pacific__Pago_Pago,
];

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn done(planned: Planned) -> Last {
    Last { planned, status: Status::Succeeded }
}

fn daily(after_midnight_seconds: u64) -> Schedule {
    Schedule::DailyPerPool { after_midnight: Duration::from_secs(after_midnight_seconds) }
}

/// Runs everything that is due, in order.
fn run_due(
    schedule: Schedule,
    zone: Tz,
    since: DateTime<Utc>,
    last: &mut Option<Last>,
    now: DateTime<Utc>,
) -> Vec<Planned> {
    let mut ran = Vec::new();
    while let Next::Due(planned) = schedule.next(&zone.into(), since, last.as_ref(), now) {
        ran.push(planned.clone());
        *last = Some(done(planned));
    }
    ran
}

fn instants() -> impl Strategy<Value = DateTime<Utc>> {
    // 2024 to 2036.
    (1_704_067_200_i64..2_082_758_400).prop_map(|seconds| DateTime::from_timestamp(seconds, 0).unwrap())
}

proptest! {
    #[test]
    fn days_close_in_order_without_gap_or_overlap_whatever_the_zone_and_however_long_the_downtime(
        since in instants(),
        looks in prop::collection::vec((0_i64..40 * 86_400, 0..ZONES.len()), 1..12),
        moves in any::<bool>(),
        late in 0_u64..30_000,
    ) {
        let schedule = daily(late);
        let (mut now, mut last, mut all) = (since, None, Vec::<Planned>::new());
        let mut zone = ZONES[looks[0].1];
        for (later, index) in looks {
            now += TimeDelta::seconds(later);
            zone = if moves { ZONES[index] } else { zone };
            let before = schedule.next(&zone.into(), since, last.as_ref(), now);
            let counted = schedule.count_due(&zone.into(), since, &before, now, 10_000);
            let ran = run_due(schedule, zone, since, &mut last, now);
            prop_assert_eq!(usize::try_from(counted).unwrap(), ran.len());
            prop_assert!(ran.iter().all(|slot| slot.due_at <= now));
            let next = schedule.next(&zone.into(), since, last.as_ref(), now);
            prop_assert!(matches!(&next, Next::Later(slot) if slot.due_at > now), "{:?}", next);
            prop_assert_eq!(next.lag(now), TimeDelta::zero());
            all.extend(ran);
        }
        for pair in all.windows(2) {
            prop_assert_eq!(pair[0].window.ends_at, pair[1].window.starts_at);
            prop_assert_eq!(read_date(&pair[0].key).and_then(|day| day.succ_opt()), read_date(&pair[1].key));
        }
        for slot in &all {
            let minutes = (slot.window.ends_at - slot.window.starts_at).num_minutes();
            prop_assert!(minutes >= 0);
            prop_assert!(moves || (23 * 60..=25 * 60).contains(&minutes), "{:?} in {}", slot, zone);
            prop_assert_eq!(slot.due_at - slot.window.ends_at, TimeDelta::seconds(late.try_into().unwrap()));
            prop_assert!(schedule.is_key(&slot.key));
        }
    }

    #[test]
    fn a_midnight_is_the_first_instant_of_its_day(since in instants(), index in 0..ZONES.len()) {
        let zone = ZONES[index];
        let day = since.with_timezone(&zone).date_naive();
        let first = midnight(zone, day);
        prop_assert_eq!(first.with_timezone(&zone).date_naive(), day);
        prop_assert!((first - TimeDelta::seconds(1)).with_timezone(&zone).date_naive() < day);
        prop_assert!(first <= since);
    }

    #[test]
    fn an_interval_owes_its_newest_tick_once_and_skips_what_it_missed(
        start in instants(), period in 1_u64..100_000, looks in prop::collection::vec(0_i64..300_000, 1..20),
    ) {
        let schedule = Schedule::Every(Duration::from_secs(period));
        let seconds = i64::try_from(period).unwrap();
        let (mut now, mut last) = (start, None);
        for later in looks {
            now += TimeDelta::seconds(later);
            let before = last.as_ref().map(|last: &Last| last.planned.window.ends_at);
            let ran = run_due(schedule, Tz::UTC, start, &mut last, now);
            let owed = before.is_none_or(|ran| now.timestamp() / seconds > ran.timestamp() / seconds);
            prop_assert_eq!(ran.len(), usize::from(owed));
            for slot in ran {
                prop_assert_eq!(slot.due_at.timestamp() % seconds, 0);
                prop_assert!(slot.due_at <= now && now < slot.due_at + TimeDelta::seconds(seconds));
                prop_assert!(schedule.is_key(&slot.key));
            }
            let next = schedule.next(&Tz::UTC.into(), start, last.as_ref(), now);
            prop_assert!(matches!(&next, Next::Later(slot) if slot.due_at > now && slot.due_at.timestamp() % seconds == 0));
        }
    }
}

#[test]
fn short_and_long_days_are_as_long_as_they_are() {
    for (day, zone, hours) in [
        ("2026-03-29", Tz::Europe__Berlin, 23),
        ("2026-10-25", Tz::Europe__Berlin, 25),
        // Clocks skip midnight: the day starts at 01:00.
        ("2026-04-24", Tz::Africa__Cairo, 23),
        // Clocks go back from 01:00 to midnight: it comes twice.
        ("2026-11-01", Tz::America__Havana, 25),
        // The day that Samoa left out.
        ("2011-12-30", Tz::Pacific__Apia, 0),
    ] {
        let day = date(day);
        let length = midnight(zone, day.succ_opt().unwrap()) - midnight(zone, day);
        assert_eq!(length, TimeDelta::hours(hours), "{day} in {zone}");
    }
}

#[test]
fn the_first_day_is_the_local_day_a_pool_was_made_on() {
    let since = at("2026-11-24T23:30:00Z");
    let next = daily(600).next(&Tz::Europe__Berlin.into(), since, None, since);
    let first = Planned {
        key: "2026-11-25".to_owned(),
        window: Window { starts_at: at("2026-11-24T23:00:00Z"), ends_at: at("2026-11-25T23:00:00Z") },
        due_at: at("2026-11-25T23:10:00Z"),
    };
    assert_eq!(next, Next::Later(first));
}

#[test]
fn a_failed_day_blocks_the_days_after_it_and_a_failed_tick_does_not() {
    let now = at("2026-11-24T10:00:30Z");
    for (schedule, blocks) in [(daily(0), true), (Schedule::Every(Duration::from_mins(1)), false)] {
        let last = schedule.next(&Tz::UTC.into(), at("2026-11-20T10:00:00Z"), None, now - TimeDelta::days(2));
        let failed = Last { planned: last.planned().clone(), status: Status::Failed };
        let next = schedule.next(&Tz::UTC.into(), now, Some(&failed), now);
        assert_eq!(matches!(next, Next::Blocked(_)), blocks, "{next:?}");
        assert_eq!(matches!(next, Next::Due(_)), !blocks, "{next:?}");
        assert!(!blocks || next.lag(now) > TimeDelta::days(2));
        for status in [Status::Pending, Status::Running] {
            let open = Last { planned: last.planned().clone(), status };
            assert!(matches!(schedule.next(&Tz::UTC.into(), now, Some(&open), now), Next::Open(_)));
        }
    }
}

#[test]
fn a_slot_run_by_hand_between_two_ticks_leaves_the_next_tick_in_its_place() {
    let schedule = Schedule::Every(Duration::from_mins(10));
    let now = at("2026-11-24T10:03:07.5Z");
    let last = done(by_hand(now));
    assert_eq!(last.planned.key, "2026-11-24T10:03:07Z");
    let next = schedule.next(&Tz::UTC.into(), now, Some(&last), now);
    assert!(matches!(&next, Next::Later(slot) if slot.key == "2026-11-24T10:10:00Z"), "{next:?}");
    for odd in ["", "2026-11-24", "2026-11-24T10:00:00+00:00", "2026-11-24T10:00:00.5Z", "x"] {
        assert!(!schedule.is_key(odd), "{odd}");
    }
    for odd in ["", "2026-11-24T10:00:00Z", "2026-2-3", "2026-02-30", "20260203"] {
        assert!(!daily(0).is_key(odd), "{odd}");
    }
}
