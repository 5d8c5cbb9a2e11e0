//! What becomes of a hold: edge cases 1 to 10.

use super::*;

#[test]
fn a_partial_commit_releases_the_remainder_unless_it_is_kept() {
    for (remainder, state, first, second) in [
        (Remainder::Release, State::Committed, [0, 2, 1, 0, 0], [0, 0, 4, 0, 0]),
        (Remainder::Keep, State::Held, [1, 2, 0, 0, 0], [4, 0, 0, 0, 0]),
    ] {
        let mut shop = Shop::with(&[("MUG", 9), ("TEA", 9)]);
        let id = shop.held(&[("MUG", 3), ("TEA", 4)]);
        let committed = shown(shop.commit(Commit { lines: named(&[(1, 2)]), remainder, ..order(id) }));
        assert_eq!((committed.state, shop.parts(id, 1), shop.parts(id, 2)), (state, first, second));
        assert_eq!(committed.order_ref.as_deref(), Some("A"));
    }
}

#[test]
fn a_second_tender_takes_more_of_what_was_kept() {
    let mut shop = Shop::with(&[("MUG", 9)]);
    let id = shop.held(&[("MUG", 5)]);
    for (total, parts) in [(2, [3, 2, 0, 0, 0]), (4, [1, 4, 0, 0, 0]), (4, [1, 4, 0, 0, 0])] {
        shown(shop.commit(Commit { lines: named(&[(1, total)]), remainder: Remainder::Keep, ..order(id) }));
        assert_eq!(shop.parts(id, 1), parts);
    }
    shown(shop.commit(Commit { lines: named(&[(1, 4)]), ..order(id) }));
    assert_eq!(shop.parts(id, 1), [1, 4, 0, 0, 0], "a commit that takes nothing releases nothing");
    shop.commit(order(id));
    assert_eq!((shop.state(id), shop.parts(id, 1)), (State::Committed, [0, 5, 0, 0, 0]));
}

#[test]
fn giving_back_what_was_kept_leaves_what_the_order_owns() {
    for lines in [None, named(&[(1, 3)])] {
        let mut shop = Shop::with(&[("MUG", 9)]);
        let id = shop.held(&[("MUG", 5)]);
        shop.commit(Commit { lines: named(&[(1, 2)]), remainder: Remainder::Keep, ..order(id) });
        shop.release(Release { lines, ..all_of(id) });
        assert_eq!((shop.state(id), shop.parts(id, 1)), (State::Committed, [0, 2, 3, 0, 0]));
    }
    let mut shop = Shop::with(&[("MUG", 9)]);
    let id = shop.held(&[("MUG", 5)]);
    shop.commit(Commit { lines: named(&[(1, 2)]), remainder: Remainder::Keep, ..order(id) });
    let four = named(&[(1, 4)]);
    assert!(matches!(
        refused(shop.release(Release { lines: four.clone(), ..all_of(id) })),
        Refusal::ExceedsHeld { .. }
    ));
    shop.release(Release { lines: four, ..cancelled(id) });
    assert_eq!(shop.parts(id, 1), [0, 1, 3, 0, 1], "a cancellation takes what is held first");
}

#[test]
fn a_partial_release_keeps_the_rest_held() {
    let mut shop = Shop::with(&[("MUG", 5)]);
    let id = shop.held(&[("MUG", 5)]);
    let reduced = shown(shop.release(Release { lines: named(&[(1, 2)]), ..all_of(id) }));
    assert_eq!((reduced.state, shop.parts(id, 1)), (State::Held, [3, 0, 2, 0, 0]));
    shop.held(&[("MUG", 2)]);
    let over = refused(shop.release(Release { lines: named(&[(1, 4)]), ..all_of(id) }));
    assert!(matches!(over, Refusal::ExceedsHeld { .. }));
    let rest = shown(shop.release(Release { lines: named(&[(1, 3)]), ..all_of(id) }));
    assert_eq!((rest.state, rest.closed_at), (State::Released, Some(shop.now)));
}

