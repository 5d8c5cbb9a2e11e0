//! Reservations over HTTP: made, committed, released, extended, expired, listed.

mod commit;
mod create;
mod expiry;
mod list;

use crate::support::Answer;

/// Requested, short, held, committed, released, expired and cancelled units of a line.
#[track_caller]
fn line(answer: &Answer, number: usize) -> [i64; 7] {
    let names = ["requested", "short", "held", "committed", "released", "expired", "cancelled"];
    answer.quantities(&format!("/lines/{}", number - 1), names)
}

/// Where a reservation stands.
fn state(answer: &Answer) -> String {
    answer.at("/state").as_str().unwrap_or_default().to_owned()
}

/// A time that was answered.
#[track_caller]
fn time(answer: &Answer, pointer: &str) -> chrono::DateTime<chrono::Utc> {
    let at = answer.at(pointer);
    at.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{pointer} is {at}"))
}
