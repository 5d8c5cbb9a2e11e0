//! What a cart may have: edge cases 11 to 14, 18, 19, 21 to 23, 26, 79, 80 and 97.

use super::*;

#[test]
fn a_hold_takes_what_is_due_though_nothing_has_swept_it() {
    let mut shop = Shop::with(&[("MUG", 4)]);
    let first = shop.held(&[("MUG", 1)]);
    let second = shop.held(&[("MUG", 3)]);
    shop.wait(60);
    assert_eq!(shop.numbers(MUG), (4, 4, 0), "nobody has swept");
    shop.held(&[("MUG", 4)]);
    assert_eq!(shop.numbers(MUG), (4, 4, 0));
    for (late, units) in [(first, 1), (second, 3)] {
        assert_eq!((shop.state(late), shop.parts(late, 1)), (State::Expired, [0, 0, 0, units, 0]));
        assert_eq!(shown(shop.expire(late)).state, State::Expired, "the sweeper finds it closed");
    }
}

#[test]
fn what_is_due_is_left_alone_where_the_shelf_has_enough() {
    let mut shop = Shop::with(&[("MUG", 4)]);
    let due = shop.held(&[("MUG", 1)]);
    shop.wait(60);
    let fits = Command::Hold(Hold { id: shop.id(), ..cart(&[("MUG", 3)]) });
    let looks_at_what_is_due = Command::Hold(Hold { id: shop.id(), ..cart(&[("MUG", 9)]) });
    let batch = [(SHOP, fits), (SHOP, looks_at_what_is_due)];
    let outcomes = shop.store.run(&shop.catalogue, shop.now, &batch);
    assert!(matches!(outcomes[..], [Outcome::Held(_), Outcome::Refused(_)]));
    assert_eq!(shop.parts(due, 1), [1, 0, 0, 0, 0]);
}

#[test]
fn lines_of_one_sku_are_summed_before_the_guard_and_kept_apart() {
    let mut shop = Shop::with(&[("MUG", 5), ("TEA", 9)]);
    let refusal = refused(shop.hold(cart(&[("MUG", 3), ("TEA", 1), ("MUG", 3)])));
    assert_eq!(short(&refusal), [(MUG, &[1, 3][..], 6, 5)]);
    let id = shop.held(&[("MUG", 3), ("TEA", 1), ("MUG", 2)]);
    assert_eq!([shop.parts(id, 1), shop.parts(id, 3)], [[3, 0, 0, 0, 0], [2, 0, 0, 0, 0]]);
    assert_eq!(shop.numbers(MUG), (5, 5, 0));
}

#[test]
fn a_client_reference_names_one_standing_reservation() {
    let mut shop = Shop::with(&[("MUG", 9)]);
    let tab = |shop: &mut Shop| shop.hold(Hold { client_reference: Some("cart 7".to_owned()), ..cart(&[("MUG", 1)]) });
    let first = shown(tab(&mut shop)).id;
    let in_use = |outcome| match refused(outcome) {
        Refusal::ClientReferenceInUse { existing, state } => (existing, state),
        other => panic!("{other:?}"),
    };
    assert_eq!(in_use(tab(&mut shop)), (first, State::Held));
    let theirs = Hold { client_reference: Some("cart 7".to_owned()), id: shop.id(), ..cart(&[("MUG", 1)]) };
    shown(shop.run(WEBHOOK, Command::Hold(theirs)));
    shop.wait(60);
    let second = shown(tab(&mut shop)).id;
    assert_eq!(shop.stored(first).state, State::Expired, "a lapsed holder is closed, so that the name is free");
    shop.release(all_of(second));
    let third = shown(tab(&mut shop)).id;
    shop.commit(order(third));
    assert_eq!(in_use(tab(&mut shop)), (third, State::Committed));
    shop.release(cancelled(third));
    shown(tab(&mut shop));
}