#[test]
fn committing_more_than_is_held_is_refused_with_what_is_held() {
    let mut shop = Shop::with(&[("MUG", 9)]);
    let id = shop.held(&[("MUG", 3), ("MUG", 2)]);
    let Refusal::ExceedsHeld { lines, .. } =
        refused(shop.commit(Commit { lines: named(&[(1, 4), (2, 3)]), ..order(id) }))
    else {
        panic!("no silent top-up")
    };
    let exceeded = |line, requested, held| Exceeded { line, requested, held, committed: 0 };
    assert_eq!(lines, [exceeded(1, 4, 3), exceeded(2, 3, 2)]);
    let unknown = refused(shop.commit(Commit { lines: named(&[(1, 1), (7, 1)]), ..order(id) }));
    let Refusal::Unprocessable(violations) = unknown else { panic!("{unknown}") };
    assert_eq!(violations, [Violation { pointer: "/lines/1/line".to_owned(), rule: Rule::UnknownLine(7) }]);
}

#[test]
fn committing_again_is_a_no_op_for_the_same_order_and_quantities_only() {
    for late in [false, true] {
        let mut shop = Shop::with(&[("MUG", 9)]);
        let id = shop.held(&[("MUG", 3)]);
        shop.wait(if late { 60 } else { 0 });
        let two = Commit { lines: named(&[(1, 2)]), ..order(id) };
        let first = shown(shop.commit(two.clone()));
        let written = shop.store.clone();
        assert_eq!(shown(shop.commit(two.clone())), first);
        assert_eq!(shown(shop.commit(order(id))), first, "everything is what there is");
        assert!(shop.store == written, "nothing was written");
        let other = refused(shop.commit(Commit { order_ref: "B".to_owned(), ..two.clone() }));
        assert!(matches!(other, Refusal::OrderRefConflict { order_ref, .. } if order_ref == "A"));
        let more = refused(shop.commit(Commit { lines: named(&[(1, 3)]), ..two.clone() }));
        assert!(matches!(more, Refusal::ExceedsHeld { .. }), "late {late}: {more}");
        let fewer = refused(shop.commit(Commit { lines: named(&[(1, 1)]), ..two }));
        assert!(matches!(fewer, Refusal::InvalidTransition { .. }), "late {late}: {fewer}");
    }
}

#[test]
fn a_repeated_commit_takes_nothing_that_was_cancelled_since() {
    let mut shop = Shop::with(&[("MUG", 9)]);
    let id = shop.held(&[("MUG", 2), ("MUG", 3)]);
    let two = Commit { lines: named(&[(1, 2)]), remainder: Remainder::Keep, ..order(id) };
    shop.commit(two.clone());
    shop.release(Release { lines: named(&[(1, 2)]), ..cancelled(id) });
    let again = shown(shop.commit(two));
    assert_eq!((again.state, shop.numbers(MUG)), (State::Held, (9, 3, 0)));
    shop.wait(60);
    assert_eq!(shop.state(id), State::Cancelled, "nothing is held any more, and the order owns nothing");
    assert_eq!(shown(shop.expire(id)).state, State::Cancelled, "which is what the sweeper makes of it");
}

#[test]
fn an_order_is_cancelled_for_the_right_reason_and_not_after_it_has_shipped() {
    let mut shop = Shop::with(&[("MUG", 9)]);
    let id = shop.held(&[("MUG", 3)]);
    shop.commit(order(id));
    assert!(matches!(refused(shop.release(all_of(id))), Refusal::InvalidTransition { state: State::Committed, .. }));
    let one = Release { lines: named(&[(1, 1)]), ..cancelled(id) };
    assert_eq!(shown(shop.release(one)).state, State::Committed);
    let rest = shown(shop.release(cancelled(id)));
    assert_eq!((rest.state, shop.parts(id, 1)), (State::Cancelled, [0, 0, 0, 0, 3]));
    assert_eq!(shop.numbers(MUG), (9, 0, 0));
}

