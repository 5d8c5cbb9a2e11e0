//! Carts that name variants: edge cases 28 and 29, whole kits only, and what the lines of such a hold are.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::catalog::recipes::{Mapping, Origin as SaidBy};
use crate::ledger::command::VariantLine;
use crate::ledger::decide::pieces::{Piece, grant};
use crate::ledger::outcome::VariantShortfall;
use crate::reservations::variants::{Part, Variant};

const KIT: i64 = 77;

fn mapping(version: i32, components: &[(SkuId, i32)]) -> Mapping {
    Mapping { version, open_lines_follow_from: 0, origin: SaidBy::Operator, components: components.to_vec() }
}

/// A line of kits, of two mugs and one tea each.
fn kits(line: i16, quantity: i64) -> VariantLine {
    VariantLine { line, variant_id: KIT, quantity, mapping: Some(mapping(3, &[(MUG, 2), (TEA, 1)])) }
}

/// A cart of lines that name a SKU, each at its place, and of variants.
fn mixed(lines: &[(i16, &str, i64)], variants: Vec<VariantLine>) -> Hold {
    let line =
        |(line, sku, quantity): &(i16, &str, i64)| HoldLine { line: *line, sku: (*sku).into(), quantity: *quantity };
    Hold { lines: lines.iter().map(line).collect(), variants, ..cart(&[]) }
}

#[test]
fn a_kit_is_held_as_its_skus_and_the_other_lines_keep_their_numbers() {
    let mut shop = Shop::with(&[("MUG", 9), ("TEA", 9)]);
    let held = shown(shop.hold(mixed(&[(1, "TEA", 1), (3, "MUG", 1)], vec![kits(2, 2)])));
    let lines: Vec<_> = held.lines.iter().map(|line| (line.line, line.sku, line.held)).collect();
    assert_eq!(lines, [(1, TEA, 1), (2, MUG, 4), (3, MUG, 1), (4, TEA, 2)]);
    let parts = vec![Part { line: 2, unit_quantity: 2 }, Part { line: 4, unit_quantity: 1 }];
    assert_eq!(held.variants, [Variant { line: 2, variant_id: KIT, mapping_version: 3, quantity: 2, parts }]);
    assert_eq!((shop.numbers(MUG), shop.numbers(TEA)), ((9, 5, 0), (9, 3, 0)));
    // Its lines are lines like any other.
    let release = Release { lines: named(&[(4, 1)]), ..all_of(held.id) };
    assert_eq!(shown(shop.release(release)).variants, held.variants);
    shop.commit(order(held.id));
    assert_eq!((shop.numbers(MUG), shop.numbers(TEA)), ((9, 0, 5), (9, 0, 2)));
}

#[test]
fn a_short_kit_tells_how_many_could_be_had_and_which_sku_is_short() {
    let mut shop = Shop::with(&[("MUG", 5), ("TEA", 9)]);
    let refusal = refused(shop.hold(mixed(&[(1, "MUG", 1), (2, "TEA", 1)], vec![kits(3, 3)])));
    assert_eq!(short(&refusal), [(MUG, &[1, 3][..], 7, 5)]);
    let Refusal::InsufficientStock { variants, .. } = refusal else { panic!("{refusal}") };
    let kit = VariantShortfall { line: 3, variant_id: KIT, mapping_version: 3, requested: 3, available: 2 };
    assert_eq!(variants, [kit]);
    // What is due counts as room, for kits too.
    let due = shop.held(&[("MUG", 3)]);
    shop.wait(60);
    shown(shop.hold(mixed(&[], vec![kits(1, 2)])));
    assert_eq!(shop.state(due), State::Expired);
}

#[test]
fn a_partial_hold_takes_whole_kits_and_leaves_what_is_left_of_one_to_the_next_line() {
    let mut shop = Shop::with(&[("MUG", 6), ("TEA", 9)]);
    let partial = |hold| Hold { allow_partial: true, ..hold };
    let held = shown(shop.hold(partial(mixed(&[(1, "MUG", 1), (3, "MUG", 3)], vec![kits(2, 3)]))));
    let lines: Vec<_> = held.lines.iter().map(|line| (line.line, line.sku, line.requested, line.held)).collect();
    assert_eq!(lines, [(1, MUG, 1, 1), (2, MUG, 6, 4), (3, MUG, 3, 1), (4, TEA, 3, 2)]);
    let refusal = refused(shop.hold(partial(mixed(&[], vec![kits(1, 1)]))));
    assert_eq!(short(&refusal), [(MUG, &[1][..], 2, 0)]);
}

