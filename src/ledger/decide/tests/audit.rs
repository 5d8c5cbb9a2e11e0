//! The invariants of the design, checked on everything that was written.

use std::collections::BTreeMap;

use crate::ids::SkuId;
use crate::ledger::balance::{Balance, Delta};
use crate::ledger::entry::{Entry, EntryKind, LineRef};
use crate::ledger::world::HOUSE;
use crate::reservations::state::{Line, Reservation, State};

use super::store::{Store, line_ref};

/// Panics where the tables disagree with each other.
pub(super) fn audit(store: &Store) {
    check_ledger(store);
    check_balances(store);
    for reservation in store.reservations.values() {
        check_reservation(reservation);
    }
    check_lines(store);
}

/// Gapless, running sums, holds within what was reservable.
fn check_ledger(store: &Store) {
    let mut newest: BTreeMap<SkuId, Balance> = BTreeMap::new();
    for entry in &store.entries {
        let before = newest.get(&entry.sku).copied().unwrap_or_default();
        let (after, delta) = (entry.after, entry.delta);
        let sums = Balance {
            on_hand: before.on_hand + delta.on_hand,
            quarantined: before.quarantined + delta.quarantined,
            held: before.held + delta.held,
            committed: before.committed + delta.committed,
            seq: before.seq + 1,
        };
        assert_eq!(after, sums, "an entry follows from the one before: {entry:?}");
        assert!([after.on_hand, after.quarantined, after.held, after.committed].iter().all(|n| *n >= 0), "{entry:?}");
        check_entry(entry);
        newest.insert(entry.sku, after);
    }
    for (sku, (balance, _)) in &store.stock {
        assert_eq!(*balance, newest.get(sku).copied().unwrap_or_default(), "{sku:?} is what its newest entry says");
    }
    assert!(newest.keys().all(|sku| store.stock.contains_key(sku)), "an entry has a balance row");
}

fn check_entry(entry: &Entry) {
    let Delta { on_hand, quarantined, held, committed } = entry.delta;
    let fits = match entry.kind {
        EntryKind::Receive => on_hand > 0 && (quarantined, held, committed) == (0, 0, 0) && entry.lot.is_some(),
        EntryKind::Hold => held > 0 && (on_hand, quarantined, committed) == (0, 0, 0),
        EntryKind::Claim => committed > 0 && (on_hand, quarantined, held) == (0, 0, 0),
        EntryKind::Commit => committed > 0 && held == -committed && (on_hand, quarantined) == (0, 0),
        EntryKind::Release | EntryKind::Expire => held < 0 && (on_hand, quarantined, committed) == (0, 0, 0),
        EntryKind::Cancel => committed < 0 && (on_hand, quarantined, held) == (0, 0, 0),
        EntryKind::OpeningCount => quarantined <= 0 && (held, committed) == (0, 0),
        other => panic!("this store keeps no goods: {other:?}"),
    };
    assert!(fits, "a delta fits its kind: {entry:?}");
    assert_eq!(entry.kind == EntryKind::Expire, entry.client == HOUSE, "the clock is nobody's command: {entry:?}");
    assert_eq!(entry.kind == EntryKind::Hold, entry.policy.is_some(), "a hold names its policy: {entry:?}");
    if let Some((safety_stock, tolerance)) = entry.policy {
        let Balance { on_hand, quarantined, held, committed, .. } = entry.after;
        let reservable = on_hand - quarantined - committed - held - safety_stock + tolerance;
        assert!(reservable >= 0, "a hold never makes reservable negative: {entry:?}");
    }
}