#[test]
fn only_what_has_not_shipped_is_cancelled() {
    for (shipped, state) in [(0, State::Cancelled), (1, State::Fulfilled), (2, State::Fulfilled)] {
        let mut shop = Shop::with(&[("MUG", 9)]);
        let id = shop.held(&[("MUG", 2)]);
        let mut owned = shown(shop.commit(order(id)));
        owned.lines[0].fulfilled = shipped;
        owned.state = if shipped == 2 { State::Fulfilled } else { State::Committed };
        let balance = Balance { on_hand: 9 - shipped, committed: 2 - shipped, ..shop.balance(MUG) };
        let mut world = World::new(POOL, shop.now, &shop.catalogue);
        world.put_shelf(MUG, Shelf { balance, opened_at: at(0), next_expires_date: None });
        world.put_reservation(owned);
        let outcome = decide(&mut world, SHOP, &Command::Release(cancelled(id)));
        if shipped == 2 {
            assert!(matches!(refused(outcome), Refusal::InvalidTransition { .. }), "what comes back is a return");
        } else {
            assert_eq!((shown(outcome).state, world.balance(MUG).committed), (state, 0));
        }
        let line = &world.reservation(id.uuid).unwrap().lines[0];
        assert_eq!((line.committed, line.cancelled), (shipped, 2 - shipped));
    }
}

#[test]
fn releasing_again_or_after_expiry_changes_nothing() {
    let mut shop = Shop::with(&[("MUG", 9)]);
    let (released, expired) = (shop.held(&[("MUG", 1)]), shop.held(&[("MUG", 1)]));
    shop.release(all_of(released));
    shop.wait(60);
    shop.expire(expired);
    let written = shop.store.clone();
    for (id, state) in [(released, State::Released), (expired, State::Expired)] {
        for again in [all_of(id), cancelled(id), Release { lines: named(&[(1, 1)]), ..all_of(id) }] {
            assert_eq!(shown(shop.release(again)).state, state);
        }
        assert_eq!(shown(shop.expire(id)).state, state);
    }
    assert!(shop.store == written);
    let unswept = shop.held(&[("MUG", 1)]);
    shop.wait(60);
    assert_eq!(shown(shop.release(all_of(unswept))).state, State::Expired, "it was the clock, not the caller");
    assert!(matches!(refused(shop.release(all_of(reservation_id(404)))), Refusal::ReservationNotFound(_)));
}

#[test]
fn a_commit_at_the_instant_of_expiry_is_late() {
    for (early, on_time) in [(tick(), true), (TimeDelta::zero(), false)] {
        let mut shop = Shop::with(&[("MUG", 3)]);
        let id = shop.held(&[("MUG", 3)]);
        shop.now = shop.stored(id).expires_at - early;
        let Outcome::Current { reservation, reclaimed } = shop.commit(order(id)) else { panic!("refused") };
        assert_eq!((reclaimed, reservation.id == id), (!on_time, on_time));
        assert_eq!(shop.numbers(MUG), (3, 0, 3), "its own units are there for it either way");
    }
}

#[test]
fn of_a_commit_and_a_hold_at_the_instant_of_expiry_one_wins() {
    let mut shop = Shop::with(&[("MUG", 3)]);
    let id = shop.held(&[("MUG", 3)]);
    shop.now = shop.stored(id).expires_at;
    let rival = Command::Hold(Hold { id: shop.id(), ..cart(&[("MUG", 1)]) });
    let commit = Command::Commit(Commit { successor_id: shop.id(), ..order(id) });
    for (batch, winner) in [([&rival, &commit], 0), ([&commit, &rival], 0)] {
        let mut store = shop.store.clone();
        let batch: Vec<_> = batch.into_iter().map(|command| (SHOP, command.clone())).collect();
        let outcomes = store.run(&shop.catalogue, shop.now, &batch);
        audit(&store);
        for (index, outcome) in outcomes.iter().enumerate() {
            assert_eq!(!matches!(outcome, Outcome::Refused(_)), index == winner, "{outcome:?}");
        }
    }
}