#[test]
fn a_variant_that_nobody_has_mapped_or_whose_sku_is_retired_is_refused_with_everything_else() {
    let mut shop = Shop::with(&[("MUG", 9)]);
    let unknown = VariantLine { mapping: None, ..kits(2, 1) };
    let old = VariantLine { mapping: Some(mapping(1, &[(OLD, 1)])), ..kits(3, 1) };
    let mut hat = Sku::clone(shop.catalogue.sku(HAT).unwrap());
    (hat.id, hat.code, hat.status) = (OLD, Arc::from("OLD"), SkuStatus::Retired);
    shop.catalogue.put_sku(hat);
    let refusal = refused(shop.hold(mixed(&[(1, "NOPE", 1)], vec![unknown, old])));
    let Refusal::Unprocessable(violations) = refusal else { panic!("{refusal}") };
    let rule = |pointer: &str, rule| Violation { pointer: pointer.to_owned(), rule };
    assert_eq!(
        violations,
        [
            rule("/lines/0/sku", Rule::UnknownSku("NOPE".to_owned())),
            rule("/lines/1/variant_id", Rule::UnknownVariant(KIT)),
            rule("/lines/2/variant_id", Rule::RetiredSku("OLD".to_owned())),
        ]
    );
    // A kit of two mugs asks for twice as many, and a class allows ten.
    let Refusal::Unprocessable(violations) = refused(shop.hold(mixed(&[], vec![kits(1, 6)]))) else { panic!() };
    let above = Rule::AboveMaxPerHold { sku: "MUG".to_owned(), requested: 12, max: 10 };
    assert_eq!(violations, [rule("/lines/0/quantity", above)]);
    let many: Vec<(SkuId, i32)> = vec![(MUG, 1); 1001];
    let huge = VariantLine { mapping: Some(mapping(1, &many)), ..kits(1, 1) };
    let Refusal::Unprocessable(violations) = refused(shop.hold(mixed(&[], vec![huge]))) else { panic!() };
    assert_eq!(violations, [rule("/lines", Rule::TooManyLines { lines: 1001, most: 1000 })]);
}

const OLD: SkuId = SkuId(99);

#[test]
fn what_has_no_stock_is_accepted_and_has_no_line() {
    let mut shop = Shop::with(&[("MUG", 1)]);
    let donation = |line| VariantLine { line, variant_id: 78, quantity: 5, mapping: Some(mapping(1, &[])) };
    let both = shown(shop.hold(mixed(&[(1, "MUG", 1)], vec![donation(2)])));
    assert_eq!((both.lines.len(), both.variants[0].parts.len()), (1, 0));
    let refusal = refused(shop.hold(mixed(&[(1, "MUG", 1)], vec![donation(2)])));
    assert_eq!(short(&refusal), [(MUG, &[1][..], 1, 0)]);
    // Alone it is held for as long as the standard class says, and an order of it has nothing to wait for.
    let alone = shown(shop.hold(mixed(&[], vec![donation(1)])));
    assert_eq!((alone.state, alone.lines.len()), (State::Held, 0));
    let committed = shown(shop.commit(order(alone.id)));
    assert_eq!(committed.state, State::Fulfilled);
    let given_back = shown(shop.hold(mixed(&[], vec![donation(1)])));
    assert_eq!(shown(shop.release(all_of(given_back.id))).state, State::Released);
}

#[test]
fn a_claim_that_takes_over_keeps_the_recipe() {
    let mut shop = Shop::with(&[("MUG", 9), ("TEA", 9)]);
    let held = shown(shop.hold(mixed(&[], vec![kits(1, 2)])));
    shop.wait(60);
    let extended = shown(shop.extend(held.id, None));
    assert_eq!((extended.origin, &extended.variants), (Origin::Extension, &held.variants));
    shop.wait(60);
    let late = shown(shop.commit(order(extended.id)));
    assert_eq!((late.origin, &late.variants), (Origin::LateCommit, &held.variants));
}

proptest! {
    #[test]
    fn granted_kits_are_whole_within_what_is_left_and_as_many_as_fit(
        lines in prop::collection::vec(
            (1_i64..=5, prop::collection::btree_map(0_i64..4, 1_i32..=3, 1..=3)), 1..6
        ),
        left in prop::collection::hash_map(0_i64..4, 0_i64..20, 0..=4),
    ) {
        let sku = |id| Arc::new(Sku { id: SkuId(id), ..Sku::clone(catalogue().sku(MUG).unwrap()) });
        let left: HashMap<SkuId, i64> = left.into_iter().map(|(id, units)| (SkuId(id), units)).collect();
        let pieces: Vec<Piece> = (1..)
            .zip(&lines)
            .flat_map(|(asked, (quantity, parts))| parts.iter().map(move |(id, each)| (asked, *quantity, *id, *each)))
            .map(|(asked, quantity, id, each)| {
                Piece { line: asked, asked, sku: sku(id), policy: policy_of(MUG), quantity, each }
            })
            .collect();
        let granted = grant(&pieces, left.clone());
        let mut rest = left;
        for (piece, units) in pieces.iter().zip(&granted) {
            if let Some(rest) = rest.get_mut(&piece.sku.id) {
                *rest -= units;
            }
        }
        prop_assert!(rest.values().all(|units| *units >= 0), "more than there is");
        let both: Vec<(&Piece, i64)> = pieces.iter().zip(granted).collect();
        for line in both.chunk_by(|one, next| one.0.asked == next.0.asked) {
            let whole = line[0].1 / i64::from(line[0].0.each);
            prop_assert!(line.iter().all(|(piece, units)| *units == whole * i64::from(piece.each)), "a kit in parts");
            let fits = |piece: &Piece| rest.get(&piece.sku.id).is_none_or(|rest| *rest >= i64::from(piece.each));
            prop_assert!(whole == line[0].0.quantity || !line.iter().all(|(piece, _)| fits(piece)), "one more fits");
        }
    }
}
