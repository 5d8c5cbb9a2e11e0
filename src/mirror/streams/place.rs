//! Where a walk through a stream stands. Pure.

use chrono::{DateTime, Utc};

/// A place in a window of changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The first instant of the window.
    pub from: DateTime<Utc>,
    /// The first instant after it.
    pub to: DateTime<Utc>,
    /// The upstream's word for the page to ask for next; none: the first.
    pub cursor: Option<String>,
    /// Objects seen in the window so far.
    pub seen: i64,
}

impl Place {
    /// The beginning of a window.
    #[must_use]
    pub fn start(from: DateTime<Utc>, to: DateTime<Utc>) -> Self {
        Self { from, to, cursor: None, seen: 0 }
    }

    /// The same window from its beginning.
    #[must_use]
    pub fn restart(&self) -> Self {
        Self::start(self.from, self.to)
    }

    /// Where to go on after a page of `seen` objects, of which the last changed at `last`, whose upstream says to go on
    /// at `next`. None: this was the last page.
    ///
    /// A window that has given `most` objects is closed at `last`, and the next begins there: what changed in that very
    /// instant is seen again, so nothing falls between the two. That needs an instant to close at: a window that is all
    /// one instant goes on.
    #[must_use]
    pub fn after(&self, seen: i64, last: Option<DateTime<Utc>>, next: Option<String>, most: i64) -> Option<Self> {
        let cursor = next?;
        let seen = self.seen.saturating_add(seen);
        match last {
            Some(last) if seen >= most && last > self.from && last < self.to => Some(Self::start(last, self.to)),
            _ => Some(Self { from: self.from, to: self.to, cursor: Some(cursor), seen }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap_or_default()
    }

    /// An upstream that has `changes` (seconds, in order) and gives two a page, at most `limit` for one search.
    fn page(changes: &[i64], place: &Place, limit: i64) -> Option<(Vec<i64>, Option<String>)> {
        let within: Vec<i64> =
            changes.iter().copied().filter(|second| (place.from..place.to).contains(&at(*second))).collect();
        let skip: usize = place.cursor.as_ref().map_or(0, |cursor| cursor.parse().unwrap_or_default());
        let shown: Vec<i64> = within.iter().copied().skip(skip).take(2).collect();
        let end = skip + shown.len();
        (i64::try_from(end).unwrap_or_default() <= limit)
            .then(|| (shown, (end < within.len()).then(|| end.to_string())))
    }

    proptest! {
        #[test]
        fn a_walk_sees_everything_ends_and_never_asks_one_window_for_too_much(
            mut changes in prop::collection::vec(0_i64..60, 0..80),
        ) {
            changes.sort_unstable();
            // No second has more changes than one search can give.
            let mut counts = std::collections::BTreeMap::new();
            changes.retain(|second| { let n = counts.entry(*second).or_insert(0); *n += 1; *n <= 6 });
            let mut place = Some(Place::start(at(0), at(60)));
            let mut seen = Vec::new();
            let mut pages = 0;
            while let Some(here) = place {
                pages += 1;
                prop_assert!(pages < 400, "it never ends");
                let shown = page(&changes, &here, 16);
                prop_assert!(shown.is_some(), "asked for more than one search gives");
                let (shown, next) = shown.unwrap_or_default();
                let last = shown.last().map(|second| at(*second));
                place = here.after(i64::try_from(shown.len()).unwrap_or_default(), last, next, 8);
                seen.extend(shown);
            }
            for (second, count) in counts {
                let seen = seen.iter().filter(|one| **one == second).count();
                prop_assert!(seen >= count.min(6), "{second} was seen {seen} times of {count}");
            }
        }
    }
}