/// Balances are sums over lines and lots; open oversells sum up to what the shelf cannot cover.
fn check_balances(store: &Store) {
    for (sku, (balance, _)) in &store.stock {
        let sum = |of: fn(&Line) -> i64| -> i64 {
            store.lines().filter(|(_, line)| line.sku == *sku && line.tracked).map(|(_, line)| of(line)).sum()
        };
        let lots: i64 = store.lots.values().filter(|lot| lot.sku == *sku).map(|lot| lot.remaining).sum();
        let open: i64 = store.oversells.iter().filter(|open| open.sku == *sku).map(|open| open.unresolved).sum();
        assert_eq!(balance.held, sum(|line| line.held), "held of {sku:?}");
        assert_eq!(balance.committed, sum(|line| line.committed - line.fulfilled), "committed of {sku:?}");
        assert_eq!(balance.on_hand, lots, "lots of {sku:?}");
        assert_eq!(balance.oversold(), open, "open oversells of {sku:?}");
    }
}

/// What the checks on the row of a reservation demand.
fn check_reservation(r: &Reservation) {
    assert!(r.lines.iter().all(Line::adds_up), "lines add up: {r:?}");
    assert!(!r.lines.is_empty() || !r.variants.is_empty(), "nothing was asked for: {r:?}");
    assert_eq!(r.committed_at.is_some(), r.order_ref.is_some(), "{r:?}");
    let fits = match r.state {
        State::Held => true,
        State::Committed | State::Fulfilled | State::Cancelled | State::Reconciled => r.committed_at.is_some(),
        State::Released | State::Expired => r.committed_at.is_none(),
    };
    assert!(fits && (r.state == State::Held || r.held_units() == 0), "the state is where the lines say it is: {r:?}");
    assert_eq!(r.state.is_terminal(), r.closed_at.is_some(), "{r:?}");
    assert_eq!(r.closed_at.is_some(), r.closed_reason.is_some(), "{r:?}");
    assert!(r.created_at <= r.expires_at && r.expires_at <= r.max_expires_at, "{r:?}");
}

/// The story that the ledger tells of each line ends in the line; it opens once and closes at most once.
fn check_lines(store: &Store) {
    let mut stories: BTreeMap<LineRef, Vec<&Entry>> = BTreeMap::new();
    for entry in &store.entries {
        if let Some(line) = entry.line {
            stories.entry(line).or_default().push(entry);
        }
    }
    for (reservation, line) in store.lines() {
        let story = stories.remove(&line_ref(reservation, line)).unwrap_or_default();
        let count = |of: fn(&Entry) -> bool| story.iter().filter(|entry| of(entry)).count();
        let sum = |kind: EntryKind, of: fn(&Delta) -> i64| -> i64 {
            story.iter().filter(|entry| entry.kind == kind).map(|entry| of(&entry.delta)).sum()
        };
        let granted = if line.tracked { line.requested - line.short } else { 0 };
        let opened = count(|entry| matches!(entry.kind, EntryKind::Hold | EntryKind::Claim));
        assert_eq!(opened, usize::from(granted > 0), "a line opens once: {line:?} {story:?}");
        let held_once = count(|entry| entry.kind == EntryKind::Hold) == 1;
        let closed = count(|entry| entry.closes_line);
        assert_eq!(closed, usize::from(held_once && line.held == 0), "a held line closes once: {line:?} {story:?}");
        assert!(story.iter().all(|entry| entry.sku == line.sku), "{line:?} {story:?}");
        if line.tracked {
            let claimed = sum(EntryKind::Claim, |delta| delta.committed);
            let told = [
                sum(EntryKind::Hold, |delta| delta.held) + claimed,
                claimed
                    + sum(EntryKind::Commit, |delta| delta.committed)
                    + sum(EntryKind::Cancel, |delta| delta.committed),
                -sum(EntryKind::Release, |delta| delta.held),
                -sum(EntryKind::Expire, |delta| delta.held),
                -sum(EntryKind::Cancel, |delta| delta.committed),
            ];
            let is = [granted, line.committed, line.released, line.expired, line.cancelled];
            assert_eq!(is, told, "a line is what the ledger tells: {line:?} {story:?}");
        }
    }
    assert!(stories.is_empty(), "an entry names a line that exists: {stories:?}");
}