#[test]
fn an_expired_hold_comes_back_under_its_reference_only_if_nobody_else_stands_under_it() {
    for (holder_lapses, comes_back) in [(false, false), (true, true)] {
        let mut shop = Shop::with(&[("MUG", 9)]);
        let tab = || Hold { client_reference: Some("cart 7".to_owned()), ..cart(&[("MUG", 1)]) };
        let first = shown(shop.hold(tab())).id;
        shop.wait(60);
        let second = shown(shop.hold(tab())).id;
        shop.wait(if holder_lapses { 60 } else { 1 });
        assert_eq!(matches!(shop.extend(first, None), Outcome::Current { .. }), comes_back);
        assert_eq!(shop.stored(second).state == State::Expired, comes_back);
        let late =
            shown(shop.run(WEBHOOK, Command::Commit(Commit { successor_id: reservation_id(99), ..order(first) })));
        let (origin, reference) =
            if comes_back { (Origin::Extension, Some("cart 7")) } else { (Origin::LateCommit, None) };
        assert_eq!((late.client, late.origin, late.client_reference.as_deref()), (SHOP, origin, reference));
    }
}

#[test]
fn a_newer_hold_takes_over_the_units_of_the_one_it_supersedes() {
    let mut shop = Shop::with(&[("MUG", 5)]);
    let older = shop.held(&[("MUG", 1), ("MUG", 3)]);
    let newer = Hold { supersedes: Some(older), ..cart(&[("MUG", 5)]) };
    let strangers = Hold { owner: Some("Bob".to_owned()), ..newer.clone() };
    assert!(matches!(refused(shop.hold(strangers)), Refusal::SupersedesOtherOwner(id) if id == older));
    let six = Hold { supersedes: Some(older), ..cart(&[("MUG", 6)]) };
    assert_eq!(short(&refused(shop.hold(six))), [(MUG, &[1][..], 6, 5)]);
    let successor = shown(shop.hold(newer.clone())).id;
    assert_eq!((shop.state(older), shop.numbers(MUG)), (State::Released, (5, 5, 0)));
    assert_eq!(shop.stored(successor).origin, Origin::Supersede);
    assert!(matches!(refused(shop.hold(newer)), Refusal::AlreadySuperseded { successor: by, .. } if by == successor));

    assert_eq!(short(&refused(shop.commit(order(older)))), [(MUG, &[1, 2][..], 4, 0)], "the old order is late");
    shop.release(all_of(successor));
    let late = shown(shop.commit(order(older)));
    assert_eq!((late.origin, shop.numbers(MUG)), (Origin::LateCommit, (5, 0, 4)));
}

#[test]
fn the_order_of_a_superseded_cart_gets_what_was_handed_over_and_not_what_was_given_back_before() {
    let mut shop = Shop::with(&[("MUG", 9)]);
    let older = shop.held(&[("MUG", 5), ("GIFT", 3), ("MUG", 1)]);
    shop.release(Release { lines: named(&[(1, 2), (2, 1), (3, 1)]), ..all_of(older) });
    shown(shop.hold(Hold { supersedes: Some(older), ..cart(&[("MUG", 1)]) }));
    let all = Commit { lines: named(&[(1, 5)]), ..order(older) };
    assert!(matches!(refused(shop.commit(all)), Refusal::ExceedsHeld { .. }));
    let late = shown(shop.commit(order(older)));
    let lines: Vec<_> = late.lines.iter().map(|line| (line.line, line.committed)).collect();
    assert_eq!((lines, shop.numbers(MUG)), (vec![(1, 3), (2, 2)], (9, 1, 3)));
    let given_up = shop.held(&[("MUG", 1)]);
    shop.release(Release { reason: Some("superseded".to_owned()), ..all_of(given_up) });
    assert!(matches!(refused(shop.commit(order(given_up))), Refusal::InvalidTransition { .. }), "nobody took it over");
}