#[test]
fn a_late_commit_claims_again_or_is_refused_or_backordered() {
    for (taken, on_shortage, open) in
        [(6, OnShortage::Refuse, None), (7, OnShortage::Refuse, None), (7, OnShortage::Backorder, Some(1))]
    {
        let mut shop = Shop::with(&[("MUG", 9)]);
        let id = shop.held(&[("MUG", 3)]);
        shop.wait(60);
        shop.held(&[("MUG", taken)]);
        let outcome = shop.commit(Commit { on_shortage, ..order(id) });
        if taken == 7 && open.is_none() {
            let refusal = refused(outcome);
            assert!(matches!(refusal, Refusal::HoldExpired { expired_at, .. } if expired_at == shop.now));
            assert_eq!(short(&refusal), [(MUG, &[1][..], 3, 2)]);
            continue;
        }
        let Outcome::Current { reservation, reclaimed: true } = outcome else { panic!("{outcome:?}") };
        assert_eq!((reservation.origin, reservation.replaces), (Origin::LateCommit, Some(id)));
        assert_eq!((reservation.state, reservation.expires_at), (State::Committed, shop.now));
        assert_eq!((shop.state(id), shop.numbers(MUG)), (State::Expired, (9, taken, 3)));
        assert_eq!(shop.open_oversells(), open.unwrap_or(0));
        let story = shop.store.entries.iter().filter(|e| e.line.is_some_and(|l| l.reservation == reservation.id.uuid));
        let kinds: Vec<_> = story.map(|entry| entry.kind).collect();
        let told: &[EntryKind] =
            if open.is_some() { &[EntryKind::Claim] } else { &[EntryKind::Hold, EntryKind::Commit] };
        assert_eq!(kinds, told, "what is covered is checked like any hold");
    }
}

#[test]
fn an_order_can_still_ask_for_what_it_kept_too_long() {
    for swept in [false, true] {
        let mut shop = Shop::with(&[("MUG", 9)]);
        let id = shop.held(&[("MUG", 5)]);
        let two = Commit { lines: named(&[(1, 2)]), remainder: Remainder::Keep, ..order(id) };
        shop.commit(two.clone());
        shop.wait(60);
        if swept {
            shop.expire(id);
        }
        assert_eq!(shown(shop.commit(two.clone())).id, id, "the same again is the same, swept or not");
        assert_eq!(shop.store.reservations.len(), 1);
        let late = shown(shop.commit(Commit { lines: named(&[(1, 4)]), ..two }));
        assert_eq!((late.origin, late.lines[0].committed), (Origin::LateCommit, 2));
        assert_eq!((shop.state(id), shop.numbers(MUG)), (State::Committed, (9, 0, 4)));
    }
}

#[test]
fn an_order_that_asks_for_everything_asks_for_what_it_kept_too_long_as_well() {
    for (rival, told) in [(0, Some(3)), (7, None)] {
        let mut shop = Shop::with(&[("MUG", 9)]);
        let id = shop.held(&[("MUG", 5)]);
        shop.commit(Commit { lines: named(&[(1, 2)]), remainder: Remainder::Keep, ..order(id) });
        shop.wait(60);
        if rival > 0 {
            shop.held(&[("MUG", rival)]);
        }
        let outcome = shop.commit(order(id));
        let Some(units) = told else {
            assert_eq!(short(&refused(outcome)), [(MUG, &[1][..], 3, 0)], "never a silent no-op");
            continue;
        };
        let late = shown(outcome);
        assert_eq!((late.origin, late.lines[0].committed), (Origin::LateCommit, units));
        assert_eq!(shown(shop.commit(order(id))).id, late.id, "once");
        assert_eq!(shop.numbers(MUG), (9, 0, 5));
    }
}

#[test]
fn an_order_for_a_hold_that_was_extended_late_takes_the_units_of_the_extension() {
    let mut shop = Shop::with(&[("MUG", 9)]);
    let id = shop.held(&[("MUG", 3)]);
    shop.wait(60);
    let extension = shown(shop.extend(id, None)).id;
    let two = Commit { lines: named(&[(1, 2)]), remainder: Remainder::Keep, ..order(id) };
    for _ in 0..2 {
        let outcome = shop.commit(two.clone());
        let Outcome::Current { reservation, reclaimed: true } = outcome else { panic!("{outcome:?}") };
        assert_eq!((reservation.id, shop.numbers(MUG)), (extension, (9, 1, 2)));
    }
    let other = refused(shop.commit(Commit { order_ref: "B".to_owned(), ..order(id) }));
    assert!(matches!(other, Refusal::OrderRefConflict { id, .. } if id == extension));
    shop.wait(60);
    assert_eq!(shown(shop.commit(two)).id, extension, "the same again, though the rest has lapsed");
    let Refusal::InvalidTransition { id: named, .. } = refused(shop.commit(order(id))) else { panic!("claimed twice") };
    assert_eq!(named, extension);
    shop.commit(order(extension));
    assert_eq!(shop.numbers(MUG), (9, 0, 3));
}