#[test]
fn what_is_closed_can_be_superseded_and_what_an_order_owns_cannot() {
    let mut shop = Shop::with(&[("MUG", 9)]);
    let supersede = |shop: &mut Shop, id| shop.hold(Hold { supersedes: Some(id), ..cart(&[("MUG", 1)]) });
    let released = shop.held(&[("MUG", 1)]);
    shop.release(all_of(released));
    shown(supersede(&mut shop, released));
    let owned = shop.held(&[("MUG", 2)]);
    shop.commit(Commit { lines: named(&[(1, 1)]), remainder: Remainder::Keep, ..order(owned) });
    assert!(matches!(refused(supersede(&mut shop, owned)), Refusal::InvalidTransition { .. }));
}

#[test]
fn a_cart_with_short_lines_holds_nothing_and_lists_them_all() {
    let mut shop = Shop::with(&[("MUG", 2), ("TEA", 3), ("HAT", 1)]);
    let first = shop.held(&[("HAT", 3)]);
    let refusal = refused(shop.hold(cart(&[("MUG", 3), ("TEA", 1), ("HAT", 1), ("GIFT", 1), ("TEA", 1)])));
    assert_eq!(short(&refusal), [(MUG, &[1][..], 3, 2), (TEA, &[2, 5][..], 2, 1), (HAT, &[3][..], 1, 0)]);
    let Refusal::InsufficientStock { shortfalls, .. } = refusal else { panic!("{refusal}") };
    let hat = &shortfalls[2];
    assert_eq!((hat.balance.on_hand, hat.balance.held, hat.safety_stock, hat.oversell_tolerance), (1, 3, 1, 3));
    assert_eq!(hat.next_hold_expires_at, Some(shop.stored(first).expires_at));
    assert_eq!((shop.numbers(MUG), shop.numbers(TEA)), ((2, 0, 0), (3, 0, 0)));
}

#[test]
fn a_partial_hold_takes_what_there_is_and_nothing_at_all_is_a_refusal() {
    let mut shop = Shop::with(&[("MUG", 4), ("TEA", 2)]);
    let partial = |lines: &[(&str, i64)]| Hold { allow_partial: true, ..cart(lines) };
    let held = shown(shop.hold(partial(&[("MUG", 3), ("TEA", 1), ("MUG", 3)])));
    let granted: Vec<_> = held.lines.iter().map(|line| (line.requested, line.held, line.short)).collect();
    assert_eq!(granted, [(3, 3, 0), (1, 0, 1), (3, 1, 2)]);
    let refusal = refused(shop.hold(partial(&[("MUG", 1), ("TEA", 1)])));
    assert_eq!(short(&refusal), [(MUG, &[1][..], 1, 0), (TEA, &[2][..], 1, 0)]);
}

#[test]
fn a_class_caps_the_units_of_one_sku_in_one_hold() {
    let mut shop = Shop::with(&[("MUG", 50)]);
    let rule = |requested| Rule::AboveMaxPerHold { sku: "MUG".to_owned(), requested, max: 10 };
    for (lines, requested) in [(&[("MUG", 11)][..], 11), (&[("MUG", 6), ("MUG", 5)], 11)] {
        let Refusal::Unprocessable(violations) = refused(shop.hold(cart(lines))) else { panic!("{lines:?}") };
        assert_eq!(violations, [Violation { pointer: "/lines/0/quantity".to_owned(), rule: rule(requested) }]);
    }
    shop.held(&[("MUG", 10)]);
}

#[test]
fn the_shortest_class_of_a_cart_says_how_long_it_is_held() {
    let mut shop = Shop::with(&[("MUG", 9), ("TEA", 9)]);
    let held = shown(shop.hold(cart(&[("MUG", 1), ("TEA", 1)])));
    assert_eq!((held.expires_at, held.max_expires_at), (at(60), at(120)));
    let Refusal::Unprocessable(violations) =
        refused(shop.hold(Hold { ttl_seconds: Some(121), ..cart(&[("MUG", 1), ("TEA", 1)]) }))
    else {
        panic!("held longer than the class allows")
    };
    assert_eq!(violations[0].rule, Rule::TtlAboveLongest { longest_seconds: 120 });
}