#[test]
fn an_extension_that_is_gone_is_named_and_nothing_is_claimed_in_its_place() {
    for lapses in [true, false] {
        let mut shop = Shop::with(&[("MUG", 9)]);
        let id = shop.held(&[("MUG", 3)]);
        shop.wait(60);
        let extension = shown(shop.extend(id, None)).id;
        if lapses {
            shop.wait(60);
            shown(shop.extend(extension, None));
        } else {
            shop.release(all_of(extension));
        }
        let refusal = refused(shop.commit(Commit { on_shortage: OnShortage::Backorder, ..order(id) }));
        assert!(matches!(refusal, Refusal::InvalidTransition { id, .. } if id == extension), "{refusal}");
    }
}

#[test]
fn extending_an_expired_hold_is_a_new_claim_that_may_be_refused() {
    let mut shop = Shop::with(&[("MUG", 9)]);
    let id = shop.held(&[("MUG", 3)]);
    shop.wait(60);
    let rival = shop.held(&[("MUG", 7)]);
    let refusal = refused(shop.extend(id, None));
    assert!(matches!(refusal, Refusal::HoldExpired { .. }));
    assert_eq!(short(&refusal), [(MUG, &[1][..], 3, 2)]);
    shop.release(Release { lines: named(&[(1, 1)]), ..all_of(rival) });
    let again = shown(shop.extend(id, Some(90)));
    assert_eq!((again.origin, again.replaces, again.state), (Origin::Extension, Some(id), State::Held));
    assert_eq!((again.expires_at, again.max_expires_at), (at(60 + 90), at(60 + 180)));
    assert_eq!((shop.stored(id).state, shop.numbers(MUG)), (State::Expired, (9, 9, 0)));
    assert_eq!(shown(shop.extend(id, None)).id, again.id, "once");
    shop.commit(order(again.id));
    assert!(matches!(refused(shop.extend(again.id, None)), Refusal::InvalidTransition { .. }));
}

#[test]
fn a_late_extension_follows_the_catalogue_of_today() {
    let mut shop = Shop::with(&[("MUG", 9)]);
    let id = shop.held(&[("MUG", 1), ("MUG", 1)]);
    shop.wait(60);
    let Refusal::Unprocessable(violations) = refused(shop.extend(id, Some(181))) else { panic!("beyond the longest") };
    assert_eq!(violations[0].rule, Rule::TtlAboveLongest { longest_seconds: 180 });
    let today = shop.catalogue.sku(MUG).unwrap().as_ref().clone();
    shop.catalogue.put_sku(Sku { tracked_since_at: shop.now, ..today.clone() });
    let refusal = refused(shop.extend(id, None));
    assert!(matches!(refusal, Refusal::OpeningCountRequired(skus) if skus == [MUG]));
    shop.catalogue.put_sku(Sku { status: SkuStatus::Retired, ..today });
    let Refusal::Unprocessable(violations) = refused(shop.extend(id, None)) else { panic!("retired") };
    assert_eq!(violations[0].rule, Rule::RetiredSku("MUG".to_owned()));
}

#[test]
fn an_extension_never_passes_the_longest_hold_and_never_shortens_one() {
    let mut shop = Shop::with(&[("MUG", 9)]);
    let id = shop.held(&[("MUG", 1)]);
    for (after, ttl, expires_at) in [
        (50, None, Some(110)),
        (0, Some(10), Some(110)),
        (0, Some(130), Some(180)),
        (1, Some(130), None),
        (99, Some(30), Some(180)),
        (0, None, None),
    ] {
        shop.wait(after);
        match (shop.extend(id, ttl), expires_at) {
            (Outcome::Current { reservation, reclaimed: false }, Some(seconds)) => {
                assert_eq!((reservation.expires_at, shop.stored(id).expires_at), (at(seconds), at(seconds)));
            }
            (Outcome::Refused(Refusal::ExceedsLongestHold { max_expires_at, .. }), None) => {
                assert_eq!(max_expires_at, at(180));
            }
            other => panic!("{after} {ttl:?}: {other:?}"),
        }
    }
}