#[test]
fn an_untracked_sku_is_held_without_counters() {
    let mut shop = Shop::with(&[("MUG", 1)]);
    let id = shop.held(&[("GIFT", 9), ("MUG", 1)]);
    assert!(!shop.store.stock.contains_key(&GIFT));
    shop.commit(order(id));
    assert_eq!(shop.parts(id, 1), [0, 9, 0, 0, 0]);
    assert!(shop.store.entries.iter().all(|entry| entry.sku == MUG));
    let receive = Command::Receive(Box::new(lot(77, "GIFT", 1)));
    assert!(matches!(refused(shop.run(SHOP, receive)), Refusal::Unprocessable(_)));
}

#[test]
fn counters_stand_still_while_tracking_is_off() {
    let mut shop = Shop::with(&[("MUG", 5)]);
    let before = shop.held(&[("MUG", 2)]);
    let mut mug = shop.catalogue.sku(MUG).unwrap().as_ref().clone();
    mug.tracked = false;
    shop.catalogue.put_sku(mug);
    let (owned, freed) = (shop.held(&[("MUG", 9)]), shop.held(&[("MUG", 9)]));
    let hold = Command::Hold(Hold { id: shop.id(), ..cart(&[("MUG", 9)]) });
    let in_order_a = |id| Command::Commit(order(id));
    let given_back = |release| Command::Release(release);
    let one = Release { lines: named(&[(1, 1)]), ..all_of(before) };
    let batch = [given_back(one), hold, in_order_a(owned), given_back(all_of(freed)), given_back(cancelled(owned))];
    shop.store.run(&shop.catalogue, shop.now, &batch.map(|command| (SHOP, command)));
    audit(&shop.store);
    assert_eq!((shop.state(owned), shop.state(freed)), (State::Cancelled, State::Released));
    assert_eq!(shop.numbers(MUG), (5, 1, 0), "only what was counted is given back");
}

#[test]
fn unknown_and_retired_skus_are_listed_at_once() {
    let mut shop = Shop::with(&[("MUG", 9), ("TEA", 9)]);
    let mut tea = shop.catalogue.sku(TEA).unwrap().as_ref().clone();
    tea.status = SkuStatus::Retired;
    shop.catalogue.put_sku(tea);
    let Refusal::Unprocessable(violations) = refused(shop.hold(cart(&[("NOPE", 1), ("MUG", 1), ("TEA", 1)]))) else {
        panic!("held")
    };
    let at = |index: usize, rule| Violation { pointer: format!("/lines/{index}/sku"), rule };
    assert_eq!(violations, [at(0, Rule::UnknownSku("NOPE".into())), at(2, Rule::RetiredSku("TEA".into()))]);
}

#[test]
fn a_tightened_policy_binds_new_holds_and_revokes_none() {
    let mut shop = Shop::with(&[("HAT", 4)]);
    let id = shop.held(&[("HAT", 6)]);
    let tight = Policy { safety_stock_quantity: 2, oversell_tolerance_quantity: 0, ..policy_of(HAT) };
    put_policy(&mut shop.catalogue, HAT, tight);
    assert_eq!(shop.balance(HAT).reservable(&tight), -4);
    assert_eq!(short(&refused(shop.hold(cart(&[("HAT", 1)])))), [(HAT, &[1][..], 1, -4)]);
    assert_eq!(shown(shop.commit(order(id))).state, State::Committed);
    assert_eq!(shop.open_oversells(), 2);
}

#[test]
fn safety_stock_and_tolerance_both_apply() {
    let mut shop = Shop::with(&[("HAT", 2), ("TEA", 2)]);
    shop.held(&[("HAT", 4)]);
    assert_eq!(shop.open_oversells(), 2);
    assert_eq!(
        short(&refused(shop.hold(cart(&[("HAT", 1), ("TEA", 1)])))),
        [(HAT, &[1][..], 1, 0), (TEA, &[2][..], 1, 0)]
    );
    shop.receive("HAT", 1);
    assert_eq!(shop.open_oversells(), 1);
}

#[test]
fn what_was_never_received_can_be_ordered_ahead_within_the_tolerance() {
    let mut shop = Shop::with(&[]);
    assert_eq!(
        short(&refused(shop.hold(cart(&[("HAT", 3), ("MUG", 1), ("TEA", 1)])))),
        [(HAT, &[1][..], 3, 2), (MUG, &[2][..], 1, 0), (TEA, &[3][..], 1, -2)]
    );
    assert!(shop.store.stock.is_empty(), "a refusal opens no shelf");
    shop.wait(5);
    let ahead = shop.held(&[("HAT", 2)]);
    assert_eq!((shop.numbers(HAT), shop.store.stock[&HAT].1), ((0, 2, 0), shop.now));
    assert_eq!(short(&refused(shop.hold(cart(&[("HAT", 1)])))), [(HAT, &[1][..], 1, 0)]);
    shop.commit(order(ahead));
    assert_eq!(shop.open_oversells(), 2);
    shop.receive("HAT", 5);
    assert_eq!((shop.numbers(HAT), shop.open_oversells()), ((5, 0, 2), 0));
}

#[test]
fn a_shelf_switched_on_again_is_counted_before_it_is_held() {
    let mut shop = Shop::with(&[("MUG", 5), ("TEA", 5)]);
    let before = shop.held(&[("MUG", 2)]);
    shop.wait(10);
    let mut mug = shop.catalogue.sku(MUG).unwrap().as_ref().clone();
    mug.tracked_since_at = shop.now;
    shop.catalogue.put_sku(mug);
    let refusal = refused(shop.hold(cart(&[("MUG", 1), ("TEA", 1), ("MUG", 1)])));
    assert!(matches!(refusal, Refusal::OpeningCountRequired(skus) if skus == [MUG]));
    assert_eq!(shown(shop.release(Release { lines: named(&[(1, 1)]), ..all_of(before) })).held_units(), 1);

    shop.wait(10);
    let count = Command::OpeningCount(Box::new(OpeningCount { lot: Some(lot(50, "MUG", 3)), sku: "MUG".into() }));
    let delivery = Command::Receive(Box::new(lot(51, "MUG", 4)));
    let hold = Command::Hold(Hold { id: shop.id(), ..cart(&[("MUG", 1)]) });
    let batch = [delivery, count.clone(), count.clone(), hold].map(|command| (SHOP, command));
    let outcomes = shop.store.run(&shop.catalogue, shop.now, &batch);
    audit(&shop.store);
    let Outcome::Counted { balance, .. } = &outcomes[1] else { panic!("{outcomes:?}") };
    assert_eq!((balance.on_hand, balance.held), (3, 1), "older lots and deliveries are in the count");
    assert!(matches!(outcomes[2..], [Outcome::Refused(Refusal::OpeningCountNotDue(MUG)), Outcome::Held(_)]));
    assert!(matches!(refused(shop.run(SHOP, count)), Refusal::OpeningCountNotDue(MUG)));
    shop.held(&[("MUG", 1)]);
}

#[test]
fn a_receipt_is_entered_once_and_says_what_was_sent_differently() {
    let mut shop = Shop::with(&[]);
    let mut receive = lot(50, "MUG", 4);
    receive.source_ref = Some("PO-1".to_owned());
    shop.run(SHOP, Command::Receive(Box::new(receive.clone())));
    receive.quantity = 5;
    let Outcome::Received(again) = shop.run(SHOP, Command::Receive(Box::new(receive))) else { panic!("refused") };
    assert_eq!((again.lot.received.quantity, again.repeated), (4, Some(vec!["quantity"])));
    assert_eq!(shop.numbers(MUG), (4, 0, 0));
}
